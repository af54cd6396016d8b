//! What gets in the way of a lab with a role: named by `up` and `doctor` with the command against it, and gone when that was typed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::{Ran, fails, ifindex, in_box, nslab, ok, sh};

const NIC: &str = "ip link add enp0s8 type veth peer name far; ip link set far addrgenmode none up; ip link set enp0s8 up";

/// As docker leaves the machine's filter.
const DOCKER: &str = "
    iptables -P FORWARD DROP
    iptables -N DOCKER; iptables -N DOCKER-USER; iptables -N DOCKER-ISOLATION-STAGE-1
    iptables -A FORWARD -j DOCKER-USER
    iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1
    iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    iptables -A FORWARD -o docker0 -j DOCKER
    iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    iptables -A DOCKER-USER -j RETURN
    iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
    sysctl -qw net.bridge.bridge-nf-call-iptables=1";

/// The end of firewalld's forwarding, as version 2 writes it.
const FIREWALLD: &str = "
    nft -f - <<'END'
    table inet firewalld {
        chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            iifname lo accept
            ct state invalid drop
            jump filter_FORWARD_POLICIES
            reject with icmpx admin-prohibited
        }
        chain filter_FORWARD_POLICIES { iifname eth0 oifname eth1 accept; return; }
    }
END";

fn up(lab: &str) -> Ran {
    let role = if lab == "routed-b" { "routed --role host-b" } else { &format!("{lab} --role host-a") };
    ok(&format!("up {role} --nic enp0s8"))
}

/// The lines that say what to type.
fn cures(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.trim().strip_prefix("try: ")).map(str::to_owned).collect()
}

/// Types a line as it was printed; root needs no sudo.
fn type_in(line: &str) {
    sh(&format!("sudo() {{ \"$@\"; }}; {line}"));
}

fn found() -> Vec<Value> {
    ok("doctor --format json").json()["interference"].as_array().unwrap().clone()
}

fn ping(from: &str, to: &str) -> bool {
    nslab(&format!("exec {from} ping -c 1 -W 1 {to}")).code == 0
}

/// The first cure of each way that `up` prints makes the ping pass, and nothing is named afterwards.
#[track_caller]
fn cured(lab: &str, which: usize, from: &str, to: &str, says: &[&str]) {
    let said = up(lab).err;
    for word in says {
        assert!(said.contains(word), "{word} is not said:\n{said}");
    }
    assert!(!ping(from, to), "it passes though something was said:\n{said}");
    let name = lab.trim_end_matches("-b");
    assert!(found().iter().any(|found| found["lab"] == name && found["interference"] == "filter"), "doctor does not say it");
    let lines = cures(&said);
    type_in(lines.get(which).unwrap_or_else(|| panic!("no cure {which}:\n{said}")));
    assert!(ping(from, to), "{} does not help:\n{said}", lines[which]);
    let again = ok(&format!("up {name}"));
    let other = |line: &&str| line.contains("dropped");
    assert_eq!(again.err.lines().find(other), None, "still named after {}", lines[which]);
    assert!(found().is_empty(), "{:?}", found());
    ok("down");
}

#[test]
fn what_docker_leaves_is_named_for_bridged_frames_and_each_cure_works() {
    in_box(|| {
        sh(NIC);
        let says = ["frames between the ports of br0", "docker", "br_netfilter", "-i br0 -o br0", "bridge-nf-call-iptables=0"];
        for which in [0, 1] {
            sh("iptables -F; iptables -X");
            sh(DOCKER);
            cured("bridged", which, "a1", "10.0.0.12", &says);
        }
    });
}

#[test]
fn what_docker_leaves_is_named_for_forwarded_packets_and_the_cure_works() {
    in_box(|| {
        sh(NIC);
        sh(DOCKER);
        // Two containers on a subnet of their own each: the machine forwards between them.
        cured("routed-b", 0, "b1", "10.2.0.6", &["forwards", "docker", "-I FORWARD -i enp0s8 -j ACCEPT"]);
    });
}

