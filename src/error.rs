//! What can go wrong, as data: the cause with its values and the exit code. The sentences stand in `render/lang`.

mod faults;

use std::path::PathBuf;

pub use faults::{
    AgentFault, Allow, Awaited, Card, DeviceFault, FilterFault, InstanceFault, Refusal, RemoteFault, RoleFault, Rollback,
    Service, Using, WrongValue,
};

use crate::problem::Finding;

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why nslab did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub enum Error {
    /// A topology file does not describe a lab; every finding at once.
    Topology {
        /// The file, or the built-in's name.
        file: String,
        /// Its text, to quote lines from.
        text: String,
        /// What is wrong, in the order of the file.
        findings: Vec<Finding>,
    },
    /// A file cannot be read as a topology.
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: FileFault,
    },
    /// A word on the command line that names nothing.
    Unknown {
        /// What it should name.
        what: Thing,
        /// What was typed.
        word: String,
        /// Names close to it, or everything it could be.
        candidates: Vec<String>,
    },
    /// A word on the command line that names several things.
    Ambiguous {
        /// What it should name.
        what: Thing,
        /// What was typed; empty where nothing was.
        word: String,
        /// Everything it could be.
        candidates: Vec<String>,
    },
    /// Not a name: the characters or the length are wrong.
    BadName {
        /// What it should name.
        what: Thing,
        /// What was typed.
        word: String,
        /// What is wrong with it.
        fault: crate::name::NameFault,
    },
    /// The caller lacks the rights.
    NotRoot {
        /// What would work, as typed after `sudo`.
        command: String,
    },
    /// This machine cannot: a kernel feature or a limit.
    Machine(Limit),
    /// An operation on the kernel failed; what was done is undone.
    Kernel(KernelError),
    /// Somebody holds the lab's lock.
    Busy {
        /// The lab, or none for the whole of `/run/nslab`.
        lab: Option<String>,
        /// The holder: its pid and command line, where they can be seen.
        holder: Option<(i32, String)>,
    },
    /// This machine cannot play a host of the lab as asked.
    Role(RoleFault),
    /// The agent of a host.
    Agent(AgentFault),
    /// A remote, or the way to it.
    Remote(RemoteFault),
    /// A container or a network for containers cannot be changed as asked.
    Instance(InstanceFault),
    /// Something of that name is there and is not nslab's.
    Conflict {
        /// A path or an interface.
        what: String,
        /// It is the caller's.
        own: bool,
    },
    /// A NIC of the machine that nslab does not touch, or not without being told to.
    Nic {
        /// The NIC.
        nic: String,
        /// Every reason against it.
        why: Vec<Refusal>,
    },
    /// A change of a NIC was taken back, and the lab with it.
    RolledBack {
        /// The lab.
        lab: String,
        /// Why.
        why: Rollback,
    },
    /// A file or directory of nslab's own is not as nslab made it: a link, or damaged.
    Tampered(PathBuf),
    /// It is not known which labs are up: the index that anybody may read is missing, damaged or no file.
    Unlisted(PathBuf),
    /// What is where nslab keeps its own belongs to somebody else.
    Foreign {
        /// Where.
        path: PathBuf,
        /// To whom.
        owner: Owner,
    },
    /// The lab's journal cannot be read, or a newer nslab wrote it.
    Journal {
        /// The lab.
        lab: String,
        /// What is wrong with it.
        why: JournalFault,
    },
    /// Not everything could be removed.
    Left(Vec<Left>),
    /// A signal arrived; what was done is undone.
    Signal(i32),
    /// A command to run in a node cannot be executed (126) or was not found (127).
    Command {
        /// The command.
        command: String,
        /// The system's error number.
        errno: i32,
    },
    /// nslab itself is at fault; what was done is undone.
    Internal(String),
    /// The output cannot be written; the command itself has done its work.
    Output {
        /// The system's error number.
        errno: i32,
    },
    /// A capture cannot be written any further; what was written is whole.
    Capture {
        /// The file.
        file: PathBuf,
        /// The system's error number.
        errno: i32,
    },
    /// Two options that exclude each other, or a value out of range.
    Usage(Usage),
    /// A capture filter makes no sense.
    Filter {
        /// The filter as it was typed.
        text: String,
        /// The bytes of it that are wrong.
        at: std::ops::Range<usize>,
        /// What is wrong there.
        fault: FilterFault,
    },
}

