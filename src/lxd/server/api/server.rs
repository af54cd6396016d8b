//! The server: `/`, `/1.0`, `/1.0/resources`; `/1.0/operations` and `/1.0/events`; `/1.0/certificates`, who is trusted and how
//! somebody becomes so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::lxd::server::agent::{Agent, Call, Client, opened};
use crate::lxd::server::answer::{Answer, Event, Fault, New, Operation, Status, created, rfc3339, sync, tagged};
use crate::lxd::server::store::{ADDRESS, Certificate, Validity};
use crate::lxd::server::streams;
use crate::lxd::tls::{hex, random, same};

/// What of LXD's later additions there is; nothing is said that is not done.
const EXTENSIONS: &[&str] = &[
    "instances",
    "api_filtering",
    "container_full",
    "instance_get_full",
    "container_exec_user_group_cwd",
    "directory_manipulation",
    "file_delete",
    "network",
    "network_state",
    "console",
    "projects",
    "certificate_token",
    "storage",
];

/// The version of LXD whose API this is.
const VERSION: &str = "5.0.2";

/// `GET /`
pub async fn versions(_: Call) -> Answer {
    sync(["/1.0"])
}

/// `GET /1.0`
pub async fn get(call: Call) -> Answer {
    let trusted = call.client.is_trusted(&call.agent);
    let auth = if trusted { "trusted" } else { "untrusted" };
    let mut document = json!({"api_extensions": EXTENSIONS, "api_status": "stable", "api_version": "1.0", "auth": auth,
        "public": false, "auth_methods": ["tls"]});
    if !trusted {
        return sync(document);
    }
    document["config"] = call.agent.config.to_json().into();
    document["environment"] = call.look(|agent| Ok(environment(agent))).await?;
    tagged(&document, &document["config"])
}

fn environment(agent: &Agent) -> Value {
    let kernel = nix::sys::utsname::uname().ok();
    let part = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        kernel.as_ref().map(|own| part(own).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let machine = part(nix::sys::utsname::UtsName::machine);
    json!({"addresses": agent.addresses(), "architectures": [machine], "certificate": agent.identity.pem,
        "certificate_fingerprint": agent.identity.fingerprint, "driver": "nslab",
        "driver_version": env!("CARGO_PKG_VERSION"), "firewall": "nftables", "kernel": "Linux",
        "kernel_architecture": machine, "kernel_version": part(nix::sys::utsname::UtsName::release), "os_name": "nslab",
        "os_version": env!("CARGO_PKG_VERSION"), "project": "default", "server": "lxd", "server_clustered": false,
        "server_name": agent.host.as_str(), "server_pid": std::process::id(), "server_version": VERSION,
        "storage": "dir", "storage_version": "1"})
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    config: BTreeMap<String, Value>,
}

/// `PUT /1.0`, `PATCH /1.0`
pub async fn set(mut call: Call) -> Answer {
    call.matches(&call.agent.config.to_json().into())?;
    let wanted: Wanted = call.json().await?;
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(Fault::bad("A value of the configuration is a text")),
    };
    let read = wanted.config.into_iter().map(|(key, value)| Ok((key, text(value)?)));
    let config: BTreeMap<String, String> = read.collect::<Result<_, Fault>>()?;
    let agent = call.agent.clone();
    let before = agent.config.address();
    let after = match config.get(ADDRESS) {
        Some(address) => Some(address.clone()).filter(|address| !address.is_empty()),
        None if call.replaces() => None,
        None => before.clone(),
    };
    // The address that is configured may have come only now.
    if after != before || (config.contains_key(ADDRESS) && agent.listening().is_empty()) {
        agent.listen(after.as_deref()).await?;
    }
    let replaces = call.replaces();
    if let Err(fault) = call.look(move |agent| agent.config.set(&config, replaces)).await {
        if after != before {
            agent.listen(before.as_deref()).await?;
        }
        return Err(fault);
    }
    sync(Value::Null)
}

/// `GET /1.0/resources`: those of the machine that nslab itself asks for.
pub async fn machine(_: Call) -> Answer {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    sync(json!({"cpu": {"architecture": std::env::consts::ARCH, "sockets": [], "total": cpus},
        "memory": {"nodes": [], "hugepages_total": 0, "hugepages_used": 0, "hugepages_size": 0, "used": 0, "total": 0},
        "gpu": {"cards": [], "total": 0}, "network": {"cards": [], "total": 0}, "storage": {"disks": [], "total": 0},
        "usb": {"devices": [], "total": 0}, "pci": {"devices": [], "total": 0},
        "system": {"uuid": "", "vendor": "", "product": "", "family": "", "version": "", "sku": "", "serial": "",
            "type": "container", "firmware": null, "chassis": null, "motherboard": null}}))
}

