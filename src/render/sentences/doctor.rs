//! Sentences of the doctor, and what gets in the way of a lab that has a role on the machine.

use super::role::service;
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, and, quoted, t, w};
use crate::report::machine::{Ability, Filter, Finding, Interference, LimitName, Obstacle, Traffic};

/// A feature of the kernel.
pub fn ability(lang: Lang, ability: Ability) -> &'static str {
    match ability {
        Ability::NetworkNamespaces => "network namespaces",
        Ability::SandboxNamespaces => w!(lang, "PID, mount, UTS and IPC namespaces"),
        Ability::Veth => w!(lang, "veth pairs"),
        Ability::Bridge => "bridges",
        Ability::Ipv6 => "IPv6",
        Ability::Overlay => w!(lang, "overlay mounts"),
        Ability::Tun => w!(lang, "tun and tap"),
        Ability::Vlan => "VLANs (802.1Q)",
        Ability::Vxlan => "VXLAN",
        Ability::Macvlan => "macvlan",
        Ability::Vrf => "VRF",
        Ability::PacketSockets => w!(lang, "packet sockets"),
    }
}

/// A limit's name, and what it counts.
pub fn limit(lang: Lang, limit: LimitName) -> &'static str {
    match limit {
        LimitName::NetNamespaces => "user.max_net_namespaces",
        LimitName::Mounts => "fs.mount-max",
        LimitName::OpenFiles => w!(lang, "open files (ulimit -n)"),
        LimitName::Neighbours => "net.ipv4.neigh.default.gc_thresh3",
        LimitName::Memory => w!(lang, "memory available, in bytes"),
    }
}

/// What, why it matters, what to type.
pub fn message(what: impl Into<String>, why: impl Into<String>, hints: &[&str]) -> Message {
    let hints = hints.iter().map(|&hint| hint.to_owned()).collect();
    Message { what: what.into(), why: Some(why.into()), hints }
}

/// Something that may interfere: what, why it matters, what to type.
pub fn finding(lang: Lang, finding: &Finding) -> Message {
    match finding {
        Finding::AppArmorUserns => message(
            w!(
                lang,
                "AppArmor keeps user namespaces from programs that it does not know (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu)"
            ),
            w!(lang, "`unshare -Urnm` gives a root that may do nothing; `sudo nslab` is not affected."),
            &[
                w!(lang, "sudo nslab ... instead"),
                w!(
                    lang,
                    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0   until the next restart, for every program"
                ),
                w!(lang, "a profile with `userns,` for /usr/bin/unshare in /etc/apparmor.d   for that program alone"),
            ],
        ),
        Finding::UsernsClone => message(
            w!(lang, "only root may make user namespaces (kernel.unprivileged_userns_clone=0)"),
            w!(lang, "`unshare -Urnm` fails; `sudo nslab` is not affected."),
            &["sudo sysctl kernel.unprivileged_userns_clone=1"],
        ),
        Finding::FewUserNamespaces { value } => message(
            t!(lang, "user.max_user_namespaces is {value}", value),
            w!(lang, "`unshare -Urnm` fails when they are used up; `sudo nslab` is not affected."),
            &["sudo sysctl user.max_user_namespaces=65536"],
        ),
        Finding::BridgeNetfilter => message(
            w!(lang, "this machine's packet filters see bridged frames (br_netfilter)"),
            w!(
                lang,
                "They drop none of a lab's as they are now. A firewall or docker that starts later may: nslab doctor says so then."
            ),
            &[],
        ),
        Finding::Forwarding { lab } => message(
            w!(lang, "this machine forwards packets (net.ipv4.ip_forward=1)"),
            if let Some(lab) = lab {
                t!(
                    lang,
                    "The lab {lab} needs that, since this machine is a router of it; nslab down puts it back.",
                    lab = quoted(lang, lab)
                )
            } else {
                t!(
                    lang,
                    "Every node of a lab on one machine has a setting of its own. With --role this machine is a host of the lab, and forwards also where the file says that the host does not."
                )
            },
            &[],
        ),
        Finding::FallbackDevices { names } => message(
            t!(
                lang,
                "every new network namespace has {names} (fallback devices of the kernel's tunnel modules)",
                names = and(lang, names)
            ),
            w!(
                lang,
                "So has every node of a lab. They are down and carry nothing; nslab neither counts nor draws them, and nobody can delete them."
            ),
            &[],
        ),
        Finding::Capability { name } => message(
            t!(lang, "root lacks {name}", name),
            w!(lang, "A container or a service manager took it away; no lab can be made."),
            &[w!(lang, "run nslab outside, or give the container --privileged")],
        ),
        Finding::SmallNeighbourTable { value } => message(
            t!(lang, "the machine keeps {value} neighbours at most (net.ipv4.neigh.default.gc_thresh3)", value),
            w!(
                lang,
                "All labs share them. When many containers talk to each other, pings fail with \"neighbor table overflow\"."
            ),
            &["sudo sysctl net.ipv4.neigh.default.gc_thresh3=65536"],
        ),
    }
}

