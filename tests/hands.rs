//! What hands change of a lab and no topology says: `status` tells it, `plan --by-hand` prints it, `reset` undoes it. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Ran, in_box, inside, nslab, ok, sh};

const AS_DESCRIBED: &str = "Nothing was made by hand";

/// Types a command on a node of `routed`, and expects the lines that `status` prints of it, and that after `reset` nothing is left.
#[track_caller]
fn undone(node: &str, typed: &str, lines: &[&str]) {
    inside("routed", node, typed).expect(0);
    told(typed, lines);
    let reset = ok("reset --yes");
    assert!(!reset.out.contains("nothing to do"), "{typed}: {reset}");
    let after = ok("status");
    assert!(after.out.contains("as described") && after.out.contains(AS_DESCRIBED), "{typed}: {reset}\n{after}");
    assert!(ok("ping --all").out.contains(" 0 not"), "{typed}");
}

/// Expects the lines of `status` and, of what is by hand, those of `plan --by-hand`.
#[track_caller]
fn told(typed: &str, lines: &[&str]) -> Ran {
    let status = nslab("status");
    assert!(!status.out.contains(AS_DESCRIBED), "{typed}: {status}");
    let plan = ok("plan routed --by-hand");
    for line in lines {
        assert!(status.out.contains(line), "{typed}: no `{line}`: {status}");
        assert!(plan.out.contains(line), "{typed}: no `{line}`: {plan}");
    }
    status
}

