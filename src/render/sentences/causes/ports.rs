//! Why a port of a bridge lets a packet not pass, in words.

use crate::render::lang::{Lang, t};

/// By its state, or the word of its switch.
pub(super) fn port_closed(lang: Lang, interface: &str, state: &str) -> String {
    match state {
        "isolated" => {
            t!(lang, "{interface} is an isolated port: it exchanges no frames with other isolated ports.", interface)
        }
        "locked" => {
            t!(
                lang,
                "{interface} is a locked port: it takes no frames from addresses that the bridge does not have there.",
                interface
            )
        }
        "no-broadcast" => {
            t!(lang, "{interface} gets no broadcasts from its bridge, so no question for a MAC address.", interface)
        }
        "no-multicast" => {
            t!(lang, "{interface} gets no multicasts from its bridge, so no neighbour discovery of IPv6.", interface)
        }
        "no-flood" => {
            t!(lang, "The bridge does not know the address, and {interface} takes no such frames.", interface)
        }
        state => {
            t!(lang, "{interface} is a port of a bridge that passes nothing: its state is {state}.", interface, state)
        }
    }
}
