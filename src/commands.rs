//! The commands: what one is, where it works, what it works with; and their list.

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
pub mod show;
pub mod status;
pub mod topology;
pub mod trace;
pub mod up;

mod target;

use caps::{CapSet, Capability};

use crate::error::{Error, Limit, Result, Usage};
use crate::kernel::sandbox::{self, Manner};
use crate::lab::{self, resolve};
use crate::render::{Format, Show, Style};
use crate::report::lab::{Notice, Progress, Question};

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

/// Whoever started the command: the terminal of `cli`.
pub trait Front {
    /// Tells something that is no result.
    fn notice(&mut self, notice: &Notice);
    /// Tells what failed.
    fn error(&mut self, error: &Error);
    /// Asks; none when nobody is there to answer.
    fn ask(&mut self, question: &Question) -> Option<bool>;
    /// Prints the result, or a part of it while the command still works; false when nobody reads any more.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn emit(&mut self, text: &str) -> Result<bool>;
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
    /// The format that was asked for.
    pub format: Option<Format>,
    /// Only errors and what was asked for are wanted.
    pub quiet: bool,
    /// How text looks on standard output.
    pub style: Style,
}

impl Context<'_> {
    /// Tells people a part of the result while the command still works; false when nobody reads any more.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn print_part(&mut self, text: impl FnOnce(Style) -> String) -> Result<bool> {
        if self.format.unwrap_or_default() == Format::Text { self.front.emit(&text(self.style)) } else { Ok(true) }
    }

    /// Prints a result and the errors that it carries; its exit code.
    fn print(&mut self, result: &impl Show) -> Result<u8> {
        let format = self.format.unwrap_or_default();
        if !(self.quiet && format == Format::Text && result.is_talk()) {
            self.front.emit(&result.written(format, self.style))?;
        }
        result.errors().into_iter().for_each(|error| self.front.error(error));
        Ok(result.exit_code())
    }
}

/// Where a command works, and with which rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere, as any user.
    Anywhere,
    /// Anywhere, with the rights to make labs.
    Privileged,
    /// With these rights, and in the shell of a node not at all: the machine's mounts are out of reach there.
    Machine,
    /// With these rights, and in the shell of a node outside of it: what is not that node's own is out of reach there.
    Outside(Manner),
}

/// A command: its arguments, and what it does with them.
pub trait Run: Sized {
    /// What it hands back.
    type Out: Show;

    /// The exit code for nslab's own failures, where the command's codes mean something else.
    const FAILURE: Option<u8> = None;

    /// Where it works, unless its arguments tell.
    const PLACE: Place = Place::Anywhere;

    /// Where it works.
    fn place(&self) -> Place {
        Self::PLACE
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of the command.
    fn run(self, context: &mut Context) -> Result<Self::Out>;
}

/// Runs a command where it works, and prints its result; the exit code.
///
/// # Errors
/// Those of the command, of missing rights, and of an output that cannot be written.
pub fn perform<C: Run>(command: C, context: &mut Context) -> Result<u8> {
    match command.place() {
        Place::Anywhere => {}
        Place::Privileged => need(context)?,
        Place::Machine => need_outside(context)?,
        Place::Outside(manner) => {
            need(context)?;
            if manner == Manner::Finishes {
                crate::kernel::sys::note_signals();
            }
            if let Some(code) = outside(manner)? {
                return Ok(code);
            }
        }
    }
    let result = command.run(context)?;
    context.print(&result)
}

/// Runs the whole command line outside of the node in whose shell it was typed; its exit code. None where it was typed outside.
///
/// # Errors
/// When nobody outside answers.
fn outside(manner: Manner) -> Result<Option<u8>> {
    let Some(around) = sandbox::around() else { return Ok(None) };
    let (lab, node) = around.split_once('/').unwrap_or_default();
    let lab = resolve::lab_name(lab)?;
    sandbox::send(&lab::paths::sandboxes(&lab), node, std::env::args_os().skip(1).collect(), manner).map(Some)
}

/// What labs are made with: namespaces and mounts, network configuration.
const NEEDED: [(Capability, &str); 2] =
    [(Capability::CAP_SYS_ADMIN, "CAP_SYS_ADMIN"), (Capability::CAP_NET_ADMIN, "CAP_NET_ADMIN")];

/// The first capability that labs need and the caller lacks.
pub(crate) fn lacking() -> Option<&'static str> {
    let lacks = |capability| !caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    NEEDED.into_iter().find(|(capability, _)| lacks(*capability)).map(|(_, name)| name)
}

/// Refuses to go on without the rights, before anything is read.
///
/// # Errors
/// `NotRoot` for a user, `Machine` for a root without capabilities.
fn need(context: &Context) -> Result<()> {
    if lacking().is_none() { Ok(()) } else { Err(refusal(context)) }
}

/// Like [`need`], for what cannot be done from inside of a node: the machine's mounts are out of reach there.
///
/// # Errors
/// As [`need`]; `InsideNode` in a shell of a node.
fn need_outside(context: &Context) -> Result<()> {
    need(context)?;
    sandbox::around().map_or(Ok(()), |node| Err(Error::Usage(Usage::InsideNode(node.replacen('.', "/", 1)))))
}

/// Why the caller may not do it, and what would work.
fn refusal(context: &Context) -> Error {
    match lacking() {
        Some(name) if nix::unistd::geteuid().is_root() => Error::Machine(Limit::Capability(name)),
        _ => Error::NotRoot { command: context.typed.clone() },
    }
}
