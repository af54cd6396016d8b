//! `/1.0/instances`: the containers of the host, and how each is told.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::resources::{image_fingerprint, is_image, network};
use crate::error::{Error, Thing};
use crate::kernel::inspect::{Pin, inspect, traffic};
use crate::kernel::sandbox::processes;
use crate::lab::instances::{self, InstanceId, Options};
use crate::lab::paths::{self, netns_path};
use crate::lxd::server::agent::{Agent, Call};
use crate::lxd::server::answer::{Answer, Fault, NEVER, New, error_text, seconds, sync, tagged};
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::report::machine::Link;
use crate::topology::{Container, Keys, Nic, Run};

/// The container of that name.
fn container(agent: &Agent, name: &str) -> Result<Container, Fault> {
    let found = agent.described()?.containers.into_iter().find(|own| own.name.as_str() == name);
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
    let taken = call.look(move |agent| Ok(agent.described()?.containers.iter().any(|own| own.name == wanted))).await?;
    if taken { Err(Fault::new(409, format!("Instance {:?} already exists", name.as_str()))) } else { Ok(()) }
}

fn instance_id(agent: &Agent, name: &str) -> Result<InstanceId, Fault> {
    let name: NodeName = name.parse().map_err(|fault| {
        let why = error_text(&Error::BadName { what: Thing::Container, word: name.to_owned(), fault });
        Fault::bad(format!("Invalid instance name: {why}"))
    })?;
    Ok(InstanceId { lab: agent.lab.clone(), host: agent.host.clone(), name })
}

/// `GET /1.0/instances`
pub async fn list(call: Call) -> Answer {
    let depth = call.recursion();
    let found = call.look(move |agent| {
        let one = |own: &Container| match depth {
            0 => format!("/1.0/instances/{}", own.name).into(),
            1 => instance(own),
            _ => full(agent, own),
        };
        Ok(agent.described()?.containers.iter().map(one).collect::<Vec<Value>>())
    });
    sync(found.await?)
}

/// `GET /1.0/instances/NAME`
pub async fn get(call: Call) -> Answer {
    let (name, depth) = (call.word(0).to_owned(), call.recursion());
    let found = call.look(move |agent| {
        let own = container(agent, &name)?;
        let document = if depth > 0 { full(agent, &own) } else { instance(&own) };
        Ok((document, writable(&own)))
    });
    let (document, writable) = found.await?;
    tagged(document, &writable)
}

/// `GET /1.0/instances/NAME/state`
pub async fn state(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    sync(call.look(move |agent| Ok(state_of(agent, &container(agent, &name)?))).await?)
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
    operation.answer()
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
    let name = if wanted.name.is_empty() {
        call.look(|agent| Ok(instances::fresh_name(&agent.lab, &agent.host)?.to_string())).await?
    } else {
        wanted.name
    };
    let id = instance_id(&call.agent, &name)?;
    free(&call, &id.name).await?;
    let options = Options {
        config: wanted.config.unwrap_or_default(),
        devices: wanted.devices.unwrap_or_default(),
        bare: wanted.profiles.is_some_and(|profiles| profiles.is_empty()),
        ephemeral: wanted.ephemeral.unwrap_or_default(),
        stopped: true,
    };
    task(&call, "Creating instance", &name, "instance-created", move || Ok(instances::launch(&id, &options).map(drop)?))
}

