//! What gets in the way of labs that have a role on this machine.

use super::journal::{Journal, Phase};
use super::{paths, role};
use crate::kernel::interference::{Facts, Need, judge, look};
use crate::report::interference::{Interference, Obstacle};
use crate::topology::{Attach, Host, Topology};

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
pub fn of(journal: &Journal) -> Vec<Interference> {
    need(&journal.topology, journal.whole.as_ref()).map(|need| judged(&need).0).unwrap_or_default()
}

/// Why a lab that could not be made may have failed: what of the machine's settings the kernel refuses addresses for.
pub fn refused(played: &Topology) -> Vec<Interference> {
    let found = need(played, None).map(|need| judged(&need).0).unwrap_or_default();
    found.into_iter().filter(|found| matches!(found.obstacle, Obstacle::Ipv6Off { .. })).collect()
}

/// Everything in the way on this machine.
pub fn all() -> Seen {
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
        seen.take(&none(role::free().unwrap_or_default()));
    }
    seen
}

impl Seen {
    fn take(&mut self, need: &Need) {
        let (found, facts) = judged(need);
        let bridged = |found: &Interference| {
            use crate::report::interference::Traffic::Bridged;
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
fn none(free: Vec<String>) -> Need {
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
        far: whole.map(|whole| played.far(whole)).unwrap_or_default(),
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
