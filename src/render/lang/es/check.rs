//! Checks, in words.

use ipnet::IpNet;

use super::{Spanish, and, count};
use crate::render::lang::check::Checking;
use crate::render::lang::trace::Tracing;
use crate::report::check::{Besides, Checkpoint, Evidence, Note, Report, Role, State, Step, Wiring};
use crate::report::ping::Family;
use crate::report::trace::Trace;
use crate::report::wire::{Interface, Station};
use crate::topology::checks::{Addresses, Check, Destination, Machine, Members, Path, Plug, Reach, Router, Routes, Subnet};

/// More names than this are counted.
const NAMED: usize = 6;

impl Checking for Spanish {
    fn title(&self, report: &Report) -> String {
        match &report.against {
            Some(topology) => format!("{}, según los puntos de control de {topology}", report.lab),
            None => format!("{}, según sus propios puntos de control", report.lab),
        }
    }

    fn role(&self, report: &Report, role: &Role) -> String {
        let part = role.role.rsplit('.').next().unwrap_or(&role.role);
        let Some(node) = &role.node else { return format!("nadie hace de {}", role.role.replacen('.', "/", 1)) };
        let container = role.role.contains('.');
        let wiring = match &role.wiring {
            Wiring::Switch { bridge } | Wiring::Gateway { bridge } if container => format!(", detrás del bridge {bridge}"),
            Wiring::PointToPoint if container => ", en un enlace punto a punto".to_owned(),
            Wiring::Switch { bridge } => format!(", con el bridge {bridge} como switch hacia el cable"),
            Wiring::Gateway { bridge } => format!(", con el bridge {bridge} como puerta de enlace"),
            Wiring::PointToPoint => ", con enlaces punto a punto".to_owned(),
            Wiring::None => String::new(),
        };
        format!("{} hace de {part}{wiring}", report.word(node))
    }

    fn spares(&self, report: &Report) -> String {
        let verbs = if report.spares.len() == 1 { ("juzga", "tiene") } else { ("juzgan", "tienen") };
        let what = if report.untouched { "nada configurado" } else { "ninguna dirección en este escenario" };
        format!("No se {}, porque no {} {what}: {}", verbs.0, verbs.1, words(report, &report.spares))
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) -> String {
        match checkpoint.points {
            0 => checkpoint.name.clone(),
            _ => format!("{}: {} de {}", checkpoint.name, number(checkpoint.reached), points(checkpoint.points)),
        }
    }

