//! Real NICs of the machine, borrowed: what of them is recorded, and which a lab does not touch, or not without being told to.
//!
//! The record is a file beside the journal, written before the first operation: a damaged journal does not lose it.

pub mod change;
pub mod restore;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::paths::{self, BootRecord, OfBoot, failed};
use crate::error::{Allow, Error, Refusal, Result, Rollback, Thing};
use crate::kernel::managers;
use crate::kernel::netlink::Netlink;
use crate::kernel::nic::{self, Kind, Nic, Object};
use crate::name::{IfName, LabName};
use crate::plan::{Fact, Ns, Op, Port, Slot, State};
use crate::report::lab::{Nics, Trust};
use crate::report::machine::{self as reports, Change, Changes, Wiring};

/// A real NIC that a lab uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NicUse {
    /// The NIC.
    pub nic: IfName,
    /// The lab's bridge that it becomes a port of.
    pub bridge: Option<IfName>,
}

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its path under `/proc/sys/net`.
    pub path: String,
    /// Its value.
    pub value: String,
}

/// What the machine looked like in what a lab changes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The borrowed NICs.
    pub nics: Vec<Nic>,
    /// Settings under `/proc/sys/net`.
    pub settings: Vec<Setting>,
}

/// Everything about the NICs that a lab has borrowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// The lab.
    pub lab: LabName,
    /// The machine's boot that it belongs to: after a restart nothing is borrowed any more.
    pub boot_id: String,
    /// What it uses.
    pub uses: Vec<NicUse>,
    /// Seconds since the machine's start, when `before` was taken.
    pub at: u64,
    /// Before the first change.
    pub before: Snapshot,
    /// After the last; none while the change is being made.
    pub after: Option<Snapshot>,
    /// The machine is reached through one of the NICs.
    pub management: bool,
    /// Seconds that somebody has to confirm the change.
    pub seconds: u64,
    /// Which change it is, of all of this boot: a watchdog takes its own back and no later one.
    pub change: String,
    /// Neighbours that answered on the NICs before.
    pub neighbours: Vec<(IfName, std::net::IpAddr)>,
    /// Whether it is kept.
    pub trust: Trust,
    /// Why it was taken back.
    pub why: Option<Rollback>,
}

/// The real NICs in a state: interfaces of the machine that the state speaks of and does not make.
pub fn uses(state: &State) -> Vec<NicUse> {
    let made: BTreeSet<_> = state.ends().collect();
    let ports = state.iter().filter_map(Fact::port).filter(|port| port.ns == Ns::Root && port.dev != IfName::loopback());
    let real: BTreeSet<_> = ports.filter(|port| !made.contains(port)).collect();
    real.into_iter().map(|port| NicUse { nic: port.dev.clone(), bridge: state.master(port).cloned() }).collect()
}

/// Whether there is a record of this boot that cannot be read.
pub(super) fn is_lost(lab: &LabName) -> bool {
    matches!(paths::record_of_boot::<Borrowed>(&path(lab)), BootRecord::Lost)
}

/// The seconds that there were to keep a change, where one still waits for that.
pub fn waits(lab: &LabName) -> Option<u64> {
    Borrowed::live(lab).filter(|borrowed| borrowed.trust == Trust::Waiting).map(|borrowed| borrowed.seconds)
}

/// What a lab has borrowed, for `status`.
pub fn report(lab: &LabName) -> Option<Nics> {
    let borrowed = Borrowed::read(lab)?;
    let names = borrowed.uses.iter().map(|used| used.nic.clone()).collect();
    Some(Nics { names, state: borrowed.trust, why: borrowed.why })
}

/// What was borrowed is back, and the record says why.
pub(super) fn mark(lab: &LabName, why: Rollback) -> Result<()> {
    let Some(mut borrowed) = Borrowed::read(lab) else { return Ok(()) };
    (borrowed.trust, borrowed.why) = (Trust::RolledBack, Some(why));
    borrowed.write()
}

/// Seconds since the machine's start, suspended ones included.
fn uptime() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().and_then(|now| u64::try_from(now.tv_sec()).ok()).unwrap_or_default()
}

