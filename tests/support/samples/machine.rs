//! What stands in the way on the machine itself.

use nslab::error::{Card, Refusal, RoleFault, Rollback, Service, Using};
use nslab::report::machine::{Filter, Finding, Interference, Obstacle, Traffic};

use super::{addr, names, net, word};

fn cards() -> Vec<Card> {
    let card = |name: &str, using| Card { name: word(name), up: name != "enp0s9", using };
    vec![
        card("enp0s3", Using::DefaultRoute),
        card("enp0s8", Using::Address(net("10.0.0.1/24"))),
        card("enp0s9", Using::Nothing),
        card("enp0s10", Using::Port(word("virbr0"))),
        card("docker0", Using::Software(word("bridge"))),
    ]
}

every!(role_faults: RoleFault {
    RoleFault::NoNic { .. } => [RoleFault::NoNic { host: word("host-a"), nic: word("enp0s8"), cards: cards() }],
    RoleFault::ManyNics { .. } => [RoleFault::ManyNics { host: word("host-a"), nic: word("enp0s8"), cards: cards() }],
    RoleFault::MissingNic { .. } => [RoleFault::MissingNic { nic: word("eth9"), cards: Vec::new() }],
    RoleFault::WhichNic { .. } => [RoleFault::WhichNic { host: word("r"), nics: names(2) }],
    RoleFault::TwiceNic(_) => [RoleFault::TwiceNic(word("enp0s8"))],
    RoleFault::Plugged { .. } => [RoleFault::Plugged { lab: word("bridged"), nics: names(1) }],
    RoleFault::Reachable { .. } => [
        RoleFault::Reachable { subnet: net("10.0.2.0/24"), known: net("10.0.2.0/24"), dev: word("eth0") },
        RoleFault::Reachable { subnet: net("10.0.2.0/24"), known: net("10.0.0.0/8"), dev: word("eth0") },
    ],
    RoleFault::Elsewhere { .. } => [RoleFault::Elsewhere { node: word("b1"), host: word("host-b"), lab: word("bridged") }],
    RoleFault::Other { .. } => [
        RoleFault::Other { lab: word("bridged"), now: Some(word("host-a")) },
        RoleFault::Other { lab: word("bridged"), now: None },
    ],
});

every!(refusals: Refusal {
    Refusal::Loopback => [Refusal::Loopback],
    Refusal::Port(_) => [Refusal::Port(word("docker0"))],
    Refusal::DefaultRoute(_) => [Refusal::DefaultRoute(word("default via 10.0.2.2 dev enp0s3"))],
    Refusal::Ssh(_) => [Refusal::Ssh(addr("10.0.2.2"))],
    Refusal::Address(_) => [Refusal::Address(word("192.168.1.9/24"))],
    Refusal::Wifi => [Refusal::Wifi],
    Refusal::Managed(..) => [
        Refusal::Managed(Service::NetworkManager, None),
        Refusal::Managed(Service::Networkd, None),
        Refusal::Managed(Service::Dhclient, Some(4711)),
        Refusal::Managed(Service::Dhcpcd, Some(4711)),
        Refusal::Managed(Service::Udhcpc, Some(4711)),
    ],
});

every!(rollbacks: Rollback {
    Rollback::Unconfirmed(_) => [Rollback::Unconfirmed(60)],
    Rollback::Cut => [Rollback::Cut],
    Rollback::NotSo(_) => [Rollback::NotSo(word("ip link set enp0s8 master br0"))],
    Rollback::Silent(_) => [Rollback::Silent(vec![addr("10.0.2.2"), addr("fe80::1")])],
});

every!(findings: Finding {
    Finding::AppArmorUserns => [Finding::AppArmorUserns],
    Finding::UsernsClone => [Finding::UsernsClone],
    Finding::FewUserNamespaces { .. } => [Finding::FewUserNamespaces { value: 7 }],
    Finding::BridgeNetfilter => [Finding::BridgeNetfilter],
    Finding::FallbackDevices { .. } => [
        Finding::FallbackDevices { names: vec![word("tunl0")] },
        Finding::FallbackDevices { names: vec![word("tunl0"), word("gre0")] },
    ],
    Finding::Forwarding { .. } => [Finding::Forwarding { lab: None }, Finding::Forwarding { lab: Some(word("routed")) }],
    Finding::Capability { .. } => [Finding::Capability { name: "CAP_NET_ADMIN" }],
    Finding::SmallNeighbourTable { .. } => [Finding::SmallNeighbourTable { value: 1024 }],
});

fn filter(policy: bool, certain: bool) -> Filter {
    Filter {
        family: word("ip"),
        table: word("filter"),
        chain: word("FORWARD"),
        legacy: !policy,
        policy,
        certain,
        passes: if policy { Vec::new() } else { vec!["ping", "tcp"] },
        makers: if certain { vec!["docker", "ufw"] } else { Vec::new() },
    }
}

fn filtered(traffic: &Traffic) -> Vec<Obstacle> {
    let all = [(true, true), (true, false), (false, true), (false, false)];
    all.map(|(policy, certain)| Obstacle::Filter { traffic: traffic.clone(), filter: filter(policy, certain) }).to_vec()
}

every!(traffics: Traffic {
    Traffic::Bridged { .. } => [
        Traffic::Bridged { bridge: Some(word("br0")), ports: Vec::new(), netfilter: true, ipv6: false },
        Traffic::Bridged { bridge: None, ports: names(2), netfilter: false, ipv6: true },
    ],
    Traffic::Routed { .. } => [
        Traffic::Routed { interfaces: names(1), ipv6: false },
        Traffic::Routed { interfaces: Vec::new(), ipv6: true },
        Traffic::Routed { interfaces: names(9), ipv6: true },
    ],
    Traffic::Received { .. } => [Traffic::Received { interfaces: names(2), ipv6: false }],
});

every!(others: Obstacle {
    Obstacle::Filter { .. } => [filtered(&traffics().remove(0)).remove(0)],
    Obstacle::Manager { .. } => [
        Obstacle::Manager { interface: word("enp0s8"), service: Service::NetworkManager, pid: None, certain: true },
        Obstacle::Manager { interface: word("enp0s8"), service: Service::Dhcpcd, pid: Some(4711), certain: false },
    ],
    Obstacle::ReversePath { .. } => [
        Obstacle::ReversePath { interface: word("enp0s8"), from: net("10.2.0.0/30"), leaves: Some(word("eth0")) },
        Obstacle::ReversePath { interface: word("enp0s8"), from: net("10.2.0.0/30"), leaves: None },
    ],
    Obstacle::Ipv6Off { .. } => [Obstacle::Ipv6Off { interface: word("enp0s8") }],
});

/// Each with a lab and without, with a cure and without.
pub fn interferences() -> Vec<Interference> {
    let obstacles: Vec<Obstacle> = traffics().into_iter().flat_map(|traffic| filtered(&traffic)).chain(others()).collect();
    let cure = || vec![vec![word("sudo sysctl -w net.ipv4.conf.all.rp_filter=2"), word("sudo networkctl reload")]];
    let cases = [(Some(word("bridged")), cure()), (None, cure()), (None, Vec::new())];
    let of = |obstacle: &Obstacle| cases.clone().map(|(lab, cures)| Interference { lab, obstacle: obstacle.clone(), cures });
    obstacles.iter().flat_map(of).collect()
}
