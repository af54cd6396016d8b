//! Packet filters that drop the probe: trace names chain and rule by the kernel's own tracing, and leaves none of it behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Case, Machine, Traced, Wiring, in_box, inside, ok};

const NFT: &str = "nft add table inet t; nft add chain inet t c";

/// A filter in a node of a lab; verdict, family, table, chain, hook of what drops.
#[track_caller]
fn dropped(lab: &'static str, node: &'static str, rules: &'static str, verdict: &'static str, place: [&str; 4]) {
    ok(&format!("up {lab}"));
    let breaks: &'static [(&str, &str)] = Box::leak(Box::new([(node, rules)]));
    let case = Case { lab, breaks, trace: "a1 b1", verdict };
    let traced = case.check();
    let filter = &traced.death()["cause"];
    let found = ["family", "table", "chain", "hook"].map(|key| filter[key].as_str().unwrap_or("none"));
    assert_eq!(found, place, "{}", traced.ran);
    assert!(filter["policy"] == true || filter["rule"].is_u64(), "{}", traced.ran);
    traced.cure();
    assert_eq!(Traced::run("a1 b1").verdict(), "answered", "after {rules}, cured by {}", traced.death()["cure"]);
    ok("down");
}

#[test]
fn a_rule_of_nftables_is_named_with_its_chain_and_hook() {
    in_box(|| {
        let rule = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c icmp type echo-request drop";
        dropped("routed", "host-a", rule, "request host-a filtered", ["inet", "t", "c", "forward"]);
        let input = "nft add table ip t; nft add chain ip t c '{ type filter hook input priority 0; }'; nft add rule ip t c ip protocol icmp drop";
        dropped("routed", "host-b.b1", input, "request host-b.b1 filtered", ["ip", "t", "c", "input"]);
        let output = "nft add table inet t; nft add chain inet t c '{ type filter hook output priority 0; }'; nft add rule inet t c meta l4proto icmp reject";
        dropped("routed", "host-a.a1", output, "request host-a.a1 filtered", ["inet", "t", "c", "output"]);
        let reply = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c icmp type echo-reply drop";
        dropped("routed", "host-b", reply, "reply host-b filtered", ["inet", "t", "c", "forward"]);
        let back = "nft add table inet t; nft add chain inet t c '{ type filter hook prerouting priority 0; }'; nft add rule inet t c icmp type echo-reply drop";
        dropped("routed", "host-a.a1", back, "reply host-a.a1 filtered", ["inet", "t", "c", "prerouting"]);
    });
}

#[test]
fn a_policy_is_named() {
    in_box(|| {
        let policy = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; policy drop; }'";
        dropped("routed", "host-b", policy, "request host-b filtered", ["inet", "t", "c", "forward"]);
    });
}

#[test]
fn a_rule_in_a_chain_that_another_jumps_to_is_named_with_the_hook_of_the_first() {
    in_box(|| {
        let jump = "nft add table inet t; nft add chain inet t inner; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c jump inner; nft add rule inet t inner icmp type echo-request drop";
        dropped("routed", "host-a", jump, "request host-a filtered", ["inet", "t", "inner", "forward"]);
    });
}

#[test]
fn a_filter_that_drops_the_question_for_a_mac_address_is_named() {
    in_box(|| {
        let arp = "nft add table arp t; nft add chain arp t c '{ type filter hook input priority 0; policy drop; }'";
        dropped("bridged", "host-b.b1", arp, "request host-b.b1 filtered", ["arp", "t", "c", "input"]);
        let answer = "nft add table arp t; nft add chain arp t c '{ type filter hook output priority 0; }'; \
                      nft add rule arp t c arp operation reply drop";
        dropped("bridged", "host-b.b1", answer, "request host-b.b1 filtered", ["arp", "t", "c", "output"]);
        let bridge = "nft add table bridge t; nft add chain bridge t c '{ type filter hook forward priority 0; }'; \
                      nft add rule bridge t c ether type arp drop";
        dropped("bridged", "host-a", bridge, "request host-a filtered", ["bridge", "t", "c", "forward"]);
    });
}

#[test]
fn a_rule_of_the_bridge_family_is_named() {
    in_box(|| {
        // Where br_netfilter passes frames on, Linux 6.1 leaves out a chain of priority 0: `filter` is -200 here.
        let rule = "nft add table bridge t; nft add chain bridge t c '{ type filter hook forward priority filter; }'; nft add rule bridge t c ip protocol icmp drop";
        dropped("bridged", "host-a", rule, "request host-a filtered", ["bridge", "t", "c", "forward"]);
    });
}

#[test]
fn a_rule_where_frames_come_in_is_named() {
    in_box(|| {
        let rule = "nft add table netdev t; nft add chain netdev t c '{ type filter hook ingress device enp0s8 priority 0; }'; nft add rule netdev t c ip protocol icmp drop";
        dropped("routed", "host-b", rule, "request host-b filtered", ["netdev", "t", "c", "ingress"]);
    });
}

#[test]
fn a_rule_or_policy_of_iptables_is_named() {
    in_box(|| {
        dropped(
            "routed",
            "host-a",
            "iptables -A FORWARD -p icmp -j DROP",
            "request host-a filtered",
            ["ip", "filter", "FORWARD", "forward"],
        );
        dropped(
            "routed",
            "host-b",
            "iptables -P FORWARD DROP",
            "request host-b filtered",
            ["ip", "filter", "FORWARD", "forward"],
        );
        dropped(
            "routed",
            "host-b.b1",
            "iptables -A INPUT -p icmp -j REJECT",
            "request host-b.b1 filtered",
            ["ip", "filter", "INPUT", "input"],
        );
    });
}

#[test]
fn a_filter_that_passes_the_packet_is_not_named() {
    in_box(|| {
        ok("up routed");
        let other = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c tcp dport 80 drop";
        inside("routed", "host-a", other).expect(0);
        assert_eq!(Traced::run("a1 b1").verdict(), "answered");
        inside("routed", "host-b", "ip route del default").expect(0);
        assert_eq!(Traced::run("a1 b1").verdict(), "reply host-b no-route");
        ok("down");
    });
}

#[test]
fn nothing_of_the_tracing_stays() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-a", &format!("{NFT} '{{ type filter hook forward priority 0; policy drop; }}'")).expect(0);
        let rules = || inside("routed", "host-a", "nft -a list ruleset").expect(0).out;
        let (machine, wiring, before) = (Machine::look(), Wiring::look("routed"), rules());
        assert_eq!(Traced::run("a1 b1").verdict(), "request host-a filtered");
        machine.assert_unchanged("trace");
        wiring.assert_same(&Wiring::look("routed"), "trace");
        assert_eq!(rules(), before);
        let counted = support::nslab_at("count", "trace a1 b1");
        let points = counted.err.lines().find_map(|line| line.strip_prefix("fault points: "));
        let points: u32 = points.unwrap_or_else(|| panic!("no build with --features fault\n{counted}")).parse().unwrap();
        assert!(points >= 2, "{counted}");
        for point in 1..=points {
            let killed = support::nslab_at(&format!("kill@{point}"), "trace a1 b1");
            assert_eq!(killed.code, 137, "{killed}");
            assert!(support::wait_for(5, || rules() == before), "killed at {point}:\n{}", rules());
        }
        wiring.assert_same(&Wiring::look("routed"), "kill -9");
        ok("down");
    });
}