/// `PUT /1.0/instances/NAME`, `PATCH /1.0/instances/NAME`
pub async fn set(mut call: Call) -> Answer {
    let name = call.word(0).to_owned();
    let own = found(&call).await?;
    call.matches(&writable(&own))?;
    let wanted: Wanted = call.json().await?;
    let adds = *call.request.method() == Method::PATCH;
    let (mut config, mut devices) =
        if adds { (own.instance.config.clone(), own.instance.devices.clone()) } else { (Keys::new(), BTreeMap::new()) };
    config.extend(wanted.config.unwrap_or_default());
    devices.extend(wanted.devices.unwrap_or_default());
    let ephemeral = wanted.ephemeral.unwrap_or(own.instance.ephemeral);
    let id = instance_id(&call.agent, &name)?;
    task(&call, "Updating instance", &name, "instance-updated", move || {
        Ok(instances::set(&id, &config, &devices, ephemeral).map(drop)?)
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
    let to = instance_id(&call.agent, &wanted.name)?.name;
    free(&call, &to).await?;
    let id = instance_id(&call.agent, &name)?;
    task(&call, "Renaming instance", &name, "instance-renamed", move || Ok(instances::rename(&id, &to)?))
}

/// `DELETE /1.0/instances/NAME`
pub async fn delete(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    found(&call).await?;
    let id = instance_id(&call.agent, &name)?;
    task(&call, "Deleting instance", &name, "instance-deleted", move || Ok(instances::delete(&id).map(drop)?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Move {
    action: String,
    timeout: i64,
    force: bool,
    stateful: bool,
}

/// What is done to an instance, of which what runs in it has so long to end.
type Act = fn(&InstanceId, Option<Duration>) -> Result<(), Error>;

/// `PUT /1.0/instances/NAME/state`
pub async fn act(mut call: Call) -> Answer {
    let name = call.word(0).to_owned();
    found(&call).await?;
    let Move { action, timeout, force, stateful } = call.json().await?;
    if stateful && action == "stop" {
        return Err(Fault::bad("The state of processes cannot be kept"));
    }
    let id = instance_id(&call.agent, &name)?;
    let grace = if force { Some(Duration::ZERO) } else { u64::try_from(timeout).ok().map(Duration::from_secs) };
    let (description, done, work): (_, _, Act) = match action.as_str() {
        "start" => ("Starting instance", "instance-started", |id, _| instances::start(id).map(drop)),
        "stop" => ("Stopping instance", "instance-stopped", |id, grace| instances::stop(id, grace).map(drop)),
        "restart" => ("Restarting instance", "instance-restarted", |id, grace| instances::restart(id, grace).map(drop)),
        "freeze" => ("Freezing instance", "instance-paused", |id, _| instances::pause(id)),
        "unfreeze" => ("Unfreezing instance", "instance-resumed", |id, _| instances::resume(id)),
        other => return Err(Fault::bad(format!("Unknown action {:?}", json!(other)))),
    };
    task(&call, description, &name, done, move || Ok(work(&id, grace)?))
}

fn status(own: &Container) -> (&'static str, u16) {
    match own.instance.run {
        Run::Running => ("Running", 103),
        Run::Stopped => ("Stopped", 102),
        Run::Frozen => ("Frozen", 110),
    }
}

/// The part of it that can be written.
pub fn writable(own: &Container) -> Value {
    json!({"architecture": std::env::consts::ARCH, "config": own.instance.config, "devices": own.instance.devices,
        "ephemeral": own.instance.ephemeral, "profiles": ["default"], "stateful": false, "description": ""})
}

/// A NIC of the file or of the launch as a device.
fn device(nic: &Nic) -> Option<(String, Keys)> {
    let end = nic.attach.host_end()?;
    let kind = if end.bridge.is_some() { "bridged" } else { "p2p" };
    let keys = [("type", "nic"), ("name", nic.name.as_str()), ("host_name", end.name.as_str()), ("nictype", kind)];
    let parent = end.bridge.as_ref().map(|bridge| ("parent", bridge.as_str()));
    let keys = keys.into_iter().chain(parent).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Some((nic.name.to_string(), keys.collect()))
}

/// Everything that is configured of it.
pub fn instance(own: &Container) -> Value {
    let (status, code) = status(own);
    let mut devices: BTreeMap<String, Keys> = own.nics.iter().filter_map(device).collect();
    devices.extend(own.instance.devices.clone());
    let time = |at: Option<u64>| at.map_or_else(|| NEVER.to_owned(), seconds);
    let mut document = writable(own);
    let more = json!({"created_at": time(own.instance.created_at), "expanded_config": own.instance.config,
        "expanded_devices": devices, "name": own.name.as_str(), "status": status, "status_code": code,
        "last_used_at": time(own.instance.last_used_at), "location": "none", "type": "container", "project": "default"});
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    document
}

/// That, and what the kernel tells of it.
pub fn full(agent: &Agent, own: &Container) -> Value {
    let mut document = instance(own);
    document["backups"] = Value::Null;
    document["snapshots"] = Value::Null;
    document["state"] = state_of(agent, own);
    document
}

/// What the kernel tells of it; a stopped one has neither interfaces nor processes.
pub fn state_of(agent: &Agent, own: &Container) -> Value {
    let (status, code) = status(own);
    let node = NodeId::Container(agent.host.clone(), own.name.clone());
    let (mut networks, mut pid, mut number) = (Value::Null, 0, 0);
    if own.instance.run != Run::Stopped {
        let here = Pin { node: node.to_string(), path: netns_path(&agent.lab, &node) };
        if let Ok(seen) = inspect(&here, &[agent.pin()]) {
            let passed = traffic(&here).unwrap_or_default();
            let traffic_of = |link: &Link| passed.get(&link.name).copied().unwrap_or_default();
            let all: Map<String, Value> =
                seen.links.iter().map(|link| (link.name.clone(), network(link, &traffic_of(link)))).collect();
            networks = all.into();
        }
        let paths = paths::sandboxes(&agent.lab);
        let running = processes(&paths, &[node.to_string()]).unwrap_or_default();
        // One runs without a process, too; who has none is shown without its interfaces.
        (pid, number) = (running.first().map_or(-1, |first| first.pid), running.len());
    }
    json!({"status": status, "status_code": code, "disk": {}, "network": networks, "pid": pid, "processes": number,
        "memory": {"usage": 0, "usage_peak": 0, "swap_usage": 0, "swap_usage_peak": 0}, "cpu": {"usage": 0}})
}