/// How often a listener is asked whether it is there, as LXD does.
const ASK: Duration = Duration::from_secs(10);
/// Bytes of a message of a listener, who has nothing to say.
const LONGEST: usize = 4 << 10;

/// `GET /1.0/operations`
pub async fn operations(call: Call) -> Answer {
    let whole = call.recursion() > 0;
    let all = call.agent.operations.all().into_iter();
    // What has ended is kept for those who began it.
    let running = all.filter(|one| one.status() == Status::Running);
    let documents: Vec<Value> = running.map(|one| if whole { one.to_json() } else { one.path().into() }).collect();
    sync(if documents.is_empty() { json!({}) } else { json!({"running": documents}) })
}

/// `GET /1.0/operations/UUID`
pub async fn operation(call: Call) -> Answer {
    sync(call.agent.operations.get(call.word(0))?.to_json())
}

/// `DELETE /1.0/operations/UUID`
pub async fn cancel(call: Call) -> Answer {
    call.agent.operations.get(call.word(0))?.cancel()?;
    sync(Value::Null)
}

/// `GET /1.0/operations/UUID/wait`
pub async fn wait(call: Call) -> Answer {
    let operation = call.agent.operations.get(call.word(0))?;
    let limit = call.asked("timeout").and_then(|seconds| seconds.parse::<i64>().ok()).and_then(|s| u64::try_from(s).ok());
    match limit {
        Some(seconds) => {
            let _ = tokio::time::timeout(Duration::from_secs(seconds), operation.over()).await;
        }
        None => operation.over().await,
    }
    sync(operation.to_json())
}

/// `GET /1.0/operations/UUID/websocket`
pub async fn websocket(mut call: Call) -> Answer {
    let operation = call.agent.operations.get(call.word(0))?;
    let secret = call.asked("secret").unwrap_or_default().to_owned();
    let place = operation.enter(&secret, call.client.name()).ok_or_else(|| Fault::new(403, "not authorized"))?;
    opened(&mut call, |pipe| async move { place.take(streams::socket(TokioIo::new(pipe)).await) })
}

/// `GET /1.0/events`
pub async fn events(mut call: Call) -> Answer {
    let kinds = call.asked("type").unwrap_or_default().to_owned();
    let listener = call.agent.bus.listen();
    opened(&mut call, move |pipe| send_events(pipe, listener, kinds))
}

