//! Words in drawings.

use std::fmt::Display;
use std::net::IpAddr;

use crate::graph::{Address, Cable, Drawing, Graph, Interface, Mark, Network, NetworkKind, Node, State};
use crate::name::IfName;
use crate::render::escape::escape;
use crate::render::lang::{Lang, find, t, w};

/// What is written beside the things of a drawing, whatever its format; all of it is escaped.
#[derive(Debug, Clone, Copy)]
pub struct Words(pub Lang);

impl Words {
    /// How it relates to the description; nothing where it is as described.
    fn mark(self, mark: Mark) -> Option<&'static str> {
        match mark {
            Mark::Described => None,
            Mark::Missing => Some(w!(self.0, ["drawing"] "missing")),
            Mark::Changed => Some(w!(self.0, ["drawing"] "changed")),
            Mark::ByHand => Some(w!(self.0, ["drawing"] "by hand")),
            Mark::File => Some(w!(self.0, ["drawing"] "from the file")),
        }
    }

    /// A thing, with its mark where it has one.
    pub fn marked(self, thing: impl Display, mark: Mark) -> String {
        self.mark(mark).map_or_else(|| thing.to_string(), |word| format!("{thing} {word}"))
    }

    /// How it relates to the description, and whether frames pass; nothing where all is well.
    pub fn condition(self, mark: Mark, state: State) -> Vec<String> {
        let state = match state {
            State::NoCarrier if mark != Mark::Missing => Some(w!(self.0, ["drawing"] "no carrier")),
            State::Down if mark != Mark::Missing => Some(w!(self.0, ["drawing"] "down")),
            State::Up | State::NoCarrier | State::Down => None,
        };
        self.mark(mark).into_iter().chain(state).map(str::to_owned).collect()
    }

    /// An address with its prefix.
    pub fn address(self, address: &Address) -> String {
        self.marked(address.address, address.mark)
    }

    /// The MAC address of an interface, and its addresses.
    pub fn addresses(self, interface: &Interface) -> Vec<String> {
        let addresses = interface.addresses.iter().map(|address| self.address(address));
        interface.mac.iter().map(ToString::to_string).chain(addresses).collect()
    }

    /// What is to say of a node but its name.
    pub fn of_node(self, node: &Node) -> Vec<String> {
        let mut words = self.condition(node.mark, State::Up);
        words.extend(node.forwarding.then(|| "router".to_owned()));
        words.extend(node.gateways.iter().map(|gateway| self.default(*gateway)));
        words
    }

    /// What is to say of a node between subnets but its name.
    pub fn of_router(self, router: &Node) -> Vec<String> {
        let not = (!router.forwarding).then(|| t!(self.0, "does not forward"));
        not.into_iter().chain(self.of_node(router)).collect()
    }

    /// What is to say of an interface but its name and addresses.
    pub fn of_interface(self, interface: &Interface) -> Vec<String> {
        let mut words = self.condition(interface.mark, interface.state);
        if !matches!(interface.kind.as_str(), "veth" | "bridge") {
            words.push(escape(&interface.kind).into_owned());
        }
        if interface.mtu != 1500 {
            words.push(format!("MTU {}", interface.mtu));
        }
        words
    }

    /// A network's name with its kind, and what is to say of it.
    pub fn of_network(self, network: &Network) -> Vec<String> {
        let name = &network.network;
        let mut words = vec![match network.kind {
            NetworkKind::Wire => t!(self.0, "network {name}", name),
            NetworkKind::Switch => format!("switch {name}"),
        }];
        words.extend(self.condition(network.mark, State::Up));
        words.extend(network.deny.then(|| t!(self.0, "promiscuous mode denied")));
        words
    }

    /// What is to say of a cable, or of the network that it is.
    pub fn of_cable(self, cable: &Cable, network: Option<&Network>) -> Vec<String> {
        network.map_or_else(|| self.condition(cable.mark, State::Up), |network| self.of_network(network))
    }

    /// The router of a default route.
    pub fn default(self, gateway: IpAddr) -> String {
        t!(self.0, "default via {gateway}", gateway)
    }

    /// An interface by its name; of a bridge, that it is one.
    pub fn interface(self, interface: &Interface) -> String {
        let name = escape(interface.name.as_str());
        if interface.is_bridge() { format!("bridge {name}") } else { name.into_owned() }
    }

    /// A port of a bridge.
    pub fn port_of(self, bridge: &IfName) -> String {
        t!(self.0, "port of {bridge}", bridge)
    }

    /// The other end of a cable that is not drawn as a line.
    pub fn cable_to(self, end: &str) -> String {
        t!(self.0, "cable to {end}", end)
    }

    /// So many more members of a subnet.
    pub fn more(self, number: usize) -> String {
        t!(self.0, "and {number} more", number)
    }

    /// A container has no interface.
    pub fn no_interface(self) -> String {
        t!(self.0, "no interface")
    }

    /// Nobody has an address.
    pub fn no_subnets(self) -> String {
        t!(self.0, "nobody has an address")
    }

    /// The title: the lab, the layer, and whether it is as described or as it is now.
    pub fn title(self, graph: &Graph) -> String {
        let lab = &graph.lab;
        match (&graph.drawing, graph.live) {
            (Drawing::Physical(_), false) => t!(self.0, "{lab}: how it is wired", lab),
            (Drawing::Physical(_), true) => t!(self.0, "{lab}: how it is wired, as it is now", lab),
            (Drawing::L3(_), false) => t!(self.0, "{lab}: subnets and routers", lab),
            (Drawing::L3(_), true) => t!(self.0, "{lab}: subnets and routers, as it is now", lab),
        }
    }

    /// What the topology teaches, escaped: of a built-in one in the reader's language.
    pub fn summary(self, graph: &Graph) -> Option<String> {
        let own = graph.summary.as_deref()?;
        Some(escape(find(self.0, "topology", own).unwrap_or(own)).into_owned())
    }
}
