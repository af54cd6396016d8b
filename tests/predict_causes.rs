//! Every cause that the tables tell, made on purpose on the real kernel: named at its first place, and cured by the commands
//! that are named with it. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::IpAddr;

use nslab::probe::predict::{Prediction, Probe, predict};
use nslab::probe::view::View;
use nslab::report::trace::Leg;
use serde_json::Value;
use support::{in_box, inside, ok, wait_for};

/// One lab with something wrong in it.
struct Case<'a> {
    topology: &'a str,
    /// Scripts and the nodes that they run in.
    wrong: &'a [(&'a str, &'a str)],
    from: &'a str,
    to: &'a str,
    leg: Leg,
    /// Values of the cause, as JSON.
    cause: &'a str,
    /// Bytes of the packet, and whether it may be cut.
    size: (u32, bool),
    /// The commands bring the answer; else the packet can only die of something else.
    cured: bool,
}

const CASE: Case<'_> = Case {
    topology: "routed",
    wrong: &[],
    from: "host-a.a1",
    to: "10.2.0.2",
    leg: Leg::Request,
    cause: "{}",
    size: (84, true),
    cured: true,
};
const BRIDGED: Case<'_> = Case { topology: "bridged", to: "10.0.0.21", ..CASE };

fn look(lab: &str) -> View {
    let labs = nslab::lab::names();
    let mut view = View::look(labs.iter().find(|entry| entry.lab == lab).unwrap()).unwrap();
    let all: Vec<String> = view.places.iter().map(|place| place.node.node.clone()).collect();
    view.read_settings(&all).unwrap();
    view
}

fn foresee(lab: &str, case: &Case<'_>) -> Prediction {
    let view = look(lab);
    let to: IpAddr = case.to.parse().unwrap();
    let from = &view.places.iter().find(|place| place.node.node == case.from).unwrap().id;
    predict(&view, from, to, &Probe { size: case.size.0, ttl: 64, may_fragment: case.size.1, source: None })
}

fn answered(lab: &str, case: &Case<'_>) -> bool {
    let header = if case.to.contains(':') { 48 } else { 28 };
    let cut = if case.size.1 { "dont" } else { "do" };
    let ping = format!("ping -n -c 2 -i 0.3 -W 2 -M {cut} -s {} {}", case.size.0 - header, case.to);
    inside(lab, case.from, &ping).code == 0
}

/// Applies the named commands until the prediction is an answer, a few times at most.
fn cure(lab: &str, case: &Case<'_>, first: Prediction) {
    let mut prediction = first;
    let mut tried = Vec::new();
    for _ in 0..4 {
        let Some(death) = prediction.death.take() else { break };
        tried.push(format!("{:?}: {:#?}", death.cause, death.cure));
        for line in &death.cure {
            ok(line.strip_prefix("sudo nslab ").unwrap());
        }
        prediction = foresee(lab, case);
    }
    assert!(prediction.death.is_none(), "{}: not cured\n{}\n{:#?}", case.cause, tried.join("\n"), prediction.death);
    // A question for a MAC address that nobody answered is asked again seconds later.
    assert!(wait_for(6, || answered(lab, case)), "{}: no answer after\n{}", case.cause, tried.join("\n"));
}

fn check(case: &Case<'_>) {
    ok(&format!("up {}", case.topology));
    let lab = case.topology.trim_start_matches("/run/").trim_end_matches(".yaml");
    for (node, script) in case.wrong {
        inside(lab, node, script).expect(0);
    }
    let prediction = foresee(lab, case);
    let death =
        prediction.death.as_ref().unwrap_or_else(|| panic!("{} in {lab}: no death is predicted: {prediction:#?}", case.cause));
    let told = serde_json::to_value(&death.cause).unwrap();
    let wanted: Value = serde_json::from_str(case.cause).unwrap();
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&told[key], value, "{} in {lab}: {death:#?}\n{:#?}", case.cause, prediction.request);
    }
    assert_eq!(death.leg, case.leg, "{}: {death:#?}", case.cause);
    assert!(!answered(lab, case), "{} in {lab}: it is answered all the same", case.cause);
    if case.cured {
        cure(lab, case, prediction);
    }
    ok(&format!("down {lab}"));
}

