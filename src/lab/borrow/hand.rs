//! A NIC's addresses and routes move to the bridge that it is a port of, in one go: the port itself can no longer be
//! reached by them.

use nix::errno::Errno;

use super::{Borrowed, failed, uptime};
use crate::error::Result;
use crate::kernel::nic::{self, Nic, Object, put};
use crate::kernel::socket::Netlink;
use crate::kernel::verbs;
use crate::name::IfName;

/// Moves the addresses of every NIC that has become a port.
pub fn over(socket: &mut Netlink, borrowed: &Borrowed) -> Result<()> {
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
        let (payload, flags) = verbs::set_mac(bridge.index, mac);
        socket.push(payload, flags, 0).map_err(|errno| failed(&tried, errno))?;
    }
    let mut steps = addresses(nic, bridge.index, Some(bridge.name.as_str()), elapsed);
    steps.extend(nic.global().map(|address| address.take_address(nic.index)));
    steps.extend(nic.routes.iter().map(|route| route.take_route(nic.index, nic.index)));
    send(socket, steps, &tried)?;
    routes(socket, nic, bridge)
}

/// Gives a NIC what it has lost of its own.
fn given(socket: &mut Netlink, before: &Nic, nic: &Nic, elapsed: u32) -> Result<()> {
    let has = |address: &Object| nic.addresses.iter().any(|own| own.address() == address.address());
    if before.global().all(has) {
        return Ok(());
    }
    send(socket, addresses(before, nic.index, None, elapsed), &format!("ip addr add ... dev {}", nic.name))?;
    routes(socket, before, nic)
}

fn addresses(of: &Nic, index: u32, label: Option<&str>, elapsed: u32) -> Vec<put::Raw> {
    let global = of.in_order().filter(|address| address.is_global());
    global.filter_map(|address| address.give_address(index, label, elapsed, true)).collect()
}

/// The routes of one interface through another.
fn routes(socket: &mut Netlink, of: &Nic, to: &Nic) -> Result<()> {
    let tried = format!("ip route add ... dev {}", to.name);
    let routes = of.routes.iter().map(|route| route.give_route(of.index, to.index)).collect();
    let again = send(socket, routes, &tried)?;
    // A route may need another one to reach its router.
    let left = send(socket, again, &tried)?;
    if left.is_empty() { Ok(()) } else { Err(failed(&tried, Errno::ENETUNREACH)) }
}

/// Sends requests; those that failed come back. What is there already, or gone already, is no failure.
fn send(socket: &mut Netlink, steps: Vec<put::Raw>, tried: &str) -> Result<Vec<put::Raw>> {
    let mut refused = Vec::new();
    for (place, (kind, flags, body)) in steps.iter().enumerate() {
        refused.extend(socket.push_raw(*kind, body, *flags, place).map_err(|errno| failed(tried, errno))?);
    }
    refused.extend(socket.flush().map_err(|errno| failed(tried, errno))?);
    let serious = |errno| ![Errno::EEXIST, Errno::ESRCH, Errno::EADDRNOTAVAIL].contains(&errno);
    let tags: Vec<usize> = refused.iter().filter(|refusal| serious(refusal.errno)).map(|refusal| refusal.tag).collect();
    Ok(steps.into_iter().enumerate().filter(|(place, _)| tags.contains(place)).map(|(_, step)| step).collect())
}
