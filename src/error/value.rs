//! What is wrong with a value that nslab reads itself.

/// Why a value of an option is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongValue {
    /// It is no length of time.
    Time,
    /// It is no length of time, for how long to listen.
    Listening,
    /// It is longer than a day, or negative.
    Day,
    /// It is longer than a year, or nothing.
    Span,
    /// It is not KEY=VALUE.
    Pair(String),
    /// It is not NAME,KEY=VALUE,...
    Device(String),
}
