//! `nslab ping --all`: every pair, the matrix, and the machine's one neighbour table.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{fails, in_box, inside, nslab, ok, sh};

fn json_of(words: &str) -> Value {
    nslab(&format!("--format json {words}")).json()
}

/// A bridged lab of so many containers on each of two hosts.
fn big(each: usize) {
    let host = |name: &str, first: usize, letter: &str| {
        format!(
            "  {name}:\n    nics: {{ enp0s8: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [enp0s8] }} }}\n    containers: \
             {{ {letter}: {{ count: {each}, nics: {{ eth0: {{ bridge: br0, address: 10.0.0.{first}/24 }} }} }} }}\n"
        )
    };
    let file =
        format!("name: big\nnetworks: {{ internal: {{}} }}\nhosts:\n{}{}", host("host-a", 11, "a"), host("host-b", 131, "b"));
    std::fs::write("/run/big.yaml", file).unwrap();
    ok("up /run/big.yaml");
}

/// Every neighbour entry of a lab's nodes, by `ip`: node, address, state.
fn neighbours(lab: &str) -> Vec<String> {
    let mut found = Vec::new();
    for node in support::nodes(lab) {
        let listed = inside(lab, &node, "ip -4 neigh show nud all; ip -6 neigh show nud all").out;
        let kept = listed.lines().filter(|line| !line.contains("NOARP") && !line.contains("ff02::"));
        found.extend(kept.map(|line| format!("{node} {}", line.split(' ').take(5).collect::<Vec<_>>().join(" "))));
    }
    found.sort();
    found
}

#[test]
fn every_pair_is_pinged_and_the_matrix_says_which_fail() {
    in_box(|| {
        ok("up bridged-deny");
        let ran = fails(1, "ping --all");
        let rows: Vec<String> = ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows[..5], ["a1 a2 b1 b2", "a1 - . X X", "a2 . - X X", "b1 X X - .", "b2 X X . -"], "{ran}");
        assert!(ran.out.contains("12 pairs: 4 answered, 8 not") && ran.out.contains("nslab trace a1 b1"), "{ran}");
        assert!(ran.out.lines().all(|line| line.len() <= 80), "{ran}");
        ok("down");
        ok("up routed");
        let ran = ok("ping --all");
        assert!(ran.out.contains("12 pairs: 12 answered"), "{ran}");
        assert!(ok("ping --all --hosts").out.contains("30 pairs: 30 answered"));
        inside("routed", "host-b", "ip link set veth-b2 down").expect(0);
        let matrix = json_of("ping --all");
        let failed: Vec<(&str, &str)> = matrix["failed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair["from"].as_str().unwrap(), pair["to"].as_str().unwrap()))
            .collect();
        assert_eq!(failed.len(), 6, "{matrix}");
        assert!(failed.iter().all(|(from, to)| *from == "host-b.b2" || *to == "host-b.b2"), "{matrix}");
        ok("down");
    });
}

#[test]
fn pcs_are_pinged_too_and_what_is_stopped_is_said() {
    in_box(|| {
        let text = "name: class\nnetworks: { lan: {} }\nhosts:\n  pc1: { nics: { eth0: { network: lan, address: 10.0.0.1/24 } } }\n  \
                    pc2: { nics: { eth0: { network: lan, address: 10.0.0.2/24 } } }\n  h:\n    nics: { eth0: { network: lan, address: 10.0.0.3/24 } }\n    \
                    bridges: { br0: {} }\n    containers:\n      c: { nics: { eth0: { bridge: br0, address: 10.0.0.4/24 } } }\n";
        std::fs::write("/run/class.yaml", text).unwrap();
        ok("up /run/class.yaml");
        let matrix = json_of("ping --all");
        assert_eq!((&matrix["nodes"], &matrix["pairs"]), (&json!(["pc1", "pc2", "h.c"]), &json!(6)), "{matrix}");
        assert_eq!(json_of("ping --all --hosts")["nodes"], json!(["pc1", "pc2", "h", "h.c"]));
        ok("stop c");
        let matrix = json_of("ping --all");
        assert_eq!((&matrix["nodes"], &matrix["stopped"]), (&json!(["pc1", "pc2"]), &json!(["h.c"])), "{matrix}");
        assert!(ok("ping --all").out.contains("Not pinged, being stopped: c."));
        ok("down");
    });
}