impl Snapshot {
    /// Looks at the machine; a NIC that is gone is left out.
    pub fn take(socket: &mut Netlink, uses: &[NicUse]) -> Result<Self> {
        let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
        let nics: Vec<Nic> = all.into_iter().filter(|nic| uses.iter().any(|used| used.nic == nic.name)).collect();
        let settings = settings(uses);
        Ok(Self { nics, settings })
    }

    /// One of the NICs.
    pub fn nic(&self, name: &IfName) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.name == *name)
    }
}

fn path(lab: &LabName) -> PathBuf {
    paths::lab(lab).join("borrowed.json")
}

impl OfBoot for Borrowed {
    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

impl Borrowed {
    /// What a lab has borrowed, if anything.
    pub fn read(lab: &LabName) -> Option<Self> {
        paths::record_of_boot(&path(lab)).known()
    }

    /// What a lab has borrowed and not given back.
    fn live(lab: &LabName) -> Option<Self> {
        Self::read(lab).filter(|borrowed| borrowed.trust != Trust::RolledBack)
    }

    /// Writes the record: all of it or nothing.
    pub fn write(&self) -> Result<()> {
        paths::write_record(&path(&self.lab), self, 0o600)
    }
}

const ROOT: &str = "/proc/sys/net";

/// What forwarding changes of every interface (`inet_forward_change` of `net/ipv4/devinet.c`, `dev_forward_change` of
/// `net/ipv6/addrconf.c`), and what labs set besides.
const OF_ALL: [(&str, &str); 5] =
    [("ipv4", "forwarding"), ("ipv4", "accept_redirects"), ("ipv4", "rp_filter"), ("ipv6", "forwarding"), ("ipv6", "accept_ra")];

/// What is set of a borrowed NIC alone.
const OF_NIC: [(&str, &str); 3] = [("ipv6", "disable_ipv6"), ("ipv6", "addr_gen_mode"), ("ipv6", "accept_dad")];

/// The settings as they are, the ones of all interfaces first: they overwrite the others.
fn settings(uses: &[NicUse]) -> Vec<Setting> {
    let mut paths = Vec::new();
    for (family, name) in OF_ALL {
        let mut devices: Vec<String> = fs::read_dir(format!("{ROOT}/{family}/conf"))
            .map(|all| all.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
            .unwrap_or_default();
        devices.sort_by_key(|device| (device != "all", device.clone()));
        paths.extend(devices.iter().map(|device| format!("{family}/conf/{device}/{name}")));
    }
    for (family, name) in OF_NIC {
        paths.extend(uses.iter().map(|used| format!("{family}/conf/{}/{name}", used.nic)));
    }
    paths.into_iter().filter_map(|path| Some(Setting { value: read_setting(&path)?, path })).collect()
}

/// Each setting as it was first.
pub(super) fn first(earlier: &[Setting], now: &[Setting]) -> Vec<Setting> {
    let known = |setting: &&Setting| earlier.iter().any(|other| other.path == setting.path);
    earlier.iter().chain(now.iter().filter(|setting| !known(setting))).cloned().collect()
}

/// A setting's value; none where the machine has no such setting.
pub(super) fn read_setting(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(ROOT).join(path)).ok().map(|text| text.trim().to_owned())
}

/// Sets it.
pub(super) fn write_setting(path: &str, value: &str) -> std::io::Result<()> {
    fs::write(Path::new(ROOT).join(path), value)
}

/// Interfaces that learn their IPv6 routes from routers go on doing so while the machine forwards
/// (`Documentation/networking/ip-sysctl.rst`, `accept_ra`).
pub(super) fn keep_learning() {
    let Ok(all) = fs::read_dir(format!("{ROOT}/ipv6/conf")) else { return };
    for device in all.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let path = format!("ipv6/conf/{device}/accept_ra");
        let learns = read_setting(&path).as_deref() == Some("1")
            && read_setting(&format!("ipv6/conf/{device}/forwarding")).as_deref() == Some("0");
        if learns && !["all", "default", "lo"].contains(&device.as_str()) {
            let _ = write_setting(&path, "2");
        }
    }
}

/// What is done to NICs of the machine, and how long a change of them waits for the user.
#[derive(Debug, Clone)]
pub struct NicPolicy {
    /// What is done only because the user asked for it.
    pub allowed: Vec<Allow>,
    /// Seconds that somebody has to confirm a change that may cut the machine off.
    pub seconds: u64,
}

