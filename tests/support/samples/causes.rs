//! Why a packet dies.

use nslab::report::probe::Transport;
use nslab::report::trace::{Cause, Death, Direction, Journey, Outcome, Trace};
use nslab::report::wire::Names;

use super::{addr, near, net, route, word};

fn filtered(rule: Option<u64>, number: Option<usize>) -> Cause {
    Cause::Filtered {
        node: word("host-a"),
        family: word("inet"),
        table: word("filter"),
        chain: word("forward"),
        hook: rule.map(|_| word("forward")),
        rule,
        number,
        policy: rule.is_none(),
    }
}

every!(causes: Cause {
    Cause::NoRoute { .. } => [Cause::NoRoute { node: word("a1"), to: addr("10.0.0.1") }],
    Cause::NoRule { .. } => [Cause::NoRule { node: word("a1"), to: addr("10.0.0.1") }],
    Cause::NoAddress { .. } => [Cause::NoAddress { node: word("a1") }],
    Cause::ForwardingOff { .. } => [
        Cause::ForwardingOff { node: word("host-a"), ipv6: false },
        Cause::ForwardingOff { node: word("host-a"), ipv6: true },
    ],
    Cause::WrongPrefix { .. } => [
        Cause::WrongPrefix { interface: near("a1"), address: net("10.0.0.1/8"), other: net("10.0.0.2/24"), to: addr("10.1.0.1") },
        Cause::WrongPrefix { interface: near("a1"), address: net("10.0.0.1/30"), other: net("10.0.0.9/24"), to: addr("10.0.0.9") },
    ],
    Cause::OtherSubnet { .. } => [
        Cause::OtherSubnet { interface: near("a1"), own: Some(net("10.0.0.1/24")), owner: near("b1"), other: net("10.0.1.1/24") },
        Cause::OtherSubnet { interface: near("host-a"), own: None, owner: near("a1"), other: net("10.2.0.2/30") },
    ],
    Cause::Broadcast { .. } => [
        Cause::Broadcast { interface: near("a1"), address: net("10.2.0.1/30"), owner: None },
        Cause::Broadcast { interface: near("host-a"), address: net("10.2.0.1/30"), owner: Some(near("a1")) },
    ],
    Cause::NotOnLink { .. } => [
        Cause::NotOnLink { interface: near("a1"), route: route(false), to: addr("10.2.0.2"), owner: near("b1") },
    ],
    Cause::OnLoopback { .. } => [
        Cause::OnLoopback { interface: near("a1"), address: net("10.1.0.11/24") },
        Cause::OnLoopback { interface: near("a1"), address: net("10.1.0.11/32") },
    ],
    Cause::Overlap { .. } => [
        Cause::Overlap { interface: near("a1"), address: net("10.1.0.11/24"), owner: near("b1"), other: net("10.1.0.22/30") },
    ],
    Cause::NotARouter { .. } => [
        Cause::NotARouter { node: word("a1"), gateway: addr("10.1.0.12"), route: route(true), owner: word("a2") },
    ],
    Cause::ArpIgnored { .. } => [Cause::ArpIgnored { interface: near("a1"), value: 8 }],
    Cause::Ipv6Off { .. } => [
        Cause::Ipv6Off { interface: near("a1"), mtu: None },
        Cause::Ipv6Off { interface: near("a1"), mtu: Some(1200) },
    ],
    Cause::NoSuchGateway { .. } => [Cause::NoSuchGateway { node: word("a1"), gateway: addr("10.0.0.1"), route: route(true) }],
    Cause::LinkDown { .. } => [
        Cause::LinkDown { interface: near("a1"), peer: None },
        Cause::LinkDown { interface: near("a1"), peer: Some(near("host-a")) },
    ],
    Cause::NoCable { .. } => [
        Cause::NoCable { node: word("a1"), ends: Vec::new() },
        Cause::NoCable { node: word("a1"), ends: vec![near("a1"), near("host-a")] },
    ],
    Cause::CableElsewhere { .. } => [
        Cause::CableElsewhere { interface: near("a1"), end: Some(near("a2")), home: near("host-a") },
        Cause::CableElsewhere { interface: near("a1"), end: None, home: near("host-a") },
    ],
    Cause::NotInBridge { .. } => [
        Cause::NotInBridge { interface: near("host-a"), bridges: Vec::new() },
        Cause::NotInBridge { interface: near("host-a"), bridges: vec![word("br0"), word("br1")] },
    ],
    Cause::WrongBridge { .. } => [
        Cause::WrongBridge { interface: near("host-a"), bridge: word("lxdbr0"), wanted: Some(word("br0")) },
        Cause::WrongBridge { interface: near("host-a"), bridge: word("br0"), wanted: None },
    ],
    Cause::VlanSorted { .. } => [
        Cause::VlanSorted { interface: near("host-a"), bridge: word("br0"), vlan: Some(10) },
        Cause::VlanSorted { interface: near("host-a"), bridge: word("br0"), vlan: None },
    ],
    Cause::OtherVlan { .. } => [
        Cause::OtherVlan { interface: near("host-a"), vlan: Some(10), owner: near("host-b"), takes: Some(20) },
        Cause::OtherVlan { interface: near("host-a"), vlan: Some(10), owner: near("host-b"), takes: None },
        Cause::OtherVlan { interface: near("host-a"), vlan: None, owner: near("host-b"), takes: Some(20) },
    ],
    Cause::MacvlanParent { .. } => [Cause::MacvlanParent { interface: near("a1"), parent: near("host-a") }],
    Cause::Dummy { .. } => [Cause::Dummy { interface: near("host-a") }],
    Cause::TunnelEnd { .. } => [
        Cause::TunnelEnd { interface: near("host-a"), kind: word("gre"), remote: addr("192.168.100.2"), node: word("host-b"), key: Some(7) },
        Cause::TunnelEnd { interface: near("host-a"), kind: word("gre"), remote: addr("192.168.100.2"), node: word("host-b"), key: None },
    ],
    Cause::NotFollowed { .. } => [Cause::NotFollowed { interface: near("host-a"), kind: word("gre") }],
    Cause::NoArp { .. } => [Cause::NoArp { interface: near("a1") }],
    Cause::PortClosed { .. } => [
        Cause::PortClosed { interface: near("host-a"), state: word("isolated") },
        Cause::PortClosed { interface: near("host-a"), state: word("no-flood") },
        Cause::PortClosed { interface: near("host-a"), state: word("no-broadcast") },
        Cause::PortClosed { interface: near("host-a"), state: word("no-multicast") },
        Cause::PortClosed { interface: near("host-a"), state: word("locked") },
        Cause::PortClosed { interface: near("host-a"), state: word("blocking") },
    ],
    Cause::Unresolved { .. } => [
        Cause::Unresolved { interface: near("a1"), address: addr("10.0.0.9"), owner: None },
        Cause::Unresolved { interface: near("a1"), address: addr("fd00:1::9"), owner: Some(near("b1")) },
    ],
    Cause::DuplicateAddress { .. } => [
        Cause::DuplicateAddress { address: addr("10.0.0.9"), owners: vec![near("a1"), near("b1")] },
        Cause::DuplicateAddress { address: addr("10.0.0.9"), owners: vec![near("a1"), nslab::report::wire::Interface { interface: word("lo"), ..near("b1") }] },
    ],
    Cause::DuplicateMac { .. } => [Cause::DuplicateMac { mac: word("02:00:00:00:00:01"), owners: vec![near("a1"), near("b1")] }],
    Cause::ClonedMac { .. } => [Cause::ClonedMac { mac: word("02:00:00:00:00:01"), owners: vec![near("a1"), near("b1")] }],
    Cause::ReversePath { .. } => [
        Cause::ReversePath { interface: near("host-a"), source: addr("10.0.0.9"), strict: true },
        Cause::ReversePath { interface: near("host-a"), source: addr("10.0.0.9"), strict: false },
    ],
    Cause::TtlExpired { .. } => [Cause::TtlExpired { node: word("host-a"), ttl: 1 }],
    Cause::TooBig { .. } => [
        Cause::TooBig { interface: near("host-a"), mtu: 1400, size: 1500, route: None },
        Cause::TooBig { interface: near("host-a"), mtu: 1400, size: 1500, route: Some(net("10.2.0.0/24")) },
    ],
    Cause::BlackHole { .. } => [Cause::BlackHole { interface: near("host-a"), mtu: 1400, size: 1500 }],
    Cause::Refused { .. } => [Cause::Refused { node: word("host-a"), kind: word("blackhole"), to: net("10.0.0.0/8") }],
    Cause::Barred { .. } => [Cause::Barred {
        node: word("host-a"),
        rule: word("from 10.1.0.11 prohibit"),
        priority: 32765,
        ipv6: false,
    }],
    Cause::Ipsec { .. } => [Cause::Ipsec { node: word("a1"), policy: word("default out block") }],
    Cause::AddressUnused { .. } => [
        Cause::AddressUnused { interface: near("a1"), address: net("fd00::1/64"), failed: false },
        Cause::AddressUnused { interface: near("a1"), address: net("fd00::1/64"), failed: true },
    ],
    Cause::WrongFdb { .. } => [
        Cause::WrongFdb { interface: near("host-a"), bridge: word("br0"), mac: word("02:00:00:00:00:01"), right: word("veth-a2") },
        Cause::WrongFdb { interface: near("host-a"), bridge: word("br0"), mac: word("02:00:00:00:00:01"), right: word("eth0") },
    ],
    Cause::WrongNeighbour { .. } => [
        Cause::WrongNeighbour { interface: near("a1"), address: addr("10.0.0.9"), mac: word("02:00"), right: None },
        Cause::WrongNeighbour { interface: near("a1"), address: addr("10.0.0.9"), mac: word("02:00"), right: Some(word("02:01")) },
    ],
    Cause::Filtered { .. } => [filtered(Some(7), Some(2)), filtered(Some(7), None), filtered(None, None)],
    Cause::Loop { .. } => [Cause::Loop { to: addr("10.2.0.2"), routes: vec![(word("host-a"), route(true)), (word("host-b"), route(false))], crossings: 62 }],
    Cause::AddressOnPort { .. } => [
        Cause::AddressOnPort { interface: near("host-a"), address: net("10.0.0.1/24"), bridge: word("br0") },
    ],
    Cause::AddressElsewhere { .. } => [
        Cause::AddressElsewhere { interface: near("host-a"), address: net("10.0.0.1/24"), belongs: near("a1"), instead: None },
        Cause::AddressElsewhere {
            interface: near("host-a"),
            address: net("10.0.0.1/24"),
            belongs: near("a1"),
            instead: Some(net("10.1.0.1/24")),
        },
    ],
    Cause::OtherNic { .. } => [
        Cause::OtherNic { interface: near("host-a"), route: route(true), owner: None },
        Cause::OtherNic { interface: near("host-a"), route: route(true), owner: Some(near("b1")) },
    ],
    Cause::ForeignMac { .. } => [
        Cause::ForeignMac { network: word("internal"), mac: word("02:00"), owner: None },
        Cause::ForeignMac { network: word("internal"), mac: word("02:00"), owner: Some(near("b1")) },
    ],
    Cause::NobodyListens { .. } => [
        Cause::NobodyListens { node: word("b1"), transport: Transport::Tcp { port: 80 }, at: Vec::new() },
        Cause::NobodyListens { node: word("b1"), transport: Transport::Udp { port: 53 }, at: vec![addr("127.0.0.1")] },
    ],
    Cause::Silent { .. } => [Cause::Silent { node: word("b1"), transport: Transport::Udp { port: 53 } }],
    Cause::EchoIgnored { .. } => [Cause::EchoIgnored { node: word("b1") }],
    Cause::OtherMachine { .. } => [Cause::OtherMachine { interface: near("host-a"), host: word("host-b") }],
    Cause::Unknown { .. } => [
        Cause::Unknown { node: word("b1"), interface: None },
        Cause::Unknown { node: word("b1"), interface: Some(word("eth0")) },
    ],
});

/// A trace from a1 to 10.0.0.21 that died.
pub fn trace(cause: Cause) -> Trace {
    let (from, to) = (addr("10.0.0.11"), addr("10.0.0.21"));
    let death = Death { leg: Direction::Request, node: word("host-a"), cause, certain: true, cure: Vec::new() };
    Trace {
        lab: word("bridged"),
        from: word("a1"),
        to,
        to_node: None,
        transport: Transport::Udp { port: 53 },
        size: 84,
        ttl: 64,
        request: Journey { source: Some(from), destination: to, visits: Vec::new() },
        reply: None,
        messages: Vec::new(),
        differences: Vec::new(),
        outcome: Outcome::Died(Box::new(death)),
        refused: false,
        ping: Some(true),
        notes: Vec::new(),
        legacy: vec![word("filter")],
        hooks: vec![word("eth0")],
        several: false,
        names: Names::default(),
    }
}
