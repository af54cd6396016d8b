//! Containers that are launched, started, stopped.

use crate::error::{DeviceFault, InstanceFault};
use crate::render::lang::{Lang, Message, listed, n, quoted, say, t};
use crate::report::lab::Kept;

/// What stays beside the file.
pub fn kept(lang: Lang, kept: &Kept) -> String {
    let parts = [
        (kept.launched, n!(lang, kept.launched, "launched container", "launched containers")),
        (kept.stopped, n!(lang, kept.stopped, "stopped one", "stopped ones")),
        (kept.configured, n!(lang, kept.configured, "one with devices of its own", "ones with devices of their own")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, part)| part).collect();
    t!(lang, "Beyond its file it has {parts}; nslab reset goes back to the file.", parts = parts.join(", "))
}

/// Why a container or a network in a host cannot be changed.
pub fn fault(lang: Lang, fault: &InstanceFault) -> Message {
    match fault {
        InstanceFault::Exists(node) => say(t!(lang, "there is a {node} already", node)).hint(t!(lang, "take another name")),
        InstanceFault::Running(node) => {
            say(t!(lang, "{node} is running", node)).hint(t!(lang, "stop it first: nslab stop {node}", node))
        }
        InstanceFault::Stopped(node) => {
            say(t!(lang, "{node} is stopped", node)).hint(t!(lang, "start it: nslab start {node}", node))
        }
        InstanceFault::Frozen(node) => say(t!(lang, "{node} is paused", node))
            .why(t!(lang, "Its processes stand still."))
            .hint(t!(lang, "let them go on: nslab start {node}", node)),
        InstanceFault::NoContainer(node) => say(t!(lang, "{node} is no container", node = quoted(lang, node)))
            .why(t!(lang, "Hosts and switches run as long as their lab is up."))
            .hint(t!(lang, "name a container: [LAB/][HOST/]NAME")),
        InstanceFault::Device(device, why) => device_fault(lang, device, why),
        InstanceFault::NoLink(host, link) => {
            say(t!(lang, "{link} cannot move: {host} has no such link of its own", link = quoted(lang, link), host))
                .why(t!(lang, "Only a link that somebody made by hand in the host moves into a container."))
                .hint(t!(lang, "look at the links: nslab show {host}", host))
        }
        InstanceFault::NetworkExists(host, name) => {
            say(t!(lang, "{host} has an interface {name} already", host, name = quoted(lang, name)))
                .hint(t!(lang, "take another name"))
        }
        InstanceFault::NoNetwork(host, name) => {
            say(t!(lang, "{host} has no network {name} that was made in it", host, name = quoted(lang, name)))
                .why(t!(lang, "The bridges of the topology's file are changed in the file."))
        }
        InstanceFault::NetworkInUse(name, containers) => say(t!(lang, "the network {name} is in use", name = quoted(lang, name)))
            .why(t!(lang, "There are plugged in: {containers}", containers = listed(lang, containers)))
            .hint(t!(lang, "delete them, or unplug them, first")),
        InstanceFault::NetworkValue(key, value) => {
            say(t!(lang, "{value} is no value of {key}", value = quoted(lang, value), key))
                .hint(t!(lang, "write none, auto, or an address with its prefix: 10.9.0.1/24"))
        }
        InstanceFault::Full(what) => say(t!(lang, "{what} is full", what)).why(t!(lang, "Every number or address is taken.")),
    }
}

fn device_fault(lang: Lang, device: &str, why: &DeviceFault) -> Message {
    let message = say(t!(lang, "the device {device} makes no NIC", device = quoted(lang, device)));
    match why {
        DeviceFault::Missing(key) => message
            .why(t!(lang, "It has no {key}.", key))
            .hint(t!(lang, "write nictype=bridged,parent=BRIDGE or nictype=p2p,host_name=NAME or network=BRIDGE")),
        DeviceFault::Value(key, value) => {
            message.why(t!(lang, "{value} is no value of {key}.", value = quoted(lang, value), key))
        }
        DeviceFault::NoBridge(name) => message.why(t!(lang, "The host has no bridge {name}.", name = quoted(lang, name))),
        DeviceFault::Taken(name) => message.why(t!(lang, "The host has an interface {name} already.", name = quoted(lang, name))),
        DeviceFault::Twice(name) => message.why(t!(lang, "The container has two NICs called {name}.", name = quoted(lang, name))),
    }
}
