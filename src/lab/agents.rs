//! What nodes find in their sandboxes: a hosts file with every node by its name, so that `ping b1` works, and on hosts what clients of LXD's API
//! look for; and the processes of agents, one for each host that has one, started by need, ended with the lab.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::paths::{self, system};
use super::rundir;
use crate::error::{AgentFault, Error, Result};
use crate::kernel::caller;
use crate::kernel::sandbox::{Clients, Spec};
use crate::kernel::sys::process::{self, errno};
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::{Attach, Topology};

/// What a stock client is configured with at first.
const CONFIG: &str = "default-remote: local\n";
/// As [`CONFIG`], for Incus's: its own default, and the name that the class gives to images. A launch asks neither.
const IMAGES: &str = "\
default-remote: local
remotes:
  images:
    addr: https://images.linuxcontainers.org
    protocol: simplestreams
    public: true
  ubuntu:
    addr: https://cloud-images.ubuntu.com/releases
    protocol: simplestreams
    public: true
";
/// The hidden command that is an agent.
pub const COMMAND: &str = "serve-agent";
/// How long one has until it is ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// Milliseconds that one has to end.
const GRACE: i32 = 2000;
/// How long one that somebody else has just started may take until it answers.
const MOMENT: Duration = Duration::from_secs(1);

/// The words of an agent that is ready, and of one whose port is taken.
pub const READY: &str = "ready";
/// As [`READY`].
pub const TAKEN: &str = "taken ";

fn all(lab: &LabName) -> PathBuf {
    paths::lab(lab).join("agent")
}

/// Where the key and the trust store of a host's agent are; they outlive the lab.
pub fn store(lab: &LabName, host: &NodeName) -> PathBuf {
    stores(lab).join(host.as_str())
}

/// Where those of a lab's agents are: in a user namespace, which may not write to the machine's files, they end with it.
pub fn stores(lab: &LabName) -> PathBuf {
    let all = if caller::is_in_user_namespace() { "/run/nslab/.agents" } else { "/var/lib/nslab/agents" };
    PathBuf::from(all).join(lab.as_str())
}

/// Hosts that are described with an agent which does not run.
pub fn asleep(topology: &Topology) -> Vec<NodeName> {
    let described = topology.hosts.iter().filter(|host| host.agent).map(|host| &host.name);
    described.filter(|host| !runs(&topology.name, host)).cloned().collect()
}

/// Where the socket and the log of a host's agent are.
pub fn directory(lab: &LabName, host: &NodeName) -> PathBuf {
    all(lab).join(host.as_str())
}

/// The socket that only root may open: `unix.socket`, as LXD calls its own.
pub fn socket(lab: &LabName, host: &NodeName) -> PathBuf {
    directory(lab, host).join("unix.socket")
}

/// Where the stock client on a host keeps its key and the remotes that it knows; as the agents' keys they outlive the lab.
pub fn client(lab: &LabName, host: &NodeName) -> PathBuf {
    store(lab, host).join("client")
}

/// The same of the client of Incus, which refuses the remotes of LXD's: below that of LXD's.
pub fn incus(client: &Path) -> PathBuf {
    client.join("incus")
}

/// What the clients on a host find in its sandbox with a private root or with the machine's own, made where it is not there, and
/// whether it is new; the agent starts at their first connection.
///
/// # Errors
/// When a directory cannot be made.
pub fn clients(lab: &LabName, host: &NodeName, real_root: bool) -> Result<(Clients, bool)> {
    // A host may have two sandboxes, each with a socket of its own.
    let place = directory(lab, host).join(if real_root { "lxd+real" } else { "lxd" });
    let lxd = client(lab, host);
    let new = configure(&lxd, CONFIG)?;
    let incus = incus(&lxd);
    configure(&incus, IMAGES)?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&place);
    made.map_err(|error| system("mkdir", &place, errno(&error)))?;
    Ok((Clients { host: host.to_string(), directory: place, handoff: handoff(lab, host), lxd, incus }, new))
}

/// Where an agent takes over connections that somebody else has accepted.
pub fn handoff(lab: &LabName, host: &NodeName) -> PathBuf {
    directory(lab, host).join("handoff")
}

/// Gives a client its directory; whether it had none.
fn configure(directory: &Path, text: &str) -> Result<bool> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| system("mkdir", directory, errno(&error)))?;
    // Without one a client takes itself for new on a machine, and explains how to begin with the internet.
    let config = directory.join("config.yml");
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(|error| system("write", &config, errno(&error))),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(system("create", &config, errno(&error))),
    }
}

/// A directory in which nslab is `lxc`.
///
/// # Errors
/// When it cannot be made.
pub fn bin(lab: &LabName, host: &NodeName) -> Result<PathBuf> {
    let bin = directory(lab, host).join("bin");
    let fail = |error: std::io::Error| system("make nslab lxc in", &bin, errno(&error));
    std::fs::DirBuilder::new().recursive(true).create(&bin).map_err(fail)?;
    match std::os::unix::fs::symlink(std::env::current_exe().map_err(fail)?, bin.join("lxc")) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(fail(error)),
        _ => Ok(bin),
    }
}

/// The process of a host's agent, if it runs.
fn process_of(lab: &LabName, host: &NodeName) -> Option<i32> {
    let socket = socket(lab, host);
    paths::is_reachable(&socket).then(|| process::peer(&UnixStream::connect(socket).ok()?))?
}

/// Whether a host's agent runs.
pub fn runs(lab: &LabName, host: &NodeName) -> bool {
    process_of(lab, host).is_some()
}

