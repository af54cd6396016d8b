//! An instance's own devices, as LXD has them, become NICs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::options;
use crate::error::DeviceFault;
use crate::name::{IfName, Mac};
use crate::topology::{Attach, Container, Host, HostEnd, Keys, Nic};

/// What can be told of a device that is a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A cable to a bridge of the host.
    Bridged(String),
    /// A cable whose other end is an interface of the host.
    Cable,
    /// An interface of the host that moves into the instance while it runs.
    Physical(IfName),
    /// No NIC; of a NIC of that name it takes the place.
    Other,
}

/// What a device is.
///
/// # Errors
/// Where a NIC lacks what it needs.
pub fn kind(device: &Keys) -> Result<Kind, DeviceFault> {
    let get = |key: &str| device.get(key).filter(|value| !value.is_empty());
    if get("type").map(String::as_str) != Some("nic") {
        return Ok(Kind::Other);
    }
    if let Some(network) = get("network") {
        return Ok(Kind::Bridged(network.clone()));
    }
    match get("nictype").map(String::as_str) {
        Some("bridged") => get("parent").cloned().map(Kind::Bridged).ok_or(DeviceFault::Missing("parent")),
        Some("p2p") => Ok(Kind::Cable),
        Some("physical") => {
            let parent = get("parent").ok_or(DeviceFault::Missing("parent"))?;
            let name = parent.parse().map_err(|_| DeviceFault::Value("parent", parent.clone()))?;
            Ok(Kind::Physical(name))
        }
        Some(other) if options::ELSEWHERE.contains(&other) => Err(DeviceFault::Unserved(format!("nictype={other}"))),
        Some(other) => Err(DeviceFault::Value("nictype", other.to_owned())),
        None => Err(DeviceFault::Missing("nictype")),
    }
}

/// The interface name that a device has inside.
pub fn interface(name: &str, device: &Keys) -> Result<IfName, DeviceFault> {
    let word = device.get("name").filter(|word| !word.is_empty()).map_or(name, String::as_str);
    word.parse().map_err(|_| DeviceFault::Value("name", word.to_owned()))
}

