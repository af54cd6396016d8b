//! Errors in words: what happened, why, what to type.

use std::path::Path;

use nix::errno::Errno;

use super::{count, quoted};
use crate::error::{Error, Feature, FileFault, JournalFault, KernelError, Left, Limit, Owner, Takes, Thing, Usage};
use crate::name::NameFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};

pub(super) fn error(error: &Error) -> Message {
    match error {
        Error::Topology { file, findings, .. } => {
            say(format!("{} does not describe a lab: {}", escape(file), count(findings.len(), "mistake", "mistakes")))
        }
        Error::File { file, why } => file_fault(file, why),
        Error::Unknown { what, word, candidates } => unknown(*what, word, candidates),
        Error::Ambiguous { what, word, candidates } => ambiguous(*what, word, candidates),
        Error::BadName { what, word, fault } => bad_name(*what, word, fault),
        Error::NotRoot { command } => not_root(command),
        Error::Machine(limit) => machine(limit),
        Error::Kernel(error) => kernel(error),
        Error::Busy { lab, holder } => busy(lab.as_deref(), holder.as_ref()),
        Error::Role(fault) => super::role::fault(fault),
        Error::Agent(fault) => super::agent::fault(fault),
        Error::Remote(fault) => super::remote::fault(fault),
        Error::Instance(fault) => super::instances::fault(fault),
        Error::Conflict { what, own } => say(format!("{} is there already and is not nslab's", escape(what)))
            .why("nslab touches nothing that it did not make.")
            .hint(if *own {
                "remove it, or give the lab another name: nslab up TOPOLOGY --name NAME"
            } else {
                "give the lab another name: nslab up TOPOLOGY --name NAME"
            }),
        Error::Nic { nic, why } => super::nics::refused(nic, why),
        Error::RolledBack { lab, why } => super::nics::rolled_back(lab, why),
        Error::Tampered(path) => say(format!("{} is not as nslab made it", shown(path)))
            .why("It is a link, or was changed by something else; following it could harm this machine.")
            .hint(format!("look at it (ls -ld {}), then remove it", shown(path))),
        Error::Foreign { path, owner } => foreign(path, owner),
        Error::Journal { lab, why } => journal(lab, why),
        Error::Left(left) => remains(left),
        Error::Signal(number) => say(format!("stopped by {}; what was done is undone", signal(*number))),
        Error::Command { command, errno } => command_fault(command, *errno),
        Error::Internal(message) => say(format!("a mistake in nslab itself: {}", escape(message)))
            .why("What was done is undone.")
            .hint("nslab status tells what is there; please report this line"),
        Error::Output { errno } => {
            say(format!("cannot write the output: {}", reason(*errno))).why("The command itself has done its work.")
        }
        Error::Capture { file, errno } => say(format!("cannot write {}: {}", shown(file), reason(*errno)))
            .why("What was written before is whole and can be read."),
        Error::Usage(usage) => wrong_use(usage),
        Error::Filter { text, at, fault } => super::filters::error(text, at, fault),
    }
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

/// The system's sentence for an error number.
pub(super) fn reason(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => known.desc().to_owned(),
    }
}

fn signal(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned())
}

fn thing(what: Thing) -> &'static str {
    match what {
        Thing::Lab => "lab",
        Thing::Topology => "topology",
        Thing::Node => "node",
        Thing::Host => "host",
        Thing::Container => "container",
        Thing::Interface => "interface",
        Thing::Network => "network",
        Thing::Point => "node, network or interface",
        Thing::Command => "command",
        Thing::Check => "checkpoint or kind of check",
        Thing::Remote => "remote",
    }
}

fn file_fault(file: &Path, why: &FileFault) -> Message {
    let name = shown(file);
    match why {
        FileFault::Read { errno, user } => {
            let asked = user.map(|uid| format!(" (as user {uid})")).unwrap_or_default();
            let message = say(format!("cannot read {name}: {}{asked}", reason(*errno)));
            if *errno == libc::ENOENT { message.hint("nslab topology lists the built-in topologies") } else { message }
        }
        FileFault::NotAFile => say(format!("{name} is not a lab file: it is no regular file"))
            .hint("nslab topology bridged > lab.yaml makes one to start from"),
        FileFault::TooLong(bytes) => say(format!("{name} is not a lab file: it has {bytes} bytes"))
            .why("A lab file has at most 1 MiB; count: 100 makes a hundred containers in one line."),
        FileFault::NotText => say(format!("{name} is not a lab file: it is no UTF-8 text"))
            .hint("nslab topology bridged > lab.yaml makes one to start from"),
        FileFault::Write(errno) => say(format!("cannot write {name}: {}", reason(*errno))),
    }
}

