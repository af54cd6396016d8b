//! Where frames go: lines on standard output, or a pcapng.

use std::os::fd::{AsFd, BorrowedFd};

use crate::commands::run::Context;
use crate::error::Result;
use crate::kernel::packet::Seen;
use crate::kernel::sys;
use crate::probe::capture::Owners;
use crate::probe::capture::points::Point;
use crate::probe::capture::{Ended, Watcher};
use crate::probe::filter::Filter;
use crate::probe::pcapng;
use crate::probe::pcapng::Sink;
use crate::render::text::capture::line;
use crate::render::{Format, json_line};
use crate::report::capture::{Event, Layout, Line};
use crate::report::notice::Notice;

fn listening(points: &[Point], context: &mut Context) {
    context.front.notice(&Notice::Listening(points.iter().map(|point| point.name.clone()).collect()));
}

/// Tells frames on standard output.
pub(super) struct Teller<'a, 'b> {
    pub(super) points: &'a [Point],
    pub(super) owners: Owners,
    pub(super) layout: Layout,
    pub(super) lines: Vec<Line>,
    pub(super) context: &'a mut Context<'b>,
}

impl Watcher for Teller<'_, '_> {
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
        let told: String = match self.context.format {
            Some(Format::Json) => self.lines.iter().map(|frame| json_line(&Event::Frame(frame))).collect(),
            _ => self.lines.iter().map(|frame| line(frame, &self.layout, style)).collect(),
        };
        let read = self.context.front.emit(&told);
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
pub(super) struct Writer<'a, 'b> {
    pub(super) points: &'a [Point],
    pub(super) filter: &'a Filter,
    pub(super) sink: Sink,
    pub(super) blocks: Vec<u8>,
    pub(super) context: &'a mut Context<'b>,
}

impl Writer<'_, '_> {
    /// What became of the frames of each point.
    pub(super) fn finish(&mut self, ended: &Ended) -> Result<bool> {
        for (interface, counts) in (0..).zip(&ended.counts) {
            let (start, end) = ended.span;
            let (received, dropped) = (counts.seen, counts.dropped);
            self.blocks.extend(pcapng::counts(&pcapng::Counts { interface, start, end, received, dropped }));
        }
        self.settle()
    }
}

impl Watcher for Writer<'_, '_> {
    fn begin(&mut self, _start: u64) -> Result<bool> {
        self.blocks.extend(pcapng::section(concat!("nslab ", env!("CARGO_PKG_VERSION"))));
        for point in self.points {
            self.blocks.extend(pcapng::interface(&pcapng::Interface {
                name: point.name.clone(),
                description: point.description.clone(),
                mac: point.mac,
                filter: self.filter.text.clone(),
            }));
        }
        let read = self.settle();
        listening(self.points, self.context);
        read
    }

    fn frame(&mut self, point: usize, seen: &Seen<'_>) {
        let interface = u32::try_from(point).unwrap_or(u32::MAX);
        let Seen { nanoseconds, outgoing, length, bytes, .. } = *seen;
        pcapng::frame(&pcapng::Frame { interface, nanoseconds, outgoing, length, bytes }, &mut self.blocks);
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
