//! The caller's own terminal and streams, while a command far away has them.

use std::io::{Read, Write};

use hyper::body::Bytes;
use tokio::sync::mpsc;

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
