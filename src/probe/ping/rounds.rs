//! Which pairs are probed together, so that the machine's one neighbour table does not overflow.

use std::collections::{HashMap, HashSet};

use nix::errno::Errno;

use super::stations::Station;
use crate::error::Result;
use crate::kernel::neighbours::{self, Entry, Room};
use crate::kernel::socket::Netlink;
use crate::kernel::space::{self, Space};
use crate::kernel::thread;
use crate::plan::NodeId;
use crate::report::ping::Family;

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

/// The places of the pings, in rounds that need at most so many entries each.
///
/// A near ping needs one entry; a far one needs its two nodes and their routers to know each other.
pub fn plan(links: &[Link], budget: usize) -> Vec<Vec<usize>> {
    if needed(links) <= budget {
        return if links.is_empty() { Vec::new() } else { vec![(0..links.len()).collect()] };
    }
    // Blocks of members against blocks: the fewest nodes have entries to forget after a round.
    let side = (budget / 2).isqrt().max(1);
    let mut blocks: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
    for (place, link) in links.iter().enumerate() {
        let (a, b) = (link.from / side, link.to / side);
        blocks.entry((a.min(b), a.max(b))).or_default().push(place);
    }
    let mut order: Vec<_> = blocks.into_iter().collect();
    order.sort_unstable_by_key(|(block, _)| *block);
    let mut rounds = vec![Round::default()];
    for (_, places) in order {
        for place in places {
            let link = &links[place];
            if rounds.last().is_some_and(|round| round.with(link) > budget) {
                rounds.push(Round::default());
            }
            if let Some(round) = rounds.last_mut() {
                round.add(place, link);
            }
        }
    }
    rounds.into_iter().map(|round| round.places).collect()
}

fn needed(links: &[Link]) -> usize {
    let mut round = Round::default();
    links.iter().enumerate().for_each(|(place, link)| round.add(place, link));
    round.entries()
}

#[derive(Debug, Default)]
struct Round {
    places: Vec<usize>,
    near: usize,
    far: HashSet<usize>,
}

impl Round {
    fn entries(&self) -> usize {
        self.near + 2 * self.far.len()
    }

    fn with(&self, link: &Link) -> usize {
        let new = [link.from, link.to].iter().filter(|member| !self.far.contains(member)).count();
        self.entries() + if link.near { 1 } else { 2 * new }
    }

    fn add(&mut self, place: usize, link: &Link) {
        self.places.push(place);
        if link.near {
            self.near += 1;
        } else {
            self.far.extend([link.from, link.to]);
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
    pub fn of(stations: &[Station], family: Family) -> Result<Self> {
        let nodes = thread(|| {
            let note = |station: &Station| {
                let mut socket = Space::open(&station.pin, &station.id)?.socket;
                let before = neighbours::list(&mut socket, family).map_err(|errno| failed(&station.id, errno))?;
                Ok((station.id.clone(), socket, before.into_iter().collect()))
            };
            stations.iter().filter(|station| !station.far).map(note).collect::<Result<_>>()
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
        for (node, socket, before) in &mut self.nodes {
            let now = neighbours::list(socket, self.family).map_err(|errno| failed(node, errno))?;
            let new: Vec<Entry> = now.into_iter().filter(|entry| !before.contains(entry)).collect();
            neighbours::forget(socket, &new).map_err(|errno| failed(node, errno))?;
        }
        Ok(())
    }
}

fn failed(node: &NodeId, errno: Errno) -> crate::error::Error {
    space::error(node, "ip neighbour", errno)
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
                    let these: Vec<Link> = round.iter().map(|place| links[*place]).collect();
                    assert!(needed(&these) <= budget, "{} of {budget}", needed(&these));
                }
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
