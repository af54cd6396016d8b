//! What a lab with a role has made in the machine's own network namespace: recorded, and taken away; what it has borrowed is given
//! back by `borrow`.
//!
//! What is made there is recorded a second time, beside the journal and before the first operation: a damaged journal does not
//! lose it.

use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::record::{self, Beside, OfBoot, boot_id};
use super::{facts, paths};
use crate::error::{Error, Result};
use crate::kernel::nic::{self, Kind};
use crate::kernel::socket::Netlink;
use crate::kernel::{Backend, Kernel, Scope};
use crate::name::LabName;
use crate::plan::{Fact, Ns, RouteTo, State, diff};
use crate::topology::numbers;

/// How often what goes by itself meanwhile is looked at again.
const TRIES: usize = 20;

/// What a lab makes on the machine itself.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// The machine's boot that it belongs to.
    boot_id: String,
    /// The facts, and the namespaces that the other ends of cables are in.
    facts: State,
}

impl OfBoot for Made {
    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

fn path(name: &LabName) -> PathBuf {
    paths::lab(name).join("made.json")
}

/// Records what of a lab's facts will be on the machine; a lab without a role has nothing there.
///
/// # Errors
/// When it cannot be written.
pub(super) fn note(name: &LabName, owned: &State, baseline: &State) -> Result<()> {
    let ours = |fact: &&Fact| made(fact, baseline) || matches!(fact, Fact::Netns(_));
    let facts: State = owned.iter().filter(ours).cloned().collect();
    if !facts.iter().any(|fact| *fact.ns() == Ns::Root) {
        return Ok(());
    }
    record::write(&path(name), &Made { boot_id: boot_id().to_owned(), facts }, 0o600)
}

/// What was recorded in this boot.
fn noted(name: &LabName) -> Beside<Made> {
    record::beside(&path(name))
}

/// A fact that is on the machine itself and was not there before.
fn made(fact: &Fact, baseline: &State) -> bool {
    let route = matches!(fact, Fact::Route(.., RouteTo::Blackhole)) && !baseline.has(fact.slot());
    *fact.ns() == Ns::Root && (matches!(fact, Fact::Link(..)) || route)
}

/// Takes the lab's links off the machine, and its routes that lead nowhere; a lab without a role has nothing there.
///
/// # Errors
/// When the kernel refuses; the journal still knows what there is.
pub(super) fn clear(name: &LabName, journal: Option<&Journal>) -> Result<()> {
    if journal.is_some_and(Journal::is_stale) {
        return Ok(());
    }
    // A lab of an older nslab has no record of its own for that.
    let owned = || journal.filter(|journal| journal.has_role()).map(Journal::owned).unwrap_or_default();
    let owned = noted(name).known().map_or_else(owned, |made| made.facts);
    if !owned.iter().any(|fact| *fact.ns() == Ns::Root) {
        return Ok(());
    }
    let baseline = journal.map(|journal| journal.baseline.clone()).unwrap_or_default();
    let scope = facts::scope(owned);
    let mut tried = 0;
    loop {
        match step(name, &baseline, &scope) {
            // A cable whose other end has just gone went along.
            Err(Error::Kernel(why)) if tried < TRIES && is_gone(why.errno) => {
                tried += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Whether a lab without a journal has a role, and its record of what it has made on the machine is lost, too.
pub(super) fn is_lost(name: &LabName) -> bool {
    paths::pins(name).has_role() && noted(name).known().is_none()
}

/// Interfaces of the machine that bear MAC addresses as nslab gives them; that does not prove that they are a lab's.
pub(super) fn suspects() -> Vec<String> {
    let Ok(mut socket) = Netlink::open() else { return Vec::new() };
    let all = nic::survey(&mut socket).unwrap_or_default();
    let alike = |nic: &&nic::Nic| matches!(nic.kind, Kind::Software(_)) && nic.mac.is_some_and(numbers::is_mac_of_a_machine);
    all.iter().filter(alike).map(|nic| nic.name.to_string()).collect()
}

fn step(name: &LabName, baseline: &State, scope: &Scope) -> Result<()> {
    let mut kernel = Kernel::new(paths::pins(name));
    let seen = kernel.observe(scope)?;
    let from: State = seen.into_iter().filter(|fact| made(fact, baseline)).collect();
    kernel.apply(&diff(&from, &State::new()), &mut |_| {})
}

fn is_gone(errno: i32) -> bool {
    [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH].iter().any(|gone| *gone as i32 == errno)
}
