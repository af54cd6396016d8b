//! The assignment's sections 2 and 3 as they are typed in class: with the stock `lxc` and `ip`, on the hosts of `bare-lxd`.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{in_box, nslab, ok, run, sh};

/// Types lines into a host; the first that fails ends it.
fn typed(host: &str, lines: &str) -> String {
    let script = format!("set -e\n{lines}\n# lxc");
    let words = ["exec", host, "sh", "-c", &script];
    let out = Command::new(env!("CARGO_BIN_EXE_nslab")).args(words).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{host}: {lines}\n{said}\n{errors}");
    said.into_owned()
}

/// A bridge by `ip`, a container whose second NIC is plugged into it by `network attach`.
const BRIDGED_A: &str = "ip link add br0 type bridge
ip link set br0 up
ip link set enp0s8 master br0
ip link set enp0s8 up
lxc launch ubuntu:22.04 c1
lxc network attach br0 c1 eth1
lxc exec c1 -- ip addr add 10.0.0.11/24 dev eth1
lxc exec c1 -- ip link set eth1 up";

/// The same by LXD's own words alone: a network that joins the NIC, a container on it instead of lxdbr0.
const BRIDGED_B: &str = "lxc network create br0 ipv4.address=none ipv6.address=none bridge.external_interfaces=enp0s8
lxc init host c2
lxc config device add c2 eth0 nic nictype=bridged parent=br0 name=eth0
lxc start c2
lxc exec c2 -- ip addr add 10.0.0.21/24 dev eth0
lxc exec c2 -- ip link set eth0 up";

#[test]
fn section_two_typed_with_lxc_and_ip_has_all_points() {
    in_box(|| {
        ok("up bare-lxd");
        typed("host-a", BRIDGED_A);
        typed("host-b", BRIDGED_B);
        assert_eq!(typed("host-a", "lxc exec c1 -- ping -c 1 -W 2 -q 10.0.0.21 | grep -c ' 0% packet loss'"), "1\n");
        let judged = nslab("check --against bridged");
        assert!(judged.code == 0 && judged.out.contains("50 of 50"), "{judged}");
        let networks = typed("host-a", "lxc network list -f csv");
        assert!(networks.contains("br0,bridge,NO") && networks.contains("lxdbr0,bridge"), "{networks}");
        assert!(typed("host-a", "lxc network info br0").contains("State: up"));
        for command in ["status", "graph", "graph --layer l3", "show host-a", "plan bare-lxd --by-hand"] {
            let ran = nslab(command);
            assert!(ran.code == 0, "{command}: {ran}");
        }

        // What was plugged into a bridge by hand waits while the bridge is gone, and keeps nobody from going on.
        typed("host-a", "ip link del br0; lxc launch host c3; lxc delete -f c3");
        typed("host-a", "ip link add br0 type bridge; ip link set br0 up; ip link set enp0s8 master br0; lxc restart -f c1");
        assert!(sh("ip -n bare-lxd.host-a -o link show master br0").contains("veth-c1-1"));
        ok("up bare-lxd");
        assert!(sh("ip -n bare-lxd.host-a -o link show master br0").contains("veth-c1-1"));
        ok("down");
    });
}

/// A bridge that is the gateway; eth0 of the containers leaves lxdbr0 for it.
const ROUTED_A: &str = "ip addr add 192.168.100.1/24 dev enp0s8
ip link set enp0s8 up
sysctl -qw net.ipv4.ip_forward=1
ip route replace default via 192.168.100.2
ip link add br0 type bridge
ip link set br0 up
ip addr add 10.1.0.1/24 dev br0
lxc launch host r1
lxc launch host r2
for n in 1 2; do
  lxc config device add r$n eth0 nic nictype=bridged parent=br0 name=eth0
  lxc exec r$n -- ip addr add 10.1.0.1$n/24 dev eth0
  lxc exec r$n -- ip link set eth0 up
  lxc exec r$n -- ip route add default via 10.1.0.1
done";

/// No bridge: one cable by LXD's `p2p`, one that is made by hand and moves into its container.
const ROUTED_B: &str = "ip addr add 192.168.100.2/24 dev enp0s8
ip link set enp0s8 up
sysctl -qw net.ipv4.ip_forward=1
ip route replace default via 192.168.100.1
lxc launch host p1
lxc config device add p1 eth1 nic nictype=p2p host_name=p1-host
ip addr add 10.2.0.1/30 dev p1-host
lxc exec p1 -- ip addr add 10.2.0.2/30 dev eth1
lxc exec p1 -- ip link set eth1 up
lxc exec p1 -- ip route replace default via 10.2.0.1
ip link add mine type veth peer name theirs
ip addr add 10.2.0.5/30 dev mine
ip link set mine up
lxc launch host p2
lxc config device add p2 eth1 nic nictype=physical parent=theirs name=eth1
lxc exec p2 -- ip addr add 10.2.0.6/30 dev eth1
lxc exec p2 -- ip link set eth1 up
lxc exec p2 -- ip route replace default via 10.2.0.5";

