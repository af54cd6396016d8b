//! Other people's things beside a lab, and their hands inside it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{Machine, Wiring, canaries, fails, in_box, inside, limit, nodes, nslab, ok, pings, run, running, sh, wait_for};

fn background(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// `up` must refuse with 4 and leave the machine as the script made it.
fn taken(script: &str, undo: &str) {
    sh(script);
    let machine = Machine::look();
    let refused = fails(4, "up bridged");
    assert!(!refused.err.is_empty());
    machine.assert_unchanged(&format!("up beside: {script}"));
    sh(undo);
}

#[test]
fn a_name_that_somebody_else_has_is_an_error_before_anything_is_touched() {
    in_box(|| {
        taken("ip netns add bridged.host-a.a1", "ip netns del bridged.host-a.a1");
        taken("mkdir -p /run/netns; echo mine > /run/netns/bridged.host-b", "rm /run/netns/bridged.host-b");
        taken("mkdir -p /run/netns; ln -s /nowhere /run/netns/bridged.host-a", "rm /run/netns/bridged.host-a");
    });
}

#[test]
fn a_name_taken_while_another_lab_is_up_is_an_error_too() {
    in_box(|| {
        ok("up routed");
        let lab = Wiring::look("routed");
        taken("ip netns add bridged.host-b.b2", "ip netns del bridged.host-b.b2");
        lab.assert_same(&Wiring::look("routed"), "refused labs beside it");
        ok("down routed");
    });
}

#[test]
fn what_a_user_broke_is_told_by_status_mended_by_up_and_no_hindrance_for_down() {
    let breakages = [
        "nsenter --net=/run/netns/bridged.host-a.a1 ip link del eth0",
        "nsenter --net=/run/netns/bridged.host-a ip link del br0",
        "nsenter --net=/run/netns/bridged.host-a.a1 ip addr flush dev eth0",
        "nsenter --net=/run/netns/bridged.host-b ip link set br0 down",
        "nsenter --net=/run/netns/bridged.host-b ip link set enp0s8 nomaster",
        "nsenter --net=/run/netns/bridged.host-b ip link set enp0s8 mtu 1400",
        "umount -n /run/nslab/bridged/netns/host-a.a2",
        "umount -n /run/nslab/bridged/netns/host-b && rm /run/nslab/bridged/netns/host-b",
        "ip netns del bridged.host-b.b1 || true; rm -f /run/netns/bridged.host-b.b1",
    ];
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let lab = Wiring::look("bridged");
        for breakage in breakages {
            ok("up bridged");
            sh(breakage);
            let status = fails(1, "status bridged");
            assert!(!status.out.is_empty(), "{breakage}: {status}");
            ok("up bridged");
            lab.assert_same(&Wiring::look("bridged"), breakage);
            ok("status bridged");
            sh(breakage);
            ok("down bridged");
            machine.assert_unchanged(&format!("{breakage}, then down"));
        }
    });
}

#[test]
fn what_a_user_made_by_hand_is_counted_kept_by_up_and_gone_with_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up routed");
        let net = "nsenter --net=/run/netns/routed";
        sh(&format!(
            "{net}.host-a ip link add mine0 type veth peer name mine1
             {net}.host-a ip addr add 10.77.0.1/24 dev mine0
             {net}.host-a ip link set mine0 up
             {net}.host-a ip link set mine1 up
             {net}.host-a ip route add 10.78.0.0/16 via 10.77.0.2
             {net}.host-a ip route add blackhole 10.79.0.0/16 table 100
             {net}.host-b.b1 nft add table inet mine
             {net}.host-a.a1 ip addr add 10.1.0.99/24 dev eth0"
        ));
        let by_hand = Wiring::look("routed");
        let status = ok("status routed");
        assert!(status.out.contains("by hand"), "{status}");
        ok("up routed");
        by_hand.assert_same(&Wiring::look("routed"), "up over what was made by hand");
        let lines = ok("plan routed --by-hand").out;
        for part in ["mine0", "10.77.0.1/24", "10.78.0.0/16", "10.1.0.99/24"] {
            assert!(lines.contains(part), "`{part}` is missing in plan --by-hand:\n{lines}");
        }
        ok("down routed");
        machine.assert_unchanged("down with things made by hand");
    });
}

#[test]
fn cables_made_by_hand_alike_in_two_hosts_are_told_apart() {
    in_box(|| {
        ok("up bare");
        for (host, container) in [("host-a", "a1"), ("host-b", "b1")] {
            sh(&format!(
                "nsenter --net=/run/netns/bare.{host} ip link add br7 type bridge
                 nsenter --net=/run/netns/bare.{host} ip link add v1 type veth peer name eth0 netns /run/netns/bare.{host}.{container}"
            ));
        }
        let lines = ok("plan bare --by-hand").out;
        for (host, container) in [("host-a", "a1"), ("host-b", "b1")] {
            let pair = format!("ip -n bare.{host} link add v1 type veth peer name eth0 netns bare.{host}.{container}\n");
            assert!(lines.contains(&pair), "not there: {pair}{lines}");
        }
        assert!(lines.contains("ip -n bare.host-a link add br7 type bridge\n"), "more than was typed:\n{lines}");
        ok("down bare");
    });
}

