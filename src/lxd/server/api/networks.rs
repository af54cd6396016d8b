//! `/1.0/networks`: the bridges of the host; and the one profile.

use serde::Deserialize;
use serde_json::{Value, json};

use super::instances::{host, network as described};
use crate::kernel::inspect::{Pin, inspect, traffic};
use crate::lab::{facts, networks, paths::netns_path};
use crate::lxd::server::agent::Agent;
use crate::lxd::server::answer::{Answer, Fault, created, sync, tagged};
use crate::lxd::server::request::Call;
use crate::name::IfName;
use crate::plan::NodeId;
use crate::topology::{Attach, Bridge, Host, Keys};

fn told(host: &Host, bridge: &Bridge) -> Value {
    let on = |own: &&crate::topology::Container| {
        own.nics.iter().any(|nic| matches!(&nic.attach, Attach::Host(end) if end.bridge.as_ref() == Some(&bridge.name)))
    };
    let used: Vec<String> = host.containers.iter().filter(on).map(|own| format!("/1.0/instances/{}", own.name)).collect();
    json!({"config": bridge.managed.clone().unwrap_or_default(), "description": "", "name": bridge.name.as_str(),
        "type": "bridge", "used_by": used, "managed": bridge.managed.is_some(), "status": "Created", "locations": ["none"]})
}

fn writable(bridge: &Bridge) -> Value {
    json!({"config": bridge.managed.clone().unwrap_or_default(), "description": ""})
}

/// The host with the bridges that somebody made by hand in it.
fn whole(agent: &Agent) -> Result<Host, Fault> {
    let mut host = host(agent)?;
    for name in facts::bridges(&agent.lab, &agent.host)? {
        if host.bridges.iter().all(|own| own.name != name) {
            let (ports, addresses) = (Vec::new(), Vec::new());
            host.bridges.push(Bridge {
                name,
                number: 0,
                ports,
                addresses,
                mac: None,
                mtu: None,
                stp: false,
                up: true,
                managed: None,
            });
        }
    }
    Ok(host)
}

fn find(agent: &Agent, name: &str) -> Result<(Host, Bridge), Fault> {
    let host = whole(agent)?;
    let bridge = host.bridges.iter().find(|own| own.name.as_str() == name).cloned();
    bridge.map(|bridge| (host, bridge)).ok_or_else(|| Fault::missing("Network"))
}

async fn found(call: &Call) -> Result<(Host, Bridge), Fault> {
    let name = call.word(0).to_owned();
    call.look(move |agent| find(agent, &name)).await
}

/// `GET /1.0/networks`
pub async fn list(call: Call) -> Answer {
    let host = call.look(whole).await?;
    if call.recursion() > 0 {
        return sync(host.bridges.iter().map(|bridge| told(&host, bridge)).collect::<Vec<_>>());
    }
    sync(host.bridges.iter().map(|bridge| format!("/1.0/networks/{}", bridge.name)).collect::<Vec<_>>())
}

/// `GET /1.0/networks/NAME`
pub async fn get(call: Call) -> Answer {
    let (host, bridge) = found(&call).await?;
    tagged(told(&host, &bridge), &writable(&bridge))
}

/// `GET /1.0/networks/NAME/state`
pub async fn state(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    let seen = call.look(move |agent| {
        find(agent, &name)?;
        let node = NodeId::Host(agent.host.clone());
        let here = Pin { node: node.to_string(), path: netns_path(&agent.lab, &node) };
        let link =
            inspect(&here, &[])?.links.into_iter().find(|link| link.name == name).ok_or_else(|| Fault::missing("Network"))?;
        Ok(described(&link, &traffic(&here)?.remove(&name).unwrap_or_default()))
    });
    let mut told = seen.await?;
    for other in ["bond", "bridge", "vlan", "ovn"] {
        told[other] = Value::Null;
    }
    sync(told)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    config: Option<Keys>,
}

/// `POST /1.0/networks`
pub async fn create(mut call: Call) -> Answer {
    let wanted: Wanted = call.json().await?;
    if !matches!(wanted.kind.as_str(), "" | "bridge") {
        return Err(Fault::bad("Only bridges can be created"));
    }
    let name: IfName = wanted.name.parse().map_err(|_| Fault::bad("Invalid network name"))?;
    let path = format!("/1.0/networks/{name}");
    let config = wanted.config.unwrap_or_default();
    call.look(move |agent| Ok(networks::create(&agent.lab, &agent.host, &name, &config)?)).await?;
    call.agent.bus.lifecycle("network-created", &path);
    created(&path)
}

/// `PUT /1.0/networks/NAME`, `PATCH /1.0/networks/NAME`
pub async fn set(mut call: Call) -> Answer {
    let (_, bridge) = found(&call).await?;
    call.matches(&writable(&bridge))?;
    let wanted: Wanted = call.json().await?;
    let mut config = if call.replaces() { Keys::new() } else { bridge.managed.clone().unwrap_or_default() };
    config.extend(wanted.config.unwrap_or_default());
    call.look(move |agent| Ok(networks::set(&agent.lab, &agent.host, &bridge.name, &config)?)).await?;
    call.agent.bus.lifecycle("network-updated", &format!("/1.0/networks/{}", call.word(0)));
    sync(Value::Null)
}

/// `DELETE /1.0/networks/NAME`
pub async fn delete(call: Call) -> Answer {
    let (_, bridge) = found(&call).await?;
    call.look(move |agent| Ok(networks::delete(&agent.lab, &agent.host, &bridge.name)?)).await?;
    call.agent.bus.lifecycle("network-deleted", &format!("/1.0/networks/{}", call.word(0)));
    sync(Value::Null)
}

fn default_profile(host: &Host) -> Value {
    let used: Vec<String> = host.containers.iter().map(|own| format!("/1.0/instances/{}", own.name)).collect();
    json!({"config": {}, "description": "What a launch gives", "devices": {}, "name": "default", "used_by": used})
}

/// `GET /1.0/profiles`
pub async fn profiles(call: Call) -> Answer {
    if call.recursion() > 0 { sync([default_profile(&call.look(host).await?)]) } else { sync(["/1.0/profiles/default"]) }
}

/// `GET /1.0/profiles/default`
pub async fn profile(call: Call) -> Answer {
    if call.word(0) == "default" { sync(default_profile(&call.look(host).await?)) } else { Err(Fault::missing("Profile")) }
}
