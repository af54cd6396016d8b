//! Where the parts of a host stand: containers over the host's ends of their cables, those in their bridges, NICs at the foot.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::svg::{Card, Font, GAP, Look, PAD, Scene, height_of, width_of};
use super::{Class, Stroke, Wiring, Words, end_word, interface_name};
use crate::graph::{Cable, Host, Interface, Node, State};
use crate::name::IfName;
use crate::plan::NodeId;
use crate::render::escape::escape;

/// The length of a cable between a container and its host's end.
const CABLE: i32 = 18;
/// Between two parallel lines.
const LANE: i32 = 9;

/// A host, ready to be put somewhere.
pub(super) struct Block {
    pub scene: Scene,
    /// Its NICs, by the middle of their lower edge.
    pub nics: Vec<(IfName, i32)>,
}

/// The cards of an interface.
pub(super) fn interface_card(words: Words, interface: &Interface, more: Vec<String>) -> Card {
    let mut lines = vec![(Font::Strong, escape(interface.name.as_str()).into_owned())];
    lines.extend(words.addresses(interface).into_iter().map(|address| (Font::Mono, address)));
    lines.extend(words.of_interface(interface).into_iter().chain(more).map(|word| (Font::Note, word)));
    Card { lines, class: Class::Interface, look: Look::new(interface.mark, interface.state) }
}

/// A cable's line.
pub(super) fn cable_look(cable: &Cable) -> Look {
    Look { mark: cable.mark, dead: !cable.up }
}

/// A NIC of a container, and the host's end of its cable.
struct Column<'a> {
    nic: Card,
    port: Option<(Card, &'a Interface, &'a Cable)>,
}

impl Column<'_> {
    fn width(&self) -> i32 {
        let port = self.port.as_ref().map_or(0, |(card, ..)| card.width());
        self.nic.width().max(port)
    }
}

/// A container and its cables.
struct Cell<'a> {
    head: Vec<(Font, String)>,
    columns: Vec<Column<'a>>,
    look: Look,
}

impl Cell<'_> {
    fn width(&self) -> i32 {
        let columns: i32 = self.columns.iter().map(|column| column.width() + 6).sum();
        (columns - 6).max(width_of(&self.head)) + 16
    }

    /// Of the container's own box.
    fn height(&self) -> i32 {
        let nic = self.columns.iter().map(|column| column.nic.height() + 4).max().unwrap_or(0);
        height_of(&self.head) + nic + 10
    }

    fn port_height(&self) -> i32 {
        self.columns.iter().filter_map(|column| column.port.as_ref()).map(|(card, ..)| card.height()).max().unwrap_or(0)
    }
}

/// Containers on one bridge, or on none.
struct Group<'a> {
    bridge: Option<&'a Interface>,
    cells: Vec<Cell<'a>>,
}

impl Group<'_> {
    fn rows(&self, columns: usize) -> std::slice::Chunks<'_, Cell<'_>> {
        self.cells.chunks(columns.max(1))
    }
}

/// Where a bridge has to be joined: a lane, and points to join.
type Joints = BTreeMap<IfName, Vec<(i32, i32)>>;

/// A host with so many containers beside each other at most.
pub(super) fn host(host: &Host, wiring: &Wiring<'_>, words: Words, columns: usize) -> Block {
    Plan::new(host, wiring, words, columns).draw()
}

struct Plan<'a> {
    host: &'a Host,
    words: Words,
    columns: usize,
    groups: Vec<Group<'a>>,
    nics: Vec<(&'a Interface, Card)>,
    lanes: HashMap<IfName, i32>,
    left: i32,
    inner: i32,
}

