//! What the reader accepts comes up on the real kernel. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/mutant.rs"]
mod mutant;
mod support;

use nslab::check::KINDS;
use nslab::topology;

use support::{Machine, in_box, nslab, ok, pings};

/// Damaged files that are still accepted and are brought up.
const ACCEPTED: usize = 40;

/// Who must reach which address, in the files of `tests/good`.
const PINGS: &[(&str, &str, &str)] = &[
    ("ipv6", "host-b.b1", "fd00:1::11"),
    ("ipv6", "host-b.b1", "fd00:3::12"),
    ("ipv6", "host-c.c1", "fd00:2::2"),
    ("ipv6", "host-a.a1", "192.168.100.2"),
    ("count", "host-a.a100", "10.0.0.2"),
    ("count", "host-a.a1", "10.0.1.99"),
    ("count", "host-b.b20", "10.3.0.9"),
    ("count", "host-b.p1", "10.2.0.78"),
    ("loop", "host-a.a1", "10.0.0.2"),
    ("everything", "host-a.c1", "10.1.0.1"),
    ("everything", "host-a", "10.0.0.11"),
];

#[test]
fn every_good_file_comes_up_with_all_its_pings() {
    in_box(|| {
        let before = Machine::look();
        let mut tried = 0;
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good")).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_stem().unwrap().to_str().unwrap();
            ok(&format!("up {}", file.display()));
            ok(&format!("status {name}"));
            for (_, node, address) in PINGS.iter().filter(|(lab, ..)| *lab == name) {
                assert!(pings(name, node, address), "{name}: {node} to {address}");
                tried += 1;
            }
            ok(&format!("down {name}"));
        }
        assert_eq!(tried, PINGS.len());
        before.assert_unchanged("the good files");
    });
}

#[test]
fn damaged_files_that_are_accepted_come_up_as_they_describe() {
    in_box(|| {
        let before = Machine::look();
        let sources = mutant::sources();
        let accepted = (0..).map(|seed| (seed, mutant::mutant(&sources, seed)));
        let accepted = accepted.filter(|(_, text)| topology::parse("mutant.yaml", text, KINDS).is_ok()).take(ACCEPTED);
        for (seed, text) in accepted {
            std::fs::write("/run/mutant.yaml", &text).unwrap();
            assert_eq!(nslab("up /run/mutant.yaml --name mutant").code, 0, "seed {seed}:\n{text}");
            assert_eq!(nslab("status mutant").code, 0, "seed {seed}:\n{text}");
            ok("down mutant");
        }
        std::fs::remove_file("/run/mutant.yaml").unwrap();
        before.assert_unchanged("the damaged files");
    });
}
