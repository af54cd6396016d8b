//! Waiting for a lock of flock(2) in the order of arrival.
//!
//! The kernel keeps a queue of those who block, while who only asks again and again may be overtaken for ever. So a thread blocks for the
//! caller, who looks meanwhile at whether there is hope.

use std::fs::File;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::interrupted;
use crate::error::{Error, Limit};

/// How often a waiting caller looks at whether a signal has come.
const LOOK: Duration = Duration::from_millis(10);
/// How often it looks at who holds the lock: for some locks that is a file of the kernel's with all locks of the machine.
const LOOK_AT_HOLDER: Duration = Duration::from_millis(250);

/// How long who comes second waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one who keeps the lock.
    pub holder: Duration,
    /// For all who have their turn before.
    pub all: Duration,
}

impl Patience {
    /// Five seconds for one holder: no command keeps a lab for longer. A minute for all: as long as people wait.
    pub const USUAL: Self = Self { holder: Duration::from_secs(5), all: Duration::from_secs(60) };

    /// So long, however many come before.
    pub const fn at_most(time: Duration) -> Self {
        Self { holder: time, all: time }
    }
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum Untaken {
    /// Others have it for longer than that; the file, to ask who.
    Busy(File),
    /// A signal came, or no thread could be made.
    Stopped(Error),
    /// The kernel refuses.
    Refused(Errno),
}

/// Takes a lock, exclusive or shared; waits for those who have it and those who came before. `holder` tells one holder, or one holding, from the
/// next.
///
/// # Errors
/// [`Untaken`].
pub fn take<T: PartialEq>(
    file: File,
    exclusive: bool,
    patience: Patience,
    holder: impl Fn(&File) -> T,
) -> std::result::Result<Flock<File>, Untaken> {
    let (at_once, waiting) = if exclusive {
        (FlockArg::LockExclusiveNonblock, FlockArg::LockExclusive)
    } else {
        (FlockArg::LockSharedNonblock, FlockArg::LockShared)
    };
    let file = match Flock::lock(file, at_once) {
        Ok(held) => return Ok(held),
        Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
        Err((_, errno)) => return Err(Untaken::Refused(errno)),
    };
    let look = file.try_clone().map_err(|error| Untaken::Refused(super::sys::process::errno(&error)))?;
    let (sender, receiver) = channel();
    // One that is given up ends when its turn comes; the process need not wait for that.
    let thread = std::thread::Builder::new().name("lock".to_owned()).spawn(move || {
        let _ = sender.send(blocked(file, waiting));
    });
    let thread = thread.map_err(|_| Untaken::Stopped(Error::Machine(Limit::Sysctl("kernel.threads-max"))))?;
    let (began, mut since, mut looked, mut last) = (Instant::now(), Instant::now(), Instant::now(), holder(&look));
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(taken) => {
                // Who takes a lock may go on into other namespaces, which only a process of one thread can.
                let _ = thread.join();
                return taken.map_err(Untaken::Refused);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Untaken::Refused(Errno::EDEADLK)),
        }
        interrupted().map_err(Untaken::Stopped)?;
        if looked.elapsed() >= LOOK_AT_HOLDER.min(patience.holder) {
            looked = Instant::now();
            let now = holder(&look);
            if now != last {
                (last, since) = (now, looked);
            }
            if since.elapsed() >= patience.holder || began.elapsed() >= patience.all {
                return Err(Untaken::Busy(look));
            }
        }
    }
}

fn blocked(mut file: File, how: FlockArg) -> std::result::Result<Flock<File>, Errno> {
    loop {
        match Flock::lock(file, how) {
            Ok(held) => return Ok(held),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, errno)) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    /// A file without a name; each time it is opened it may be locked on its own.
    fn place() -> File {
        File::from(memfd_create(c"lock", MFdFlags::MFD_CLOEXEC).unwrap())
    }

    fn lock_file(place: &File) -> File {
        File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).unwrap()
    }

    #[test]
    fn who_waits_is_not_overtaken_for_ever() {
        let place = place();
        let (done, turns) = (AtomicBool::new(false), AtomicU32::new(0));
        let waited = std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let held = take(lock_file(&place), true, Patience::USUAL, |_| turns.load(Ordering::Relaxed)).unwrap();
                        turns.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(5));
                        drop(held);
                        // A process takes longer to start.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            while turns.load(Ordering::Relaxed) < 20 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let most = (0..5).map(|_| {
                let before = turns.load(Ordering::Relaxed);
                drop(take(lock_file(&place), true, Patience::USUAL, |_| turns.load(Ordering::Relaxed)).unwrap());
                turns.load(Ordering::Relaxed) - before
            });
            let most = most.max();
            done.store(true, Ordering::Relaxed);
            most
        });
        assert!(waited.unwrap() <= 20, "four others had {waited:?} turns before");
    }

    #[test]
    fn one_that_keeps_it_is_told_from_many_in_turn() {
        let place = place();
        let kept = take(lock_file(&place), true, Patience::USUAL, |_| 0).unwrap();
        let patience = Patience { holder: Duration::from_millis(50), all: Duration::from_secs(3600) };
        assert!(matches!(take(lock_file(&place), true, patience, |_| 0), Err(Untaken::Busy(_))));
        assert!(matches!(take(lock_file(&place), false, patience, |_| 0), Err(Untaken::Busy(_))), "shared neither");
        let looks = AtomicU32::new(0);
        let patience = Patience { all: Duration::from_millis(500), ..patience };
        let changing = take(lock_file(&place), true, patience, |_| looks.fetch_add(1, Ordering::Relaxed));
        assert!(matches!(changing, Err(Untaken::Busy(_))));
        assert!(looks.load(Ordering::Relaxed) > 2, "waited past the first holder's time");
        drop(kept);
        take(lock_file(&place), true, Patience::USUAL, |_| 0).unwrap();
    }
}
