//! Everything that Rust cannot check, each block with its reason.
#![allow(unsafe_code, reason = "this is the one place for it")]

pub mod fd;
pub mod packet;
pub mod process;

use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static ARRIVED: AtomicI32 = AtomicI32::new(0);
static AGAIN: AtomicI32 = AtomicI32::new(0);
static HELD: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: i32) {
    if ARRIVED.swap(signal, Ordering::SeqCst) != 0 {
        AGAIN.store(1, Ordering::SeqCst);
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP are noted instead of ending the process.
pub fn note_signals() {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to atomics, which is async-signal-safe.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// While this lives, one signal stops nothing: undoing is under way. A second one does.
#[derive(Debug)]
pub struct Hold(());

/// Lets nothing but a second signal stop what follows.
pub fn hold_signals() -> Hold {
    HELD.fetch_add(1, Ordering::SeqCst);
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The first signal that was noted, unless it is held.
pub fn signal() -> Option<i32> {
    if HELD.load(Ordering::SeqCst) > 0 && !impatient() {
        return None;
    }
    match ARRIVED.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

/// A second signal was noted: the user has no patience left.
pub fn impatient() -> bool {
    AGAIN.load(Ordering::SeqCst) != 0
}