/// Something that gets in the way of a lab that has a role: what, why, what to type.
pub fn interference(lang: Lang, found: &Interference) -> Message {
    let mut message = match &found.obstacle {
        Obstacle::Filter { traffic, filter } => filtered(lang, found, traffic, filter),
        Obstacle::Manager { interface: nic, service: manager, pid, certain } => {
            let service = service(lang, *manager, *pid);
            let mut why = vec![w!(lang, "It can change its addresses, routes and state at any time.")];
            if *certain && found.lab.is_none() {
                why.push(w!(lang, "With --role nslab refuses it."));
            }
            Message::new(if *certain {
                t!(lang, "{service} configures {nic}", service, nic)
            } else {
                t!(lang, "{service} names no interface, and may configure {nic}", service, nic)
            })
            .why(why.join(" "))
        }
        Obstacle::ReversePath { interface: nic, from, leaves } => {
            Message::new(t!(lang, "packets from {from} that come in by {nic} are dropped", from, nic)).why(
                if let Some(way) = leaves {
                    t!(lang, "The reverse path filter is strict (rp_filter=1), and this machine reaches it by {way}.", way)
                } else {
                    t!(lang, "The reverse path filter is strict (rp_filter=1), and this machine has no way there.")
                },
            )
        }
        Obstacle::Ipv6Off { interface } => Message::new(t!(lang, "IPv6 is switched off on {interface}", interface))
            .why(w!(lang, "The lab has IPv6 addresses there (disable_ipv6=1).")),
    };
    if let Some(lab) = &found.lab {
        message.what = format!("{}: {}", escape(lab), message.what);
    }
    found.cures.iter().fold(message, |message, way| message.hint(way.join(" && ")))
}

fn filtered(lang: Lang, found: &Interference, traffic: &Traffic, filter: &Filter) -> Message {
    let lab = found.lab.as_deref();
    let (traffic, netfilter) = match traffic {
        Traffic::Bridged { bridge, netfilter, ipv6, .. } => {
            let bridge = bridge.as_deref().unwrap_or(w!(lang, "a bridge"));
            let frames = if *ipv6 {
                t!(lang, "IPv6 frames between the ports of {bridge}", bridge)
            } else {
                t!(lang, "frames between the ports of {bridge}", bridge)
            };
            (frames, *netfilter)
        }
        Traffic::Routed { interfaces, ipv6 } => {
            let packets = if *ipv6 {
                w!(lang, "IPv6 packets that this machine forwards")
            } else {
                w!(lang, "packets that this machine forwards")
            };
            (from(lang, packets, lab, interfaces), false)
        }
        Traffic::Received { interfaces, ipv6 } => {
            let pings = if *ipv6 {
                w!(lang, "IPv6 pings for this machine's own addresses")
            } else {
                w!(lang, "pings for this machine's own addresses")
            };
            (from(lang, pings, lab, interfaces), false)
        }
    };
    let mut why = Vec::new();
    if lab.is_none() {
        why.push(w!(lang, "Harmless to a lab on one machine, not to one with --role."));
    }
    why.push(match (filter.policy, filter.certain) {
        (true, true) => w!(lang, "Its policy is drop, and no rule of it lets them pass."),
        (false, true) => w!(lang, "A rule of it says so."),
        (true, false) => w!(lang, "Its policy is drop; nslab cannot tell whether one of its rules lets them pass."),
        (false, false) => w!(lang, "A rule of it says so; nslab cannot tell whether one before it lets them pass."),
    });
    let passes = |load: &&str| if *load == "ping" { w!(lang, "Pings pass.") } else { w!(lang, "TCP passes.") };
    why.extend(filter.passes.iter().map(passes));
    if netfilter {
        why.push(w!(lang, "It sees bridged frames by br_netfilter."));
    }
    if found.cures.is_empty() {
        why.push(w!(lang, "nslab up --role tells what to type, with the lab's own names."));
    }
    let chain = chain(lang, filter);
    Message::new(if filter.certain {
        t!(lang, "{traffic} are dropped by {chain}", traffic, chain)
    } else {
        t!(lang, "{traffic} may be dropped by {chain}", traffic, chain)
    })
    .why(why.join(" "))
}

fn from(lang: Lang, packets: &str, lab: Option<&str>, interfaces: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = interfaces.iter().map(String::as_str).take(SHOWN);
    let names: Vec<&str> = shown.chain((interfaces.len() > SHOWN).then_some("...")).collect();
    match lab {
        None => t!(lang, "{packets} for a lab", packets),
        Some(_) if names.is_empty() => packets.to_owned(),
        Some(_) => t!(lang, "{packets} from {names}", packets, names = names.join(", ")),
    }
}

/// The chain that drops, and whose it seems to be.
fn chain(lang: Lang, filter: &Filter) -> String {
    let Filter { chain, family, table, .. } = filter;
    let chain = if filter.legacy {
        t!(lang, "the chain {chain} of the table {family} {table} of iptables-legacy", chain, family, table)
    } else {
        t!(lang, "the chain {chain} of the table {family} {table}", chain, family, table)
    };
    let makers: Vec<String> = filter.makers.iter().map(ToString::to_string).collect();
    match makers.as_slice() {
        [] => chain,
        [maker] => t!(lang, "{chain}, where {maker} has rules", chain, maker),
        makers => t!(lang, "{chain}, where {makers} have rules", chain, makers = and(lang, makers)),
    }
}
