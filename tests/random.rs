//! Random labs on the real kernel: what is accepted comes up, and every ping in it that must be answered is. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/random.rs"]
mod random;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;

use support::{Machine, in_box, ok, sh};

/// Generated labs of which every ping is tried.
const LABS: u64 = 200;
/// Pairs of labs of which the second replaces the first.
const CHANGES: u64 = 20;

fn up(seed: u64) -> random::Lab {
    let lab = random::lab(seed);
    std::fs::write("/run/random.yaml", &lab.yaml).unwrap();
    ok("up /run/random.yaml");
    lab
}

/// Pings that are not answered, all tried at once by the machine's own `ping`.
fn unanswered(lab: &random::Lab) -> String {
    let mut by_node: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, address) in &lab.pings {
        by_node.entry(node).or_default().push(address);
    }
    let mut script = String::new();
    for (node, addresses) in by_node {
        let all = addresses.join(" ");
        write!(
            script,
            "nsenter --net=/run/netns/random.{node} sh -c 'for a in {all}; do \
             ping -n -q -c 1 -W 5 $a >/dev/null 2>&1 || echo {node} to $a & done; wait' & "
        )
        .unwrap();
    }
    sh(&format!("{script} wait"))
}

#[test]
fn every_generated_lab_comes_up_and_all_its_pings_are_answered() {
    in_box(|| {
        let before = Machine::look();
        let mut pings = 0;
        for seed in 0..LABS {
            let lab = up(seed);
            pings += lab.pings.len();
            let lost = unanswered(&lab);
            assert!(lost.is_empty(), "seed {seed}:\n{lost}\n{}", lab.yaml);
            ok("down random");
        }
        assert!(pings > 2000, "the generator makes too little: {pings} pings");
        std::fs::remove_file("/run/random.yaml").unwrap();
        before.assert_unchanged("200 random labs");
    });
}

#[test]
fn a_changed_file_applies_the_difference_and_pings_are_answered() {
    in_box(|| {
        for seed in 0..CHANGES {
            up(seed);
            let lab = up(seed + CHANGES);
            let lost = unanswered(&lab);
            assert!(lost.is_empty(), "seed {seed}, changed:\n{lost}\n{}", lab.yaml);
            let status = ok("status random --format json").json();
            assert_eq!(status["labs"][0]["condition"], "up", "seed {seed}: {status}");
            assert_eq!(ok("up /run/random.yaml --dry-run --format json").json()["steps"], serde_json::json!([]), "seed {seed}");
            ok("down random");
        }
    });
}
