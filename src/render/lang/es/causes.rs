//! Why a packet goes no further, in words.

use super::{Spanish, or};
use crate::render::lang::trace::Tracing;
use crate::report::trace::{Cause, Trace};
use crate::report::wire::Interface;
use crate::typed;

#[allow(clippy::too_many_lines, reason = "a sentence for each cause")]
pub(super) fn cause(spanish: &Spanish, trace: &Trace, cause: &Cause) -> String {
    let word = |node: &String| trace.word(node);
    let at = |interface: &Interface| trace.interface(interface);
    match cause {
        Cause::NoRoute { node, to } => format!("{} no tiene ruta hacia {to}.", word(node)),
        Cause::NoAddress { node } => format!("{} no tiene ninguna dirección desde la que enviar.", word(node)),
        Cause::ForwardingOff { node, ipv6 } => {
            let family = if *ipv6 { "IPv6" } else { "IPv4" };
            format!("{} tendría que reenviar el paquete, y no tiene activado el reenvío de {family}.", word(node))
        }
        Cause::WrongPrefix { interface, address, other, to } => {
            let taken = if address.contains(to) {
                format!("así que toma {to} por un vecino y pregunta por su dirección MAC, en lugar de la de un router")
            } else {
                format!("así que cree que {to} está en otra subred, aunque comparten el cable")
            };
            format!("{} tiene {address}, {taken}; el otro extremo dice {other}.", at(interface))
        }
        Cause::NoSuchGateway { node, gateway, route } => format!(
            "El siguiente salto de {} es {gateway} ({}), una dirección que no tiene nadie.",
            word(node),
            spanish.route(route)
        ),
        Cause::LinkDown { interface, peer: None } => format!("{} está desactivado (down).", at(interface)),
        Cause::LinkDown { interface, peer: Some(peer) } => {
            format!("{} no tiene portadora: el otro extremo de su cable, {}, está desactivado (down).", at(interface), at(peer))
        }
        Cause::NotInBridge { interface, bridges } => {
            let bridges = if bridges.is_empty() { "un bridge".to_owned() } else { or(bridges) };
            format!("El cable acaba en {}, que no es puerto de {bridges}.", at(interface))
        }
        Cause::PortClosed { interface, state } => match state.as_str() {
            "isolated" => {
                format!("{} es un puerto aislado: no intercambia tramas con otros puertos aislados.", at(interface))
            }
            "no-flood" => format!("El bridge no conoce la dirección, y {} no acepta tramas así.", at(interface)),
            state => format!("{} es un puerto de un bridge que no deja pasar nada: su estado es {state}.", at(interface)),
        },
        Cause::Unresolved { interface, address, owner } => {
            let owner = match owner {
                Some(owner) => format!("la tiene {}, pero no llega la pregunta o no llega la respuesta", at(owner)),
                None => "no la tiene ningún nodo".to_owned(),
            };
            let protocol = if address.is_ipv6() { "neighbor discovery" } else { "ARP" };
            format!("Nadie responde a {} cuando pregunta por la dirección MAC de {address} ({protocol}): {owner}.", at(interface))
        }
        Cause::DuplicateAddress { address, owners } => {
            format!("Varios tienen la dirección {address}: {}. Vale el primero que responde.", list(trace, owners))
        }
        Cause::DuplicateMac { mac, owners } => format!(
            "Varios tienen la dirección MAC {mac}: {}. Un bridge envía la trama al último que ha oído.",
            list(trace, owners)
        ),
        Cause::ClonedMac { mac, owners } => format!(
            "Las tarjetas de red {} tienen la misma dirección MAC {mac}, como las de una VM clonada.",
            list(trace, owners)
        ),
        Cause::ReversePath { interface, source, strict } => {
            let back = if *strict {
                format!("un paquete de vuelta hacia {source} no saldría por él")
            } else {
                format!("para un paquete de vuelta hacia {source} no hay ruta")
            };
            format!("El filtro de camino inverso (rp_filter) de {} lo descarta: {back}.", at(interface))
        }
        Cause::TtlExpired { node, ttl } => format!("Su TTL era {ttl} y se ha agotado en {}.", word(node)),
        Cause::TooBig { interface, mtu, size } => format!(
            "El paquete tiene {size} bytes, {} acepta como mucho {mtu} (su MTU), y no se puede fragmentar por el camino.",
            at(interface)
        ),
        Cause::Refused { node, kind, to } => format!("{} tiene una ruta que rechaza: {kind} {to}.", word(node)),
        Cause::WrongNeighbour { interface, address, mac, right } => {
            let right = right.as_ref().map(|right| format!("; está en {right}")).unwrap_or_default();
            format!("{} tiene mal una entrada de vecino: {address} en {mac}{right}.", at(interface))
        }
        Cause::Filtered { node, family, table, chain, hook, rule, number, .. } => {
            let hook = hook.as_ref().map(|hook| format!(" (hook {hook})")).unwrap_or_default();
            let who = match (number, rule) {
                (Some(number), Some(handle)) => format!("la regla {number} (handle {handle})"),
                (None, Some(handle)) => format!("la regla con handle {handle}"),
                _ => "la política".to_owned(),
            };
            format!(
                "Lo descarta un filtro de paquetes de {}: {who} de la cadena {chain}{hook} de la tabla {family} {table}.",
                word(node)
            )
        }
        Cause::Loop { crossings, .. } => format!(
            "Los routers lo envían en círculo, {crossings} veces de uno al siguiente, hasta que se agota su TTL. Estas rutas \
             forman el círculo:"
        ),
        Cause::AddressOnPort { interface, address, bridge } => format!(
            "{address} está en {}, un puerto de {bridge}, donde no sirve: su sitio es el interfaz del bridge.",
            at(interface)
        ),
        Cause::OtherNic { interface, route, owner } => {
            let owner = owner.as_ref().map(|owner| format!("; la dirección es la de {}", at(owner))).unwrap_or_default();
            format!("Sale por {} ({}), que no lleva hasta allí{owner}.", at(interface), spanish.route(route))
        }
        Cause::ForeignMac { network, mac, owner } => {
            let owner = owner.as_ref().map(|owner| format!(", la de {}", at(owner))).unwrap_or_default();
            format!(
                "La red {network} solo entrega unicast a las direcciones MAC propias de sus tarjetas, y descarta {mac}{owner}."
            )
        }
        Cause::EchoIgnored { node } => {
            format!("{} tiene la dirección y no hace caso de las peticiones de eco.", word(node))
        }
        Cause::OtherMachine { interface, host } => format!(
            "Lo que envía {} va a la otra máquina, la que hace de {}, y no ha vuelto nada. ¿Está en marcha esa mitad del \
             laboratorio? Solo allí se puede ver qué le pasa.",
            at(interface),
            word(host)
        ),
        Cause::Unknown { node, interface } => unknown(trace, node, interface.as_deref()),
    }
}

