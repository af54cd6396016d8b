//! The part that this machine plays: which real NICs stand for those of its host, what of the machine's own is in the way of that,
//! and what gets in the way of labs that have a role here.

use std::collections::BTreeSet;
use std::str::FromStr;

use ipnet::IpNet;
use netlink_packet_route::route::RouteType;

use super::journal::{Journal, Phase};
use super::paths;
use crate::error::{Card, Error, Result, RoleFault, Thing, Using};
use crate::kernel::inspect::{self, Pin};
use crate::kernel::interference::{Facts, Need, judge, look};
use crate::kernel::netns::MACHINE;
use crate::kernel::tables::{Link, Tables};
use crate::name::{IfName, NodeName};
use crate::plan::{Fact, MAIN_TABLE, Ns, compile};
use crate::report::machine::{Interference, Obstacle};
use crate::topology::{Attach, Host, Nics, Topology};

/// The part that this machine is to play.
#[derive(Debug, Clone, Default)]
pub struct Casting {
    /// The host; none where the lab is a whole one, or its part is known already.
    pub host: Option<NodeName>,
    /// The real NICs that were named.
    pub nics: Vec<NicChoice>,
}

/// A real NIC that was named: `NAME`, or `TOPOLOGY=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicChoice {
    /// The NIC of the topology that it stands for.
    pub described: Option<IfName>,
    /// Its name on this machine.
    pub real: IfName,
}

impl FromStr for NicChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let name = |text: &str| IfName::try_from(text.to_owned());
        match text.split_once('=') {
            Some((described, real)) => Ok(Self { described: Some(name(described)?), real: name(real)? }),
            None => Ok(Self { described: None, real: name(text)? }),
        }
    }
}

impl Casting {
    /// The part of the topology, where no machine is asked: a NIC that is not named keeps the topology's name.
    ///
    /// # Errors
    /// When there is no such host or NIC.
    pub fn apart(&self, whole: &Topology) -> Result<Topology> {
        let Some(role) = &self.host else { return Ok(whole.clone()) };
        let host = host(whole, role)?;
        let nics = choose(host, &self.nics, None)?;
        part(whole, role, &nics)
    }
}

/// What a lab is to be: the part that this machine plays and what it is a part of, or the whole alone.
///
/// # Errors
/// When the machine has not the NICs, plays another host, or has a subnet of the lab itself.
pub(super) fn cast(whole: &Topology, casting: &Casting, before: Option<&Journal>) -> Result<(Topology, Option<Topology>)> {
    let now = before.and_then(|before| before.topology.role.as_ref());
    let other = |asked: &NodeName| before.is_some() && now.map(|now| &now.host) != Some(asked);
    if casting.host.as_ref().is_some_and(other) {
        let now = now.map(|now| now.host.to_string());
        return Err(Error::Role(RoleFault::Other { lab: whole.name.to_string(), now }));
    }
    let Some(role) = casting.host.as_ref().or(now.map(|now| &now.host)) else { return Ok((whole.clone(), None)) };
    let host = host(whole, role)?;
    let machine = Machine::look()?;
    let nics = match now {
        Some(now) if casting.nics.is_empty() && host.nics.iter().all(|nic| now.nics.contains_key(&nic.name)) => now.nics.clone(),
        Some(now) => {
            let chosen = choose(host, &casting.nics, Some(&machine.cards()))?;
            if chosen.iter().any(|(name, real)| now.nics.get(name).is_some_and(|plugged| plugged != real)) {
                let nics = now.nics.values().map(ToString::to_string).collect();
                return Err(Error::Role(RoleFault::Plugged { lab: whole.name.to_string(), nics }));
            }
            chosen
        }
        None => choose(host, &casting.nics, Some(&machine.cards()))?,
    };
    let mut part = part(whole, role, &nics)?;
    let own = interfaces(&part);
    for v4 in [true, false] {
        if machine.defaults(v4).any(|dev| !own.contains(dev)) {
            part.keep_default(whole, v4);
        }
    }
    machine.reaches(&part, whole, &own)?;
    Ok((part, Some(whole.clone())))
}

