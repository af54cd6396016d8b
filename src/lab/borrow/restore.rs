//! The NICs' addresses and routes move to the lab's bridges and back: each thing that nslab has changed, and nothing that
//! somebody else has.

use std::collections::BTreeSet;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use nix::errno::Errno;

use super::{Borrowed, Setting, Snapshot, read_setting, uptime, write_setting};
use crate::error::{Left, Result};
use crate::kernel::netlink::{Netlink, Raw, Request};
use crate::kernel::nic::{self, Nic, Object};
use crate::kernel::sys::process::errno;
use crate::kernel::{fault, requests};
use crate::lab::paths::failed;
use crate::name::{IfName, LabName};
use crate::plan::{Fact, Ns, State};
use crate::report::lab::{Foreign, LeftAlone};

/// How often routes are tried: one may need another one first.
const PASSES: usize = 4;

/// What came of putting things back.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// What somebody has changed meanwhile; it stays.
    pub left_alone: Vec<LeftAlone>,
    /// What could not be put back.
    pub left: Vec<Left>,
}

/// Puts back what was borrowed, as far as it is still as nslab has set it; `own` are the lab's facts. Twice is fine.
///
/// # Errors
/// When the machine cannot be looked at; what cannot be put back is in the result.
pub fn restore(socket: &mut Netlink, borrowed: &Borrowed, own: &State) -> Result<Restored> {
    let mut done = Restored::default();
    let now = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
    let elapsed = u32::try_from(uptime().saturating_sub(borrowed.at)).unwrap_or(u32::MAX);
    for before in &borrowed.before.nics {
        let Some(current) = now.iter().find(|nic| nic.name == before.name && nic.index == before.index) else {
            done.alone(before, Foreign::Gone, String::new());
            continue;
        };
        let used = borrowed.uses.iter().find(|used| used.nic == before.name);
        let bridge = used.and_then(|used| used.bridge.as_ref()).and_then(|name| now.iter().find(|nic| nic.name == *name));
        let after = borrowed.after.as_ref().and_then(|after| after.nic(&before.name));
        Back { before, after, current, bridge, all: &now, own, elapsed }.all(socket, &mut done)?;
    }
    put_settings(&borrowed.before.settings, borrowed.after.as_ref(), &mut done);
    Ok(done)
}

impl Restored {
    fn alone(&mut self, nic: &Nic, what: Foreign, text: String) {
        self.left_alone.push(LeftAlone { nic: Some(nic.name.clone()), what, text });
    }
}

/// One NIC on its way back.
struct Back<'a> {
    before: &'a Nic,
    after: Option<&'a Nic>,
    current: &'a Nic,
    bridge: Option<&'a Nic>,
    all: &'a [Nic],
    own: &'a State,
    elapsed: u32,
}

/// A request, and what it is for.
type Step = (Raw, String);

