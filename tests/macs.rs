//! `nslab macs` beside tcpdump and `bridge fdb`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Machine, Wiring, count_faults, fails, in_box, inside, nslab, nslab_at, ok, sh, spawn, wait_for};

fn json_of(words: &str) -> Value {
    nslab(&format!("--format json {words}")).expect(0).json()
}

/// tcpdump in a node: every frame at an interface, with its MAC addresses.
struct Dump {
    child: Child,
    file: String,
}

impl Dump {
    fn begin(lab: &str, node: &str, interface: &str, direction: &str) -> Self {
        let file = format!("/run/{node}.{interface}.{direction}.pcap");
        let log = format!("{file}.log");
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/nslab/{lab}/netns/{node}"))
            .args([
                "tcpdump",
                "--immediate-mode",
                "-s",
                "256",
                "-B",
                "4096",
                "-U",
                "-Z",
                "root",
                "-i",
                interface,
                "-Q",
                direction,
                "-w",
                &file,
            ])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        assert!(wait_for(20, || std::fs::read_to_string(&log).unwrap().contains("listening on")), "tcpdump does not begin");
        Self { child, file }
    }

    /// The frames by their source MAC address; so many are expected.
    fn sources(mut self, expected: u64) -> BTreeMap<String, u64> {
        let read = || sh(&format!("tcpdump -r {} -n -e 2>/dev/null || true", self.file));
        wait_for(20, || read().lines().count() as u64 >= expected);
        // Frames too many would be here by now, too.
        std::thread::sleep(Duration::from_millis(200));
        sh(&format!("kill -INT {}", self.child.id()));
        self.child.wait().unwrap();
        let mut found = BTreeMap::new();
        for line in read().lines() {
            *found.entry(line.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
        }
        found
    }
}

/// The frames of a network by side and source MAC address, as nslab tells.
fn heard(network: &Value) -> BTreeMap<(String, String), u64> {
    let source = |source: &Value| {
        let side = source["side"]["node"].as_str().unwrap().to_owned();
        ((side, source["mac"].as_str().unwrap().to_owned()), source["frames"].as_u64().unwrap())
    };
    network["sources"].as_array().unwrap().iter().map(source).collect()
}

fn of_side(heard: &BTreeMap<(String, String), u64>, side: &str) -> BTreeMap<String, u64> {
    heard.iter().filter(|((its, _), _)| its == side).map(|((_, mac), frames)| (mac.clone(), *frames)).collect()
}

/// Brings a lab up and waits until its nodes have said hello to IPv6's multicast routers (MLD), which takes two seconds. Five seconds after
/// the first packet to a neighbour the kernel would ask whether it is still there: on a slow machine that is before tcpdump ends.
fn quiet(lab: &str) {
    ok(&format!("up {lab}"));
    for node in support::nodes(lab) {
        inside(lab, &node, "for each in /proc/sys/net/ipv[46]/neigh/*/delay_first_probe_time; do echo 600 >$each; done")
            .expect(0);
    }
    std::thread::sleep(Duration::from_millis(3500));
}

fn owners(network: &Value) -> Vec<String> {
    let word = |owner: &Value| format!("{}.{}", owner["node"].as_str().unwrap(), owner["interface"].as_str().unwrap());
    let owners = |source: &Value| source["owners"].as_array().unwrap().iter().map(word).collect::<Vec<_>>().join("+");
    network["sources"].as_array().unwrap().iter().map(owners).collect()
}

fn reasons(network: &Value) -> BTreeSet<&str> {
    network["sources"].as_array().unwrap().iter().map(|source| source["reason"].as_str().unwrap()).collect()
}

#[test]
fn every_source_and_every_frame_is_the_one_that_tcpdump_sees() {
    in_box(|| {
        for (lab, macs, reason) in [("bridged", 4, "bridged"), ("routed", 2, "routed")] {
            quiet(lab);
            let dumps = ["out", "in"].map(|direction| Dump::begin(lab, "host-a", "enp0s8", direction));
            let found = json_of("macs");
            let network = &found["labs"][0]["networks"][0];
            let heard = heard(network);
            for (dump, side) in dumps.into_iter().zip(["host-a", "host-b"]) {
                let ours = of_side(&heard, side);
                assert_eq!(ours, dump.sources(ours.values().sum()), "{network}");
            }
            assert_eq!(heard.len(), macs);
            assert_eq!(reasons(network), BTreeSet::from([reason]));
            assert_eq!(found["labs"][0]["pings"], json!({ "pairs": 8, "answered": 8 }));
            ok("down");
        }
    });
}

#[test]
fn owners_sides_and_the_table_of_the_wire_are_right() {
    in_box(|| {
        ok("up bridged");
        let found = json_of("macs");
        let network = &found["labs"][0]["networks"][0];
        assert_eq!(owners(network), ["host-a.a1.eth0", "host-a.a2.eth0", "host-b.b1.eth0", "host-b.b2.eth0"]);
        let sides: Vec<&Value> = network["sources"].as_array().unwrap().iter().map(|source| &source["side"]["node"]).collect();
        assert_eq!(sides, ["host-a", "host-a", "host-b", "host-b"]);
        // What the wire's ends have learned: each host's bridge has the other's containers behind its NIC.
        for (host, other) in [("host-a", "host-b"), ("host-b", "host-a")] {
            let fdb = inside("bridged", host, "bridge fdb show br br0 dynamic").expect(0).out;
            let learned: BTreeSet<&str> =
                fdb.lines().filter(|line| line.contains("dev enp0s8")).map(|line| line.split(' ').next().unwrap()).collect();
            let table = network["table"].as_array().unwrap().iter();
            let ours: BTreeSet<&str> =
                table.filter(|entry| entry["port"] == other).map(|entry| entry["mac"].as_str().unwrap()).collect();
            assert_eq!(learned, ours, "{fdb}");
        }
        assert_eq!(
            network["hosts"],
            json!([{ "host": "host-a", "how": "bridged", "macs": 2 }, { "host": "host-b", "how": "bridged", "macs": 2 }])
        );
        ok("down");
    });
}

#[test]
fn a_switch_is_heard_at_its_ports_and_its_table_is_that_of_bridge_fdb() {
    in_box(|| {
        quiet("three-hosts");
        let dumps = ["port1", "port2", "port3"].map(|port| Dump::begin("three-hosts", "internal", port, "in"));
        let found = json_of("macs three-hosts");
        let network = &found["labs"][0]["networks"][0];
        let seen = heard(network);
        for (dump, host) in dumps.into_iter().zip(["host-a", "host-b", "host-c"]) {
            let ours = of_side(&seen, host);
            assert_eq!(ours, dump.sources(ours.values().sum()), "{network}");
        }
        let fdb = inside("three-hosts", "internal", "bridge -s fdb show br switch dynamic").expect(0).out;
        let theirs: BTreeSet<String> = fdb
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{} {}", words[2], words[0])
            })
            .collect();
        let word = |entry: &Value| format!("{} {}", entry["port"].as_str().unwrap(), entry["mac"].as_str().unwrap());
        let ours: BTreeSet<String> = network["table"].as_array().unwrap().iter().map(word).collect();
        assert_eq!((ours.len(), &ours), (6, &theirs), "{fdb}");
        std::thread::sleep(Duration::from_millis(1500));
        let older = json_of("macs --passive --for 10ms");
        let ages =
            older["labs"][0]["networks"][0]["table"].as_array().unwrap().iter().map(|entry| entry["age"].as_f64().unwrap());
        assert!(ages.clone().count() == 6 && ages.clone().all(|age| (1.4..30.0).contains(&age)), "{older}");
        ok("down");
    });
}

