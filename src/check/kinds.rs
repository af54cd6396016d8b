//! The kinds of checks: what every kind has in common, and a line for each, whose file knows everything about it.

mod addresses;
mod bridge;
mod command;
mod control;
mod forwarding;
mod macs;
mod path;
mod reach;
mod record_route;
mod routes;
mod tcp;
mod udp;
mod unreachable;

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::evidence::{Common, Evidence, Seen};
use super::players::Players;
use super::scene::{Pinged, Scene};
use crate::plan::NodeId;
use crate::probe::watch::{Watched, WatchedPing};
use crate::render::sentences::statement::{Say, Words};
use crate::report::probe::{State, Transport};
use crate::topology::reader::{Choice, Item};

/// The kinds, and a check of any of them.
macro_rules! checks {
    ($($word:literal $module:ident::$kind:ident,)*) => {
        /// The kinds of checks that a topology file can have.
        pub const KINDS: &[Choice] = &[$(Choice {
            word: $word,
            about: <$module::$kind as Kind>::ABOUT,
            read: |item| serde_json::to_value(Check::$kind(Kind::read(item)?)).ok(),
        }),*];

        /// A check of one of the kinds; as JSON it is kept with its lab.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub(super) enum Check {
            $(#[serde(rename = $word)] $kind($module::$kind),)*
        }

        impl Check {
            /// The word for its kind.
            pub(super) fn word(&self) -> &'static str {
                match self { $(Self::$kind(_) => $word,)* }
            }

            /// As [`Kind::played_by`].
            pub(super) fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
                match self { $(Self::$kind(check) => check.played_by(players).map(Self::$kind),)* }
            }

            /// The nodes that it names: of them it asks who plays them.
            pub(super) fn names(&self) -> Vec<NodeId> {
                Players::asked(|players| drop(self.played_by(players)))
            }

            /// As [`Kind::target`].
            pub(super) fn target(&self, scene: &Scene<'_>) -> Target {
                match self { $(Self::$kind(check) => check.target(scene),)* }
            }

            /// As [`Kind::pings`].
            pub(super) fn pings(&self, scene: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
                match self { $(Self::$kind(check) => check.pings(scene),)* }
            }

            /// As [`Kind::watched`].
            pub(super) fn watched(&self, scene: &Scene<'_>) -> Vec<WatchedPing> {
                match self { $(Self::$kind(check) => check.watched(scene),)* }
            }

            /// As [`Kind::judge`].
            pub(super) fn judge(&self, stage: &Stage<'_>) -> Verdict {
                let judged = match self { $(Self::$kind(check) => check.judge(stage),)* };
                judged.unwrap_or_else(Verdict::wrong)
            }
        }

        impl Say for Check {
            fn sentence(&self, words: &Words<'_>) -> String {
                match self { $(Self::$kind(check) => check.wanted(words),)* }
            }
        }
    };
}

checks! {
    "reach" reach::Reach,
    "unreachable" unreachable::Unreachable,
    "tcp" tcp::Tcp,
    "udp" udp::Udp,
    "macs" macs::Macs,
    "path" path::Path,
    "record-route" record_route::RecordRoute,
    "routes" routes::Routes,
    "addresses" addresses::Addresses,
    "forwarding" forwarding::Forwarding,
    "bridge" bridge::Bridged,
    "command" command::Command,
    "control" control::Control,
}

/// A kind of check. Its value is what a file wants; as JSON it is kept with the lab and told in reports.
pub(super) trait Kind: Sized {
    /// What it checks, for who writes a file.
    const ABOUT: &'static str;

    /// Reads what a file wants, and notes what is wrong with it; the same calls describe it for editors.
    fn read(item: &mut Item<'_>) -> Option<Self>;

    /// What is wanted, in a sentence.
    fn wanted(&self, words: &Words<'_>) -> String;

    /// The same with those who play its parts, or why nobody can.
    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common>;

    /// Where it looks or acts, besides the pings.
    fn target(&self, scene: &Scene<'_>) -> Target;

    /// The pings that it needs, from whom to whom.
    fn pings(&self, _: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
        Vec::new()
    }

    /// The pings that are to be watched on their way.
    fn watched(&self, _: &Scene<'_>) -> Vec<WatchedPing> {
        Vec::new()
    }

    /// Looks at what is there; an error is the one thing that is wrong.
    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence>;
}

/// Where a check looks or acts.
pub(super) enum Target {
    /// It acts in the node, as by running a command.
    Acts(NodeId),
    /// It looks at the nodes' own tables.
    Tables(Vec<NodeId>),
}

/// What the checks look at.
pub(super) struct Stage<'a> {
    pub scene: &'a Scene<'a>,
    pub pinged: Pinged,
    pub watched: HashMap<WatchedPing, Watched>,
}

/// The outcome of one check, before hints are looked for.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What is wrong, or why it could not run.
    pub evidence: Vec<Evidence>,
    /// What is unusual and no fault.
    pub notes: Vec<Evidence>,
    /// What should be answered and is not: a trace of it tells why.
    pub suspect: Option<Suspect>,
}

/// A packet that should be answered and is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Suspect {
    /// From here.
    pub from: NodeId,
    /// To this address.
    pub to: IpAddr,
    /// What it is of.
    pub transport: Transport,
}

impl Suspect {
    /// A ping.
    pub(super) fn ping(from: NodeId, to: IpAddr) -> Self {
        Self { from, to, transport: Transport::Icmp }
    }
}

impl Verdict {
    /// One thing is wrong.
    pub(super) fn wrong(evidence: impl Into<Evidence>) -> Self {
        Self { evidence: vec![evidence.into()], ..Self::default() }
    }

    /// A ping that should be answered is not.
    pub(super) fn unanswered(from: NodeId, to: &NodeId, address: IpAddr) -> Self {
        let pairs = vec![(from.to_string(), to.to_string())];
        Self { suspect: Some(Suspect::ping(from, address)), ..Self::wrong(Common::Unanswered { pairs, number: 1, of: 1 }) }
    }

    /// One more thing is wrong.
    pub(super) fn add(&mut self, evidence: impl Seen + 'static) {
        self.evidence.push(evidence.into());
    }

    /// The same, but nothing is said twice.
    pub(super) fn add_once(&mut self, evidence: impl Into<Evidence>) {
        let evidence = evidence.into();
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }

    /// A check fails on whatever is wrong, and could not run where it only met obstacles.
    pub(super) fn state(&self) -> State {
        match self.evidence.as_slice() {
            [] => State::Pass,
            all if all.iter().all(|evidence| evidence.0.is_obstacle()) => State::CouldNotRun,
            _ => State::Fail,
        }
    }
}
