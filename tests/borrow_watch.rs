//! The watchdog alone: what it does when the change is made, kept, forgotten or cut off.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nslab::lab::borrow::{Borrowed, NicUse};
use nslab::plan::State;
use support::{Machine, in_box, nslab, sh, wait_for};

/// A NIC that carries the machine's default route, so that a change of it must be confirmed.
const NIC: &str = "
    ip link add enp0s3 type veth peer name far
    ip link set far up
    ip link set enp0s3 up
    ip addr add 192.0.2.5/24 dev enp0s3
    ip route add default via 192.0.2.1 dev enp0s3
    mount -t tmpfs -o mode=711 nslab /run/nslab
    mkdir -m 700 /run/nslab/lent";

struct Watched {
    lent: Borrowed,
    applier: UnixStream,
    watchdog: Child,
}

/// The watchdog of a change that may last so many seconds.
fn watched(seconds: u64) -> Watched {
    let name = |text: &str| text.parse().unwrap();
    let uses = vec![NicUse { nic: name("enp0s3"), bridge: Some(name("br0")) }];
    let lent = nslab::lab::borrow::change::look(&"lent".parse().unwrap(), uses, seconds).unwrap();
    assert!(lent.management, "it carries the default route");
    lent.write().unwrap();
    let (mut applier, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.args(["watch-nic", "lent"]).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    let watchdog = command.spawn().unwrap();
    drop(command);
    let mut word = [0];
    applier.read_exact(&mut word).unwrap();
    assert_eq!(word, *b"r", "it watches");
    Watched { lent, applier, watchdog }
}

impl Watched {
    /// Does to the NIC what `up` would.
    fn change(&mut self) {
        sh("ip link add br0 type bridge forward_delay 0
            ip link set br0 addrgenmode none up
            ip link set enp0s3 master br0");
        nslab::lab::borrow::change::applied(&mut self.lent, &State::new()).unwrap();
    }

    /// Waits for its end, and checks that the NIC is as before.
    fn puts_back(mut self, before: &Machine) {
        assert!(wait_for(10, || self.watchdog.try_wait().unwrap().is_some()), "the watchdog does not end");
        assert_eq!(self.watchdog.wait().unwrap().code(), Some(6), "it says that it took the change back");
        sh("ip link del br0; rm -rf /run/nslab/lent/*");
        before.assert_unchanged("the watchdog put it back");
    }
}

fn before() -> Machine {
    sh("mkdir -p /run/nslab");
    sh(NIC);
    assert!(wait_for(10, || !sh("ip -6 addr").contains("tentative")));
    Machine::look()
}

#[test]
fn a_change_that_nobody_keeps_is_put_back_in_time_twenty_times() {
    in_box(|| {
        let before = before();
        // The watchdog ends who has not made the change by then: this test.
        let seconds = support::limit(250).as_secs().max(1);
        for _ in 0..20 {
            let mut watched = watched(seconds);
            watched.change();
            watched.applier.write_all(b"d").unwrap();
            watched.puts_back(&before);
        }
    });
}

#[test]
fn a_change_that_is_cut_off_is_put_back_at_once() {
    in_box(|| {
        let before = before();
        // Before anything was done, half way, and where the addresses are gone.
        for half in ["true", "ip link add br0 type bridge; ip link set enp0s3 master br0", "ip -4 addr flush dev enp0s3"] {
            let mut watched = watched(3600);
            sh(half);
            watched.applier.shutdown(std::net::Shutdown::Both).unwrap();
            assert!(wait_for(10, || watched.watchdog.try_wait().unwrap().is_some()), "the watchdog does not end");
            sh("ip link del br0 2>/dev/null || true; rm -rf /run/nslab/lent/*");
            before.assert_unchanged(half);
        }
    });
}

#[test]
fn a_kept_change_stays_and_the_watchdog_sleeps() {
    in_box(|| {
        before();
        let mut watched = watched(3);
        watched.change();
        watched.applier.write_all(b"d").unwrap();
        nslab::lab::borrow::change::keep(&"lent".parse().unwrap()).unwrap();
        nslab::lab::borrow::change::keep(&"lent".parse().unwrap()).expect_err("it is kept already");
        std::thread::sleep(std::time::Duration::from_secs(4));
        assert!(watched.watchdog.try_wait().unwrap().is_none(), "it goes with the lab, not before");
        assert!(sh("ip -o addr show dev br0").contains("192.0.2.5/24"));
        nslab::lab::borrow::change::end(&"lent".parse().unwrap());
        assert!(watched.watchdog.try_wait().unwrap().is_some(), "`down` ends it");
    });
}

#[test]
fn only_a_lab_that_waits_for_it_is_kept() {
    in_box(|| {
        let ran = nslab("keep").expect(2);
        assert!(ran.err.contains("no lab is up"), "{ran}");
        nslab("up bare").expect(0);
        let ran = nslab("keep bare").expect(2);
        assert!(ran.err.contains("no change of a NIC waits"), "{ran}");
    });
}
