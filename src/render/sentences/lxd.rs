//! Agents, remotes, and containers that are launched, started, stopped.

use crate::error::{AgentFault, DeviceFault, InstanceFault, RemoteFault};
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, listed, n, quoted, reason, t, w};
use crate::report::lab::{Kept, Serving};

/// Why an agent does not serve.
pub fn agent_fault(lang: Lang, fault: &AgentFault) -> Message {
    match fault {
        AgentFault::Taken(host, at) => Message::new(t!(lang, "the agent of {host} cannot listen at {at}", host, at))
            .why(t!(lang, "Another program listens there in that host."))
            .hint(format!("sudo nslab exec {host} ss -ltnp")),
        AgentFault::Failed(host, words) => {
            let words = if words.is_empty() { w!(lang, "it ended before it was ready") } else { words };
            Message::new(t!(lang, "the agent of {host} did not start: {words}", host, words))
                .hint(t!(lang, "its log is /run/nslab/LAB/agent/HOST/log"))
        }
        AgentFault::Stopped(host) => {
            Message::new(t!(lang, "{host} has no agent that runs", host)).hint(format!("sudo nslab agent start {host}"))
        }
        AgentFault::Silent(host) => Message::new(t!(lang, "the agent of {host} runs, but does not answer", host))
            .why(t!(lang, "Its process may be stopped, or the machine has too much to do."))
            .hint(format!("sudo nslab agent stop {host}; sudo nslab agent start {host}")),
        AgentFault::Nowhere(host) => Message::new(t!(lang, "the agent of {host} listens nowhere on the network", host))
            .why(t!(lang, "The host has no address in the lab, so nobody could reach it with a token."))
            .hint(t!(lang, "give the host an address, then: lxc config set core.https_address ADDRESS")),
        AgentFault::NothingKept(lab) => {
            Message::new(t!(lang, "there is nothing to forget: no agent of {lab} has left keys", lab))
        }
    }
}

/// Which agents of a lab run.
pub fn serving(lang: Lang, agents: &[Serving], lab: &str) -> Vec<String> {
    let named = |running: bool| {
        let hosts = agents.iter().filter(|agent| agent.running == running).map(|agent| agent.host.as_str());
        hosts.collect::<Vec<_>>().join(", ")
    };
    let (up, gone) = (named(true), named(false));
    let up = (!up.is_empty()).then(|| t!(lang, "Agents that run: {up}.", up));
    let gone =
        (!gone.is_empty()).then(|| t!(lang, "Agents that should run and do not: {gone}. nslab up {lab} starts them.", gone, lab));
    up.into_iter().chain(gone).collect()
}

/// Why a remote is of no use.
pub fn remote_fault(lang: Lang, fault: &RemoteFault) -> Message {
    match fault {
        RemoteFault::Unreachable { remote, address, errno } => {
            let reason = reason(lang, *errno);
            let message = Message::new(t!(lang, "cannot reach {remote} at {address}: {reason}", remote, address, reason));
            let why = if address.starts_with('/') {
                t!(lang, "No agent and no LXD listens there.")
            } else {
                t!(lang, "It does not run, or its address cannot be reached from here; that of a lab's host only from its lab.")
            };
            message.why(why).hint(t!(lang, "sudo nslab shell host-a, then the command again in there"))
        }
        RemoteFault::Handshake { remote, address, why } => {
            Message::new(t!(lang, "{remote} at {address} speaks no TLS 1.3: {why}", remote, address, why))
                .why(t!(lang, "Agents and LXD listen on port 8443, as a rule."))
        }
        RemoteFault::Changed { remote, old, new } => {
            Message::new(t!(lang, "the certificate of {remote} changed, so nothing was said to it", remote))
                .why(t!(lang, "It was {old}\n  and is  {new}", old, new))
                .hint(t!(lang, "if that is right: nslab remote remove {remote}, then nslab remote add with a new token", remote))
        }
        RemoteFault::Untrusted(remote) => Message::new(t!(lang, "{remote} does not trust this client", remote))
            .hint(t!(
                lang,
                "nslab agent token --name CLIENT, or lxc config trust add --name CLIENT, on the other host prints a token"
            ))
            .hint(format!("nslab remote add {} TOKEN", escape(remote))),
        RemoteFault::Refused { remote, text, .. } => Message::new(t!(lang, "{remote} says: {text}", remote, text)),
        RemoteFault::NoApi(remote) => Message::new(t!(lang, "{remote} does not answer as LXD, Incus or an agent do", remote)),
        RemoteFault::Cut(remote) => Message::new(t!(lang, "{remote} ended the connection before the work was done", remote)),
        RemoteFault::NoToken(word) => {
            Message::new(t!(lang, "{word} is neither a token nor an address", word = quoted(lang, word)))
                .why(t!(lang, "A token is one long word, printed by the other host."))
        }
        RemoteFault::Exists(name) => Message::new(t!(lang, "there is a remote {name} already", name = quoted(lang, name)))
            .hint(t!(lang, "nslab remote remove {name}, or another name", name)),
        RemoteFault::Store { file, errno } => {
            Message::new(t!(lang, "cannot use {file}: {reason}", file = file.display(), reason = reason(lang, *errno)))
        }
        RemoteFault::Damaged(file) => Message::new(t!(lang, "{file} is damaged", file = file.display()))
            .why(t!(lang, "Remotes, this client's key and its certificate are kept there."))
            .hint(t!(lang, "mend or remove it, then nslab remote add")),
    }
}