#[test]
fn a_rule_of_firewalld_or_of_nft_that_drops_is_named_and_so_is_one_of_bridges() {
    in_box(|| {
        sh(NIC);
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
        sh(FIREWALLD);
        let said = up("routed-b").err;
        assert!(said.contains("filter_FORWARD") && said.contains("firewalld has rules"), "{said}");
        assert!(said.contains("firewall-cmd --zone=trusted --change-interface=enp0s8"), "{said}");
        assert!(!ping("b1", "10.2.0.6"));
        ok("down");
        sh("nft flush ruleset
            nft 'add table inet mine; add chain inet mine forward { type filter hook forward priority 0; policy drop; }'
            nft 'add rule inet mine forward ct state vmap { established : accept, related : accept, invalid : drop }'");
        cured(
            "routed-b",
            0,
            "b1",
            "10.2.0.6",
            &["the chain forward of the table inet mine", "nft insert rule inet mine forward"],
        );
        sh("nft flush ruleset
            nft 'add table bridge mine; add chain bridge mine forward { type filter hook forward priority 0; policy drop; }'
            nft add rule bridge mine forward ether type arp accept");
        cured(
            "bridged",
            0,
            "a1",
            "10.0.0.12",
            &["table bridge mine", "nft insert rule bridge mine forward iifname veth-a1 accept"],
        );
    });
}

#[test]
fn legacy_iptables_is_read_too_and_what_only_may_drop_is_told_as_such() {
    in_box(|| {
        sh(NIC);
        sh("iptables-legacy -P FORWARD DROP; iptables-legacy -N ufw-before-forward; iptables-legacy -A FORWARD -j ufw-before-forward
            iptables-legacy -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            sysctl -qw net.bridge.bridge-nf-call-iptables=0");
        cured("routed-b", 0, "b1", "10.2.0.6", &["of iptables-legacy", "ufw", "sudo iptables-legacy -I FORWARD -i enp0s8"]);
        // Pings pass, and the rest does not.
        sh("iptables-legacy -F FORWARD; iptables-legacy -A FORWARD -j ufw-before-forward
            iptables-legacy -A ufw-before-forward -p icmp --icmp-type echo-request -j ACCEPT");
        let said = up("routed-b").err;
        assert!(said.contains("Pings pass.") && ping("b1", "10.2.0.6"), "{said}");
        ok("down");
        sh("iptables-legacy -I FORWARD -s 10.2.0.0/16 -j ACCEPT");
        let said = up("routed-b").err;
        assert!(said.contains("may be dropped") && ping("b1", "10.2.0.6"), "{said}");
        ok("down");
        // A filter that has nothing to do with the lab is not named.
        sh("iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT; iptables-legacy -A FORWARD -i eth0 -j DROP
            iptables-legacy -A INPUT -p tcp --dport 22 -j DROP");
        assert_eq!(up("routed-b").err.matches("dropped").count(), 0);
        ok("down");
    });
}

#[test]
fn pings_of_the_machine_itself_that_are_dropped_are_named() {
    in_box(|| {
        sh(NIC);
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0; iptables -A INPUT -i br0 -p icmp --icmp-type echo-request -j DROP");
        cured("routed", 0, "a1", "10.1.0.1", &["pings for this machine's own addresses", "-I INPUT -i br0 -p icmp -j ACCEPT"]);
    });
}

#[test]
fn without_a_lab_doctor_says_what_would_be_in_the_way_and_names_no_bridge_that_is_not_there() {
    in_box(|| {
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
        let text = ok("doctor").out;
        assert!(found().is_empty() && text.contains("br_netfilter") && !text.contains("br0"), "{text}");
        let harmless = text.find("harmless").unwrap();
        assert!(text.find("br_netfilter").unwrap() > harmless, "{text}");
        sh(DOCKER);
        let text = ok("doctor").out;
        assert!(text.contains("docker has rules") && text.contains("not to one with --role"), "{text}");
        assert!(!text.contains("br0") && text.contains("sudo sysctl -w net.bridge.bridge-nf-call-iptables=0"), "{text}");
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
        let kinds: Vec<Value> = found().iter().map(|found| found["traffic"]["kind"].clone()).collect();
        assert_eq!(kinds, ["routed"]);
    });
}

#[test]
fn a_dhcp_client_of_the_nic_is_a_reason_to_leave_it_alone_and_one_of_any_nic_is_named() {
    in_box(|| {
        sh(NIC);
        // Shells of that name, which wait.
        sh("mkdir /run/bin; for name in dhclient dhcpcd; do cp $(command -v dash) /run/bin/$name; done");
        let run = |words: &str| sh(&format!("{words} >/dev/null 2>&1 & echo $!")).trim().to_owned();
        // Of two, as dhclient forks, the second is the one that works.
        let first = run("/run/bin/dhclient -c 'sleep 600; :' dhclient -v enp0s8");
        let named = run("/run/bin/dhclient -c 'sleep 600; :' dhclient -v enp0s8");
        let ran = fails(4, "up bridged --role host-a --nic enp0s8");
        assert!(ran.err.contains(&format!("dhclient (process {named}) configures it")), "{ran}");
        assert!(ran.err.contains(&format!("try: sudo kill {named}\n")) && ran.err.contains("--allow managed"), "{ran}");
        let ran = ok("up bridged --role host-a --nic enp0s8 --allow managed");
        assert!(ran.err.contains("configures enp0s8"), "{ran}");
        assert_eq!(found()[0]["service"], "dhclient");
        ok("down");
        // In another network namespace it is none of this machine's.
        sh(&format!("kill {first} {named}"));
        run("unshare -n /run/bin/dhclient -c 'sleep 600; :' dhclient enp0s8");
        let any = run("/run/bin/dhcpcd -c 'sleep 600; :'");
        let ran = ok("up bridged --role host-a --nic enp0s8");
        assert!(ran.err.contains(&format!("dhcpcd (process {any}) names no interface, and may configure enp0s8")), "{ran}");
        assert!(!ran.err.contains("dhclient"), "{ran}");
        ok("down");
        // Its cure, but for the restart: there is no systemd here.
        let cures = cures(&ran.err);
        let (settings, restart) = cures[0].split_once(" && ").unwrap();
        assert_eq!(restart, "sudo systemctl restart dhcpcd");
        sh("mkdir /run/upper /run/work; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
            printf 'persistent\ninterface eth0\nstatic ip_address=192.0.2.7/24\n' > /etc/dhcpcd.conf");
        type_in(settings);
        let ran = ok("up bridged --role host-a --nic enp0s8");
        assert!(!ran.err.contains("dhcpcd"), "{ran}");
        ok("down");
    });
}

#[test]
fn a_bridge_of_the_labs_is_none_of_network_managers_unless_it_made_it() {
    in_box(|| {
        sh(NIC);
        sh("mkdir -p /run/NetworkManager/devices");
        let told = |dev: &str, lines: &str| {
            sh(&format!("printf '[device]\n{lines}\n' > /run/NetworkManager/devices/{}", ifindex(dev)));
        };
        ok("up routed --role host-a --nic enp0s8");
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
        // As NetworkManager 1.42 writes it of a bridge that is "connected (externally)".
        told("br0", "managed=true\nnm-owned=false");
        assert_eq!(found(), Vec::<Value>::new());
        told("br0", "managed=true\nnm-owned=true");
        told("enp0s8", "managed=true\nnm-owned=false");
        let named: Vec<Value> = found().iter().map(|found| found["interface"].clone()).collect();
        assert_eq!(named, ["enp0s8", "br0"]);
        let ran = ok("up routed --role host-a");
        assert!(
            ran.err.contains("NetworkManager configures br0") && ran.err.contains("nmcli device set br0 managed no"),
            "{ran}"
        );
        ok("down");
    });
}

#[test]
fn a_strict_reverse_path_filter_is_named_where_the_way_back_is_another() {
    in_box(|| {
        sh(NIC);
        sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.ipv4.conf.all.rp_filter=1
            ip link add eth9 type veth peer name far9; ip link set far9 up; ip link set eth9 up; ip addr add 192.0.2.1/24 dev eth9");
        assert!(!up("routed").err.contains("reverse path"), "the way back is the same");
        // Policy routing, as a VPN sets it up.
        sh("ip route add 10.2.0.0/16 via 192.0.2.2 dev eth9 table 51; ip rule add to 10.2.0.0/16 lookup 51");
        let said = ok("up routed").err;
        assert!(
            said.contains("packets from 10.2.0.0/30 that come in by enp0s8") && said.contains("reaches it by eth9"),
            "{said}"
        );
        let [first, ..] = &cures(&said)[..] else { panic!("{said}") };
        type_in(first);
        assert!(!ok("up routed").err.contains("reverse path"), "{first} does not help");
        ok("down");
    });
}

#[test]
fn ipv6_that_is_switched_off_is_named_when_the_lab_cannot_be_made() {
    in_box(|| {
        sh(NIC);
        sh("sysctl -qw net.ipv6.conf.enp0s8.disable_ipv6=1");
        let text = "name: six\nnetworks: { n: {} }\nhosts:\n  a:\n    forwarding: true\n    nics: { enp9: { network: n, address: 'fd00::1/64' } }\n  \
                    b:\n    nics: { e: { network: n, address: 'fd00::2/64' } }\n";
        std::fs::write("/run/lab.yaml", text).unwrap();
        let ran = nslab("up /run/lab.yaml --role a --nic enp0s8");
        assert_ne!(ran.code, 0, "{ran}");
        assert!(ran.err.contains("six: IPv6 is switched off on enp0s8"), "{ran}");
        type_in(cures(&ran.err).first().unwrap());
        ok("up /run/lab.yaml --role a --nic enp0s8");
        ok("down");
    });
}

#[test]
fn forwarding_that_a_lab_needs_is_told_as_the_labs_own() {
    in_box(|| {
        sh(NIC);
        up("routed");
        let forwarding = || {
            let all = ok("doctor --format json").json()["findings"].clone();
            all.as_array().unwrap().iter().find(|finding| finding["finding"] == "forwarding").cloned()
        };
        assert_eq!(forwarding().unwrap()["lab"], "routed");
        ok("down");
        assert_eq!(forwarding(), None);
        sh("sysctl -qw net.ipv4.ip_forward=1");
        assert_eq!(forwarding().unwrap()["lab"], Value::Null);
    });
}
