//! `lxc exec`, `lxc console`

use std::collections::BTreeMap;
use std::io::IsTerminal;

use super::{pair, reach, tell};
use crate::commands::Context;
use crate::error::Result;
use crate::lxd::client::{self, Ends};
use crate::render::Printed;

/// Run a command in an instance
#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// The instance: [REMOTE:]NAME
    name: String,
    /// A variable: KEY=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// The working directory
    #[arg(long, default_value = "")]
    cwd: String,
    /// The user's number
    #[arg(long, default_value_t = 0)]
    user: u32,
    /// The group's number
    #[arg(long, default_value_t = 0)]
    group: u32,
    /// auto, interactive or non-interactive
    #[arg(long, default_value = "auto")]
    mode: String,
    /// On a terminal
    #[arg(short = 't', long)]
    force_interactive: bool,
    /// Not on a terminal
    #[arg(short = 'T', long, conflicts_with = "force_interactive")]
    force_noninteractive: bool,
    /// Nothing to read
    #[arg(short = 'n', long)]
    disable_stdin: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(self) -> Result<Printed> {
        let (client, name) = reach(&self.name)?;
        let terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let interactive = match self.mode.as_str() {
            _ if self.force_interactive => true,
            _ if self.force_noninteractive => false,
            "interactive" => true,
            "non-interactive" => false,
            _ => terminals && !self.disable_stdin,
        };
        let mut environment: BTreeMap<String, String> =
            std::env::var("TERM").ok().map(|term| ("TERM".to_owned(), term)).into_iter().collect();
        for word in &self.env {
            let (key, value) = pair(word)?;
            environment.insert(key, value);
        }
        let exec = client::Exec {
            command: self.command,
            environment,
            interactive,
            silent: self.disable_stdin,
            user: self.user,
            group: self.group,
            cwd: self.cwd,
        };
        client.exec(name, &exec, Ends::Mine).map(Printed::exit)
    }
}

/// Attach to an instance's console
#[derive(Debug, clap::Args)]
pub(super) struct Console {
    /// The instance: [REMOTE:]NAME
    name: String,
    /// Print what the console has shown
    #[arg(long)]
    show_log: bool,
}

impl Console {
    pub(super) fn run(self, context: &mut Context) -> Result<Printed> {
        let (client, name) = reach(&self.name)?;
        if self.show_log {
            let log = client.console_log(name)?;
            return Ok(Printed::text(format!("\nConsole log:\n\n{}\n", String::from_utf8_lossy(&log))));
        }
        tell(context, "To detach from the console, press: <ctrl>+a q")?;
        client.console(name)?;
        Ok(super::done())
    }
}