/// Starts the agent of a host and waits until it is ready; false where it runs already.
///
/// # Errors
/// `AgentFault` where it cannot listen or does not come up.
pub fn start(lab: &LabName, host: &NodeName) -> Result<bool> {
    let place = directory(lab, host);
    let fail = |error: std::io::Error| system("start the agent in", &place, errno(&error));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&place).map_err(fail)?;
    let _lock = rundir::lock_directory(&place, Some(lab))?;
    if runs(lab, host) {
        return Ok(false);
    }
    let log = place.join("log");
    let log = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log);
    let started = log.and_then(|log| caller::start_own(&[COMMAND, lab.as_str(), host.as_str()], log));
    let (mut ours, mut child) = started.map_err(fail)?;
    let _ = ours.set_read_timeout(Some(PATIENCE));
    let mut answer = String::new();
    let _ = ours.read_to_string(&mut answer);
    if answer == READY {
        return Ok(true);
    }
    let _ = child.kill();
    let _ = child.wait();
    // One whose starter was killed may be there already, and answer in a moment.
    let until = Instant::now() + MOMENT;
    while answer.starts_with(TAKEN) && Instant::now() < until {
        if runs(lab, host) {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let name = host.to_string();
    Err(Error::Agent(match answer.strip_prefix(TAKEN) {
        Some(at) => AgentFault::Taken(name, at.to_owned()),
        None => AgentFault::Failed(name, answer),
    }))
}

/// Ends the agent of a host; false where it does not run.
///
/// # Errors
/// When it cannot be ended.
pub fn stop(lab: &LabName, host: &NodeName) -> Result<bool> {
    let Some(pid) = process_of(lab, host) else { return Ok(false) };
    let place = directory(lab, host);
    let fail = |errno| system("end the agent in", &place, errno);
    let handle = match process::handle(pid) {
        Ok(handle) => handle,
        Err(Errno::ESRCH) => return Ok(true),
        Err(errno) => return Err(fail(errno)),
    };
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        match process::send(&handle, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(fail(errno)),
        }
        if process::wait_end(&handle, GRACE) {
            break;
        }
    }
    let _ = std::fs::remove_file(socket(lab, host));
    Ok(true)
}

/// Removes what was made for clients that nobody used, and what is empty then. Keys, trusts and remotes stay.
pub fn drop_unused(lab: &LabName) {
    let stores = stores(lab);
    for host in std::fs::read_dir(&stores).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let lxd = host.join("client");
        for (directory, text) in [(incus(&lxd), IMAGES), (lxd, CONFIG)] {
            let config = directory.join("config.yml");
            let alone = std::fs::read_dir(&directory).is_ok_and(|found| found.count() == 1);
            if alone && std::fs::read_to_string(&config).is_ok_and(|found| found == text) {
                let _ = std::fs::remove_file(config);
            }
            let _ = std::fs::remove_dir(directory);
        }
        let _ = std::fs::remove_dir(host);
    }
    drop_empty(&stores);
}

/// Removes where keys and trusts are, with what it is in, as far as nothing is there.
pub fn drop_empty(stores: &Path) {
    for directory in stores.ancestors().take(3) {
        let _ = std::fs::remove_dir(directory);
    }
}

/// Ends every agent of a lab.
///
/// # Errors
/// When one cannot be ended.
pub fn end(lab: &LabName) -> Result<()> {
    for entry in std::fs::read_dir(all(lab)).into_iter().flatten().flatten() {
        if let Ok(host) = entry.file_name().to_string_lossy().parse() {
            stop(lab, &host)?;
        }
    }
    Ok(())
}

/// What a node's sandbox looks like, with a private root or the machine's own; a host's with what [`super::agents::clients`] gives it.
pub fn spec(lab: &LabName, node: &NodeId, described: &Topology, real_root: bool, clients: Option<Clients>) -> Spec {
    Spec {
        lab: lab.to_string(),
        node: node.to_string(),
        hostname: node.name().to_string(),
        hosts: hosts_file(described),
        is_host: matches!(node, NodeId::Host(_)),
        real_root,
        clients,
    }
}

/// The text of `/etc/hosts` inside the nodes of a lab.
///
/// A container is `a1.host-a`, and `a1` where no other node bears that name. The first address of a node is the one its
/// name is looked up to.
fn hosts_file(topology: &Topology) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    let hosts = topology.hosts.iter().map(|host| host.name.as_str());
    let containers = topology.hosts.iter().flat_map(|host| &host.containers).map(|container| container.name.as_str());
    let mut named: HashMap<&str, usize> = HashMap::new();
    for name in hosts.chain(containers) {
        *named.entry(name).or_default() += 1;
    }
    let alone = |name: &str| named.get(name) == Some(&1);
    for host in &topology.hosts {
        let nics = host.nics.iter().flat_map(|nic| &nic.addresses);
        let bridges = host.bridges.iter().flat_map(|bridge| &bridge.addresses);
        let ends = host.containers.iter().flat_map(|container| &container.nics).flat_map(|nic| match &nic.attach {
            Attach::Host(end) => end.addresses.as_slice(),
            Attach::Network(_) => &[],
        });
        lines(&mut text, nics.chain(bridges).chain(ends).map(ipnet::IpNet::addr), host.name.as_str());
        for container in &host.containers {
            let mut words = format!("{}.{}", container.name, host.name);
            if alone(container.name.as_str()) {
                words = format!("{} {words}", container.name);
            }
            lines(&mut text, container.nics.iter().flat_map(|nic| &nic.addresses).map(ipnet::IpNet::addr), &words);
        }
    }
    text
}

fn lines(text: &mut String, addresses: impl Iterator<Item = IpAddr>, names: &str) {
    for address in addresses {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address} {names}");
    }
}
