//! Labs that a command makes for itself, under a name of their own, and takes away again.

use std::path::Path;

use super::{Step, down, every, home, up};
use crate::error::{Error, Result};
use crate::kernel::sys;
use crate::lab::Entry;
use crate::name::LabName;
use crate::topology::Topology;

/// Their names begin so; the pid of the nslab that has made it follows, and a number.
const PREFIX: &str = "private";

/// A lab that goes when this does.
#[derive(Debug)]
pub struct Private {
    name: LabName,
    gone: bool,
}

/// Brings a topology up under a name that no lab has.
///
/// # Errors
/// As [`up()`].
pub fn bring_up(mut topology: Topology, tell: &mut dyn FnMut(Step)) -> Result<Private> {
    let pid = std::process::id();
    let free = |name: &LabName| !home::lab(name).exists();
    let name = (1..u16::MAX).filter_map(|number| format!("{PREFIX}-{pid}-{number}").parse().ok()).find(free);
    let name: LabName = name.ok_or_else(|| Error::Internal("no name is free".to_owned()))?;
    topology.rename(name.clone())?;
    up(&topology, tell)?;
    Ok(Private { name, gone: false })
}

impl Private {
    /// Its entry in the index.
    ///
    /// # Errors
    /// `Internal` where somebody has taken it down.
    pub fn entry(&self) -> Result<Entry> {
        let found = every().into_iter().find(|entry| entry.lab == self.name.as_str());
        found.ok_or_else(|| Error::Internal(format!("{} has gone", self.name)))
    }

    /// Takes it down; what fails once is tried again, since nobody else would.
    ///
    /// # Errors
    /// As [`down()`].
    pub fn end(mut self) -> Result<()> {
        let down = || down(&self.name, &mut |_| {}).map(drop);
        let ended = down().or_else(|_| down());
        self.gone = true;
        ended
    }
}

impl Drop for Private {
    /// On the way out of an error or a panic.
    fn drop(&mut self) {
        if !self.gone {
            let _hold = sys::hold_signals();
            let _ = down(&self.name, &mut |_| {});
        }
    }
}

/// The pid in the name of a private lab.
fn maker(lab: &str) -> Option<u32> {
    let mut parts = lab.split('-');
    let (prefix, pid, number) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse::<u32>());
    (prefix == PREFIX && number.is_ok() && parts.next().is_none()).then_some(pid)
}

/// Whether a running nslab has made the lab for itself.
pub fn in_use(lab: &str) -> bool {
    let Some(pid) = maker(lab) else { return false };
    let program = |pid: &str| std::fs::read(Path::new("/proc").join(pid).join("comm")).ok();
    pid == std::process::id() || program(&pid.to_string()).is_some_and(|its| program("self") == Some(its))
}

/// Whether an nslab made the lab for itself and was killed before it took it away.
pub fn is_forgotten(lab: &str) -> bool {
    maker(lab).is_some() && !in_use(lab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_name_tells_its_maker() {
        assert_eq!(maker("private-12-1"), Some(12));
        for lab in ["bridged", "private", "private-12", "private-x-1", "private-12-1-2", "privates-12-1"] {
            assert_eq!(maker(lab), None, "{lab}");
        }
        let own = format!("private-{}-1", std::process::id());
        assert!(in_use(&own) && !is_forgotten(&own));
        // Pids end at 4 194 304 (`PID_MAX_LIMIT`).
        assert!(is_forgotten("private-4194305-1"));
    }
}
