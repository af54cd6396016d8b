//! Whether the caller may make labs.

use caps::{CapSet, Capability};

use super::run::Context;
use crate::error::{Error, Limit, Result, Usage};
use crate::kernel::sandbox;

/// What labs are made with: namespaces and mounts, network configuration.
pub(super) const NEEDED: [(Capability, &str); 2] =
    [(Capability::CAP_SYS_ADMIN, "CAP_SYS_ADMIN"), (Capability::CAP_NET_ADMIN, "CAP_NET_ADMIN")];

/// The first capability that labs need and the caller lacks.
pub(crate) fn lacking() -> Option<&'static str> {
    let lacks = |capability| !caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    NEEDED.into_iter().find(|(capability, _)| lacks(*capability)).map(|(_, name)| name)
}

/// Refuses to go on without the rights, before anything is read.
///
/// # Errors
/// `NotRoot` for a user, `Machine` for a root without capabilities.
pub(super) fn need(context: &Context) -> Result<()> {
    if lacking().is_none() { Ok(()) } else { Err(refusal(context)) }
}

/// Like [`need`], for what cannot be done from inside of a node: the machine's mounts are out of reach there.
///
/// # Errors
/// As [`need`]; `InsideNode` in a shell of a node.
pub(super) fn need_outside(context: &Context) -> Result<()> {
    need(context)?;
    sandbox::around().map_or(Ok(()), |node| Err(Error::Usage(Usage::InsideNode(node.replacen('.', "/", 1)))))
}

/// Why the caller may not do it, and what would work.
pub(super) fn refusal(context: &Context) -> Error {
    match lacking() {
        Some(name) if nix::unistd::geteuid().is_root() => Error::Machine(Limit::Capability(name)),
        _ => Error::NotRoot { command: context.typed.clone() },
    }
}
