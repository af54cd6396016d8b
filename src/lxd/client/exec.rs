//! A command in a container: its streams are websockets, one connection each, opened while the request is still on its way.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use futures::future::{try_join, try_join_all};
use futures::{SinkExt, StreamExt};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::instances::path;
use super::requests::{Answer, Client, Pipe, Socket, Wire};
use crate::error::{Error, RemoteFault, Result};
use crate::kernel::caller::Raw;
use crate::kernel::sys::process;

/// What to run, and how.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables beside those that the server sets.
    pub environment: BTreeMap<String, String>,
    /// On a terminal of its own.
    pub interactive: bool,
    /// Nothing to read.
    pub silent: bool,
    /// As this user.
    pub user: u32,
    /// As this group.
    pub group: u32,
    /// In this directory; the home of root where it is empty.
    pub cwd: String,
}

/// Where a command's output goes.
#[derive(Debug)]
pub enum Ends<'a> {
    /// To the caller's own streams, and from them.
    Mine,
    /// Into this, stdout alone.
    Kept(&'a mut Vec<u8>),
}

/// The signals that go to the command.
const FORWARDED: [(i32, fn() -> SignalKind); 6] = [
    (libc::SIGINT, SignalKind::interrupt),
    (libc::SIGTERM, SignalKind::terminate),
    (libc::SIGHUP, SignalKind::hangup),
    (libc::SIGQUIT, SignalKind::quit),
    (libc::SIGUSR1, SignalKind::user_defined1),
    (libc::SIGUSR2, SignalKind::user_defined2),
];

impl Client {
    /// Runs a command and waits for it; its exit code, 128 + n by signal n.
    ///
    /// # Errors
    /// When there is no such command, or the server cannot be reached or refuses.
    pub fn exec(self, name: &str, exec: &Exec, ends: Ends) -> Result<u8> {
        let Self { runtime, wire, .. } = self;
        let result = runtime.block_on(wire.exec(name, exec, ends));
        // A thread may still wait for a key.
        runtime.shutdown_background();
        result
    }

    /// Attaches the caller's terminal to a container's console, until Ctrl-a q.
    ///
    /// # Errors
    /// When it does not run, or the server cannot be reached or refuses.
    pub fn console(self, name: &str) -> Result<()> {
        let Self { runtime, wire, .. } = self;
        let result = runtime.block_on(wire.console(name));
        runtime.shutdown_background();
        result
    }
}

impl Wire {
    async fn exec(&self, name: &str, exec: &Exec, ends: Ends<'_>) -> Result<u8> {
        let (columns, rows) = window(exec.interactive);
        let body = json!({
            "command": exec.command, "environment": exec.environment, "interactive": exec.interactive,
            "wait-for-websocket": true, "record-output": false, "width": columns, "height": rows,
            "user": exec.user, "group": exec.group, "cwd": exec.cwd,
        });
        let names: &[&str] = if exec.interactive { &["control", "0"] } else { &["control", "0", "1", "2"] };
        let (operation, sockets) = self.sockets(&format!("{}/exec", path(name)), &body, names).await?;
        let _raw = (exec.interactive && matches!(ends, Ends::Mine)).then(Raw::begin);
        let ended = self.run(&operation, sockets, exec, ends).await?;
        code(&self.name, exec, &ended)
    }

    async fn console(&self, name: &str) -> Result<()> {
        let (columns, rows) = window(true);
        let body = json!({"width": columns, "height": rows, "type": "console"});
        let (_, sockets) = self.sockets(&format!("{}/console", path(name)), &body, &["control", "0"]).await?;
        let mut sockets = sockets.into_iter();
        let (Some(control), Some(data)) = (sockets.next(), sockets.next()) else { return Err(self.cut()) };
        let _raw = Raw::begin();
        let (sender, thread) = output(false);
        let leave = Some(LEAVE);
        tokio::select! {
            () = both(data, input(), sender, leave) => {}
            () = steer(control, true) => {}
        }
        drop(thread);
        Ok(())
    }

