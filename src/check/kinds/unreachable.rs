//! `unreachable`: nodes do not answer each other's pings.

use serde::{Deserialize, Serialize};

use super::reach::{both_ways, pairs_in_words};
use crate::check::evidence::{Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Pair, pairs};
use crate::check::scene::Scene;
use crate::plan::NodeId;
use crate::render::lang::t;
use crate::render::sentences::statement::{Say, Words};
use crate::topology::reader::Item;

/// These pairs, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreachable(Vec<Pair>);

/// Pings that were answered and should not have been.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    Answered { pairs: Vec<(String, String)> },
}

impl Seen for Found {}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let Self::Answered { pairs } = self;
        let pairs = words.few(&pairs.iter().map(|pair| words.ping(pair)).collect::<Vec<_>>());
        t!(words.lang, "Answered: {pairs}.", pairs)
    }
}

impl Kind for Unreachable {
    const ABOUT: &'static str = "Pairs of nodes that do not reach each other.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        pairs(item).map(Self)
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        t!(words.lang, "{pairs} do not reach each other", pairs = pairs_in_words(words, &self.0))
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        players.pairs(&self.0).map(Self)
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(Vec::new())
    }

    fn pings(&self, _: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
        both_ways(&self.0)
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let mut verdict = Verdict::default();
        let mut answered = Vec::new();
        for (from, to) in both_ways(&self.0) {
            let gone = [&from, &to].into_iter().find_map(|node| stage.scene.place(node).err());
            if let Some(gone) = gone {
                verdict.add_once(gone);
            } else if let Some(bare) = [&from, &to].into_iter().find(|node| stage.scene.addresses(node).is_empty()) {
                // Without an address nothing is proven.
                verdict.add_once(stage.scene.no_address(bare));
            } else if !stage.scene.is_remote(&from) && stage.pinged.any(&from, &to) {
                answered.push((from.to_string(), to.to_string()));
            }
        }
        if !answered.is_empty() {
            verdict.add(Found::Answered { pairs: answered });
        }
        Ok(verdict)
    }
}
