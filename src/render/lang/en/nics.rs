//! Sentences about the machine's own NICs.

use super::quoted;
use crate::error::{Refusal, Rollback};
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::lab::{Foreign, Keep, LeftAlone, Nics, Trust};
use crate::report::nic::{Changes, Wiring};

pub(super) fn refused(nic: &str, why: &[Refusal]) -> Message {
    let reasons: Vec<String> = why.iter().map(reason).collect();
    let message = say(format!("nslab leaves the NIC {} alone", quoted(nic))).why(reasons.join("\n  "));
    if why.iter().any(|why| why.allow().is_none()) {
        return message.hint("take another NIC: --nic NAME");
    }
    let flags: Vec<&str> = why.iter().filter_map(Refusal::allow).map(crate::error::Allow::word).collect();
    let leaves = |why: &Refusal| match why {
        Refusal::Managed(service, pid) => Some(service.leave(nic, *pid).join(" && ")).filter(|cure| !cure.is_empty()),
        _ => None,
    };
    let message = why.iter().filter_map(leaves).fold(message.hint("take another NIC: --nic NAME"), Message::hint);
    message.hint(format!("or add --allow {} if you mean it", flags.join(",")))
}

fn reason(why: &Refusal) -> String {
    match why {
        Refusal::Loopback => "It is the loopback interface.".to_owned(),
        Refusal::Port(master) => format!("It is a port of {}, which is not nslab's.", escape(master)),
        Refusal::DefaultRoute(route) => format!("It carries a default route: {}.", escape(route)),
        Refusal::Ssh(client) => format!("Your SSH session comes in by it, from {client}."),
        Refusal::Address(address) => {
            format!("It has the address {}, which would move to the bridge.", escape(address))
        }
        Refusal::Wifi => "It is wireless: access points drop the frames of containers.".to_owned(),
        Refusal::Managed(service, pid) => {
            let process = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            format!("{}{process} configures it, and may do so again at any time.", service.name())
        }
    }
}

pub(super) fn rolled_back(lab: &str, why: &Rollback) -> Message {
    say(format!("the change of this machine's NICs was taken back, and {} with it", quoted(lab)))
        .why(cause(why))
        .hint(format!("nslab status {} tells more, nslab up makes it once more", escape(lab)))
}

fn cause(why: &Rollback) -> String {
    match why {
        Rollback::Unconfirmed(seconds) => format!("Nobody typed nslab keep within {seconds} s."),
        Rollback::Cut => "The nslab that made it ended half way.".to_owned(),
        Rollback::NotSo(fact) => format!("This did not come true: {}", escape(fact)),
        Rollback::Silent(neighbours) => {
            let all: Vec<String> = neighbours.iter().map(ToString::to_string).collect();
            format!("Neighbours that answered before no longer did: {}.", all.join(", "))
        }
    }
}

pub(super) fn confirm(lab: &str, seconds: u64) -> Vec<String> {
    vec![
        format!("This machine may be reached by the NIC that changed. Log in anew within {seconds} s and type there:"),
        format!("  sudo nslab keep {lab}"),
        "Without that, everything is put back by itself.".to_owned(),
    ]
}

pub(super) fn kept(keep: &Keep) -> String {
    format!("{} stays as it is; nslab down {} puts the NIC back.", escape(&keep.lab), escape(&keep.lab))
}

pub(super) fn borrowed(nics: &Nics) -> String {
    let names: Vec<_> = nics.names.iter().map(|name| escape(name)).collect();
    let names = names.join(", ");
    match (nics.state, &nics.why) {
        (Trust::Applying, _) => format!("A change of {names} is under way."),
        (Trust::Waiting, _) => format!("The change of {names} waits for nslab keep, or is taken back by itself."),
        (Trust::Kept, _) => format!("It has borrowed {names}; nslab down puts that back."),
        (Trust::RolledBack, Some(why)) => format!("{names} was put back. {}", cause(why)),
        (Trust::RolledBack, None) => format!("{names} was put back."),
    }
}

pub(super) fn alone(alone: &LeftAlone) -> String {
    let (nic, text) = (escape(alone.nic.as_deref().unwrap_or_default()), escape(&alone.text));
    match alone.what {
        Foreign::Gone => format!("Somebody took {nic} away; there was nothing to put back."),
        Foreign::Master => format!("Somebody made {nic} a port of {text}; it stays so."),
        Foreign::Mtu => format!("Somebody gave {nic} the MTU {text}; it stays so."),
        Foreign::Down => format!("Somebody switched {nic} off; it stays so."),
        Foreign::Added => format!("Somebody added {text} to {nic}; it stays."),
        Foreign::Removed => format!("Somebody removed {text} from {nic}; it stays gone."),
        Foreign::Setting => format!("Somebody set {text}; it stays so."),
    }
}

pub(super) fn changes(changes: &Changes) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &changes.nics {
        lines.push(format!("{} now: {}", change.nic, wiring(&change.now)));
        lines.push(format!("{} then: {}", change.nic, wiring(&change.then)));
        match &change.allow {
            Some(flags) if flags.is_empty() => {}
            Some(flags) => lines.push(format!("{} needs --allow {}", change.nic, flags.join(","))),
            None => lines.push(format!("{}: nslab leaves it alone", change.nic)),
        }
    }
    lines.extend(changes.settings.iter().map(|setting| format!("{} now: {}, then: {}", setting.name, setting.now, setting.then)));
    lines
}

fn wiring(wiring: &Wiring) -> String {
    let mut said = vec![if wiring.up { "up" } else { "down" }.to_owned(), format!("MTU {}", wiring.mtu)];
    said.extend(wiring.master.as_ref().map(|master| format!("port of {master}")));
    said.push(if wiring.addresses.is_empty() { "no addresses".to_owned() } else { wiring.addresses.join(", ") });
    if !wiring.routes.is_empty() {
        said.push(format!("routes {}", wiring.routes.join(", ")));
    }
    said.join("; ")
}
