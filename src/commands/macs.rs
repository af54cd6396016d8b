//! `nslab macs`

use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::target::duration;
use super::{completions, target};
use crate::error::{Error, Result, Thing, Usage};
use crate::kernel::sandbox::Manner;
use crate::kernel::{interrupted, sys};
use crate::lab::{self, Entry, Private, Subject, resolve};
use crate::plan::NodeId;
use crate::probe::macs;
use crate::probe::ping::all;
use crate::probe::ping::stations::{Station, Stations};
use crate::probe::view::View;
use crate::report::macs::{Census, Macs as Found, Pings};
use crate::report::ping::Family;
use crate::topology::{Topology, catalog};

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
                let found = private.entry().and_then(|entry| self.census(&Subject::ours(entry), &topology, context));
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
    let subject = Subject::ours(entry);
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
