//! Errors in words: what happened, why, what to type.

use std::path::Path;

use crate::error::{Error, Feature, FileFault, JournalFault, KernelError, Left, Limit, Owner, Takes, Thing, Usage};
use crate::name::NameFault;
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, listed, n, quoted, reason, t, w};

/// An error: what happened, why, what to type.
pub fn error(lang: Lang, error: &Error) -> Message {
    match error {
        Error::Topology { file, findings, .. } => {
            let mistakes = n!(lang, findings.len(), "mistake", "mistakes");
            Message::new(t!(lang, "{file} does not describe a lab: {mistakes}", file, mistakes))
        }
        Error::File { file, why } => file_fault(lang, file, why),
        Error::Unknown { what, word, candidates } => unknown(lang, *what, word, candidates),
        Error::Ambiguous { what, word, candidates } => ambiguous(lang, *what, word, candidates),
        Error::BadName { what, word, fault } => bad_name(lang, *what, word, fault),
        Error::NotRoot { command } => not_root(lang, command),
        Error::Machine(limit) => machine(lang, limit),
        Error::Kernel(error) => kernel(lang, error),
        Error::Busy { lab, holder } => busy(lang, lab.as_deref(), holder.as_ref()),
        Error::Role(fault) => super::role::fault(lang, fault),
        Error::Agent(fault) => super::lxd::agent_fault(lang, fault),
        Error::Remote(fault) => super::lxd::remote_fault(lang, fault),
        Error::Instance(fault) => super::lxd::instance_fault(lang, fault),
        Error::Conflict { what, own } => Message::new(t!(lang, "{what} is there already and is not nslab's", what))
            .why(w!(lang, "nslab touches nothing that it did not make."))
            .hint(if *own {
                w!(lang, "remove it, or give the lab another name: nslab up TOPOLOGY --name NAME")
            } else {
                w!(lang, "give the lab another name: nslab up TOPOLOGY --name NAME")
            }),
        Error::Nic { nic, why } => super::role::refused(lang, nic, why),
        Error::RolledBack { lab, why } => super::role::rolled_back(lang, lab, why),
        Error::Tampered(path) => Message::new(t!(lang, "{path} is not as nslab made it", path = path.display()))
            .why(w!(lang, "It is a link, or was changed by something else; following it could harm this machine."))
            .hint(t!(lang, "look at it (ls -ld {path}), then remove it", path = path.display())),
        Error::Unlisted(path) => Message::new(w!(lang, "it is not known which labs are up"))
            .why(t!(
                lang,
                "{path}, which has their names for everybody, is missing or was changed by something else.",
                path = path.display()
            ))
            .hint(w!(lang, "sudo nslab list      asks the labs themselves")),
        Error::Foreign { path, owner } => foreign(lang, path, owner),
        Error::Journal { lab, why } => journal(lang, lab, why),
        Error::Left(left) => remains(lang, left),
        Error::Signal(number) => {
            Message::new(t!(lang, "stopped by {signal}; what was done is undone", signal = signal(lang, *number)))
        }
        Error::Command { command, errno } => command_fault(lang, command, *errno),
        Error::Internal(message) => Message::new(t!(lang, "a mistake in nslab itself: {message}", message))
            .why(w!(lang, "What was done is undone."))
            .hint(w!(lang, "nslab status tells what is there; please report this line")),
        Error::Output { errno } => Message::new(t!(lang, "cannot write the output: {why}", why = reason(lang, *errno)))
            .why(w!(lang, "The command itself has done its work.")),
        Error::Capture { file, errno } => {
            Message::new(cannot_write(lang, file, *errno)).why(w!(lang, "What was written before is whole and can be read."))
        }
        Error::Usage(usage) => wrong_use(lang, usage),
        Error::Filter { text, at, fault } => super::findings::filter(lang, text, at, fault),
    }
}

fn signal(lang: Lang, number: i32) -> String {
    let known = nix::sys::signal::Signal::try_from(number);
    known.map_or_else(|_| t!(lang, "signal {number}", number), |signal| signal.as_str().to_owned())
}

/// The word for a thing, as in "which node?".
fn thing(lang: Lang, what: Thing) -> &'static str {
    match what {
        Thing::Lab => w!(lang, "lab"),
        Thing::Topology => w!(lang, "topology"),
        Thing::Node => w!(lang, "node"),
        Thing::Host => "host",
        Thing::Container => w!(lang, "container"),
        Thing::Interface => w!(lang, "interface"),
        Thing::Network => w!(lang, "network"),
        Thing::Point => w!(lang, "node, network or interface"),
        Thing::Command => w!(lang, "command"),
        Thing::Check => w!(lang, "checkpoint or kind of check"),
        Thing::Remote => w!(lang, "remote"),
    }
}

