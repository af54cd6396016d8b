//! A container as the API tells it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kernel::inspect::{Pin, Traffic, inspect, traffic};
use crate::kernel::sandbox::processes;
use crate::lab::{paths, paths::netns_path};
use crate::lxd::server::Agent;
use crate::lxd::server::clock::{NEVER, seconds};
use crate::plan::NodeId;
use crate::report::node::Link;
use crate::topology::{Attach, Container, Keys, Nic, Run};

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
    let Attach::Host(end) = &nic.attach else { return None };
    let mut keys = Keys::new();
    let mut put = |key: &str, value: &str| drop(keys.insert(key.to_owned(), value.to_owned()));
    put("type", "nic");
    put("name", nic.name.as_str());
    put("host_name", end.name.as_str());
    match &end.bridge {
        Some(bridge) => {
            put("nictype", "bridged");
            put("parent", bridge.as_str());
        }
        None => put("nictype", "p2p"),
    }
    Some((nic.name.to_string(), keys))
}

/// Everything that is configured of it.
pub fn instance(own: &Container) -> Value {
    let (status, code) = status(own);
    let mut devices: BTreeMap<String, Keys> = own.nics.iter().filter_map(device).collect();
    devices.extend(own.instance.devices.clone());
    let time = |at: Option<u64>| at.map_or_else(|| NEVER.to_owned(), seconds);
    let mut told = writable(own);
    let more = json!({"created_at": time(own.instance.created_at), "expanded_config": own.instance.config,
        "expanded_devices": devices, "name": own.name.as_str(), "status": status, "status_code": code,
        "last_used_at": time(own.instance.last_used_at), "location": "none", "type": "container", "project": "default"});
    if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
        told.extend(more);
    }
    told
}

/// That, and what the kernel tells of it.
pub fn full(agent: &Agent, own: &Container) -> Value {
    let mut told = instance(own);
    told["backups"] = Value::Null;
    told["snapshots"] = Value::Null;
    told["state"] = state(agent, own);
    told
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
    let far = link.peer.as_ref().and_then(|peer| peer.name.clone()).unwrap_or_default();
    json!({"addresses": addresses, "counters": counters(passed), "hwaddr": link.mac.clone().unwrap_or_default(), "host_name": far, "mtu": link.mtu,
        "state": if link.up { "up" } else { "down" }, "type": kind})
}

/// What the kernel tells of it; a stopped one has neither interfaces nor processes.
pub fn state(agent: &Agent, own: &Container) -> Value {
    let (status, code) = status(own);
    let node = NodeId::Container(agent.host.clone(), own.name.clone());
    let pin = |node: &NodeId| Pin { node: node.to_string(), path: netns_path(&agent.lab, node) };
    let (mut networks, mut pid, mut number) = (Value::Null, 0, 0);
    if own.instance.run != Run::Stopped {
        let here = pin(&node);
        if let Ok(seen) = inspect(&here, &[pin(&NodeId::Host(agent.host.clone()))]) {
            let passed = traffic(&here).unwrap_or_default();
            let of = |link: &Link| passed.get(&link.name).copied().unwrap_or_default();
            let all: Map<String, Value> = seen.links.iter().map(|link| (link.name.clone(), network(link, &of(link)))).collect();
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