/// The machine's NICs that are free for a role.
///
/// # Errors
/// When the machine cannot be looked at.
pub(super) fn free() -> Result<Vec<String>> {
    let cards = Machine::look()?.cards();
    Ok(cards.into_iter().filter(|card| card.using == Using::Nothing).map(|card| card.name).collect())
}

fn host<'a>(whole: &'a Topology, role: &NodeName) -> Result<&'a Host> {
    whole.host(role.as_str()).ok_or_else(|| {
        let hosts = whole.hosts.iter().map(|host| host.name.to_string()).collect();
        Error::Unknown { what: Thing::Host, word: role.to_string(), candidates: super::resolve::near(role.as_str(), hosts) }
    })
}

fn part(whole: &Topology, role: &NodeName, nics: &Nics) -> Result<Topology> {
    host(whole, role)?;
    whole.part(role, nics).ok_or_else(|| Error::Internal(format!("{role} has no part")))
}

/// A real NIC for each of the host's; of those that nobody named the machine's only free one is taken.
fn choose(host: &Host, choices: &[NicChoice], cards: Option<&[Card]>) -> Result<Nics> {
    let fault = |fault| Err(Error::Role(fault));
    let mut nics = Nics::new();
    for choice in choices {
        let described = match &choice.described {
            Some(name) if host.nics.iter().any(|nic| nic.name == *name) => name,
            Some(name) => {
                let candidates = host.nics.iter().map(|nic| nic.name.to_string()).collect();
                return Err(Error::Unknown { what: Thing::Interface, word: name.to_string(), candidates });
            }
            None => match host.nics.as_slice() {
                [nic] => &nic.name,
                many => return fault(which(host, many.iter().map(|nic| &nic.name))),
            },
        };
        if let Some(cards) = cards.filter(|cards| !cards.iter().any(|card| card.name == choice.real.as_str())) {
            return fault(RoleFault::MissingNic { nic: choice.real.to_string(), cards: cards.to_vec() });
        }
        if nics.contains_key(described) || nics.values().any(|real| *real == choice.real) {
            return fault(RoleFault::TwiceNic(choice.real.to_string()));
        }
        nics.insert(described.clone(), choice.real.clone());
    }
    let rest: Vec<&IfName> = host.nics.iter().map(|nic| &nic.name).filter(|name| !nics.contains_key(*name)).collect();
    let Some(cards) = cards else { return Ok(nics) };
    match rest.as_slice() {
        [] => {}
        [nic] => {
            let taken: Vec<&str> = nics.values().map(IfName::as_str).collect();
            let free = |card: &&Card| card.using == Using::Nothing && !taken.contains(&card.name.as_str());
            let free: Vec<&Card> = cards.iter().filter(free).collect();
            let (host, name, cards) = (host.name.to_string(), nic.to_string(), cards.to_vec());
            match free.as_slice() {
                [card] => nics.insert((*nic).clone(), IfName::observed(&card.name)),
                [] => return fault(RoleFault::NoNic { host, nic: name, cards }),
                _ => return fault(RoleFault::ManyNics { host, nic: name, cards }),
            };
        }
        many => return fault(which(host, many.iter().copied())),
    }
    Ok(nics)
}

fn which<'a>(host: &Host, nics: impl Iterator<Item = &'a IfName>) -> RoleFault {
    RoleFault::WhichNic { host: host.name.to_string(), nics: nics.map(ToString::to_string).collect() }
}

/// Every interface of the machine that is the lab's, or borrowed by it.
fn interfaces(played: &Topology) -> BTreeSet<String> {
    let made = compile(played).into_iter().filter_map(|fact| match fact.port() {
        Some(port) if port.ns == Ns::Root => Some(port.dev.to_string()),
        _ => None,
    });
    let nics = played.role.iter().flat_map(|role| role.nics.values()).map(ToString::to_string);
    made.chain(nics).collect()
}

/// The machine's own network.
struct Machine {
    tables: Tables,
}

impl Machine {
    fn look() -> Result<Self> {
        let tables = inspect::look(&[Pin { node: String::new(), path: MACHINE.into() }])?.pop();
        Ok(Self { tables: tables.unwrap_or_default() })
    }

