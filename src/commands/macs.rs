//! `nslab macs`

use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::target::duration;
use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Thing, Usage};
use crate::kernel::sandbox::Manner;
use crate::kernel::{interrupted, sys};
use crate::lab::{self, Entry, Private, Subject, resolve};
use crate::plan::NodeId;
use crate::probe::macs;
use crate::probe::ping::all;
use crate::probe::ping::stations::{Station, Stations};
use crate::probe::view::View;
use crate::render::escape::escape;
use crate::render::lang::{t, w, words};
use crate::render::sentences::capture;
use crate::render::table::{Table, WIDTH, broken};
use crate::render::{Show, Style, lines};
use crate::report::probe::Family;
use crate::report::wire::{Census, Interface, Kind, Network, Pings, Reason, Source};
use crate::topology::{Topology, catalog};

/// So many rows of a table are shown.
const ROWS: usize = 24;
/// So many addresses of one host are shown side by side with another lab's.
const EACH: usize = 8;

/// How long `--passive` listens where nothing is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show which MAC addresses the networks between the hosts see, whose they are and why
///
/// Pings once between every two containers of different hosts and listens. A topology that is not up is brought up for
/// that alone, and taken away again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab macs\n  sudo nslab macs bridged routed\n  sudo nslab macs three-hosts --passive --for 10s"
)]
pub struct Macs {
    /// Labs, or topologies as for `up`; two are shown side by side
    #[arg(value_name = "LAB", add = ArgValueCompleter::new(completions::plans))]
    labs: Vec<String>,
    /// One of the networks alone
    #[arg(long, short, value_name = "NETWORK")]
    network: Option<String>,
    /// Only listen, and send nothing
    #[arg(long)]
    passive: bool,
    /// How long to listen: 5s, 500ms, 2m; with --passive 5s where nothing is said
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
}

/// What is measured.
enum Wanted {
    /// A lab that is up, from this topology.
    There(Box<Subject>, Box<Topology>),
    /// A topology that is brought up for it.
    New(Box<Topology>),
}

impl Run for Macs {
    type Out = Found;

    fn place(&self) -> Place {
        let labs = lab::names();
        let is_up = |word: &String| labs.iter().any(|entry| entry.lab == *word);
        // A lab of its own is made outside.
        if self.labs.iter().all(is_up) { Place::Privileged } else { Place::Outside(Manner::Follows) }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        sys::note_signals();
        let wanted = self.wanted(context)?;
        for one in &wanted {
            let (Wanted::There(_, topology) | Wanted::New(topology)) = one;
            macs::known(topology, self.network.as_deref())?;
        }
        let labs = wanted.into_iter().map(|one| self.measure(one, context)).collect::<Result<_>>()?;
        Ok(Found { labs })
    }
}

impl Macs {
    fn wanted(&self, context: &mut Context) -> Result<Vec<Wanted>> {
        if self.labs.is_empty() {
            let entry = target::current(None, context)?;
            return Ok(vec![there(entry)?]);
        }
        self.labs.iter().map(|word| self.one(word)).collect()
    }

    fn one(&self, word: &str) -> Result<Wanted> {
        let labs = lab::names();
        if let Some(entry) = labs.iter().find(|entry| entry.lab == word) {
            return there(entry.clone());
        }
        if !catalog::is_file(word) && catalog::find(word).is_none() {
            let words = labs.into_iter().map(|entry| entry.lab.into()).chain(catalog::names().map(str::to_owned)).collect();
            return Err(Error::Unknown { what: Thing::Lab, word: word.to_owned(), candidates: resolve::near(word, words) });
        }
        let topology = target::topology(word)?;
        if self.passive {
            return Err(Error::Usage(Usage::NotUp(topology.name.to_string())));
        }
        Ok(Wanted::New(Box::new(topology)))
    }

    fn measure(&self, wanted: Wanted, context: &mut Context) -> Result<Census> {
        match wanted {
            Wanted::There(subject, topology) => self.census(&subject, &topology, context),
            Wanted::New(topology) => {
                let name = topology.name.to_string();
                let private = Private::bring_up((*topology).clone(), &mut |step| context.front.progress(step))?;
                let found = private.entry().and_then(|entry| self.census(&Subject::new(entry), &topology, context));
                private.end()?;
                Ok(Census { lab: name, own: true, ..found? })
            }
        }
    }

