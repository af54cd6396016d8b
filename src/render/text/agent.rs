//! Agents as text.

use super::lines;
use super::table::Table;
use crate::render::Style;
use crate::render::lang::Word;
use crate::report::agent::{Agents, Trusted};

pub(super) fn agents(all: &Agents, style: Style) -> String {
    let tongue = style.lang.tongue();
    let mut table = Table::new(style, &[Word::Lab, Word::Node, Word::State, Word::Address]);
    for one in &all.agents {
        table.row([&one.lab, &one.host, tongue.agent_state(one.running), &one.addresses.join(" ")]);
    }
    table.print(0)
}

pub(super) fn trusted(all: &Trusted, style: Style) -> String {
    if all.clients.is_empty() {
        return lines(&[style.lang.tongue().nobody_trusted(&all.host)]);
    }
    let mut table = Table::new(style, &[Word::Name, Word::Fingerprint]);
    for one in &all.clients {
        table.row([&one.name, &one.fingerprint]);
    }
    table.print(0)
}
