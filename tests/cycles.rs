//! Again and again, and many at once: nothing leaks and nobody takes another's lab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Child;
use std::time::{Duration, Instant};

use support::{Machine, Wiring, canaries, in_box, nslab_at, ok, pings, run, sh, spawn, wait_for};

fn all_succeed(children: Vec<Child>, what: &str) {
    let codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    assert!(codes.iter().all(|code| *code == Some(0)), "{what}: {codes:?}");
}

#[test]
fn two_hundred_times_up_and_down_leak_nothing() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        for _ in 0..200 {
            ok("up bridged");
            ok("down bridged");
        }
        machine.assert_unchanged("200 cycles");
    });
}

#[test]
fn two_hundred_times_up_and_down_leak_no_namespace() {
    // The kernel's own count says it: in a user namespace that may have 150 network namespaces, 200 labs of 6 fit only if all are freed.
    in_box(|| {
        let script = "mount -t tmpfs tmpfs /run; echo 150 > /proc/sys/user/max_net_namespaces
            for i in $(seq 200); do
              for try in $(seq 300); do \"$NSLAB\" up bridged 2>/run/why && break; grep -q max_net_namespaces /run/why || exit 90; sleep 0.1; done
              \"$NSLAB\" down bridged
            done
            echo cycles: $i";
        let mut command = std::process::Command::new("unshare");
        command.args(["-Urnm", "--propagation", "private", "timeout", "300", "sh", "-euc", script]);
        let out = command.env("NSLAB", env!("CARGO_BIN_EXE_nslab")).env_remove("RUST_BACKTRACE").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success() && said.contains("cycles: 200"),
            "{}: {said}{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    });
}

#[test]
fn twenty_labs_live_side_by_side() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        for _ in 0..3 {
            all_succeed((0..20).map(|n| spawn(&format!("up bridged --name lab{n}"))).collect(), "20 times up");
            ok("up bridged");
            let lab = Wiring::look("bridged");
            for n in 0..20 {
                lab.assert_same(&Wiring::look(&format!("lab{n}")), "20 times up");
                ok(&format!("status lab{n}"));
            }
            all_succeed((0..20).filter(|n| n % 2 == 0).map(|n| spawn(&format!("down lab{n}"))).collect(), "10 times down");
            for n in (0..20).filter(|n| n % 2 == 1) {
                lab.assert_same(&Wiring::look(&format!("lab{n}")), "its neighbours went down");
            }
            ok("down --all");
            machine.assert_unchanged("20 labs");
        }
    });
}

#[test]
fn twenty_first_starts_at_once_share_one_place() {
    in_box(|| {
        let machine = Machine::look();
        for round in 0..10 {
            all_succeed((0..20).map(|n| spawn(&format!("up bare --name lab{n}"))).collect(), "20 first starts");
            assert_eq!(sh("grep -c ' /run/nslab ' /proc/self/mountinfo").trim(), "1", "round {round}");
            all_succeed((0..20).map(|n| spawn(&format!("down lab{n}"))).collect(), "20 last ends");
            machine.assert_unchanged(&format!("round {round} of 20 first starts"));
        }
    });
}

#[test]
fn the_same_lab_brought_up_twice_at_once_is_one_lab() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let lab = Wiring::look("bridged");
        ok("down bridged");
        for _ in 0..50 {
            all_succeed(vec![spawn("up bridged"), spawn("up bridged")], "two times up");
            lab.assert_same(&Wiring::look("bridged"), "two times up");
            all_succeed(vec![spawn("down bridged"), spawn("down bridged")], "two times down");
            machine.assert_unchanged("two times down");
        }
    });
}

#[test]
fn up_and_down_of_one_lab_at_once_end_with_a_lab_or_without() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up routed");
        let lab = Wiring::look("routed");
        for turn in 0..50_u64 {
            let first = spawn("down routed");
            std::thread::sleep(Duration::from_micros(turn * 300));
            all_succeed(vec![first, spawn("up routed")], "down beside up");
            let status = support::nslab("status routed");
            if status.code == 0 {
                lab.assert_same(&Wiring::look("routed"), "down beside up");
            } else {
                machine.assert_unchanged(&format!("down beside up\n{status}"));
            }
            ok("up routed");
        }
        ok("down routed");
        machine.assert_unchanged("50 races");
    });
}

#[test]
fn a_stopped_holder_of_the_lock_is_named_after_five_seconds() {
    in_box(|| {
        let mut stopped = std::process::Command::new(env!("CARGO_BIN_EXE_nslab"))
            .args(["up", "bridged"])
            .env("NSLAB_FAULT", "signal:STOP@8")
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let state = format!("/proc/{}/stat", stopped.id());
        assert!(wait_for(10, || std::fs::read_to_string(&state).unwrap().contains(") T ")), "it does not stop");
        let began = Instant::now();
        let second = support::fails(4, "up bridged");
        let waited = began.elapsed().as_secs_f64();
        assert!((4.0..9.0).contains(&waited), "waited {waited} s");
        assert!(second.err.contains(&stopped.id().to_string()), "the holder is not named: {second}");
        sh(&format!("kill -CONT {}", stopped.id()));
        assert!(stopped.wait().unwrap().success());
        ok("status bridged");
        ok("down bridged");
    });
}

#[test]
fn the_lock_is_free_while_a_command_runs_in_a_node() {
    in_box(|| {
        let machine = Machine::look();
        ok("up bridged");
        let mut busy = spawn("exec a1 sleep 1000");
        std::thread::sleep(Duration::from_millis(500));
        let again = ok("up bridged");
        assert!(again.took < Duration::from_secs(3), "{again}");
        assert!(pings("bridged", "host-a.a1", "10.0.0.13") || !sh("ip netns list").is_empty());
        let down = ok("down bridged");
        assert!(down.took < Duration::from_secs(6), "{down}");
        assert!(!busy.wait().unwrap().success(), "the command in the node outlived the lab");
        machine.assert_unchanged("down with a command running");
    });
}

#[test]
fn no_file_descriptor_is_handed_to_a_command_but_the_first_three() {
    in_box(|| {
        ok("up bridged");
        let mut command = std::process::Command::new("sh");
        command.args([
            "-c",
            "exec 7</dev/null 8</dev/null; exec \"$0\" exec a1 -- sh -c 'ls /proc/$$/fd'",
            env!("CARGO_BIN_EXE_nslab"),
        ]);
        let ran = run(&mut command).expect(0);
        let open: Vec<_> = ran.out.split_whitespace().collect();
        assert_eq!(open, ["0", "1", "2"], "{ran}");
        ok("down bridged");
    });
}

#[test]
fn a_kill_while_others_wait_for_the_lock_stops_nobody() {
    in_box(|| {
        let machine = Machine::look();
        for point in [3, 9, 15] {
            let waiting = spawn("up bridged");
            let killed = nslab_at(&format!("kill@{point}"), "up bridged");
            assert!([0, 137].contains(&killed.code), "{killed}");
            all_succeed(vec![waiting, spawn("up bridged")], "up beside a kill");
            ok("status bridged");
            ok("down bridged");
        }
        machine.assert_unchanged("three kills");
    });
}
