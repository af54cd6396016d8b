//! What was launched, stopped or configured in a lab is work: a file that is brought up again keeps it.

use super::{Attach, Container, Host, Topology};
use crate::lxd::devices;
use crate::name::IfName;

impl Topology {
    /// Takes over what was done to the instances of `old` since it came from its file; whether there was anything.
    ///
    /// Numbers have been inherited before. A container that the file has gained under the name of a launched one is the
    /// file's.
    pub fn carry(&mut self, old: &Self) -> bool {
        let mut any = false;
        for host in &mut self.hosts {
            let Some(before) = old.host(host.name.as_str()) else { continue };
            any |= host.carry(before);
        }
        any
    }

    /// Every container with its host.
    pub fn instances(&self) -> impl Iterator<Item = (&Host, &Container)> {
        self.hosts.iter().flat_map(|host| host.containers.iter().map(move |container| (host, container)))
    }

    /// How many containers are stopped.
    pub fn stopped(&self) -> usize {
        self.instances().filter(|(_, container)| !container.runs()).count()
    }

    /// A container of a host.
    pub fn container(&self, host: &str, name: &str) -> Option<&Container> {
        self.host(host)?.containers.iter().find(|container| container.name.as_str() == name)
    }
}

impl Container {
    /// It has a namespace and links.
    pub fn runs(&self) -> bool {
        self.instance.run != super::Run::Stopped
    }
}

impl Host {
    /// The containers that have a namespace and links.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.runs())
    }

    fn carry(&mut self, old: &Self) -> bool {
        let mut any = false;
        for bridge in old.bridges.iter().filter(|bridge| bridge.managed.is_some()) {
            if self.is_free(&bridge.name) {
                self.bridges.push(bridge.clone());
                // A NIC comes up for the network that it was given to.
                self.nics.iter_mut().filter(|nic| bridge.ports.contains(&nic.name)).for_each(|nic| nic.up = true);
                any = true;
            }
        }
        for before in old.containers.iter().filter(|container| !container.instance.is_plain()) {
            let here = self.containers.iter().position(|container| container.name == before.name);
            match here {
                Some(at) => {
                    let mut instance = before.instance.clone();
                    instance.launched = false;
                    instance.given = None;
                    self.containers[at].instance = instance;
                    let own = self.containers[at].instance.devices.clone();
                    devices::plug(self, at, own);
                }
                None if before.instance.launched => self.adopt(before.clone(), old),
                None => continue,
            }
            any = true;
        }
        any
    }

    /// A launched container whose bridge or names the file has taken away meanwhile is plugged in nowhere, under free names.
    /// A bridge that was in no file was made by hand, and may still be there.
    fn adopt(&mut self, mut container: Container, old: &Self) {
        let mut nics = std::mem::take(&mut container.nics);
        for nic in &mut nics {
            let Attach::Host(end) = &mut nic.attach else { continue };
            let among = |host: &Self, name: &IfName| host.bridges.iter().any(|own| own.name == *name);
            if end.bridge.as_ref().is_some_and(|bridge| among(old, bridge) && !among(self, bridge)) {
                end.bridge = None;
                nic.addresses.clear();
            }
            if !self.is_free(&end.name) {
                end.name = self.free_end(container.name.as_str());
            }
        }
        container.nics = nics;
        self.containers.push(container);
    }

    /// Whether none of its interfaces has the name.
    pub fn is_free(&self, name: &IfName) -> bool {
        let ends = self.containers.iter().flat_map(|container| &container.nics).filter_map(|nic| nic.attach.host_end());
        let own = self.nics.iter().map(|nic| &nic.name).chain(self.bridges.iter().map(|bridge| &bridge.name));
        own.chain(ends.map(|end| &end.name)).all(|taken| taken != name)
    }

    /// A free name for the host's end of a container's cable: `veth-CONTAINER` where it fits and is free.
    pub fn free_end(&self, container: &str) -> IfName {
        let numbered = (1..).map(|number| format!("veth{number}"));
        let names = [format!("veth-{container}")].into_iter().chain(numbered);
        let free = |name: &IfName| self.is_free(name);
        names.filter_map(|name| name.parse().ok()).find(free).unwrap_or_else(IfName::loopback)
    }
}
