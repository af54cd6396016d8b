//! Real NICs of the machine, borrowed: looked at before the first change, watched until somebody says that it works, put
//! back as they were.
//!
//! The record of it is a file beside the journal, written before the first operation: a damaged journal does not lose it.

mod hand;
mod preview;
mod refuse;
mod restore;
mod settings;
mod ssh;
mod verify;
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use preview::preview;
use refuse::refuse;
pub use restore::{Restored, restore};
pub use settings::Setting;
use verify::verify;
use watch::{Applier, start};
pub use watch::{attend, end, keep, stand};

use super::{boot_id, errno, failed, home, record};
use crate::error::{Allow, Result, Rollback};
use crate::kernel::neighbours;
use crate::kernel::neighbours::Entry;
use crate::kernel::nic::{self, Nic};
use crate::kernel::socket::Netlink;
use crate::name::{IfName, LabName};
use crate::plan::{Key, Ns, Plan, State, Value};
use crate::report::lab as reports;
use crate::report::lab::Trust;
use crate::topology::Topology;

/// A real NIC that a lab uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Use {
    /// The NIC.
    pub nic: IfName,
    /// The lab's bridge that it becomes a port of.
    pub bridge: Option<IfName>,
}

/// What the machine looked like in what a lab changes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The borrowed NICs.
    pub nics: Vec<Nic>,
    /// Settings under `/proc/sys/net`.
    pub settings: Vec<Setting>,
}

/// Everything about the NICs that a lab has borrowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// The lab.
    pub lab: LabName,
    /// The machine's boot that it belongs to: after a restart nothing is borrowed any more.
    pub boot_id: String,
    /// What it uses.
    pub uses: Vec<Use>,
    /// Seconds since the machine's start, when `before` was taken.
    pub at: u64,
    /// Before the first change.
    pub before: Picture,
    /// After the last; none while the change is being made.
    pub after: Option<Picture>,
    /// The machine is reached through one of the NICs.
    pub management: bool,
    /// Seconds that somebody has to confirm the change.
    pub seconds: u64,
    /// Which change it is, of all of this boot: a watchdog takes its own back and no later one.
    pub change: String,
    /// Neighbours that answered on the NICs before.
    pub neighbours: Vec<(IfName, std::net::IpAddr)>,
    /// Whether it is kept.
    pub trust: Trust,
    /// Why it was taken back.
    pub why: Option<Rollback>,
}

/// The real NICs in a state: interfaces of the machine that the state speaks of and does not make.
pub fn uses(state: &State) -> Vec<Use> {
    let made: BTreeSet<_> =
        state.iter().filter_map(|(key, value)| matches!(value, Value::Link(_)).then(|| key.port()).flatten()).collect();
    let far: BTreeSet<_> =
        state.values().filter_map(|value| if let Value::Link(link) = value { link.peer() } else { None }).collect();
    let ports = state.keys().filter_map(Key::port).filter(|port| port.ns == Ns::Root && port.dev != IfName::loopback());
    let real: BTreeSet<_> = ports.filter(|port| !made.contains(port) && !far.contains(port)).collect();
    real.into_iter()
        .map(|port| Use {
            nic: port.dev.clone(),
            bridge: match state.get(&Key::Member(port.clone())) {
                Some(Value::Master(bridge)) => Some(bridge.clone()),
                _ => None,
            },
        })
        .collect()
}

/// Whether there is a record of this boot that cannot be read.
pub(super) fn is_lost(lab: &LabName) -> bool {
    let Ok(text) = fs::read(path(lab)) else { return false };
    serde_json::from_slice::<Borrowed>(&text).is_err()
}

/// Whether a plan changes something that a lab borrows, or how the machine is reached.
fn touches(plan: &Plan, uses: &[Use]) -> bool {
    let ours = |dev: &IfName| uses.iter().any(|used| used.nic == *dev || used.bridge.as_ref() == Some(dev));
    plan.iter()
        .map(crate::plan::Op::key)
        .filter(|key| *key.ns() == Ns::Root)
        .any(|key| key.port().is_none_or(|port| ours(&port.dev)))
}

/// On what terms NICs are borrowed.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What is done only because the user asked for it.
    pub allowed: Vec<Allow>,
    /// Seconds that somebody has to confirm a change that may cut the machine off.
    pub seconds: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { allowed: Vec::new(), seconds: 60 }
    }
}

/// A change of NICs under way, and the record that was there before it.
#[derive(Debug)]
pub struct Loan {
    borrowed: Borrowed,
    earlier: Option<Borrowed>,
    applier: Applier,
}

