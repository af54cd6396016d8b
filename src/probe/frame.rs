//! Frames, decoded. Their bytes are untrusted: whatever they are, something can be said about them.

mod icmp;
mod ip;

use crate::name::Mac;

pub use crate::report::frame::{Body, Fragment, Frame, Packet, Payload, Recorded};

/// `EtherType`s (IEEE) that are looked into.
mod kind {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const IPV6: u16 = 0x86dd;
    /// Tags of VLANs: of customers, of providers, and of providers before there was a standard.
    pub(super) const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
}

/// The logical link header of the spanning tree protocol (IEEE 802.1D): both service access points, unnumbered information.
const SPANNING_TREE: [u8; 3] = [0x42, 0x42, 0x03];

impl Frame {
    /// Decodes a frame; none where it has no two MAC addresses and no type.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (destination, rest) = bytes.split_first_chunk::<6>()?;
        let (source, rest) = rest.split_first_chunk::<6>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (mut kind, mut rest, mut vlan) = (u16::from_be_bytes(*kind), rest, None);
        while kind::TAGS.contains(&kind)
            && let Some(([high, low, a, b], inner)) = rest.split_first_chunk::<4>()
        {
            vlan = vlan.or(Some(u16::from_be_bytes([*high, *low]) & 0xfff));
            (kind, rest) = (u16::from_be_bytes([*a, *b]), inner);
        }
        let payload = match kind {
            kind::ARP => arp(rest).unwrap_or(Payload::Short),
            kind::IPV4 => ip::v4(rest, 0).map_or(Payload::Short, Payload::Ip),
            kind::IPV6 => ip::v6(rest, 0).map_or(Payload::Short, Payload::Ip),
            tag if kind::TAGS.contains(&tag) => Payload::Short,
            length if length < 1536 && rest.starts_with(&SPANNING_TREE) => Payload::SpanningTree,
            other => Payload::Other(other),
        };
        Some(Self { source: Mac(*source), destination: Mac(*destination), vlan, payload })
    }
}

impl Packet {
    /// Decodes an IP packet without a frame around it; none where it is too short to have addresses.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        ip::packet(bytes, 0)
    }
}

fn arp(bytes: &[u8]) -> Option<Payload> {
    /// Ethernet, IPv4, addresses of six and four bytes.
    const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
    let (head, rest) = bytes.split_first_chunk::<6>()?;
    if *head != HEAD {
        return Some(Payload::Other(kind::ARP));
    }
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
    let (sender_ip, rest) = rest.split_first_chunk::<4>()?;
    let (target_mac, rest) = rest.split_first_chunk::<6>()?;
    let target_ip = rest.first_chunk::<4>()?;
    Some(Payload::Arp {
        operation: u16::from_be_bytes(*operation),
        sender_mac: Mac(*sender_mac),
        sender_ip: (*sender_ip).into(),
        target_mac: Mac(*target_mac),
        target_ip: (*target_ip).into(),
    })
}
