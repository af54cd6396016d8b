//! Labs as they are: `status`, `list`, and nslab alone.

use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::remote::Containers;
use super::up::Exercise;
use super::{Context, Place, Run, completions, lacking, remote, target, topology};
use crate::error::Result;
use crate::lab::{self, Entry, Journal, Phase, borrow, halves};
use crate::name::{LabName, NodeName};
use crate::plan::steps::{Step, What};
use crate::plan::{Fact, Op, steps};
use crate::render::escape::escape;
use crate::render::lang::{Lang, n, quoted, t, w, words};
use crate::render::table::section;
use crate::render::{self, Show, Style, lines, sentences, shapes};
use crate::report::lab::{Condition, Kept, Namespace, Nics, Played, Serving, Table};
use crate::typed;

/// How long the machine of another half may take to answer.
const PATIENCE: Duration = Duration::from_millis(450);

/// Tell whether labs are as described, and what was made by hand in them
///
/// Ends with 1 when a lab is unfinished or has drifted.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// The lab, or REMOTE:[NODE]; all labs when left out
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
}

/// How labs are.
#[derive(Debug, Serialize)]
pub struct Statuses {
    /// Each lab asked about.
    pub labs: Vec<Lab>,
}

/// The condition of one lab.
#[derive(Debug, Serialize)]
pub struct Lab {
    /// The lab.
    pub lab: LabName,
    /// One line on what its topology teaches.
    pub summary: Option<String>,
    /// How it is.
    pub condition: Condition,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
    /// What `up` would do to make it as described.
    pub missing: Vec<Step>,
    /// What somebody made by hand, as the commands that make it.
    pub by_hand: Vec<Step>,
    /// Namespaces that somebody made inside a host.
    pub namespaces: Vec<Namespace>,
    /// Packet filter tables that somebody made.
    pub tables: Vec<Table>,
    /// What somebody made by hand and `reset` leaves: in this machine's own network, and tables of the iptables of old.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Step>,
    /// What a fresh node has could not be asked for all of it: there the kernel's defaults count.
    #[serde(skip_serializing_if = "is_false")]
    pub guessed: bool,
    /// How many processes run in it.
    pub processes: usize,
    /// Which half of it is on this machine; none where all of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half: Option<Played>,
    /// What was launched, stopped or configured in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<Kept>,
    /// The agents of its hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Serving>,
    /// The nslab that made it.
    pub version: String,
    /// The machine's NICs that it has borrowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nics: Option<Nics>,
}

impl Lab {
    /// How many things somebody made by hand.
    fn by_hand(&self) -> usize {
        // What of the machine itself is otherwise may have been so before.
        let legacy = self.kept.iter().filter(|step| step.what == What::LegacyFilters);
        let steps = self.by_hand.iter().chain(legacy);
        steps.map(|step| step.commands.len()).sum::<usize>() + self.namespaces.len() + self.tables.len()
    }

    /// What somebody made by hand, and what runs; of a lab of which nothing is left nothing was looked at.
    fn found(&self, lang: Lang) -> Option<String> {
        let gone = matches!(self.condition, Condition::Stale | Condition::RolledBack);
        if gone && self.by_hand() + self.processes == 0 {
            return None;
        }
        let made = match self.by_hand() {
            0 if self.missing.is_empty() && self.kept.is_empty() => t!(lang, "Nothing was made by hand"),
            0 => t!(lang, "Nothing else was made by hand"),
            number => t!(lang, "{things} by hand", things = n!(lang, number, "thing was made", "things were made")),
        };
        let processes = match self.processes {
            0 => t!(lang, "no process runs in it"),
            number => t!(lang, "{processes} in it", processes = n!(lang, number, "process runs", "processes run")),
        };
        Some(format!("{made}; {processes}."))
    }

    /// Its condition, and what to type.
    fn sentences(&self, lang: Lang) -> Vec<String> {
        let size = topology::size(lang, self.hosts, self.containers);
        let lab = &self.lab;
        let mut lines = vec![match self.condition {
            Condition::Up => t!(lang, "{lab} is up, as described: {size}.", lab, size),
            Condition::Unfinished => {
                t!(lang, "{lab} is unfinished: an up or a down was cut short. nslab up completes it, nslab down removes it.", lab)
            }
            Condition::Drifted => {
                t!(lang, "{lab} has drifted: something described is gone or changed. nslab up {lab} repairs it.", lab)
            }
            Condition::RolledBack => t!(
                lang,
                "{lab} was taken back: its records alone are left. nslab up {lab} makes it again, nslab down forgets it.",
                lab
            ),
            Condition::Stale => {
                t!(lang, "{lab} is from before the last restart; nothing of it is left. nslab up {lab} makes it again.", lab)
            }
        }];
        lines.extend(self.found(lang));
        if self.guessed {
            lines.push(t!(lang, "What a fresh node has could not be asked; the kernel's defaults count for it."));
        }
        if self.version != env!("CARGO_PKG_VERSION") {
            lines.push(t!(lang, "It was made by nslab {version}.", version = self.version));
        }
        lines.extend(self.half.as_ref().map(|half| sentences::role::half(lang, half)));
        let others = self.half.iter().filter_map(|half| half.others.as_ref());
        lines.extend(others.flat_map(|others| sentences::role::halves(lang, others)));
        lines.extend(sentences::lxd::serving(lang, &self.agents, lab.as_str()));
        lines.extend(self.instances.as_ref().map(|kept| sentences::lxd::kept(lang, kept)));
        lines.extend(self.nics.as_ref().map(|nics| sentences::role::borrowed(lang, nics)));
        lines
    }

