//! `nslab ping`

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;

use super::target::{Families, Source, duration, payload, positive, time_to_live};
use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Takes, Usage};
use crate::kernel::sockets::{self, Manner};
use crate::lab::Subject;
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::ping::all;
use crate::probe::ping::stations::{Station, Stations, goal};
use crate::probe::ping::{self, Came, Order};
use crate::render::escape::escape;
use crate::render::sentences::packets::{self, Failing, Mark, Way};
use crate::render::table::WIDTH;
use crate::render::{Show, Style, lines, shapes};
use crate::report::probe::{self as reports, Attempt, Event, Family, Matrix, Pair, Party, Recorded, Reply, Start, Times};
use crate::report::wire;

/// So many pairs are named; the rest is counted.
const NAMED: usize = 12;

/// Ping a node or an address from a node, or every container from every other
///
/// The requests leave by a socket of nslab's own in the first node: no ping program is needed.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "nslab ping [OPTIONS] A B\n       nslab ping --all [LAB]",
    after_help = "Examples:\n  sudo nslab ping a1 b1\n  sudo nslab ping a1 8.8.8.8 -c 1\n  sudo nslab ping a1 b1 -R\n  sudo nslab ping --all"
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Ping {
    /// Who pings, or with `--all` the lab.
    #[arg(help = "Who pings: [LAB/][HOST/]NODE; with --all the lab", value_name = "A", required_unless_present = "all", add = ArgValueCompleter::new(completions::labs_and_nodes))]
    from: Option<String>,
    /// Whom: a node, one of its interfaces NODE.INTERFACE, or an address
    #[arg(value_name = "B", required_unless_present = "all", conflicts_with = "all", add = ArgValueCompleter::new(completions::nodes))]
    to: Option<String>,
    /// Ping between every ordered pair of containers and PCs, by each family that both have
    #[arg(long, conflicts_with_all = ["record_route", "count", "size", "ttl", "df", "interval", "patience", "source", "ipv4", "ipv6"])]
    all: bool,
    /// With --all: also the other hosts that have addresses
    #[arg(long, requires = "all")]
    hosts: bool,
    /// Record the route: each node writes the address by which it sends the packet on (IPv4)
    #[arg(short = 'R', long)]
    record_route: bool,
    /// How many requests
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = positive)]
    count: u64,
    /// Bytes of payload in each
    #[arg(short, long, value_name = "BYTES", default_value_t = 56, value_parser = payload)]
    size: u16,
    /// The time to live that they begin with; the node's own, mostly 64, where nothing is said
    #[arg(short, long, value_name = "N", value_parser = time_to_live)]
    ttl: Option<u8>,
    /// Forbid everybody to cut them: where one is larger than an MTU, a router says so
    #[arg(long)]
    df: bool,
    /// From one request to the next
    #[arg(short, long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    interval: Duration,
    /// How long to wait for the last answer
    #[arg(short = 'W', long = "wait", value_name = "TIME", value_parser = duration)]
    patience: Option<Duration>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    families: Families,
}

shapes! {
    /// One node that pinged one address, or every pair of containers.
    pub enum Pinged { One(reports::Ping), All(Matrix) }
}

impl Run for Ping {
    type Out = Pinged;
    const PLACE: Place = Place::Privileged;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        if self.all { self.every(context) } else { self.single(context) }
    }
}

impl Ping {
    fn single(&self, context: &mut Context) -> Result<Pinged> {
        let (subject, target) = target::looked_at(self.from.as_deref().unwrap_or_default(), context)?;
        let entry = &subject.entry;
        let stations = Stations::look(&subject)?;
        let from = stations.get(&target.node)?;
        let own = self.source.of(from)?;
        let goal = goal(self.to.as_deref().unwrap_or_default(), self.families.from(own)?, from, &stations, entry)?;
        if self.record_route && goal.address.is_ipv6() {
            return Err(Error::Usage(Usage::Option("-R", Takes::RecordRoute)));
        }
        let chosen = sockets::sources(&from.pin, &from.id.to_string(), &[goal.socket_address()])?.remove(0).ok();
        let source = own.or(chosen);
        let start = Start {
            lab: target.lab.to_string(),
            from: from.id.to_string(),
            source,
            to: stations.party(goal.address),
            others: goal.others.clone(),
            size: usize::from(self.size),
            record_route: self.record_route,
            names: stations.names.clone(),
        };
        let order = Order {
            pin: from.pin.clone(),
            node: from.id.to_string(),
            to: goal.address,
            scope: goal.scope,
            count: self.count,
            interval: self.interval,
            patience: self.patience,
            size: usize::from(self.size),
            manner: Manner { ttl: self.ttl, record_route: self.record_route, whole: self.df, source: own },
        };
        report(&order, start, &stations, context).map(Pinged::One)
    }