/// A kind of thing with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Thing {
    Lab,
    Topology,
    Node,
    Host,
    Container,
    Interface,
    Network,
    Point,
    Command,
    Check,
    Remote,
}

/// Why a file cannot be read as a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFault {
    /// The system refused, with its error number; the user who asked, where that is not root.
    Read {
        /// `errno`.
        errno: i32,
        /// Whose rights were used.
        user: Option<u32>,
    },
    /// No regular file.
    NotAFile,
    /// Longer than the limit: how many bytes it has.
    TooLong(u64),
    /// Not UTF-8 text, or with NUL bytes.
    NotText,
    /// It cannot be written, with the error number.
    Write(i32),
}

/// What this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// The kernel has no support for it.
    Feature(Feature),
    /// A limit of the kernel is reached: its name as `sysctl` shows it.
    Sysctl(&'static str),
    /// Too few file descriptors (`RLIMIT_NOFILE`).
    OpenFiles,
    /// A capability is missing.
    Capability(&'static str),
    /// The user namespace has no mount namespace of its own.
    MountNamespace,
    /// Mounting is forbidden, whoever asks.
    Mounting,
    /// No space left under this path.
    Space(PathBuf),
    /// Memory ran out.
    Memory,
}

/// To whom something belongs that is not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The machine's root.
    Root,
    /// A user: the name, or the number of one without.
    User(String),
    /// Somebody who is not in the caller's user namespace.
    Outside,
}

/// What a kernel may have no support for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Feature {
    Overlay,
    /// PID, mount, UTS and IPC namespaces.
    SandboxNamespaces,
    /// `open_tree` and `mount_setattr`.
    MountCalls,
    NetworkNamespaces,
    Bridge,
    Veth,
}

impl Feature {
    /// Its configuration symbol, or the release that brought it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Overlay => "CONFIG_OVERLAY_FS",
            Self::SandboxNamespaces => "CONFIG_PID_NS",
            Self::MountCalls => "Linux >= 5.12",
            Self::NetworkNamespaces => "CONFIG_NET_NS",
            Self::Bridge => "CONFIG_BRIDGE",
            Self::Veth => "CONFIG_VETH",
        }
    }
}

/// An operation on the kernel that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// The node it was for, where there is one.
    pub node: Option<String>,
    /// What was tried: an `ip` line, or a system call with its object.
    pub tried: String,
    /// The system's error number.
    pub errno: i32,
    /// The kernel's own sentence (extended ack), where it gave one.
    pub extack: Option<String>,
}

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalFault {
    /// It is damaged.
    Damaged,
    /// Another nslab wrote it: its format, and its version.
    Newer(u32, String),
}

/// Something that could not be removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// A process: its pid and command line.
    Process(i32, String),
    /// A borrowed thing that a damaged journal no longer describes.
    Borrowed(String),
    /// An interface of the machine that looks like nslab's, of a lab whose records are lost.
    Suspect(String),
    /// Something of a borrowed NIC: what was tried, and the error number.
    NotRestored(String, i32),
}

/// A wrong use of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// The command has no output of that shape; those that it has.
    Format {
        /// What was asked for.
        format: String,
        /// What there is.
        takes: Vec<String>,
    },
    /// A file's name does not say in which shape it should be written; endings that would.
    Ending {
        /// The file.
        file: PathBuf,
        /// Endings with their dots.
        endings: Vec<String>,
    },
    /// A question must be answered but nobody is there to ask: the flag that answers it.
    NeedsAnswer(&'static str),
    /// No lab is up.
    NothingUp,
    /// The lab is not up.
    NotUp(String),
    /// The name for a lab is that of one of its hosts.
    NamedLikeHost(String),
    /// A lab cannot change from inside of one of its nodes: the lab and node.
    InsideNode(String),
    /// The node has no address that could be pinged: the node as typed, and the version of IP that was asked for.
    NoAddress(String, Option<u8>),
    /// All addresses of the node, of which this is one, are the sender's, too.
    OwnAddress(String, String),
    /// A node is to send from an address that it has not; those that it has.
    NotOwnAddress(String, String, Vec<String>),
    /// The lab has no checkpoints.
    NothingToCheck(String),
    /// The other topology has no checkpoints.
    NoCheckpoints(String),
    /// A word that begins like an address and is none.
    NotAnAddress(String),
    /// An address that no one node can have: multicast, broadcast, unspecified.
    NotOneNode(String),
    /// A link-local address without the interface to send by: the address.
    NeedsInterface(String),
    /// A binary format is to go to a terminal.
    Terminal,
    /// No point to listen at was named.
    NoPoint,
    /// Points in several labs: the labs.
    PointsInSeveralLabs(Vec<String>),
    /// A word that names a point and begins a filter: the word, and how to name the point without doubt.
    PointOrFilter(String, String),
    /// Frames of the interface are not those of Ethernet.
    NotEthernet(String),
    /// No change of a NIC waits to be kept.
    NothingToKeep(String),
    /// Anything else: the option, and what it takes.
    Option(&'static str, Takes),
}

/// What an option takes, or what must stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// An IPv4 address or a node.
    Ipv4,
    /// An IPv6 address or a node.
    Ipv6,
    /// An IPv4 address, since IPv6 records no route.
    RecordRoute,
    /// `--as lxc` beside it.
    AsLxc,
}