/// The word for a thing that is not there, as in "there is no node".
fn none(lang: Lang, what: Thing) -> &'static str {
    match what {
        Thing::Lab => w!(lang, ["none"] "lab"),
        Thing::Topology => w!(lang, ["none"] "topology"),
        Thing::Node => w!(lang, ["none"] "node"),
        Thing::Host => w!(lang, ["none"] "host"),
        Thing::Container => w!(lang, ["none"] "container"),
        Thing::Interface => w!(lang, ["none"] "interface"),
        Thing::Network => w!(lang, ["none"] "network"),
        Thing::Point => w!(lang, ["none"] "node, network or interface"),
        Thing::Command => w!(lang, ["none"] "command"),
        Thing::Check => w!(lang, ["none"] "checkpoint or kind of check"),
        Thing::Remote => w!(lang, ["none"] "remote"),
    }
}

fn cannot_write(lang: Lang, file: &Path, errno: i32) -> String {
    t!(lang, "cannot write {file}: {why}", file = file.display(), why = reason(lang, errno))
}

fn file_fault(lang: Lang, path: &Path, why: &FileFault) -> Message {
    let file = path.display();
    let template = || w!(lang, "nslab topology bridged > lab.yaml makes one to start from");
    match why {
        FileFault::Read { errno, user } => {
            let why = reason(lang, *errno);
            let message = Message::new(if let Some(user) = user {
                t!(lang, "cannot read {file}: {why} (as user {user})", file, why, user)
            } else {
                t!(lang, "cannot read {file}: {why}", file, why)
            });
            match *errno {
                libc::ENOENT => message.hint(w!(lang, "nslab topology lists the built-in topologies")),
                _ => message,
            }
        }
        FileFault::NotAFile => Message::new(t!(lang, "{file} is not a lab file: it is no regular file", file)).hint(template()),
        FileFault::TooLong(bytes) => Message::new(t!(lang, "{file} is not a lab file: it has {bytes} bytes", file, bytes))
            .why(w!(lang, "A lab file has at most 1 MiB; count: 100 makes a hundred containers in one line.")),
        FileFault::NotText => Message::new(t!(lang, "{file} is not a lab file: it is no UTF-8 text", file)).hint(template()),
        FileFault::Write(errno) => Message::new(cannot_write(lang, path, *errno)),
    }
}

fn unknown(lang: Lang, what: Thing, word: &str, candidates: &[String]) -> Message {
    let message = Message::new(t!(lang, "there is no {what} {word}", what = none(lang, what), word = quoted(lang, word)));
    match (candidates, what) {
        ([], Thing::Lab | Thing::Node | Thing::Point) => message.why(w!(lang, "No lab is up.")).hint("nslab up bridged"),
        ([], Thing::Remote) => message.why(w!(lang, "No remote is known.")).hint(w!(lang, "nslab remote add NAME TOKEN")),
        ([], Thing::Topology) => message.hint(w!(lang, "nslab topology lists them; a file is meant by ./FILE or FILE.yaml")),
        ([], _) => message,
        ([one], _) => message.hint(t!(lang, "did you mean {word}?", word = quoted(lang, one))),
        _ => message.why(t!(lang, "There are: {names}", names = listed(lang, candidates))),
    }
}

fn ambiguous(lang: Lang, what: Thing, word: &str, candidates: &[String]) -> Message {
    let what = thing(lang, what);
    Message::new(match word {
        "" => t!(lang, "which {what}?", what),
        word => t!(lang, "{what} {word} can be several", what, word = quoted(lang, word)),
    })
    .why(t!(lang, "It could be: {names}", names = listed(lang, candidates)))
    .hint(w!(lang, "name one of them"))
}

fn bad_name(lang: Lang, what: Thing, word: &str, fault: &NameFault) -> Message {
    Message::new(t!(lang, "{word} is no name for a {what}", word = quoted(lang, word), what = thing(lang, what))).why(match fault
    {
        NameFault::Empty => w!(lang, "It is empty.").to_owned(),
        NameFault::TooLong { len, max } => t!(lang, "It has {len} characters; at most {max} fit.", len, max),
        NameFault::Character(letter) if letter.is_ascii_uppercase() => t!(
            lang,
            "Names are in lower case here, though LXD takes capitals: as names of hosts, {word} and {lower} are the same.",
            word = quoted(lang, word),
            lower = quoted(lang, word.to_ascii_lowercase())
        ),
        NameFault::Character(letter) => t!(
            lang,
            "A name starts with a letter a-z, then may have a-z 0-9 _ -; {letter} may not stand there.",
            letter = quoted(lang, letter)
        ),
        NameFault::Reserved => w!(lang, "That word has a meaning of its own.").to_owned(),
    })
}

