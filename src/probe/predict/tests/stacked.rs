//! Links that stand on others: what becomes of packets is what Debian's kernels 6.1 and 6.12 do with them in
//! `tests/vm/alone/stacked.sh`.

use std::net::IpAddr;

use super::{Bench, address, ask, death, mac, net, way};
use crate::kernel::tables::{
    Address, Detection, Filtering, LOCAL_TABLE, Link, NextHop, PortVlan, Remote, Route, Stack, Tables, Tunnel, VethPeer,
};
use crate::plan::MAIN_TABLE;
use crate::probe::predict::Prediction;
use crate::probe::view::View;
use crate::report::trace::Cause;
use netlink_packet_route::route::{RouteProtocol, RouteType};

impl View {
    /// A link on another one, up, with an address and the routes that the kernel makes for it.
    fn stack(&mut self, node: &str, dev: &str, stack: Stack, lower: Option<(&str, &str)>, own: &str) -> u32 {
        let below = lower.map(|(node, dev)| (node.to_owned(), dev.to_owned(), self.link(node, dev).clone()));
        let tables = self.tables(node);
        let index = tables.links.iter().map(|link| link.index).max().unwrap() + 1;
        let kind = match stack {
            Stack::Vlan { .. } => "vlan",
            Stack::Macvlan => "macvlan",
            Stack::Bond { .. } => "bond",
            Stack::Dummy => "dummy",
            Stack::Tunnel(Tunnel { port: 0, .. }) => "gre",
            Stack::Tunnel(_) => "vxlan",
            Stack::Unknown => "ipvlan",
        };
        tables.links.push(Link {
            index,
            name: dev.to_owned(),
            kind: kind.to_owned(),
            mac: below
                .as_ref()
                .filter(|_| kind == "vlan")
                .map_or_else(|| Some(mac(&format!("0e:00:00:00:00:{index:02x}"))), |(.., link)| link.mac),
            mtu: 1400,
            up: true,
            carrier: true,
            stack,
            lower: below.map(|(node, dev, link)| VethPeer {
                namespace: None,
                index: link.index,
                node: Some(node),
                name: Some(dev),
            }),
            forwarding4: true,
            ..Link::default()
        });
        self.give(node, dev, own);
        index
    }

    fn give(&mut self, node: &str, dev: &str, own: &str) {
        let own = net(own);
        let link = self.link(node, dev);
        link.addresses.push(Address { net: own, secondary: false, scope: 0, detection: Detection::Done, deprecated: false });
        let hops = vec![NextHop { via: None, dev: link.index, dead: false }];
        let route = |table, to, kind| Route {
            table,
            to,
            kind,
            protocol: RouteProtocol::Kernel,
            hops: hops.clone(),
            source: Some(own.addr()),
            metric: None,
            tos: 0,
            mtu: None,
        };
        let host = ipnet::IpNet::from(own.addr());
        let routes = [route(LOCAL_TABLE, host, RouteType::Local), route(MAIN_TABLE, own.trunc(), RouteType::Unicast)];
        self.tables(node).routes.extend(routes);
    }

    /// A bridge that sorts by VLAN: ports with the VLAN, and whether it is for frames without a tag.
    fn sort(&mut self, node: &str, bridge: &str, ports: &[(&str, u16, bool)]) {
        self.link(node, bridge).filtering = Filtering::On;
        for (dev, id, native) in ports {
            let port = self.link(node, dev).index;
            self.tables(node).vlans.push(PortVlan { port, id: *id, pvid: *native, untagged: *native });
        }
    }
}

fn cause(prediction: &Prediction) -> &Cause {
    death(prediction).1
}

fn lives(prediction: &Prediction) {
    assert!(prediction.death.is_none() && prediction.notes.is_empty(), "{prediction:#?}");
}

/// VLANs on the wire between the hosts.
fn wired(far: u16) -> View {
    let mut view = Bench::new("routed").view();
    view.stack("host-a", "v10", Stack::Vlan { id: 10 }, Some(("host-a", "enp0s8")), "192.168.110.1/30");
    view.stack("host-b", "v", Stack::Vlan { id: far }, Some(("host-b", "enp0s8")), "192.168.110.2/30");
    view
}

