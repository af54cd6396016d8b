//! Sentences about remotes.

use super::errors::reason;
use super::quoted;
use crate::error::RemoteFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::remote::Outcome;

pub(super) fn fault(fault: &RemoteFault) -> Message {
    match fault {
        RemoteFault::Unreachable { remote, address, errno } => {
            let message = say(format!("no se llega a {} en {}: {}", escape(remote), escape(address), reason(*errno)));
            if address.starts_with('/') {
                message.why("Allí no escucha ningún agente ni LXD.")
            } else {
                message
                    .why(
                        "No está en marcha, o no se llega a su dirección desde aquí; a la de un host, solo desde su laboratorio.",
                    )
                    .hint("sudo nslab shell host-a, y dentro otra vez la orden")
            }
        }
        RemoteFault::Handshake { remote, address, why } => {
            say(format!("{} en {} no habla TLS 1.3: {}", escape(remote), escape(address), escape(why)))
                .why("Los agentes y LXD suelen escuchar en el puerto 8443.")
        }
        RemoteFault::Changed { remote, old, new } => {
            say(format!("el certificado de {} ha cambiado; no se le ha dicho nada", escape(remote)))
                .why(format!("Era   {old}\n  y ahora {new}"))
                .hint(format!("si es correcto: nslab remote remove {}, y nslab remote add con un token nuevo", escape(remote)))
        }
        RemoteFault::Untrusted(remote) => say(format!("{} no confía en este cliente", escape(remote)))
            .hint("en el otro host, nslab agent token --name CLIENTE o lxc config trust add --name CLIENTE dan un token")
            .hint(format!("nslab remote add {} TOKEN", escape(remote))),
        RemoteFault::Refused { remote, text, .. } => say(format!("{} dice: {}", escape(remote), escape(text))),
        RemoteFault::NoApi(remote) => say(format!("{} no responde como LXD, Incus o un agente", escape(remote))),
        RemoteFault::Cut(remote) => say(format!("{} cerró la conexión antes de terminar el trabajo", escape(remote))),
        RemoteFault::NoToken(word) => say(format!("{} no es un token ni una dirección", quoted(word)))
            .why("Un token es una sola palabra larga que da el otro host."),
        RemoteFault::Exists(name) => {
            say(format!("ya hay un remoto {}", quoted(name))).hint(format!("nslab remote remove {}, u otro nombre", escape(name)))
        }
        RemoteFault::Store { file, errno } => {
            say(format!("no se puede usar {}: {}", escape(&file.display().to_string()), reason(*errno)))
        }
        RemoteFault::Damaged(file) => say(format!("{} está dañado", escape(&file.display().to_string())))
            .why("Ahí se guardan los remotos y la clave y el certificado de este cliente.")
            .hint("repárelo o bórrelo, y después nslab remote add"),
    }
}

pub(super) fn question(address: &str, fingerprint: &str) -> String {
    format!("{} tiene el certificado {fingerprint}. ¿Es el correcto? [s/N]", escape(address))
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Added { remote, address } => format!("{} es un remoto en {}.", escape(remote), escape(address)),
        Outcome::Declined { remote } => format!("{} no se ha añadido.", escape(remote)),
        Outcome::Removed { remote } => format!("{} ya no es un remoto.", escape(remote)),
        Outcome::Launched { remote, name } => format!("{}:{} está en marcha.", escape(remote), escape(name)),
        Outcome::Started { remote, name } => format!("{}:{} ha arrancado.", escape(remote), escape(name)),
        Outcome::Stopped { remote, name } => format!("{}:{} se ha parado.", escape(remote), escape(name)),
        Outcome::Restarted { remote, name } => format!("{}:{} ha vuelto a arrancar.", escape(remote), escape(name)),
        Outcome::Deleted { remote, name } => format!("{}:{} se ha borrado.", escape(remote), escape(name)),
    }
}

pub(super) fn no_remotes() -> String {
    "No se conoce ningún remoto. El otro host da un token: nslab remote add NOMBRE TOKEN.".to_owned()
}

pub(super) fn no_instances(remote: &str) -> String {
    format!("{} no tiene contenedores.", escape(remote))
}
