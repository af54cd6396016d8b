//! `/`, `/1.0`, `/1.0/operations`, `/1.0/events`, and what is the same for every host: the one project, the one image, no storage
//! pool, no cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::lxd::server::agent::Agent;
use crate::lxd::server::answer::{Answer, Fault, sync, tagged};
use crate::lxd::server::config::ADDRESS;
use crate::lxd::server::operations::{Event, NEVER, New, Operation, Status};
use crate::lxd::server::request::{Call, opened};
use crate::lxd::server::streams;
use crate::lxd::tls::{fingerprint, hex, random};

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
    let mut told = json!({"api_extensions": EXTENSIONS, "api_status": "stable", "api_version": "1.0", "auth": auth,
        "public": false, "auth_methods": ["tls"]});
    if !trusted {
        return sync(told);
    }
    told["config"] = call.agent.config.told().into();
    told["environment"] = call.look(|agent| Ok(environment(agent))).await?;
    tagged(&told, &told["config"])
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
    call.matches(&call.agent.config.told().into())?;
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
    if after != before || (config.contains_key(ADDRESS) && agent.listeners.addresses().is_empty()) {
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
pub async fn resources(_: Call) -> Answer {
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
pub async fn operation(call: Call) -> Answer {
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
    let place = operation.enter(&secret, call.client.name()).ok_or_else(|| Fault::new(403, "not authorized"))?;
    opened(&mut call, |pipe| async move { place.take(streams::socket(TokioIo::new(pipe)).await) })
}

/// `GET /1.0/events`
pub async fn events(mut call: Call) -> Answer {
    let kinds = call.asked("type").unwrap_or_default().to_owned();
    let listener = call.agent.bus.listen();
    opened(&mut call, move |pipe| tell(pipe, listener, kinds))
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

/// The one image: the machine's own root file system.
pub const IMAGE: &str = "host";

/// Names that people give to images of distributions: each means the one image.
const DISTRIBUTIONS: [&str; 20] = [
    "almalinux",
    "alpine",
    "alt",
    "amazonlinux",
    "archlinux",
    "busybox",
    "centos",
    "debian",
    "devuan",
    "fedora",
    "gentoo",
    "kali",
    "mint",
    "nixos",
    "openeuler",
    "opensuse",
    "oracle",
    "rockylinux",
    "ubuntu",
    "voidlinux",
];

/// The fingerprint of the one image.
pub fn image_fingerprint() -> String {
    fingerprint(b"nslab: the machine's own root file system")
}

/// Whether a name means the one image: `host`, or a distribution's as in `ubuntu/22.04`.
pub fn is_image(name: &str) -> bool {
    let first = name.split([':', '/', '-']).next().unwrap_or_default().to_ascii_lowercase();
    name == IMAGE || DISTRIBUTIONS.contains(&first.as_str())
}

fn image_described() -> Value {
    json!({"auto_update": false, "properties": {"description": "This machine's own files", "os": "nslab",
            "architecture": std::env::consts::ARCH},
        "public": false, "expires_at": NEVER, "profiles": ["default"], "aliases": [{"name": IMAGE, "description": ""}],
        "architecture": std::env::consts::ARCH, "cached": false, "filename": IMAGE, "fingerprint": image_fingerprint(),
        "size": 0, "type": "container", "created_at": NEVER, "last_used_at": NEVER, "uploaded_at": NEVER})
}

fn alias_of(name: &str) -> Value {
    json!({"name": name, "description": "", "target": image_fingerprint(), "type": "container"})
}

/// `GET /1.0/images`
pub async fn images(call: Call) -> Answer {
    if call.recursion() > 0 { sync([image_described()]) } else { sync([format!("/1.0/images/{}", image_fingerprint())]) }
}

/// Refuses what is not the beginning of the one image's fingerprint.
fn known(prefix: &str) -> Result<(), Fault> {
    if prefix.len() >= 4 && image_fingerprint().starts_with(prefix) { Ok(()) } else { Err(Fault::missing("Image")) }
}

/// `GET /1.0/images/FINGERPRINT`
pub async fn image(call: Call) -> Answer {
    known(call.word(0))?;
    let told = image_described();
    tagged(&told, &told["properties"])
}

/// `POST /1.0/images/FINGERPRINT/secret`: what a client hands to another server, to fetch the image with. An agent has the image already and
/// asks for none.
pub async fn secret(call: Call) -> Answer {
    known(call.word(0))?;
    let told = Map::from_iter([("secret".to_owned(), Value::from(hex(&random::<32>()?)))]);
    let client = call.client.name().to_owned();
    let new = New { class: "token", description: "Executing operation", metadata: told, client, ..New::default() };
    let operation = call.agent.operations.begin(new)?;
    let answer = operation.answer();
    operation.end(Status::Success, "");
    answer
}

/// `GET /1.0/images/aliases`
pub async fn aliases(call: Call) -> Answer {
    if call.recursion() > 0 { sync([alias_of(IMAGE)]) } else { sync([format!("/1.0/images/aliases/{IMAGE}")]) }
}

/// `GET /1.0/images/aliases/NAME`
pub async fn alias(call: Call) -> Answer {
    if is_image(call.word(0)) { sync(alias_of(call.word(0))) } else { Err(Fault::missing("Image alias")) }
}

fn default_project() -> Value {
    json!({"config": {"features.images": "true", "features.networks": "true", "features.profiles": "true",
            "features.storage.volumes": "true"},
        "description": "Default project", "name": "default", "used_by": ["/1.0/profiles/default"]})
}

/// `GET /1.0/projects`
pub async fn projects(call: Call) -> Answer {
    if call.recursion() > 0 { sync([default_project()]) } else { sync(["/1.0/projects/default"]) }
}

/// `GET /1.0/projects/default`
pub async fn project(call: Call) -> Answer {
    if call.word(0) == "default" { sync(default_project()) } else { Err(Fault::missing("Project")) }
}

/// `GET /1.0/storage-pools`
pub async fn pools(_: Call) -> Answer {
    sync(Vec::<Value>::new())
}

/// `GET /1.0/cluster`
pub async fn cluster(_: Call) -> Answer {
    sync(json!({"server_name": "", "enabled": false, "member_config": []}))
}