#[test]
fn a_vlan_is_one_segment_and_shares_its_mac_address_with_the_link_below() {
    let prediction = ask(&wired(10), "host-a", "192.168.110.2");
    lives(&prediction);
    assert_eq!(way(&prediction), ["host-a sends - v10 64", "host-b receives v - -"]);
    // The untagged wire below goes on.
    lives(&ask(&wired(10), "host-a.a1", "10.2.0.2"));
}

#[test]
fn another_vlan_takes_nothing() {
    let Cause::OtherVlan { vlan, takes, .. } = cause(&ask(&wired(20), "host-a", "192.168.110.2")).clone() else { panic!() };
    assert_eq!((vlan, takes), (Some(10), Some(20)));
    let mut view = wired(20);
    let index = view.link("host-b", "v").index;
    view.tables("host-b").links.retain(|link| link.index != index);
    view.tables("host-b").routes.retain(|route| route.hops.iter().all(|hop| hop.dev != index));
    view.give("host-b", "enp0s8", "192.168.110.2/30");
    let Cause::OtherVlan { vlan, takes, .. } = cause(&ask(&view, "host-a", "192.168.110.2")).clone() else { panic!() };
    assert_eq!((vlan, takes), (Some(10), None));
}

#[test]
fn a_vlan_that_is_down_is_the_cause_and_the_link_below_it_before() {
    let mut view = wired(10);
    view.link("host-b", "v").up = false;
    let Cause::LinkDown { interface, .. } = cause(&ask(&view, "host-a", "192.168.110.2")).clone() else { panic!() };
    assert_eq!((&*interface.node, &*interface.interface), ("host-b", "v"));
    // A VLAN goes down with the link that it stands on.
    view.link("host-b", "v").up = true;
    for dev in ["v10", "enp0s8"] {
        view.link("host-a", dev).up = false;
        let index = view.link("host-a", dev).index;
        view.tables("host-a").routes.retain(|route| route.hops.iter().all(|hop| hop.dev != index));
    }
    let Cause::LinkDown { interface, .. } = cause(&ask(&view, "host-a", "192.168.110.2")).clone() else { panic!() };
    assert_eq!((&*interface.node, &*interface.interface), ("host-a", "enp0s8"));
}

#[test]
fn a_bridge_that_sorts_by_vlan_lets_pass_what_is_in_one_with_both_ports() {
    let all = |vlan| [("enp0s8", 1, true), ("veth-b1", vlan, true), ("veth-b2", 1, true), ("br0", 1, true)];
    let mut view = Bench::new("bridged").view();
    view.sort("host-b", "br0", &all(1));
    lives(&ask(&view, "host-a.a1", "10.0.0.21"));
    let mut view = Bench::new("bridged").view();
    view.sort("host-b", "br0", &all(10));
    let prediction = ask(&view, "host-a.a1", "10.0.0.21");
    let Cause::VlanSorted { interface, vlan, .. } = cause(&prediction).clone() else { panic!("{prediction:#?}") };
    assert_eq!((&*interface.interface, vlan), ("veth-b1", Some(1)));
    let cure = &prediction.death.as_ref().unwrap().cure;
    assert_eq!(*cure, ["sudo nslab exec host-b bridge vlan add dev veth-b1 vid 1 pvid untagged"]);
    lives(&ask(&view, "host-a.a1", "10.0.0.22"));
}

#[test]
fn a_port_without_a_vlan_for_frames_without_a_tag_takes_none() {
    let mut view = Bench::new("bridged").view();
    view.sort("host-b", "br0", &[("enp0s8", 1, true), ("veth-b1", 10, false), ("veth-b2", 1, true)]);
    let Cause::VlanSorted { interface, vlan, .. } = cause(&ask(&view, "host-b.b1", "10.0.0.22")).clone() else { panic!() };
    assert_eq!((&*interface.interface, vlan), ("veth-b1", None));
}

