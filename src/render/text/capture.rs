//! Frames as text: a line for each.

use crate::name::Mac;
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::lang::w;
use crate::render::sentences;
use crate::report::capture::{Layout, Line};
use crate::report::wire::Station;

/// Columns of the time: seconds with six places.
const TIME: usize = 11;

pub(crate) fn line(line: &Line, layout: &Layout, style: Style) -> String {
    let since = line.nanoseconds.saturating_sub(layout.start);
    let time = format!("{}.{:06}", since / 1_000_000_000, since / 1000 % 1_000_000);
    let place = match &line.ends {
        Some((from, to)) => format!("{} {} > {}", line.point, from, to),
        None => format!("{} {}", line.point, sentences::capture::direction(style.lang, line.direction)),
    };
    let party = |station: &Option<Station>| station.as_ref().map_or_else(String::new, |station| party(station, layout, style));
    let (source, destination) = (party(&line.source), party(&line.destination));
    let party = "02:00:00:00:00:00 ".len() + layout.name;
    let head =
        format!("{time:>TIME$} {:<width$}  {source:<party$} > {destination:<party$}", escape(&place), width = layout.place);
    let payload = sentences::capture::payload(style.lang, line.vlan, &line.payload);
    let narrow = style.width.is_some_and(|width| head.chars().count() + 2 + payload.chars().count() > usize::from(width));
    // Too long for the terminal: the packet goes below its frame.
    let between = if narrow { format!("\n{:TIME$} ", "") } else { "  ".to_owned() };
    format!("{}{between}{payload}\n", if narrow { head.trim_end() } else { &head })
}

/// A MAC address with the node that has it.
fn party(station: &Station, layout: &Layout, style: Style) -> String {
    let name = match (&station.owner, station.mac.parse::<Mac>()) {
        (Some(owner), _) => layout.names.node(&owner.node),
        (None, Ok(mac)) if !mac.is_unicast() && mac != Mac([0; 6]) => {
            sentences::capture::group(style.lang, mac == Mac([0xff; 6])).to_owned()
        }
        _ => w!(style.lang, "?").to_owned(),
    };
    format!("{} {}", station.mac, escape(&name))
}