fn unknown(what: Thing, word: &str, candidates: &[String]) -> Message {
    let message = say(format!("there is no {} {}", thing(what), quoted(word)));
    match (candidates, what) {
        ([], Thing::Lab | Thing::Node | Thing::Point) => message.why("No lab is up.").hint("nslab up bridged"),
        ([], Thing::Remote) => message.why("No remote is known.").hint("nslab remote add NAME TOKEN"),
        ([], Thing::Topology) => message.hint("nslab topology lists them; a file is meant by ./FILE or FILE.yaml"),
        ([], _) => message,
        ([one], _) => message.hint(format!("did you mean {}?", quoted(one))),
        _ => message.why(format!("There are: {}", listed(candidates))),
    }
}

fn ambiguous(what: Thing, word: &str, candidates: &[String]) -> Message {
    let message = if word.is_empty() {
        say(format!("which {}?", thing(what)))
    } else {
        say(format!("{} {} can be several", thing(what), quoted(word)))
    };
    message.why(format!("It could be: {}", listed(candidates))).hint("name one of them")
}

/// Names in a row; of many the first ones.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let row: Vec<_> = names.iter().take(SHOWN).map(|name| escape(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => row.join(", "),
        more => format!("{}, and {more} more", row.join(", ")),
    }
}

fn bad_name(what: Thing, word: &str, fault: &NameFault) -> Message {
    let message = say(format!("{} is no name for a {}", quoted(word), thing(what)));
    match fault {
        NameFault::Empty => message.why("It is empty."),
        NameFault::TooLong { len, max } => message.why(format!("It has {len} characters; at most {max} fit.")),
        NameFault::Character(c) => message.why(format!(
            "A name starts with a letter a-z, then may have a-z 0-9 _ -; {} may not stand there.",
            quoted(&c.to_string())
        )),
        NameFault::Reserved => message.why("That word has a meaning of its own."),
    }
}

fn not_root(command: &str) -> Message {
    say("this needs root")
        .why("Labs are made of network namespaces and mounts, which the kernel lets only root touch.")
        .hint(format!("sudo {command}"))
        .hint(format!("unshare -Urnm      a shell in which you are root of labs of your own, without sudo; in it: {command}"))
}

pub(super) fn foreign(path: &Path, owner: &Owner) -> Message {
    const OWN_LABS: &str = "unshare -Urnm      a shell with labs of your own, beside theirs";
    let path = shown(path);
    match owner {
        Owner::Root => say(format!("{path} belongs to root"))
            .why("Labs there are root's to change.")
            .hint("sudo nslab ... commands them")
            .hint(OWN_LABS),
        Owner::User(name) => say(format!("{path} belongs to the user {}", escape(name)))
            .why("nslab neither uses nor removes what another user made.")
            .hint(format!("ask {} about it", escape(name)))
            .hint(OWN_LABS),
        Owner::Outside => say(format!("{path} belongs to somebody outside of this user namespace"))
            .why("nslab neither uses nor removes what another user made.")
            .hint(OWN_LABS),
    }
}

fn feature(feature: Feature) -> &'static str {
    match feature {
        Feature::Overlay => "overlay file systems",
        Feature::SandboxNamespaces => "PID, mount, UTS and IPC namespaces",
        Feature::MountCalls => "open_tree and mount_setattr",
        Feature::NetworkNamespaces => "network namespaces",
        Feature::Bridge => "bridges",
        Feature::Veth => "veth interfaces",
    }
}

