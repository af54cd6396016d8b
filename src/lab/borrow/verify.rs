//! Whether a change of a NIC came true, and whether those who answered before still do.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Borrowed, failed};
use crate::error::{Error, Result, Rollback};
use crate::kernel::neighbours::{self, Entry};
use crate::kernel::nic::{self, Nic};
use crate::kernel::socket::Netlink;
use crate::name::IfName;
use crate::plan::{Key, Ns, State, Value};

/// How often what was set is read back.
const LOOKS: u32 = 5;
/// And how long after each other.
const PAUSE: Duration = Duration::from_secs(1);
/// How long neighbours have to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads back what was set, then asks every neighbour that answered before.
///
/// # Errors
/// [`Error::RolledBack`] with what is not so; nothing has been taken back yet.
pub fn verify(socket: &mut Netlink, borrowed: &Borrowed, expected: &State) -> Result<()> {
    let undo = |why| Error::RolledBack { lab: borrowed.lab.to_string(), why };
    for look in 1.. {
        let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
        match odd(&all, borrowed, expected) {
            None => break,
            Some(fact) if look == LOOKS => return Err(undo(Rollback::NotSo(fact))),
            Some(_) => std::thread::sleep(PAUSE),
        }
        crate::kernel::interrupted()?;
    }
    let silent = silent(socket, borrowed)?;
    if silent.is_empty() { Ok(()) } else { Err(undo(Rollback::Silent(silent))) }
}

/// A fact about a borrowed NIC that is not so.
fn odd(all: &[Nic], borrowed: &Borrowed, expected: &State) -> Option<String> {
    let used = |dev: &IfName| borrowed.uses.iter().any(|used| used.nic == *dev);
    let real = |key: &Key| key.port().is_some_and(|port| port.ns == Ns::Root && used(&port.dev));
    expected.iter().filter(|(key, _)| real(key)).find(|(key, value)| !holds(all, key, value)).map(|(key, value)| fact(key, value))
}

fn fact(key: &Key, value: &Value) -> String {
    crate::plan::Op::Add(key.clone(), value.clone()).to_string()
}

fn holds(all: &[Nic], key: &Key, value: &Value) -> bool {
    let Some(nic) = key.port().and_then(|port| all.iter().find(|nic| nic.name == port.dev)) else { return false };
    match (key, value) {
        (Key::Member(_), Value::Master(bridge)) => nic.master.as_deref() == Some(bridge.as_str()),
        (Key::Mtu(_), Value::Number(mtu)) => nic.mtu == *mtu,
        (Key::Mac(_), Value::Mac(mac)) => nic.mac == Some(*mac),
        (Key::Up(_), _) => nic.is_up(),
        (Key::Addr(_, net), _) => nic.addresses.iter().any(|own| own.address() == Some(net.addr())),
        _ => true,
    }
}

/// Neighbours that do not answer any more.
fn silent(socket: &mut Netlink, borrowed: &Borrowed) -> Result<Vec<IpAddr>> {
    let all = nic::survey(socket).map_err(|errno| failed("ip addr", errno))?;
    let place = |dev: &IfName| {
        let bridge = borrowed.uses.iter().find(|used| used.nic == *dev).and_then(|used| used.bridge.as_ref());
        all.iter().find(|nic| nic.name == *bridge.unwrap_or(dev)).map(|nic| nic.index)
    };
    let asked: Vec<Entry> = borrowed
        .neighbours
        .iter()
        .filter_map(|(dev, address)| Some(Entry { interface: place(dev)?, address: *address }))
        .collect();
    let fail = |errno| failed("ip neigh", errno);
    // What is remembered proves nothing.
    neighbours::forget(socket, &asked).map_err(fail)?;
    neighbours::ask(socket, &asked).map_err(fail)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let here = neighbours::reachable(socket).map_err(fail)?;
        let missing: Vec<IpAddr> = asked.iter().filter(|entry| !here.contains(entry)).map(|entry| entry.address).collect();
        if missing.is_empty() || Instant::now() > until {
            return Ok(missing);
        }
        crate::kernel::interrupted()?;
        std::thread::sleep(Duration::from_millis(10));
        if Instant::now() + PATIENCE / 2 > until {
            neighbours::ask(socket, &asked).map_err(fail)?;
        }
    }
}
