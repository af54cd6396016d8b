//! Where a packet ends that no table keeps: nobody listens, or nobody can follow it.

use std::net::IpAddr;

use crate::render::lang::{Lang, and, t};
use crate::report::probe::Transport;
use crate::report::trace::Trace;

/// That it was seen last there.
pub fn unknown(lang: Lang, trace: &Trace, node: &str, interface: Option<&str>) -> String {
    let word = trace.word(node);
    let place = interface.map_or_else(|| word.clone(), |interface| format!("{word}.{interface}"));
    let seen = t!(lang, "It was last seen at {place}. Neither the tables nor nftables tell what stops it there.", place);
    let legacy = (!trace.legacy.is_empty()).then(|| {
        let tables = trace.legacy.join(", ");
        t!(lang, "iptables-legacy has tables there ({tables}), whose rules cannot be traced: it may be one of them.", tables)
    });
    let hooks = (!trace.hooks.is_empty()).then(|| {
        let interfaces = and(lang, &trace.hooks);
        t!(lang, "tc can filter there at {interfaces}, which nslab does not follow: it may be one of those filters.", interfaces)
    });
    [Some(seen), legacy, hooks].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// That nobody listens there, or not at that address.
pub fn nobody_listens(lang: Lang, node: &str, transport: Transport, at: &[IpAddr]) -> String {
    let (protocol, port) = (transport.name(), transport.port().unwrap_or(0));
    if at.is_empty() {
        return t!(lang, "Nobody listens on {protocol} port {port} of {node}.", protocol, port, node);
    }
    let addresses = and(lang, &at.iter().map(ToString::to_string).collect::<Vec<_>>());
    t!(lang, "On {node} somebody listens on {protocol} port {port}, but only at {addresses}.", node, protocol, port, addresses)
}
