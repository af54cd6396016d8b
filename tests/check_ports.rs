//! `tcp` and `udp` of `nslab check`: what is open, what is closed, and what they say where it is not as wanted.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{documented, in_box, inside, nslab, ok, wait_for};

/// The built-in topology with one check alone.
fn lab(check: &str) {
    let text = ok("topology routed").out;
    let lab = text.split("\ncheckpoints:").next().unwrap();
    let checkpoints = format!("checkpoints:\n  - name: ports\n    points: 10\n    checks: [ {{ {check} }} ]\n");
    std::fs::write("/run/ports.yaml", format!("{lab}\n{checkpoints}")).unwrap();
}

/// How the check ends, and the words of its evidence with the causes.
#[track_caller]
fn checked() -> (String, Vec<String>) {
    let ran = nslab("--format json check");
    let report = ran.json();
    documented(&report, "check");
    let check = &report["checkpoints"][0]["checks"][0];
    let word = |evidence: &Value| {
        let (word, values) = evidence.as_object().unwrap().iter().next().unwrap();
        values["cause"]["cause"].as_str().map_or(word.clone(), str::to_owned)
    };
    let state = check["state"].as_str().unwrap().to_owned();
    let code = [("pass", 0), ("fail", 1), ("could-not-run", 3)].into_iter().find(|(word, _)| *word == state).unwrap().1;
    assert_eq!(ran.code, code, "{ran}");
    (state, check["evidence"].as_array().unwrap().iter().map(word).collect())
}

#[track_caller]
fn ends(state: &str, evidence: &[&str]) {
    let (found, words) = checked();
    assert_eq!(
        (found.as_str(), words.iter().map(String::as_str).collect::<Vec<_>>()),
        (state, evidence.to_vec()),
        "{}",
        nslab("check")
    );
}

#[track_caller]
fn serve(kind: &str, port: u16) {
    let (stream, listen) = match kind {
        "tcp" => ("STREAM", "s.listen()"),
        "udp" => ("DGRAM", ""),
        _ => ("DGRAM", "while True:\n  d,a=s.recvfrom(999)\n  s.sendto(d,a)"),
    };
    let script = format!(
        "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_{stream})\ns.bind(('',{port}))\n{listen}\ntime.sleep(600)\n"
    );
    std::fs::write("/run/serve.py", script).unwrap();
    inside("routed", "host-b.b1", "python3 /run/serve.py >/run/serve.log 2>&1 & echo $! >/run/serve.pid").expect(0);
    assert!(wait_for(20, || inside("routed", "host-b.b1", "ss -lntu").out.contains(&format!(":{port} "))));
}

fn filter(rule: &str) {
    let chain = "nft add table inet t; nft add chain inet t c '{ type filter hook forward priority 0; }'; nft add rule inet t c";
    inside("routed", "host-b", &format!("{chain} {rule}")).expect(0);
}

#[test]
fn a_port_that_must_be_open_is_open_or_it_is_said_why_not() {
    in_box(|| {
        for kind in ["tcp", "udp"] {
            lab(&format!("{kind}: {{ from: a1, to: b1, port: 80 }}"));
            ok("up /run/ports.yaml");
            ends("fail", &["closed", "nobody-listens"]);
            serve(kind, 80);
            ends("pass", &[]);
            filter(&format!("{kind} dport 80 drop"));
            ends("fail", &["closed", "filtered"]);
            let text = nslab("check").out;
            assert!(text.contains("no answer.") && text.contains("rule 1") && text.contains("nft delete rule"), "{text}");
            inside("routed", "host-b", "nft flush ruleset").expect(0);
            // What stops everything is said, too.
            inside("routed", "host-b", "ip link set veth-b1 down").expect(0);
            let (state, words) = checked();
            assert!(state == "fail" && words.len() == 2, "{words:?}");
            ok("down");
        }
    });
}

#[test]
fn a_port_that_must_be_closed_is_closed_by_a_filter_or_since_nobody_listens() {
    in_box(|| {
        for kind in ["tcp", "udp"] {
            lab(&format!("{kind}: {{ from: a1, to: b1, port: 80, open: false }}"));
            ok("up /run/ports.yaml");
            ends("pass", &[]);
            serve(kind, 80);
            ends("fail", &["open"]);
            filter(&format!("{kind} dport 80 reject"));
            ends("pass", &[]);
            inside("routed", "host-b", "nft flush ruleset").expect(0);
            filter(&format!("{kind} dport 80 drop"));
            ends("pass", &[]);
            ok("stop b1");
            ends("could-not-run", &["stopped"]);
            ok("down");
        }
    });
}

#[test]
fn a_datagram_was_taken_where_its_answer_gets_lost_and_was_not_where_the_refusal_does() {
    in_box(|| {
        lab("udp: { from: a1, to: b1, port: 80 }");
        ok("up /run/ports.yaml");
        inside("routed", "host-b", "ip route del default").expect(0);
        let (state, words) = checked();
        assert!(state == "fail" && words[0] == "closed", "{words:?}");
        serve("answers", 80);
        ends("pass", &[]);
        ok("down");
    });
}

#[test]
fn what_iptables_legacy_may_drop_is_not_known() {
    in_box(|| {
        lab("udp: { from: a1, to: b1, port: 80 }");
        ok("up /run/ports.yaml");
        serve("udp", 80);
        inside("routed", "host-b.b1", "iptables-legacy -A INPUT -p udp --dport 81 -j DROP").expect(0);
        ends("could-not-run", &["unsure"]);
        ok("down");
    });
}

#[test]
fn watching_sees_who_begins_to_listen() {
    in_box(|| {
        for kind in ["tcp", "udp"] {
            lab(&format!("{kind}: {{ from: a1, to: b1, port: 80 }}"));
            ok("up /run/ports.yaml");
            let mut child = support::spawn("check --watch");
            std::thread::sleep(Duration::from_secs(3));
            assert!(child.try_wait().unwrap().is_none());
            serve(kind, 80);
            assert!(wait_for(20, || child.try_wait().unwrap().is_some()), "{kind}");
            assert_eq!(child.wait().unwrap().code(), Some(0));
            ok("down");
        }
    });
}

#[test]
fn another_topology_asks_whoever_plays_the_part() {
    in_box(|| {
        lab("tcp: { from: a1, to: b1, port: 22, open: false }");
        ok("up routed");
        assert!(ok("check --against /run/ports.yaml").out.contains("10 of 10"));
        ok("down");
    });
}
