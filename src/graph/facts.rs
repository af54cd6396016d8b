//! Facts by node and interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::Mac;
use crate::plan::{Key, Link, NodeId, Ns, Port, RouteTo, State, Sysctl, Value};

/// What a state says, by whom it is about.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub nodes: BTreeMap<NodeId, Machine>,
    pub pairs: BTreeSet<(Port, Port)>,
}

/// What is said about a node.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub forwarding: bool,
    pub gateways: Vec<IpAddr>,
    pub interfaces: BTreeMap<String, Device>,
}

/// What is said about an interface.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    pub kind: String,
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
    pub bridge: Option<String>,
    pub peer: Option<Port>,
    pub addresses: Vec<IpNet>,
    pub up: bool,
}

impl Facts {
    /// The facts of nodes; what is in the machine's own namespace is no part of a drawing.
    pub(super) fn of(state: &State) -> Self {
        let mut facts = Self::default();
        for (key, value) in state {
            if let Ns::Node(node) = key.ns()
                && key.port().is_none_or(|port| port.dev.as_str() != "lo")
            {
                facts.add(node, key, value);
            }
        }
        facts
    }

    fn add(&mut self, node: &NodeId, key: &Key, value: &Value) {
        if let (Key::Link(port), Value::Link(link)) = (key, value) {
            return self.link(port, link);
        }
        let machine = self.nodes.entry(node.clone()).or_default();
        match (key, value) {
            (Key::Sysctl(_, Sysctl::Forward4 | Sysctl::Forward6), Value::Number(1)) => machine.forwarding = true,
            (Key::Route(_, _, to, _), Value::Route(RouteTo::Via(via, _))) if to.prefix_len() == 0 => machine.gateways.push(*via),
            _ => {}
        }
        let Some(device) = key.port().map(|port| port.dev.as_str()).and_then(|dev| machine.interfaces.get_mut(dev)) else {
            return;
        };
        match (key, value) {
            (Key::Mac(_), Value::Mac(mac)) => device.mac = Some(*mac),
            (Key::Mtu(_), Value::Number(mtu)) => device.mtu = Some(*mtu),
            (Key::Member(_), Value::Master(bridge)) => device.bridge = Some(bridge.to_string()),
            (Key::Addr(_, address), _) => device.addresses.push(*address),
            (Key::Up(_), _) => device.up = true,
            _ => {}
        }
    }

    /// Links come before all else that is said about them.
    fn link(&mut self, port: &Port, link: &Link) {
        let kind = match link {
            Link::Bridge => "bridge",
            Link::Veth { .. } => "veth",
            Link::Other(kind) => kind,
        };
        self.device(port, kind, link.peer());
        if let Some(peer) = link.peer() {
            self.device(peer, kind, Some(port));
            self.pairs.insert((port.clone(), peer.clone()));
        }
    }

    fn device(&mut self, port: &Port, kind: &str, peer: Option<&Port>) {
        let Ns::Node(node) = &port.ns else { return };
        let device = Device { kind: kind.to_owned(), peer: peer.cloned(), ..Device::default() };
        self.nodes.entry(node.clone()).or_default().interfaces.insert(port.dev.to_string(), device);
    }

    pub(super) fn at(&self, port: &Port) -> Option<&Device> {
        let Ns::Node(node) = &port.ns else { return None };
        self.nodes.get(node)?.interfaces.get(port.dev.as_str())
    }
}