    /// What was made by hand and has no `ip` line: namespaces, packet filters.
    fn foreign(&self, lang: Lang) -> Vec<String> {
        let namespace =
            |one: &Namespace| t!(lang, "a namespace {name} inside {host}", name = quoted(lang, &one.name), host = one.host);
        let table = |one: &Table| {
            let (family, table, node) = (&one.family, quoted(lang, &one.table), &one.node);
            t!(lang, "a packet filter table {family} {table} in {node}", family, table, node)
        };
        self.namespaces.iter().map(namespace).chain(self.tables.iter().map(table)).collect()
    }
}

impl Show for Statuses {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        if self.labs.is_empty() {
            return lines(&[t!(lang, "No lab is up.")]);
        }
        let each = self.labs.iter().map(|lab| {
            let mut text = lines(&lab.sentences(lang));
            text += &commands(w!(lang, "To make it as described:"), &lab.missing);
            text += &commands(w!(lang, "Made by hand:"), &lab.by_hand);
            text += &indented(lab.foreign(lang).into_iter());
            text + &commands(
                w!(lang, "Otherwise than on a fresh node, and left to you (nslab reset does not touch it):"),
                &lab.kept,
            )
        });
        each.collect::<Vec<_>>().join("\n")
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.labs.iter().any(|lab| !lab.condition.is_up()))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Commands under a title; nothing where there are none.
pub fn commands(title: &str, steps: &[Step]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let commands = steps.iter().flat_map(|step| &step.commands);
    format!("{title}\n{}", indented(commands.map(|command| typed::here(&escape(command)))))
}

fn indented(texts: impl Iterator<Item = String>) -> String {
    lines(&texts.map(|text| format!("  {text}")).collect::<Vec<_>>())
}

shapes! {
    /// How labs are, or the containers of a remote.
    pub enum Conditions { Labs(Statuses), Containers(Containers) }
}

impl Run for Status {
    type Out = Conditions;

    fn place(&self) -> Place {
        if self.lab.as_deref().and_then(remote::split).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        if let Some((there, name)) = self.lab.as_deref().and_then(remote::split) {
            return remote::list(there, name, true).map(Conditions::Containers);
        }
        let labs = target::labs(self.lab.as_deref())?;
        let labs = labs.iter().map(status).collect::<Result<_>>()?;
        Ok(Conditions::Labs(Statuses { labs }))
    }
}

fn status(name: &LabName) -> Result<Lab> {
    let status = lab::status(name)?;
    let half = half(&status.journal)?;
    let naming = steps::Naming::from_topology(&status.journal.topology);
    let (kept, guessed) = (status.kept(&naming), status.by_hand.iter().any(Fact::is_guessed));
    let mut missing = steps::in_order(&status.missing, &naming);
    missing.extend(steps::listed(&status.unlisted, &naming.lab));
    let topology = status.journal.topology;
    let by_hand: Vec<Op> = status.by_hand.into_iter().map(Op::Add).collect();
    Ok(Lab {
        lab: name.clone(),
        condition: status.condition,
        summary: topology.summary.clone(),
        hosts: topology.hosts.len(),
        containers: topology.containers(),
        missing,
        by_hand: steps::by_hand(&by_hand, &naming),
        namespaces: status.namespaces,
        tables: status.tables,
        kept,
        guessed,
        processes: status.processes,
        half,
        instances: status.kept,
        agents: status.agents,
        version: status.journal.version,
        nics: borrow::report(name),
    })
}

fn half(journal: &Journal) -> Result<Option<Played>> {
    let Some(role) = journal.topology.role.as_ref() else { return Ok(None) };
    let asked = journal.phase == Phase::Up && !journal.is_stale();
    let answers = if asked { halves::others(journal, PATIENCE)? } else { None };
    let others = journal.whole.iter().flat_map(|whole| &whole.hosts).filter(|host| host.name != role.host);
    Ok(Some(Played {
        host: role.host.clone(),
        nics: role.nics.iter().map(|(name, real)| (name.clone(), real.clone())).collect(),
        elsewhere: others.map(|host| host.name.clone()).collect(),
        others: answers,
    }))
}

/// List the labs that are up, or the containers of a remote
#[derive(Debug, clap::Args)]
pub struct List {
    /// A remote with its colon, as in host-b:
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
}

/// The labs that are up, in the order of their names.
#[derive(Debug, Serialize)]
pub struct Labs {
    labs: Vec<Item>,
}

