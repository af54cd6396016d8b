//! Words in drawings.

use std::net::IpAddr;

use crate::graph::{Drawing, Graph, Mark, State};
use crate::render::escape::escape;
use crate::render::lang::{Lang, t};

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

/// A word or short line, escaped.
pub fn label(lang: Lang, label: &Label<'_>) -> String {
    match label {
        Label::Mark(Mark::Described) | Label::State(State::Up) => String::new(),
        Label::Mark(Mark::Missing) => t!(lang, ["drawing"] "missing"),
        Label::Mark(Mark::Changed) => t!(lang, ["drawing"] "changed"),
        Label::Mark(Mark::ByHand) => t!(lang, ["drawing"] "by hand"),
        Label::Mark(Mark::File) => t!(lang, ["drawing"] "from the file"),
        Label::State(State::NoCarrier) => t!(lang, ["drawing"] "no carrier"),
        Label::State(State::Down) => t!(lang, ["drawing"] "down"),
        Label::Forwards => "router".to_owned(),
        Label::ForwardsNot => t!(lang, "does not forward"),
        Label::Deny => t!(lang, "promiscuous mode denied"),
        Label::NoInterface => t!(lang, "no interface"),
        Label::NoSubnets => t!(lang, "nobody has an address"),
        Label::Default(gateway) => t!(lang, "default via {gateway}", gateway),
        Label::Mtu(mtu) => format!("MTU {mtu}"),
        Label::PortOf(bridge) => t!(lang, "port of {bridge}", bridge),
        Label::CableTo(end) => t!(lang, "cable to {end}", end),
        Label::Kind(kind) => escape(kind).into_owned(),
        Label::Bridge(name) => format!("bridge {}", escape(name)),
        Label::Wire(name) => t!(lang, "network {name}", name),
        Label::Switch(name) => format!("switch {}", escape(name)),
        Label::More(number) => t!(lang, "and {number} more", number),
    }
}

/// The title: the lab, the layer, and whether it is as described or as it is now.
pub fn title(lang: Lang, graph: &Graph) -> String {
    let lab = &graph.lab;
    match (&graph.drawing, graph.live) {
        (Drawing::Physical(_), false) => t!(lang, "{lab}: how it is wired", lab),
        (Drawing::Physical(_), true) => t!(lang, "{lab}: how it is wired, as it is now", lab),
        (Drawing::L3(_), false) => t!(lang, "{lab}: subnets and routers", lab),
        (Drawing::L3(_), true) => t!(lang, "{lab}: subnets and routers, as it is now", lab),
    }
}
