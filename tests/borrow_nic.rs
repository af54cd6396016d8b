//! A real NIC with all that it can have, lent to a bridge and given back, seen with `ip`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use nslab::kernel::netlink::Netlink;
use nslab::lab::borrow::change::{applied, look};
use nslab::lab::borrow::restore::{Restored, restore};
use nslab::lab::borrow::{Borrowed, NicUse};
use nslab::plan::State;
use support::{Machine, in_box, sh};

/// A NIC with addresses of every kind, routes in several tables, rules, and an MTU of its own.
const RICH: &str = "
    ip link add enp0s8 type veth peer name far
    ip link set far up
    ip link set enp0s8 mtu 1400 up
    ip addr add 192.0.2.5/24 dev enp0s8 valid_lft 3000 preferred_lft 2000
    ip addr add 192.0.2.6/24 dev enp0s8
    ip addr add 198.51.100.7/25 brd + dev enp0s8 label enp0s8:x noprefixroute
    ip addr add 10.255.0.1 peer 10.255.0.2/32 dev enp0s8
    ip -6 addr add 2001:db8::5/64 dev enp0s8 nodad
    ip -6 addr add 2001:db8:1::5/64 dev enp0s8 noprefixroute valid_lft 4000 preferred_lft 3000
    ip route add 198.51.100.0/25 dev enp0s8 src 198.51.100.7 metric 5
    ip route add default via 192.0.2.1 dev enp0s8 metric 100 proto dhcp
    ip route add default via 192.0.2.2 dev enp0s8 table 77
    ip route add 203.0.113.0/24 table 300 nexthop via 192.0.2.1 dev enp0s8 weight 1 nexthop via 192.0.2.2 dev enp0s8 weight 3
    ip -6 route add 2001:db8:9::/48 via 2001:db8::1 dev enp0s8 metric 50
    ip -6 route add default via fe80::1 dev enp0s8 table 78
    ip rule add iif enp0s8 lookup 77
    ip rule add from 192.0.2.5 lookup 77
    ip -6 rule add oif enp0s8 lookup 78
    mkdir -p /run/nslab/lent";

/// What `up` does to a NIC that becomes a port.
const TAKEN: &str = "
    ip link add br0 type bridge forward_delay 0
    ip link set br0 addrgenmode none up
    ip link set enp0s8 master br0";

fn settled() {
    // Duplicate address detection of the link-local address takes up to two seconds.
    assert!(support::wait_for(10, || !sh("ip -6 addr").contains("tentative")), "{}", sh("ip -6 addr"));
}

fn rich() {
    sh(RICH);
    settled();
}

fn lend() -> Borrowed {
    let name = |text: &str| text.parse().unwrap();
    let uses = vec![NicUse { nic: name("enp0s8"), bridge: Some(name("br0")) }];
    let mut lent = look(&"lent".parse().unwrap(), uses, 60).unwrap();
    sh(TAKEN);
    applied(&mut lent, &State::new()).unwrap();
    lent
}

fn back(lent: &Borrowed) -> Restored {
    let restored = restore(&mut Netlink::open().unwrap(), lent, &State::new()).unwrap();
    sh("ip link del br0");
    restored
}

/// Seconds that addresses have left, by address.
fn lifetimes() -> Vec<(String, u64)> {
    let all: serde_json::Value = serde_json::from_str(&sh("ip -j addr show dev enp0s8")).unwrap();
    let one = |address: &serde_json::Value| {
        (address["local"].as_str().unwrap().to_owned(), address["valid_life_time"].as_u64().unwrap())
    };
    all[0]["addr_info"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_nic_comes_back_with_every_address_route_and_rule() {
    in_box(|| {
        rich();
        let (before, lived) = (Machine::look(), lifetimes());
        let lent = lend();
        let moved = sh("ip -o addr show dev br0; ip route show table all dev br0; ip -6 route show table all dev br0");
        for what in ["192.0.2.5/24", "192.0.2.6/24", "198.51.100.7/25", "10.255.0.1", "2001:db8::5/64", "2001:db8:1::5/64"] {
            assert!(moved.contains(what), "{what} is not on the bridge:\n{moved}");
        }
        for route in ["default via 192.0.2.1 proto dhcp metric 100", "default via 192.0.2.2 table 77", "default via fe80::1"] {
            assert!(moved.contains(route), "{route} does not lead by the bridge:\n{moved}");
        }
        assert_eq!(sh("ip -o -4 addr show dev enp0s8"), "", "nothing stays on the port");
        assert_eq!(mac_of("br0"), mac_of("enp0s8"), "neighbours know the address by that MAC");
        let restored = back(&lent);
        assert!(restored.left_alone.is_empty() && restored.left.is_empty(), "{restored:?}");
        sh("rm -f /run/nslab/lent/*");
        before.assert_unchanged("lent and given back");
        for (address, seconds) in lifetimes() {
            let was = lived.iter().find(|(other, _)| *other == address).unwrap().1;
            assert!(was.abs_diff(seconds) < 60, "{address} lived {was} s, now {seconds} s");
        }
        // Once more changes nothing.
        let again = restore(&mut Netlink::open().unwrap(), &lent, &State::new()).unwrap();
        assert!(again.left.is_empty(), "{again:?}");
        before.assert_unchanged("given back twice");
    });
}

fn mac_of(dev: &str) -> String {
    let all: serde_json::Value = serde_json::from_str(&sh(&format!("ip -j link show {dev}"))).unwrap();
    all[0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn what_somebody_else_changed_stays_and_is_named() {
    in_box(|| {
        rich();
        let lent = lend();
        sh("ip addr add 172.16.0.1/24 dev enp0s8
            ip route add 172.17.0.0/16 dev enp0s8
            ip link set enp0s8 mtu 1300
            ip link add other type bridge
            ip link set enp0s8 master other
            sysctl -qw net.ipv4.conf.all.rp_filter=2");
        let restored = back(&lent);
        assert!(restored.left.is_empty(), "{restored:?}");
        let named: Vec<String> = restored.left_alone.iter().map(|alone| format!("{:?} {}", alone.what, alone.text)).collect();
        for what in [
            "Added 172.16.0.1/24",
            "Added 172.17.0.0/16 dev enp0s8",
            "Mtu 1300",
            "Master other",
            "Setting net.ipv4.conf.all.rp_filter = 2",
        ] {
            assert!(named.iter().any(|said| said == what), "{what} is not named: {named:?}");
        }
        let now = sh("ip addr show dev enp0s8; ip route show dev enp0s8; cat /proc/sys/net/ipv4/conf/all/rp_filter");
        for what in ["172.16.0.1/24", "172.17.0.0/16", "mtu 1300", "master other", "192.0.2.5/24", "default via 192.0.2.1"] {
            assert!(now.contains(what), "{what} is gone:\n{now}");
        }
        assert!(now.trim_end().ends_with('2'), "{now}");
    });
}
