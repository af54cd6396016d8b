//! Running a command for a client: what it wants to run, by the body of `POST /1.0/instances/NAME/exec` and of `.../console`, and
//! what it says meanwhile; websockets for its streams and for control, and how it ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use nix::errno::Errno;
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::answer::{error_text, locked};
use super::streams::{self, Expected, Flag, PATIENCE, Socket, Source, Typed};
use crate::kernel::sandbox::{Exit, Order, Refused, Screen, Session, Streams};
use crate::kernel::sys::fd::watched;
use crate::kernel::sys::process;
use crate::lxd::client::Exec;

/// Bytes of a command with its arguments.
const COMMAND: usize = 128 << 10;
/// Bytes of a message on the control websocket.
const LONGEST: usize = 32 << 10;
/// Bytes of each stream that are recorded.
const RECORDED: usize = 1 << 20;

/// Commands that are started at the same time: the others wait in the order in which they came, none of them for the lock of a
/// container that everybody tries to take.
static STARTING: Semaphore = Semaphore::const_new(4);

/// The body of a request for a console.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Console {
    /// Characters of a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `console` or nothing; there is no graphical one.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The descriptors that the websockets of a command are for.
pub fn descriptors(interactive: bool) -> &'static [&'static str] {
    if interactive { &["0", "control"] } else { &["0", "1", "2", "control"] }
}

/// What to start.
///
/// # Errors
/// What is wrong with it, in the API's words.
pub fn order(exec: &Exec) -> Result<Order, String> {
    if exec.command.is_empty() {
        return Err("No command to run".to_owned());
    }
    if exec.command.iter().map(|word| word.len() + 1).sum::<usize>() > COMMAND {
        return Err("The command is too long".to_owned());
    }
    if exec.command.iter().any(|word| word.contains('\0')) || exec.cwd.contains('\0') {
        return Err("A command contains no NUL character".to_owned());
    }
    for (name, value) in &exec.environment {
        if !is_variable(name) || value.contains('\0') {
            return Err(format!("Invalid environment variable {name:?}"));
        }
    }
    if exec.user == u32::MAX || exec.group == u32::MAX {
        return Err("Invalid user or group ID 4294967295".to_owned());
    }
    let home = if exec.user == 0 { "/root" } else { "/" };
    let cwd = if exec.cwd.is_empty() { home } else { &exec.cwd };
    if !cwd.starts_with('/') {
        return Err(format!("The working directory {cwd:?} is no absolute path"));
    }
    Ok(Order {
        argv: exec.command.iter().map(OsString::from).collect(),
        env: exec.environment.clone().into_iter().collect(),
        cwd: Some(PathBuf::from(cwd)),
        user: exec.user,
        group: exec.group,
        screen: exec.interactive.then_some(Screen { columns: exec.width, rows: exec.height }),
    })
}

fn is_variable(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins && characters.all(|each| each.is_ascii_alphanumeric() || each == '_')
}

impl Console {
    /// What to start: a shell of root on a terminal of its own.
    ///
    /// # Errors
    /// When another kind of console is asked for.
    pub fn order(&self) -> Result<Order, String> {
        if !matches!(self.kind.as_str(), "" | "console") {
            return Err(format!("Unknown console type {:?}", self.kind));
        }
        let shell = "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l";
        Ok(Order {
            argv: ["/bin/sh", "-c", shell].map(OsString::from).to_vec(),
            env: vec![("TERM".to_owned(), "vt220".to_owned())],
            cwd: Some(PathBuf::from("/root")),
            screen: Some(Screen { columns: self.width, rows: self.height }),
            ..Order::default()
        })
    }
}

/// What a client says on the control websocket.
#[derive(Debug, Deserialize)]
struct Control {
    command: String,
    #[serde(default)]
    args: Option<BTreeMap<String, String>>,
    #[serde(default)]
    signal: i32,
}

/// What it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Resize(Screen),
    Signal(i32),
}

impl Wish {
    fn read(text: &str) -> Option<Self> {
        let Control { command, args, signal } = serde_json::from_str(text).ok()?;
        let side = |name: &str| args.as_ref()?.get(name)?.parse().ok();
        match command.as_str() {
            "window-resize" => Some(Self::Resize(Screen { columns: side("width")?, rows: side("height")? })),
            "signal" if (1..=64).contains(&signal) => Some(Self::Signal(signal)),
            _ => None,
        }
    }
}

