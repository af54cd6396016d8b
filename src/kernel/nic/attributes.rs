//! Netlink attributes in the bytes of a message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One attribute: its type without flags, and its value.
pub type Attribute<'a> = (u16, &'a [u8]);

/// The attributes behind a header of that length; damaged ones end it.
pub fn of(message: &[u8], header: usize) -> impl Iterator<Item = Attribute<'_>> {
    let mut rest = message.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1, ..] = *rest else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // NLA_TYPE_MASK of linux/netlink.h
        Some((u16::from_ne_bytes([k0, k1]) & 0x3fff, value))
    })
}

/// The value of an attribute.
pub fn find(message: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    of(message, header).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number of four bytes.
pub fn number(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// A text that ends with a zero.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// An IP address in its bytes.
pub fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Appends an attribute.
pub fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&u16::try_from(4 + value.len()).unwrap_or(0).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}