impl Default for NicPolicy {
    fn default() -> Self {
        Self { allowed: Vec::new(), seconds: 60 }
    }
}

/// Refuses what should not be done to the NICs of a lab; those that it has borrowed already are its own.
pub fn check(lab: &LabName, wanted: &State, policy: &NicPolicy) -> Result<()> {
    let earlier = Borrowed::live(lab);
    let has = |used: &NicUse| earlier.as_ref().is_some_and(|earlier| earlier.before.nic(&used.nic).is_some());
    let new: Vec<NicUse> = uses(wanted).into_iter().filter(|used| !has(used)).collect();
    if new.is_empty() { Ok(()) } else { refuse(&new, &policy.allowed) }
}

/// Refuses what a lab should not do to a NIC, with every reason at once.
///
/// # Errors
/// [`Error::Unknown`] for one that is not there, [`Error::Nic`] for one with reasons against it that are not allowed.
fn refuse(uses: &[NicUse], allowed: &[Allow]) -> Result<()> {
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let all = nic::survey(&mut socket).map_err(|errno| failed("ip link", errno))?;
    for used in uses {
        let Some(nic) = all.iter().find(|nic| nic.name == used.nic) else {
            let real = all.iter().filter(|nic| matches!(nic.kind, Kind::Ethernet | Kind::Wifi));
            let candidates = real.map(|nic| nic.name.to_string()).collect();
            return Err(Error::Unknown { what: Thing::Interface, word: used.nic.to_string(), candidates });
        };
        let reasons = reasons(&mut socket, nic, used)?;
        let left: Vec<Refusal> =
            reasons.into_iter().filter(|why| why.allow().is_none_or(|flag| !allowed.contains(&flag))).collect();
        if !left.is_empty() {
            return Err(Error::Nic { nic: used.nic.to_string(), why: left });
        }
    }
    Ok(())
}

/// Every reason against it.
fn reasons(socket: &mut Netlink, nic: &Nic, used: &NicUse) -> Result<Vec<Refusal>> {
    let mut all = Vec::new();
    if nic.kind == Kind::Loopback {
        return Ok(vec![Refusal::Loopback]);
    }
    all.extend(nic.master.clone().map(Refusal::Port));
    all.extend(nic.defaults().next().map(|route| Refusal::DefaultRoute(route.text.clone())));
    all.extend(ssh_comes_in(socket, std::slice::from_ref(nic))?.map(|(_, client)| Refusal::Ssh(client)));
    if used.bridge.is_some() {
        all.extend(nic.global().next().map(|address| Refusal::Address(address.text.clone())));
    }
    if nic.kind == Kind::Wifi {
        all.push(Refusal::Wifi);
    }
    let name = nic.name.as_str();
    let certain = managers::for_interface(name, nic.index, false, &managers::clients(&[name]))
        .into_iter()
        .filter(|manager| manager.certain);
    all.extend(certain.map(|manager| Refusal::Managed(manager.service, manager.pid)));
    Ok(all)
}

