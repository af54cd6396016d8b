//! Capture filters: their programs pass the same frames as tcpdump's, and what makes no sense is refused with its place.
//!
//! `FRAMES_SEED=7` brings back the frames of a failure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/frames.rs"]
mod frames;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use nslab::error::{Error, FilterFault};
use nslab::probe::filter::{Filter, Names, Owned};
use nslab::render::lang::Lang;
use nslab::render::{self, Style};

use frames::{Dice, frame, seed};

/// `a1` has an address of each family, `b1` two of one, `bare` a MAC address alone.
struct Three;

impl Names for Three {
    fn owned(&self, name: &str) -> Result<Owned, FilterFault> {
        let (addresses, mac): (&[&str], &str) = match name {
            "a1" | "host-a/a1" | "a1.eth0" => (&["10.0.0.11", "fd00::11"], "02:00:01:00:01:00"),
            "b1" => (&["10.0.1.21", "192.168.100.1"], "02:00:02:00:01:00"),
            "bare" => (&[], "02:00:01:00:02:00"),
            "c1" => return Err(FilterFault::Ambiguous(vec!["host-a/c1".to_owned(), "host-b/c1".to_owned()])),
            _ => return Err(FilterFault::NoNode(vec!["a1".to_owned()])),
        };
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Ok(Owned { addresses, macs: vec![mac.parse().unwrap()] })
    }
}