fn unknown(trace: &Trace, node: &str, interface: Option<&str>) -> String {
    let place = match interface {
        Some(interface) => format!("{}.{interface}", trace.word(node)),
        None => trace.word(node),
    };
    let legacy = match trace.legacy.as_slice() {
        [] => String::new(),
        tables => format!(
            " Allí hay tablas de iptables-legacy ({}), cuyas reglas no se pueden rastrear: puede ser una de ellas.",
            tables.join(", ")
        ),
    };
    format!("Se vio por última vez en {place}. Ni las tablas ni nftables dicen qué lo detiene ahí.{legacy}")
}

pub(super) fn advice(trace: &Trace, cause: &Cause) -> Option<String> {
    match cause {
        Cause::ForeignMac { .. } => Some(
            "En VirtualBox: Configuración > Red > Adaptador 2 > Avanzado > Modo\u{a0}promiscuo\u{a0}>\u{a0}Permitir\u{a0}todo; \
             en un fichero de topología: promiscuous:\u{a0}allow."
                .to_owned(),
        ),
        Cause::ClonedMac { .. } => Some(
            "En VirtualBox: Configuración > Red > Adaptador 2 > Avanzado > Dirección MAC > Generar, en una de las VMs."
                .to_owned(),
        ),
        Cause::Filtered { node, family, table, chain, .. } => {
            let command = format!("sudo nslab exec {} nft -a list chain {family} {table} {chain}", trace.typed(node));
            Some(format!("Para verlo: {}", whole(&typed::here(&command))))
        }
        Cause::OtherMachine { .. } => {
            Some("En la otra máquina: sudo\u{a0}nslab\u{a0}status, y luego sudo\u{a0}nslab\u{a0}check.".to_owned())
        }
        Cause::Unknown { node, .. } => {
            let command = format!("sudo nslab exec {} sh -c 'tc -s qdisc; ip -s link; ip xfrm policy'", trace.typed(node));
            Some(format!("Para mirar más de cerca: {}", whole(&typed::here(&command))))
        }
        _ => None,
    }
}

/// A command that no line end may cut.
fn whole(command: &str) -> String {
    command.replace(' ', "\u{a0}")
}

fn list(trace: &Trace, interfaces: &[Interface]) -> String {
    interfaces.iter().map(|interface| trace.interface(interface)).collect::<Vec<_>>().join(", ")
}