    fn state(&self, state: State) -> &'static str {
        match state {
            State::Pass => "BIEN",
            State::Fail => "MAL",
            State::CouldNotRun => "NO SE PUDO COMPROBAR",
            State::Skipped => "OMITIDO",
        }
    }

    fn asked(&self, report: &Report, check: &Check) -> String {
        let word = |machine: &Machine| report.word(&machine.to_string());
        let list = |machines: &[Machine]| and(&machines.iter().map(word).collect::<Vec<_>>());
        match check {
            Check::Reach(Reach::All) => "todos los contenedores se alcanzan entre sí".to_owned(),
            Check::Reach(Reach::Pairs(pairs)) => format!("se alcanzan entre sí {}", pairs_of(report, pairs)),
            Check::Unreachable(pairs) => format!("no se alcanzan entre sí {}", pairs_of(report, pairs)),
            Check::Macs(macs) => {
                let whose = match &macs.owners {
                    Members::Containers => "de los propios contenedores".to_owned(),
                    Members::Hosts => "de los hosts".to_owned(),
                    Members::These(these) => format!("de {}", list(these)),
                };
                format!("por {} solo pasan direcciones MAC {whose}", macs.network)
            }
            Check::Path(path) => way(report, path),
            Check::RecordRoute(path) => format!("según lo que anota ping -R, {}", way(report, path)),
            Check::Routes(routes) => route(report, routes),
            Check::Addresses(addresses) => addresses_of(report, addresses),
            Check::Forwarding(forwarding) => {
                let say = |machines: &[Machine], one: &str, many: &str| {
                    let verb = if machines.len() == 1 { one } else { many };
                    (!machines.is_empty()).then(|| format!("{} {verb} paquetes", list(machines)))
                };
                let on = say(&forwarding.on, "reenvía", "reenvían");
                let off = say(&forwarding.off, "no reenvía", "no reenvían");
                on.into_iter().chain(off).collect::<Vec<_>>().join(", ")
            }
            Check::Bridge(bridged) => {
                let plug = |plug: &Plug| match plug {
                    Plug::Nic(nic) => nic.to_string(),
                    Plug::Container(name) => report.word(&format!("{}.{name}", bridged.host)),
                };
                let ports = and(&bridged.ports.iter().map(plug).collect::<Vec<_>>());
                let nic = bridged.ports.iter().any(|plug| matches!(plug, Plug::Nic(_)));
                let name = bridged.name.as_ref().map_or_else(|| "un bridge".to_owned(), |name| format!("el bridge {name}"));
                format!("{name} de {} une {ports}{}", bridged.host, if nic { "" } else { ", y ninguna tarjeta de red" })
            }
            Check::Command(command) => match &command.output {
                Some(output) => format!("en {}, {} dice {output}", word(&command.node), command.run),
                None => format!("en {}, {} acaba con {}", word(&command.node), command.run, command.exit),
            },
            Check::Control(control) => format!("{} controla los contenedores de {}", control.from, control.of),
        }
    }

    #[allow(clippy::too_many_lines, reason = "a sentence for each piece of evidence")]
    fn evidence(&self, report: &Report, evidence: &Evidence) -> String {
        let word = |node: &String| report.word(node);
        let at = |interface: &Interface| report.names.interface(interface);
        match evidence {
            Evidence::NodeGone { node } => format!("El namespace de {} ya no está.", word(node)),
            Evidence::NoPlayer { role } => {
                format!("Nadie en el laboratorio puede hacer de {}.", role.replacen('.', "/", 1))
            }
            Evidence::NoNetwork { network } => {
                format!("Ninguna red del laboratorio une estos hosts como lo hace {network}.")
            }
            Evidence::Failed { tried, errno } => format!("Ha fallado nslab: {tried} (error {errno})."),
            Evidence::NoAddress { node, family, besides } => {
                let left_out = match besides.as_slice() {
                    [] => String::new(),
                    [one] => format!("; {} no cuenta", beside(one)),
                    several => format!("; {} no cuentan", and(&several.iter().map(beside).collect::<Vec<_>>())),
                };
                format!("{} no tiene {} en este escenario{left_out}.", word(node), no_address(*family))
            }
            Evidence::NoAddressOn { node, network, family } => {
                format!("La tarjeta de {} en {network} no tiene {}.", word(node), no_address(*family))
            }
            Evidence::TooFew { configured, besides } => {
                let here = if *besides { " para este escenario" } else { "" };
                match configured.as_slice() {
                    [] => format!("No hay ningún contenedor configurado{here}."),
                    _ => format!("Solo hay un contenedor configurado{here}: {}.", words(report, configured)),
                }
            }
            Evidence::OneHost { host, others } => {
                let other = if *others == 1 { "en el otro host no hay ninguno" } else { "en otro host no hay ninguno" };
                format!("Todos los contenedores configurados para este escenario están en {host}; {other}.")
            }
            Evidence::NoFamily { from, to } => {
                format!("{} y {} no tienen direcciones de la misma familia, IPv4 o IPv6.", word(from), word(to))
            }
            Evidence::Unanswered { pairs, number, of } => {
                let shown =
                    pairs.iter().map(|(from, to)| format!("{} -> {}", word(from), word(to))).collect::<Vec<_>>().join(", ");
                let more = if *number > pairs.len() { ", ..." } else { "" };
                format!("Sin respuesta: {shown}{more} ({number} de {}).", count(*of, "ping", "pings"))
            }
            Evidence::Answered { pairs } => {
                let shown: Vec<String> = pairs.iter().map(|(from, to)| format!("{} -> {}", word(from), word(to))).collect();
                format!("Con respuesta: {}.", cut(&shown))
            }
            Evidence::Duplicate { address, owners } => {
                format!("Varios tienen la dirección {address}: {}.", and(&owners.iter().map(at).collect::<Vec<_>>()))
            }
            Evidence::Because { cause, certain } => {
                let likely = if *certain { "" } else { "Probablemente: " };
                let trace = Trace::none(&report.lab, report.names.clone());
                let details = Tracing::details(self, &trace, cause).join("; ");
                let said = format!("{likely}{} {details}", Tracing::cause(self, &trace, cause));
                said.trim_end().to_owned()
            }
            Evidence::Strangers { network, stations } => {
                let of = |station: &Station| match &station.owner {
                    Some(owner) => format!("{} ({})", station.mac, at(owner)),
                    None => format!("{} (de nadie del laboratorio)", station.mac),
                };
                format!("Por {network} pasa también {}.", cut(&stations.iter().map(of).collect::<Vec<_>>()))
            }
            Evidence::Unseen { network, nodes } if nodes.is_empty() => format!("Ningún ping ha cruzado {network}."),
            Evidence::Unseen { network, nodes } => {
                format!("Ningún ping ha pasado por {network} desde una dirección MAC de {}.", words(report, nodes))
            }
            Evidence::OtherWay { from, to, network, interfaces } => {
                let ways = if interfaces.is_empty() {
                    "no se ha visto por qué interfaz de un host sale".to_owned()
                } else {
                    format!("sale por {}", and(&interfaces.iter().map(at).collect::<Vec<_>>()))
                };
                format!("Un ping de {} a {} tiene respuesta sin cruzar {network}: {ways}.", word(from), word(to))
            }
            Evidence::Way { from, to, hops } => {
                let hops: Vec<String> = hops.iter().map(word).collect();
                format!("Un paquete de {} a {} ha pasado por: {}.", word(from), word(to), hops.join(", "))
            }
            Evidence::Translated { from, to, by, source, became } => {
                let by = by.as_ref().map_or_else(|| "alguien".to_owned(), word);
                format!(
                    "NAT: {by} cambia el origen de los paquetes de {} a {}, {source} pasa a ser {became}. Enrutar no toca las direcciones.",
                    word(from),
                    word(to)
                )
            }
            Evidence::Unexplained { lost } => {
                format!("Su TTL ha perdido {} que no se ha visto dónde.", count(usize::from(*lost), "unidad", "unidades"))
            }
            Evidence::NoRoute { node, to } => format!("{} no tiene ruta hacia {}.", word(node), report.word(to)),
            Evidence::RouteVia { node, to, route, over } => {
                let over = over.as_ref().map(|over| format!(", que es {}", word(over))).unwrap_or_default();
                format!("{} envía los paquetes para {} por: {}{over}.", word(node), report.word(to), Tracing::route(self, route))
            }
            Evidence::RouterElsewhere { address, on, belongs } => {
                format!("{address} está en {}; el cable lleva a {}, así que su sitio es ese.", at(on), at(belongs))
            }
            Evidence::Lacks { node, address, has } => format!("{} no tiene {address}, sino {}.", word(node), nets(has)),
            Evidence::NotOneSubnet { addresses } => {
                let of = |(node, has): &(String, Vec<IpNet>)| format!("{} {}", word(node), nets(has));
                format!("Ninguna subred los tiene a todos: {}.", cut(&addresses.iter().map(of).collect::<Vec<_>>()))
            }
            Evidence::Overlap { first, second } => format!(
                "Las subredes de {} ({}) y {} ({}) se solapan, y están en hosts distintos.",
                word(&first.0),
                first.1,
                word(&second.0),
                second.1
            ),
            Evidence::NotPointToPoint { node, bridge } => {
                format!("El cable de {} acaba en el bridge {bridge}, no en un interfaz del host sin más.", word(node))
            }
            Evidence::EndWithout { node, end, has } => {
                let has = if has.is_empty() { "ninguna dirección".to_owned() } else { nets(has) };
                format!(
                    "El extremo del cable de {} en el host, {}, tiene {has}; ninguna en la subred del contenedor.",
                    word(node),
                    at(end)
                )
            }
            Evidence::SharedLink { node, subnet, others } => format!(
                "La subred de {}, {subnet}, es también la de {}: no es un enlace entre dos.",
                word(node),
                words(report, others)
            ),
            Evidence::Forwards { node, ipv6, on } => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                match on {
                    Some(true) => format!("{} reenvía {family}.", word(node)),
                    Some(false) => format!("{} no reenvía {family}.", word(node)),
                    None => format!("El kernel no dice si {} reenvía {family}.", word(node)),
                }
            }
            Evidence::NoBridge { host, name: Some(name), .. } => format!("{host} no tiene ningún bridge {name}."),
            Evidence::NoBridge { host, name: None, .. } => format!("{host} no tiene ningún bridge propio."),
            Evidence::NoCable { node } => format!("{} no tiene cable hacia su host.", word(node)),
            Evidence::CableElsewhere { interface, end } => match end {
                Some(end) => format!("El cable de {} lleva a {}, no a su host.", at(interface), at(end)),
                None => format!("El cable de {} no lleva a ningún nodo del laboratorio.", at(interface)),
            },
            Evidence::OtherBridge { interface, bridge, wanted } => {
                format!("{} es puerto de {bridge}, no de {wanted}.", at(interface))
            }
            Evidence::NotInBridge { interface, bridge } => {
                let bridge = bridge.clone().unwrap_or_else(|| "ningún bridge".to_owned());
                format!("{} no es puerto de {bridge}.", at(interface))
            }
            Evidence::ForeignPort { interface, bridge, network } => {
                let network = network.as_ref().map(|network| format!(", la tarjeta de {network},")).unwrap_or_default();
                format!("{}{network} es puerto de {bridge}, así que el bridge sale del host.", at(interface))
            }
            Evidence::ManagedBridge { host, bridge, .. } => {
                format!("{host} usa {bridge}, que es del gestor de contenedores; el escenario pide un bridge hecho por usted.")
            }
            Evidence::NicMoved { nic, to } => {
                format!("{} ya no está en el host, sino que es {}: ese nodo está en el cable mismo.", at(nic), at(to))
            }
            Evidence::NoNic { nic } => format!("{} ya no está.", at(nic)),
            Evidence::Down { interface } => format!("{} está desactivado (down).", at(interface)),
            Evidence::Ended { code, wanted, output } => {
                let said = if output.is_empty() { String::new() } else { format!(" Dice: {output}") };
                format!("Ha acabado con {code}, no con {wanted}.{said}")
            }
            Evidence::Output { output } if output.is_empty() => "No dice nada.".to_owned(),
            Evidence::Output { output } => format!("Dice: {output}"),
            Evidence::TooSlow { seconds } => {
                format!("No había acabado en {}, y se ha matado.", count(usize::from(*seconds), "segundo", "segundos"))
            }
            Evidence::NoCommand { command, code: 127 } => format!("No está alguno de sus comandos: {command}"),
            Evidence::NoCommand { command, .. } => format!("No se puede ejecutar: {command}"),
            Evidence::NoAgent { host } => format!("{host} no tiene ningún agente en marcha."),
            Evidence::NoRemote { from, of } => {
                format!("{from} no conoce ningún remoto que sea {of}: hay que añadirlo con un token de {of}.")
            }
            Evidence::Distrusted { from, of, remote } => {
                format!("{of} no confía en {from}, que lo conoce como {remote}: hay que añadirlo otra vez con un token nuevo.")
            }
            Evidence::Unreached { from, remote, address } => {
                format!("Desde {from} nadie responde en {address}, donde debería estar el remoto {remote}.")
            }
            Evidence::OtherServer { from, of, remote } => {
                format!("Lo que {from} conoce como {remote} ya no es {of}: su certificado es otro.")
            }
            Evidence::Refused { remote, step, text } => {
                format!("{remote} no pudo {} el contenedor: {text}", step_word(*step))
            }
        }
    }

    fn note(&self, report: &Report, note: &Note) -> String {
        match note {
            Note::OtherMachine { host, number } => {
                let what = if *number == 1 {
                    "1 ping u orden empieza".to_owned()
                } else {
                    format!("{number} pings u órdenes empiezan")
                };
                format!("{what} en la otra máquina, la que hace de {}: lo comprueba ella.", report.word(host))
            }
            Note::FromFile { nodes } => {
                let nodes: Vec<String> = nodes.iter().map(|node| report.word(node)).collect();
                format!("Según el fichero, porque están en la otra máquina: {}.", nodes.join(", "))
            }
            Note::TokenThere { host } => {
                format!("El token lo imprime la otra máquina, la que hace de {}; lo demás se escribe aquí.", report.word(host))
            }
            Note::Specific { node, to } => {
                format!("{} tiene una ruta propia para {to} en lugar de una por defecto; vale igual.", report.word(node))
            }
            Note::Prefix { node, subnet } => {
                let is = match subnet.prefix_len() {
                    31 => "un /31 (RFC 3021), que vale igual que",
                    32 => "una dirección con su pareja (peer), que vale igual que",
                    _ => "mayor que",
                };
                format!("El enlace de {} usa {subnet}, {is} el /30 habitual.", report.word(node))
            }
        }
    }

    fn sum(&self, report: &Report) -> Vec<String> {
        let mut parts = Vec::new();
        for (number, said) in [
            (report.failed, "mal"),
            (report.not_run, "sin poder comprobar"),
            (report.skipped, if report.skipped == 1 { "omitida" } else { "omitidas" }),
            (report.passed, "bien"),
        ] {
            if number > 0 {
                let what = if parts.is_empty() { count(number, "comprobación", "comprobaciones") } else { number.to_string() };
                parts.push(format!("{what} {said}"));
            }
        }
        let counted = parts.join(", ");
        if report.points == 0 {
            return vec![format!("{counted}.")];
        }
        vec![format!("{} de {}: {counted}.", number(report.reached), points(report.points))]
    }

    fn watching(&self) -> &'static str {
        "A la espera de cambios; Ctrl-C termina."
    }
}

