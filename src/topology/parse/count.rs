//! `count:` makes many containers of one: how names and addresses step along.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::problem::Problem;
use crate::topology::reader::At;

/// One of the containers that `count:` makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    /// Which one, from 0.
    pub(super) index: u32,
    /// How many there are; none where the file gives no count.
    pub(super) of: Option<u32>,
}

impl Copy {
    /// A name with this one's number, which is from 1.
    pub(super) fn name(self, base: &str) -> String {
        if self.of.is_some() { format!("{base}{}", self.index + 1) } else { base.to_owned() }
    }

    /// Whether more than one container is made.
    pub(super) fn is_one_of_many(self) -> bool {
        self.of.is_some_and(|of| of > 1)
    }

    /// The address of this one. Leaving the subnet is a problem once, at the last.
    pub(super) fn address(self, given: &At<IpNet>) -> Result<IpNet, Option<Problem>> {
        let of = self.of.unwrap_or(1);
        let left = || Problem::CountLeavesSubnet { subnet: given.value.trunc(), count: of, fit: room(given.value) };
        step(given.value, self.index).ok_or_else(|| (self.index + 1 == of).then(left))
    }

    /// The router of this one: it steps along with the small subnet that it is in, and stays in a shared one.
    pub(super) fn router(self, given: IpAddr, subnets: &[At<IpNet>]) -> IpAddr {
        let small = subnets.iter().find(|subnet| is_small(subnet.value) && subnet.value.contains(&given));
        let Some(small) = small else { return given };
        add(given, u128::from(self.index) << host_bits(small.value)).unwrap_or(given)
    }
}

/// A point-to-point subnet (RFC 3021 for /31, RFC 6164 for /127) or a single address.
fn is_small(net: IpNet) -> bool {
    host_bits(net) <= 2
}

fn host_bits(net: IpNet) -> u8 {
    net.max_prefix_len() - net.prefix_len()
}

fn step(given: IpNet, index: u32) -> Option<IpNet> {
    let width = if is_small(given) { host_bits(given) } else { 0 };
    let stepped = IpNet::new(add(given.addr(), u128::from(index) << width)?, given.prefix_len()).ok()?;
    let inside = is_small(given) || stepped.trunc() == given.trunc();
    let is_broadcast = stepped.addr().is_ipv4() && stepped.addr() == stepped.broadcast();
    (index == 0 || (inside && (is_small(given) || !is_broadcast))).then_some(stepped)
}

/// How many steps there are before the subnet, or the whole space of addresses, ends.
fn room(given: IpNet) -> u32 {
    let left = match (given.addr(), is_small(given)) {
        (IpAddr::V4(addr), true) => u128::from(u32::MAX - addr.to_bits()) >> host_bits(given),
        (IpAddr::V6(addr), true) => (u128::MAX - addr.to_bits()) >> host_bits(given),
        (addr, false) => number(given.broadcast()) - number(addr) - u128::from(addr.is_ipv4() && addr != given.broadcast()),
    };
    u32::try_from(left.saturating_add(1)).unwrap_or(u32::MAX)
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

fn add(addr: IpAddr, offset: u128) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(addr) => {
            let offset = u32::try_from(offset).ok()?;
            addr.to_bits().checked_add(offset).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(addr) => addr.to_bits().checked_add(offset).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_step_by_one_and_small_subnets_as_a_whole() {
        let cases = [
            ("10.0.0.11/24", 4, Some("10.0.0.15/24")),
            ("10.0.0.11/16", 300, Some("10.0.1.55/16")),
            ("10.2.0.2/30", 2, Some("10.2.0.10/30")),
            ("10.2.0.0/31", 3, Some("10.2.0.6/31")),
            ("10.2.0.1/32", 3, Some("10.2.0.4/32")),
            ("10.0.0.250/24", 4, Some("10.0.0.254/24")),
            ("10.0.0.250/24", 5, None),
            ("10.0.0.250/24", 6, None),
            ("255.255.255.253/30", 1, None),
            ("fd00::10/64", 16, Some("fd00::20/64")),
            ("fd00::2/126", 1, Some("fd00::6/126")),
            ("fd00::ffff:ffff:ffff:ffff/64", 1, None),
        ];
        for (given, index, expected) in cases {
            let expected = expected.map(|net| net.parse::<IpNet>().unwrap());
            assert_eq!(step(given.parse().unwrap(), index), expected, "{given} + {index}");
        }
    }

    #[test]
    fn the_room_is_what_fits() {
        let cases = [("10.0.0.250/24", 5), ("10.0.0.254/24", 1), ("10.0.0.255/24", 1), ("255.255.255.249/30", 2)];
        for (given, expected) in cases {
            assert_eq!(room(given.parse().unwrap()), expected, "{given}");
        }
    }

    #[test]
    fn a_router_steps_along_only_in_a_small_subnet() {
        let at = |net: &str| At { value: net.parse().unwrap(), at: 0..0 };
        let third = Copy { index: 2, of: Some(5) };
        let router = |given: &str, net: &str| third.router(given.parse().unwrap(), &[at(net)]).to_string();
        assert_eq!(router("10.2.0.1", "10.2.0.2/30"), "10.2.0.9");
        assert_eq!(router("10.0.0.1", "10.0.0.11/24"), "10.0.0.1");
        assert_eq!(router("fd00::1", "fd00::/127"), "fd00::5");
    }
}
