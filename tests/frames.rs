//! The decoder of frames: what it says of known ones, and that no bytes make it panic or hang.
//!
//! `FRAMES_SEED=7` brings back the frames of a failure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/frames.rs"]
mod frames;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nslab::probe::frame::{Body, Fragment, Frame, Packet, Payload, Recorded};

use frames::{Dice, frame, mutate, seed};

/// The frame of hexadecimal digits; blanks are for the reader.
fn decoded(hex: &str) -> Frame {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect();
    Frame::decode(&bytes).unwrap()
}

fn packet(hex: &str) -> Packet {
    match decoded(hex).payload {
        Payload::Ip(packet) => packet,
        other => panic!("{other:?}"),
    }
}

const ETHER: &str = "020002000100 020001000100";

#[test]
fn a_hundred_thousand_damaged_frames_are_decoded_without_panic_or_delay() {
    let seed = seed();
    let (mut slowest, mut kinds) = (Duration::ZERO, [0_u32; 4]);
    for number in 0..100_000 {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut bytes = frame(&mut dice);
        if number % 10 > 0 {
            mutate(&mut bytes, &mut dice);
        }
        if number % 50 == 1 {
            bytes = (0..dice.roll(120)).map(|_| dice.byte()).collect();
        }
        let began = Instant::now();
        let decoded = catch_unwind(AssertUnwindSafe(|| Frame::decode(&bytes)));
        slowest = slowest.max(began.elapsed());
        let decoded = decoded.unwrap_or_else(|_| panic!("FRAMES_SEED={seed}, frame {number} panics: {bytes:02x?}"));
        kinds[match decoded.map(|frame| frame.payload) {
            None => 0,
            Some(Payload::Short | Payload::SpanningTree | Payload::Other(_)) => 1,
            Some(Payload::Arp { .. }) => 2,
            Some(Payload::Ip(_)) => 3,
        }] += 1;
    }
    assert!(slowest < Duration::from_secs(1), "FRAMES_SEED={seed}: {slowest:?} for one frame");
    assert!(kinds.iter().all(|&number| number > 500), "the dice leave something out: {kinds:?}");
}

#[test]
fn arp_tells_who_asks_for_whom() {
    let frame = decoded("ffffffffffff 020001000100 0806 0001 0800 06 04 0001 020001000100 0a00000b 000000000000 0a000015");
    assert_eq!((frame.source.to_string().as_str(), frame.destination.is_unicast()), ("02:00:01:00:01:00", false));
    let Payload::Arp { operation, sender_mac, sender_ip, target_mac, target_ip } = frame.payload else { panic!("{frame:?}") };
    assert_eq!((operation, sender_ip.to_string().as_str(), target_ip.to_string().as_str()), (1, "10.0.0.11", "10.0.0.21"));
    assert_eq!((sender_mac, target_mac.to_string().as_str()), (frame.source, "00:00:00:00:00:00"));
}

#[test]
fn an_echo_request_has_its_addresses_its_ttl_and_its_numbers() {
    let packet = packet(&format!("{ETHER} 0800 4500001c 12344000 40010000 0a00000b 0a000015 08000000 00070003"));
    assert_eq!((packet.source.to_string().as_str(), packet.destination.to_string().as_str()), ("10.0.0.11", "10.0.0.21"));
    assert_eq!((packet.ttl, packet.protocol, packet.length, packet.whole), (64, 1, 28, true));
    assert!(matches!(packet.body, Body::Echo { reply: false, id: 7, sequence: 3, .. }), "{packet:?}");
}

#[test]
fn a_vlan_tag_is_told_and_looked_behind() {
    let frame = decoded(&format!("{ETHER} 8100 0005 0800 4500001c 12344000 40010000 0a00000b 0a000015 00000000 00070003"));
    assert_eq!(frame.vlan, Some(5));
    assert!(matches!(frame.payload, Payload::Ip(Packet { body: Body::Echo { reply: true, .. }, .. })), "{frame:?}");
}

