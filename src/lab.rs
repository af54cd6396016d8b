//! Labs that live: the journal, the lock, and the one way up and the one way down.

pub mod agents;
pub mod borrow;
pub mod by_hand;
mod change;
mod down;
pub mod halves;
pub mod home;
pub mod hosts;
pub mod index;
pub mod instances;
pub mod interference;
mod journal;
mod lock;
mod machine;
pub mod private;
mod record;
pub mod resolve;
mod role;
pub mod rootless;
pub mod sandbox;
mod status;
mod up;

use std::path::Path;

use nix::errno::Errno;

pub use down::{Down, down};
pub use index::Entry;
pub use journal::{Journal, Phase, boot_id};
pub use role::{Casting, Wish};
pub use status::{Agent, Condition, Reset, Status, reset, status};
pub use up::{Kept, Up, preview, up, up_on};

use crate::error::{Error, KernelError, Limit, Result, Thing};
use crate::name::LabName;
use crate::plan::NodeId;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Operations done.
    pub done: usize,
    /// Operations in all.
    pub of: usize,
}

/// Every lab that is there, for anybody; not those that another nslab has made for itself and is about to take away.
pub fn names() -> Vec<Entry> {
    every().into_iter().filter(|entry| !private::in_use(&entry.lab)).collect()
}

/// Every lab that is there.
pub fn every() -> Vec<Entry> {
    index::read()
}

/// Labs that an `up` was killed in before it entered them among the others, and those that one is about to enter.
pub fn remains() -> Vec<LabName> {
    let listed = every();
    let unlisted = |name: &LabName| !private::in_use(name.as_str()) && listed.iter().all(|entry| entry.lab != name.as_str());
    home::labs().into_iter().filter(unlisted).collect()
}

/// The journal of a lab that must be there.
///
/// # Errors
/// [`Error::Unknown`] with the labs that are.
pub fn load(name: &LabName) -> Result<Journal> {
    Journal::read(name)?.ok_or_else(|| Error::Unknown {
        what: Thing::Lab,
        word: name.to_string(),
        candidates: names().into_iter().map(|entry| entry.lab).filter(|lab| lab != name.as_str()).collect(),
    })
}

/// The journal of a lab that must be there, and a lock that keeps it up while somebody enters it.
///
/// # Errors
/// [`Error::Unknown`] with the labs that are; [`Error::Busy`] while it is brought up, changed or taken down.
pub fn enter(name: &LabName) -> Result<(lock::Lock, Journal)> {
    let lock = lock::shared(&home::lab(name), Some(name.as_str()))?;
    let journal = load(name)?;
    lock.map(|lock| (lock, journal)).ok_or_else(|| Error::Usage(crate::error::Usage::NotUp(name.to_string())))
}

/// The pin of a node.
pub fn netns_path(name: &LabName, node: &NodeId) -> std::path::PathBuf {
    home::pins(name).pin(node)
}

/// The error of a step that the kernel refused.
fn failed(tried: &str, errno: Errno) -> Error {
    Error::Kernel(KernelError { node: None, tried: tried.to_owned(), errno: errno as i32, said: None })
}

/// The error of a system call on a path.
fn system(tried: &str, path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::EMFILE => Error::Machine(Limit::OpenFiles),
        Errno::ENFILE => Error::Machine(Limit::Sysctl("fs.file-max")),
        Errno::ENOMEM => Error::Machine(Limit::Memory),
        errno => Error::Kernel(KernelError {
            node: None,
            tried: format!("{tried} {}", path.display()),
            errno: errno as i32,
            said: None,
        }),
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A lab under its lock, its directory made.
fn hold(name: &LabName) -> Result<lock::Lock> {
    let path = home::lab(name);
    loop {
        let all = home::open()?;
        if let Err(error) = home::make_directory(&path, 0o700) {
            let _ = home::close(all);
            return Err(error);
        }
        drop(all);
        // Between the two locks a `down` may remove the directory: then it is made again.
        if let Some(lock) = lock::directory(&path, Some(name.as_str()))? {
            return Ok(lock);
        }
    }
}
