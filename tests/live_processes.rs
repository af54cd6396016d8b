//! The end of processes in nodes, whatever they do against it. Needs root, for a box to work in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Machine, Ran, fails, in_box, limit, nslab, ok, run, sh, spawn, wait_for};

/// Ignores what can be ignored, and detaches from its parents.
const STUBBORN: &str = "trap '' TERM HUP INT; (setsid sh -c 'sleep 999; true' >/dev/null 2>&1 &)";

fn exec(node: &str, script: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    run(command.args(["exec", node, "sh", "-c", script]).stdin(Stdio::null()))
}

/// The numbers of the processes whose command line begins so.
fn named(words: &str) -> Vec<i32> {
    let number = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).replace('\0', " ").starts_with(words).then_some(pid)
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(number).collect()
}

/// A process in a node's network namespace that no sandbox holds.
fn outside(pin: &str, program: &[&str]) -> Child {
    let net = format!("--net=/run/nslab/bridged/netns/{pin}");
    let quiet = Stdio::null;
    Command::new("nsenter").arg(net).args(program).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap()
}

#[test]
fn down_ends_every_process_whatever_it_ignores() {
    in_box(|| {
        sh("mkdir -p /run/netns /run/lock");
        let before = Machine::look();
        ok("up bridged");
        exec("a1", STUBBORN).expect(0);
        exec("a1", "sleep 998 >/dev/null 2>&1 &").expect(0);
        exec("host-a", "ip netns add x; ip netns exec x sleep 997 >/dev/null 2>&1 &").expect(0);
        let mut stopped = outside("host-b", &["sh", "-c", "kill -STOP $$; sleep 996"]);
        let mut stubborn = outside("host-b.b1", &["sh", "-c", STUBBORN]);
        stubborn.wait().unwrap();
        assert!(wait_for(5, || named("sleep 999").len() == 2 && named("sleep 997").len() == 1));
        let ran = ok("down");
        assert!(ran.took > Duration::from_secs(1), "nobody was asked first: {ran}");
        for words in ["sleep 99", "sh -c sleep 999", "nslab: init of"] {
            assert_eq!(named(words), [0; 0], "{words} lives");
        }
        assert!(ran.out.contains("sleep 999") || ran.err.contains("sleep 999"), "it does not say what it ended: {ran}");
        stopped.wait().unwrap();
        before.assert_unchanged("down");
    });
}

#[test]
fn down_is_quick_where_processes_end_when_asked() {
    in_box(|| {
        ok("up bridged");
        for node in ["a1", "a2", "b1", "b2", "host-a", "host-b"] {
            exec(node, "sleep 999 >/dev/null 2>&1 &").expect(0);
        }
        let ran = ok("down");
        assert!(ran.took < limit(1800), "somebody waited for SIGKILL: {ran}");
        assert_eq!(named("sleep 999"), [0; 0]);
    });
}

#[test]
fn down_catches_a_process_that_forks_for_ever() {
    in_box(|| {
        ok("up bridged");
        // Each generation lives for a moment only: its number is gone before it can be looked at.
        let fork = "trap '' TERM HUP; f() { sh -c 'trap \"\" TERM HUP; exec sh /run/fork' & }; f";
        fs::write("/run/fork", fork).unwrap();
        let mut child = outside("host-a", &["sh", "/run/fork"]);
        child.wait().unwrap();
        sleep(Duration::from_millis(200));
        ok("down");
        assert!(wait_for(5, || named("sh /run/fork").is_empty() && named("sh -c trap").is_empty()));
    });
}

#[test]
fn down_ends_more_processes_than_it_may_open_files() {
    in_box(|| {
        ok("up bridged");
        let many = "for i in $(seq 150); do sleep 999 & done; trap '' TERM HUP; for i in $(seq 50); do sleep 998 & done";
        outside("host-a", &["sh", "-c", many]).wait().unwrap();
        assert!(wait_for(10, || named("sleep 99").len() == 200));
        let limited = format!("ulimit -n 40; exec {} down", env!("CARGO_BIN_EXE_nslab"));
        run(Command::new("sh").args(["-c", &limited])).expect(0);
        assert_eq!(named("sleep 99"), [0; 0]);
    });
}

