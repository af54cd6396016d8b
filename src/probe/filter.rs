//! The language of capture filters: a part of tcpdump's (`pcap-filter(7)`), with the lab's names where addresses stand.
//!
//! A filter becomes a classic BPF program for Ethernet that the kernel runs on every frame. It means what tcpdump means by
//! the same words, with its oddities: `and` and `or` bind alike, from the left; `port` passes over later parts of packets
//! that were cut; an IPv6 packet with extension headers (but a fragment header) is none of TCP or UDP.

mod parse;
mod program;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Error, FilterFault, Result};
use crate::name::Mac;

/// The words that a filter can begin with.
pub const KEYWORDS: [&str; 16] =
    ["icmp", "icmp6", "arp", "rarp", "ip", "ip6", "tcp", "udp", "host", "src", "dst", "net", "port", "ether", "not", "broadcast"];

/// The addresses that a name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// Every IP address.
    pub addresses: Vec<IpAddr>,
    /// Every MAC address.
    pub macs: Vec<Mac>,
}

/// Who knows what names stand for.
pub trait Names {
    /// The addresses of a node or interface.
    ///
    /// # Errors
    /// [`FilterFault::NoNode`] and [`FilterFault::Ambiguous`].
    fn owned(&self, name: &str) -> std::result::Result<Owned, FilterFault>;
}

/// A filter that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// As it was typed.
    pub text: String,
    expression: Option<Expression>,
}

/// What is asked of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Is(Test),
}

/// A single question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// Whether the frame has this `EtherType`.
    Kind(u16),
    /// Whether the packet carries this protocol, in IPv4, in IPv6.
    Protocol { v4: Option<u8>, v6: Option<u8> },
    /// Whether an address of the packet is in one of the networks; in the headers of these `EtherType`s.
    Address { kinds: &'static [u16], side: Side, nets: Vec<IpNet> },
    /// Whether a packet of one of the protocols has this port.
    Port { protocols: &'static [u8], side: Side, port: u16 },
    /// Whether the frame has one of the MAC addresses.
    Ether { side: Side, macs: Vec<Mac> },
}

/// Which address is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
    Both,
}

/// `EtherType`s (IEEE).
mod kind {
    pub(super) const IP: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const RARP: u16 = 0x8035;
    pub(super) const IP6: u16 = 0x86dd;
}

/// Numbers of protocols in IP packets (IANA).
mod protocol {
    pub(super) const ICMP: u8 = 1;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const ICMP6: u8 = 58;
    pub(super) const SCTP: u8 = 132;
}

impl Filter {
    /// Understands a filter. An empty one passes everything.
    ///
    /// # Errors
    /// [`Error::Filter`] with the place in the text.
    pub fn parse(text: &str, names: &dyn Names) -> Result<Self> {
        parse::filter(text, names)
            .map(|expression| Self { text: text.to_owned(), expression })
            .map_err(|(at, fault)| Error::Filter { text: text.to_owned(), at, fault })
    }

    /// The program that the kernel runs; empty where everything passes.
    ///
    /// # Errors
    /// [`Error::Filter`] where the kernel takes none of that length, and where no frame could ever pass.
    pub fn program(&self) -> Result<Vec<libc::sock_filter>> {
        let whole = |fault| Error::Filter { text: self.text.clone(), at: 0..self.text.len(), fault };
        let Some(expression) = &self.expression else { return Ok(Vec::new()) };
        if !program::can_hold(expression) {
            return Err(whole(FilterFault::Never));
        }
        let program = program::program(expression);
        if program.len() > program::LONGEST { Err(whole(FilterFault::TooLong(program.len()))) } else { Ok(program) }
    }
}

/// No name stands for anything.
impl Names for () {
    fn owned(&self, _name: &str) -> std::result::Result<Owned, FilterFault> {
        Err(FilterFault::NoNode(Vec::new()))
    }
}
