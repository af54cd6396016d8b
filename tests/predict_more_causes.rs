//! Further causes that the tables tell, made on purpose: reverse path filters, sizes, circles, and IPv6. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use nslab::report::trace::Direction;
use support::foreseen::{BRIDGED, CASE, Case, check, foresee};
use support::{in_box, inside, ok};

/// Two networks between the hosts: what goes by one comes back by the other.
const TWO_WAYS: &str = "
name: two-ways
networks: { net1: {}, net2: {} }
hosts:
  host-a:
    forwarding: true
    nics: { eth1: { network: net1, address: 192.168.1.1/24 }, eth2: { network: net2, address: 192.168.2.1/24 } }
    routes: [ { to: 10.2.0.0/24, via: 192.168.1.2 } ]
    bridges: { br0: { address: 10.1.0.1/24 } }
    containers: { a1: { nics: { eth0: { bridge: br0, address: 10.1.0.11/24 } }, gateway: 10.1.0.1 } }
  host-b:
    forwarding: true
    nics: { eth1: { network: net1, address: 192.168.1.2/24 }, eth2: { network: net2, address: 192.168.2.2/24 } }
    routes: [ { to: 10.1.0.0/24, via: 192.168.2.1 } ]
    bridges: { br0: { address: 10.2.0.1/24 } }
    containers: { b1: { nics: { eth0: { bridge: br0, address: 10.2.0.2/24 } }, gateway: 10.2.0.1 } }
";

#[test]
fn reverse_path_filters_and_sizes_are_named_and_cured() {
    in_box(|| {
        std::fs::write("/run/two-ways.yaml", TWO_WAYS).unwrap();
        let two_ways = Case { topology: "/run/two-ways.yaml", ..CASE };
        let cases = [
            Case {
                wrong: &[("host-b", "sysctl -qw net.ipv4.conf.eth1.rp_filter=1")],
                cause: r#"{"cause":"reverse-path","strict":true,"source":"10.1.0.11","interface":{"node":"host-b","interface":"eth1"}}"#,
                ..two_ways
            },
            Case {
                wrong: &[("host-b", "sysctl -qw net.ipv4.conf.all.rp_filter=1")],
                cause: r#"{"cause":"reverse-path","strict":true,"interface":{"node":"host-b","interface":"eth1"}}"#,
                ..two_ways
            },
            Case {
                wrong: &[("host-b", "ip route del 10.1.0.0/24; sysctl -qw net.ipv4.conf.eth1.rp_filter=2")],
                cause: r#"{"cause":"reverse-path","strict":false,"interface":{"node":"host-b","interface":"eth1"}}"#,
                ..two_ways
            },
            Case {
                wrong: &[("host-b.b1", "ip route del default; sysctl -qw net.ipv4.conf.eth0.rp_filter=1")],
                cause: r#"{"cause":"reverse-path","strict":true,"interface":{"node":"host-b.b1","interface":"eth0"}}"#,
                ..CASE
            },
            Case {
                wrong: &[("host-b", "ip link set veth-b1 mtu 1300")],
                size: (1400, false),
                cause: r#"{"cause":"too-big","mtu":1300,"size":1400,"interface":{"node":"host-b","interface":"veth-b1"}}"#,
                ..CASE
            },
            Case {
                wrong: &[("host-a.a1", "ip link set eth0 mtu 1300")],
                size: (1400, false),
                cause: r#"{"cause":"too-big","mtu":1300,"interface":{"node":"host-a.a1","interface":"eth0"}}"#,
                ..CASE
            },
            // A bridge cuts nothing and says nothing.
            Case {
                wrong: &[("host-a", "ip link set enp0s8 mtu 1300"), ("host-b", "ip link set enp0s8 mtu 1300")],
                size: (1400, true),
                cause: r#"{"cause":"too-big","mtu":1300,"interface":{"node":"host-a","interface":"enp0s8"}}"#,
                ..BRIDGED
            },
        ];
        cases.iter().for_each(check);
    });
}

