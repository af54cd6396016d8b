//! What to do about a cause that is no command.

use crate::plan::quoted;
use crate::render::lang::{Lang, t};
use crate::report::probe::Transport;
use crate::report::trace::{Cause, Trace};
use crate::typed;

/// What to do about it that is no command.
pub fn advice(lang: Lang, trace: &Trace, cause: &Cause) -> Option<String> {
    match cause {
        Cause::ForeignMac { .. } => Some(t!(
            lang,
            "In VirtualBox: Settings > Network > Adapter 2 > Advanced > Promiscuous\u{a0}Mode\u{a0}>\u{a0}Allow\u{a0}All; \
             in a topology file: promiscuous:\u{a0}allow."
        )),
        Cause::MacvlanParent { parent, .. } => {
            let parent = trace.interface(parent);
            Some(t!(lang, "A second macvlan on {parent}, with the address in its place, reaches it.", parent))
        }
        Cause::ClonedMac { .. } => Some(t!(
            lang,
            "In VirtualBox: Settings > Network > Adapter 2 > Advanced > MAC Address > Generate, on one of the VMs."
        )),
        Cause::Filtered { node, family, table, chain, .. } => {
            let command = format!("sudo nslab exec {} nft -a list chain {family} {table} {chain}", trace.typed(node));
            Some(t!(lang, "To see it: {command}", command = whole(&typed::here(&command))))
        }
        Cause::NobodyListens { node, transport, .. } => {
            let kind = if matches!(transport, Transport::Udp { .. }) { 'u' } else { 't' };
            let command = format!("sudo nslab exec {} ss -ln{kind}p", trace.typed(node));
            Some(t!(lang, "Who listens there: {command}", command = whole(&typed::here(&command))))
        }
        Cause::OtherSubnet { own: Some(_), .. } => {
            Some(t!(lang, "That is one of two ways: the other is to change the address at the other end."))
        }
        Cause::Loop { .. } if trace.to_node.is_none() && !trace.to.is_unspecified() => {
            Some(t!(lang, "No node of the lab has {to}, so no way leads to it.", to = trace.to))
        }
        Cause::PortClosed { state, .. } if ["listening", "learning"].contains(&state.as_str()) => Some(t!(
            lang,
            "The spanning tree opens the port by itself after twice the bridge's forward delay: 30 s where nobody changed it."
        )),
        Cause::AddressUnused { failed: false, .. } => Some(t!(lang, "The address is in use after two seconds.")),
        Cause::OtherMachine { .. } => {
            Some(t!(lang, "On the other machine: sudo\u{a0}nslab\u{a0}status, then sudo\u{a0}nslab\u{a0}check."))
        }
        Cause::Unknown { node, .. } => {
            let mut looks = vec!["tc -s qdisc".to_owned(), "ip -s link".to_owned(), "ip xfrm policy".to_owned()];
            // A name that has to be quoted has no place in quotes.
            for dev in trace.hooks.iter().filter(|dev| quoted(dev) == **dev) {
                looks.extend(["ingress", "egress"].map(|way| format!("tc -s filter show dev {dev} {way}")));
            }
            looks.extend(trace.legacy.iter().map(|table| format!("iptables-legacy -t {table} -v -n -L")));
            let command = format!("sudo nslab exec {} sh -c '{}'", trace.typed(node), looks.join("; "));
            Some(t!(lang, "To look closer: {command}", command = whole(&typed::here(&command))))
        }
        _ => None,
    }
}

/// A command that no line end may cut.
fn whole(command: &str) -> String {
    command.replace(' ', "\u{a0}")
}
