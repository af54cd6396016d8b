//! A command in a container: its streams are websockets, one connection each, opened while the request is still on its way.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::thread::JoinHandle;

use futures::future::{try_join, try_join_all};
use futures::{SinkExt, StreamExt};
use hyper::Method;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::instances::path;
use super::{Client, Socket, Wire};
use crate::error::{Error, Result};
use crate::kernel::caller::Raw;
use crate::kernel::sys::process;

/// What to run, and how: the body of `POST /1.0/instances/NAME/exec`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Exec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables beside those that the server sets.
    pub environment: BTreeMap<String, String>,
    /// It gets a terminal of its own, not pipes.
    pub interactive: bool,
    /// Characters of a row of that terminal.
    pub width: u16,
    /// Rows of it.
    pub height: u16,
    /// It starts when the websockets are connected; otherwise at once.
    pub wait_for_websocket: bool,
    /// What it writes is kept to be asked for; only without websockets.
    pub record_output: bool,
    /// As the user of this number.
    pub user: u32,
    /// As the group of this number.
    pub group: u32,
    /// In this directory; the user's home where it is empty.
    pub cwd: String,
}

/// What a command reads, and where its output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// From the caller's own streams, and to them.
    Mine,
    /// To them, with nothing to read.
    Unread,
    /// It is handed back, stdout alone; nothing to read.
    Kept,
}

/// The signals that go to the command.
const FORWARDED: [i32; 6] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// Ctrl-a q leaves a console.
const LEAVE: [u8; 2] = [1, b'q'];
/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;
/// Chunks that wait for the other end.
const WAITING: usize = 4;

