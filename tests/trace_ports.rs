//! `nslab trace --tcp` and `--udp`: who connects, who is refused and by whom, what a filter of ports drops, as foreign tools see it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::{Machine, Traced, Wiring, fails, in_box, inside, ok, wait_for};

/// Somebody who listens in a node, until the lab goes down.
#[track_caller]
fn serve(lab: &str, node: &str, program: &str) {
    let script = format!("import socket,time\n{program}\n");
    std::fs::write(format!("/run/serve.{node}.py"), script).unwrap();
    inside(lab, node, &format!("python3 /run/serve.{node}.py >/run/serve.{node}.log 2>&1 & echo $! >/run/serve.{node}.pid"))
        .expect(0);
}

fn end(node: &str) {
    support::sh(&format!("kill $(cat /run/serve.{node}.pid)"));
}

#[track_caller]
fn tcp(lab: &str, node: &str, at: &str, port: u16) {
    let family = if at.contains(':') { "AF_INET6" } else { "AF_INET" };
    serve(lab, node, &format!("s=socket.socket(socket.{family})\ns.bind(('{at}',{port}))\ns.listen()\ntime.sleep(600)"));
    assert!(wait_for(20, || inside(lab, node, "ss -lnt").out.contains(&format!(":{port} "))));
}

#[track_caller]
fn udp(lab: &str, node: &str, port: u16, answers: bool) {
    let answer = if answers { "s.sendto(d,a)" } else { "pass" };
    let script = format!(
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('',{port}))\nwhile True:\n  d,a=s.recvfrom(9999)\n  {answer}"
    );
    serve(lab, node, &script);
    assert!(wait_for(20, || inside(lab, node, "ss -lnu").out.contains(&format!(":{port} "))));
}

/// Every visit of both ways was predicted and seen.
#[track_caller]
fn agreed(traced: &Traced) {
    for leg in ["request", "reply"] {
        let visits = traced.report[leg]["visits"].as_array().unwrap();
        assert!(visits.iter().all(|visit| visit["known"] == "both"), "{leg}: {}", traced.ran);
    }
    assert_eq!(traced.report["differences"], Value::Array(Vec::new()), "{}", traced.ran);
}

#[test]
fn a_connection_is_watched_on_every_segment_and_the_listener_sees_it_closed() {
    in_box(|| {
        for (lab, to) in [("routed", "b1"), ("bridged", "b1"), ("routed", "a1")] {
            ok(&format!("up {lab}"));
            let node = if to == "a1" { "host-a.a1" } else { "host-b.b1" };
            serve(
                lab,
                node,
                "s=socket.socket()\ns.bind(('',80))\ns.listen()\nwhile True:\n  c,a=s.accept()\n  print('closed' if c.recv(9)==b'' else 'data',flush=True)",
            );
            assert!(wait_for(20, || inside(lab, node, "ss -lnt").out.contains(":80 ")));
            let traced = Traced::run(&format!("a1 {to} --tcp 80"));
            assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
            assert_eq!(traced.report["transport"]["tcp"]["port"], 80);
            agreed(&traced);
            let log = || std::fs::read_to_string(format!("/run/serve.{node}.log")).unwrap();
            assert!(wait_for(5, || log() == "closed\n"), "{}", log());
            let text = ok(&format!("trace a1 {to} --tcp 80")).out;
            assert!(text.contains("TCP port 80 is open") && text.contains("Seen on every segment"), "{text}");
            end(node);
            ok("down");
        }
    });
}

