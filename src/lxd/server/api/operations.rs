//! `/1.0/operations` and `/1.0/events`.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::lxd::server::answer::{Answer, Fault, sync};
use crate::lxd::server::call::Call;
use crate::lxd::server::events::Event;
use crate::lxd::server::operations::{Operation, Status};
use crate::lxd::server::websocket;

/// How often a listener is asked whether it is there, as LXD does.
const ASK: Duration = Duration::from_secs(10);
/// Bytes of a message of a listener, who has nothing to say.
const LONGEST: usize = 4 << 10;

/// `GET /1.0/operations`
pub async fn list(call: Call) -> Answer {
    let mut told: Map<String, Value> = Map::new();
    for operation in call.agent.operations.all() {
        let (state, one) =
            if call.recursion() > 0 { (operation.told(), operation.told()) } else { (operation.told(), operation.path().into()) };
        let status = state["status"].as_str().unwrap_or_default().to_lowercase();
        // What has ended is kept for those who began it.
        if operation.status() == Status::Running
            && let Value::Array(all) = told.entry(status).or_insert_with(|| Value::Array(Vec::new()))
        {
            all.push(one);
        }
    }
    sync(told)
}

/// `GET /1.0/operations/UUID`
pub async fn get(call: Call) -> Answer {
    sync(call.agent.operations.get(call.word(0))?.told())
}

/// `DELETE /1.0/operations/UUID`
pub async fn cancel(call: Call) -> Answer {
    call.agent.operations.get(call.word(0))?.cancel()?;
    sync(Value::Null)
}

/// `GET /1.0/operations/UUID/wait`
pub async fn wait(call: Call) -> Answer {
    let operation: Arc<Operation> = call.agent.operations.get(call.word(0))?;
    let limit = call.asked("timeout").and_then(|seconds| seconds.parse::<i64>().ok()).and_then(|s| u64::try_from(s).ok());
    match limit {
        Some(seconds) => {
            let _ = tokio::time::timeout(Duration::from_secs(seconds), operation.over()).await;
        }
        None => operation.over().await,
    }
    sync(operation.told())
}

/// `GET /1.0/operations/UUID/websocket`
pub async fn websocket(mut call: Call) -> Answer {
    let operation = call.agent.operations.get(call.word(0))?;
    let secret = call.asked("secret").unwrap_or_default().to_owned();
    let take = operation.enter(&secret, call.client.name()).ok_or_else(|| Fault::new(403, "not authorized"))?;
    websocket::opened(&mut call, |pipe| async move { take(pipe) })
}

/// `GET /1.0/events`
pub async fn events(mut call: Call) -> Answer {
    let kinds = call.asked("type").unwrap_or_default().to_owned();
    let listener = call.agent.bus.listen();
    websocket::opened(&mut call, move |pipe| tell(pipe, listener, kinds))
}

async fn tell(pipe: Upgraded, mut listener: Receiver<Arc<Event>>, kinds: String) {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(pipe), Role::Server, Some(config)).await;
    let mut ask = tokio::time::interval(ASK);
    loop {
        let message = tokio::select! {
            event = listener.recv() => match event {
                Ok(event) if kinds.is_empty() || kinds.split(',').any(|kind| kind == event.kind) => {
                    Message::Text(event.text.clone().into())
                }
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            _ = ask.tick() => Message::Ping(Bytes::from_static(b"keepalive")),
            said = socket.next() => match said {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => continue,
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
