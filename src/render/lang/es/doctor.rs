//! Sentences of the doctor.

use super::errors::foreign;
use super::{count, quoted};
use crate::render::escape::escape;
use crate::render::lang::Message;
use crate::report::doctor::{Ability, Doctor, Finding, Leftover, LimitName, Rights, Unseen};

pub(super) fn rights(rights: Rights) -> &'static str {
    match rights {
        Rights::Root => "root de la máquina",
        Rights::UserNamespace => "root de un user namespace",
        Rights::Restricted => "root sin los permisos que necesitan los laboratorios",
        Rights::None => "sin ser root: sudo nslab, o antes unshare -Urnm",
    }
}

pub(super) fn ability(ability: Ability) -> &'static str {
    match ability {
        Ability::NetworkNamespaces => "network namespaces",
        Ability::SandboxNamespaces => "namespaces de PID, montaje, UTS e IPC",
        Ability::Veth => "pares de veth",
        Ability::Bridge => "bridges",
        Ability::Ipv6 => "IPv6",
        Ability::Overlay => "montajes overlay",
        Ability::Tun => "tun y tap",
        Ability::Vlan => "VLANs (802.1Q)",
        Ability::Vxlan => "VXLAN",
        Ability::Macvlan => "macvlan",
        Ability::Vrf => "VRF",
        Ability::PacketSockets => "sockets de paquetes",
    }
}

pub(super) fn limit(limit: LimitName) -> &'static str {
    match limit {
        LimitName::NetNamespaces => "user.max_net_namespaces",
        LimitName::Mounts => "fs.mount-max",
        LimitName::OpenFiles => "ficheros abiertos (ulimit -n)",
        LimitName::Neighbours => "net.ipv4.neigh.default.gc_thresh3",
        LimitName::Memory => "memoria disponible, en bytes",
    }
}

fn message(what: impl Into<String>, why: &str, hints: &[&str]) -> Message {
    let hints = hints.iter().map(|&hint| hint.to_owned()).collect();
    Message { what: what.into(), why: Some(why.to_owned()), hints }
}

pub(super) fn finding(finding: &Finding) -> Message {
    match finding {
        Finding::AppArmorUserns => message(
            "AppArmor niega los user namespaces a los programas que no conoce (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu)",
            "`unshare -Urnm` da un root que no puede hacer nada; a `sudo nslab` no le afecta.",
            &[
                "sudo nslab ... en su lugar",
                "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0   hasta el próximo arranque, para todos los programas",
                "un perfil con `userns,` para /usr/bin/unshare en /etc/apparmor.d   solo para ese programa",
            ],
        ),
        Finding::UsernsClone => message(
            "solo root puede crear user namespaces (kernel.unprivileged_userns_clone=0)",
            "`unshare -Urnm` falla; a `sudo nslab` no le afecta.",
            &["sudo sysctl kernel.unprivileged_userns_clone=1"],
        ),
        Finding::FewUserNamespaces { value } => message(
            format!("user.max_user_namespaces vale {value}"),
            "`unshare -Urnm` falla cuando se han gastado; a `sudo nslab` no le afecta.",
            &["sudo sysctl user.max_user_namespaces=65536"],
        ),
        Finding::BridgeNetfilter => message(
            "los filtros de paquetes de esta máquina ven las tramas de los bridges (br_netfilter)",
            "Tal como están no descartan ninguna de un laboratorio. Un firewall o docker que arranque después puede hacerlo: nslab doctor lo dirá.",
            &[],
        ),
        Finding::Forwarding { lab: Some(lab) } => message(
            "esta máquina reenvía paquetes (net.ipv4.ip_forward=1)",
            &format!(
                "Lo necesita el laboratorio {}, en el que esta máquina es un router; nslab down lo deja como estaba.",
                quoted(lab)
            ),
            &[],
        ),
        Finding::Forwarding { lab: None } => message(
            "esta máquina reenvía paquetes (net.ipv4.ip_forward=1)",
            "Cada nodo de un laboratorio en una sola máquina tiene su propio ajuste. Con --role esta máquina es un host del laboratorio, y \
             reenvía también donde el fichero dice que el host no lo hace.",
            &[],
        ),
        Finding::FallbackDevices { names } => message(
            format!(
                "todo network namespace nuevo tiene {} (los fallback devices de los módulos de túneles del kernel)",
                listed(names)
            ),
            "También los tiene cada nodo de un laboratorio. Están apagados y no transportan nada; nslab ni los cuenta ni los dibuja, y nadie puede borrarlos.",
            &[],
        ),
        Finding::Capability { name } => message(
            format!("a root le falta {name}"),
            "Se lo ha quitado un contenedor o un gestor de servicios; no se puede hacer ningún laboratorio.",
            &["ejecute nslab fuera, o dé --privileged al contenedor"],
        ),
        Finding::SmallNeighbourTable { value } => message(
            format!("la máquina guarda {value} vecinos como mucho (net.ipv4.neigh.default.gc_thresh3)"),
            "Los comparten todos los laboratorios. Cuando hablan entre sí muchos contenedores, los pings fallan con «neighbor table overflow».",
            &["sudo sysctl net.ipv4.neigh.default.gc_thresh3=65536"],
        ),
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| escape(name)).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} y {last}", rest.join(", ")),
        names => names.concat(),
    }
}