fn all(cases: &[Case<'_>]) {
    in_box(|| cases.iter().for_each(check));
}

#[test]
fn routes_that_are_missing_or_refuse_are_named_and_cured() {
    all(&[
        Case { wrong: &[("host-a.a1", "ip route del default")], cause: r#"{"cause":"no-route","node":"host-a.a1"}"#, ..CASE },
        Case { wrong: &[("host-a", "ip route del default")], cause: r#"{"cause":"no-route","node":"host-a"}"#, ..CASE },
        Case {
            wrong: &[("host-b.b1", "ip route del default")],
            leg: Leg::Reply,
            cause: r#"{"cause":"no-route","node":"host-b.b1","to":"10.1.0.11"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b", "ip route del default")],
            leg: Leg::Reply,
            cause: r#"{"cause":"no-route","node":"host-b","to":"10.1.0.11"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a", "ip route add blackhole 10.2.0.0/24")],
            cause: r#"{"cause":"refused","node":"host-a","kind":"blackhole","to":"10.2.0.0/24"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a.a1", "ip route add prohibit 10.2.0.0/16")],
            cause: r#"{"cause":"refused","node":"host-a.a1","kind":"prohibit","to":"10.2.0.0/16"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b", "ip route add unreachable 10.1.0.11")],
            leg: Leg::Reply,
            cause: r#"{"cause":"refused","node":"host-b","kind":"unreachable","to":"10.1.0.11/32"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b", "sysctl -qw net.ipv4.ip_forward=0")],
            cause: r#"{"cause":"forwarding-off","node":"host-b","ipv6":false}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a", "sysctl -qw net.ipv4.conf.br0.forwarding=0")],
            cause: r#"{"cause":"forwarding-off","node":"host-a","ipv6":false}"#,
            ..CASE
        },
    ]);
}

#[test]
fn gateways_that_nobody_has_are_named_and_cured() {
    all(&[
        Case {
            wrong: &[("host-a.a1", "ip route replace default via 10.1.0.99")],
            cause: r#"{"cause":"no-such-gateway","node":"host-a.a1","gateway":"10.1.0.99"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a", "ip route replace default via 192.168.100.9")],
            cause: r#"{"cause":"no-such-gateway","node":"host-a","gateway":"192.168.100.9"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a", "ip address del 10.1.0.1/24 dev br0")],
            cause: r#"{"cause":"no-such-gateway","node":"host-a.a1","gateway":"10.1.0.1"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b", "ip route replace default via 192.168.100.9")],
            leg: Leg::Reply,
            cause: r#"{"cause":"no-such-gateway","node":"host-b","gateway":"192.168.100.9"}"#,
            ..CASE
        },
        Case {
            topology: "bare-lxd",
            to: "10.155.20.11",
            cause: r#"{"cause":"other-nic","interface":{"node":"host-a","interface":"enp0s3"}}"#,
            ..CASE
        },
    ]);
}

#[test]
fn addresses_that_are_wrong_are_named_and_cured() {
    all(&[
        Case {
            wrong: &[("host-a.a1", "ip address add 10.0.0.11/28 dev eth0; ip address del 10.0.0.11/24 dev eth0")],
            cause: r#"{"cause":"wrong-prefix","address":"10.0.0.11/28","other":"10.0.0.21/24","to":"10.0.0.21"}"#,
            ..BRIDGED
        },
        Case {
            wrong: &[("host-b.b1", "ip address add 10.0.0.21/28 dev eth0; ip address del 10.0.0.21/24 dev eth0")],
            leg: Leg::Reply,
            cause: r#"{"cause":"wrong-prefix","address":"10.0.0.21/28","other":"10.0.0.11/24","to":"10.0.0.11"}"#,
            ..BRIDGED
        },
        Case {
            wrong: &[(
                "host-a.a1",
                "ip address add 10.1.0.11/8 dev eth0; ip address del 10.1.0.11/24 dev eth0; ip route replace default via 10.1.0.1",
            )],
            cause: r#"{"cause":"wrong-prefix","address":"10.1.0.11/8","other":"10.1.0.1/24","to":"10.2.0.2"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-a.a1", "ip address del 10.1.0.11/24 dev eth0; ip address add 10.1.0.11/30 dev eth0")],
            cause: r#"{"cause":"wrong-prefix","address":"10.1.0.11/30","other":"10.1.0.1/24","to":"10.1.0.1"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b.b1", "ip address add 10.0.0.11/24 dev eth0")],
            cause: r#"{"cause":"duplicate-address","address":"10.0.0.11"}"#,
            ..BRIDGED
        },
        Case { from: "host-a", cause: r#"{"cause":"no-address","node":"host-a"}"#, ..BRIDGED },
        Case {
            topology: "bridged-hosts",
            from: "host-a",
            to: "10.0.0.2",
            wrong: &[("host-b", "ip address del 10.0.0.2/24 dev br0; ip address add 10.0.0.2/24 dev enp0s8")],
            leg: Leg::Reply,
            cause: r#"{"cause":"address-on-port","address":"10.0.0.2/24","bridge":"br0"}"#,
            ..CASE
        },
        Case {
            topology: "bridged-hosts",
            from: "host-a",
            to: "10.0.0.2",
            wrong: &[("host-a", "ip address del 10.0.0.1/24 dev br0; ip address add 10.0.0.1/24 dev enp0s8")],
            cause: r#"{"cause":"address-on-port","address":"10.0.0.1/24","bridge":"br0"}"#,
            ..CASE
        },
        Case { to: "10.0.0.77", cause: r#"{"cause":"unresolved","address":"10.0.0.77","owner":null}"#, cured: false, ..BRIDGED },
    ]);
}

#[test]
fn links_that_are_down_or_loose_are_named_and_cured() {
    let down = |case: &str| format!(r#"{{"cause":"link-down",{case}}}"#);
    let end = |node: &str, interface: &str| format!(r#"{{"node":"{node}","interface":"{interface}"}}"#);
    let host_a = down(&format!(r#""interface":{},"peer":null"#, end("host-a", "enp0s8")));
    let far = down(&format!(r#""interface":{},"peer":{}"#, end("host-a", "enp0s8"), end("host-b", "enp0s8")));
    let own = down(&format!(r#""interface":{},"peer":{}"#, end("host-a.a1", "eth0"), end("host-a", "veth-a1")));
    let port = down(&format!(r#""interface":{},"peer":null"#, end("host-b", "veth-b1")));
    let bridge = down(&format!(r#""interface":{},"peer":null"#, end("host-b", "br0")));
    let loose = |node: &str, interface: &str, bridges: &str| {
        format!(r#"{{"cause":"not-in-bridge","interface":{},"bridges":{bridges}}}"#, end(node, interface))
    };
    all(&[
        Case { wrong: &[("host-a", "ip link set enp0s8 down")], cause: &host_a, ..CASE },
        Case { wrong: &[("host-a", "ip link set enp0s8 down")], cause: &host_a, ..BRIDGED },
        Case { wrong: &[("host-b", "ip link set enp0s8 down")], cause: &far, ..CASE },
        Case { wrong: &[("host-b", "ip link set enp0s8 down")], cause: &far, ..BRIDGED },
        Case { wrong: &[("host-a", "ip link set veth-a1 down")], cause: &own, ..BRIDGED },
        Case { wrong: &[("host-b", "ip link set veth-b1 down")], cause: &port, ..BRIDGED },
        Case { wrong: &[("host-b", "ip link set br0 down")], cause: &bridge, ..BRIDGED },
        Case {
            wrong: &[("host-a", "ip link set veth-a1 nomaster")],
            cause: &loose("host-a", "veth-a1", r#"["br0"]"#),
            ..BRIDGED
        },
        Case { wrong: &[("host-a", "ip link set enp0s8 nomaster")], cause: &loose("host-a", "enp0s8", r#"["br0"]"#), ..BRIDGED },
        Case { wrong: &[("host-b", "ip link set enp0s8 nomaster")], cause: &loose("host-b", "enp0s8", r#"["br0"]"#), ..BRIDGED },
        Case {
            wrong: &[("host-b", "ip link set veth-b1 nomaster; ip link set veth-b1 down")],
            cause: &loose("host-b", "veth-b1", r#"["br0"]"#),
            ..BRIDGED
        },
        Case { wrong: &[("host-b", "ip link del br0")], cause: &loose("host-b", "enp0s8", "[]"), ..BRIDGED },
    ]);
}

#[test]
fn neighbours_macs_and_ports_that_are_wrong_are_named_and_cured() {
    in_box(|| {
        let routed = ok("topology routed").out;
        let switched = routed.replace("name: routed", "name: switched").replace("internal: {}", "internal: { switch: true }");
        assert!(switched.contains("switch: true"));
        std::fs::write("/run/switched.yaml", switched).unwrap();
        let cases = [
            Case {
                wrong: &[("host-a.a1", "ip neigh replace 10.1.0.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent")],
                cause: r#"{"cause":"wrong-neighbour","address":"10.1.0.1","mac":"02:00:00:00:00:99","right":"0a:00:01:00:00:00"}"#,
                ..CASE
            },
            Case {
                wrong: &[("host-a.a1", "ip neigh replace 10.0.0.21 lladdr 02:00:01:00:02:00 dev eth0 nud permanent")],
                cause: r#"{"cause":"wrong-neighbour","address":"10.0.0.21","right":"02:00:02:00:01:00"}"#,
                ..BRIDGED
            },
            Case {
                wrong: &[("host-b.b1", "ip neigh replace 10.0.0.11 lladdr 02:00:01:00:02:00 dev eth0 nud permanent")],
                leg: Leg::Reply,
                cause: r#"{"cause":"wrong-neighbour","address":"10.0.0.11","right":"02:00:01:00:01:00"}"#,
                ..BRIDGED
            },
            Case {
                wrong: &[("host-b.b1", "ip link set eth0 address 02:00:01:00:01:00")],
                cause: r#"{"cause":"duplicate-mac","mac":"02:00:01:00:01:00"}"#,
                ..BRIDGED
            },
            Case {
                topology: "/run/switched.yaml",
                wrong: &[("host-b", "ip link set enp0s8 address 02:00:01:00:00:00")],
                cause: r#"{"cause":"cloned-mac","mac":"02:00:01:00:00:00"}"#,
                ..CASE
            },
            Case {
                wrong: &[("host-b.b1", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8")],
                cause: r#"{"cause":"unresolved","owner":{"node":"host-b.b1","interface":"eth0"}}"#,
                ..BRIDGED
            },
            Case {
                wrong: &[("host-a", "bridge link set dev veth-a1 isolated on; bridge link set dev enp0s8 isolated on")],
                cause: r#"{"cause":"port-closed","state":"isolated"}"#,
                ..BRIDGED
            },
            Case {
                wrong: &[("host-b", "bridge link set dev veth-b1 state 0")],
                cause: r#"{"cause":"port-closed","state":"disabled","interface":{"node":"host-b","interface":"veth-b1"}}"#,
                ..BRIDGED
            },
            Case {
                topology: "bridged-deny",
                cause: r#"{"cause":"foreign-mac","network":"internal","mac":"02:00:01:00:01:00"}"#,
                cured: false,
                ..BRIDGED
            },
            Case {
                wrong: &[("host-b.b1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1")],
                cause: r#"{"cause":"echo-ignored","node":"host-b.b1"}"#,
                ..BRIDGED
            },
        ];
        cases.iter().for_each(check);
    });
}

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
        let told = serde_json::to_value(&death.cause).unwrap();
        assert_eq!((&told["cause"], &told["crossings"]), (&"loop".into(), &63.into()), "{told}");
        assert_eq!(told["routes"].as_array().unwrap().len(), 2, "{told}");
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
        for line in &death.cure {
            ok(line.strip_prefix("sudo nslab ").unwrap());
        }
        let after = foresee("routed", &case).death.unwrap();
        assert_eq!(serde_json::to_value(&after.cause).unwrap()["cause"], "no-route", "{:#?} after {:#?}", after, death.cure);
        assert!(foresee("routed", &CASE).death.is_none() && answered("routed", &CASE), "{:#?}", death.cure);
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
                leg: Leg::Reply,
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