#[test]
fn section_three_typed_with_lxc_and_ip_has_all_points() {
    in_box(|| {
        ok("up bare-lxd");
        typed("host-a", ROUTED_A);
        typed("host-b", ROUTED_B);
        let judged = nslab("check --against routed");
        assert!(judged.code == 0 && judged.out.contains("45 of 45"), "{judged}");
        let route = sh("ip -n bare-lxd.host-a route show default");
        assert!(route.contains("via 192.168.100.2"), "a launch has taken the route back: {route}");

        // A link that moved in comes back when its container stops, and moves in again.
        let links = || typed("host-b", "ip -o link show; # lxc");
        assert!(!links().contains("theirs"));
        typed("host-b", "lxc stop -f p2");
        assert!(links().contains("theirs"));
        typed("host-b", "lxc start p2");
        assert!(!links().contains("theirs") && typed("host-b", "lxc exec p2 -- ip -o link show eth1").contains("UP"));
        // Where its name was taken meanwhile it keeps that which it had inside.
        typed("host-b", "ip link add theirs type veth peer name other; lxc stop -f p2; [ $(lxc list p2 -c s -f csv) = STOPPED ]");
        assert!(links().contains("eth1@mine"));
        typed("host-b", "ip link del theirs; ip link set eth1 name theirs; lxc start p2");
        typed("host-b", "lxc config device remove p2 eth1");
        assert!(links().contains("theirs"));
        let taken = nslab("exec host-b lxc config device add p1 eth2 nic nictype=p2p host_name=veth-p1");
        assert!(
            taken.code == 1 && taken.err.contains("interface \"veth-p1\" already"),
            "the other end of its eth0 has that name: {taken}"
        );
        let refused = nslab("launch host-b/p3 --device eth1,nictype=physical,parent=enp0s8");
        assert!(refused.code == 2 && refused.err.contains("enp0s8"), "{refused}");
        ok("down");
    });
}

#[test]
fn what_lxd_does_not_know_and_what_nslab_does_not_do_are_refused_by_name() {
    in_box(|| {
        ok("up bridged");
        let refused = |command: &str, why: &str| {
            let ran = run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "host-a", "sh", "-c", command]));
            assert!(ran.code == 1 && ran.err.contains(why), "{command}: {ran}");
        };
        let failed = |why: &str| format!("Invalid devices: Device validation failed for \"eth9\": {why}");
        let add = "lxc config device add a1 eth9";
        let bridged = format!("{add} nic nictype=bridged parent=br0");
        refused(&format!("{bridged} vlan=77 bogus.key=1"), &failed("Invalid device option \"bogus.key\""));
        refused(&format!("{add} nic nictype=p2p parent=br0"), &failed("Invalid device option \"parent\""));
        for word in ["security.mac_filtering=true", "security.port_isolation=true", "vlan=77", "limits.ingress=1kbit"] {
            refused(&format!("{bridged} {word}"), &failed(&format!("nslab does not support {word}")));
        }
        for word in ["macvlan", "routed", "ipvlan", "sriov", "ovn"] {
            refused(&format!("{add} nic nictype={word} parent=br0"), &failed(&format!("nslab does not support nictype={word}")));
        }
        refused(&format!("{add} nic nictype=wheel parent=br0"), "\"wheel\" is no value of nictype");
        refused(
            &format!("{add} proxy listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80"),
            &failed("nslab does not support type=proxy"),
        );
        refused(&format!("{add} wheel"), &failed("Unsupported device type"));
        refused("lxc config set a1 security.nestign=true", "Invalid config: Unknown configuration key: security.nestign");
        refused(
            "lxc config set a1 linux.sysctl.net.ipv4.ip_forward=1",
            "nslab does not support \"linux.sysctl.net.ipv4.ip_forward\"",
        );
        refused("lxc network create br9 bogus=1", "Unknown configuration key: bogus");
        refused("lxc launch host Web-Server", "Names are in lower case here, though LXD takes capitals");
        assert!(!typed("host-a", "lxc config device list a1").contains("eth9"), "nothing was added");

        // What has no effect on a network is kept, and an option may say what is so anyway.
        typed("host-a", "lxc config set a1 limits.memory=512MiB security.nesting=true user.any=thing");
        typed("host-a", &format!("{bridged} boot.priority=1 security.mac_filtering=false mtu=1400"));
        assert!(typed("host-a", "lxc exec a1 -- ip link show eth9").contains("mtu 1400"));
        ok("down");
    });
}
