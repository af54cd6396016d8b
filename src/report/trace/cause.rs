//! Why a packet goes no further.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Route;
use crate::report::probe::Transport;
use crate::report::wire::Interface;

/// Why a packet goes no further, or what is odd on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
#[allow(missing_docs, reason = "each variant's sentence tells what its values are")]
pub enum Cause {
    /// The node has no route to the destination; on the way back, none to the sender.
    NoRoute { node: String, to: IpAddr },
    /// The node has a route, but no policy rule leads to the table that it is in, the main one.
    NoRule { node: String, to: IpAddr },
    /// The sender has no address of the family to put into the packet.
    NoAddress { node: String },
    /// The node is asked to pass a packet on and does not forward.
    ForwardingOff { node: String, ipv6: bool },
    /// An address has another prefix length than one on its segment, so that `to` is taken for near, or for far.
    WrongPrefix { interface: Interface, address: IpNet, other: IpNet, to: IpAddr },
    /// The interface shares a segment with the owner of an address and has none in its subnet; `own` is what it has.
    OtherSubnet { interface: Interface, own: Option<IpNet>, owner: Interface, other: IpNet },
    /// The interface's prefix makes it the broadcast address of its subnet; `owner` has it all the same.
    Broadcast { interface: Interface, address: IpNet, owner: Option<Interface> },
    /// The route says that the address is on the segment, but its owner is elsewhere.
    NotOnLink { interface: Interface, route: Route, to: IpAddr, owner: Interface },
    /// The subnet of the interface is behind another router, too, so that it takes those there for its neighbours.
    Overlap { interface: Interface, address: IpNet, owner: Interface, other: IpNet },
    /// An address is on the loopback, where nobody on the segment sees it, and the interface for it has none.
    OnLoopback { interface: Interface, address: IpNet },
    /// The route's next router is a node that does not route.
    NotARouter { node: String, gateway: IpAddr, route: Route, owner: String },
    /// The interface has the address and is told not to answer for it (`arp_ignore`).
    ArpIgnored { interface: Interface, value: u8 },
    /// IPv6 is off at the interface, by its setting or, with `mtu`, since that is less than IPv6 needs.
    Ipv6Off { interface: Interface, mtu: Option<u32> },
    /// The route's next router is an address that nobody has.
    NoSuchGateway { node: String, gateway: IpAddr, route: Route },
    /// An interface on the way is down; with `peer` it is the other end of its cable that is.
    LinkDown { interface: Interface, peer: Option<Interface> },
    /// No cable leads from the node to anything, or the one between these `ends` is gone.
    NoCable { node: String, ends: Vec<Interface> },
    /// The end of the interface's cable is not where it belongs, in its `home`: it is in another node, or in none of the lab.
    CableElsewhere { interface: Interface, end: Option<Interface>, home: Interface },
    /// A cable ends in a host that has not plugged it into a bridge.
    NotInBridge { interface: Interface, bridges: Vec<String> },
    /// A cable ends in a bridge where it does not belong; with `wanted` in another one.
    WrongBridge { interface: Interface, bridge: String, wanted: Option<String> },
    /// The interface neither asks nor answers for addresses (`NOARP`).
    NoArp { interface: Interface },
    /// A port of a bridge lets it not pass: the word of its state, or `isolated`, or `no-flood`.
    PortClosed { interface: Interface, state: String },
    /// Nobody answers the question for an address; the owner is where the address is, if anywhere.
    Unresolved { interface: Interface, address: IpAddr, owner: Option<Interface> },
    /// Several have the address.
    DuplicateAddress { address: IpAddr, owners: Vec<Interface> },
    /// Several have the MAC address.
    DuplicateMac { mac: String, owners: Vec<Interface> },
    /// The NICs of two hosts have the same MAC address, as those of a cloned VM have.
    ClonedMac { mac: String, owners: Vec<Interface> },
    /// The reverse path filter drops it: the way back would not be by that interface.
    ReversePath { interface: Interface, source: IpAddr, strict: bool },
    /// The time to live ran out.
    TtlExpired { node: String, ttl: u8 },
    /// The packet is larger than an MTU on the way and may not be cut.
    /// With `route` it is the MTU of the route by that interface.
    TooBig { interface: Interface, mtu: u32, size: u32, route: Option<IpNet> },
    /// A connection opens, but its full packets are larger than an MTU between bridges, where nobody tells the sender.
    BlackHole { interface: Interface, mtu: u32, size: u32 },
    /// A route of the kind `blackhole`, `unreachable` or `prohibit`.
    Refused { node: String, kind: String, to: IpNet },
    /// A policy rule that refuses, as `ip rule` writes it.
    Barred { node: String, rule: String, priority: u32, ipv6: bool },
    /// A policy of `IPsec` drops it, as `ip xfrm policy` writes it, or what it says of all others.
    Ipsec { node: String, policy: String },
    /// The interface has the address and does not use it: it asks whether another one has it, or one had.
    AddressUnused { interface: Interface, address: IpNet, failed: bool },
    /// An entry of a bridge's forwarding table sends frames for the address to another port than the one that leads there.
    WrongFdb { interface: Interface, bridge: String, mac: String, right: String },
    /// A neighbour entry, mostly a permanent one, says a MAC address that is not the owner's.
    WrongNeighbour { interface: Interface, address: IpAddr, mac: String, right: Option<String> },
    /// A packet filter drops it: a rule with its handle and its number in the chain, from 1, or the chain's policy.
    Filtered {
        node: String,
        family: String,
        table: String,
        chain: String,
        hook: Option<String>,
        rule: Option<u64>,
        number: Option<usize>,
        policy: bool,
    },
    /// Routers send it in a circle until its time to live runs out.
    Loop { to: IpAddr, routes: Vec<(String, Route)>, crossings: u32 },
    /// An address is on a port of a bridge, where it is of no use, instead of on the bridge.
    AddressOnPort { interface: Interface, address: IpNet, bridge: String },
    /// An address is on another interface of its node than the one whose cable leads to its subnet; with `instead` that one's
    /// address is here in turn.
    AddressElsewhere { interface: Interface, address: IpNet, belongs: Interface, instead: Option<IpNet> },
    /// The packet leaves by a NIC that does not lead to the destination.
    OtherNic { interface: Interface, route: Route, owner: Option<Interface> },
    /// The network delivers unicast only to the NICs' own MAC addresses.
    ForeignMac { network: String, mac: String, owner: Option<Interface> },
    /// Nobody listens on the port in the node; `at` has the addresses at which somebody does, to whom it was not sent.
    NobodyListens { node: String, transport: Transport, at: Vec<IpAddr> },
    /// A datagram came to a node where somebody listens, and nothing came back.
    Silent { node: String, transport: Transport },
    /// The node has the address and answers no echo requests.
    EchoIgnored { node: String },
    /// A bridge sorts frames by VLAN, and a port, or its own interface, is not in that of the frames; with none it is in none
    /// that takes frames without a tag.
    VlanSorted { interface: Interface, bridge: String, vlan: Option<u16> },
    /// Frames from an interface come with the tag of a VLAN, or with none, and the one that they are for takes another.
    OtherVlan { interface: Interface, vlan: Option<u16>, owner: Interface, takes: Option<u16> },
    /// A macvlan and the link that it stands on exchange no frames, by design.
    MacvlanParent { interface: Interface, parent: Interface },
    /// It leaves by a link that throws away what is sent there.
    Dummy { interface: Interface },
    /// Nobody at the other end of a tunnel takes what comes out of it: no tunnel of the kind has the same two addresses and key.
    TunnelEnd { interface: Interface, kind: String, remote: IpAddr, node: String, key: Option<u32> },
    /// It goes by a link of a kind that nslab cannot follow, or that is set in a way that it cannot follow.
    NotFollowed { interface: Interface, kind: String },
    /// It left for the machine that plays the host, or asked there, and nothing came back.
    OtherMachine { interface: Interface, host: String },
    /// Where it was seen last; nslab does not know why it went no further.
    Unknown { node: String, interface: Option<String> },
}

