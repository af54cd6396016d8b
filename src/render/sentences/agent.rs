//! Agents.

use crate::error::AgentFault;
use crate::render::lang::{Lang, Message, say, t, w};
use crate::report::lab::Serving;

/// Why an agent does not serve.
pub fn fault(lang: Lang, fault: &AgentFault) -> Message {
    match fault {
        AgentFault::Taken(host, at) => say(t!(lang, "the agent of {host} cannot listen at {at}", host, at))
            .why(t!(lang, "Another program listens there in that host."))
            .hint(format!("sudo nslab exec {host} ss -ltnp")),
        AgentFault::Failed(host, words) => {
            let words = if words.is_empty() { w!(lang, "it ended before it was ready") } else { words };
            say(t!(lang, "the agent of {host} did not start: {words}", host, words))
                .hint(t!(lang, "its log is /run/nslab/LAB/agent/HOST/log"))
        }
        AgentFault::Stopped(host) => {
            say(t!(lang, "{host} has no agent that runs", host)).hint(format!("sudo nslab agent start {host}"))
        }
        AgentFault::Silent(host) => say(t!(lang, "the agent of {host} runs, but does not answer", host))
            .why(t!(lang, "Its process may be stopped, or the machine has too much to do."))
            .hint(format!("sudo nslab agent stop {host}; sudo nslab agent start {host}")),
        AgentFault::Nowhere(host) => say(t!(lang, "the agent of {host} listens nowhere on the network", host))
            .why(t!(lang, "The host has no address in the lab, so nobody could reach it with a token."))
            .hint(t!(lang, "give the host an address, then: lxc config set core.https_address ADDRESS")),
        AgentFault::NothingKept(lab) => say(t!(lang, "there is nothing to forget: no agent of {lab} has left keys", lab)),
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
