//! Two machines, each of which plays one host: here two boxes with a cable between their NICs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use support::other::{Other, cable};
use support::{Machine, count_faults, fails, in_box, nslab, nslab_at, ok, run, sh, wait_for};

/// A NIC of this machine whose cable leads nowhere.
fn nic() {
    sh("ip link add enp0s8 type veth peer name far; ip link set far addrgenmode none up; ip link set enp0s8 up");
    // The first carrier brings a multicast route that stays; where it comes and goes too quickly the kernel sees none.
    assert!(wait_for(10, || sh("ip -6 route show table local dev far").contains("ff00::/8")));
    sh("ip link set enp0s8 down");
    // The kernel tells of a carrier's end a second later at most.
    assert!(wait_for(10, || sh("ip -o link show far").contains("state LOWERLAYERDOWN")));
}

/// What nobody of the lab may touch: an interface with an address and a default route, a table, a rule, a filter, a setting.
fn strangers() {
    sh("ip link add eth0 type veth peer name street; ip link set street addrgenmode none up; ip link set eth0 addrgenmode none up
        ip addr add 192.0.2.5/24 dev eth0
        ip route add default via 192.0.2.1 dev eth0 metric 100
        ip route add 203.0.113.0/24 via 192.0.2.1 table 77
        ip rule add from 192.0.2.5 lookup 77
        ip link add docker0 type bridge forward_delay 0; ip link set docker0 addrgenmode none; ip link set docker0 up
        nft add table inet mine; nft add chain inet mine input '{ type filter hook input priority 0; policy accept; }'
        sysctl -qw net.ipv4.conf.default.rp_filter=2");
    settled();
}

/// Duplicate address detection of link-local addresses takes up to two seconds.
fn settled() {
    assert!(wait_for(10, || sh("ip -o link show up").matches("LOWER_UP").count() >= 3 && !sh("ip -6 addr").contains("tentative")));
}

const HOST_A: &str = "--role host-a --nic enp0s8";

#[test]
fn two_halves_make_the_bridged_lab_and_both_machines_are_as_before_after_down() {
    in_box(|| halves("bridged", &["10.0.0.21", "10.0.0.22"], &["10.0.0.11", "10.0.0.12"]));
}

#[test]
fn two_halves_make_the_routed_lab_and_both_machines_are_as_before_after_down() {
    in_box(|| halves("routed", &["10.2.0.2", "10.2.0.6"], &["10.1.0.11", "10.1.0.12"]));
}

fn halves(lab: &str, far: &[&str], near: &[&str]) {
    let other = Other::boot();
    strangers();
    cable(&other);
    let (here, there) = (Machine::look(), other.sh(THERE));
    ok(&format!("up {lab} {HOST_A}"));
    other.ok(&format!("up {lab} --role host-b --nic eth1"));
    sh("timeout 60 tcpdump -lqtnei enp0s8 -c 4 icmp >/run/heard 2>/run/said &");
    assert!(wait_for(20, || std::fs::read_to_string("/run/said").is_ok_and(|said| said.contains("listening"))));
    for to in far {
        for from in ["a1", "a2"] {
            ok(&format!("exec {from} ping -c 1 -W 2 {to}"));
        }
    }
    for to in near {
        for from in ["b1", "b2"] {
            other.ok(&format!("exec {from} ping -c 1 -W 2 {to}"));
        }
    }
    let heard = || std::fs::read_to_string("/run/heard").unwrap();
    assert!(wait_for(10, || heard().lines().count() >= 4), "{}", heard());
    let heard = heard();
    sh("rm /run/heard /run/said");
    let containers = heard.lines().all(|line| line.starts_with("02:00:0"));
    assert_eq!(
        containers,
        lab == "bridged",
        "the wire shows the containers' MAC addresses only where hosts do not route:\n{heard}"
    );
    both_judge(lab, &other);
    if lab == "routed" {
        own_remotes_count(lab, "192.168.100.2");
    }
    let again = ok(&format!("up {lab}")).out;
    assert!(again.contains("already up"), "{again}");
    ok(&format!("status {lab}"));
    ok(&format!("down {lab}"));
    other.ok(&format!("down {lab}"));
    here.assert_unchanged("up --role and down");
    assert!(wait_for(20, || other.sh(THERE) == there), "the other machine is not as before:\n{there}\n{}", other.sh(THERE));
}

/// What the machine that plays a host knows of remotes itself, that host knows.
fn own_remotes_count(lab: &str, far: &str) {
    let check = || {
        run(Command::new(env!("CARGO_BIN_EXE_nslab"))
            .args(["check", lab, "--against", "remote"])
            .env("NSLAB_REMOTES", "/run/mine"))
    };
    assert!(check().out.contains("host-a knows no remote that is host-b"), "{}", check());
    std::fs::create_dir_all("/run/mine/servercerts").unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write("/run/mine/servercerts/theirs.crt", certificate).unwrap();
    std::fs::write("/run/mine/config.yml", format!("remotes:\n  theirs:\n    addr: https://{far}:8443\n    protocol: lxd\n"))
        .unwrap();
    assert!(check().out.contains(&format!("nobody answers at {far}:8443")), "{}", check());
    std::fs::remove_dir_all("/run/mine").unwrap();
}

/// Each machine checks what it can see, and gives full points.
fn both_judge(lab: &str, other: &Other) {
    let points = if lab == "bridged" { "50 of 50 points" } else { "45 of 45 points" };
    for check in [format!("check {lab}"), format!("check {lab} --against {lab}")] {
        for said in [ok(&check).out, other.ok(&check)] {
            assert!(said.contains(points) && said.contains("on the other machine"), "{check}:\n{said}");
        }
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let whole = json(&ok(&format!("check {lab} --format json")).out);
    let notes: Vec<&serde_json::Value> = whole["checkpoints"][0]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|check| check["notes"].as_array().unwrap())
        .collect();
    assert!(notes.iter().any(|note| note["other-machine"]["host"] == "host-b"), "{notes:?}");
    assert!(notes.iter().any(|note| note["from-file"]["nodes"].is_array()), "{notes:?}");
    // A ping to the far half is answered; one from there is typed there.
    ok("ping a1 b1 -c 1 -i 10ms");
    other.ok("ping b1 a2 -c 1 -i 10ms");
    assert!(ok("ping --all").out.contains("6 pairs: 6 answered"));
    for words in ["ping b1 a1 -c 1", "exec b1 true", "show b1", "trace b1 a1", "capture b1 -c 1", "exec host-b true", "ps b1"] {
        let ran = fails(if words.starts_with("exec") { 125 } else { 2 }, words);
        assert!(ran.err.contains("on the other machine, which plays host-b"), "{ran}");
    }
    let trace = json(&ok("trace a1 b1 --format json").out);
    let known = |leg: &str| -> Vec<(String, String)> {
        let visits = trace[leg]["visits"].as_array().unwrap();
        visits
            .iter()
            .map(|visit| (visit["node"].as_str().unwrap().to_owned(), visit["known"].as_str().unwrap().to_owned()))
            .collect()
    };
    let way = |nodes: [(&str, &str); 4]| nodes.map(|(node, known)| (node.to_owned(), known.to_owned())).to_vec();
    let (here, far) = ("both", "file");
    assert_eq!(known("request"), way([("host-a.a1", here), ("host-a", here), ("host-b", far), ("host-b.b1", far)]));
    assert_eq!(known("reply"), way([("host-b.b1", far), ("host-b", far), ("host-a", here), ("host-a.a1", here)]));
    assert!(trace["differences"].as_array().unwrap().is_empty(), "{}", trace["differences"]);
    // The MAC addresses that cross are the containers' own, or those of the real NICs; each has its owner's name.
    let real = |link: &str| json(link)[0]["address"].as_str().unwrap().to_owned();
    let (near, there) = (real(&sh("ip -j link show enp0s8")), real(&other.sh("ip -j link show eth1")));
    let macs = json(&ok(&format!("macs {lab} --format json")).out);
    let mut owners: Vec<(String, String)> = macs["labs"][0]["networks"][0]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|source| source["broadcasts"] != source["frames"])
        .map(|source| (source["owners"][0]["node"].as_str().unwrap().to_owned(), source["mac"].as_str().unwrap().to_owned()))
        .collect();
    owners.sort();
    let node = |node: &str| node.to_owned();
    if lab == "bridged" {
        let seen: Vec<&str> = owners.iter().map(|(owner, _)| owner.as_str()).collect();
        assert_eq!(seen, ["host-a.a1", "host-a.a2", "host-b.b1", "host-b.b2"]);
    } else {
        assert_eq!(owners, [(node("host-a"), near), (node("host-b"), there)]);
    }
    let drawn = ok(&format!("graph {lab}")).out;
    assert!(drawn.contains("host-b") && drawn.contains("from the file") && !drawn.contains("changed"), "{drawn}");
    let said = ok(&format!("status {lab}")).out;
    assert!(said.contains("This machine plays host-a on enp0s8; on other machines: host-b."), "{said}");
    assert!(ok("list").out.contains(&format!("{lab} (host-a)")));
    assert!(other.ok(&format!("status {lab}")).contains("eth1 (enp0s8 in the file)"));
}