fn not_root(lang: Lang, command: &str) -> Message {
    Message::new(w!(lang, "this needs root"))
        .why(w!(lang, "Labs are made of network namespaces and mounts, which the kernel lets only root touch."))
        .hint(format!("sudo {command}"))
        .hint(t!(
            lang,
            "unshare -Urnm      a shell in which you are root of labs of your own, without sudo; in it: {command}",
            command
        ))
}

/// That something is in the hands of somebody else.
pub fn foreign(lang: Lang, path: &Path, owner: &Owner) -> Message {
    let path = path.display();
    let not_ours = || w!(lang, "nslab neither uses nor removes what another user made.");
    match owner {
        Owner::Root => Message::new(t!(lang, "{path} belongs to root", path))
            .why(w!(lang, "Labs there are root's to change."))
            .hint(w!(lang, "sudo nslab ... commands them")),
        Owner::User(name) => Message::new(t!(lang, "{path} belongs to the user {name}", path, name)).why(not_ours()).hint(t!(
            lang,
            "ask {name} about it",
            name
        )),
        Owner::Outside => {
            Message::new(t!(lang, "{path} belongs to somebody outside of this user namespace", path)).why(not_ours())
        }
    }
    .hint(w!(lang, "unshare -Urnm      a shell with labs of your own, beside theirs"))
}

fn feature(lang: Lang, feature: Feature) -> &'static str {
    match feature {
        Feature::Overlay => w!(lang, "overlay file systems"),
        Feature::SandboxNamespaces => w!(lang, "PID, mount, UTS and IPC namespaces"),
        Feature::MountCalls => w!(lang, "open_tree and mount_setattr"),
        Feature::NetworkNamespaces => "network namespaces",
        Feature::Bridge => "bridges",
        Feature::Veth => w!(lang, "veth interfaces"),
    }
}

