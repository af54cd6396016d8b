//! What hands have changed in a namespace and no topology says: looked for where somebody asks what is made by hand, and undone.
//!
//! What a fresh namespace or a new interface has is known: constants of the kernel, what nslab gives, and of IPv4 what a namespace takes
//! over from the machine when it is born. That `lo` still has for interfaces; for the namespace as a whole a new one is asked.

mod dumps;
mod knobs;
mod routes;
mod undo;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::caller::thread;
use super::netlink::Netlink;
use super::tables::Link;
use crate::name::IfName;
use crate::plan::hand::{OfPort, OfSpace, Turned};
use crate::plan::{Fact, Ns, Port, Slot, State, Sysctl};

pub use dumps::hooked;
pub use undo::undo;

/// A step that failed, and its error number.
type Failure = (&'static str, Errno);

/// One namespace, as far as it was read for other facts; the calling thread is in it.
pub struct Sight<'a> {
    /// Which.
    pub ns: &'a Ns,
    /// Its interfaces.
    pub links: &'a [Link],
    /// The same, as the kernel tells them.
    pub messages: &'a [LinkMessage],
    /// Routes.
    pub routes: &'a [RouteMessage],
    /// The forwarding tables of the bridges.
    pub entries: &'a [NeighbourMessage],
    /// Interfaces by their indices.
    pub names: &'a HashMap<u32, IfName>,
    /// What is described.
    pub expected: &'a State,
    /// What new namespaces have.
    pub fresh: &'a Fresh,
}

impl Sight<'_> {
    fn port(&self, link: &Link) -> Port {
        Port { ns: self.ns.clone(), dev: IfName::observed(&link.name) }
    }

    /// nslab has made it, or takes it for a lab.
    fn is_described(&self, port: &Port) -> bool {
        port.dev.as_str() == "lo" || self.expected.has(Slot::Mac(port)) || self.expected.has(Slot::Up(port))
    }

    fn expected(&self, setting: Sysctl) -> Option<u32> {
        match self.expected.get(Slot::Sysctl(self.ns, setting)) {
            Some(Fact::Sysctl(_, _, value)) => Some(*value),
            _ => None,
        }
    }

    /// Of the machine itself nothing but the lab's own interfaces is looked at.
    fn counts(&self, port: &Port) -> bool {
        *self.ns != Ns::Root || port.dev.as_str() != "lo" && self.is_described(port)
    }
}

/// A port that only does not flood, which nslab makes none, is not isolated: that option is off by hand.
pub fn is_half_isolated(link: &Link, port: &Port, expected: &State) -> bool {
    link.port.is_some_and(|member| !member.floods && member.learns) && !expected.has(Slot::Isolated(port))
}

/// All that hands have changed there.
///
/// # Errors
/// When the kernel refuses an answer; what it has not at all nobody has changed.
pub fn look(socket: &mut Netlink, sight: &Sight<'_>) -> Result<Vec<Fact>, Failure> {
    let mut facts = Vec::new();
    let mut of_port = |port: Port, hand: OfPort| {
        if sight.counts(&port) {
            facts.push(Fact::OfPort(port, hand));
        }
    };
    knobs::of_links(sight, socket, &mut of_port);
    dumps::of_links(sight, socket, &mut of_port)?;
    let mut of_space = |hand: OfSpace| facts.push(Fact::OfSpace(sight.ns.clone(), hand));
    knobs::of_space(sight, socket, &mut of_space);
    routes::of_space(sight, &mut of_space);
    dumps::of_space(socket, &mut of_space)?;
    Ok(facts)
}

/// A number in a file under `/proc/sys/net`, of the calling thread's namespace.
fn number(path: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}

/// What a namespace has that is made now.
#[derive(Debug, Default)]
pub struct Fresh(OnceLock<Option<BTreeMap<&'static str, u32>>>);

impl Fresh {
    /// What a setting is that is not what the kernel gives by itself: as every namespace now is born, where the machine has another
    /// default, or somebody's work.
    fn turned(&self, path: &'static str, now: u32, default: u32) -> Option<Turned> {
        if now == default {
            return None;
        }
        let born = self.0.get_or_init(|| thread(born).ok().flatten());
        let fresh = born.as_ref().and_then(|born| born.get(path).copied());
        let turned = Turned { now, fresh: fresh.unwrap_or(default), guessed: fresh.is_none() };
        (turned.now != turned.fresh).then_some(turned)
    }
}

/// The settings of a namespace that is made for that, and goes with the calling thread.
fn born() -> Option<BTreeMap<&'static str, u32>> {
    unshare(CloneFlags::CLONE_NEWNET).ok()?;
    Some(knobs::INHERITED.iter().filter_map(|(path, _)| Some((*path, number(path)?))).collect())
}
