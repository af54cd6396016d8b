//! Times as the API writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Never, or not known.
pub const NEVER: &str = "1970-01-01T00:00:00Z";

/// Now, by RFC 3339.
pub fn now() -> String {
    text(OffsetDateTime::now_utc())
}

/// A time, by RFC 3339.
pub fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
}
