//! Words in drawings.

use super::Spanish;
use crate::render::lang::graph::{Drawing, Label};
use crate::report::graph::{self, Graph, Mark, State};

impl Drawing for Spanish {
    fn label(&self, label: &Label<'_>) -> String {
        let fixed = match label {
            Label::Mark(Mark::Described) | Label::State(State::Up) => "",
            Label::Mark(Mark::Missing) => "falta",
            Label::Mark(Mark::Changed) => "cambiado",
            Label::Mark(Mark::ByHand) => "hecho a mano",
            Label::Mark(Mark::File) => "según el fichero",
            Label::State(State::NoCarrier) => "sin portadora",
            Label::State(State::Down) => "inactivo",
            Label::Forwards => "router",
            Label::ForwardsNot => "no reenvía",
            Label::Deny => "modo promiscuo denegado",
            Label::NoInterface => "sin interfaz",
            Label::NoSubnets => "nadie tiene dirección",
            Label::Default(gateway) => return format!("por defecto vía {gateway}"),
            Label::Mtu(mtu) => return format!("MTU {mtu}"),
            Label::PortOf(bridge) => return format!("puerto de {bridge}"),
            Label::CableTo(end) => return format!("cable a {end}"),
            Label::Kind(kind) => return (*kind).to_owned(),
            Label::Bridge(name) => return format!("bridge {name}"),
            Label::Wire(name) => return format!("red {name}"),
            Label::Switch(name) => return format!("conmutador {name}"),
            Label::More(number) => return format!("y {number} más"),
        };
        fixed.to_owned()
    }

    fn title(&self, graph: &Graph) -> String {
        let layer = match graph.drawing {
            graph::Drawing::Physical(_) => "cómo está cableado",
            graph::Drawing::L3(_) => "subredes y routers",
        };
        let now = if graph.live { ", tal como está ahora" } else { "" };
        format!("{}: {layer}{now}", graph.lab)
    }
}
