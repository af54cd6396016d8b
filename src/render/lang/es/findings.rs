//! What is wrong with a topology file, in words.

use std::net::IpAddr;

use super::{count, quoted};
use crate::name::NameFault;
use crate::problem::{AddressFault, Problem, Reference, Shape};
use crate::render::escape::escape;

/// What is wrong.
pub(super) fn problem(problem: &Problem) -> String {
    match problem {
        Problem::Syntax(said) => format!("esto no es YAML: {}", escape(said)),
        Problem::NoHosts => "no hay hosts. Un laboratorio necesita al menos un host.".to_owned(),
        Problem::TooDeep(limit) => format!("más de {limit} niveles de anidamiento"),
        Problem::TooMuch(limit) => format!("más de {limit} claves y valores; a partir de aquí no se ha leído nada"),
        Problem::SeveralDocuments => "aquí empieza un segundo documento; un fichero describe un solo laboratorio".to_owned(),
        Problem::Alias => "no se admiten anclas (&) ni alias (*)".to_owned(),
        Problem::UnknownKey { key, meant, .. } => format!("clave desconocida {}{}", quoted(key), did_you_mean(meant.as_deref())),
        Problem::DuplicateKey(key) => format!("{} aparece dos veces", quoted(key)),
        Problem::Missing(key) => format!("falta «{key}»"),
        Problem::Expected(shape) => format!("se esperaba {}", expected(*shape)),
        Problem::BadName { word, fault } => bad_name(word, fault),
        Problem::NotAnAddress { word, fault } => not_an_address(word, *fault, "una dirección"),
        Problem::NotAPrefix { word, fault } => not_an_address(word, *fault, "una dirección con su longitud de prefijo"),
        Problem::NotAMac(word) => format!("{} no es una dirección MAC", quoted(word)),
        Problem::MixedFamilies(to, via) => format!("{to} y su router {via} son de familias distintas"),
        Problem::UnknownReference { what, word, meant, .. } => {
            format!("no hay {} {}{}", reference(*what), quoted(word), did_you_mean(meant.as_deref()))
        }
        Problem::NoCheckpointName => "un punto de control necesita un nombre".to_owned(),
        Problem::OneCheck => "una comprobación es una clave con lo que pide, como en reach: all".to_owned(),
        Problem::OnePair => "aquí van dos nodos, como en [a1, b1]".to_owned(),
        Problem::PathEnd(to) => format!("el último salto debe ser {}, donde acaba el camino", escape(to)),
        Problem::AmbiguousNode { word, .. } => format!("varios hosts tienen un contenedor {}", quoted(word)),
        Problem::OneHop => "una ruta lleva exactamente uno de via, dev y blackhole: true".to_owned(),
        other => addresses(other).unwrap_or_else(|| parts(other)),
    }
}

/// What is wrong with addresses and routes.
fn addresses(problem: &Problem) -> Option<String> {
    Some(match problem {
        Problem::NotAHostAddress(addr) => format!("{addr} es {}, no la dirección de un host", kind(*addr)),
        Problem::LinkLocal(addr) => format!("{addr} es link-local: esas direcciones las da el kernel por su cuenta"),
        Problem::NetworkAddress(net) if net.addr().is_ipv4() => {
            format!("{} es la dirección de la propia red {net}", net.addr())
        }
        Problem::NetworkAddress(net) => format!("{} es la dirección de todos los routers de {net}", net.addr()),
        Problem::BroadcastAddress(net) => format!("{} es la dirección de broadcast de {net}", net.broadcast()),
        Problem::DuplicateAddress(addr) => format!("{addr} aparece dos veces en la misma red"),
        Problem::DuplicateMac(mac) => format!("la dirección MAC {mac} ya está ocupada"),
        Problem::MulticastMac(mac) => format!("{mac} es una dirección multicast, que ninguna tarjeta de red puede tener"),
        Problem::ZeroMac => "una dirección MAC de ceros no es ninguna".to_owned(),
        Problem::OverlappingSubnets(a, b) if a == b => format!("{a} está en dos interfaces de este nodo"),
        Problem::OverlappingSubnets(a, b) => format!("{a} y {b} se solapan, en dos interfaces de este nodo"),
        Problem::GatewayOutsideSubnets(addr) => format!("{addr} no está en ninguna subred de este nodo"),
        Problem::BehindDown { gateway: Some(addr), interface } => {
            format!("{addr} está detrás de {interface}, que está desactivado (down)")
        }
        Problem::BehindDown { gateway: None, interface } => {
            format!("{interface} está desactivado (down), así que ninguna ruta puede ir por él")
        }
        Problem::TwoGateways => "una segunda puerta de enlace de la misma familia".to_owned(),
        Problem::OwnGateway(addr) => format!("{addr} es una dirección de este mismo nodo, así que no es una salida"),
        Problem::HostBits { given, meant } => format!("{given} es un host, no una red; ¿quería decir {meant}?"),
        Problem::DuplicateRoute(to) => format!("una segunda ruta hacia {to}"),
        Problem::ConnectedRoute(to) => format!("este nodo está él mismo en {to}, así que ya tiene esa ruta"),
        Problem::CountLeavesSubnet { subnet, count, fit } => {
            format!("{count} direcciones se salen de la subred {subnet}: a partir de esta caben {fit}")
        }
        Problem::MtuTooSmallForV6(mtu) => format!("una MTU de {mtu} es demasiado pequeña para IPv6, que necesita 1280"),
        _ => return None,
    })
}

