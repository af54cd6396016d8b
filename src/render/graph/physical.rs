//! The wiring as a picture: hosts side by side, the networks below them.

use std::collections::{HashMap, HashSet};

use super::host::{Block, cable_look, host, interface_card};
use super::svg::{Card, Font, GAP, Look, PAD, READABLE, Scene, height_of, width_of};
use super::{Class, Stroke, Wiring, Words, bridges};
use crate::graph::{Cable, End, Network, Physical, State};
use crate::plan::NodeId;

/// Between two cables that run side by side.
const TRACK: i32 = 26;
/// Between two hosts.
const ALLEY: i32 = 24;
/// More containers on a host are not tried in every shape.
const FEW: usize = 24;

/// The whole picture without its title, in the shape that fits best on paper.
pub(super) fn physical(physical: &Physical, words: Words) -> Scene {
    let wiring = Wiring::new(physical);
    let most = physical.hosts.iter().map(|host| host.containers.len()).max().unwrap_or(0).max(1);
    let shapes: Vec<usize> = if most <= FEW { (1..=most.min(8)).collect() } else { vec![(most.isqrt() / 2 + 2).max(4)] };
    let mut best: Option<(f64, Scene)> = None;
    for columns in shapes {
        let scene = shaped(physical, &wiring, words, columns);
        // What is large enough is as good as any: then wide is better, with every bridge in one piece.
        let fit = scene.fit().min(READABLE);
        if best.as_ref().is_none_or(|(least, _)| fit >= *least) {
            best = Some((fit, scene));
        }
    }
    best.map(|(_, scene)| scene).unwrap_or_default()
}

fn shaped(physical: &Physical, wiring: &Wiring<'_>, words: Words, columns: usize) -> Scene {
    let blocks: Vec<Block> = physical.hosts.iter().map(|each| host(each, wiring, words, columns)).collect();
    let foot = blocks.iter().map(|block| block.scene.height).max().unwrap_or(0);
    let mut scene = Scene::default();
    let mut x = 0;
    let mut nics: HashMap<End, (i32, i32)> = HashMap::new();
    for (each, block) in physical.hosts.iter().zip(blocks) {
        for (nic, middle) in block.nics {
            nics.insert(End { node: each.node.node.clone(), interface: nic }, (x + middle, foot - PAD));
        }
        let (width, top) = (block.scene.width, foot - block.scene.height);
        scene.include(block.scene, (x, top));
        x += width + ALLEY;
    }
    scene.width = (x - ALLEY).max(0);
    scene.height = foot;
    Below { physical, wiring, words, nics }.draw(&mut scene);
    scene
}

/// What is below the hosts.
struct Below<'a> {
    physical: &'a Physical,
    wiring: &'a Wiring<'a>,
    words: Words,
    nics: HashMap<End, (i32, i32)>,
}

/// A cable between two NICs, with the words on it.
struct Wire<'a> {
    cable: &'a Cable,
    from: (i32, i32),
    to: (i32, i32),
    card: Option<Card>,
}

impl Wire<'_> {
    /// What it takes up of a track: its own length, or that of its words.
    fn span(&self) -> (i32, i32) {
        let words = self.card.as_ref().map_or(0, Card::width);
        let middle = i32::midpoint(self.from.0, self.to.0);
        let half = ((self.to.0 - self.from.0).abs()).max(words) / 2 + GAP;
        (middle - half, middle + half)
    }
}

/// A port of a switch, and the NIC in it.
struct Port<'a> {
    card: Card,
    cable: Option<(&'a Cable, (i32, i32))>,
}

struct Switch<'a> {
    title: Vec<(Font, String)>,
    ports: Vec<Port<'a>>,
    look: Look,
}

impl Switch<'_> {
    fn width(&self) -> i32 {
        let ports: i32 = self.ports.iter().map(|port| port.card.width() + GAP).sum();
        (ports - GAP).max(width_of(&self.title)) + 2 * GAP
    }
}

impl<'a> Below<'a> {
    fn draw(&self, scene: &mut Scene) {
        let wires = self.wires();
        let switches = self.physical.networks.iter().filter(|network| !network.interfaces.is_empty());
        let switches: Vec<Switch<'_>> = switches.map(|each| self.switch(each)).collect();
        if wires.is_empty() && switches.is_empty() {
            return;
        }
        let through: Vec<i32> = switches.iter().flat_map(|each| &each.ports).filter_map(|port| Some(port.cable?.1.0)).collect();
        let y = Self::draw_wires(scene, &wires, &through, scene.height + 22);
        Self::draw_switches(scene, &switches, y);
        let right = scene.rects.iter().map(|rect| rect.x + rect.w).max().unwrap_or(0);
        scene.width = scene.width.max(right);
        scene.height = scene.rects.iter().map(|rect| rect.y + rect.h).max().unwrap_or(0);
    }

