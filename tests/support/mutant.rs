//! Damaged topology files: every shipped one and those of `tests/good`, with bytes, words and lines changed.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, unreachable_pub)]

use nslab::topology::catalog;

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
    "checkpoints",
    "checks",
    "points",
    "reach",
    "macs",
    "owners",
    "path",
    "hops",
    "addresses",
    "subnet",
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

/// The files that are damaged.
pub fn sources() -> Vec<String> {
    let mut sources: Vec<String> = catalog::names().map(|name| catalog::find(name).unwrap().to_owned()).collect();
    for entry in std::fs::read_dir("tests/good").unwrap() {
        sources.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert!(sources.len() > 8);
    sources
}

/// The damaged file of a seed.
pub fn mutant(sources: &[String], seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut bytes = sources[dice.roll(sources.len())].clone().into_bytes();
    for _ in 0..=dice.roll(4) {
        mutate(&mut bytes, &mut dice);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
