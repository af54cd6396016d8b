//! Reports as JSON: their own shape, indented.

use crate::report::capture::Event;
use crate::report::{Piece, Report};

/// A report as one JSON value.
pub fn report(report: &Report) -> String {
    // Reports hold no maps with keys that are no strings, and nothing else fails to serialize.
    serde_json::to_string_pretty(report).map_or_else(|_| "null\n".to_owned(), |json| json + "\n")
}

/// A part of a result as lines of one JSON object each; empty where the whole result tells it.
pub fn piece(piece: Piece) -> String {
    let line = |event: Event| serde_json::to_string(&event).map_or_else(|_| "null\n".to_owned(), |json| json + "\n");
    match piece {
        Piece::Text(_) | Piece::Check(..) | Piece::PingStart(_) | Piece::PingEvent(..) => String::new(),
        Piece::Frames(_, frames) => frames.iter().map(|frame| line(Event::Frame(frame))).collect(),
        Piece::CaptureEnd(end) => line(Event::End(end)),
    }
}
