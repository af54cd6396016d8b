//! `nslab trace`

use std::net::IpAddr;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::target::{Families, Source, duration, payload, port, time_to_live};
use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Usage};
use crate::probe::ping::stations::{Stations, goal};
use crate::probe::trace::{Order, trace};
use crate::probe::view::View;
use crate::render::escape::escape;
use crate::render::lang::{t, w};
use crate::render::sentences::{causes, packets};
use crate::render::table::{WIDTH, broken};
use crate::render::{Show, Style};
use crate::report::probe::Transport;
use crate::report::trace::{Action, Cause, Difference, Direction, Frame, Journey, Known, Note, Outcome, Trace as Found, Visit};
use crate::report::wire::Station;

/// What a loopback interface puts into its frames.
const NOWHERE: &str = "00:00:00:00:00:00";

/// Show the path of one packet and of its reply, and where and why it dies
///
/// The way is predicted from the tables of all nodes and watched on every segment at once; where the two differ, it says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab trace a1 b1\n  sudo nslab trace a1 8.8.8.8\n  sudo nslab trace a1 b1 --size 1472\n  sudo nslab trace a1 b1 --tcp 80"
)]
pub struct Trace {
    /// Who sends it.
    #[arg(help = "Who sends it: [LAB/][HOST/]NODE", value_name = "A", add = ArgValueCompleter::new(completions::nodes))]
    from: String,
    /// Whom it is for: a node, one of its interfaces NODE.INTERFACE, or an address
    #[arg(value_name = "B", add = ArgValueCompleter::new(completions::nodes))]
    to: String,
    /// Instead of an echo request, open a connection to this port and close it at once
    #[arg(long, value_name = "PORT", value_parser = port, conflicts_with_all = ["udp", "size"])]
    tcp: Option<u16>,
    /// Instead of an echo request, send one datagram to this port
    #[arg(long, value_name = "PORT", value_parser = port)]
    udp: Option<u16>,
    /// Bytes of payload; the packet may not be cut on its way
    #[arg(short, long, value_name = "BYTES", default_value_t = 56, value_parser = payload)]
    size: u16,
    /// The time to live that it begins with; the node's own, mostly 64, where nothing is said
    #[arg(short, long, value_name = "N", value_parser = time_to_live)]
    ttl: Option<u8>,
    /// How long to wait for an answer: 500ms, 5s; by itself 3 s where nothing tells that none comes
    #[arg(short = 'W', long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    families: Families,
}

impl Trace {
    fn transport(&self) -> Transport {
        match (self.tcp, self.udp) {
            (Some(port), _) => Transport::Tcp { port },
            (_, Some(port)) => Transport::Udp { port },
            _ => Transport::Icmp,
        }
    }
}

impl Run for Trace {
    type Out = Found;
    const PLACE: Place = Place::Privileged;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let (subject, target) = target::looked_at(&self.from, context)?;
        let entry = &subject.entry;
        let mut view = View::look(&subject)?;
        let stations = Stations::from_view(&view, entry);
        let from = stations.get(&target.node)?;
        let source = self.source.of(from)?;
        let goal = goal(&self.to, self.families.from(source)?, from, &stations, entry)?;
        check(goal.address, &view)?;
        let order = Order {
            from: &target.node,
            to: goal.address,
            scope: goal.scope,
            transport: self.transport(),
            source,
            payload: self.size,
            ttl: self.ttl,
            wait: self.wait,
        };
        trace(&mut view, order, stations.names.clone())
    }
}

/// That the address can be that of one node: neither 0.0.0.0, nor multicast, nor the broadcast address of a network here.
fn check(address: IpAddr, view: &View) -> Result<()> {
    let nets = || view.places.iter().flat_map(|place| &place.node.links).flat_map(|link| &link.addresses);
    let broadcast = match address {
        // Whoever has the broadcast address of a subnet is told so.
        IpAddr::V4(_) if !view.owners_of_address(address).is_empty() => false,
        IpAddr::V4(v4) => v4.is_broadcast() || nets().any(|net| net.prefix_len() < 31 && net.broadcast() == address),
        IpAddr::V6(_) => false,
    };
    if broadcast || address.is_unspecified() || address.is_multicast() {
        return Err(Error::Usage(Usage::NotOneNode(address.to_string())));
    }
    Ok(())
}

/// Numbered hops, and between them the frames.
impl Show for Found {
    fn text(&self, style: Style) -> String {
        let mut page = Page::default();
        page.wrap("", "", &packets::title(style.lang, self));
        page.blank();
        page.heading(&packets::direction_heading(style.lang, self, Direction::Request), style);
        request(&mut page, self, style);
        if let Some(reply) = self.reply.as_ref().filter(|reply| !reply.visits.is_empty()) {
            page.blank();
            page.heading(&packets::direction_heading(style.lang, self, Direction::Reply), style);
            back(&mut page, self, reply, style);
        }
        page.blank();
        verdict(&mut page, self, style);
        page.text
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.death().is_some())
    }
}

/// Every node with its number, under it the frame that it sends.
fn request(page: &mut Page, trace: &Found, style: Style) {
    let journey = &trace.request;
    let width = names_width(trace, journey);
    for (at, visit) in journey.visits.iter().enumerate() {
        let first = format!("{:2}  {:width$}  ", at + 1, trace.word(&visit.node));
        let below = format!("    {:width$}  ", "|");
        page.wrap(&first, &below, &sentence(visit, Direction::Request, style));
        if let Some(resolution) = &visit.resolution {
            page.wrap("    | ", "    |   ", &packets::resolution(style.lang, trace, resolution));
        }
        if let Some(frame) = &visit.frame {
            segment(page, trace, frame, style);
        }
    }
}

