//! Which MAC addresses cross a network.

use crate::render::lang::{Lang, and, t, w};
use crate::report::macs::{Census, Kind, Network, Part, Reason};

/// A row of labs side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Beside {
    Network,
    Addresses,
    Each,
    Answered,
    From,
}

/// The title of a network: its lab, its ends, what crossed it.
pub fn network(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let ends: Vec<String> = network.ends.iter().map(|end| census.names.interface(end)).collect();
    let (name, lab, ends) = (&network.network, &census.lab, and(lang, &ends));
    let title = match network.kind {
        Kind::Wire => t!(lang, "{name} of {lab}: a wire between {ends}", name, lab, ends),
        Kind::Switch => t!(lang, "{name} of {lab}: a switch between {ends}", name, lab, ends),
    };
    let crossed = match network.frames {
        1 => t!(lang, "1 frame crossed, {all} of them to all", all = network.broadcasts),
        frames => t!(lang, "{frames} frames crossed, {all} of them to all", frames, all = network.broadcasts),
    };
    let crossed = match census.pings {
        Some(pings) => {
            let (answered, pairs) = (pings.answered, pings.pairs);
            t!(lang, "{answered} of {pairs} pings between the hosts answered; {crossed}", answered, pairs, crossed)
        }
        None => crossed,
    };
    let missed =
        (network.missed > 0).then(|| t!(lang, "{missed} more went by too fast to be looked at.", missed = network.missed));
    [title, crossed].into_iter().chain(missed).collect()
}

/// Why a MAC address crosses, in a word.
pub fn reason(lang: Lang, reason: Reason) -> &'static str {
    match reason {
        Reason::Bridged => w!(lang, ["MAC"] "bridged"),
        Reason::Routed => w!(lang, ["MAC"] "routed"),
        Reason::Own => w!(lang, ["MAC"] "its own"),
        Reason::Cloned => w!(lang, ["MAC"] "cloned"),
        Reason::Unknown => w!(lang, ["MAC"] "unknown"),
    }
}

/// Why those MAC addresses cross, in sentences.
pub fn reasons(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let said = |reason: Reason| {
        let hosts: Vec<String> = network.hosts_of(reason).map(|host| census.names.node(host)).collect();
        let names = and(lang, &hosts);
        Some(match (reason, hosts.len()) {
            (_, 0) => return None,
            (Reason::Bridged, 1) => {
                t!(lang, "bridged: the bridge of {names} passes frames on unchanged, so the containers' own MACs cross.", names)
            }
            (Reason::Bridged, _) => {
                t!(lang, "bridged: the bridges of {names} pass frames on unchanged, so the containers' own MACs cross.", names)
            }
            (Reason::Routed, 1) => t!(
                lang,
                "routed: {names} takes each packet out of its frame and puts it into a new one, with its own MAC; the containers' stay behind.",
                names
            ),
            (Reason::Routed, _) => t!(
                lang,
                "routed: {names} take each packet out of its frame and put it into a new one, with their own MAC; the containers' stay behind.",
                names
            ),
            (Reason::Own, 1) => t!(lang, "its own: {names} speaks for itself.", names),
            (Reason::Own, _) => t!(lang, "its own: {names} speak for themselves.", names),
            (Reason::Cloned, _) => {
                t!(lang, "cloned: several have the same MAC; a switch takes them for one, wherever it heard it last.")
            }
            (Reason::Unknown, _) => {
                t!(lang, "unknown: nobody in the lab has this MAC; it was made up, or its owner has changed it.")
            }
        })
    };
    [Reason::Bridged, Reason::Routed, Reason::Own, Reason::Cloned, Reason::Unknown].into_iter().filter_map(said).collect()
}

/// The title of a forwarding table.
pub fn forwarding_table(lang: Lang, kind: Kind) -> &'static str {
    match kind {
        Kind::Wire => w!(lang, "A switch in the place of the wire would hold"),
        Kind::Switch => w!(lang, "The forwarding table of the switch"),
    }
}

