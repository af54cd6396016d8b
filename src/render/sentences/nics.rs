//! Sentences about the machine's own NICs.

use crate::error::{Allow, Refusal, Rollback, Service};
use crate::name::IfName;
use crate::render::lang::{Lang, Message, quoted, say, t, w};
use crate::report::lab::{Foreign, LeftAlone, Nics, Trust};
use crate::report::nic::{Changes, Wiring};

/// Why a NIC is not borrowed.
pub fn refused(lang: Lang, nic: &str, why: &[Refusal]) -> Message {
    let reasons: Vec<String> = why.iter().map(|why| reason(lang, why)).collect();
    let message = say(t!(lang, "nslab leaves the NIC {nic} alone", nic = quoted(lang, nic)))
        .why(reasons.join("\n  "))
        .hint(w!(lang, "take another NIC: --nic NAME"));
    if why.iter().any(|why| why.allow().is_none()) {
        return message;
    }
    let flags: Vec<String> = why.iter().filter_map(Refusal::allow).map(Allow::word).collect();
    let leaves = |why: &Refusal| match why {
        Refusal::Managed(service, pid) => Some(service.leave(nic, *pid).join(" && ")).filter(|cure| !cure.is_empty()),
        _ => None,
    };
    let message = why.iter().filter_map(leaves).fold(message, Message::hint);
    message.hint(t!(lang, "or add --allow {flags} if you mean it", flags = flags.join(",")))
}

fn reason(lang: Lang, why: &Refusal) -> String {
    match why {
        Refusal::Loopback => t!(lang, "It is the loopback interface."),
        Refusal::Port(master) => t!(lang, "It is a port of {master}, which is not nslab's.", master),
        Refusal::DefaultRoute(route) => t!(lang, "It carries a default route: {route}.", route),
        Refusal::Ssh(client) => t!(lang, "Your SSH session comes in by it, from {client}.", client),
        Refusal::Address(address) => t!(lang, "It has the address {address}, which would move to the bridge.", address),
        Refusal::Wifi => t!(lang, "It is wireless: access points drop the frames of containers."),
        Refusal::Managed(manager, pid) => {
            let service = service(lang, *manager, *pid);
            t!(lang, "{service} configures it, and may do so again at any time.", service)
        }
    }
}

/// A service that configures NICs, with its process where one is known.
pub fn service(lang: Lang, service: Service, pid: Option<i32>) -> String {
    match pid {
        Some(pid) => t!(lang, "{service} (process {pid})", service = service.name(), pid),
        None => service.name().to_owned(),
    }
}

/// That a change of NICs was taken back, and why.
pub fn rolled_back(lang: Lang, lab: &str, why: &Rollback) -> Message {
    let name = quoted(lang, lab);
    say(t!(lang, "the change of this machine's NICs was taken back, and {name} with it", name)).why(cause(lang, why)).hint(t!(
        lang,
        "nslab status {lab} tells more, nslab up makes it once more",
        lab
    ))
}

fn cause(lang: Lang, why: &Rollback) -> String {
    match why {
        Rollback::Unconfirmed(seconds) => t!(lang, "Nobody typed nslab keep within {seconds} s.", seconds),
        Rollback::Cut => t!(lang, "The nslab that made it ended half way."),
        Rollback::NotSo(fact) => t!(lang, "This did not come true: {fact}", fact),
        Rollback::Silent(neighbours) => {
            let all: Vec<String> = neighbours.iter().map(ToString::to_string).collect();
            t!(lang, "Neighbours that answered before no longer did: {neighbours}.", neighbours = all.join(", "))
        }
    }
}

/// How a change of NICs is confirmed, and in how many seconds.
pub fn confirm(lang: Lang, lab: &str, seconds: u64) -> Vec<String> {
    vec![
        t!(lang, "This machine may be reached by the NIC that changed. Log in anew within {seconds} s and type there:", seconds),
        format!("  sudo nslab keep {lab}"),
        t!(lang, "Without that, everything is put back by itself."),
    ]
}

/// Which NICs a lab has borrowed.
pub fn borrowed(lang: Lang, nics: &Nics) -> String {
    let names = nics.names.iter().map(IfName::as_str).collect::<Vec<_>>().join(", ");
    match (nics.state, &nics.why) {
        (Trust::Applying, _) => t!(lang, "A change of {names} is under way.", names),
        (Trust::Waiting, _) => t!(lang, "The change of {names} waits for nslab keep, or is taken back by itself.", names),
        (Trust::Kept, _) => t!(lang, "It has borrowed {names}; nslab down puts that back.", names),
        (Trust::RolledBack, Some(why)) => t!(lang, "{names} was put back. {cause}", names, cause = cause(lang, why)),
        (Trust::RolledBack, None) => t!(lang, "{names} was put back.", names),
    }
}

/// What `down` has left as somebody else has made it.
pub fn alone(lang: Lang, alone: &LeftAlone) -> String {
    let (nic, text) = (alone.nic.as_ref().map_or("", IfName::as_str), &alone.text);
    match alone.what {
        Foreign::Gone => t!(lang, "Somebody took {nic} away; there was nothing to put back.", nic),
        Foreign::Master => t!(lang, "Somebody made {nic} a port of {bridge}; it stays so.", nic, bridge = text),
        Foreign::Mtu => t!(lang, "Somebody gave {nic} the MTU {mtu}; it stays so.", nic, mtu = text),
        Foreign::Down => t!(lang, "Somebody switched {nic} off; it stays so.", nic),
        Foreign::Added => t!(lang, "Somebody added {text} to {nic}; it stays.", text, nic),
        Foreign::Removed => t!(lang, "Somebody removed {text} from {nic}; it stays gone.", text, nic),
        Foreign::Setting => t!(lang, "Somebody set {setting}; it stays so.", setting = text),
    }
}

/// What would become of the machine's NICs, line by line.
pub fn changes(lang: Lang, changes: &Changes) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &changes.nics {
        let nic = &change.nic;
        lines.push(t!(lang, "{nic} now: {wiring}", nic, wiring = wiring(lang, &change.now)));
        lines.push(t!(lang, "{nic} then: {wiring}", nic, wiring = wiring(lang, &change.then)));
        match &change.allow {
            Some(flags) if flags.is_empty() => {}
            Some(flags) => lines.push(t!(lang, "{nic} needs --allow {flags}", nic, flags = flags.join(","))),
            None => lines.push(t!(lang, "{nic}: nslab leaves it alone", nic)),
        }
    }
    for setting in &changes.settings {
        lines.push(t!(lang, "{name} now: {now}, then: {then}", name = setting.name, now = setting.now, then = setting.then));
    }
    lines
}

fn wiring(lang: Lang, wiring: &Wiring) -> String {
    let mut said = vec![state(lang, wiring.up).to_owned(), format!("MTU {}", wiring.mtu)];
    said.extend(wiring.master.as_ref().map(|bridge| t!(lang, "port of {bridge}", bridge)));
    said.push(if wiring.addresses.is_empty() { t!(lang, "no addresses") } else { wiring.addresses.join(", ") });
    if !wiring.routes.is_empty() {
        said.push(t!(lang, "routes {routes}", routes = wiring.routes.join(", ")));
    }
    said.join("; ")
}

/// Whether a NIC is administratively up.
pub fn state(lang: Lang, up: bool) -> &'static str {
    if up { w!(lang, ["NIC"] "up") } else { w!(lang, ["NIC"] "down") }
}
