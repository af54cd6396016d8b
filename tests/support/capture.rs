//! `nslab capture` as a process: started, listening, ended; and frames to be seen.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, unreachable_pub)]

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nslab::kernel::packet::{Buffer, Tap};

use super::{Ran, inside};

/// A capture that listens.
pub struct Capture {
    child: Child,
    line: String,
    errors: Receiver<String>,
    said: String,
}

impl Capture {
    /// Starts a capture and waits until it listens.
    #[track_caller]
    pub fn start(words: &str) -> Self {
        let words: Vec<&str> = words.split_whitespace().collect();
        Self::with(Command::new(env!("CARGO_BIN_EXE_nslab")).arg("capture").args(words))
    }

    /// Starts a program that says when it listens.
    #[track_caller]
    pub fn with(command: &mut Command) -> Self {
        for name in ["RUST_BACKTRACE", "NO_COLOR", "NSLAB_LAB", "LANG", "LC_ALL", "SUDO_UID", "SUDO_GID"] {
            if !command.get_envs().any(|(known, _)| known == name) {
                command.env_remove(name);
            }
        }
        let line = format!("{command:?}");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, errors) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut capture = Self { child, line, errors, said: String::new() };
        capture.wait_for("listening");
        capture
    }

    /// Waits until it says something on stderr.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str) {
        loop {
            match self.errors.recv_timeout(super::limit(10_000)) {
                Ok(line) => {
                    self.said += &(line.clone() + "\n");
                    if line.contains(what) {
                        return;
                    }
                }
                Err(error) => panic!("{} does not say {what:?} ({error}); it said:\n{}", self.line, self.said),
            }
        }
    }

    /// Its standard output, to be read or left.
    pub fn output(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end, 20 s at most.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let began = std::time::Instant::now();
        let mut output = self.child.stdout.take();
        let reading = std::thread::spawn(move || {
            let mut out = Vec::new();
            let _ = output.as_mut().map(|output| output.read_to_end(&mut out));
            String::from_utf8_lossy(&out).into_owned()
        });
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > super::limit(20_000) {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("{} does not end; it said:\n{}", self.line, self.said);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.said += &self.errors.iter().map(|line| line + "\n").collect::<String>();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        Ran { line: self.line, code, out: reading.join().unwrap(), err: self.said, took: began.elapsed() }
    }

    /// Ends it as Ctrl-C does.
    #[track_caller]
    pub fn stop(self) -> Ran {
        // What was sent a moment ago is still under way.
        std::thread::sleep(Duration::from_millis(50));
        self.signal(Signal::SIGINT);
        self.end()
    }
}

/// The index of an interface.
pub fn index(lab: &str, node: &str, interface: &str) -> u32 {
    let link = inside(lab, node, &format!("ip -j link show {interface}")).expect(0).json();
    u32::try_from(link[0]["ifindex"].as_u64().unwrap()).unwrap()
}

/// How many frames an interface has sent that came out at the other end of its veth pair.
pub fn delivered(lab: &str, node: &str, interface: &str) -> usize {
    let link = inside(lab, node, &format!("ip -j -s link show {interface}")).expect(0).json();
    usize::try_from(link[0]["stats64"]["tx"]["packets"].as_u64().unwrap()).unwrap()
}

/// Sends frames from an interface as they are.
pub struct Sender(Tap);

impl Sender {
    pub fn at(lab: &str, node: &str, interface: &str) -> Self {
        let pin = Path::new("/run/nslab").join(lab).join("netns").join(node);
        let nothing = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
        Self(Tap::open(&pin, Some(index(lab, node, interface)), &nothing, Buffer::Queue(1 << 16)).unwrap())
    }

    pub fn send(&self, frame: &[u8]) {
        // A processor whose queue is full drops what a veth pair sends: ENOBUFS.
        while let Err(Errno::EAGAIN | Errno::ENOBUFS) = nix::unistd::write(self.0.as_fd(), frame) {
            std::thread::yield_now();
        }
    }
}
