//! Threads: those that may move into a namespace because they end afterwards, and those that share work; and how many files they may
//! have open.

use std::thread::{Builder, ScopedJoinHandle};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::sys;
use crate::error::{Error, Limit, Result};

/// Runs something on a thread of its own, which may move into a namespace because it ends afterwards.
pub fn thread<T: Send>(job: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| joined(Builder::new().spawn_scoped(scope, || Ok(job()))))
}

/// What a thread ends with, or why it did not begin.
pub fn joined<T>(thread: std::io::Result<ScopedJoinHandle<'_, Result<T>>>) -> Result<T> {
    let handle = thread.map_err(|_| Error::Machine(Limit::Sysctl("kernel.threads-max")))?;
    handle.join().unwrap_or_else(|_| Err(Error::Internal("a thread ended without an answer".to_owned())))
}

/// Does something with each of the items, which as many threads share as are of use.
pub fn shared<T: Send>(items: &mut [T], job: impl Fn(&mut T) -> Result<()> + Sync) -> Result<()> {
    let share = items.len().div_ceil(processors()).max(1);
    let work = |share: &mut [T]| share.iter_mut().try_for_each(&job);
    std::thread::scope(|scope| {
        let started: Vec<_> = items.chunks_mut(share).map(|share| Builder::new().spawn_scoped(scope, || work(share))).collect();
        started.into_iter().try_for_each(joined)
    })
}

/// How many threads are of use: more than four only wait for each other in the kernel.
pub fn processors() -> usize {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::this());
    let own = |set: nix::sched::CpuSet| (0..nix::sched::CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).count();
    set.map_or(1, own).clamp(1, 4)
}

/// A signal has arrived: stop at the next boundary.
pub fn interrupted() -> Result<()> {
    sys::signal().map_or(Ok(()), |signal| Err(Error::Signal(signal)))
}

/// Raises the limit of open files as far as needed and allowed; how many there may be.
pub fn open_files(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    let wanted = u64::try_from(wanted).unwrap_or(soft).clamp(soft, hard.max(soft));
    let now = if wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(now).unwrap_or(usize::MAX)
}