    /// Asks for an operation with websockets and connects them, in this order.
    async fn sockets(&self, path: &str, body: &Value, names: &[&str]) -> Result<(String, Vec<Socket>)> {
        let asked = self.ask(Method::POST, path, Some(body), &[]);
        let pipes = try_join_all(names.iter().map(|_| self.open()));
        let (answer, pipes): (Answer, Vec<Box<dyn Pipe>>) = try_join(asked, pipes).await?;
        let Answer::Working(operation, told) = answer else {
            return Err(Error::Remote(RemoteFault::NoApi(self.name.clone())));
        };
        let connected = names.iter().zip(pipes).map(|(name, pipe)| {
            let secret = told["metadata"]["fds"][*name].as_str().unwrap_or_default();
            let path = format!("{operation}/websocket?secret={secret}");
            async move { self.socket(pipe, &path).await }
        });
        let sockets = try_join_all(connected).await?;
        Ok((operation, sockets))
    }

    /// Carries everything until the command has ended and nothing of its output is left; the operation.
    async fn run(&self, operation: &str, sockets: Vec<Socket>, exec: &Exec, ends: Ends<'_>) -> Result<Value> {
        let mut sockets = sockets.into_iter();
        let (Some(control), Some(data)) = (sockets.next(), sockets.next()) else { return Err(self.cut()) };
        let reads = matches!(ends, Ends::Mine) && !exec.silent;
        let input = if reads { input() } else { mpsc::channel(1).1 };
        let (out, out_thread) = match &ends {
            Ends::Mine => output(false),
            Ends::Kept(_) => keep(),
        };
        let carried = async {
            if let (Some(stdout), Some(stderr)) = (sockets.next(), sockets.next()) {
                let (err, err_thread) = match &ends {
                    Ends::Mine => output(true),
                    Ends::Kept(_) => keep(),
                };
                let fed = tokio::spawn(feed(data, input));
                tokio::join!(drain(stdout, out), drain(stderr, err));
                fed.abort();
                vec![out_thread, err_thread]
            } else {
                both(data, input, out, None).await;
                vec![out_thread]
            }
        };
        let ended = async {
            let ended = self.wait(operation);
            let steered = steer(control, exec.interactive);
            tokio::pin!(ended, steered);
            tokio::select! {
                ended = &mut ended => ended,
                () = &mut steered => ended.await,
            }
        };
        let (threads, ended) = tokio::join!(carried, ended);
        let mut kept = threads.into_iter().map(|thread| thread.join().unwrap_or_default());
        if let (Ends::Kept(into), Some(all)) = (ends, kept.next()) {
            into.extend(all);
        }
        kept.for_each(drop);
        ended
    }
}

/// Ctrl-a q leaves a console.
const LEAVE: [u8; 2] = [1, b'q'];

fn window(interactive: bool) -> (u16, u16) {
    let size = || [0, 1, 2].into_iter().find_map(|number| process::size(&process::standard(number)));
    if interactive { size().unwrap_or((80, 24)) } else { (0, 0) }
}

/// Keeps what comes.
fn keep() -> (mpsc::Sender<Bytes>, std::thread::JoinHandle<Vec<u8>>) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(chunk) = receiver.blocking_recv() {
            all.extend_from_slice(&chunk);
        }
        all
    });
    (sender, thread)
}

/// The command's exit code.
fn code(remote: &str, exec: &Exec, ended: &Value) -> Result<u8> {
    let code = ended["metadata"]["return"].as_i64().and_then(|code| u8::try_from(code & 0xff).ok());
    let failed = ended["err"].as_str().filter(|text| !text.is_empty());
    let command = || exec.command.first().cloned().unwrap_or_default();
    match (code, failed) {
        (Some(127), Some(_)) => Err(Error::Command { command: command(), errno: libc::ENOENT }),
        (Some(126), Some(_)) => Err(Error::Command { command: command(), errno: libc::EACCES }),
        (Some(code), _) => Ok(code),
        (None, text) => {
            let text = text.unwrap_or_default().to_owned();
            Err(Error::Remote(RemoteFault::Refused { remote: remote.to_owned(), code: 400, text }))
        }
    }
}