#[test]
fn frames_are_as_tcpdump_saw_them() {
    in_box(|| {
        ok("up routed");
        tcp("routed", "host-b.b1", "0.0.0.0", 80);
        let dump =
            "tcpdump -i enp0s8 -n -e -v -l -B 4096 --immediate-mode tcp >/run/dump 2>/run/dump.err & echo $! >/run/dump.pid";
        inside("routed", "host-b", dump).expect(0);
        assert!(wait_for(30, || std::fs::read_to_string("/run/dump.err").is_ok_and(|text| text.contains("listening"))));
        let traced = Traced::run("a1 b1 --tcp 80");
        let seen = || std::fs::read_to_string("/run/dump").unwrap();
        assert!(wait_for(20, || seen().contains("[S.]")), "{}", seen());
        support::sh("kill $(cat /run/dump.pid)");
        let text = seen();
        for (leg, flags, at) in [("request", "[S],", 1), ("reply", "[S.],", 1)] {
            let lines: Vec<&str> = text.lines().collect();
            let head = lines.windows(2).find(|pair| pair[1].contains(flags)).unwrap()[0];
            let frame = &traced.report[leg]["visits"][at]["frame"];
            let mac = |end: &str| frame[end]["mac"].as_str().unwrap();
            let wanted = format!("{} > {}, ", mac("source"), mac("destination"));
            assert!(head.contains(&wanted) && head.contains(&format!("ttl {},", frame["ttl"])), "{leg} {frame}\n{text}");
        }
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn where_nobody_listens_the_network_is_fine_and_the_node_is_named() {
    in_box(|| {
        for (lab, options) in [("routed", "--tcp 80"), ("routed", "--udp 53"), ("bridged", "--tcp 80"), ("bridged", "--udp 53")] {
            ok(&format!("up {lab}"));
            let traced = Traced::run(&format!("a1 b1 {options}"));
            assert_eq!(traced.verdict(), "request host-b.b1 nobody-listens", "{}", traced.ran);
            assert_eq!(traced.report["refused"], true, "{}", traced.ran);
            assert_eq!(traced.death()["cause"]["at"], Value::Array(Vec::new()));
            agreed(&traced);
            let text = fails(1, &format!("trace a1 b1 {options}")).out;
            assert!(text.contains("Refused: the request arrives in b1") && text.contains("Nobody listens on"), "{text}");
            ok("down");
        }
    });
}

#[test]
fn who_listens_at_the_loopback_alone_is_told_so() {
    in_box(|| {
        ok("up routed");
        tcp("routed", "host-b.b1", "127.0.0.1", 80);
        let traced = Traced::run("a1 b1 --tcp 80");
        assert_eq!(traced.verdict(), "request host-b.b1 nobody-listens", "{}", traced.ran);
        assert_eq!(traced.death()["cause"]["at"][0], "127.0.0.1", "{}", traced.ran);
        assert!(fails(1, "trace a1 b1 --tcp 80").out.contains("only at 127.0.0.1"));
        end("host-b.b1");
        // Who listens for IPv6 is there for IPv4, too.
        tcp("routed", "host-b.b1", "::", 81);
        assert_eq!(Traced::run("a1 b1 --tcp 81").verdict(), "answered");
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn a_datagram_is_answered_or_it_is_not_known_whether_somebody_took_it() {
    in_box(|| {
        ok("up routed");
        udp("routed", "host-b.b1", 53, true);
        let traced = Traced::run("a1 b1 --udp 53");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        agreed(&traced);
        end("host-b.b1");
        udp("routed", "host-b.b1", 54, false);
        let traced = Traced::run("a1 b1 --udp 54");
        assert_eq!(traced.verdict(), "request host-b.b1 silent?", "{}", traced.ran);
        assert_eq!(traced.report["reply"], Value::Null, "{}", traced.ran);
        let text = fails(1, "trace a1 b1 --udp 54").out;
        assert!(text.contains("Somebody listens on UDP port 54 of b1") && !text.contains("Perhaps"), "{text}");
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn a_reply_that_gets_lost_is_not_taken_for_silence() {
    in_box(|| {
        ok("up routed");
        udp("routed", "host-b.b1", 53, true);
        let rule = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c udp sport 53 drop";
        inside("routed", "host-a", rule).expect(0);
        assert_eq!(Traced::run("a1 b1 --udp 53").verdict(), "reply host-a filtered");
        inside("routed", "host-a", "nft flush ruleset; iptables-legacy -A FORWARD -p udp --sport 53 -j DROP").expect(0);
        let traced = Traced::run("a1 b1 --udp 53");
        assert_eq!(traced.verdict(), "reply host-a unknown?", "{}", traced.ran);
        // So is a refusal.
        inside("routed", "host-a", "iptables-legacy -F; iptables-legacy -A FORWARD -p tcp --tcp-flags RST RST -j DROP").expect(0);
        let traced = Traced::run("a1 b1 --tcp 80");
        assert_eq!(traced.verdict(), "reply host-a unknown?", "{}", traced.ran);
        assert_eq!(traced.report["refused"], false, "{}", traced.ran);
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn a_filter_of_ports_is_named_and_that_a_ping_passes_it() {
    in_box(|| {
        let chain = |hook: &str| {
            format!(
                "nft add table inet t; nft add chain inet t c '{{ type filter hook {hook} priority 0; }}'; nft add rule inet t c"
            )
        };
        let cases = [
            ("host-a", "forward", "tcp dport 80 drop", "--tcp 80", "request host-a filtered"),
            ("host-b", "forward", "tcp dport 80 reject with tcp reset", "--tcp 80", "request host-b filtered"),
            ("host-b.b1", "input", "tcp dport 80 reject", "--tcp 80", "request host-b.b1 filtered"),
            ("host-a", "forward", "tcp sport 80 drop", "--tcp 80", "reply host-a filtered"),
            ("host-b.b1", "input", "udp dport 53 drop", "--udp 53", "request host-b.b1 filtered"),
            ("host-a", "forward", "udp dport 53 reject", "--udp 53", "request host-a filtered"),
        ];
        for (node, hook, rule, options, verdict) in cases {
            ok("up routed");
            tcp("routed", "host-b.b1", "0.0.0.0", 80);
            inside("routed", node, &format!("{} {rule}", chain(hook))).expect(0);
            let traced = Traced::run(&format!("a1 b1 {options}"));
            assert_eq!(traced.verdict(), verdict, "{rule}\n{}\n{}", traced.ran, fails(1, &format!("trace a1 b1 {options}")));
            assert_eq!(traced.report["ping"], true, "{}", traced.ran);
            let text = fails(1, &format!("trace a1 b1 {options}")).out;
            assert!(text.contains("A ping from a1 to 10.2.0.2 is answered"), "{text}");
            traced.cure();
            let open = if options == "--tcp 80" { "answered" } else { "request host-b.b1 nobody-listens" };
            assert_eq!(Traced::run(&format!("a1 b1 {options}")).verdict(), open, "after {rule}");
            end("host-b.b1");
            ok("down");
        }
    });
}

#[test]
fn what_stops_a_ping_stops_a_connection_for_the_same_cause() {
    in_box(|| {
        for (node, breaks) in [
            ("host-b", "ip route del default"),
            ("host-a", "ip route del default"),
            ("host-a.a1", "ip route del default"),
            ("host-b", "ip link set veth-b1 down"),
            ("host-b.b1", "ip addr flush dev eth0"),
            ("host-a", "sysctl -qw net.ipv4.ip_forward=0"),
            ("host-b", "sysctl -qw net.ipv4.ip_forward=0"),
            ("host-a", "ip route add prohibit 10.2.0.0/30"),
        ] {
            ok("up routed");
            tcp("routed", "host-b.b1", "0.0.0.0", 80);
            inside("routed", node, breaks).expect(0);
            let ping = Traced::run("a1 10.2.0.2");
            let traced = Traced::run("a1 10.2.0.2 --tcp 80");
            assert_ne!(traced.verdict(), "answered", "{breaks}: {}", traced.ran);
            assert_eq!(traced.verdict(), ping.verdict(), "{breaks}: {}", traced.ran);
            assert_eq!(traced.death()["cure"], ping.death()["cure"], "{breaks}: {}", traced.ran);
            assert_eq!(traced.report["ping"], Value::Null, "{}", traced.ran);
            end("host-b.b1");
            ok("down");
        }
        ok("up routed");
        tcp("routed", "host-b.b1", "0.0.0.0", 80);
        // Who answers no pings answers connections.
        inside("routed", "host-b.b1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1").expect(0);
        assert_eq!(Traced::run("a1 b1").verdict(), "request host-b.b1 echo-ignored");
        assert_eq!(Traced::run("a1 b1 --tcp 80").verdict(), "answered");
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn an_mtu_between_bridges_that_full_packets_do_not_pass_is_a_note() {
    in_box(|| {
        ok("up bridged");
        tcp("bridged", "host-b.b1", "0.0.0.0", 80);
        assert!(Traced::run("a1 b1 --tcp 80").notes().is_empty());
        inside("bridged", "host-a", "ip link set enp0s8 mtu 1400").expect(0);
        let traced = Traced::run("a1 b1 --tcp 80");
        assert_eq!(traced.verdict(), "answered");
        assert_eq!(traced.notes(), ["black-hole"], "{}", traced.ran);
        let note = &traced.report["notes"][0];
        assert_eq!(
            (&note["mtu"], &note["size"], &note["interface"]["interface"]),
            (&1400.into(), &1500.into(), &"enp0s8".into())
        );
        let cure = note["cure"][0].as_str().unwrap().strip_prefix("sudo nslab ").unwrap().to_owned();
        let larger = || inside("bridged", "host-a.a1", "ping -n -c 1 -W 1 -M do -s 1472 10.0.0.21").code;
        assert_ne!(larger(), 0);
        ok(&cure);
        assert_eq!(larger(), 0, "{cure}");
        assert!(Traced::run("a1 b1 --tcp 80").notes().is_empty());
        end("host-b.b1");
        ok("down");
        // A router says that they are too big, and the sender cuts them smaller.
        ok("up routed");
        tcp("routed", "host-b.b1", "0.0.0.0", 80);
        inside("routed", "host-a", "ip link set enp0s8 mtu 1400").expect(0);
        assert!(Traced::run("a1 b1 --tcp 80").notes().is_empty());
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn ipv6_has_all_of_it_too() {
    in_box(|| {
        ok("up routed");
        for (node, script) in [
            ("host-a.a1", "ip addr add fd00:1::2/64 dev eth0 nodad; ip -6 route add default via fd00:1::1"),
            (
                "host-a",
                "ip addr add fd00:1::1/64 dev br0 nodad; ip addr add fe80::a/64 dev br0 nodad; ip addr add fe80::a/64 dev enp0s8 nodad; ip addr add fd00::1/64 dev enp0s8 nodad; ip -6 route add fd00:2::/64 via fd00::2; sysctl -qw net.ipv6.conf.all.forwarding=1",
            ),
            (
                "host-b",
                "ip addr add fd00:2::1/64 dev veth-b1 nodad; ip addr add fe80::b/64 dev veth-b1 nodad; ip addr add fe80::b/64 dev enp0s8 nodad; ip addr add fd00::2/64 dev enp0s8 nodad; ip -6 route add fd00:1::/64 via fd00::1; sysctl -qw net.ipv6.conf.all.forwarding=1",
            ),
            ("host-b.b1", "ip addr add fd00:2::2/64 dev eth0 nodad; ip -6 route add default via fd00:2::1"),
        ] {
            inside("routed", node, script).expect(0);
        }
        assert_eq!(Traced::run("a1 fd00:2::2").verdict(), "answered");
        for options in ["--tcp 80", "--udp 53"] {
            let traced = Traced::run(&format!("a1 fd00:2::2 {options}"));
            assert_eq!(traced.verdict(), "request host-b.b1 nobody-listens", "{}", traced.ran);
            agreed(&traced);
        }
        tcp("routed", "host-b.b1", "::", 80);
        let traced = Traced::run("a1 fd00:2::2 --tcp 80");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        agreed(&traced);
        let rule = "nft add table ip6 t; nft add chain ip6 t c '{ type filter hook forward priority 0; }'; nft add rule ip6 t c tcp dport 80 reject";
        inside("routed", "host-a", rule).expect(0);
        assert_eq!(Traced::run("a1 fd00:2::2 --tcp 80").verdict(), "request host-a filtered");
        end("host-b.b1");
        ok("down");
    });
}

#[test]
fn addresses_and_ports_that_a_filter_translates_are_followed() {
    in_box(|| {
        ok("up routed");
        tcp("routed", "host-b.b1", "0.0.0.0", 8080);
        let nat = "nft add table ip n; nft add chain ip n p '{ type nat hook prerouting priority -100; }'; nft add rule ip n p tcp dport 80 dnat to 10.2.0.2:8080; nft add chain ip n q '{ type nat hook postrouting priority 100; }'; nft add rule ip n q tcp dport 8080 masquerade";
        inside("routed", "host-b", nat).expect(0);
        let traced = Traced::run("a1 192.168.100.2 --tcp 80");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        assert_eq!(traced.nodes("request"), ["host-a.a1", "host-a", "host-b"], "{}", traced.ran);
        let last = &traced.report["request"]["visits"][2];
        assert_eq!((&last["leaves"], &last["frame"]["to"]), (&"veth-b1".into(), &"10.2.0.2".into()), "{}", traced.ran);
        end("host-b.b1");
        // Who refuses then is not the node that was called.
        let traced = Traced::run("a1 192.168.100.2 --tcp 80");
        assert_eq!(traced.verdict(), "request host-b unknown?", "{}", traced.ran);
        assert_eq!(traced.report["refused"], true, "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn nothing_of_it_stays() {
    in_box(|| {
        ok("up routed");
        let chain = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; policy drop; }'";
        inside("routed", "host-a", chain).expect(0);
        let rules = || inside("routed", "host-a", "nft -a list ruleset").expect(0).out;
        let (machine, wiring, before) = (Machine::look(), Wiring::look("routed"), rules());
        for options in ["--tcp 80", "--udp 53"] {
            assert_eq!(Traced::run(&format!("a1 b1 {options}")).verdict(), "request host-a filtered");
        }
        machine.assert_unchanged("trace");
        wiring.assert_same(&Wiring::look("routed"), "trace");
        assert_eq!(rules(), before);
        ok("down");
    });
}

#[test]
fn what_does_not_go_together_is_refused() {
    in_box(|| {
        ok("up routed");
        for words in [
            "--tcp 80 --udp 53",
            "--tcp 80 --size 100",
            "--tcp 0",
            "--udp 65536",
            "--tcp x",
            "--from 10.9.9.9",
            "--from x",
            "--from 10.1.0.11 -6",
        ] {
            let ran = fails(2, &format!("trace a1 b1 {words}"));
            assert!(ran.out.is_empty() && !ran.err.is_empty(), "{ran}");
        }
        let ran = fails(2, "ping a1 b1 --from 10.9.9.9");
        assert!(ran.err.contains("10.9.9.9") && ran.err.contains("10.1.0.11"), "{ran}");
        ok("down");
    });
}
