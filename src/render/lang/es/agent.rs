//! Frases sobre los agentes.

use crate::error::AgentFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::agent::Outcome;
use crate::report::lab::Serving;

pub(super) fn fault(fault: &AgentFault) -> Message {
    match fault {
        AgentFault::Taken(host, at) => say(format!("el agente de {host} no puede escuchar en {}", escape(at)))
            .why("Otro programa ya escucha ahí en ese anfitrión.")
            .hint(format!("sudo nslab exec {host} ss -ltnp")),
        AgentFault::Failed(host, words) => {
            let words = if words.is_empty() { "terminó antes de estar listo".to_owned() } else { escape(words).into_owned() };
            say(format!("el agente de {host} no arrancó: {words}")).hint("su registro es /run/nslab/LAB/agent/HOST/log")
        }
        AgentFault::Stopped(host) => {
            say(format!("{host} no tiene ningún agente en marcha")).hint(format!("sudo nslab agent start {host}"))
        }
        AgentFault::Nowhere(host) => say(format!("el agente de {host} no escucha en ninguna parte de la red"))
            .why("El anfitrión no tiene dirección en el laboratorio, así que nadie lo alcanzaría con un token.")
            .hint("dé una dirección al anfitrión y luego: lxc config set core.https_address DIRECCIÓN"),
    }
}

/// Qué agentes de un laboratorio están en marcha.
pub(super) fn serving(agents: &[Serving], lab: &str) -> Vec<String> {
    let named = |running: bool| {
        let hosts = agents.iter().filter(|agent| agent.running == running).map(|agent| agent.host.as_str());
        hosts.collect::<Vec<_>>().join(", ")
    };
    let (up, gone) = (named(true), named(false));
    let up = (!up.is_empty()).then(|| format!("Agentes en marcha: {up}."));
    let gone = (!gone.is_empty())
        .then(|| format!("Agentes que deberían estar en marcha y no lo están: {gone}. nslab up {lab} los arranca."));
    up.into_iter().chain(gone).collect()
}

fn where_it_listens(addresses: &[String], socket: &str) -> String {
    if addresses.is_empty() {
        format!("solo en {}: el anfitrión no tiene dirección en el laboratorio", escape(socket))
    } else {
        format!("en {}", escape(&addresses.join(" ")))
    }
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Started { host, addresses, socket } => {
            format!("El agente de {host} escucha {}.", where_it_listens(addresses, socket))
        }
        Outcome::Running { host, addresses, socket } => {
            format!("El agente de {host} ya está en marcha, {}.", where_it_listens(addresses, socket))
        }
        Outcome::Stopped { host } => format!("El agente de {host} ha terminado; los contenedores y sus procesos siguen."),
        Outcome::NotRunning { host } => format!("{host} no tiene ningún agente en marcha."),
        Outcome::Removed { host, fingerprint } => format!("El agente de {host} ya no confía en {}.", escape(fingerprint)),
        Outcome::Forgotten { lab } => format!("Las claves y los almacenes de confianza de {lab} ya no existen."),
    }
}

pub(super) fn nobody(host: &str) -> String {
    format!("El agente de {host} aún no confía en nadie: nslab agent token {host} --name NOMBRE imprime un token.")
}

pub(super) fn state(running: bool) -> &'static str {
    if running { "en marcha" } else { "parado" }
}
