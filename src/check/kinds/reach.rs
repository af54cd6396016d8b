//! `reach`: nodes answer each other's pings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Common, Evidence};
use crate::check::kinds::{Kind, Stage, Suspect, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Pair, pairs};
use crate::check::scene::Scene;
use crate::plan::NodeId;
use crate::problem::Shape;
use crate::render::lang::{and, t};
use crate::render::sentences::statement::Words;
use crate::topology::reader::Item;

/// Pairs that are named one by one.
const NAMED: usize = 4;

/// Who must reach whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Every container every other, by every family that both have.
    All,
    /// These pairs, in both directions.
    Pairs(Vec<Pair>),
}

impl Kind for Reach {
    const ABOUT: &'static str = "`all` containers reach each other, or pairs of nodes do.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        let pairs = item.or_word("all", Shape::AllOrPairs, pairs)?;
        Some(pairs.map_or(Self::All, Self::Pairs))
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        match self {
            Self::All => t!(words.lang, "all containers reach each other"),
            Self::Pairs(pairs) => t!(words.lang, "{pairs} reach each other", pairs = pairs_in_words(words, pairs)),
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        match self {
            Self::All => Ok(Self::All),
            Self::Pairs(pairs) => players.pairs(pairs).map(Self::Pairs),
        }
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(Vec::new())
    }

    fn pings(&self, scene: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
        match self {
            Self::All => {
                let all = scene.containers();
                let to_others =
                    |from: &NodeId| all.iter().filter(|to| *to != from).map(|to| (from.clone(), to.clone())).collect::<Vec<_>>();
                all.iter().flat_map(to_others).collect()
            }
            Self::Pairs(pairs) => both_ways(pairs),
        }
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        if *self == Self::All
            && let Some(evidence) = scene.too_few()
        {
            return Err(evidence.into());
        }
        let pairs = self.pings(scene);
        let nodes: BTreeSet<&NodeId> = pairs.iter().flat_map(|(from, to)| [from, to]).collect();
        let mut found = Vec::new();
        for node in &nodes {
            if let Err(gone) = scene.place(node) {
                found.push(gone);
            } else if scene.addresses(node).is_empty() {
                found.push(scene.no_address(node));
            }
        }
        found.extend(scene.duplicates(&nodes.iter().copied().cloned().collect::<Vec<_>>()));
        let able = |node: &NodeId| scene.place(node).is_ok() && !scene.addresses(node).is_empty();
        let here = |from: &NodeId| !scene.is_remote(from) && able(from);
        let asked: Vec<&(NodeId, NodeId)> = pairs.iter().filter(|(from, to)| here(from) && able(to)).collect();
        // Where no ping could be sent, none is unanswered.
        for (from, to) in asked.iter().filter(|(from, to)| stage.pinged.answered(from, to).is_none()) {
            let unmet = scene.unmet(from, to);
            if !found.iter().any(|evidence| evidence.is_same(&unmet)) {
                found.push(unmet);
            }
        }
        let ended = |ended: bool| move |(from, to): &&&(NodeId, NodeId)| stage.pinged.answered(from, to) == Some(ended);
        let open: Vec<&(NodeId, NodeId)> = asked.iter().filter(ended(false)).copied().collect();
        let mut verdict = Verdict::default();
        if !open.is_empty() {
            let pairs = open.iter().take(NAMED).map(|(from, to)| (from.to_string(), to.to_string())).collect();
            found.push(Common::Unanswered {
                pairs,
                number: open.len(),
                of: open.len() + asked.iter().filter(ended(true)).count(),
            });
            verdict.suspect =
                open.iter().find_map(|(from, to)| Some(Suspect::ping(from.clone(), stage.pinged.unanswered(from, to)?)));
        }
        verdict.evidence = found.into_iter().map(Evidence::from).collect();
        Ok(verdict)
    }
}

/// The pings between the nodes of pairs.
pub(super) fn both_ways(pairs: &[Pair]) -> Vec<(NodeId, NodeId)> {
    pairs.iter().flat_map(|(from, to)| [(from.0.clone(), to.0.clone()), (to.0.clone(), from.0.clone())]).collect()
}

/// `a and b; a and c`
pub(super) fn pairs_in_words(words: &Words<'_>, pairs: &[Pair]) -> String {
    let pair = |(from, to): &Pair| and(words.lang, &[words.node(from), words.node(to)]);
    pairs.iter().map(pair).collect::<Vec<_>>().join("; ")
}
