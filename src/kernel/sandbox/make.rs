//! Making a sandbox: two forks, so that its init is nobody's child, and a pipe that tells how it went.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{pipe2, sethostname, setsid};

use super::record::{Files, Identity, Recorded};
use super::{Paths, Spec, Tried, at, init, record, root};
use crate::kernel::sys::process;

/// Makes the node's sandbox in the network namespace; the caller holds the node's lock.
///
/// Returns a handle of its init. Killed half-way nothing stays: the init sees the lock free and nobody to stay for.
pub(super) fn make(paths: &Paths, spec: &Spec, files: &Files, network: &File) -> Tried<OwnedFd> {
    let draft = record::open(&files.draft, true)?;
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).map_err(at("pipe"))?;
    let parts = Parts { paths, spec, lock: &files.lock, network, record: &draft, space: record::own_space() };
    let middle = process::fork(|| parts.middle(&tell)).map_err(at("fork"))?;
    drop(tell);
    let answer = listen(File::from(told));
    while nix::sys::wait::waitpid(middle, None) == Err(Errno::EINTR) {}
    answer?;
    std::fs::rename(&files.draft, &files.record).map_err(at(format!("rename {}", files.draft.display())))?;
    match record::living(&files.record) {
        Recorded::Living(_, handle) => Ok(handle),
        _ => Err(("join the sandbox".to_owned(), Errno::ESRCH)),
    }
}

/// An empty answer is a good one; silence is the end of the init.
fn listen(mut told: File) -> Tried<()> {
    let mut answer = Vec::new();
    told.read_to_end(&mut answer).map_err(at("read from the init"))?;
    match answer.split_first_chunk::<4>() {
        Some((number, _)) if *number == [0; 4] => Ok(()),
        Some((number, step)) => Err((String::from_utf8_lossy(step).into_owned(), Errno::from_raw(i32::from_ne_bytes(*number)))),
        None => Err(("make the sandbox".to_owned(), Errno::ESRCH)),
    }
}

struct Parts<'a> {
    paths: &'a Paths,
    spec: &'a Spec,
    lock: &'a Path,
    network: &'a File,
    record: &'a File,
    space: u64,
}

impl Parts<'_> {
    /// The process between nslab and the init.
    fn middle(&self, tell: &OwnedFd) -> i32 {
        // The lock is nslab's alone. The standard ones stay until the end, lest something else gets their numbers.
        process::close_all_but(&mut [0, 1, 2, tell.as_raw_fd(), self.network.as_raw_fd(), self.record.as_raw_fd()]);
        let made = self.enter().and_then(|()| process::fork(|| self.init(tell)).map_err(at("fork")));
        match made {
            Ok(_) => 0,
            Err((step, errno)) => answer(tell, errno as i32, &step),
        }
    }

    fn enter(&self) -> Tried<()> {
        setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET).map_err(at("setns(CLONE_NEWNET)"))?;
        unshare(CloneFlags::CLONE_NEWPID).map_err(at("unshare(CLONE_NEWPID)"))
    }

    fn init(&self, tell: &OwnedFd) -> i32 {
        let lock = match self.build() {
            Ok(lock) => lock,
            Err((step, errno)) => return answer(tell, errno as i32, &step),
        };
        process::close_all_but(&mut [0, 1, 2, tell.as_raw_fd(), lock.as_raw_fd(), self.record.as_raw_fd()]);
        let _ = process::set_title(&format!("{}{}/{}", init::TITLE, self.spec.lab, self.spec.node));
        process::trim_memory();
        answer(tell, 0, "");
        process::close_all_but(&mut [0, 1, 2, lock.as_raw_fd(), self.record.as_raw_fd()]);
        init::stay(lock, self.record)
    }

    fn build(&self) -> Tried<File> {
        process::init_signals().map_err(at("sigaction"))?;
        setsid().map_err(at("setsid"))?;
        umask(Mode::from_bits_truncate(0o022));
        let lock = record::open(self.lock, false)?;
        let identity = Identity::own(self.space)?;
        let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
        unshare(own).map_err(at("unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)"))?;
        sethostname(&self.spec.hostname).map_err(at("sethostname"))?;
        root::build(self.paths, self.spec)?;
        process::silence().map_err(at("open /dev/null"))?;
        record::claim(self.record).map_err(at("flock the record"))?;
        identity.write(self.record).map_err(at("write the record"))?;
        Ok(lock)
    }
}

fn answer(tell: &OwnedFd, errno: i32, step: &str) -> i32 {
    let message = [&errno.to_ne_bytes(), step.as_bytes()].concat();
    // Where nobody listens any more there is nobody to stay for, either.
    let _ = tell.try_clone().map(File::from).and_then(|mut tell| tell.write_all(&message));
    1
}
