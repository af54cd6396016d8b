//! A value of every kind of error, mistake and cause; a kind without one does not compile.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use nslab::error::{
    AgentFault, Awaited, DeviceFault, Error, Feature, FileFault, FilterFault, InstanceFault, JournalFault, KernelError, Left,
    Limit, Owner, RemoteFault, RoleFault, Rollback, Takes, Thing, Usage,
};
use nslab::name::{Mac, NameFault};
use nslab::problem::{AddressFault, Problem, Reference, Shape};
use nslab::report::trace::Route;
use nslab::report::wire::Interface;

/// Every pattern has its values; together the patterns are all that there is.
macro_rules! every {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($pattern:pat => [$($sample:expr),+ $(,)?]),+ $(,)? }) => {
        $(#[$doc])*
        pub fn $name() -> Vec<$type> {
            let _ = |value: &$type| match value { $($pattern => ()),+ };
            $($(assert!(matches!(&$sample, $pattern));)+)+
            vec![$($($sample),+),+]
        }
    };
}

#[path = "samples/agent.rs"]
mod agent;
#[path = "samples/causes.rs"]
mod causes;
#[path = "samples/halves.rs"]
mod halves;
#[path = "samples/machine.rs"]
mod machine;
#[path = "samples/remote.rs"]
mod remote;

pub use agent::agent_outcomes;
pub use causes::{causes, trace};
pub use halves::mismatches;
pub use machine::{findings, interferences};
pub use remote::outcomes;

fn word(word: &str) -> String {
    word.to_owned()
}

fn foreign(owner: Owner) -> Error {
    Error::Foreign { path: PathBuf::from("/run/nslab"), owner }
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("host-{number}")).collect()
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn near(node: &str) -> Interface {
    Interface { node: word(node), interface: word("eth0") }
}

fn route(via: bool) -> Route {
    Route { to: net("0.0.0.0/0"), via: via.then(|| addr("10.0.0.1")), dev: word("eth0") }
}

every!(things: Thing {
    Thing::Lab => [Thing::Lab],
    Thing::Topology => [Thing::Topology],
    Thing::Node => [Thing::Node],
    Thing::Host => [Thing::Host],
    Thing::Container => [Thing::Container],
    Thing::Interface => [Thing::Interface],
    Thing::Network => [Thing::Network],
    Thing::Point => [Thing::Point],
    Thing::Command => [Thing::Command],
    Thing::Check => [Thing::Check],
    Thing::Remote => [Thing::Remote],
});

every!(name_faults: NameFault {
    NameFault::Empty => [NameFault::Empty],
    NameFault::TooLong { .. } => [NameFault::TooLong { len: 70, max: 63 }, NameFault::TooLong { len: 16, max: 15 }],
    NameFault::Character(_) => [NameFault::Character('/'), NameFault::Character('C')],
    NameFault::Reserved => [NameFault::Reserved],
});

every!(file_faults: FileFault {
    FileFault::Read { .. } => [
        FileFault::Read { errno: libc::ENOENT, user: None },
        FileFault::Read { errno: libc::EACCES, user: Some(1000) },
    ],
    FileFault::NotAFile => [FileFault::NotAFile],
    FileFault::TooLong(_) => [FileFault::TooLong(2_000_000)],
    FileFault::NotText => [FileFault::NotText],
    FileFault::Write(_) => [FileFault::Write(libc::ENOSPC)],
});

every!(features: Feature {
    Feature::Overlay => [Feature::Overlay],
    Feature::SandboxNamespaces => [Feature::SandboxNamespaces],
    Feature::MountCalls => [Feature::MountCalls],
    Feature::NetworkNamespaces => [Feature::NetworkNamespaces],
    Feature::Bridge => [Feature::Bridge],
    Feature::Veth => [Feature::Veth],
});

every!(limits: Limit {
    Limit::Feature(_) => [Limit::Feature(Feature::Bridge)],
    Limit::Sysctl(_) => [Limit::Sysctl("fs.mount-max"), Limit::Sysctl("user.max_net_namespaces")],
    Limit::OpenFiles => [Limit::OpenFiles],
    Limit::Capability(_) => [Limit::Capability("CAP_NET_ADMIN")],
    Limit::MountNamespace => [Limit::MountNamespace],
    Limit::Mounting => [Limit::Mounting],
    Limit::Space(_) => [Limit::Space(PathBuf::from("/run"))],
    Limit::Memory => [Limit::Memory],
});

