//! NICs that nslab does not touch, or not without being told to.

use super::{Use, failed, ssh};
use crate::error::{Allow, Error, Refusal, Result, Thing};
use crate::kernel::managers;
use crate::kernel::nic::{self, Kind, Nic};
use crate::kernel::socket::Netlink;

/// Refuses what a lab should not do to a NIC, with every reason at once.
///
/// # Errors
/// [`Error::Unknown`] for one that is not there, [`Error::Nic`] for one with reasons against it that are not allowed.
pub fn refuse(uses: &[Use], allowed: &[Allow]) -> Result<()> {
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
pub fn reasons(socket: &mut Netlink, nic: &Nic, used: &Use) -> Result<Vec<Refusal>> {
    let mut all = Vec::new();
    if nic.kind == Kind::Loopback {
        return Ok(vec![Refusal::Loopback]);
    }
    all.extend(nic.master.clone().map(Refusal::Port));
    all.extend(nic.defaults().next().map(|route| Refusal::DefaultRoute(route.text.clone())));
    all.extend(ssh::comes_in(socket, std::slice::from_ref(nic))?.map(|(_, client)| Refusal::Ssh(client)));
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
