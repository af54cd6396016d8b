//! What stands in the way on the machine itself.

use nslab::error::{Card, Refusal, RoleFault, Rollback, Using};

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
    Refusal::Managed(_) => [Refusal::Managed("NetworkManager")],
});

every!(rollbacks: Rollback {
    Rollback::Unconfirmed(_) => [Rollback::Unconfirmed(60)],
    Rollback::Cut => [Rollback::Cut],
    Rollback::NotSo(_) => [Rollback::NotSo(word("ip link set enp0s8 master br0"))],
    Rollback::Silent(_) => [Rollback::Silent(vec![addr("10.0.2.2"), addr("fe80::1")])],
});
