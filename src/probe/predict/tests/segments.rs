//! One subnet on two segments, addresses that an interface does not have itself, and what a node keeps to itself.

use netlink_packet_route::neighbour::NeighbourState;

use super::causes::fate;
use super::{Bench, ask, net, port};
use crate::kernel::tables::Fdb;
use crate::plan::{Fact, RouteTo};
use crate::probe::view::View;

/// A host with two bridges and one subnet on both, which has a route of its own to each container, or not.
fn two_bridges(routes: bool) -> View {
    let bench = Bench::new(
        "name: two\nhosts:\n  h:\n    forwarding: true\n    bridges: { br0: { address: 10.9.0.1/24 }, br1: { address: 10.9.1.1/24 } }\n    \
         containers:\n      a1: { nics: { eth0: { bridge: br0, address: 10.0.0.11/24 } } }\n      a2: { nics: { eth0: { bridge: br1, address: 10.0.0.12/24 } } }\n",
    );
    let dev = |dev: &str| RouteTo::Dev(dev.parse().unwrap());
    if routes {
        return bench.route("h", "10.0.0.11/32", dev("br0")).route("h", "10.0.0.12/32", dev("br1")).view();
    }
    bench.address("h", "br0", "10.0.0.1/24").address("h", "br1", "10.0.0.2/24").view()
}

#[test]
fn who_answers_for_another_is_not_astray_when_its_answer_is_known() {
    let mut view = two_bridges(true);
    for dev in ["br0", "br1"] {
        view.link("h", dev).proxy_arp = true;
    }
    let cold = ask(&view, "h.a1", "10.0.0.12");
    assert!(cold.death.is_none() && cold.notes.is_empty(), "{cold:#?}");
    view.neighbour("h.a1", "eth0", "10.0.0.12", "0a:00:01:00:00:00", NeighbourState::Reachable);
    let warm = ask(&view, "h.a1", "10.0.0.12");
    assert!(warm.death.is_none() && warm.notes.is_empty(), "{warm:#?}");
}

#[test]
fn a_port_that_is_where_the_topology_has_it_is_in_no_wrong_bridge() {
    let view = two_bridges(false);
    let told = ask(&view, "h", "10.0.0.12");
    assert!(fate(&told).starts_with(r#"h: {"cause":"other-nic","interface":{"node":"h","interface":"br0"}"#), "{}", fate(&told));
    assert_eq!(told.death.unwrap().cure, ["sudo nslab exec h ip route add 10.0.0.12/32 dev br1"]);
    // No route of the kernel's own is replaced.
    let told = ask(&view, "h.a1", "10.0.0.12");
    assert!(fate(&told).starts_with(r#"h.a1: {"cause":"not-on-link""#), "{}", fate(&told));
    assert_eq!(told.death.unwrap().cure, Vec::<String>::new());
    // Moved by hand it is.
    let mut moved = Bench::new("bridged");
    moved.state.insert(Fact::Link(port("host-a", "br9"), crate::plan::Link::Bridge));
    moved.state.insert(Fact::Up(port("host-a", "br9")));
    moved.state.insert(Fact::Member(port("host-a", "veth-a1"), "br9".parse().unwrap()));
    let told = fate(&ask(&moved.view(), "host-a.a1", "10.0.0.21"));
    assert!(
        told.contains(r#"{"cause":"wrong-bridge","interface":{"node":"host-a","interface":"veth-a1"},"bridge":"br9""#),
        "{told}"
    );
}

#[test]
fn an_address_behind_arp_ignore_is_not_nobodys() {
    let mut view = Bench::new("bridged").view();
    let tables = view.tables("host-b.b1");
    let mut local = tables.routes.iter().find(|route| route.to == net("10.0.0.21/32")).unwrap().clone();
    (local.to, local.hops[0].dev) = (net("10.0.0.99/32"), 1);
    tables.routes.push(local);
    assert!(ask(&view, "host-a.a1", "10.0.0.99").death.is_none());
    view.link("host-b.b1", "eth0").arp_ignore = 1;
    let told = fate(&ask(&view, "host-a.a1", "10.0.0.99"));
    assert_eq!(told, r#"host-a.a1: {"cause":"arp-ignored","interface":{"node":"host-b.b1","interface":"eth0"},"value":1}"#);
}

#[test]
fn what_a_node_sends_to_itself_goes_by_its_loopback() {
    let mut view = Bench::new("routed").view();
    view.link("host-a", "lo").up = false;
    let told = ask(&view, "host-a", "10.1.0.1");
    let wanted = r#"host-a: {"cause":"link-down","interface":{"node":"host-a","interface":"lo"},"peer":null}"#;
    assert_eq!(fate(&told), wanted);
    assert_eq!(told.death.unwrap().cure, ["sudo nslab exec host-a ip link set lo up"]);
}

/// Without a word on its kind `bridge fdb add` makes an address the bridge's own: frames for it go up, not on.
#[test]
fn a_bridge_that_keeps_the_address_of_another_passes_nothing_to_it() {
    for (mac, leg) in [("02:00:02:00:01:00", ""), ("02:00:01:00:01:00", "the answer")] {
        for dev in ["veth-a2", if leg.is_empty() { "enp0s8" } else { "veth-a1" }] {
            let mut view = Bench::new("bridged").view();
            let (bridge, port) = (view.link("host-a", "br0").index, view.link("host-a", dev).index);
            let entry =
                Fdb { bridge, mac: mac.parse().unwrap(), port, vlan: 0, own: true, fixed: true, sticky: false, age: None };
            view.tables("host-a").fdb.push(entry);
            let told = ask(&view, "host-a.a1", "10.0.0.21");
            let wanted = format!(
                r#"{{"cause":"wrong-fdb","interface":{{"node":"host-a","interface":"{dev}"}},"bridge":"br0","mac":"{mac}""#
            );
            assert!(fate(&told).contains(&wanted), "{leg}: {}", fate(&told));
            assert_eq!(told.death.unwrap().cure, [format!("sudo nslab exec host-a bridge fdb del {mac} dev {dev} master")]);
        }
    }
}
