//! Errors in words: what happened, why, what to type.

use std::path::Path;

use super::{count, quoted, system};
use crate::error::{Error, Feature, FileFault, JournalFault, KernelError, Left, Limit, Owner, Takes, Thing, Usage};
use crate::name::NameFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};

pub(super) fn error(error: &Error) -> Message {
    match error {
        Error::Topology { file, findings, .. } => {
            say(format!("{} no describe un laboratorio: {}", escape(file), count(findings.len(), "error", "errores")))
        }
        Error::File { file, why } => file_fault(file, why),
        Error::Unknown { what, word, candidates } => unknown(*what, word, candidates),
        Error::Ambiguous { what, word, candidates } => ambiguous(*what, word, candidates),
        Error::BadName { what, word, fault } => bad_name(*what, word, fault),
        Error::NotRoot { command } => not_root(command),
        Error::Machine(limit) => machine(limit),
        Error::Kernel(error) => kernel(error),
        Error::Busy { lab, holder } => busy(lab.as_deref(), holder.as_ref()),
        Error::Role(fault) => super::role::fault(fault),
        Error::Agent(fault) => super::agent::fault(fault),
        Error::Remote(fault) => super::remote::fault(fault),
        Error::Instance(fault) => super::instances::fault(fault),
        Error::Conflict { what, own } => say(format!("{} ya existe y no es de nslab", escape(what)))
            .why("nslab no toca nada que no haya creado él mismo.")
            .hint(if *own {
                "elimínelo, o dé otro nombre al laboratorio: nslab up TOPOLOGY --name NAME"
            } else {
                "dé otro nombre al laboratorio: nslab up TOPOLOGY --name NAME"
            }),
        Error::Nic { nic, why } => super::nics::refused(nic, why),
        Error::RolledBack { lab, why } => super::nics::rolled_back(lab, why),
        Error::Tampered(path) => say(format!("{} no está como lo dejó nslab", shown(path)))
            .why("Es un enlace, o algo ajeno lo ha cambiado; seguirlo podría dañar esta máquina.")
            .hint(format!("examínelo (ls -ld {}) y después elimínelo", shown(path))),
        Error::Foreign { path, owner } => foreign(path, owner),
        Error::Journal { lab, why } => journal(lab, why),
        Error::Left(left) => remains(left),
        Error::Signal(number) => say(format!("interrumpido por {}; se ha deshecho lo que estaba hecho", signal(*number))),
        Error::Command { command, errno } => command_fault(command, *errno),
        Error::Internal(message) => say(format!("un fallo del propio nslab: {}", escape(message)))
            .why("Se ha deshecho lo que estaba hecho.")
            .hint("nslab status dice lo que hay; por favor, comunique esta línea"),
        Error::Output { errno } => {
            say(format!("no se puede escribir la salida: {}", reason(*errno))).why("El comando en sí ha hecho su trabajo.")
        }
        Error::Capture { file, errno } => say(format!("no se puede escribir {}: {}", shown(file), reason(*errno)))
            .why("Lo que se escribió antes está completo y se puede leer."),
        Error::Usage(usage) => wrong_use(usage),
        Error::Filter { text, at, fault } => super::filters::error(text, at, fault),
    }
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

/// The sentence for an error number: ours, else the system's.
pub(super) fn reason(errno: i32) -> String {
    system::sentence(errno)
}

fn signal(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(|_| format!("la señal {number}"), |s| s.as_str().to_owned())
}

fn thing(what: Thing) -> &'static str {
    match what {
        Thing::Lab => "laboratorio",
        Thing::Topology => "topología",
        Thing::Node => "nodo",
        Thing::Host => "host",
        Thing::Container => "contenedor",
        Thing::Interface => "interfaz",
        Thing::Network => "red",
        Thing::Point => "nodo, red o interfaz",
        Thing::Command => "comando",
        Thing::Check => "punto de control o clase de comprobación",
        Thing::Remote => "remoto",
    }
}

