//! Packet sockets in nodes, on the real kernel; needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nslab::kernel::packet::{self, Buffer, Counts, Spot, Tap};
use nslab::probe::frame::{Body, Frame, Packet, Payload};

use support::{in_box, inside, limit, ok, wait_for};

const QUEUE: Buffer = Buffer::Queue(1 << 20);
const RING: Buffer = Buffer::Ring(1 << 20);

fn pin(node: &str) -> PathBuf {
    Path::new("/run/nslab/bridged/netns").join(node)
}

fn index(node: &str, interface: &str) -> u32 {
    let link = inside("bridged", node, &format!("ip -j link show {interface}")).expect(0).json();
    u32::try_from(link[0]["ifindex"].as_u64().unwrap()).unwrap()
}

/// What a frame was, in the order of reading.
#[derive(Debug)]
struct Noted {
    interface: u32,
    nanoseconds: u64,
    outgoing: bool,
    length: u32,
    bytes: Vec<u8>,
}

/// Everything that comes until nothing came for 100 ms.
fn all(tap: &mut Tap) -> Vec<Noted> {
    let mut noted = Vec::new();
    loop {
        let ready = {
            let mut fds = [PollFd::new(tap.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(100_u8)).unwrap()
        };
        if ready == 0 {
            return noted;
        }
        tap.read(&mut |seen| {
            let (interface, nanoseconds, outgoing) = (seen.interface, seen.nanoseconds, seen.outgoing);
            noted.push(Noted { interface, nanoseconds, outgoing, length: seen.length, bytes: seen.bytes.to_vec() });
        })
        .unwrap();
    }
}

fn echo(noted: &Noted) -> Option<(bool, bool)> {
    match Frame::decode(&noted.bytes)?.payload {
        Payload::Ip(Packet { body: Body::Echo { reply, .. }, .. }) => Some((noted.outgoing, reply)),
        _ => None,
    }
}

#[test]
fn a_tap_sees_a_ping_with_times_directions_and_interfaces() {
    in_box(|| {
        ok("up bridged");
        let (a1, host) = (pin("host-a.a1"), pin("host-a"));
        let eth0 = index("host-a.a1", "eth0");
        for buffer in [QUEUE, RING] {
            let spots = [
                Spot { pin: &a1, on: Some(eth0), filter: &[], buffer },
                Spot { pin: &host, on: None, filter: &[], buffer },
                Spot { pin: Path::new("/run/nslab/bridged/netns/nobody"), on: None, filter: &[], buffer },
            ];
            let mut taps = Tap::open_all(&spots).into_iter();
            let (mut inner, mut outer) = (taps.next().unwrap().unwrap(), taps.next().unwrap().unwrap());
            assert_eq!(taps.next().unwrap().unwrap_err().1, Errno::ENOENT);
            let before = std::time::UNIX_EPOCH.elapsed().unwrap();
            inside("bridged", "host-a.a1", "ping -c 1 -W 2 10.0.0.21").expect(0);
            let after = std::time::UNIX_EPOCH.elapsed().unwrap();
            let noted = all(&mut inner);
            let echoes: Vec<_> = noted.iter().filter_map(echo).collect();
            assert_eq!(echoes, [(true, false), (false, true)], "{buffer:?} {noted:?}");
            for one in &noted {
                assert_eq!((one.interface, one.length as usize), (eth0, one.bytes.len()));
                let at = Duration::from_nanos(one.nanoseconds);
                assert!(at >= before && at <= after, "{buffer:?}: {at:?} is not between {before:?} and {after:?}");
            }
            // In by the container's port, out by the wire's, and back.
            let ports = [index("host-a", "veth-a1"), index("host-a", "enp0s8")];
            let seen: Vec<_> = all(&mut outer).iter().filter_map(|one| Some((one.interface, echo(one)?))).collect();
            let passed = [(false, false), (true, false), (false, true), (true, true)];
            let ways = [ports[0], ports[1], ports[1], ports[0]].into_iter().zip(passed).collect::<Vec<_>>();
            assert_eq!(seen, ways, "{buffer:?}");
            // Neighbours may have asked for each other again since.
            let Counts { seen, dropped } = inner.counts();
            assert!(seen >= noted.len() as u64 && dropped == 0, "{seen} seen, {dropped} dropped");
            packet::close(vec![inner, outer]);
        }
        ok("down");
    });
}

#[test]
fn a_vlan_tag_is_where_it_is_on_the_wire() {
    in_box(|| {
        ok("up bridged");
        let (sender, receiver) = (index("host-a", "veth-a1"), index("host-a.a1", "eth0"));
        let sending = Tap::open(&pin("host-a"), Some(sender), &[], QUEUE).unwrap();
        let tagged = [&[2, 0, 1, 0, 1, 0, 2, 9, 9, 9, 9, 9, 0x81, 0, 0x20, 5, 0x12, 0x34][..], &[7; 50]].concat();
        for buffer in [QUEUE, RING] {
            let mut tap = Tap::open(&pin("host-a.a1"), Some(receiver), &[], buffer).unwrap();
            nix::unistd::write(sending.as_fd(), &tagged).unwrap();
            let noted = all(&mut tap);
            let found = noted.iter().find(|one| one.bytes[6] == 2 && one.bytes[7] == 9);
            let found = found.unwrap_or_else(|| panic!("{buffer:?}: {noted:?}"));
            assert_eq!((found.bytes.as_slice(), found.length as usize), (tagged.as_slice(), tagged.len()), "{buffer:?}");
        }
        ok("down");
    });
}

#[test]
fn a_filter_holds_from_the_first_frame_on() {
    in_box(|| {
        ok("up bridged");
        let eth0 = index("host-a.a1", "eth0");
        let nothing = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
        for buffer in [QUEUE, RING] {
            let mut tap = Tap::open(&pin("host-a.a1"), Some(eth0), &nothing, buffer).unwrap();
            inside("bridged", "host-a.a1", "ping -c 1 -W 2 10.0.0.21").expect(0);
            assert!(all(&mut tap).is_empty());
            assert_eq!(tap.counts(), Counts::default());
        }
        ok("down");
    });
}

#[test]
fn an_interface_that_goes_down_and_then_away_is_told() {
    in_box(|| {
        ok("up bridged");
        let eth0 = index("host-a.a1", "eth0");
        for buffer in [QUEUE, RING] {
            inside(
                "bridged",
                "host-a.a1",
                "ip link add left type veth peer name right; ip link set left up; ip link set right up",
            );
            let left = index("host-a.a1", "left");
            assert!(left != eth0);
            let mut tap = Tap::open(&pin("host-a.a1"), Some(left), &[], buffer).unwrap();
            all(&mut tap);
            inside("bridged", "host-a.a1", "ip link set left down").expect(0);
            let is_reported = |tap: &mut Tap| wait_for(2, || tap.read(&mut |_| ()) == Err(Errno::ENETDOWN));
            assert!(is_reported(&mut tap) && !tap.is_gone(), "{buffer:?}");
            inside("bridged", "host-a.a1", "ip link del left").expect(0);
            assert!(wait_for(2, || tap.is_gone()), "{buffer:?}");
        }
        ok("down");
    });
}

#[test]
fn many_taps_open_and_close_quickly() {
    in_box(|| {
        std::fs::write("/run/many.yaml", "name: bridged\nhosts:\n  host-a:\n    bridges: { br0: {} }\n    containers:\n      c: { count: 100, nics: { eth0: { bridge: br0, address: 10.0.0.11/16 } } }\n").unwrap();
        ok("up /run/many.yaml");
        let pins: Vec<PathBuf> = (1..=100).map(|number| pin(&format!("host-a.c{number}"))).collect();
        let spots: Vec<Spot<'_>> = pins.iter().map(|pin| Spot { pin, on: None, filter: &[], buffer: QUEUE }).collect();
        let began = Instant::now();
        let taps: Vec<Tap> = Tap::open_all(&spots).into_iter().map(Result::unwrap).collect();
        let opened = began.elapsed();
        let began = Instant::now();
        packet::close(taps);
        let closed = began.elapsed();
        assert!(opened < limit(500) && closed < limit(1000), "{opened:?} {closed:?}");
        ok("down");
    });
}