#[test]
fn what_is_broken_on_one_half_costs_its_points_and_what_never_comes_back_is_looked_for_on_the_other() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        ok(&format!("up routed {HOST_A}"));
        let ran = fails(1, "check routed");
        assert!(ran.out.contains("0 of 45 points") && unbroken(&ran.out).contains("Is that half of the lab up?"), "{ran}");
        let ran = fails(1, "trace a1 b1");
        assert!(unbroken(&ran.out).contains("goes to the other machine, which plays host-b"), "{ran}");
        other.ok("up routed --role host-b --nic eth1");
        assert!(ok("check routed").out.contains("45 of 45 points"));
        sh("ip route del default");
        let ran = fails(1, "check routed");
        assert!(ran.out.contains("0 of 45 points") && ran.out.contains("ip route add default via 192.168.100.2"), "{ran}");
        ok("up routed");
        assert!(ok("check routed").out.contains("45 of 45 points"));
        ok("down routed");
        other.ok("down routed");
    });
}

const THERE: &str = "ip -d link | sed 's/[a-z_]*_timer *[0-9.]*//g'; ip -o addr | sed 's/valid_lft.*//'
    ip route show table all; ip -6 route show table all | sed 's/expires [0-9a-z]*//'; ip rule; find /run; grep -c . /proc/self/mountinfo
    sysctl -a 2>/dev/null | grep '^net.ipv[46].\\(conf\\|ip_forward\\)' | grep -v stable_secret";

