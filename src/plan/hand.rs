//! What hands can change and no topology says. There is a fact of it only where it differs from what a fresh namespace or a new
//! interface has: to undo it is to bring that back.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::words::quoted;
use crate::name::{IfName, Mac};

/// A number that is another one than at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Turned {
    /// What it is.
    pub now: u32,
    /// What a fresh one has.
    pub fresh: u32,
    /// Nobody could tell what a fresh one has: that is the kernel's default.
    pub guessed: bool,
}

impl Turned {
    /// A number, if it is another one than a fresh one's, which is known.
    pub fn from(now: u32, fresh: u32) -> Option<Self> {
        (now != fresh).then_some(Self { now, fresh, guessed: false })
    }

    fn value(self, made: bool) -> u32 {
        if made { self.now } else { self.fresh }
    }
}

/// Something in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OfSpace {
    /// A setting, by its path under `/proc/sys/net`.
    Setting(String, Turned),
    /// A policy rule: its family and the words of `ip rule`, and the kernel's message.
    Rule(Rule),
    /// One of the three rules that a namespace is born with is gone.
    NoRule(Rule),
    /// A route of a kind or with attributes that no fact of its own tells: its words, and what names it to the kernel.
    Route(String, Vec<u8>),
    /// A policy of `IPsec`: the words of `ip xfrm policy`, and what names it to the kernel.
    Policy(String, Vec<u8>),
    /// What becomes of packets that no policy of `IPsec` is for, in three directions: dropped where the bit is set.
    PolicyDefault(u8),
}

/// A policy rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Of IPv6.
    pub ipv6: bool,
    /// As `ip rule` takes it.
    pub words: String,
    /// As the kernel tells it.
    pub message: Vec<u8>,
}

/// A switch of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// It asks and answers for addresses.
    Arp,
    /// It takes multicast.
    Multicast,
}

impl Flag {
    fn word(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Multicast => "multicast",
        }
    }
}

/// An option of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the option of that name")]
pub enum BridgeOption {
    VlanFiltering,
    McastSnooping,
    AgeingTime,
    GroupFwdMask,
    NfCallIptables,
    NfCallIp6tables,
    NfCallArptables,
}

impl BridgeOption {
    fn word(self) -> &'static str {
        match self {
            Self::VlanFiltering => "vlan_filtering",
            Self::McastSnooping => "mcast_snooping",
            Self::AgeingTime => "ageing_time",
            Self::GroupFwdMask => "group_fwd_mask",
            Self::NfCallIptables => "nf_call_iptables",
            Self::NfCallIp6tables => "nf_call_ip6tables",
            Self::NfCallArptables => "nf_call_arptables",
        }
    }
}

/// An option of a bridge's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the option of that name")]
pub enum PortOption {
    State,
    Learning,
    Flood,
    BcastFlood,
    McastFlood,
    Isolated,
    Hairpin,
    Guard,
    Locked,
    NeighSuppress,
}

impl PortOption {
    fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Learning => "learning",
            Self::Flood => "flood",
            Self::BcastFlood => "bcast_flood",
            Self::McastFlood => "mcast_flood",
            Self::Isolated => "isolated",
            Self::Hairpin => "hairpin",
            Self::Guard => "guard",
            Self::Locked => "locked",
            Self::NeighSuppress => "neigh_suppress",
        }
    }
}

/// How an entry of a forwarding table is kept that is not just static.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Held {
    /// Static in one VLAN.
    Static,
    /// It does not move to another port.
    Sticky,
    /// Frames for it go up the stack.
    Local,
}

