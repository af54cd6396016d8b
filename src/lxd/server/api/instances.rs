//! `/1.0/instances`: the containers of the host.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::described;
use super::statics::{image_fingerprint, is_image};
use crate::lab::instances::{self, Options, Site};
use crate::lab::load;
use crate::lxd::server::Agent;
use crate::lxd::server::answer::{Answer, Fault, sync, tagged, working};
use crate::lxd::server::call::Call;
use crate::lxd::server::operations::New;
use crate::name::NodeName;
use crate::topology::{Container, Host, Keys};

/// The host as its lab has it now.
///
/// # Errors
/// 404 where the lab or the host is gone.
pub fn host(agent: &Agent) -> Result<Host, Fault> {
    let topology = load(&agent.lab)?.topology;
    topology.host(agent.host.as_str()).cloned().ok_or_else(|| Fault::missing("Host"))
}

/// The container of that name.
fn container(agent: &Agent, name: &str) -> Result<Container, Fault> {
    let found = host(agent)?.containers.into_iter().find(|own| own.name.as_str() == name);
    found.ok_or_else(|| Fault::missing("Instance"))
}

/// The container that a request names.
async fn found(call: &Call) -> Result<Container, Fault> {
    let name = call.word(0).to_owned();
    call.look(move |agent| container(agent, &name)).await
}

/// Refuses a name that is taken.
async fn free(call: &Call, name: &NodeName) -> Result<(), Fault> {
    let wanted = name.clone();
    let taken = call.look(move |agent| Ok(host(agent)?.containers.iter().any(|own| own.name == wanted))).await?;
    if taken { Err(Fault::new(409, format!("Instance {:?} already exists", name.as_str()))) } else { Ok(()) }
}

fn site(agent: &Agent, name: &str) -> Result<Site, Fault> {
    let name: NodeName = name.parse().map_err(|_| Fault::bad(format!("Invalid instance name {name:?}")))?;
    Ok(Site { lab: agent.lab.clone(), host: agent.host.clone(), name })
}

/// `GET /1.0/instances`
pub async fn list(call: Call) -> Answer {
    let depth = call.recursion();
    let told = call.look(move |agent| {
        let one = |own: &Container| match depth {
            0 => format!("/1.0/instances/{}", own.name).into(),
            1 => described::instance(own),
            _ => described::full(agent, own),
        };
        Ok(host(agent)?.containers.iter().map(one).collect::<Vec<Value>>())
    });
    sync(told.await?)
}

/// `GET /1.0/instances/NAME`
pub async fn get(call: Call) -> Answer {
    let (name, depth) = (call.word(0).to_owned(), call.recursion());
    let told = call.look(move |agent| {
        let own = container(agent, &name)?;
        let told = if depth > 0 { described::full(agent, &own) } else { described::instance(&own) };
        Ok((told, described::writable(&own)))
    });
    let (told, writable) = told.await?;
    tagged(told, &writable)
}

/// `GET /1.0/instances/NAME/state`
pub async fn state(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    sync(call.look(move |agent| Ok(described::state(agent, &container(agent, &name)?))).await?)
}

/// `GET /1.0/instances/NAME/snapshots`: there are none.
pub async fn snapshots(call: Call) -> Answer {
    found(&call).await?;
    sync(Vec::<Value>::new())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    alias: String,
    fingerprint: String,
    /// A public image server: the class's `ubuntu:22.04`.
    server: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    name: String,
    config: Option<Keys>,
    devices: Option<BTreeMap<String, Keys>>,
    ephemeral: Option<bool>,
    profiles: Option<Vec<String>>,
    source: Source,
    #[serde(rename = "type")]
    kind: String,
    migration: bool,
}

/// Refuses devices that would do nothing: beside NICs an instance has its root disk, which is there anyway.
fn built(devices: &BTreeMap<String, Keys>, before: &BTreeMap<String, Keys>) -> Result<(), Fault> {
    let get = |device: &Keys, key: &str| device.get(key).cloned().unwrap_or_default();
    let odd = devices.iter().find(|(name, device)| match get(device, "type").as_str() {
        "nic" | "none" => false,
        "disk" if get(device, "path") == "/" => false,
        _ => before.get(*name) != Some(*device),
    });
    odd.map_or(Ok(()), |(name, device)| {
        Err(Fault::bad(format!("The device {name:?} is of the type {:?}: containers here have NICs alone", get(device, "type"))))
    })
}

