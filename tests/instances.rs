//! Containers as instances: launched, stopped, started, plugged and deleted in a lab that is up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Machine, canaries, count_faults, fails, in_box, inside, nslab, nslab_at, ok, sh};

/// The interfaces of a namespace with their MAC addresses and IP addresses, and its routes.
fn wired(netns: &str) -> String {
    let (lab, node) = netns.split_once('.').unwrap();
    let ran = inside(lab, node, "(ip -br link show; ip -br addr show; ip route) | grep -v '^lo' | sed 's/@if[0-9]*//; s/ *$//'");
    ran.expect(0).out
}

#[test]
fn a_launch_gives_what_class_gives_and_the_lab_goes_with_it() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bare-lxd");
        let made = nslab("--format json launch host-a/a3").expect(0).json();
        let nic = &made["containers"][0]["nics"][0];
        assert_eq!((&nic["bridge"], &nic["addresses"][0]), (&"lxdbr0".into(), &"10.155.10.100/24".into()));
        inside("bare-lxd", "host-a.a3", "ping -c 1 -W 1 10.155.10.1; ping -c 1 -W 1 10.155.10.11").expect(0);
        let route = inside("bare-lxd", "host-a.a3", "ip route show default").expect(0).out;
        assert!(route.contains("via 10.155.10.1 dev eth0"), "{route}");
        let port = inside("bare-lxd", "host-a", "bridge link show dev veth-a3").expect(0).out;
        assert!(port.contains("master lxdbr0"), "{port}");
        ok("exec a3 sh -c true");
        assert!(ok("exec host-a ls /run/netns").out.contains("a3"));
        assert!(ok("exec a1 cat /etc/hosts").out.contains("10.155.10.100 a3"));
        assert!(ok("status bare-lxd").out.contains("1 launched container"));
        fails(4, "launch host-a/a3");
        fails(2, "launch a3");
        fails(2, "launch host-a/A3");
        ok("down");
        machine.assert_unchanged("launch and down");
    });
}

#[test]
fn a_stopped_container_comes_back_as_it_was_with_its_files() {
    in_box(|| {
        ok("up routed");
        let before = wired("routed.host-b.b1");
        ok("exec b1 sh -c echo>/root/mine");
        ok("stop b1");
        assert_eq!(sh("ls /run/netns | grep -c b1 || true").trim(), "0");
        let gone = inside("routed", "host-b", "ip link show veth-b1");
        assert_ne!(gone.code, 0, "{gone}");
        assert!(ok("status routed").out.contains("as described"));
        assert!(fails(125, "exec b1 true").err.contains("nslab start host-b/b1"));
        fails(4, "stop b1");
        ok("up routed");
        assert_eq!(sh("ls /run/netns | grep -c b1 || true").trim(), "0", "up keeps it stopped");
        ok("start b1");
        assert_eq!(wired("routed.host-b.b1"), before);
        ok("exec b1 test -e /root/mine");
        ok("check routed");
        ok("restart b1");
        assert_eq!(wired("routed.host-b.b1"), before);
        fails(4, "delete b1");
        ok("stop b1");
        ok("delete b1");
        fails(2, "start b1");
        ok("reset --yes");
        assert_eq!(wired("routed.host-b.b1"), before);
        let gone = nslab("exec b1 test -e /root/mine");
        assert_eq!(gone.code, 1, "its files went with it: {gone}");
    });
}

#[test]
fn who_pings_or_traces_a_stopped_container_is_told_that_it_is_stopped() {
    in_box(|| {
        ok("up bridged");
        ok("stop a1");
        for words in ["ping b1 a1", "ping -R b1 a1", "trace b1 a1", "trace a2 a1", "ping a1 b1"] {
            let ran = fails(4, words);
            assert!(ran.err.contains("nslab start host-a/a1"), "{ran}");
        }
        ok("down");
    });
}

#[test]
fn a_device_takes_the_place_of_what_the_launch_gives() {
    in_box(|| {
        ok("up bare-lxd");
        ok("launch host-a/p1 --device eth0,nictype=p2p,host_name=v-p1,hwaddr=02:aa:00:00:00:01,mtu=1400");
        let link = inside("bare-lxd", "host-a.p1", "ip link show eth0").expect(0).out;
        assert!(link.contains("02:aa:00:00:00:01") && link.contains("mtu 1400"), "{link}");
        let end = inside("bare-lxd", "host-a", "ip -d link show v-p1").expect(0).out;
        assert!(!end.contains("bridge_slave"), "{end}");
        fails(2, "launch host-a/p2 --device eth0,nictype=bridged,parent=nowhere");
        fails(2, "launch host-a/p2 --device eth0,nictype=p2p,host_name=v-p1");
        fails(2, "launch host-a/p2 --device eth0,nictype=bridged");
        ok("launch host-a/p2 --ephemeral");
        ok("stop p2");
        fails(2, "start p2");
        ok("launch host-a/p3 --stopped");
        assert!(fails(2, "stop host-a").err.contains("no container"));
        ok("rename p3 p4");
        ok("start p4");
        inside("bare-lxd", "host-a.p4", "ping -c 1 -W 1 10.155.10.1").expect(0);
        ok("delete --force p1 p4");
        assert!(ok("status").out.contains("as described"));
        assert!(!ok("status").out.contains("Beyond its file"));
    });
}

