//! Labs broken on purpose: trace names the first place and the cause, and what it says to type mends it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Case, Traced, in_box, inside, ok};

/// What is done in which nodes, what is traced, the verdict, whether a command mends it.
type Broken = (&'static [(&'static str, &'static str)], &'static str, &'static str, bool);

/// Each case on a lab that is as described, and the cure tried where there is one to type.
#[track_caller]
fn cases(lab: &'static str, all: &[Broken]) {
    in_box(|| {
        for &(breaks, trace, verdict, cures) in all {
            ok(&format!("up {lab}"));
            let case = Case { lab, breaks, trace, verdict };
            if cures {
                case.check_and_cure();
            } else {
                drop(case.check());
            }
            ok("down");
        }
    });
}

#[test]
fn a_missing_route_is_named_both_ways() {
    cases(
        "routed",
        &[
            (&[("host-a", "ip route del default")], "a1 b1", "request host-a no-route", true),
            (&[("host-b", "ip route del default")], "a1 b1", "reply host-b no-route", true),
            (&[("host-a.a1", "ip route del default")], "a1 b1", "request host-a.a1 no-route", true),
            (&[("host-b.b1", "ip route del default")], "a1 b1", "reply host-b.b1 no-route", true),
        ],
    );
}

#[test]
fn a_router_that_does_not_forward_is_named() {
    cases(
        "routed",
        &[
            (&[("host-a", "sysctl -qw net.ipv4.ip_forward=0")], "a1 b1", "request host-a forwarding-off", true),
            (&[("host-b", "sysctl -qw net.ipv4.ip_forward=0")], "a1 b1", "request host-b forwarding-off", true),
        ],
    );
}

#[test]
fn routes_that_refuse_are_named() {
    cases(
        "routed",
        &[
            (&[("host-a", "ip route add blackhole 10.2.0.0/30")], "a1 b1", "request host-a refused", true),
            (&[("host-a", "ip route add unreachable 10.2.0.0/30")], "a1 b1", "request host-a refused", true),
            (&[("host-b", "ip route add prohibit 10.1.0.0/24")], "a1 b1", "reply host-b refused", true),
        ],
    );
}

#[test]
fn a_router_that_nobody_is_is_named() {
    cases(
        "routed",
        &[
            (&[("host-a.a1", "ip route replace default via 10.1.0.99")], "a1 b1", "request host-a.a1 no-such-gateway", true),
            (&[("host-a", "ip route replace default via 192.168.100.9")], "a1 b1", "request host-a no-such-gateway", true),
        ],
    );
}

#[test]
fn a_link_that_is_down_is_named_at_either_end() {
    cases(
        "bridged",
        &[
            (&[("host-a", "ip link set enp0s8 down")], "a1 b1", "request host-a link-down at host-a.enp0s8", true),
            (&[("host-b", "ip link set enp0s8 down")], "a1 b1", "request host-a link-down at host-a.enp0s8", true),
            (&[("host-b.b1", "ip link set eth0 down")], "a1 b1", "request host-b link-down at host-b.veth-b1", true),
            (&[("host-a", "ip link set br0 down")], "a1 b1", "request host-a link-down at host-a.br0", true),
        ],
    );
}

#[test]
fn a_port_that_is_not_in_the_bridge_is_named() {
    cases(
        "bridged",
        &[
            (&[("host-a", "ip link set enp0s8 nomaster")], "a1 b1", "request host-a not-in-bridge at host-a.enp0s8", true),
            (&[("host-b", "ip link set enp0s8 nomaster")], "a1 b1", "request host-b not-in-bridge at host-b.enp0s8", true),
            (&[("host-b", "ip link set veth-b1 nomaster")], "a1 b1", "request host-b not-in-bridge at host-b.veth-b1", true),
        ],
    );
}

#[test]
fn a_question_that_nobody_answers_is_named() {
    cases("bridged", &[(&[], "a1 10.0.0.99", "request host-a.a1 unresolved at host-a.a1.eth0", false)]);
}

#[test]
fn a_wrong_prefix_length_is_named() {
    cases(
        "bridged",
        &[(
            &[("host-a.a1", "ip addr del 10.0.0.11/24 dev eth0; ip addr add 10.0.0.11/28 dev eth0")],
            "a1 b1",
            "request host-a.a1 wrong-prefix at host-a.a1.eth0",
            true,
        )],
    );
    cases(
        "routed",
        &[(
            &[(
                "host-a.a1",
                "ip addr del 10.1.0.11/24 dev eth0; ip addr add 10.1.0.11/8 dev eth0; ip route add default via 10.1.0.1",
            )],
            "a1 b1",
            "request host-a.a1 wrong-prefix at host-a.a1.eth0",
            true,
        )],
    );
}

#[test]
fn a_wrong_permanent_neighbour_is_named() {
    cases(
        "bridged",
        &[(
            &[("host-a.a1", "ip neigh replace 10.0.0.21 lladdr 02:00:00:00:00:99 nud permanent dev eth0")],
            "a1 b1",
            "request host-a.a1 wrong-neighbour at host-a.a1.eth0",
            true,
        )],
    );
}

/// Two hosts with two wires between them; packets go by one and come back by the other.
const TWO_WIRES: &str = "
name: two-wires
networks: { one: {}, two: {} }
hosts:
  host-a:
    forwarding: true
    nics: { e1: { network: one, address: 10.1.1.1/24 }, e2: { network: two, address: 10.1.2.1/24 } }
    bridges: { br0: { address: 10.8.0.1/24 } }
    routes: [ { to: 10.9.0.0/24, via: 10.1.1.2 } ]
    containers: { a1: { nics: { eth0: { bridge: br0, address: 10.8.0.2/24 } }, gateway: 10.8.0.1 } }
  host-b:
    forwarding: true
    nics: { e1: { network: one, address: 10.1.1.2/24 }, e2: { network: two, address: 10.1.2.2/24 } }
    bridges: { br0: { address: 10.9.0.1/24 } }
    routes: [ { to: 10.8.0.0/24, via: 10.1.2.1 } ]
    containers: { b1: { nics: { eth0: { bridge: br0, address: 10.9.0.2/24 } }, gateway: 10.9.0.1 } }
";

#[test]
fn the_reverse_path_filter_is_named() {
    in_box(|| {
        std::fs::write("/run/two-wires.yaml", TWO_WIRES).unwrap();
        ok("up /run/two-wires.yaml");
        let there_and_back = Traced::run("a1 b1");
        assert_eq!(there_and_back.verdict(), "answered", "{}", there_and_back.ran);
        let breaks: &[(&str, &str)] = &[("host-b", "sysctl -qw net.ipv4.conf.e1.rp_filter=1")];
        let verdict = "request host-b reverse-path at host-b.e1";
        Case { lab: "two-wires", breaks, trace: "a1 b1", verdict }.check_and_cure();
        ok("down");
    });
}

#[test]
fn a_time_to_live_that_runs_out_is_named() {
    cases(
        "routed",
        &[
            (&[], "a1 b1 --ttl 1", "request host-a ttl-expired", false),
            (&[], "a1 b1 --ttl 2", "request host-b ttl-expired", false),
            (&[], "a1 b1 --ttl 3", "answered", false),
        ],
    );
}

#[test]
fn a_packet_that_is_too_big_is_named() {
    cases(
        "routed",
        &[
            (&[("host-a", "ip link set enp0s8 mtu 1000")], "a1 b1 --size 1200", "request host-a too-big at host-a.enp0s8", true),
            (
                &[("host-a.a1", "ip link set eth0 mtu 1000")],
                "a1 b1 --size 1200",
                "request host-a.a1 too-big at host-a.a1.eth0",
                true,
            ),
        ],
    );
}

#[test]
fn an_address_on_a_port_of_a_bridge_is_named() {
    cases(
        "bridged-hosts",
        &[(
            &[("host-b", "ip addr del 10.0.0.2/24 dev br0; ip addr add 10.0.0.2/24 dev enp0s8")],
            "host-a 10.0.0.2",
            "reply host-b address-on-port at host-b.enp0s8",
            true,
        )],
    );
}

#[test]
fn a_network_that_drops_foreign_mac_addresses_is_named() {
    in_box(|| {
        ok("up bridged-deny");
        let traced = Traced::run("a1 b1");
        let death = traced.death();
        assert_eq!(death["cause"]["cause"], "foreign-mac", "{}", traced.ran);
        assert_eq!((&death["cause"]["network"], &death["certain"]), (&"internal".into(), &true.into()), "{}", traced.ran);
        let text = support::fails(1, "trace a1 b1").out;
        assert!(text.contains("Promiscuous Mode > Allow"), "{text}");
        ok("down");
    });
}

#[test]
fn traffic_that_leaves_by_another_nic_is_named() {
    in_box(|| {
        ok("up bare-lxd");
        let traced = Traced::run("a1 b1");
        assert_eq!(traced.verdict(), "request host-a other-nic at host-a.enp0s3", "{}", traced.ran);
        assert_eq!(traced.death()["cause"]["interface"]["interface"], "enp0s3", "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn a_duplicate_address_is_noted_or_named() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-b.b2", "ip addr add 10.0.0.21/24 dev eth0").expect(0);
        let traced = Traced::run("a1 b1");
        let named =
            traced.notes().contains(&"duplicate-address".to_owned()) || traced.death()["cause"]["cause"] == "duplicate-address";
        assert!(named, "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn a_duplicate_mac_address_is_noted_or_named() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-b.b1", "ip link set eth0 down; ip link set eth0 address 02:00:01:00:01:00; ip link set eth0 up")
            .expect(0);
        let traced = Traced::run("a1 b1");
        let named = traced.notes().contains(&"duplicate-mac".to_owned()) || traced.death()["cause"]["cause"] == "duplicate-mac";
        assert!(named, "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn cloned_mac_addresses_of_two_hosts_are_named() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-b", "ip link set enp0s8 down; ip link set enp0s8 address 02:00:01:00:00:00; ip link set enp0s8 up; ip route add default via 192.168.100.1").expect(0);
        let traced = Traced::run("a1 b1");
        let named = traced.notes().contains(&"cloned-mac".to_owned()) || traced.death()["cause"]["cause"] == "cloned-mac";
        assert!(named, "{}", traced.ran);
        ok("down");
    });
}

#[test]
fn a_node_that_ignores_echo_requests_is_named() {
    cases(
        "bridged",
        &[(&[("host-b.b1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1")], "a1 b1", "request host-b.b1 echo-ignored", true)],
    );
}

#[test]
fn what_a_probe_that_was_too_big_taught_its_sender_is_forgotten() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-a", "ip link set enp0s8 mtu 1000").expect(0);
        for _ in 0..2 {
            assert_eq!(Traced::run("a1 b1 --size 1200").verdict(), "request host-a too-big at host-a.enp0s8");
            let route = inside("routed", "host-a.a1", "ip route get 10.2.0.2").expect(0).out;
            assert!(!route.contains("mtu"), "an exception outlives the probe: {route}");
        }
        ok("down");
    });
}

#[test]
fn what_was_typed_a_moment_ago_counts() {
    in_box(|| {
        ok("up bare");
        for (host, container, address) in [("host-a", "a1", "10.0.0.11/24"), ("host-b", "b1", "10.0.0.21/24")] {
            let script = format!(
                "ip link add br0 type bridge; ip link set br0 up; ip link set enp0s8 master br0; ip link set enp0s8 up
                 ip link add v1 type veth peer name eth0 netns /run/netns/bare.{host}.{container}
                 ip link set v1 master br0; ip link set v1 up"
            );
            inside("bare", host, &script).expect(0);
            inside("bare", &format!("{host}.{container}"), &format!("ip addr add {address} dev eth0; ip link set eth0 up"))
                .expect(0);
        }
        assert_eq!(Traced::run("a1 b1").verdict(), "answered", "the kernel takes a second to see carriers, unless it is asked");
        ok("check --against bridged");
        ok("down");
    });
}
