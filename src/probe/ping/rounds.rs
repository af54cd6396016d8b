//! Which pairs are probed together, so that the machine's one neighbour table does not overflow.

use std::collections::{BTreeMap, HashSet};

use nix::errno::Errno;

use super::stations::Station;
use crate::error::Result;
use crate::kernel::neighbours::{self, Entry, Room};
use crate::kernel::netlink::Netlink;
use crate::kernel::netns::{self, Space};
use crate::kernel::{shared, thread};
use crate::plan::NodeId;
use crate::report::probe::Family;

/// A round needs few entries at least, however full the table is.
const LEAST: usize = 32;

/// A ping between two members, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// They share a segment: the sender needs an entry for the receiver itself, not for its router.
    pub near: bool,
}

/// How many entries a round may need: half of what is free.
pub fn budget(room: Room) -> usize {
    let free = room.limit.saturating_sub(room.entries);
    (free as usize / 2).max(LEAST)
}

/// The places of the pings, in rounds that need at most so many entries each; both directions of a pair are in one round,
/// since whoever is asked for a MAC address learns that of who asks: the way back needs no question to everybody.
///
/// A near ping needs one entry; a routed one needs its two nodes and their routers to know each other.
pub fn plan(links: &[Link], budget: usize) -> Vec<Vec<usize>> {
    // Blocks of members against blocks: the fewest nodes have entries to forget after a round.
    let side = (budget / 2).isqrt().max(1);
    let mut pairs: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, link) in links.iter().enumerate() {
        let (low, high) = (link.from.min(link.to), link.from.max(link.to));
        pairs.entry((low / side, high / side, low, high)).or_default().push(place);
    }
    let (mut rounds, mut round) = (Vec::new(), Round::default());
    for places in pairs.into_values() {
        if !round.places.is_empty() && round.with(&places, links) > budget {
            rounds.push(std::mem::take(&mut round).places);
        }
        round.add(&places, links);
    }
    rounds.extend(Some(round.places).filter(|places| !places.is_empty()));
    // By sender, as the rounds are shared out.
    for round in &mut rounds {
        round.sort_unstable_by_key(|place| (links[*place].from, links[*place].to));
    }
    rounds
}

#[derive(Debug, Default)]
struct Round {
    places: Vec<usize>,
    near: usize,
    routed: HashSet<usize>,
}

impl Round {
    /// The entries that it needs with these, which are all of one pair.
    fn with(&self, places: &[usize], links: &[Link]) -> usize {
        let near = places.iter().filter(|place| links[**place].near).count();
        let routed = places.iter().find(|place| !links[**place].near).map(|place| links[*place]);
        let new = routed.map_or(0, |link| [link.from, link.to].iter().filter(|member| !self.routed.contains(member)).count());
        self.near + near + 2 * (self.routed.len() + new)
    }

    fn add(&mut self, places: &[usize], links: &[Link]) {
        self.places.extend(places);
        for link in places.iter().map(|place| links[*place]) {
            if link.near {
                self.near += 1;
            } else {
                self.routed.extend([link.from, link.to]);
            }
        }
    }
}

/// The entries of a family that were there before, in every node; what has come since can be forgotten.
pub struct Memory {
    family: Family,
    nodes: Vec<(NodeId, Netlink, HashSet<Entry>)>,
}

impl Memory {
    /// Notes what is in the tables of these nodes.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn read(stations: &[Station], family: Family) -> Result<Self> {
        let nodes = thread(|| {
            let note = |station: &Station| {
                let mut socket = Space::open(&station.pin, &station.id)?.socket;
                let before = neighbours::list(&mut socket, family).map_err(|errno| failed(&station.id, errno))?;
                Ok((station.id.clone(), socket, before.into_iter().collect()))
            };
            stations.iter().filter(|station| !station.remote).map(note).collect::<Result<_>>()
        })??;
        Ok(Self { family, nodes })
    }

    /// How full the machine's table is.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn room(&mut self) -> Result<Room> {
        let Some((node, socket, _)) = self.nodes.first_mut() else { return Ok(Room { entries: 0, limit: u32::MAX }) };
        neighbours::room(socket, self.family).map_err(|errno| failed(node, errno))
    }

    /// Forgets what has come since.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore(&mut self) -> Result<()> {
        let family = self.family;
        shared(&mut self.nodes, |(node, socket, before)| {
            let now = neighbours::list(socket, family).map_err(|errno| failed(node, errno))?;
            let new: Vec<Entry> = now.into_iter().filter(|entry| !before.contains(entry)).collect();
            neighbours::forget(socket, &new).map_err(|errno| failed(node, errno))
        })
    }
}

fn failed(node: &NodeId, errno: Errno) -> crate::error::Error {
    netns::error(node, "ip neighbour", errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(members: usize, near: bool) -> Vec<Link> {
        let pairs = (0..members).flat_map(|from| (0..members).map(move |to| Link { from, to, near }));
        pairs.filter(|link| link.from != link.to).collect()
    }

    #[test]
    fn every_ping_is_in_one_round_and_no_round_needs_too_many_entries() {
        for near in [true, false] {
            for budget in [32, 100, 512, 20_000] {
                let links = mesh(100, near);
                let rounds = plan(&links, budget);
                let mut places: Vec<usize> = rounds.concat();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..links.len()));
                for round in &rounds {
                    let mut all = Round::default();
                    all.add(round, &links);
                    assert!(all.with(&[], &links) <= budget, "{} of {budget}", all.with(&[], &links));
                }
            }
        }
    }

    #[test]
    fn both_directions_of_a_pair_are_in_one_round() {
        for near in [true, false] {
            let links = mesh(100, near);
            for round in plan(&links, 100) {
                let round: HashSet<(usize, usize)> = round.iter().map(|place| (links[*place].from, links[*place].to)).collect();
                assert!(round.iter().all(|(from, to)| round.contains(&(*to, *from))), "{round:?}");
            }
        }
    }

    #[test]
    fn what_fits_is_one_round() {
        assert_eq!(plan(&mesh(20, true), 512).len(), 1);
        assert_eq!(plan(&mesh(100, false), 512).len(), 1);
        assert!(plan(&[], 512).is_empty());
        assert!(plan(&mesh(100, true), 512).len() <= 24);
    }

    #[test]
    fn half_of_what_is_free_may_be_used() {
        assert_eq!(budget(Room { entries: 0, limit: 1024 }), 512);
        assert_eq!(budget(Room { entries: 924, limit: 1024 }), 50);
        assert_eq!(budget(Room { entries: 4096, limit: 1024 }), LEAST);
    }
}