/// Sends what is read until its end, which an empty text says.
async fn feed(mut socket: Socket, mut input: mpsc::Receiver<Bytes>) {
    loop {
        tokio::select! {
            chunk = input.recv() => {
                let last = chunk.is_none();
                let message = chunk.map_or_else(|| Message::text(""), Message::Binary);
                if socket.send(message).await.is_err() {
                    return;
                }
                if last {
                    break;
                }
            }
            // Whoever reads has stopped; pings are answered while this waits.
            message = socket.next() => if !matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))) { return },
        }
    }
    while let Some(Ok(_)) = socket.next().await {}
}

/// Takes what comes until its end, which an empty text says.
async fn drain(mut socket: Socket, out: mpsc::Sender<Bytes>) {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(chunk) => {
                let taken = out.send(chunk).await;
                if taken.is_err() {
                    return;
                }
            }
            Message::Text(_) | Message::Close(_) => break,
            _ => {}
        }
    }
    let _ = socket.close(None).await;
}

/// Both ways at once: a terminal.
async fn both(socket: Socket, mut input: mpsc::Receiver<Bytes>, out: mpsc::Sender<Bytes>, leave: Option<[u8; 2]>) {
    let (mut sink, mut stream) = socket.split();
    let (mut open, mut last) = (true, 0);
    loop {
        tokio::select! {
            chunk = input.recv(), if open => {
                open = chunk.is_some();
                let pair = |at: usize, chunk: &Bytes| if at == 0 { last } else { chunk.get(at - 1).copied().unwrap_or(0) };
                let left = |chunk: &Bytes| leave.is_some_and(|leave| (0..chunk.len()).any(|at| pair(at, chunk) == leave[0] && chunk.get(at) == Some(&leave[1])));
                if chunk.as_ref().is_some_and(left) {
                    return;
                }
                last = chunk.as_ref().and_then(|chunk| chunk.last().copied()).unwrap_or(0);
                let message = chunk.map_or_else(|| Message::text(""), Message::Binary);
                if sink.send(message).await.is_err() {
                    open = false;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Binary(chunk))) => {
                    if out.send(chunk).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Text(_) | Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = sink.close().await;
}

/// Signals and the size of the window go to the command until its end.
async fn steer(mut socket: Socket, interactive: bool) {
    let (sender, mut orders) = mpsc::channel::<Value>(8);
    for (number, kind) in FORWARDED {
        let Ok(arrived) = signal(kind()) else { continue };
        let order = json!({"command": "signal", "args": null, "signal": number});
        tokio::spawn(forward(arrived, sender.clone(), move || order.clone()));
    }
    if interactive && let Ok(arrived) = signal(SignalKind::window_change()) {
        let order = || {
            let (columns, rows) = window(true);
            json!({"command": "window-resize", "args": {"width": columns.to_string(), "height": rows.to_string()}, "signal": 0})
        };
        tokio::spawn(forward(arrived, sender, order));
    }
    loop {
        tokio::select! {
            Some(order) = orders.recv() => {
                if socket.send(Message::text(order.to_string())).await.is_err() {
                    return;
                }
            }
            message = socket.next() => if !matches!(message, Some(Ok(_))) { return },
        }
    }
}

async fn forward(mut arrived: Signal, orders: mpsc::Sender<Value>, order: impl Fn() -> Value + Send) {
    while arrived.recv().await.is_some() {
        if orders.send(order()).await.is_err() {
            return;
        }
    }
}

/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;
/// Chunks that wait for the other end.
const WAITING: usize = 4;

/// Standard input, chunk by chunk; it ends with the channel.
pub(super) fn input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(WAITING);
    // The thread stays in its read when nobody listens any more, and ends with the process.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = stdin.read(&mut chunk) {
            let Some(read) = chunk.get(..length) else { return };
            if sender.blocking_send(Bytes::copy_from_slice(read)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Writes chunks to standard output, or to standard error, until there are no more; a reader that is gone ends it.
pub(super) fn output(error: bool) -> (mpsc::Sender<Bytes>, std::thread::JoinHandle<Vec<u8>>) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
    let thread = std::thread::spawn(move || {
        while let Some(chunk) = receiver.blocking_recv() {
            let written = if error {
                std::io::stderr().write_all(&chunk)
            } else {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&chunk).and_then(|()| stdout.flush())
            };
            if written.is_err() {
                break;
            }
        }
        Vec::new()
    });
    (sender, thread)
}