/// What follows for the switch and for the containers.
pub fn lesson(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    if network.sources.is_empty() {
        return vec![if census.pings.is_some() {
            t!(lang, "Nothing crossed. nslab ping --all tells which pings are answered.")
        } else {
            t!(lang, "Nothing crossed.")
        }];
    }
    let mut lines = blocked(lang, census, network);
    if !lines.is_empty() {
        return lines;
    }
    let of = |how: Reason| -> Vec<&Part> { network.hosts.iter().filter(|part| part.how == how).collect() };
    let names = |parts: &[&Part]| and(lang, &parts.iter().map(|part| census.names.node(&part.host)).collect::<Vec<_>>());
    let (bridged, routed) = (of(Reason::Bridged), of(Reason::Routed));
    if !bridged.is_empty() {
        let addresses = network.addresses_of(Reason::Bridged);
        let grows = if routed.is_empty() {
            t!(lang, "Each further container adds one MAC to the {addresses} here.", addresses)
        } else {
            let hosts = names(&bridged);
            t!(lang, "Each further container of {hosts} adds one MAC to the {addresses} here.", hosts, addresses)
        };
        let hence = w!(
            lang,
            "A switch port that allows only a few (port security) would cut containers off, and a broadcast of any container \
             reaches all: one broadcast domain."
        );
        lines.push(format!("{grows} {hence}"));
    }
    if !routed.is_empty() {
        let addresses = network.addresses_of(Reason::Routed);
        let grows = if bridged.is_empty() {
            t!(lang, "A further container adds none to the {addresses} here, however many there are.", addresses)
        } else {
            let hosts = names(&routed);
            t!(
                lang,
                "A further container of {hosts} adds none to the {addresses} here, however many there are.",
                hosts,
                addresses
            )
        };
        let hence = w!(lang, "Port security has nothing to object to, and the containers' broadcasts end at their host.");
        lines.push(format!("{grows} {hence}"));
    }
    lines
}

/// What a lab teaches in which no ping is answered.
fn blocked(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let blocked: u64 = network.sources.iter().map(|source| source.blocked).sum();
    let denied = (blocked > 0).then(|| {
        t!(
            lang,
            "The switch did not pass on {blocked} frames for one MAC: it delivers those to the hosts' own NICs alone, as \
             VirtualBox does with promiscuous mode \"Deny\". Broadcasts pass.",
            blocked
        )
    });
    let unanswered = census
        .pings
        .filter(|pings| pings.pairs > 0 && pings.answered == 0)
        .map(|_| t!(lang, "No ping was answered: what crossed are questions for MAC addresses and what came of them."));
    denied.into_iter().chain(unanswered).collect()
}

/// How many MAC addresses one more container adds, where hosts bridge and where they route.
pub fn growth(lang: Lang, bridged: bool, routed: bool) -> &'static str {
    match (bridged, routed) {
        (true, false) => "+1 MAC",
        (false, true) => "+0 MACs",
        (true, true) => w!(lang, "+1 MAC or +0"),
        (false, false) => "-",
    }
}

/// A row of two labs side by side.
pub fn beside(lang: Lang, row: Beside) -> &'static str {
    match row {
        Beside::Network => w!(lang, "network"),
        Beside::Addresses => "MACs",
        Beside::Each => w!(lang, "new container"),
        Beside::Answered => w!(lang, "pings answered"),
        Beside::From => w!(lang, ["row"] "from"),
    }
}

/// That a lab has no network between hosts.
pub fn no_network(lang: Lang, census: &Census) -> String {
    t!(lang, "{lab} has no network between hosts.", lab = census.lab)
}

/// That so many rows are not shown.
pub fn more(lang: Lang, number: usize) -> String {
    t!(lang, "... and {number} more (--format json has all)", number)
}
