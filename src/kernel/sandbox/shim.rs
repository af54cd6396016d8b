//! The shim of a sandbox: the process outside of it that starts nslab for whoever is inside, since nobody leaves a PID namespace,
//! and the agent of a host at a client's first connection. It ends with the init.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, MsgFlags, getsockopt, sockopt};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::end::end_session;
use super::processes;
use super::spec::{Clients, Paths, Spec, Tried, at, short};
use super::wait::Exit;
use crate::kernel::sys::{fd, process};

/// What the command line of every shim begins with.
const TITLE: &str = "nslab: shim of ";
/// Says to an nslab that a shim started in which node its reader is: `LAB/NODE`.
pub(crate) const READER: &str = "NSLAB_READER";
/// Bytes of a request at most.
pub(super) const LONGEST: usize = 16 << 20;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a command whose client is gone may take to end, after each signal.
const GRACE: Duration = Duration::from_secs(2);

/// What an nslab inside asks for. Three descriptors come along: standard input, output and errors.
///
/// Its strings need not be UTF-8: each character stands for the byte of its number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The arguments of nslab, without its name.
    pub(super) arguments: Vec<String>,
    /// Its whole environment.
    pub(super) variables: Vec<(String, String)>,
    /// Its working directory.
    pub(super) directory: String,
    /// Standard input is a terminal made for it alone.
    pub(super) terminal: bool,
    /// It ends when the one who asks ends.
    pub(super) follows: bool,
}

/// Any string as text, see [`Request`].
pub(super) fn text(string: OsString) -> String {
    string.into_vec().into_iter().map(char::from).collect()
}

fn string(text: &str) -> OsString {
    OsString::from_vec(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect())
}

/// The sockets of a shim, before it begins.
pub(super) struct Sockets {
    requests: UnixListener,
    clients: Option<UnixListener>,
    /// Locked as long as the shim lives.
    held: File,
}

impl Sockets {
    /// Listens. The caller holds the node's lock.
    ///
    /// None where a shim is there already.
    pub(super) fn open(paths: &Paths, spec: &Spec) -> Tried<Option<Self>> {
        let requests = paths.socket(&spec.node, spec.real_root);
        let held = processes::open_own(&requests.with_extension("shim"), false)?;
        if process::lock_until_closed(&held).is_err() {
            return Ok(None);
        }
        let requests = listen(&requests)?;
        let clients = spec.clients.as_ref().map(|clients| listen(&clients.socket())).transpose()?;
        Ok(Some(Self { requests, clients, held }))
    }

    /// Makes the calling process the one that the kernel names to who connects.
    pub(super) fn claim(&self) -> Tried<()> {
        let mut all = std::iter::once(&self.requests).chain(&self.clients);
        all.try_for_each(|socket| nix::sys::socket::listen(socket, Backlog::MAXCONN)).map_err(at("listen"))
    }

    /// The numbers of their descriptors.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let listeners = std::iter::once(&self.requests).chain(&self.clients).map(AsRawFd::as_raw_fd);
        listeners.chain([self.held.as_raw_fd()]).collect()
    }
}

fn listen(path: &Path) -> Tried<UnixListener> {
    let made = short(path, |path| {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    });
    // The directory lets root alone in.
    made.map_err(at(format!("listen on {}", path.display())))
}

