//! `nslab check --against`: what it says of a lab that is being made by hand, after every line that is typed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{fails, in_box, inside, nslab, ok, run};

/// The commands of the docs' code blocks "sh HOST" from a heading on, as (host, command).
fn documented(heading: &str, blocks: usize) -> Vec<(String, String)> {
    let text = include_str!("../docs/practica-4.md");
    let from = text.find(heading).unwrap_or_else(|| panic!("{heading}"));
    let mut found = Vec::new();
    for block in text[from..].split("```sh ").skip(1).take(blocks) {
        let (host, rest) = block.split_once('\n').unwrap();
        let lines = rest.split("```").next().unwrap();
        let mut command = String::new();
        for line in lines.lines() {
            command += line;
            command += "\n";
            // A loop is typed as a whole.
            if !command.contains("; do") || line == "done" {
                found.push((host.to_owned(), std::mem::take(&mut command)));
            }
        }
    }
    found
}

/// The addresses of a node that `ip` tells, by interface, without the loopback's and link-local ones.
fn addresses(lab: &str, node: &str) -> Vec<(String, String)> {
    let links: Value = serde_json::from_str(&inside(lab, node, "ip -j addr").expect(0).out).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = links.as_array().unwrap().iter().filter(|link| link["ifname"] != "lo");
    let global = |link: &Value| {
        let own = link["addr_info"].as_array().cloned().unwrap_or_default();
        let name = text(&link["ifname"]);
        own.into_iter()
            .filter(|own| own["scope"] == "global")
            .map(move |own| (name.clone(), own["local"].as_str().unwrap().to_owned()))
    };
    all.flat_map(global).collect()
}

/// Every piece of evidence of a kind: its check's kind and its values.
fn evidence(report: &Value, kind: &str) -> Vec<Value> {
    let checks = report["checkpoints"].as_array().unwrap().iter().flat_map(|each| each["checks"].as_array().unwrap());
    checks.flat_map(|check| check["evidence"].as_array().unwrap()).filter_map(|each| each.get(kind)).cloned().collect()
}

/// What is said now is true, as foreign tools see it.
fn true_now(lab: &str, target: &str, after: &str) {
    let report = nslab(&format!("--format json check {lab} --against {target}")).json();
    let output = nslab(&format!("check {lab} --against {target}")).out;
    let refute = |why: &str| panic!("{lab} against {target}, after {after}: {why}\n{output}");
    if output.contains("IPv6") || output.contains("ipv6") {
        refute("there is no IPv6 in either");
    }
    for none in evidence(&report, "no-address") {
        let node = none["node"].as_str().unwrap();
        let listed: Vec<&str> =
            none["besides"].as_array().unwrap().iter().map(|each| each["address"].as_str().unwrap()).collect();
        for (interface, address) in addresses(lab, node) {
            let outside = address.starts_with("10.155.") || interface == "enp0s3";
            let named = listed.iter().any(|each| each.starts_with(&format!("{address}/")));
            if !outside || !named {
                refute(&format!("{node} has {address} on {interface}"));
            }
        }
    }
    if target == "routed" {
        let other = addresses(lab, "host-b").into_iter().find(|(interface, _)| interface == "enp0s8");
        let pings = other.is_some_and(|(_, to)| inside(lab, "host-a", &format!("ping -c 1 -W 1 {to}")).code == 0);
        if pings != output.contains("PASS  host-a and host-b reach each other") {
            refute(&format!("host-a pings host-b: {pings}"));
        }
    }
    for role in report["roles"].as_array().unwrap() {
        if role["role"] != role["node"] {
            refute("nobody has changed places");
        }
    }
    if let Some(line) =
        output.lines().find(|line| line.contains("nslab exec") && (line.contains("lxdbr") || line.contains("10.155.")))
    {
        refute(&format!("a cure leads back: {line}"));
    }
    if output.contains("nothing is configured there") {
        for spare in report["spares"].as_array().unwrap() {
            let links = inside(lab, spare.as_str().unwrap(), "ip -o link").expect(0).out;
            if links.lines().any(|line| line.contains("eth0")) {
                refute(&format!("{spare} has {links}"));
            }
        }
    }
    for few in evidence(&report, "too-few") {
        let configured = few["configured"].as_array().unwrap();
        if configured.len() > 1 {
            refute("several are not few");
        }
    }
}