impl Labs {
    fn look() -> Result<Self> {
        let mut labs: Vec<Item> = lab::whole()?.into_iter().map(Item::from_entry).collect();
        labs.sort_by(|a, b| a.lab.cmp(&b.lab));
        Ok(Self { labs })
    }

    fn table(&self, style: Style) -> render::table::Table {
        let headings = words!(style.lang, "LAB", "HOSTS", "CONTAINERS", "UP SINCE (UTC)");
        let mut table = render::table::Table::new(style, &headings).right(&[1, 2]);
        for lab in &self.labs {
            let containers: usize = lab.hosts.iter().map(|host| host.containers.len()).sum();
            let name = lab.role.as_ref().map_or_else(|| lab.lab.to_string(), |role| format!("{} ({role})", lab.lab));
            table.row([name, lab.hosts.len().to_string(), containers.to_string(), date(lab.since)]);
        }
        table
    }
}

impl Show for Labs {
    fn text(&self, style: Style) -> String {
        if self.labs.is_empty() { lines(&[t!(style.lang, "No lab is up.")]) } else { self.table(style).print(0) }
    }
}

/// One lab that is up.
#[derive(Debug, Serialize)]
struct Item {
    lab: LabName,
    /// One line on what its topology teaches.
    summary: Option<String>,
    hosts: Vec<Host>,
    switches: Vec<NodeName>,
    /// The host that this machine plays; none where the whole lab is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<NodeName>,
    /// Topologies that it is to become by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exercise: Vec<String>,
    /// When it was brought up, in seconds since 1970 (UTC).
    since: u64,
}

#[derive(Debug, Serialize)]
struct Host {
    host: NodeName,
    containers: Vec<NodeName>,
}

impl Item {
    fn from_entry(entry: Entry) -> Self {
        let Entry { lab, summary, hosts, switches, role, exercise, since, .. } = entry;
        let hosts = hosts.into_iter().map(|(host, containers)| Host { host, containers }).collect();
        Self { lab, summary, hosts, switches, role, exercise, since }
    }
}

/// Seconds since 1970 as a date and a time of day (UTC).
fn date(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days from the civil calendar's era of 400 years, as in Howard Hinnant's `civil_from_days`.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3600, second / 60 % 60)
}

shapes! {
    /// Labs that are up, or the containers of a remote.
    pub enum Listed { Labs(Labs), Containers(Containers) }
}

impl Run for List {
    type Out = Listed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        if let Some(word) = self.remote.as_deref() {
            let (there, name) = remote::split(word).unwrap_or((word, ""));
            return remote::list(there, name, false).map(Listed::Containers);
        }
        Labs::look().map(Listed::Labs)
    }
}

/// Show the topologies, the labs that are up, and what to type next
#[derive(Debug, clap::Args)]
pub struct Home;

/// What there is, and what to type next.
#[derive(Debug, Serialize)]
pub struct Overview {
    topologies: Vec<topology::Item>,
    #[serde(flatten)]
    labs: Labs,
    /// Whether the caller has the rights to bring a lab up.
    privileged: bool,
}

impl Show for Overview {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let mut text = section(w!(lang, "Topologies"), &topology::table(&self.topologies, style));
        text += &section(w!(lang, "Labs that are up"), &self.labs.table(style));
        let sudo = if self.privileged { "" } else { "sudo " };
        text + &lines(&match self.labs.labs.first() {
            None => vec![
                t!(lang, "No lab is up. Bring one up:"),
                format!("  {sudo}nslab up bridged"),
                t!(lang, "nslab help lists the commands, nslab doctor looks at this machine."),
            ],
            Some(lab) if !lab.exercise.is_empty() => self.exercise(lab).sentences(lang),
            Some(lab) => {
                let node = lab.hosts.iter().find_map(|host| host.containers.first()).or(lab.hosts.first().map(|host| &host.host));
                let node = node.map_or("NODE", NodeName::as_str);
                vec![
                    t!(lang, "Next:"),
                    format!("  {sudo}nslab exec {node} ip addr"),
                    format!("  {sudo}nslab show {node}"),
                    format!("  {sudo}nslab down {}", lab.lab),
                ]
            }
        })
    }
}

impl Overview {
    /// What is typed to make one of the labs by hand.
    fn exercise(&self, lab: &Item) -> Exercise {
        let several = self.labs.labs.len() > 1;
        let typed = |host: &Host| if several { format!("{}/{}", lab.lab, host.host) } else { host.host.to_string() };
        Exercise {
            lab: several.then(|| lab.lab.clone()),
            shells: lab.hosts.iter().map(typed).collect(),
            against: lab.exercise.clone(),
            sudo: !self.privileged,
        }
    }
}

impl Run for Home {
    type Out = Overview;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        Ok(Overview { topologies: topology::items()?, labs: Labs::look()?, privileged: lacking().is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn seconds_read_as_a_date() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_795_477_019), "2026-11-23 23:36");
    }
}
