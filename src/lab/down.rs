//! The end of a lab: everything goes, with or without a readable journal, as often as it takes; by `down`, or by the watchdog of borrowed
//! NICs, a process of its own that puts them back unless somebody says that all is well.
//!
//! It has read the record and opened its sockets before the first change. Once the change is kept it sleeps, and goes with the lab; if it
//! is gone nothing breaks.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::borrow::change::{self, KEEP, KEPT, READY, TOO_LATE, socket};
use super::borrow::restore::{give_back, restore};
use super::borrow::{self, Borrowed};
use super::halves::Answerer;
use super::journal::{self, Journal, Phase};
use super::paths::{self, failed, system};
use super::rundir::{self, Lock};
use super::{agents, facts};
use crate::error::{Error, JournalFault, Left, Result, Rollback, Usage};
use crate::kernel::caller::Mounts;
use crate::kernel::flock::Patience;
use crate::kernel::netlink::Netlink;
use crate::kernel::sys;
use crate::kernel::sys::process::{self, errno};
use crate::kernel::{fault, sandbox, teardown};
use crate::name::LabName;
use crate::plan::{NodeId, State};
use crate::report::lab::{Down, Downs, LeftAlone, Process, Progress, Trust};
use crate::topology::Topology;

/// How long processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// Takes a lab down; one that is not there is down already.
pub fn down(name: &LabName, report: &mut dyn FnMut(Progress)) -> Result<Down> {
    report(Progress { done: 0, total: 1 });
    let start = Instant::now();
    let Some(lock) = rundir::lock_lab(name)? else {
        rundir::tidy()?;
        return Ok(Down {
            lab: name.clone(),
            was_up: false,
            ended: Vec::new(),
            left_alone: Vec::new(),
            milliseconds: since(start),
        });
    };
    // Without one that can be understood everything goes that is pinned under the name.
    let (mut journal, damaged) = match Journal::read(name) {
        Ok(journal) => (journal, None),
        Err(error @ Error::Journal { why: JournalFault::Damaged, .. }) => (None, Some(error)),
        Err(Error::Journal { why: JournalFault::Newer(..), .. }) => (None, None),
        Err(error) => return Err(error),
    };
    if let Some(journal) = &mut journal {
        journal.phase = Phase::Going;
        // A full disk must not keep anything up.
        let _ = journal.write();
    }
    let _hold = sys::hold_signals();
    let down = dismantle(name, journal.as_ref(), lock, start)?;
    report(Progress { done: 1, total: 1 });
    damaged.map_or(Ok(down), Err)
}

/// Removes everything of a lab whose lock is held, its records last; the journal is none where there is none that can be read.
pub(super) fn dismantle(name: &LabName, journal: Option<&Journal>, lock: Lock, start: Instant) -> Result<Down> {
    agents::end(name)?;
    // The way to the machine first: what follows may take its time.
    let facts = on_machine(journal);
    let lost = borrow::is_lost(name).then(|| Left::Borrowed(nics(&facts)));
    // Before what leads to them goes.
    let unknown = journal.is_none() && facts::is_record_lost(name);
    let restored = give_back(name, &facts)?;
    let ended = strip(name, journal)?;
    // It has watched until here: a kill on the way down is no reason to stay cut off.
    change::end(name);
    if !restored.left.is_empty() {
        return Err(Error::Left(restored.left));
    }
    agents::drop_unused(name);
    journal::delete(name)?;
    leave(name, lock)?;
    let suspects = if unknown { facts::suspects() } else { Vec::new() };
    let left: Vec<Left> = lost.into_iter().chain(suspects.into_iter().map(Left::Suspect)).collect();
    if left.is_empty() { Ok(gone(name, ended, restored.left_alone, start)) } else { Err(Error::Left(left)) }
}