fn typed(lab: &str, target: &str, steps: &[(String, String)]) {
    ok(&format!("--quiet up {lab}"));
    true_now(lab, target, "nothing");
    for (host, command) in steps {
        let node = format!("{lab}/{host}");
        run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", &node, "sh", "-c", command])).expect(0);
        true_now(lab, target, &format!("{host}$ {command}"));
    }
    let ended = ok(&format!("check {lab} --against {target}"));
    assert!(!ended.out.contains("FAIL"), "{ended}");
    ok(&format!("--quiet down {lab}"));
}

fn steps(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(host, line)| ((*host).to_owned(), (*line).to_owned())).collect()
}

#[test]
fn every_sentence_is_true_while_the_bridged_scenario_is_typed_on_bare() {
    in_box(|| typed("bare", "bridged", &documented("### Hágalo a mano", 2)));
}

#[test]
fn every_sentence_is_true_while_the_routed_scenario_is_typed_on_bare() {
    in_box(|| typed("bare", "routed", &documented("## 3. Escenario enrutado", 2)));
}

#[test]
fn every_sentence_is_true_while_the_bridged_scenario_is_typed_on_bare_lxd() {
    in_box(|| typed("bare-lxd", "bridged", &documented("`bare-lxd` se parece más a la clase", 2)));
}

#[test]
fn every_sentence_is_true_while_the_routed_scenario_is_typed_on_bare_lxd() {
    in_box(|| {
        let lines = [
            ("host-a", "ip addr add 192.168.100.1/24 dev enp0s8"),
            ("host-a", "ip link set enp0s8 up"),
            ("host-b", "ip addr add 192.168.100.2/24 dev enp0s8"),
            ("host-b", "ip link set enp0s8 up"),
            ("host-a", "ip route replace default via 192.168.100.2"),
            ("host-b", "ip route replace default via 192.168.100.1"),
            ("host-a", "ip link set veth-a1 nomaster"),
            ("host-a", "ip link add br0 type bridge"),
            ("host-a", "ip addr add 10.1.0.1/24 dev br0"),
            ("host-a", "ip link set br0 up"),
            ("host-a", "ip link set veth-a1 master br0"),
            ("host-a", "ip -n a1 addr flush dev eth0; ip -n a1 addr add 10.1.0.11/24 dev eth0"),
            ("host-a", "ip -n a1 route add default via 10.1.0.1"),
            ("host-a", "ip link set veth-a2 master br0"),
            ("host-a", "ip -n a2 addr flush dev eth0; ip -n a2 addr add 10.1.0.12/24 dev eth0"),
            ("host-a", "ip -n a2 route add default via 10.1.0.1"),
            ("host-b", "ip link set veth-b1 nomaster"),
            ("host-b", "ip addr add 10.2.0.1/30 dev veth-b1"),
            ("host-b", "ip -n b1 addr flush dev eth0"),
            ("host-b", "ip -n b1 addr add 10.2.0.2/30 dev eth0"),
            ("host-b", "ip -n b1 route add default via 10.2.0.1"),
        ];
        typed("bare-lxd", "routed", &steps(&lines));
    });
}

