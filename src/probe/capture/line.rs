//! From a frame that was seen to the line that tells it.

use std::collections::HashMap;

use super::points::Point;
use crate::kernel::packet::Seen;
use crate::name::Mac;
use crate::probe::frame::Frame;
use crate::probe::view::View;
use crate::report::capture::{Direction, Line};
use crate::report::frame::Payload;
use crate::report::wire::{Interface, Station};

/// Who has which MAC address; none where several nodes have it.
#[derive(Debug, Default)]
pub struct Owners(HashMap<Mac, Option<Interface>>);

impl Owners {
    /// The owners in a lab.
    pub fn of(view: &View) -> Self {
        let mut owners: HashMap<Mac, Option<Interface>> = HashMap::new();
        for place in &view.places {
            for link in &place.node.links {
                let Some(mac) = link.mac.as_ref().and_then(|mac| mac.parse().ok()) else { continue };
                let here = place.interface(link);
                let same_node = |known: &Option<Interface>| known.as_ref().is_some_and(|known| known.node == here.node);
                let owner = owners.entry(mac).or_insert_with(|| Some(here.clone()));
                if !same_node(owner) {
                    *owner = None;
                }
            }
        }
        Self(owners)
    }

    fn station(&self, mac: Mac) -> Station {
        Station { mac: mac.to_string(), owner: self.0.get(&mac).cloned().flatten() }
    }

    /// The line of a frame at a point.
    pub fn line(&self, point: &Point, seen: &Seen<'_>) -> Line {
        let frame = Frame::decode(seen.bytes);
        let ends = point.ends.clone().map(|(here, far)| if seen.outgoing { (here, far) } else { (far, here) });
        Line {
            nanoseconds: seen.nanoseconds,
            point: point.name.clone(),
            seen: point.interface.clone(),
            direction: if seen.outgoing { Direction::Out } else { Direction::In },
            ends,
            length: seen.length,
            source: frame.as_ref().map(|frame| self.station(frame.source)),
            destination: frame.as_ref().map(|frame| self.station(frame.destination)),
            vlan: frame.as_ref().and_then(|frame| frame.vlan),
            payload: frame.map_or(Payload::Short, |frame| frame.payload),
        }
    }
}