    fn wires(&self) -> Vec<Wire<'a>> {
        let mut wires = Vec::new();
        for cable in &self.physical.cables {
            let [a, b] = &cable.ends;
            // Of two cables in one NIC the one that is missing is told by its mark alone.
            let plugged = self.wiring.peer(&a.node, &a.interface).is_some_and(|(other, _)| std::ptr::eq(other, cable));
            let (Some(from), Some(to), true) = (self.nics.get(a).copied(), self.nics.get(b).copied(), plugged) else { continue };
            let (from, to) = if from.0 <= to.0 { (from, to) } else { (to, from) };
            let words = self.words.of_cable(cable, self.physical.network(cable));
            let card = (!words.is_empty()).then(|| Card {
                lines: vec![(Font::Note, words.join(", "))],
                class: Class::Network,
                look: cable_look(cable),
            });
            wires.push(Wire { cable, from, to, card });
        }
        wires.sort_by_key(|wire| (wire.to.0 - wire.from.0, wire.from.0));
        wires
    }

    /// Each cable goes down from its NICs to a track that is free there; where the tracks end. `through` are cables to switches.
    fn draw_wires(scene: &mut Scene, wires: &[Wire<'_>], through: &[i32], top: i32) -> i32 {
        let mut tracks: Vec<Vec<(i32, i32)>> = Vec::new();
        let mut placed = Vec::new();
        for wire in wires {
            let (left, right) = wire.span();
            let free = |track: &Vec<(i32, i32)>| track.iter().all(|(from, to)| *to < left || right < *from);
            let track = tracks.iter().position(free).unwrap_or_else(|| {
                tracks.push(Vec::new());
                tracks.len() - 1
            });
            tracks[track].push((left, right));
            placed.push(track);
        }
        let y = |track: usize| top + i32::try_from(track).unwrap_or(0) * TRACK;
        for (at, (wire, track)) in wires.iter().zip(&placed).enumerate() {
            let y = y(*track);
            let points = vec![wire.from, (wire.from.0, y), (wire.to.0, y), wire.to];
            scene.line(points, Stroke::Cable, cable_look(wire.cable));
            let Some(card) = &wire.card else { continue };
            // The words stand where no deeper cable comes through.
            let deeper = wires.iter().zip(&placed).enumerate().filter(|(other, (_, deep))| *other != at && *deep > track);
            let crossing = deeper.flat_map(|(_, (other, _))| [other.from.0, other.to.0]).chain(through.iter().copied());
            let middle = widest_gap(wire.from.0, wire.to.0, crossing);
            let left = (middle - card.width() / 2).max(0);
            scene.card(card, (left, y - card.height() / 2), (card.width(), card.height()));
        }
        if tracks.is_empty() { top } else { y(tracks.len() - 1) + TRACK }
    }

    fn switch(&self, network: &'a Network) -> Switch<'a> {
        let (bridges, ports) = bridges(&network.interfaces);
        let state = bridges.first().map_or(State::Up, |bridge| bridge.state);
        let mut words = self.words.of_network(network);
        let mut lines = Vec::new();
        for bridge in bridges {
            words.extend(self.words.of_interface(bridge));
            lines.extend(self.words.addresses(bridge).into_iter().map(|address| (Font::Mono, address)));
        }
        let mut title = vec![(Font::Name, words.remove(0))];
        title.extend((!words.is_empty()).then(|| (Font::Note, words.join(", "))));
        title.extend(lines);
        let mut ports: Vec<Port<'_>> = ports
            .into_iter()
            .map(|port| {
                let peer = self.wiring.peer(&NodeId::Switch(network.network.clone()), &port.name);
                let cable = peer.and_then(|(cable, end)| Some((cable, *self.nics.get(end)?)));
                Port { card: interface_card(self.words, port, Vec::new()), cable }
            })
            .collect();
        ports.sort_by_key(|port| port.cable.map_or(i32::MAX, |(_, (x, _))| x));
        Switch { title, ports, look: Look::new(network.mark, state) }
    }

    fn draw_switches(scene: &mut Scene, switches: &[Switch<'_>], top: i32) {
        let taken: HashSet<i32> = switches.iter().flat_map(|each| &each.ports).filter_map(|port| Some(port.cable?.1.0)).collect();
        let places = places(switches);
        // A port that is not right below its NIC has a track of its own.
        let bent = |(port, x): &(&Port<'_>, i32)| port.cable.is_some_and(|(_, (nic, _))| nic != *x);
        let all: Vec<Vec<(&Port<'_>, i32)>> = switches
            .iter()
            .zip(&places)
            .map(|(switch, (_, xs, _))| switch.ports.iter().zip(xs.iter().copied()).collect())
            .collect();
        let tracks = all.iter().flatten().filter(|port| bent(port)).count();
        let y = top + i32::try_from(tracks).unwrap_or(0) * 10 + 4;
        let mut track = 0;
        for ((switch, (left, _, width)), ports) in switches.iter().zip(&places).zip(all) {
            let height = switch.ports.iter().map(|port| port.card.height()).max().unwrap_or(0);
            let under = if height == 0 { y + 4 } else { y + 8 + height };
            let whole = under - y + height_of(&switch.title) + 8;
            scene.rect((*left, y), (*width, whole), Class::Switch, switch.look);
            scene.lines_at(left + GAP, under, &switch.title);
            for (port, x) in ports {
                scene.card(&port.card, (x - port.card.width() / 2, y + 8), (port.card.width(), height));
                let Some((cable, nic)) = port.cable else { continue };
                let look = cable_look(cable);
                if nic.0 == x {
                    scene.line(vec![nic, (x, y + 8)], Stroke::Cable, look);
                } else {
                    // No two cables may share an upright piece.
                    let x = (x..).step_by(3).find(|x| !taken.contains(x)).unwrap_or(x);
                    let across = top + track * 10;
                    scene.line(vec![nic, (nic.0, across), (x, across), (x, y + 8)], Stroke::Cable, look);
                    track += 1;
                }
            }
        }
    }
}

/// The left edge of each switch, the middles of its ports, and its width: right below the NICs where there is room.
fn places(switches: &[Switch<'_>]) -> Vec<(i32, Vec<i32>, i32)> {
    let below: Vec<Option<(i32, Vec<i32>, i32)>> = switches.iter().map(below_nics).collect();
    let mut sorted: Vec<&(i32, Vec<i32>, i32)> = below.iter().flatten().collect();
    sorted.sort_by_key(|place| place.0);
    let apart = sorted.windows(2).all(|pair| pair[0].0 + pair[0].2 + GAP <= pair[1].0);
    if apart && sorted.len() == switches.len() {
        return below.into_iter().flatten().collect();
    }
    let mut left = 0;
    let mut places = Vec::new();
    for switch in switches {
        let mut x = left + GAP;
        let mut middles = Vec::new();
        for port in &switch.ports {
            middles.push(x + port.card.width() / 2);
            x += port.card.width() + GAP;
        }
        places.push((left, middles, switch.width()));
        left += switch.width() + 2 * GAP;
    }
    places
}

fn below_nics(switch: &Switch<'_>) -> Option<(i32, Vec<i32>, i32)> {
    let middles: Vec<i32> = switch.ports.iter().map(|port| port.cable.map(|(_, (x, _))| x)).collect::<Option<_>>()?;
    let edges = || switch.ports.iter().zip(&middles).map(|(port, x)| (x - port.card.width() / 2, x + port.card.width() / 2 + 1));
    let crowded = edges().zip(edges().skip(1)).any(|((_, right), (left, _))| right + 4 > left);
    let left = edges().next()?.0 - GAP;
    let right = edges().next_back()?.1 + GAP;
    (!crowded && left >= 0).then(|| (left, middles, (right - left).max(switch.width())))
}

/// The middle of the longest piece between two points that nothing crosses.
fn widest_gap(left: i32, right: i32, crossing: impl Iterator<Item = i32>) -> i32 {
    let mut points: Vec<i32> = crossing.filter(|x| (left..=right).contains(x)).chain([left, right]).collect();
    points.sort_unstable();
    let widest = points.windows(2).max_by_key(|pair| pair[1] - pair[0]);
    widest.map_or(left, |pair| i32::midpoint(pair[0], pair[1]))
}
