//! A command for somebody who is not at this terminal: in a session of its own, with pipes or a pseudo-terminal.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use super::end::members;
use super::join::{self, Directory, Entry, Unmet};
use super::spec::{Order, Paths, Screen, Spec, environment_of_order, error};
use super::wait::Exit;
use crate::error::Error;
use crate::kernel::sys::process;

/// How often a session is looked through for those that were started meanwhile.
const ROUNDS: usize = 64;

/// Why a command did not start.
#[derive(Debug)]
pub enum Refused {
    /// There is no such command.
    NotFound,
    /// It is there, but cannot be executed.
    NotExecutable,
    /// The working directory cannot be entered.
    Directory(PathBuf),
    /// nslab failed.
    Failed(Error),
}

/// This side of a command's streams: it never blocks, and the command does not notice that.
#[derive(Debug)]
pub enum Streams {
    /// Standard input, output and errors.
    Pipes {
        /// What is written here the command reads.
        input: OwnedFd,
        /// What the command writes.
        output: OwnedFd,
        /// What it writes as errors.
        errors: OwnedFd,
    },
    /// The master of a pseudo-terminal; its reader has everything when it gives `EIO`.
    Terminal(OwnedFd),
}

/// A command that runs in a node, with everything that it starts. Dropped while it runs, it is killed.
#[derive(Debug)]
pub struct Session {
    child: Child,
    handle: OwnedFd,
    ended: bool,
}

/// Starts a command in a node's sandbox, which is made if there is none. From any thread.
///
/// # Errors
/// When the command cannot be executed, its directory is not there, or the sandbox cannot be joined.
pub fn open(paths: &Paths, spec: &Spec, order: &Order) -> Result<(Session, Streams), Refused> {
    let failed = |step: &'static str| move |errno| Refused::Failed(error("", (step.to_owned(), errno)));
    if order.argv.is_empty() {
        return Err(Refused::NotFound);
    }
    process::keep_children();
    let (streams, theirs) = order.screen.map_or_else(pipes, |screen| terminal(screen, order.user)).map_err(failed("pipe"))?;
    let directory = Directory::Exactly(order.cwd.clone().unwrap_or_else(|| PathBuf::from("/")));
    let entry = Entry { directory, shared: None };
    let child = join::within(paths, spec, |init| {
        let [input, output, errors] = theirs.copies()?;
        let mut command = command(spec, order);
        command.stdin(input).stdout(output).stderr(errors);
        process::start_session(&mut command, order.screen.is_some());
        process::start_clean(&mut command, false);
        join::enter(init, paths, spec, &entry, &mut command)
    });
    drop(theirs);
    let mut child = child.map_err(|unmet| match unmet {
        Unmet::Exec(Errno::ENOENT | Errno::ENOTDIR) => Refused::NotFound,
        Unmet::Exec(_) => Refused::NotExecutable,
        Unmet::Directory(path, _) => Refused::Directory(path),
        Unmet::Failed(error) => Refused::Failed(error),
    })?;
    match process::handle(number(&child)) {
        Ok(handle) => Ok((Session { child, handle, ended: false }, streams)),
        Err(errno) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed("pidfd_open")(errno))
        }
    }
}

fn command(spec: &Spec, order: &Order) -> Command {
    let mut words = order.argv.iter();
    let mut command = Command::new(words.next().map_or_else(OsString::new, OsString::clone));
    command.args(words).env_clear().envs(environment_of_order(spec, order));
    if (order.user, order.group) != (0, 0) {
        command.uid(order.user).gid(order.group);
    }
    command
}

fn number(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}

/// The command's side of its streams.
enum Theirs {
    Pipes(OwnedFd, OwnedFd, OwnedFd),
    Terminal(OwnedFd),
}

impl Theirs {
    fn copies(&self) -> Result<[Stdio; 3], join::Refusal> {
        let copy = |fd: &OwnedFd| {
            let copied = fd.try_clone().map(Stdio::from);
            copied.map_err(|fault| join::Refusal::Failed(("dup".to_owned(), process::errno(&fault))))
        };
        match self {
            Self::Pipes(input, output, errors) => Ok([copy(input)?, copy(output)?, copy(errors)?]),
            Self::Terminal(slave) => Ok([copy(slave)?, copy(slave)?, copy(slave)?]),
        }
    }
}

fn pipes() -> Result<(Streams, Theirs), Errno> {
    let (stdin, input) = pipe2(OFlag::O_CLOEXEC)?;
    let (output, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (errors, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    for ours in [&input, &output, &errors] {
        unblock(ours)?;
    }
    Ok((Streams::Pipes { input, output, errors }, Theirs::Pipes(stdin, stdout, stderr)))
}

fn terminal(screen: Screen, user: u32) -> Result<(Streams, Theirs), Errno> {
    let OpenptyResult { master, slave } = openpty(None, None)?;
    for end in [&master, &slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    unblock(&master)?;
    process::resize(&master, screen.columns, screen.rows)?;
    if user != 0 {
        fchown(&slave, Some(Uid::from_raw(user)), None::<Gid>)?;
    }
    Ok((Streams::Terminal(master), Theirs::Terminal(slave)))
}

fn unblock(fd: &OwnedFd) -> Result<(), Errno> {
    let now = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(now | OFlag::O_NONBLOCK)).map(drop)
}

impl Session {
    /// Readable as soon as the command has ended.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// How the command ended; none while it runs. Everything that it wrote is in its streams by then.
    pub fn exit(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().ok().flatten()?;
        self.ended = true;
        Some(Exit::from_status(status))
    }

    /// Sends a signal to the command itself.
    ///
    /// # Errors
    /// When the command has ended, or there is no such signal.
    pub fn send(&self, signal: i32) -> Result<(), Errno> {
        process::send(&self.handle, signal)
    }

    /// Kills the command and everything of its session or that descends from it; who has begun a session of its own and
    /// given its parent up, a daemon, stays.
    pub fn kill(&self) {
        let leader = number(&self.child);
        let mut known = HashSet::from([leader]);
        for _ in 0..ROUNDS {
            let found = members(leader, &mut known);
            let handles: Vec<_> =
                found.into_iter().filter_map(|pid| process::handle(pid).ok().map(|handle| (pid, handle))).collect();
            // The number may have been given to a stranger between the two looks.
            let still = members(leader, &mut known.clone());
            let living: Vec<_> = handles.into_iter().filter(|(pid, _)| still.contains(pid)).collect();
            if living.is_empty() {
                break;
            }
            for (_, handle) in &living {
                let _ = process::send(handle, libc::SIGKILL);
            }
            for (_, handle) in &living {
                process::wait_end(handle, 100);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            let _ = process::send(&self.handle, libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