fn gone(name: &LabName, ended: Vec<Process>, left_alone: Vec<LeftAlone>, start: Instant) -> Down {
    Down { lab: name.clone(), was_up: true, ended, left_alone, milliseconds: since(start) }
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// The machine's NICs in a state, for a sentence.
fn nics(facts: &State) -> String {
    let names: Vec<String> = borrow::uses(facts).into_iter().map(|used| used.nic.to_string()).collect();
    names.join(", ")
}

/// The facts of a lab that has something on the machine itself, as far as its journal tells.
fn on_machine(journal: Option<&Journal>) -> State {
    journal.filter(|journal| journal.has_role()).map(Journal::owned).unwrap_or_default()
}

/// Everything of a lab but its records.
fn strip(name: &LabName, journal: Option<&Journal>) -> Result<Vec<Process>> {
    let directory = paths::lab(name);
    let ended = end_processes(name, &[], GRACE)?;
    // What was made by hand is pinned under `run`; the private layers are a file system of their own.
    for mount in ["run", "layers"] {
        drop_tree(&directory.join(mount))?;
    }
    // Before the namespaces that the other ends of the machine's cables are in.
    facts::clear_machine(name, journal)?;
    teardown::unplug(&paths::pins(name));
    let pinned = |(path, errno): (std::path::PathBuf, Errno)| system("remove", &path, errno);
    teardown::all(&paths::pins(name), &mut |_| {}).map_err(pinned)?;
    drop_tree(&directory.join("sandbox"))?;
    Ok(ended)
}

/// Takes a lab back whose change of a NIC nobody kept: all but its records, which say why.
pub(super) fn roll_back(name: &LabName, lock: Lock, why: Rollback) -> Result<Down> {
    let start = Instant::now();
    let journal = Journal::read(name);
    let readable = journal.as_ref().ok().and_then(Option::as_ref);
    // The NICs come back whatever has become of the journal; what is wrong with it is told after that.
    let restored = give_back(name, &on_machine(readable))?;
    let ended = strip(name, readable);
    borrow::mark(name, why)?;
    if let Some(mut journal) = journal? {
        journal.phase = Phase::RolledBack;
        journal.write()?;
    }
    drop(lock);
    if !restored.left.is_empty() {
        return Err(Error::Left(restored.left));
    }
    Ok(gone(name, ended?, restored.left_alone, start))
}

/// The last steps: the index, the lab's own directory, and what all labs share.
fn leave(name: &LabName, lock: Lock) -> Result<()> {
    let all = rundir::existing()?;
    journal::remove_from_index(name)?;
    let directory = paths::lab(name);
    fault::point().map_err(|errno| system("rmdir", &directory, errno))?;
    match fs::remove_dir(&directory) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if errno(&error) == Errno::ENOTEMPTY => drop_tree(&directory)?,
        Err(error) => return Err(system("rmdir", &directory, errno(&error))),
    }
    drop(lock);
    all.map_or(Ok(()), rundir::close)
}

/// Detaches what is mounted at and under a directory, and removes it.
fn drop_tree(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    loop {
        fault::point().map_err(|errno| system("umount", path, errno))?;
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(system("umount", path, errno)),
        }
    }
    for below in Mounts::read().iter().flat_map(|mounts| mounts.points_under(path)) {
        let _ = umount2(below, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    fault::point().map_err(|errno| system("rm -r", path, errno))?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(system("rm -r", path, errno(&error))),
        _ => Ok(()),
    }
}

/// Ends the processes of nodes that a changed topology no longer has running; one that is only stopped keeps its files.
pub(super) fn end_nodes(topology: &Topology, nodes: &[NodeId]) -> Result<()> {
    let name = &topology.name;
    if nodes.is_empty() {
        return Ok(());
    }
    end_processes(name, nodes, GRACE)?;
    let stays = |node: &&NodeId| match node {
        NodeId::Container(host, container) => topology.container(host.as_str(), container.as_str()).is_some(),
        NodeId::Host(_) | NodeId::Switch(_) => false,
    };
    let paths = paths::sandboxes(name);
    let mut gone = nodes.iter().filter(|node| !stays(node));
    gone.try_for_each(|node| sandbox::forget(&paths, &node.to_string()))
}

