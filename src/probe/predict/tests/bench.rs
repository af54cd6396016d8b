//! A lab on paper: the tables that the kernel would have, from a topology and changes to its facts, without root.

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;

use crate::kernel::tables::{Link, Neighbour, Tables};
use crate::lab::subject::Prompt;
use crate::name::{IfName, Mac};
use crate::plan::{self, Fact, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl, compile};
use crate::probe::view::{Looked, View, paper};
use crate::topology::{catalog, parse};

/// A lab that is described, before anything goes wrong.
#[derive(Clone)]
pub(super) struct Bench {
    state: State,
    described: State,
    name: String,
}

impl Bench {
    /// A shipped topology, or a file's text.
    pub(super) fn new(topology: &str) -> Self {
        let text = catalog::find(topology).unwrap_or(topology);
        // What is checked is no matter here.
        let parsed =
            parse("bench.yaml", text.split("checkpoints:").next().unwrap(), &[]).unwrap_or_else(|error| panic!("{error:?}"));
        let state = compile(&parsed);
        Self { described: state.clone(), state, name: parsed.name.to_string() }
    }

    /// Without the facts whose `ip` lines contain the words; there must be some.
    pub(super) fn without(mut self, words: &str) -> Self {
        let before = self.state.len();
        self.state.retain(|fact| !plan::Op::Add(fact.clone()).to_string().contains(words));
        assert!(self.state.len() < before, "nothing has {words:?}");
        self
    }

    pub(super) fn address(mut self, node: &str, dev: &str, net: &str) -> Self {
        self.state.insert(Fact::Addr(port(node, dev), net.parse().unwrap()));
        self
    }

    pub(super) fn mac(mut self, node: &str, dev: &str, mac: &str) -> Self {
        self.state.insert(Fact::Mac(port(node, dev), mac.parse().unwrap()));
        self
    }

    pub(super) fn mtu(mut self, node: &str, dev: &str, mtu: u32) -> Self {
        self.state.insert(Fact::Mtu(port(node, dev), mtu));
        self
    }

    pub(super) fn forwarding(mut self, node: &str, setting: Sysctl, on: bool) -> Self {
        self.state.insert(Fact::Sysctl(ns(node), setting, u32::from(on)));
        self
    }

    pub(super) fn route(mut self, node: &str, to: &str, route: RouteTo) -> Self {
        self.state.insert(Fact::Route(ns(node), MAIN_TABLE, net(to), 0, route));
        self
    }

    /// The tables that the kernel would have.
    pub(super) fn view(self) -> View {
        let places = paper::places(&self.state);
        let (lab, described) = (self.name.parse().unwrap(), Looked::Known(self.described));
        View { lab, places, absent: Vec::new(), described, prompt: Prompt::ours(None) }
    }
}

/// A node by its name in reports.
pub(super) fn node(name: &str) -> NodeId {
    match name.split_once('.') {
        Some((host, container)) => NodeId::Container(host.parse().unwrap(), container.parse().unwrap()),
        None => NodeId::Host(name.parse().unwrap()),
    }
}

fn ns(name: &str) -> Ns {
    Ns::Node(node(name))
}

fn port(node: &str, dev: &str) -> Port {
    Port { ns: ns(node), dev: IfName::observed(dev) }
}

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A route by a router.
pub(super) fn via(gateway: &str, dev: &str) -> RouteTo {
    RouteTo::Via(gateway.parse().unwrap(), IfName::observed(dev))
}

impl View {
    /// The tables of a node, to be changed.
    pub(super) fn tables(&mut self, name: &str) -> &mut Tables {
        &mut self.places.iter_mut().find(|place| place.node.node == name).unwrap().tables
    }

    /// A host and its containers are on another machine, where nobody looks.
    pub(super) fn elsewhere(mut self, host: &str) -> Self {
        let inside = format!("{host}.");
        for place in self.places.iter_mut().filter(|place| place.node.node == host || place.node.node.starts_with(&inside)) {
            place.far = true;
        }
        self
    }

    /// An interface, to be changed.
    pub(super) fn link(&mut self, name: &str, dev: &str) -> &mut Link {
        self.tables(name).links.iter_mut().find(|link| link.name == dev).unwrap()
    }

    /// A neighbour entry.
    pub(super) fn neighbour(&mut self, name: &str, dev: &str, address: &str, mac: &str, state: NeighbourState) {
        let dev = self.link(name, dev).index;
        let mac = Some(mac.parse().unwrap());
        self.tables(name).neighbours.push(Neighbour { address: address.parse().unwrap(), dev, mac, state });
    }
}

/// A MAC address.
pub(super) fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}