impl Client {
    /// Runs a command and waits for it; its exit code, 128 + n by signal n, and what it wrote where that is kept.
    ///
    /// # Errors
    /// When there is no such command, or the server cannot be reached or refuses.
    pub fn exec(self, name: &str, exec: &Exec, ends: Ends) -> Result<(u8, Vec<u8>)> {
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
    async fn exec(&self, name: &str, exec: &Exec, ends: Ends) -> Result<(u8, Vec<u8>)> {
        let (width, height) = window(exec.interactive);
        let body = json!(Exec { width, height, wait_for_websocket: true, ..exec.clone() });
        let names: &[&str] = if exec.interactive { &["control", "0"] } else { &["control", "0", "1", "2"] };
        let (operation, sockets) = self.sockets(&format!("{}/exec", path(name)), &body, names).await?;
        let _raw = (exec.interactive && ends != Ends::Kept).then(Raw::begin);
        let (ended, kept) = self.run(&operation, sockets, exec.interactive, ends).await?;
        Ok((self.code(exec, &ended)?, kept))
    }

    async fn console(&self, name: &str) -> Result<()> {
        let (columns, rows) = window(true);
        let body = json!({"width": columns, "height": rows, "type": "console"});
        let (_, sockets) = self.sockets(&format!("{}/console", path(name)), &body, &["control", "0"]).await?;
        let mut sockets = sockets.into_iter();
        let (Some(control), Some(data)) = (sockets.next(), sockets.next()) else { return Err(self.cut()) };
        let _raw = Raw::begin();
        let (sender, thread) = output(To::Stdout);
        tokio::select! {
            () = both(data, input(), sender, Some(LEAVE)) => {}
            () = steer(control, true) => {}
        }
        drop(thread);
        Ok(())
    }

    /// Asks for an operation with websockets and connects them, in this order.
    async fn sockets(&self, path: &str, body: &Value, names: &[&str]) -> Result<(String, Vec<Socket>)> {
        let asked = self.ask(Method::POST, path, Some(body), &[]);
        let (answer, pipes) = try_join(asked, try_join_all(names.iter().map(|_| self.open()))).await?;
        let operation = answer.operation.ok_or_else(|| self.no_api())?;
        let connected = names.iter().zip(pipes).map(|(name, pipe)| {
            let secret = answer.metadata["metadata"]["fds"][*name].as_str().unwrap_or_default();
            let path = format!("{operation}/websocket?secret={secret}");
            async move { self.socket(pipe, &path).await }
        });
        let sockets = try_join_all(connected).await?;
        Ok((operation, sockets))
    }

    /// Carries everything until the command has ended and nothing of its output is left; the operation, and what is kept.
    async fn run(&self, operation: &str, sockets: Vec<Socket>, interactive: bool, ends: Ends) -> Result<(Value, Vec<u8>)> {
        let mut sockets = sockets.into_iter();
        let (Some(control), Some(data)) = (sockets.next(), sockets.next()) else { return Err(self.cut()) };
        let input = if ends == Ends::Mine { input() } else { mpsc::channel(1).1 };
        let to = |own| if ends == Ends::Kept { To::Kept } else { own };
        let (out, out_thread) = output(to(To::Stdout));
        let carried = async {
            let (Some(stdout), Some(stderr)) = (sockets.next(), sockets.next()) else {
                both(data, input, out, None).await;
                return vec![out_thread];
            };
            let (err, err_thread) = output(to(To::Stderr));
            // Nothing comes back from where is only written to.
            let fed = tokio::spawn(both(data, input, mpsc::channel(1).0, None));
            tokio::join!(drain(stdout, out), drain(stderr, err));
            fed.abort();
            vec![out_thread, err_thread]
        };
        let ended = async {
            let ended = self.wait(operation);
            let steered = steer(control, interactive);
            tokio::pin!(ended, steered);
            tokio::select! {
                ended = &mut ended => ended,
                () = &mut steered => ended.await,
            }
        };
        let (threads, ended) = tokio::join!(carried, ended);
        let kept: Vec<Vec<u8>> = threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
        Ok((ended?, kept.into_iter().next().unwrap_or_default()))
    }

    /// The command's exit code.
    fn code(&self, exec: &Exec, ended: &Value) -> Result<u8> {
        let code = ended["metadata"]["return"].as_i64().and_then(|code| u8::try_from(code & 0xff).ok());
        let failed = ended["err"].as_str().filter(|text| !text.is_empty());
        let command = || exec.command.first().cloned().unwrap_or_default();
        match (code, failed) {
            (Some(127), Some(_)) => Err(Error::Command { command: command(), errno: libc::ENOENT }),
            (Some(126), Some(_)) => Err(Error::Command { command: command(), errno: libc::EACCES }),
            (Some(code), _) => Ok(code),
            (None, text) => Err(self.refused(400, text.unwrap_or_default())),
        }
    }
}

fn window(interactive: bool) -> (u16, u16) {
    let size = || [0, 1, 2].into_iter().find_map(|number| process::size(&process::standard(number)));
    if interactive { size().unwrap_or((80, 24)) } else { (0, 0) }
}

/// Takes what comes until its end, which an empty text says.
async fn drain(mut socket: Socket, out: mpsc::Sender<Bytes>) {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(chunk) => {
                if out.send(chunk).await.is_err() {
                    return;
                }
            }
            Message::Text(_) | Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    let _ = socket.close(None).await;
}

/// Both ways at once: sends what is read until its end, which an empty text says, and takes what comes.
async fn both(socket: Socket, mut input: mpsc::Receiver<Bytes>, out: mpsc::Sender<Bytes>, leave: Option<[u8; 2]>) {
    let (mut sink, mut stream) = socket.split();
    let (mut open, mut last) = (true, 0);
    loop {
        tokio::select! {
            chunk = input.recv(), if open => {
                open = chunk.is_some();
                if let Some([first, second]) = leave
                    && chunk.iter().flatten().any(|&byte| std::mem::replace(&mut last, byte) == first && byte == second)
                {
                    return;
                }
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
    for number in FORWARDED {
        let Ok(arrived) = signal(SignalKind::from_raw(number)) else { continue };
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

/// Standard input, chunk by chunk; it ends with the channel.
fn input() -> mpsc::Receiver<Bytes> {
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

/// Where chunks go.
#[derive(Debug, Clone, Copy)]
enum To {
    Stdout,
    Stderr,
    Kept,
}

/// Writes chunks until there are no more, or keeps them; a reader that is gone ends it.
fn output(to: To) -> (mpsc::Sender<Bytes>, JoinHandle<Vec<u8>>) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
    let thread = std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Some(chunk) = receiver.blocking_recv() {
            let written = match to {
                To::Stdout => {
                    let mut stdout = std::io::stdout().lock();
                    stdout.write_all(&chunk).and_then(|()| stdout.flush())
                }
                To::Stderr => std::io::stderr().write_all(&chunk),
                To::Kept => kept.write_all(&chunk),
            };
            if written.is_err() {
                break;
            }
        }
        kept
    });
    (sender, thread)
}
