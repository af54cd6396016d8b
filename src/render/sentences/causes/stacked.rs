//! What is wrong with links that stand on others, in words.

use crate::render::lang::{Lang, t};
use crate::report::trace::{Cause, Trace};
use crate::report::wire::Interface;

/// Why, in whole sentences; nothing of other causes.
pub(super) fn cause(lang: Lang, trace: &Trace, cause: &Cause) -> String {
    let word = |node: &String| trace.word(node);
    let at = |interface: &Interface| trace.interface(interface);
    match cause {
        Cause::VlanSorted { interface, bridge, vlan: Some(vlan) } => {
            let interface = at(interface);
            t!(lang, "{bridge} filters by VLAN, and {interface} is not a member of VLAN {vlan}.", bridge, interface, vlan)
        }
        Cause::VlanSorted { interface, bridge, vlan: None } => {
            let interface = at(interface);
            t!(lang, "{bridge} filters by VLAN, and {interface} has no VLAN for untagged frames (PVID).", bridge, interface)
        }
        Cause::OtherVlan { interface, vlan, owner, takes } => {
            let (interface, owner) = (at(interface), at(owner));
            match (vlan, takes) {
                (Some(vlan), Some(takes)) => {
                    t!(
                        lang,
                        "Frames from {interface} are in VLAN {vlan}; {owner} is in VLAN {takes}.",
                        interface,
                        vlan,
                        owner,
                        takes
                    )
                }
                (None, Some(takes)) => {
                    t!(lang, "Frames from {interface} arrive untagged; {owner} is in VLAN {takes}.", interface, owner, takes)
                }
                (vlan, None) => {
                    let vlan = vlan.unwrap_or_default();
                    t!(
                        lang,
                        "Frames from {interface} arrive at {owner} with the tag of VLAN {vlan}, which it has no interface for.",
                        interface,
                        owner,
                        vlan
                    )
                }
            }
        }
        Cause::MacvlanParent { interface, parent } => t!(
            lang,
            "{interface} is a macvlan on {parent}; by design these two do not reach each other.",
            interface = at(interface),
            parent = at(parent)
        ),
        Cause::Dummy { interface } => {
            t!(lang, "It leaves by {interface}, a dummy interface, which discards what is sent.", interface = at(interface))
        }
        Cause::TunnelEnd { interface, kind, remote, node, key: Some(key) } => t!(
            lang,
            "{node} ({remote}) has no {kind} tunnel with the key (VNI) {key} that takes what {interface} sends.",
            node = word(node),
            remote,
            kind,
            interface = at(interface),
            key
        ),
        Cause::TunnelEnd { interface, kind, remote, node, key: None } => t!(
            lang,
            "{node} ({remote}) has no {kind} tunnel that takes what {interface} sends: one with the same two addresses, reversed.",
            node = word(node),
            remote,
            kind,
            interface = at(interface)
        ),
        Cause::NotFollowed { interface, kind } => {
            t!(lang, "{interface} is a link of the kind {kind}, which nslab cannot follow.", interface = at(interface), kind)
        }
        _ => String::new(),
    }
}
