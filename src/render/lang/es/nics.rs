//! Sentences about the machine's own NICs.

use super::quoted;
use crate::error::{Refusal, Rollback};
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::lab::{Foreign, Keep, LeftAlone, Nics, Trust};
use crate::report::nic::{Changes, Wiring};

pub(super) fn refused(nic: &str, why: &[Refusal]) -> Message {
    let reasons: Vec<String> = why.iter().map(reason).collect();
    let message = say(format!("nslab no toca la tarjeta {}", quoted(nic))).why(reasons.join("\n  "));
    if why.iter().any(|why| why.allow().is_none()) {
        return message.hint("elija otra tarjeta: --nic NAME");
    }
    let flags: Vec<&str> = why.iter().filter_map(Refusal::allow).map(crate::error::Allow::word).collect();
    let leaves = |why: &Refusal| match why {
        Refusal::Managed(service, pid) => Some(service.leave(nic, *pid).join(" && ")).filter(|cure| !cure.is_empty()),
        _ => None,
    };
    let message = why.iter().filter_map(leaves).fold(message.hint("elija otra tarjeta: --nic NAME"), Message::hint);
    message.hint(format!("o añada --allow {} si es lo que quiere", flags.join(",")))
}

fn reason(why: &Refusal) -> String {
    match why {
        Refusal::Loopback => "Es la interfaz de bucle local.".to_owned(),
        Refusal::Port(master) => format!("Es un puerto de {}, que no es de nslab.", escape(master)),
        Refusal::DefaultRoute(route) => format!("Por ella va una ruta por defecto: {}.", escape(route)),
        Refusal::Ssh(client) => format!("Su sesión SSH entra por ella, desde {client}."),
        Refusal::Address(address) => {
            format!("Tiene la dirección {}, que pasaría al puente.", escape(address))
        }
        Refusal::Wifi => "Es inalámbrica: los puntos de acceso descartan las tramas de los contenedores.".to_owned(),
        Refusal::Managed(service, pid) => {
            let process = pid.map_or(String::new(), |pid| format!(" (proceso {pid})"));
            format!("La configura {}{process}, y puede volver a hacerlo en cualquier momento.", service.name())
        }
    }
}

pub(super) fn rolled_back(lab: &str, why: &Rollback) -> Message {
    say(format!("se ha deshecho el cambio en las tarjetas de esta máquina, y con él {}", quoted(lab)))
        .why(cause(why))
        .hint(format!("nslab status {} dice más, nslab up lo hace otra vez", escape(lab)))
}

fn cause(why: &Rollback) -> String {
    match why {
        Rollback::Unconfirmed(seconds) => format!("Nadie escribió nslab keep en {seconds} s."),
        Rollback::Cut => "El nslab que lo hacía terminó a medias.".to_owned(),
        Rollback::NotSo(fact) => format!("Esto no llegó a cumplirse: {}", escape(fact)),
        Rollback::Silent(neighbours) => {
            let all: Vec<String> = neighbours.iter().map(ToString::to_string).collect();
            format!("Dejaron de responder vecinos que antes respondían: {}.", all.join(", "))
        }
    }
}

pub(super) fn confirm(lab: &str, seconds: u64) -> Vec<String> {
    vec![
        format!("Puede que se llegue a esta máquina por la tarjeta que cambió. Entre de nuevo antes de {seconds} s y escriba:"),
        format!("  sudo nslab keep {lab}"),
        "Si no, todo vuelve solo a como estaba.".to_owned(),
    ]
}

pub(super) fn kept(keep: &Keep) -> String {
    format!("{} se queda como está; nslab down {} devuelve la tarjeta.", escape(&keep.lab), escape(&keep.lab))
}

pub(super) fn borrowed(nics: &Nics) -> String {
    let names: Vec<_> = nics.names.iter().map(|name| escape(name)).collect();
    let names = names.join(", ");
    match (nics.state, &nics.why) {
        (Trust::Applying, _) => format!("Se está cambiando {names}."),
        (Trust::Waiting, _) => format!("El cambio de {names} espera a nslab keep, o se deshace solo."),
        (Trust::Kept, _) => format!("Ha tomado prestada {names}; nslab down la devuelve."),
        (Trust::RolledBack, Some(why)) => format!("{names} volvió a como estaba. {}", cause(why)),
        (Trust::RolledBack, None) => format!("{names} volvió a como estaba."),
    }
}

pub(super) fn alone(alone: &LeftAlone) -> String {
    let (nic, text) = (escape(alone.nic.as_deref().unwrap_or_default()), escape(&alone.text));
    match alone.what {
        Foreign::Gone => format!("Alguien quitó {nic}; no había nada que devolver."),
        Foreign::Master => format!("Alguien hizo de {nic} un puerto de {text}; se queda así."),
        Foreign::Mtu => format!("Alguien dio a {nic} la MTU {text}; se queda así."),
        Foreign::Down => format!("Alguien apagó {nic}; se queda así."),
        Foreign::Added => format!("Alguien añadió {text} a {nic}; se queda."),
        Foreign::Removed => format!("Alguien quitó {text} de {nic}; no vuelve."),
        Foreign::Setting => format!("Alguien puso {text}; se queda así."),
    }
}

pub(super) fn changes(changes: &Changes) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &changes.nics {
        lines.push(format!("{} ahora: {}", change.nic, wiring(&change.now)));
        lines.push(format!("{} después: {}", change.nic, wiring(&change.then)));
        match &change.allow {
            Some(flags) if flags.is_empty() => {}
            Some(flags) => lines.push(format!("{} necesita --allow {}", change.nic, flags.join(","))),
            None => lines.push(format!("{}: nslab no la toca", change.nic)),
        }
    }
    lines.extend(
        changes.settings.iter().map(|setting| format!("{} ahora: {}, después: {}", setting.name, setting.now, setting.then)),
    );
    lines
}

fn wiring(wiring: &Wiring) -> String {
    let mut said = vec![if wiring.up { "activa" } else { "inactiva" }.to_owned(), format!("MTU {}", wiring.mtu)];
    said.extend(wiring.master.as_ref().map(|master| format!("puerto de {master}")));
    said.push(if wiring.addresses.is_empty() { "sin direcciones".to_owned() } else { wiring.addresses.join(", ") });
    if !wiring.routes.is_empty() {
        said.push(format!("rutas {}", wiring.routes.join(", ")));
    }
    said.join("; ")
}