impl Loan {
    /// Looks at the NICs that a plan changes and has them watched; none where it changes none.
    pub fn begin(lab: &LabName, wanted: &State, plan: &Plan, terms: &Terms) -> Result<Option<Self>> {
        let uses = uses(wanted);
        let earlier = Borrowed::live(lab);
        // An earlier change that never came to its end goes on with this one.
        let cut = earlier.as_ref().is_some_and(|earlier| earlier.trust == Trust::Applying);
        if uses.is_empty() || !(cut || touches(plan, &uses)) {
            return Ok(None);
        }
        let mut borrowed = Borrowed::begin(lab, uses, terms.seconds)?;
        let applier = start(&mut borrowed)?;
        if plan.iter().any(|op| matches!(op.key(), Key::Sysctl(Ns::Root, _))) {
            settings::keep_learning();
        }
        Ok(Some(Self { borrowed, earlier, applier }))
    }

    /// The change is made: see [`Borrowed::applied`].
    pub fn applied(&mut self, wanted: &State) -> Result<()> {
        self.borrowed.applied(wanted)
    }

    /// Everything else is done, too: from now on the watchdog waits for the user, where that is needed.
    pub fn done(self) {
        self.applier.done();
    }

    /// The change was undone, and the lab is what it was before it; it is watched as before.
    pub fn undone(self) -> Result<()> {
        end(&self.borrowed.lab);
        let Some(mut earlier) = self.earlier else { return Ok(()) };
        let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
        hand::over(&mut socket, &earlier)?;
        if earlier.trust == Trust::Applying {
            return earlier.write();
        }
        start(&mut earlier)?.done();
        Ok(())
    }
}

/// The seconds that there were to keep a change, where one still waits for that.
pub fn waits(lab: &LabName) -> Option<u64> {
    Borrowed::live(lab).filter(|borrowed| borrowed.trust == Trust::Waiting).map(|borrowed| borrowed.seconds)
}

/// A bridge that takes over a NIC's addresses takes over its MAC address, too, where the file names none: that is the one that
/// neighbours know.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn adopt(topology: &mut Topology) -> Result<()> {
    let Some(host) = topology.hosts.first_mut().filter(|_| topology.role.is_some()) else { return Ok(()) };
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let now = nic::survey(&mut socket).map_err(|errno| failed("ip addr", errno))?;
    let earlier = Borrowed::live(&topology.name).map(|earlier| earlier.before.nics).unwrap_or_default();
    let own: BTreeSet<&IfName> = host.nics.iter().map(|nic| &nic.name).collect();
    for bridge in host.bridges.iter_mut().filter(|bridge| bridge.mac.is_none()) {
        let ports = bridge.ports.iter().filter(|port| own.contains(port));
        let before = ports.filter_map(|port| earlier.iter().chain(&now).find(|nic| nic.name == *port));
        bridge.mac = before.filter(|nic| nic.global().next().is_some()).find_map(|nic| nic.mac);
    }
    Ok(())
}

/// Refuses what should not be done to the NICs of a lab; those that it has borrowed already are its own.
pub fn check(lab: &LabName, wanted: &State, terms: &Terms) -> Result<()> {
    let earlier = Borrowed::live(lab);
    let has = |used: &Use| earlier.as_ref().is_some_and(|earlier| earlier.before.nic(&used.nic).is_some());
    let new: Vec<Use> = uses(wanted).into_iter().filter(|used| !has(used)).collect();
    if new.is_empty() { Ok(()) } else { refuse(&new, &terms.allowed) }
}

/// Puts back what a lab has borrowed, if anything; `own` are its facts.
pub fn give_back(lab: &LabName, own: &State) -> Result<Restored> {
    let Some(borrowed) = Borrowed::live(lab) else {
        return Ok(Restored::default());
    };
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    restore(&mut socket, &borrowed, own)
}

/// What a lab has borrowed, for `status`.
pub fn told(lab: &LabName) -> Option<reports::Nics> {
    let borrowed = Borrowed::read(lab)?;
    let names = borrowed.uses.iter().map(|used| used.nic.to_string()).collect();
    Some(reports::Nics { names, state: borrowed.trust, why: borrowed.why })
}

/// What was borrowed is back, and the record says why.
pub(super) fn mark(lab: &LabName, why: Rollback) -> Result<()> {
    let Some(mut borrowed) = Borrowed::read(lab) else { return Ok(()) };
    (borrowed.trust, borrowed.why) = (Trust::RolledBack, Some(why));
    borrowed.write()
}

