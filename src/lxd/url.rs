//! Parts of URLs: percent-encoding and queries (RFC 3986). Stricter than the crates for it: what is badly encoded is refused.

/// Text as one segment of a path or as a value of a query.
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Decodes `%41` of a part of a URL; none where that is no text or holds NUL.
pub fn decoded(part: &str, plus: bool) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
                rest = after.get(2..)?;
                u8::try_from(digit(0)? * 16 + digit(1)?).ok()?
            }
            b'+' if plus => b' ',
            other => *other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// The keys and values of a query.
pub fn query(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decoded(key, true)?, decoded(value, true)?))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(quote("c1"), "c1");
        assert_eq!(quote("../1.0?x=y"), "..%2F1.0%3Fx%3Dy");
    }

    #[test]
    fn a_part_of_a_url_is_decoded_and_nonsense_is_not() {
        assert_eq!(decoded("%2Ftmp%2fa+b", false).as_deref(), Some("/tmp/a+b"));
        assert_eq!(decoded("a+b%20c", true).as_deref(), Some("a b c"));
        for bad in ["%", "%4", "%2", "%zz", "%00", "%ff", "%+1"] {
            assert_eq!(decoded(bad, false), None, "{bad}");
            assert_eq!(query(&format!("path={bad}")), None, "{bad}");
        }
        let pairs = query("filter=&recursion=2&x").unwrap_or_default();
        assert_eq!(pairs, [("filter", ""), ("recursion", "2"), ("x", "")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let pairs = query("project=default&path=..%2F..%2Fetc+b").unwrap_or_default();
        assert_eq!(pairs[1], ("path".to_owned(), "../../etc b".to_owned()));
    }
}
