//! Playing a host, in words: the machine's own NICs, and the halves of a lab on other machines.

use std::iter::{once, repeat};

use ipnet::IpNet;

use crate::error::{Allow, Card, Refusal, RoleFault, Rollback, Service, Using};
use crate::name::{IfName, NodeName};
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, quoted, t, w};
use crate::report::lab::{Answer, Foreign, Frames, Halves, LeftAlone, Mismatch, Nics, Played, Trust, Way};
use crate::report::machine::{Changes, Wiring};

/// What is wrong with a role.
pub fn fault(lang: Lang, fault: &RoleFault) -> Message {
    match fault {
        RoleFault::NoNic { host, nic, cards } => {
            Message::new(t!(lang, "no NIC of this machine is free for {nic} of {host}", nic, host))
                .why(having(lang, cards))
                .hint(w!(lang, "give the machine another NIC, on the internal network; or name one: --nic NAME"))
        }
        RoleFault::ManyNics { host, nic, cards } => {
            Message::new(t!(lang, "several NICs of this machine could be {nic} of {host}", nic, host))
                .why(having(lang, cards))
                .hint(w!(lang, "say which: --nic NAME"))
        }
        RoleFault::MissingNic { nic, cards } => Message::new(t!(lang, "this machine has no NIC {nic}", nic = quoted(lang, nic)))
            .why(having(lang, cards))
            .hint(w!(lang, "--nic with one of those")),
        RoleFault::WhichNic { host, nics } => {
            let each: Vec<String> = nics.iter().map(|nic| t!(lang, "--nic {nic}=NAME", nic)).collect();
            Message::new(t!(lang, "{host} has several NICs: {nics}", host, nics = nics.join(", ")))
                .why(w!(lang, "For each a NIC of this machine must be named."))
                .hint(each.join(" "))
        }
        RoleFault::TwiceNic(nic) => Message::new(t!(lang, "{nic} is named twice", nic = quoted(lang, nic)))
            .hint(w!(lang, "one --nic for each of the host's NICs")),
        RoleFault::Plugged { lab, nics } => {
            Message::new(t!(lang, "the lab {lab} has {nics} already", lab, nics = nics.join(", "))).hint(t!(
                lang,
                "nslab down {lab}, then up with the other NIC",
                lab
            ))
        }
        RoleFault::Reachable { subnet, known, dev } => Message::new(if subnet == known {
            t!(lang, "{subnet} is already reachable via {dev} on this machine", subnet, dev)
        } else {
            t!(lang, "{subnet} is already reachable via {dev} on this machine as part of {known}, or with it", subnet, dev, known)
        })
        .why(w!(lang, "Packets for the lab would leave by that interface."))
        .hint(w!(lang, "give the lab other addresses, or take that interface down")),
        RoleFault::Elsewhere { node, host, lab } => {
            Message::new(t!(lang, "{node} is on the other machine, which plays {host} in {lab}", node, host, lab))
                .hint(w!(lang, "type this there; from here it can be pinged, and traced to"))
        }
        RoleFault::Other { lab, now: Some(host) } => {
            Message::new(t!(lang, "this machine plays {host} in the lab {lab}", host, lab)).hint(t!(
                lang,
                "nslab down {lab}, then up with the other role",
                lab
            ))
        }
        RoleFault::Other { lab, now: None } => Message::new(t!(lang, "the whole lab {lab} is up on this machine", lab)).hint(t!(
            lang,
            "nslab down {lab}, then up with --role; or give this one another --name",
            lab
        )),
    }
}

/// That the machine's own default route stays, and which routes the lab gets instead.
pub fn kept_default(lang: Lang, routes: &[IpNet]) -> String {
    const SHOWN: usize = 4;
    let row = routes.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match routes.len() {
        0 => t!(lang, "this machine keeps its own default route; the lab needs no other."),
        1..=SHOWN => {
            t!(lang, "this machine keeps its own default route; the lab gets routes to {row} instead.", row)
        }
        all => t!(
            lang,
            "this machine keeps its own default route; the lab gets routes to {row} and {more} more instead.",
            row,
            more = all - SHOWN
        ),
    }
}