impl<'a> Plan<'a> {
    fn new(host: &'a Host, wiring: &Wiring<'a>, words: Words, columns: usize) -> Self {
        let mut placed: HashSet<&IfName> = HashSet::new();
        let mut loose = Group { bridge: None, cells: Vec::new() };
        let mut plugged: BTreeMap<&IfName, Vec<Cell<'_>>> = BTreeMap::new();
        for container in &host.containers {
            let (cell, bridge) = cell(container, &host.node, wiring, words, &mut placed);
            match bridge {
                Some(bridge) => plugged.entry(bridge).or_default().push(cell),
                None => loose.cells.push(cell),
            }
        }
        let feet: Vec<&Interface> =
            host.node.interfaces.iter().filter(|interface| !interface.is_bridge() && !placed.contains(&interface.name)).collect();
        let has_nic = |bridge: &&Interface| feet.iter().any(|nic| nic.bridge.as_ref() == Some(&bridge.name));
        let bridges = host.node.interfaces.iter().filter(|interface| interface.is_bridge());
        let (below, above): (Vec<&Interface>, Vec<&Interface>) = bridges.partition(has_nic);
        let mut groups: Vec<Group<'_>> = if loose.cells.is_empty() { Vec::new() } else { vec![loose] };
        groups.extend(
            above
                .into_iter()
                .chain(below)
                .map(|bridge| Group { bridge: Some(bridge), cells: plugged.remove(&bridge.name).unwrap_or_default() }),
        );
        // A port whose bridge is gone stands with the others.
        let orphans: Vec<Cell<'_>> = plugged.into_values().flatten().collect();
        if !orphans.is_empty() {
            groups.insert(0, Group { bridge: None, cells: orphans });
        }
        let nics = feet.into_iter().map(|nic| (nic, foot(nic, host, wiring, words))).collect();
        let mut plan = Self { host, words, columns, groups, nics, lanes: HashMap::new(), left: PAD, inner: 0 };
        plan.measure();
        plan
    }

    /// The bridge right above the NICs: its lines to them go straight down.
    fn direct(&self) -> Option<&IfName> {
        self.groups.last().and_then(|group| group.bridge).map(|bridge| &bridge.name)
    }

    /// Ports that stand elsewhere than in their bridge.
    fn strays(&self) -> impl Iterator<Item = &IfName> {
        let in_cells =
            self.groups.iter().flat_map(|group| group.cells.iter().map(move |cell| (group, cell))).flat_map(|(group, cell)| {
                let own = group.bridge.map(|bridge| &bridge.name);
                cell.columns.iter().filter_map(move |column| {
                    let bridge = column.port.as_ref()?.1.bridge.as_ref()?;
                    (Some(bridge) != own).then_some(bridge)
                })
            });
        let direct = self.direct();
        let feet = self.nics.iter().filter_map(|(nic, _)| nic.bridge.as_ref()).filter(move |bridge| Some(*bridge) != direct);
        in_cells.chain(feet)
    }

    fn measure(&mut self) {
        let mut lanes: Vec<IfName> = self.strays().cloned().collect();
        for group in &self.groups {
            lanes.extend(group.bridge.filter(|_| group.rows(self.columns).len() > 1).map(|bridge| bridge.name.clone()));
        }
        lanes.sort();
        lanes.dedup();
        self.lanes = lanes.into_iter().zip(0..).map(|(name, at)| (name, PAD + at * LANE)).collect();
        let lanes = i32::try_from(self.lanes.len()).unwrap_or(0);
        self.left = PAD + lanes * LANE + if lanes > 0 { 4 } else { 0 };
        let rows = self.groups.iter().flat_map(|group| group.rows(self.columns)).map(|row| row_width(row) + 2 * GAP);
        let titles = self.groups.iter().filter_map(|group| group.bridge).map(|bridge| width_of(&title(self.words, bridge)) + 16);
        let feet: i32 = self.nics.iter().map(|(_, card)| card.width() + GAP).sum();
        let head = width_of(&head(self.words, &self.host.node, true));
        self.inner = rows.chain(titles).chain([feet - GAP, head]).max().unwrap_or(0);
    }

    fn draw(self) -> Block {
        let mut scene = Scene::default();
        let mut joints = Joints::new();
        let mut y = scene.lines_at(PAD, PAD / 2, &head(self.words, &self.host.node, true)) + PAD;
        for group in &self.groups {
            y = self.group(&mut scene, group, y, &mut joints);
        }
        let (nics, y) = self.feet(&mut scene, y, &mut joints);
        for (bridge, points) in joints {
            let Some(lane) = self.lanes.get(&bridge) else { continue };
            let look = self.bridge_look(&bridge);
            for (x, y) in &points {
                scene.line(vec![(*lane, *y), (*x, *y)], Stroke::Bridge, look);
            }
            let ys = points.iter().map(|(_, y)| *y);
            if let (Some(top), Some(bottom)) = (ys.clone().min(), ys.max()) {
                scene.line(vec![(*lane, top), (*lane, bottom)], Stroke::Bridge, look);
            }
        }
        scene.width = self.left + self.inner + PAD;
        scene.height = y;
        let look = Look { mark: self.host.node.mark, dead: false };
        scene.rect((0, 0), (scene.width, scene.height), Class::Host, look);
        Block { scene, nics }
    }

