//! What is read of the machine.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use super::Need;
use crate::kernel::filter::ruleset;
use crate::kernel::filter::walk::Ruleset;
use crate::kernel::managers::{self, Manager};
use crate::kernel::nic::{self, way};
use crate::kernel::socket::Netlink;

/// What there is on the machine that may get in the way.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its packet filters.
    pub filters: Ruleset,
    /// `br_netfilter` shows bridged frames to the packet filters: of IPv4, of IPv6.
    pub shows_bridged: (bool, bool),
    /// Its interfaces and their indices.
    pub interfaces: Vec<(String, u32)>,
    /// Who configures which of the lab's interfaces.
    pub managers: Vec<(String, Manager)>,
    /// Interfaces whose reverse path filter is strict.
    pub strict: Vec<String>,
    /// By which interface each far subnet is reached; asked for only where a filter is strict.
    pub ways: Vec<(IpNet, Option<String>)>,
    /// Interfaces, and `default` for those to come, where IPv6 is off.
    pub ipv6_off: Vec<String>,
}

impl Facts {
    /// The index of an interface.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.interfaces.iter().find(|(known, _)| known == name).map(|(_, index)| *index)
    }

    /// Whether an interface has no IPv6, or would be born so.
    pub fn without_ipv6(&self, name: &str) -> bool {
        let of = if self.index(name).is_some() { name } else { "default" };
        self.ipv6_off.iter().any(|off| off == of)
    }
}

/// Reads what matters to a lab, in the namespace of the caller.
///
/// # Errors
/// When there is no netlink socket, or the kernel refuses an answer.
pub fn look(need: &Need) -> Result<Facts, Errno> {
    let mut socket = Netlink::open()?;
    let interfaces: Vec<(String, u32)> =
        nic::survey(&mut socket)?.into_iter().map(|nic| (nic.name.to_string(), nic.index)).collect();
    let names: Vec<&str> = interfaces.iter().map(|(name, _)| name.as_str()).collect();
    let clients = managers::clients(&names);
    let software = |name: &str| need.bridges.iter().any(|(bridge, _)| bridge == name);
    let own = |name: &str| need.nics.iter().any(|nic| nic == name) || software(name);
    let managers = interfaces.iter().filter(|(name, _)| own(name)).flat_map(|(name, index)| {
        managers::of(name, *index, software(name), &clients).into_iter().map(|manager| (name.clone(), manager))
    });
    // The stricter of the two holds (`IN_DEV_RPFILTER` of `linux/inetdevice.h`): 1 is strict, 2 is loose.
    let level = |name: &str| setting(&format!("ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    let all = level("all");
    let strict: Vec<String> = names.iter().filter(|name| level(name).max(all) == 1).map(|name| (*name).to_owned()).collect();
    let mut ways = Vec::new();
    if need.addressed.iter().any(|name| strict.contains(name)) {
        for net in need.far.iter().filter(|net| net.addr().is_ipv4()) {
            let index = way::to(&mut socket, somebody(net))?;
            let name = interfaces.iter().find(|(_, known)| Some(*known) == index).map(|(name, _)| name.clone());
            ways.push((*net, name));
        }
    }
    let off = |name: &&str| setting(&format!("ipv6/conf/{name}/disable_ipv6")) == Some(1);
    let ipv6_off = names.iter().copied().chain(["default"]).filter(off).map(str::to_owned).collect();
    let shows = |setting_: &str| setting(&format!("bridge/bridge-nf-call-{setting_}")) == Some(1);
    Ok(Facts {
        filters: ruleset::read(),
        shows_bridged: (shows("iptables"), shows("ip6tables")),
        managers: managers.collect(),
        strict,
        ways,
        ipv6_off,
        interfaces,
    })
}

/// An address of a subnet that a machine may have.
fn somebody(net: &IpNet) -> IpAddr {
    net.hosts().next().unwrap_or(net.addr())
}

fn setting(path: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}
