//! What the tables say about the way of a packet, on the real kernel: judged by `ip route get` and `ping`. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "the pings are predicted here")]
mod random;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use nslab::lab::Subject;
use nslab::probe::predict::{Prediction, Probe, predict};
use nslab::probe::view::View;
use nslab::report::machine::Kind;
use nslab::report::trace::Action;
use serde_json::Value;
use support::{in_box, inside, ok, sh, shipped};

const PROBE: Probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };
/// Random labs that are looked at.
const LABS: u64 = 30;

fn look(lab: &str) -> View {
    let labs = nslab::lab::names();
    let entry = labs.iter().find(|entry| entry.lab == lab).unwrap();
    let mut view = View::look(&Subject::new(entry.clone())).unwrap();
    let all: Vec<String> = view.places.iter().map(|place| place.node.node.clone()).collect();
    view.read_settings(&all).unwrap();
    view
}

/// Every node that sends, and every address of the lab that it may send to.
fn pairs(view: &View) -> Vec<(String, IpAddr, Prediction)> {
    let addresses: BTreeSet<IpAddr> = view
        .places
        .iter()
        .flat_map(|place| place.node.links.iter().filter(|link| link.kind != "loopback").flat_map(|link| &link.addresses))
        .map(ipnet::IpNet::addr)
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    let senders = view.places.iter().filter(|place| place.node.kind != Kind::Switch);
    let pair =
        |place: &nslab::probe::view::Place, to: IpAddr| (place.node.node.clone(), to, predict(view, &place.id, to, &PROBE));
    senders.flat_map(|place| addresses.iter().map(move |to| pair(place, *to))).collect()
}

/// `ip route get` of all addresses in one node.
fn routes(lab: &str, node: &str, addresses: &[IpAddr]) -> Vec<Option<Value>> {
    let mut script = String::new();
    for address in addresses {
        writeln!(script, "ip -j route get {address} 2>/dev/null || echo '[]'").unwrap();
    }
    let out = inside(lab, node, &script).expect(0).out;
    let lines: Vec<Option<Value>> = out
        .lines()
        .filter(|line| line.starts_with('['))
        .map(|line| serde_json::from_str::<Value>(line).unwrap().as_array().unwrap().first().cloned())
        .collect();
    assert_eq!(lines.len(), addresses.len(), "{node}: {out}");
    lines
}

/// The first hop is the kernel's own choice.
fn agrees_with_the_kernel(lab: &str, pairs: &[(String, IpAddr, Prediction)]) -> String {
    let mut by_node: BTreeMap<&str, Vec<&(String, IpAddr, Prediction)>> = BTreeMap::new();
    for pair in pairs {
        by_node.entry(&pair.0).or_default().push(pair);
    }
    let mut differences = String::new();
    for (node, pairs) in by_node {
        let addresses: Vec<IpAddr> = pairs.iter().map(|pair| pair.1).collect();
        for ((_, to, prediction), real) in pairs.into_iter().zip(routes(lab, node, &addresses)) {
            let first = prediction.request.visits.first().map(|visit| &visit.deed);
            let predicted = match first {
                Some(Action::Sends(route)) => {
                    let source = prediction.request.source.map(|source| source.to_string());
                    Some((Some(route.dev.clone()), route.via.map(|via| via.to_string()), source))
                }
                _ => None,
            };
            let real = real.filter(|real| real["type"] != "unreachable").map(|real| {
                let word = |key: &str| real[key].as_str().map(str::to_owned);
                (word("dev"), word("gateway"), word("prefsrc"))
            });
            // A node's own address is on its loopback, whatever interface the local table names.
            let real = real
                .map(|(dev, via, source)| if dev.as_deref() == Some("lo") { (dev, None, source) } else { (dev, via, source) });
            let predicted = predicted.map(|(dev, via, source)| {
                let own = prediction.request.visits.first().and_then(|visit| visit.leaves.as_deref()) == Some("lo");
                (if own { Some("lo".to_owned()) } else { dev }, via, source)
            });
            if predicted != real {
                writeln!(differences, "{lab}: {node} to {to}: predicted {predicted:?}, the kernel says {real:?}").unwrap();
            }
        }
    }
    differences
}

/// What is predicted to be answered is, and nothing else.
fn agrees_with_ping(lab: &str, pairs: &[(String, IpAddr, Prediction)]) -> String {
    let mut script = String::new();
    for (number, (node, to, prediction)) in pairs.iter().enumerate() {
        let patience = if prediction.death.is_none() { 5 } else { 1 };
        write!(
            script,
            "{{ nsenter --net=/run/netns/{lab}.{node} ping -n -q -c 1 -W {patience} {to} >/dev/null 2>&1 && echo {number} answered || echo {number} lost; }} & "
        )
        .unwrap();
        if number % 400 == 399 {
            script.push_str("wait; ");
        }
    }
    let out = sh(&format!("{script} wait"));
    let answered: BTreeSet<usize> =
        out.lines().filter_map(|line| line.strip_suffix(" answered")).map(|number| number.parse().unwrap()).collect();
    assert_eq!(out.lines().count(), pairs.len());
    let mut differences = String::new();
    for (number, (node, to, prediction)) in pairs.iter().enumerate() {
        if answered.contains(&number) != prediction.death.is_none() {
            writeln!(
                differences,
                "{lab}: {node} to {to}: predicted {:?}; visits {:#?}",
                prediction.death, prediction.request.visits
            )
            .unwrap();
        }
    }
    differences
}

#[test]
fn in_every_shipped_topology_first_hops_are_the_kernels_and_reach_is_that_of_ping() {
    in_box(|| {
        for name in shipped() {
            ok(&format!("up {name}"));
            let pairs = pairs(&look(&name));
            let differences = agrees_with_the_kernel(&name, &pairs) + &agrees_with_ping(&name, &pairs);
            assert!(differences.is_empty(), "{differences}");
            ok(&format!("down {name}"));
        }
    });
}

#[test]
fn in_random_labs_first_hops_are_the_kernels_and_reach_is_that_of_ping() {
    in_box(|| {
        let (mut alive, mut dead) = (0, 0);
        for seed in 1000..1000 + LABS {
            std::fs::write("/run/random.yaml", random::lab(seed).yaml).unwrap();
            ok("up /run/random.yaml");
            let pairs = pairs(&look("random"));
            let lost = pairs.iter().filter(|pair| pair.2.death.is_some()).count();
            (alive, dead) = (alive + pairs.len() - lost, dead + lost);
            let differences = agrees_with_the_kernel("random", &pairs) + &agrees_with_ping("random", &pairs);
            assert!(differences.is_empty(), "seed {seed}:\n{differences}");
            ok("down random");
        }
        assert!(alive > 1000 && dead > 100, "the labs are too small: {alive} alive, {dead} dead");
    });
}