impl Error {
    /// What the kernel refused, for a node or for none.
    pub fn kernel<'a>(node: impl Into<Option<&'a str>>, tried: impl Into<String>, errno: nix::errno::Errno) -> Self {
        let node = node.into().map(str::to_owned);
        Self::Kernel(KernelError { node, tried: tried.into(), errno: errno as i32, extack: None })
    }

    /// The process exit code; `docs/exit-codes.md` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Topology { .. }
            | Self::File { .. }
            | Self::Unknown { .. }
            | Self::Ambiguous { .. }
            | Self::BadName { .. }
            | Self::Filter { .. }
            | Self::Usage(_) => 2,
            Self::NotRoot { .. } | Self::Machine(_) | Self::Tampered(_) | Self::Unlisted(_) | Self::Foreign { .. } => 3,
            Self::Kernel(_) | Self::Internal(_) | Self::Output { .. } | Self::Capture { .. } => 1,
            // 2 for what was asked for wrongly, 4 for what stands in the way.
            Self::Role(fault) => match fault {
                RoleFault::NoNic { .. }
                | RoleFault::ManyNics { .. }
                | RoleFault::MissingNic { .. }
                | RoleFault::WhichNic { .. }
                | RoleFault::TwiceNic(_)
                | RoleFault::Elsewhere { .. } => 2,
                RoleFault::Plugged { .. } | RoleFault::Reachable { .. } | RoleFault::Other { .. } => 4,
            },
            Self::Remote(fault) => match fault {
                RemoteFault::NoToken(_) => 2,
                RemoteFault::Untrusted(_) | RemoteFault::Changed { .. } | RemoteFault::Damaged(_) => 3,
                RemoteFault::Exists(_) => 4,
                RemoteFault::Unreachable { .. }
                | RemoteFault::Handshake { .. }
                | RemoteFault::Refused { .. }
                | RemoteFault::NoApi(_)
                | RemoteFault::Cut(_)
                | RemoteFault::Store { .. } => 1,
            },
            Self::Agent(fault) => match fault {
                AgentFault::Failed(..) => 1,
                AgentFault::NothingKept(_) => 2,
                AgentFault::Stopped(_) | AgentFault::Silent(_) | AgentFault::Nowhere(_) => 3,
                AgentFault::Taken(..) => 4,
            },
            Self::Instance(fault) => match fault {
                InstanceFault::NoContainer(_)
                | InstanceFault::Device(..)
                | InstanceFault::Config(..)
                | InstanceFault::NetworkValue(..)
                | InstanceFault::NoNetwork(..)
                | InstanceFault::NoLink(..) => 2,
                InstanceFault::Exists(_)
                | InstanceFault::Running(_)
                | InstanceFault::Stopped(_)
                | InstanceFault::Frozen(_)
                | InstanceFault::NetworkExists(..)
                | InstanceFault::NetworkInUse(..)
                | InstanceFault::Full(_) => 4,
            },
            Self::Busy { .. } | Self::Conflict { .. } | Self::Nic { .. } => 4,
            Self::RolledBack { .. } => 6,
            Self::Journal { .. } | Self::Left(_) => 5,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(255),
            Self::Command { errno: libc::ENOENT, .. } => 127,
            Self::Command { .. } => 126,
        }
    }
}
