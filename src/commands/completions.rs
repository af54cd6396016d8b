//! `nslab completions`

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::run::{Context, Run};
use crate::error::{Error, Result};
use crate::render::Printed;

/// The variable by which the shell's script asks for completions.
pub const VARIABLE: &str = "NSLAB_COMPLETE";

/// Print the completion script of a shell; it knows the labs and nodes that are up
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab completions bash > ~/.local/share/bash-completion/completions/nslab\n  source <(nslab completions bash)"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Run for Completions {
    type Out = Printed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, "nslab", "nslab", "nslab", &mut script)
            .map_err(|error| Error::Output { errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        Ok(Printed::text(String::from_utf8_lossy(&script).trim_start()))
    }
}
