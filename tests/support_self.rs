//! The tests' own tools: a box keeps to itself, and a picture of the machine sees what changes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Machine, canaries, in_box, sh};

#[test]
fn a_box_has_an_empty_run_and_no_links_but_lo() {
    in_box(|| {
        assert_eq!(sh("ls -A /run"), "");
        assert_eq!(sh("ip -o link | grep -c .").trim(), "1");
    });
}

#[test]
fn a_picture_of_the_machine_sees_every_kind_of_change() {
    in_box(|| {
        canaries();
        let before = Machine::look();
        before.assert_unchanged("nothing");
        let changes = [
            ("ip link set veth-a1 mtu 1400", "ip link set veth-a1 mtu 1500"),
            ("ip addr add 10.7.7.7/32 dev lo", "ip addr del 10.7.7.7/32 dev lo"),
            ("ip route add blackhole 10.8.0.0/16 table 77", "ip route del blackhole 10.8.0.0/16 table 77"),
            ("ip rule add pref 5 table 77", "ip rule del pref 5 table 77"),
            ("echo 1 > /proc/sys/net/ipv4/conf/lo/accept_local", "echo 0 > /proc/sys/net/ipv4/conf/lo/accept_local"),
            ("mkdir /run/x", "rmdir /run/x"),
            ("echo more >> /run/nslab-other/lab.json", "echo mine > /run/nslab-other/lab.json"),
            ("mount -n --bind /run/lock /run/lock", "umount -n /run/lock"),
            ("ip netns add other", "ip netns del other"),
            ("nft add table ip x", "nft delete table ip x"),
            ("sleep 77 >/dev/null 2>&1 & echo $! > /run/pid", "kill $(cat /run/pid); rm /run/pid"),
        ];
        for (change, back) in changes {
            sh(change);
            let seen = Machine::look() != before;
            assert!(seen, "not seen: {change}");
            sh(back);
            before.assert_unchanged(change);
        }
    });
}