    fn every(&self, context: &mut Context) -> Result<Pinged> {
        let begin = Instant::now();
        let entry = target::current(self.from.as_deref(), context)?;
        let stations = Stations::look(&Subject::new(entry.clone()))?;
        let houses = |host: &NodeName| {
            let inside = format!("{host}.");
            let running = stations.all.iter().any(|other| matches!(&other.id, NodeId::Container(of, _) if of == host));
            running || stations.stopped().iter().any(|node| node.starts_with(&inside))
        };
        let is_member = |station: &&Station| match &station.id {
            NodeId::Container(..) => true,
            NodeId::Host(host) => {
                let families = [Family::Ipv4, Family::Ipv6].into_iter();
                let wired: BTreeSet<&str> = families.flat_map(|family| station.reachable(family)).map(|(name, _)| name).collect();
                // A PC is a host without containers that is in one network alone.
                !wired.is_empty() && (self.hosts || wired.len() == 1 && !houses(host))
            }
            NodeId::Switch(_) => false,
        };
        let members: Vec<&Station> = stations.all.iter().filter(is_member).collect();
        let outcome = all::all(&stations, &members, &|_, _| true, &mut |step| context.front.progress(step))?;
        Ok(Pinged::All(Matrix {
            lab: entry.lab.to_string(),
            nodes: outcome.nodes.iter().map(ToString::to_string).collect(),
            stopped: stations.stopped().to_vec(),
            pairs: outcome.pairs,
            answered: outcome.pairs - outcome.failed.len(),
            pings: outcome.pings,
            failed: outcome.failed,
            rounds: outcome.rounds,
            limit: outcome.limit,
            milliseconds: begin.elapsed().as_secs_f64() * 1000.0,
            names: stations.names.clone(),
        }))
    }
}

impl Show for reports::Ping {
    fn text(&self, style: Style) -> String {
        let routes =
            self.events.iter().filter_map(|event| if let Event::Reply(reply) = event { reply.route.as_ref() } else { None });
        let full = routes.clone().any(|route| route.full);
        let mut output = vec![String::new()];
        output.extend(packets::end(style.lang, self));
        if routes.count() > 0 {
            output.extend(packets::recorded_note(style.lang, full));
        }
        lines(&output)
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.received == 0)
    }
}

impl Show for Matrix {
    fn text(&self, style: Style) -> String {
        let mut output =
            square(self, style).unwrap_or_else(|| groups(self).iter().map(|group| packets::failing(style.lang, group)).collect());
        output.extend(packets::matrix_end(style.lang, self));
        lines(&output)
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.failed.is_empty())
    }
}

