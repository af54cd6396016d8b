//! Real NICs of the machine, borrowed: what of them is recorded.
//!
//! The record is a file beside the journal, written before the first operation: a damaged journal does not lose it.

pub mod check;
pub mod loan;
pub mod restore;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::paths::{self, failed};
use super::record::{self, Beside, OfBoot};
use crate::error::{Result, Rollback};
use crate::kernel::nic::{self, Nic};
use crate::kernel::socket::Netlink;
use crate::name::{IfName, LabName};
use crate::plan::{Fact, Ns, State};
use crate::report::lab as reports;
use crate::report::lab::Trust;

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
    matches!(record::beside::<Borrowed>(&path(lab)), Beside::Lost)
}

/// The seconds that there were to keep a change, where one still waits for that.
pub fn waits(lab: &LabName) -> Option<u64> {
    Borrowed::live(lab).filter(|borrowed| borrowed.trust == Trust::Waiting).map(|borrowed| borrowed.seconds)
}

/// What a lab has borrowed, for `status`.
pub fn report(lab: &LabName) -> Option<reports::Nics> {
    let borrowed = Borrowed::read(lab)?;
    let names = borrowed.uses.iter().map(|used| used.nic.clone()).collect();
    Some(reports::Nics { names, state: borrowed.trust, why: borrowed.why })
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
        record::beside(&path(lab)).known()
    }

    /// What a lab has borrowed and not given back.
    fn live(lab: &LabName) -> Option<Self> {
        Self::read(lab).filter(|borrowed| borrowed.trust != Trust::RolledBack)
    }

    /// Writes the record: all of it or nothing.
    pub fn write(&self) -> Result<()> {
        record::write(&path(&self.lab), self, 0o600)
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
