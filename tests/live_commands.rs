//! What the commands report on labs that are up: their JSON as documented, nodes by their names, questions, exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Machine, Ran, documented, fails, in_box, inside, ok, run, sh};

fn json(words: &str) -> Value {
    support::nslab(&format!("--format json {words}")).json()
}

#[test]
fn every_report_is_json_as_documented() {
    in_box(|| {
        let mut seen = Vec::new();
        let mut look = |words: &str| {
            let value = json(words);
            documented(&value, words);
            seen.push(words.split(' ').next().unwrap().to_owned());
            value
        };
        let up = look("up bridged");
        assert_eq!((&up["outcome"], &up["containers"]), (&"created".into(), &4.into()));
        assert_eq!(look("up bridged")["outcome"], "already");
        assert_eq!(look("list")["labs"][0]["hosts"][1]["containers"], serde_json::json!(["b1", "b2"]));
        ok("exec a1 ping -c 1 b1");
        let host = look("show host-a");
        let port = host["links"].as_array().unwrap().iter().find(|link| link["name"] == "veth-a1").unwrap();
        assert_eq!(port["peer"], serde_json::json!({ "node": "host-a.a1", "name": "eth0" }));
        assert_eq!((&port["bridge"], &port["kind"]), (&"br0".into(), &"veth".into()));
        let learned: Vec<&Value> = host["fdb"].as_array().unwrap().iter().filter(|entry| entry["state"] == "learned").collect();
        assert!(learned.iter().any(|entry| entry["mac"] == "02:00:02:00:01:00" && entry["port"] == "enp0s8"), "{learned:?}");
        let node = look("show a1");
        assert_eq!(node["neighbours"][0]["address"], "10.0.0.21");
        assert_eq!(node["routes"][0]["dev"], "eth0");
        inside("bridged", "host-b.b2", "ip link add mine type bridge; ip addr del 10.0.0.22/24 dev eth0").expect(0);
        let status = look("status");
        assert_eq!(status["labs"][0]["condition"], "drifted");
        assert_eq!(status["labs"][0]["missing"][0]["place"]["host"], "host-b");
        assert_eq!(look("plan bridged --by-hand")["purpose"], "by-hand");
        assert_eq!(look("up bridged --dry-run")["purpose"], "preview");
        assert_eq!(look("reset --yes")["confirmed"], true);
        look("ps");
        look("doctor");
        look("down");
        assert_eq!(look("down bridged")["labs"][0]["was_up"], false);
        assert_eq!(seen.len(), 13);
    });
}

#[test]
fn all_that_was_made_by_hand_is_printed_as_commands() {
    in_box(|| {
        ok("up bridged");
        ok("exec host-a ip link add mine type bridge");
        ok("exec host-a ip address add 10.9.9.1/24 dev mine");
        ok("exec host-a ip route add 10.8.0.0/16 dev br0");
        ok("exec host-a ip netns add own");
        ok("exec a1 nft add table inet t");
        let printed = ok("plan bridged --by-hand").out;
        for line in [
            "ip -n bridged.host-a link add mine type bridge",
            "ip -n bridged.host-a address add 10.9.9.1/24 brd + dev mine",
            "ip -n bridged.host-a route add 10.8.0.0/16 dev br0",
            "nslab exec bridged/host-a ip netns add own",
            "ip netns exec bridged.host-a.a1 nft list table inet t",
        ] {
            assert!(printed.lines().any(|printed| printed.starts_with(line)), "no line {line:?} in:\n{printed}");
        }
        ok("down");
    });
}

