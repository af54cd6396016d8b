//! Ten thousand damaged topology files: none makes the reader panic, hang or dawdle, and what it accepts makes sense.
//!
//! `MUTANTS=100000` takes more, `MUTANTS_SEED=7` others; a failure names the seed that brings it back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nslab::error::Error;
use nslab::plan;
use nslab::render::lang::Lang;
use nslab::render::{self, Style};
use nslab::topology::{self, catalog};

/// The bar is 100 ms; a debug build on a machine that does much else at once gets more.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

/// Words that mean something in a topology file, or nearly.
const WORDS: &[&str] = &[
    "name",
    "networks",
    "hosts",
    "nics",
    "bridges",
    "containers",
    "gateway",
    "routes",
    "count",
    "address",
    "mac",
    "mtu",
    "up",
    "stp",
    "switch",
    "promiscuous",
    "deny",
    "ports",
    "bridge",
    "host",
    "network",
    "to",
    "via",
    "dev",
    "blackhole",
    "true",
    "false",
    "null",
    "~",
    "eth0",
    "br0",
    "internal",
    "0",
    "1",
    "-1",
    "4096",
    "0x7fffffff",
    "1e308",
    "1500",
    "10.0.0.1/24",
    "10.0.0.255/24",
    "0.0.0.0/0",
    "10.0.0.0/31",
    "\"fd00::1/64\"",
    "::/0",
    "/33",
    "02:00:00:00:00:01",
    "&a",
    "*a",
    "<<:",
    "!!str",
    "!x",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    ", ",
    "#",
    "|",
    ">",
    "\"",
    "'",
    "\n",
    "\t",
    "  ",
    "---\n",
    "\u{feff}",
    "\u{202e}",
    "é",
    "\0",
    "\x1b[31m",
];

/// `SplitMix64`: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides.max(1) as u64).unwrap()
    }

    fn range(&mut self, len: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.roll(len + 1);
        start..(start + 1 + self.roll(longest)).min(len)
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    match dice.roll(9) {
        0 => flip(bytes, dice),
        1 => {
            let range = dice.range(bytes.len(), 30);
            bytes.drain(range.start.min(range.end)..range.end);
        }
        2 => {
            let at = dice.roll(bytes.len() + 1);
            bytes.splice(at..at, WORDS[dice.roll(WORDS.len())].bytes());
        }
        3 => {
            let word = WORDS[dice.roll(WORDS.len())];
            replace_word(bytes, dice, word.as_bytes().to_vec());
        }
        4 => {
            let other = words(bytes)[..].to_vec();
            if let Some(range) = other.get(dice.roll(other.len())).cloned() {
                let word = bytes[range].to_vec();
                replace_word(bytes, dice, word);
            }
        }
        5 => bytes.truncate(dice.roll(bytes.len() + 1)),
        which => change_lines(bytes, dice, which),
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    if !bytes.is_empty() {
        let at = dice.roll(bytes.len());
        bytes[at] ^= 1 << dice.roll(8);
    }
}

/// Runs of characters that names and addresses are made of.
fn words(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/".contains(byte);
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|byte| of_word(byte)).count();
        if len > 0 {
            words.push(at..at + len);
        }
        at += len + 1;
    }
    words
}

fn replace_word(bytes: &mut Vec<u8>, dice: &mut Dice, by: Vec<u8>) {
    let words = words(bytes);
    if let Some(range) = words.get(dice.roll(words.len())) {
        bytes.splice(range.clone(), by);
    }
}

fn change_lines(bytes: &mut Vec<u8>, dice: &mut Dice, which: usize) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (a, b) = (dice.roll(lines.len()), dice.roll(lines.len()));
    match which {
        6 => lines.insert(b, lines[a].clone()),
        7 => lines.swap(a, b),
        _ => drop(lines.remove(a)),
    }
    *bytes = lines.concat();
}

fn sources() -> Vec<String> {
    let mut sources: Vec<String> = catalog::names().map(|name| catalog::find(name).unwrap().to_owned()).collect();
    for entry in std::fs::read_dir("tests/good").unwrap() {
        sources.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert!(sources.len() > 8);
    sources
}

fn mutant(sources: &[String], seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut bytes = sources[dice.roll(sources.len())].clone().into_bytes();
    for _ in 0..=dice.roll(4) {
        mutate(&mut bytes, &mut dice);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it was accepted.
fn judge(text: &str) -> bool {
    match topology::parse("mutant.yaml", text) {
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
            let said = render::error(&error, Style { lang: Lang::En, colour: false });
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