fn no_address(family: Option<Family>) -> &'static str {
    match family {
        None => "ninguna dirección",
        Some(Family::Ipv4) => "ninguna dirección IPv4",
        Some(Family::Ipv6) => "ninguna dirección IPv6",
    }
}

fn beside(besides: &Besides) -> String {
    format!("{} en {}", besides.address, besides.interface)
}

fn points(number: u32) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "punto", "puntos")
}

/// A number of points, with a decimal only where there is one.
fn number(points: f64) -> String {
    format!("{points:.1}").trim_end_matches('0').trim_end_matches('.').replace('.', ",")
}

fn words(report: &Report, nodes: &[String]) -> String {
    cut(&nodes.iter().map(|node| report.word(node)).collect::<Vec<_>>())
}

/// The first few of many.
fn cut(words: &[String]) -> String {
    if words.len() <= NAMED {
        return and(words);
    }
    format!("{} y {} más", words[..NAMED].join(", "), words.len() - NAMED)
}

fn nets(nets: &[IpNet]) -> String {
    and(&nets.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn pairs_of(report: &Report, pairs: &[(Machine, Machine)]) -> String {
    let pair = |(from, to): &(Machine, Machine)| and(&[report.word(&from.to_string()), report.word(&to.to_string())]);
    pairs.iter().map(pair).collect::<Vec<_>>().join("; ")
}

fn way(report: &Report, path: &Path) -> String {
    let (from, to) = (report.word(&path.from.to_string()), report.word(&path.to.to_string()));
    match path.hops.as_slice() {
        [_] => format!("nadie enruta en el camino de {from} a {to}"),
        [routers @ .., _] => {
            let routers: Vec<String> = routers.iter().map(|router| report.word(&router.to_string())).collect();
            format!("el camino de {from} a {to} pasa por {}", routers.join(", luego "))
        }
        [] => String::new(),
    }
}

fn route(report: &Report, routes: &Routes) -> String {
    let node = report.word(&routes.node.to_string());
    let to = match &routes.to {
        Destination::Node(machine) => format!("envía los paquetes para {}", report.word(&machine.to_string())),
        Destination::Prefix(prefix) if prefix.prefix_len() == 0 => "tiene una ruta por defecto".to_owned(),
        Destination::Prefix(prefix) => format!("tiene una ruta hacia {prefix}"),
    };
    match &routes.via {
        Some(Router::Node(machine)) => format!("{node} {to} por {}", report.word(&machine.to_string())),
        Some(Router::Address(address)) => format!("{node} {to} por {address}"),
        None => format!("{node} {to} sin router"),
    }
}

fn addresses_of(report: &Report, addresses: &Addresses) -> String {
    let (who, one) = match &addresses.of {
        Members::Containers => ("todos los contenedores".to_owned(), false),
        Members::Hosts => ("todos los hosts".to_owned(), false),
        Members::These(these) => {
            let names: Vec<String> = these.iter().map(|machine| report.word(&machine.to_string())).collect();
            (and(&names), these.len() == 1)
        }
    };
    let (are, have) = if one { ("está", "tiene") } else { ("están", "tienen") };
    let on = addresses.network.as_ref().map(|network| format!(" en {network}")).unwrap_or_default();
    match addresses.subnet {
        Some(Subnet::Same) => format!("{who} {are} en una misma subred{on}"),
        Some(Subnet::Different) => "los contenedores de hosts distintos están en subredes distintas".to_owned(),
        Some(Subnet::PointToPoint) => format!("{who} {are} en un enlace punto a punto con su host"),
        None => format!("{who} {have} {}{on}", nets(&addresses.are)),
    }
}

fn step_word(step: Step) -> &'static str {
    match step {
        Step::List => "listar",
        Step::Launch => "lanzar",
        Step::Exec => "ejecutar una orden en",
        Step::Stop => "parar",
        Step::Delete => "borrar",
    }
}
