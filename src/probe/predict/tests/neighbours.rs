//! Who answers for an address, who asks with which, and who is told of a better router.

use super::*;
use crate::kernel::tables::{Conf, Detection};

/// Two routers on the segment of a container, which has the wrong one of them as its gateway.
const THREE: &str = "
name: three
networks: { internal: { switch: true }, beyond: { switch: true } }
hosts:
  r1:
    forwarding: true
    nics: { eth0: { network: internal, address: 10.0.0.1/24 } }
    routes: [ { to: 10.9.0.0/24, via: 10.0.0.2 } ]
  r2:
    forwarding: true
    nics: { eth0: { network: internal, address: 10.0.0.2/24 }, eth1: { network: beyond, address: 10.9.0.2/24 } }
  h:
    nics: { eth0: { network: internal, address: 10.0.0.7/24 } }
    gateway: 10.0.0.1
  far:
    nics: { eth0: { network: beyond, address: 10.9.0.9/24 } }
    gateway: 10.9.0.2
";

#[test]
fn a_sender_that_is_told_of_a_better_router_makes_itself_known_to_it() {
    // The sender answers no question: who wants to answer it has to know it already.
    let mut view = Bench::new(THREE).view();
    view.link("h", "eth0").arp_ignore = 8;
    assert!(ask(&view, "h", "10.9.0.9").death.is_none());
    let mut silent = view.with(view.places.clone());
    silent.link("r1", "eth0").conf.send_redirects = false;
    silent.tables("r1").settings.as_mut().unwrap().conf.send_redirects = false;
    assert!(matches!(death(&ask(&silent, "h", "10.9.0.9")), (Direction::Reply, Cause::ArpIgnored { .. })));
    view.link("h", "eth0").conf.accept_redirects = false;
    view.tables("h").settings.as_mut().unwrap().conf.accept_redirects = false;
    assert!(matches!(death(&ask(&view, "h", "10.9.0.9")), (Direction::Reply, Cause::ArpIgnored { .. })));
}

#[test]
fn who_hears_a_question_for_another_one_learns_where_the_asker_is_by_now() {
    let mut view = Bench::new(THREE).view();
    view.link("r1", "eth0").conf.send_redirects = false;
    view.tables("r1").settings.as_mut().unwrap().conf.send_redirects = false;
    view.neighbour("r2", "eth0", "10.0.0.7", "02:00:00:00:00:99", NeighbourState::Stale);
    assert!(ask(&view, "h", "10.9.0.9").death.is_none());
    view.tables("r2").neighbours[0].state = NeighbourState::Permanent;
    assert!(matches!(death(&ask(&view, "h", "10.9.0.9")), (Direction::Reply, Cause::WrongNeighbour { .. })));
}

#[test]
fn an_interface_that_is_told_to_filter_answers_only_whom_it_would_send_to() {
    // The address is another interface's.
    let mut view = Bench::new(THREE).view();
    view.link("h", "eth0").addresses[0].net = net("10.0.0.7/8");
    assert!(ask(&view, "h", "10.9.0.2").death.is_none());
    view.link("r2", "eth0").conf.arp_filter = true;
    assert!(ask(&view, "h", "10.9.0.2").death.is_none());
    view.tables("r2").routes.retain(|route| route.to != net("10.0.0.0/24"));
    assert!(matches!(death(&ask(&view, "h", "10.9.0.2")).1, Cause::Unresolved { .. }));
}

#[test]
fn a_proxy_answers_for_single_addresses_and_for_what_is_on_the_same_segment() {
    let wide = || {
        let mut view = Bench::new(THREE).view();
        view.link("h", "eth0").addresses[0].net = net("10.0.0.7/8");
        view.tables("h").routes.retain(|route| route.to.prefix_len() > 0);
        view.tables("h")
            .routes
            .iter_mut()
            .filter(|route| route.to == net("10.0.0.0/24"))
            .for_each(|route| route.to = net("10.0.0.0/8"));
        view
    };
    assert!(ask(&wide(), "h", "10.9.0.9").death.is_some());
    let mut view = wide();
    let index = view.link("r2", "eth0").index;
    view.tables("r2").proxied.push((index, address("10.9.0.9")));
    assert!(ask(&view, "h", "10.9.0.9").death.is_none());
    let mut view = wide();
    view.link("r1", "eth0").conf.proxy_arp_pvlan = true;
    assert!(ask(&view, "h", "10.9.0.9").death.is_none());
}

#[test]
fn what_is_sent_to_all_by_an_interface_that_does_not_ask_goes_to_itself() {
    let mut view = Bench::new("bridged").view();
    view.link("host-b.b1", "eth0").noarp = true;
    view.neighbour("host-a.a1", "eth0", "10.0.0.21", "02:00:02:00:01:00", NeighbourState::Permanent);
    let index = view.link("host-b.b1", "eth0").index;
    let mut broadcast = view.tables("host-b.b1").routes[0].clone();
    (broadcast.to, broadcast.kind) = (net("10.0.0.11/32"), RouteType::Broadcast);
    (broadcast.hops, broadcast.table) = (vec![NextHop { via: None, dev: index, dead: false }], 255);
    view.tables("host-b.b1").routes.push(broadcast);
    assert!(matches!(death(&ask(&view, "host-a.a1", "10.0.0.21")), (Direction::Reply, Cause::NoArp { .. })));
}

#[test]
fn what_all_are_told_holds_at_each_interface() {
    let mut view = Bench::new("bridged").view();
    let own = Conf::default();
    let tables = view.tables("host-a.a1");
    let conf = Conf { arp_filter: true, arp_announce: 2, accept_redirects: false, ..own };
    tables.settings = Some(crate::kernel::tables::Settings { conf, ..Default::default() });
    let mut link = tables.links.iter().find(|link| link.name == "eth0").unwrap().clone();
    assert_eq!(tables.conf(&link), Conf { arp_filter: true, arp_announce: 2, ..own });
    link.forwarding4 = true;
    assert!(!tables.conf(&link).accept_redirects);
}

