//! Interface indices: what somebody takes, before nslab or between two of its steps, is no fault of the lab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Wiring, count_faults, in_box, inside, ok, sh, wait_for};

/// A script that gives the next indices of every namespace of a lab to devices of somebody's own.
fn take(lab: &str) -> String {
    let three = "link add type bridge\\n".repeat(3);
    format!(
        "for pin in /run/nslab/{lab}/netns/*; do
           printf '{three}' | nsenter --net=$pin ip -batch - 2>/dev/null || true
         done"
    )
}

/// Runs nslab, which stops at that point, where somebody takes indices, and goes on.
fn interrupted(point: u32, words: &str, lab: &str) {
    let mut nslab = Command::new(env!("CARGO_BIN_EXE_nslab"))
        .args(words.split_whitespace())
        .env("NSLAB_FAULT", format!("signal:STOP@{point}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stat = format!("/proc/{}/stat", nslab.id());
    let mut ended = false;
    let stopped = || {
        ended = nslab.try_wait().unwrap().is_some();
        ended || std::fs::read_to_string(&stat).unwrap().contains(") T ")
    };
    assert!(wait_for(20, stopped), "{words} neither stops at {point} nor ends");
    if !ended {
        sh(&format!("{}; kill -CONT {}", take(lab), nslab.id()));
    }
    let ran = nslab.wait_with_output().unwrap();
    assert!(ran.status.success(), "{words}, with indices taken at {point}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// What the others made is as they made it; it goes. Says how many links of the lab have another index than usual.
fn others_go(lab: &str, usual: &[(String, String)]) -> usize {
    let now = self::usual(lab);
    sh(&format!(
        "for pin in /run/nslab/{lab}/netns/*; do nsenter --net=$pin sh -euc '
           for dev in $(ip -o link show type bridge | grep -o \" bridge[0-9]*\"); do
             said=$(ip -o link show dev $dev up; ip -o addr show dev $dev; ip -o link show master $dev)
             [ -z \"$said\" ] || {{ echo \"$0: somebody has a $dev that was given something: $said\" >&2; exit 1; }}
             ip link del $dev
           done' $pin
         done"
    ));
    usual.iter().filter(|link| !now.contains(link)).count()
}

/// Each link of a lab as `NAME INDEX`, by its node.
fn usual(lab: &str) -> Vec<(String, String)> {
    let links = |node: String| {
        let out = inside(lab, &node, "ip -o link | sed 's/^\\([0-9]*\\): \\([^:@]*\\).*/\\2 \\1/'").expect(0).out;
        out.lines().map(|line| (node.clone(), line.to_owned())).collect::<Vec<_>>()
    };
    support::nodes(lab).into_iter().flat_map(links).collect()
}

#[test]
fn up_does_not_mind_who_takes_an_index_between_two_of_its_steps() {
    in_box(|| {
        ok("up routed");
        let (lab, usual) = (Wiring::look("routed"), usual("routed"));
        assert!(usual.iter().any(|(node, link)| node.contains('.') && link == "eth0 2"), "the first indices: {usual:?}");
        ok("down routed");
        let points = count_faults("up routed");
        ok("down routed");
        let mut moved = 0;
        for point in (1..=points).step_by(2) {
            interrupted(point, "up routed", "routed");
            moved += others_go("routed", &usual);
            lab.assert_same(&Wiring::look("routed"), &format!("up with indices taken at {point}"));
            assert!(ok("status routed").out.contains("as described"));
            ok("down routed");
        }
        assert!(moved > 0, "no index was taken that nslab would have given");
    });
}

#[test]
fn launch_and_restart_do_not_mind_who_takes_an_index_between_two_of_their_steps() {
    in_box(|| {
        ok("up bare-lxd");
        ok("launch host-a/a3");
        let lab = Wiring::look("bare-lxd");
        let usual = usual("bare-lxd");
        let points = count_faults("restart a3");
        let mut moved = 0;
        for point in 1..=points {
            interrupted(point, "restart a3", "bare-lxd");
            moved += others_go("bare-lxd", &usual);
            lab.assert_same(&Wiring::look("bare-lxd"), &format!("restart with indices taken at {point}"));
        }
        ok("delete --force a3");
        let points = count_faults("launch host-a/a3");
        ok("delete --force a3");
        for point in (1..=points).step_by(2) {
            interrupted(point, "launch host-a/a3", "bare-lxd");
            moved += others_go("bare-lxd", &usual);
            assert!(ok("status bare-lxd").out.contains("as described"));
            ok("delete --force a3");
        }
        assert!(moved > 0, "no index was taken that nslab would have given");
        ok("down");
    });
}

#[test]
fn no_index_that_somebody_chose_is_in_the_way() {
    in_box(|| {
        ok("up bare-lxd");
        let next = || {
            inside("bare-lxd", "host-a", "ip -o link | cut -d: -f1 | sort -n | tail -1")
                .expect(0)
                .out
                .trim()
                .parse::<u32>()
                .unwrap()
                + 1
        };
        let make = |name: &str, index: u32| {
            inside("bare-lxd", "host-a", &format!("ip link add name {name} index {index} type bridge")).expect(0);
        };
        make("mine", next() + 1);
        ok("launch host-a/a3");
        make("most", i32::MAX.unsigned_abs());
        ok("launch host-a/a4");
        ok("restart a3");
        ok("exec a3 ping -c 1 -W 1 10.155.10.1");
        ok("exec a4 ping -c 1 -W 1 10.155.10.1");
        let status = ok("status").out;
        assert!(status.contains("as described") && status.contains('2'), "{status}");
        ok("reset --yes");
        assert_eq!(inside("bare-lxd", "host-a", "ip link show mine; ip link show most").code, 1);
        ok("down");
        assert!(!Path::new("/run/nslab/bare-lxd").exists());
    });
}
