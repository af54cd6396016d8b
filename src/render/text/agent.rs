//! Agents as text.

use crate::render::Style;
use crate::render::lang::words;
use crate::render::lines;
use crate::render::sentences;
use crate::render::table::Table;
use crate::report::agent::{Agents, Trusted};

pub(super) fn agents(all: &Agents, style: Style) -> String {
    let mut table = Table::new(style, &words!(style.lang, "LAB", "NODE", "STATE", "ADDRESS"));
    for one in &all.agents {
        table.row([&one.lab, &one.host, sentences::agent::state(style.lang, one), &one.addresses.join(" ")]);
    }
    table.print(0)
}

pub(super) fn trusted(all: &Trusted, style: Style) -> String {
    if all.clients.is_empty() {
        return lines(&[sentences::agent::nobody(style.lang, &all.host)]);
    }
    let mut table = Table::new(style, &words!(style.lang, "NAME", "FINGERPRINT"));
    for one in &all.clients {
        table.row([&one.name, &one.fingerprint]);
    }
    table.print(0)
}
