//! What this kernel and machine can do, tried for real and away from everything.

use std::fs;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{Handle, LinkBridge, LinkMacVlan, LinkVeth, LinkVlan, LinkVrf, LinkVxlan};

use super::sys::process;
use crate::report::machine::{Ability, Feature, Finding, Limit, LimitName};

/// Kernel memory per container, measured: a namespace with its veth pair, in bytes.
const PER_CONTAINER: u64 = 345_000;
/// Below this many entries the machine's neighbour table is the first limit that a lab meets (Debian's default is 1024).
const NEIGHBOURS: u64 = 4096;
/// Below this, user namespaces run out in daily use.
const USER_NAMESPACES: u64 = 16;

/// Tries every feature in namespaces of a thread that dies at once; nothing stays.
///
/// Only kinds of links are tried whose module makes no interface of its own when it is loaded.
pub fn features() -> Vec<Feature> {
    // The namespaces that a thread unshares end with it.
    let network = thread::spawn(network).join().unwrap_or_default();
    let sandbox = thread::spawn(sandbox).join().unwrap_or_default();
    [network, sandbox].concat()
}

type Tried = std::result::Result<(), Errno>;

fn feature(name: Ability, needed: bool, tried: Tried) -> Feature {
    Feature { name, works: Some(tried.is_ok()), needed, errno: tried.err().map(|errno| errno as i32) }
}

/// What was not tried, because something before it failed.
fn untried(name: Ability, needed: bool) -> Feature {
    Feature { name, works: None, needed, errno: None }
}

/// Everything that a network namespace is needed for.
fn network() -> Vec<Feature> {
    let entered = unshare(CloneFlags::CLONE_NEWNET);
    let mut features = vec![feature(Ability::NetworkNamespaces, true, entered)];
    let tried = entered.ok().and_then(|()| links());
    features.extend(tried.unwrap_or_else(|| LINKS.map(|(name, needed)| untried(name, needed)).to_vec()));
    if entered.is_ok() {
        features.push(feature(Ability::PacketSockets, false, packet_socket()));
    }
    features.push(feature(Ability::Ipv6, false, exists("/proc/sys/net/ipv6")));
    features.push(feature(Ability::Tun, false, open("/dev/net/tun")));
    features
}

/// The kinds of links that are tried, and whether labs need them.
const LINKS: [(Ability, bool); 6] = [
    (Ability::Veth, true),
    (Ability::Bridge, true),
    (Ability::Vlan, false),
    (Ability::Vxlan, false),
    (Ability::Macvlan, false),
    (Ability::Vrf, false),
];

/// None where there is no netlink.
fn links() -> Option<Vec<Feature>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().ok()?;
        let pump = tokio::spawn(connection);
        let mut features = Vec::new();
        for (name, needed) in LINKS {
            features.push(feature(name, needed, make(&handle, name).await));
        }
        pump.abort();
        Some(features)
    })
}

async fn make(handle: &Handle, ability: Ability) -> Tried {
    /// `MACVLAN_MODE_BRIDGE` needs a link under it: the first veth.
    const UNDER: &str = "try-veth";
    let message = match ability {
        Ability::Veth => LinkVeth::new(UNDER, "try-peer").build(),
        Ability::Bridge => LinkBridge::new("try-bridge").build(),
        Ability::Vlan => LinkVlan::new("try-vlan", index(handle, UNDER).await?, 7).build(),
        Ability::Vxlan => LinkVxlan::new("try-vxlan", 7).port(4789).build(),
        Ability::Macvlan => {
            let mode = rtnetlink::packet_route::link::MacVlanMode::Bridge;
            LinkMacVlan::new("try-macvlan", index(handle, UNDER).await?, mode).build()
        }
        _ => LinkVrf::new("try-vrf", 7).build(),
    };
    add(handle, message).await
}

async fn add(handle: &Handle, message: LinkMessage) -> Tried {
    handle.link().add(message).execute().await.map_err(|error| errno(&error))
}

async fn index(handle: &Handle, name: &str) -> std::result::Result<u32, Errno> {
    use futures::TryStreamExt;
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await.map_err(|error| errno(&error))?;
    link.map(|link| link.header.index).ok_or(Errno::ENODEV)
}