/// Not a single one: `ningún nodo`, `ninguna red`.
fn no(what: Thing) -> String {
    match what {
        Thing::Topology | Thing::Network => format!("ninguna {}", thing(what)),
        Thing::Point => "ningún nodo, red ni interfaz".to_owned(),
        _ => format!("ningún {}", thing(what)),
    }
}

fn file_fault(file: &Path, why: &FileFault) -> Message {
    let name = shown(file);
    match why {
        FileFault::Read { errno, user } => {
            let asked = user.map(|uid| format!(" (como usuario {uid})")).unwrap_or_default();
            let message = say(format!("no se puede leer {name}: {}{asked}", reason(*errno)));
            if *errno == libc::ENOENT { message.hint("nslab topology muestra las topologías incluidas") } else { message }
        }
        FileFault::NotAFile => say(format!("{name} no es un fichero de laboratorio: no es un fichero normal"))
            .hint("nslab topology bridged > lab.yaml crea uno con el que empezar"),
        FileFault::TooLong(bytes) => say(format!("{name} no es un fichero de laboratorio: tiene {bytes} bytes"))
            .why("Un fichero de laboratorio tiene como mucho 1 MiB; con count: 100 basta una línea para cien contenedores."),
        FileFault::NotText => say(format!("{name} no es un fichero de laboratorio: no es texto UTF-8"))
            .hint("nslab topology bridged > lab.yaml crea uno con el que empezar"),
        FileFault::Write(errno) => say(format!("no se puede escribir {name}: {}", reason(*errno))),
    }
}

fn unknown(what: Thing, word: &str, candidates: &[String]) -> Message {
    let message = say(format!("no hay {} {}", no(what), quoted(word)));
    match (candidates, what) {
        ([], Thing::Lab | Thing::Node | Thing::Point) => {
            message.why("No hay ningún laboratorio en marcha.").hint("nslab up bridged")
        }
        ([], Thing::Remote) => message.why("No se conoce ninguno.").hint("nslab remote add NOMBRE TOKEN"),
        ([], Thing::Topology) => message.hint("nslab topology las muestra; un fichero se escribe ./FILE o FILE.yaml"),
        ([], _) => message,
        ([one], _) => message.hint(format!("¿quería decir {}?", quoted(one))),
        _ => message.why(format!("Hay: {}", listed(candidates))),
    }
}

fn ambiguous(what: Thing, word: &str, candidates: &[String]) -> Message {
    let several = match what {
        Thing::Topology | Thing::Network => "más de una",
        _ => "más de un",
    };
    let message = if word.is_empty() {
        say(format!("¿qué {}?", thing(what)))
    } else {
        say(format!("{} puede ser {several} {}", quoted(word), thing(what)))
    };
    message.why(format!("Podría ser: {}", listed(candidates))).hint("indique cuál")
}

/// Names in a row; of many the first ones.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let row: Vec<_> = names.iter().take(SHOWN).map(|name| escape(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => row.join(", "),
        more => format!("{} y {more} más", row.join(", ")),
    }
}

fn bad_name(what: Thing, word: &str, fault: &NameFault) -> Message {
    let message = say(format!("{} no vale como nombre de {}", quoted(word), thing(what)));
    match fault {
        NameFault::Empty => message.why("Está vacío."),
        NameFault::TooLong { len, max } => message.why(format!("Tiene {len} caracteres; caben {max} como mucho.")),
        NameFault::Character(c) => message.why(format!(
            "Un nombre empieza por una letra a-z y sigue con a-z 0-9 _ -; {} no puede estar ahí.",
            quoted(&c.to_string())
        )),
        NameFault::Reserved => message.why("Esa palabra tiene un significado propio."),
    }
}

