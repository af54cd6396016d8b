//! One file per command: its arguments, what it does with them, and what it hands back.

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
pub mod run;
mod source;
mod target;

use crate::error::Result;
use crate::render::{Format, Show};
use run::{Context, Run, perform};

/// The commands in the order of the help, each with the file that it is in.
macro_rules! commands {
    ($($name:ident($module:ident)),* $(,)?) => {
        /// A command with its arguments.
        #[derive(Debug, clap::Subcommand)]
        #[allow(missing_docs, reason = "each says itself what it is for")]
        pub enum Command {
            $($name($module::$name),)*
        }

        impl Command {
            /// Runs the command and prints its result; the exit code.
            ///
            /// # Errors
            /// Those of [`perform`].
            pub fn run(self, context: &mut Context) -> Result<u8> {
                match self {
                    $(Self::$name(command) => perform(command, context),)*
                }
            }

            /// The exit code for nslab's own failures, where the command's codes mean something else.
            pub fn failure(&self) -> Option<u8> {
                match self {
                    $(Self::$name(_) => <$module::$name as Run>::FAILURE,)*
                }
            }

            /// Whether its result can be written in a format.
            pub fn takes(&self, format: Format) -> bool {
                match self {
                    $(Self::$name(_) => <$module::$name as Run>::Out::takes(format),)*
                }
            }
        }
    };
}

commands! {
    Up(up),
    Down(down),
    Reset(reset),
    Keep(keep),
    Status(status),
    List(list),
    Topology(topology),
    Launch(launch),
    Start(start),
    Stop(stop),
    Restart(restart),
    Delete(delete),
    Pause(pause),
    Rename(rename),
    Exec(exec),
    Shell(shell),
    Ps(ps),
    Show(show),
    Trace(trace),
    Check(check),
    Ping(ping),
    Capture(capture),
    Macs(macs),
    Graph(graph),
    Agent(agent),
    Remote(remote),
    Plan(plan),
    Validate(validate),
    Doctor(doctor),
    Schema(schema),
    Completions(completions),
    Man(man),
    WatchNic(watch_nic),
    ServeAgent(serve_agent),
}
