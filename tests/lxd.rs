//! `nslab plan --as lxc` on a real LXD: two hosts with a daemon each, what is printed for them, and pings across.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{fails, in_box, ok};

/// Runs a topology's commands on two hosts with LXD; what each address answered to a container's pings, and what was said.
fn on_two_hosts(topology: &str, from: &str, to: &[&str]) -> (String, String) {
    let out = Command::new("sh")
        .args(["tests/lxd/two-hosts.sh", env!("CARGO_BIN_EXE_nslab"), topology, from])
        .args(to)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "\n");
    let said = text(&out.stderr).lines().filter(|line| !line.contains("Unpack")).collect::<Vec<_>>().join("\n");
    assert!(out.status.success(), "{said}");
    (text(&out.stdout), said)
}

#[test]
fn in_class_bridged_containers_of_both_hosts_are_on_one_segment() {
    in_box(|| {
        let (answers, said) = on_two_hosts("bridged", "host-a/a1", &["10.0.0.12", "10.0.0.21", "10.0.0.22"]);
        assert_eq!(answers, "10.0.0.12 answered\n10.0.0.21 answered\n10.0.0.22 answered\n", "{said}");
        assert!(!said.contains("ttl=63") && said.contains("ttl=64"), "somebody routes:\n{said}");
    });
}

#[test]
fn in_class_routed_packets_pass_both_hosts() {
    in_box(|| {
        let (answers, said) = on_two_hosts("routed", "host-b/b1", &["10.2.0.6", "10.1.0.11", "10.1.0.12", "192.168.100.1"]);
        assert_eq!(answers, "10.2.0.6 answered\n10.1.0.11 answered\n10.1.0.12 answered\n192.168.100.1 answered\n", "{said}");
        // Through both hosts, and to the other container of its own host through one.
        assert!(said.contains("ttl=62") && said.contains("ttl=63") && !said.contains("ttl=61"), "{said}");
    });
}

#[test]
fn each_host_gets_its_own_part() {
    let all = ok("plan routed --as lxc").out;
    let (a, b) = (ok("plan routed --as lxc --role host-a").out, ok("plan routed --as lxc --role host-b").out);
    for line in all.lines().filter(|line| !line.starts_with('#') && !line.is_empty() && *line != "set -e") {
        assert!(a.lines().chain(b.lines()).any(|of_one| of_one == line), "in no part: {line}");
    }
    assert!(a.contains("nictype=bridged parent=br0") && !a.contains("p2p"), "{a}");
    assert!(b.contains("nictype=p2p") && b.contains("host_name=veth-b1") && !b.contains("bridged"), "{b}");
    assert!(a.contains("lxc profile device remove default eth0"), "{a}");
    assert!(a.contains("lxc launch ubuntu:22.04 a1"));
    assert!(ok("plan routed --as lxc --image debian:12").out.contains("lxc launch debian:12 a1"));
}

#[test]
fn what_goes_with_lxc_alone_says_so() {
    assert!(fails(2, "plan routed --image x").err.contains("--as lxc"));
    let unknown = fails(2, "plan routed --as lxc --role host-z").err;
    assert!(unknown.contains("host-z") && unknown.contains("host-a"), "{unknown}");
    fails(2, "plan routed --as lxc --by-hand");
}
