//! The binary as strace sees it: killed before any system call that changes something, or given an error by one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use support::{Machine, Ran, Wiring, canaries, in_box, ok, run};

/// What changes the machine. `when` counts each call by itself and per thread, so each is swept alone.
const CHANGING: [&str; 18] = [
    "unshare",
    "setns",
    "mount",
    "umount2",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "renameat",
    "sendto",
    "sendmsg",
    "write",
    "close",
    "openat",
];
/// Most of these change nothing; every so many of them are enough.
const SELDOM: [(&str, usize); 3] = [("close", 5), ("write", 2), ("openat", 5)];

/// The first processor that this process may use.
fn processor() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    list.chars().take_while(char::is_ascii_digit).collect()
}

/// On one processor nslab shares nothing out among threads, whose calls strace counts each by itself.
fn traced(inject: &str, words: &str) -> Ran {
    let mut command = Command::new("taskset");
    command.args([
        "-c",
        &processor(),
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("inject={inject}"),
        env!("CARGO_BIN_EXE_nslab"),
    ]);
    command.args(words.split(' ')).env_remove("RUST_BACKTRACE");
    run(&mut command)
}

/// Kills a command before the first, second, … call of one kind until it ends by itself; returns how often it was killed.
fn sweep(call: &str, words: &str, mut healed: impl FnMut(&str)) -> usize {
    let step = SELDOM.iter().find(|(seldom, _)| *seldom == call).map_or(1, |(_, step)| *step);
    for (killed, when) in (1..).step_by(step).enumerate() {
        let ran = traced(&format!("{call}:signal=KILL:when={when}"), words);
        if ran.code == 0 {
            return killed;
        }
        assert_eq!(ran.code, 137, "{ran}");
        healed(&format!("killed at {call} number {when} of {words}"));
    }
    unreachable!()
}

#[test]
fn killed_before_any_changing_call_of_up_it_is_healed_by_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        let mut killed = 0;
        for call in CHANGING {
            killed += sweep(call, "up bridged", |what| {
                ok("down bridged");
                machine.assert_unchanged(what);
            });
            ok("down bridged");
        }
        machine.assert_unchanged("the sweep");
        assert!(killed > 40, "killed only {killed} times: has `up` other calls than the list?");
    });
}

#[test]
fn killed_before_any_changing_call_of_down_it_is_healed_by_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        let mut killed = 0;
        for call in CHANGING {
            ok("up bridged");
            killed += sweep(call, "down bridged", |what| {
                ok("down bridged");
                machine.assert_unchanged(what);
                ok("up bridged");
            });
        }
        machine.assert_unchanged("the sweep");
        assert!(killed > 10, "killed only {killed} times: has `down` other calls than the list?");
    });
}

#[test]
fn an_interrupted_netlink_call_is_tried_again() {
    in_box(|| {
        ok("up bridged");
        let lab = Wiring::look("bridged");
        ok("down bridged");
        for call in ["sendto", "sendmsg", "recvfrom", "recvmsg"] {
            for when in [1, 2, 5, 9, 14] {
                let ran = traced(&format!("{call}:error=EINTR:when={when}"), "up bridged").expect(0);
                lab.assert_same(&Wiring::look("bridged"), &ran.line);
                ok("down bridged");
            }
        }
    });
}

#[test]
fn a_netlink_call_that_fails_is_undone_or_tried_again() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        for call in ["sendto", "sendmsg", "recvfrom", "recvmsg"] {
            for error in ["ENOMEM", "ENOBUFS", "EBUSY", "EAGAIN"] {
                for when in [1, 2, 3, 7, 12] {
                    let ran = traced(&format!("{call}:error={error}:when={when}"), "up bridged");
                    assert!([0, 1, 3].contains(&ran.code), "{ran}");
                    if ran.code == 0 {
                        ok("status bridged");
                        ok("down bridged");
                    }
                    machine.assert_unchanged(&ran.to_string());
                }
            }
        }
    });
}
