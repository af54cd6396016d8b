//! One test per cause.

use netlink_packet_route::neighbour::NeighbourState;

use super::bench::{Bench, node, via};
use super::rules::SIX;
use super::{PROBE, ask, death};
use crate::lab::subject::Prompt;
use crate::plan::{RouteTo, Sysctl};
use crate::probe::cure::cure;
use crate::probe::predict::{Prediction, Probe, predict};
use crate::probe::view::{Looked, View};
use crate::report::trace::{Cause, Leg};

/// The cause as JSON with the leg and the node of the death.
fn told(prediction: &Prediction) -> String {
    let (leg, cause) = death(prediction);
    let leg = if leg == Leg::Request { "" } else { "reply: " };
    format!("{leg}{}: {}", prediction.death.as_ref().unwrap().node, serde_json::to_string(cause).unwrap())
}

fn routed(bench: Bench) -> String {
    told(&ask(&bench.view(), "host-a.a1", "10.2.0.2"))
}

fn bridged(bench: Bench) -> String {
    told(&ask(&bench.view(), "host-a.a1", "10.0.0.21"))
}

#[test]
fn no_route() {
    let lab = Bench::new("routed").without("-n host-a route add default");
    assert_eq!(routed(lab), r#"host-a: {"cause":"no-route","node":"host-a","to":"10.2.0.2"}"#);
    let lab = Bench::new("routed").without("-n host-b.b1 route add default");
    assert_eq!(routed(lab), r#"reply: host-b.b1: {"cause":"no-route","node":"host-b.b1","to":"10.1.0.11"}"#);
}

#[test]
fn no_address() {
    let view = Bench::new("bridged").view();
    assert_eq!(told(&ask(&view, "host-a", "10.0.0.21")), r#"host-a: {"cause":"no-address","node":"host-a"}"#);
    // A router of IPv6 asks with its link-local address alone.
    let view = Bench::new(SIX).without("fe80::800:2ff:fe00:0/64").view();
    assert_eq!(told(&ask(&view, "host-a.a1", "fd00:2::2")), r#"host-b: {"cause":"no-address","node":"host-b"}"#);
}

#[test]
fn forwarding_off() {
    let lab = Bench::new("routed").forwarding("host-b", Sysctl::Forward4, false);
    assert_eq!(routed(lab), r#"host-b: {"cause":"forwarding-off","node":"host-b","ipv6":false}"#);
    let view = Bench::new(SIX).forwarding("host-a", Sysctl::Forward6, false).view();
    assert_eq!(told(&ask(&view, "host-a.a1", "fd00:2::2")), r#"host-a: {"cause":"forwarding-off","node":"host-a","ipv6":true}"#);
}

/// What nobody looked at is no cause: the same lab with its other half on another machine.
#[test]
fn nothing_is_concluded_from_what_is_not_known() {
    let there = r#"{"cause":"other-machine","interface":{"node":"host-a","interface":"enp0s8"},"host":"host-b"}"#;
    let broken = [
        Bench::new("routed").forwarding("host-b", Sysctl::Forward4, false),
        Bench::new("routed").without("-n host-b.b1 route add default"),
        Bench::new("routed").without("10.2.0.2/30"),
        Bench::new("routed").without("-n host-b.b1 link set eth0 up"),
    ];
    for lab in broken {
        let known = ask(&lab.clone().view(), "host-a.a1", "10.2.0.2");
        assert!(!told(&known).contains("other-machine"), "{}", told(&known));
        let half = ask(&lab.view().elsewhere("host-b"), "host-a.a1", "10.2.0.2");
        let death = half.death.as_ref().unwrap();
        assert!(told(&half).ends_with(there) && death.node == "host-a" && death.cure.is_empty(), "{half:#?}");
    }
    // What is known here is told as before, with its cure.
    let lab = Bench::new("routed").forwarding("host-a", Sysctl::Forward4, false).view().elsewhere("host-b");
    let half = ask(&lab, "host-a.a1", "10.2.0.2");
    assert_eq!(told(&half), r#"host-a: {"cause":"forwarding-off","node":"host-a","ipv6":false}"#);
    assert!(!half.death.unwrap().cure.is_empty());
    // That an address is there twice takes two who were seen to have it.
    let twice = Bench::new("routed").address("host-a.a2", "eth0", "10.2.0.2/32");
    for (view, noted) in [(twice.clone().view(), true), (twice.view().elsewhere("host-b"), false)] {
        let notes = ask(&view, "host-a.a1", "10.2.0.2").notes;
        assert_eq!(notes.iter().any(|note| matches!(note.cause, Cause::DuplicateAddress { .. })), noted, "{notes:?}");
    }
}

#[test]
fn what_the_kernel_did_not_tell_is_not_off() {
    let mut view = Bench::new(SIX).view();
    view.tables("host-a").all6.forwarding = None;
    assert!(ask(&view, "host-a.a1", "fd00:2::2").death.is_none());
}

/// Whose address it is to be, a description tells that could be read.
#[test]
fn no_cure_rests_on_a_description_that_could_not_be_read() {
    let lab = || Bench::new("bridged").address("host-a.a2", "eth0", "10.0.0.21/24");
    let cause = |view: &View| {
        let owners = view.owners_of_address("10.0.0.21".parse().unwrap());
        Cause::DuplicateAddress { address: "10.0.0.21".parse().unwrap(), owners }
    };
    let mut view = lab().view();
    assert!(!cure(&view, &cause(&view)).is_empty());
    view.described = Looked::NotKnown;
    assert!(cure(&view, &cause(&view)).is_empty());
}

#[test]
fn wrong_prefix() {
    let narrow = Bench::new("bridged").without("10.0.0.11/24").address("host-a.a1", "eth0", "10.0.0.11/28");
    let told = bridged(narrow);
    assert!(told.contains(r#""wrong-prefix""#) && told.contains(r#""to":"10.0.0.21""#), "{told}");
    let wide = Bench::new("routed").without("10.1.0.11/24").address("host-a.a1", "eth0", "10.1.0.11/8");
    let told = routed(wide);
    assert!(told.contains(r#""address":"10.1.0.11/8","other":"10.1.0.1/24","to":"10.2.0.2""#), "{told}");
}

#[test]
fn no_such_gateway() {
    let told = routed(Bench::new("routed").route("host-a", "0.0.0.0/0", via("192.168.100.9", "enp0s8")));
    assert!(told.starts_with(r#"host-a: {"cause":"no-such-gateway","node":"host-a","gateway":"192.168.100.9""#), "{told}");
}

#[test]
fn link_down() {
    let own = r#"host-a: {"cause":"link-down","interface":{"node":"host-a","interface":"enp0s8"},"peer":null}"#;
    assert_eq!(routed(Bench::new("routed").without("-n host-a link set enp0s8 up")), own);
    let told = bridged(Bench::new("bridged").without("-n host-b link set enp0s8 up"));
    assert!(
        told.ends_with(r#""interface":{"node":"host-a","interface":"enp0s8"},"peer":{"node":"host-b","interface":"enp0s8"}}"#),
        "{told}"
    );
}

#[test]
fn not_in_bridge() {
    let told = bridged(Bench::new("bridged").without("-n host-b link set enp0s8 master"));
    assert!(
        told.ends_with(r#"{"cause":"not-in-bridge","interface":{"node":"host-b","interface":"enp0s8"},"bridges":["br0"]}"#),
        "{told}"
    );
}

#[test]
fn port_closed() {
    let mut view = Bench::new("bridged").view();
    for dev in ["veth-a1", "enp0s8"] {
        view.link("host-a", dev).port.as_mut().unwrap().isolated = true;
    }
    let told = told(&ask(&view, "host-a.a1", "10.0.0.21"));
    assert!(told.ends_with(r#""port-closed","interface":{"node":"host-a","interface":"enp0s8"},"state":"isolated"}"#), "{told}");
}

#[test]
fn unresolved() {
    let view = Bench::new("bridged").view();
    let nobody = told(&ask(&view, "host-a.a1", "10.0.0.77"));
    assert!(nobody.contains(r#""unresolved""#) && nobody.ends_with(r#""owner":null}"#), "{nobody}");
    let mut view = view;
    view.link("host-b.b1", "eth0").arp_ignore = 8;
    let silent = told(&ask(&view, "host-a.a1", "10.0.0.21"));
    assert!(silent.ends_with(r#""owner":{"node":"host-b.b1","interface":"eth0"}}"#), "{silent}");
}

#[test]
fn duplicate_address() {
    let told = bridged(Bench::new("bridged").address("host-b.b1", "eth0", "10.0.0.11/24"));
    assert!(told.contains(r#""duplicate-address","address":"10.0.0.11""#), "{told}");
    // Where it does no harm it is noted.
    let prediction = ask(&Bench::new("bridged").address("host-b.b2", "eth0", "10.0.0.21/24").view(), "host-a.a1", "10.0.0.21");
    assert!(prediction.death.is_none() && prediction.notes.len() == 1, "{prediction:#?}");
}

#[test]
fn duplicate_mac_and_cloned_mac() {
    let told = bridged(Bench::new("bridged").mac("host-b.b1", "eth0", "02:00:01:00:01:00"));
    assert!(told.contains(r#""duplicate-mac","mac":"02:00:01:00:01:00""#), "{told}");
    let text = crate::topology::catalog::find("routed").unwrap();
    let switched = Bench::new(&text.replace("internal: {}", "internal: { switch: true }"));
    let told = routed(switched.mac("host-b", "enp0s8", "02:00:01:00:00:00"));
    assert!(told.contains(r#""cloned-mac","mac":"02:00:01:00:00:00""#), "{told}");
    // On a plain wire it is odd, and works.
    let wire = Bench::new("routed").mac("host-b", "enp0s8", "02:00:01:00:00:00").view();
    let prediction = ask(&wire, "host-a.a1", "10.2.0.2");
    assert!(prediction.death.is_none() && prediction.notes.len() == 1, "{prediction:#?}");
}

#[test]
fn ttl_expired() {
    let prediction =
        |ttl| predict(&Bench::new("routed").view(), &node("host-a.a1"), "10.2.0.2".parse().unwrap(), &Probe { ttl, ..PROBE });
    assert_eq!(told(&prediction(1)), r#"host-a: {"cause":"ttl-expired","node":"host-a","ttl":1}"#);
    assert_eq!(told(&prediction(2)), r#"host-b: {"cause":"ttl-expired","node":"host-b","ttl":2}"#);
    assert!(prediction(3).death.is_none());
}

#[test]
fn too_big_for_a_bridge_that_says_nothing() {
    let view = Bench::new("bridged").mtu("host-a", "enp0s8", 1300).mtu("host-b", "enp0s8", 1300).view();
    let large = |size| predict(&view, &node("host-a.a1"), "10.0.0.21".parse().unwrap(), &Probe { size, ..PROBE });
    assert!(
        told(&large(1400)).contains(r#""too-big","interface":{"node":"host-a","interface":"enp0s8"},"mtu":1300,"size":1400"#)
    );
    assert!(large(1304).death.is_none());
}

#[test]
fn refused() {
    for (route, kind) in
        [(RouteTo::Blackhole, "blackhole"), (RouteTo::Unreachable, "unreachable"), (RouteTo::Prohibit, "prohibit")]
    {
        let told = routed(Bench::new("routed").route("host-a", "10.2.0.0/24", route));
        assert_eq!(told, format!(r#"host-a: {{"cause":"refused","node":"host-a","kind":"{kind}","to":"10.2.0.0/24"}}"#));
    }
}

#[test]
fn wrong_neighbour() {
    let mut view = Bench::new("bridged").view();
    view.neighbour("host-b.b1", "eth0", "10.0.0.11", "02:00:00:00:00:99", NeighbourState::Permanent);
    let told = told(&ask(&view, "host-a.a1", "10.0.0.21"));
    assert!(
        told.starts_with("reply: host-b.b1") && told.ends_with(r#""mac":"02:00:00:00:00:99","right":"02:00:01:00:01:00"}"#),
        "{told}"
    );
}

#[test]
fn a_neighbour_entry_that_leads_to_another_router_is_no_death() {
    let mut view = Bench::new("routed").view();
    view.neighbour("host-a", "enp0s8", "192.168.100.2", "02:00:02:00:00:00", NeighbourState::Permanent);
    assert!(ask(&view, "host-a.a1", "10.2.0.2").death.is_none());
}

#[test]
fn a_circle_of_default_routes() {
    let view = Bench::new("routed").view();
    let told = told(&ask(&view, "host-a.a1", "8.8.8.8"));
    assert!(
        told.starts_with(r#"host-a: {"cause":"loop","routes":[["host-a","#) && told.ends_with(r#""crossings":63}"#),
        "{told}"
    );
    // A circle is listed once.
    assert_eq!(ask(&view, "host-a.a1", "8.8.8.8").request.visits.len(), 3);
    // A node refuses packets with its own source address, so that this one comes back once.
    let told = super::causes::told(&ask(&view, "host-a", "8.8.8.8"));
    assert!(told.starts_with("host-a: ") && told.ends_with(r#""crossings":2}"#), "{told}");
}

#[test]
fn address_on_port() {
    let lab = Bench::new("bridged-hosts").without("10.0.0.2/24").address("host-b", "enp0s8", "10.0.0.2/24");
    let told = told(&ask(&lab.view(), "host-a.a1", "10.0.0.2"));
    assert!(told.starts_with(r#"reply: host-b: {"cause":"address-on-port""#) && told.ends_with(r#""bridge":"br0"}"#), "{told}");
}

#[test]
fn other_nic() {
    let told = told(&ask(&Bench::new("bare-lxd").view(), "host-a.a1", "10.155.20.11"));
    assert!(told.starts_with(r#"host-a: {"cause":"other-nic","interface":{"node":"host-a","interface":"enp0s3"}"#), "{told}");
    assert!(told.ends_with(r#""owner":{"node":"host-b.b1","interface":"eth0"}}"#), "{told}");
}

#[test]
fn foreign_mac() {
    let told = bridged(Bench::new("bridged-deny"));
    assert!(told.contains(r#""foreign-mac","network":"internal","mac":"02:00:01:00:01:00""#), "{told}");
}

#[test]
fn echo_ignored() {
    let mut view = Bench::new("bridged").view();
    view.tables("host-b.b1").settings.as_mut().unwrap().echo_ignored.0 = true;
    assert_eq!(told(&ask(&view, "host-a.a1", "10.0.0.21")), r#"host-b.b1: {"cause":"echo-ignored","node":"host-b.b1"}"#);
}

#[test]
fn a_cure_names_the_node_by_its_shortest_words_or_with_its_lab() {
    let mut view = Bench::new("routed").without("-n host-a.a1 route add default").view();
    let cure = |view: &crate::probe::view::View| ask(view, "host-a.a1", "10.2.0.2").death.unwrap().cure;
    assert_eq!(cure(&view), ["sudo nslab exec a1 ip route add default via 10.1.0.1 dev eth0"]);
    view.prompt = Prompt::ours(Some(view.lab.clone()));
    assert_eq!(cure(&view), ["sudo nslab exec routed/a1 ip route add default via 10.1.0.1 dev eth0"]);
}
