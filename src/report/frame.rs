//! What is in a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::name::Mac;

/// An Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The MAC address of who sent it.
    pub source: Mac,
    /// The MAC address of whom it is for.
    pub destination: Mac,
    /// The number of its outermost VLAN.
    pub vlan: Option<u16>,
    /// What it carries.
    pub payload: Payload,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// A question or answer of ARP for IPv4 (RFC 826).
    Arp {
        /// 1: who has the target address; 2: the sender has its address.
        operation: u16,
        /// The sender's MAC address.
        sender_mac: Mac,
        /// The sender's address.
        sender_ip: Ipv4Addr,
        /// The target's MAC address; zeros in a question.
        target_mac: Mac,
        /// The target's address.
        target_ip: Ipv4Addr,
    },
    /// An IPv4 or IPv6 packet.
    Ip(Packet),
    /// A message between bridges that keeps circles out (IEEE 802.1D).
    SpanningTree,
    /// Anything else, by its `EtherType`; below 1536 it is a length (IEEE 802.3).
    Other(u16),
    /// Too few bytes, or too damaged, for what it claims to be.
    Short,
}

/// An IP packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The number of the protocol in it (IANA), after IPv6's extension headers.
    pub protocol: u8,
    /// Its bytes with the header, as the header says.
    pub length: u32,
    /// IPv4 only: routers may not cut it.
    pub whole: bool,
    /// Which part of a larger packet it is; none where it is not cut.
    pub fragment: Option<Fragment>,
    /// The record-route option of IPv4.
    pub route: Option<Recorded>,
    /// What it carries.
    pub body: Body,
}

/// A part of a packet that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fragment {
    /// The number that all parts share.
    pub id: u32,
    /// Where it belongs, in bytes.
    pub offset: u32,
    /// Others follow.
    pub more: bool,
}

/// What the record-route option holds (RFC 791).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The addresses so far, in order.
    pub addresses: Vec<Ipv4Addr>,
    /// Slots that are still free.
    pub free: u8,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// An echo request or reply of ICMP or `ICMPv6`.
    Echo {
        /// It is the reply.
        reply: bool,
        /// Tells one sender's from another's.
        id: u16,
        /// Tells one packet from the next.
        sequence: u16,
        /// The first bytes of its payload, eight at most.
        #[serde(skip)]
        payload: Vec<u8>,
    },
    /// The time to live ran out (code 0), or parts did not arrive in time (code 1).
    TimeExceeded {
        /// Which.
        code: u8,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// A packet cannot be delivered.
    Unreachable {
        /// Why (RFC 792, RFC 4443).
        code: u8,
        /// Code 4 of ICMP: bytes that would pass; 0 where a router does not tell.
        mtu: Option<u16>,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// `ICMPv6`: a packet is too big.
    TooBig {
        /// Bytes that would pass.
        mtu: u32,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// There is a better router for a destination.
    Redirect {
        /// The better one.
        gateway: IpAddr,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// `ICMPv6`: who has the address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// The MAC address of who asks.
        mac: Option<Mac>,
    },
    /// `ICMPv6`: I have the address.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// Its MAC address.
        mac: Option<Mac>,
    },
    /// Other messages of ICMP or `ICMPv6`.
    Icmp {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The packet it is about, of an error.
        #[serde(skip)]
        quoted: Option<Box<Packet>>,
    },
    /// A UDP datagram.
    Udp {
        /// The port it comes from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// Its bytes without the header, as the header says.
        length: u16,
    },
    /// A TCP segment.
    Tcp {
        /// The port it comes from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// The flags, from FIN in the lowest bit to CWR in the highest (RFC 9293).
        flags: u8,
        /// The number of its first byte.
        sequence: u32,
        /// The number of the byte that is awaited.
        acknowledged: u32,
        /// Its bytes without the header.
        length: u32,
    },
    /// A later part of a packet that was cut.
    Part,
    /// Another protocol.
    Other,
    /// Too few bytes, or too damaged, for what it claims to be.
    Short,
}
