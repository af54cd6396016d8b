//! NICs are borrowed: looked at before the first change, verified after it, and watched by a process of its own that puts them
//! back unless somebody says that all is well.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::restore::hand_over;
use super::{Borrowed, NicPolicy, NicUse, Snapshot, first, keep_learning, ssh_comes_in, uptime, uses};
use crate::error::{Error, Result, Rollback, Usage};
use crate::kernel::neighbours::{self, Entry};
use crate::kernel::netlink::Netlink;
use crate::kernel::nic::{self, Nic};
use crate::kernel::sys::process;
use crate::kernel::{Backend, Kernel, Scope, caller, fault, interrupted};
use crate::lab::paths::{self, boot_id, failed};
use crate::lab::rundir;
use crate::name::{IfName, LabName};
use crate::plan::{Fact, Ns, Op, Plan, State};
use crate::report::lab::Trust;
use crate::topology::Topology;

/// How often what was set is read back.
const LOOKS: u32 = 5;
/// And how long after each other.
const PAUSE: Duration = Duration::from_secs(1);
/// How long neighbours have to answer.
const NEIGHBOURS: Duration = Duration::from_secs(5);

/// The hidden command that [`crate::lab::down::watch_nics`] serves.
pub const COMMAND: &str = "watch-nic";
/// How long the watchdog has to begin: an emulated machine with much to do takes seconds.
const BIRTH: Duration = Duration::from_secs(30);
/// How long it has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The watchdog is watching.
pub(in crate::lab) const READY: u8 = b'r';
/// The change is made.
pub(in crate::lab) const DONE: u8 = b'd';
/// The question of `keep`, and its answers.
pub(in crate::lab) const KEEP: &[u8] = b"keep\n";
pub(in crate::lab) const KEPT: u8 = b'k';
pub(in crate::lab) const TOO_LATE: u8 = b'n';

pub(in crate::lab) fn socket(lab: &LabName) -> PathBuf {
    paths::lab(lab).join("watch")
}

/// Where the watchdog writes what it does.
pub fn log(lab: &LabName) -> PathBuf {
    paths::lab(lab).join("watch.log")
}

/// A change of NICs under way, and the record that was there before it.
#[derive(Debug)]
pub struct NicChange {
    borrowed: Borrowed,
    earlier: Option<Borrowed>,
    applier: Applier,
}

impl NicChange {
    /// Looks at the NICs that a plan changes and has them watched; none where it changes none.
    pub fn begin(lab: &LabName, wanted: &State, plan: &Plan, policy: &NicPolicy) -> Result<Option<Self>> {
        let uses = uses(wanted);
        let earlier = Borrowed::live(lab);
        // An earlier change that never came to its end goes on with this one.
        let cut = earlier.as_ref().is_some_and(|earlier| earlier.trust == Trust::Applying);
        if uses.is_empty() || !(cut || touches(plan, &uses)) {
            return Ok(None);
        }
        let mut borrowed = look(lab, uses, policy.seconds)?;
        let applier = start(&mut borrowed)?;
        if plan.iter().any(|op| matches!(op.fact(), Fact::Sysctl(Ns::Root, ..))) {
            keep_learning();
        }
        Ok(Some(Self { borrowed, earlier, applier }))
    }

    /// The change is made: see [`applied`].
    pub fn applied(&mut self, wanted: &State) -> Result<()> {
        applied(&mut self.borrowed, wanted)
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
        hand_over(&mut socket, &earlier)?;
        if earlier.trust == Trust::Applying {
            return earlier.write();
        }
        start(&mut earlier)?.done();
        Ok(())
    }
}

/// Whether a plan changes something that a lab borrows, or how the machine is reached.
fn touches(plan: &Plan, uses: &[NicUse]) -> bool {
    let ours = |dev: &IfName| uses.iter().any(|used| used.nic == *dev || used.bridge.as_ref() == Some(dev));
    plan.iter().map(Op::fact).filter(|fact| *fact.ns() == Ns::Root).any(|fact| fact.port().is_none_or(|port| ours(&port.dev)))
}

/// What a lab is about to borrow, as it is now. What it had borrowed before stays as it was then.
pub fn look(lab: &LabName, uses: Vec<NicUse>, seconds: u64) -> Result<Borrowed> {
    let earlier = Borrowed::live(lab);
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let now = Snapshot::take(&mut socket, &uses)?;
    let management =
        now.nics.iter().any(|nic| nic.defaults().next().is_some()) || ssh_comes_in(&mut socket, &now.nics)?.is_some();
    let neighbours = answering(&mut socket, &now.nics).map_err(|errno| failed("ip neigh", errno))?;
    let fresh = Borrowed {
        lab: lab.clone(),
        boot_id: boot_id().to_owned(),
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
        Some(earlier) => since(fresh, earlier),
        None => fresh,
    })
}

