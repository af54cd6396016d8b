//! What a language must be able to say about the way of a packet.

use crate::report::trace::{Cause, Death, Difference, IcmpMessage, Known, Leg, Note, Resolution, Route, Trace, Visit};

/// The sentences of `trace`.
pub trait Tracing: Sync {
    /// From where to where, and what the packet is.
    fn title(&self, trace: &Trace) -> String;
    /// The heading of one direction.
    fn leg(&self, trace: &Trace, leg: Leg) -> String;
    /// A route as a student types it.
    fn route(&self, route: &Route) -> String;
    /// What a node does with the packet.
    fn deed(&self, visit: &Visit, leg: Leg) -> String;
    /// Whether the visit is not both predicted and seen.
    fn known(&self, known: Known) -> Option<&'static str>;
    /// An ARP or neighbour discovery exchange.
    fn resolution(&self, trace: &Trace, resolution: &Resolution) -> String;
    /// How often a frame was seen on a segment.
    fn seen(&self, times: u32) -> String;
    /// What a router said.
    fn message(&self, trace: &Trace, message: &IcmpMessage) -> String;
    /// Where sight and tables differ.
    fn difference(&self, trace: &Trace, difference: &Difference) -> String;
    /// The reply came back.
    fn answered(&self, trace: &Trace, milliseconds: f64) -> String;
    /// Where the packet or its reply died.
    fn died(&self, trace: &Trace, death: &Death) -> String;
    /// Why, in whole sentences.
    fn cause(&self, trace: &Trace, cause: &Cause) -> String;
    /// What belongs to it, each on a line of its own.
    fn details(&self, trace: &Trace, cause: &Cause) -> Vec<String>;
    /// What to do about it that is no command.
    fn advice(&self, trace: &Trace, cause: &Cause) -> Option<String>;
    /// Something odd.
    fn note(&self, trace: &Trace, note: &Note) -> String;
    /// The word before a cause: sure, or likely.
    fn because(&self, certain: bool) -> &'static str;
    /// The word before the commands that mend it.
    fn cure(&self) -> &'static str;
}
