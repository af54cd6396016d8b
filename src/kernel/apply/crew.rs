//! The threads that share out new containers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::units::Unit;
use super::worker::{self, Worker};
use super::{Run, settings};
use crate::error::Result;
use crate::kernel::space::Space;
use crate::kernel::thread::open_files;
use crate::kernel::thread::{joined, processors};
use crate::plan::{Op, Plan};

/// Threads, each with its share of the new containers.
pub struct Crew<'a> {
    shares: Vec<Vec<&'a Unit>>,
    /// How many containers a thread makes at a time: the limit on open files allows no more.
    chunk: usize,
    settings: worker::Born,
    /// Somebody failed.
    stop: AtomicBool,
}

impl<'a> Crew<'a> {
    /// As many threads as are of use.
    pub fn of(plan: &Plan, units: &'a [Unit]) -> Self {
        let threads = processors().min(units.len());
        let shares = (0..threads).map(|thread| units.iter().skip(thread).step_by(threads).collect()).collect();
        let places: Vec<usize> = units.iter().flat_map(|unit| unit.ops.iter().copied()).collect();
        let free = open_files(units.len() * 2 + 64).saturating_sub(48) / 2;
        let chunk = (free / threads.max(1)).clamp(1, 256);
        Self { shares, chunk, settings: settings(plan, &places), stop: AtomicBool::new(false) }
    }
}

impl Run<'_> {
    /// Makes and wires hosts and switches, while other threads make the namespaces of the first containers.
    pub fn wire(&mut self, head: &[usize], crew: &Crew, tell: &mut dyn FnMut(&Op)) -> Result<Vec<Vec<Space>>> {
        let (pins, round) = (self.pins, self.round);
        std::thread::scope(|scope| {
            let makers: Vec<_> = crew
                .shares
                .iter()
                .map(|share| {
                    let units = &share[..crew.chunk.min(share.len())];
                    std::thread::Builder::new()
                        .spawn_scoped(scope, || worker::spaces(pins, units, &crew.settings, round, &crew.stop))
                })
                .collect();
            let made = self.make_spaces(head);
            let mut result = made.and_then(|()| self.sequence(head, tell));
            if result.is_err() {
                crew.stop.store(true, Ordering::Relaxed);
            }
            let mut first = Vec::new();
            for made in makers.into_iter().map(joined) {
                result = worker::reason(result, made.map(|spaces| first.push(spaces)));
            }
            result.map(|()| first)
        })
    }

    /// New containers: in chunks that the open-file limit allows, each chunk shared out among threads.
    pub fn containers(&mut self, crew: &Crew, first: Vec<Vec<Space>>, tell: &mut dyn FnMut(&Op)) -> Result<()> {
        let run = &*self;
        let (done, told) = channel::<Vec<usize>>();
        std::thread::scope(|scope| {
            let workers: Vec<_> = crew
                .shares
                .iter()
                .zip(first)
                .map(|(share, first)| {
                    let job = Worker { run, settings: &crew.settings, done: done.clone(), stop: &crew.stop };
                    std::thread::Builder::new().spawn_scoped(scope, move || job.work(share, crew.chunk, first))
                })
                .collect();
            drop(done);
            for places in told {
                for &place in &places {
                    tell(&self.plan[place]);
                }
            }
            workers.into_iter().map(joined).fold(Ok(()), worker::reason)
        })
    }
}