/// Of NICs that are borrowed already, what they were before that.
fn since(mut new: Borrowed, earlier: Borrowed) -> Borrowed {
    let is_new = |nic: &Nic| earlier.before.nic(&nic.name).is_none();
    let added: Vec<Nic> = new.before.nics.iter().filter(|nic| is_new(nic)).cloned().collect();
    let uses: BTreeSet<NicUse> = earlier.uses.iter().chain(&new.uses).cloned().collect();
    let settings = first(&earlier.before.settings, &new.before.settings);
    new.management |= earlier.management;
    new.at = earlier.at;
    new.before = Snapshot { nics: earlier.before.nics.into_iter().chain(added).collect(), settings };
    // The NIC's last word counts for one that changes its bridge.
    let last = |used: &NicUse| new.uses.contains(used) || new.uses.iter().all(|mine| mine.nic != used.nic);
    new.uses = uses.into_iter().filter(last).collect();
    new
}

/// The change is made: addresses follow their NIC into its bridge, and what is there now is what nslab has set.
///
/// # Errors
/// [`crate::error::Error::RolledBack`]'s cause where a neighbour no longer answers: the caller undoes the change.
pub fn applied(borrowed: &mut Borrowed, expected: &State) -> Result<()> {
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    hand_over(&mut socket, borrowed)?;
    verify(&mut socket, borrowed, expected)?;
    borrowed.after = Some(Snapshot::take(&mut socket, &borrowed.uses)?);
    borrowed.trust = if borrowed.management { Trust::Waiting } else { Trust::Kept };
    borrowed.write()
}

/// Who answers on the NICs right now.
fn answering(socket: &mut Netlink, nics: &[Nic]) -> std::result::Result<Vec<(IfName, std::net::IpAddr)>, Errno> {
    let found: Vec<Entry> = neighbours::reachable(socket)?;
    let named = |entry: Entry| nics.iter().find(|nic| nic.index == entry.interface).map(|nic| (nic.name.clone(), entry.address));
    Ok(found.into_iter().filter_map(named).collect())
}

/// Reads back what was set, then asks every neighbour that answered before.
///
/// # Errors
/// [`Error::RolledBack`] with what is not so; nothing has been taken back yet.
fn verify(socket: &mut Netlink, borrowed: &Borrowed, expected: &State) -> Result<()> {
    let undo = |why| Error::RolledBack { lab: borrowed.lab.to_string(), why };
    for look in 1.. {
        match odd(borrowed, expected)? {
            None => break,
            Some(fact) if look == LOOKS => return Err(undo(Rollback::NotSo(fact))),
            Some(_) => std::thread::sleep(PAUSE),
        }
        interrupted()?;
    }
    let silent = silent(socket, borrowed)?;
    if silent.is_empty() { Ok(()) } else { Err(undo(Rollback::Silent(silent))) }
}

/// A fact about a borrowed NIC that is not so.
fn odd(borrowed: &Borrowed, expected: &State) -> Result<Option<String>> {
    let scope = Scope { spaces: BTreeSet::from([Ns::Root]), expected: expected.clone(), ..Scope::default() };
    let seen = Kernel::new(paths::pins(&borrowed.lab)).observe(&scope)?;
    let used = |dev: &IfName| borrowed.uses.iter().any(|used| used.nic == *dev);
    let real = |fact: &&Fact| fact.port().is_some_and(|port| port.ns == Ns::Root && used(&port.dev));
    Ok(expected.iter().filter(real).find(|fact| !seen.holds(fact)).map(|fact| Op::Add(fact.clone()).to_string()))
}

/// Neighbours that do not answer any more.
fn silent(socket: &mut Netlink, borrowed: &Borrowed) -> Result<Vec<IpAddr>> {
    let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
    let place = |dev: &IfName| {
        let bridge = borrowed.uses.iter().find(|used| used.nic == *dev).and_then(|used| used.bridge.as_ref());
        all.iter().find(|nic| nic.name == *bridge.unwrap_or(dev)).map(|nic| nic.index)
    };
    let asked: Vec<Entry> = borrowed
        .neighbours
        .iter()
        .filter_map(|(dev, address)| Some(Entry { interface: place(dev)?, address: *address }))
        .collect();
    let fail = |errno| failed("ip neigh", errno);
    // What is remembered proves nothing.
    neighbours::forget(socket, &asked).map_err(fail)?;
    neighbours::ask(socket, &asked).map_err(fail)?;
    let until = Instant::now() + NEIGHBOURS;
    loop {
        let here = neighbours::reachable(socket).map_err(fail)?;
        let missing: Vec<IpAddr> = asked.iter().filter(|entry| !here.contains(entry)).map(|entry| entry.address).collect();
        if missing.is_empty() || Instant::now() > until {
            return Ok(missing);
        }
        interrupted()?;
        std::thread::sleep(Duration::from_millis(10));
        if Instant::now() + NEIGHBOURS / 2 > until {
            neighbours::ask(socket, &asked).map_err(fail)?;
        }
    }
}