/// Runs a program on a frame as the kernel does: how many bytes pass.
fn run(program: &[libc::sock_filter], frame: &[u8]) -> u32 {
    let load = |at: u32, size: usize| -> Option<u32> {
        let bytes = frame.get(at as usize..at as usize + size)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
    loop {
        let one = &program[at];
        at += 1;
        let loaded = match one.code {
            0x20 => load(one.k, 4),
            0x28 => load(one.k, 2),
            0x30 | 0xb1 => load(one.k, 1),
            0x48 => load(x + one.k, 2),
            _ => Some(a),
        };
        // A load beyond the end ends the program, and nothing passes.
        let Some(loaded) = loaded else { return 0 };
        match one.code {
            0xb1 => x = (loaded & 15) * 4,
            0x54 => a &= one.k,
            0x05 => at += one.k as usize,
            0x15 => at += usize::from(if a == one.k { one.jt } else { one.jf }),
            0x45 => at += usize::from(if a & one.k != 0 { one.jt } else { one.jf }),
            0x06 => return one.k,
            _ => a = loaded,
        }
    }
}

/// A file of frames, each at the second of its number.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x4_0000, 1] {
        file.extend(number.to_le_bytes());
    }
    for (second, frame) in (0_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        for number in [second, 0, length, length] {
            file.extend(number.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// The numbers of the frames that tcpdump passes.
fn tcpdump(file: &[u8], filter: &str) -> BTreeSet<usize> {
    let mut child = Command::new("tcpdump")
        .args(["-r", "-", "-w", "-", "-U", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump is installed");
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut passed = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(file));
        output.read_to_end(&mut passed).unwrap();
    });
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{filter}: {}", String::from_utf8_lossy(&ended.stderr));
    let number = |at: usize| u32::from_le_bytes(passed[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut seconds) = (24, BTreeSet::new());
    while at < passed.len() {
        seconds.insert(number(at));
        at += 16 + number(at + 8);
    }
    seconds
}

/// Filters, and what tcpdump is asked where it does not know the names.
const FILTERS: [(&str, &str); 60] = [
    ("icmp", ""),
    ("icmp6", ""),
    ("arp", ""),
    ("rarp", ""),
    ("ip", ""),
    ("ip6", ""),
    ("tcp", ""),
    ("udp", ""),
    ("not icmp", ""),
    ("! ( tcp or udp )", ""),
    ("host 10.0.0.11", ""),
    ("src host 10.0.0.11", ""),
    ("dst host 10.0.0.11", ""),
    ("src 10.0.0.11", ""),
    ("dst 10.0.0.11 and src 10.0.0.12", ""),
    ("src or dst host 10.0.0.12", ""),
    ("src and dst host 10.0.0.12", ""),
    ("dst and src 10.0.0.11", ""),
    ("ip host 10.0.0.11", ""),
    ("arp host 10.0.0.11", ""),
    ("arp src 10.0.0.11", ""),
    ("rarp dst host 10.0.0.11", ""),
    ("host fd00::11", ""),
    ("src host fd00::11 or dst fe80::12", ""),
    ("ip6 src fd00::11", ""),
    ("net 10.0.0.0/24", ""),
    ("net 10", ""),
    ("src net 10.0.1", ""),
    ("dst net 10.0.0.8/29", ""),
    ("net 0.0.0.0/0", ""),
    ("net ::/0", ""),
    ("net fd00:0:0:1::/64", ""),
    ("ip6 net fe80::/10", ""),
    ("arp net 10.0.0.0/24", ""),
    ("port 53", ""),
    ("src port 80", ""),
    ("dst port 443 or 80", ""),
    ("tcp port 80", ""),
    ("udp dst port 5353", ""),
    ("src and dst port 53", ""),
    ("not port 53", ""),
    ("port (53 or 80)", ""),
    ("ether host 02:00:01:00:01:00", ""),
    ("ether src 02:00:01:00:01:00 and not arp", ""),
    ("ether dst ff:ff:ff:ff:ff:ff", ""),
    ("ether broadcast", ""),
    ("ether host 02:00:01:00:01:00 or 02:00:02:00:01:00", ""),
    ("icmp or arp and host 10.0.0.11", ""),
    ("host 10.0.0.11 or arp and not udp or tcp", ""),
    ("host 10.0.0.11 and not 10.0.0.12", ""),
    ("not host 10.0.0.11 and 10.0.0.12", ""),
    ("(icmp or icmp6)&&!(net 10.0.1.0/24||host 8.8.8.8)", ""),
    ("host (10.0.0.11 or 10.0.0.12) and tcp", ""),
    ("ip and not (tcp port 80 or udp port 53)", ""),
    ("host a1", "host 10.0.0.11 or host fd00::11"),
    ("src a1.eth0 and dst b1", "(src 10.0.0.11 or src fd00::11) and (dst 10.0.1.21 or dst 192.168.100.1)"),
    ("arp and host host-a/a1", "arp host 10.0.0.11"),
    ("ip6 host a1", "ip6 host fd00::11"),
    ("ether host (a1 or bare)", "ether host 02:00:01:00:01:00 or ether host 02:00:01:00:02:00"),
    ("ether src bare or host b1", "ether src 02:00:01:00:02:00 or host 10.0.1.21 or host 192.168.100.1"),
];

#[test]
fn every_filter_passes_the_frames_that_tcpdump_passes() {
    let seed = seed();
    let frames: Vec<Vec<u8>> = (0..6000).map(|number| frame(&mut Dice(seed.wrapping_mul(7919) + number))).collect();
    let file = pcap(&frames);
    for (ours, theirs) in FILTERS {
        let program = Filter::parse(ours, &Three).unwrap().program().unwrap();
        let passed: BTreeSet<usize> = (0..frames.len()).filter(|number| run(&program, &frames[*number]) > 0).collect();
        let expected = tcpdump(&file, if theirs.is_empty() { ours } else { theirs });
        let (more, less) = (passed.difference(&expected).next(), expected.difference(&passed).next());
        let shown = more.or(less).map(|number| format!("frame {number}: {:02x?}", frames[*number]));
        assert!(shown.is_none(), "FRAMES_SEED={seed}: {ours:?} (more: {more:?}, less: {less:?}) {}", shown.unwrap());
        let share = passed.len();
        assert!(share > 0 && share < frames.len(), "{ours:?} tells nothing apart: {share} of {} pass", frames.len());
    }
}

/// Filters that become long need jumps that reach far.
#[test]
fn a_long_filter_passes_what_its_parts_pass() {
    let addresses: Vec<String> = (0..300).map(|number| format!("10.9.{}.{}", number / 250, number % 250)).collect();
    let text = format!("arp or not host ({} or 10.0.0.11)", addresses.join(" or "));
    let program = Filter::parse(&text, &Three).unwrap().program().unwrap();
    assert!(program.len() > 1000 && program.len() <= 4096, "{}", program.len());
    let seed = seed();
    let frames: Vec<Vec<u8>> = (0..3000).map(|number| frame(&mut Dice(seed.wrapping_mul(31) + number))).collect();
    let passed: BTreeSet<usize> = (0..frames.len()).filter(|number| run(&program, &frames[*number]) > 0).collect();
    assert_eq!(passed, tcpdump(&pcap(&frames), "arp or not host 10.0.0.11"), "FRAMES_SEED={seed}");
}

/// The message for a filter that is refused.
fn refused(text: &str) -> String {
    let error = match Filter::parse(text, &Three).and_then(|filter| filter.program()) {
        Ok(_) => panic!("{text:?} is accepted"),
        Err(error @ Error::Filter { .. }) => error,
        Err(other) => panic!("{text:?}: {other:?}"),
    };
    assert_eq!(error.exit_code(), 2);
    render::error(&error, Style { lang: Lang::En, colour: false, width: None, unicode: true })
}

#[test]
fn a_filter_that_makes_no_sense_is_shown_with_the_place_and_a_way_out() {
    let cases = [
        ("icpm", "\"icpm\" is no word", "  ^^^^\n", "did you mean icmp?"),
        ("arp and icpm or tcp", "\"icpm\" is no word", "          ^^^^\n", "did you mean icmp?"),
        ("host a1 and icpm", "\"icpm\" is no word", "              ^^^^\n", "did you mean icmp?"),
        ("host", "lacks an address or a node here", "      ^\n", ""),
        ("host a2", "no node of that name", "       ^^\n", "did you mean a1?"),
        ("host c1", "can be several", "       ^^\n", "host-a/c1, host-b/c1"),
        ("host bare", "has no address", "       ^^^^\n", "ether host bare"),
        ("host 02:00:01:00:01:00", "is a MAC address", "       ^^^^^^^^^^^^^^^^^\n", "ether host 02:00:01:00:01:00"),
        ("host 10.0.0.0/24", "is a network", "       ^^^^^^^^^^^\n", "net 10.0.0.0/24"),
        ("net 10.0.0.1/24", "bits set behind", "      ^^^^^^^^^^^\n", "net 10.0.0.0/24"),
        ("net a1", "is no network", "      ^^\n", ""),
        ("port http", "is no port number", "       ^^^^\n", ""),
        ("port 65536", "is no port number", "       ^^^^^\n", ""),
        ("icmp port 3", "says nothing about a port", "  ^^^^^^^^^\n", "tcp port N"),
        ("tcp host a1", "says nothing about a host", "  ^^^^^^^^\n", "tcp and host"),
        ("ether a1", "after \"ether\"", "        ^^\n", "ether host MAC"),
        ("ether host 10.0.0.1", "lacks a MAC address", "             ^^^^^^^^\n", ""),
        ("icmp arp", "lacks \"and\" or \"or\" here", "       ^^^\n", "join conditions"),
        ("icmp and", "lacks a condition here", "          ^\n", "icmp"),
        ("(icmp or arp", "not closed", "  ^\n", ""),
        ("icmp)", "lacks \"and\" or \"or\"", "      ^\n", ""),
        ("icmp and tcp", "no frame can ever pass", "  ^^^^^^^^^^^^\n", ""),
        ("host \u{1b}[31m", "\"\\x1b[31m\" is no address", "       ^^^^^^^^\n", ""),
    ];
    for (text, what, marked, hint) in cases {
        let message = refused(text);
        assert!(message.contains(what) && message.contains(marked) && message.contains(hint), "{text:?}:\n{message}");
        assert!(!message.contains('\u{1b}'), "{message:?}");
    }
    let many: Vec<String> = (0..1000).map(|number| format!("10.9.{}.{}", number / 250, number % 250)).collect();
    assert!(refused(&format!("host {}", many.join(" or "))).contains("4096 are"));
    assert!(refused(&"(".repeat(1000)).contains("too long"));
    assert!(refused(&"not ".repeat(100_000)).contains("too long"));
}

#[test]
fn an_empty_filter_passes_everything() {
    assert!(Filter::parse("  ", &Three).unwrap().program().unwrap().is_empty());
}