impl Back<'_> {
    fn all(&self, socket: &mut Netlink, done: &mut Restored) -> Result<()> {
        self.link(socket, done)?;
        let (mut first, mut routes) = (self.moved_back(), Vec::new());
        let (gone, came) = self.addresses(done);
        first.extend(came);
        let (taken, given) = self.routes(done);
        first.extend(taken);
        first.extend(gone);
        routes.extend(given);
        let fine = [DONE_ALREADY.as_slice(), &[Errno::ENODEV]].concat();
        send(socket, first, &fine, done)?;
        let mut rest = routes;
        for pass in 1..=PASSES {
            let mut failures = Restored::default();
            rest = send(socket, rest, &fine, &mut failures)?;
            if rest.is_empty() || pass == PASSES {
                done.left.extend(failures.left);
                break;
            }
        }
        self.down(socket, done)
    }

    /// Out of the bridge, with its own MTU, up if it was.
    fn link(&self, socket: &mut Netlink, done: &mut Restored) -> Result<()> {
        let Self { before, after, current, .. } = self;
        let index = current.index;
        let mut steps: Vec<(Request, String)> = Vec::new();
        if current.master != before.master {
            let to_lab = self.bridge.is_some_and(|bridge| current.master.as_deref() == Some(bridge.name.as_str()));
            if to_lab || after.is_none_or(|after| after.master == current.master) {
                let master = before.master.as_ref().and_then(|name| self.all.iter().find(|nic| nic.name.as_str() == name));
                steps.push((
                    requests::set_master(index, master.map_or(0, |nic| nic.index)),
                    format!("ip link set {} nomaster", before.name),
                ));
            } else {
                done.alone(before, Foreign::Master, current.master.clone().unwrap_or_default());
            }
        }
        if current.mtu != before.mtu {
            if after.is_none_or(|after| after.mtu == current.mtu) {
                steps.push((requests::set_mtu(index, before.mtu), format!("ip link set {} mtu {}", before.name, before.mtu)));
            } else {
                done.alone(before, Foreign::Mtu, current.mtu.to_string());
            }
        }
        if before.is_up() && !current.is_up() {
            if after.is_none_or(|after| !after.is_up()) {
                steps.push((requests::set_up(index, true), format!("ip link set {} up", before.name)));
            } else {
                done.alone(before, Foreign::Down, String::new());
            }
        }
        requests(socket, &steps, done)
    }

    /// Down last, if it was: that also ends what the kernel itself made while it was up.
    fn down(&self, socket: &mut Netlink, done: &mut Restored) -> Result<()> {
        let ours = self.after.is_none_or(Nic::is_up);
        if self.before.is_up() || !self.current.is_up() || !ours {
            return Ok(());
        }
        requests(socket, &[(requests::set_up(self.current.index, false), format!("ip link set {} down", self.before.name))], done)
    }

    /// What had moved to the bridge leaves it first, or there would be two ways for a moment.
    fn moved_back(&self) -> Vec<Step> {
        let Some(bridge) = self.bridge else { return Vec::new() };
        let tried = format!("ip addr del ... dev {}", bridge.name);
        let there = |address: &&Object| bridge.addresses.iter().any(|other| other.address() == address.address());
        let moved = self.before.global().filter(there).map(|address| address.take_address(bridge.index));
        let routes = self.before.routes.iter().map(|route| route.take_route(self.before.index, bridge.index));
        routes.chain(moved).map(|raw| (raw, tried.clone())).collect()
    }

    /// Those to take, those to give.
    fn addresses(&self, done: &mut Restored) -> (Vec<Step>, Vec<Step>) {
        let set = |nic: &Nic| nic.addresses.iter().map(Object::same_address).collect::<BTreeSet<_>>();
        let (was, is, set_by_nslab) = (set(self.before), set(self.current), self.after.map(set));
        let (index, dev) = (self.current.index, &self.before.name);
        let (mut gone, mut came) = (Vec::new(), Vec::new());
        for address in &self.current.addresses {
            let same = address.same_address();
            if was.contains(&same) || !address.is_global() {
                continue;
            }
            let mine = set_by_nslab.as_ref().map_or_else(|| self.owns_address(address), |set| set.contains(&same));
            if mine {
                gone.push((address.take_address(index), format!("ip addr del {} dev {dev}", address.text)));
            } else {
                done.alone(self.before, Foreign::Added, address.text.clone());
            }
        }
        for address in self.before.in_order() {
            let same = address.same_address();
            if is.contains(&same) {
                continue;
            }
            if set_by_nslab.as_ref().is_some_and(|set| set.contains(&same)) {
                done.alone(self.before, Foreign::Removed, address.text.clone());
                continue;
            }
            let tried = format!("ip addr add {} dev {dev}", address.text);
            let Some(quick) = address.give_address(index, None, self.elapsed, true) else { continue };
            let settled = address.give_address(index, None, self.elapsed, false);
            came.push((quick, tried.clone()));
            // Usable at once, and then with the flags that it had.
            came.extend(
                settled.filter(|_| address.is_v6()).map(|(kind, _, body)| ((kind, NLM_F_CREATE | NLM_F_REPLACE, body), tried)),
            );
        }
        (gone, came)
    }

    fn owns_address(&self, address: &Object) -> bool {
        self.own.iter().any(|fact| match fact {
            Fact::Addr(port, net) => port.ns == Ns::Root && port.dev == self.before.name && Some(net.addr()) == address.address(),
            _ => false,
        })
    }

    /// Those to take, those to give.
    fn routes(&self, done: &mut Restored) -> (Vec<Step>, Vec<Step>) {
        let set = |nic: &Nic| nic.routes.iter().map(Object::same_route).collect::<BTreeSet<_>>();
        let (was, is, set_by_nslab) = (set(self.before), set(self.current), self.after.map(set));
        let index = self.current.index;
        let (mut gone, mut came) = (Vec::new(), Vec::new());
        for route in &self.current.routes {
            let same = route.same_route();
            if was.contains(&same) || route.is_learned() {
                continue;
            }
            let mine = set_by_nslab.as_ref().map_or_else(|| self.owns_route(route), |set| set.contains(&same));
            if mine {
                gone.push((route.take_route(index, index), format!("ip route del {}", route.text)));
            } else {
                done.alone(self.before, Foreign::Added, route.text.clone());
            }
        }
        for route in &self.before.routes {
            let same = route.same_route();
            if is.contains(&same) {
                continue;
            }
            if set_by_nslab.as_ref().is_some_and(|set| set.contains(&same)) && !route.is_learned() {
                done.alone(self.before, Foreign::Removed, route.text.clone());
            } else {
                came.push((route.give_route(index, index), format!("ip route add {}", route.text)));
            }
        }
        (gone, came)
    }

    fn owns_route(&self, route: &Object) -> bool {
        self.own.iter().any(|fact| match fact {
            Fact::Route(Ns::Root, table, to, ..) => route.leads_to(*table, *to),
            _ => false,
        })
    }
}