every!(journal_faults: JournalFault {
    JournalFault::Damaged => [JournalFault::Damaged],
    JournalFault::Newer(..) => [JournalFault::Newer(9, word("9.0.0"))],
});

every!(left: Left {
    Left::Process(..) => [Left::Process(4711, word("sleep 60"))],
    Left::Suspect(_) => [Left::Suspect(word("br0"))],
    Left::Borrowed(_) => [Left::Borrowed(word("enp0s8"))],
    Left::NotRestored(..) => [Left::NotRestored(word("ip addr add 10.0.0.1/24 dev enp0s8"), libc::ENOMEM)],
});

every!(takes: Takes {
    Takes::Ipv4 => [Takes::Ipv4],
    Takes::Ipv6 => [Takes::Ipv6],
    Takes::RecordRoute => [Takes::RecordRoute],
    Takes::AsLxc => [Takes::AsLxc],
});

every!(usages: Usage {
    Usage::Format { .. } => [Usage::Format { format: "svg".to_owned(), takes: vec!["text".to_owned(), "json".to_owned()] }],
    Usage::Ending { .. } => [Usage::Ending { file: PathBuf::from("lab.png"), endings: vec![".svg".to_owned(), ".dot".to_owned()] }],
    Usage::NeedsAnswer(_) => [Usage::NeedsAnswer("--yes")],
    Usage::NothingUp => [Usage::NothingUp],
    Usage::NotUp(_) => [Usage::NotUp(word("bridged"))],
    Usage::NamedLikeHost(_) => [Usage::NamedLikeHost(word("host-a"))],
    Usage::InsideNode(_) => [Usage::InsideNode(word("bridged/a1"))],
    Usage::NoAddress(..) => [Usage::NoAddress(word("a1"), None), Usage::NoAddress(word("a1"), Some(6))],
    Usage::OwnAddress(..) => [Usage::OwnAddress(word("b1"), word("10.0.0.11"))],
    Usage::NotOwnAddress(..) => [
        Usage::NotOwnAddress(word("a1"), word("10.0.0.9"), names(0)),
        Usage::NotOwnAddress(word("a1"), word("10.0.0.9"), names(2)),
    ],
    Usage::NotAnAddress(_) => [Usage::NotAnAddress(word("10.0.0.300"))],
    Usage::NotOneNode(_) => [Usage::NotOneNode(word("224.0.0.1"))],
    Usage::NeedsInterface(_) => [Usage::NeedsInterface(word("fe80::1"))],
    Usage::Terminal => [Usage::Terminal],
    Usage::NoPoint => [Usage::NoPoint],
    Usage::PointsInSeveralLabs(_) => [Usage::PointsInSeveralLabs(names(2))],
    Usage::PointOrFilter(..) => [Usage::PointOrFilter(word("icmp"), word("lab/icmp"))],
    Usage::NotEthernet(_) => [Usage::NotEthernet(word("a1.tun0"))],
    Usage::NothingToCheck(_) => [Usage::NothingToCheck(word("bare"))],
    Usage::NoCheckpoints(_) => [Usage::NoCheckpoints(word("bare"))],
    Usage::NothingToKeep(_) => [Usage::NothingToKeep(word("bridged"))],
    Usage::Option(..) => [Usage::Option("--role", Takes::AsLxc)],
});

every!(awaited: Awaited {
    Awaited::Condition => [Awaited::Condition],
    Awaited::Connective => [Awaited::Connective],
    Awaited::Address => [Awaited::Address],
    Awaited::Net => [Awaited::Net],
    Awaited::Port => [Awaited::Port],
    Awaited::Mac => [Awaited::Mac],
    Awaited::Ether => [Awaited::Ether],
});

