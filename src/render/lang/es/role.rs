//! Hacer de un host, en palabras.

use ipnet::IpNet;

use super::quoted;
use crate::error::{Card, RoleFault, Using};
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::lab::Played;

pub(super) fn fault(fault: &RoleFault) -> Message {
    match fault {
        RoleFault::NoNic { host, nic, cards } => say(format!("esta máquina no tiene ninguna NIC libre para {nic} de {host}"))
            .why(listed(cards))
            .hint("ponga otra NIC a la máquina, en la red interna; o nombre una: --nic NOMBRE"),
        RoleFault::ManyNics { host, nic, cards } => say(format!("varias NIC de esta máquina podrían ser {nic} de {host}"))
            .why(listed(cards))
            .hint("diga cuál: --nic NOMBRE"),
        RoleFault::MissingNic { nic, cards } => {
            say(format!("esta máquina no tiene ninguna NIC {}", quoted(nic))).why(listed(cards)).hint("--nic con una de esas")
        }
        RoleFault::WhichNic { host, nics } => {
            let each: Vec<String> = nics.iter().map(|nic| format!("--nic {nic}=NOMBRE")).collect();
            say(format!("{host} tiene varias NIC: {}", nics.join(", ")))
                .why("Para cada una hay que nombrar una NIC de esta máquina.")
                .hint(each.join(" "))
        }
        RoleFault::TwiceNic(nic) => {
            say(format!("{} se nombra dos veces", quoted(nic))).hint("un --nic para cada una de las NIC del host")
        }
        RoleFault::Plugged { lab, nics } => say(format!("el laboratorio {lab} ya tiene {}", escape(&nics.join(", "))))
            .hint(format!("nslab down {lab}, y luego up con la otra NIC")),
        RoleFault::Reachable { subnet, known, dev } => {
            let same = if subnet == known { String::new() } else { format!(" como parte de {known}, o con ella") };
            say(format!("a {subnet} ya se llega por {} en esta máquina{same}", escape(dev)))
                .why("Los paquetes para el laboratorio saldrían por esa interfaz.")
                .hint("dé otras direcciones al laboratorio, o baje esa interfaz")
        }
        RoleFault::Elsewhere { node, host, lab } => {
            say(format!("{node} está en la otra máquina, la que hace de {host} en {lab}"))
                .hint("escríbelo allí; desde aquí se le puede hacer ping, y trazar el camino hasta él")
        }
        RoleFault::Other { lab, now: Some(now) } => say(format!("esta máquina hace de {now} en el laboratorio {lab}"))
            .hint(format!("nslab down {lab}, y luego up con el otro papel")),
        RoleFault::Other { lab, now: None } => say(format!("el laboratorio {lab} entero está en marcha en esta máquina"))
            .hint(format!("nslab down {lab}, y luego up con --role; o dé a este otro nombre con --name")),
    }
}

pub(super) fn kept_default(routes: &[IpNet]) -> String {
    if routes.is_empty() {
        return "esta máquina conserva su ruta por defecto; el laboratorio no necesita otra.".to_owned();
    }
    let shown: Vec<String> = routes.iter().take(4).map(ToString::to_string).collect();
    let more = if routes.len() > shown.len() { format!(" y {} más", routes.len() - shown.len()) } else { String::new() };
    format!("esta máquina conserva su ruta por defecto; el laboratorio recibe en su lugar rutas a {}{more}.", shown.join(", "))
}

pub(super) fn half(half: &Played) -> String {
    let nics: Vec<String> = half
        .nics
        .iter()
        .map(
            |(name, real)| {
                if name == real { escape(real).into_owned() } else { format!("{} ({name} en el fichero)", escape(real)) }
            },
        )
        .collect();
    let rest = match half.elsewhere.as_slice() {
        [] => String::new(),
        hosts => format!("; en otras máquinas: {}", hosts.join(", ")),
    };
    let on = if nics.is_empty() { String::new() } else { format!(" por {}", nics.join(", ")) };
    format!("Esta máquina hace de {}{on}{rest}.", half.host)
}

fn listed(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "No tiene ninguna.".to_owned();
    }
    let lines: Vec<String> = cards.iter().map(card).collect();
    format!("Tiene:\n  {}", lines.join("\n  "))
}

fn card(card: &Card) -> String {
    let state = if card.up { "activa" } else { "inactiva" };
    let using = match &card.using {
        Using::Nothing => "libre".to_owned(),
        Using::DefaultRoute => "tiene la ruta por defecto".to_owned(),
        Using::Address(net) => format!("tiene la dirección {net}"),
        Using::Port(bridge) => format!("es un puerto de {}", escape(bridge)),
        Using::Software(kind) => format!("no es una NIC sino {}", escape(kind)),
    };
    format!("{} ({state}): {using}", escape(&card.name))
}