    fn bridge_look(&self, name: &IfName) -> Look {
        let bridge = self.groups.iter().filter_map(|group| group.bridge).find(|bridge| bridge.name == *name);
        bridge.map_or(Look::default(), |bridge| Look::new(bridge.mark, bridge.state))
    }

    fn group(&self, scene: &mut Scene, group: &Group<'_>, mut y: i32, joints: &mut Joints) -> i32 {
        let rows = group.rows(self.columns).len();
        if let (0, Some(bridge)) = (rows, group.bridge) {
            return self.band(scene, bridge, (y, 0), true, joints) + PAD;
        }
        for (at, row) in group.rows(self.columns).enumerate() {
            let height = row.iter().map(Cell::height).max().unwrap_or(0);
            let ports = row.iter().map(Cell::port_height).max().unwrap_or(0);
            let top = if ports == 0 { y + height } else { y + height + CABLE + if group.bridge.is_some() { 8 } else { 0 } };
            let mut stray = 0;
            let mut x = self.left + (self.inner - row_width(row)) / 2;
            for cell in row {
                self.cell(scene, cell, (x, y), (height, top, ports), group.bridge, &mut stray, joints);
                x += cell.width() + GAP;
            }
            y = match group.bridge {
                Some(bridge) => self.band(scene, bridge, (top - 8, ports), at == 0, joints),
                None => top + ports,
            };
            y += PAD + stray * LANE;
        }
        y
    }

    /// The part of a bridge under one row of containers; where it ends.
    fn band(&self, scene: &mut Scene, bridge: &Interface, (y, ports): (i32, i32), first: bool, joints: &mut Joints) -> i32 {
        let lines = if first { title(self.words, bridge) } else { title(self.words, bridge).into_iter().take(1).collect() };
        let height = if ports == 0 { 4 } else { ports + 12 } + height_of(&lines) + 2;
        let look = Look::new(bridge.mark, bridge.state);
        scene.rect((self.left, y), (self.inner, height), Class::Bridge, look);
        scene.lines_at(self.left + 8, y + height - height_of(&lines) - 3, &lines);
        joints.entry(bridge.name.clone()).or_default().push((self.left, y + height / 2));
        y + height
    }

    #[allow(clippy::too_many_arguments, reason = "a row's measures and what it collects")]
    fn cell(
        &self,
        scene: &mut Scene,
        cell: &Cell<'_>,
        (x, y): (i32, i32),
        (height, top, ports): (i32, i32, i32),
        own: Option<&Interface>,
        stray: &mut i32,
        joints: &mut Joints,
    ) {
        scene.rect((x, y), (cell.width(), height), Class::Container, cell.look);
        let under = scene.lines_at(x + 8, y + 2, &cell.head);
        let columns: i32 = cell.columns.iter().map(|column| column.width() + 6).sum();
        let mut left = x + (cell.width() - (columns - 6).max(0)) / 2;
        let nic = height - (under - y) - 10;
        for column in &cell.columns {
            let width = column.width();
            scene.card(&column.nic, (left, under + 3), (width, nic));
            if let Some((card, port, cable)) = &column.port {
                let middle = left + width / 2;
                scene.line(vec![(middle, under + 3 + nic), (middle, top)], Stroke::Cable, cable_look(cable));
                scene.card(card, (left, top), (width, card.height()));
                if let Some(bridge) = &port.bridge
                    && own.is_none_or(|own| own.name != *bridge)
                    && self.lanes.contains_key(bridge)
                {
                    // Below the row, each stray port has a line of its own to its bridge's lane.
                    *stray += 1;
                    let below = top + ports + *stray * LANE;
                    scene.line(vec![(middle, top + card.height()), (middle, below)], Stroke::Bridge, card.look);
                    joints.entry(bridge.clone()).or_default().push((middle, below));
                }
            }
            left += width + 6;
        }
    }

