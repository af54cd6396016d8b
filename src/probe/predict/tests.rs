//! The way of packets on paper: rules of forwarding, causes of death, and that no damage to the tables is too much.

#![allow(clippy::unwrap_used, reason = "tests")]

mod causes;
mod neighbours;
mod segments;
mod stacked;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use super::{Prediction, Probe, predict};
use crate::kernel::tables::{Link, Neighbour, NextHop, PortState, Rule, RuleAction, Tables};
use crate::lab::resolve::Prompt;
use crate::name::{IfName, Mac};
use crate::plan::{self, Fact, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl, compile};
use crate::probe::cure::{Goal, with_cures};
use crate::probe::view::{Looked, View, facts};
use crate::report::trace::{Action, Cause, Direction};
use crate::topology::{catalog, parse};

const PROBE: Probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };

fn ask(view: &View, from: &str, to: &str) -> Prediction {
    let goal =
        Goal { from: &node(from), to: to.parse().unwrap(), probe: &PROBE, transport: crate::report::probe::Transport::Icmp };
    with_cures(view, &goal, predict(view, goal.from, goal.to, goal.probe))
}

/// The nodes that a request comes to, with the interfaces and the time to live of the frame that follows.
fn way(prediction: &Prediction) -> Vec<String> {
    let visit = |visit: &crate::report::trace::Visit| {
        let end = |end: &Option<String>| end.clone().unwrap_or_else(|| "-".to_owned());
        let ttl = visit.frame.as_ref().map_or_else(|| "-".to_owned(), |frame| frame.ttl.to_string());
        let deed = match &visit.deed {
            Action::Sends(_) => "sends",
            Action::Bridges { .. } => "bridges",
            Action::Passes { .. } => "passes",
            Action::Routes { .. } => "routes",
            Action::Receives => "receives",
            Action::Drops => "drops",
        };
        format!("{} {deed} {} {} {ttl}", visit.node, end(&visit.enters), end(&visit.leaves))
    };
    prediction.request.visits.iter().map(visit).collect()
}

/// Which of the two dies, and of what.
fn death(prediction: &Prediction) -> (Direction, &Cause) {
    let death = prediction.death.as_ref().unwrap_or_else(|| panic!("it lives: {prediction:#?}"));
    assert!(!death.certain);
    (death.leg, &death.cause)
}

/// A lab that is described, before anything goes wrong.
#[derive(Clone)]
struct Bench {
    state: State,
    described: State,
    name: String,
}

impl Bench {
    /// A shipped topology, or a file's text.
    fn new(topology: &str) -> Self {
        let text = catalog::find(topology).unwrap_or(topology);
        // What is checked is no matter here.
        let parsed =
            parse("bench.yaml", text.split("checkpoints:").next().unwrap(), &[]).unwrap_or_else(|error| panic!("{error:?}"));
        let state = compile(&parsed);
        Self { described: state.clone(), state, name: parsed.name.to_string() }
    }

    /// Without the facts whose `ip` lines contain the words; there must be some.
    fn without(mut self, words: &str) -> Self {
        let before = self.state.len();
        self.state.retain(|fact| !plan::Op::Add(fact.clone()).to_string().contains(words));
        assert!(self.state.len() < before, "nothing has {words:?}");
        self
    }

    fn address(mut self, node: &str, dev: &str, net: &str) -> Self {
        self.state.insert(Fact::Addr(port(node, dev), net.parse().unwrap()));
        self
    }

    fn mac(mut self, node: &str, dev: &str, mac: &str) -> Self {
        self.state.insert(Fact::Mac(port(node, dev), mac.parse().unwrap()));
        self
    }

    fn mtu(mut self, node: &str, dev: &str, mtu: u32) -> Self {
        self.state.insert(Fact::Mtu(port(node, dev), mtu));
        self
    }

    fn forwarding(mut self, node: &str, setting: Sysctl, on: bool) -> Self {
        self.state.insert(Fact::Sysctl(ns(node), setting, u32::from(on)));
        self
    }

    fn route(mut self, node: &str, to: &str, route: RouteTo) -> Self {
        self.state.insert(Fact::Route(ns(node), MAIN_TABLE, net(to), 0, route));
        self
    }

    /// The tables that the kernel would have.
    fn view(self) -> View {
        let places = facts::planned(&self.state);
        let (lab, described) = (self.name.parse().unwrap(), Looked::Known(Arc::new(self.described)));
        View { lab, places, absent: Vec::new(), described, kept: Vec::new(), prompt: Prompt { lab: None } }
    }
}

