//! Every cause that the tables tell, made on purpose on the real kernel: named at its first place, and cured by the commands
//! that are named with it. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use nslab::report::trace::Direction;
use support::foreseen::{BRIDGED, CASE, Case, all, check};
use support::{in_box, ok};

#[test]
fn routes_that_are_missing_or_refuse_are_named_and_cured() {
    all(&[
        Case { wrong: &[("host-a.a1", "ip route del default")], cause: r#"{"cause":"no-route","node":"host-a.a1"}"#, ..CASE },
        Case { wrong: &[("host-a", "ip route del default")], cause: r#"{"cause":"no-route","node":"host-a"}"#, ..CASE },
        Case {
            wrong: &[("host-b.b1", "ip route del default")],
            leg: Direction::Reply,
            cause: r#"{"cause":"no-route","node":"host-b.b1","to":"10.1.0.11"}"#,
            ..CASE
        },
        Case {
            wrong: &[("host-b", "ip route del default")],
            leg: Direction::Reply,
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
            leg: Direction::Reply,
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
            leg: Direction::Reply,
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
            leg: Direction::Reply,
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
            leg: Direction::Reply,
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
    let peer_down = down(&format!(r#""interface":{},"peer":{}"#, end("host-a", "enp0s8"), end("host-b", "enp0s8")));
    let own = down(&format!(r#""interface":{},"peer":{}"#, end("host-a.a1", "eth0"), end("host-a", "veth-a1")));
    let port = down(&format!(r#""interface":{},"peer":null"#, end("host-b", "veth-b1")));
    let bridge = down(&format!(r#""interface":{},"peer":null"#, end("host-b", "br0")));
    let loose = |node: &str, interface: &str, bridges: &str| {
        format!(r#"{{"cause":"not-in-bridge","interface":{},"bridges":{bridges}}}"#, end(node, interface))
    };
    all(&[
        Case { wrong: &[("host-a", "ip link set enp0s8 down")], cause: &host_a, ..CASE },
        Case { wrong: &[("host-a", "ip link set enp0s8 down")], cause: &host_a, ..BRIDGED },
        Case { wrong: &[("host-b", "ip link set enp0s8 down")], cause: &peer_down, ..CASE },
        Case { wrong: &[("host-b", "ip link set enp0s8 down")], cause: &peer_down, ..BRIDGED },
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
                leg: Direction::Reply,
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
                cause: r#"{"cause":"arp-ignored","interface":{"node":"host-b.b1","interface":"eth0"}}"#,
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
