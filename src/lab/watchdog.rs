//! The watchdog of borrowed NICs: a process of its own that puts them back unless somebody says that all is well.
//!
//! It has read the record and opened its sockets before the first change. Once the change is kept it sleeps, and goes
//! with the lab; if it is gone nothing breaks.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::borrow::Borrowed;
use super::borrow::change::{KEEP, KEPT, READY, TOO_LATE, socket};
use super::borrow::restore::restore;
use super::down;
use super::halves::Answerer;
use super::paths::failed;
use super::rundir::{self, Lock};
use crate::error::{Error, Result, Rollback, Usage};
use crate::kernel::flock::Patience;
use crate::kernel::netlink::Netlink;
use crate::kernel::sys::process;
use crate::name::LabName;
use crate::plan::State;
use crate::report::lab::{Downs, Trust};

/// The watchdog's life.
///
/// # Errors
/// When it cannot begin; nothing was changed then.
pub fn stand(lab: &LabName) -> Result<Option<Downs>> {
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
        let down = down::roll_back(lab, lock, why.clone())?;
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
        if let Ok(whose) = getsockopt(&applier, sockopt::PeerCredentials)
            && let Ok(handle) = process::handle(whose.pid())
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