#[test]
fn killed_at_any_point_of_up_with_a_role_it_is_healed_by_down_and_by_up() {
    in_box(|| {
        strangers();
        nic();
        let before = Machine::look();
        for lab in ["bridged", "routed"] {
            let up = format!("up {lab} {HOST_A}");
            let points = count_faults(&up);
            ok(&format!("down {lab}"));
            before.assert_unchanged("up and down");
            for point in 1..=points {
                nslab_at(&format!("kill@{point}"), &up).expect(137);
                // What one lab does at even points the other does at odd ones.
                if (point % 2 == 0) == (lab == "routed") {
                    ok(&format!("down {lab}"));
                    before.assert_unchanged(&format!("kill@{point} of {up} (of {points}), then down"));
                    continue;
                }
                ok(&up);
                ok(&format!("status {lab}"));
                ok("exec a1 ping -c 1 -W 2 a2");
                ok(&format!("down {lab}"));
            }
            before.assert_unchanged("everything");
        }
    });
}

#[test]
fn killed_at_any_point_of_down_with_a_role_it_is_healed_by_down() {
    in_box(|| {
        strangers();
        nic();
        let before = Machine::look();
        for lab in ["bridged", "routed"] {
            let (up, down) = (format!("up {lab} {HOST_A}"), format!("down {lab}"));
            ok(&up);
            let points = count_faults(&down);
            before.assert_unchanged("up and down");
            for point in 1..=points {
                ok(&up);
                nslab_at(&format!("kill@{point}"), &down).expect(137);
                ok(&down);
                before.assert_unchanged(&format!("kill@{point} of {down} (of {points}), then down"));
            }
        }
    });
}

