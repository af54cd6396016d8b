//! What the sandbox of a lab's node looks like, and its hosts file: every node by its name, so that `ping b1` works.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use crate::kernel::sandbox::{Clients, Spec};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::topology::{Attach, Topology};

/// What a node's sandbox looks like, with a private root or the machine's own; a host's with what [`super::agents::clients`] gives it.
pub fn spec(lab: &LabName, node: &NodeId, described: &Topology, real_root: bool, clients: Option<Clients>) -> Spec {
    Spec {
        lab: lab.to_string(),
        node: node.to_string(),
        hostname: node.name().to_string(),
        hosts: hosts_file(described),
        is_host: matches!(node, NodeId::Host(_)),
        real_root,
        clients,
    }
}

/// The text of `/etc/hosts` inside the nodes of a lab.
///
/// A container is `a1.host-a`, and `a1` where no other node bears that name. The first address of a node is the one its
/// name is looked up to.
fn hosts_file(topology: &Topology) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    let hosts = topology.hosts.iter().map(|host| host.name.as_str());
    let containers = topology.hosts.iter().flat_map(|host| &host.containers).map(|container| container.name.as_str());
    let mut named: HashMap<&str, usize> = HashMap::new();
    for name in hosts.chain(containers) {
        *named.entry(name).or_default() += 1;
    }
    let alone = |name: &str| named.get(name) == Some(&1);
    for host in &topology.hosts {
        let nics = host.nics.iter().flat_map(|nic| &nic.addresses);
        let bridges = host.bridges.iter().flat_map(|bridge| &bridge.addresses);
        let ends = host.containers.iter().flat_map(|container| &container.nics).flat_map(|nic| match &nic.attach {
            Attach::Host(end) => end.addresses.as_slice(),
            Attach::Network(_) => &[],
        });
        lines(&mut text, nics.chain(bridges).chain(ends).map(ipnet::IpNet::addr), host.name.as_str());
        for container in &host.containers {
            let mut words = format!("{}.{}", container.name, host.name);
            if alone(container.name.as_str()) {
                words = format!("{} {words}", container.name);
            }
            lines(&mut text, container.nics.iter().flat_map(|nic| &nic.addresses).map(ipnet::IpNet::addr), &words);
        }
    }
    text
}

fn lines(text: &mut String, addresses: impl Iterator<Item = IpAddr>, names: &str) {
    for address in addresses {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address} {names}");
    }
}
