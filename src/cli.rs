//! The command line: grammar, terminal, exit code.

mod help;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::{self, Command, Context, Front, Run, perform};
use crate::error::{Error, Result, Usage};
use crate::kernel::{caller, sandbox};
use crate::lxd;
use crate::render::lang::Lang;
use crate::render::{self, Format, Show, Style, sentences};
use crate::report::lab::{Notice, Progress, Question};
use crate::typed::{self, Reader};

/// Rehearse a networking lab of hosts with containers, on network namespaces, in milliseconds
#[derive(Debug, Parser)]
#[command(name = "nslab", version, propagate_version = false, disable_help_subcommand = false, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Options {
    /// The shape of the output
    #[arg(long, global = true, value_name = "FORMAT")]
    format: Option<Format>,
    /// Say nothing but errors and what was asked for
    #[arg(long, short, global = true)]
    quiet: bool,
    /// The language of what nslab says, else that of the locale; commands, options and JSON are the same in all
    #[arg(long, global = true, value_name = "LANG")]
    lang: Option<Lang>,
}

impl Cli {
    /// Reads a command line that begins with a command, by the grammar of that alone: that of all takes longer to make than `down`
    /// takes to look around. What is not understood so is read again by the grammar of all.
    fn of_one_command() -> Option<Self> {
        let word = std::env::args_os().nth(1)?;
        let command = Command::grammar(word.to_str()?)?;
        let grammar = Options::augment_args(clap::Command::new("nslab")).subcommand(command);
        Self::from_arg_matches(&grammar.try_get_matches().ok()?).ok()
    }
}

/// Work that is done sooner shows no progress bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// The program: parse, run, print, exit code.
pub fn main() -> ExitCode {
    let err = style(&io::stderr(), Lang::of_locale(|name| std::env::var_os(name)));
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let message = text.unwrap_or_default();
        write_stderr(&format!("{}\n", sentences::usage::bug(err.lang, message, &place)));
    }));
    // A panic unwinds through whatever undoes the work, and ends as a failure like any other.
    std::panic::catch_unwind(move || ExitCode::from(run(err))).unwrap_or(ExitCode::FAILURE)
}

fn run(err: Style) -> u8 {
    if completed() {
        return 0;
    }
    if let Some(words) = as_lxc() {
        return lxc(&words, err);
    }
    typed::set(reader());
    let cli = match Cli::of_one_command().map_or_else(Cli::try_parse, Ok) {
        Ok(cli) => cli,
        Err(error) => {
            let err = Style { lang: asked(lossy()).unwrap_or(err.lang), ..err };
            return other_words(&error, err).unwrap_or_else(|| refuse_in(error, err));
        }
    };
    let lang = cli.options.lang.unwrap_or(err.lang);
    let err = Style { lang, ..err };
    let format = cli.options.format.unwrap_or_default();
    let takes = |format: &Format| match &cli.command {
        Some(command) => command.takes(*format),
        None => <commands::status::Home as Run>::Out::takes(*format),
    };
    if !takes(&format) {
        let takes = Format::ALL.iter().filter(|format| takes(format)).map(|format| format.word()).collect();
        let error = Error::Usage(Usage::Format { format: format.word(), takes });
        write_stderr(&render::error(&error, err));
        return error.exit_code();
    }
    let bare = words::bare(lossy());
    let lines = words::whole(&bare);
    if !lines.is_empty() {
        write_stderr(&render::refusal(sentences::usage::lab_for_container(err.lang, &bare[1]), None, &sudo(lines), err));
        return 2;
    }
    let mut terminal = Terminal { style: err, quiet: cli.options.quiet, bar: None, start: Instant::now() };
    let mut context = Context {
        front: &mut terminal,
        typed: command_line(),
        format: cli.options.format,
        quiet: cli.options.quiet,
        style: style(&io::stdout(), lang),
    };
    let failure = cli.command.as_ref().and_then(Command::failure);
    let result = match cli.command {
        Some(command) => command.run(&mut context),
        None => perform(commands::status::Home, &mut context),
    };
    terminal.done();
    faults();
    match result {
        Ok(code) => code,
        Err(error) => {
            write_stderr(&render::error(&error, err));
            failure.filter(|_| !matches!(error, Error::Command { .. })).unwrap_or(error.exit_code())
        }
    }
}