#[test]
fn bridges_that_talk_to_each_other_are_known() {
    let hello = decoded("0180c2000000 0a0001000000 0026 424203 0000 00 00 00");
    assert_eq!((hello.payload, hello.destination.is_unicast()), (Payload::SpanningTree, false));
    assert_eq!(decoded("0180c2000000 0a0001000000 0026 aaaa03 0000").payload, Payload::Other(0x26));
}

#[test]
fn the_recorded_route_is_what_lies_before_the_pointer() {
    let route = "07270c c0a86401 0a010001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00";
    let packet = packet(&format!("{ETHER} 0800 4f000044 00000000 40010000 0a00000b 0a000015 {route} 08000000 00070001"));
    let addresses = vec!["192.168.100.1".parse().unwrap(), "10.1.0.1".parse().unwrap()];
    assert_eq!(packet.route, Some(Recorded { addresses, free: 7 }));
    assert!(matches!(packet.body, Body::Echo { reply: false, id: 7, sequence: 1, .. }), "{packet:?}");
}

#[test]
fn an_error_message_quotes_the_packet_it_is_about() {
    let quoted = "4500001c 12344000 01010000 0a00000b 08080808 08000000 00070009";
    let exceeded = packet(&format!("{ETHER} 0800 45000038 00000000 40010000 0a010001 0a00000b 0b000000 00000000 {quoted}"));
    let Body::TimeExceeded { code: 0, quoted: Some(inner) } = exceeded.body else { panic!("{exceeded:?}") };
    assert_eq!((inner.ttl, inner.destination.to_string().as_str()), (1, "8.8.8.8"));
    assert!(matches!(inner.body, Body::Echo { reply: false, id: 7, sequence: 9, .. }), "{inner:?}");
    let needed = packet(&format!("{ETHER} 0800 45000038 00000000 40010000 0a010001 0a00000b 03040000 00000578 {quoted}"));
    assert!(matches!(needed.body, Body::Unreachable { code: 4, mtu: Some(1400), quoted: Some(_) }), "{needed:?}");
}

#[test]
fn later_parts_of_a_packet_are_not_read_as_its_beginning() {
    let part = packet(&format!("{ETHER} 0800 4500001c 12342001 40110000 0a00000b 0a000015 00350035 00080000"));
    assert_eq!((part.fragment, part.body), (Some(Fragment { id: 0x1234, offset: 8, more: true }), Body::Part));
}

#[test]
fn ipv6_neighbours_ask_and_answer() {
    let (a, b) = ("fd000000000000000000000000000011", "fd000000000000000000000000000021");
    let asks = packet(&format!(
        "3333ff000021 020001000100 86dd 60000000 0020 3a ff {a} ff0200000000000000000001ff000021 87000000 00000000 {b} 0101 020001000100"
    ));
    let Body::Solicitation { target, mac } = asks.body else { panic!("{asks:?}") };
    assert_eq!((target.to_string().as_str(), mac.unwrap().to_string().as_str()), ("fd00::21", "02:00:01:00:01:00"));
    let answers = packet(&format!("{ETHER} 86dd 60000000 0020 3a ff {b} {a} 88000000 60000000 {b} 0201 020002000100"));
    let Body::Advertisement { target, mac } = answers.body else { panic!("{answers:?}") };
    assert_eq!((target.to_string().as_str(), mac.unwrap().to_string().as_str()), ("fd00::21", "02:00:02:00:01:00"));
}

#[test]
fn tcp_has_its_ports_flags_and_length() {
    let segment = packet(&format!(
        "{ETHER} 0800 4500002c 00004000 40060000 0a00000b 0a000015 9c40 0050 00000001 00000002 5012 ff00 0000 0000 61626364"
    ));
    let expected = Body::Tcp { source: 40000, destination: 80, flags: 0x12, sequence: 1, acknowledged: 2, length: 4 };
    assert_eq!(segment.body, expected);
}