/// Ends every process of some nodes (of all, where none is named); those that ended.
pub(super) fn end_processes(name: &LabName, nodes: &[NodeId], grace: Duration) -> Result<Vec<Process>> {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let (ended, left) = sandbox::end(&paths::sandboxes(name), &names, grace)?;
    if !left.is_empty() {
        return Err(Error::Left(left.into_iter().map(|process| Left::Process(process.pid, process.command)).collect()));
    }
    Ok(ended.into_iter().map(|process| Process { pid: process.pid, command: process.command }).collect())
}

/// The watchdog's life.
///
/// # Errors
/// When it cannot begin; nothing was changed then.
pub fn watch_nics(lab: &LabName) -> Result<Option<Downs>> {
    let fail = |errno| failed("watch the machine's NICs", errno);
    detach();
    let borrowed = Borrowed::read(lab).ok_or_else(|| Error::Usage(Usage::NothingToKeep(lab.to_string())))?;
    let netlink = Netlink::open().map_err(fail)?;
    let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC).map_err(fail)?;
    let _ = std::fs::remove_file(socket(lab));
    let door = UnixListener::bind(socket(lab)).map_err(|error| fail(process::errno(&error)))?;
    let applier = process::standard(0).try_clone_to_owned().map_err(|error| fail(process::errno(&error)))?;
    let mut watch = Watch { borrowed, netlink, timer, door, applier: Some(UnixStream::from(applier)), answerers: Vec::new() };
    watch.listen();
    watch.arm().map_err(fail)?;
    if let Some(applier) = &mut watch.applier {
        applier.write_all(&[READY]).map_err(|error| fail(process::errno(&error)))?;
    }
    process::silence_input().map_err(fail)?;
    watch.all()
}

/// Out of the session and the service that nslab was started in, or it would end with them.
fn detach() {
    let _ = nix::unistd::setsid();
    process::ignore_terminal();
    for tree in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
        let _ = std::fs::write(format!("{tree}/cgroup.procs"), "0");
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
}

struct Watch {
    borrowed: Borrowed,
    netlink: Netlink,
    timer: TimerFd,
    door: UnixListener,
    applier: Option<UnixStream>,
    answerers: Vec<Answerer>,
}

impl Watch {
    /// On every NIC, for the other halves of the lab. Where the kernel refuses that they get no answer, and no NIC is less safe.
    fn listen(&mut self) {
        for used in &self.borrowed.uses {
            self.answerers.extend(Answerer::open(&self.borrowed.lab, &used.nic, &mut self.netlink).ok().flatten());
        }
    }

    fn arm(&self) -> std::result::Result<(), Errno> {
        let seconds = i64::try_from(self.borrowed.seconds).unwrap_or(i64::MAX);
        self.timer.set(Expiration::OneShot(TimeSpec::seconds(seconds)), TimerSetTimeFlags::empty())
    }

    fn all(&mut self) -> Result<Option<Downs>> {
        loop {
            let [timer, door, applier, question] = self.wait();
            // What the applier said came before the question of whoever saw it end.
            if applier && let Some(why) = self.hear() {
                return self.take_back(why);
            }
            if door {
                self.answer();
            }
            if question {
                let netlink = &mut self.netlink;
                self.answerers.retain_mut(|answerer| answerer.serve(netlink));
            }
            if timer && self.borrowed.trust != Trust::Kept {
                return self.take_back(Rollback::Unconfirmed(self.borrowed.seconds));
            }
        }
    }

