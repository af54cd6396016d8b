//! Times as the API writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Never, or not known: the time that clients written in Go take for none.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, by RFC 3339.
pub fn now() -> String {
    text(OffsetDateTime::now_utc())
}

/// Seconds since 1970, by RFC 3339.
pub fn seconds(since: u64) -> String {
    let since = i64::try_from(since).ok().and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
    since.map_or_else(|| NEVER.to_owned(), text)
}

/// A time, by RFC 3339.
pub fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
}
