//! Sentences about containers that are launched, started, stopped.

use super::{count, quoted};
use crate::error::{DeviceFault, InstanceFault};
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::instance::{Change, Changes, Done, Nic};
use crate::report::lab::Kept;

pub(super) fn changes(changes: &Changes) -> Vec<String> {
    changes.containers.iter().map(change).collect()
}

fn change(change: &Change) -> String {
    let (name, host) = (&change.name, &change.host);
    let word = escape(&change.word()).into_owned();
    let took = super::labs::duration(change.milliseconds);
    match (change.done, &change.nics) {
        (Done::Launched, Some(own)) => format!("{name} runs on {host}: {}, {took}.", nics(own)),
        (Done::Made, Some(own)) => format!("{name} was made on {host} and is stopped: {}.", nics(own)),
        (Done::Made, None) => format!("{word} was made and is stopped."),
        (Done::Launched | Done::Started, _) => format!("{word} runs, {took}."),
        (Done::Stopped, _) => format!("{word} is stopped, {took}."),
        (Done::Restarted, _) => format!("{word} runs again, {took}."),
        (Done::Deleted, _) => format!("{word} is gone, with its files."),
        (Done::Paused, _) => format!("{word} is paused: its processes stand still. nslab start {word} lets them go on."),
        (Done::Renamed, _) => format!("{word} is called {} now.", change.now.as_deref().unwrap_or_default()),
    }
}

fn nics(nics: &[Nic]) -> String {
    let one = |nic: &Nic| {
        let on = nic.bridge.as_deref().map_or_else(|| format!("to {}", nic.peer), |bridge| format!("on {bridge}"));
        let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
        let with = if addresses.is_empty() { "without an address".to_owned() } else { format!("with {}", addresses.join(", ")) };
        format!("{} {on} {with}", nic.name)
    };
    if nics.is_empty() {
        return "without a NIC (--device eth0,nictype=bridged,parent=BRIDGE gives one)".to_owned();
    }
    nics.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What stays beside the file.
pub(super) fn kept(kept: &Kept) -> String {
    let parts = [
        (kept.launched, "launched container", "launched containers"),
        (kept.stopped, "stopped one", "stopped ones"),
        (kept.configured, "one with devices of its own", "ones with devices of their own"),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, ..)| *number > 0).map(|(number, one, many)| count(number, one, many)).collect();
    format!("Beyond its file it has {}; nslab reset goes back to the file.", parts.join(", "))
}

pub(super) fn fault(fault: &InstanceFault) -> Message {
    match fault {
        InstanceFault::Exists(node) => say(format!("there is a {} already", escape(node))).hint("take another name"),
        InstanceFault::Running(node) => {
            say(format!("{} is running", escape(node))).hint(format!("stop it first: nslab stop {}", escape(node)))
        }
        InstanceFault::Stopped(node) => {
            say(format!("{} is stopped", escape(node))).hint(format!("start it: nslab start {}", escape(node)))
        }
        InstanceFault::Frozen(node) => say(format!("{} is paused", escape(node)))
            .why("Its processes stand still.")
            .hint(format!("let them go on: nslab start {}", escape(node))),
        InstanceFault::NoContainer(node) => say(format!("{} is no container", quoted(node)))
            .why("Hosts and switches run as long as their lab is up.")
            .hint("name a container: [LAB/][HOST/]NAME"),
        InstanceFault::Device(device, why) => device_fault(device, why),
        InstanceFault::NoLink(host, link) => say(format!("{} cannot move: {host} has no such link of its own", quoted(link)))
            .why("Only a link that somebody made by hand in the host moves into a container.")
            .hint(format!("look at the links: nslab show {host}")),
        InstanceFault::NetworkExists(host, name) => {
            say(format!("{host} has an interface {} already", quoted(name))).hint("take another name")
        }
        InstanceFault::NoNetwork(host, name) => say(format!("{host} has no network {} that was made in it", quoted(name)))
            .why("The bridges of the topology's file are changed in the file."),
        InstanceFault::NetworkInUse(name, containers) => say(format!("the network {} is in use", quoted(name)))
            .why(format!("There are plugged in: {}", super::errors::listed(containers)))
            .hint("delete them, or unplug them, first"),
        InstanceFault::NetworkValue(key, value) => say(format!("{} is no value of {}", quoted(value), escape(key)))
            .hint("write none, auto, or an address with its prefix: 10.9.0.1/24"),
        InstanceFault::Full(what) => say(format!("{} is full", escape(what))).why("Every number or address is taken."),
    }
}

fn device_fault(device: &str, why: &DeviceFault) -> Message {
    let message = say(format!("the device {} makes no NIC", quoted(device)));
    match why {
        DeviceFault::Missing(key) => message
            .why(format!("It has no {key}."))
            .hint("write nictype=bridged,parent=BRIDGE or nictype=p2p,host_name=NAME or network=BRIDGE"),
        DeviceFault::Value(key, value) => message.why(format!("{} is no value of {key}.", quoted(value))),
        DeviceFault::NoBridge(name) => message.why(format!("The host has no bridge {}.", quoted(name))),
        DeviceFault::Taken(name) => message.why(format!("The host has an interface {} already.", quoted(name))),
        DeviceFault::Twice(name) => message.why(format!("The container has two NICs called {}.", quoted(name))),
    }
}