#[test]
fn a_target_with_ipv6_asks_for_it_and_one_in_ipv6_alone_for_nothing_else() {
    in_box(|| {
        let both = include_str!("../topologies/routed.yaml")
            .replace("address: 192.168.100.1/24 }", "address: [192.168.100.1/24, 'fd00::1/64'] }")
            .replace("name: routed", "name: both");
        let alone = "name: alone
networks: { internal: {} }
hosts:
  host-a: { forwarding: true, nics: { enp0s8: { network: internal, address: 'fd00::1/64' } } }
  host-b: { forwarding: true, nics: { enp0s8: { network: internal, address: 'fd00::2/64' } } }
checkpoints:
  - name: six
    points: 1
    checks: [ { forwarding: { on: [host-a, host-b] } }, { reach: [[host-a, host-b]] } ]
";
        fs::write("/run/both.yaml", both).unwrap();
        fs::write("/run/alone.yaml", alone).unwrap();
        ok("--quiet up bare");
        let of_both = fails(1, "check --against /run/both.yaml").out;
        for cure in ["sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv6.conf.all.forwarding=1"] {
            assert!(of_both.contains(&format!("exec host-a {cure}")), "{cure}:\n{of_both}");
        }
        inside(
            "bare",
            "host-a",
            "ip addr add 192.168.1.1/24 dev enp0s8; ip addr add fd00::1/64 dev enp0s8 nodad; ip link set enp0s8 up",
        )
        .expect(0);
        inside("bare", "host-b", "ip addr add 192.168.1.2/24 dev enp0s8; ip link set enp0s8 up").expect(0);
        let of_six = fails(1, "check --against /run/alone.yaml").out;
        assert!(of_six.contains("host-a does not forward IPv6.") && !of_six.contains("forward IPv4"), "{of_six}");
        let of_four = fails(1, "check --against routed").out;
        assert!(!of_four.contains("IPv6") && of_four.contains("PASS  host-a and host-b reach each other"), "{of_four}");
        // An address of a family that does not count is named as such.
        inside("bare", "host-b", "ip addr flush dev enp0s8; ip addr add fd00::2/64 dev enp0s8 nodad").expect(0);
        let mixed = fails(1, "check --against routed").out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(mixed.contains("host-b has no IPv4 address in this scenario; fd00::2/64 on enp0s8 does not count."), "{mixed}");
        ok("--quiet down bare");
    });
}

#[test]
fn a_ping_that_nobody_could_send_is_not_said_to_be_unanswered() {
    in_box(|| {
        ok("--quiet up bridged");
        inside("bridged", "host-b.b1", "ip addr flush dev eth0; ip addr add 10.0.0.11/24 dev eth0").expect(0);
        inside("bridged", "host-b.b2", "ip addr flush dev eth0; ip addr add fd00::b2/64 dev eth0 nodad").expect(0);
        for words in ["check", "check --against bridged"] {
            let report = nslab(&format!("--format json {words}")).json();
            let pairs: Vec<Value> =
                evidence(&report, "unanswered").iter().flat_map(|each| each["pairs"].as_array().unwrap().clone()).collect();
            let same = |pair: &Value| pair.to_string().contains("host-a.a1") && pair.to_string().contains("host-b.b1");
            assert!(!pairs.iter().any(|pair| same(pair) || pair.to_string().contains("host-b.b2")), "{report:#}");
            assert!(!evidence(&report, "duplicate").is_empty(), "{report:#}");
        }
        let own = fails(1, "check").out;
        assert!(own.contains("have no addresses of the same family"), "{own}");
        ok("--quiet down bridged");
    });
}

#[test]
fn a_nic_that_was_taken_away_is_not_said_to_have_no_address() {
    in_box(|| {
        ok("--quiet up routed");
        inside("routed", "host-b", "ip link del enp0s8").expect(0);
        let output = fails(1, "check --only addresses").out;
        assert!(output.contains("host-b.enp0s8 is gone.") && !output.contains("no address"), "{output}");
        ok("--quiet down routed");
    });
}

#[test]
fn whoever_forwards_by_one_interface_alone_is_not_said_to_forward_nothing() {
    in_box(|| {
        let text = "name: quiet
networks: { internal: {} }
hosts:
  h: { nics: { enp0s8: { network: internal, address: 10.0.0.1/24 } } }
  k: { nics: { enp0s8: { network: internal, address: 10.0.0.2/24 } } }
checkpoints: [ { name: off, points: 1, checks: [ { forwarding: { off: [h, k] } } ] } ]
";
        fs::write("/run/quiet.yaml", text).unwrap();
        ok("--quiet up /run/quiet.yaml");
        ok("check");
        inside("quiet", "h", "sysctl -qw net.ipv4.conf.enp0s8.forwarding=1").expect(0);
        let output = fails(1, "check").out;
        assert!(output.contains("h forwards IPv4.") && !output.contains("k forwards"), "{output}");
        ok("--quiet down");
    });
}