fn machine(limit: &Limit) -> Message {
    match limit {
        Limit::Feature(what) => {
            let message = say(format!("this kernel has no {} ({})", feature(*what), what.symbol()));
            match what {
                Feature::Overlay => message.hint("nslab exec --real-root uses the machine's own files"),
                _ => message.hint("nslab doctor tells what this machine can do"),
            }
        }
        Limit::Sysctl(name) => {
            // The kernel's own defaults: 100000 mounts, files by memory.
            let more = if name.starts_with("fs.") { 1_000_000 } else { 65_536 };
            say(format!("the kernel allows no more: {name} is reached")).hint(format!("sudo sysctl {name}={more}"))
        }
        Limit::OpenFiles => say("too few open files are allowed (RLIMIT_NOFILE)").hint("ulimit -n 4096, then again"),
        Limit::Capability(name) => say(format!("root lacks {name} here"))
            .why("A container, a service manager or AppArmor took it away.")
            .hint("nslab doctor tells more; else run nslab outside, or give the container --privileged"),
        Limit::MountNamespace => say("this user namespace has no mount namespace of its own")
            .why("nslab needs a place to keep its namespaces.")
            .hint("unshare -Urnm, then again"),
        Limit::Mounting => say("file systems may not be mounted here, not even by root")
            .why("AppArmor, SELinux or the seccomp filter of a container forbids it.")
            .hint("nslab doctor tells more; else run nslab outside, with sudo, or give the container --privileged"),
        Limit::Space(path) => say(format!("no space in {}", shown(path))).hint(format!("df -h {}", shown(path))),
        Limit::Memory => say("memory ran out").hint("make the lab smaller, or close something"),
    }
}

fn kernel(error: &KernelError) -> Message {
    let place = error.node.as_ref().map(|node| format!("{}: ", escape(node))).unwrap_or_default();
    let message = say(format!("{place}{}: {}", escape(&error.tried), reason(error.errno)));
    match &error.said {
        Some(said) => message.why(format!("The kernel says: {}", escape(said))),
        None => message,
    }
    .hint("nslab doctor tells what this machine can do")
}

fn busy(lab: Option<&str>, holder: Option<&(i32, String)>) -> Message {
    let what = lab.map_or_else(|| "nslab is busy".to_owned(), |lab| format!("the lab {} is busy", quoted(lab)));
    match holder {
        Some((pid, command)) => say(what).why(format!("Process {pid} works on it: {}", escape(command))),
        None => say(what).why("Another nslab works on it."),
    }
    .hint("wait for it to end, then again")
}

fn journal(lab: &str, why: &JournalFault) -> Message {
    let message = match why {
        JournalFault::Damaged => say(format!("the record of lab {} is damaged", quoted(lab))),
        JournalFault::Newer(format, version) => say(format!("a newer nslab ({}) made the lab {}", escape(version), quoted(lab)))
            .why(format!("Its record has format {format}, which this nslab cannot read.")),
    };
    message.hint(format!("nslab down {} ends it all the same", escape(lab)))
}

fn remains(all: &[Left]) -> Message {
    let lines: Vec<String> = all.iter().map(left).collect();
    say("not everything could be removed").why(lines.join("\n  ")).hint("end or remove that by hand, then nslab down again")
}

fn left(left: &Left) -> String {
    match left {
        Left::Process(pid, command) => format!("process {pid} does not end: {}", escape(command)),
        Left::Path(path, errno) => format!("{}: {}", shown(path), reason(*errno)),
        Left::NotRestored(what, errno) => format!("{} cannot be put back: {}", escape(what), reason(*errno)),
        Left::Suspect(name) => {
            format!("{0} looks like the lab's own, but its record is lost; if it is: sudo ip link del {0}", escape(name))
        }
        Left::Borrowed(what) => format!("{} was borrowed; how it was before is no longer known", escape(what)),
    }
}

fn command_fault(command: &str, errno: i32) -> Message {
    if errno == libc::ENOENT {
        say(format!("{} was not found in the node", quoted(command)))
            .why("Nodes see the machine's own programs.")
            .hint("install it on this machine")
    } else {
        say(format!("{} cannot be run: {}", quoted(command), reason(errno)))
    }
}

