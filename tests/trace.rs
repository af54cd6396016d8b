//! `nslab trace` beside foreign tools: hops as traceroute's, frames as tcpdump's at every end; nothing stays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{Machine, Traced, Wiring, fails, in_box, inside, ok, sh};

/// The nodes that route a packet on or receive it, as traceroute sees them.
fn hops(traced: &Traced) -> Vec<String> {
    let visits = traced.report["request"]["visits"].as_array().unwrap().iter();
    let counts = |visit: &&Value| visit["deed"] == "receives" || visit["deed"]["routes"].is_object();
    visits.filter(counts).map(|visit| visit["node"].as_str().unwrap().to_owned()).collect()
}

/// The node of an address, by foreign eyes.
fn owner(lab: &str, address: &str) -> String {
    let has = |node: &String| inside(lab, node, &format!("ip -o addr show to {address}")).out.contains(address);
    support::nodes(lab).into_iter().find(has).unwrap_or_else(|| address.to_owned())
}

#[test]
fn hops_are_those_of_traceroute() {
    in_box(|| {
        for (lab, to) in [("routed", "10.2.0.2"), ("routed-router", "10.2.0.2")] {
            ok(&format!("up {lab}"));
            let traced = Traced::run("a1 b1");
            assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
            let printed = inside(lab, "host-a.a1", &format!("traceroute -n -I -q 1 {to}")).expect(0).out;
            let routers = printed.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap());
            let theirs: Vec<String> = routers.map(|address| owner(lab, address)).collect();
            assert_eq!(hops(&traced), theirs, "{printed}\n{}", traced.ran);
            ok("down");
        }
    });
}

/// A frame as both report it: interface, source and destination MAC address, time to live.
type Observed = (String, String, String, u64);

/// Each frame of a direction twice: where it leaves a node, and where it comes into the next.
fn frames(traced: &Traced, leg: &str) -> Vec<Observed> {
    let visits = traced.report[leg]["visits"].as_array().unwrap();
    let mut frames = Vec::new();
    for (visit, next) in visits.iter().zip(&visits[1..]) {
        let frame = &visit["frame"];
        let mac = |end: &str| frame[end]["mac"].as_str().unwrap().to_owned();
        for (node, interface) in [(&visit["node"], &visit["leaves"]), (&next["node"], &next["enters"])] {
            let at = format!("{}.{}", node.as_str().unwrap(), interface.as_str().unwrap());
            frames.push((at, mac("source"), mac("destination"), frame["ttl"].as_u64().unwrap()));
        }
    }
    frames
}

/// Traces while tcpdump listens at every interface of the hosts, the switches, a1 and b1; what it saw, by direction.
fn beside_tcpdump(lab: &str, words: &str) -> (Traced, Vec<(String, Observed)>) {
    let watched = |node: &String| node.split_once('.').is_none_or(|(_, container)| ["a1", "b1"].contains(&container));
    let nodes = support::nodes(lab).into_iter().filter(watched);
    let mut points = Vec::new();
    for node in nodes {
        let links = inside(lab, &node, "ip -o link | cut -d: -f2 | cut -d@ -f1").expect(0).out;
        points.extend(links.split_whitespace().filter(|link| *link != "lo").map(|link| (node.clone(), link.to_owned())));
    }
    for (node, link) in &points {
        let (pin, name) = (format!("/run/nslab/{lab}/netns/{node}"), format!("{node}.{link}"));
        sh(&format!(
            "nsenter --net={pin} tcpdump -i {link} -n -e -v -l -s 256 -B 4096 --immediate-mode icmp or icmp6 \
             >/run/dump.{name} 2>/run/stderr.{name} & echo $! >/run/pid.{name}"
        ));
    }
    let names: Vec<String> = points.iter().map(|(node, link)| format!("{node}.{link}")).collect();
    let listening =
        |name: &String| std::fs::read_to_string(format!("/run/stderr.{name}")).is_ok_and(|output| output.contains("listening"));
    assert!(support::wait_for(30, || names.iter().all(listening)));
    let traced = Traced::run(words);
    std::thread::sleep(Duration::from_millis(500));
    let mut seen = Vec::new();
    for name in &names {
        sh(&format!("kill -INT $(cat /run/pid.{name}); while kill -0 $(cat /run/pid.{name}) 2>/dev/null; do sleep 0.02; done"));
        let text = std::fs::read_to_string(format!("/run/dump.{name}")).unwrap();
        seen.extend(text.lines().collect::<Vec<_>>().windows(2).filter_map(|pair| dumped(name, pair)));
    }
    (traced, seen)
}