/// What comes of starting a command.
pub type Started = Result<(Session, Streams), Refused>;

/// How a command ended, for the last state of its operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The operation's `return`: 128 + n for signal n; none where nothing was started.
    pub code: Option<i32>,
    /// The error of an operation that failed, in the API's words.
    pub failure: Option<String>,
}

impl Outcome {
    fn failed(code: Option<i32>, failure: impl Into<String>) -> Self {
        Self { code, failure: Some(failure.into()) }
    }

    fn from_exit(exit: Exit) -> Self {
        match exit.code() {
            126 => Self::failed(Some(126), "Command not executable"),
            127 => Self::failed(Some(127), "Command not found"),
            code => Self { code: Some(code), failure: None },
        }
    }

    fn refused(refused: &Refused) -> Self {
        match refused {
            Refused::NotFound => Self::failed(Some(127), "Command not found"),
            Refused::NotExecutable => Self::failed(Some(126), "Command not executable"),
            Refused::Directory(path) => Self::failed(None, format!("Working directory {} not found", path.display())),
            Refused::Failed(error) => Self::failed(None, format!("Failed to start the command: {}", error_text(error))),
        }
    }
}

/// What ends a command from outside: its client is gone, or no longer trusted.
#[derive(Debug, Clone)]
pub struct Cut(Arc<watch::Sender<bool>>);

impl Default for Cut {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Cut {
    /// Kills the command and everything that it started, now or as soon as it starts.
    pub fn cut(&self) {
        self.0.send_replace(true);
    }