pub(super) fn leftover(leftover: &Leftover) -> Message {
    match leftover {
        Leftover::Stale { lab } => message(
            format!("el laboratorio {} es de antes del último arranque", quoted(lab)),
            "Solo queda su registro.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::Unfinished { lab } => message(
            format!("el laboratorio {} está a medio hacer", quoted(lab)),
            "Se interrumpió un up o un down.",
            &[&format!("nslab up {0} lo completa, nslab down {0} lo elimina", escape(lab))],
        ),
        Leftover::Forgotten { lab } => message(
            format!("el laboratorio {} lo hizo nslab para sí mismo y sigue en marcha", quoted(lab)),
            "A ese nslab lo mataron antes de que lo desmontara.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::NoJournal { lab } => message(
            format!("hay namespaces de un laboratorio {} sin registro", quoted(lab)),
            "Su registro se ha borrado o está dañado.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::Foreign { path, owner } => foreign(path, owner),
        Leftover::DeadLink { path } => message(
            format!("{} no lleva a ninguna parte", escape(&path.display().to_string())),
            "Es el nombre de un namespace que ya no existe.",
            &[&format!("rm {}", escape(&path.display().to_string()))],
        ),
    }
}

pub(super) fn unseen(unseen: Unseen) -> String {
    match unseen {
        Unseen::Features => "Sin ser root no se ha probado lo que puede el kernel: sudo nslab doctor".to_owned(),
        Unseen::Interference => "Sin ser root no se han leído los filtros de paquetes: sudo nslab doctor".to_owned(),
        Unseen::Leftovers => "Sin ser root no se han leído los registros de los laboratorios: sudo nslab doctor".to_owned(),
    }
}

pub(super) fn verdict(doctor: &Doctor) -> String {
    let broken = doctor.features.iter().filter(|feature| feature.needed && feature.works == Some(false)).count();
    match (broken, doctor.rights) {
        (0, Rights::None) => "Nada de lo visto impide hacer laboratorios aquí; como root se puede ver más.".to_owned(),
        (0, Rights::Restricted) => "Aquí no se puede hacer ningún laboratorio: a root le faltan permisos.".to_owned(),
        (0, _) if doctor.is_occupied() => "Aquí no se puede hacer ningún laboratorio: su sitio es de otro usuario.".to_owned(),
        (0, _) => "Los laboratorios funcionan aquí.".to_owned(),
        _ => format!(
            "Aquí no se puede hacer ningún laboratorio: {}.",
            count(broken, "función necesaria falta", "funciones necesarias faltan")
        ),
    }
}