    /// Every interface but `lo`.
    fn cards(&self) -> Vec<Card> {
        let links = self.tables.links.iter().filter(|link| link.kind != "loopback");
        links.map(|link| Card { name: link.name.clone(), up: link.up, using: self.using(link) }).collect()
    }

    fn using(&self, link: &Link) -> Using {
        let global = |net: &IpNet| !matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
        let address = link.addresses.iter().map(|address| address.net).find(global);
        let bridge = link.master.and_then(|index| self.tables.link(index)).map(|bridge| bridge.name.clone());
        match (bridge, address) {
            _ if link.kind != "device" => Using::Software(link.kind.clone()),
            _ if [true, false].iter().any(|&v4| self.defaults(v4).any(|dev| dev == link.name)) => Using::DefaultRoute,
            (Some(bridge), _) => Using::Port(bridge),
            (None, Some(address)) => Using::Address(address),
            (None, None) => Using::Nothing,
        }
    }

    /// The interfaces of the main table's default routes of a family.
    fn defaults(&self, v4: bool) -> impl Iterator<Item = &str> {
        let main = self.tables.routes.iter().filter(|route| route.table == MAIN_TABLE && route.kind == RouteType::Unicast);
        let default = main.filter(move |route| route.to.prefix_len() == 0 && route.to.addr().is_ipv4() == v4);
        default.flat_map(|route| &route.hops).filter_map(|hop| Some(self.tables.link(hop.dev)?.name.as_str()))
    }

    /// Two ways to one subnet: packets would take the machine's own.
    fn reaches(&self, played: &Topology, whole: &Topology, own: &BTreeSet<String>) -> Result<()> {
        let local = compile(played).into_iter().filter_map(|fact| match fact {
            Fact::Addr(port, net) if port.ns == Ns::Root => Some(net.trunc()),
            Fact::Route(Ns::Root, _, to, ..) => Some(to),
            _ => None,
        });
        let subnets: Vec<IpNet> =
            local.chain(played.remote_subnets(whole)).filter(|net| net.prefix_len() > 0 && !is_local(net)).collect();
        for route in self.tables.routes.iter().filter(|route| route.table == MAIN_TABLE && route.kind == RouteType::Unicast) {
            let known = route.to;
            if known.prefix_len() == 0 || is_local(&known) {
                continue;
            }
            let foreign = route.hops.iter().filter_map(|hop| self.tables.link(hop.dev)).find(|link| !own.contains(&link.name));
            let overlaps = |net: &&IpNet| net.contains(&known) || known.contains(*net);
            if let (Some(link), Some(&subnet)) = (foreign, subnets.iter().find(overlaps)) {
                return Err(Error::Role(RoleFault::Reachable { subnet, known, dev: link.name.clone() }));
            }
        }
        Ok(())
    }
}

/// Link-local and multicast destinations are on every interface.
fn is_local(net: &IpNet) -> bool {
    let multicast = net.addr().is_multicast();
    multicast || matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// What is in the way on the whole machine.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What gets in the way of the labs that have a role here; where none has, what would be in the way of one.
    pub found: Vec<Interference>,
    /// Bridged frames are shown to the packet filters, and none of those drops them.
    pub netfilter: bool,
    /// A lab that made the machine forward packets.
    pub forwards: Option<String>,
}

/// What gets in the way of a lab; nothing where it has no role, or the machine cannot be looked at.
pub fn obstacles(journal: &Journal) -> Vec<Interference> {
    need(&journal.topology, journal.whole.as_ref()).map(|need| judged(&need).0).unwrap_or_default()
}

/// Why a lab that could not be made may have failed: what of the machine's settings the kernel refuses addresses for.
pub fn refusals(played: &Topology) -> Vec<Interference> {
    let found = need(played, None).map(|need| judged(&need).0).unwrap_or_default();
    found.into_iter().filter(|found| matches!(found.obstacle, Obstacle::Ipv6Off { .. })).collect()
}

