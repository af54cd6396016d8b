//! `nslab capture`

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::target::positive;
use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Usage, WrongValue};
use crate::kernel::packet::Seen;
use crate::kernel::sys;
use crate::lab::{self, Entry, Subject, resolve};
use crate::name::Mac;
use crate::probe::capture::points::{ALL, Lab, Point, split};
use crate::probe::capture::{self, Bounds, Ended, Owners, Watcher};
use crate::probe::filter::Filter;
use crate::probe::pcapng::{self, Sink};
use crate::probe::view::View;
use crate::render::escape::escape;
use crate::render::lang::{Lang, w};
use crate::render::sentences;
use crate::render::{Format, Printed, Style, json_line};
use crate::report::lab::Notice;
use crate::report::wire::{Direction, Dropped, End, Line, Names, Station};

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
    #[arg(short, long, value_name = "N", value_parser = positive)]
    count: Option<u64>,
}

/// How long to listen; a year at most.
fn time(word: &str) -> std::result::Result<Duration, WrongValue> {
    const LONGEST: f64 = 366.0 * 86_400.0;
    let seconds = target::seconds(word).ok_or(WrongValue::Listening)?;
    if seconds > 0.0 && seconds <= LONGEST { Ok(Duration::from_secs_f64(seconds)) } else { Err(WrongValue::Span) }
}

