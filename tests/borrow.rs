//! `up --role` on the NIC that the machine is reached by: refused, kept, put back, killed anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use support::{Machine, Ran, count_faults, fails, ifindex, in_box, nslab, nslab_at, ok, sh, wait_for};

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");

/// A machine with one NIC, an address and a default route, and a neighbour that answers.
const NIC: &str = "
    ip netns add peer
    ip link add enp0s8 type veth peer name far netns peer
    ip -n peer addr add 192.0.2.1/24 dev far
    ip -n peer link set far up
    ip link set enp0s8 up
    ip addr add 192.0.2.5/24 dev enp0s8
    ip route add default via 192.0.2.1 dev enp0s8";

const TAKE: &str = "up bridged --role host-a --nic enp0s8 --allow default-route,address";

fn machine(script: &str) -> Machine {
    sh(script);
    assert!(wait_for(10, || !sh("ip -6 addr").contains("tentative")), "{}", sh("ip -6 addr"));
    Machine::look()
}

/// The machine's network, as text.
fn network() -> String {
    sh("ip -o link; ip -o -4 addr; ip -o -6 addr; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule")
}

#[track_caller]
fn back(before: &str, after: &str) {
    assert!(wait_for(8, || network() == before), "not as before, after {after}:\n{before}\n--- now\n{}", network());
}

fn watchdog() -> Option<i32> {
    all_watchdogs().first().copied()
}

fn watchdogs() -> usize {
    all_watchdogs().len()
}

fn all_watchdogs() -> Vec<i32> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let line = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    numbers.into_iter().filter(|pid| line(pid).contains("watch-nic")).collect()
}

#[track_caller]
fn refused(ran: &Ran, code: i32, said: &str, flag: Option<&str>, before: &Machine) {
    assert_eq!(ran.code, code, "{ran}");
    assert!(ran.err.contains(said), "{said} is not said: {ran}");
    match flag {
        Some(flag) => assert!(ran.err.contains(&format!("--allow {flag} ")), "{ran}"),
        None => assert!(!ran.err.contains("--allow"), "{ran}"),
    }
    assert!(*before == Machine::look(), "something changed: {ran}");
}

#[test]
fn a_nic_that_others_need_is_refused_and_nothing_is_changed() {
    in_box(|| {
        let before = machine(NIC);
        let up = |more: &str| nslab(&format!("up bridged --role host-a {more}"));
        refused(&up("--nic enp0s8"), 4, "carries a default route", Some("default-route,address"), &before);
        refused(&up("--nic enp0s8 --allow address"), 4, "carries a default route", Some("default-route"), &before);
        refused(&up("--nic enp0s8 --allow default-route"), 4, "192.0.2.5/24", Some("address"), &before);
        refused(&up("--nic enp0s9"), 2, "enp0s9", None, &before);
        assert_ne!(up("--nic lo").code, 0);
        assert!(before == Machine::look());
        sh(
            "ip route del default; ip addr flush dev enp0s8 scope global; ip link add other type bridge; ip link set enp0s8 master other",
        );
        let before = machine("true");
        refused(&up("--nic enp0s8"), 4, "port of other", None, &before);
        refused(&up("--nic enp0s8 --allow default-route,ssh,address,wifi,managed"), 4, "port of other", None, &before);
        sh("ip link del other");
    });
}