#[test]
fn a_circle_of_default_routes_is_named_with_the_routes_and_how_often_the_wire_is_crossed() {
    in_box(|| {
        ok("up routed");
        let case = Case { to: "8.8.8.8", ..CASE };
        let death = foresee("routed", &case).death.unwrap();
        let circle = serde_json::to_value(&death.cause).unwrap();
        assert_eq!((&circle["cause"], &circle["crossings"]), (&"loop".into(), &63.into()), "{circle}");
        assert_eq!(circle["routes"].as_array().unwrap().len(), 2, "{circle}");
        // The kernel's count: what either end of the wire receives for 8.8.8.8.
        let rules = "nft add table ip t; nft add chain ip t c '{ type filter hook prerouting priority 0; }'; \
                     nft add rule ip t c iifname enp0s8 ip daddr 8.8.8.8 counter";
        for host in ["host-a", "host-b"] {
            inside("routed", host, rules).expect(0);
        }
        inside("routed", "host-a.a1", "ping -n -c 1 -W 1 8.8.8.8");
        let received = |host: &str| -> u64 {
            let listed = inside("routed", host, "nft list chain ip t c").expect(0).out;
            listed.split("packets ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        assert_eq!(received("host-a") + received("host-b"), 63);
        // Nobody has the address, and the assignment itself asks for both default routes: there is nothing to mend.
        assert!(death.cure.is_empty(), "{:#?}", death.cure);
        ok("down");
    });
}

/// As `routed`, in IPv6.
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
fn ipv6_dies_of_the_same_and_is_cured_alike() {
    in_box(|| {
        std::fs::write("/run/six.yaml", SIX).unwrap();
        let six = Case { topology: "/run/six.yaml", to: "fd00:2::2", size: (104, true), ..CASE };
        let cases = [
            Case {
                wrong: &[("host-a.a1", "ip -6 route del default")],
                cause: r#"{"cause":"no-route","node":"host-a.a1"}"#,
                ..six
            },
            Case {
                wrong: &[("host-b.b1", "ip -6 route del default")],
                leg: Direction::Reply,
                cause: r#"{"cause":"no-route","node":"host-b.b1"}"#,
                ..six
            },
            Case {
                wrong: &[("host-b", "sysctl -qw net.ipv6.conf.all.forwarding=0")],
                cause: r#"{"cause":"forwarding-off","node":"host-b","ipv6":true}"#,
                ..six
            },
            Case {
                wrong: &[("host-a", "ip link set enp0s8 down")],
                cause: r#"{"cause":"link-down","interface":{"node":"host-a","interface":"enp0s8"}}"#,
                ..six
            },
            Case {
                wrong: &[("host-b", "ip link set enp0s8 down")],
                cause: r#"{"cause":"link-down","peer":{"node":"host-b","interface":"enp0s8"}}"#,
                ..six
            },
            Case {
                wrong: &[("host-a", "ip -6 route replace default via fd00:100::9")],
                cause: r#"{"cause":"no-such-gateway","gateway":"fd00:100::9"}"#,
                ..six
            },
            Case {
                wrong: &[("host-a", "ip -6 route add blackhole fd00:2::/64")],
                cause: r#"{"cause":"refused","kind":"blackhole"}"#,
                ..six
            },
            Case {
                wrong: &[("host-b", "ip link set br0 mtu 1300")],
                size: (1400, false),
                cause: r#"{"cause":"too-big","mtu":1300,"interface":{"node":"host-b","interface":"br0"}}"#,
                ..six
            },
            Case {
                wrong: &[("host-b", "ip -6 address del $(ip -6 -o address show dev br0 scope link | awk '{print $4}') dev br0")],
                cause: r#"{"cause":"no-address","node":"host-b"}"#,
                ..six
            },
            Case { wrong: &[("host-a", "ip link set veth-a1 nomaster")], cause: r#"{"cause":"not-in-bridge"}"#, ..six },
        ];
        cases.iter().for_each(check);
    });
}