#[test]
fn a_network_that_denies_foreign_macs_still_carries_the_broadcasts() {
    in_box(|| {
        let ran = ok("macs bridged-deny");
        assert!(ran.out.contains("0 of 8 pings") && ran.out.contains("did not pass on") && ran.out.contains("Deny"), "{ran}");
        ok("up bridged-deny");
        let found = json_of("macs");
        let network = &found["labs"][0]["networks"][0];
        assert_eq!(found["labs"][0]["pings"]["answered"], 0);
        assert!(network["broadcasts"].as_u64().unwrap() >= 2, "{network}");
        let sources = network["sources"].as_array().unwrap();
        let unicast = |source: &Value| source["frames"].as_u64().unwrap() - source["broadcasts"].as_u64().unwrap();
        assert!(sources.iter().all(|source| source["blocked"].as_u64().unwrap() == unicast(source)), "{network}");
        assert!(sources.iter().any(|source| unicast(source) > 0), "{network}");
        ok("down");
        let open = json_of("macs three-hosts");
        let sources = open["labs"][0]["networks"][0]["sources"].as_array().unwrap().clone();
        assert!(sources.iter().all(|source| source["blocked"] == 0), "{open}");
    });
}

#[test]
fn two_topologies_are_compared_from_nothing_and_nothing_is_left() {
    in_box(|| {
        let machine = Machine::look();
        let ran = ok("macs bridged routed");
        let rows: Vec<&str> = ran.out.lines().collect();
        assert!(rows[0].contains("bridged") && rows[0].contains("routed"), "{ran}");
        assert!(rows.iter().any(|row| row.starts_with("MACs ") && row.contains('4') && row.ends_with('2')), "{ran}");
        assert!(rows.iter().any(|row| row.contains("+1 MAC") && row.contains("+0 MACs")), "{ran}");
        assert!(rows.iter().all(|row| row.chars().count() <= 80), "{ran}");
        machine.assert_unchanged("macs bridged routed");
        ok("up bridged");
        let wiring = Wiring::look("bridged");
        let found = json_of("macs bridged routed");
        assert_eq!((&found["labs"][0]["own"], &found["labs"][1]["own"]), (&json!(false), &json!(true)));
        assert_eq!((&found["labs"][0]["lab"], &found["labs"][1]["lab"]), (&json!("bridged"), &json!("routed")));
        wiring.assert_same(&Wiring::look("bridged"), "macs bridged routed");
        assert!(!ok("list").out.contains("private"));
        ok("down");
        machine.assert_unchanged("down");
    });
}

