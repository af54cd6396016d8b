//! Waiting for a command on the caller's terminal, and for the orphans that it leaves.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, pthread_sigmask};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp, isatty, tcgetpgrp, tcsetpgrp};

use super::spec::error;
use crate::error::Result;
use crate::kernel::sys::process;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// How a process ended.
    pub(super) fn from_status(status: ExitStatus) -> Self {
        status.signal().map_or_else(|| Self::Code(status.code().unwrap_or_default()), Self::Signal)
    }

    /// What a shell reports: 128 + n for signal n.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// The signals that a waiting nslab takes.
const TAKEN: [Signal; 7] =
    [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Bytes of each stream of a captured command that are kept.
const KEPT: usize = 64 << 10;
/// How often a captured command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How often an interactive command asks for the foreground.
const ASKED: usize = 8;

/// The caller's terminal as it was, and the signals that were blocked.
#[derive(Debug)]
pub(super) struct Terminal {
    before: SigSet,
    modes: Option<Termios>,
    /// The caller was in front of it.
    pub(super) foreground: bool,
}

fn taken() -> SigSet {
    TAKEN.into_iter().collect()
}

/// The first of the standard descriptors that is a terminal.
fn terminal() -> Option<BorrowedFd<'static>> {
    [0, 1, 2].map(process::standard).into_iter().find(|fd| isatty(fd).unwrap_or(false))
}

/// The caller's terminal is in the hands of another process group.
fn in_background() -> bool {
    terminal().is_some_and(|fd| tcgetpgrp(fd).is_ok_and(|front| front != getpgrp()))
}

impl Terminal {
    /// From now on signals wait until [`Started::wait`] looks at them. An interactive command first waits, stopped,
    /// until the caller's shell puts it into the foreground.
    pub(super) fn claim(interactive: bool) -> Self {
        // Bounded: a group that nobody can bring back to the front is never stopped.
        for _ in 0..ASKED {
            if !interactive || !in_background() || killpg(getpgrp(), Signal::SIGTTIN).is_err() {
                break;
            }
        }
        let mut before = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&taken()), Some(&mut before));
        let foreground = terminal().is_some_and(|fd| tcgetpgrp(fd) == Ok(getpgrp()));
        let modes = terminal().filter(|_| foreground).and_then(|fd| tcgetattr(fd).ok());
        Self { before, modes, foreground }
    }

    /// Takes the terminal back: a shell inside cannot return it to a group that it does not see.
    fn take_back(&self, exit: Option<Exit>) {
        self.give(getpgrp());
        if let (Some(Exit::Signal(_)), Some(modes), Some(fd)) = (exit, &self.modes, terminal()) {
            let _ = tcsetattr(fd, SetArg::TCSADRAIN, modes);
        }
    }

    /// Puts a process group in front of the terminal.
    fn give(&self, group: Pid) {
        let Some(fd) = terminal().filter(|_| self.foreground) else { return };
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        let mut before = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stop), Some(&mut before));
        let _ = tcsetpgrp(fd, group);
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// A command that runs in a node.
#[derive(Debug)]
pub struct Started {
    child: Child,
    terminal: Terminal,
    _orphans: Option<Orphans>,
}

impl Started {
    pub(super) fn new(child: Child, terminal: Terminal, orphans: Option<Orphans>) -> Self {
        Self { child, terminal, _orphans: orphans }
    }