/// What says that something is there already, or gone already.
const DONE_ALREADY: [Errno; 3] = [Errno::EEXIST, Errno::ESRCH, Errno::EADDRNOTAVAIL];

/// Sends requests; those that failed come back, but for these failures.
fn send(socket: &mut Netlink, steps: Vec<Step>, fine: &[Errno], done: &mut Restored) -> Result<Vec<Step>> {
    let mut refused = Vec::new();
    for (place, (request, tried)) in steps.iter().enumerate() {
        refused.extend(socket.push_raw(request, place).map_err(|errno| failed(tried, errno))?);
    }
    let last = steps.last().map_or("ip addr", |(_, tried)| tried);
    refused.extend(socket.flush().map_err(|errno| failed(last, errno))?);
    refused.retain(|refusal| !fine.contains(&refusal.errno));
    done.left.extend(refused.iter().map(|refusal| Left::NotRestored(steps[refusal.tag].1.clone(), refusal.errno as i32)));
    let failed: BTreeSet<usize> = refused.iter().map(|refusal| refusal.tag).collect();
    Ok(steps.into_iter().enumerate().filter(|(place, _)| failed.contains(place)).map(|(_, step)| step).collect())
}

fn requests(socket: &mut Netlink, steps: &[(Request, String)], done: &mut Restored) -> Result<()> {
    let mut refused = Vec::new();
    for (place, (request, tried)) in steps.iter().enumerate() {
        refused.extend(socket.push(request, place).map_err(|errno| failed(tried, errno))?);
    }
    refused.extend(socket.flush().map_err(|errno| failed("ip link set", errno))?);
    done.left.extend(refused.iter().map(|refusal| Left::NotRestored(steps[refusal.tag].1.clone(), refusal.errno as i32)));
    Ok(())
}

/// What is to become of each setting is decided before the first is written: the ones of all interfaces overwrite others.
fn put_settings(before: &[Setting], after: Option<&Snapshot>, done: &mut Restored) {
    let set_by_nslab = |path: &str| after.and_then(|after| after.settings.iter().find(|setting| setting.path == path));
    let mut targets: Vec<(&str, String)> = Vec::new();
    for setting in before {
        let Some(now) = read_setting(&setting.path) else { continue };
        if now != setting.value && set_by_nslab(&setting.path).is_some_and(|set| set.value != now) {
            done.left_alone.push(LeftAlone {
                nic: None,
                what: Foreign::Setting,
                text: format!("net.{} = {now}", setting.path.replace('/', ".")),
            });
            targets.push((&setting.path, now));
        } else {
            targets.push((&setting.path, setting.value.clone()));
        }
    }
    // Those of all interfaces come first in each group, and a later group may touch an earlier one's.
    for _ in 0..2 {
        for (path, value) in &targets {
            if read_setting(path).is_some_and(|now| now != *value) {
                let done_so = fault::point().and_then(|()| write_setting(path, value).map_err(|error| errno(&error)));
                if let Err(errno) = done_so {
                    done.left.push(Left::NotRestored(format!("sysctl net.{}={value}", path.replace('/', ".")), errno as i32));
                }
            }
        }
    }
}

