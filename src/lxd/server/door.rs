//! The websockets that a command waits for: each has a secret, which works once and for one client.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::secret::hex;

/// How long a client may take to connect the websockets of its command.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest message that is taken from a client, in bytes.
const LONGEST: usize = 4 << 20;
/// What waits to be sent to a client that does not read, in bytes.
const QUEUE: usize = 64 << 10;

/// What a websocket runs over.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Wire for T {}

/// A websocket of a client.
pub type Socket = WebSocketStream<Box<dyn Wire>>;

/// The server's end of a websocket over a connection that has been upgraded to one.
pub async fn socket(wire: impl Wire + 'static) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(QUEUE)
        .max_write_buffer_size(4 * QUEUE)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let wire: Box<dyn Wire> = Box::new(wire);
    WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await
}

/// Where one websocket is waited for.
#[derive(Debug)]
pub struct Place {
    name: &'static str,
    sender: oneshot::Sender<Socket>,
}

impl Place {
    /// The name of its descriptor: `0`, `1`, `2` or `control`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Hands the websocket over; nobody may be waiting any more.
    pub fn take(self, socket: Socket) {
        let _ = self.sender.send(socket);
    }
}

/// Lets the websockets of one client in, each once.
#[derive(Debug)]
pub struct Door {
    client: String,
    places: Mutex<BTreeMap<String, Place>>,
}

impl Door {
    /// A door for a client (by the fingerprint of its certificate), with the secret of each descriptor and what waits
    /// for them. None where the system has no random numbers.
    pub fn new(client: &str, names: &[&'static str]) -> Option<(Self, BTreeMap<&'static str, String>, Expected)> {
        let (mut places, mut secrets, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for &name in names {
            let (sender, receiver) = oneshot::channel();
            let secret = secret()?;
            places.insert(secret.clone(), Place { name, sender });
            secrets.insert(name, secret);
            expected.insert(name, receiver);
        }
        Some((Self { client: client.to_owned(), places: Mutex::new(places) }, secrets, Expected(expected)))
    }

    /// The place that a secret is for; it is used up.
    pub fn enter(&self, secret: &str, client: &str) -> Option<Place> {
        if client != self.client {
            return None;
        }
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(secret)
    }
}

/// 256 random bits in hexadecimal.
fn secret() -> Option<String> {
    let mut bits = [0_u8; 32];
    SystemRandom::new().fill(&mut bits).ok()?;
    Some(hex(&bits))
}

/// The websockets that are on their way.
#[derive(Debug)]
pub struct Expected(BTreeMap<&'static str, oneshot::Receiver<Socket>>);

impl Expected {
    /// Waits for one of them for as long as it takes.
    pub(super) async fn one(&mut self, name: &str) -> Option<Socket> {
        self.0.get_mut(name)?.await.ok()
    }

    /// Takes one out, to be waited for elsewhere.
    pub(super) fn apart(&mut self, name: &str) -> Option<oneshot::Receiver<Socket>> {
        self.0.remove(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_works_once_and_for_one_client() {
        let (door, secrets, _expected) = Door::new("mine", &["0", "control"]).unwrap();
        assert!(secrets.values().all(|secret| secret.len() == 64));
        assert_ne!(secrets["0"], secrets["control"]);
        assert!(door.enter(&secrets["0"], "another").is_none());
        assert_eq!(door.enter(&secrets["0"], "mine").unwrap().name(), "0");
        assert!(door.enter(&secrets["0"], "mine").is_none());
        assert!(door.enter("", "mine").is_none());
    }
}