#[test]
fn settings_of_a_namespace_and_of_an_interface_are_told_and_undone() {
    in_box(|| {
        ok("up routed");
        undone("host-a", "sysctl -qw net.ipv4.conf.enp0s8.forwarding=0", &["sysctl -qw net.ipv4.conf.enp0s8.forwarding=0"]);
        undone("host-a.a1", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1", &["routed.host-a.a1 sysctl -qw net.ipv4.icmp_echo"]);
        undone("host-a.a1", "sysctl -qw net.ipv4.ip_default_ttl=1", &["net.ipv4.ip_default_ttl=1"]);
        undone("host-a.a1", "sysctl -qw net.ipv4.conf.all.arp_ignore=8", &["net.ipv4.conf.all.arp_ignore=8"]);
        undone("host-a.a1", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8", &["net.ipv4.conf.eth0.arp_ignore=8"]);
        undone("host-a.a1", "sysctl -qw net.ipv4.ip_forward=1", &["net.ipv4.ip_forward=1"]);
        undone("host-b", "sysctl -qw net.ipv4.conf.veth-b1.proxy_arp=1", &["net.ipv4.conf.veth-b1.proxy_arp=1"]);
        undone("host-a", "sysctl -qw net.ipv4.conf.br0.rp_filter=1", &["net.ipv4.conf.br0.rp_filter=1"]);
        undone("host-a", "sysctl -qw net.ipv4.conf.lo.arp_ignore=1", &["net.ipv4.conf.lo.arp_ignore=1"]);
        undone("host-a", "sysctl -qw net.ipv4.conf.default.forwarding=0", &["net.ipv4.conf.default.forwarding=0"]);
        undone("host-a.a1", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1", &["net.ipv6.conf.eth0.disable_ipv6=1"]);
        undone("host-a.a1", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1", &["net.ipv6.conf.all.disable_ipv6=1"]);
        ok("down");
    });
}

/// The machine's own defaults, which namespaces take over, are nobody's work in the lab; whatever they are later.
#[test]
fn what_the_machine_gives_to_new_namespaces_is_not_by_hand() {
    in_box(|| {
        let turned = |value: u8| {
            let settings = ["all.arp_ignore", "all.send_redirects", "default.send_redirects", "default.arp_notify"];
            settings.map(|setting| format!("net.ipv4.conf.{setting}={value}")).join(" ")
        };
        sh(&format!("sysctl -qw {}", turned(1)));
        ok("up routed");
        let status = ok("status");
        assert!(status.out.contains(AS_DESCRIBED), "{status}");
        sh(&format!("sysctl -qw {}", turned(0)));
        let status = ok("status");
        assert!(!status.out.contains("send_redirects") && !status.out.contains("arp_notify"), "{status}");
        ok("down");
    });
}

#[test]
fn switches_of_links_and_neighbours_are_told_and_undone() {
    in_box(|| {
        ok("up routed");
        undone("host-a.a1", "ip link set eth0 arp off", &["ip -n routed.host-a.a1 link set eth0 arp off"]);
        undone("host-a.a1", "ip link set eth0 multicast off", &["link set eth0 multicast off"]);
        let wrong = "ip neighbour replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev br0 nud permanent";
        undone("host-a", wrong, &["neighbour replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev br0 nud permanent"]);
        undone("host-a", "ip neighbour add proxy 10.1.0.77 dev br0", &["neighbour add proxy 10.1.0.77 dev br0"]);
        ok("down");
    });
}

#[test]
fn options_of_bridges_and_their_ports_and_what_is_told_to_them_are_told_and_undone() {
    in_box(|| {
        ok("up routed");
        let isolated = "bridge link set dev veth-a1 isolated on; bridge link set dev veth-a2 isolated on";
        undone("host-a", isolated, &["link set dev veth-a1 isolated on", "link set dev veth-a2 isolated on"]);
        undone("host-a", "bridge link set dev veth-a1 learning off", &["dev veth-a1 learning off"]);
        undone("host-a", "bridge link set dev veth-a1 flood off", &["dev veth-a1 flood off"]);
        undone("host-a", "bridge link set dev veth-a1 flood off learning off", &["dev veth-a1 learning off flood off"]);
        undone("host-a", "bridge link set dev veth-a1 bcast_flood off", &["dev veth-a1 bcast_flood off"]);
        undone("host-a", "bridge link set dev veth-a1 state 0", &["dev veth-a1 state 0"]);
        undone("host-a", "ip link set br0 type bridge ageing_time 0", &["type bridge ageing_time 0"]);
        undone("host-a", "ip link set br0 type bridge mcast_snooping 1", &["type bridge mcast_snooping 1"]);
        undone("host-a", "ip link set br0 type bridge stp_state 1", &["type bridge stp_state 1"]);
        let entry = |how: &str| format!("bridge fdb replace 02:00:01:00:01:00 dev veth-a2 master {how}");
        undone("host-a", &entry("static sticky"), &["fdb add 02:00:01:00:01:00 dev veth-a2 master static sticky"]);
        undone("host-a", &entry("static"), &["fdb add 02:00:01:00:01:00 dev veth-a2 master static"]);
        undone("host-a", &entry("permanent"), &["fdb add 02:00:01:00:01:00 dev veth-a2 master permanent"]);
        ok("down");
    });
}

#[test]
fn policy_rules_are_told_and_undone_and_those_of_the_kernel_come_back() {
    in_box(|| {
        ok("up routed");
        undone("host-a", "ip rule add from 10.1.0.11 unreachable", &["from 10.1.0.11/32 unreachable"]);
        undone("host-a", "ip rule del pref 32766", &["rule del pref 32766 from all lookup main"]);
        undone("host-a", "ip -6 rule add pref 9 iif br0 blackhole", &["-6 rule add pref 9 iif br0 blackhole"]);
        let all = "ip rule add not fwmark 0x10/0xff iif br0 ipproto udp dport 5-7 to 10.2.0.0/16 pref 77 lookup 100";
        undone("host-a", all, &["pref 77 not to 10.2.0.0/16 fwmark 0x10/0xff iif br0 ipproto 17 dport 5-7 lookup 100"]);
        ok("down");
    });
}

#[test]
fn what_plan_by_hand_prints_makes_the_same_again() {
    in_box(|| {
        ok("up routed");
        let typed = "ip rule add pref 77 not to 10.2.0.0/16 fwmark 0x10/0xff iif br0 ipproto 17 dport 5-7 lookup 100
            ip neighbour replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev br0 nud permanent
            ip link set enp0s8 arp off
            bridge link set dev veth-a1 isolated on
            bridge fdb add 02:00:01:00:01:77 dev veth-a2 master static sticky
            tc qdisc add dev enp0s8 root tbf rate 1mbit burst 10kb latency 70ms
            ip xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/16 dir fwd action block
            sysctl -qw net.ipv4.conf.br0.proxy_arp=1 net.ipv4.icmp_echo_ignore_all=1";
        inside("routed", "host-a", typed).expect(0);
        let script = ok("plan routed --by-hand").out;
        let made = ok("status").out;
        ok("reset --yes");
        assert!(ok("status").out.contains(AS_DESCRIBED));
        sh(&script);
        assert_eq!(ok("status").out, made, "{script}");
        ok("down");
    });
}

#[test]
fn policies_of_ipsec_and_queues_are_told_and_undone() {
    in_box(|| {
        ok("up routed");
        let block = "xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/16 dir fwd action block";
        undone("host-a", &format!("ip {block}"), &[block]);
        undone("host-a", "ip xfrm policy setdefault fwd block", &["setdefault in accept fwd block out accept"]);
        let slow = "tc qdisc add dev enp0s8 root tbf rate 1mbit burst 10kb latency 70ms";
        undone("host-a", slow, &["qdisc add dev enp0s8 root tbf rate 1000000bit burst 10240b"]);
        undone("host-a", "tc qdisc add dev enp0s8 clsact", &["qdisc add dev enp0s8 clsact"]);
        ok("down");
    });
}

#[test]
fn tables_of_the_old_iptables_are_told_and_left() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-a", "iptables-legacy -L -n").expect(0);
        assert!(ok("status").out.contains(AS_DESCRIBED), "a table that was only looked at is nobody's work");
        inside("routed", "host-a", "iptables-legacy -P FORWARD DROP").expect(0);
        let line = "ip netns exec routed.host-a iptables-legacy -t filter -S";
        told("iptables-legacy", &[line]);
        let reset = ok("reset --yes");
        assert!(reset.out.contains(line) && !reset.out.contains("nothing to do"), "{reset}");
        inside("routed", "host-a", "iptables-legacy -P FORWARD ACCEPT").expect(0);
        assert!(ok("status").out.contains(AS_DESCRIBED));
        ok("down");
    });
}

/// What the kernel takes along, as a default route with the address that leads to its router, is back after one `reset`.
#[test]
fn a_changed_address_and_a_route_that_is_gone_are_as_described_after_one_reset() {
    in_box(|| {
        ok("up routed");
        let other =
            "ip address del 10.1.0.11/24 dev eth0; ip address add 10.1.0.12/24 dev eth0; ip route add default via 10.1.0.1";
        undone("host-a.a1", other, &["address add 10.1.0.12/24"]);
        let near = "ip address del 10.1.0.11/24 dev eth0; ip address add 10.1.0.11/24 dev eth0 scope link
            ip route add default via 10.1.0.1";
        undone("host-a.a1", near, &["address add 10.1.0.11/24 dev eth0 scope link"]);
        undone("host-a", "ip route del 10.1.0.0/24 dev br0", &["route del 10.1.0.0/24 dev br0"]);
        undone(
            "host-a.a1",
            "ip route del local 10.1.0.11 dev eth0 table local",
            &["route del local 10.1.0.11 dev eth0 table local"],
        );
        undone("host-a", "ip route add throw 10.2.0.0/16", &["route replace throw 10.2.0.0/16"]);
        undone("host-a", "ip route add local 10.2.0.2 dev lo table local", &["replace local 10.2.0.2/32 dev lo table 255"]);
        let small = "ip route replace default via 10.1.0.1 dev eth0 mtu 68";
        undone("host-a.a1", small, &["route replace 0.0.0.0/0 via 10.1.0.1 dev eth0 mtu 68"]);
        ok("down");
    });
}

#[test]
fn of_a_lab_that_has_drifted_nobody_says_that_nothing_was_made_by_hand() {
    in_box(|| {
        ok("up routed");
        for (node, typed) in
            [("host-a", "sysctl -qw net.ipv4.ip_forward=0"), ("host-a.a1", "ip route replace default via 10.1.0.12")]
        {
            inside("routed", node, typed).expect(0);
            let status = nslab("status").expect(1);
            assert!(status.out.contains("has drifted") && !status.out.contains(AS_DESCRIBED), "{typed}: {status}");
            ok("reset --yes");
            assert!(ok("status").out.contains(AS_DESCRIBED), "{typed}");
        }
        ok("down");
    });
}

#[test]
fn a_container_that_was_deleted_or_lost_its_entry_is_told() {
    in_box(|| {
        ok("up routed");
        sh("rm /run/netns/routed.host-a.a1");
        let status = nslab("status").expect(1);
        assert!(status.out.contains("ln -s /run/nslab/routed/netns/host-a.a1 /run/netns/routed.host-a.a1"), "{status}");
        ok("reset --yes");
        assert!(ok("status").out.contains(AS_DESCRIBED) && sh("ip netns list").contains("routed.host-a.a1"));
        sh("ip netns del routed.host-a.a1");
        assert!(!nslab("status").expect(1).out.contains(AS_DESCRIBED));
        ok("reset --yes");
        ok("delete --force a1");
        assert!(ok("status").out.contains("1 deleted container"), "{}", ok("status"));
        ok("reset --yes");
        assert!(!ok("status").out.contains("deleted"));
        ok("down");
    });
}

#[test]
fn what_was_made_by_hand_is_printed_host_after_host() {
    in_box(|| {
        ok("up routed");
        for host in ["host-a", "host-b"] {
            let typed = "ip link add mine type bridge; ip address add 10.9.0.1/24 dev mine; ip link set mine up; ip netns add own
                nft add table inet t; sysctl -qw net.ipv4.ip_default_ttl=9";
            inside("routed", host, typed).expect(0);
        }
        let plan = ok("plan routed --by-hand").out;
        for host in ["host-a", "host-b"] {
            assert_eq!(plan.matches(&format!("---- {host} and its")).count(), 1, "{plan}");
        }
        ok("down");
    });
}

#[test]
fn a_container_that_stops_warns_of_the_links_that_go_with_it() {
    in_box(|| {
        ok("up routed");
        let cable = "ip link add mine type veth peer name eth9 netns /run/netns/routed.host-a.a1";
        for (words, warns) in [("restart a1", false), ("restart a1", true), ("stop a1", true), ("start a1", false)] {
            if warns {
                inside("routed", "host-a", cable).expect(0);
            }
            let ran = ok(words);
            assert_eq!(ran.err.contains("eth9 in a1, made by hand"), warns, "{words}: {ran}");
        }
        inside("routed", "host-a", cable).expect(0);
        assert!(ok("delete --force a1").err.contains("eth9"));
        ok("down");
    });
}

/// Nothing that nslab makes, in whatever lab, is taken for a hand's work.
#[test]
fn of_no_lab_as_nslab_makes_it_anything_is_said_to_be_by_hand() {
    in_box(|| {
        let files = ["count", "everything", "ipv6", "loop"].map(|name| format!("tests/good/{name}.yaml"));
        for topology in support::shipped().into_iter().chain(files) {
            ok(&format!("up {topology}"));
            let status = ok("status");
            assert!(status.out.contains(AS_DESCRIBED), "{topology}: {status}");
            let reset = ok("reset --yes");
            assert!(reset.out.contains("nothing to do"), "{topology}: {reset}");
            ok("down");
        }
    });
}

/// IPv6: an interface where it is off has lost its addresses, and a subnet whose route is gone nobody reaches.
#[test]
fn ipv6_that_is_off_or_has_lost_its_route_comes_back() {
    in_box(|| {
        ok("up tests/good/ipv6.yaml");
        let first = ok("status").out;
        assert!(first.contains(AS_DESCRIBED), "{first}");
        let node = sh("ls /run/nslab/*/netns | grep -m 1 '[.]'");
        let lab = first.split(' ').next().unwrap().to_owned();
        let net =
            sh(&format!("ip -n {lab}.{} -6 route show dev eth0 proto kernel | cut -d' ' -f1 | grep -m 1 -v fe80", node.trim()));
        let (node, net) = (node.trim(), net.trim());
        for typed in [
            "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1".to_owned(),
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1".to_owned(),
            format!("ip -6 route del {net} dev eth0"),
            "ip link set eth0 multicast off".to_owned(),
        ] {
            inside(&lab, node, &typed).expect(0);
            assert!(!nslab("status").out.contains(AS_DESCRIBED), "{typed}");
            if typed.contains("disable_ipv6") {
                let up = nslab("up tests/good/ipv6.yaml");
                assert!(up.code != 0 && up.err.contains("try: nslab reset"), "{up}");
            }
            let reset = ok("reset --yes");
            assert_eq!(ok("status").out, first, "{typed}: {reset}");
        }
        assert!(ok("ping --all").out.contains(" 0 not"));
        ok("down");
    });
}

/// With a role the host is the machine itself: what is otherwise there is only told.
#[test]
fn what_is_of_the_machine_itself_is_told_and_left() {
    in_box(|| {
        sh("ip link add enp0s8 type veth peer name far; ip link set far up");
        ok("up routed --role host-a --nic enp0s8");
        assert!(ok("status").out.contains(AS_DESCRIBED));
        sh("ip rule add from 10.1.0.11 unreachable; sysctl -qw net.ipv4.conf.br0.arp_ignore=8 net.ipv4.icmp_echo_ignore_all=1
            ip neighbour replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev br0 nud permanent
            ip neighbour replace 10.1.0.99 lladdr 02:00:00:00:00:99 dev far nud permanent
            bridge link set dev veth-a1 isolated on");
        inside("routed", "host-a.a1", "sysctl -qw net.ipv4.ip_default_ttl=9").expect(0);
        let machine = || {
            sh(
                "ip rule; ip neighbour show nud permanent; bridge -d link show dev veth-a1; cat /proc/sys/net/ipv4/icmp_echo_ignore_all",
            )
        };
        let (before, lines) = (
            machine(),
            [
                "\n  sysctl -qw net.ipv4.conf.br0.arp_ignore=8\n",
                "\n  sysctl -qw net.ipv4.icmp_echo_ignore_all=1\n",
                "\n  ip rule add pref 32765 from 10.1.0.11/32 unreachable\n",
                "\n  ip neighbour replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev br0 nud permanent\n",
                "\n  bridge link set dev veth-a1 isolated on\n",
            ],
        );
        let status = ok("status");
        assert!(lines.iter().all(|line| status.out.contains(line)), "{status}");
        assert!(!status.out.contains("dev far") && status.out.contains("1 thing was made by hand"), "{status}");
        let reset = ok("reset --yes");
        assert!(lines.iter().all(|line| reset.out.contains(line)), "{reset}");
        assert_eq!(machine(), before, "{reset}");
        let status = ok("status");
        assert!(!status.out.contains("ip_default_ttl") && !status.out.contains(AS_DESCRIBED), "{status}");
        ok("down");
    });
}
