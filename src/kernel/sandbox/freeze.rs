//! The processes of nodes stand still, and go on.

use std::collections::HashSet;

use super::scan::{self, Spaces};
use super::{Paths, Tried, error};
use crate::error::Result;
use crate::kernel::sys::process;

/// Who forks while it is stopped is found in the next look; a chain of forks ends before this.
const LOOKS: usize = 64;

/// Stops every process of some nodes, those included that appear meanwhile. Never this process nor one that it descends from.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn freeze(paths: &Paths, nodes: &[String]) -> Result<()> {
    signal(paths, nodes, libc::SIGSTOP).map_err(|failure| error("", failure))
}

/// Lets every stopped process of some nodes go on.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn thaw(paths: &Paths, nodes: &[String]) -> Result<()> {
    signal(paths, nodes, libc::SIGCONT).map_err(|failure| error("", failure))
}

fn signal(paths: &Paths, nodes: &[String], signal: i32) -> Tried<()> {
    let (spaces, proc, mut told) = (Spaces::of(paths, nodes), scan::proc()?, scan::ancestors());
    for _ in 0..LOOKS {
        let new: HashSet<i32> = spaces.look(&told)?.into_iter().filter(|seen| !seen.is_init).map(|seen| seen.pid).collect();
        if new.is_empty() {
            break;
        }
        for &pid in &new {
            let Ok(handle) = process::handle(pid) else { continue };
            // The number may have been given to a stranger since.
            if spaces.node(&proc, pid).is_some() {
                let _ = process::send(&handle, signal);
            }
        }
        told.extend(new);
    }
    Ok(())
}