/// Everything in the way on this machine.
pub fn on_this_machine() -> Seen {
    let mut seen = Seen::default();
    let mut roles = 0;
    for lab in paths::labs() {
        // What is wrong with one that cannot be read is told of its status.
        let Ok(Some(journal)) = Journal::read(&lab) else { continue };
        let up = journal.phase == Phase::Up && !journal.is_stale();
        let Some(need) = need(&journal.topology, journal.whole.as_ref()).filter(|_| up) else { continue };
        roles += 1;
        if journal.topology.hosts.iter().any(|host| host.forwarding) {
            seen.forwards = Some(lab.to_string());
        }
        seen.take(&need);
    }
    if roles == 0 {
        seen.take(&of_none(free().unwrap_or_default()));
    }
    seen
}

impl Seen {
    fn take(&mut self, need: &Need) {
        let (found, facts) = judged(need);
        let bridged = |found: &Interference| {
            use crate::report::machine::Traffic::Bridged;
            matches!(&found.obstacle, Obstacle::Filter { traffic: Bridged { netfilter: true, .. }, .. })
        };
        self.found.extend(found);
        self.netfilter = facts.shows_bridged.0 && !self.found.iter().any(bridged);
    }
}

fn judged(need: &Need) -> (Vec<Interference>, Facts) {
    let facts = look(need).unwrap_or_default();
    (judge(need, &facts), facts)
}

/// What a lab that is not there yet would need of this machine, with the names that the built-in ones have.
fn of_none(free: Vec<String>) -> Need {
    let (bridge, cable) = ("br0".to_owned(), "veth-a1".to_owned());
    let nic = if let [nic] = free.as_slice() { nic.clone() } else { cable.clone() };
    Need {
        bridges: vec![(bridge.clone(), vec![nic.clone(), cable])],
        routed: vec![nic, bridge],
        nics: free,
        ipv4: true,
        ..Need::default()
    }
}

/// What the part that this machine plays needs of it; none of a lab without a role.
fn need(played: &Topology, whole: Option<&Topology>) -> Option<Need> {
    let role = played.role.as_ref()?;
    let host = played.hosts.first()?;
    let subnets = host.subnets();
    let addressed = addressed(host);
    let names = |all: &[(String, bool)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    Some(Need {
        lab: Some(played.name.to_string()),
        bridges: host.bridges.iter().map(|bridge| (bridge.name.to_string(), ports(host, bridge.name.as_str()))).collect(),
        routed: if host.forwarding { names(&addressed) } else { Vec::new() },
        addressed6: addressed.iter().filter(|(_, v6)| *v6).map(|(name, _)| name.clone()).collect(),
        addressed: names(&addressed),
        nics: role.nics.values().map(ToString::to_string).collect(),
        ipv4: subnets.iter().any(|net| net.addr().is_ipv4()),
        ipv6: subnets.iter().any(|net| net.addr().is_ipv6()),
        remote_subnets: whole.map(|whole| played.remote_subnets(whole)).unwrap_or_default(),
    })
}

/// The ports of a bridge, the NICs among them first.
fn ports(host: &Host, bridge: &str) -> Vec<String> {
    let of_file = host.bridges.iter().filter(|other| other.name.as_str() == bridge).flat_map(|bridge| &bridge.ports);
    let ends = ends(host).filter(|end| end.bridge.as_ref().is_some_and(|master| master.as_str() == bridge));
    of_file.map(ToString::to_string).chain(ends.map(|end| end.name.to_string())).collect()
}

/// The ends of containers' cables that are on the machine.
fn ends(host: &Host) -> impl Iterator<Item = &crate::topology::HostEnd> {
    let nics = host.running().flat_map(|container| &container.nics);
    nics.filter_map(|nic| if let Attach::Host(end) = &nic.attach { Some(end) } else { None })
}

/// The machine's interfaces that have addresses of the lab, and whether they have IPv6 ones; NICs first.
fn addressed(host: &Host) -> Vec<(String, bool)> {
    let nics = host.nics.iter().map(|nic| (&nic.name, &nic.addresses));
    let bridges = host.bridges.iter().map(|bridge| (&bridge.name, &bridge.addresses));
    let ends = ends(host).map(|end| (&end.name, &end.addresses));
    let all = nics.chain(bridges).chain(ends).filter(|(_, addresses)| !addresses.is_empty());
    all.map(|(name, addresses)| (name.to_string(), addresses.iter().any(|net| net.addr().is_ipv6()))).collect()
}
