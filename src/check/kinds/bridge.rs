//! `bridge`: what a bridge of a host joins.

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Bench, Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, found, host};
use crate::check::scene::Scene;
use crate::name::{IfName, NodeName};
use crate::plan::{NodeId, quoted};
use crate::probe::cure::cure;
use crate::probe::is_link_local;
use crate::probe::view::Place;
use crate::probe::view::is_managed;
use crate::problem::Reference;
use crate::render::lang::{and, t};
use crate::render::sentences::statement::{Say, Words};
use crate::report::machine::Link;
use crate::report::trace::Cause;
use crate::report::wire::Interface;
use crate::topology::Host;
use crate::topology::reader::{At, Item, Scope};
use crate::topology::values::{many, name, parsed, text};

/// What a bridge joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridged {
    /// The host that the bridge is in.
    host: NodeName,
    /// Its name, where it matters.
    name: Option<IfName>,
    /// What must be plugged into it; further containers may be, further NICs may not.
    ports: Vec<Plug>,
}

/// Something that is plugged into a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plug {
    /// A NIC of the host.
    Nic(IfName),
    /// A container of the host, by its cable.
    Container(NodeName),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The host has no bridge, or none of that name; its interfaces that should be ports.
    NoBridge { host: String, name: Option<String>, ports: Vec<String> },
    /// A cable that does not end in its own host.
    CableElsewhere { interface: Interface, end: Option<Interface> },
    /// A port that is wanted is in another bridge.
    OtherBridge { interface: Interface, bridge: String, wanted: String },
    /// A port that is wanted is in no bridge.
    NotInBridge { interface: Interface, bridge: String },
    /// A NIC that is not wanted is in the bridge.
    ForeignPort { interface: Interface, bridge: String, network: Option<String> },
    /// The bridge is one that LXD, Docker or libvirt made, with NAT and DHCP of its own.
    ManagedBridge { host: String, bridge: String, ports: Vec<String> },
}

impl Seen for Found {
    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        match self {
            Self::OtherBridge { interface, bridge, wanted } => {
                let (interface, bridge, wanted) = (interface.clone(), bridge.clone(), Some(wanted.clone()));
                cure(bench.view, &Cause::WrongBridge { interface, bridge, wanted })
            }
            Self::ForeignPort { interface, bridge, .. } => {
                let (interface, bridge) = (interface.clone(), bridge.clone());
                cure(bench.view, &Cause::WrongBridge { interface, bridge, wanted: None })
            }
            Self::NoBridge { host, name, ports } => made(bench, host, name.as_deref(), ports),
            Self::ManagedBridge { host, ports, .. } => made(bench, host, None, ports),
            Self::NotInBridge { interface, bridge } => {
                let cause = Cause::NotInBridge { interface: interface.clone(), bridges: vec![bridge.clone()] };
                cure(bench.view, &cause)
            }
            Self::CableElsewhere { interface, end } => {
                let host = interface.node.split('.').next().unwrap_or(&interface.node).to_owned();
                let port = end.as_ref().map_or_else(String::new, |end| end.interface.clone());
                let home = Interface { node: host, interface: port };
                cure(bench.view, &Cause::CableElsewhere { interface: interface.clone(), end: end.clone(), home })
            }
        }
    }
}