/// Puts back what a lab has borrowed, if anything; `own` are its facts.
pub fn give_back(lab: &LabName, own: &State) -> Result<Restored> {
    let Some(borrowed) = Borrowed::live(lab) else {
        return Ok(Restored::default());
    };
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    restore(&mut socket, &borrowed, own)
}

/// Moves the addresses of every NIC that has become a port, in one go: the port itself can no longer be reached by them.
pub(super) fn hand_over(socket: &mut Netlink, borrowed: &Borrowed) -> Result<()> {
    let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
    let elapsed = u32::try_from(uptime().saturating_sub(borrowed.at)).unwrap_or(u32::MAX);
    for used in &borrowed.uses {
        let find = |name: &IfName| all.iter().find(|nic| nic.name == *name);
        let Some(nic) = find(&used.nic) else { continue };
        let Some(bridge) = used.bridge.as_ref().and_then(find) else {
            // A NIC that a changed lab no longer has in a bridge has what was its own before.
            let before = borrowed.before.nic(&nic.name).filter(|_| used.bridge.is_none());
            before.map_or(Ok(()), |before| given(socket, before, nic, elapsed))?;
            continue;
        };
        // A bridge that took the place of another one finds nothing on the NIC any more.
        let (from, elapsed) =
            if nic.global().next().is_some() { (Some(nic), 0) } else { (borrowed.before.nic(&nic.name), elapsed) };
        if let Some(from) = from.filter(|from| from.global().next().is_some()) {
            moved(socket, from, bridge, elapsed)?;
        }
    }
    Ok(())
}

fn moved(socket: &mut Netlink, nic: &Nic, bridge: &Nic, elapsed: u32) -> Result<()> {
    let tried = format!("ip addr add ... dev {}", bridge.name);
    if let Some(mac) = nic.mac.filter(|mac| bridge.mac != Some(*mac)) {
        socket.push(&requests::set_mac(bridge.index, mac), 0).map_err(|errno| failed(&tried, errno))?;
    }
    let mut steps = given_addresses(nic, bridge.index, Some(bridge.name.as_str()), elapsed);
    steps.extend(nic.global().map(|address| address.take_address(nic.index)));
    steps.extend(nic.routes.iter().map(|route| route.take_route(nic.index, nic.index)));
    push(socket, steps, &tried)?;
    give_routes(socket, nic, bridge)
}

/// Gives a NIC what it has lost of its own.
fn given(socket: &mut Netlink, before: &Nic, nic: &Nic, elapsed: u32) -> Result<()> {
    let has = |address: &Object| nic.addresses.iter().any(|own| own.address() == address.address());
    if before.global().all(has) {
        return Ok(());
    }
    push(socket, given_addresses(before, nic.index, None, elapsed), &format!("ip addr add ... dev {}", nic.name))?;
    give_routes(socket, before, nic)
}

fn given_addresses(from: &Nic, index: u32, label: Option<&str>, elapsed: u32) -> Vec<Raw> {
    let global = from.in_order().filter(|address| address.is_global());
    global.filter_map(|address| address.give_address(index, label, elapsed, true)).collect()
}

/// The routes of one interface through another.
fn give_routes(socket: &mut Netlink, from: &Nic, to: &Nic) -> Result<()> {
    let tried = format!("ip route add ... dev {}", to.name);
    let routes = from.routes.iter().map(|route| route.give_route(from.index, to.index)).collect();
    let again = push(socket, routes, &tried)?;
    // A route may need another one to reach its router.
    let left = push(socket, again, &tried)?;
    if left.is_empty() { Ok(()) } else { Err(failed(&tried, Errno::ENETUNREACH)) }
}

/// Sends requests of one kind, as [`send`].
fn push(socket: &mut Netlink, requests: Vec<Raw>, tried: &str) -> Result<Vec<Raw>> {
    let steps = requests.into_iter().map(|request| (request, tried.to_owned())).collect();
    let failed = send(socket, steps, &DONE_ALREADY, &mut Restored::default())?;
    Ok(failed.into_iter().map(|(request, _)| request).collect())
}
