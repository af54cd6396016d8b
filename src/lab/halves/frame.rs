//! What the halves of a lab say to each other on a borrowed NIC, as values and as the bytes of frames. Frames come from a network: what
//! is not exactly one of them is none.
//!
//! Each half has a process that watches its NIC, and that answers. Who asks learns who plays what there, and both send small
//! trials: a frame for a MAC address that is not a NIC's own, one from such an address, and one of full size.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::kernel::nic::Nic;
use crate::lab::journal::Journal;
use crate::name::{IfName, Mac};
use crate::plan::{Fact, NodeId, Ns, Port, State, compile};
use crate::report::lab::Frames;

/// What a half says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// The wall clock, in seconds since 1970.
    pub clock: u64,
    /// The NIC's MTU, in bytes.
    pub mtu: u32,
    /// The NIC's MAC address.
    pub mac: Mac,
    /// Where the NIC is a port of a bridge: the MAC address of one of the containers behind it.
    pub guest: Option<Mac>,
    /// A digest of the facts that the whole lab's file describes.
    pub topology: [u8; 32],
    /// A digest of the machine-id, never the id itself; zeros where there is none.
    pub machine: [u8; 32],
    /// The lab's name.
    pub lab: String,
    /// The host that this machine plays.
    pub role: String,
    /// The machine's hostname.
    pub hostname: String,
    /// The version of its nslab.
    pub nslab: String,
}

/// The trials that have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received(pub(super) u8);

impl Received {
    pub(super) fn has(self, trial: Frames) -> bool {
        self.0 & (1 << trial.number()) != 0
    }

    pub(super) fn add(&mut self, trial: Frames) {
        self.0 |= 1 << trial.number();
    }

    /// Whether everything has arrived that one half sends to the other.
    pub(super) fn is_whole(self, from: &Half, to: &Half) -> bool {
        Frames::ALL.into_iter().all(|trial| self.has(trial) || ends(trial, from, to).is_none())
    }
}