/// Who reads: a shim that started this nslab says where, else the init tells.
fn reader() -> Reader {
    let node = std::env::var(sandbox::READER).ok();
    match node.or_else(sandbox::around) {
        Some(node) => Reader::inside(&node),
        None => Reader { unprivileged: caller::is_in_user_namespace() && !caller::is_in_container(), ..Reader::default() },
    }
}

/// The words of `lxc`, where nslab is called by that name or `nslab lxc` was typed.
fn as_lxc() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os();
    let name = words.next()?;
    let named = Path::new(&name).file_name().is_some_and(|name| name == "lxc");
    let typed = || std::env::args_os().nth(1).is_some_and(|word| word == "lxc");
    if named {
        Some(std::env::args_os().collect())
    } else if typed() {
        Some(words.collect())
    } else {
        None
    }
}

/// nslab as the stock client: its verbs, its words for errors, its exit codes.
fn lxc(words: &[OsString], err: Style) -> u8 {
    let lxc = match lxd::lxc::Lxc::try_parse_from(words) {
        Ok(lxc) => lxc,
        Err(error) => return refuse(&error, err),
    };
    let mut terminal = Terminal { style: err, quiet: false, bar: None, start: Instant::now() };
    let out = style(&io::stdout(), err.lang);
    let mut context = Context { front: &mut terminal, typed: command_line(), format: None, quiet: false, style: out };
    let result = perform(lxc, &mut context);
    terminal.done();
    match result {
        Ok(code) => code,
        Err(error) => {
            write_stderr(&lxd::lxc::error(&error, err));
            if matches!(error, Error::Command { .. }) { error.exit_code() } else { 1 }
        }
    }
}

/// Tells tests how many effects on the machine there were.
fn faults() {
    #[cfg(feature = "fault")]
    if let Some(number) = crate::kernel::fault::report() {
        write_stderr(&format!("fault points: {number}\n"));
    }
}

/// Answers a shell that asks for completions; whether one did.
fn completed() -> bool {
    if std::env::var_os(commands::completions::VARIABLE).is_none() {
        return false;
    }
    let asked = clap_complete::CompleteEnv::with_factory(Cli::command).var(commands::completions::VARIABLE);
    asked.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref()).unwrap_or(true)
}

/// The words of the command line, nslab's own left out.
fn lossy() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// Tells whoever typed what another tool has, or too little, what to type here; none where that is not known.
fn other_words(error: &clap::Error, err: Style) -> Option<u8> {
    let option = |word: &str| word.starts_with('-');
    let odd = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => !option(word),
        _ => true,
    };
    let kind = error.kind();
    let of_words = matches!(kind, ErrorKind::InvalidSubcommand | ErrorKind::MissingRequiredArgument | ErrorKind::TooManyValues);
    if !(of_words || kind == ErrorKind::UnknownArgument && odd) {
        return None;
    }
    let bare = words::bare(lossy());
    let lines = words::instead(&bare);
    if lines.is_empty() {
        return None;
    }
    // Of a command that there is, how it is used.
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) if kind != ErrorKind::InvalidSubcommand => {
            // Its lines stand under what happened.
            Some(sentences::usage::in_words(err.lang, &usage.to_string()).replace('\n', "\n  "))
        }
        _ => None,
    };
    write_stderr(&render::refusal(sentences::usage::not_understood(err.lang, &bare.join(" ")), usage, &sudo(lines), err));
    Some(2)
}

/// With `sudo` before what needs root, where the caller has not got it, or works through it.
fn sudo(lines: Vec<String>) -> Vec<String> {
    let needed = std::env::var_os("SUDO_UID").is_some() || commands::lacking().is_some();
    if needed { lines.iter().map(|line| words::with_sudo(line)).collect() } else { lines }
}

