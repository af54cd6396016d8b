//! What no table tells: trace says where the packet was seen last, and names no cause with a confidence that it does not have.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Traced, fails, in_box, inside, ok};

/// A queue that takes no packet of this size: what leaves there is dropped before it is on the wire.
const FULL: &str = "tc qdisc add dev enp0s8 root tbf rate 8bit burst 20 limit 20";

#[track_caller]
fn uncertain(lab: &str, node: &str, script: &str, trace: &str, verdict: &str) -> Traced {
    inside(lab, node, script).expect(0);
    let traced = Traced::run(trace);
    assert_eq!(traced.verdict(), verdict, "after {script}\n{}", traced.ran);
    assert_eq!(traced.death()["certain"], false, "{}", traced.ran);
    traced
}

#[test]
fn a_queue_that_drops_is_no_cause_that_is_named() {
    in_box(|| {
        ok("up routed");
        let traced = uncertain("routed", "host-a", FULL, "a1 b1", "request host-a unknown?");
        let way = &traced.report["differences"][0];
        let difference = (&way["difference"], &way["node"], &way["predicted"], &way["observed"]);
        assert_eq!(difference, (&"way".into(), &"host-a".into(), &"enp0s8".into(), &serde_json::Value::Null), "{}", traced.ran);
        inside("routed", "host-a", "tc qdisc del dev enp0s8 root").expect(0);
        // Now the hosts know each other's MAC addresses, so that only the reply is in question.
        assert_eq!(Traced::run("a1 b1").verdict(), "answered");
        uncertain("routed", "host-b", FULL, "a1 b1", "reply host-b unknown?");
        let text = fails(1, "trace a1 b1").out;
        assert!(text.contains("last seen at host-b") && text.contains("Neither the tables nor nftables"), "{text}");
        ok("down");
    });
}

#[test]
fn addresses_that_a_filter_translates_are_told_and_no_fault() {
    in_box(|| {
        ok("up routed");
        let nat = "nft add table ip n; nft add chain ip n c '{ type nat hook postrouting priority 100; }'; \
                   nft add rule ip n c oifname enp0s8 masquerade";
        inside("routed", "host-a", nat).expect(0);
        let traced = Traced::run("a1 b1");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        let differences = traced.report["differences"].as_array().unwrap();
        let places: Vec<String> =
            differences.iter().map(|one| format!("{} {}", one["leg"], one["node"]).replace('"', "")).collect();
        assert_eq!(places, ["request host-a", "reply host-a"], "{}", traced.ran);
        assert!(differences.iter().all(|one| one["difference"] == "translation"), "{}", traced.ran);
        assert_eq!(traced.report["request"]["visits"][1]["frame"]["from"], "192.168.100.1", "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn a_way_that_no_table_tells_is_shown_as_it_was_seen() {
    in_box(|| {
        ok("up routed");
        let nat = "nft add table ip n; nft add chain ip n c '{ type nat hook prerouting priority -100; }'; \
                   nft add rule ip n c ip daddr 10.2.0.2 dnat to 10.2.0.6";
        inside("routed", "host-a", nat).expect(0);
        let traced = Traced::run("a1 b1");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        let visits = traced.report["request"]["visits"].as_array().unwrap();
        let ways: Vec<(&str, &str)> =
            visits.iter().map(|visit| (visit["leaves"].as_str().unwrap_or("-"), visit["known"].as_str().unwrap())).collect();
        assert!(
            ways.contains(&("veth-b2", "observed")) && !ways.iter().any(|(leaves, _)| *leaves == "veth-b1"),
            "{}",
            traced.ran
        );
        ok("down");
    });
}
