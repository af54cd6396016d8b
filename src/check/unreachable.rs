//! `unreachable`: nodes do not answer each other's pings.

use super::Stage;
use super::scene::id;
use super::verdict::Verdict;
use crate::plan::NodeId;
use crate::report::check::Evidence;
use crate::topology::checks::Machine;

/// The ordered pairs that are to be pinged.
pub(super) fn pairs(pairs: &[(Machine, Machine)]) -> Vec<(NodeId, NodeId)> {
    pairs.iter().flat_map(|(from, to)| [(id(from), id(to)), (id(to), id(from))]).collect()
}

pub(super) fn check(of: &[(Machine, Machine)], stage: &Stage<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut answered = Vec::new();
    for (from, to) in pairs(of) {
        let gone = [&from, &to].into_iter().find_map(|node| stage.scene.place(node).err());
        if let Some(gone) = gone {
            if !verdict.evidence.contains(&gone) {
                verdict.evidence.push(gone);
            }
        } else if let Some(bare) = [&from, &to].into_iter().find(|node| stage.scene.addresses(node).is_empty()) {
            // Without an address nothing is proven.
            let bare = stage.scene.no_address(bare);
            if !verdict.evidence.contains(&bare) {
                verdict.evidence.push(bare);
            }
        } else if !stage.scene.is_far(&from) && stage.pinged.any(&from, &to) {
            answered.push((from.to_string(), to.to_string()));
        }
    }
    if !answered.is_empty() {
        verdict.evidence.push(Evidence::Answered { pairs: answered });
    }
    verdict
}