impl Half {
    /// This machine's half of a lab, on one of its NICs.
    pub(super) fn here(journal: &Journal, nic: &Nic) -> Option<Self> {
        let file = journal.origin.as_ref().unwrap_or(journal.described());
        let facts = serde_json::to_vec(&compile(file)).unwrap_or_default();
        let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let machine = Some(id.trim()).filter(|id| !id.is_empty()).map(|id| digest(&[b"machine-id", id.as_bytes()]));
        let uname = nix::sys::utsname::uname().ok();
        Some(Self {
            clock: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
            mtu: nic.mtu,
            mac: nic.mac?,
            guest: guest(&compile(&journal.topology), &nic.name),
            topology: digest(&[b"topology", &facts]),
            machine: machine.unwrap_or_default(),
            lab: journal.topology.name.to_string(),
            role: journal.topology.role.as_ref()?.host.to_string(),
            hostname: uname.map(|uname| uname.nodename().to_string_lossy().into_owned()).unwrap_or_default(),
            nslab: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// The MAC address of a container, where the NIC is a port of a bridge.
fn guest(own: &State, nic: &IfName) -> Option<Mac> {
    let is_port = own.iter().any(|fact| matches!(fact, Fact::Member(port, _) if port.ns == Ns::Root && port.dev == *nic));
    own.iter().filter(|_| is_port).find_map(|fact| match fact {
        Fact::Mac(Port { ns: Ns::Node(NodeId::Container(..)), .. }, mac) => Some(*mac),
        _ => None,
    })
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// A trial's source and destination; none where a half has no containers on this segment.
pub(super) fn ends(trial: Frames, from: &Half, to: &Half) -> Option<(Mac, Mac)> {
    Some(match trial {
        Frames::Plain | Frames::Full => (from.mac, to.mac),
        Frames::ToGuest => (from.mac, to.guest?),
        Frames::FromGuest => (from.guest?, to.mac),
    })
}

/// The `EtherType` of all of them: local experimental 1 (IEEE 802).
pub(super) const ETHERTYPE: u16 = 0x88b5;

const MAGIC: &[u8; 4] = b"nsl2";
const VERSION: u8 = 1;
/// The longest text of a field, in bytes.
const LONGEST: usize = 64;
/// Two MAC addresses and the `EtherType`.
const HEADER: usize = 14;
/// The shortest frame of Ethernet, without its checksum.
const SHORTEST: usize = 60;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// Who else is here?
    Question(Half),
    /// I am, and these trials of the one who asks have arrived.
    Answer(Half, Received),
    /// A trial, from the half whose NIC has this address.
    Trial(Frames, Mac),
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Ties everything to its question.
    pub(super) nonce: u64,
    /// What it says.
    pub(super) message: Message,
}

impl Frame {
    pub(super) fn question(nonce: u64, half: Half) -> Self {
        Self { nonce, message: Message::Question(half) }
    }

    pub(super) fn answer(nonce: u64, half: Half, received: Received) -> Self {
        Self { nonce, message: Message::Answer(half, received) }
    }

    pub(super) fn trial(nonce: u64, trial: Frames, sender: Mac) -> Self {
        Self { nonce, message: Message::Trial(trial, sender) }
    }

    /// The whole Ethernet frame, padded to so many bytes of payload at least.
    pub(super) fn on_the_wire(&self, source: Mac, destination: Mac, payload: u32) -> Vec<u8> {
        let mut out = [&destination.0[..], &source.0, &ETHERTYPE.to_be_bytes()].concat();
        out.extend(self.encode());
        let length = usize::try_from(payload).map_or(SHORTEST, |payload| (HEADER + payload).max(SHORTEST));
        out.resize(out.len().max(length), 0);
        out
    }

    /// Reads an Ethernet frame.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (header, payload) = bytes.split_at_checked(HEADER)?;
        header.ends_with(&ETHERTYPE.to_be_bytes()).then(|| Self::decode(payload)).flatten()
    }

    /// The payload; texts are cut at [`LONGEST`] bytes.
    fn encode(&self) -> Vec<u8> {
        let kind = match self.message {
            Message::Question(_) => 0,
            Message::Answer(..) => 1,
            Message::Trial(..) => 2,
        };
        let mut out = [MAGIC, &[VERSION, kind][..], &self.nonce.to_be_bytes()].concat();
        match &self.message {
            Message::Question(half) => half.encode(&mut out),
            Message::Answer(half, received) => {
                out.push(received.0);
                half.encode(&mut out);
            }
            Message::Trial(trial, sender) => {
                out.push(trial.number());
                out.extend(sender.0);
            }
        }
        out
    }

    /// Reads a payload; padding behind it is passed over.
    fn decode(payload: &[u8]) -> Option<Self> {
        let mut rest = payload.strip_prefix(MAGIC.as_slice())?;
        let [VERSION, kind] = take(&mut rest)? else { return None };
        let nonce = u64::from_be_bytes(take(&mut rest)?);
        let message = match kind {
            0 => Message::Question(Half::decode(&mut rest)?),
            1 => {
                let [received] = take(&mut rest)?;
                Message::Answer(Half::decode(&mut rest)?, Received(received))
            }
            2 => {
                let [number] = take(&mut rest)?;
                Message::Trial(Frames::ALL.into_iter().find(|trial| trial.number() == number)?, Mac(take(&mut rest)?))
            }
            _ => return None,
        };
        Some(Self { nonce, message })
    }
}

impl Half {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.clock.to_be_bytes());
        out.extend(self.mtu.to_be_bytes());
        out.extend(self.mac.0);
        out.extend(self.guest.unwrap_or(Mac([0; 6])).0);
        out.extend(self.topology);
        out.extend(self.machine);
        for text in [&self.lab, &self.role, &self.hostname, &self.nslab] {
            let mut end = text.len().min(LONGEST);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            out.push(u8::try_from(end).unwrap_or_default());
            out.extend(&text.as_bytes()[..end]);
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let half = Self {
            clock: u64::from_be_bytes(take(rest)?),
            mtu: u32::from_be_bytes(take(rest)?),
            mac: Mac(take(rest)?),
            guest: Some(Mac(take(rest)?)).filter(|mac| mac.0 != [0; 6]),
            topology: take(rest)?,
            machine: take(rest)?,
            lab: text(rest)?,
            role: text(rest)?,
            hostname: text(rest)?,
            nslab: text(rest)?,
        };
        // Who answers sends to both: no frame of somebody else's makes it send to a group.
        let sound = half.mac.is_unicast() && half.guest.is_none_or(Mac::is_unicast);
        sound.then_some(half)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    let (head, tail) = rest.split_at_checked(usize::from(length)).filter(|(head, _)| head.len() <= LONGEST)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in crate::lab::halves) fn half(role: &str) -> Half {
        let byte = role.as_bytes()[0];
        Half {
            clock: 1_800_000_000,
            mtu: 1500,
            mac: Mac([2, 0, 0, 0, 0, byte]),
            guest: Some(Mac([2, 0, 0, 0, 1, byte])),
            topology: [9; 32],
            machine: [byte; 32],
            lab: "bridged".to_owned(),
            role: role.to_owned(),
            hostname: format!("vm-{role}"),
            nslab: "0.1.0".to_owned(),
        }
    }

    fn frames() -> Vec<Frame> {
        let received = Received(0b1010);
        let trials = Frames::ALL.map(|trial| Frame::trial(3, trial, Mac([2, 0, 0, 0, 0, 1])));
        let mut frames = vec![Frame::question(1, half("a")), Frame::answer(2, Half { guest: None, ..half("b") }, received)];
        frames.extend(trials);
        frames
    }

    #[test]
    fn what_is_written_is_read_whatever_the_padding() {
        for frame in frames() {
            for room in [0, 1500, 9000] {
                let bytes = frame.on_the_wire(Mac([2; 6]), Mac([0xff; 6]), room);
                assert!(bytes.len() >= SHORTEST.max(room as usize + HEADER));
                assert_eq!(Frame::read(&bytes), Some(frame.clone()));
            }
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_not_read() {
        for frame in frames() {
            let bytes = [&[0; 12][..], &ETHERTYPE.to_be_bytes(), &frame.encode()].concat();
            assert!(Frame::read(&bytes).is_some());
            for end in 0..bytes.len() {
                assert_eq!(Frame::read(&bytes[..end]), None, "{end}");
            }
            for (at, wrong) in [(12, 8), (14, b'x'), (18, 2), (19, 3)] {
                let mut bytes = bytes.clone();
                bytes[at] = wrong;
                assert_eq!(Frame::read(&bytes), None, "{at}");
            }
        }
    }

    #[test]
    fn nobody_is_made_to_send_to_a_group() {
        for group in [Half { mac: Mac([0xff; 6]), ..half("a") }, Half { guest: Some(Mac([1, 0, 0x5e, 0, 0, 1])), ..half("a") }] {
            assert_eq!(Frame::read(&Frame::question(1, group).on_the_wire(Mac([2; 6]), Mac([0xff; 6]), 0)), None);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = Half { hostname: format!("x{}", "ñ".repeat(60)), ..half("a") };
        let read = Frame::decode(&Frame::question(1, long).encode()).unwrap();
        let Message::Question(read) = read.message else { panic!("{read:?}") };
        assert_eq!(read.hostname, format!("x{}", "ñ".repeat(31)));
    }
}