/// What is wrong with the parts of a lab.
fn parts(problem: &Problem) -> String {
    match problem {
        Problem::DuplicateName(name) => format!("el nombre {} ya está ocupado", quoted(name)),
        Problem::DuplicateInterface { name, node } => {
            format!("{} tiene dos interfaces con el nombre {}", escape(node), quoted(name))
        }
        Problem::PortTwice { port, bridges: (a, b) } if a == b => format!("{port} aparece dos veces como puerto de {a}"),
        Problem::PortTwice { port, bridges: (a, b) } => {
            format!("{port} es puerto de {a} y de {b}; solo puede serlo de un bridge")
        }
        Problem::AddressOnPort { port, bridge } => {
            format!("{port} es un puerto de {bridge}, así que una dirección en él sería inalcanzable")
        }
        Problem::Loop(names) => format!("{} forman un bucle: un broadcast daría vueltas para siempre", names.join(" - ")),
        Problem::OutOfRange { what, low, high } => format!("{what} debe estar entre {low} y {high}"),
        Problem::CountNeedsOne(key) => format!("«{key}» no puede ser igual para todos los contenedores de un count"),
        Problem::TooManyPorts { bridge, ports, limit } => {
            format!("{bridge} tendría {ports} puertos; Linux permite {limit}")
        }
        Problem::TooManyNodes { nodes, limit } => {
            // Measured: 0.33 MB of kernel memory per container.
            let gib = nodes.div_ceil(3100);
            format!("{nodes} hosts, contenedores y redes son demasiados: {limit} como mucho. Necesitarían unos {gib} GiB.")
        }
        Problem::TooManyInterfaces { node, limit } => {
            format!("{} tiene más de {limit} tarjetas de red o bridges", escape(node))
        }
        Problem::TooLongForInterface { made, limit } => {
            format!(
                "el extremo de su cable en el host se llamaría {}, que tiene {}; Linux permite {limit}",
                quoted(made),
                characters(made.chars().count())
            )
        }
        Problem::HostNamedLikeLab(name) => {
            format!("{} es el nombre del laboratorio, así que no puede ser el de un host", quoted(name))
        }
        // The other kinds are said elsewhere.
        other => format!("{other:?}"),
    }
}

/// What to write instead, where there is more to say.
pub(super) fn advice(problem: &Problem) -> Option<String> {
    let advice = match problem {
        Problem::UnknownKey { known, meant: None, .. } => format!("una de {}", known.join(", ")),
        Problem::UnknownReference { what, known, meant: None, .. } if known.is_empty() => nothing_known(*what),
        Problem::UnknownReference { known, meant: None, .. } => {
            format!("alguno de {}", known.iter().map(|name| escape(name)).collect::<Vec<_>>().join(", "))
        }
        Problem::AmbiguousNode { candidates, .. } => {
            format!("diga de qué host: {}", candidates.iter().map(|name| escape(name)).collect::<Vec<_>>().join(" o "))
        }
        Problem::Syntax(said) if said.contains("tab") => "sangre con espacios; YAML no admite tabuladores ahí".to_owned(),
        Problem::Alias => "escriba el valor en cada sitio".to_owned(),
        Problem::Missing("name") => "escriba el nombre del laboratorio en la primera línea: name: mylab".to_owned(),
        Problem::Missing("network") => "diga a qué está conectada la tarjeta: network: internal".to_owned(),
        Problem::NotAPrefix { fault: AddressFault::NoPrefix, .. } => {
            "escriba también la longitud del prefijo, como en 10.0.0.1/24".to_owned()
        }
        Problem::NotAMac(_) => "escriba seis parejas de cifras hexadecimales, como en 02:00:00:00:00:01".to_owned(),
        Problem::MulticastMac(_) | Problem::ZeroMac => "ponga un primer byte par, como en 02:00:00:00:00:01".to_owned(),
        Problem::DuplicateMac(_) => "quite «mac»: nslab da a cada tarjeta la suya".to_owned(),
        Problem::LinkLocal(_) => "ponga una dirección propia, como en fd00:1::1/64".to_owned(),
        Problem::OverlappingSubnets(..) => "dé a cada interfaz una subred propia, o únalos a un mismo bridge".to_owned(),
        Problem::GatewayOutsideSubnets(_) => "la dirección de un vecino, en la subred de uno de los interfaces".to_owned(),
        Problem::BehindDown { .. } => "quite «up: false», o la ruta".to_owned(),
        Problem::OwnGateway(_) => "escriba la dirección del router que está en el otro extremo".to_owned(),
        Problem::TwoGateways => "una puerta de enlace para IPv4 y otra para IPv6; para otros destinos escriba routes".to_owned(),
        Problem::AddressOnPort { bridge, .. } => format!("ponga la dirección en el bridge {bridge}"),
        Problem::Loop(_) => "quite un puerto, o añada «stp: true» a uno de los bridges".to_owned(),
        Problem::TooManyPorts { .. } => "reparta los contenedores entre varios bridges".to_owned(),
        Problem::CountLeavesSubnet { .. } => "ponga un count menor o una subred mayor".to_owned(),
        Problem::CountNeedsOne(_) => "quítelo: nslab da a cada contenedor lo suyo".to_owned(),
        Problem::MtuTooSmallForV6(_) => "suba la MTU, o quite la dirección IPv6".to_owned(),
        Problem::TooLongForInterface { .. } => "dé un nombre más corto al extremo del host: host: { name: v1 }".to_owned(),
        Problem::DuplicateInterface { .. } => {
            "dé un nombre propio al extremo del host de la tarjeta de un contenedor: host: { name: v1 }".to_owned()
        }
        Problem::HostNamedLikeLab(_) => "dé otro nombre al laboratorio, para que cada palabra nombre una sola cosa".to_owned(),
        _ => return None,
    };
    Some(advice)
}