#[test]
fn a_file_that_is_brought_up_again_keeps_what_was_launched_and_says_so() {
    in_box(|| {
        ok("up bridged");
        ok("launch host-b/x1");
        inside("bridged", "host-b.x1", "ping -c 1 -W 1 10.0.0.11").expect(0);
        ok("stop a2");
        let said = ok("up bridged").out;
        assert!(said.contains("1 launched container, 1 stopped container"), "{said}");
        let yaml = ok("topology bridged").out.replace("a2:", "a7:");
        std::fs::write("/run/changed.yaml", yaml).unwrap();
        let said = ok("up /run/changed.yaml").out;
        assert!(said.contains("1 launched container;"), "{said}");
        inside("bridged", "host-b.x1", "ping -c 1 -W 1 10.0.0.12").expect(0);
        ok("reset --yes");
        fails(125, "exec x1 true");
        ok("down");
    });
}

#[test]
fn a_paused_containers_processes_stand_still() {
    in_box(|| {
        ok("up bare-lxd");
        sh(&format!("{} exec a1 sleep 300 >/dev/null 2>&1 &", env!("CARGO_BIN_EXE_nslab")));
        let state = || sh("for p in $(pgrep -x sleep); do sed -n 's/^State:[[:space:]]*\\(.\\).*/\\1/p' /proc/$p/status; done");
        assert!(support::wait_for(5, || state().contains('S')));
        ok("pause a1");
        assert!(support::wait_for(5, || state().contains('T')), "{}", state());
        assert!(fails(125, "exec a1 true").err.contains("paused"));
        ok("start a1");
        assert!(support::wait_for(5, || state().contains('S')), "{}", state());
        ok("stop --force a1");
        assert_eq!(state().replace("Z\n", ""), "", "what nobody waits for is no process any more");
        ok("down");
    });
}

/// What is killed, the commands that come before it, and what the lab is to be asked afterwards.
fn killed(before: &[&str], words: &str) {
    canaries();
    let machine = Machine::look();
    let prepare = || {
        ok("up bare-lxd");
        for words in before {
            ok(words);
        }
    };
    prepare();
    let points = count_faults(words);
    ok("down");
    machine.assert_unchanged(words);
    for point in 1..=points {
        let kill = format!("kill@{point}");
        prepare();
        nslab_at(&kill, words).expect(137);
        ok("up bare-lxd");
        ok("status bare-lxd");
        ok("down");
        machine.assert_unchanged(&format!("{kill} of {words}, then up and down"));
        prepare();
        nslab_at(&kill, words).expect(137);
        ok("down");
        machine.assert_unchanged(&format!("{kill} of {words}, then down"));
        prepare();
        let failed = nslab_at(&format!("errno:ENOMEM@{point}"), words);
        assert!(failed.code != 101, "{failed}");
        let status = nslab("status bare-lxd");
        assert_eq!(status.code, 0, "after {failed}:\n{status}");
        ok("down");
        machine.assert_unchanged(&format!("an error at {point} of {words}, then down"));
    }
}

#[test]
fn killed_or_failing_at_any_point_of_a_launch_the_lab_is_whole() {
    in_box(|| killed(&[], "launch host-a/a3"));
}

#[test]
fn killed_or_failing_at_any_point_of_a_stop_the_lab_is_whole() {
    in_box(|| killed(&["exec a1 true"], "stop a1"));
}

#[test]
fn killed_or_failing_at_any_point_of_a_start_the_lab_is_whole() {
    in_box(|| killed(&["stop a1"], "start a1"));
}

#[test]
fn killed_or_failing_at_any_point_of_a_deletion_the_lab_is_whole() {
    in_box(|| killed(&["launch host-a/a3", "exec a3 true", "stop a3"], "delete a3"));
}

#[test]
fn a_look_that_fails_unplugs_no_cable_from_a_bridge_made_by_hand() {
    in_box(|| {
        ok("up bridged");
        sh("ip netns exec bridged.host-a ip link add br9 type bridge; ip netns exec bridged.host-a ip link set br9 up");
        ok("launch host-a/a9 --device eth0,nictype=bridged,parent=br9");
        let master = || sh("ip netns exec bridged.host-a ip -o link show veth-a9 | grep -o 'master [^ ]*'").trim().to_owned();
        assert_eq!(master(), "master br9");
        for words in ["up bridged", "launch host-a/a8", "status"] {
            let mut failed = 0;
            for number in 1..=8 {
                let done = nslab_at(&format!("look:EMFILE@{number}"), words);
                assert_eq!(master(), "master br9", "{done}");
                failed += u32::from(done.code != 0);
                // Undoes what this round made, where it made anything.
                nslab("delete --force a8");
            }
            assert!(failed > 0, "{words}: no look was refused");
        }
        assert!(ok("status").out.contains("as described"));
        ok("down");
    });
}
