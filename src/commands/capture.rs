//! `nslab capture`

mod outlets;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use outlets::{Teller, Writer};

use super::run::{Context, Place, Run};
use super::{completions, target};
use crate::error::{Error, Result, Usage, WrongValue};
use crate::kernel::sys;
use crate::lab::{self, Entry, Subject, resolve};
use crate::probe::capture::Owners;
use crate::probe::capture::points::{ALL, Lab, Point, split};
use crate::probe::capture::{self, Bounds, Ended};
use crate::probe::filter::{self, Filter};
use crate::probe::pcapng::Sink;
use crate::probe::view::View;
use crate::render::sentences;
use crate::render::{Format, Printed, json_line};
use crate::report::capture::{Direction, Dropped, End, Event, Layout};
use crate::report::notice::Notice;
use crate::report::wire::Names;

/// Watch frames at any points of a lab, one line each, or write them for Wireshark
///
/// A POINT is a node (all its interfaces but the loopback), NODE.INTERFACE, a network between hosts, or `all` (every cable of
/// the lab once). The filter begins at its first word, or after `--`. Points are looked up at the start: an interface that is
/// made later is not listened at.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "nslab capture [OPTIONS] POINT... [FILTER...]\n       nslab capture [OPTIONS] POINT... -- FILTER...",
    after_help = "Filters: icmp, icmp6, arp, rarp, ip, ip6, tcp, udp, host A, src A, dst A, net P, port N,
ether host M, ether broadcast; and, or, not, ( ). A and M are addresses or nodes. They mean
what they mean to tcpdump, and the kernel applies them.

Examples:
  sudo nslab capture internal icmp
  sudo nslab capture a1 host-b.br0 not arp and host b1 -c 10
  sudo nslab capture all -w lab.pcapng --for 10s
  sudo nslab capture internal -w - | wireshark -k -i -"
)]
pub struct Capture {
    /// Where to listen, then what passes
    #[arg(value_name = "POINT", required = true, add = ArgValueCompleter::new(completions::points))]
    words: Vec<String>,
    /// What passes
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
    /// Write pcapng to a file, or (-) to standard output, instead of lines
    #[arg(short, long, value_name = "FILE|-")]
    write: Option<PathBuf>,
    /// End after so long: 10s, 500ms, 2m; a number alone counts seconds
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// End after so many frames
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// `10s`, `500ms`, `2m`, `1h`, or seconds; a year at most.
fn time(word: &str) -> std::result::Result<Duration, WrongValue> {
    const LONGEST: f64 = 366.0 * 86_400.0;
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &word[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(WrongValue::Listening),
    };
    let number: f64 = digits.parse().map_err(|_| WrongValue::Listening)?;
    let seconds = number * unit;
    if seconds > 0.0 && seconds <= LONGEST { Ok(Duration::from_secs_f64(seconds)) } else { Err(WrongValue::Span) }
}

impl Run for Capture {
    type Out = Printed;

    fn place(&self) -> Place {
        Place::Privileged
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let labs = lab::names();
        let (typed, filter) = self.parts(&labs)?;
        let entry = one_lab(typed, &labs, context)?;
        let subject = Subject::ours(entry.clone());
        let journal = subject.journal()?;
        let wire = |word: &str| journal.topology.networks.iter().any(|network| network.name.as_str() == word);
        if let Some(word) = filter.split(' ').next().filter(|word| self.filter.is_empty() && wire(word)) {
            return Err(Error::Usage(Usage::PointOrFilter(word.to_owned(), format!("{}/{word}", entry.lab))));
        }
        let view = View::look(&subject)?;
        let names = Names::new(resolve::shortest(&entry).into_iter().map(|(node, word)| (node.to_string(), word)));
        let lab = Lab { entry: &entry, view: &view, topology: &journal.topology, names: &names };
        let points = lab.points(typed)?;
        let filter = Filter::parse(&filter, &filter::Lab { entry: &entry, view: &view })?;
        let program = filter.program()?;
        let bounds = Bounds { frames: self.count, time: self.time };
        // Until here Ctrl-C ends nslab as it ends anything.
        let sink = match &self.write {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Sink::standard_output()?),
            Some(path) => Some(Sink::file(path)?),
        };
        sys::note_signals();
        if let Some(sink) = sink {
            let mut writer = Writer { points: &points, filter: &filter, sink, blocks: Vec::new(), context };
            let ended = capture::capture(&points, &program, bounds, &mut writer)?;
            writer.finish(&ended)?;
            let file = self.write.as_ref().filter(|path| path.as_os_str() != "-");
            return Ok(told(&ended, &points, file.map(|path| path.display().to_string()), file.is_some(), context));
        }
        let layout = layout(&points, &view, names.clone(), context);
        let mut teller = Teller { points: &points, owners: Owners::of(&view), layout, lines: Vec::new(), context };
        let ended = capture::capture(&points, &program, bounds, &mut teller)?;
        Ok(told(&ended, &points, None, true, context))
    }
}