/// A node by its name in reports.
fn node(name: &str) -> NodeId {
    match name.split_once('.') {
        Some((host, container)) => NodeId::Container(host.parse().unwrap(), container.parse().unwrap()),
        None => NodeId::Host(name.parse().unwrap()),
    }
}

fn ns(name: &str) -> Ns {
    Ns::Node(node(name))
}

fn port(node: &str, dev: &str) -> Port {
    Port { ns: ns(node), dev: IfName::observed(dev) }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A route by a router.
fn via(gateway: &str, dev: &str) -> RouteTo {
    RouteTo::Via(gateway.parse().unwrap(), IfName::observed(dev))
}

impl View {
    /// The tables of a node, to be changed.
    fn tables(&mut self, name: &str) -> &mut Tables {
        &mut self.places.iter_mut().find(|place| place.node.node == name).unwrap().tables
    }

    /// A host and its containers are on another machine, where nobody looks.
    fn elsewhere(mut self, host: &str) -> Self {
        let inside = format!("{host}.");
        for place in self.places.iter_mut().filter(|place| place.node.node == host || place.node.node.starts_with(&inside)) {
            place.remote = true;
        }
        self
    }

    /// An interface, to be changed.
    fn link(&mut self, name: &str, dev: &str) -> &mut Link {
        self.tables(name).links.iter_mut().find(|link| link.name == dev).unwrap()
    }

    /// A neighbour entry.
    fn neighbour(&mut self, name: &str, dev: &str, address: &str, mac: &str, state: NeighbourState) {
        let dev = self.link(name, dev).index;
        let mac = Some(mac.parse().unwrap());
        self.tables(name).neighbours.push(Neighbour { address: address.parse().unwrap(), dev, mac, state });
    }
}

/// A policy rule for everything.
fn rule(ipv6: bool, priority: u32, action: RuleAction) -> Rule {
    let (from, to, enters, suppressed) = (None, None, None, None);
    Rule { ipv6, priority, from, to, enters, strange: false, inverted: false, suppressed, action }
}

/// A MAC address.
fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn bridges_pass_a_frame_on_unchanged() {
    let view = Bench::new("bridged").view();
    let prediction = ask(&view, "host-a.a1", "10.0.0.21");
    let expected = [
        "host-a.a1 sends - eth0 64",
        "host-a bridges veth-a1 enp0s8 64",
        "host-b bridges enp0s8 veth-b1 64",
        "host-b.b1 receives eth0 - -",
    ];
    assert_eq!(way(&prediction), expected);
    assert!(prediction.death.is_none() && prediction.notes.is_empty(), "{prediction:#?}");
    let frame = prediction.request.visits[1].frame.as_ref().unwrap();
    assert_eq!((frame.source.mac.as_str(), frame.destination.mac.as_str()), ("02:00:01:00:01:00", "02:00:02:00:01:00"));
    assert_eq!(frame.destination.owner.as_ref().unwrap().node, "host-b.b1");
    assert_eq!(prediction.request.source, Some(address("10.0.0.11")));
    let resolution = prediction.request.visits[0].resolution.as_ref().unwrap();
    assert_eq!(resolution.answer.as_ref().unwrap().mac, "02:00:02:00:01:00");
    // Whoever was asked knows who asked.
    assert_eq!(prediction.reply.unwrap().visits[0].resolution, None);
}

#[test]
fn routers_put_new_macs_on_the_frame_and_take_one_from_its_ttl() {
    let view = Bench::new("routed-router").view();
    let prediction = ask(&view, "host-a.a1", "10.2.0.2");
    let expected = [
        "host-a.a1 sends - eth0 64",
        "host-a routes br0 enp0s8 63",
        "router-1 routes eth0 eth1 62",
        "router-2 routes eth0 eth1 61",
        "host-b routes enp0s8 veth-b1 60",
        "host-b.b1 receives eth0 - -",
    ];
    assert_eq!(way(&prediction), expected);
    let Action::Routes { route, ttl } = &prediction.request.visits[2].deed else { panic!("{prediction:#?}") };
    assert_eq!((route.to, route.via, ttl), (net("0.0.0.0/0"), Some(address("192.168.100.2")), &63));
    let reply = prediction.reply.unwrap();
    assert_eq!((reply.source, reply.destination), (Some(address("10.2.0.2")), address("10.1.0.11")));
    assert_eq!(reply.visits.last().unwrap().node, "host-a.a1");
}

#[test]
fn a_switch_is_a_bridge_on_the_way() {
    let prediction = ask(&Bench::new("three-hosts").view(), "host-a.a1", "10.0.0.31");
    assert_eq!(way(&prediction)[2], "internal bridges port1 port3 64");
    assert!(prediction.death.is_none());
}

#[test]
fn a_node_reaches_itself_over_its_loopback() {
    let prediction = ask(&Bench::new("bridged").view(), "host-a.a1", "10.0.0.11");
    assert_eq!(way(&prediction), ["host-a.a1 sends - lo -", "host-a.a1 receives lo - -"]);
    assert!(prediction.death.is_none());
}

#[test]
fn any_address_of_a_node_is_answered_by_any_of_its_interfaces() {
    let prediction = ask(&Bench::new("routed").view(), "host-a.a1", "192.168.100.1");
    assert_eq!(way(&prediction), ["host-a.a1 sends - eth0 64", "host-a receives br0 - -"]);
    assert!(prediction.death.is_none());
}

#[test]
fn the_longest_prefix_wins_and_of_equals_the_lowest_metric() {
    let mut view = Bench::new("routed").route("host-a", "10.2.0.0/30", via("192.168.100.2", "enp0s8")).view();
    let index = view.link("host-a", "br0").index;
    let mut other = view.tables("host-a").routes.iter().find(|route| route.to == net("10.2.0.0/30")).unwrap().clone();
    other.hops = vec![NextHop { via: None, dev: index, dead: false }];
    other.metric = Some(10);
    view.tables("host-a").routes.insert(0, other.clone());
    assert!(ask(&view, "host-a.a1", "10.2.0.2").death.is_none());
    (other.to, other.metric) = (net("10.2.0.2/32"), Some(1000));
    view.tables("host-a").routes.push(other);
    assert!(matches!(death(&ask(&view, "host-a.a1", "10.2.0.2")), (Direction::Request, Cause::OtherNic { .. })));
    assert!(ask(&view, "host-a.a1", "10.2.0.6").death.is_none());
}

#[test]
fn a_dead_next_hop_is_passed_over_and_of_several_any_may_be_taken() {
    let mut view = Bench::new("routed").view();
    let dev = view.link("host-a", "enp0s8").index;
    let routes = &mut view.tables("host-a").routes;
    let route = routes.iter_mut().find(|route| route.to.prefix_len() == 0).unwrap();
    route.hops.insert(0, NextHop { via: Some(address("192.168.100.9")), dev, dead: true });
    let prediction = ask(&view, "host-a.a1", "10.2.0.2");
    assert!(prediction.death.is_none() && prediction.others.is_empty());
    let routes = &mut view.tables("host-a").routes;
    routes.iter_mut().find(|route| route.to.prefix_len() == 0).unwrap().hops[0].dead = false;
    let prediction = ask(&view, "host-a.a1", "10.2.0.2");
    let [other] = prediction.others.as_slice() else { panic!("{:?}", prediction.others) };
    assert!(other.death.is_none() && prediction.unsure && prediction.may_live());
    let (leg, cause) = death(&prediction);
    assert!(leg == Direction::Request && cause.blames().contains(&"host-a"), "{cause:?}");
}

#[test]
fn rules_choose_the_table_by_source_interface_and_inversion() {
    let rule = |priority, action| rule(false, priority, action);
    let usual = [rule(0, RuleAction::Table(255)), rule(32766, RuleAction::Table(MAIN_TABLE))];
    let lives = |rules: &[Rule]| {
        let mut view = Bench::new("routed").view();
        view.tables("host-a").rules = [&usual[..], rules].concat();
        ask(&view, "host-a.a1", "10.2.0.2").death.map(|death| death.cause)
    };
    let refuse = rule(100, RuleAction::Refuse(RouteType::Prohibit));
    assert_eq!(lives(&[]), None);
    assert!(matches!(lives(std::slice::from_ref(&refuse)), Some(Cause::Barred { rule, .. }) if rule == "from all prohibit"));
    assert_eq!(lives(&[Rule { from: Some(net("10.9.0.0/16")), ..refuse.clone() }]), None);
    assert!(lives(&[Rule { from: Some(net("10.1.0.0/24")), ..refuse.clone() }]).is_some());
    assert!(lives(&[Rule { from: Some(net("10.9.0.0/16")), inverted: true, ..refuse.clone() }]).is_some());
    assert!(lives(&[Rule { enters: Some("br0".to_owned()), ..refuse.clone() }]).is_some());
    assert_eq!(lives(&[Rule { enters: Some("lo".to_owned()), ..refuse.clone() }]), None);
    assert_eq!(lives(&[Rule { strange: true, ..refuse.clone() }]), None);
    assert_eq!(lives(&[rule(50, RuleAction::Goto(200)), refuse.clone()]), None);
    assert_eq!(lives(&[rule(50, RuleAction::Table(77)), rule(60, RuleAction::Nop)]), None);
    // The default route does not count in a rule that suppresses it.
    let suppressing = Rule { suppressed: Some(0), ..rule(90, RuleAction::Table(MAIN_TABLE)) };
    assert!(lives(&[suppressing, refuse]).is_some());
}

#[test]
fn a_route_may_say_the_source_and_throw_leaves_its_table() {
    let mut view = Bench::new("routed").address("host-a.a1", "eth0", "10.1.0.99/24").view();
    let first = |view: &crate::probe::view::View| ask(view, "host-a.a1", "10.2.0.2").request.source;
    assert_eq!(first(&view), Some(address("10.1.0.11")));
    let routes = &mut view.tables("host-a.a1").routes;
    routes.iter_mut().find(|route| route.to.prefix_len() == 0).unwrap().source = Some(address("10.1.0.99"));
    assert_eq!(first(&view), Some(address("10.1.0.99")));
    let mut thrown = view.tables("host-a.a1").routes.iter().find(|route| route.to.prefix_len() == 0).unwrap().clone();
    (thrown.to, thrown.kind) = (net("10.2.0.0/16"), RouteType::Throw);
    view.tables("host-a.a1").routes.push(thrown);
    assert!(matches!(death(&ask(&view, "host-a.a1", "10.2.0.2")), (Direction::Request, Cause::NoRoute { .. })));
}

#[test]
fn a_frame_for_a_known_address_goes_to_its_port_alone() {
    let mut view = Bench::new("bridged").view();
    view.neighbour("host-a.a1", "eth0", "10.0.0.21", "02:00:02:00:01:00", NeighbourState::Reachable);
    let floods = |view: &crate::probe::view::View| {
        let visits = ask(view, "host-a.a1", "10.0.0.21").request.visits;
        matches!(visits[1].deed, Action::Bridges { floods: true, .. })
    };
    assert!(floods(&view));
    let (bridge, port) = (view.link("host-a", "br0").index, view.link("host-a", "enp0s8").index);
    let entry = crate::kernel::tables::Fdb {
        bridge,
        mac: mac("02:00:02:00:01:00"),
        port,
        vlan: 0,
        own: false,
        fixed: false,
        sticky: false,
        age: None,
    };
    view.tables("host-a").fdb.push(entry.clone());
    assert!(!floods(&view));
    // A stale entry behind the wrong port: the frame goes there.
    let port = view.link("host-a", "veth-a2").index;
    view.tables("host-a").fdb[0] = crate::kernel::tables::Fdb { port, ..entry };
    assert!(ask(&view, "host-a.a1", "10.0.0.21").death.is_some());
}

#[test]
fn a_blocked_port_passes_nothing() {
    let mut view = Bench::new("bridged").view();
    view.link("host-a", "enp0s8").port.as_mut().unwrap().state = PortState::Blocking;
    let prediction = ask(&view, "host-a.a1", "10.0.0.21");
    let (leg, cause) = death(&prediction);
    assert_eq!(leg, Direction::Request);
    assert!(matches!(cause, Cause::PortClosed { state, interface } if state == "blocking" && interface.interface == "enp0s8"));
    // The spanning tree has its reasons.
    assert!(prediction.death.unwrap().cure.is_empty());
}

#[test]
fn a_proxy_answers_for_what_it_routes_elsewhere() {
    let wide = || {
        let bench = Bench::new("routed").without("address add 10.1.0.11/24").without("-n host-a.a1 route add default");
        bench.address("host-a.a1", "eth0", "10.1.0.11/8").view()
    };
    assert!(ask(&wide(), "host-a.a1", "10.2.0.2").death.is_some());
    let mut view = wide();
    view.link("host-a", "br0").proxy_arp = true;
    let prediction = ask(&view, "host-a.a1", "10.2.0.2");
    assert!(prediction.death.is_none(), "{prediction:#?}");
    let answer = prediction.request.visits[0].resolution.as_ref().unwrap().answer.as_ref().unwrap();
    assert_eq!(answer.owner.as_ref().unwrap().interface, "br0");
}

#[test]
fn a_sender_cuts_what_may_be_cut_and_a_router_of_ipv6_cuts_nothing() {
    let large = Probe { size: 1600, ..PROBE };
    let view = Bench::new("routed").mtu("host-b", "veth-b1", 1300).mtu("host-b.b1", "eth0", 1300).view();
    let to = address("10.2.0.2");
    assert!(predict(&view, &node("host-a.a1"), to, &large).death.is_none());
    let whole = Probe { may_fragment: false, ..large };
    let prediction = predict(&view, &node("host-a.a1"), to, &whole);
    assert!(
        matches!(death(&prediction).1, Cause::TooBig { mtu: 1500, size: 1600, interface, .. } if interface.node == "host-a.a1")
    );
    let whole = Probe { size: 1400, ..whole };
    let prediction = predict(&view, &node("host-a.a1"), to, &whole);
    assert!(matches!(death(&prediction).1, Cause::TooBig { mtu: 1300, interface, .. } if interface.node == "host-b"));
    let mut view = view;
    view.tables("host-a.a1").exceptions.push((to, 1200));
    // What it has learned of the way it does not heed.
    assert!(matches!(death(&predict(&view, &node("host-a.a1"), to, &whole)).1, Cause::TooBig { mtu: 1300, .. }));
    let mut wide = Bench::new("routed").view();
    wide.tables("host-a.a1").exceptions.push((to, 1200));
    assert!(predict(&wide, &node("host-a.a1"), to, &whole).death.is_none());
    // A router passes on what the next interface takes.
    let mut router = Bench::new("routed").view();
    router.tables("host-a").exceptions.push((to, 1200));
    assert!(predict(&router, &node("host-a.a1"), to, &whole).death.is_none());
    let six = Bench::new(SIX).mtu("host-b", "br0", 1300).view();
    let prediction = predict(&six, &node("host-a.a1"), address("fd00:2::2"), &Probe { size: 1400, ..PROBE });
    assert!(matches!(death(&prediction).1, Cause::TooBig { mtu: 1300, interface, .. } if interface.interface == "br0"));
}

const SIX: &str = "
name: six
networks: { internal: {} }
hosts:
  host-a:
    forwarding: true
    nics: { enp0s8: { network: internal, address: 'fd00:100::1/64' } }
    gateway: 'fd00:100::2'
    bridges: { br0: { address: 'fd00:1::1/64' } }
    containers: { a1: { nics: { eth0: { bridge: br0, address: 'fd00:1::11/64' } }, gateway: 'fd00:1::1' } }
  host-b:
    forwarding: true
    nics: { enp0s8: { network: internal, address: 'fd00:100::2/64' } }
    gateway: 'fd00:100::1'
    bridges: { br0: { address: 'fd00:2::1/64' } }
    containers: { b1: { nics: { eth0: { bridge: br0, address: 'fd00:2::2/64' } }, gateway: 'fd00:2::1' } }
";

#[test]
fn ipv6_is_routed_alike_and_takes_its_hop_limit_from_the_node() {
    let prediction = ask(&Bench::new(SIX).view(), "host-a.a1", "fd00:2::2");
    let ways = [
        "host-a.a1 sends - eth0 64",
        "host-a routes br0 enp0s8 63",
        "host-b routes enp0s8 br0 62",
        "host-b.b1 receives eth0 - -",
    ];
    assert_eq!(way(&prediction), ways);
    assert_eq!(prediction.request.source, Some(address("fd00:1::11")));
    assert!(prediction.death.is_none());
}

#[test]
fn a_loose_reverse_path_asks_for_any_way_back_and_a_strict_one_for_the_same() {
    let filtered = |filter| {
        let mut view =
            Bench::new("routed").route("host-b", "10.1.0.0/24", RouteTo::Dev(crate::name::IfName::observed("veth-b2"))).view();
        view.link("host-b", "enp0s8").rp_filter = filter;
        ask(&view, "host-a.a1", "10.2.0.2")
    };
    assert!(matches!(death(&filtered(1)), (Direction::Request, Cause::ReversePath { strict: true, .. })));
    assert!(matches!(death(&filtered(2)), (Direction::Reply, _)));
    assert!(matches!(death(&filtered(0)), (Direction::Reply, _)));
}