every!(filter_faults: FilterFault {
    FilterFault::Keyword(_) => [FilterFault::Keyword(None), FilterFault::Keyword(Some(word("icmp")))],
    FilterFault::Expected(_) => [FilterFault::Expected(Awaited::Port)],
    FilterFault::NotClosed => [FilterFault::NotClosed],
    FilterFault::NoNode(_) => [FilterFault::NoNode(names(0)), FilterFault::NoNode(names(1)), FilterFault::NoNode(names(20))],
    FilterFault::NoInterface(_) => [FilterFault::NoInterface(names(3))],
    FilterFault::Ambiguous(_) => [FilterFault::Ambiguous(names(2))],
    FilterFault::NoAddress => [FilterFault::NoAddress],
    FilterFault::NoMac => [FilterFault::NoMac],
    FilterFault::MacWithoutEther => [FilterFault::MacWithoutEther],
    FilterFault::NetAsHost => [FilterFault::NetAsHost],
    FilterFault::Net => [FilterFault::Net],
    FilterFault::HostBits(_) => [FilterFault::HostBits(net("10.0.0.0/24"))],
    FilterFault::Port => [FilterFault::Port],
    FilterFault::Modifier(..) => [FilterFault::Modifier(word("arp"), "port"), FilterFault::Modifier(word("tcp"), "host")],
    FilterFault::TooLong(_) => [FilterFault::TooLong(5000)],
    FilterFault::Never => [FilterFault::Never],
});

fn failed(node: Option<&str>, extack: Option<&str>) -> Error {
    let tried = word("ip link add br0 type bridge");
    Error::Kernel(KernelError { node: node.map(word), tried, errno: libc::EEXIST, extack: extack.map(word) })
}

every!(device_faults: DeviceFault {
    DeviceFault::Missing(_) => [DeviceFault::Missing("parent")],
    DeviceFault::Value(..) => [DeviceFault::Value("mtu", word("12"))],
    DeviceFault::NoBridge(_) => [DeviceFault::NoBridge(word("br9"))],
    DeviceFault::Taken(_) => [DeviceFault::Taken(word("veth-a1"))],
    DeviceFault::Twice(_) => [DeviceFault::Twice(word("eth0"))],
    DeviceFault::Unknown(_) => [DeviceFault::Unknown(word("bogus.key"))],
    DeviceFault::Type(_) => [DeviceFault::Type(word("wheel"))],
    DeviceFault::Unserved(_) => [DeviceFault::Unserved(word("nictype=macvlan"))],
});

every!(instance_faults: InstanceFault {
    InstanceFault::Exists(_) => [InstanceFault::Exists(word("host-a/a1"))],
    InstanceFault::Running(_) => [InstanceFault::Running(word("host-a/a1"))],
    InstanceFault::Stopped(_) => [InstanceFault::Stopped(word("host-a/a1"))],
    InstanceFault::Frozen(_) => [InstanceFault::Frozen(word("host-a/a1"))],
    InstanceFault::NoContainer(_) => [InstanceFault::NoContainer(word("host-a"))],
    InstanceFault::Device(..) => [InstanceFault::Device(word("eth0"), DeviceFault::Missing("parent"))],
    InstanceFault::NoLink(..) => [InstanceFault::NoLink(word("host-a"), word("v1"))],
    InstanceFault::NetworkExists(..) => [InstanceFault::NetworkExists(word("host-a"), word("br0"))],
    InstanceFault::NoNetwork(..) => [InstanceFault::NoNetwork(word("host-a"), word("br0"))],
    InstanceFault::NetworkInUse(..) => [InstanceFault::NetworkInUse(word("lab"), names(2))],
    InstanceFault::Config(..) => [InstanceFault::Config(word("user"), false), InstanceFault::Config(word("raw.lxc"), true)],
    InstanceFault::NetworkValue(..) => [InstanceFault::NetworkValue(word("ipv4.address"), word("10.0.0.0/24"))],
    InstanceFault::Full(_) => [InstanceFault::Full(word("host-a"))],
});

