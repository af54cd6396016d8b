//! Words in drawings.

use super::English;
use crate::render::lang::graph::{Drawing, Label};
use crate::report::graph::{self, Graph, Mark, State};

impl Drawing for English {
    fn label(&self, label: &Label<'_>) -> String {
        let fixed = match label {
            Label::Mark(Mark::Described) | Label::State(State::Up) => "",
            Label::Mark(Mark::Missing) => "missing",
            Label::Mark(Mark::Changed) => "changed",
            Label::Mark(Mark::ByHand) => "by hand",
            Label::Mark(Mark::File) => "from the file",
            Label::State(State::NoCarrier) => "no carrier",
            Label::State(State::Down) => "down",
            Label::Forwards => "router",
            Label::ForwardsNot => "does not forward",
            Label::Deny => "promiscuous mode denied",
            Label::NoInterface => "no interface",
            Label::NoSubnets => "nobody has an address",
            Label::Default(gateway) => return format!("default via {gateway}"),
            Label::Mtu(mtu) => return format!("MTU {mtu}"),
            Label::PortOf(bridge) => return format!("port of {bridge}"),
            Label::CableTo(end) => return format!("cable to {end}"),
            Label::Kind(kind) => return (*kind).to_owned(),
            Label::Bridge(name) => return format!("bridge {name}"),
            Label::Wire(name) => return format!("network {name}"),
            Label::Switch(name) => return format!("switch {name}"),
            Label::More(number) => return format!("and {number} more"),
        };
        fixed.to_owned()
    }

    fn title(&self, graph: &Graph) -> String {
        let layer = match graph.drawing {
            graph::Drawing::Physical(_) => "how it is wired",
            graph::Drawing::L3(_) => "subnets and routers",
        };
        let now = if graph.live { ", as it is now" } else { "" };
        format!("{}: {layer}{now}", graph.lab)
    }
}