    fn census(&self, subject: &Subject, topology: &Topology, context: &mut Context) -> Result<Census> {
        let segments = macs::segments(topology, &View::look(subject)?, self.network.as_deref());
        let stations = Stations::look(subject)?;
        let (pings, tallies) = macs::listen(&segments, || {
            let begin = Instant::now();
            let pings = if self.passive { None } else { Some(traffic(&stations, context)?) };
            let time = self.time.or(self.passive.then_some(PATIENCE)).unwrap_or_default();
            while begin.elapsed() < time && sys::signal().is_none() {
                std::thread::sleep(Duration::from_millis(20).min(time.saturating_sub(begin.elapsed())));
            }
            if self.passive { Ok(pings) } else { interrupted().map(|()| pings) }
        })?;
        let after = View::look(subject)?;
        let networks = segments.iter().zip(&tallies).map(|(segment, tally)| macs::network(segment, tally, &after)).collect();
        let is_container = |station: &&Station| matches!(station.id, NodeId::Container(..));
        let containers = stations.all.iter().filter(is_container).count();
        Ok(Census { lab: subject.entry.lab.to_string(), own: false, containers, pings, networks, names: stations.names })
    }
}

fn there(entry: Entry) -> Result<Wanted> {
    let subject = Subject::new(entry);
    let topology = subject.journal()?.laid_out();
    Ok(Wanted::There(Box::new(subject), Box::new(topology)))
}