fn not_root(command: &str) -> Message {
    say("esto necesita ser root")
        .why("Los laboratorios se hacen con network namespaces y montajes, que el kernel solo deja tocar a root.")
        .hint(format!("sudo {command}"))
        .hint(format!(
            "unshare -Urnm      abre un shell en el que se es root de laboratorios propios, sin sudo; en él: {command}"
        ))
}

pub(super) fn foreign(path: &Path, owner: &Owner) -> Message {
    const OWN_LABS: &str = "unshare -Urnm      abre un shell con laboratorios propios, aparte de esos";
    let path = shown(path);
    match owner {
        Owner::Root => say(format!("{path} es de root"))
            .why("Los laboratorios que hay ahí solo los cambia root.")
            .hint("sudo nslab ... los maneja")
            .hint(OWN_LABS),
        Owner::User(name) => say(format!("{path} es del usuario {}", escape(name)))
            .why("nslab ni usa ni elimina lo que ha creado otro usuario.")
            .hint(format!("pregunte a {} por ello", escape(name)))
            .hint(OWN_LABS),
        Owner::Outside => say(format!("{path} es de alguien de fuera de este user namespace"))
            .why("nslab ni usa ni elimina lo que ha creado otro usuario.")
            .hint(OWN_LABS),
    }
}

fn feature(feature: Feature) -> &'static str {
    match feature {
        Feature::Overlay => "sistemas de ficheros overlay",
        Feature::SandboxNamespaces => "namespaces de PID, montaje, UTS e IPC",
        Feature::MountCalls => "open_tree y mount_setattr",
        Feature::NetworkNamespaces => "network namespaces",
        Feature::Bridge => "bridges",
        Feature::Veth => "interfaces veth",
    }
}

fn machine(limit: &Limit) -> Message {
    match limit {
        Limit::Feature(what) => {
            let message = say(format!("este kernel no tiene {} ({})", feature(*what), what.symbol()));
            match what {
                Feature::Overlay => message.hint("nslab exec --real-root usa los ficheros de la propia máquina"),
                _ => message.hint("nslab doctor dice lo que esta máquina puede hacer"),
            }
        }
        Limit::Sysctl(name) => {
            // The kernel's own defaults: 100000 mounts, files by memory.
            let more = if name.starts_with("fs.") { 1_000_000 } else { 65_536 };
            say(format!("el kernel no permite más: se ha alcanzado {name}")).hint(format!("sudo sysctl {name}={more}"))
        }
        Limit::OpenFiles => {
            say("se permiten muy pocos ficheros abiertos (RLIMIT_NOFILE)").hint("ulimit -n 4096, y después otra vez")
        }
        Limit::Capability(name) => say(format!("a root le falta {name} aquí"))
            .why("Se lo ha quitado un contenedor, un gestor de servicios o AppArmor.")
            .hint("nslab doctor dice más; si no, ejecute nslab fuera, o dé --privileged al contenedor"),
        Limit::MountNamespace => say("este user namespace no tiene un mount namespace propio")
            .why("nslab necesita un sitio donde guardar sus namespaces.")
            .hint("unshare -Urnm, y después otra vez"),
        Limit::Mounting => say("aquí no se puede montar ningún sistema de ficheros, ni siendo root")
            .why("Lo prohíbe AppArmor, SELinux o el filtro seccomp de un contenedor.")
            .hint("nslab doctor dice más; si no, ejecute nslab fuera, con sudo, o dé --privileged al contenedor"),
        Limit::Space(path) => say(format!("no queda espacio en {}", shown(path))).hint(format!("df -h {}", shown(path))),
        Limit::Memory => say("se ha agotado la memoria").hint("haga más pequeño el laboratorio, o cierre algo"),
    }
}

fn kernel(error: &KernelError) -> Message {
    let place = error.node.as_ref().map(|node| format!("{}: ", escape(node))).unwrap_or_default();
    let message = say(format!("{place}{}: {}", escape(&error.tried), reason(error.errno)));
    match &error.said {
        Some(said) => message.why(format!("El kernel dice: {}", escape(said))),
        None => message,
    }
    .hint("nslab doctor dice lo que esta máquina puede hacer")
}

