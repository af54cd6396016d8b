//! What is written beside the things of a drawing, whatever its format.

use std::collections::HashMap;

use crate::graph::{Address, Cable, End, Interface, Mark, Member, Network, NetworkKind, Node, Physical, State};
use crate::render::escape::escape;
use crate::render::lang::Lang;
use crate::render::sentences::graph::{self, Label};

/// The words of one language.
#[derive(Clone, Copy)]
pub(in crate::render) struct Words {
    lang: Lang,
}

impl Words {
    pub(in crate::render) fn new(lang: Lang) -> Self {
        Self { lang }
    }

    /// A label, escaped.
    pub(in crate::render) fn label(self, label: &Label<'_>) -> String {
        graph::label(self.lang, label)
    }

    /// How it relates to the description, and whether frames pass; nothing where all is well.
    pub(in crate::render) fn condition(self, mark: Mark, state: State) -> Vec<String> {
        let state = if mark == Mark::Missing { State::Up } else { state };
        let words = [self.label(&Label::Mark(mark)), self.label(&Label::State(state))];
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }

    /// An address, with its mark where it has one.
    pub(in crate::render) fn address(self, address: &Address) -> String {
        let mark = self.label(&Label::Mark(address.mark));
        if mark.is_empty() { address.address.to_string() } else { format!("{} {mark}", address.address) }
    }

    /// What is to say of a node but its name.
    pub(in crate::render) fn of_node(self, node: &Node) -> Vec<String> {
        let mut words = self.condition(node.mark, State::Up);
        words.extend(node.forwarding.then(|| self.label(&Label::Forwards)));
        words.extend(node.gateways.iter().map(|gateway| self.label(&Label::Default(*gateway))));
        words
    }

    /// What is to say of an interface but its name and addresses.
    pub(in crate::render) fn of_interface(self, interface: &Interface) -> Vec<String> {
        let mut words = self.condition(interface.mark, interface.state);
        if !matches!(interface.kind.as_str(), "veth" | "bridge") {
            words.push(self.label(&Label::Kind(&interface.kind)));
        }
        if interface.mtu != 1500 {
            words.push(self.label(&Label::Mtu(interface.mtu)));
        }
        words
    }

    /// A network's name with its kind, and what is to say of it.
    pub(in crate::render) fn of_network(self, network: &Network) -> Vec<String> {
        let name = match network.kind {
            NetworkKind::Wire => Label::Wire(&network.network),
            NetworkKind::Switch => Label::Switch(&network.network),
        };
        let mut words = vec![self.label(&name)];
        words.extend(self.condition(network.mark, State::Up));
        words.extend(network.deny.then(|| self.label(&Label::Deny)));
        words
    }
}

/// `a1.eth0`, with its host where that is another one.
pub(in crate::render) fn end_word(end: &End, here: &str) -> String {
    let node = match end.node.split_once('.') {
        Some((host, name)) if host == here => name.to_owned(),
        Some((host, name)) => format!("{host}/{name}"),
        None => end.node.clone(),
    };
    escape(&format!("{node}.{}", end.interface)).into_owned()
}

/// Which cable is in which interface; where one that is missing was replaced, the one that is there.
pub(in crate::render) struct Wiring<'a> {
    by_end: HashMap<(&'a str, &'a str), &'a Cable>,
}

impl<'a> Wiring<'a> {
    pub(in crate::render) fn of(physical: &'a Physical) -> Self {
        let mut by_end = HashMap::new();
        let missing = |cable: &&Cable| cable.mark == Mark::Missing;
        let (gone, there): (Vec<&Cable>, Vec<&Cable>) = physical.cables.iter().partition(missing);
        for cable in gone.into_iter().chain(there) {
            for end in &cable.ends {
                by_end.insert((end.node.as_str(), end.interface.as_str()), cable);
            }
        }
        Self { by_end }
    }

    /// The cable in an interface, and its other end.
    pub(in crate::render) fn far(&self, node: &str, interface: &str) -> Option<(&'a Cable, &'a End)> {
        let cable = self.by_end.get(&(node, interface)).copied()?;
        let far = cable.far(node, interface)?;
        let back = self.by_end.get(&(far.node.as_str(), far.interface.as_str()))?;
        std::ptr::eq(*back, cable).then_some((cable, far))
    }

    /// The interface of the host at the other end of a container's cable.
    pub(in crate::render) fn host_end(&self, container: &str, interface: &str) -> Option<(&'a Cable, &'a str)> {
        let host = container.split_once('.')?.0;
        let (cable, far) = self.far(container, interface)?;
        (far.node == host).then_some((cable, far.interface.as_str()))
    }
}

/// A member of a subnet in one line.
pub(in crate::render) fn member_words(member: &Member, words: Words) -> String {
    let mut line = vec![escape(&member.node.replacen('.', "/", 1)).into_owned()];
    line.extend(member.addresses.iter().map(|address| {
        let mark = words.label(&Label::Mark(address.mark));
        if mark.is_empty() { address.address.addr().to_string() } else { format!("{} {mark}", address.address.addr()) }
    }));
    line.extend(words.condition(member.mark, member.state));
    line.join(" ")
}