/// Pings, prints what comes back as it comes, and sums up.
fn report(order: &Order, start: Start, stations: &Stations, context: &mut Context) -> Result<reports::Ping> {
    let mut failure = None;
    let mut events = Vec::new();
    let mut before: Option<Recorded> = None;
    let mut print = |text: &dyn Fn(Style) -> String| {
        context.print_part(text).unwrap_or_else(|error| {
            failure = Some(error);
            false
        })
    };
    let mut sent = 0;
    if print(&|style| lines(&[packets::start(style.lang, &start)])) {
        sent = ping::ping(order, &mut |came| {
            let event = event(came, order.to, stations);
            let go_on = print(&|style| event_text(&start, &event, before.as_ref(), style));
            if let Event::Reply(Reply { route: Some(route), .. }) = &event {
                before = Some(route.clone());
            }
            events.push(event);
            go_on
        })?;
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let first = |event: &Event| match event {
        Event::Reply(reply) if !reply.duplicate => Some(reply.milliseconds),
        _ => None,
    };
    let answers: Vec<f64> = events.iter().filter_map(first).collect();
    let received = answers.len() as u64;
    Ok(reports::Ping { start, sent, received, times: times(&answers), events })
}

fn times(answers: &[f64]) -> Option<Times> {
    let count = u32::try_from(answers.len()).ok().filter(|count| *count > 0)?;
    Some(Times {
        min: answers.iter().copied().fold(f64::INFINITY, f64::min),
        avg: answers.iter().sum::<f64>() / f64::from(count),
        max: answers.iter().copied().fold(0.0, f64::max),
    })
}

fn event(came: Came, to: IpAddr, stations: &Stations) -> Event {
    match came {
        Came::Reply { sequence, from, ttl, bytes, after, duplicate, route } => Event::Reply(Reply {
            sequence,
            from: stations.party(from),
            bytes,
            ttl,
            milliseconds: after.as_secs_f64() * 1000.0,
            duplicate,
            route: route.map(|route| recorded(&route, to, stations)),
        }),
        Came::Error { sequence, from, fault } => {
            Event::Error { sequence, from: from.map(|address| stations.party(address)), fault }
        }
    }
}

/// The way there ends where the destination has written its address; it writes it once more as it answers.
fn recorded(route: &wire::Recorded, to: IpAddr, stations: &Stations) -> Recorded {
    let parties: Vec<Party> = route.addresses.iter().map(|address| stations.party((*address).into())).collect();
    let turn = parties.iter().position(|party| party.address == to).map_or(parties.len(), |at| at + 1);
    let (there, back) = parties.split_at(turn);
    Recorded { there: there.to_vec(), back: back.to_vec(), full: route.free == 0 }
}

/// What has come back, and the route that it recorded unless that is the same as before.
fn event_text(start: &Start, event: &Event, before: Option<&Recorded>, style: Style) -> String {
    let mut output = vec![packets::event(style.lang, start, event)];
    if let Event::Reply(reply) = event
        && let Some(route) = &reply.route
    {
        if before == Some(route) {
            output.push(format!("  {}", packets::recorded(style.lang, Way::AsBefore)));
        } else {
            let width = [Way::There, Way::Back]
                .map(|way| packets::recorded(style.lang, way).chars().count())
                .into_iter()
                .max()
                .unwrap_or(0)
                + 1;
            for (way, parties) in [(Way::There, &route.there), (Way::Back, &route.back)] {
                output.extend(parties.iter().enumerate().map(|(at, party)| {
                    let title = if at == 0 { packets::recorded(style.lang, way) } else { "" };
                    format!("  {title:width$}{}", address(party, start))
                }));
            }
        }
    }
    lines(&output)
}

fn address(party: &Party, start: &Start) -> String {
    let owner = party.owner.as_ref().map(|owner| escape(&start.names.interface(owner)).into_owned()).unwrap_or_default();
    format!("{:15} {owner}", party.address.to_string()).trim_end().to_owned()
}

fn mark(pair: Option<&Pair>) -> Mark {
    let Some(pair) = pair else { return Mark::Answered };
    let by = |family| pair.attempts.iter().any(|attempt| attempt.family == family && attempt.answered);
    match (pair.attempts.as_slice(), by(Family::Ipv4), by(Family::Ipv6)) {
        ([], ..) => Mark::NoAddress,
        (_, true, _) => Mark::Only4,
        (_, _, true) => Mark::Only6,
        _ => Mark::Failed,
    }
}

fn letter(mark: Mark) -> char {
    match mark {
        Mark::Answered => '.',
        Mark::Only4 => '4',
        Mark::Only6 => '6',
        Mark::Failed => 'X',
        Mark::NoAddress => '?',
    }
}

/// The matrix as a square; none where it is too wide.
fn square(matrix: &Matrix, style: Style) -> Option<Vec<String>> {
    if matrix.pairs == 0 {
        return None;
    }
    let names: Vec<String> = matrix.nodes.iter().map(|node| escape(&matrix.names.node(node)).into_owned()).collect();
    let label = names.iter().map(String::len).max().unwrap_or(0);
    if label + names.iter().map(|name| name.len() + 2).sum::<usize>() > WIDTH {
        return None;
    }
    let failed: HashMap<(&str, &str), &Pair> =
        matrix.failed.iter().map(|pair| ((pair.from.as_str(), pair.to.as_str()), pair)).collect();
    let mut seen = BTreeSet::new();
    let heading = names.join("  ");
    let mut output = vec![style.bold(&format!("{:label$}  {heading}", ""))];
    for (from, name) in matrix.nodes.iter().zip(&names) {
        let cells = matrix.nodes.iter().zip(&names).map(|(to, column)| {
            let width = column.len();
            let cell = if from == to {
                '-'
            } else {
                let mark = mark(failed.get(&(from.as_str(), to.as_str())).copied());
                seen.insert(mark);
                letter(mark)
            };
            format!("{cell:>width$}")
        });
        let cells: Vec<String> = cells.collect();
        output.push(format!("{name:label$}  {}", cells.join("  ")));
    }
    let seen: Vec<Mark> = seen.into_iter().collect();
    output.push(String::new());
    if seen != [Mark::Answered] && !seen.is_empty() {
        output.push(packets::marks(style.lang, &seen));
    }
    Some(output)
}

/// What failed, by nodes and by hosts where all of it did, else by pairs.
fn groups(matrix: &Matrix) -> Vec<Failing> {
    let count = matrix.nodes.len();
    let dead = |pair: &&Pair| pair.attempts.iter().all(|attempt: &Attempt| !attempt.answered);
    let mut with: HashMap<&str, usize> = HashMap::new();
    for pair in matrix.failed.iter().filter(dead) {
        *with.entry(&pair.from).or_default() += 1;
        *with.entry(&pair.to).or_default() += 1;
    }
    let cut_off: HashSet<&str> =
        matrix.nodes.iter().map(String::as_str).filter(|node| with.get(node) == Some(&(2 * (count - 1)))).collect();
    // Where nobody answers anybody, the nodes are not the matter.
    let cut_off = if cut_off.len() > NAMED { HashSet::new() } else { cut_off };
    let mut found: Vec<Failing> = matrix
        .nodes
        .iter()
        .filter(|node| cut_off.contains(node.as_str()))
        .map(|node| Failing::Node(matrix.names.node(node)))
        .collect();
    let rest: Vec<&Pair> =
        matrix.failed.iter().filter(|pair| ![&pair.from, &pair.to].iter().any(|node| cut_off.contains(node.as_str()))).collect();
    let host = |node: &str| node.split('.').next().unwrap_or_default().to_owned();
    let mut sizes: HashMap<String, usize> = HashMap::new();
    matrix
        .nodes
        .iter()
        .filter(|node| !cut_off.contains(node.as_str()))
        .for_each(|node| *sizes.entry(host(node)).or_default() += 1);
    let mut by_hosts: BTreeMap<(String, String), Vec<&Pair>> = BTreeMap::new();
    for pair in rest {
        by_hosts.entry((host(&pair.from), host(&pair.to))).or_default().push(pair);
    }
    let mut named = 0;
    for ((from, to), pairs) in by_hosts {
        let (here, there) = (sizes.get(&from).copied().unwrap_or(0), sizes.get(&to).copied().unwrap_or(0));
        let all = if from == to { here * (here - 1) } else { here * there };
        if pairs.len() == all && pairs.len() > 1 && pairs.iter().all(dead) {
            found.push(Failing::Hosts(from, to, all));
            continue;
        }
        for pair in pairs {
            if named < NAMED {
                let faults = pair.attempts.iter().filter_map(|attempt| attempt.fault).collect();
                found.push(Failing::Pair(matrix.names.node(&pair.from), matrix.names.node(&pair.to), mark(Some(pair)), faults));
            }
            named += 1;
        }
    }
    if named > NAMED {
        found.push(Failing::More(named - NAMED));
    }
    found
}