fn busy(lab: Option<&str>, holder: Option<&(i32, String)>) -> Message {
    let what = lab.map_or_else(|| "nslab está ocupado".to_owned(), |lab| format!("el laboratorio {} está ocupado", quoted(lab)));
    match holder {
        Some((pid, command)) => say(what).why(format!("El proceso {pid} trabaja en él: {}", escape(command))),
        None => say(what).why("Otro nslab trabaja en él."),
    }
    .hint("espere a que termine y vuelva a intentarlo")
}

fn journal(lab: &str, why: &JournalFault) -> Message {
    let message = match why {
        JournalFault::Damaged => say(format!("el registro del laboratorio {} está dañado", quoted(lab))),
        JournalFault::Newer(format, version) => {
            say(format!("un nslab más reciente ({}) hizo el laboratorio {}", escape(version), quoted(lab)))
                .why(format!("Su registro tiene el formato {format}, que este nslab no sabe leer."))
        }
    };
    message.hint(format!("nslab down {} lo termina de todos modos", escape(lab)))
}

fn remains(all: &[Left]) -> Message {
    let lines: Vec<String> = all.iter().map(left).collect();
    say("no se ha podido eliminar todo")
        .why(lines.join("\n  "))
        .hint("termine o elimine eso a mano, y después nslab down otra vez")
}

fn left(left: &Left) -> String {
    match left {
        Left::Process(pid, command) => format!("el proceso {pid} no termina: {}", escape(command)),
        Left::Path(path, errno) => format!("{}: {}", shown(path), reason(*errno)),
        Left::NotRestored(what, errno) => format!("no se puede devolver {}: {}", escape(what), reason(*errno)),
        Left::Suspect(name) => {
            format!("{0} parece del laboratorio, pero su registro se ha perdido; si lo es: sudo ip link del {0}", escape(name))
        }
        Left::Borrowed(what) => format!("{} era prestado; ya no se sabe cómo estaba antes", escape(what)),
    }
}

fn command_fault(command: &str, errno: i32) -> Message {
    if errno == libc::ENOENT {
        say(format!("no se encuentra {} en el nodo", quoted(command)))
            .why("Los nodos ven los programas de la propia máquina.")
            .hint("instálelo en esta máquina")
    } else {
        say(format!("no se puede ejecutar {}: {}", quoted(command), reason(errno)))
    }
}

