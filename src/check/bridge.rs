//! `bridge`: what a bridge of a host joins.

use super::Stage;
use super::scene::{NicAt, Scene, is_managed};
use super::verdict::Verdict;
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::view::Place;
use crate::report::check::Evidence;
use crate::report::node::Link;
use crate::report::trace::Cause;
use crate::report::wire::Interface;
use crate::topology::checks::{Bridged, Plug};

/// Something that must be plugged in, and where it is.
struct Plugged<'a> {
    /// The host's interface that would be the port.
    port: &'a Link,
    /// The far end of the cable, where it is a container's.
    inner: Option<(&'a Link, String)>,
}

pub(super) fn check(bridged: &Bridged, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    let host = NodeId::Host(bridged.host.clone());
    let place = match scene.place(&host) {
        Ok(place) => place,
        Err(gone) => return Verdict::wrong(gone),
    };
    let mut verdict = Verdict::default();
    let mut plugged = Vec::new();
    for plug in &bridged.ports {
        match find(plug, &bridged.host, scene) {
            Ok(found) => plugged.push(found),
            Err(evidence) => verdict.evidence.push(evidence),
        }
    }
    let all: Vec<&Link> = place.node.links.iter().filter(|link| link.kind == "bridge").collect();
    let ports: Vec<String> = plugged.iter().map(|each| each.port.name.clone()).collect();
    let Some(bridge) = best(bridged, &all, &plugged, scene) else {
        let name = bridged.name.as_ref().map(ToString::to_string);
        verdict.evidence.insert(0, Evidence::NoBridge { host: bridged.host.to_string(), name, ports });
        return verdict;
    };
    if scene.against && is_managed(&bridge.name) {
        let managed = Evidence::ManagedBridge { host: bridged.host.to_string(), bridge: bridge.name.clone(), ports };
        verdict.evidence.push(managed);
        return verdict;
    }
    if !bridge.up {
        verdict.evidence.push(down(place.interface(bridge)));
    }
    for each in &plugged {
        verdict.evidence.extend(port(each, bridge, place));
    }
    verdict.evidence.extend(strangers(bridged, bridge, place, scene));
    verdict
}

/// The bridge with most of what it must join.
fn best<'a>(bridged: &Bridged, all: &[&'a Link], plugged: &[Plugged<'_>], scene: &Scene<'_>) -> Option<&'a Link> {
    let named = all.iter().filter(|bridge| bridged.name.as_ref().is_none_or(|name| name.as_str() == bridge.name));
    let joins = |bridge: &Link| plugged.iter().filter(|each| each.port.bridge.as_deref() == Some(bridge.name.as_str())).count();
    let own = |bridge: &Link| !(scene.against && is_managed(&bridge.name));
    // LXD's own bridge counts only where the cables are in it and there is no other.
    named.copied().filter(|bridge| own(bridge) || joins(bridge) > 0).rev().max_by_key(|bridge| (own(bridge), joins(bridge)))
}

fn find<'a>(plug: &Plug, host: &NodeName, scene: &'a Scene<'_>) -> Result<Plugged<'a>, Evidence> {
    match plug {
        Plug::Nic(name) => {
            let nic = Interface { node: host.to_string(), interface: name.to_string() };
            match scene.nic(host, name) {
                NicAt::Here(port) => Ok(Plugged { port, inner: None }),
                NicAt::Moved(to) => Err(Evidence::NicMoved { nic, to }),
                NicAt::Gone => Err(Evidence::NoNic { nic }),
            }
        }
        Plug::Container(name) => {
            let id = NodeId::Container(host.clone(), name.clone());
            scene.place(&id)?;
            let cables = scene.cables(&id);
            let here = |place: &Place| place.id == NodeId::Host(host.clone());
            let mut own: Vec<_> = cables.iter().filter_map(|cable| Some((cable.inner, cable.end?))).collect();
            own.retain(|(_, (place, _))| here(place));
            // A second cable that LXD made is none of the scenario's.
            own.sort_by_key(|(_, (_, link))| link.bridge.as_deref().is_none_or(|bridge| scene.against && is_managed(bridge)));
            if let Some((inner, (_, port))) = own.into_iter().next() {
                return Ok(Plugged { port, inner: Some((inner, id.to_string())) });
            }
            Err(match cables.first() {
                None => Evidence::NoCable { node: id.to_string() },
                Some(cable) => Evidence::CableElsewhere {
                    interface: Interface { node: id.to_string(), interface: cable.inner.name.clone() },
                    end: cable.end.map(|(place, link)| place.interface(link)),
                },
            })
        }
    }
}

