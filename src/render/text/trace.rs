//! The way of a packet as text: numbered hops, and between them the frames.

use crate::render::Style;
use crate::render::escape::escape;
use crate::render::sentences::{causes, trace as say};
use crate::report::trace::{Cause, Deed, Difference, Frame, Journey, Known, Leg, Note, Outcome, Trace, Visit};
use crate::report::wire::Station;

/// Columns that lines are broken at; commands are left whole.
const WIDTH: usize = 80;
/// What a loopback interface puts into its frames.
const NOWHERE: &str = "00:00:00:00:00:00";

pub(super) fn trace(trace: &Trace, style: Style) -> String {
    let mut page = Page::default();
    page.wrap("", "", &say::title(style.lang, trace));
    page.blank();
    page.heading(&say::leg(style.lang, trace, Leg::Request), style);
    request(&mut page, trace, style);
    if let Some(reply) = trace.reply.as_ref().filter(|reply| !reply.visits.is_empty()) {
        page.blank();
        page.heading(&say::leg(style.lang, trace, Leg::Reply), style);
        back(&mut page, trace, reply, style);
    }
    page.blank();
    verdict(&mut page, trace, style);
    page.text
}

/// Every node with its number, under it the frame that it sends.
fn request(page: &mut Page, trace: &Trace, style: Style) {
    let journey = &trace.request;
    let width = names_width(trace, journey);
    for (at, visit) in journey.visits.iter().enumerate() {
        let first = format!("{:2}  {:width$}  ", at + 1, trace.word(&visit.node));
        let below = format!("    {:width$}  ", "|");
        page.wrap(&first, &below, &sentence(visit, Leg::Request, style));
        if let Some(resolution) = &visit.resolution {
            page.wrap("    | ", "    |   ", &say::resolution(style.lang, trace, resolution));
        }
        if let Some(frame) = &visit.frame {
            segment(page, trace, frame, style);
        }
    }
}

fn segment(page: &mut Page, trace: &Trace, frame: &Frame, style: Style) {
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
    let times = times.map(|times| format!(", {}", say::seen(style.lang, times))).unwrap_or_default();
    page.wrap("    | IP  ", "    |     ", &format!("{}, TTL {}{times}", addresses(frame), frame.ttl));
}

fn addresses(frame: &Frame) -> String {
    frame.from.map_or_else(|| frame.to.to_string(), |from| format!("{from} -> {}", frame.to))
}

/// The reply, one line for each node.
fn back(page: &mut Page, trace: &Trace, journey: &Journey, style: Style) {
    let width = names_width(trace, journey);
    for (at, visit) in journey.visits.iter().enumerate() {
        let first = format!("{:2}  {:width$}  ", at + 1, trace.word(&visit.node));
        let below = " ".repeat(first.chars().count());
        page.wrap(&first, &below, &sentence(visit, Leg::Reply, style));
        // What translates addresses changes them on the way.
        let as_before = |frame: &&Frame| frame.from == journey.source && frame.to == journey.destination;
        if let Some(frame) = visit.frame.as_ref().filter(|frame| !as_before(frame)) {
            page.wrap(&below, &below, &format!("IP {}", addresses(frame)));
        }
        if let Some(asked) = visit.resolution.as_ref().filter(|asked| asked.answer.is_none()) {
            page.wrap(&below, &below, &say::resolution(style.lang, trace, asked));
        }
    }
}

/// What a node does, and how that is known.
fn sentence(visit: &Visit, leg: Leg, style: Style) -> String {
    // Where it was seen to stop, the verdict says what that means.
    let stops = visit.known == Known::Observed && visit.frame.is_none() && visit.deed != Deed::Receives;
    let known = Some(visit.known).filter(|_| !stops).and_then(|known| say::known(style.lang, known));
    let known = known.map(|known| format!(" {known}")).unwrap_or_default();
    format!("{}{known}", say::deed(style.lang, visit, leg))
}

fn names_width(trace: &Trace, journey: &Journey) -> usize {
    journey.visits.iter().map(|visit| trace.word(&visit.node).chars().count()).max().unwrap_or(0)
}

fn station(trace: &Trace, station: &Station) -> String {
    match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    }
}

fn verdict(page: &mut Page, trace: &Trace, style: Style) {
    trace.messages.iter().for_each(|message| page.wrap("", "  ", &say::message(style.lang, trace, message)));
    // A cause that is certain explains by itself why the packet goes no further than the tables say.
    let explained = |difference: &&Difference| {
        let stops = matches!(difference, Difference::Way { observed: None, .. });
        !(stops && trace.death().is_some_and(|death| death.certain))
    };
    let differences = trace.differences.iter().filter(explained);
    differences.for_each(|difference| page.wrap("", "  ", &say::difference(style.lang, trace, difference)));
    match &trace.outcome {
        Outcome::Answered { milliseconds } => page.strong(&say::answered(style.lang, trace, *milliseconds), style),
        Outcome::Died(death) => {
            page.strong(&say::died(style.lang, trace, death), style);
            let known = !matches!(death.cause, Cause::Unknown { .. });
            let because = if known { format!("  {} ", say::because(style.lang, death.certain)) } else { "  ".to_owned() };
            page.wrap(&because, "    ", &causes::cause(style.lang, trace, &death.cause));
            for line in say::details(trace, &death.cause) {
                page.line(&format!("    {line}"));
            }
            cures(page, &death.cure, style);
            advise(page, trace, &death.cause, style);
        }
    }
    for note in &trace.notes {
        odd(page, trace, note, style);
    }
}

fn odd(page: &mut Page, trace: &Trace, note: &Note, style: Style) {
    page.wrap("", "  ", &say::note(style.lang, trace, note));
    cures(page, &note.cure, style);
    advise(page, trace, &note.cause, style);
}

fn advise(page: &mut Page, trace: &Trace, cause: &Cause, style: Style) {
    if let Some(advice) = causes::advice(style.lang, trace, cause) {
        page.wrap("  ", "    ", &advice);
    }
}

fn cures(page: &mut Page, cures: &[String], style: Style) {
    let word = say::cure(style.lang);
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

/// A sentence in lines of at most 80 columns, each with its beginning; at a no-break space no line ends.
pub(super) fn broken(first: &str, below: &str, sentence: &str) -> Vec<String> {
    let (mut lines, mut line, mut begun) = (Vec::new(), first.to_owned(), false);
    for word in sentence.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, below.to_owned()));
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    lines.push(line);
    lines.iter().map(|line| line.replace('\u{a0}', " ")).collect()
}