    fn flag(&self) -> Flag {
        self.0.subscribe()
    }
}

/// Starts a command once the websockets of its client are there, and serves it to its end.
///
/// `start` runs on a thread that may block. `note` sees what a terminal shows.
pub async fn run(
    start: impl FnOnce() -> Started + Send + 'static,
    mut expected: Expected,
    terminal: bool,
    cut: Cut,
    note: impl FnMut(&[u8]) + Send + 'static,
) -> Outcome {
    let needed: &[&str] = if terminal { &["0", "control"] } else { &["0", "1", "2"] };
    let mut sockets = Vec::new();
    let all = async {
        for name in needed {
            sockets.push(expected.one(name).await?);
        }
        Some(())
    };
    let mut gone = cut.flag();
    let connected = tokio::select! {
        connected = tokio::time::timeout(PATIENCE, all) => matches!(connected, Ok(Some(()))),
        () = streams::set(&mut gone) => false,
    };
    if !connected {
        return Outcome::failed(None, "Timed out waiting for websockets to connect");
    }
    let (session, streams) = match begin(start).await {
        Ok(started) => started,
        Err(refused) => {
            dismiss(sockets, terminal).await;
            return Outcome::refused(&refused);
        }
    };
    let (ending, ended) = watch::channel(false);
    let mut sockets = sockets.into_iter();
    let served = match (streams, sockets.next(), sockets.next(), sockets.next()) {
        (Streams::Terminal(master), Some(screen), Some(control), _) => {
            on_terminal(&session, master, screen, control, &ended, &cut, note)
        }
        (Streams::Pipes { input, output, errors }, Some(stdin), Some(stdout), Some(stderr)) => {
            let control = expected.apart("control");
            on_pipes(&session, [input, output, errors], [stdin, stdout, stderr], control, &ended, &cut)
        }
        _ => Err(std::io::Error::other("streams and websockets do not match")),
    };
    finish(&session, ending, served, &cut).await
}

/// A session that several tasks use.
type Shared = Arc<Mutex<Session>>;
type Tasks = Vec<tokio::task::JoinHandle<()>>;

async fn begin(start: impl FnOnce() -> Started + Send + 'static) -> Result<(Shared, Streams), Refused> {
    let internal = |_| Refused::Failed(crate::error::Error::Internal("a thread ended without an answer".to_owned()));
    let _turn = STARTING.acquire().await;
    let (session, streams) = tokio::task::spawn_blocking(start).await.map_err(internal)??;
    Ok((Arc::new(Mutex::new(session)), streams))
}

/// Nothing was started: the client hears the end of every stream.
async fn dismiss(sockets: Vec<Socket>, terminal: bool) {
    use futures::SinkExt;
    for (at, mut socket) in sockets.into_iter().enumerate() {
        if terminal == (at == 0) {
            let _ = socket.send(Message::Text(Utf8Bytes::default())).await;
        }
        tokio::spawn(streams::linger(socket));
    }
}

/// Waits for the end of the command and of its output; a cut ends both at once.
async fn finish(session: &Shared, ending: watch::Sender<bool>, served: std::io::Result<Tasks>, cut: &Cut) -> Outcome {
    let ended = async { over(session, ending, served?, cut).await };
    ended.await.unwrap_or_else(|fault| Outcome::failed(None, format!("Failed to serve the command: {fault}")))
}

async fn over(session: &Shared, ending: watch::Sender<bool>, served: Tasks, cut: &Cut) -> std::io::Result<Outcome> {
    let mut gone = cut.flag();
    let handle = locked(session).handle().try_clone_to_owned()?;
    let handle = watched(handle)?;
    let killed = tokio::select! {
        ready = handle.readable() => ready.map(|_| false)?,
        () = streams::set(&mut gone) => true,
    };
    if killed {
        let session = Arc::clone(session);
        tokio::task::spawn_blocking(move || locked(&session).kill()).await.map_err(std::io::Error::other)?;
        drop(handle.readable().await?);
    }
    let exit = locked(session).exit().ok_or_else(|| std::io::Error::from(Errno::ECHILD))?;
    ending.send_replace(true);
    for mut task in served {
        tokio::select! {
            _ = &mut task => {}
            () = streams::set(&mut gone) => task.abort(),
        }
    }
    Ok(Outcome::from_exit(exit))
}

fn on_pipes(
    session: &Shared,
    [input, output, errors]: [OwnedFd; 3],
    [stdin, stdout, stderr]: [Socket; 3],
    control: Option<oneshot::Receiver<Socket>>,
    ended: &Flag,
    cut: &Cut,
) -> std::io::Result<Tasks> {
    let controlled = Arc::new(AtomicBool::new(false));
    let input = watched(input)?;
    let (flag, cutting) = (ended.clone(), cut.clone());
    tokio::spawn(async move {
        let mut stdin = stdin;
        let typed = streams::take(&mut stdin, &input, flag).await;
        drop(input);
        match typed {
            Typed::End => while !streams::over(stdin.next().await.as_ref()) {},
            Typed::Gone => {}
            Typed::Lost => cutting.cut(),
        }
    });
    let mut served = Vec::new();
    for (fd, socket) in [(output, stdout), (errors, stderr)] {
        let source = Source::new(fd, ended.clone())?;
        let (mut shown, mut incoming) = socket.split();
        let (cut, controlled) = (cut.clone(), Arc::clone(&controlled));
        served.push(tokio::spawn(async move {
            if streams::give(source, &mut shown, &mut incoming, |_| ()).await {
                tokio::spawn(streams::linger(incoming));
            } else if !controlled.load(Ordering::Relaxed) {
                // Older clients have no control websocket whose end would tell.
                cut.cut();
            }
        }));
    }
    if let Some(control) = control {
        let (session, ended, cut) = (Arc::clone(session), ended.clone(), cut.clone());
        tokio::spawn(async move {
            if let Ok(socket) = control.await {
                controlled.store(true, Ordering::Relaxed);
                obey(socket, &session, None, ended, &cut).await;
            }
        });
    }
    Ok(served)
}

fn on_terminal(
    session: &Shared,
    master: OwnedFd,
    screen: Socket,
    control: Socket,
    ended: &Flag,
    cut: &Cut,
    note: impl FnMut(&[u8]) + Send + 'static,
) -> std::io::Result<Tasks> {
    let (typed, window) = (watched(master.try_clone()?)?, master.try_clone()?);
    let source = Source::new(master, ended.clone())?;
    let (mut shown, mut keys) = screen.split();
    let (flag, cutting) = (ended.clone(), cut.clone());
    tokio::spawn(async move {
        // The end of what is typed is not the end of a terminal.
        while streams::take(&mut keys, &typed, flag.clone()).await == Typed::End {}
        if !*flag.borrow() {
            cutting.cut();
        }
    });
    let served = tokio::spawn(async move {
        streams::give(source, &mut shown, &mut futures::stream::pending(), note).await;
    });
    let (session, ended, cut) = (Arc::clone(session), ended.clone(), cut.clone());
    tokio::spawn(async move { obey(control, &session, Some(window), ended, &cut).await });
    Ok(vec![served])
}

/// Does what a client says on its control websocket; its end before that of the command is the client's.
async fn obey(mut control: Socket, session: &Shared, window: Option<OwnedFd>, mut ended: Flag, cut: &Cut) {
    loop {
        let message = tokio::select! {
            message = control.next() => message,
            () = streams::set(&mut ended) => break,
        };
        match message {
            Some(Ok(Message::Text(text))) if text.len() <= LONGEST => match Wish::read(&text) {
                Some(Wish::Resize(size)) => {
                    let _ = window.as_ref().map(|window| process::resize(&window.as_fd(), size.columns, size.rows));
                }
                Some(Wish::Signal(signal)) => drop(locked(session).send(signal)),
                None => {}
            },
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            _ => return cut.cut(),
        }
    }
    streams::linger(control).await;
}

/// Runs a command without a client: how it ended, and the first of what it wrote to each stream.
pub async fn record(start: impl FnOnce() -> Started + Send + 'static, cut: Cut) -> (Outcome, [Vec<u8>; 2]) {
    let nothing = || [Vec::new(), Vec::new()];
    let (session, streams) = match begin(start).await {
        Ok(started) => started,
        Err(refused) => return (Outcome::refused(&refused), nothing()),
    };
    let (ending, ended) = watch::channel(false);
    let kept = Arc::new(Mutex::new(nothing()));
    let sources = match streams {
        Streams::Pipes { output, errors, .. } => vec![output, errors],
        Streams::Terminal(master) => vec![master],
    };
    let mut served = Vec::new();
    for (at, fd) in sources.into_iter().enumerate() {
        let Ok(mut source) = Source::new(fd, ended.clone()) else { continue };
        let kept = Arc::clone(&kept);
        served.push(tokio::spawn(async move {
            while let Some(part) = source.next().await {
                let mut kept = locked(&kept);
                if let Some(stream) = kept.get_mut(at) {
                    let room = RECORDED.saturating_sub(stream.len());
                    stream.extend(part.iter().take(room));
                }
            }
        }));
    }
    let outcome = finish(&session, ending, Ok(served), &cut).await;
    let kept = std::mem::replace(&mut *locked(&kept), nothing());
    (outcome, kept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_is_read_as_the_clients_write_it() {
        let text = r#"{"command":["sh","-c","exit 7"],"wait-for-websocket":true,"interactive":true,"environment":{"TERM":"xterm"},
            "width":80,"height":24,"record-output":false,"user":5,"group":6,"cwd":"/tmp"}"#;
        let request: Exec = serde_json::from_str(text).unwrap();
        let started = order(&request).unwrap();
        assert!(request.wait_for_websocket && !request.record_output);
        assert_eq!(descriptors(request.interactive), ["0", "control"]);
        assert_eq!((started.user, started.group, started.cwd.unwrap()), (5, 6, PathBuf::from("/tmp")));
        assert_eq!(started.screen, Some(Screen { columns: 80, rows: 24 }));
        assert_eq!(started.env, [("TERM".to_owned(), "xterm".to_owned())]);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let good = Exec { command: vec!["true".to_owned()], ..Exec::default() };
        order(&good).unwrap();
        let bad: [fn(&mut Exec); 7] = [
            |request| request.command.clear(),
            |request| request.command.push("a\0b".to_owned()),
            |request| request.command.push("a".repeat(COMMAND)),
            |request| request.user = u32::MAX,
            |request| request.cwd = "../..".to_owned(),
            |request| drop(request.environment.insert("A=B".to_owned(), String::new())),
            |request| drop(request.environment.insert(String::new(), String::new())),
        ];
        for (at, spoil) in bad.iter().enumerate() {
            let mut request = good.clone();
            spoil(&mut request);
            assert!(order(&request).is_err(), "{at}");
        }
    }

    #[test]
    fn control_messages_have_their_numbers_as_text() {
        let resize = r#"{"command":"window-resize","args":{"height":"22","width":"77"},"signal":0}"#;
        assert_eq!(Wish::read(resize), Some(Wish::Resize(Screen { columns: 77, rows: 22 })));
        assert_eq!(Wish::read(r#"{"command":"signal","args":null,"signal":15}"#), Some(Wish::Signal(15)));
        for text in ["", "{}", r#"{"command":"signal","signal":0}"#, r#"{"command":"window-resize","args":{"width":"-1"}}"#] {
            assert_eq!(Wish::read(text), None, "{text}");
        }
    }
}