/// Which part of a lab is on which machine.
pub fn half(lang: Lang, half: &Played) -> String {
    let nic = |(name, real): &(IfName, IfName)| {
        if name == real { real.to_string() } else { t!(lang, "{real} ({name} in the file)", real, name) }
    };
    let host = &half.host;
    let nics = half.nics.iter().map(nic).collect::<Vec<_>>().join(", ");
    let others = half.elsewhere.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    match (nics.as_str(), others.as_str()) {
        ("", "") => t!(lang, "This machine plays {host}.", host),
        (_, "") => t!(lang, "This machine plays {host} on {nics}.", host, nics),
        ("", _) => t!(lang, "This machine plays {host}; on other machines: {others}.", host, others),
        _ => t!(lang, "This machine plays {host} on {nics}; on other machines: {others}.", host, nics, others),
    }
}

fn having(lang: Lang, cards: &[Card]) -> String {
    if cards.is_empty() {
        return t!(lang, "It has none at all.");
    }
    let lines: Vec<String> = cards.iter().map(|one| card(lang, one)).collect();
    format!("{}\n  {}", w!(lang, "It has:"), lines.join("\n  "))
}

fn card(lang: Lang, card: &Card) -> String {
    let using = match &card.using {
        Using::Nothing => t!(lang, ["NIC"] "free"),
        Using::DefaultRoute => t!(lang, "has the default route"),
        Using::Address(net) => t!(lang, "has the address {net}", net),
        Using::Port(bridge) => t!(lang, "is a port of {bridge}", bridge),
        Using::Software(kind) => t!(lang, "is no NIC but a {kind}", kind),
    };
    format!("{} ({}): {using}", escape(&card.name), state(lang, card.up))
}

/// Why a NIC is not borrowed.
pub fn refused(lang: Lang, nic: &str, why: &[Refusal]) -> Message {
    let reasons: Vec<String> = why.iter().map(|why| reason(lang, why)).collect();
    let message = Message::new(t!(lang, "nslab leaves the NIC {nic} alone", nic = quoted(lang, nic)))
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
    Message::new(t!(lang, "the change of this machine's NICs was taken back, and {name} with it", name))
        .why(cause(lang, why))
        .hint(t!(lang, "nslab status {lab} tells more, nslab up makes it once more", lab))
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
    let mut parts = vec![state(lang, wiring.up).to_owned(), format!("MTU {}", wiring.mtu)];
    parts.extend(wiring.master.as_ref().map(|bridge| t!(lang, "port of {bridge}", bridge)));
    parts.push(if wiring.addresses.is_empty() { t!(lang, "no addresses") } else { wiring.addresses.join(", ") });
    if !wiring.routes.is_empty() {
        parts.push(t!(lang, "routes {routes}", routes = wiring.routes.join(", ")));
    }
    parts.join("; ")
}

/// Whether a NIC is administratively up.
pub fn state(lang: Lang, up: bool) -> &'static str {
    if up { w!(lang, ["NIC"] "up") } else { w!(lang, ["NIC"] "down") }
}

/// Who answers, and what is wrong between them and this machine.
pub fn halves(lang: Lang, halves: &Halves) -> Vec<String> {
    let silent = |host: &String| {
        t!(
            lang,
            "No machine answers for {host} yet: bring that half up there, with --role {host}, on the same internal network.",
            host
        )
    };
    let mut lines: Vec<String> = halves.partners().map(|one| answer(lang, one)).collect();
    lines.extend(halves.silent.iter().map(silent));
    lines.extend(halves.findings.iter().flat_map(|mismatch| marked(lang, mismatch)));
    lines
}

fn answer(lang: Lang, answer: &Answer) -> String {
    let Answer { host, hostname, mac, nic, .. } = answer;
    t!(lang, "{host} is played by the machine {hostname}, which answers on {nic} from {mac}.", host, hostname, nic, mac)
}

/// Its lines, with a mark before what keeps the halves from being one lab.
fn marked(lang: Lang, mismatch: &Mismatch) -> Vec<String> {
    use Mismatch::{Clock, Hostname, Machine, Version};
    let mark = if matches!(mismatch, Version { .. } | Machine { .. } | Hostname { .. } | Clock { .. }) { " " } else { "!" };
    once(mark).chain(repeat(" ")).zip(finding(lang, mismatch)).map(|(mark, line)| format!("{mark} {line}")).collect()
}

