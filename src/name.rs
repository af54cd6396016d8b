//! Names that are valid by construction.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// The text is empty.
    Empty,
    /// The text has `len` characters where at most `max` fit.
    TooLong {
        /// Characters given.
        len: usize,
        /// Characters allowed.
        max: usize,
    },
    /// A character outside `a-z 0-9 _ -`, or a first one that is no letter.
    Character(char),
    /// A word that Linux or nslab keeps for itself.
    Reserved,
}

/// Checks `^[a-z][a-z0-9_-]*$` and the length.
fn check(text: &str, max: usize, reserved: &[&str]) -> Result<(), NameFault> {
    let first = text.chars().next().ok_or(NameFault::Empty)?;
    if !first.is_ascii_lowercase() {
        return Err(NameFault::Character(first));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if let Some(c) = text.chars().find(|&c| !allowed(c)) {
        return Err(NameFault::Character(c));
    }
    if text.len() > max {
        return Err(NameFault::TooLong { len: text.len(), max });
    }
    if reserved.contains(&text) {
        return Err(NameFault::Reserved);
    }
    Ok(())
}

/// A name's text within the value itself: a lab has tens of thousands of names, which are copied and compared all the time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Text<const MAX: usize> {
    /// UTF-8, then zeroes, which no name has: so the bytes are in the text's order.
    bytes: [u8; MAX],
    length: u8,
}

impl<const MAX: usize> Text<MAX> {
    /// As much of the text as fits.
    fn new(text: &str) -> Self {
        let length = (0..=MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        let mut bytes = [0; MAX];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes, length: u8::try_from(length).unwrap_or(u8::MAX) }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:expr, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Text<$max>);

        impl $type {
            /// Longest name of this kind, in bytes.
            pub const MAX: usize = $max;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $type {
            type Err = NameFault;
            fn from_str(text: &str) -> Result<Self, NameFault> {
                check(text, $max, $reserved).map(|()| Self(Text::new(text)))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        // As the text that it is borrowed as.
        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, text: &str) -> bool {
                self.as_str() == text
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, text: &&str) -> bool {
                self.as_str() == *text
            }
        }

        impl PartialEq<String> for $type {
            fn eq(&self, text: &String) -> bool {
                self.as_str() == *text
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    };
}

name!(
    /// The name of a network interface: at most 15 bytes (`IFNAMSIZ` - 1, `linux/if.h`).
    ///
    /// `all` and `default` are directories of `/proc/sys/net/ipv4/conf`; `lo` is in every namespace already.
    IfName, 15, &["all", "default", "lo"]
);
name!(
    /// The name of a host, a container or a network.
    NodeName, 31, &[]
);
name!(
    /// The name of a lab.
    LabName, 31, &[]
);

macro_rules! as_typed {
    ($($type:ident),*) => {
        $(impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse().map_err(|fault| format!("{text:?}: {fault:?}"))
            }
        })*
    };
}
as_typed!(NodeName, LabName);

impl TryFrom<String> for IfName {
    type Error = String;

    /// What is read back may name a real NIC, which the kernel lets be called almost anything (`dev_valid_name`, `net/core/dev.c`).
    fn try_from(text: String) -> Result<Self, String> {
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        let valid = !text.is_empty() && text.len() <= Self::MAX && !matches!(text.as_str(), "." | "..") && !text.contains(odd);
        if valid { Ok(Self(Text::new(&text))) } else { Err(format!("{text:?} is no name of an interface")) }
    }
}

macro_rules! unnamed {
    ($($type:ident),*) => {
        $(impl $type {
            /// The name of what has none, or none that is known.
            pub(crate) fn unnamed() -> Self {
                Self(Text::new("unnamed"))
            }
        })*
    };
}
unnamed!(NodeName, LabName);

impl IfName {
    /// The loopback interface, which every namespace is born with.
    pub fn loopback() -> Self {
        Self(Text::new("lo"))
    }

    /// A name that the kernel reported, which need not be one that nslab would accept from a file.
    pub fn observed(text: &str) -> Self {
        Self(Text::new(text))
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// An address that a NIC may have: not multicast, not all zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// The link-local IPv6 address that is made of it (RFC 4291, section 2.1 and appendix A).
    pub fn link_local(self) -> std::net::Ipv6Addr {
        let mut address = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
        address[8..11].copy_from_slice(&self.0[..3]);
        address[13..].copy_from_slice(&self.0[3..]);
        address[8] ^= 2;
        address.into()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(())?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|()| format!("{text:?} is no MAC address"))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_its_fault() {
        assert_eq!("".parse::<NodeName>(), Err(NameFault::Empty));
        assert_eq!("../x".parse::<NodeName>(), Err(NameFault::Character('.')));
        assert_eq!("a/b".parse::<NodeName>(), Err(NameFault::Character('/')));
        assert_eq!("-rf".parse::<NodeName>(), Err(NameFault::Character('-')));
        assert_eq!("x%d".parse::<IfName>(), Err(NameFault::Character('%')));
        assert_eq!("router-uplink-01".parse::<IfName>(), Err(NameFault::TooLong { len: 16, max: 15 }));
        assert_eq!("lo".parse::<IfName>(), Err(NameFault::Reserved));
    }

    #[test]
    fn names_are_in_the_order_of_their_texts_and_cut_between_characters() {
        let mut names = ["b", "a10", "a-", "a1", "a", "a_b"].map(IfName::observed);
        names.sort();
        assert_eq!(names.map(String::from), ["a", "a-", "a1", "a10", "a_b", "b"]);
        assert_eq!(IfName::observed("fourteen-bytes\u{e9}t\u{e9}").as_str(), "fourteen-bytes");
    }

    #[test]
    fn a_mac_address_reads_as_it_prints() {
        let mac = Mac([2, 0, 1, 0xab, 0, 9]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert!("02:00:01:ab:00".parse::<Mac>().is_err());
        assert!("02:00:01:ab:00:9".parse::<Mac>().is_err());
    }
}
