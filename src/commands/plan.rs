//! `nslab plan`

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::target::Role;
use super::{Context, Place, Run, completions, refusal, target};
use crate::error::{Error, Result, Takes, Usage};
use crate::lab;
use crate::lxd::script;
use crate::plan::steps::{Naming, Place as At, Step, What, by_hand, by_host, by_place, filter, host_namespaces};
use crate::plan::{Op, State, compile, diff};
use crate::render::escape::escape;
use crate::render::lang::{Lang, t, w};
use crate::render::{Show, Style, sentences};
use crate::report::machine::Changes;
use crate::topology::{Topology, catalog};

/// Print the commands that make a lab by hand: a script, grouped by host
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab plan routed\n  nslab plan bridged > bridged.sh; sudo sh -e bridged.sh\n  nslab plan routed --as lxc --role host-a\n  sudo nslab plan bridged --by-hand"
)]
pub struct Plan {
    /// A topology, a file, or a lab that is up; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::plans))]
    topology: Option<String>,
    /// Print what was made by hand in the lab instead
    #[arg(long, conflicts_with = "how")]
    by_hand: bool,
    /// With which commands
    #[arg(long = "as", value_name = "COMMANDS", default_value = "ip", hide_default_value = true)]
    how: How,
    #[command(flatten)]
    role: Role,
    /// The image that containers are launched from, with --as lxc (ubuntu:22.04 unless given)
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// With which commands a lab is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// ip, in the namespaces of one machine
    Ip,
    /// ip and lxc, on hosts with LXD
    Lxc,
}

/// The commands that make or would change a lab.
#[derive(Debug, Serialize)]
pub struct Commands {
    /// The lab.
    pub(super) lab: String,
    /// What they do.
    pub(super) purpose: Purpose,
    /// In an order that works.
    pub(super) steps: Vec<Step>,
    /// What becomes of the machine's own NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<Changes>,
}

/// What the commands of a plan do.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Make the lab out of nothing.
    Build,
    /// Make it on hosts with LXD.
    BuildOnLxd,
    /// What `up` would do now.
    Preview,
    /// Make again what somebody made by hand.
    ByHand,
}

/// A shell script that a student can read and run: grouped by place, with a comment per step.
impl Show for Commands {
    fn text(&self, style: Style) -> String {
        let (lang, lab) = (style.lang, &self.lab);
        if self.steps.is_empty() {
            let nothing = match self.purpose {
                Purpose::ByHand => t!(lang, "Nothing was made by hand in {lab}.", lab),
                Purpose::Build | Purpose::BuildOnLxd | Purpose::Preview => t!(lang, "Nothing to do: {lab} is as described.", lab),
            };
            return format!("# {nothing}\n");
        }
        let head = match self.purpose {
            Purpose::Build => t!(
                lang,
                "The lab {lab} by hand: what `nslab up {lab}` makes, as the commands of a student.\n\
                 Run it as root where no lab of that name is up. `ip -all netns delete` or a restart undoes it.",
                lab
            ),
            Purpose::BuildOnLxd => t!(
                lang,
                "The lab {lab} on hosts with LXD, as in class. Each host runs its own part, as root (--role HOST prints one).\n\
                 The networks between the hosts are the hypervisor's: an Internal Network of VirtualBox, where the adapters need\n\
                 Promiscuous Mode: Allow All as soon as a bridge is on them.",
                lab
            ),
            Purpose::Preview => t!(lang, "What `nslab up` would do to {lab} now.", lab),
            Purpose::ByHand => t!(lang, "What was made by hand in {lab}.", lab),
        };
        let mut lines = Vec::new();
        let whole = matches!(self.purpose, Purpose::Build | Purpose::BuildOnLxd);
        if whole {
            lines.push("#!/bin/sh".to_owned());
        }
        lines.extend(head.lines().map(|line| format!("# {line}")));
        if let Some(changes) = &self.machine {
            lines.extend(sentences::role::changes(style.lang, changes).iter().map(|line| format!("# {}", escape(line))));
        }
        if whole {
            lines.push("set -e".to_owned());
        }
        let mut here: Option<&At> = None;
        for step in &self.steps {
            lines.push(String::new());
            if here != Some(&step.place) {
                lines.push(style.bold(&format!("# ---- {} ----", place(style.lang, &step.place))));
                here = Some(&step.place);
            }
            lines.extend(comment(style.lang, step.what).lines().map(|line| format!("# {line}")));
            lines.extend(step.commands.iter().map(|command| escape(command).into_owned()));
        }
        lines.join("\n") + "\n"
    }
}

impl Run for Plan {
    type Out = Commands;

    fn place(&self) -> Place {
        if self.by_hand { Place::Privileged } else { Place::Anywhere }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if self.by_hand { self.by_hand() } else { self.whole(context) }
    }
}

