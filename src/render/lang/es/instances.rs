//! Frases sobre contenedores que se lanzan, se arrancan, se paran.

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
        (Done::Launched, Some(own)) => format!("{name} está en marcha en {host}: {}, {took}.", nics(own)),
        (Done::Made, Some(own)) => format!("{name} se ha creado en {host} y está parado: {}.", nics(own)),
        (Done::Made, None) => format!("{word} se ha creado y está parado."),
        (Done::Launched | Done::Started, _) => format!("{word} está en marcha, {took}."),
        (Done::Stopped, _) => format!("{word} está parado, {took}."),
        (Done::Restarted, _) => format!("{word} está otra vez en marcha, {took}."),
        (Done::Deleted, _) => format!("{word} ya no existe, ni sus ficheros."),
        (Done::Paused, _) => format!("{word} está en pausa: sus procesos esperan. nslab start {word} los reanuda."),
        (Done::Renamed, _) => format!("{word} se llama ahora {}.", change.now.as_deref().unwrap_or_default()),
    }
}

fn nics(nics: &[Nic]) -> String {
    let one = |nic: &Nic| {
        let on = nic.bridge.as_deref().map_or_else(|| format!("hacia {}", nic.peer), |bridge| format!("en {bridge}"));
        let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
        let with = if addresses.is_empty() { "sin dirección".to_owned() } else { format!("con {}", addresses.join(", ")) };
        format!("{} {on} {with}", nic.name)
    };
    if nics.is_empty() {
        return "sin tarjeta de red (--device eth0,nictype=bridged,parent=PUENTE le da una)".to_owned();
    }
    nics.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Lo que queda aparte del fichero.
pub(super) fn kept(kept: &Kept) -> String {
    let parts = [
        (kept.launched, "contenedor lanzado", "contenedores lanzados"),
        (kept.stopped, "parado", "parados"),
        (kept.configured, "con dispositivos propios", "con dispositivos propios"),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, ..)| *number > 0).map(|(number, one, many)| count(number, one, many)).collect();
    format!("Aparte de su fichero tiene {}; nslab reset vuelve al fichero.", parts.join(", "))
}

pub(super) fn fault(fault: &InstanceFault) -> Message {
    match fault {
        InstanceFault::Exists(node) => say(format!("ya hay un {}", escape(node))).hint("elija otro nombre"),
        InstanceFault::Running(node) => {
            say(format!("{} está en marcha", escape(node))).hint(format!("párelo antes: nslab stop {}", escape(node)))
        }
        InstanceFault::Stopped(node) => {
            say(format!("{} está parado", escape(node))).hint(format!("arránquelo: nslab start {}", escape(node)))
        }
        InstanceFault::Frozen(node) => say(format!("{} está en pausa", escape(node)))
            .why("Sus procesos esperan.")
            .hint(format!("reanúdelos: nslab start {}", escape(node))),
        InstanceFault::NoContainer(node) => say(format!("{} no es un contenedor", quoted(node)))
            .why("Los hosts y los switches están en marcha mientras lo esté su laboratorio.")
            .hint("nombre un contenedor: [LAB/][HOST/]NAME"),
        InstanceFault::Device(device, why) => device_fault(device, why),
        InstanceFault::NoLink(host, link) => say(format!("{} no puede moverse: {host} no tiene tal enlace propio", quoted(link)))
            .why("Solo entra en un contenedor un enlace que alguien haya hecho a mano en el host.")
            .hint(format!("mire los enlaces: nslab show {host}")),
        InstanceFault::NetworkExists(host, name) => {
            say(format!("{host} ya tiene una interfaz {}", quoted(name))).hint("elija otro nombre")
        }
        InstanceFault::NoNetwork(host, name) => say(format!("{host} no tiene ninguna red {} creada en él", quoted(name)))
            .why("Los puentes del fichero de la topología se cambian en el fichero."),
        InstanceFault::NetworkInUse(name, containers) => say(format!("la red {} está en uso", quoted(name)))
            .why(format!("Están conectados: {}", super::errors::listed(containers)))
            .hint("bórrelos, o desconéctelos, antes"),
        InstanceFault::NetworkValue(key, value) => say(format!("{} no es un valor de {}", quoted(value), escape(key)))
            .hint("escriba none, auto o una dirección con su prefijo: 10.9.0.1/24"),
        InstanceFault::Full(what) => {
            say(format!("{} está lleno", escape(what))).why("Todos los números o direcciones están ocupados.")
        }
    }
}

fn device_fault(device: &str, why: &DeviceFault) -> Message {
    let message = say(format!("el dispositivo {} no hace ninguna tarjeta de red", quoted(device)));
    match why {
        DeviceFault::Missing(key) => message
            .why(format!("Le falta {key}."))
            .hint("escriba nictype=bridged,parent=PUENTE o nictype=p2p,host_name=NOMBRE o network=PUENTE"),
        DeviceFault::Value(key, value) => message.why(format!("{} no es un valor de {key}.", quoted(value))),
        DeviceFault::NoBridge(name) => message.why(format!("El host no tiene ningún puente {}.", quoted(name))),
        DeviceFault::Taken(name) => message.why(format!("El host ya tiene una interfaz {}.", quoted(name))),
        DeviceFault::Twice(name) => message.why(format!("El contenedor tendría dos tarjetas llamadas {}.", quoted(name))),
    }
}
