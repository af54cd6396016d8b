//! Ten thousand damaged topology files: none makes the reader panic, hang or dawdle, and what it accepts makes sense.
//!
//! `MUTANTS=100000` takes more, `MUTANTS_SEED=7` others; a failure names the seed that brings it back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/mutant.rs"]
mod mutant;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nslab::check::KINDS;
use nslab::error::Error;
use nslab::plan;
use nslab::render::lang::Lang;
use nslab::render::{self, Style};
use nslab::topology;

use mutant::{mutant, sources};

/// The bar is 100 ms; a debug build on a machine that does much else at once gets more.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

/// Whether it was accepted.
fn judge(text: &str) -> bool {
    match topology::parse("mutant.yaml", text, KINDS) {
        Ok(lab) => {
            assert_eq!(topology::problems(&lab), [], "accepted, then refused");
            let state = plan::compile(&lab);
            assert_eq!(plan::diff(&state, &state), []);
            assert_eq!(serde_json::from_str::<topology::Topology>(&serde_json::to_string(&lab).unwrap()).unwrap(), lab);
            true
        }
        Err(error) => {
            let Error::Topology { findings, .. } = &error else { panic!("{error:?}") };
            assert!(!findings.is_empty() && findings.iter().all(|finding| text.get(finding.at.clone()).is_some()));
            let said = render::error(&error, Style { lang: Lang::En, colour: false, width: None, unicode: true });
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'));
            false
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn ten_thousand_mutants_are_judged_without_panic_or_delay() {
    let (count, first) = (number("MUTANTS", 10_000), number("MUTANTS_SEED", 1) << 32);
    let (report, reports) = channel();
    std::thread::spawn(move || {
        let sources = sources();
        for seed in first..first + count {
            let text = mutant(&sources, seed);
            let start = Instant::now();
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&text)));
            if report.send((seed, text, judged.ok(), start.elapsed())).is_err() {
                return;
            }
        }
    });
    let mut accepted = 0;
    for seed in first..first + count {
        let (_, text, judged, took) = match reports.recv_timeout(Duration::from_secs(30)) {
            Ok(report) => report,
            Err(RecvTimeoutError::Timeout) => panic!("seed {seed} hangs:\n{}", mutant(&sources(), seed)),
            Err(RecvTimeoutError::Disconnected) => panic!("seed {seed}: the reader died"),
        };
        let judged = judged.unwrap_or_else(|| panic!("seed {seed} panics:\n{text}"));
        assert!(took < PATIENCE, "seed {seed} takes {took:?}:\n{text}");
        accepted += u64::from(judged);
    }
    // A mutation in a comment or of an address is often harmless: both ends of the reader are exercised.
    assert!(accepted > count / 50 && accepted < count / 2, "{accepted} of {count} accepted");
}

#[test]
fn what_is_mutated_is_accepted_before() {
    for text in sources() {
        assert!(judge(&text), "{text}");
    }
}