/// How a bridge is made, where there is none of the student's own, and how ports come into it.
fn made(bench: &Bench<'_>, host: &str, name: Option<&str>, ports: &[String]) -> Vec<String> {
    let taken = |name: &str| bench.view.named(host).is_some_and(|place| place.named(name).is_some());
    let free = (0..100).map(|number| format!("br{number}")).find(|name| !taken(name)).unwrap_or_default();
    let name = name.unwrap_or(&free);
    let mut lines = vec![format!("ip link add {name} type bridge"), format!("ip link set {name} up")];
    lines.extend(ports.iter().map(|port| format!("ip link set {} master {name} up", quoted(port))));
    lines.into_iter().map(|line| bench.exec(host, &line)).collect()
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        let at = |interface: &Interface| words.interface(interface);
        match self {
            Self::NoBridge { host, name: Some(bridge), .. } => t!(lang, "{host} has no bridge {bridge}.", host, bridge),
            Self::NoBridge { host, name: None, .. } => t!(lang, "{host} has no bridge of its own.", host),
            Self::CableElsewhere { interface, end: Some(end) } => {
                t!(lang, "The cable of {interface} leads to {end}, not to its host.", interface = at(interface), end = at(end))
            }
            Self::CableElsewhere { interface, end: None } => {
                t!(lang, "The cable of {interface} leads nowhere in the lab.", interface = at(interface))
            }
            Self::OtherBridge { interface, bridge, wanted } => {
                t!(lang, "{interface} is a port of {bridge}, not of {wanted}.", interface = at(interface), bridge, wanted)
            }
            Self::NotInBridge { interface, bridge } => {
                t!(lang, "{interface} is no port of {bridge}.", interface = at(interface), bridge)
            }
            Self::ForeignPort { interface, bridge, network: Some(network) } => t!(
                lang,
                "{nic}, the NIC on {network}, is a port of {bridge}, so the bridge leads out of the host.",
                nic = at(interface),
                network,
                bridge
            ),
            Self::ForeignPort { interface, bridge, network: None } => {
                t!(lang, "{nic} is a port of {bridge}, so the bridge leads out of the host.", nic = at(interface), bridge)
            }
            Self::ManagedBridge { host, bridge, .. } => t!(
                lang,
                "{host} uses {bridge}, which is the container manager's own bridge; the scenario needs one that you make.",
                host,
                bridge
            ),
        }
    }
}

impl Kind for Bridged {
    const ABOUT: &'static str = "What a bridge joins.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let host = keys.required("host", "The host.", host);
            let name = keys.optional("name", "The bridge; any bridge of the host unless given.", parsed(name));
            let about = "NICs of the host and containers: further containers may be on it, further NICs may not.";
            let words = keys.required("ports", about, many(text));
            let (host, words) = (host?, words?);
            let ports = found(words.iter().map(|word| plug(host, word, keys.scope)));
            Some(Self { host: host.name.clone(), name, ports: ports? })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let plug = |plug: &Plug| match plug {
            Plug::Nic(nic) => nic.to_string(),
            Plug::Container(name) => words.node(&format_args!("{}.{name}", self.host)),
        };
        let (lang, host) = (words.lang, &self.host);
        let ports = and(lang, &self.ports.iter().map(plug).collect::<Vec<_>>());
        let nic = self.ports.iter().any(|plug| matches!(plug, Plug::Nic(_)));
        match (&self.name, nic) {
            (Some(bridge), true) => t!(lang, "the bridge {bridge} of {host} joins {ports}", bridge, host, ports),
            (Some(bridge), false) => t!(lang, "the bridge {bridge} of {host} joins {ports}, and no NIC", bridge, host, ports),
            (None, true) => t!(lang, "a bridge of {host} joins {ports}", host, ports),
            (None, false) => t!(lang, "a bridge of {host} joins {ports}, and no NIC", host, ports),
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        let plug = |plug: &Plug| match plug {
            Plug::Nic(nic) => players.nic(&self.host, nic).map(Plug::Nic),
            Plug::Container(name) => {
                let role = Machine(NodeId::Container(self.host.clone(), name.clone()));
                players.machine(&role).map(|player| Plug::Container(player.0.name().clone()))
            }
        };
        let host = players.host(&self.host)?;
        let ports = self.ports.iter().map(plug).collect::<Result<_, _>>()?;
        // Bridges of who plays another topology may have any name.
        let name = self.name.clone().filter(|_| !players.is_another());
        Ok(Self { host, name, ports })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(vec![NodeId::Host(self.host.clone())])
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        let host = NodeId::Host(self.host.clone());
        let place = scene.place(&host)?;
        let mut verdict = Verdict::default();
        let mut plugged = Vec::new();
        for plug in &self.ports {
            match find(plug, &self.host, scene) {
                Ok(found) => plugged.push(found),
                Err(evidence) => verdict.evidence.push(evidence),
            }
        }
        let all: Vec<&Link> = place.node.links.iter().filter(|link| link.kind == "bridge").collect();
        let ports: Vec<String> = plugged.iter().map(|each| each.port.name.clone()).collect();
        let Some(bridge) = best(self, &all, &plugged, scene) else {
            let name = self.name.as_ref().map(ToString::to_string);
            verdict.evidence.insert(0, Found::NoBridge { host: self.host.to_string(), name, ports }.into());
            return Ok(verdict);
        };
        if scene.against && is_managed(&bridge.name) {
            let managed = Found::ManagedBridge { host: self.host.to_string(), bridge: bridge.name.clone(), ports };
            verdict.add(managed);
            return Ok(verdict);
        }
        if !bridge.up {
            verdict.add(Common::down(place.interface(bridge)));
        }
        for each in &plugged {
            verdict.evidence.extend(port(each, bridge, place));
        }
        verdict.evidence.extend(strangers(self, bridge, place, scene));
        Ok(verdict)
    }
}