#[test]
fn a_trunk_carries_a_vlan_with_its_tag() {
    let mut view = Bench::new("bridged").view();
    for (host, port) in [("host-a", "veth-a1"), ("host-b", "veth-b1")] {
        view.sort(host, "br0", &[("enp0s8", 1, true), ("enp0s8", 10, false), (port, 10, true)]);
    }
    lives(&ask(&view, "host-a.a1", "10.0.0.21"));
    view.tables("host-a").vlans.retain(|vlan| (vlan.id, vlan.untagged) != (10, false));
    let Cause::VlanSorted { interface, vlan, .. } = cause(&ask(&view, "host-a.a1", "10.0.0.21")).clone() else { panic!() };
    assert_eq!((&*interface.node, &*interface.interface, vlan), ("host-a", "enp0s8", Some(10)));
}

#[test]
fn a_vlan_on_a_bridge_meets_one_on_a_cable_behind_it() {
    let mut view = Bench::new("bridged").view();
    view.stack("host-a", "br0.10", Stack::Vlan { id: 10 }, Some(("host-a", "br0")), "10.7.0.1/24");
    view.stack("host-b.b1", "eth0.10", Stack::Vlan { id: 10 }, Some(("host-b.b1", "eth0")), "10.7.0.2/24");
    lives(&ask(&view, "host-a", "10.7.0.2"));
    lives(&ask(&view, "host-b.b1", "10.7.0.1"));
    view.sort("host-b", "br0", &[("enp0s8", 1, true), ("veth-b1", 1, true)]);
    let Cause::VlanSorted { interface, vlan, .. } = cause(&ask(&view, "host-a", "10.7.0.2")).clone() else { panic!() };
    assert_eq!((&*interface.interface, vlan), ("enp0s8", Some(10)));
}

#[test]
fn a_bond_sends_by_its_active_slave() {
    let mut view = Bench::new("routed").view();
    let slave = view.link("host-b", "enp0s8").index;
    let bond = view.stack("host-b", "bond0", Stack::Bond { active: Some(slave) }, None, "10.3.0.2/24");
    let slave = view.link("host-b", "enp0s8").clone();
    view.link("host-b", "enp0s8").master = Some(bond);
    view.link("host-b", "bond0").mac = slave.mac;
    view.give("host-a", "enp0s8", "10.3.0.1/24");
    lives(&ask(&view, "host-a", "10.3.0.2"));
    lives(&ask(&view, "host-b", "10.3.0.1"));
    view.link("host-b", "enp0s8").up = false;
    let Cause::LinkDown { peer, .. } = cause(&ask(&view, "host-a", "10.3.0.2")).clone() else { panic!() };
    assert_eq!(peer.unwrap().interface, "enp0s8");
}

#[test]
fn macvlans_reach_everybody_but_the_link_that_they_stand_on() {
    let mut view = Bench::new("routed").view();
    for (container, own) in [("host-a.a1", "192.168.100.11/24"), ("host-a.a2", "192.168.100.12/24")] {
        view.stack(container, "mv", Stack::Macvlan, Some(("host-a", "enp0s8")), own);
    }
    view.stack("host-b.b1", "mv", Stack::Macvlan, Some(("host-b", "enp0s8")), "192.168.100.21/24");
    // MAC addresses of their own.
    view.link("host-a.a2", "mv").mac = Some(mac("0e:00:00:00:01:02"));
    view.link("host-b.b1", "mv").mac = Some(mac("0e:00:00:00:02:01"));
    for (from, to) in [("host-a.a1", "192.168.100.12"), ("host-a.a1", "192.168.100.21"), ("host-b", "192.168.100.11")] {
        lives(&ask(&view, from, to));
    }
    for (from, to) in [("host-a", "192.168.100.11"), ("host-a.a1", "192.168.100.1")] {
        let prediction = ask(&view, from, to);
        assert!(matches!(cause(&prediction), Cause::MacvlanParent { .. }), "{prediction:#?}");
    }
    view.link("host-b.b1", "mv").up = false;
    let Cause::LinkDown { interface, .. } = cause(&ask(&view, "host-a.a1", "192.168.100.21")).clone() else { panic!() };
    assert_eq!((&*interface.node, &*interface.interface), ("host-b.b1", "mv"));
}