every!(one_of_each: Error {
    Error::Topology { .. } => [Error::Topology { file: word("lab.yaml"), text: String::new(), findings: Vec::new() }],
    Error::File { .. } => [Error::File { file: PathBuf::from("lab.yaml"), why: FileFault::NotText }],
    Error::Unknown { .. } => [Error::Unknown { what: Thing::Node, word: word("a9"), candidates: names(1) }],
    Error::Ambiguous { .. } => [Error::Ambiguous { what: Thing::Node, word: String::new(), candidates: names(2) }],
    Error::BadName { .. } => [Error::BadName { what: Thing::Lab, word: word("Lab"), fault: NameFault::Reserved }],
    Error::NotRoot { .. } => [Error::NotRoot { command: word("nslab up bridged") }],
    Error::Machine(_) => [Error::Machine(Limit::Memory)],
    Error::Kernel(_) => [failed(None, None), failed(Some("host-a"), Some("exclusivity flag on"))],
    Error::Busy { .. } => [
        Error::Busy { lab: None, holder: None },
        Error::Busy { lab: Some(word("bridged")), holder: Some((4711, word("nslab up bridged"))) },
    ],
    Error::Agent(_) => [Error::Agent(AgentFault::Stopped(word("host-b")))],
    Error::Remote(_) => [Error::Remote(RemoteFault::Cut(word("host-b")))],
    Error::Role(_) => [Error::Role(RoleFault::TwiceNic(word("enp0s8")))],
    Error::Instance(_) => [Error::Instance(InstanceFault::Stopped(word("host-a/a1")))],
    Error::Conflict { .. } => [
        Error::Conflict { what: word("/run/netns/lab.host-a"), own: true },
        Error::Conflict { what: word("/run/netns/lab.host-a"), own: false },
    ],
    Error::Nic { .. } => [Error::Nic { nic: word("enp0s3"), why: machine::refusals() }],
    Error::RolledBack { .. } => [Error::RolledBack { lab: word("bridged"), why: Rollback::Cut }],
    Error::Tampered(_) => [Error::Tampered(PathBuf::from("/run/nslab"))],
    Error::Unlisted(_) => [Error::Unlisted(PathBuf::from("/run/nslab/index.json"))],
    Error::Foreign { .. } => [foreign(Owner::Root), foreign(Owner::User(word("alice"))), foreign(Owner::Outside)],
    Error::Journal { .. } => [Error::Journal { lab: word("bridged"), why: JournalFault::Damaged }],
    Error::Left(_) => [Error::Left(left())],
    Error::Signal(_) => [Error::Signal(libc::SIGINT), Error::Signal(60)],
    Error::Command { .. } => [
        Error::Command { command: word("tcpdump"), errno: libc::ENOENT },
        Error::Command { command: word("/tmp"), errno: libc::EACCES },
    ],
    Error::Internal(_) => [Error::Internal(word("1"))],
    Error::Output { .. } => [Error::Output { errno: libc::ENOSPC }],
    Error::Capture { .. } => [Error::Capture { file: PathBuf::from("a.pcapng"), errno: libc::EFBIG }],
    Error::Usage(_) => [Error::Usage(Usage::NothingUp)],
    Error::Filter { .. } => [Error::Filter { text: word("icmp and"), at: 8..8, fault: FilterFault::Expected(Awaited::Condition) }],
});

/// Every error, with every kind of what can be in it.
pub fn errors() -> Vec<Error> {
    let mut all = one_of_each();
    for what in things() {
        for count in [0, 1, 2, 20] {
            all.push(Error::Unknown { what, word: word("a9"), candidates: names(count) });
        }
        all.push(Error::Ambiguous { what, word: word("c1"), candidates: names(2) });
        all.push(Error::Ambiguous { what, word: String::new(), candidates: names(2) });
        all.extend(name_faults().into_iter().map(|fault| Error::BadName { what, word: word("A/1"), fault }));
    }
    all.extend(file_faults().into_iter().map(|why| Error::File { file: PathBuf::from("lab.yaml"), why }));
    all.extend(limits().into_iter().chain(features().into_iter().map(Limit::Feature)).map(Error::Machine));
    all.extend(journal_faults().into_iter().map(|why| Error::Journal { lab: word("bridged"), why }));
    let options = takes().into_iter().map(|takes| Usage::Option("-4", takes));
    all.extend(usages().into_iter().chain(options).map(Error::Usage));
    all.extend(agent::agent_faults().into_iter().map(Error::Agent));
    all.extend(remote::remote_faults().into_iter().map(Error::Remote));
    all.extend(machine::role_faults().into_iter().map(Error::Role));
    all.extend(instance_faults().into_iter().map(Error::Instance));
    let device = |fault| Error::Instance(InstanceFault::Device(word("eth0"), fault));
    all.extend(device_faults().into_iter().map(device));
    all.extend(machine::refusals().into_iter().map(|why| Error::Nic { nic: word("enp0s3"), why: vec![why] }));
    all.extend(machine::rollbacks().into_iter().map(|why| Error::RolledBack { lab: word("bridged"), why }));
    let wanted = awaited().into_iter().map(FilterFault::Expected);
    let filter = |fault| Error::Filter { text: word("host a9 and icmp"), at: 5..7, fault };
    all.extend(filter_faults().into_iter().chain(wanted).map(filter));
    all
}

