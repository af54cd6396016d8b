//! Too few namespaces, file descriptors or bytes: it says so and leaves nothing, or it works.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use support::{Machine, Ran, canaries, in_box, ok, run, sh};

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");

/// Runs a script with `$NSLAB` set.
fn script(text: &str) -> Ran {
    run(Command::new("sh").args(["-euc", text]).env("NSLAB", NSLAB).env_remove("RUST_BACKTRACE"))
}

#[test]
fn with_too_few_network_namespaces_up_names_the_limit_and_leaves_nothing() {
    in_box(|| {
        let mut worked = Vec::new();
        for allowed in 0..=14 {
            // The limit counts per user namespace, so this one needs its own; the outer script's namespace is made before it falls.
            let inner = format!(
                "mount -t tmpfs tmpfs /run; echo {allowed} > /proc/sys/user/max_net_namespaces; set +e; $NSLAB up bridged; code=$?; \
                 if [ $code = 0 ]; then $NSLAB down bridged || exit 90; fi; [ -z \"$(ls -A /run)\" ] || {{ find /run >&2; exit 91; }}; exit $code"
            );
            let ran = script(&format!("exec unshare -Urnm --propagation private sh -euc '{}'", inner.replace('\'', "'\\''")));
            assert!([0, 3].contains(&ran.code), "{allowed} allowed: {ran}");
            assert!(ran.code == 0 || ran.err.contains("max_net_namespaces"), "the limit is not named: {ran}");
            worked.push(ran.code == 0);
        }
        assert!(!worked[0] && worked[14] && worked.is_sorted(), "{worked:?}");
    });
}

#[test]
fn with_few_file_descriptors_up_works_or_leaves_nothing() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        let mut worked = 0;
        for files in 3..=40 {
            let ran = script(&format!("exec prlimit --nofile={files}:{files} $NSLAB up bridged"));
            assert!([0, 3].contains(&ran.code), "{files} descriptors: {ran}");
            if ran.code == 0 {
                worked += 1;
                ok("status bridged");
                ok("down bridged");
            }
            machine.assert_unchanged(&format!("up with {files} descriptors\n{ran}"));
        }
        assert!(worked > 0, "40 descriptors are not enough");
    });
}

#[test]
fn with_few_file_descriptors_down_works_or_says_what_is_left() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        for files in 3..=30 {
            ok("up bridged");
            let ran = script(&format!("exec prlimit --nofile={files}:{files} $NSLAB down bridged"));
            assert!([0, 1, 3, 5].contains(&ran.code), "{files} descriptors: {ran}");
            ok("down bridged");
            machine.assert_unchanged(&format!("down with {files} descriptors\n{ran}"));
        }
    });
}

#[test]
fn with_run_full_up_works_or_leaves_nothing() {
    in_box(|| {
        for options in
            ["size=4k", "nr_inodes=1", "nr_inodes=2", "nr_inodes=3", "nr_inodes=4", "nr_inodes=6", "nr_inodes=9", "nr_inodes=12"]
        {
            sh(&format!("mount -n -t tmpfs -o {options} tmpfs /run"));
            full(options);
            sh("umount -n /run");
        }
    });
}

#[test]
fn with_a_full_disk_at_its_own_place_up_works_or_leaves_nothing() {
    in_box(|| {
        sh("mkdir /run/nslab");
        for inodes in [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20] {
            let options = format!("size=4k,nr_inodes={inodes},mode=700");
            sh(&format!("mount -n -t tmpfs -o {options} tmpfs /run/nslab"));
            let ran = script("exec $NSLAB up bridged");
            assert!([0, 1, 3].contains(&ran.code), "{options}: {ran}");
            if ran.code == 0 {
                ok("down bridged");
            }
            // That mount is taken for nslab's own, and goes.
            assert_eq!(sh("ls -A /run"), "", "{options}: {ran}");
            assert_eq!(sh("grep -c ' /run/nslab' /proc/self/mountinfo || true").trim(), "0");
            sh("mkdir /run/nslab");
        }
    });
}

fn full(options: &str) {
    let machine = Machine::look();
    let ran = script("exec $NSLAB up bridged");
    assert!([0, 1, 3].contains(&ran.code), "{options}: {ran}");
    if ran.code == 0 {
        ok("down bridged");
    }
    machine.assert_unchanged(&format!("up with {options}\n{ran}"));
}

#[test]
fn without_root_and_outside_a_user_namespace_both_ways_are_told() {
    in_box(|| {
        let ran = script("exec setpriv --reuid=65534 --regid=65534 --clear-groups $NSLAB up bridged").expect(3);
        assert!(ran.err.contains("sudo ") && ran.err.contains("unshare -Urnm"), "{ran}");
    });
}

#[test]
fn without_root_everything_works_in_a_user_namespace_of_ones_own() {
    in_box(|| {
        let inner = "mount -t tmpfs tmpfs /run; $NSLAB up bridged; $NSLAB exec a1 -- ip -4 addr show eth0; $NSLAB status bridged; \
                     nsenter --net=/run/netns/bridged.host-a.a1 ip link show eth0; $NSLAB down bridged; [ -z \"$(ls -A /run)\" ]";
        let ran = script(&format!(
            "exec setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Urnm --propagation private sh -euc '{inner}'"
        ));
        assert!(ran.expect(0).out.contains("inet 10."), "exec shows no address");
    });
}