/// What the devices of a container are wrong in, before anything is changed: the device, the fault. Bridges made by hand are as
/// good as the host's own.
///
/// # Errors
/// The first fault.
pub fn check(
    host: &Host,
    container: &Container,
    devices: &BTreeMap<String, Keys>,
    by_hand: &BTreeSet<IfName>,
) -> Result<(), (String, DeviceFault)> {
    let (mut names, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let replaced = |nic: &&Nic| devices.iter().any(|(name, device)| interface(name, device).as_ref() == Ok(&nic.name));
    let given = container.instance.given.as_ref().unwrap_or(&container.nics).iter().filter(|nic| !replaced(nic));
    let stays: BTreeSet<IfName> = given.filter_map(|nic| nic.attach.host_end()).map(|end| end.name.clone()).collect();
    for (name, device) in devices {
        let fault = |fault| (name.clone(), fault);
        let kind = kind(device).map_err(fault)?;
        let attachment = match &kind {
            Kind::Bridged(_) => 'B',
            Kind::Cable => 'C',
            Kind::Physical(_) => 'P',
            Kind::Other => {
                options::other(device).map_err(fault)?;
                continue;
            }
        };
        options::nic(device, attachment).map_err(fault)?;
        let inner = interface(name, device).map_err(fault)?;
        if !names.insert(inner.clone()) {
            return Err(fault(DeviceFault::Twice(inner.to_string())));
        }
        if let Kind::Bridged(bridge) = &kind
            && !host.bridges.iter().map(|own| &own.name).chain(by_hand).any(|own| own.as_str() == bridge)
        {
            return Err(fault(DeviceFault::NoBridge(bridge.clone())));
        }
        parts(device).map_err(fault)?;
        if let Some(word) = device.get("host_name").filter(|word| !word.is_empty()) {
            let asked: IfName = word.parse().map_err(|_| fault(DeviceFault::Value("host_name", word.clone())))?;
            let own = container.nics.iter().filter_map(|nic| nic.attach.host_end()).any(|end| end.name == asked);
            if stays.contains(&asked) || !own && !host.is_free(&asked) || !ends.insert(asked) {
                return Err(fault(DeviceFault::Taken(word.clone())));
            }
        }
    }
    Ok(())
}

/// The keys that are numbers and addresses: MAC address, MTU, IP addresses without prefix.
type Parts = (Option<Mac>, Option<u32>, Vec<IpAddr>);

fn parts(device: &Keys) -> Result<Parts, DeviceFault> {
    let get = |key: &'static str| device.get(key).filter(|value| !value.is_empty()).map(|value| (key, value));
    let fault = |(key, value): (&'static str, &String)| DeviceFault::Value(key, value.clone());
    let lower = |value: &String| value.to_ascii_lowercase();
    let mac = get("hwaddr").map(|at| lower(at.1).parse().ok().filter(|mac: &Mac| mac.is_unicast()).ok_or_else(|| fault(at)));
    let mtu = get("mtu").map(|at| at.1.parse().ok().filter(|mtu| (68..=65535).contains(mtu)).ok_or_else(|| fault(at)));
    let none = |at: &(&'static str, &String)| at.1.as_str() != "none";
    let addresses = ["ipv4.address", "ipv6.address"].into_iter().filter_map(get).filter(none);
    let addresses: Result<Vec<IpAddr>, DeviceFault> =
        addresses.map(|at| at.1.split('/').next().unwrap_or_default().parse().map_err(|_| fault(at))).collect();
    Ok((mac.transpose()?, mtu.transpose()?, addresses?))
}

/// Gives a container these devices of its own: its NICs follow. What makes no NIC is passed over; [`check`] tells.
pub fn plug(host: &mut Host, at: usize, own: BTreeMap<String, Keys>) {
    let Some(container) = host.containers.get_mut(at) else { return };
    let before = std::mem::take(&mut container.nics);
    let given = container.instance.given.take().unwrap_or_else(|| before.clone());
    let replaced = |nic: &Nic| {
        own.iter().any(|(name, device)| {
            let other = kind(device) == Ok(Kind::Other) && device.get("type").map(String::as_str) != Some("none");
            !other && (name == nic.name.as_str() || interface(name, device).as_ref() == Ok(&nic.name))
        })
    };
    let mut nics: Vec<Nic> = given.iter().filter(|nic| !replaced(nic)).cloned().collect();
    let name = container.name.clone();
    let mut vias = Vec::new();
    for (word, device) in &own {
        let used: BTreeSet<u8> = nics.iter().chain(&before).chain(&given).map(|nic| nic.number).collect();
        let fresh = (0..=u8::MAX).find(|number| !used.contains(number)).unwrap_or(u8::MAX);
        let Some(mut nic) = nic(host, name.as_str(), (word, device), [&before, &given], (&nics, fresh)) else { continue };
        if nic.addresses.is_empty() && nic.name.as_str() == "eth0" {
            // An image asks for an address on eth0; only a bridge that a container manager has made answers.
            for (address, via) in managed(host, &nic).map(|bridge| leases(host, bridge)).unwrap_or_default() {
                nic.addresses.push(address);
                vias.push(via);
            }
        }
        nics.push(nic);
    }
    let Some(container) = host.containers.get_mut(at) else { return };
    container.instance.given = (nics != given).then_some(given);
    container.nics = nics;
    container.instance.devices = own;
    // One that no NIC reaches makes no route.
    vias.retain(|via| !container.gateways.contains(via));
    container.gateways.extend(vias);
}

/// The bridge that a NIC is plugged into, where a container manager would have made it.
fn managed<'a>(host: &'a Host, nic: &Nic) -> Option<&'a IfName> {
    let bridge = nic.attach.host_end()?.bridge.as_ref()?;
    let own = host.bridges.iter().find(|own| own.name == *bridge)?;
    (own.managed.is_some() || own.name.as_str().starts_with("lxdbr")).then_some(&own.name)
}

fn nic(
    host: &Host,
    container: &str,
    (word, device): (&str, &Keys),
    known: [&Vec<Nic>; 2],
    (taken, fresh): (&[Nic], u8),
) -> Option<Nic> {
    let (kind, name) = (kind(device).ok()?, interface(word, device).ok()?);
    let bridge = match kind {
        Kind::Bridged(bridge) => Some(bridge.parse::<IfName>().ok()?),
        Kind::Cable => None,
        Kind::Physical(_) | Kind::Other => return None,
    };
    let (mac, mtu, asked) = parts(device).ok()?;
    let old = known.iter().find_map(|nics| nics.iter().find(|nic| nic.name == name));
    let number = old.map(|nic| nic.number).filter(|number| taken.iter().all(|nic| nic.number != *number)).unwrap_or(fresh);
    let ends: Vec<&IfName> = taken.iter().filter_map(|nic| nic.attach.host_end()).map(|end| &end.name).collect();
    let called = device.get("host_name").and_then(|word| word.parse::<IfName>().ok());
    let before = old.and_then(|nic| nic.attach.host_end()).map(|end| end.name.clone());
    let free = |name: &IfName| host.is_free(name) && !ends.contains(&name);
    let mut spare = [format!("veth-{container}"), format!("veth-{container}-{number}")].into_iter();
    let numbered = (1..10_000).map(|number| format!("veth{number}"));
    let found = || spare.by_ref().chain(numbered).filter_map(|name| name.parse().ok()).find(free);
    let end_name = called.or(before.filter(|name| !ends.contains(&name))).or_else(found)?;
    let on = bridge.as_ref().and_then(|bridge| host.bridges.iter().find(|own| own.name == *bridge));
    let subnet = |address: &IpAddr| on?.addresses.iter().find(|net| net.contains(address)).map(IpNet::prefix_len);
    let prefixed = |address: &IpAddr| {
        let length = subnet(address).unwrap_or(if address.is_ipv4() { 24 } else { 64 });
        IpNet::new(*address, length).ok()
    };
    let same = |nic: &&Nic| bridge.is_some() && nic.attach.host_end().is_some_and(|end| end.bridge == bridge);
    let addresses = if asked.is_empty() {
        // Plugged into the same bridge as before it keeps its addresses.
        old.filter(same).map(|nic| nic.addresses.clone()).unwrap_or_default()
    } else {
        asked.iter().filter_map(prefixed).collect()
    };
    let host_end = HostEnd { name: end_name, bridge, addresses: Vec::new(), mac: None };
    Some(Nic { name, number, attach: Attach::Host(host_end), addresses, mac, mtu, up: true })
}

/// Free addresses of a bridge's subnets, as DHCP would lease them, each with its gateway: the host's own.
///
/// A subnet without room, or with less than two addresses to give, leases none.
pub fn leases(host: &Host, bridge: &IfName) -> Vec<(IpNet, IpAddr)> {
    let Some(bridge) = host.bridges.iter().find(|own| own.name == *bridge) else { return Vec::new() };
    let taken = host.taken();
    let roomy = bridge.addresses.iter().filter(|net| net.max_prefix_len() - net.prefix_len() > 1);
    roomy.filter_map(|net| Some((free(*net, &taken)?, net.addr()))).collect()
}

/// A free address of the only IPv4 subnet that a host's containers on a bridge have, and their gateway in it.
pub fn beside(host: &Host, bridge: &IfName, taken: &BTreeSet<IpAddr>) -> Option<(IpNet, Option<IpAddr>)> {
    let on = |nic: &&Nic| nic.attach.host_end().is_some_and(|end| end.bridge.as_ref() == Some(bridge));
    let all = || host.containers.iter().flat_map(|container| &container.nics).filter(on).flat_map(|nic| &nic.addresses);
    let subnets: BTreeSet<IpNet> = all().filter(|net| net.addr().is_ipv4() && net.prefix_len() < 31).map(IpNet::trunc).collect();
    let subnet = *subnets.first().filter(|_| subnets.len() == 1)?;
    let via = host.containers.iter().flat_map(|container| &container.gateways).find(|via| subnet.contains(*via));
    Some((free(subnet, taken)?, via.copied()))
}

/// A free address of a subnet, with its prefix: as with DHCP servers the first ones are left to what is configured by hand.
fn free(net: IpNet, taken: &BTreeSet<IpAddr>) -> Option<IpNet> {
    let free = |address: &IpAddr| !taken.contains(address);
    let address = net.hosts().skip(99).find(free).or_else(|| net.hosts().find(free))?;
    IpNet::new(address, net.prefix_len()).ok()
}

impl Host {
    /// Every address of the host and its containers.
    pub fn taken(&self) -> BTreeSet<IpAddr> {
        let bridges = self.bridges.iter().flat_map(|bridge| &bridge.addresses);
        let own = self.nics.iter().flat_map(|nic| &nic.addresses).chain(bridges);
        let inside = self.containers.iter().flat_map(|container| &container.nics).flat_map(|nic| {
            let end: &[IpNet] = nic.attach.host_end().map_or(&[], |end| &end.addresses);
            nic.addresses.iter().chain(end)
        });
        own.chain(inside).map(IpNet::addr).collect()
    }
}