/// Serves until the init ends.
pub(super) fn stand(sockets: &Sockets, spec: &Spec, init: &OwnedFd) -> i32 {
    let language = language();
    let _ = process::set_title(&format!("{TITLE}{}/{}", spec.lab, spec.node));
    process::trim_memory();
    loop {
        let mut fds =
            vec![PollFd::new(init.as_fd(), PollFlags::POLLIN), PollFd::new(sockets.requests.as_fd(), PollFlags::POLLIN)];
        fds.extend(sockets.clients.as_ref().map(|clients| PollFd::new(clients.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return 1,
            Ok(_) => {}
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if ready.first() == Some(&true) {
            return 0;
        }
        if ready.get(1) == Some(&true)
            && let Ok((stream, _)) = sockets.requests.accept()
        {
            apart(&stream, || started(&stream, spec));
        }
        if let (Some(true), Some(listener), Some(clients)) = (ready.get(2), &sockets.clients, &spec.clients)
            && let Ok((stream, _)) = listener.accept()
            && !handed(&stream, clients, MsgFlags::MSG_DONTWAIT)
        {
            apart(&stream, || greeted(&stream, spec, clients, &language));
        }
    }
}

/// The variables that choose a language. The environment itself is lost with the title.
fn language() -> Vec<(OsString, OsString)> {
    let chooses = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("LC_") || name.starts_with("LANG"));
    std::env::vars_os().filter(|(name, _)| chooses(name)).collect()
}

/// Does something in a process of its own, which has nothing of the shim but the connection.
fn apart(stream: &UnixStream, act: impl FnOnce() -> i32) {
    let _ = process::fork(|| {
        process::close_all_but(&mut [0, 1, 2, stream.as_raw_fd()]);
        process::keep_children();
        act()
    });
}

/// Gives a client's connection to the agent, if it runs.
fn handed(stream: &UnixStream, clients: &Clients, flags: MsgFlags) -> bool {
    let Ok(agent) = UnixDatagram::unbound() else { return false };
    short(&clients.handoff, |path| agent.connect(path)).is_ok()
        && fd::send(&agent, b"client", &[stream.as_fd().as_raw_fd()], flags).is_ok()
}

/// Starts the agent for a client that waits for it; one that does not come up says why, as LXD says its errors.
fn greeted(stream: &UnixStream, spec: &Spec, clients: &Clients, language: &[(OsString, OsString)]) -> i32 {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("nslab").args(["--quiet", "agent", "start", &clients.host]).current_dir("/");
    command.env_clear().envs(language.iter().cloned()).env("NSLAB_LAB", &spec.lab);
    command.env(READER, reader(spec));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    process::start_session(&mut command, false);
    process::start_clean(&mut command, false);
    let message = match command.output() {
        Ok(_) if handed(stream, clients, MsgFlags::empty()) => return 0,
        Ok(output) => one_line(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => error.to_string(),
    };
    let body = serde_json::json!({"type": "error", "error": message, "error_code": 503}).to_string();
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close";
    let mut stream = stream;
    // Who is answered before it has asked would not read the answer.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    1
}

/// A message as one line: a client puts a word of its own before it, and may show the end of a line as two characters.
fn one_line(message: &str) -> String {
    let mut lines = message.trim().trim_start_matches("nslab: ").lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    lines.fold(first.to_owned(), |joined, line| format!("{}. {line}", joined.trim_end_matches('.')))
}

fn reader(spec: &Spec) -> String {
    format!("{}/{}", spec.lab, spec.node)
}

/// Starts nslab as it is asked for, and answers with its exit code.
fn started(stream: &UnixStream, spec: &Spec) -> i32 {
    let own = getsockopt(stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == geteuid().as_raw());
    let Some((request, streams)) = own.then(|| read(stream)).flatten() else { return 1 };
    let follows = request.follows;
    let Some(mut child) = command(&request, streams, spec).and_then(|mut command| command.spawn().ok()) else { return 1 };
    let Ok(code) = wait(stream, &mut child, follows) else { return 1 };
    let mut stream = stream;
    i32::from(stream.write_all(&code.to_ne_bytes()).is_err())
}

fn read(mut stream: &UnixStream) -> Option<(Request, Vec<OwnedFd>)> {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut length = [0; 4];
    let (came, streams) = fd::receive(&stream, &mut length).ok()?;
    stream.read_exact(&mut length[came..]).ok()?;
    let length = usize::try_from(u32::from_ne_bytes(length)).ok().filter(|&length| length <= LONGEST)?;
    let mut text = vec![0; length];
    stream.read_exact(&mut text).ok()?;
    Some((serde_json::from_slice(&text).ok()?, streams))
}

fn command(request: &Request, streams: Vec<OwnedFd>, spec: &Spec) -> Option<Command> {
    let [input, output, errors] = <[OwnedFd; 3]>::try_from(streams).ok()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("nslab").args(request.arguments.iter().map(|text| string(text))).env_clear();
    command.envs(request.variables.iter().map(|(name, value)| (string(name), string(value))));
    command.env(READER, reader(spec));
    let directory = PathBuf::from(string(&request.directory));
    command.current_dir(if directory.is_dir() { directory } else { PathBuf::from("/") });
    command.stdin(input).stdout(output).stderr(errors);
    process::start_session(&mut command, request.terminal);
    process::start_clean(&mut command, false);
    Some(command)
}

/// Waits for the end; where the one who asked is gone earlier, and it `follows`, as a terminal that closes would end it.
fn wait(stream: &UnixStream, child: &mut Child, follows: bool) -> std::io::Result<i32> {
    let number = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let handle = process::handle(number)?;
    let ended = loop {
        let mut fds = vec![PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        if follows {
            fds.push(PollFd::new(stream.as_fd(), PollFlags::empty()));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => break fds.first().and_then(PollFd::any) == Some(true),
        }
    };
    if !ended {
        // What it runs in another node is of its session, too.
        end_session(number, GRACE);
    }
    Ok(Exit::from_status(child.wait()?).code())
}