impl Capture {
    /// The words that name points, and the filter.
    fn parts(&self, labs: &[Entry]) -> Result<(&[String], String)> {
        let (points, filter) = if self.filter.is_empty() { split(&self.words) } else { (&self.words[..], &self.filter[..]) };
        // A word that could begin a filter and is a name, too.
        if let Some(word) = filter.first().filter(|_| self.filter.is_empty()) {
            let named = |entry: &&Entry| {
                entry.switches.iter().any(|name| *name == *word)
                    || resolve::nodes(entry).iter().any(|node| node.name().as_str() == word)
            };
            if let Some(entry) = labs.iter().find(named) {
                return Err(Error::Usage(Usage::PointOrFilter(word.clone(), format!("{}/{word}", entry.lab))));
            }
        }
        if points.is_empty() { Err(Error::Usage(Usage::NoPoint)) } else { Ok((points, filter.join(" "))) }
    }
}

/// The lab that all points are in.
fn one_lab(typed: &[String], labs: &[Entry], context: &mut Context) -> Result<Entry> {
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    for word in typed {
        let said = word.split_once('/').and_then(|(lab, _)| labs.iter().find(|entry| entry.lab == lab));
        match said {
            Some(entry) => drop(found.insert(entry.lab.to_string())),
            None => open.push(word),
        }
    }
    if found.is_empty() {
        // A node says which lab it means; a network or `all` means that of the nodes, or the last one.
        let nodes = open.iter().map(|word| resolve::parts(word).0).filter(|word| *word != ALL);
        let known = nodes.filter(|word| resolve::node(word, labs, target::wish().as_deref()).is_ok());
        let known: Vec<&str> = known.collect();
        for word in &known {
            found.insert(target::node(word, context)?.lab.to_string());
        }
        if known.is_empty() {
            return last(open.first().map_or("", |word| word.as_str()), labs, context);
        }
    }
    match found.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => resolve::find(one, labs).cloned(),
        several => Err(Error::Usage(Usage::PointsInSeveralLabs(several.to_vec()))),
    }
}

/// The lab of `NSLAB_LAB`, else the last one brought up, which is said where there are several.
fn last(word: &str, labs: &[Entry], context: &mut Context) -> Result<Entry> {
    if let Some(wish) = target::wish() {
        return resolve::find(&wish, labs).cloned();
    }
    let entry = resolve::last(labs).ok_or_else(target::none_up)?;
    if labs.len() > 1 {
        context.front.notice(&Notice::Assumed { lab: entry.lab.to_string(), exact: format!("{}/{word}", entry.lab) });
    }
    Ok(entry.clone())
}

/// How wide the columns of the lines are.
fn layout(points: &[Point], view: &View, names: Names, context: &Context) -> Layout {
    let ways = [Direction::In, Direction::Out]
        .map(|way| sentences::capture::direction(context.style.lang, way).chars().count())
        .into_iter()
        .max()
        .unwrap_or(0);
    let place = |point: &Point| match &point.ends {
        Some((here, far)) => format!("{} {here} > {far}", point.name).chars().count(),
        None => point.name.chars().count() + 1 + ways,
    };
    let groups = [true, false].map(|everybody| sentences::capture::group(context.style.lang, everybody).to_owned()).into_iter();
    let nodes = view.places.iter().map(|place| names.node(&place.node.node));
    Layout {
        start: 0,
        place: points.iter().map(place).max().unwrap_or(0),
        name: nodes.chain(groups).map(|name| name.chars().count()).max().unwrap_or(0),
        names,
    }
}

/// Says how it ended; the exit code.
fn told(ended: &Ended, points: &[Point], file: Option<String>, result: bool, context: &mut Context) -> Printed {
    let lost = points.iter().zip(&ended.counts).filter(|(_, counts)| counts.dropped > 0);
    let end = End {
        frames: ended.frames,
        milliseconds: ended.span.1.saturating_sub(ended.span.0) / 1_000_000,
        dropped: lost.map(|(point, counts)| Dropped { point: point.name.clone(), frames: counts.dropped }).collect(),
    };
    if result && context.format == Some(Format::Json) {
        // Whoever reads may have gone.
        let _ = context.front.emit(&json_line(&Event::End(&end)));
    }
    context.front.notice(&Notice::Captured(end, file));
    // Ctrl-C is how a capture is ended that knows no other end.
    Printed::exit(
        ended.signal.filter(|signal| *signal != libc::SIGINT).map_or(0, |signal| u8::try_from(128 + signal).unwrap_or(255)),
    )
}