/// One ping between every two containers of different hosts; between the hosts where there are no such containers.
fn traffic(stations: &Stations, context: &mut Context) -> Result<Pings> {
    fn host(station: &Station) -> Option<&str> {
        match &station.id {
            NodeId::Container(host, _) | NodeId::Host(host) => Some(host.as_str()),
            NodeId::Switch(_) => None,
        }
    }
    let has_address =
        |station: &Station| [Family::Ipv4, Family::Ipv6].iter().any(|family| station.reachable(*family).next().is_some());
    let containers = stations.all.iter().filter(|station| matches!(station.id, NodeId::Container(..)));
    let mut members: Vec<&Station> = containers.collect();
    if !members.iter().any(|member| host(member) != host(members[0])) {
        members = stations.all.iter().filter(|station| matches!(station.id, NodeId::Host(_)) && has_address(station)).collect();
    }
    let apart = |from: &Station, to: &Station| host(from) != host(to);
    let outcome = all::all(stations, &members, &apart, &mut |step| context.front.progress(step))?;
    Ok(Pings { pairs: outcome.pairs, answered: outcome.pairs - outcome.failed.len() })
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Found {
    /// In the order of the command line.
    labs: Vec<Census>,
}

/// One lab after the other, or two side by side.
impl Show for Found {
    fn text(&self, style: Style) -> String {
        let all: Vec<(&Census, &Network)> =
            self.labs.iter().flat_map(|lab| lab.networks.iter().map(move |network| (lab, network))).collect();
        if let [one, other] = all.as_slice()
            && self.labs.len() == 2
            && let Some(table) = beside([*one, *other], style)
        {
            return table + &all.iter().map(|(lab, network)| below(lab, network, style)).collect::<String>();
        }
        let blocks: Vec<String> = self.labs.iter().map(|lab| whole(lab, style)).collect();
        blocks.join("\n")
    }
}

/// A lab's networks, one after the other.
fn whole(lab: &Census, style: Style) -> String {
    if lab.networks.is_empty() {
        return lines(&[t!(style.lang, "{lab} has no network between hosts.", lab = lab.lab)]);
    }
    let blocks: Vec<String> = lab.networks.iter().map(|network| block(lab, network, style)).collect();
    blocks.join("\n")
}

fn block(lab: &Census, network: &Network, style: Style) -> String {
    let title = capture::network(style.lang, lab, network);
    let title = title.iter().enumerate().flat_map(|(at, line)| {
        let bold = move |line: String| if at == 0 { style.bold(&line) } else { line };
        broken("", "  ", line).into_iter().map(bold)
    });
    let mut text = lines(&title.collect::<Vec<_>>());
    if !network.sources.is_empty() {
        text += "\n";
        text += &sources(lab, network, style);
        text += "\n";
    }
    let wrapped = |sentences: &[String]| {
        let each = sentences.iter().flat_map(|sentence| broken("", "  ", sentence));
        lines(&each.collect::<Vec<_>>())
    };
    text += &wrapped(&capture::reasons(style.lang, lab, network));
    if !network.table.is_empty() {
        text += "\n";
        text += &style.bold(match network.kind {
            Kind::Wire => w!(style.lang, "A switch in the place of the wire would hold"),
            Kind::Switch => w!(style.lang, "The forwarding table of the switch"),
        });
        text += "\n";
        text += &forwarding(lab, network, style);
    }
    text += "\n";
    text + &wrapped(&capture::lesson(style.lang, lab, network))
}

fn owners(owners: &[Interface], lab: &Census, style: Style) -> String {
    if owners.is_empty() {
        return w!(style.lang, "?").to_owned();
    }
    owners.iter().map(|owner| lab.names.interface(owner)).collect::<Vec<_>>().join(", ")
}

fn sources(lab: &Census, network: &Network, style: Style) -> String {
    let headings = words!(style.lang, "MAC", "OWNER", "FROM", "FRAMES", "TO ALL", "WHY");
    let mut table = Table::new(style, &headings).right(&[3, 4]);
    for source in network.sources.iter().take(ROWS) {
        table.row([
            source.mac.as_str(),
            &owners(&source.owners, lab, style),
            &lab.names.node(&source.side.node),
            &source.frames.to_string(),
            &source.broadcasts.to_string(),
            capture::reason(style.lang, source.reason),
        ]);
    }
    table.print(0) + &rest(network.sources.len(), style)
}

fn forwarding(lab: &Census, network: &Network, style: Style) -> String {
    let switch = network.kind == Kind::Switch;
    let mut headings = words!(style.lang, "PORT", "MAC", "OWNER").to_vec();
    headings.extend(switch.then_some(w!(style.lang, "AGE")));
    let mut table = Table::new(style, &headings);
    for entry in network.table.iter().take(ROWS) {
        let mut row = vec![entry.port.clone(), entry.mac.clone(), owners(&entry.owners, lab, style)];
        let fixed = || w!(style.lang, "static").to_owned();
        row.extend(switch.then(|| entry.age.map_or_else(fixed, |age| format!("{age:.1} s"))));
        table.row(row);
    }
    table.print(0) + &rest(network.table.len(), style)
}

/// That there are more rows.
fn rest(rows: usize, style: Style) -> String {
    if rows > ROWS { lines(&[capture::more(style.lang, rows - ROWS)]) } else { String::new() }
}

/// Two networks side by side; none where they are too wide for it.
fn beside(columns: [(&Census, &Network); 2], style: Style) -> Option<String> {
    let mut rows: Vec<(String, [Vec<String>; 2])> = Vec::new();
    let mut row = |title: String, cells: &dyn Fn(&Census, &Network) -> Vec<String>| {
        rows.push((title, columns.map(|(lab, network)| cells(lab, network))));
    };
    row(String::new(), &|lab, _| vec![lab.lab.clone()]);
    row(w!(style.lang, "network").to_owned(), &|_, network| vec![network.network.clone()]);
    row(w!(style.lang, "pings answered").to_owned(), &|lab, _| {
        lab.pings.iter().map(|pings| format!("{} / {}", pings.answered, pings.pairs)).collect()
    });
    row("MACs".to_owned(), &|_, network| vec![network.addresses().to_string()]);
    row(w!(style.lang, "new container").to_owned(), &|_, network| vec![growth(network, style).to_owned()]);
    let mut hosts: Vec<String> = Vec::new();
    for (lab, network) in columns {
        for end in &network.ends {
            let host = lab.names.node(&end.node);
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    for host in &hosts {
        row(format!("{} {host}", w!(style.lang, ["row"] "from")), &|lab, network| from(host, lab, network, style));
    }
    let title = rows.iter().map(|(title, _)| title.chars().count()).max()? + 2;
    let first = rows.iter().flat_map(|(_, [cells, _])| cells).map(|cell| cell.chars().count()).max()? + 2;
    let second = rows.iter().flat_map(|(_, [_, cells])| cells).map(|cell| cell.chars().count()).max()?;
    if title + first + second > WIDTH {
        return None;
    }
    let mut output = Vec::new();
    for (number, (name, [left, right])) in rows.iter().enumerate() {
        for at in 0..left.len().max(right.len()).max(1) {
            let cell = |cells: &[String]| escape(cells.get(at).map_or("", String::as_str)).into_owned();
            let name = if at == 0 { name.as_str() } else { "" };
            let line = format!("{name:title$}{:first$}{}", cell(left), cell(right)).trim_end().to_owned();
            output.push(if number == 0 { style.bold(&line) } else { line });
        }
    }
    Some(lines(&output))
}

/// What one more container adds.
fn growth(network: &Network, style: Style) -> &'static str {
    let how = |wanted: Reason| network.hosts.iter().any(|part| part.how == wanted);
    match (how(Reason::Bridged), how(Reason::Routed)) {
        (true, false) => "+1 MAC",
        (false, true) => "+0 MACs",
        (true, true) => w!(style.lang, "+1 MAC or +0"),
        (false, false) => "-",
    }
}

/// The addresses that come from a host.
fn from(host: &str, lab: &Census, network: &Network, style: Style) -> Vec<String> {
    let its: Vec<&Source> = network.sources.iter().filter(|source| lab.names.node(&source.side.node) == host).collect();
    let mut cells: Vec<String> =
        its.iter().take(EACH).map(|source| format!("{} {}", source.mac, owners(&source.owners, lab, style))).collect();
    if its.len() > EACH {
        cells.push(capture::more(style.lang, its.len() - EACH));
    }
    cells
}

/// Under the table: why, and what follows, for one of the two.
fn below(lab: &Census, network: &Network, style: Style) -> String {
    let mut output = vec![String::new(), style.bold(&escape(&lab.lab))];
    for sentence in capture::reasons(style.lang, lab, network).iter().chain(&capture::lesson(style.lang, lab, network)) {
        output.extend(broken("  ", "    ", sentence));
    }
    lines(&output)
}