/// The client's and the server's address, of this process or of one that it descends from: `sudo` drops the variable.
fn ends() -> Option<(IpAddr, Option<IpAddr>)> {
    let mut pid = "self".to_owned();
    for _ in 0..64 {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if let Some(ends) = environment.split(|byte| *byte == 0).find_map(|line| ssh_ends(&String::from_utf8_lossy(line))) {
            return Some(ends);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc_pid_stat(5): the parent is field 4, the second behind the name.
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.to_owned();
        if parent == "0" {
            return None;
        }
        pid = parent;
    }
    None
}

/// `SSH_CONNECTION` is client, port, server, port; `SSH_CLIENT` is client, port, server's port (`ssh(1)`).
fn ssh_ends(line: &str) -> Option<(IpAddr, Option<IpAddr>)> {
    let (name, value) = line.split_once('=')?;
    let mut words = value.split(' ');
    let address = |word: &str| word.split('%').next().unwrap_or_default().parse::<IpAddr>().ok();
    let client = address(words.next()?)?;
    match name {
        "SSH_CONNECTION" => Some((client, words.nth(1).and_then(address))),
        "SSH_CLIENT" => Some((client, None)),
        _ => None,
    }
}

/// The NIC by which the session comes in, or its answers go out, and the client.
pub(super) fn ssh_comes_in(socket: &mut Netlink, nics: &[Nic]) -> Result<Option<(IfName, IpAddr)>> {
    let Some((client, server)) = ends() else { return Ok(None) };
    let way = nic::way_to(socket, client).map_err(|errno| failed("ip route get", errno))?;
    let here =
        |nic: &&Nic| Some(nic.index) == way || nic.addresses.iter().any(|own| own.address().is_some() && own.address() == server);
    Ok(nics.iter().find(here).map(|nic| (nic.name.clone(), client)))
}

/// The machine before and after.
pub fn preview(wanted: &State) -> Result<Changes> {
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let all = nic::survey(&mut socket).map_err(|errno| failed("ip addr", errno))?;
    let mut nics = Vec::new();
    for used in uses(wanted) {
        let Some(nic) = all.iter().find(|nic| nic.name == used.nic) else { continue };
        let reasons = reasons(&mut socket, nic, &used)?;
        let allow = reasons.iter().map(|why| Refusal::allow(why).map(Allow::word)).collect();
        nics.push(Change { nic: nic.name.to_string(), now: now(nic), then: then(nic, &used, wanted), allow });
    }
    let settings = wanted.iter().filter_map(|fact| match fact {
        Fact::Sysctl(Ns::Root, setting, number) => {
            let now = read_setting(setting.path().trim_start_matches("net/"))?;
            let then = number.to_string();
            (now != then).then(|| reports::Setting { name: setting.name(), now, then })
        }
        _ => None,
    });
    Ok(Changes { settings: settings.collect(), nics })
}

fn texts<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<String> {
    objects.map(|object| object.text.clone()).collect()
}

fn now(nic: &Nic) -> Wiring {
    Wiring {
        up: nic.is_up(),
        mtu: nic.mtu,
        master: nic.master.clone(),
        addresses: texts(nic.addresses.iter()),
        routes: texts(nic.routes.iter()),
    }
}

fn then(nic: &Nic, used: &NicUse, wanted: &State) -> Wiring {
    let mut then = now(nic);
    let port = Port { ns: Ns::Root, dev: nic.name.clone() };
    then.up |= wanted.has(Slot::Up(&port));
    then.mtu = wanted.mtu(&port).unwrap_or(then.mtu);
    if let Some(bridge) = &used.bridge {
        then.master = Some(bridge.to_string());
        let (from, to) = (format!("dev {}", nic.name), format!("dev {bridge}"));
        then.routes = then.routes.iter().map(|route| route.replace(&from, &to)).collect();
    }
    let own = wanted.iter().filter_map(|fact| match fact {
        Fact::Addr(on, net) if *on == port => Some(net.to_string()),
        _ => None,
    });
    then.addresses.extend(own);
    then.addresses.sort();
    then.addresses.dedup();
    let routes = wanted.iter().filter(|fact| matches!(fact, Fact::Route(Ns::Root, ..)));
    let line = |fact: &Fact| Op::Add(fact.clone()).to_string();
    let bare = |line: String| line.replace("ip route add ", "").replace("ip -6 route add ", "");
    let through = |route: &String| route.split(' ').any(|word| word == nic.name.as_str());
    then.routes.extend(routes.map(line).map(bare).filter(through));
    then
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_variables() {
        let client: IpAddr = "10.0.2.2".parse().unwrap();
        assert_eq!(ssh_ends("SSH_CONNECTION=10.0.2.2 4711 10.0.2.15 22"), Some((client, "10.0.2.15".parse().ok())));
        assert_eq!(ssh_ends("SSH_CLIENT=10.0.2.2 4711 22"), Some((client, None)));
        assert_eq!(ssh_ends("SSH_CONNECTION=fe80::1%eth0 1 fe80::2%eth0 22").map(|ends| ends.0), "fe80::1".parse().ok());
        assert_eq!(ssh_ends("SSH_CONNECTION=UNKNOWN"), None);
        assert_eq!(ssh_ends("HOME=/root"), None);
    }
}