#[test]
fn down_does_not_end_the_shell_that_it_was_typed_in() {
    in_box(|| {
        ok("up bridged");
        let script = format!("{} down && echo still here", env!("CARGO_BIN_EXE_nslab"));
        let ran = run(Command::new("nsenter").args(["--net=/run/nslab/bridged/netns/host-a", "sh", "-c", &script])).expect(0);
        assert!(ran.out.contains("still here"), "{ran}");
    });
}

#[test]
fn a_private_copy_of_the_mounts_keeps_nothing_alive() {
    in_box(|| {
        ok("up bridged");
        // Goes with the namespace that its other end is in.
        sh("ip link add canary type veth peer name c9 netns bridged.host-a.a1");
        let quiet = Stdio::null;
        let private = || {
            let mut command = Command::new("unshare");
            command.args(["-m", "--propagation", "private", "sleep", "900"]).stdout(quiet()).stderr(quiet()).spawn().unwrap()
        };
        let mut services = vec![private()];
        exec("a1", "sleep 999 >/dev/null 2>&1 &").expect(0);
        exec("host-a", "ip netns add x").expect(0);
        services.push(private());
        sleep(Duration::from_millis(100));
        ok("down");
        let gone = wait_for(30, || !sh("ip -br link").contains("canary"));
        for service in &mut services {
            let _ = (service.kill(), service.wait());
        }
        assert!(gone, "something still holds the namespace");
    });
}

#[test]
fn nslab_killed_while_it_makes_a_sandbox_leaves_nothing() {
    in_box(|| {
        ok("up bridged");
        ok("exec a2 true");
        assert!(wait_for(5, || named("nslab: init of").is_empty()));
        let before = sh("wc -l < /proc/self/mountinfo");
        for round in 0..60 {
            let mut child = spawn("exec a1 true");
            sleep(Duration::from_micros(200 * round));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        ok("exec a1 true");
        assert!(wait_for(5, || named("nslab: init of").is_empty()), "an init stayed: {:?}", named("nslab: init of"));
        assert_eq!(sh("wc -l < /proc/self/mountinfo"), before);
    });
}

#[test]
fn a_killed_init_is_replaced() {
    in_box(|| {
        ok("up bridged");
        exec("a1", "sleep 999 >/dev/null 2>&1 &").expect(0);
        let init = named("nslab: init of bridged/host-a.a1");
        assert_eq!(init.len(), 1);
        sh(&format!("kill -9 {}", init[0]));
        assert_eq!(exec("a1", "hostname").expect(0).out, "a1\n");
        assert!(wait_for(5, || named("sleep 999").is_empty()), "its processes outlived it");
    });
}

#[test]
fn commands_race_with_down_and_leave_nothing() {
    in_box(|| {
        sh("mkdir -p /run/netns /run/lock");
        let before = Machine::look();
        for round in 0..10 {
            ok("up bridged");
            let mut children: Vec<Child> = (0..4).map(|_| spawn("exec a1 sleep 999")).collect();
            sleep(Duration::from_millis(3 * round));
            ok("down");
            assert!(children.iter_mut().all(|child| !child.wait().unwrap().success()));
        }
        assert_eq!(named("sleep 999"), [0; 0]);
        before.assert_unchanged("races");
    });
}

#[test]
fn a_stopped_command_does_not_hold_the_lab_and_a_stopped_nslab_is_named() {
    in_box(|| {
        ok("up bridged");
        let mut child = spawn("exec a1 sleep 999");
        assert!(wait_for(5, || !named("sleep 999").is_empty()));
        sh(&format!("kill -STOP {}", child.id()));
        ok("exec a1 true");
        ok("down");
        sh(&format!("kill -CONT {}", child.id()));
        assert_eq!(child.wait().unwrap().code(), Some(143));
        ok("up bridged");
        let lab = fs::File::open("/run/nslab/bridged").unwrap();
        lab.lock().unwrap();
        let began = Instant::now();
        let busy = fails(125, "exec a1 true");
        assert!(began.elapsed() >= Duration::from_secs(4), "{busy}");
        assert!(busy.err.contains(&std::process::id().to_string()), "it does not name who holds it: {busy}");
        drop(lab);
        assert_eq!(nslab("exec a1 true").code, 0);
    });
}