fn segment(page: &mut Page, trace: &Found, frame: &Frame, style: Style) {
    let (from, to) = (station(trace, &frame.source), station(trace, &frame.destination));
    // Within a node there are no cables.
    if frame.source.mac == NOWHERE {
    } else if from.len() + to.len() + 10 + 4 <= WIDTH {
        page.line(&format!("    | MAC {from} -> {to}"));
    } else {
        page.line(&format!("    | MAC {from}"));
        page.line(&format!("    |  -> {to}"));
    }
    let times = frame.seen.filter(|&times| times > 1);
    let times = times.map(|times| format!(", {}", t!(style.lang, "seen {times} times", times))).unwrap_or_default();
    page.wrap("    | IP  ", "    |     ", &format!("{}, TTL {}{times}", addresses(frame), frame.ttl));
}

fn addresses(frame: &Frame) -> String {
    frame.from.map_or_else(|| frame.to.to_string(), |from| format!("{from} -> {}", frame.to))
}

/// The reply, one line for each node.
fn back(page: &mut Page, trace: &Found, journey: &Journey, style: Style) {
    let width = names_width(trace, journey);
    for (at, visit) in journey.visits.iter().enumerate() {
        let first = format!("{:2}  {:width$}  ", at + 1, trace.word(&visit.node));
        let below = " ".repeat(first.chars().count());
        page.wrap(&first, &below, &sentence(visit, Direction::Reply, style));
        // What translates addresses changes them on the way.
        let as_before = |frame: &&Frame| frame.from == journey.source && frame.to == journey.destination;
        if let Some(frame) = visit.frame.as_ref().filter(|frame| !as_before(frame)) {
            page.wrap(&below, &below, &format!("IP {}", addresses(frame)));
        }
        if let Some(asked) = visit.resolution.as_ref().filter(|asked| asked.answer.is_none()) {
            page.wrap(&below, &below, &packets::resolution(style.lang, trace, asked));
        }
    }
}

/// What a node does, and how that is known.
fn sentence(visit: &Visit, direction: Direction, style: Style) -> String {
    // Where it was seen to stop, the verdict says what that means.
    let stops = visit.known == Known::Observed && visit.frame.is_none() && visit.deed != Action::Receives;
    let known = Some(visit.known).filter(|_| !stops).and_then(|known| packets::known(style.lang, known));
    let known = known.map(|known| format!(" {known}")).unwrap_or_default();
    format!("{}{known}", packets::action(style.lang, visit, direction))
}

fn names_width(trace: &Found, journey: &Journey) -> usize {
    journey.visits.iter().map(|visit| trace.word(&visit.node).chars().count()).max().unwrap_or(0)
}

fn station(trace: &Found, station: &Station) -> String {
    match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    }
}

fn verdict(page: &mut Page, trace: &Found, style: Style) {
    trace.messages.iter().for_each(|message| page.wrap("", "  ", &packets::message(style.lang, trace, message)));
    // A cause that is certain explains by itself why the packet goes no further than the tables say.
    let explained = |difference: &&Difference| {
        let stops = matches!(difference, Difference::Way { observed: None, .. });
        !(stops && trace.death().is_some_and(|death| death.certain))
    };
    let differences = trace.differences.iter().filter(explained);
    differences.for_each(|difference| page.wrap("", "  ", &packets::difference(style.lang, trace, difference)));
    match &trace.outcome {
        Outcome::Answered { milliseconds } => page.strong(&packets::answered(style.lang, trace, *milliseconds), style),
        Outcome::Died(death) => {
            page.strong(&packets::died(style.lang, trace, death), style);
            let known = !matches!(death.cause, Cause::Unknown { .. } | Cause::Silent { .. });
            let word = if death.certain { w!(style.lang, "Cause:") } else { w!(style.lang, "Perhaps:") };
            let because = if known { format!("  {word} ") } else { "  ".to_owned() };
            page.wrap(&because, "    ", &causes::cause(style.lang, trace, &death.cause));
            for line in packets::details(trace, &death.cause) {
                page.line(&format!("    {line}"));
            }
            cures(page, &death.cure, style);
            advise(page, trace, &death.cause, style);
            if let Some(ping) = packets::ping_beside(style.lang, trace) {
                page.wrap("  ", "    ", &ping);
            }
        }
    }
    for note in &trace.notes {
        odd(page, trace, note, style);
    }
}

fn odd(page: &mut Page, trace: &Found, note: &Note, style: Style) {
    page.wrap("", "  ", &t!(style.lang, "Note: {cause}", cause = causes::cause(style.lang, trace, &note.cause)));
    cures(page, &note.cure, style);
    advise(page, trace, &note.cause, style);
}

fn advise(page: &mut Page, trace: &Found, cause: &Cause, style: Style) {
    if let Some(advice) = causes::advice(style.lang, trace, cause) {
        page.wrap("  ", "    ", &advice);
    }
}

fn cures(page: &mut Page, cures: &[String], style: Style) {
    let word = packets::cure(style.lang);
    for (at, cure) in cures.iter().enumerate() {
        let word = if at == 0 { word.to_owned() } else { " ".repeat(word.chars().count()) };
        page.line(&format!("  {word} {cure}"));
    }
}

/// Lines of text, each escaped on its way in.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += escape(line).trim_end();
        self.text += "\n";
    }

    fn blank(&mut self) {
        self.text += "\n";
    }

    fn heading(&mut self, line: &str, style: Style) {
        self.text += &style.bold(&escape(line));
        self.text += "\n";
    }

    fn strong(&mut self, sentence: &str, style: Style) {
        for line in broken("", "", sentence) {
            self.heading(&line, style);
        }
    }

    fn wrap(&mut self, first: &str, below: &str, sentence: &str) {
        for line in broken(first, below, sentence) {
            self.line(&line);
        }
    }
}