    /// Waits for the command's end, and passes on to it the signals that nslab gets meanwhile.
    ///
    /// Keys of the terminal (Ctrl-C, Ctrl-Z) reach the command by themselves.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(mut self) -> Result<Exit> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        loop {
            if let Some(exit) = self.look(pid).map_err(|errno| error("", ("waitpid".to_owned(), errno)))? {
                self.terminal.take_back(Some(exit));
                return Ok(exit);
            }
            match process::wait_signal(&taken()) {
                Ok((number, by_process)) if number != libc::SIGCHLD => {
                    if by_process && let Ok(signal) = Signal::try_from(number) {
                        let _ = kill(pid, signal);
                    }
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(error("", ("sigwaitinfo".to_owned(), errno))),
            }
        }
    }

    /// Waits for the end of a captured command, no longer than `patience`: how it ended, none where it had to be killed, and
    /// the first of what it wrote.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn output(mut self, patience: Duration) -> Result<(Option<Exit>, Vec<u8>)> {
        let (ours, theirs) = std::sync::mpsc::channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            self.child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            self.child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        // A daemon that the command leaves behind may hold its streams open for ever: nobody waits for these threads.
        for (place, stream) in streams.into_iter().enumerate() {
            let (Some(mut stream), ours) = (stream, ours.clone()) else { continue };
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part) {
                    if ours.send((place, part[..length].to_vec())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(ours);
        let mut written = [Vec::new(), Vec::new()];
        let mut take = |(place, part): (usize, Vec<u8>)| {
            let kept: &mut Vec<u8> = &mut written[place];
            kept.extend(part.into_iter().take(KEPT.saturating_sub(kept.len())));
        };
        let began = Instant::now();
        let exit = loop {
            let ended = self.child.try_wait().map_err(|fault| error("", ("waitpid".to_owned(), process::errno(&fault))))?;
            if let Some(status) = ended {
                break Some(Exit::from_status(status));
            }
            if began.elapsed() >= patience {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break None;
            }
            match theirs.recv_timeout(LOOK) {
                Ok(part) => take(part),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
        };
        // What it wrote last is on its way.
        while let Ok(part) = theirs.recv_timeout(LOOK) {
            take(part);
        }
        self.terminal.take_back(exit);
        Ok((exit, written.concat()))
    }

    fn look(&mut self, pid: Pid) -> std::result::Result<Option<Exit>, Errno> {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, code)) => Ok(Some(Exit::Code(code))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Exit::Signal(signal as i32))),
            Ok(WaitStatus::Stopped(..)) => {
                // The caller's shell must see a stopped job, and get its terminal back.
                let group = getpgid(Some(pid)).unwrap_or_else(|_| getpgrp());
                self.terminal.take_back(None);
                let _ = kill(Pid::this(), Signal::SIGSTOP);
                if group != getpgrp() && !in_background() {
                    self.terminal.give(group);
                }
                let _ = kill(pid, Signal::SIGCONT);
                Ok(None)
            }
            Ok(_) | Err(Errno::EINTR) => Ok(None),
            Err(Errno::ECHILD) => Ok(self.child.try_wait().ok().flatten().map(Exit::from_status)),
            Err(errno) => Err(errno),
        }
    }
}

/// How long a sandbox may take to end after its last command. One that goes on, for a daemon in it, is left.
const PATIENCE: Duration = Duration::from_millis(200);

/// Orphans of this process are its own children again, and reaped at the end of this.
#[derive(Debug)]
pub(super) struct Orphans(());

impl Orphans {
    /// Takes them over where process 1 would leave them as zombies.
    pub(super) fn adopt() -> Option<Self> {
        let adopts = !is_reaper(&std::fs::read_to_string("/proc/1/status").ok()?)
            && !get_child_subreaper().unwrap_or(true)
            && set_child_subreaper(true).is_ok();
        adopts.then_some(Self(()))
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        let _ = set_child_subreaper(false);
    }
}

/// Whether a process, by its `/proc/PID/status`, does anything about children that end: SIGCHLD is ignored, caught or, for
/// signalfd(2), blocked.
fn is_reaper(status: &str) -> bool {
    let masks = status.lines().filter(|line| ["SigIgn:", "SigCgt:", "SigBlk:"].iter().any(|name| line.starts_with(name)));
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    masks.filter_map(mask).any(|mask| mask & (1 << (libc::SIGCHLD - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_nothing_about_children_is_no_reaper() {
        let status = |mask: &str| {
            format!("Name:\tx\nSigQ:\t0/96\nSigBlk:\t0000000000000000\nSigIgn:\t{mask}\nSigCgt:\t0000000000000000\n")
        };
        assert!(!is_reaper(&status("0000000000001000")));
        assert!(is_reaper(&status("0000000000010000")));
    }
}