/// A name that no other change of this boot has.
fn name_of_change() -> String {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| now.tv_nsec());
    format!("{}.{now}.{}", uptime(), std::process::id())
}

/// Seconds since the machine's start, suspended ones included.
fn uptime() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().and_then(|now| u64::try_from(now.tv_sec()).ok()).unwrap_or_default()
}

impl Picture {
    /// Looks at the machine; a NIC that is gone is left out.
    pub fn take(socket: &mut Netlink, uses: &[Use]) -> Result<Self> {
        let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
        let nics: Vec<Nic> = all.into_iter().filter(|nic| uses.iter().any(|used| used.nic == nic.name)).collect();
        let settings = settings::read(uses);
        Ok(Self { nics, settings })
    }

    /// One of the NICs.
    pub fn nic(&self, name: &IfName) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.name == *name)
    }
}

fn path(lab: &LabName) -> PathBuf {
    home::lab(lab).join("borrowed.json")
}

impl Borrowed {
    /// What a lab is about to borrow, as it is now. What it had borrowed before stays as it was then.
    pub fn begin(lab: &LabName, uses: Vec<Use>, seconds: u64) -> Result<Self> {
        let earlier = Self::live(lab);
        let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
        let now = Picture::take(&mut socket, &uses)?;
        let management =
            now.nics.iter().any(|nic| nic.defaults().next().is_some()) || ssh::comes_in(&mut socket, &now.nics)?.is_some();
        let neighbours = answering(&mut socket, &now.nics).map_err(|errno| failed("ip neigh", errno))?;
        let fresh = Self {
            lab: lab.clone(),
            boot_id: boot_id(),
            uses,
            at: uptime(),
            before: now,
            after: None,
            management,
            change: String::new(),
            seconds,
            neighbours,
            trust: Trust::Applying,
            why: None,
        };
        Ok(match earlier {
            Some(earlier) => fresh.since(earlier),
            None => fresh,
        })
    }

    /// Of NICs that are borrowed already, what they were before that.
    fn since(mut self, earlier: Self) -> Self {
        let new = |nic: &Nic| earlier.before.nic(&nic.name).is_none();
        let added: Vec<Nic> = self.before.nics.iter().filter(|nic| new(nic)).cloned().collect();
        let uses: BTreeSet<Use> = earlier.uses.iter().chain(&self.uses).cloned().collect();
        let settings = settings::first(&earlier.before.settings, &self.before.settings);
        self.management |= earlier.management;
        self.at = earlier.at;
        self.before = Picture { nics: earlier.before.nics.into_iter().chain(added).collect(), settings };
        // The NIC's last word counts for one that changes its bridge.
        let last = |used: &Use| self.uses.contains(used) || self.uses.iter().all(|mine| mine.nic != used.nic);
        self.uses = uses.into_iter().filter(last).collect();
        self
    }

    /// What a lab has borrowed, if anything.
    pub fn read(lab: &LabName) -> Option<Self> {
        let file = record::open(&path(lab)).ok()?;
        let read: Option<Self> = serde_json::from_reader(std::io::BufReader::new(file)).ok();
        read.filter(|borrowed| borrowed.boot_id == boot_id())
    }

    /// What a lab has borrowed and not given back.
    fn live(lab: &LabName) -> Option<Self> {
        Self::read(lab).filter(|borrowed| borrowed.trust != Trust::RolledBack)
    }

    /// Writes the record: all of it or nothing.
    pub fn write(&self) -> Result<()> {
        record::write(&path(&self.lab), self, 0o600)
    }

    /// The change is made: addresses follow their NIC into its bridge, and what is there now is what nslab has set.
    ///
    /// # Errors
    /// [`crate::error::Error::RolledBack`]'s cause where a neighbour no longer answers: the caller undoes the change.
    pub fn applied(&mut self, expected: &State) -> Result<()> {
        let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
        hand::over(&mut socket, self)?;
        verify(&mut socket, self, expected)?;
        self.after = Some(Picture::take(&mut socket, &self.uses)?);
        self.trust = if self.management { Trust::Waiting } else { Trust::Kept };
        self.write()
    }
}

/// Who answers on the NICs right now.
fn answering(socket: &mut Netlink, nics: &[Nic]) -> std::result::Result<Vec<(IfName, std::net::IpAddr)>, Errno> {
    let found: Vec<Entry> = neighbours::reachable(socket)?;
    let named = |entry: Entry| nics.iter().find(|nic| nic.index == entry.interface).map(|nic| (nic.name.clone(), entry.address));
    Ok(found.into_iter().filter_map(named).collect())
}
