//! The shipped topologies on the real kernel, judged by ping and ip from inside their namespaces, without nslab's help.
#![allow(clippy::unwrap_used, clippy::type_complexity)]

mod support;

use std::process::{Child, Command, Stdio};

use support::{Machine, Wiring, canaries, fails, in_box, inside, limit, nodes, ok, pings, rounds, sh};

/// A container and one of its addresses, as `ip` shows it.
struct Address {
    node: String,
    ip: String,
    family: &'static str,
}

/// Every address of every container of a lab.
fn addresses(lab: &str) -> Vec<Address> {
    let mut found = Vec::new();
    for node in nodes(lab).into_iter().filter(|node| node.contains('.')) {
        for (family, flag) in [("inet", "-4"), ("inet6", "-6")] {
            let shown = inside(lab, &node, &format!("ip -o {flag} addr show scope global")).expect(0).out;
            for line in shown.lines() {
                let ip = line.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned();
                found.push(Address { node: node.clone(), ip, family });
            }
        }
    }
    found
}

fn start_ping(lab: &str, from: &str, to: &str, seconds: u32) -> Child {
    Command::new("nsenter")
        .args([
            &format!("--net=/run/nslab/{lab}/netns/{from}"),
            "ping",
            "-n",
            "-c",
            "1",
            "-W",
            &limit(u64::from(seconds) * 1000).as_secs().to_string(),
            to,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One ping from every container to every other one's address of a family that both have, all at once.
/// Returns who reached whom, and who did not.
fn all_pairs(lab: &str, seconds: u32) -> (Vec<(String, String)>, Vec<(String, String)>) {
    let addresses = addresses(lab);
    let mut running = Vec::new();
    for from in nodes(lab).into_iter().filter(|node| node.contains('.')) {
        let families: Vec<_> = addresses.iter().filter(|a| a.node == from).map(|a| a.family).collect();
        for to in addresses.iter().filter(|to| to.node != from && families.contains(&to.family)) {
            running.push((from.clone(), format!("{} {}", to.node, to.ip), start_ping(lab, &from, &to.ip, seconds)));
        }
    }
    let (mut reached, mut lost) = (Vec::new(), Vec::new());
    for (from, to, mut ping) in running {
        if ping.wait().unwrap().success() { reached.push((from, to)) } else { lost.push((from, to)) }
    }
    (reached, lost)
}

fn host(node: &str) -> &str {
    node.split('.').next().unwrap()
}

/// Up, what `judge` says, up again, down; and the machine as before.
fn live(lab: &str, judge: impl FnOnce()) {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok(&format!("up {lab}"));
        judge();
        let wiring = Wiring::look(lab);
        ok(&format!("up {lab}"));
        wiring.assert_same(&Wiring::look(lab), "up again");
        ok(&format!("down {lab}"));
        ok(&format!("down {lab}"));
        machine.assert_unchanged("down");
    });
}

fn everybody_reaches_everybody(lab: &str, containers: usize) {
    live(lab, || {
        let (reached, lost) = all_pairs(lab, 2);
        assert!(lost.is_empty(), "{lost:?}");
        assert!(reached.len() >= containers * (containers - 1), "only {} pings", reached.len());
    });
}

#[test]
fn in_bridged_everybody_reaches_everybody() {
    everybody_reaches_everybody("bridged", 4);
}

#[test]
fn in_bridged_hosts_everybody_reaches_everybody_and_the_hosts() {
    everybody_reaches_everybody("bridged-hosts", 4);
}

#[test]
fn in_routed_everybody_reaches_everybody() {
    everybody_reaches_everybody("routed", 4);
}

#[test]
fn in_routed_router_everybody_reaches_everybody() {
    everybody_reaches_everybody("routed-router", 4);
}

#[test]
fn in_three_hosts_everybody_reaches_everybody() {
    everybody_reaches_everybody("three-hosts", 3);
}

#[test]
fn in_bridged_deny_only_neighbours_on_one_host_reach_each_other() {
    live("bridged-deny", || {
        let (reached, lost) = all_pairs("bridged-deny", 1);
        assert!(!reached.is_empty() && !lost.is_empty());
        assert!(reached.iter().all(|(from, to)| host(from) == host(to)), "{reached:?}");
        assert!(lost.iter().all(|(from, to)| host(from) != host(to)), "{lost:?}");
    });
}

#[test]
fn in_bare_nothing_is_configured() {
    live("bare", || {
        let found = addresses("bare");
        assert!(found.is_empty(), "{:?}", found.iter().map(|a| &a.ip).collect::<Vec<_>>());
        assert!(nodes("bare").len() >= 6, "{:?}", nodes("bare"));
        for node in nodes("bare").iter().filter(|node| node.contains('.')) {
            let links = inside("bare", node, "ip -o link").expect(0).out;
            assert_eq!(links.lines().count(), 1, "{node} has more than lo: {links}");
        }
    });
}

#[test]
fn in_bare_lxd_it_is_as_virtualbox_and_lxd_hand_it_over() {
    live("bare-lxd", || {
        for node in ["host-a", "host-b"] {
            let seen =
                inside("bare-lxd", node, "ip -o -4 addr; ip route; ip -o link show enp0s8; cat /proc/sys/net/ipv4/ip_forward");
            let seen = seen.expect(0).out;
            assert!(seen.contains("enp0s3    inet 10.0.2.15/24"), "{seen}");
            assert!(seen.contains("default via") && seen.contains("dev enp0s3"), "{seen}");
            assert!(seen.contains("state DOWN"), "enp0s8 is not down: {seen}");
            assert!(seen.trim_end().ends_with('1'), "no forwarding: {seen}");
        }
        let (reached, _) = all_pairs("bare-lxd", 1);
        assert!(reached.iter().any(|(from, to)| host(from) == host(to)), "{reached:?}");
        for node in nodes("bare-lxd").iter().filter(|node| node.contains('.')) {
            assert!(inside("bare-lxd", node, "ip route").expect(0).out.contains("default via"), "{node}");
        }
    });
}

/// Bridged, both families, and the same with one more container.
const BOTH_FAMILIES: &str = "name: both
networks: { internal: {} }
hosts:
  host-a:
    nics: { enp0s8: { network: internal } }
    bridges: { br0: { ports: [enp0s8] } }
    containers:
      a1: { nics: { eth0: { bridge: br0, address: [10.0.0.1/24, 'fd00::1/64'] } } }
      a2: { nics: { eth0: { bridge: br0, address: [10.0.0.2/24, 'fd00::2/64'] } } }
  host-b:
    nics: { enp0s8: { network: internal } }
    bridges: { br0: { ports: [enp0s8] } }
    containers:
      b1: { nics: { eth0: { bridge: br0, address: [10.0.0.3/24, 'fd00::3/64'] } } }
      b2: { nics: { eth0: { bridge: br0, address: [10.0.0.4/24, 'fd00::4/64'] } } }
";

#[test]
fn the_first_ping_of_all_pairs_answers_every_time() {
    in_box(|| {
        std::fs::write("/run/both.yaml", BOTH_FAMILIES).unwrap();
        let more =
            format!("{BOTH_FAMILIES}      b3: {{ nics: {{ eth0: {{ bridge: br0, address: [10.0.0.5/24, 'fd00::5/64'] }} }} }}\n");
        std::fs::write("/run/more.yaml", more).unwrap();
        for turn in 1..=rounds(50) {
            ok("up /run/both.yaml");
            let (reached, lost) = all_pairs("both", 1);
            assert_eq!((reached.len(), &lost[..]), (24, &[][..]), "turn {turn}, after up");
            ok("up /run/more.yaml");
            let (reached, lost) = all_pairs("both", 1);
            assert_eq!((reached.len(), &lost[..]), (40, &[][..]), "turn {turn}, after a changed file");
            ok("down both");
        }
    });
}

#[test]
fn a_lab_is_in_no_way_in_the_machines_own_namespace() {
    in_box(|| {
        let before = sh("ip -d link; ip addr; ip route; ip rule; ip netns list-id");
        ok("up routed");
        assert_eq!(before, sh("ip -d link; ip addr; ip route; ip rule; ip netns list-id"));
        assert!(sh("ip netns list").contains("routed.host-a.a1"), "{}", sh("ip netns list"));
        ok("down routed");
    });
}

#[test]
fn a_thousand_ports_and_more_on_one_bridge_are_refused_before_anything_is_touched() {
    in_box(|| {
        let wide = "name: wide\nhosts:\n  h:\n    bridges: { br0: {} }\n    containers: { c: { count: 1100, nics: { eth0: { bridge: br0, address: 10.0.0.1/16 } } } }\n";
        std::fs::write("/run/wide.yaml", wide).unwrap();
        let machine = Machine::look();
        fails(2, "up /run/wide.yaml");
        machine.assert_unchanged("a refused file");
    });
}

#[test]
fn many_containers_fewer_and_more_in_a_changed_file_leave_exactly_what_it_describes() {
    in_box(|| {
        let star = |count: u32| {
            let text = format!(
                "name: star\nhosts:\n  h:\n    bridges: {{ br0: {{}} }}\n    containers: {{ c: {{ count: {count}, nics: {{ eth0: {{ bridge: br0, address: 10.0.0.1/16 }} }} }} }}\n"
            );
            std::fs::write("/run/star.yaml", text).unwrap();
            ok("up /run/star.yaml");
            assert_eq!(inside("star", "h", "ip -o link show master br0").out.lines().count(), count as usize);
            assert!(ok("status star").out.contains("as described"));
        };
        let machine = Machine::look();
        // More than one batch of links goes at once, one alone goes, all of a batch go.
        for count in [150, 2, 1, 65, 1] {
            star(count);
        }
        assert!(
            !inside("star", "h", "ip -d link").out.contains("group 1"),
            "a link that stays was in the group of those that go"
        );
        star(2);
        assert!(pings("star", "h.c1", "10.0.0.2"));
        ok("down star");
        std::fs::remove_file("/run/star.yaml").unwrap();
        machine.assert_unchanged("down of a lab that changed");
    });
}