#[test]
fn an_error_a_panic_or_a_signal_at_any_point_of_up_with_a_role_is_undone() {
    in_box(|| {
        strangers();
        nic();
        let before = Machine::look();
        let up = format!("up routed {HOST_A}");
        let points = count_faults(&up);
        ok("down routed");
        for point in 1..=points {
            for fault in ["errno:EBUSY", "panic", "signal:INT"] {
                let ran = nslab_at(&format!("{fault}@{point}"), &up);
                assert_ne!(ran.code, 101, "{ran}");
                // Where nothing depends on the step it may succeed.
                ok("down routed");
                before.assert_unchanged(&format!("{fault}@{point} of {up}\n{ran}"));
            }
        }
    });
}

#[test]
fn the_machine_keeps_its_default_route_and_the_lab_gets_those_that_it_needs() {
    in_box(|| {
        strangers();
        nic();
        let ran = ok(&format!("up routed {HOST_A}"));
        assert!(ran.err.contains("keeps its own default route") && ran.err.contains("10.2.0.0/30, 10.2.0.4/30"), "{ran}");
        let routes = sh("ip route");
        assert!(routes.contains("default via 192.0.2.1 dev eth0") && !routes.contains("default via 192.168"), "{routes}");
        assert!(routes.contains("10.2.0.0/30 via 192.168.100.2 dev enp0s8"), "{routes}");
        assert!(ok("up routed").out.contains("already up"));
        ok("down routed");
        sh("ip route del default");
        ok(&format!("up routed {HOST_A}"));
        assert!(sh("ip route").contains("default via 192.168.100.2 dev enp0s8"));
        assert!(ok("up routed").out.contains("already up"), "its own default route is none of the machine's");
        ok("down routed");
    });
}

#[test]
fn nothing_of_the_machine_itself_ends_with_the_lab() {
    in_box(|| {
        strangers();
        nic();
        let mut daemon = Command::new("sleep").arg("1000").spawn().unwrap();
        let before = Machine::look();
        ok(&format!("up bridged {HOST_A}"));
        assert_eq!(ok("exec host-a readlink /proc/self/ns/net").out, sh("readlink /proc/self/ns/net"), "the host is the machine");
        assert_eq!(ok("exec host-a hostname").out, sh("hostname"));
        fails(1, "exec host-a false");
        fails(127, "exec host-a no-such-command");
        let drawn = ok("graph bridged").out;
        assert!(drawn.contains("enp0s8") && drawn.contains("br0") && !drawn.contains("docker0"), "{drawn}");
        ok("reset bridged");
        assert!(sh("nft list tables").contains("inet mine"), "a filter of the machine is no work in the lab");
        assert!(ok("status bridged").out.contains("as described"));
        sh("ip link del veth-a1");
        assert!(fails(1, "status bridged").out.contains("veth-a1"));
        ok("up bridged");
        ok("status bridged");
        ok("down bridged");
        assert!(daemon.try_wait().unwrap().is_none(), "down ends no process of the machine");
        before.assert_unchanged("down");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    });
}

#[test]
fn names_and_subnets_of_the_machine_are_left_alone() {
    in_box(|| {
        strangers();
        nic();
        sh("ip link add br0 type bridge");
        let before = Machine::look();
        let ran = fails(4, &format!("up bridged {HOST_A}"));
        assert!(ran.err.contains("br0 is there already"), "{ran}");
        before.assert_unchanged("a bridge of that name was there");
        sh("ip link del br0; ip addr add 10.2.0.1/16 dev eth0");
        let before = Machine::look();
        let ran = fails(4, &format!("up routed {HOST_A}"));
        assert!(ran.err.contains("10.2.0.0/30 is already reachable via eth0"), "{ran}");
        before.assert_unchanged("a subnet was the machine's");
    });
}

