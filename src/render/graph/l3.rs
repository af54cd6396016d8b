//! Subnets and routers as a picture.

use std::collections::HashMap;

use super::host::interface_card;
use super::svg::{Card, Font, GAP, Look, PAD, Scene, height_of, width_of};
use super::{Class, Joined, Spot, Stroke, Words, member_words, path, shown};
use crate::graph::{Interface, L3, Member, Node, State, Subnet};
use crate::render::escape::escape;

/// Between two layers.
const GUTTER: i32 = 40;
/// More members of a subnet are counted.
const SHOWN: usize = 8;

/// The whole picture without its title.
pub(super) fn l3(l3: &L3, words: Words) -> Scene {
    if l3.subnets.is_empty() {
        return empty(words);
    }
    let drawing = SubnetDrawing::new(l3, words);
    let mut scene = Scene::default();
    for part in Joined::new(l3).parts() {
        let drawn = drawing.part(&part);
        let (left, width, height) = (scene.width + if scene.width > 0 { GUTTER } else { 0 }, drawn.width, drawn.height);
        scene.include(drawn, (left, 0));
        scene.width = left + width;
        scene.height = scene.height.max(height);
    }
    scene
}

fn empty(words: Words) -> Scene {
    let card = Card { lines: vec![(Font::Note, words.no_subnets())], class: Class::Network, look: Look::default() };
    let mut scene = Scene { width: card.width(), height: card.height(), ..Scene::default() };
    scene.card(&card, (0, 0), (card.width(), card.height()));
    scene
}

/// An interface of a router in a subnet.
struct Slot {
    subnet: usize,
    router: usize,
    card: Card,
}

/// A box with its size.
enum Drawn {
    Subnet { lines: Vec<(Font, String)> },
    Router { head: Vec<(Font, String)>, above: Vec<usize>, below: Vec<usize>, look: Look },
}

/// Where a box stands; `floor` is where the gutter below its layer begins.
#[derive(Clone, Copy)]
struct Place {
    x: i32,
    y: i32,
    w: i32,
    h: i32,
    floor: i32,
}

type Places = HashMap<Spot, Place>;

struct SubnetDrawing<'a> {
    l3: &'a L3,
    words: Words,
    slots: Vec<Slot>,
}

impl<'a> SubnetDrawing<'a> {
    fn new(l3: &'a L3, words: Words) -> Self {
        let slot = |(subnet, router, interface): (usize, usize, &Interface)| {
            // An interface with those of its addresses that are in the subnet.
            let addresses = l3.subnets[subnet].inside(interface).cloned().collect();
            let here = Interface { addresses, mac: None, mtu: 1500, ..interface.clone() };
            Slot { subnet, router, card: interface_card(words, &here, Vec::new()) }
        };
        Self { l3, words, slots: l3.links().into_iter().map(slot).collect() }
    }

    fn part(&self, layers: &[Vec<Spot>]) -> Scene {
        let depth: HashMap<Spot, usize> =
            layers.iter().enumerate().flat_map(|(deep, layer)| layer.iter().map(move |spot| (*spot, deep))).collect();
        let drawn: Vec<Vec<(Spot, Drawn)>> = layers
            .iter()
            .enumerate()
            .map(|(deep, layer)| layer.iter().map(|spot| (*spot, self.drawn(*spot, deep, &depth))).collect())
            .collect();
        let mut scene = Scene::default();
        let mut places = Places::new();
        let wide = |row: &Vec<(Spot, Drawn)>| row.iter().map(|(_, drawn)| self.size(drawn).0 + GAP).sum::<i32>() - GAP;
        scene.width = drawn.iter().map(wide).max().unwrap_or(0);
        let mut y = 0;
        for row in &drawn {
            let mut x = (scene.width - wide(row)) / 2;
            let height = row.iter().map(|(_, drawn)| self.size(drawn).1).max().unwrap_or(0);
            for (spot, drawn) in row {
                let (w, h) = self.size(drawn);
                places.insert(*spot, Place { x, y, w, h, floor: y + height });
                self.put(&mut scene, drawn, (x, y, w, h));
                x += w + GAP;
            }
            y += height + GUTTER;
        }
        scene.height = y - GUTTER;
        self.lines(&mut scene, &drawn, &places);
        scene
    }

    fn drawn(&self, spot: Spot, deep: usize, depth: &HashMap<Spot, usize>) -> Drawn {
        match spot {
            Spot::Subnet(at) => Drawn::Subnet { lines: self.subnet_lines(&self.l3.subnets[at]) },
            Spot::Router(at) => {
                let own = self.slots.iter().enumerate().filter(|(_, slot)| slot.router == at);
                let is_above = |slot: &Slot| depth.get(&Spot::Subnet(slot.subnet)).is_some_and(|subnet| *subnet < deep);
                let (above, below): (Vec<_>, Vec<_>) = own.partition(|(_, slot)| is_above(slot));
                let numbers = |slots: Vec<(usize, &Slot)>| slots.into_iter().map(|(number, _)| number).collect();
                let router = &self.l3.routers[at];
                let look = Look::new(router.mark, State::Up);
                Drawn::Router { head: self.head(router), above: numbers(above), below: numbers(below), look }
            }
        }
    }