/// A file of a lab that is slow to measure: none of its pings is answered.
fn slow() -> String {
    let path = "/run/slow.yaml";
    let text = ok("topology bridged-deny").out.replace("name: bridged-deny", "name: slow");
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

fn private_labs() -> Vec<String> {
    let entries = std::fs::read_dir("/run/nslab").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name.starts_with("private-")).collect()
}

#[test]
fn an_interrupt_takes_its_own_lab_away_and_a_kill_leaves_one_that_is_found() {
    in_box(|| {
        let file = slow();
        let machine = Machine::look();
        let mut child = spawn(&format!("macs {file}"));
        assert!(wait_for(20, || !private_labs().is_empty()));
        std::thread::sleep(Duration::from_millis(200));
        assert!(ok("list").out.contains("No lab is up"), "it is nobody's lab");
        ok("down --all");
        assert!(!private_labs().is_empty(), "down --all leaves it to its maker");
        sh(&format!("kill -INT {}", child.id()));
        assert_eq!(child.wait().unwrap().code(), Some(130));
        machine.assert_unchanged("an interrupted macs");
        let mut child = spawn(&format!("macs {file}"));
        assert!(wait_for(20, || private_labs().first().is_some_and(|lab| support::nodes(lab).len() == 7)));
        std::thread::sleep(Duration::from_millis(200));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = private_labs()[0].clone();
        assert!(ok("list").out.contains(&left));
        let doctor = ok("doctor");
        assert!(doctor.out.contains(&left) && doctor.out.contains("made by nslab for itself"), "{doctor}");
        assert_eq!(json_of("doctor")["leftovers"][0]["leftover"], "forgotten");
        ok("down --all");
        machine.assert_unchanged("down --all after a killed macs");
    });
}

#[test]
fn a_fault_anywhere_leaves_nothing_or_what_down_removes() {
    in_box(|| {
        let machine = Machine::look();
        let points = count_faults("macs bridged");
        for fault in ["kill", "errno:ENOMEM", "signal:TERM", "panic"] {
            for point in (1..=points).step_by(usize::try_from(points).unwrap() / 7) {
                let ran = nslab_at(&format!("{fault}@{point}"), "macs bridged");
                // What fails once on the way down is tried again, and then nothing has failed.
                if fault == "kill" {
                    assert_eq!(ran.code, 137, "{ran}");
                    ok("down --all");
                }
                machine.assert_unchanged(&ran.line);
            }
        }
    });
}

