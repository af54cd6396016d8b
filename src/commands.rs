//! The commands: its arguments, what it does with them, and what it hands back.

#![allow(rustdoc::broken_intra_doc_links, reason = "what is in brackets in a help text may be left out")]

pub mod agent;
pub mod capture;
pub mod check;
pub mod completions;
pub mod containers;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod graph;
pub mod macs;
pub mod ping;
pub mod plan;
pub mod remote;
pub mod run;
pub mod show;
pub mod status;
pub mod topology;
pub mod trace;
pub mod up;

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
            /// The grammar of one command, of those of one word.
            pub fn grammar(name: &str) -> Option<clap::Command> {
                $(if name == stringify!($module) {
                    return Some(<$module::$name as clap::Args>::augment_args(clap::Command::new(stringify!($module))));
                })*
                None
            }

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
    Reset(down),
    Keep(down),
    Status(status),
    List(status),
    Topology(topology),
    Launch(containers),
    Start(containers),
    Stop(containers),
    Restart(containers),
    Delete(containers),
    Pause(containers),
    Rename(containers),
    Exec(exec),
    Shell(exec),
    Ps(exec),
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
    Validate(topology),
    Doctor(doctor),
    Schema(topology),
    Completions(completions),
    Man(completions),
    WatchNic(down),
    ServeAgent(agent),
}