/// `TIME SOURCE > DESTINATION, ethertype IPv4 (0x0800), length L: (tos 0x0, ttl 64, ...)` and a line on the ICMP message.
fn dumped(at: &str, pair: &[&str]) -> Option<(String, Observed)> {
    let [head, inner] = pair else { return None };
    // What an error quotes has lines of its own, further in.
    if !head.contains("ethertype") {
        return None;
    }
    let words: Vec<&str> = head.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    let ttl = words.iter().position(|word| *word == "ttl").and_then(|at| words[at + 1].parse().ok())?;
    let leg = ["request", "reply"].into_iter().find(|leg| inner.contains(&format!("echo {leg}")))?;
    Some((leg.to_owned(), (at.to_owned(), words[1].to_owned(), words[3].to_owned(), ttl)))
}

#[test]
fn every_frame_is_as_tcpdump_saw_it_at_both_ends() {
    in_box(|| {
        for lab in ["bridged", "routed", "routed-router", "three-hosts"] {
            ok(&format!("up {lab}"));
            let (traced, seen) = beside_tcpdump(lab, "a1 b1");
            assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
            for leg in ["request", "reply"] {
                let ours = frames(&traced, leg);
                assert!(ours.len() >= 6, "{}", traced.ran);
                for frame in ours {
                    let there = seen.iter().any(|(its, observed)| its == leg && *observed == frame);
                    assert!(there, "{lab}: no {leg} {frame:?} in {seen:#?}\n{}", traced.ran);
                }
            }
            ok("down");
        }
    });
}

#[test]
fn a_circle_of_routers_is_counted_as_tcpdump_counts_it() {
    in_box(|| {
        ok("up routed");
        let (traced, seen) = beside_tcpdump("routed", "a1 8.8.8.8");
        assert_eq!(traced.death()["cause"]["cause"], "loop", "{}", traced.ran);
        assert_eq!(traced.death()["certain"], true, "{}", traced.ran);
        // One end of the wire sees both directions.
        let crossed = seen.iter().filter(|(leg, (at, ..))| leg == "request" && at == "host-a.enp0s8").count();
        assert_eq!(traced.death()["cause"]["crossings"], crossed, "{}", traced.ran);
        assert_eq!(crossed, 63);
        let text = fails(1, "trace a1 8.8.8.8").out;
        assert!(text.contains("circle, 63 times") && text.contains("default via 192.168.100.2"), "{text}");
        ok("down");
    });
}

#[test]
fn a_trace_changes_nothing_but_neighbours() {
    in_box(|| {
        for lab in ["bridged", "routed"] {
            ok(&format!("up {lab}"));
            let (machine, wiring) = (Machine::look(), Wiring::look(lab));
            for words in ["a1 b1", "a1 a2", "b1 8.8.8.8", "host-a b2", "a1 a1"] {
                let code = support::nslab(&format!("trace {words}")).code;
                assert!(code < 3, "{words}: {code}");
            }
            machine.assert_unchanged("trace");
            wiring.assert_same(&Wiring::look(lab), "trace");
            ok("down");
        }
    });
}

#[test]
fn a_wrong_command_line_says_what_to_type() {
    in_box(|| {
        ok("up routed");
        for words in [
            "a1",
            "a1 b9",
            "a9 b1",
            "a1 b1.eth9",
            "a1 b1 --ttl 0",
            "a1 b1 --ttl 256",
            "a1 b1 --size 70000",
            "a1 10.0.0.300",
            "a1 224.0.0.1",
            "a1 10.2.0.3",
            "a1 0.0.0.0",
            "a1 ff02::1",
            "a1 fe80::1%eth7",
        ] {
            let ran = fails(2, &format!("trace {words}"));
            assert!(ran.out.is_empty() && !ran.err.is_empty(), "{ran}");
        }
        assert!(fails(2, "trace a1 b11").err.contains("b1"));
        ok("down");
        assert!(fails(2, "trace a1 b1").err.contains("No lab is up"));
    });
}

/// Two hosts with so many containers each, in one LAN.
fn large(count: u32) -> String {
    let host = |host: &str, container: &str, third: u32| {
        format!(
            "  {host}:\n    nics: {{ enp0s8: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [enp0s8] }} }}\n    \
             containers: {{ {container}: {{ count: {count}, nics: {{ eth0: {{ bridge: br0, address: 10.0.{third}.1/16 }} }} }} }}\n"
        )
    };
    format!("name: large\nnetworks: {{ internal: {{}} }}\nhosts:\n{}{}", host("host-a", "a", 1), host("host-b", "b", 2))
}

#[test]
fn in_a_large_lab_one_of_many_is_traced() {
    in_box(|| {
        std::fs::write("/run/large.yaml", large(100)).unwrap();
        ok("up /run/large.yaml");
        let traced = Traced::run("a1 b99");
        assert_eq!(traced.verdict(), "answered", "{}", traced.ran);
        assert_eq!(Traced::run("a1 10.0.77.7").verdict(), "request host-a.a1 unresolved at host-a.a1.eth0");
        ok("down");
    });
}
