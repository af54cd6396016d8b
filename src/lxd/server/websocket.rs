//! Websockets on connections of requests (RFC 6455).

use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::answer::{Answer, Fault, whole};
use super::call::{Call, Client};

/// Answers that the connection becomes another protocol, and hands it over as soon as it has. What `then` does with it ends
/// when the client is trusted no more.
pub fn upgraded<F, W>(call: &mut Call, protocol: &'static str, then: F) -> Answer
where
    F: FnOnce(Upgraded) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let asked = call.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    if !asked.is_some_and(|asked| asked.eq_ignore_ascii_case(protocol)) {
        return Err(Fault::bad(format!("Not an upgrade to {protocol}")));
    }
    let coming = hyper::upgrade::on(&mut call.request);
    let (agent, client) = (call.agent.clone(), call.client.clone());
    tokio::spawn(async move {
        let Ok(pipe) = coming.await else { return };
        let revoked = async {
            match &client {
                Client::Local => std::future::pending().await,
                Client::Far { .. } => agent.trust.revoked(client.name()).await,
            }
        };
        tokio::select! {
            () = then(pipe) => {}
            () = revoked => {}
        }
    });
    let mut reply = Response::new(whole(""));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    Ok(reply)
}

/// As [`upgraded`], for a websocket.
///
/// # Errors
/// 400 where the request is for none.
pub fn opened<F, W>(call: &mut Call, then: F) -> Answer
where
    F: FnOnce(Upgraded) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let Some(key) = call.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())) else {
        return Err(Fault::bad("Not a websocket"));
    };
    let mut reply = upgraded(call, "websocket", then)?;
    if let Ok(accepted) = HeaderValue::from_str(&key) {
        reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    Ok(reply)
}