/// Something of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OfPort {
    /// A switch that is off.
    Off(Flag),
    /// A setting of IPv4, or of IPv6, by its name under `conf`.
    Conf(bool, String, Turned),
    /// An option of a bridge.
    Bridge(BridgeOption, Turned),
    /// An option of a bridge's port.
    Option(PortOption, Turned),
    /// An entry of the forwarding table, in a VLAN if it is not 0.
    Entry(Mac, u16, Held),
    /// A neighbour that is kept; without a MAC address one that is answered for.
    Neighbour(IpAddr, Option<Mac>),
    /// An address that counts only on the link (253), on this host (254) or wherever that number says.
    Scope(IpNet, u8),
    /// The route that comes with an address is gone.
    Unrouted(IpNet),
    /// The local route that comes with an address is gone: nobody takes its packets.
    Unknown(IpAddr),
    /// A queueing discipline by the words of `tc`, at the root or where frames come in.
    Qdisc(Queue, String),
}

/// Where a queueing discipline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Queue {
    Root,
    Ingress,
}

/// A command: which program, and what follows the namespace.
pub struct Words {
    /// `ip`, `bridge`, `tc` or `sysctl`.
    pub program: &'static str,
    /// Its words.
    pub words: String,
}

fn words(program: &'static str, words: String) -> Words {
    Words { program, words }
}

fn setting(path: &str, value: u32) -> Words {
    // `sysctl` reads a name with dots in it only where all of it has slashes.
    let name = if path.contains('.') { path.to_owned() } else { path.replace('/', ".") };
    words("sysctl", format!("{}={value}", quoted(&name)))
}