/// What stays beside the file.
pub fn kept(lang: Lang, kept: &Kept) -> String {
    let parts = [
        (kept.launched, n!(lang, kept.launched, "launched container", "launched containers")),
        (kept.stopped, n!(lang, kept.stopped, "stopped container", "stopped containers")),
        (kept.configured, n!(lang, kept.configured, "container with devices of its own", "containers with devices of their own")),
        (kept.deleted, n!(lang, kept.deleted, "deleted container", "deleted containers")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, part)| part).collect();
    t!(lang, "Beyond its file it has {parts}; nslab reset goes back to the file.", parts = parts.join(", "))
}

/// Why a container or a network in a host cannot be changed.
pub fn instance_fault(lang: Lang, fault: &InstanceFault) -> Message {
    match fault {
        InstanceFault::Exists(node) => {
            Message::new(t!(lang, "there is a {node} already", node)).hint(t!(lang, "take another name"))
        }
        InstanceFault::Running(node) => {
            Message::new(t!(lang, "{node} is running", node)).hint(t!(lang, "stop it first: nslab stop {node}", node))
        }
        InstanceFault::Stopped(node) => {
            Message::new(t!(lang, "{node} is stopped", node)).hint(t!(lang, "start it: nslab start {node}", node))
        }
        InstanceFault::Frozen(node) => Message::new(t!(lang, "{node} is paused", node))
            .why(t!(lang, "Its processes stand still."))
            .hint(t!(lang, "let them go on: nslab start {node}", node)),
        InstanceFault::NoContainer(node) => Message::new(t!(lang, "{node} is no container", node = quoted(lang, node)))
            .why(t!(lang, "Hosts and switches run as long as their lab is up."))
            .hint(t!(lang, "name a container: [LAB/][HOST/]NAME")),
        InstanceFault::Device(device, why) => device_fault(lang, device, why),
        InstanceFault::Config(key, true) => Message::new(t!(lang, "nslab does not support {word}", word = quoted(lang, key)))
            .why(t!(lang, "LXD supports it; here it would have no effect.")),
        InstanceFault::Config(key, false) => {
            Message::new(t!(lang, "LXD has no configuration key {key}", key = quoted(lang, key)))
        }
        InstanceFault::NoLink(host, link) => {
            Message::new(t!(lang, "{link} cannot move: {host} has no such link of its own", link = quoted(lang, link), host))
                .why(t!(lang, "Only a link that somebody made by hand in the host moves into a container."))
                .hint(t!(lang, "look at the links: nslab show {host}", host))
        }
        InstanceFault::NetworkExists(host, name) => {
            Message::new(t!(lang, "{host} has an interface {name} already", host, name = quoted(lang, name)))
                .hint(t!(lang, "take another name"))
        }
        InstanceFault::NoNetwork(host, name) => {
            Message::new(t!(lang, "{host} has no network {name} that was made in it", host, name = quoted(lang, name)))
                .why(t!(lang, "The bridges of the topology's file are changed in the file."))
        }
        InstanceFault::NetworkInUse(name, containers) => {
            Message::new(t!(lang, "the network {name} is in use", name = quoted(lang, name)))
                .why(t!(lang, "There are plugged in: {containers}", containers = listed(lang, containers)))
                .hint(t!(lang, "delete them, or unplug them, first"))
        }
        InstanceFault::NetworkValue(key, value) => {
            Message::new(t!(lang, "{value} is no value of {key}", value = quoted(lang, value), key))
                .hint(t!(lang, "write none, auto, or an address with its prefix: 10.9.0.1/24"))
        }
        InstanceFault::Full(what) => {
            Message::new(t!(lang, "{what} is full", what)).why(t!(lang, "Every number or address is taken."))
        }
    }
}

fn device_fault(lang: Lang, device: &str, why: &DeviceFault) -> Message {
    let message = Message::new(t!(lang, "the device {device} makes no NIC", device = quoted(lang, device)));
    match why {
        DeviceFault::Missing(key) => message
            .why(t!(lang, "It has no {key}.", key))
            .hint(t!(lang, "write nictype=bridged,parent=BRIDGE or nictype=p2p,host_name=NAME or network=BRIDGE")),
        DeviceFault::Value(key, value) => {
            message.why(t!(lang, "{value} is no value of {key}.", value = quoted(lang, value), key))
        }
        DeviceFault::NoBridge(name) => message.why(t!(lang, "The host has no bridge {name}.", name = quoted(lang, name))),
        DeviceFault::Taken(name) => message.why(t!(lang, "The host has an interface {name} already.", name = quoted(lang, name))),
        DeviceFault::Unknown(key) => message.why(t!(lang, "LXD has no option {key} for it.", key = quoted(lang, key))),
        DeviceFault::Type(kind) => message.why(t!(lang, "LXD has no devices of the type {kind}.", kind = quoted(lang, kind))),
        DeviceFault::Unserved(word) => message
            .why(t!(lang, "LXD supports {word}, nslab does not.", word = quoted(lang, word)))
            .hint(t!(lang, "leave it out")),
        DeviceFault::Twice(name) => message.why(t!(lang, "The container has two NICs called {name}.", name = quoted(lang, name))),
    }
}