#[test]
fn nodes_are_named_as_shortly_as_the_labs_allow() {
    in_box(|| {
        ok("up bridged");
        assert_eq!(ok("exec a1 hostname").out, "a1\n");
        assert_eq!(ok("exec host-a/a1 hostname").out, "a1\n");
        assert_eq!(ok("exec bridged/host-a hostname").out, "host-a\n");
        assert!(fails(2, "show a9").err.contains("\"a1\""));
        ok("up routed");
        let bare = ok("show a1");
        assert!(bare.out.contains("of routed") && bare.err.contains("taking routed") && bare.err.contains("routed/a1"), "{bare}");
        let exact = ok("show bridged/host-a/a1");
        assert!(exact.out.contains("of bridged") && exact.err.is_empty(), "{exact}");
        let chosen = run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["show", "a1"]).env("NSLAB_LAB", "bridged")).expect(0);
        assert!(chosen.out.contains("of bridged") && chosen.err.is_empty(), "{chosen}");
        assert!(ok("--quiet show a1").err.is_empty());
        let one = ok("show bridged/a1.eth0").out;
        assert!(one.contains("10.0.0.11/24") && !one.contains("127.0.0.1"), "{one}");
        assert!(fails(2, "show bridged/a1.eth1").err.contains("\"eth0\""));
        let which = fails(2, "down");
        assert!(which.err.contains("bridged, routed"), "{which}");
        ok("down --all");
        assert!(fails(2, "show a1").err.contains("No lab is up"));
    });
}

#[test]
fn reset_asks_first_and_does_nothing_where_nobody_answers() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-a.a1", "ip link add mine type bridge").expect(0);
        assert!(fails(2, "reset").err.contains("--yes"));
        let answer = |word: &str| -> Ran {
            let line = format!("echo {word} | script -qec '{} reset' /dev/null", env!("CARGO_BIN_EXE_nslab"));
            run(Command::new("sh").args(["-c", &line]).stdin(Stdio::null())).expect(0)
        };
        assert!(answer("no").out.contains("stays as it is"));
        assert!(sh("nsenter --net=/run/nslab/bridged/netns/host-a.a1 ip link").contains("mine"));
        assert!(answer("yes").out.contains("as described again"));
        assert!(!sh("nsenter --net=/run/nslab/bridged/netns/host-a.a1 ip link").contains("mine"));
        ok("reset");
        ok("down");
    });
}

#[test]
fn a_lab_under_the_name_of_a_built_in_one_keeps_its_own_description() {
    in_box(|| {
        let own = ok("topology bridged").out.replace("10.0.0.11", "10.0.0.111");
        std::fs::write("/run/own.yaml", own).unwrap();
        ok("up /run/own.yaml");
        let again = ok("up bridged");
        assert!(again.out.contains("already") && again.err.contains("description of its own"), "{again}");
        assert!(ok("plan bridged").out.contains("10.0.0.111"));
        ok("down");
        assert!(!ok("plan bridged").out.contains("10.0.0.111"));
        assert!(fails(2, "up bridged --name host-a").err.contains("host-a"));
    });
}

#[test]
fn nslabs_own_failures_inside_have_their_own_code() {
    in_box(|| {
        fails(125, "exec a1 true");
        ok("up bridged");
        fails(125, "exec nobody true");
        let script = |text: &str| run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "a1", "sh", "-c", text]));
        script("exit 7").expect(7);
        script("kill $$").expect(143);
        fails(127, "exec a1 no-such-command");
        fails(126, "exec a1 /etc/passwd");
        fails(125, "shell");
        ok("down");
    });
}

#[test]
fn doctor_and_show_leave_nothing_behind() {
    in_box(|| {
        let machine = Machine::look();
        ok("doctor");
        machine.assert_unchanged("doctor");
        ok("up routed");
        let up = Machine::look();
        for words in ["doctor", "show host-a", "show b1", "status", "list", "ps", "plan routed"] {
            ok(words);
            up.assert_unchanged(words);
        }
        sh("ln -s /nowhere /run/netns/left; mkdir -p /run/nslab/ghost/netns");
        let said = ok("doctor").out;
        assert!(said.contains("/run/netns/left leads nowhere") && said.contains("\"ghost\""), "{said}");
        sh("rm /run/netns/left; rm -r /run/nslab/ghost");
        ok("down");
        machine.assert_unchanged("down");
    });
}
