//! What containers have: `/1.0/networks`, the bridges of the host; and what is the same for every host: the one profile, the one
//! project, the one image, no storage pool, no cluster.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::kernel::inspect::{Traffic, inspect, traffic};
use crate::lab::{facts, networks};
use crate::lxd::server::agent::{Agent, Call};
use crate::lxd::server::answer::{Answer, Fault, NEVER, New, Status, created, sync, tagged};
use crate::lxd::tls::{fingerprint, hex, random};
use crate::name::IfName;
use crate::report::machine::Link;
use crate::topology::{Bridge, Container, Host, Keys};

fn document(host: &Host, bridge: &Bridge) -> Value {
    let on = |own: &&Container| {
        own.nics.iter().filter_map(|nic| nic.attach.host_end()).any(|end| end.bridge.as_ref() == Some(&bridge.name))
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
    let mut host = agent.described()?;
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
        return sync(host.bridges.iter().map(|bridge| document(&host, bridge)).collect::<Vec<_>>());
    }
    sync(host.bridges.iter().map(|bridge| format!("/1.0/networks/{}", bridge.name)).collect::<Vec<_>>())
}

/// `GET /1.0/networks/NAME`
pub async fn get(call: Call) -> Answer {
    let (host, bridge) = found(&call).await?;
    tagged(document(&host, &bridge), &writable(&bridge))
}

/// `GET /1.0/networks/NAME/state`
pub async fn state(call: Call) -> Answer {
    let name = call.word(0).to_owned();
    let seen = call.look(move |agent| {
        find(agent, &name)?;
        let here = agent.pin();
        let link = inspect(&here, &[])?.links.into_iter().find(|link| link.name == name);
        let link = link.ok_or_else(|| Fault::missing("Network"))?;
        Ok(network(&link, &traffic(&here)?.remove(&name).unwrap_or_default()))
    });
    let mut state = seen.await?;
    for other in ["bond", "bridge", "vlan", "ovn"] {
        state[other] = Value::Null;
    }
    sync(state)
}

fn scope(address: &ipnet::IpNet) -> &'static str {
    match address.addr() {
        ip if ip.is_loopback() => "local",
        std::net::IpAddr::V6(ip) if ip.is_unicast_link_local() => "link",
        std::net::IpAddr::V4(ip) if ip.is_link_local() => "link",
        _ => "global",
    }
}

/// In the words of the API; those of errors and drops are Incus's.
fn counters(traffic: &Traffic) -> Value {
    let (received, sent) = (traffic.received, traffic.sent);
    json!({"bytes_received": received.bytes, "bytes_sent": sent.bytes, "packets_received": received.packets,
        "packets_sent": sent.packets, "errors_received": received.errors, "errors_sent": sent.errors,
        "packets_dropped_inbound": received.dropped, "packets_dropped_outbound": sent.dropped})
}

/// An interface and what has passed it.
pub fn network(link: &Link, passed: &Traffic) -> Value {
    let addresses: Vec<Value> = link
        .addresses
        .iter()
        .map(|net| {
            let family = if net.addr().is_ipv4() { "inet" } else { "inet6" };
            json!({"family": family, "address": net.addr(), "netmask": net.prefix_len().to_string(), "scope": scope(net)})
        })
        .collect();
    let kind = if link.kind == "loopback" { "loopback" } else { "broadcast" };
    let host_name = link.peer.as_ref().and_then(|peer| peer.name.clone()).unwrap_or_default();
    json!({"addresses": addresses, "counters": counters(passed), "hwaddr": link.mac.clone().unwrap_or_default(), "host_name": host_name, "mtu": link.mtu,
        "state": if link.up { "up" } else { "down" }, "type": kind})
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
    if call.recursion() > 0 {
        sync([default_profile(&call.look(Agent::described).await?)])
    } else {
        sync(["/1.0/profiles/default"])
    }
}

/// `GET /1.0/profiles/default`
pub async fn profile(call: Call) -> Answer {
    if call.word(0) == "default" {
        sync(default_profile(&call.look(Agent::described).await?))
    } else {
        Err(Fault::missing("Profile"))
    }
}

/// The one image: the machine's own root file system.
pub const IMAGE: &str = "host";

/// Names that people give to images of distributions: each means the one image.
const DISTRIBUTIONS: &str = "almalinux alpine alt amazonlinux archlinux busybox centos debian devuan fedora gentoo kali mint nixos \
    openeuler opensuse oracle rockylinux ubuntu voidlinux";

/// The fingerprint of the one image.
pub fn image_fingerprint() -> String {
    fingerprint(b"nslab: the machine's own root file system")
}

/// Whether a name means the one image: `host`, or a distribution's as in `ubuntu/22.04`.
pub fn is_image(name: &str) -> bool {
    let first = name.split([':', '/', '-']).next().unwrap_or_default().to_ascii_lowercase();
    name == IMAGE || DISTRIBUTIONS.split(' ').any(|own| own == first)
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
    let image = image_described();
    tagged(&image, &image["properties"])
}

/// `POST /1.0/images/FINGERPRINT/secret`: what a client hands to another server, to fetch the image with. An agent has the image already and
/// asks for none.
pub async fn secret(call: Call) -> Answer {
    known(call.word(0))?;
    let metadata = Map::from_iter([("secret".to_owned(), Value::from(hex(&random::<32>()?)))]);
    let client = call.client.name().to_owned();
    let new = New { class: "token", description: "Executing operation", metadata, client, ..New::default() };
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
