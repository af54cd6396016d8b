//! The pins of the points: when one is gone, so is its node, though a tap keeps the namespace.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::points::Point;

/// Which namespace is pinned there: its device and inode.
type Identity = Option<(u64, u64)>;

/// Every pin, with what it pinned at the start and the points behind it.
pub(super) struct Pins<'a>(HashMap<&'a Path, (Identity, Vec<usize>)>);

fn identity(pin: &Path) -> Identity {
    std::fs::metadata(pin).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl<'a> Pins<'a> {
    pub(super) fn new(points: &'a [Point]) -> Self {
        let mut pins: HashMap<&Path, (Identity, Vec<usize>)> = HashMap::new();
        for (number, point) in points.iter().enumerate() {
            pins.entry(&point.pin).or_insert_with(|| (identity(&point.pin), Vec::new())).1.push(number);
        }
        Self(pins)
    }

    /// The points whose node is gone.
    pub(super) fn gone(&self) -> Vec<usize> {
        let gone = self.0.iter().filter(|(pin, (then, _))| identity(pin) != *then);
        let mut points: Vec<usize> = gone.flat_map(|(_, (_, points))| points.iter().copied()).collect();
        points.sort_unstable();
        points
    }
}
