//! What two halves of a lab say to each other: here two boxes with a cable, or a switch, between their NICs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nslab::kernel::packet::{Buffer, Tap};
use serde_json::Value;
use support::other::{Other, cable};
use support::{ifindex, in_box, nslab, ok, sh, wait_for};

const HOST_A: &str = "--role host-a --nic enp0s8";
const HOST_B: &str = "--role host-b --nic eth1";

/// What this machine's half knows of the others.
fn others(status: &str) -> Value {
    let status: Value = serde_json::from_str(status).unwrap();
    status["labs"][0]["half"]["others"].clone()
}

fn here(lab: &str) -> Value {
    others(&nslab(&format!("--format json status {lab}")).out)
}

fn there(other: &Other, lab: &str) -> Value {
    others(&other.sh(&format!("{} --format json status {lab} || [ $? = 1 ]", env!("CARGO_BIN_EXE_nslab"))))
}

fn what(others: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let each = others["findings"].as_array().unwrap().iter();
    each.map(|finding| match &finding["frames"] {
        Value::String(frames) => format!("{} {frames} {}", word(&finding["what"]), word(&finding["way"])),
        _ => word(&finding["what"]),
    })
    .collect()
}

fn hosts(others: &Value) -> Vec<&str> {
    others["answers"].as_array().unwrap().iter().map(|answer| answer["host"].as_str().unwrap()).collect()
}

#[test]
fn each_half_learns_whether_the_other_is_there() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        let first = ok(&format!("up bridged {HOST_A}")).out;
        assert!(first.contains("No machine answers for host-b yet"), "{first}");
        let second = other.ok(&format!("up bridged {HOST_B}"));
        assert!(second.contains("host-a is played by the machine ") && second.contains("nslab ping b1 a1\n"), "{second}");
        assert!(other.ok("ping b1 a1 -c 1").contains("1 answered"));
        let mac = other.sh("ip -o link show eth1");
        let (a, b) = (here("bridged"), there(&other, "bridged"));
        assert_eq!((hosts(&a), hosts(&b)), (vec!["host-b"], vec!["host-a"]));
        assert_eq!((what(&a), what(&b)), (vec![], vec![]), "{a}\n{b}");
        assert_eq!(a["answers"][0]["hostname"], "other");
        assert!(mac.contains(a["answers"][0]["mac"].as_str().unwrap()), "{a}\n{mac}");
        other.ok("down bridged");
        let alone = ok("status bridged").out;
        assert!(alone.contains("No machine answers for host-b yet"), "{alone}");
        ok("down bridged");
    });
}

#[test]
fn a_clone_is_told_by_each_of_its_marks_with_the_cure() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        let mac = sh("ip -o link show enp0s8 | sed 's/.*ether \\([^ ]*\\).*/\\1/'");
        other.sh(&format!("ip link set eth1 address {mac}"));
        other.sh(&format!("hostname {}", sh("uname -n")));
        other.sh("if [ -e /etc/machine-id ]; then umount /etc/machine-id; fi");
        ok(&format!("up bridged {HOST_A}"));
        let said = other.ok(&format!("up bridged {HOST_B}"));
        let mut marks = vec!["mac", "hostname"];
        let mut cures = vec!["--macaddress2 auto", "hostnamectl set-hostname"];
        if std::fs::read_to_string("/etc/machine-id").is_ok_and(|id| !id.trim().is_empty()) {
            marks.insert(1, "machine");
            cures.push("systemd-machine-id-setup");
        }
        for cure in cures {
            assert!(said.contains(cure), "{cure}\n{said}");
        }
        assert_eq!(what(&here("bridged")), marks);
        ok("down bridged");
        other.ok("down bridged");
    });
}

#[test]
fn two_machines_in_one_role_are_told() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        ok(&format!("up routed {HOST_A}"));
        let said = other.ok("up routed --role host-a --nic eth1");
        assert!(said.contains("The machine ") && said.contains("plays host-a, too") && said.contains("--role host-b"), "{said}");
        assert_eq!(what(&here("routed"))[0], "role");
        assert_eq!(here("routed")["silent"][0], "host-b");
        ok("down routed");
        other.ok("down routed");
    });
}

#[test]
fn halves_of_different_files_and_names_are_told() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        ok(&format!("up bridged {HOST_A}"));
        other.sh(&format!("{} topology bridged | sed s/10.0.0.22/10.0.0.23/ >/run/bridged.yaml", env!("CARGO_BIN_EXE_nslab")));
        let said = other.ok(&format!("up /run/bridged.yaml {HOST_B}"));
        assert!(said.contains("from another file"), "{said}");
        assert_eq!(what(&here("bridged")), ["file"]);
        other.ok("down bridged");
        let said = other.ok(&format!("up bridged {HOST_B} --name monday"));
        assert!(said.contains("plays host-a of a lab bridged, not of monday") && said.contains("--name monday"), "{said}");
        let a = here("bridged");
        assert_eq!((what(&a), &a["silent"][0]), (vec!["lab".to_owned()], &Value::from("host-b")));
        other.ok("down monday");
        // What is launched on one of them is no other file.
        other.ok(&format!("up bridged {HOST_B}"));
        other.ok("launch host-b/extra");
        assert_eq!(what(&here("bridged")), Vec::<String>::new());
        other.ok("down bridged");
        ok("down bridged");
    });
}