    /// Sleeps until the time is over, somebody knocks, the applier speaks or ends, or another half asks.
    fn wait(&self) -> [bool; 4] {
        let mut fds = vec![PollFd::new(self.timer.as_fd(), PollFlags::POLLIN), PollFd::new(self.door.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.answerers.iter().map(|answerer| PollFd::new(answerer.as_fd(), PollFlags::POLLIN)));
        let questions = 2..fds.len();
        fds.extend(self.applier.as_ref().map(|applier| PollFd::new(applier.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let applier = fds[questions.end..].iter().any(ready);
        [ready(&fds[0]), ready(&fds[1]), applier, fds[questions].iter().any(ready)]
    }

    /// The applier has come to its end, well or not; why what it did must go.
    fn hear(&mut self) -> Option<Rollback> {
        self.applier = None;
        let record = Borrowed::read(&self.borrowed.lab);
        // One that was killed after its last step has made a whole change, too, and the record says so.
        let settled = record.filter(|record| self.is_mine(record) && record.trust != Trust::Applying);
        match settled {
            Some(record) => {
                self.borrowed = record;
                // From now on somebody has the whole time.
                let armed = if self.borrowed.trust == Trust::Kept { self.timer.unset() } else { self.arm() };
                armed.err().map(|_| Rollback::Cut)
            }
            None => Some(Rollback::Cut),
        }
    }

    /// Somebody asks something at the door.
    fn answer(&mut self) {
        let Ok((mut there, _)) = self.door.accept() else { return };
        let _ = there.set_read_timeout(Some(Duration::from_millis(200)));
        let mut word = [0; KEEP.len()];
        if there.read_exact(&mut word).is_err() || word != *KEEP {
            return;
        }
        let answer = if self.keep() { KEPT } else { TOO_LATE };
        let _ = there.write_all(&[answer]);
    }

    fn keep(&mut self) -> bool {
        if self.borrowed.trust == Trust::Applying {
            return false;
        }
        let mut kept = self.borrowed.clone();
        kept.trust = Trust::Kept;
        if kept.write().is_err() || self.timer.unset().is_err() {
            return false;
        }
        self.borrowed = kept;
        true
    }

    /// Puts everything back. Who holds the lab has five seconds to let go of it; the NICs do not wait longer than that.
    fn take_back(&mut self, why: Rollback) -> Result<Option<Downs>> {
        let lab = self.borrowed.lab.clone();
        // Nothing is kept any more, whatever comes.
        let _ = std::fs::remove_file(socket(&lab));
        self.end_applier();
        let mut early = false;
        loop {
            match rundir::lock_lab_within(&lab, Patience::at_most(Duration::from_secs(5))) {
                Ok(Some(lock)) => return self.roll_back(lock, why),
                Ok(None) => return Ok(None),
                Err(_) if !early => {
                    early = true;
                    if Borrowed::read(&lab).is_none_or(|record| !self.is_mine(&record)) {
                        return Ok(None);
                    }
                    let _ = restore(&mut self.netlink, &self.borrowed, &State::new());
                }
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// The record that counts is the one under the lock: somebody may have kept the change a moment ago.
    fn roll_back(&self, lock: Lock, why: Rollback) -> Result<Option<Downs>> {
        let lab = &self.borrowed.lab;
        let kept = |record: &Borrowed| record.trust == Trust::Kept && matches!(why, Rollback::Unconfirmed(_));
        if Borrowed::read(lab).is_none_or(|record| kept(&record) || !self.is_mine(&record)) {
            return Ok(None);
        }
        let down = roll_back(lab, lock, why.clone())?;
        // Who looks into the log finds the reason first.
        let errors = vec![Error::RolledBack { lab: lab.to_string(), why }];
        Ok(Some(Downs { labs: vec![down], errors }))
    }

    /// The record is of the change that this watchdog was started for, not of one that came after it.
    fn is_mine(&self, record: &Borrowed) -> bool {
        record.change == self.borrowed.change
    }

    /// One that has not come to its end in all that time hangs, and holds the lab.
    fn end_applier(&mut self) {
        let Some(applier) = self.applier.take() else { return };
        if let Some(Ok(handle)) = process::peer(&applier).map(process::handle)
            && !matches!(poll_closed(&applier), Ok(true))
        {
            let _ = process::send(&handle, libc::SIGKILL);
            process::wait_end(&handle, 1000);
        }
    }
}

/// Whether the other end is closed: then its number may be a stranger's.
fn poll_closed(stream: &UnixStream) -> std::result::Result<bool, Errno> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)))
}
