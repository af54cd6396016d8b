//! Commands and shells in nodes on a terminal: keys, job control, what is left of the terminal. Needs root, for a box to
//! work in, and `script`, for a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use support::{in_box, ok, run, wait_for};

/// Somebody at a terminal, with an interactive bash.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<String>>,
    read: usize,
}

impl Terminal {
    fn open() -> Self {
        std::fs::write("/run/caller.rc", "PS1='caller> '").unwrap();
        let mut script = Command::new("script")
            .args(["-qec", "bash --rcfile /run/caller.rc -i", "/dev/null"])
            .env("SHELL", "/bin/bash")
            .env("TERM", "dumb")
            .env("N", env!("CARGO_BIN_EXE_nslab"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is installed");
        let seen = Arc::new(Mutex::new(String::new()));
        let (keys, mut screen, shared) = (script.stdin.take().unwrap(), script.stdout.take().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        let mut terminal = Self { script, keys, seen, read: 0 };
        terminal.sees("caller> ");
        terminal
    }

    /// Waits until the text appears after what was seen before.
    #[track_caller]
    fn sees(&mut self, text: &str) {
        let found = || self.seen.lock().unwrap()[self.read..].find(text).map(|at| self.read + at + text.len());
        let mut end = None;
        wait_for(20, || {
            end = found();
            end.is_some()
        });
        let screen = self.seen.lock().unwrap().clone();
        self.read = end.unwrap_or_else(|| panic!("{text:?} does not appear after byte {}:\n{screen}", self.read));
    }

    #[track_caller]
    fn types(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    /// Types a line and waits for its echo, then for an answer.
    #[track_caller]
    fn asks(&mut self, line: &str, answer: &str) -> &mut Self {
        self.types(&format!("{line}\n")).sees("\n");
        self.sees(answer);
        self
    }

    /// Types a line, and waits until the command runs: a key that comes earlier is the shell's.
    #[track_caller]
    fn starts(&mut self, line: &str, command: &str) -> &mut Self {
        self.asks(line, "");
        let runs = || run(Command::new("pgrep").args(["-xf", command])).code == 0;
        assert!(wait_for(20, runs), "{command} does not start");
        self
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn a_shell_shows_its_node_and_has_job_control() {
    in_box(|| {
        ok("up bridged");
        let mut terminal = Terminal::open();
        terminal.asks("$N shell a1", "root@a1:/# ");
        terminal.starts("sleep 999; echo rc=$?", "sleep 999").types("\x1a").sees("Stopped");
        terminal.sees("root@a1:/# ");
        terminal.asks("jobs", "Stopped").asks("fg", "sleep 999").types("\x03").sees("root@a1:/# ");
        terminal.asks("tty", "/dev/pts/").asks("exit 5", "caller> ");
        terminal.asks("echo rc=$?", "rc=5");
        // The terminal is the caller's again.
        terminal.asks("read word; echo got=$word", "").types("this\n").sees("got=this");
    });
}

#[test]
fn ctrl_c_ends_a_command_and_ctrl_z_stops_it_like_any_other() {
    in_box(|| {
        ok("up bridged");
        let mut terminal = Terminal::open();
        terminal.asks("$N exec a1 ping 10.0.0.21", "bytes from").types("\x03").sees("packets transmitted");
        terminal.sees("caller> ");
        terminal.starts("$N exec a1 sleep 998", "sleep 998").types("\x1a").sees("Stopped");
        terminal.asks("jobs", "Stopped").asks("fg", "sleep 998").types("\x03").sees("caller> ");
        terminal.asks("echo rc=$?", "rc=130");
        terminal.asks("echo word | $N exec a1 cat | tr a-z A-Z", "WORD");
    });
}

#[test]
fn a_shell_may_be_suspended_and_waits_in_the_background() {
    in_box(|| {
        ok("up bridged");
        let mut terminal = Terminal::open();
        terminal.asks("$N shell a1", "root@a1:/# ").asks("suspend", "Stopped").asks("fg", "root@a1:/# ");
        terminal
            .asks("exit", "caller> ")
            .asks("$N shell a1 &", "caller> ")
            .asks("until jobs >/run/j; grep -q Stopped /run/j; do sleep 0.1; done; jobs", "Stopped");
        terminal.asks("fg", "root@a1:/# ").asks("exit", "caller> ");
    });
}

#[test]
fn a_shell_that_is_killed_gives_the_terminal_back_as_it_was() {
    in_box(|| {
        ok("up bridged");
        let mut terminal = Terminal::open();
        terminal.asks("$N shell a1", "root@a1:/# ").asks("stty -echo; kill -9 $$", "caller> ");
        terminal.asks("stty -a | tr ' ' '\\n' | grep -x -e echo -e -echo", "echo\r\n");
        // An open shell does not hold `down` up, and hears of it.
        terminal.asks("$N shell a1", "root@a1:/# ");
        let ran = ok("down");
        assert!(ran.took < support::limit(1800), "{ran}");
        terminal.sees("caller> ");
    });
}
