//! What a language must be able to write into a drawing.

use std::net::IpAddr;

use crate::report::graph::{Graph, Mark, State};

/// Words of a drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label<'a> {
    /// How a thing relates to the description; nothing where it is as described.
    Mark(Mark),
    /// Whether frames can pass; nothing where they can.
    State(State),
    /// A node forwards packets.
    Forwards,
    /// A node is in several subnets and forwards nothing.
    ForwardsNot,
    /// The router of a default route.
    Default(IpAddr),
    /// An MTU that is not Ethernet's.
    Mtu(u32),
    /// A port of a bridge.
    PortOf(&'a str),
    /// The other end of a cable that is not drawn as a line.
    CableTo(&'a str),
    /// The kind of an interface that is neither veth nor bridge.
    Kind(&'a str),
    /// A bridge by its name.
    Bridge(&'a str),
    /// A network that is a wire.
    Wire(&'a str),
    /// A network that is a switch.
    Switch(&'a str),
    /// A switch that delivers unicast frames only to the NICs' own MAC addresses.
    Deny,
    /// So many more members of a subnet.
    More(usize),
    /// A container has no interface.
    NoInterface,
    /// Nobody has an address.
    NoSubnets,
}

/// The words of `graph`.
pub trait Drawing: Sync {
    /// A word or short line.
    fn label(&self, label: &Label<'_>) -> String;
    /// The title: the lab, the layer, and whether it is as described or as it is now.
    fn title(&self, graph: &Graph) -> String;
}
