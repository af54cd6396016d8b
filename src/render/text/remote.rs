//! Remotes and their containers as text.

use crate::render::Style;
use crate::render::lang::words;
use crate::render::lines;
use crate::render::sentences;
use crate::render::table::Table;
use crate::report::remote::{Instances, Remotes};

pub(super) fn remotes(all: &Remotes, style: Style) -> String {
    if all.remotes.is_empty() {
        return lines(&[sentences::remote::no_remotes(style.lang)]);
    }
    let mut table = Table::new(style, &words!(style.lang, "REMOTE", "ADDRESS", "FINGERPRINT"));
    for one in &all.remotes {
        let short: String = one.fingerprint.iter().flat_map(|text| text.chars().take(12)).collect();
        table.row([&one.remote, &one.address, &short]);
    }
    table.print(0)
}

pub(super) fn instances(all: &Instances, style: Style) -> String {
    if all.instances.is_empty() {
        return lines(&[sentences::remote::no_instances(style.lang, &all.remote)]);
    }
    let mut table = Table::new(style, &words!(style.lang, "NAME", "STATE", "ADDRESS"));
    for one in &all.instances {
        table.row([&one.name, &one.state, &one.addresses.join(" ")]);
    }
    table.print(0)
}