#[test]
fn what_was_made_by_hand_has_its_owner_and_a_stranger_is_unknown() {
    in_box(|| {
        ok("up bare");
        for host in ["host-a", "host-b"] {
            let (last, number) = if host == "host-a" { ("1", "1") } else { ("2", "2") };
            ok(&format!("exec {host} ip link add br7 type bridge forward_delay 0"));
            ok(&format!("exec {host} ip link set br7 up"));
            ok(&format!("exec {host} ip link set enp0s8 master br7 up"));
            ok(&format!("exec {host} ip netns add mine{number}"));
            ok(&format!("exec {host} ip link add v{number} type veth peer name eth0 netns mine{number}"));
            ok(&format!("exec {host} ip link set v{number} master br7 up"));
            ok(&format!("exec {host} ip -n mine{number} addr add 10.0.0.{last}/24 dev eth0"));
            ok(&format!("exec {host} ip -n mine{number} link set eth0 up"));
        }
        let found = json_of("macs");
        let network = &found["labs"][0]["networks"][0];
        let known: BTreeSet<String> = owners(network).into_iter().collect();
        assert!(known.contains("host-a.mine1.eth0") && known.contains("host-b.mine2.eth0"), "{network}");
        assert!(reasons(network).contains("bridged") && !reasons(network).contains("unknown"), "{network}");
        // A machine of another lab, or of nobody, is plugged into the bridge.
        sh("ip netns add stranger
            ip link add w9 netns stranger type veth peer name v9
            nsenter --net=/run/nslab/bare/netns/host-a true
            ip link set v9 netns /run/nslab/bare/netns/host-a
            ip -n stranger addr add 10.0.0.9/24 dev w9; ip -n stranger link set w9 up");
        inside("bare", "host-a", "ip link set v9 master br7 up").expect(0);
        let mut ping = Command::new("ip")
            .args(["netns", "exec", "stranger", "ping", "-q", "-i", "0.2", "10.0.0.2"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let passive = nslab("--format json macs --passive --for 1s").expect(0);
        let text = ok("macs --passive --for 500ms");
        ping.kill().unwrap();
        ping.wait().unwrap();
        let mac = sh("ip netns exec stranger cat /sys/class/net/w9/address").trim().to_owned();
        let network = &passive.json()["labs"][0]["networks"][0];
        let stranger = network["sources"].as_array().unwrap().iter().find(|source| source["mac"] == mac).unwrap().clone();
        assert_eq!((&stranger["reason"], &stranger["owners"]), (&json!("unknown"), &json!([])), "{stranger}");
        assert_eq!(passive.json()["labs"][0]["pings"], Value::Null);
        assert!(text.out.contains("unknown: nobody in the lab has this MAC"), "{text}");
        sh("ip netns del stranger");
        ok("down");
    });
}

#[test]
fn a_cloned_mac_names_all_who_have_it() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-b.b1", "ip link set eth0 address 02:00:01:00:01:00").expect(0);
        let found = json_of("macs");
        let network = &found["labs"][0]["networks"][0];
        assert!(owners(network).contains(&"host-a.a1.eth0+host-b.b1.eth0".to_owned()), "{network}");
        assert!(reasons(network).contains("cloned"), "{network}");
        ok("down");
    });
}

#[test]
fn one_network_can_be_picked_of_several() {
    in_box(|| {
        ok("up routed-router");
        let all = json_of("macs");
        assert_eq!(all["labs"][0]["networks"].as_array().unwrap().len(), 3);
        let one = json_of("macs --network net-m");
        let networks = one["labs"][0]["networks"].as_array().unwrap();
        assert_eq!((networks.len(), &networks[0]["network"]), (1, &json!("net-m")));
        assert_eq!(owners(&networks[0]), ["router-1.eth1", "router-2.eth0"]);
        assert_eq!(reasons(&networks[0]), BTreeSet::from(["routed"]));
        ok("down");
    });
}

#[test]
fn passive_only_listens() {
    in_box(|| {
        quiet("bridged");
        let dump = Dump::begin("bridged", "host-a", "enp0s8", "inout");
        let found = json_of("macs --passive --for 300ms");
        assert_eq!(found["labs"][0]["networks"][0]["frames"], 0);
        assert!(dump.sources(0).is_empty());
        assert!(ok("macs --passive --for 10ms").out.contains("Nothing crossed"));
        ok("down");
    });
}

#[test]
fn ipv6_crosses_as_well() {
    in_box(|| {
        let text = ok("topology bridged").out.replace("name: bridged", "name: six");
        let text = text.replace("10.0.0.11/24", "'fd00::11/64'").replace("10.0.0.12/24", "'fd00::12/64'");
        std::fs::write("/run/six.yaml", text.replace("10.0.0.21/24", "'fd00::21/64'").replace("10.0.0.22/24", "'fd00::22/64'"))
            .unwrap();
        let found = json_of("macs /run/six.yaml");
        assert_eq!((&found["labs"][0]["lab"], &found["labs"][0]["pings"]["answered"]), (&json!("six"), &json!(8)), "{found}");
        assert_eq!(owners(&found["labs"][0]["networks"][0]).len(), 4, "{found}");
    });
}

#[test]
fn its_json_is_documented() {
    in_box(|| {
        ok("up bridged");
        for words in
            ["macs bridged routed", "macs three-hosts", "ping a1 b1 -c 1 -R", "ping --all", "ping a1 10.0.0.99 -c 1 -W 1ms"]
        {
            support::documented(&nslab(&format!("--format json {words}")).json(), words);
        }
        ok("down");
    });
}

#[test]
fn wrong_words_are_refused() {
    in_box(|| {
        assert!(fails(2, "macs").err.contains("no lab is up"));
        assert!(fails(2, "macs bridge").err.contains("\"bridged\""));
        assert!(fails(2, "macs bridged --network wire").err.contains("internal"));
        assert!(fails(2, "macs bridged --passive").err.contains("not up"));
        assert!(fails(2, "macs bridged --for 5x").err.contains("5s"));
        assert!(fails(2, "macs bridged ./none.yaml").err.contains("none.yaml"));
        assert!(!std::path::Path::new("/run/nslab").exists());
    });
}
