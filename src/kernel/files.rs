//! The limit on open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as needed and allowed; how many there may be.
pub fn open_files(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    let wanted = u64::try_from(wanted).unwrap_or(soft).clamp(soft, hard.max(soft));
    let now = if wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(now).unwrap_or(usize::MAX)
}