/// Where the other of two places is.
pub(super) fn elsewhere(line: usize) -> String {
    format!("el otro está en la línea {line}")
}

/// How many findings are not shown.
pub(super) fn unshown(number: usize) -> String {
    format!("... y {}", count(number, "error más", "errores más"))
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; ¿quería decir {}?", quoted(meant))).unwrap_or_default()
}

fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Keys => "claves con valores (clave: valor)",
        Shape::List => "una lista ([a, b], o líneas que empiezan por un guion)",
        Shape::Text => "una palabra",
        Shape::TextOrList => "una palabra o una lista de palabras",
        Shape::Whole => "un número entero",
        Shape::TrueOrFalse => "true o false",
        Shape::AllowOrDeny => "allow o deny",
        Shape::AllOrPairs => "all, o una lista de parejas ([[a1, b1], [a2, b2]])",
        Shape::Subnet => "same, different o point-to-point",
    }
}

fn bad_name(word: &str, fault: &NameFault) -> String {
    let short: String = word.chars().take(40).collect();
    let name = if short.len() < word.len() { format!("{}...", quoted(&short)) } else { quoted(word) };
    match fault {
        NameFault::Empty => "hay un nombre vacío".to_owned(),
        NameFault::TooLong { len, max } if *max < 20 => format!("{name} tiene {}; Linux permite {max}", characters(*len)),
        NameFault::TooLong { len, max } => format!("{name} tiene {}; un nombre puede tener {max}", characters(*len)),
        NameFault::Character(_) => format!("el nombre {name} puede usar a-z 0-9 _ - y empieza por una letra"),
        NameFault::Reserved => format!("{name} es un nombre que Linux se reserva"),
    }
}

fn characters(number: usize) -> String {
    count(number, "carácter", "caracteres")
}

fn not_an_address(word: &str, fault: AddressFault, what: &str) -> String {
    let word = quoted(&word.chars().take(60).collect::<String>());
    match fault {
        AddressFault::Malformed => format!("{word} no es {what}"),
        AddressFault::LeadingZero => format!("{word}: un número con un cero delante, que algunos programas toman por octal"),
        AddressFault::NoPrefix => format!("{word} no tiene longitud de prefijo"),
        AddressFault::Prefix => format!("{word}: aquí va solo la dirección, sin longitud de prefijo"),
        AddressFault::PrefixRange(longest) => format!("{word}: una longitud de prefijo va de 0 a {longest}"),
    }
}

fn kind(addr: IpAddr) -> &'static str {
    match addr {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "una dirección IPv4 escrita como IPv6",
        addr if addr.is_unspecified() => "la dirección de nadie",
        addr if addr.is_loopback() => "una dirección de loopback",
        addr if addr.is_multicast() => "una dirección multicast",
        IpAddr::V4(v4) if v4.is_broadcast() => "la dirección de broadcast",
        _ => "una dirección reservada",
    }
}

fn reference(what: Reference) -> &'static str {
    match what {
        Reference::Network => "ninguna red",
        Reference::Bridge => "ningún bridge",
        Reference::Port => "ninguna tarjeta de red de este host llamada",
        Reference::Interface => "ningún interfaz",
        Reference::Node => "ningún host ni contenedor",
        Reference::Host => "ningún host",
        Reference::Topology => "ninguna topología incorporada",
        Reference::Plug => "ninguna tarjeta ni contenedor de este host con el nombre",
    }
}

fn nothing_known(what: Reference) -> String {
    match what {
        Reference::Network => "póngala antes en el fichero, bajo networks:".to_owned(),
        Reference::Bridge => "póngalo antes en el host, bajo bridges:".to_owned(),
        Reference::Node | Reference::Host | Reference::Plug => "póngalo antes bajo hosts:".to_owned(),
        Reference::Port | Reference::Interface => "póngalo antes bajo nics:".to_owned(),
        Reference::Topology => "nslab topology las enumera; un fichero se indica con ./FICHERO o FICHERO.yaml".to_owned(),
    }
}
