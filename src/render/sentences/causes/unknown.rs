//! Where a packet was seen last, and what there nobody can follow.

use crate::render::lang::{Lang, and, t};
use crate::report::trace::Trace;

/// That it was seen last there.
pub fn cause(lang: Lang, trace: &Trace, node: &str, interface: Option<&str>) -> String {
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
