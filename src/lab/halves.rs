//! What the halves of a lab say to each other on a borrowed NIC, and what that proves of the network between them.
//!
//! Each half has a process that watches its NIC, and that answers. Who asks learns who plays what there, and both send small
//! trials: a frame for a MAC address that is not a NIC's own, one from such an address, and one of full size.

mod answer;
mod ask;
mod frame;
mod judge;

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use answer::Answerer;
pub use ask::{Other, Talk};

use self::ask::ask;
use self::frame::{ETHERTYPE, Frame};
use self::judge::judge;
use super::{Journal, failed};
use crate::error::{Error, Result};
use crate::kernel::nic::{Nic, survey};
use crate::kernel::packet::{Buffer, Tap};
use crate::kernel::socket::Netlink;
use crate::kernel::space::MACHINE;
use crate::name::{IfName, Mac, NodeName};
use crate::plan::{Key, NodeId, Ns, State, Value, compile};
use crate::report::half::{Frames, Halves};

/// Frames wait here until they are read, in bytes of the kernel's memory.
const QUEUE: usize = 256 << 10;
/// The destination of questions and answers: even two NICs with the same address hear each other.
const EVERYBODY: Mac = Mac([0xff; 6]);

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

impl Frames {
    const ALL: [Self; 4] = [Self::Plain, Self::ToGuest, Self::FromGuest, Self::Full];

    fn number(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::ToGuest => 1,
            Self::FromGuest => 2,
            Self::Full => 3,
        }
    }

    /// Its source and destination; none where a half has no containers on this segment.
    fn ends(self, from: &Half, to: &Half) -> Option<(Mac, Mac)> {
        Some(match self {
            Self::Plain | Self::Full => (from.mac, to.mac),
            Self::ToGuest => (from.mac, to.guest?),
            Self::FromGuest => (from.guest?, to.mac),
        })
    }
}

/// The trials that have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard(u8);

impl Heard {
    fn has(self, trial: Frames) -> bool {
        self.0 & (1 << trial.number()) != 0
    }

    fn add(&mut self, trial: Frames) {
        self.0 |= 1 << trial.number();
    }

    /// Whether everything has arrived that one half sends to the other.
    fn is_whole(self, from: &Half, to: &Half) -> bool {
        Frames::ALL.into_iter().all(|trial| self.has(trial) || trial.ends(from, to).is_none())
    }
}

impl Half {
    /// This machine's half of a lab, on one of its NICs.
    fn here(journal: &Journal, nic: &Nic) -> Option<Self> {
        let file = journal.origin.as_ref().unwrap_or(journal.described());
        let facts: Vec<_> = compile(file).into_iter().collect();
        let facts = serde_json::to_vec(&facts).unwrap_or_default();
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
    let is_port = own.keys().any(|key| matches!(key, Key::Member(port) if port.ns == Ns::Root && port.dev == *nic));
    let container = |key: &Key| matches!(key.ns(), Ns::Node(NodeId::Container(..)));
    own.iter().filter(|_| is_port).find_map(|(key, value)| match (key, value) {
        (Key::Mac(_), Value::Mac(mac)) if container(key) => Some(*mac),
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

/// A packet socket on a NIC of the machine that hears what halves say, and nothing else.
fn tap(nic: &Nic) -> Result<Tap> {
    // As `tcpdump -d ether proto 0x88b5` has it.
    let program = [
        libc::sock_filter { code: 0x28, jt: 0, jf: 0, k: 12 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: u32::from(ETHERTYPE) },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
    ];
    Tap::open(MACHINE.as_ref(), Some(nic.index), &program, Buffer::Queue(QUEUE)).map_err(|(tried, errno)| failed(&tried, errno))
}

/// Who plays the rest of a lab of which this machine has a half, as far as it can be asked on the half's NICs; waits so long
/// for those that do not answer. None for a whole lab.
///
/// # Errors
/// At Ctrl-C; where nothing can be asked, nobody answers.
pub fn others(journal: &Journal, patience: Duration) -> Result<Option<Halves>> {
    let (Some(role), Some(whole)) = (&journal.topology.role, &journal.whole) else { return Ok(None) };
    let names = |hosts: Vec<&NodeName>| -> Vec<String> { hosts.into_iter().map(ToString::to_string).collect() };
    let mut talks = Vec::new();
    for (described, nic) in &role.nics {
        match ask(journal, nic, patience, whole.beside(&role.host, described).len()) {
            Ok(talk) => talks.extend(talk),
            Err(error @ Error::Signal(_)) => return Err(error),
            Err(_) => {}
        }
    }
    let mut neighbours: Vec<&NodeName> = role.nics.keys().flat_map(|nic| whole.beside(&role.host, nic)).collect();
    neighbours.sort();
    neighbours.dedup();
    let hosts = whole.hosts.iter().map(|host| &host.name).filter(|name| **name != role.host).collect();
    Ok(Some(judge(&talks, &names(neighbours), &names(hosts))))
}

/// The NIC as it is now.
fn look(netlink: &mut Netlink, name: &IfName) -> Result<Option<Nic>> {
    let nics = survey(netlink).map_err(|errno| failed("ip addr", errno))?;
    Ok(nics.into_iter().find(|nic| nic.name == *name))
}

/// Sends a frame; one for which there is no room or no carrier is lost, as on any network.
fn send(tap: &Tap, frame: &[u8]) {
    let _ = nix::unistd::write(tap.as_fd(), frame);
}

/// Sends every trial that one half has for the other.
fn try_all(tap: &Tap, nonce: u64, from: &Half, to: &Half) {
    for trial in Frames::ALL {
        let Some((source, destination)) = trial.ends(from, to) else { continue };
        let room = if trial == Frames::Full { from.mtu.min(to.mtu) } else { 0 };
        send(tap, &Frame::trial(nonce, trial, from.mac).on_the_wire(source, destination, room));
    }
}

/// The frames that have come in, without waiting.
fn incoming(tap: &mut Tap) -> Vec<Frame> {
    let mut frames = Vec::new();
    // An interface that has gone down says so once, and is listened at as before.
    let _ = tap.read(&mut |seen| {
        if !seen.outgoing && frames.len() < 256 {
            frames.extend(Frame::read(seen.bytes));
        }
    });
    frames
}
