//! A lab as foreign tools see it from inside its namespaces.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use super::run::{Ran, ip_batch, run};

/// Numbers that the kernel gives or counts, different in two labs that are the same: a bridge numbers its ports as they come;
/// queues, which carry the same frames; `link`, an index of another namespace that `bridge` takes for one of this; and what a
/// bridge of the spanning tree protocol remembers of its last change for half a minute.
const NOT_COMPARED: [&str; 16] = [
    "num_tx_queues",
    "num_rx_queues",
    "no",
    "id",
    "designated_port",
    "link",
    "ifindex",
    "link_index",
    "link_netnsid",
    "valid_life_time",
    "preferred_life_time",
    "stats64",
    "expires",
    "topology_change",
    "topology_change_detected",
    "ageing_time",
];

/// Every namespace of a lab: links, addresses, routes, bridge ports and forwarding.
#[derive(PartialEq, Eq)]
pub struct Wiring(BTreeMap<String, Vec<String>>);

impl Wiring {
    /// Whether the spanning tree protocol still makes up its mind about a port: each phase takes two seconds.
    pub fn is_converging(&self) -> bool {
        let undecided = |line: &String| line.ends_with(r#" state "listening""#) || line.ends_with(r#" state "learning""#);
        self.0.values().flatten().any(undecided)
    }

    /// Looks at a lab through its pins.
    pub fn look(lab: &str) -> Self {
        let nodes = nodes(lab).into_iter().map(|node| {
            let lines = namespace(lab, &node);
            (node, lines)
        });
        Self(nodes.collect())
    }

    /// Checks that it is the same lab.
    #[track_caller]
    pub fn assert_same(&self, now: &Self, after: &str) {
        let mut said = String::new();
        for node in self.0.keys().chain(now.0.keys().filter(|node| !self.0.contains_key(*node))) {
            let none = Vec::new();
            let (before, now) = (self.0.get(node).unwrap_or(&none), now.0.get(node).unwrap_or(&none));
            let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("{node}: gone: {line}\n"));
            let came = now.iter().filter(|line| !before.contains(line)).map(|line| format!("{node}: came: {line}\n"));
            said.extend(gone.chain(came));
        }
        assert!(self == now, "the lab is not as it should be, after: {after}\n{said}");
    }
}

/// The names of a lab's pins: `host-a`, `host-a.a1`, …
pub fn nodes(lab: &str) -> Vec<String> {
    let dir = format!("/run/nslab/{lab}/netns");
    let mut nodes: Vec<String> =
        fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    nodes.sort();
    nodes
}

/// Runs a program in the network namespace of a node (`host-a.a1`), without nslab.
pub fn inside(lab: &str, node: &str, script: &str) -> Ran {
    let pin = format!("--net=/run/nslab/{lab}/netns/{node}");
    run(Command::new("nsenter").args([&pin, "sh", "-c", script]))
}

fn namespace(lab: &str, node: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for json in within(lab, node, seen_from_inside).lines().filter(|line| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        for item in value.as_array().unwrap() {
            let name = ["ifname", "dst"].iter().find_map(|key| item[key].as_str()).unwrap_or("forwarding");
            flatten(&format!("{name} {}", item["table"].as_str().unwrap_or_default()), item, &mut lines);
        }
    }
    let entry = fs::read_link(format!("/run/netns/{lab}.{node}"));
    lines.push(format!("in /run/netns: {}", entry.is_ok_and(|target| target.ends_with(format!("netns/{node}")))));
    lines.sort();
    lines
}

/// As few programs as can be: the tests of kills look at a lab some thousand times.
fn seen_from_inside() -> String {
    let forwards = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let [four, six] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"].map(forwards);
    let routes = run(Command::new("ip").args(["-j", "-6", "route", "show", "table", "all"])).expect(0).out;
    let ports = run(Command::new("bridge").args(["-j", "-d", "link"])).expect(0).out;
    format!("{}\n{routes}\n{ports}\n[{four},{six}]", ip_batch(&["-j", "-d"], "addr\nroute show table all\n"))
}

/// What a thread sees that has entered a node's network namespace, with the programs that it starts.
fn within<T: Send>(lab: &str, node: &str, look: impl FnOnce() -> T + Send) -> T {
    let pin = File::open(format!("/run/nslab/{lab}/netns/{node}")).unwrap();
    let entered = || {
        setns(pin, CloneFlags::CLONE_NEWNET).unwrap();
        look()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One line per value, so that a difference is short to read.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !NOT_COMPARED.contains(&key.as_str()) && !key.ends_with("_timer")) {
                flatten(&format!("{path} {key}"), value, lines);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(path, item, lines)),
        other => lines.push(format!("{path} {other}")),
    }
}

/// One ping from a node to an address, both families, without nslab; at most two seconds.
pub fn pings(lab: &str, node: &str, address: &str) -> bool {
    inside(lab, node, &format!("ping -n -c 1 -W 2 {address}")).code == 0
}