every!(shapes: Shape {
    Shape::Keys => [Shape::Keys],
    Shape::List => [Shape::List],
    Shape::Text => [Shape::Text],
    Shape::TextOrList => [Shape::TextOrList],
    Shape::Whole => [Shape::Whole],
    Shape::TrueOrFalse => [Shape::TrueOrFalse],
    Shape::AllowOrDeny => [Shape::AllowOrDeny],
    Shape::AllOrPairs => [Shape::AllOrPairs],
    Shape::Subnet => [Shape::Subnet],
});

every!(address_faults: AddressFault {
    AddressFault::Malformed => [AddressFault::Malformed],
    AddressFault::LeadingZero => [AddressFault::LeadingZero],
    AddressFault::NoPrefix => [AddressFault::NoPrefix],
    AddressFault::Prefix => [AddressFault::Prefix],
    AddressFault::PrefixRange(_) => [AddressFault::PrefixRange(32)],
});

every!(references: Reference {
    Reference::Network => [Reference::Network],
    Reference::Bridge => [Reference::Bridge],
    Reference::Port => [Reference::Port],
    Reference::Interface => [Reference::Interface],
    Reference::Node => [Reference::Node],
    Reference::Host => [Reference::Host],
    Reference::Topology => [Reference::Topology],
    Reference::Plug => [Reference::Plug],
});