/// A NIC or a container of the host.
fn plug(host: &Host, word: &At<String>, scope: Scope<'_>) -> Option<Plug> {
    if let Some(nic) = host.nics.iter().find(|nic| nic.name.as_str() == word.value) {
        return Some(Plug::Nic(nic.name.clone()));
    }
    if let Some(container) = host.containers.iter().find(|container| container.name.as_str() == word.value) {
        return Some(Plug::Container(container.name.clone()));
    }
    let nics = host.nics.iter().map(|nic| nic.name.as_str());
    let known: Vec<&str> = nics.chain(host.containers.iter().map(|container| container.name.as_str())).collect();
    scope.unknown(Reference::Plug, word, &known);
    None
}

/// Something that must be plugged in, and where it is.
struct Plugged<'a> {
    /// The host's interface that would be the port.
    port: &'a Link,
    /// The far end of the cable, where it is a container's.
    inner: Option<(&'a Link, String)>,
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
        Plug::Nic(name) => Ok(Plugged { port: scene.nic(host, name)?, inner: None }),
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
                None => Common::NoCable { node: id.to_string() }.into(),
                Some(cable) => {
                    let interface = Interface { node: id.to_string(), interface: cable.inner.name.clone() };
                    Found::CableElsewhere { interface, end: cable.end.map(|(place, link)| place.interface(link)) }.into()
                }
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
            return vec![Common::because(cause, true).into()];
        }
        None => return vec![Found::NotInBridge { interface: at, bridge: bridge.name.clone() }.into()],
        Some(other) if *other != bridge.name => {
            let wanted = bridge.name.clone();
            return vec![Found::OtherBridge { interface: at, bridge: other.clone(), wanted }.into()];
        }
        Some(_) => {}
    }
    let mut evidence = Vec::new();
    if !plugged.port.up {
        evidence.push(Common::down(at.clone()).into());
    }
    if let Some((inner, node)) = &plugged.inner
        && !inner.up
    {
        evidence.push(Common::down(Interface { node: node.clone(), interface: inner.name.clone() }).into());
    }
    let settings = place.tables.named(&plugged.port.name).and_then(|link| link.port);
    if let Some(settings) = settings
        && settings.isolated
    {
        let cause = Cause::PortClosed { interface: at.clone(), state: "isolated".to_owned() };
        evidence.push(Common::because(cause, true).into());
    }
    let of_hosts = |net: &&ipnet::IpNet| !is_link_local(net.addr());
    if let Some(address) = plugged.port.addresses.iter().find(of_hosts) {
        let cause = Cause::AddressOnPort { interface: at, address: *address, bridge: bridge.name.clone() };
        evidence.push(Common::because(cause, true).into());
    }
    evidence
}

/// NICs of the host in the bridge that should not be there, and cables that lead out of the host.
fn strangers(bridged: &Bridged, bridge: &Link, place: &Place, scene: &Scene<'_>) -> Vec<Evidence> {
    let wanted = |name: &str| {
        bridged.ports.iter().any(|plug| match plug {
            Plug::Nic(nic) => scene.nic(&bridged.host, nic).is_ok_and(|link| link.name == name),
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
        .map(|link| {
            let network = scene.network_of(&bridged.host, &link.name).map(|network| network.to_string());
            Found::ForeignPort { interface: place.interface(link), bridge: bridge.name.clone(), network }.into()
        })
        .collect()
}