#[test]
fn what_the_network_between_them_drops_is_told_with_its_direction() {
    in_box(|| {
        let other = Other::boot();
        // A switch between the two.
        sh(&format!(
            "ip link add enp0s8 type veth peer name p1; ip link add p2 type veth peer name eth1 netns {}
            ip link add sw0 type bridge forward_delay 0 mcast_snooping 0; ip link set sw0 addrgenmode none
            for port in p1 p2; do ip link set $port addrgenmode none master sw0 up; done; ip link set sw0 up",
            other.pid()
        ));
        let mac = other.sh("ip -o link show eth1 | sed 's/.*ether \\([^ ]*\\).*/\\1/'");
        ok(&format!("up bridged {HOST_A}"));
        other.ok(&format!("up bridged {HOST_B}"));
        assert_eq!((what(&here("bridged")), what(&there(&other, "bridged"))), (vec![], vec![]));
        // As VirtualBox with promiscuous mode Deny: unicast reaches only the NIC's own address.
        sh(&format!("bridge link set dev p2 flood off learning off
            bridge fdb show br sw0 | grep -v permanent | while read -r mac rest; do bridge fdb del $mac dev p2 master 2>/dev/null || :; done
            bridge fdb add {} dev p2 master static", mac.trim()));
        let (a, b) = (here("bridged"), there(&other, "bridged"));
        assert_eq!((what(&a), what(&b)), (vec!["lost to-guest out".to_owned()], vec!["lost to-guest in".to_owned()]));
        let said = ok("status bridged").out;
        assert!(
            said.contains("Let the adapter of the machine of host-b take them") && said.contains("nicpromisc2 allow-all"),
            "{said}"
        );
        sh("bridge link set dev p2 flood on learning on");
        // A link of less than a full frame.
        sh("ip link set p2 mtu 1300");
        let a = here("bridged");
        assert_eq!(what(&a), ["lost full in", "lost full out"]);
        assert_eq!(a["findings"][0]["mtu"], 1500);
        sh("ip link set p2 mtu 1500");
        // As VMware without forged transmits.
        sh(&format!(
            "nft 'table netdev vmware {{ chain in {{ type filter hook ingress device p2 priority 0; ether saddr != {} drop; }}; }}'",
            mac.trim()
        ));
        assert_eq!(what(&here("bridged")), ["lost from-guest in"]);
        let said = other.ok("status bridged");
        assert!(said.contains("Let the adapter of this machine send them"), "{said}");
        sh("nft delete table netdev vmware");
        other.sh("ip link set eth1 mtu 1400");
        assert_eq!(what(&here("bridged")), ["mtu"]);
        other.sh("ip link set eth1 mtu 1500");
        assert_eq!(what(&here("bridged")), Vec::<String>::new());
        ok("down bridged");
        other.ok("down bridged");
    });
}

/// The frames of halves on `enp0s8`.
fn listen() -> Tap {
    let everything = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: u32::MAX }];
    Tap::open(Path::new("/proc/self/ns/net"), Some(ifindex("enp0s8")), &everything, Buffer::Queue(4 << 20)).unwrap()
}

/// The kind of a half's frame that came in: 0 a question, 1 an answer, 2 a trial.
fn kinds(tap: &mut Tap, outgoing: bool) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    tap.read(&mut |seen| {
        if seen.outgoing == outgoing && seen.bytes.get(12..18) == Some(b"\x88\xb5nsl2") {
            found.push((seen.bytes[19], seen.bytes.to_vec()));
        }
    })
    .unwrap();
    found
}

#[test]
fn a_storm_of_questions_or_garbage_gets_few_answers_and_hurts_nobody() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        ok(&format!("up bridged {HOST_A}"));
        other.ok(&format!("up bridged {HOST_B}"));
        let mut tap = listen();
        here("bridged");
        let sent = kinds(&mut tap, true);
        let question = sent.iter().find(|(kind, _)| *kind == 0).unwrap().1.clone();
        let began = Instant::now();
        for number in 0..2000_usize {
            let mut frame = question.clone();
            if number % 2 == 1 {
                // Cut, and of other bytes.
                frame.truncate(14 + number % (question.len() - 14));
                frame.resize(60, 0);
                frame.iter_mut().skip(18 + number % 40).for_each(|byte| *byte ^= number.to_le_bytes()[0]);
            }
            while nix::unistd::write(tap.as_fd(), &frame).is_err() {}
        }
        std::thread::sleep(Duration::from_millis(1500));
        let answers = kinds(&mut tap, false).iter().filter(|(kind, _)| *kind == 1).count();
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
        assert!((1..=20 * seconds).contains(&answers), "{answers} answers");
        assert!(wait_for(5, || hosts(&here("bridged")) == ["host-b"]));
        ok("down bridged");
        other.ok("down bridged");
    });
}

#[test]
fn up_gives_a_half_its_voice_back() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        ok(&format!("up bridged {HOST_A}"));
        other.ok(&format!("up bridged {HOST_B}"));
        sh("kill -9 $(ss -xlpH src /run/nslab/bridged/watch | sed 's/.*pid=\\([0-9]*\\).*/\\1/')");
        assert_eq!(there(&other, "bridged")["silent"][0], "host-a");
        let again = ok("up bridged").out;
        assert!(again.contains("already up"), "{again}");
        assert_eq!(hosts(&there(&other, "bridged")), ["host-a"]);
        ok("down bridged");
        other.ok("down bridged");
    });
}
