//! One file per command: its arguments, and what it does with them.

#![allow(rustdoc::broken_intra_doc_links, reason = "what is in brackets in a help text may be left out")]

pub mod agent;
pub mod capture;
pub mod check;
pub mod completions;
pub mod delete;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod graph;
pub mod home;
pub mod keep;
pub mod launch;
pub mod list;

pub mod macs;
pub mod man;
pub mod pause;
pub mod ping;
pub mod plan;
pub mod ps;
pub mod remote;
pub mod rename;
pub mod reset;
pub mod restart;
pub mod schema;
pub mod serve_agent;
pub mod shell;
pub mod show;
pub mod start;
pub mod status;
pub mod stop;
pub mod topology;
pub mod trace;
pub mod up;
pub mod validate;
pub mod watch_nic;

mod complete;
mod duration;
pub(crate) mod far;
mod inside;
mod instances;
pub(crate) mod rights;
mod role;
mod source;
mod target;

use crate::error::Result;
use crate::render::Format;
use crate::render::lang::Lang;
use crate::report::Piece;
use crate::report::notice::{Notice, Progress, Question};

/// Whoever started the command: the terminal of `cli`.
pub trait Front {
    /// Tells something that is no result.
    fn notice(&mut self, notice: &Notice);
    /// Asks; none when nobody is there to answer.
    fn ask(&mut self, question: &Question) -> Option<bool>;
    /// Prints a part of the result; false when nobody reads any more.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn emit(&mut self, piece: Piece) -> Result<bool>;
    /// Shows how far the work is.
    fn progress(&mut self, step: Progress);
    /// The whole command line's grammar.
    fn grammar(&self) -> clap::Command;
}

/// What a command works with.
pub struct Context<'a> {
    /// Whoever started it.
    pub front: &'a mut dyn Front,
    /// The command line as it was typed.
    pub typed: String,
    /// The shape of the output that was asked for.
    pub format: Option<Format>,
    /// The language that people read, for the width of its words.
    pub lang: Lang,
    /// The exit code for nslab's own failures, where the command's codes mean something else.
    pub failure: Option<u8>,
}
