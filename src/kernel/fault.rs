//! Faults put in on purpose, for tests: every effect on the machine passes [`point`] first, every look at a namespace [`look`].
//!
//! Only with the feature `fault`; `NSLAB_FAULT` is `count`, `kill@N`, `panic@N`, `errno:NAME@N`, `signal:NAME@N` or `look:NAME@N`.

#[cfg(not(feature = "fault"))]
use nix::errno::Errno;

/// The next effect is about to happen.
///
/// # Errors
/// The error number that `NSLAB_FAULT` asks for here.
#[cfg(not(feature = "fault"))]
#[inline]
pub fn point() -> Result<(), Errno> {
    Ok(())
}

/// A namespace is about to be looked at.
///
/// # Errors
/// The error number that `NSLAB_FAULT` asks for here.
#[cfg(not(feature = "fault"))]
#[inline]
pub fn look() -> Result<(), Errno> {
    Ok(())
}

#[cfg(feature = "fault")]
pub use injected::{look, point, report};

#[cfg(feature = "fault")]
mod injected {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use nix::errno::Errno;
    use nix::sys::signal::{Signal, raise};

    enum Fault {
        Count,
        Kill,
        Panic,
        Fail(Errno),
        Signal(Signal),
        Look(Errno),
    }

    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    fn asked() -> Option<&'static (Fault, usize)> {
        static ASKED: OnceLock<Option<(Fault, usize)>> = OnceLock::new();
        ASKED.get_or_init(|| parse(&std::env::var("NSLAB_FAULT").ok()?)).as_ref()
    }

    fn parse(text: &str) -> Option<(Fault, usize)> {
        let (what, at) = text.split_once('@').unwrap_or((text, "0"));
        let fault = match what.split_once(':').unwrap_or((what, "")) {
            ("count", _) => Fault::Count,
            ("kill", _) => Fault::Kill,
            ("panic", _) => Fault::Panic,
            ("errno", name) => Fault::Fail(errno(name)?),
            ("look", name) => Fault::Look(errno(name)?),
            ("signal", "INT") => Fault::Signal(Signal::SIGINT),
            ("signal", "TERM") => Fault::Signal(Signal::SIGTERM),
            ("signal", "HUP") => Fault::Signal(Signal::SIGHUP),
            ("signal", "STOP") => Fault::Signal(Signal::SIGSTOP),
            _ => return None,
        };
        Some((fault, at.parse().ok()?))
    }

    fn errno(name: &str) -> Option<Errno> {
        let known = [
            ("ENOMEM", Errno::ENOMEM),
            ("ENOSPC", Errno::ENOSPC),
            ("EPERM", Errno::EPERM),
            ("EBUSY", Errno::EBUSY),
            ("EMFILE", Errno::EMFILE),
            ("EINTR", Errno::EINTR),
            ("EAGAIN", Errno::EAGAIN),
            ("ENOBUFS", Errno::ENOBUFS),
            ("EOPNOTSUPP", Errno::EOPNOTSUPP),
        ];
        known.into_iter().find(|(known, _)| *known == name).map(|(_, errno)| errno)
    }

    /// A namespace is about to be looked at.
    ///
    /// # Errors
    /// The error number that `NSLAB_FAULT` asks for here.
    pub fn look() -> Result<(), Errno> {
        let here = LOOKS.fetch_add(1, Ordering::SeqCst) + 1;
        match asked() {
            Some((Fault::Look(errno), at)) if *at == here => Err(*errno),
            _ => Ok(()),
        }
    }

    /// The next effect is about to happen.
    ///
    /// # Errors
    /// The error number that `NSLAB_FAULT` asks for here.
    pub fn point() -> Result<(), Errno> {
        let here = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        match asked() {
            Some((fault, at)) if *at == here => strike(fault),
            _ => Ok(()),
        }
    }

    fn strike(fault: &Fault) -> Result<(), Errno> {
        match fault {
            Fault::Count | Fault::Look(_) => Ok(()),
            Fault::Kill => {
                let _ = nix::sys::signal::kill(nix::unistd::getpid(), Signal::SIGKILL);
                Ok(())
            }
            #[allow(clippy::panic, reason = "that is the fault asked for")]
            Fault::Panic => panic!("fault asked for by NSLAB_FAULT"),
            Fault::Fail(errno) => Err(*errno),
            Fault::Signal(signal) => raise(*signal),
        }
    }

    /// How many effects there were, where `NSLAB_FAULT=count` asks for it.
    pub fn report() -> Option<usize> {
        matches!(asked(), Some((Fault::Count, _))).then(|| PASSED.load(Ordering::SeqCst))
    }
}