impl Run for Capture {
    type Out = Printed;
    const PLACE: Place = Place::Privileged;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let labs = lab::names();
        let (typed, filter) = self.parts(&labs)?;
        let entry = one_lab(typed, &labs, context)?;
        let subject = Subject::new(entry.clone());
        let journal = subject.journal()?;
        let wire = |word: &str| journal.topology.networks.iter().any(|network| network.name.as_str() == word);
        if let Some(word) = filter.split(' ').next().filter(|word| self.filter.is_empty() && wire(word)) {
            return Err(Error::Usage(Usage::PointOrFilter(word.to_owned(), format!("{}/{word}", entry.lab))));
        }
        let view = View::look(&subject)?;
        let names = Names::new(resolve::shortest(&entry).into_iter().map(|(node, word)| (node.to_string(), word)));
        let lab = Lab { entry: &entry, view: &view, topology: &journal.topology, names: &names };
        let points = lab.points(typed)?;
        let filter = Filter::parse(&filter, &lab)?;
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
            return Ok(report_end(&ended, &points, file.map(|path| path.display().to_string()), file.is_some(), context));
        }
        let layout = Layout::new(&points, &view, names.clone(), context.style.lang);
        let mut reporter = Reporter { points: &points, owners: Owners::from_view(&view), layout, lines: Vec::new(), context };
        let ended = capture::capture(&points, &program, bounds, &mut reporter)?;
        Ok(report_end(&ended, &points, None, true, context))
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
        let named = word.split_once('/').and_then(|(lab, _)| labs.iter().find(|entry| entry.lab == lab));
        match named {
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

/// What streams: one JSON object per line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    /// A frame.
    Frame(&'a Line),
    /// The last line.
    End(&'a End),
}

/// How the lines of a capture are aligned and name nodes.
struct Layout {
    /// When the capture began, in nanoseconds since 1970.
    start: u64,
    /// Columns of the longest point with its direction.
    place: usize,
    /// Columns of the longest name of a node.
    name: usize,
    /// How nodes are typed.
    names: Names,
}

/// Columns of the time: seconds with six places.
const TIME: usize = 11;

impl Layout {
    /// How wide the columns of the lines are.
    fn new(points: &[Point], view: &View, names: Names, lang: Lang) -> Self {
        let ways = [Direction::In, Direction::Out]
            .map(|way| sentences::capture::direction(lang, way).chars().count())
            .into_iter()
            .max()
            .unwrap_or(0);
        let place = |point: &Point| match &point.ends {
            Some((here, peer)) => format!("{} {here} > {peer}", point.name).chars().count(),
            None => point.name.chars().count() + 1 + ways,
        };
        let groups = [true, false].map(|everybody| sentences::capture::group(lang, everybody).to_owned()).into_iter();
        let nodes = view.places.iter().map(|place| names.node(&place.node.node));
        Self {
            start: 0,
            place: points.iter().map(place).max().unwrap_or(0),
            name: nodes.chain(groups).map(|name| name.chars().count()).max().unwrap_or(0),
            names,
        }
    }

    fn line(&self, line: &Line, style: Style) -> String {
        let since = line.nanoseconds.saturating_sub(self.start);
        let time = format!("{}.{:06}", since / 1_000_000_000, since / 1000 % 1_000_000);
        let place = match &line.ends {
            Some((from, to)) => format!("{} {} > {}", line.point, from, to),
            None => format!("{} {}", line.point, sentences::capture::direction(style.lang, line.direction)),
        };
        let party = |station: &Option<Station>| station.as_ref().map_or_else(String::new, |station| self.party(station, style));
        let (source, destination) = (party(&line.source), party(&line.destination));
        let party = "02:00:00:00:00:00 ".len() + self.name;
        let head =
            format!("{time:>TIME$} {:<width$}  {source:<party$} > {destination:<party$}", escape(&place), width = self.place);
        let payload = sentences::capture::payload(style.lang, line.vlan, &line.payload);
        let narrow = style.width.is_some_and(|width| head.chars().count() + 2 + payload.chars().count() > usize::from(width));
        // Too long for the terminal: the packet goes below its frame.
        let between = if narrow { format!("\n{:TIME$} ", "") } else { "  ".to_owned() };
        format!("{}{between}{payload}\n", if narrow { head.trim_end() } else { &head })
    }

    /// A MAC address with the node that has it.
    fn party(&self, station: &Station, style: Style) -> String {
        let name = match (&station.owner, station.mac.parse::<Mac>()) {
            (Some(owner), _) => self.names.node(&owner.node),
            (None, Ok(mac)) if !mac.is_unicast() && mac != Mac([0; 6]) => {
                sentences::capture::group(style.lang, mac == Mac([0xff; 6])).to_owned()
            }
            _ => w!(style.lang, "?").to_owned(),
        };
        format!("{} {}", station.mac, escape(&name))
    }
}

fn listening(points: &[Point], context: &mut Context) {
    context.front.notice(&Notice::Listening(points.iter().map(|point| point.name.clone()).collect()));
}

/// Tells frames on standard output.
struct Reporter<'a, 'b> {
    points: &'a [Point],
    owners: Owners,
    layout: Layout,
    lines: Vec<Line>,
    context: &'a mut Context<'b>,
}

impl Watcher for Reporter<'_, '_> {
    fn begin(&mut self, start: u64) -> Result<bool> {
        self.layout.start = start;
        listening(self.points, self.context);
        Ok(true)
    }

    fn frame(&mut self, point: usize, seen: &Seen<'_>) {
        self.lines.push(self.owners.line(&self.points[point], seen));
    }

    fn settle(&mut self) -> Result<bool> {
        if self.lines.is_empty() {
            return Ok(true);
        }
        let style = self.context.style;
        let text: String = match self.context.format {
            Some(Format::Json) => self.lines.iter().map(|frame| json_line(&Event::Frame(frame))).collect(),
            _ => self.lines.iter().map(|frame| self.layout.line(frame, style)).collect(),
        };
        let read = self.context.front.emit(&text);
        self.lines.clear();
        read
    }

    fn notice(&mut self, notice: &Notice) {
        self.context.front.notice(notice);
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        Some(sys::process::standard(1))
    }
}

/// Writes frames as pcapng.
struct Writer<'a, 'b> {
    points: &'a [Point],
    filter: &'a Filter,
    sink: Sink,
    blocks: Vec<u8>,
    context: &'a mut Context<'b>,
}

impl Writer<'_, '_> {
    /// What became of the frames of each point.
    fn finish(&mut self, ended: &Ended) -> Result<bool> {
        for (interface, counts) in (0..).zip(&ended.counts) {
            self.blocks.extend(pcapng::counts(interface, ended.span, *counts));
        }
        self.settle()
    }
}

impl Watcher for Writer<'_, '_> {
    fn begin(&mut self, _start: u64) -> Result<bool> {
        self.blocks.extend(pcapng::section(concat!("nslab ", env!("CARGO_PKG_VERSION"))));
        for point in self.points {
            self.blocks.extend(pcapng::interface(&point.name, &point.description, point.mac, &self.filter.text));
        }
        let read = self.settle();
        listening(self.points, self.context);
        read
    }

    fn frame(&mut self, point: usize, seen: &Seen<'_>) {
        pcapng::frame(u32::try_from(point).unwrap_or(u32::MAX), seen, &mut self.blocks);
    }

    fn settle(&mut self) -> Result<bool> {
        if self.blocks.is_empty() {
            return Ok(true);
        }
        let read = self.sink.write(&self.blocks);
        self.blocks.clear();
        read
    }

    fn notice(&mut self, notice: &Notice) {
        self.context.front.notice(notice);
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        Some(self.sink.as_fd())
    }
}

/// Says how it ended; the exit code.
fn report_end(ended: &Ended, points: &[Point], file: Option<String>, result: bool, context: &mut Context) -> Printed {
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
