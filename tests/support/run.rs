//! Programs as processes, with a limit of time, and nslab among them.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that hangs longer than this is killed, and its test fails; in milliseconds.
const LIMIT: u64 = 60_000;

/// What a program did.
pub struct Ran {
    /// What was run.
    pub line: String,
    /// Its exit code; 128 + n for signal n.
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| text.chars().take(3000).collect::<String>();
        let (out, err) = (cut(&self.out), cut(&self.err));
        write!(f, "{}\n  exit code {}, {:?}\n--- stdout\n{out}--- stderr\n{err}", self.line, self.code, self.took)
    }
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }
}

/// A command of the built nslab with a plain environment; the words are split at blanks.
fn command(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    for name in
        ["RUST_BACKTRACE", "NO_COLOR", "NSLAB_LAB", "NSLAB_FAULT", "LANG", "LC_ALL", "LC_MESSAGES", "SUDO_UID", "SUDO_GID"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let line = std::iter::once(command.get_program()).chain(command.get_args());
    let line = line.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let began = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = std::thread::scope(|scope| {
        scope.spawn(|| stdout.read_to_end(&mut out));
        scope.spawn(|| stderr.read_to_end(&mut err));
        wait(&mut child, &line)
    });
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { line, code, out: text(out), err: text(err), took: began.elapsed() }
}

fn wait(child: &mut Child, line: &str) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > super::limit(LIMIT) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("hangs: {line}");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Runs nslab.
pub fn nslab(words: &str) -> Ran {
    run(&mut command(words))
}

/// Runs nslab and expects 0.
#[track_caller]
pub fn ok(words: &str) -> Ran {
    nslab(words).expect(0)
}

/// Runs nslab and expects this exit code.
#[track_caller]
pub fn fails(code: i32, words: &str) -> Ran {
    nslab(words).expect(code)
}

/// Runs nslab with a fault put in: `kill@3`, `errno:ENOSPC@3`, `signal:INT@3`, `panic@3`.
pub fn nslab_at(fault: &str, words: &str) -> Ran {
    let mut ran = run(command(words).env("NSLAB_FAULT", fault));
    ran.line = format!("NSLAB_FAULT={fault} {}", ran.line);
    ran
}

/// Runs nslab to its end and counts the points where a fault can be put in.
pub fn count_faults(words: &str) -> u32 {
    let ran = nslab_at("count", words).expect(0);
    let count = ran.err.lines().rev().find_map(|line| line.strip_prefix("fault points: "));
    let count = count.unwrap_or_else(|| panic!("no build with --features fault (try: make test)\n{ran}")).trim().parse().unwrap();
    assert!(count > 0, "no fault point in {words}");
    count
}

/// Starts nslab and does not wait; its output goes nowhere.
pub fn spawn(words: &str) -> Child {
    command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs a shell script and expects 0; returns what it printed.
#[track_caller]
pub fn sh(script: &str) -> String {
    run(Command::new("sh").args(["-euc", script])).expect(0).out
}

/// What `ip` prints for several commands, a line each.
#[track_caller]
pub fn ip_batch(options: &[&str], commands: &str) -> String {
    let (input, mut typed) = std::io::pipe().unwrap();
    typed.write_all(commands.as_bytes()).unwrap();
    drop(typed);
    run(Command::new("ip").args(options).args(["-batch", "-"]).stdin(input)).expect(0).out
}

/// The number of an interface of this network namespace.
#[track_caller]
pub fn ifindex(dev: &str) -> u32 {
    sh(&format!("ip -o link show dev {dev} | cut -d: -f1")).trim().parse().unwrap()
}

/// Polls until it is so; false after that many seconds, of a machine that is not slow.
pub fn wait_for(seconds: u64, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + super::limit(seconds * 1000);
    loop {
        if so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