/// Begins a task on an instance; once it is done everybody hears of it.
fn task(
    call: &Call,
    description: &'static str,
    name: &str,
    action: &'static str,
    work: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Answer {
    let path = format!("/1.0/instances/{name}");
    let new = New { description, instances: vec![path.clone()], client: call.client.name().to_owned(), ..New::default() };
    let bus = call.agent.bus.clone();
    let operation = call.agent.operations.task(new, move || {
        work()?;
        bus.lifecycle(action, &path);
        Ok(())
    })?;
    working(&operation)
}

/// `POST /1.0/instances`
pub async fn create(mut call: Call) -> Answer {
    let wanted: Wanted = call.json().await?;
    if !matches!(wanted.kind.as_str(), "" | "container") {
        return Err(Fault::bad("Only containers can be created"));
    }
    let known = match wanted.source.kind.as_str() {
        "none" => true,
        // There is one image; whatever is asked for of a public server means it.
        "image" if !wanted.source.server.is_empty() => true,
        "image" if !wanted.source.fingerprint.is_empty() => image_fingerprint().starts_with(&wanted.source.fingerprint),
        "image" => is_image(&wanted.source.alias),
        other => return Err(Fault::bad(format!("Unknown source type {other:?}"))),
    };
    if !known {
        return Err(Fault::missing("Image"));
    }
    if wanted.profiles.iter().flatten().any(|profile| profile != "default") {
        return Err(Fault::missing("Profile"));
    }
    built(wanted.devices.as_ref().unwrap_or(&BTreeMap::new()), &BTreeMap::new())?;
    let name = if wanted.name.is_empty() {
        call.look(|agent| Ok(instances::fresh_name(&agent.lab, &agent.host)?.to_string())).await?
    } else {
        wanted.name
    };
    let site = site(&call.agent, &name)?;
    free(&call, &site.name).await?;
    let options = Options {
        config: wanted.config.unwrap_or_default(),
        devices: wanted.devices.unwrap_or_default(),
        bare: wanted.profiles.is_some_and(|profiles| profiles.is_empty()),
        ephemeral: wanted.ephemeral.unwrap_or_default(),
        stopped: true,
    };
    task(&call, "Creating instance", &name, "instance-created", move || {
        instances::launch(&site, &options)?;
        Ok(())
    })
}

/// `PUT /1.0/instances/NAME`, `PATCH /1.0/instances/NAME`
pub async fn set(mut call: Call) -> Answer {
    let name = call.word(0).to_owned();
    let own = found(&call).await?;
    call.matches(&described::writable(&own))?;
    let wanted: Wanted = call.json().await?;
    let adds = *call.request.method() == Method::PATCH;
    let (mut config, mut devices) =
        if adds { (own.instance.config.clone(), own.instance.devices.clone()) } else { (Keys::new(), BTreeMap::new()) };
    config.extend(wanted.config.unwrap_or_default());
    devices.extend(wanted.devices.unwrap_or_default());
    built(&devices, &own.instance.devices)?;
    let ephemeral = wanted.ephemeral.unwrap_or(own.instance.ephemeral);
    let site = site(&call.agent, &name)?;
    task(&call, "Updating instance", &name, "instance-updated", move || {
        instances::set(&site, &config, &devices, ephemeral)?;
        Ok(())
    })
}

/// `POST /1.0/instances/NAME`: another name.
pub async fn rename(mut call: Call) -> Answer {
    let name = call.word(0).to_owned();
    found(&call).await?;
    let wanted: Wanted = call.json().await?;
    if wanted.migration {
        return Err(Fault::bad("Instances cannot be moved to another server"));
    }
    let to = site(&call.agent, &wanted.name)?.name;
    free(&call, &to).await?;
    let site = site(&call.agent, &name)?;
    task(&call, "Renaming instance", &name, "instance-renamed", move || Ok(instances::rename(&site, &to)?))
}

/// `DELETE /1.0/instances/NAME`
pub async fn delete(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    found(&call).await?;
    let site = site(&call.agent, &name)?;
    task(&call, "Deleting instance", &name, "instance-deleted", move || {
        instances::delete(&site)?;
        Ok(())
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Move {
    action: String,
    timeout: i64,
    force: bool,
    stateful: bool,
}

/// `PUT /1.0/instances/NAME/state`
pub async fn act(mut call: Call) -> Answer {
    let name = call.word(0).to_owned();
    found(&call).await?;
    let Move { action, timeout, force, stateful } = call.json().await?;
    if stateful && action == "stop" {
        return Err(Fault::bad("The state of processes cannot be kept"));
    }
    let site = site(&call.agent, &name)?;
    let grace = if force { Some(Duration::ZERO) } else { u64::try_from(timeout).ok().map(Duration::from_secs) };
    match action.as_str() {
        "start" => task(&call, "Starting instance", &name, "instance-started", move || {
            instances::start(&site)?;
            Ok(())
        }),
        "stop" => task(&call, "Stopping instance", &name, "instance-stopped", move || {
            instances::stop(&site, grace)?;
            Ok(())
        }),
        "restart" => task(&call, "Restarting instance", &name, "instance-restarted", move || {
            instances::restart(&site, grace)?;
            Ok(())
        }),
        "freeze" => task(&call, "Freezing instance", &name, "instance-paused", move || Ok(instances::pause(&site)?)),
        "unfreeze" => task(&call, "Unfreezing instance", &name, "instance-resumed", move || Ok(instances::resume(&site)?)),
        other => Err(Fault::bad(format!("Unknown action {:?}", json!(other)))),
    }
}