every!(one_problem_of_each: Problem {
    Problem::Syntax(_) => [Problem::Syntax(word("tab 1:2"))],
    Problem::NoHosts => [Problem::NoHosts],
    Problem::TooDeep(_) => [Problem::TooDeep(32)],
    Problem::TooMuch(_) => [Problem::TooMuch(100)],
    Problem::SeveralDocuments => [Problem::SeveralDocuments],
    Problem::Alias => [Problem::Alias],
    Problem::UnknownKey { .. } => [
        Problem::UnknownKey { key: word("bridge"), known: names(2), meant: Some(word("bridges")) },
        Problem::UnknownKey { key: word("xyz"), known: names(2), meant: None },
    ],
    Problem::DuplicateKey(_) => [Problem::DuplicateKey(word("name"))],
    Problem::Missing(_) => [Problem::Missing("name"), Problem::Missing("network"), Problem::Missing("to")],
    Problem::Expected(_) => [Problem::Expected(Shape::Keys)],
    Problem::BadName { .. } => [Problem::BadName { word: "x".repeat(64), fault: NameFault::TooLong { len: 64, max: 63 } }],
    Problem::NotAnAddress { .. } => [Problem::NotAnAddress { word: word("10.0.0"), fault: AddressFault::Malformed }],
    Problem::NotAPrefix { .. } => [Problem::NotAPrefix { word: word("10.0.0.1"), fault: AddressFault::NoPrefix }],
    Problem::NotAMac(_) => [Problem::NotAMac(word("02:00"))],
    Problem::NotAHostAddress(_) => [
        Problem::NotAHostAddress(addr("224.0.0.1")),
        Problem::NotAHostAddress(addr("::ffff:10.0.0.1")),
        Problem::NotAHostAddress(addr("0.0.0.0")),
        Problem::NotAHostAddress(addr("127.0.0.1")),
        Problem::NotAHostAddress(addr("255.255.255.255")),
        Problem::NotAHostAddress(addr("240.0.0.1")),
    ],
    Problem::LinkLocal(_) => [Problem::LinkLocal(addr("fe80::1"))],
    Problem::NetworkAddress(_) => [Problem::NetworkAddress(net("10.0.0.0/24")), Problem::NetworkAddress(net("fd00:1::/64"))],
    Problem::BroadcastAddress(_) => [Problem::BroadcastAddress(net("10.0.0.255/24"))],
    Problem::DuplicateAddress(_) => [Problem::DuplicateAddress(addr("10.0.0.1"))],
    Problem::DuplicateMac(_) => [Problem::DuplicateMac(Mac([2, 0, 0, 0, 0, 1]))],
    Problem::MulticastMac(_) => [Problem::MulticastMac(Mac([1, 0, 0, 0, 0, 1]))],
    Problem::ZeroMac => [Problem::ZeroMac],
    Problem::DuplicateName(_) => [Problem::DuplicateName(word("host-a"))],
    Problem::DuplicateInterface { .. } => [Problem::DuplicateInterface { name: word("eth0"), node: word("a1") }],
    Problem::OverlappingSubnets(..) => [
        Problem::OverlappingSubnets(net("10.0.0.0/24"), net("10.0.0.0/24")),
        Problem::OverlappingSubnets(net("10.0.0.0/24"), net("10.0.0.0/25")),
    ],
    Problem::GatewayOutsideSubnets(_) => [Problem::GatewayOutsideSubnets(addr("10.9.0.1"))],
    Problem::BehindDown { .. } => [
        Problem::BehindDown { gateway: Some(addr("10.9.0.1")), interface: word("eth0") },
        Problem::BehindDown { gateway: None, interface: word("eth0") },
    ],
    Problem::TwoGateways => [Problem::TwoGateways],
    Problem::OwnGateway(_) => [Problem::OwnGateway(addr("10.0.0.1"))],
    Problem::HostBits { .. } => [Problem::HostBits { given: net("10.0.0.1/24"), meant: net("10.0.0.0/24") }],
    Problem::DuplicateRoute(_) => [Problem::DuplicateRoute(net("10.0.0.0/24"))],
    Problem::ConnectedRoute(_) => [Problem::ConnectedRoute(net("10.0.0.0/24"))],
    Problem::MixedFamilies(..) => [Problem::MixedFamilies(net("10.0.0.0/24"), addr("fd00:1::1"))],
    Problem::UnknownReference { .. } => [
        Problem::UnknownReference { what: Reference::Network, word: word("lan"), meant: Some(word("wan")), known: names(1) },
    ],
    Problem::PortTwice { .. } => [
        Problem::PortTwice { port: word("eth0"), bridges: (word("br0"), word("br0")) },
        Problem::PortTwice { port: word("eth0"), bridges: (word("br0"), word("br1")) },
    ],
    Problem::AddressOnPort { .. } => [Problem::AddressOnPort { port: word("enp0s8"), bridge: word("br0") }],
    Problem::Loop(_) => [Problem::Loop(names(3))],
    Problem::OutOfRange { .. } => [Problem::OutOfRange { what: "mtu", low: 68, high: 65535 }],
    Problem::CountLeavesSubnet { .. } => [Problem::CountLeavesSubnet { subnet: net("10.0.0.0/24"), count: 300, fit: 254 }],
    Problem::CountNeedsOne(_) => [Problem::CountNeedsOne("mac")],
    Problem::TooManyPorts { .. } => [Problem::TooManyPorts { bridge: word("br0"), ports: 1100, limit: 1023 }],
    Problem::TooManyNodes { .. } => [Problem::TooManyNodes { nodes: 100_000, limit: 10_000 }],
    Problem::TooManyInterfaces { .. } => [Problem::TooManyInterfaces { node: word("a1"), limit: 256 }],
    Problem::MtuTooSmallForV6(_) => [Problem::MtuTooSmallForV6(576)],
    Problem::TooLongForInterface { .. } => [Problem::TooLongForInterface { made: word("veth-container-1"), limit: 15 }],
    Problem::HostNamedLikeLab(_) => [Problem::HostNamedLikeLab(word("lab"))],
    Problem::OneHop => [Problem::OneHop],
    Problem::NoCheckpointName => [Problem::NoCheckpointName],
    Problem::OneCheck => [Problem::OneCheck],
    Problem::OnePair => [Problem::OnePair],
    Problem::PathEnd(_) => [Problem::PathEnd(word("b1"))],
    Problem::AmbiguousNode { .. } => [Problem::AmbiguousNode { word: word("c1"), candidates: names(2) }],
});

/// Every mistake of a file, with every kind of what can be in it.
pub fn problems() -> Vec<Problem> {
    let mut all = one_problem_of_each();
    all.extend(shapes().into_iter().map(Problem::Expected));
    all.extend(name_faults().into_iter().map(|fault| Problem::BadName { word: word("a/1"), fault }));
    for fault in address_faults() {
        all.push(Problem::NotAnAddress { word: word("010.0.0.1"), fault });
        all.push(Problem::NotAPrefix { word: word("010.0.0.1"), fault });
    }
    for what in references() {
        let known = [0, 2].map(|count| Problem::UnknownReference { what, word: word("lan"), meant: None, known: names(count) });
        all.extend(known);
    }
    all
}