#[test]
fn a_bridge_takes_frames_for_an_address_that_it_is_told_is_its_own() {
    let mut view = Bench::new("bridged").view();
    let (bridge, port) = (view.link("host-b", "br0").index, view.link("host-b", "veth-b1").index);
    let (mac, own, fixed) = (mac("02:00:02:00:01:00"), true, true);
    view.tables("host-b").fdb.push(crate::kernel::tables::Fdb {
        bridge,
        mac,
        port,
        vlan: 0,
        own,
        fixed,
        sticky: false,
        age: None,
    });
    assert!(ask(&view, "host-a.a1", "10.0.0.21").death.is_some());
}

#[test]
fn ipv6_keeps_to_the_main_table_until_there_is_a_rule_of_somebodys() {
    let rule = |priority, action| rule(true, priority, action);
    let lives = |rules: Vec<Rule>| {
        let mut view = Bench::new(SIX).view();
        view.tables("host-b.b1").rules = rules;
        ask(&view, "host-a.a1", "fd00:2::2").death.is_none()
    };
    let local = rule(0, RuleAction::Table(255));
    assert!(lives(vec![local.clone()]));
    assert!(!lives(vec![local.clone(), rule(5, RuleAction::Table(77))]));
    // Who finds no way without a source address looks for one with it.
    let main = rule(32766, RuleAction::Table(MAIN_TABLE));
    let others = Rule { from: Some(net("fd00:2::/64")), inverted: true, ..rule(9, RuleAction::Refuse(RouteType::Prohibit)) };
    let mut view = Bench::new(SIX).view();
    view.tables("host-b.b1").rules = vec![local, others, main];
    assert!(ask(&view, "host-b.b1", "fd00:1::11").death.is_none());
    // Nor are rules asked again once the source is chosen.
    view.tables("host-b.b1").rules[1].inverted = false;
    assert!(ask(&view, "host-b.b1", "fd00:1::11").death.is_none());
    assert!(ask(&view, "host-a.a1", "fd00:2::2").death.is_some());
}

#[test]
fn an_answer_of_ipv6_has_the_hop_limit_of_its_interface() {
    let mut view = Bench::new(SIX).view();
    view.link("host-b.b1", "eth0").hop_limit = Some(2);
    assert!(matches!(death(&ask(&view, "host-a.a1", "fd00:2::2")), (Direction::Reply, Cause::TtlExpired { .. })));
    view.link("host-b.b1", "eth0").hop_limit = Some(3);
    assert!(ask(&view, "host-a.a1", "fd00:2::2").death.is_none());
}

#[test]
fn a_deprecated_address_is_a_source_only_where_there_is_no_other() {
    let mut view = Bench::new(SIX).address("host-a.a1", "eth0", "fd00:1::99/64").view();
    let first = ask(&view, "host-a.a1", "fd00:2::2").request.source.unwrap();
    let own = &mut view.link("host-a.a1", "eth0").addresses;
    own.iter_mut().find(|own| own.net.addr() == first).unwrap().deprecated = true;
    assert_ne!(ask(&view, "host-a.a1", "fd00:2::2").request.source, Some(first));
    view.link("host-a.a1", "eth0").addresses.retain(|own| own.net.addr() == first);
    assert_eq!(ask(&view, "host-a.a1", "fd00:2::2").request.source, Some(first));
}

#[test]
fn an_address_that_is_still_asked_for_is_of_no_use() {
    for failed in [false, true] {
        let mut view = Bench::new(SIX).view();
        let own = view.link("host-b.b1", "eth0").addresses.iter_mut().find(|own| own.net == net("fd00:2::2/64")).unwrap();
        own.detection = if failed { Detection::Failed } else { Detection::Pending };
        let prediction = ask(&view, "host-a.a1", "fd00:2::2");
        let (leg, Cause::AddressUnused { interface, failed: told, .. }) = death(&prediction) else { panic!("{prediction:?}") };
        assert_eq!((leg, interface.node.as_str(), *told), (Direction::Request, "host-b.b1", failed));
        let prediction = ask(&view, "host-b.b1", "fd00:1::11");
        assert!(matches!(death(&prediction), (Direction::Request, Cause::AddressUnused { .. })), "{prediction:?}");
        assert_eq!(prediction.death.unwrap().cure.len(), if failed { 2 } else { 0 });
    }
}

#[test]
fn what_ipsec_drops_by_default_gets_no_further() {
    // 1 of what comes in, 2 of what is forwarded, 4 of what goes out.
    let ends = |node: &str, default| {
        let mut view = Bench::new("routed").view();
        view.tables(node).settings.as_mut().unwrap().policies.default = default;
        let death = ask(&view, "host-a.a1", "10.2.0.2").death?;
        matches!(death.cause, Cause::Ipsec { .. }).then_some((death.leg, death.node, death.cure.len()))
    };
    let request = |node: &str| Some((Direction::Request, node.to_owned(), 1));
    assert_eq!(ends("host-a", 1), None);
    assert_eq!(ends("host-a", 2), request("host-a"));
    assert_eq!(ends("host-a", 4), request("host-a"));
    assert_eq!(ends("host-a.a1", 4), request("host-a.a1"));
    assert_eq!(ends("host-b.b1", 1), request("host-b.b1"));
    assert_eq!(ends("host-b.b1", 4), Some((Direction::Reply, "host-b.b1".to_owned(), 1)));
    assert_eq!(ends("host-a.a1", 1), Some((Direction::Reply, "host-a.a1".to_owned(), 1)));
}