#[test]
fn what_stands_on_a_link_and_is_not_followed_is_named() {
    let mut view = Bench::new("routed").view();
    view.stack("host-a.a1", "iv", Stack::Unknown, Some(("host-a", "enp0s8")), "192.168.100.11/24");
    for (from, to) in [("host-a.a1", "192.168.100.2"), ("host-b", "192.168.100.11")] {
        let prediction = ask(&view, from, to);
        let Cause::NotFollowed { interface, kind } = cause(&prediction).clone() else { panic!("{prediction:#?}") };
        assert_eq!((&*interface.interface, &*kind), ("iv", "ipvlan"));
    }
}

/// Tunnels of the hosts over the wire, the far one with that key.
fn tunnelled(far: u32, port: u16) -> View {
    let mut view = Bench::new("routed").view();
    let ends = [
        ("host-a", "192.168.100.1", "192.168.100.2", "10.9.0.1/30", 0),
        ("host-b", "192.168.100.2", "192.168.100.1", "10.9.0.2/30", far),
    ];
    for (host, local, remote, own, key) in ends {
        let local: Option<IpAddr> = Some(address(local));
        let remote: IpAddr = address(remote);
        let tunnel =
            Tunnel { local, remote: Some(remote), keys: (key, key), port, whole: true, overhead: 24, ..Tunnel::default() };
        let dev = view.stack(host, "t0", Stack::Tunnel(tunnel), None, own);
        view.tables(host).remotes.push(Remote { dev, mac: None, to: remote });
        view.link(host, "t0").noarp = port == 0;
    }
    view.link("host-b", "t0").mac = Some(mac("0e:00:00:00:00:99"));
    view
}

#[test]
fn what_goes_into_a_tunnel_comes_out_where_its_packets_arrive() {
    for port in [0, 4789] {
        let prediction = ask(&tunnelled(0, port), "host-a", "10.9.0.2");
        lives(&prediction);
        assert_eq!(way(&prediction).last().unwrap(), "host-b receives t0 - -");
        let prediction = ask(&tunnelled(7, port), "host-a", "10.9.0.2");
        let Cause::TunnelEnd { node, .. } = cause(&prediction).clone() else { panic!("{prediction:#?}") };
        assert_eq!(node, "host-b");
        let mut view = tunnelled(0, port);
        view.link("host-b", "t0").up = false;
        let Cause::LinkDown { interface, .. } = cause(&ask(&view, "host-a", "10.9.0.2")).clone() else { panic!() };
        assert_eq!((&*interface.node, &*interface.interface), ("host-b", "t0"));
        let mut view = tunnelled(0, port);
        view.link("host-b", "enp0s8").up = false;
        let Cause::LinkDown { peer, .. } = cause(&ask(&view, "host-a", "10.9.0.2")).clone() else { panic!() };
        assert_eq!(peer.unwrap().interface, "enp0s8");
    }
}

#[test]
fn a_dummy_has_an_address_and_leads_nowhere() {
    let mut view = Bench::new("routed").view();
    view.stack("host-b", "d0", Stack::Dummy, None, "10.50.0.1/24");
    view.link("host-b", "d0").noarp = true;
    lives(&ask(&view, "host-a", "10.50.0.1"));
    assert!(matches!(cause(&ask(&view, "host-a", "10.50.0.9")), Cause::Dummy { .. }));
}

#[test]
fn stacked_links_in_circles_end() {
    let mut view = Bench::new("routed").view();
    view.stack("host-a", "v1", Stack::Vlan { id: 1 }, Some(("host-a", "enp0s8")), "10.7.0.1/24");
    view.stack("host-a", "m2", Stack::Macvlan, Some(("host-a", "v1")), "10.7.1.1/24");
    let tables: &mut Tables = view.tables("host-a");
    let (one, two) = (tables.named("v1").unwrap().index, tables.named("m2").unwrap().index);
    let end = |index| Some(VethPeer { namespace: None, index, node: Some("host-a".to_owned()), name: None });
    for link in &mut tables.links {
        link.lower = if link.index == one {
            end(two)
        } else if link.index == two {
            end(one)
        } else {
            None
        };
    }
    assert!(ask(&view, "host-a", "10.7.0.2").death.is_some());
    assert!(ask(&view, "host-a", "10.7.1.2").death.is_some());
}