/// A name that no other change of this boot has.
fn name_of_change() -> String {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| now.tv_nsec());
    format!("{}.{now}.{}", uptime(), std::process::id())
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

/// The process that changes the machine, as its watchdog sees it: it must say that it has come to the end.
#[derive(Debug)]
pub struct Applier(UnixStream);

impl Applier {
    /// The change is made, and stands in the record.
    pub fn done(mut self) {
        // A watchdog that is gone is no reason to undo what works.
        let _ = self.0.write_all(&[DONE]);
    }
}

/// Writes the record and starts the watchdog; the caller changes nothing before this returns.
///
/// # Errors
/// When the watchdog cannot be started; then nothing may be changed.
pub fn start(borrowed: &mut Borrowed) -> Result<Applier> {
    end(&borrowed.lab);
    borrowed.change = name_of_change();
    borrowed.write()?;
    let fail = |errno| failed(&format!("start nslab {COMMAND} {}", borrowed.lab), errno);
    fault::point().map_err(fail)?;
    let log = File::options().create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log(&borrowed.lab));
    let started = log.and_then(|log| caller::start_own(&[COMMAND, borrowed.lab.as_str()], log));
    let (mut ours, _) = started.map_err(|error| fail(process::errno(&error)))?;
    let _ = ours.set_read_timeout(Some(BIRTH));
    let mut word = [0];
    match ours.read(&mut word) {
        Ok(1) if word[0] == READY => Ok(Applier(ours)),
        Ok(_) => Err(fail(Errno::EPIPE)),
        Err(error) => Err(fail(process::errno(&error))),
    }
}

/// Starts a watchdog for a lab that has borrowed NICs and lost its own. Whoever calls holds the lab.
///
/// # Errors
/// As `start`.
pub fn attend(lab: &LabName) -> Result<()> {
    let waits = |borrowed: &Borrowed| matches!(borrowed.trust, Trust::Waiting | Trust::Kept);
    let Some(mut borrowed) = Borrowed::read(lab).filter(waits) else { return Ok(()) };
    if UnixStream::connect(socket(lab)).is_err() {
        start(&mut borrowed)?.done();
    }
    Ok(())
}

/// Ends the watchdog of a lab, if there is one. Whoever calls holds the lab.
pub fn end(lab: &LabName) {
    let Ok(there) = UnixStream::connect(socket(lab)) else { return };
    let Some(pid) = process::peer(&there) else { return };
    if let Ok(handle) = process::handle(pid)
        && pid != nix::unistd::getpid().as_raw()
        && process::send(&handle, libc::SIGKILL).is_ok()
    {
        process::wait_end(&handle, 2000);
    }
}

/// Says that the machine can be reached.
///
/// # Errors
/// When no change waits for it, or it was taken back.
pub fn keep(lab: &LabName) -> Result<()> {
    let nothing = || Err(Error::Usage(Usage::NothingToKeep(lab.to_string())));
    // An `up` that is about to end has told the watchdog by then, and a watchdog at work has ended it.
    let Some(_lock) = rundir::lock_lab(lab)? else { return nothing() };
    let Some(mut borrowed) = Borrowed::read(lab) else { return nothing() };
    match (&borrowed.trust, &borrowed.why) {
        (Trust::RolledBack, Some(why)) => return Err(Error::RolledBack { lab: lab.to_string(), why: why.clone() }),
        (Trust::Waiting, _) => {}
        _ => return nothing(),
    }
    let asked = UnixStream::connect(socket(lab)).and_then(|mut there| {
        there.set_read_timeout(Some(PATIENCE))?;
        there.write_all(KEEP)?;
        let mut word = [0];
        there.read_exact(&mut word)?;
        Ok(word[0])
    });
    if asked.is_ok_and(|word| word == KEPT) {
        return Ok(());
    }
    // Nobody watches any more, or waits for the lock to take it back and will find that it is kept.
    borrowed.trust = Trust::Kept;
    borrowed.write()
}
