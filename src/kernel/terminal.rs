//! The caller's terminal, while the keys are for somebody else.

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::sys::process;

/// Every key goes to the other end while this lives.
#[derive(Debug)]
pub struct Raw(Option<Termios>);

impl Raw {
    /// Begins.
    pub fn begin() -> Self {
        let before = tcgetattr(process::standard(0)).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _ = tcsetattr(process::standard(0), SetArg::TCSANOW, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(process::standard(0), SetArg::TCSANOW, before);
        }
    }
}