    /// The NICs in a row at the foot, joined with their bridges; where the host ends.
    fn feet(&self, scene: &mut Scene, y: i32, joints: &mut Joints) -> (Vec<(IfName, i32)>, i32) {
        if self.nics.is_empty() {
            return (Vec::new(), y);
        }
        let direct = self.direct();
        let mut tracks: Vec<&IfName> =
            self.nics.iter().filter_map(|(nic, _)| nic.bridge.as_ref()).filter(|bridge| Some(*bridge) != direct).collect();
        tracks.sort_unstable();
        tracks.dedup();
        let deep = i32::try_from(tracks.len()).unwrap_or(0);
        let joined = self.nics.iter().any(|(nic, _)| nic.bridge.is_some());
        let top = y + deep * LANE + if joined { 6 } else { 0 };
        let height = self.nics.iter().map(|(_, card)| card.height()).max().unwrap_or(0);
        let width: i32 = self.nics.iter().map(|(_, card)| card.width() + GAP).sum();
        let mut x = self.left + (self.inner - (width - GAP)) / 2;
        let mut feet = Vec::new();
        for (nic, card) in &self.nics {
            let middle = x + card.width() / 2;
            scene.card(card, (x, top), (card.width(), height));
            if let Some(bridge) = &nic.bridge {
                let look = Look::new(nic.mark, nic.state);
                if direct == Some(bridge) {
                    scene.line(vec![(middle, y - PAD), (middle, top)], Stroke::Bridge, look);
                } else if let Some(track) = tracks.iter().position(|track| *track == bridge)
                    && self.lanes.contains_key(bridge)
                {
                    let track = y + i32::try_from(track).unwrap_or(0) * LANE;
                    scene.line(vec![(middle, track), (middle, top)], Stroke::Bridge, look);
                    joints.entry(bridge.clone()).or_default().push((middle, track));
                }
            }
            feet.push((nic.name.clone(), middle));
            x += card.width() + GAP;
        }
        (feet, top + height + PAD)
    }
}

fn row_width(row: &[Cell<'_>]) -> i32 {
    row.iter().map(|cell| cell.width() + GAP).sum::<i32>() - GAP
}

/// A node's name, and below it what is to say of it.
fn head(words: Words, node: &Node, one_line: bool) -> Vec<(Font, String)> {
    let mut lines = vec![(Font::Name, node.node.name().to_string())];
    let notes = words.of_node(node);
    if one_line && !notes.is_empty() {
        lines.push((Font::Note, notes.join(", ")));
    } else {
        lines.extend(notes.into_iter().map(|note| (Font::Note, note)));
    }
    lines
}

/// A bridge's name and addresses.
fn title(words: Words, bridge: &Interface) -> Vec<(Font, String)> {
    let mut name = vec![interface_name(bridge)];
    name.extend(words.of_interface(bridge));
    let mut lines = vec![(Font::Strong, name.join(", "))];
    lines.extend(words.addresses(bridge).into_iter().map(|address| (Font::Mono, address)));
    lines
}

/// A container, with the bridge that all its cables lead to.
fn cell<'a>(
    container: &'a Node,
    host: &'a Node,
    wiring: &Wiring<'a>,
    words: Words,
    placed: &mut HashSet<&'a IfName>,
) -> (Cell<'a>, Option<&'a IfName>) {
    let mut bridges: HashSet<Option<&IfName>> = HashSet::new();
    let mut columns = Vec::new();
    for nic in &container.interfaces {
        let mut notes: Vec<String> = nic.bridge.iter().map(|bridge| words.port_of(bridge)).collect();
        let port = wiring.host_end(&container.node, &nic.name).and_then(|(cable, name)| Some((cable, host.interface(name)?)));
        let port = port.map(|(cable, port)| {
            placed.insert(&port.name);
            bridges.insert(port.bridge.as_ref());
            (interface_card(words, port, Vec::new()), port, cable)
        });
        if port.is_none()
            && let Some((_, peer)) = wiring.peer(&container.node, &nic.name)
        {
            notes.push(words.cable_to(&end_word(peer, host.node.host())));
        }
        if nic.is_bridge() {
            notes.insert(0, "bridge".to_owned());
        }
        columns.push(Column { nic: interface_card(words, nic, notes), port });
    }
    let look = Look::new(container.mark, State::Up);
    let mut bridges = bridges.into_iter();
    let bridge = match (bridges.next(), bridges.next()) {
        (Some(bridge), None) => bridge,
        _ => None,
    };
    (Cell { head: head(words, container, false), columns, look }, bridge)
}

/// A NIC at the host's foot: cables to other hosts are drawn below, others named.
fn foot(nic: &Interface, host: &Host, wiring: &Wiring<'_>, words: Words) -> Card {
    let peer = wiring.peer(&host.node.node, &nic.name).filter(|(_, peer)| matches!(peer.node, NodeId::Container(..)));
    let notes = peer.map(|(_, peer)| words.cable_to(&end_word(peer, host.node.node.host())));
    interface_card(words, nic, notes.into_iter().collect())
}