#[test]
fn a_lab_without_pairs_says_so() {
    in_box(|| {
        std::fs::write("/run/lone.yaml", "name: lone\nhosts: { h: { containers: { c: { nics: { eth0: { address: 10.0.0.1/24, host: { address: 10.0.0.2/24 } } } } } } }\n").unwrap();
        ok("up /run/lone.yaml");
        assert!(ok("ping --all").out.contains("no two containers"));
        assert!(ok("ping --all --hosts").out.contains("2 pairs: 2 answered"));
        ok("down");
    });
}

#[test]
fn what_was_made_by_hand_belongs_to_it_and_a_missing_address_is_told() {
    in_box(|| {
        ok("up bridged");
        ok("exec host-a ip netns add mine");
        ok("exec host-a ip link add v9 type veth peer name eth0 netns mine");
        ok("exec host-a ip link set v9 master br0 up");
        let ran = fails(1, "ping --all");
        assert!(ran.out.contains("20 pairs: 12 answered, 8 not") && ran.out.contains("? no address in common"), "{ran}");
        ok("exec host-a ip -n mine addr add 10.0.0.99/24 dev eth0");
        ok("exec host-a ip -n mine link set eth0 up");
        assert!(ok("ping --all").out.contains("20 pairs: 20 answered"));
        inside("bridged", "host-a.a1", "ip addr add fd00::11/64 dev eth0 nodad").expect(0);
        inside("bridged", "host-b.b1", "ip addr add fd00::21/64 dev eth0 nodad").expect(0);
        assert!(ok("ping --all").out.contains("20 pairs: 20 answered"));
        inside("bridged", "host-b.b1", "ip addr add fd00:1::21/64 dev eth0 nodad; ip addr del fd00::21/64 dev eth0").expect(0);
        let ran = fails(1, "ping --all");
        assert!(ran.out.contains("20 pairs: 18 answered, 2 not") && ran.out.contains("4 by IPv4 alone"), "{ran}");
        ok("down");
    });
}

#[test]
fn a_hundred_containers_fit_the_machines_neighbour_table_and_leave_it_as_it_was() {
    in_box(|| {
        big(50);
        inside("big", "host-a.a1", "ip neigh add 10.0.0.131 lladdr 02:00:02:00:01:00 dev eth0 nud permanent").expect(0);
        inside("big", "host-a.a2", "ping -n -c 1 10.0.0.132").expect(0);
        let before = neighbours("big");
        let limit: usize = sh("ip ntable show name arp_cache | grep -o 'thresh3 [0-9]*' | head -1").trim()[8..].parse().unwrap();
        let ran = nslab("--format json ping --all").expect(0);
        let matrix = ran.json();
        assert_eq!((&matrix["pairs"], &matrix["answered"]), (&json!(9900), &json!(9900)), "{ran}");
        if limit < 2 * 9900 {
            assert!(matrix["rounds"].as_u64().unwrap() > 1, "{ran}");
            assert_eq!(matrix["limit"], limit);
            // Nobody is new; what nobody asked for meanwhile may have gone by itself.
            let after = neighbours("big");
            assert!(after.iter().all(|one| before.contains(one)), "{after:?}\n{ran}");
            assert!(after.iter().any(|one| one.contains("10.0.0.131")), "{after:?}\n{ran}");
            assert!(ok("ping --all").out.contains("gc_thresh3"));
        }
        ok("down");
    });
}

#[test]
fn none_is_lost_while_every_core_is_busy() {
    in_box(|| {
        big(30);
        let mut hogs: Vec<_> = (0..4).map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()).collect();
        let rans: Vec<_> = (0..3).map(|_| nslab("--format json ping --all")).collect();
        for hog in &mut hogs {
            hog.kill().unwrap();
            hog.wait().unwrap();
        }
        for ran in rans {
            assert_eq!(ran.json()["answered"], 60 * 59, "{ran}");
        }
        ok("down");
    });
}

#[test]
fn failing_pairs_of_a_large_lab_are_summed_up() {
    in_box(|| {
        big(12);
        inside("big", "host-a", "ip link set enp0s8 nomaster").expect(0);
        let ran = fails(1, "ping --all");
        assert!(ran.out.contains("from the containers of host-a to those of host-b: none of 144 pairs is answered"), "{ran}");
        assert!(ran.out.lines().count() < 10, "{ran}");
        inside("big", "host-a", "ip link set enp0s8 master br0; ip link set veth-a7 down").expect(0);
        let ran = fails(1, "ping --all");
        assert!(ran.out.contains("a7: no ping from it or to it is answered"), "{ran}");
        assert!(ran.out.contains("552 pairs: 506 answered, 46 not"), "{ran}");
        ok("down");
    });
}