/// What is wrong with one port.
fn port(plugged: &Plugged<'_>, bridge: &Link, place: &Place) -> Vec<Evidence> {
    let at = place.interface(plugged.port);
    match &plugged.port.bridge {
        None if plugged.inner.is_some() => {
            let cause = Cause::NotInBridge { interface: at, bridges: vec![bridge.name.clone()] };
            return vec![Evidence::Because { cause, certain: true }];
        }
        None => return vec![Evidence::NotInBridge { interface: at, bridge: Some(bridge.name.clone()) }],
        Some(other) if *other != bridge.name => {
            return vec![Evidence::OtherBridge { interface: at, bridge: other.clone(), wanted: bridge.name.clone() }];
        }
        Some(_) => {}
    }
    let mut evidence = Vec::new();
    if !plugged.port.up {
        evidence.push(down(at.clone()));
    }
    if let Some((inner, node)) = &plugged.inner
        && !inner.up
    {
        evidence.push(down(Interface { node: node.clone(), interface: inner.name.clone() }));
    }
    let settings = place.tables.named(&plugged.port.name).and_then(|link| link.port);
    if let Some(settings) = settings
        && settings.isolated
    {
        let cause = Cause::PortClosed { interface: at.clone(), state: "isolated".to_owned() };
        evidence.push(Evidence::Because { cause, certain: true });
    }
    let of_hosts = |net: &&ipnet::IpNet| !crate::probe::ping::stations::is_link_local(net.addr());
    if let Some(address) = plugged.port.addresses.iter().find(of_hosts) {
        let cause = Cause::AddressOnPort { interface: at, address: *address, bridge: bridge.name.clone() };
        evidence.push(Evidence::Because { cause, certain: true });
    }
    evidence
}

fn down(interface: Interface) -> Evidence {
    Evidence::Because { cause: Cause::LinkDown { interface, peer: None }, certain: true }
}

/// NICs of the host in the bridge that should not be there, and cables that lead out of the host.
fn strangers(bridged: &Bridged, bridge: &Link, place: &Place, scene: &Scene<'_>) -> Vec<Evidence> {
    let wanted = |name: &str| {
        bridged.ports.iter().any(|plug| match plug {
            Plug::Nic(nic) => matches!(scene.nic(&bridged.host, nic), NicAt::Here(link) if link.name == name),
            Plug::Container(_) => false,
        })
    };
    let nics = scene.lab.host(bridged.host.as_str()).map_or(&[][..], |host| &host.nics);
    let is_nic = |link: &Link| {
        let leads_out = link
            .peer
            .as_ref()
            .and_then(|peer| peer.node.as_ref())
            .is_some_and(|node| *node != place.node.node && !node.starts_with(&format!("{}.", place.node.node)));
        nics.iter().any(|nic| nic.name.as_str() == link.name) || leads_out
    };
    let ports = place.node.links.iter().filter(|link| link.bridge.as_deref() == Some(bridge.name.as_str()));
    let strange = ports.filter(|link| is_nic(link) && !wanted(&link.name));
    strange
        .map(|link| Evidence::ForeignPort {
            interface: place.interface(link),
            bridge: bridge.name.clone(),
            network: scene.network_of(&bridged.host, &link.name).map(|network| network.to_string()),
        })
        .collect()
}
