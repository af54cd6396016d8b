//! What `capture` tells: a line for each frame, and how it ended.

use serde::Serialize;

use super::frame::Payload;
use super::wire::{Interface, Station};

/// A frame at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, in nanoseconds since 1970.
    pub nanoseconds: u64,
    /// The point as it is typed: `a1.eth0`, or the network.
    pub point: String,
    /// Where it was seen.
    pub seen: Interface,
    /// Which way it went, as that interface's node sees it.
    pub direction: Direction,
    /// On a wire between hosts, or between a host and a switch: where it comes from, and where it goes to.
    pub ends: Option<(String, String)>,
    /// Bytes on the wire.
    pub length: u32,
    /// Who sent the frame; none where it is too short to tell.
    pub source: Option<Station>,
    /// Whom it is for.
    pub destination: Option<Station>,
    /// The number of its outermost VLAN.
    pub vlan: Option<u16>,
    /// What it carries.
    pub payload: Payload,
}

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Direction {
    In,
    Out,
}

/// How a capture ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// Frames that were told or written.
    pub frames: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// Frames that were lost, by point; points that lost none are left out.
    pub dropped: Vec<Dropped>,
}

/// Frames that were lost at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The point.
    pub point: String,
    /// How many.
    pub frames: u64,
}