fn errno(error: &rtnetlink::Error) -> Errno {
    match error {
        rtnetlink::Error::NetlinkError(message) => Errno::from_raw(-message.raw_code()),
        _ => Errno::EIO,
    }
}

fn packet_socket() -> Tried {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map(drop)
}

/// What a node's sandbox needs: its namespaces, and an overlay over the machine's root.
fn sandbox() -> Vec<Feature> {
    let namespaces = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    let entered = unshare(namespaces);
    let overlay = match entered {
        Ok(()) => feature(Ability::Overlay, true, overlay()),
        Err(_) => untried(Ability::Overlay, true),
    };
    vec![feature(Ability::SandboxNamespaces, true, entered), overlay]
}

/// Mounts an overlay in this thread's own mount namespace.
fn overlay() -> Tried {
    const NONE: Option<&str> = None;
    const PLACE: &str = "/tmp";
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some("nslab"), PLACE, Some("tmpfs"), MsFlags::empty(), NONE)?;
    for directory in ["/tmp/upper", "/tmp/work", "/tmp/whole"] {
        fs::create_dir(directory).map_err(|error| process::errno(&error))?;
    }
    let over = |lower: &str| {
        let options = format!("lowerdir={lower},upperdir=/tmp/upper,workdir=/tmp/work");
        mount(Some("nslab"), "/tmp/whole", Some("overlay"), MsFlags::empty(), Some(options.as_str()))
    };
    // In a user namespace `/` has mounts below it that nobody may look under: then sandboxes do it by directory.
    over("/").or_else(|_| over("/etc"))
}

/// Whether a file system may be mounted in a mount namespace of one's own.
pub fn mounts() -> bool {
    const NONE: Option<&str> = None;
    let tried = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        mount(Some("nslab"), "/tmp", Some("tmpfs"), MsFlags::empty(), NONE)
    };
    thread::spawn(tried).join().is_ok_and(|tried: Tried| tried.is_ok())
}

fn exists(path: &str) -> Tried {
    if Path::new(path).exists() { Ok(()) } else { Err(Errno::EAFNOSUPPORT) }
}

fn open(path: &str) -> Tried {
    let opened = fs::OpenOptions::new().read(true).write(true).open(path);
    opened.map(drop).map_err(|error| process::errno(&error))
}

/// The kernel's release, as `uname -r` prints it.
pub fn release() -> String {
    nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Limits that a lab may meet, and how many containers they allow.
pub fn limits() -> Vec<Limit> {
    let namespaces = sysctl("user/max_net_namespaces");
    let neighbours = sysctl("net/ipv4/neigh/default/gc_thresh3");
    let memory = available_memory();
    let files = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    vec![
        Limit { name: LimitName::NetNamespaces, value: namespaces, containers: namespaces },
        Limit { name: LimitName::Mounts, value: sysctl("fs/mount-max"), containers: sysctl("fs/mount-max") },
        Limit { name: LimitName::OpenFiles, value: files, containers: None },
        // Every pair of containers that talks takes two entries, one at each end.
        Limit { name: LimitName::Neighbours, value: neighbours, containers: neighbours.map(u64::isqrt) },
        Limit { name: LimitName::Memory, value: memory, containers: memory.map(|bytes| bytes / PER_CONTAINER) },
    ]
}

/// Settings of the machine that get in the way, or seem to.
pub fn findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    if sysctl("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        findings.push(Finding::AppArmorUserns);
    }
    if sysctl("kernel/unprivileged_userns_clone") == Some(0) {
        findings.push(Finding::UsernsClone);
    }
    if let Some(value) = sysctl("user/max_user_namespaces").filter(|&value| value < USER_NAMESPACES) {
        findings.push(Finding::FewUserNamespaces { value });
    }
    if let Some(value) = sysctl("net/ipv4/neigh/default/gc_thresh3").filter(|&value| value < NEIGHBOURS) {
        findings.push(Finding::SmallNeighbourTable { value });
    }
    findings
}

/// The machine forwards IPv4 packets.
pub fn forwards() -> bool {
    sysctl("net/ipv4/ip_forward") == Some(1)
}

fn sysctl(path: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?.trim().parse().ok()
}

fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
