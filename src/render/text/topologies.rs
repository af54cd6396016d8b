//! Topologies as text.

use crate::render::Style;
use crate::render::lang::{find, words};
use crate::render::sentences;
use crate::render::table::Table;
use crate::report::topology::{Item, Validation};

pub(super) fn list(topologies: &[Item], style: Style) -> String {
    table(topologies, style).print(0)
}

pub(super) fn table(topologies: &[Item], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "NAME", "WHAT IT TEACHES")).wrapped(2);
    for topology in topologies {
        let own = topology.summary.as_deref().unwrap_or_default();
        table.row([&topology.name, find(style.lang, "topology", own).unwrap_or(own)]);
    }
    table
}

pub(super) fn validation(validation: &Validation, style: Style) -> String {
    let fine = validation.files.iter().filter(|file| file.valid);
    fine.map(|file| sentences::labs::valid(style.lang, file) + "\n").collect()
}