fn wrong_use(usage: &Usage) -> Message {
    match usage {
        Usage::Format { format, takes } => say(format!("this command has no --format {format}"))
            .why(format!("It has: {}.", takes.join(", ")))
            .hint(format!("--format {}", takes.first().unwrap_or(&"text"))),
        Usage::Ending { file, endings } => say(format!("the name {} does not say what to write", shown(file)))
            .hint(format!("a name that ends in one of {}, or --format", endings.join(" "))),
        Usage::NeedsAnswer(flag) => {
            say("a question must be answered, but there is no terminal to ask on").hint(format!("add {flag} if you mean it"))
        }
        Usage::LabNamedLikeHost(name) => say(format!("{} is the name of a host of this lab", quoted(name)))
            .why("A lab and its hosts have different names, so that every word means one thing.")
            .hint("choose another --name"),
        Usage::NothingUp => say("no lab is up").hint("nslab up bridged"),
        Usage::NotUp(lab) => say(format!("the lab {} is not up", quoted(lab))).hint("nslab list shows what is up"),
        Usage::NamedLikeHost(name) => say(format!("{} is the name of a host of this lab", quoted(name)))
            .why("A word on the command line must mean one thing.")
            .hint("take another --name"),
        Usage::InsideNode(node) => say(format!("this shell is inside {}", escape(node)))
            .why("A lab that goes down ends every shell in it.")
            .hint("type exit, then the command again"),
        Usage::OtherTopology(lab, topology) => say(format!("a lab {} is up, made from {}", quoted(lab), escape(topology)))
            .hint(format!("nslab down {lab}, or give the new one another name with --name")),
        Usage::NoAddress(node, version) => {
            let which = version.map_or_else(|| "IP".to_owned(), |version| format!("IPv{version}"));
            say(format!("{} has no {which} address that could be pinged", escape(node)))
                .hint(format!("nslab show {}", escape(node)))
        }
        Usage::NothingToCheck(lab) => say(format!("nothing to check: {} has no checkpoints; use --against", escape(lab)))
            .hint(format!("nslab check {} --against bridged", escape(lab)))
            .hint(format!("nslab check {} --against routed", escape(lab))),
        Usage::NoCheckpoints(topology) => {
            say(format!("{} has no checkpoints, so nothing can be checked against it", escape(topology)))
                .hint("nslab check --against bridged, or a file with checkpoints")
        }
        Usage::NotAnAddress(word) => say(format!("{} is neither an address nor a node", quoted(word)))
            .why("An address is like 10.0.0.21 or fd00::21, without a prefix length; names of nodes begin with a letter."),
        Usage::NotOneNode(address) => say(format!("{} is the address of no single node", escape(address)))
            .why("A packet to a multicast or broadcast address has no one path.")
            .hint("take the address of a node; nslab show NODE lists them"),
        Usage::NeedsInterface(address) => {
            say(format!("{} is link-local: it means nothing without an interface", escape(address)))
                .hint(format!("{}%eth0, with the sender's interface", escape(address)))
        }
        Usage::Terminal => say("a terminal cannot show pcapng").hint("-w FILE, or a pipe: -w - | wireshark -k -i -"),
        Usage::NoPoint => say("where to listen?").hint("nslab capture NODE, NODE.INTERFACE, NETWORK or all; then a filter"),
        Usage::PointsInSeveralLabs(labs) => say(format!("the points are in several labs: {}", listed(labs)))
            .why("One capture watches one lab.")
            .hint("a capture for each"),
        Usage::PointOrFilter(word, exact) => say(format!("{} is a point and a word of filters", quoted(word)))
            .hint(format!("the point: nslab capture {} ...", escape(exact)))
            .hint(format!("the filter: nslab capture POINT -- {} ...", escape(word))),
        Usage::NotEthernet(point) => say(format!("{} carries no Ethernet frames", quoted(point))),
        Usage::NothingToKeep(lab) => say(format!("no change of a NIC waits to be kept in {}", quoted(lab)))
            .hint(format!("nslab status {} tells how it is", escape(lab))),
        Usage::Option(option, takes) => say(option_fault(option, *takes)),
    }
}

fn option_fault(option: &str, takes: Takes) -> String {
    match takes {
        Takes::Ipv4 => format!("{option} takes an IPv4 address or a node"),
        Takes::Ipv6 => format!("{option} takes an IPv6 address or a node"),
        Takes::RecordRoute => format!("{option} takes an IPv4 address: IPv6 has no record route option"),
        Takes::AsLxc => format!("{option} takes --as lxc beside it"),
    }
}
