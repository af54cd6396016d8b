//! The words of a shell.

use std::borrow::Cow;

/// Text as one word of a shell.
pub fn quoted(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:@+/".contains(c);
    if !name.is_empty() && name.chars().all(plain) { name.into() } else { format!("'{}'", name.replace('\'', r"'\''")).into() }
}
