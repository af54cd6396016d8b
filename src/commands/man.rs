//! `nslab man`

use super::run::{Context, Run};
use crate::error::{Error, Result};
use crate::render::Printed;

/// Print the manual page, or that of a command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nslab man | man -l -")]
pub struct Man {
    /// The command
    command: Option<String>,
}

impl Run for Man {
    type Out = Printed;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let mut grammar = context.front.grammar();
        grammar.build();
        let page = match &self.command {
            None => grammar,
            Some(word) => grammar.find_subcommand(word).cloned().ok_or_else(|| unknown(word, &grammar))?,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|error| Error::Output { errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        Ok(Printed::text(String::from_utf8_lossy(&text)))
    }
}

fn unknown(word: &str, grammar: &clap::Command) -> Error {
    let names = grammar.get_subcommands().filter(|command| !command.is_hide_set());
    let names = names.map(|command| command.get_name().to_owned()).collect();
    let candidates = crate::lab::resolve::near(word, names);
    Error::Unknown { what: crate::error::Thing::Command, word: word.to_owned(), candidates }
}