fn wrong_use(usage: &Usage) -> Message {
    match usage {
        Usage::Format { format, takes } => say(format!("este comando no tiene --format {format}"))
            .why(format!("Tiene: {}.", takes.join(", ")))
            .hint(format!("--format {}", takes.first().unwrap_or(&"text"))),
        Usage::Ending { file, endings } => say(format!("el nombre {} no dice qué escribir", shown(file)))
            .hint(format!("un nombre que termine en {}, o --format", endings.join(" "))),
        Usage::NeedsAnswer(flag) => {
            say("hay que responder a una pregunta, pero no hay terminal donde hacerla").hint(format!("añada {flag} si es lo que quiere"))
        }
        Usage::LabNamedLikeHost(name) => say(format!("{} es el nombre de un host de este laboratorio", quoted(name)))
            .why("Un laboratorio y sus hosts tienen nombres distintos, para que cada palabra signifique una sola cosa.")
            .hint("elija otro --name"),
        Usage::NothingUp => say("no hay ningún laboratorio en marcha").hint("nslab up bridged"),
        Usage::NotUp(lab) => {
            say(format!("el laboratorio {} no está en marcha", quoted(lab))).hint("nslab list muestra los que lo están")
        }
        Usage::NamedLikeHost(name) => say(format!("{} es el nombre de un host de este laboratorio", quoted(name)))
            .why("Una palabra de la línea de comandos debe significar una sola cosa.")
            .hint("tome otro --name"),
        Usage::InsideNode(node) => say(format!("este shell está dentro de {}", escape(node)))
            .why("Al desmontar un laboratorio se cierran todos sus shells.")
            .hint("escriba exit, y después el comando otra vez"),
        Usage::OtherTopology(lab, topology) => {
            say(format!("hay un laboratorio {} en marcha, hecho a partir de {}", quoted(lab), escape(topology)))
                .hint(format!("nslab down {lab}, o dé otro nombre al nuevo con --name"))
        }
        Usage::NoAddress(node, version) => {
            let which = version.map_or_else(|| "IP".to_owned(), |version| format!("IPv{version}"));
            say(format!("{} no tiene ninguna dirección {which} a la que hacer ping", escape(node)))
                .hint(format!("nslab show {}", escape(node)))
        }
        Usage::NothingToCheck(lab) => {
            say(format!("no hay nada que comprobar: {} no tiene puntos de control; use --against", escape(lab)))
                .hint(format!("nslab check {} --against bridged", escape(lab)))
                .hint(format!("nslab check {} --against routed", escape(lab)))
        }
        Usage::NoCheckpoints(topology) => {
            say(format!("{} no tiene puntos de control, así que no sirve para comprobar nada", escape(topology)))
                .hint("nslab check --against bridged, o un fichero con puntos de control")
        }
        Usage::NotAnAddress(word) => say(format!("{} no es ni una dirección ni un nodo", quoted(word))).why(
            "Una dirección es como 10.0.0.21 o fd00::21, sin longitud de prefijo; los nombres de los nodos empiezan por una letra.",
        ),
        Usage::NotOneNode(address) => say(format!("{} no es la dirección de un solo nodo", escape(address)))
            .why("Un paquete a una dirección multicast o de broadcast no tiene un único camino.")
            .hint("ponga la dirección de un nodo; nslab show NODE las muestra"),
        Usage::NeedsInterface(address) => {
            say(format!("{} es link-local: sin un interfaz no significa nada", escape(address)))
                .hint(format!("{}%eth0, con el interfaz de quien envía", escape(address)))
        }
        Usage::Terminal => {
            say("un terminal no puede mostrar pcapng").hint("-w FILE, o una tubería: -w - | wireshark -k -i -")
        }
        Usage::NoPoint => {
            say("¿dónde escuchar?").hint("nslab capture NODE, NODE.INTERFACE, NETWORK o all; después, un filtro")
        }
        Usage::PointsInSeveralLabs(labs) => say(format!("los puntos están en varios laboratorios: {}", listed(labs)))
            .why("Una captura observa un solo laboratorio.")
            .hint("una captura para cada uno"),
        Usage::PointOrFilter(word, exact) => say(format!("{} es un punto y también una palabra de los filtros", quoted(word)))
            .hint(format!("el punto: nslab capture {} ...", escape(exact)))
            .hint(format!("el filtro: nslab capture POINT -- {} ...", escape(word))),
        Usage::NotEthernet(point) => say(format!("{} no lleva tramas Ethernet", quoted(point))),
        Usage::NothingToKeep(lab) => say(format!("ningún cambio de tarjeta espera confirmación en {}", quoted(lab))).hint(format!("nslab status {} dice cómo está", escape(lab))),
        Usage::Option(option, takes) => say(option_fault(option, *takes)),
    }
}

fn option_fault(option: &str, takes: Takes) -> String {
    match takes {
        Takes::Ipv4 => format!("{option} necesita una dirección IPv4 o un nodo"),
        Takes::Ipv6 => format!("{option} necesita una dirección IPv6 o un nodo"),
        Takes::RecordRoute => format!("{option} necesita una dirección IPv4: IPv6 no tiene opción record route"),
        Takes::AsLxc => format!("{option} necesita al lado --as lxc"),
    }
}