impl Cause {
    /// The nodes where it says that the fault is, `host` or `host.container`.
    pub fn blames(&self) -> Vec<&str> {
        match self {
            Self::NoRoute { node, .. }
            | Self::NoRule { node, .. }
            | Self::NoAddress { node }
            | Self::NoCable { node, .. }
            | Self::ForwardingOff { node, .. }
            | Self::NoSuchGateway { node, .. }
            | Self::NotARouter { node, .. }
            | Self::TtlExpired { node, .. }
            | Self::Refused { node, .. }
            | Self::Barred { node, .. }
            | Self::Ipsec { node, .. }
            | Self::Filtered { node, .. }
            | Self::EchoIgnored { node }
            | Self::NobodyListens { node, .. }
            | Self::Silent { node, .. }
            | Self::Unknown { node, .. } => vec![node],
            Self::WrongPrefix { interface, .. }
            | Self::OtherSubnet { interface, .. }
            | Self::NotOnLink { interface, .. }
            | Self::Overlap { interface, .. }
            | Self::ArpIgnored { interface, .. }
            | Self::Ipv6Off { interface, .. }
            | Self::OnLoopback { interface, .. }
            | Self::NotInBridge { interface, .. }
            | Self::WrongBridge { interface, .. }
            | Self::AddressUnused { interface, .. }
            | Self::NoArp { interface }
            | Self::PortClosed { interface, .. }
            | Self::ReversePath { interface, .. }
            | Self::TooBig { interface, .. }
            | Self::BlackHole { interface, .. }
            | Self::WrongNeighbour { interface, .. }
            | Self::WrongFdb { interface, .. }
            | Self::AddressOnPort { interface, .. }
            | Self::AddressElsewhere { interface, .. }
            | Self::VlanSorted { interface, .. }
            | Self::MacvlanParent { interface, .. }
            | Self::Dummy { interface }
            | Self::OtherNic { interface, .. } => vec![&interface.node],
            Self::OtherVlan { interface, owner, .. } => vec![&interface.node, &owner.node],
            Self::TunnelEnd { interface, node, .. } => vec![&interface.node, node],
            Self::LinkDown { interface, peer: other }
            | Self::Unresolved { interface, owner: other, .. }
            | Self::Broadcast { interface, owner: other, .. } => {
                vec![&other.as_ref().unwrap_or(interface).node]
            }
            Self::CableElsewhere { end, home, .. } => vec![&end.as_ref().unwrap_or(home).node],
            Self::DuplicateAddress { owners, .. } | Self::DuplicateMac { owners, .. } | Self::ClonedMac { owners, .. } => {
                owners.iter().map(|owner| owner.node.as_str()).collect()
            }
            Self::Loop { routes, .. } => routes.iter().map(|(node, _)| node.as_str()).collect(),
            // What a network is, no table of a node tells.
            Self::ForeignMac { .. } | Self::OtherMachine { .. } | Self::NotFollowed { .. } => Vec::new(),
        }
    }

    /// The node that it is about, where it is one.
    pub fn scene(&self) -> Option<&str> {
        match self {
            Self::LinkDown { interface, .. }
            | Self::NotInBridge { interface, .. }
            | Self::PortClosed { interface, .. }
            | Self::ReversePath { interface, .. }
            | Self::TooBig { interface, .. }
            | Self::AddressOnPort { interface, .. }
            | Self::AddressElsewhere { interface, .. }
            | Self::WrongPrefix { interface, .. }
            | Self::OtherSubnet { interface, .. }
            | Self::NotOnLink { interface, .. }
            | Self::Overlap { interface, .. }
            | Self::NoArp { interface }
            | Self::WrongNeighbour { interface, .. }
            | Self::OtherNic { interface, .. }
            | Self::VlanSorted { interface, .. }
            | Self::MacvlanParent { interface, .. }
            | Self::Dummy { interface }
            | Self::NotFollowed { interface, .. }
            | Self::Unresolved { interface, .. } => Some(&interface.node),
            Self::NotARouter { node, .. } => Some(node),
            _ => None,
        }
    }
}
