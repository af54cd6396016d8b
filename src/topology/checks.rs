//! What must hold in a lab: checkpoints, each with points and checks.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::{IfName, NameFault, NodeName};

/// Checks that give points together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Unique among the checkpoints.
    pub name: String,
    /// What it gives when every check in it passes.
    pub points: u32,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// The check enum and the words for it, one line per kind.
macro_rules! checks {
    ($($(#[$doc:meta])* $kind:ident($of:ty) $word:literal,)*) => {
        /// One thing that must hold.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            $($(#[$doc])* $kind($of),)*
        }

        /// A kind of check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Check {
            /// Of which kind it is.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its key in a topology file.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

checks! {
    /// Nodes answer each other's pings.
    Reach(Reach) "reach",
    /// Nodes do not answer each other's pings.
    Unreachable(Vec<(Machine, Machine)>) "unreachable",
    /// The MAC addresses in the frames on a network.
    Macs(Macs) "macs",
    /// The nodes that route a packet on its way, and the last one.
    Path(Path) "path",
    /// The same, as the record route option of a ping says.
    RecordRoute(Path) "record-route",
    /// Where a node sends packets for a destination.
    Routes(Routes) "routes",
    /// The addresses of nodes and their subnets.
    Addresses(Addresses) "addresses",
    /// Who forwards packets and who does not.
    Forwarding(Forwarding) "forwarding",
    /// What a bridge of a host joins.
    Bridge(Bridged) "bridge",
    /// A command in a node, its exit code and output.
    Command(Command) "command",
    /// A host commands the containers of another one through its agent.
    Control(Control) "control",
}

/// A host, or a container of a host; in JSON as in reports, `HOST` or `HOST.CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Machine {
    /// The host.
    pub host: NodeName,
    /// The container; none where the host itself is meant.
    pub container: Option<NodeName>,
}

impl fmt::Display for Machine {
    /// `host-a`, or `host-a.a1` as in reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            None => write!(f, "{}", self.host),
            Some(container) => write!(f, "{}.{container}", self.host),
        }
    }
}

impl From<Machine> for String {
    fn from(machine: Machine) -> Self {
        machine.to_string()
    }
}

impl TryFrom<String> for Machine {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = |word: &str| word.parse().map_err(|fault: NameFault| format!("{fault:?}"));
        match text.split_once('.') {
            None => Ok(Self { host: name(&text)?, container: None }),
            Some((host, container)) => Ok(Self { host: name(host)?, container: Some(name(container)?) }),
        }
    }
}

/// Several nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// Every container.
    Containers,
    /// Every host.
    Hosts,
    /// These.
    These(Vec<Machine>),
}

/// Who must reach whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Every container every other, by every family that both have.
    All,
    /// These pairs, in both directions.
    Pairs(Vec<(Machine, Machine)>),
}

/// Whose MAC addresses are in the frames that cross a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Macs {
    /// The network.
    pub network: NodeName,
    /// All whose addresses are there, and nobody else.
    pub owners: Members,
}

/// The way of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Who sends it.
    pub from: Machine,
    /// Whom it is for.
    pub to: Machine,
    /// Every node that routes it, in order, and the receiver last.
    pub hops: Vec<Machine>,
}

/// A route of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// The node.
    pub node: Machine,
    /// Where to.
    pub to: Destination,
    /// Over whom; none where it is on the node's own segment.
    pub via: Option<Router>,
}

/// Where a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Wherever a node is: by a route of its own or by the default route.
    Node(Machine),
    /// A route to exactly this prefix; `default` is a prefix without bits.
    Prefix(IpNet),
}

/// The next router of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Router {
    /// Any address of this node on the segment.
    Node(Machine),
    /// This address.
    Address(std::net::IpAddr),
}

/// Addresses of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Whose.
    pub of: Members,
    /// Only those of the NICs on this network.
    pub network: Option<NodeName>,
    /// What their subnets have to do with each other.
    pub subnet: Option<Subnet>,
    /// Addresses that each of them has.
    pub are: Vec<IpNet>,
}

/// What subnets have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subnet {
    /// One subnet has all of them.
    Same,
    /// Nodes of different hosts are in different subnets.
    Different,
    /// Each container shares a subnet with the host's end of its own cable.
    PointToPoint,
}

/// Who forwards packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// These do.
    pub on: Vec<Machine>,
    /// These do not.
    pub off: Vec<Machine>,
}

/// What a bridge joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridged {
    /// The host that the bridge is in.
    pub host: NodeName,
    /// Its name, where it matters.
    pub name: Option<IfName>,
    /// What must be plugged into it; further containers may be, further NICs may not.
    pub ports: Vec<Plug>,
}

/// Something that is plugged into a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plug {
    /// A NIC of the host.
    Nic(IfName),
    /// A container of the host, by its cable.
    Container(NodeName),
}

/// A command in a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The node.
    pub node: Machine,
    /// For `sh -c`.
    pub run: String,
    /// The exit code that it must end with.
    pub exit: u8,
    /// What its output must contain.
    pub output: Option<String>,
    /// Seconds that it may take.
    pub seconds: u16,
}

/// Whose containers a host commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The host that commands.
    pub from: NodeName,
    /// The host whose containers they are.
    pub of: NodeName,
}
