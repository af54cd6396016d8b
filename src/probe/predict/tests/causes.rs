//! Causes of death with what mends them, and damage to the tables.

use std::net::IpAddr;

use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use super::{Bench, PROBE, SIX, ask, death, node, via};
use crate::kernel::tables::{BridgePort, NextHop, PortState, Rule, RuleAction, Tables, VethPeer};
use crate::lab::resolve::Prompt;
use crate::name::Mac;
use crate::plan::{RouteTo, Sysctl};
use crate::probe::cure::cure;
use crate::probe::predict::{Prediction, Probe, predict};
use crate::probe::view::{Looked, View};
use crate::report::trace::{Cause, Direction, Journey};
use crate::topology::catalog;

/// The cause as JSON with the leg and the node of the death.
pub(super) fn fate(prediction: &Prediction) -> String {
    let (leg, cause) = death(prediction);
    let leg = if leg == Direction::Request { "" } else { "reply: " };
    format!("{leg}{}: {}", prediction.death.as_ref().unwrap().node, serde_json::to_string(cause).unwrap())
}

fn routed(bench: Bench) -> String {
    fate(&ask(&bench.view(), "host-a.a1", "10.2.0.2"))
}

fn bridged(bench: Bench) -> String {
    fate(&ask(&bench.view(), "host-a.a1", "10.0.0.21"))
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
    assert_eq!(fate(&ask(&view, "host-a", "10.0.0.21")), r#"host-a: {"cause":"no-address","node":"host-a"}"#);
    // A router of IPv6 asks with its link-local address alone.
    let view = Bench::new(SIX).without("fe80::800:2ff:fe00:0/64").view();
    assert_eq!(fate(&ask(&view, "host-a.a1", "fd00:2::2")), r#"host-b: {"cause":"no-address","node":"host-b"}"#);
}

#[test]
fn forwarding_off() {
    let lab = Bench::new("routed").forwarding("host-b", Sysctl::Forward4, false);
    assert_eq!(routed(lab), r#"host-b: {"cause":"forwarding-off","node":"host-b","ipv6":false}"#);
    let view = Bench::new(SIX).forwarding("host-a", Sysctl::Forward6, false).view();
    assert_eq!(fate(&ask(&view, "host-a.a1", "fd00:2::2")), r#"host-a: {"cause":"forwarding-off","node":"host-a","ipv6":true}"#);
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
        assert!(!fate(&known).contains("other-machine"), "{}", fate(&known));
        let half = ask(&lab.view().elsewhere("host-b"), "host-a.a1", "10.2.0.2");
        let death = half.death.as_ref().unwrap();
        assert!(fate(&half).ends_with(there) && death.node == "host-a" && death.cure.is_empty(), "{half:#?}");
    }
    // What is known here is told as before, with its cure.
    let lab = Bench::new("routed").forwarding("host-a", Sysctl::Forward4, false).view().elsewhere("host-b");
    let half = ask(&lab, "host-a.a1", "10.2.0.2");
    assert_eq!(fate(&half), r#"host-a: {"cause":"forwarding-off","node":"host-a","ipv6":false}"#);
    assert!(!half.death.unwrap().cure.is_empty());
    // That an address is there twice takes two who were seen to have it.
    let twice = Bench::new("bridged").address("host-a.a2", "eth0", "10.0.0.21/32");
    // On two segments that do not meet, either is somebody else's affair.
    let apart = Bench::new("routed").address("host-a.a2", "eth0", "10.2.0.2/32");
    let cases = [
        (twice.clone().view(), "10.0.0.21", true),
        (twice.view().elsewhere("host-b"), "10.0.0.21", false),
        (apart.view(), "10.2.0.2", false),
    ];
    for (view, to, noted) in cases {
        let notes = ask(&view, "host-a.a1", to).notes;
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
    let fate = bridged(narrow);
    assert!(fate.contains(r#""wrong-prefix""#) && fate.contains(r#""to":"10.0.0.21""#), "{fate}");
    let wide = Bench::new("routed").without("10.1.0.11/24").address("host-a.a1", "eth0", "10.1.0.11/8");
    let fate = routed(wide);
    assert!(fate.contains(r#""address":"10.1.0.11/8","other":"10.1.0.1/24","to":"10.2.0.2""#), "{fate}");
}

#[test]
fn no_such_gateway() {
    let fate = routed(Bench::new("routed").route("host-a", "0.0.0.0/0", via("192.168.100.9", "enp0s8")));
    assert!(fate.starts_with(r#"host-a: {"cause":"no-such-gateway","node":"host-a","gateway":"192.168.100.9""#), "{fate}");
}

#[test]
fn link_down() {
    let own = r#"host-a: {"cause":"link-down","interface":{"node":"host-a","interface":"enp0s8"},"peer":null}"#;
    assert_eq!(routed(Bench::new("routed").without("-n host-a link set enp0s8 up")), own);
    let fate = bridged(Bench::new("bridged").without("-n host-b link set enp0s8 up"));
    assert!(
        fate.ends_with(r#""interface":{"node":"host-a","interface":"enp0s8"},"peer":{"node":"host-b","interface":"enp0s8"}}"#),
        "{fate}"
    );
}

#[test]
fn not_in_bridge() {
    let fate = bridged(Bench::new("bridged").without("-n host-b link set enp0s8 master"));
    assert!(
        fate.ends_with(r#"{"cause":"not-in-bridge","interface":{"node":"host-b","interface":"enp0s8"},"bridges":["br0"]}"#),
        "{fate}"
    );
}

#[test]
fn port_closed() {
    let mut view = Bench::new("bridged").view();
    for dev in ["veth-a1", "enp0s8"] {
        view.link("host-a", dev).port.as_mut().unwrap().isolated = true;
    }
    let fate = fate(&ask(&view, "host-a.a1", "10.0.0.21"));
    assert!(fate.ends_with(r#""port-closed","interface":{"node":"host-a","interface":"enp0s8"},"state":"isolated"}"#), "{fate}");
}

#[test]
fn unresolved() {
    let view = Bench::new("bridged").view();
    let nobody = fate(&ask(&view, "host-a.a1", "10.0.0.77"));
    assert!(nobody.contains(r#""unresolved""#) && nobody.ends_with(r#""owner":null}"#), "{nobody}");
    let mut view = view;
    view.link("host-b.b1", "eth0").arp_ignore = 8;
    let silent = fate(&ask(&view, "host-a.a1", "10.0.0.21"));
    let ignored = r#"{"cause":"arp-ignored","interface":{"node":"host-b.b1","interface":"eth0"},"value":8}"#;
    assert!(silent.ends_with(ignored), "{silent}");
}

#[test]
fn duplicate_address() {
    let fate = bridged(Bench::new("bridged").address("host-b.b1", "eth0", "10.0.0.11/24"));
    assert!(fate.contains(r#""duplicate-address","address":"10.0.0.11""#), "{fate}");
    // Where it does no harm it is noted.
    let prediction = ask(&Bench::new("bridged").address("host-b.b2", "eth0", "10.0.0.21/24").view(), "host-a.a1", "10.0.0.21");
    assert!(prediction.death.is_none() && prediction.notes.len() == 1, "{prediction:#?}");
}

#[test]
fn duplicate_mac_and_cloned_mac() {
    let fate = bridged(Bench::new("bridged").mac("host-b.b1", "eth0", "02:00:01:00:01:00"));
    assert!(fate.contains(r#""duplicate-mac","mac":"02:00:01:00:01:00""#), "{fate}");
    let text = crate::topology::catalog::find("routed").unwrap();
    let switched = Bench::new(&text.replace("internal: {}", "internal: { switch: true }"));
    let fate = routed(switched.mac("host-b", "enp0s8", "02:00:01:00:00:00"));
    assert!(fate.contains(r#""cloned-mac","mac":"02:00:01:00:00:00""#), "{fate}");
    // On a plain wire it is odd, and works.
    let wire = Bench::new("routed").mac("host-b", "enp0s8", "02:00:01:00:00:00").view();
    let prediction = ask(&wire, "host-a.a1", "10.2.0.2");
    assert!(prediction.death.is_none() && prediction.notes.len() == 1, "{prediction:#?}");
}

#[test]
fn ttl_expired() {
    let prediction =
        |ttl| predict(&Bench::new("routed").view(), &node("host-a.a1"), "10.2.0.2".parse().unwrap(), &Probe { ttl, ..PROBE });
    assert_eq!(fate(&prediction(1)), r#"host-a: {"cause":"ttl-expired","node":"host-a","ttl":1}"#);
    assert_eq!(fate(&prediction(2)), r#"host-b: {"cause":"ttl-expired","node":"host-b","ttl":2}"#);
    assert!(prediction(3).death.is_none());
}

#[test]
fn too_big_for_a_bridge_that_says_nothing() {
    let view = Bench::new("bridged").mtu("host-a", "enp0s8", 1300).mtu("host-b", "enp0s8", 1300).view();
    let large = |size| predict(&view, &node("host-a.a1"), "10.0.0.21".parse().unwrap(), &Probe { size, ..PROBE });
    assert!(
        fate(&large(1400)).contains(r#""too-big","interface":{"node":"host-a","interface":"enp0s8"},"mtu":1300,"size":1400"#)
    );
    assert!(large(1304).death.is_none());
}

#[test]
fn refused() {
    for (route, kind) in
        [(RouteTo::Blackhole, "blackhole"), (RouteTo::Unreachable, "unreachable"), (RouteTo::Prohibit, "prohibit")]
    {
        let fate = routed(Bench::new("routed").route("host-a", "10.2.0.0/24", route));
        assert_eq!(fate, format!(r#"host-a: {{"cause":"refused","node":"host-a","kind":"{kind}","to":"10.2.0.0/24"}}"#));
    }
}

#[test]
fn wrong_neighbour() {
    let mut view = Bench::new("bridged").view();
    view.neighbour("host-b.b1", "eth0", "10.0.0.11", "02:00:00:00:00:99", NeighbourState::Permanent);
    let fate = fate(&ask(&view, "host-a.a1", "10.0.0.21"));
    assert!(
        fate.starts_with("reply: host-b.b1") && fate.ends_with(r#""mac":"02:00:00:00:00:99","right":"02:00:01:00:01:00"}"#),
        "{fate}"
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
    let fate = fate(&ask(&view, "host-a.a1", "8.8.8.8"));
    assert!(
        fate.starts_with(r#"host-a: {"cause":"loop","to":"8.8.8.8","routes":[["host-a","#)
            && fate.ends_with(r#""crossings":63}"#),
        "{fate}"
    );
    // A circle is listed once.
    assert_eq!(ask(&view, "host-a.a1", "8.8.8.8").request.visits.len(), 3);
    // A node refuses packets with its own source address, so that this one comes back once.
    let fate = super::causes::fate(&ask(&view, "host-a", "8.8.8.8"));
    assert!(fate.starts_with("host-a: ") && fate.ends_with(r#""crossings":2}"#), "{fate}");
}

#[test]
fn address_on_port() {
    let lab = Bench::new("bridged-hosts").without("10.0.0.2/24").address("host-b", "enp0s8", "10.0.0.2/24");
    let fate = fate(&ask(&lab.view(), "host-a.a1", "10.0.0.2"));
    assert!(fate.starts_with(r#"reply: host-b: {"cause":"address-on-port""#) && fate.ends_with(r#""bridge":"br0"}"#), "{fate}");
}

#[test]
fn other_nic() {
    let fate = fate(&ask(&Bench::new("bare-lxd").view(), "host-a.a1", "10.155.20.11"));
    assert!(fate.starts_with(r#"host-a: {"cause":"other-nic","interface":{"node":"host-a","interface":"enp0s3"}"#), "{fate}");
    assert!(fate.ends_with(r#""owner":{"node":"host-b.b1","interface":"eth0"}}"#), "{fate}");
}

#[test]
fn foreign_mac() {
    let fate = bridged(Bench::new("bridged-deny"));
    assert!(fate.contains(r#""foreign-mac","network":"internal","mac":"02:00:01:00:01:00""#), "{fate}");
}

#[test]
fn echo_ignored() {
    let mut view = Bench::new("bridged").view();
    view.tables("host-b.b1").settings.as_mut().unwrap().echo_ignored.0 = true;
    assert_eq!(fate(&ask(&view, "host-a.a1", "10.0.0.21")), r#"host-b.b1: {"cause":"echo-ignored","node":"host-b.b1"}"#);
}

#[test]
fn a_cure_names_the_node_by_its_shortest_words_or_with_its_lab() {
    let mut view = Bench::new("routed").without("-n host-a.a1 route add default").view();
    let cure = |view: &crate::probe::view::View| ask(view, "host-a.a1", "10.2.0.2").death.unwrap().cure;
    assert_eq!(cure(&view), ["sudo nslab exec a1 ip route add default via 10.1.0.1 dev eth0"]);
    view.prompt = Prompt { lab: Some(view.lab.clone()) };
    assert_eq!(cure(&view), ["sudo nslab exec routed/a1 ip route add default via 10.1.0.1 dev eth0"]);
}

const RUNS: u64 = 2_000;

/// `SplitMix64`: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.roll(all.len())).cloned()
    }
}

/// What there is in a lab to mix.
struct Stock {
    addresses: Vec<IpAddr>,
    macs: Vec<Mac>,
    nodes: Vec<String>,
}

fn stock(view: &View) -> Stock {
    let links = || view.places.iter().flat_map(|place| &place.tables.links);
    let mut addresses: Vec<IpAddr> = links().flat_map(|link| &link.addresses).map(|own| own.net.addr()).collect();
    addresses.push([8, 8, 8, 8].into());
    addresses.push([255, 255, 255, 255].into());
    let macs = links().filter_map(|link| link.mac).chain([Mac([0xff; 6]), Mac([0; 6])]).collect();
    Stock { addresses, macs, nodes: view.places.iter().map(|place| place.node.node.clone()).collect() }
}

fn mutate(tables: &mut Tables, stock: &Stock, dice: &mut Dice) {
    let count = tables.links.len();
    let index = |dice: &mut Dice| u32::try_from(dice.roll(count + 2)).unwrap();
    let at = dice.roll(count);
    let link = &mut tables.links[at];
    match dice.roll(13) {
        0 => link.up = !link.up,
        1 => link.master = dice.one_in(3).then(|| index(dice)).or(link.master.xor(Some(2))),
        2 => {
            let node = dice.pick(&stock.nodes);
            link.peer = Some(VethPeer { namespace: None, index: index(dice), node, name: None });
        }
        3 => link.mac = dice.pick(&stock.macs),
        4 => link.mtu = [0, 1, 68, 1280, u32::MAX][dice.roll(5)],
        5 => link.kind = ["bridge", "veth", "loopback", "tun"][dice.roll(4)].to_owned(),
        6 => {
            let states =
                [PortState::Disabled, PortState::Blocking, PortState::Listening, PortState::Learning, PortState::Forwarding];
            link.port = Some(BridgePort {
                state: states[dice.roll(5)],
                learns: dice.one_in(2),
                floods: dice.one_in(2),
                broadcasts: dice.one_in(2),
                multicasts: dice.one_in(2),
                locked: dice.one_in(2),
                isolated: dice.one_in(2),
                hairpin: dice.one_in(2),
            });
        }
        7 => {
            link.forwarding4 = !link.forwarding4;
            link.rp_filter = u8::try_from(dice.roll(3)).unwrap();
            (link.proxy_arp, link.arp_ignore) = (dice.one_in(2), [0, 0, 1, 8][dice.roll(4)]);
            link.accept_local = dice.one_in(2);
        }
        8 => mutate_routes(tables, stock, dice),
        9 => {
            let (dev, mac) = (index(dice), dice.pick(&stock.macs));
            let states = [NeighbourState::Permanent, NeighbourState::Stale, NeighbourState::Failed, NeighbourState::Noarp];
            let address = dice.pick(&stock.addresses).unwrap();
            tables.neighbours.push(crate::kernel::tables::Neighbour { address, dev, mac, state: states[dice.roll(4)] });
        }
        10 => {
            let (bridge, port, own) = (index(dice), index(dice), dice.one_in(4));
            let mac = dice.pick(&stock.macs).unwrap();
            tables.fdb.push(crate::kernel::tables::Fdb {
                bridge,
                mac,
                port,
                vlan: 0,
                own,
                fixed: dice.one_in(2),
                sticky: dice.one_in(2),
                age: None,
            });
        }
        11 => {
            let actions = [RuleAction::Table(254), RuleAction::Table(255), RuleAction::Goto(7), RuleAction::Nop];
            let action = dice.pick(&actions).unwrap();
            let priority = u32::try_from(dice.roll(10)).unwrap();
            let (inverted, from) = (dice.one_in(4), dice.pick(&stock.addresses).map(Into::into));
            let rule = Rule {
                ipv6: dice.one_in(2),
                priority,
                from,
                to: None,
                enters: None,
                strange: false,
                inverted,
                suppressed: None,
                action,
            };
            tables.rules.push(rule);
        }
        _ => tables.all6.forwarding = [None, Some(true), Some(false)][dice.roll(3)],
    }
}

fn mutate_routes(tables: &mut Tables, stock: &Stock, dice: &mut Dice) {
    let Some(mut route) = dice.pick(&tables.routes) else { return };
    let dev = u32::try_from(dice.roll(tables.links.len() + 2)).unwrap();
    match dice.roll(5) {
        0 => {
            let at = dice.roll(tables.routes.len());
            tables.routes.remove(at);
            return;
        }
        1 => {
            route.kind = [RouteType::Local, RouteType::BlackHole, RouteType::Throw, RouteType::Unicast, RouteType::Broadcast]
                [dice.roll(5)];
        }
        2 => route.hops = vec![NextHop { via: dice.pick(&stock.addresses), dev, dead: dice.one_in(4) }],
        3 => route.to = dice.pick(&stock.addresses).map(Into::into).unwrap(),
        _ => (route.source, route.mtu) = (dice.pick(&stock.addresses), Some(0)),
    }
    let at = dice.roll(tables.routes.len() + 1);
    tables.routes.insert(at, route);
}

/// Frames get no younger on their way.
fn ages(journey: &Journey, seed: u64) {
    let ttls: Vec<u8> = journey.visits.iter().filter_map(|visit| visit.frame.as_ref().map(|frame| frame.ttl)).collect();
    assert!(ttls.windows(2).all(|pair| pair[0] >= pair[1]), "seed {seed}: {journey:#?}");
    assert!(journey.visits.len() < 5_000, "seed {seed}");
}

#[test]
fn a_prediction_of_damaged_tables_ends_and_does_not_fail() {
    let labs: Vec<Bench> = catalog::names().filter(|name| *name != "bare").chain([SIX]).map(Bench::new).collect();
    let (mut died, mut lived) = (0, 0);
    for seed in 0..RUNS {
        let mut dice = Dice(seed);
        let mut view = dice.pick(&labs).unwrap().view();
        let stock = stock(&view);
        for _ in 0..dice.roll(12) {
            let place = dice.roll(view.places.len());
            mutate(&mut view.places[place].tables, &stock, &mut dice);
        }
        let (from, to) = (dice.roll(view.places.len()), dice.pick(&stock.addresses).unwrap());
        let probe = Probe {
            size: [28, 84, 1500, 65_535][dice.roll(4)],
            ttl: [0, 1, 64, 255][dice.roll(4)],
            may_fragment: dice.one_in(2),
            source: dice.one_in(4).then(|| dice.pick(&stock.addresses).unwrap()),
        };
        let prediction = predict(&view, &view.places[from].id, to, &probe);
        ages(&prediction.request, seed);
        prediction.reply.iter().for_each(|reply| ages(reply, seed));
        if let Some(death) = &prediction.death {
            assert!(stock.nodes.contains(&death.node), "seed {seed}: {death:#?}");
            assert!((death.leg == Direction::Reply) <= prediction.reply.is_some(), "seed {seed}: {prediction:#?}");
            died += 1;
        } else {
            let back = prediction.reply.as_ref().and_then(|reply| reply.visits.last());
            assert_eq!(back.map(|visit| &visit.node), Some(&stock.nodes[from]), "seed {seed}: {prediction:#?}");
            lived += 1;
        }
    }
    assert!(died > 200 && lived > 200, "{died} died, {lived} lived");
}
