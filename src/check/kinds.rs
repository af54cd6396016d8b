//! The kinds of checks: a line for each, whose file knows everything about it.

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
mod unreachable;

use serde::{Deserialize, Serialize};

use super::evidence::Common;
use super::kind::{Kind, Stage, Verdict};
use super::nodes::Machine;
use super::players::Players;
use super::scene::Scene;
use crate::plan::NodeId;
use crate::probe::watch::Errand;
use crate::render::sentences::statement::{Say, Words};
use crate::topology::reader::Choice;

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

            /// As [`Kind::names`].
            pub(super) fn names(&self) -> Vec<Machine> {
                match self { $(Self::$kind(check) => check.names(),)* }
            }

            /// As [`Kind::acts_on`].
            pub(super) fn acts_on(&self) -> Option<NodeId> {
                match self { $(Self::$kind(check) => check.acts_on(),)* }
            }

            /// As [`Kind::looks_at`].
            pub(super) fn looks_at(&self, scene: &Scene<'_>) -> Vec<NodeId> {
                match self { $(Self::$kind(check) => check.looks_at(scene),)* }
            }

            /// As [`Kind::pings`].
            pub(super) fn pings(&self, scene: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
                match self { $(Self::$kind(check) => check.pings(scene),)* }
            }

            /// As [`Kind::watched`].
            pub(super) fn watched(&self, scene: &Scene<'_>) -> Vec<Errand> {
                match self { $(Self::$kind(check) => check.watched(scene),)* }
            }

            /// As [`Kind::judge`].
            pub(super) fn judge(&self, stage: &Stage<'_>) -> Verdict {
                match self { $(Self::$kind(check) => check.judge(stage),)* }
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