fn finding(lang: Lang, mismatch: &Mismatch) -> Vec<String> {
    match mismatch {
        Mismatch::Role { lab, host, hostname, free } => vec![
            t!(
                lang,
                "The machine {hostname} plays {host}, too: every address and MAC address of it is there twice.",
                hostname,
                host
            ),
            t!(
                lang,
                "On one of the two: sudo nslab down {lab}, then up again with --role {free}",
                lab,
                free = free.first().map_or("HOST", String::as_str)
            ),
        ],
        Mismatch::Lab { here, there, hostname, host } => vec![
            t!(lang, "The machine {hostname} plays {host} of a lab {there}, not of {here}.", hostname, host, there, here),
            t!(lang, "If it is to be one lab: nslab down there, then up with --name {here}; else use two networks.", here),
        ],
        Mismatch::Mac { nic, mac, host } => vec![
            t!(lang, "{nic} has the MAC address {mac}, as the NIC of {host}'s machine has: a clone's.", nic, mac, host),
            t!(lang, "Shut one of the machines down and give its adapter a new one; VirtualBox:"),
            "VBoxManage modifyvm VM --macaddress2 auto".to_owned(),
        ],
        Mismatch::File { lab, host } => vec![
            t!(lang, "The machine of {host} has {lab} up from another file, or another state of it.", host, lab),
            t!(lang, "Copy one file to both machines and bring it up on both."),
        ],
        Mismatch::Mtu { nic, here, there, host } => vec![
            t!(
                lang,
                "{nic} has an MTU of {here} bytes, the NIC of {host}'s machine of {there}: large packets get lost.",
                nic,
                here,
                host,
                there
            ),
            t!(lang, "nslab down on both, give both NICs the same, then up:"),
            format!("sudo ip link set {} mtu {}", escape(nic), here.min(there)),
        ],
        Mismatch::Lost { frames, way, nic, host, mtu } => lost(lang, *frames, *way, nic, host, *mtu),
        Mismatch::Version { host, here, there } => vec![t!(
            lang,
            "The machine of {host} has nslab {there}, this one {here}: whether the files differ is not known.",
            host,
            there,
            here
        )],
        Mismatch::Machine { host } => vec![
            t!(lang, "The machine of {host} has the same machine-id as this one, as a clone has. On one of the two:", host),
            "sudo rm /etc/machine-id && sudo systemd-machine-id-setup && sudo reboot".to_owned(),
        ],
        Mismatch::Hostname { hostname, host } => vec![
            t!(lang, "The machine of {host} is called {hostname}, too. On one of the two:", host, hostname),
            t!(lang, "sudo hostnamectl set-hostname NAME"),
        ],
        Mismatch::Clock { host, days } => {
            let days = if *days == 1 { t!(lang, "a day") } else { t!(lang, "{days} days", days) };
            vec![t!(lang, "The clock of {host}'s machine is {days} or more away from this one's.", host, days)]
        }
    }
}

fn lost(lang: Lang, frames: Frames, way: Way, nic: &str, host: &str, mtu: u32) -> Vec<String> {
    let (this, other) = (w!(lang, "this machine").to_owned(), t!(lang, "the machine of {host}", host));
    let (way, sender, receiver) = match way {
        Way::In => (t!(lang, "from {host}'s machine to {nic}", host, nic), other, this),
        Way::Out => (t!(lang, "from {nic} to {host}'s machine", nic, host), this, other),
    };
    match frames {
        Frames::Plain => vec![
            t!(lang, "Broadcasts pass {way}, frames for its own MAC address do not.", way),
            t!(lang, "Something between the machines filters, or a third NIC there has that MAC address."),
        ],
        Frames::ToGuest => vec![
            t!(lang, "Frames for containers do not pass {way}: their MAC addresses are not the NIC's own.", way),
            t!(lang, "Let the adapter of {receiver} take them; VirtualBox:", receiver),
            "VBoxManage controlvm VM nicpromisc2 allow-all".to_owned(),
            t!(lang, "VMware: Promiscuous mode: Accept. Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On"),
        ],
        Frames::FromGuest => vec![
            t!(lang, "Frames of containers do not pass {way}: their MAC addresses are not the NIC's own.", way),
            t!(lang, "Let the adapter of {sender} send them; VMware: Forged transmits: Accept.", sender),
            "Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::Full => vec![
            t!(lang, "Frames with {mtu} bytes of payload, a full MTU, do not pass {way}; smaller ones do.", mtu, way),
            t!(
                lang,
                "Something between the machines has a smaller MTU. nslab down on both, set a smaller one on both NICs, then up:"
            ),
            format!("sudo ip link set {} mtu 1400", escape(nic)),
        ],
    }
}
