//! What a lab with a role has made on the machine itself, taken away; what it has borrowed is given back by `borrow`.

use std::time::Duration;

use nix::errno::Errno;

use super::{Journal, home, up};
use crate::error::{Error, Result};
use crate::kernel::{Backend, Kernel, Scope};
use crate::name::LabName;
use crate::plan::{Key, Ns, RouteTo, State, Value, diff};

/// How often what goes by itself meanwhile is looked at again.
const TRIES: usize = 20;

/// Takes the lab's links off the machine, and its routes that lead nowhere; a lab without a role has nothing there.
///
/// # Errors
/// When the kernel refuses; the journal still knows what there is.
pub(super) fn clear(name: &LabName) -> Result<()> {
    let Ok(Some(journal)) = Journal::read(name) else { return Ok(()) };
    let owned = journal.owned();
    let spaces = up::spaces(&owned);
    if journal.is_stale() || !spaces.contains(&Ns::Root) {
        return Ok(());
    }
    let scope = Scope { pins_only: false, spaces, expected: owned };
    let mut tried = 0;
    loop {
        match step(name, &journal.baseline, &scope) {
            // A cable whose other end has just gone went along.
            Err(Error::Kernel(why)) if tried < TRIES && is_gone(why.errno) => {
                tried += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn step(name: &LabName, baseline: &State, scope: &Scope) -> Result<()> {
    let mut kernel = Kernel::new(home::pins(name));
    let seen = kernel.observe(scope)?;
    let made = |key: &Key, value: &Value| {
        let route = matches!(value, Value::Route(RouteTo::Blackhole)) && !baseline.contains_key(key);
        *key.ns() == Ns::Root && (matches!(key, Key::Link(_)) || route)
    };
    let from: State = seen.into_iter().filter(|(key, value)| made(key, value)).collect();
    kernel.apply(&diff(&from, &State::new()), &mut |_| {})
}

fn is_gone(errno: i32) -> bool {
    [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH].iter().any(|gone| *gone as i32 == errno)
}
