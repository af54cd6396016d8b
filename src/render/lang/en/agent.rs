//! Sentences about agents.

use crate::error::AgentFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::agent::Outcome;
use crate::report::lab::Serving;

pub(super) fn fault(fault: &AgentFault) -> Message {
    match fault {
        AgentFault::Taken(host, at) => say(format!("the agent of {host} cannot listen at {}", escape(at)))
            .why("Another program listens there in that host.")
            .hint(format!("sudo nslab exec {host} ss -ltnp")),
        AgentFault::Failed(host, words) => {
            let words = if words.is_empty() { "it ended before it was ready".to_owned() } else { escape(words).into_owned() };
            say(format!("the agent of {host} did not start: {words}")).hint("its log is /run/nslab/LAB/agent/HOST/log")
        }
        AgentFault::Stopped(host) => say(format!("{host} has no agent that runs")).hint(format!("sudo nslab agent start {host}")),
        AgentFault::Nowhere(host) => say(format!("the agent of {host} listens nowhere on the network"))
            .why("The host has no address in the lab, so nobody could reach it with a token.")
            .hint("give the host an address, then: lxc config set core.https_address ADDRESS"),
    }
}

/// Which agents of a lab run.
pub(super) fn serving(agents: &[Serving], lab: &str) -> Vec<String> {
    let named = |running: bool| {
        let hosts = agents.iter().filter(|agent| agent.running == running).map(|agent| agent.host.as_str());
        hosts.collect::<Vec<_>>().join(", ")
    };
    let (up, gone) = (named(true), named(false));
    let up = (!up.is_empty()).then(|| format!("Agents that run: {up}."));
    let gone = (!gone.is_empty()).then(|| format!("Agents that should run and do not: {gone}. nslab up {lab} starts them."));
    up.into_iter().chain(gone).collect()
}

fn where_it_listens(addresses: &[String], socket: &str) -> String {
    if addresses.is_empty() {
        format!("on {} alone: the host has no address in the lab", escape(socket))
    } else {
        format!("on {}", escape(&addresses.join(" ")))
    }
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Started { host, addresses, socket } => {
            format!("The agent of {host} listens {}.", where_it_listens(addresses, socket))
        }
        Outcome::Running { host, addresses, socket } => {
            format!("The agent of {host} runs already, {}.", where_it_listens(addresses, socket))
        }
        Outcome::Stopped { host } => format!("The agent of {host} has ended; containers and their processes go on."),
        Outcome::NotRunning { host } => format!("{host} has no agent that runs."),
        Outcome::Removed { host, fingerprint } => format!("The agent of {host} trusts {} no more.", escape(fingerprint)),
        Outcome::Forgotten { lab } => format!("The keys and trust stores of {lab} are gone."),
    }
}

pub(super) fn nobody(host: &str) -> String {
    format!("The agent of {host} trusts nobody yet: nslab agent token {host} --name NAME prints a token.")
}

pub(super) fn state(running: bool) -> &'static str {
    if running { "runs" } else { "stopped" }
}