#[test]
fn a_nic_that_a_service_configures_or_that_is_wireless_is_refused() {
    in_box(|| {
        sh("ip link add enp0s8 type veth peer name far; ip link set far up; ip link set enp0s8 up
            mkdir -p /run/systemd/netif/links /run/NetworkManager/devices");
        let up = || nslab("up bridged --role host-a --nic enp0s8");
        let number = ifindex("enp0s8");
        sh(&format!("printf 'ADMIN_STATE=configured\nOPER_STATE=routable\n' > /run/systemd/netif/links/{number}"));
        refused(&up(), 4, "systemd-networkd", Some("managed"), &machine("true"));
        sh(&format!(
            "echo ADMIN_STATE=unmanaged > /run/systemd/netif/links/{number}
            printf '[device]\nmanaged=true\n' > /run/NetworkManager/devices/{number}"
        ));
        refused(&up(), 4, "NetworkManager", Some("managed"), &machine("true"));
        sh(&format!(
            "printf '[device]\nmanaged=false\n' > /run/NetworkManager/devices/{number}
            mount -t tmpfs tmpfs /sys/class/net; mkdir -p /sys/class/net/enp0s8/wireless"
        ));
        refused(&up(), 4, "wireless", Some("wifi"), &machine("true"));
        sh("umount /sys/class/net");
        ok("up bridged --role host-a --nic enp0s8");
        ok("down");
    });
}

#[test]
fn the_nic_of_an_ssh_session_is_refused_also_below_sudo() {
    in_box(|| {
        let before = machine(
            "ip link add enp0s8 type veth peer name far; ip link set far up; ip link set enp0s8 up
             ip addr add 192.0.2.5/24 dev enp0s8",
        );
        let session = "SSH_CONNECTION='192.0.2.77 50000 192.0.2.5 22'";
        let up = format!("{NSLAB} up routed --role host-a --nic enp0s8");
        for line in [format!("{session} {up}"), format!("{session} sh -c 'env -i PATH=$PATH {up}; exit $?'")] {
            let said = sh(&format!("{line} 2>&1 && exit 1 || echo code $?"));
            assert!(said.contains("SSH session comes in by it, from 192.0.2.77") && said.contains("code 4"), "{said}");
            assert!(said.contains("--allow ssh "), "{said}");
            assert!(before == Machine::look(), "something changed");
        }
        // A session by another way is none of this NIC's.
        let other = format!("SSH_CONNECTION='127.0.0.1 50000 127.0.0.1 22' {up} 2>&1");
        sh(&other);
        ok("down");
        before.assert_unchanged("up and down");
    });
}

#[test]
fn a_change_that_nobody_keeps_is_taken_back_and_status_says_so() {
    in_box(|| {
        let before = machine(NIC);
        let wired = network();
        let within = support::limit(1000).as_secs();
        let ran = ok(&format!("{TAKE} --confirm-within {within}"));
        assert!(ran.out.contains("sudo nslab keep bridged"), "{ran}");
        assert!(sh("ip -o -4 addr show dev br0").contains("192.0.2.5/24"), "the address has moved");
        sh("ping -c 1 -W 2 192.0.2.1");
        back(&wired, "nobody kept it");
        assert!(wait_for(10, || watchdog().is_none()));
        let status = nslab("status").expect(1);
        let nobody = format!("Nobody typed nslab keep within {within} s");
        assert!(status.out.contains("was taken back") && status.out.contains(&nobody), "{status}");
        let json = nslab("status --format json").expect(1).json();
        assert_eq!(json["labs"][0]["condition"], "rolled-back");
        assert_eq!(json["labs"][0]["nics"]["state"], "rolled-back");
        let late = fails(6, "keep");
        assert!(late.err.contains("taken back"), "{late}");
        // It can be made once more, and kept.
        ok(&format!("{TAKE} --confirm-within 60"));
        ok("keep");
        ok("status");
        fails(2, "keep");
        ok(TAKE);
        ok("down");
        before.assert_unchanged("down");
        assert_eq!(watchdog(), None);
    });
}

#[test]
fn a_nic_that_nobody_is_reached_by_is_kept_at_once() {
    in_box(|| {
        let before = machine(
            "ip link add enp0s8 type veth peer name far; ip link set far addrgenmode none up; ip link set enp0s8 up
            # The first carrier brings a route that stays, and the kernel tells of its end a second later at most.
            for try in $(seq 100); do ip -6 route show table local dev far | grep -q ff00::/8 && break; sleep 0.1; done
            ip link set enp0s8 down
            for try in $(seq 100); do ip -o link show far | grep -q 'state LOWERLAYERDOWN' && break; sleep 0.1; done",
        );
        let ran = ok("up routed --role host-a --nic enp0s8");
        assert!(!ran.out.contains("keep"), "{ran}");
        assert!(watchdog().is_some(), "it sleeps until the lab goes");
        ok("status");
        ok("down");
        before.assert_unchanged("up and down");
    });
}

#[test]
fn a_neighbour_that_no_longer_answers_undoes_the_change() {
    in_box(|| {
        let before = machine(NIC);
        sh("ping -c 1 -W 2 192.0.2.1; ip -n peer link set far arp off; ip -n peer addr flush dev far");
        let ran = fails(6, TAKE);
        assert!(ran.err.contains("192.0.2.1"), "{ran}");
        assert!(!Path::new("/run/nslab").exists());
        assert_eq!(watchdog(), None);
        before.assert_unchanged("it was undone");
    });
}

/// The points of `up` at which it can be killed.
fn points() -> u32 {
    let points = count_faults(TAKE);
    ok("down");
    points
}

#[test]
fn killed_at_any_point_the_watchdog_puts_the_nic_back() {
    in_box(|| {
        let before = machine(NIC);
        let wired = network();
        for point in 1..=points() {
            let kill = format!("kill@{point}");
            // Half a change is taken back at once, a whole one when nobody keeps it.
            nslab_at(&kill, &format!("{TAKE} --confirm-within 1")).expect(137);
            back(&wired, &kill);
            assert!(wait_for(8, || watchdog().is_none()), "{kill}: the watchdog does not end");
            ok("down bridged");
            before.assert_unchanged(&format!("{kill}, then down"));
        }
    });
}

#[test]
fn with_the_watchdog_killed_as_well_down_puts_the_nic_back() {
    in_box(|| {
        let before = machine(NIC);
        for point in 1..=points() {
            let stop = format!("signal:STOP@{point}");
            let script = format!(
                "NSLAB_FAULT={stop} {NSLAB} {TAKE} >/dev/null 2>&1 & up=$!
                 while ! grep -q '^State:.T' /proc/$up/status; do sleep 0.005; done
                 for each in /proc/[0-9]*; do
                     if tr '\\0' ' ' < $each/cmdline 2>/dev/null | grep -q '^nslab watch-nic'; then kill -9 ${{each#/proc/}}; fi
                 done
                 kill -9 $up; wait $up || true"
            );
            sh(&script);
            assert!(wait_for(5, || watchdog().is_none()));
            ok("down bridged");
            before.assert_unchanged(&format!("{stop}, both killed, then down"));
        }
    });
}

#[test]
fn down_killed_at_any_point_is_healed_by_the_next() {
    in_box(|| {
        let before = machine(NIC);
        ok(TAKE);
        ok("keep");
        for point in 1..=count_faults("down bridged") {
            ok(TAKE);
            ok("keep");
            let kill = format!("kill@{point}");
            nslab_at(&kill, "down bridged").expect(137);
            ok("down bridged");
            before.assert_unchanged(&format!("{kill} of down, then down"));
        }
    });
}

#[test]
fn what_somebody_else_changed_is_left_alone_and_named_by_down() {
    in_box(|| {
        machine(NIC);
        ok(TAKE);
        ok("keep");
        sh("ip addr add 172.16.0.1/24 dev enp0s8; ip link set enp0s8 mtu 1450");
        let ran = ok("down --format json");
        let named = ran.json()["labs"][0]["left_alone"].clone();
        let has = |what: &str, text: &str| named.as_array().unwrap().iter().any(|one| one["what"] == what && one["text"] == text);
        assert!(has("added", "172.16.0.1/24") && has("mtu", "1450"), "{named}");
        let now = sh("ip addr show dev enp0s8; ip route");
        for what in ["172.16.0.1/24", "mtu 1450", "192.0.2.5/24", "default via 192.0.2.1"] {
            assert!(now.contains(what), "{what} is gone:\n{now}");
        }
    });
}

#[test]
fn a_dry_run_shows_the_nic_before_and_after() {
    in_box(|| {
        let before = machine(NIC);
        let ran = ok("up bridged --role host-a --nic enp0s8 --dry-run");
        assert!(ran.out.contains("# enp0s8 now: up; MTU 1500; 192.0.2.5/24"), "{ran}");
        assert!(ran.out.contains("port of br0") && ran.out.contains("--allow default-route,address"), "{ran}");
        assert!(ran.out.contains("default via 192.0.2.1 dev br0"), "{ran}");
        before.assert_unchanged("a dry run");
    });
}

#[test]
fn an_up_that_hangs_is_ended_and_taken_back() {
    in_box(|| {
        let before = machine(NIC);
        let wired = network();
        let half = points() * 3 / 4;
        // Long enough to look on a slow machine.
        let within = support::limit(1000).as_secs();
        sh(&format!("NSLAB_FAULT=signal:STOP@{half} {NSLAB} {TAKE} --confirm-within {within} >/dev/null 2>&1 &"));
        assert!(wait_for(5, || network() != wired), "it has begun");
        back(&wired, "it hung");
        assert!(wait_for(8, || watchdog().is_none()));
        ok("down bridged");
        before.assert_unchanged("it hung, then down");
    });
}

/// What a NIC can have besides, and a second one with an IPv6 default route that a router announced.
const RICH: &str = "
    ip link set enp0s8 mtu 1400
    ip addr add 192.0.2.6/24 dev enp0s8 valid_lft 3000 preferred_lft 2000
    ip addr add 198.51.100.7/25 brd + dev enp0s8 label enp0s8:x noprefixroute
    ip -6 addr add 2001:db8::5/64 dev enp0s8 nodad
    ip route add 198.51.100.0/25 dev enp0s8 src 198.51.100.7 metric 5
    ip route add default via 192.0.2.2 dev enp0s8 table 77
    ip -6 route add 2001:db8:9::/48 via 2001:db8::1 dev enp0s8 metric 50
    ip rule add iif enp0s8 lookup 77
    sysctl -qw net.ipv4.conf.enp0s8.rp_filter=2 net.ipv4.conf.all.accept_redirects=1 net.ipv6.conf.enp0s8.accept_ra=1";

#[test]
fn whatever_the_nic_had_it_has_again_after_either_lab() {
    in_box(|| {
        sh(NIC);
        let before = machine(RICH);
        for lab in ["bridged", "bridged-hosts", "routed"] {
            ok(&format!("up {lab} --role host-a --nic enp0s8 --allow default-route,address"));
            ok("status");
            ok("down");
            before.assert_unchanged(lab);
            ok(&format!("up {lab} --role host-a --nic enp0s8 --allow default-route,address --confirm-within 1"));
            assert!(wait_for(10, || watchdog().is_none()), "nobody kept it");
            ok(&format!("down {lab}"));
            before.assert_unchanged(&format!("{lab}, taken back"));
        }
    });
}

#[test]
fn a_damaged_journal_or_record_loses_nothing_that_can_be_put_back() {
    in_box(|| {
        let before = machine(NIC);
        ok(TAKE);
        sh("echo broken > /run/nslab/bridged/lab.json");
        fails(5, "down bridged");
        before.assert_unchanged("down with a damaged journal");
        ok(TAKE);
        sh("echo broken > /run/nslab/bridged/borrowed.json");
        let ran = fails(5, "down bridged");
        assert!(ran.err.contains("enp0s8 was borrowed"), "{ran}");
        assert!(!Path::new("/run/nslab").exists(), "the rest is gone");
        assert_eq!(watchdog(), None);
    });
}

#[test]
fn a_changed_lab_gives_back_what_was_there_before_the_first_one() {
    in_box(|| {
        let before = machine(NIC);
        ok(TAKE);
        ok("keep");
        let file = |name: &str| {
            let text = sh(&format!("{NSLAB} topology bridged | sed 's/br0/{name}/g'"));
            std::fs::write("/run/lab.yaml", text).unwrap();
        };
        file("br7");
        ok("up /run/lab.yaml");
        ok("keep");
        assert!(sh("ip -o -4 addr show dev br7").contains("192.0.2.5/24"), "{}", sh("ip addr"));
        sh("ping -c 1 -W 2 192.0.2.1");
        // Half of a change is undone: the addresses are where they were.
        file("br8");
        for point in [20, 30, 40] {
            nslab_at(&format!("errno:ENOMEM@{point}"), "up /run/lab.yaml");
            assert!(sh("ip -o -4 addr").contains("192.0.2.5/24"), "{}", sh("ip addr"));
            sh("ping -c 1 -W 2 192.0.2.1");
            assert!(watchdog().is_some(), "it is watched as before");
        }
        ok("down");
        sh("rm /run/lab.yaml");
        before.assert_unchanged("down");
    });
}

#[test]
fn an_up_that_follows_a_killed_one_stays() {
    in_box(|| {
        let before = machine(NIC);
        let points = points();
        for point in (1..=points).step_by(3) {
            let kill = format!("kill@{point}");
            nslab_at(&kill, TAKE).expect(137);
            // The watchdog of the first one is at work, or waits for this one to end.
            ok(TAKE);
            ok("keep");
            assert!(wait_for(8, || watchdogs() == 1), "{kill}: one watchdog, that of the second");
            ok("status");
            assert!(sh("ip -o -4 addr show dev br0").contains("192.0.2.5/24"), "{kill}");
            ok("down bridged");
            before.assert_unchanged(&format!("{kill}, then up, then down"));
        }
    });
}