fn machine(lang: Lang, limit: &Limit) -> Message {
    match limit {
        Limit::Feature(what) => {
            let feature = feature(lang, *what);
            Message::new(t!(lang, "this kernel has no {feature} ({symbol})", feature, symbol = what.symbol())).hint(match what {
                Feature::Overlay => w!(lang, "nslab exec --real-root uses the machine's own files"),
                _ => w!(lang, "nslab doctor tells what this machine can do"),
            })
        }
        Limit::Sysctl(name) => {
            // The kernel's own defaults: 100000 mounts, files by memory.
            let more = if name.starts_with("fs.") { 1_000_000 } else { 65_536 };
            Message::new(t!(lang, "the kernel allows no more: {name} is reached", name))
                .hint(format!("sudo sysctl {name}={more}"))
        }
        Limit::OpenFiles => {
            Message::new(w!(lang, "too few open files are allowed (RLIMIT_NOFILE)")).hint(w!(lang, "ulimit -n 4096, then again"))
        }
        Limit::Capability(name) => Message::new(t!(lang, "root lacks {name} here", name))
            .why(w!(lang, "A container, a service manager or AppArmor took it away."))
            .hint(w!(lang, "nslab doctor tells more; else run nslab outside, or give the container --privileged")),
        Limit::MountNamespace => Message::new(w!(lang, "this user namespace has no mount namespace of its own"))
            .why(w!(lang, "nslab needs a place to keep its namespaces."))
            .hint(w!(lang, "unshare -Urnm, then again")),
        Limit::Mounting => Message::new(w!(lang, "file systems may not be mounted here, not even by root"))
            .why(w!(lang, "AppArmor, SELinux or the seccomp filter of a container forbids it."))
            .hint(w!(lang, "nslab doctor tells more; else run nslab outside, with sudo, or give the container --privileged")),
        Limit::Space(path) => {
            Message::new(t!(lang, "no space in {path}", path = path.display())).hint(format!("df -h {}", shown(path)))
        }
        Limit::Memory => Message::new(w!(lang, "memory ran out")).hint(w!(lang, "make the lab smaller, or close something")),
    }
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

fn kernel(lang: Lang, error: &KernelError) -> Message {
    let place = error.node.as_ref().map(|node| format!("{}: ", escape(node))).unwrap_or_default();
    let message = Message::new(format!("{place}{}: {}", escape(&error.tried), reason(lang, error.errno)));
    match (&error.extack, &error.node) {
        (Some(extack), Some(node)) => message.why(t!(lang, "The kernel says: {extack}", extack)).hint(t!(
            lang,
            "nslab reset, where somebody has changed a setting of {node} by hand",
            node = escape(node)
        )),
        (Some(extack), None) => message.why(t!(lang, "The kernel says: {extack}", extack)),
        (None, _) => message,
    }
    .hint(w!(lang, "nslab doctor tells what this machine can do"))
}

fn busy(lang: Lang, lab: Option<&str>, holder: Option<&(i32, String)>) -> Message {
    Message::new(match lab {
        Some(lab) => t!(lang, "the lab {lab} is busy", lab = quoted(lang, lab)),
        None => w!(lang, "nslab is busy").to_owned(),
    })
    .why(match holder {
        Some((pid, command)) => t!(lang, "Process {pid} works on it: {command}", pid, command),
        None => w!(lang, "Another nslab works on it.").to_owned(),
    })
    .hint(w!(lang, "wait for it to end, then again"))
}

fn journal(lang: Lang, lab: &str, why: &JournalFault) -> Message {
    let name = quoted(lang, lab);
    match why {
        JournalFault::Damaged => Message::new(t!(lang, "the record of lab {name} is damaged", name)),
        JournalFault::Newer(format, version) => {
            Message::new(t!(lang, "a newer nslab ({version}) made the lab {name}", version, name)).why(t!(
                lang,
                "Its record has format {format}, which this nslab cannot read.",
                format
            ))
        }
    }
    .hint(t!(lang, "nslab down {lab} ends it all the same", lab))
}

fn remains(lang: Lang, all: &[Left]) -> Message {
    let lines: Vec<String> = all.iter().map(|one| left(lang, one)).collect();
    Message::new(w!(lang, "not everything could be removed"))
        .why(lines.join("\n  "))
        .hint(w!(lang, "end or remove that by hand, then nslab down again"))
}

fn left(lang: Lang, left: &Left) -> String {
    match left {
        Left::Process(pid, command) => t!(lang, "process {pid} does not end: {command}", pid, command),
        Left::NotRestored(what, errno) => t!(lang, "{what} cannot be put back: {why}", what, why = reason(lang, *errno)),
        Left::Suspect(name) => {
            t!(lang, "{name} looks like the lab's own, but its record is lost; if it is: sudo ip link del {name}", name)
        }
        Left::Borrowed(what) => t!(lang, "{what} was borrowed; how it was before is no longer known", what),
    }
}

fn command_fault(lang: Lang, command: &str, errno: i32) -> Message {
    let command = quoted(lang, command);
    if errno == libc::ENOENT {
        Message::new(t!(lang, "{command} was not found in the node", command))
            .why(w!(lang, "Nodes see the machine's own programs."))
            .hint(w!(lang, "install it on this machine"))
    } else {
        Message::new(t!(lang, "{command} cannot be run: {why}", command, why = reason(lang, errno)))
    }
}

fn wrong_use(lang: Lang, usage: &Usage) -> Message {
    match usage {
        Usage::Format { format, takes } => Message::new(t!(lang, "this command has no --format {format}", format))
            .why(t!(lang, "It has: {formats}.", formats = takes.join(", ")))
            .hint(format!("--format {}", takes.first().map_or("text", String::as_str))),
        Usage::Ending { file, endings } => Message::new(t!(
            lang,
            "the name {file} does not say what to write",
            file = file.display()
        ))
        .hint(t!(lang, "a name that ends in one of {endings}, or --format", endings = endings.join(" "))),
        Usage::NeedsAnswer(flag) => Message::new(w!(lang, "a question must be answered, but there is no terminal to ask on"))
            .hint(t!(lang, "add {flag} if you mean it", flag)),
        Usage::NothingUp => Message::new(w!(lang, "no lab is up")).hint("nslab up bridged"),
        Usage::NotUp(lab) => Message::new(t!(lang, "the lab {lab} is not up", lab = quoted(lang, lab)))
            .hint(w!(lang, "nslab list shows what is up")),
        Usage::NamedLikeHost(name) => {
            Message::new(t!(lang, "{name} is the name of a host of this lab", name = quoted(lang, name)))
                .why(w!(lang, "A word on the command line must mean one thing."))
                .hint(w!(lang, "take another --name"))
        }
        Usage::InsideNode(node) => Message::new(t!(lang, "this shell is inside {node}", node))
            .why(w!(lang, "A lab that goes down ends every shell in it."))
            .hint(w!(lang, "type exit, then the command again")),
        Usage::NoAddress(node, version) => {
            let family = version.map_or_else(|| "IP".to_owned(), |version| format!("IPv{version}"));
            Message::new(t!(lang, "{node} has no {family} address that could be pinged", node, family))
                .hint(format!("nslab show {}", escape(node)))
        }
        Usage::OwnAddress(node, address) => {
            Message::new(t!(lang, "{node} has no address that the sender has not itself: both have {address}", node, address))
                .why(w!(lang, "A packet to an address of one's own never leaves the node."))
                .hint(w!(lang, "give one of them another address; nslab show NODE lists them"))
        }
        Usage::NotOwnAddress(node, address, own) => {
            let message =
                Message::new(t!(lang, "{node} cannot send from {address}: it does not have that address", node, address));
            if own.is_empty() {
                return message.hint(format!("nslab show {}", escape(node)));
            }
            message.hint(t!(lang, "--from one of its own: {addresses}", addresses = listed(lang, own)))
        }
        Usage::NothingToCheck(lab) => Message::new(t!(lang, "nothing to check: {lab} has no checkpoints; use --against", lab))
            .hint(format!("nslab check {} --against bridged", escape(lab)))
            .hint(format!("nslab check {} --against routed", escape(lab))),
        Usage::NoCheckpoints(topology) => {
            Message::new(t!(lang, "{topology} has no checkpoints, so nothing can be checked against it", topology))
                .hint(w!(lang, "nslab check --against bridged, or a file with checkpoints"))
        }
        Usage::NotAnAddress(word) => Message::new(t!(lang, "{word} is neither an address nor a node", word = quoted(lang, word)))
            .why(w!(
                lang,
                "An address is like 10.0.0.21 or fd00::21, without a prefix length; names of nodes begin with a letter."
            )),
        Usage::NotOneNode(address) => Message::new(t!(lang, "{address} is the address of no single node", address))
            .why(w!(lang, "A packet to a multicast or broadcast address has no one path."))
            .hint(w!(lang, "take the address of a node; nslab show NODE lists them")),
        Usage::NeedsInterface(address) => Message::new(t!(
            lang,
            "{address} is link-local: it means nothing without an interface",
            address
        ))
        .hint(t!(lang, "{address}%eth0, with the sender's interface", address)),
        Usage::Terminal => {
            Message::new(w!(lang, "a terminal cannot show pcapng")).hint(w!(lang, "-w FILE, or a pipe: -w - | wireshark -k -i -"))
        }
        Usage::NoPoint => Message::new(w!(lang, "where to listen?"))
            .hint(w!(lang, "nslab capture NODE, NODE.INTERFACE, NETWORK or all; then a filter")),
        Usage::PointsInSeveralLabs(labs) => {
            Message::new(t!(lang, "the points are in several labs: {labs}", labs = listed(lang, labs)))
                .why(w!(lang, "One capture watches one lab."))
                .hint(w!(lang, "a capture for each"))
        }
        Usage::PointOrFilter(word, exact) => {
            Message::new(t!(lang, "{word} is a point and a word of filters", word = quoted(lang, word)))
                .hint(t!(lang, "the point: nslab capture {exact} ...", exact))
                .hint(t!(lang, "the filter: nslab capture POINT -- {word} ...", word))
        }
        Usage::NotEthernet(point) => Message::new(t!(lang, "{point} carries no Ethernet frames", point = quoted(lang, point))),
        Usage::NothingToKeep(lab) => Message::new(t!(
            lang,
            "no change of a NIC waits to be kept in {lab}",
            lab = quoted(lang, lab)
        ))
        .hint(t!(lang, "nslab status {lab} tells how it is", lab)),
        Usage::Option(option, takes) => Message::new(option_fault(lang, option, *takes)),
    }
}

fn option_fault(lang: Lang, option: &str, takes: Takes) -> String {
    match takes {
        Takes::Ipv4 => t!(lang, "{option} takes an IPv4 address or a node", option),
        Takes::Ipv6 => t!(lang, "{option} takes an IPv6 address or a node", option),
        Takes::RecordRoute => t!(lang, "{option} takes an IPv4 address: IPv6 has no record route option", option),
        Takes::AsLxc => t!(lang, "{option} takes --as lxc beside it", option),
    }
}
