//! What a node refuses by a rule: policy rules of routing, policies of `IPsec`.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::RouteType;

use super::lookup::Found;
use super::{World, refusal};
use crate::kernel::tables::Rule;
use crate::kernel::tables::policies::Course;
use crate::report::trace::Cause;

/// A rule that refuses, as `ip rule` writes it.
pub(super) fn barred(node: String, kind: RouteType, rule: &Rule) -> Cause {
    let all = || "all".to_owned();
    let from = rule.from.filter(|net| net.prefix_len() > 0).map_or_else(all, bare);
    let to = rule.to.map(|net| format!(" to {}", bare(net))).unwrap_or_default();
    let enters = rule.enters.as_ref().map(|dev| format!(" iif {dev}")).unwrap_or_default();
    let not = if rule.inverted { "not " } else { "" };
    let text = format!("{not}from {from}{to}{enters} {}", refusal(kind));
    Cause::Barred { node, rule: text, priority: rule.priority, ipv6: rule.ipv6 }
}

/// A single address without its prefix length.
fn bare(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

impl World<'_> {
    /// The policy of `IPsec` that drops a packet which comes in, or is the node's own (`xfrm_policy_check`, `xfrm_lookup`).
    pub(super) fn ipsec(&self, place: usize, found: &Found<'_>, comes_in: bool, (from, to): (IpAddr, IpAddr)) -> Option<Cause> {
        let policies = &self.map.tables(place).settings.as_ref()?.policies;
        let courses: &[Course] = match (found, comes_in) {
            (Found::Local(_), true) => &[Course::In],
            (Found::Way(..), true) => &[Course::Forward, Course::Out],
            (Found::Way(..), false) => &[Course::Out],
            _ => &[],
        };
        let policy = courses.iter().find_map(|course| policies.blocks(*course, from, to))?;
        Some(Cause::Ipsec { node: self.map.name(place), policy })
    }
}
