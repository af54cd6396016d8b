//! Bridges in a circle: frames that never end, which would keep the whole machine busy.

use std::collections::HashMap;

use nslab::kernel::tables::Link;
use nslab::probe::view::View;

/// A bridge: its node and its index there.
type Bridge<'a> = (&'a str, u32);

/// Whether frames may go round in it for ever.
pub fn storms(view: &View) -> bool {
    let mut bridged: HashMap<(&str, u32), (Bridge<'_>, &Link)> = HashMap::new();
    for place in &view.places {
        let node = place.node.node.as_str();
        for link in place.tables.links.iter().filter(|link| link.up) {
            if let Some(master) = link.master {
                bridged.insert((node, link.index), ((node, master), link));
            }
        }
    }
    let (mut joined, mut mirrors): (HashMap<Bridge<'_>, Bridge<'_>>, usize) = (HashMap::new(), 0);
    for (end, (bridge, link)) in &bridged {
        let far = link.peer.as_ref().and_then(|peer| Some((peer.node.as_deref()?, peer.index)));
        let Some(((other, _), far)) = far.and_then(|far| Some((bridged.get(&far)?, far))) else { continue };
        mirrors += usize::from(link.port.unwrap_or_default().hairpin);
        // Each cable once.
        if *end > far {
            continue;
        }
        let (one, two) = (root(&joined, *bridge), root(&joined, *other));
        if one == two {
            return true;
        }
        joined.insert(one, two);
    }
    mirrors > 1
}

fn root<'a>(joined: &HashMap<Bridge<'a>, Bridge<'a>>, mut bridge: Bridge<'a>) -> Bridge<'a> {
    while let Some(next) = joined.get(&bridge) {
        bridge = *next;
    }
    bridge
}