/// The language that a command line asks for, where the grammar has not told.
fn asked(words: impl Iterator<Item = String>) -> Option<Lang> {
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    let behind = words.windows(2).find(|pair| pair[0] == "--lang").map(|pair| pair[1].as_str());
    let word = behind.or_else(|| words.iter().find_map(|word| word.strip_prefix("--lang=")))?;
    Lang::from_str(word, false).ok()
}

/// As [`refuse`], in the reader's language; in English clap's own words are the ones.
fn refuse_in(error: clap::Error, err: Style) -> u8 {
    if err.lang == Lang::En {
        return refuse(&error, err);
    }
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        let translated = help::translated(grammar(), err.lang).try_get_matches_from(std::env::args_os());
        return refuse(&translated.err().unwrap_or(error), err);
    }
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) if err.colour => Some(usage.ansi().to_string()),
        Some(ContextValue::StyledStr(usage)) => Some(usage.to_string()),
        _ => None,
    };
    match sentences::usage::refused(err.lang, &error, usage.as_deref()) {
        Some(text) => {
            write_stderr(&format!("{} {text}", err.red(sentences::usage::title(err.lang))));
            2
        }
        None => refuse(&error, err),
    }
}

/// The command line's grammar.
pub fn grammar() -> clap::Command {
    Cli::command()
}

/// Prints help or what is wrong with the command line.
fn refuse(error: &clap::Error, err: Style) -> u8 {
    let rendered = error.render();
    if error.use_stderr() {
        write_stderr(&if err.colour { rendered.ansi().to_string() } else { rendered.to_string() });
        return 2;
    }
    let text = if colours(&io::stdout()) { rendered.ansi().to_string() } else { rendered.to_string() };
    match write(&text) {
        Ok(_) => 0,
        Err(error) => {
            write_stderr(&render::error(&error, err));
            error.exit_code()
        }
    }
}

/// Writes to stdout; false when whoever reads has stopped reading. A full disk is an error.
fn write(text: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Output { errno: error.raw_os_error().unwrap_or(libc::EIO) }),
    }
}

/// Writes to stderr; where that fails nobody is left to tell.
fn write_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The columns of a terminal that does not tell.
const WIDTH: u16 = 80;

/// How text looks on a stream.
fn style(stream: &(impl IsTerminal + AsFd), lang: Lang) -> Style {
    let columns = || crate::kernel::sys::process::columns(stream).unwrap_or(WIDTH);
    Style { lang, colour: colours(stream), width: stream.is_terminal().then(columns), unicode: unicode() }
}

/// Whether the locale's characters are Unicode's (`setlocale(3)`: the first of these that is set counts).
fn unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether a stream shows colours: a terminal, and nobody asked for none (<https://no-color.org>).
fn colours(stream: &impl IsTerminal) -> bool {
    let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let plain = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stream.is_terminal() && !asked_for_none && !plain
}

/// The command line as the user could type it again.
fn command_line() -> String {
    let word = |word: std::ffi::OsString| {
        let word = word.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    std::env::args_os().map(word).collect::<Vec<_>>().join(" ")
}

/// The terminal that nslab was started from.
struct Terminal {
    style: Style,
    quiet: bool,
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Terminal {
    fn done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Front for Terminal {
    fn notice(&mut self, notice: &Notice) {
        if !self.quiet || notice.is_grave() {
            write_stderr(&render::notice(notice, self.style));
        }
    }

    fn error(&mut self, error: &Error) {
        self.done();
        write_stderr(&render::error(error, self.style));
    }

    fn ask(&mut self, question: &Question) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        self.done();
        write_stderr(&render::question(question, self.style));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(sentences::usage::is_yes(self.style.lang, &answer))
    }

    fn emit(&mut self, text: &str) -> Result<bool> {
        self.done();
        if text.is_empty() { Ok(true) } else { write(text) }
    }

    fn progress(&mut self, step: Progress) {
        if self.quiet || self.start.elapsed() < PATIENCE || !io::stderr().is_terminal() {
            return;
        }
        let length = u64::try_from(step.total).unwrap_or(u64::MAX);
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len}");
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        bar.set_length(length);
        bar.set_position(u64::try_from(step.done).unwrap_or(u64::MAX));
    }

    fn grammar(&self) -> clap::Command {
        grammar()
    }
}