    /// A router's name, what is to say of it, and addresses without a subnet.
    fn head(&self, router: &Node) -> Vec<(Font, String)> {
        let mut lines = vec![(Font::Name, path(&router.node))];
        lines.push((Font::Note, self.words.of_router(router).join(", ")));
        for interface in &router.interfaces {
            let alone =
                interface.addresses.iter().filter(|address| address.address.prefix_len() == address.address.max_prefix_len());
            lines.extend(
                alone.map(|address| (Font::Mono, format!("{} {}", escape(interface.name.as_str()), self.words.address(address)))),
            );
        }
        lines
    }

    fn subnet_lines(&self, subnet: &Subnet) -> Vec<(Font, String)> {
        let mut lines: Vec<(Font, String)> = subnet.prefixes.iter().map(|prefix| (Font::Name, prefix.to_string())).collect();
        let first = subnet.members.first().map(|member| &member.gateways);
        let alike = subnet.members.iter().all(|member| Some(&member.gateways) == first);
        let (shown, more) = shown(&subnet.members, SHOWN);
        lines.extend(shown.iter().map(|member| (Font::Mono, self.member(member, alike))));
        lines.extend(more.map(|number| (Font::Note, self.words.more(number))));
        let gateways = first.filter(|_| alike).into_iter().flatten();
        lines.extend(gateways.map(|gateway| (Font::Note, self.words.default(*gateway))));
        lines
    }

    fn member(&self, member: &Member, alike: bool) -> String {
        let mut words = vec![member_words(member, self.words)];
        if !alike {
            words.extend(member.gateways.iter().map(|gateway| self.words.default(*gateway)));
        }
        words.join(", ")
    }

    fn row_size(&self, slots: &[usize]) -> (i32, i32) {
        let width: i32 = slots.iter().map(|slot| self.slots[*slot].card.width() + 6).sum();
        let height = slots.iter().map(|slot| self.slots[*slot].card.height() + 8).max().unwrap_or(0);
        (width - 6, height)
    }

    fn size(&self, drawn: &Drawn) -> (i32, i32) {
        match drawn {
            Drawn::Subnet { lines } => (width_of(lines) + 2 * GAP, height_of(lines) + PAD),
            Drawn::Router { head, above, below, .. } => {
                let (above, below) = (self.row_size(above), self.row_size(below));
                (width_of(head).max(above.0).max(below.0) + 2 * PAD, above.1 + height_of(head) + below.1 + 10)
            }
        }
    }

    fn put(&self, scene: &mut Scene, drawn: &Drawn, (x, y, w, h): (i32, i32, i32, i32)) {
        match drawn {
            Drawn::Subnet { lines } => {
                let card = Card { lines: lines.clone(), class: Class::Subnet, look: Look::default() };
                scene.card(&card, (x, y), (w, h));
            }
            Drawn::Router { head, above, below, look } => {
                scene.rect((x, y), (w, h), Class::Router, *look);
                let over = self.row_size(above).1;
                scene.lines_at(x + PAD, y + over + 2, head);
                for (slots, top) in [(above, y + 6), (below, y + h - self.row_size(below).1 + 2)] {
                    for (slot, left) in self.row(slots, x, w) {
                        let card = &self.slots[slot].card;
                        scene.card(card, (left, top), (card.width(), self.row_size(slots).1 - 8));
                    }
                }
            }
        }
    }

    /// The left edges of a row of slots in a router's box.
    fn row(&self, slots: &[usize], x: i32, w: i32) -> Vec<(usize, i32)> {
        let mut left = x + (w - self.row_size(slots).0) / 2;
        let mut placed = Vec::new();
        for slot in slots {
            placed.push((*slot, left));
            left += self.slots[*slot].card.width() + 6;
        }
        placed
    }

    /// From each slot to its subnet's nearer edge, where the lines of one edge are apart.
    fn lines(&self, scene: &mut Scene, drawn: &[Vec<(Spot, Drawn)>], places: &Places) {
        let mut ends: Vec<(usize, bool, i32, [i32; 2])> = Vec::new();
        for (spot, drawn) in drawn.iter().flatten() {
            let (Drawn::Router { above, below, .. }, Some(place)) = (drawn, places.get(spot).copied()) else {
                continue;
            };
            let Place { x, y, w, h, floor } = place;
            for (slots, down, edge) in [(above, false, [y + 6, y]), (below, true, [y + h - 6, floor])] {
                for (slot, left) in self.row(slots, x, w) {
                    ends.push((slot, down, left + self.slots[slot].card.width() / 2, edge));
                }
            }
        }
        ends.sort_by_key(|(slot, down, x, _)| (self.slots[*slot].subnet, *down, *x));
        for chunk in ends.chunk_by(|a, b| (self.slots[a.0].subnet, a.1) == (self.slots[b.0].subnet, b.1)) {
            let Some(place) = places.get(&Spot::Subnet(self.slots[chunk[0].0].subnet)).copied() else { continue };
            let Place { x, y, w, h, floor } = place;
            let count = i32::try_from(chunk.len()).unwrap_or(1);
            for ((slot, down, from, edge), at) in chunk.iter().zip(1..) {
                let to = x + w * at / (count + 1);
                // Past a higher neighbour straight down, and aside only between the layers.
                let rest = if *down { vec![(to, y)] } else { vec![(to, floor), (to, y + h)] };
                let points = edge.iter().map(|edge| (*from, *edge)).chain(rest).collect();
                scene.line(points, Stroke::Cable, self.slots[*slot].card.look);
            }
        }
    }
}
