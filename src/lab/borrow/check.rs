//! What a lab would do to the machine's NICs, and which it does not touch, or not without being told to.

use std::net::IpAddr;

use super::{Borrowed, NicUse, read_setting, uses};
use crate::error::{Allow, Error, Refusal, Result, Thing};
use crate::kernel::managers;
use crate::kernel::nic::{self, Kind, Nic, Object, way};
use crate::kernel::socket::Netlink;
use crate::lab::paths::failed;
use crate::name::{IfName, LabName};
use crate::plan::{Fact, Ns, Op, Port, Slot, State};
use crate::report::nic::{Change, Changes, Setting, Wiring};

/// On what terms NICs are borrowed.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What is done only because the user asked for it.
    pub allowed: Vec<Allow>,
    /// Seconds that somebody has to confirm a change that may cut the machine off.
    pub seconds: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { allowed: Vec::new(), seconds: 60 }
    }
}

/// Refuses what should not be done to the NICs of a lab; those that it has borrowed already are its own.
pub fn check(lab: &LabName, wanted: &State, terms: &Terms) -> Result<()> {
    let earlier = Borrowed::live(lab);
    let has = |used: &NicUse| earlier.as_ref().is_some_and(|earlier| earlier.before.nic(&used.nic).is_some());
    let new: Vec<NicUse> = uses(wanted).into_iter().filter(|used| !has(used)).collect();
    if new.is_empty() { Ok(()) } else { refuse(&new, &terms.allowed) }
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
    let certain = managers::of(name, nic.index, false, &managers::clients(&[name])).into_iter().filter(|manager| manager.certain);
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
    let way = way::to(socket, client).map_err(|errno| failed("ip route get", errno))?;
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
        let allow = reasons.iter().map(|why| Refusal::allow(why).map(crate::error::Allow::word)).collect();
        nics.push(Change { nic: nic.name.to_string(), now: now(nic), then: then(nic, &used, wanted), allow });
    }
    let settings = wanted.iter().filter_map(|fact| match fact {
        Fact::Sysctl(Ns::Root, setting, number) => {
            let now = read_setting(setting.path().trim_start_matches("net/"))?;
            let then = number.to_string();
            (now != then).then(|| Setting { name: setting.name(), now, then })
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