impl Plan {
    fn whole(&self, context: &Context) -> Result<Commands> {
        let topology = match &self.topology {
            Some(word) if catalog::is_file(word) => target::topology(word)?,
            Some(word) => match target::described(word) {
                Some(topology) => topology,
                None if catalog::find(word).is_none() && target::is_lab(word) => return Err(refusal(context)),
                None => target::topology(word)?,
            },
            None => {
                let entry = target::up(None)?;
                target::described(entry.lab.as_str()).ok_or_else(|| refusal(context))?
            }
        };
        let lab = topology.name.to_string();
        if self.how == How::Lxc {
            return self.on_lxd(&topology);
        }
        if self.image.is_some() {
            return Err(Error::Usage(Usage::Option("--image", Takes::AsLxc)));
        }
        let topology = self.role.casting()?.apart(&topology)?;
        let steps = by_host(&diff(&State::new(), &compile(&topology)), &Naming::from_topology(&topology));
        Ok(Commands { lab, purpose: Purpose::Build, steps, machine: None })
    }

    fn on_lxd(&self, topology: &Topology) -> Result<Commands> {
        // The hosts of class are whole machines in either case; only the NICs are called otherwise.
        let part = self.role.casting()?.apart(topology)?;
        let steps = script::by_host(&part, self.role.role.as_deref(), self.image.as_deref().unwrap_or("ubuntu:22.04"));
        Ok(Commands { lab: topology.name.to_string(), purpose: Purpose::BuildOnLxd, steps, machine: None })
    }

    fn by_hand(&self) -> Result<Commands> {
        let entry = target::up(self.topology.as_deref())?;
        let status = lab::status(&entry.lab)?;
        let naming = Naming::from_topology(&status.journal.topology);
        let kept = status.kept(&naming);
        let made: Vec<Op> = status.by_hand.into_iter().map(Op::Add).collect();
        let mut steps = Vec::new();
        for made in status.namespaces {
            steps.push(host_namespaces(made.host.as_str(), &[made.name], entry.lab.as_str()));
        }
        steps.extend(by_hand(&made, &naming));
        steps.extend(kept);
        steps.extend(status.tables.iter().map(|made| filter(&made.node, &made.family, &made.table, entry.lab.as_str())));
        by_place(&mut steps);
        Ok(Commands { lab: entry.lab.into(), purpose: Purpose::ByHand, steps, machine: None })
    }
}

/// Where commands work.
fn place(lang: Lang, place: &At) -> String {
    match place {
        At::Lab => t!(lang, "The whole lab"),
        At::Networks => t!(lang, "The networks between the hosts"),
        At::Host(host) => t!(lang, "{host} and its containers", host),
    }
}

/// What commands do.
fn comment(lang: Lang, what: What) -> &'static str {
    match what {
        What::Namespaces => w!(lang, "A network namespace per machine: its own interfaces, routes and neighbours."),
        What::Sysctls => w!(lang, "Whether it forwards packets, and how strictly it checks where they come from."),
        What::Bridges => w!(lang, "Bridges: a switch inside the kernel."),
        What::VethPairs => w!(lang, "Veth pairs: a cable with two ends, each in its machine."),
        What::Links => w!(lang, "Other interfaces."),
        What::LinkLocal => w!(lang, "No IPv6 link-local addresses by themselves: all that is there was described."),
        What::Macs => w!(lang, "MAC addresses that can be read: 02:HOST:CONTAINER:INTERFACE, in two bytes, two bytes and one."),
        What::Mtus => w!(lang, "How many bytes a frame may carry."),
        What::Stp => w!(lang, "The spanning tree protocol, where bridges form a loop."),
        What::Ports => w!(lang, "Plug the cables into the bridges."),
        What::Isolation => w!(lang, "Ports that get nothing but what is meant for them."),
        What::Fdb => w!(lang, "Forwarding table entries that do not age."),
        What::Addresses => w!(lang, "Addresses."),
        What::Up => w!(lang, "Switch the interfaces on."),
        What::Routes => w!(lang, "Routes: where packets for other networks go."),
        What::HostNamespaces => w!(lang, "Namespaces made inside the host."),
        What::Filters => w!(lang, "Packet filter tables: these lines print their rules, as `nft -f` takes them."),
        What::LegacyFilters => w!(lang, "Rules of iptables as it was before nftables: these lines print them."),
        What::Forwarding => w!(lang, "The host is a router."),
        What::Instances => w!(lang, "Containers. The default profile puts their eth0 on lxdbr0."),
        What::Devices => w!(
            lang,
            "Take them off lxdbr0: a device of the same name takes the place of the profile's.\n\
             (lxc profile device remove default eth0, before the launch, does it for all that come later.)"
        ),
        What::HostEnds => w!(lang, "The host's ends of the point-to-point links."),
        What::InstanceAddresses => w!(lang, "Addresses of the containers."),
        What::InstanceRoutes => w!(lang, "Routes of the containers."),
        What::ByHand => w!(lang, "Settings, rules, neighbours and the like that no topology says."),
        What::Remove => w!(lang, "Remove what is no longer wanted."),
    }
}
