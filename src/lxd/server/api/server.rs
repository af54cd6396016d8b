//! `/` and `/1.0`: what the server is, and its configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::lxd::server::Agent;
use crate::lxd::server::answer::{Answer, Fault, sync, tagged};
use crate::lxd::server::call::Call;
use crate::lxd::server::config::ADDRESS;

/// What of LXD's later additions there is; nothing is said that is not done.
const EXTENSIONS: [&str; 13] = [
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