async fn send_events(pipe: Upgraded, mut listener: Receiver<Arc<Event>>, kinds: String) {
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
            received = socket.next() => match received {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => continue,
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Characters of a client's name.
const NAME: usize = 64;

/// `GET /1.0/certificates`
pub async fn clients(call: Call) -> Answer {
    let certificates = call.agent.trust.to_json();
    if call.recursion() > 0 {
        return sync(certificates);
    }
    let path = |one: &Value| format!("/1.0/certificates/{}", one["fingerprint"].as_str().unwrap_or_default());
    sync(certificates.iter().map(path).collect::<Vec<_>>())
}

/// `GET /1.0/certificates/FINGERPRINT`
pub async fn client(call: Call) -> Answer {
    let found = call.agent.trust.find(call.word(0))?;
    let certificate = call.agent.trust.one(&found).ok_or_else(|| Fault::missing("Certificate"))?;
    tagged(&certificate, &certificate)
}

/// `DELETE /1.0/certificates/FINGERPRINT`
pub async fn distrust(call: Call) -> Answer {
    let found = call.agent.trust.find(call.word(0))?;
    call.agent.trust.remove(&found)?;
    call.agent.cut(&found);
    call.agent.bus.lifecycle("certificate-deleted", &format!("/1.0/certificates/{found}"));
    sync(Value::Null)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    certificate: String,
    password: String,
    trust_token: String,
    token: bool,
}

/// `POST /1.0/certificates`: a token, a certificate, or the client's own with a token or the password.
pub async fn trust(mut call: Call) -> Answer {
    let trusted = call.client.is_trusted(&call.agent);
    if let (false, Client::Far { from, certificate }) = (trusted, &call.client) {
        call.agent.trust.may_guess(*from)?;
        if certificate.is_none() {
            return Err(Fault::bad("No client certificate provided"));
        }
    }
    let wanted: Asked = call.json().await?;
    if !matches!(wanted.kind.as_str(), "" | "client") {
        return Err(Fault::bad("Unknown certificate type"));
    }
    if wanted.name.chars().count() > NAME || wanted.name.chars().any(char::is_control) {
        return Err(Fault::bad("Invalid certificate name"));
    }
    if trusted && wanted.token {
        return invite(&call, &wanted).await;
    }
    if trusted && !wanted.certificate.is_empty() {
        let der = STANDARD.decode(wanted.certificate.trim()).ok().and_then(|der| Certificate::read(&der));
        let certificate = der.ok_or_else(|| Fault::bad("Invalid certificate"))?;
        return accept(&call, &wanted.name, &certificate);
    }
    redeem(&call, &wanted).await
}

fn accept(call: &Call, name: &str, certificate: &Certificate) -> Answer {
    match certificate.validity() {
        Validity::Now => {}
        Validity::Expired => return Err(Fault::bad("The client's certificate has expired")),
        Validity::NotYet { seconds } => {
            let minutes = (seconds + 59) / 60;
            return Err(Fault::bad(format!(
                "The client's certificate is not valid for another {minutes} minutes: set the clocks of the two machines"
            )));
        }
    }
    let name = if name.is_empty() { certificate.fingerprint.get(..12).unwrap_or_default() } else { name };
    call.agent.trust.add(name, certificate)?;
    let path = format!("/1.0/certificates/{}", certificate.fingerprint);
    call.agent.bus.lifecycle("certificate-created", &path);
    created(&path)
}

/// A token that makes its bearer trusted, once.
async fn invite(call: &Call, wanted: &Asked) -> Answer {
    if wanted.name.is_empty() {
        return Err(Fault::bad("A token needs a name"));
    }
    let addresses = call.look(|agent| Ok(agent.addresses())).await?;
    if addresses.is_empty() {
        return Err(Fault::bad("The agent does not listen on the network: set core.https_address"));
    }
    let life = call.agent.config.token_life();
    let until = rfc3339(OffsetDateTime::now_utc() + life);
    let request = json!({"name": wanted.name, "type": "client", "restricted": false, "projects": null, "certificate": "",
        "password": "", "token": true});
    let token = json!({"addresses": addresses, "fingerprint": call.agent.identity.fingerprint,
        "secret": hex(&random::<32>()?), "request": request, "expiresAt": until});
    let metadata = if let Value::Object(token) = token { token } else { Map::new() };
    let client = call.client.name().to_owned();
    let new = New { class: "token", description: "Executing operation", metadata, client, may_cancel: true, ..New::default() };
    let operation = call.agent.operations.begin(new)?;
    let (waiting, born) = (operation.clone(), Instant::now());
    tokio::spawn(async move {
        let expired = tokio::time::sleep(life.saturating_sub(born.elapsed()));
        tokio::select! {
            () = expired => waiting.end(Status::Cancelled, "The token has expired"),
            () = waiting.over() => {}
        }
    });
    operation.answer()
}

/// Whether the time that a token was given is over, by the wall clock; its operation ends by the other one.
fn expired(operation: &Operation) -> bool {
    let until = operation.value("expiresAt").and_then(|until| until.as_str().map(str::to_owned)).unwrap_or_default();
    OffsetDateTime::parse(&until, &time::format_description::well_known::Rfc3339)
        .map_or(true, |until| until < OffsetDateTime::now_utc())
}

/// The secret in a token, as any client sends it back.
fn secret(text: &str) -> Option<String> {
    let token: Value = serde_json::from_slice(&STANDARD.decode(text.trim()).ok()?).ok()?;
    token["secret"].as_str().map(str::to_owned)
}

async fn redeem(call: &Call, wanted: &Asked) -> Answer {
    let Client::Far { certificate: Some(certificate), from } = &call.client else {
        return Err(Fault::bad("No client certificate provided"));
    };
    let typed = if wanted.trust_token.is_empty() { &wanted.password } else { &wanted.trust_token };
    let refused = || {
        call.agent.trust.wrong(*from);
        Fault::new(403, "No matching certificate add operation found")
    };
    let Some(secret) = secret(typed) else {
        let password = wanted.password.clone();
        let admitted = call.look(move |agent| Ok(agent.config.admits(&password))).await;
        return if admitted == Ok(true) { accept(call, &wanted.name, certificate) } else { Err(refused()) };
    };
    let tokens = call.agent.operations.all().into_iter().filter(|one| one.new.class == "token");
    let own = |token: &Operation| token.value("secret").and_then(|own| own.as_str().map(str::to_owned)).unwrap_or_default();
    // Each is compared, wherever the right one stands.
    let found: Vec<_> = tokens.filter(|one| one.status() == Status::Running && same(&own(one), &secret)).collect();
    let token = found.into_iter().next().ok_or_else(refused)?;
    // Used up before anything else is looked at.
    let late = expired(&token);
    token.end(Status::Success, "");
    if late {
        return Err(refused());
    }
    let name = token.value("request").and_then(|asked| asked["name"].as_str().map(str::to_owned)).unwrap_or_default();
    accept(call, &name, certificate)
}