#[test]
fn processes_that_will_not_go_are_ended_by_down() {
    let stubborn = [
        "exec a1 -- sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1; done'",
        "exec a1 -- sh -c 'setsid sh -c \"setsid sleep 1000 & sleep 1000\" & sleep 1000'",
        "exec host-a -- sh -c 'i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done; wait'",
        "exec b1 -- sh -c 'while :; do sleep 0.01 & wait; done'",
    ];
    in_box(|| {
        canaries();
        let machine = Machine::look();
        for command in stubborn {
            ok("up bridged");
            let child = background(&format!("exec {} {command}", env!("CARGO_BIN_EXE_nslab")));
            assert!(wait_for(5, || running("sleep") > 0), "{command} does not start");
            let down = ok("down bridged");
            assert!(down.took < limit(6000), "{down}");
            end(child);
            machine.assert_unchanged(command);
        }
    });
}

#[test]
fn a_daemon_left_in_a_node_lives_until_down() {
    in_box(|| {
        let machine = Machine::look();
        ok("up bridged");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
        run(command.args(["exec", "a1", "--", "sh", "-c", "setsid sleep 1234 >/dev/null 2>&1 </dev/null &"])).expect(0);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(running("sleep 1234"), 1, "the daemon ended with the command that started it");
        ok("down bridged");
        machine.assert_unchanged("down with a daemon");
    });
}

#[test]
fn a_namespace_held_open_from_outside_does_not_hinder_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let holder = background("exec sleep 1000 7</run/nslab/bridged/netns/host-a.a1 8</run/nslab/bridged/netns/host-a");
        assert!(wait_for(5, || sh(&format!("ls /proc/{}/fd", holder.id())).contains('8')));
        let down = nslab("down bridged");
        assert!([0, 5].contains(&down.code), "{down}");
        end(holder);
        machine.assert_unchanged("down with a held namespace");
    });
}

#[test]
fn a_second_pin_of_a_namespace_does_not_hinder_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        sh("mount -n --bind /run/nslab/bridged/netns/host-a /run/nslab/bridged/netns/host-a; touch /run/pin
            mount -n --bind /run/nslab/bridged/netns/host-b /run/pin");
        let down = nslab("down bridged");
        assert_eq!(down.code, 0, "{down}");
        let left = sh("nsenter --net=/run/pin ip -o link");
        assert_eq!(left.lines().count(), 1, "links outlive the lab in a namespace that somebody kept:\n{left}");
        sh("umount -n /run/pin; rm /run/pin");
        machine.assert_unchanged("down with second pins");
    });
}

#[test]
fn a_private_copy_of_the_mounts_does_not_keep_a_lab_alive() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let service = background("exec unshare -m --propagation private sleep 1000");
        let mounts = format!("cat /proc/{}/mountinfo", service.id());
        let own =
            format!("[ \"$(readlink /proc/{}/ns/mnt)\" != \"$(readlink /proc/self/ns/mnt)\" ] && echo own || true", service.id());
        assert!(wait_for(5, || sh(&own).contains("own")), "unshare does not start");
        assert!(sh(&mounts).contains("/run/nslab/bridged/netns/"), "the copy has no pins: the test shows nothing");
        ok("down bridged");
        assert!(!sh(&mounts).contains("/netns/host"), "pins live on in the copy:\n{}", sh(&mounts));
        end(service);
        machine.assert_unchanged("down with a private copy of the mounts");
    });
}

/// What other software does to a machine's own namespace, and how it is undone.
const MEDDLING: [(&str, &str); 5] = [
    ("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP", "iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT"),
    (
        "nft add table inet fw; nft add chain inet fw f '{ type filter hook forward priority 0; policy drop; }'",
        "nft delete table inet fw",
    ),
    (
        "for f in /proc/sys/net/bridge/bridge-nf-call-*; do echo 1 > $f; done",
        "for f in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > $f; done",
    ),
    ("echo 1 > /proc/sys/net/ipv4/ip_forward", "echo 0 > /proc/sys/net/ipv4/ip_forward"),
    (
        "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done",
        "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done",
    ),
];

/// Which container reaches which, as a table of answers.
fn answers(lab: &str) -> Vec<(String, String, bool)> {
    let containers: Vec<String> = nodes(lab).into_iter().filter(|node| node.contains('.')).collect();
    let mut found = Vec::new();
    for to in &containers {
        let shown = inside(lab, to, "ip -o -4 addr show scope global").expect(0).out;
        let Some(ip) = shown.split_whitespace().nth(3).and_then(|prefix| prefix.split('/').next()) else { continue };
        for from in containers.iter().filter(|from| *from != to) {
            found.push((from.clone(), to.clone(), pings(lab, from, ip)));
        }
    }
    found
}

#[test]
fn a_firewall_or_a_setting_of_the_machine_before_or_after_up_changes_no_answer() {
    in_box(|| {
        let usual = |lab: &str| {
            ok(&format!("up {lab}"));
            let found = answers(lab);
            ok(&format!("down {lab}"));
            assert!(found.len() >= 12 && found.iter().all(|(_, _, answered)| *answered), "{found:?}");
            found
        };
        let labs = ["bridged", "routed"].map(|lab| (lab, usual(lab)));
        let wiring = labs.clone().map(|(lab, _)| {
            ok(&format!("up {lab}"));
            let wiring = Wiring::look(lab);
            ok(&format!("down {lab}"));
            wiring
        });
        for (meddle, undo) in MEDDLING {
            for ((lab, answers_before), wiring) in labs.iter().zip(&wiring) {
                ok(&format!("up {lab}"));
                sh(meddle);
                assert_eq!(&answers(lab), answers_before, "{lab}, after up: {meddle}");
                ok(&format!("down {lab}"));
                ok(&format!("up {lab}"));
                assert_eq!(&answers(lab), answers_before, "{lab}, before up: {meddle}");
                wiring.assert_same(&Wiring::look(lab), meddle);
                ok(&format!("down {lab}"));
                sh(undo);
            }
        }
    });
}