/// The path of a setting of an interface under `/proc/sys`.
pub fn conf(ipv6: bool, dev: &IfName, name: &str) -> String {
    format!("net/ipv{}/conf/{dev}/{name}", if ipv6 { 6 } else { 4 })
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

impl OfSpace {
    /// What makes it so, or what undoes it.
    pub fn words(&self, made: bool) -> Words {
        match self {
            Self::Setting(path, turned) => setting(&format!("net/{path}"), turned.value(made)),
            Self::Rule(rule) => rule.words(made),
            Self::NoRule(rule) => rule.words(!made),
            Self::Route(text, _) => {
                let family = if text.contains("::") { "-6 " } else { "" };
                words("ip", format!("{family}route {} {text}", if made { "replace" } else { "del" }))
            }
            Self::Policy(text, _) if made => words("ip", format!("xfrm policy add {text}")),
            Self::Policy(text, _) => {
                // Up to the direction it is named, from there on described.
                let named: Vec<&str> = text.split(' ').collect();
                let end = named.iter().position(|word| *word == "dir").map_or(named.len(), |dir| dir + 2);
                words("ip", format!("xfrm policy delete {}", named[..end].join(" ")))
            }
            Self::PolicyDefault(blocked) => {
                let way = |(bit, name)| format!("{name} {}", if made && blocked & bit != 0 { "block" } else { "accept" });
                let ways: Vec<String> = [(1, "in"), (2, "fwd"), (4, "out")].map(way).into();
                words("ip", format!("xfrm policy setdefault {}", ways.join(" ")))
            }
        }
    }

    /// The kernel's default was taken for what a fresh one has.
    pub fn is_guessed(&self) -> bool {
        matches!(self, Self::Setting(_, turned) if turned.guessed)
    }
}

impl Rule {
    fn words(&self, made: bool) -> Words {
        let family = if self.ipv6 { "-6 " } else { "" };
        words("ip", format!("{family}rule {} {}", if made { "add" } else { "del" }, self.words))
    }
}

impl OfPort {
    /// It is of a bridge's port, and goes when the interface is none any more.
    pub fn is_of_membership(&self) -> bool {
        matches!(self, Self::Option(..) | Self::Entry(..))
    }

    /// What makes it so, or what undoes it.
    pub fn words(&self, made: bool, at: &IfName) -> Words {
        let dev = quoted(at.as_str());
        let verb = if made { "add" } else { "del" };
        match self {
            Self::Off(flag) => words("ip", format!("link set {dev} {} {}", flag.word(), on(!made))),
            Self::Conf(ipv6, name, turned) => setting(&conf(*ipv6, at, name), turned.value(made)),
            Self::Bridge(option, turned) => {
                words("ip", format!("link set {dev} type bridge {} {}", option.word(), turned.value(made)))
            }
            Self::Option(option, turned) => {
                let value = turned.value(made);
                let value = if *option == PortOption::State { value.to_string() } else { on(value != 0).to_owned() };
                words("bridge", format!("link set dev {dev} {} {value}", option.word()))
            }
            Self::Entry(mac, vlan, held) => {
                let vlan = if *vlan == 0 { String::new() } else { format!(" vlan {vlan}") };
                let how = match held {
                    _ if !made => "",
                    Held::Static => " static",
                    Held::Sticky => " static sticky",
                    Held::Local => " permanent",
                };
                words("bridge", format!("fdb {verb} {mac} dev {dev} master{how}{vlan}"))
            }
            Self::Neighbour(address, Some(mac)) if made => {
                words("ip", format!("neighbour replace {address} lladdr {mac} dev {dev} nud permanent"))
            }
            Self::Neighbour(address, Some(_)) => words("ip", format!("neighbour del {address} dev {dev}")),
            Self::Neighbour(address, None) => words("ip", format!("neighbour {verb} proxy {address} dev {dev}")),
            Self::Scope(net, scope) if made => {
                let scope = match scope {
                    253 => "link".to_owned(),
                    254 => "host".to_owned(),
                    other => other.to_string(),
                };
                words("ip", format!("address add {net} dev {dev} scope {scope}"))
            }
            Self::Scope(net, _) => words("ip", format!("address del {net} dev {dev}")),
            Self::Unrouted(net) => {
                let family = if net.addr().is_ipv6() { "-6 " } else { "" };
                let how = match net {
                    IpNet::V4(net) if !made => format!(" proto kernel scope link src {}", net.addr()),
                    IpNet::V6(_) if !made => " proto kernel metric 256".to_owned(),
                    _ => String::new(),
                };
                let verb = if made { "del" } else { "add" };
                words("ip", format!("{family}route {verb} {} dev {dev}{how}", net.trunc()))
            }
            Self::Unknown(address) => {
                let how = if made { String::new() } else { format!(" proto kernel scope host src {address}") };
                let verb = if made { "del" } else { "add" };
                words("ip", format!("route {verb} local {address} dev {dev} table local{how}"))
            }
            Self::Qdisc(queue, how) => {
                let at = match queue {
                    Queue::Root => "root",
                    Queue::Ingress if how == "clsact" => "clsact",
                    Queue::Ingress => "ingress",
                };
                let how = if made && *queue == Queue::Root { format!(" {how}") } else { String::new() };
                words("tc", format!("qdisc {verb} dev {dev} {at}{how}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_undone_by_the_same_words_turned() {
        let dev = IfName::observed("eth0");
        let both = |hand: OfPort| [true, false].map(|made| hand.words(made, &dev).words);
        let turned = |now, fresh| Turned { now, fresh, guessed: false };
        assert_eq!(both(OfPort::Off(Flag::Arp)), ["link set eth0 arp off", "link set eth0 arp on"]);
        let isolated = OfPort::Option(PortOption::Isolated, turned(1, 0));
        assert_eq!(both(isolated), ["link set dev eth0 isolated on", "link set dev eth0 isolated off"]);
        let forwarding = OfPort::Conf(false, "forwarding".to_owned(), turned(0, 1));
        assert_eq!(both(forwarding), ["net.ipv4.conf.eth0.forwarding=0", "net.ipv4.conf.eth0.forwarding=1"]);
        let vlan = IfName::observed("eth0.10");
        let setting = OfPort::Conf(true, "disable_ipv6".to_owned(), turned(1, 0));
        assert_eq!(setting.words(true, &vlan).words, "net/ipv6/conf/eth0.10/disable_ipv6=1");
        let policy = OfSpace::Policy("src 0.0.0.0/0 dst 10.0.0.0/8 dir fwd action block".to_owned(), Vec::new());
        assert_eq!(policy.words(false).words, "xfrm policy delete src 0.0.0.0/0 dst 10.0.0.0/8 dir fwd");
        assert_eq!(OfSpace::PolicyDefault(2).words(true).words, "xfrm policy setdefault in accept fwd block out accept");
    }
}