#[test]
fn without_a_free_nic_every_one_is_listed_with_its_state() {
    in_box(|| {
        strangers();
        nic();
        let before = Machine::look();
        let ran = fails(2, "up bridged --role host-a");
        assert!(ran.err.contains("no NIC of this machine is free") && ran.err.contains("--nic NAME"), "{ran}");
        assert!(ran.err.contains("enp0s8 (down): is no NIC but a veth") && ran.err.contains("eth0 (up)"), "{ran}");
        let ran = fails(2, "up bridged --role host-a --nic enp0s9");
        assert!(ran.err.contains("no NIC \"enp0s9\""), "{ran}");
        fails(2, "up bridged --role host-c");
        fails(2, "up bridged --nic enp0s8");
        before.assert_unchanged("nothing was up");
    });
}

#[test]
fn a_lab_has_one_role_and_keeps_it() {
    in_box(|| {
        nic();
        ok(&format!("up bridged {HOST_A}"));
        let ran = fails(4, "up bridged --role host-b --nic enp0s8");
        assert!(ran.err.contains("plays host-a") && ran.err.contains("nslab down bridged"), "{ran}");
        ok("down bridged");
        ok("up bridged");
        assert!(fails(4, &format!("up bridged {HOST_A}")).err.contains("the whole lab bridged is up"));
        ok("down bridged");
    });
}

#[test]
fn a_changed_file_applies_the_difference_on_the_machine() {
    in_box(|| {
        nic();
        let file = |mtu: &str, more: &str| {
            let text = format!(
                "name: lab\nnetworks: {{ n: {mtu} }}\nhosts:\n  a:\n    nics: {{ enp9: {{ network: n }} }}\n    bridges: {{ br0: {{ ports: [enp9] }} }}\n    \
                 containers:\n      c1: {{ nics: {{ eth0: {{ bridge: br0, address: 10.0.0.1/24 }} }} }}\n{more}  b:\n    nics: {{ e: {{ network: n }} }}\n"
            );
            std::fs::write("/run/lab.yaml", text).unwrap();
        };
        file("{ mtu: 1400 }", "");
        let before = Machine::look();
        ok("up /run/lab.yaml --role a --nic enp0s8");
        assert!(sh("ip link show enp0s8").contains("mtu 1400") && sh("ip link show enp0s8").contains("master br0"));
        file("{}", "      c2: { nics: { eth0: { bridge: br0, address: 10.0.0.2/24 } } }\n");
        ok("up /run/lab.yaml");
        assert!(sh("ip link show enp0s8").contains("mtu 1500"), "what the file no longer says is as before");
        ok("exec c1 ping -c 1 -W 2 10.0.0.2");
        ok("status lab");
        file("{ mtu: 1400 }", "");
        ok("down lab");
        before.assert_unchanged("down");
        assert!(nslab("list").code == 0);
    });
}

#[test]
fn the_plan_of_a_role_makes_the_same_on_the_machine() {
    in_box(|| {
        nic();
        let script = ok(&format!("plan bridged {HOST_A}")).out;
        std::fs::write("/run/plan.sh", script).unwrap();
        let look = "ip -d link | grep -v '^ *link\\|qdisc' | sed 's/[a-z_]*_timer *[0-9.]*//g'; ip -br link | cut -c 1-60; ip -br -4 addr; ip route";
        sh("sh -e /run/plan.sh");
        let by_hand = sh(look);
        sh("ip link del br0; ip link del veth-a1; ip link del veth-a2; ip netns del bridged.host-a.a1; ip netns del bridged.host-a.a2
            ip link set enp0s8 down");
        ok(&format!("up bridged {HOST_A}"));
        let (mut by_hand, mut by_nslab) = (lines(&by_hand), lines(&sh(look)));
        by_hand.retain(|line| line.starts_with("br0") || line.starts_with("enp0s8"));
        by_nslab.retain(|line| line.starts_with("br0") || line.starts_with("enp0s8"));
        assert_eq!(by_hand, by_nslab);
        ok("down bridged");
    });
}

/// Without the ends of its lines.
fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
