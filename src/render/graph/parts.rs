//! What drawings of every format share: the kinds of their boxes and lines, which cable is in which interface, and who is in a subnet.

use std::collections::HashMap;

use crate::graph::{Cable, End, Mark, Member, Physical};
use crate::name::{IfName, NodeName};
use crate::plan::NodeId;
use crate::render::escape::escape;
use crate::render::sentences::graph::Words;

/// What a box stands for; the order is that of painting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Class {
    Host,
    Bridge,
    Switch,
    Subnet,
    Router,
    Container,
    Interface,
    Network,
}

impl Class {
    /// Its name in a style sheet.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Bridge => "bridge",
            Self::Switch => "switch",
            Self::Subnet => "subnet",
            Self::Router => "router",
            Self::Container => "container",
            Self::Interface => "interface",
            Self::Network => "network",
        }
    }

    /// Its colour on paper.
    pub fn fill(self) -> &'static str {
        match self {
            Self::Host => "#eef3f8",
            Self::Bridge | Self::Router => "#dcefe2",
            Self::Switch | Self::Subnet => "#e9e2f5",
            Self::Container => "#fdf3dc",
            Self::Interface | Self::Network => "#ffffff",
        }
    }
}

/// What a line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// A cable.
    Cable,
    /// What belongs to one bridge.
    Bridge,
}

/// `a1.eth0`, with its host where that is another one.
pub fn end_word(end: &End, here: Option<&NodeName>) -> String {
    let interface = escape(end.interface.as_str());
    match &end.node {
        NodeId::Container(host, name) if Some(host) != here => format!("{host}/{name}.{interface}"),
        node => format!("{}.{interface}", node.name()),
    }
}

/// Which cable is in which interface; where one that is missing was replaced, the one that is there.
pub struct Wiring<'a> {
    by_end: HashMap<&'a End, &'a Cable>,
}

impl<'a> Wiring<'a> {
    pub fn of(physical: &'a Physical) -> Self {
        let (gone, there): (Vec<&Cable>, Vec<&Cable>) = physical.cables.iter().partition(|cable| cable.mark == Mark::Missing);
        let cables = gone.into_iter().chain(there);
        Self { by_end: cables.flat_map(|cable| cable.ends.iter().map(move |end| (end, cable))).collect() }
    }

    /// The cable in an interface, and its other end.
    pub fn far(&self, node: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a End)> {
        let near = End { node: node.clone(), interface: interface.clone() };
        let cable = self.by_end.get(&near).copied()?;
        let far = cable.far(&near)?;
        std::ptr::eq(*self.by_end.get(far)?, cable).then_some((cable, far))
    }

    /// The interface of the host at the other end of a container's cable.
    pub fn host_end(&self, container: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a IfName)> {
        let (cable, far) = self.far(container, interface)?;
        matches!(&far.node, NodeId::Host(host) if Some(host) == container.host()).then_some((cable, &far.interface))
    }
}

/// A member of a subnet in one line.
pub fn member_words(member: &Member, words: Words) -> String {
    let mut line = vec![path(&member.node)];
    line.extend(member.addresses.iter().map(|address| words.marked(address.address.addr(), address.mark)));
    line.extend(words.condition(member.mark, member.state));
    line.join(" ")
}

/// `a1` for `host-a.a1` would be short, but both hosts may have one: `host-a/a1`.
pub fn path(node: &NodeId) -> String {
    match node {
        NodeId::Switch(name) | NodeId::Host(name) => name.to_string(),
        NodeId::Container(host, name) => format!("{host}/{name}"),
    }
}
