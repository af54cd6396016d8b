//! The kernel's decisions about one packet in one node: rules, routes, source addresses, the reverse path.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use crate::kernel::tables::{Address, LOCAL_TABLE, Link, NextHop, Route, Rule, RuleAction, Tables};
use crate::plan::MAIN_TABLE;

/// `RT_SCOPE_LINK` (`linux/rtnetlink.h`)
const SCOPE_LINK: u8 = 253;

/// What is asked of the tables.
#[derive(Debug, Clone, Copy)]
pub(in crate::probe) struct Flow<'a> {
    pub to: IpAddr,
    pub from: Option<IpAddr>,
    /// The interface that it comes in by; none for the node's own packets.
    pub enters: Option<&'a str>,
    /// The index of the only interface that it may leave by.
    pub leaves: Option<u32>,
}

/// What the tables say.
#[derive(Debug, Clone)]
pub(in crate::probe) enum Found<'a> {
    /// The node has the address.
    Local(&'a Route),
    /// By this route, whose next hops that are alive take turns.
    Way(&'a Route, Vec<&'a NextHop>),
    /// A route refuses it, by its kind.
    Refused(RouteType, IpNet),
    /// A policy rule refuses it, as a route of the kind would.
    Barred(RouteType, &'a Rule),
    /// To all of a subnet, or many.
    Several(&'a Route),
    Nothing,
}

/// Looks the destination up as the kernel does (`fib_rules_lookup`, `fib_table_lookup`).
pub(in crate::probe) fn lookup<'a>(tables: &'a Tables, flow: Flow<'_>) -> Found<'a> {
    let ipv6 = flow.to.is_ipv6();
    let mut rules: Vec<_> = tables.rules.iter().filter(|rule| rule.ipv6 == ipv6).collect();
    // IPv6 asks its rules once there was one beside the kernel's own (`fib6_has_custom_rules`), not where one is gone.
    if rules.is_empty() || ipv6 && rules.iter().all(|rule| [0, 32766].contains(&rule.priority)) {
        // The kernel's own three, of a kernel without policy routing.
        let usual = [LOCAL_TABLE, 254, 253];
        return usual.iter().find_map(|table| in_table(tables, *table, flow, None)).unwrap_or(Found::Nothing);
    }
    rules.sort_by_key(|rule| rule.priority);
    let mut least = 0;
    for rule in rules {
        if rule.priority < least {
            continue;
        }
        let within = |net: &Option<IpNet>, address: Option<IpAddr>| {
            net.is_none_or(|net| address.is_some_and(|address| net.contains(&address)) || net.prefix_len() == 0)
        };
        let enters = rule.enters.as_deref().is_none_or(|dev| dev == flow.enters.unwrap_or("lo"));
        let matches = !rule.strange && enters && within(&rule.from, flow.from) && within(&rule.to, Some(flow.to));
        if matches == rule.inverted {
            continue;
        }
        match rule.action {
            RuleAction::Table(table) => {
                if let Some(found) = in_table(tables, table, flow, rule.suppressed) {
                    return found;
                }
            }
            RuleAction::Goto(priority) => least = priority,
            RuleAction::Nop => {}
            RuleAction::Refuse(kind) => return Found::Barred(kind, rule),
        }
    }
    Found::Nothing
}

/// Whether the main table has a route to the address, and no rule for packets like any other leads to that table.
pub(in crate::probe) fn unruled(tables: &Tables, to: IpAddr) -> bool {
    let own: Vec<&Rule> = tables.rules.iter().filter(|rule| rule.ipv6 == to.is_ipv6()).collect();
    let leads = |rule: &&Rule| rule.action == RuleAction::Table(MAIN_TABLE) && rule.suppressed.is_none();
    let flow = Flow { to, from: None, enters: None, leaves: None };
    !own.is_empty() && !own.iter().any(leads) && in_table(tables, MAIN_TABLE, flow, None).is_some()
}

/// The longest prefix, of equals the lowest metric, of those the first in the kernel's order.
fn in_table<'a>(tables: &'a Tables, table: u32, flow: Flow<'_>, suppressed: Option<u8>) -> Option<Found<'a>> {
    let fits = |route: &&Route| route.table == table && route.tos == 0 && route.to.contains(&flow.to);
    let mut routes: Vec<&Route> = tables.routes.iter().filter(fits).collect();
    routes.sort_by_key(|route| (Reverse(route.to.prefix_len()), route.metric.unwrap_or(0)));
    for route in routes {
        if suppressed.is_some_and(|length| route.to.prefix_len() <= length) {
            return None;
        }
        match route.kind {
            RouteType::Throw => return None,
            // The IPv6 table of old kernels ends in a route of the kernel's own that says the same as no route.
            RouteType::Unreachable if route.protocol == RouteProtocol::Kernel && route.to.prefix_len() == 0 => return None,
            RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => {
                return Some(Found::Refused(route.kind, route.to));
            }
            RouteType::Local | RouteType::Anycast => return Some(Found::Local(route)),
            RouteType::Unicast => {
                let alive: Vec<&NextHop> =
                    route.hops.iter().filter(|hop| !hop.dead && flow.leaves.is_none_or(|dev| hop.dev == dev)).collect();
                if !alive.is_empty() {
                    return Some(Found::Way(route, alive));
                }
            }
            RouteType::Broadcast | RouteType::Multicast => return Some(Found::Several(route)),
            _ => {}
        }
    }
    None
}

/// The address that IPv6 puts into a packet of the node's own where no route is for packets without one (`ip6_dst_lookup_tail`).
pub(super) fn sourceless(tables: &Tables, to: IpAddr) -> Option<IpAddr> {
    source6(tables, None, to)
}

/// The address that the kernel puts into a packet of the node's own (`inet_select_addr`, `ipv6_dev_get_saddr`).
pub(super) fn source(tables: &Tables, route: &Route, hop: &NextHop, to: IpAddr) -> Option<IpAddr> {
    if route.source.is_some() {
        return route.source;
    }
    let dev = tables.link(hop.dev);
    if to.is_ipv6() { source6(tables, dev, to) } else { source4(tables, dev, hop.via) }
}

/// The first primary address in the gateway's subnet, else the interface's first, else the first of any interface.
fn source4(tables: &Tables, dev: Option<&Link>, via: Option<IpAddr>) -> Option<IpAddr> {
    let usable = |address: &&Address| address.net.addr().is_ipv4() && !address.secondary && address.scope <= SCOPE_LINK;
    let nets = |link: &Link| -> Vec<IpNet> { link.addresses.iter().filter(usable).map(|address| address.net).collect() };
    let here = dev.map(nets).unwrap_or_default();
    let near = here.iter().find(|net| via.is_some_and(|via| net.contains(&via))).or(here.first());
    let elsewhere = || tables.links.iter().flat_map(nets).next();
    near.copied().or_else(elsewhere).map(|net| net.addr())
}

/// RFC 6724 section 5, as far as addresses of a lab differ: scope, deprecation, outgoing interface, label, longest common prefix.
fn source6(tables: &Tables, dev: Option<&Link>, to: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(to) = to else { return None };
    let mut best = None;
    for link in &tables.links {
        for address in &link.addresses {
            let IpAddr::V6(own) = address.net.addr() else { continue };
            let here = dev.is_some_and(|dev| dev.index == link.index);
            let near = own.is_unicast_link_local();
            if address.is_tentative() || own.is_loopback() || (near && !here) {
                continue;
            }
            let common = (u128::from(own) ^ u128::from(to)).leading_zeros().min(u32::from(address.net.prefix_len()));
            let score = (near == to.is_unicast_link_local(), !address.deprecated, here, label(own) == label(to), common);
            if best.is_none_or(|(other, _): (_, IpAddr)| score > other) {
                best = Some((score, own.into()));
            }
        }
    }
    best.map(|(_, address)| address)
}

/// The kind of network that an address is of (RFC 6724 section 2.1).
fn label(address: Ipv6Addr) -> u8 {
    match address.segments() {
        [first, ..] if first & 0xfe00 == 0xfc00 => 13,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 5,
        _ => 1,
    }
}

/// Why a packet is refused for its source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Martian {
    /// The node has the address itself.
    Own,
    /// It is the address of all in a subnet.
    Broadcast,
    /// The reverse path filter, strict or loose.
    ReversePath { strict: bool },
}

/// Whether an IPv4 packet may come in by the interface with that source (`fib_validate_source`).
pub(super) fn validate(tables: &Tables, link: &Link, source: IpAddr, to: IpAddr) -> Result<(), Martian> {
    if source.is_ipv6() || source.is_unspecified() {
        return Ok(());
    }
    let filter = link.rp_filter.max(tables.all4.rp_filter);
    let accept = link.accept_local || tables.settings.as_ref().is_some_and(|settings| settings.accept_local);
    let strict = filter == 1;
    let typed = |route: &Route| route.kind == RouteType::Local && route.protocol != RouteProtocol::Kernel;
    let custom = has_custom(tables) || tables.routes.iter().any(typed);
    let has = |address: IpAddr| tables.links.iter().flat_map(|link| &link.addresses).any(|own| own.net.addr() == address);
    let back = Flow { to: source, from: Some(to), enters: Some(&link.name), leaves: None };
    match lookup(tables, back) {
        // Otherwise addresses alone are looked at, not subnets on the loopback (`fib_has_custom_local_routes`).
        Found::Local(_) if !accept && (filter != 0 || custom || has(source)) => Err(Martian::Own),
        Found::Local(_) => Ok(()),
        // Looked at only where there are rules beside the kernel's own (`fib4_has_custom_rules`), or the filter is on.
        Found::Several(_) if filter != 0 || has_custom(tables) => Err(Martian::Broadcast),
        _ if filter == 0 => Ok(()),
        Found::Way(_, hops) => {
            let same = hops.iter().any(|hop| hop.dev == link.index);
            let addressed = link.addresses.iter().any(|address| address.net.addr().is_ipv4());
            if same || !strict && addressed { Ok(()) } else { Err(Martian::ReversePath { strict }) }
        }
        _ => Err(Martian::ReversePath { strict }),
    }
}

/// There is a rule beside the kernel's own, or one of those is gone.
fn has_custom(tables: &Tables) -> bool {
    let own = [0, 32766, 32767];
    let mut rules = tables.rules.iter().filter(|rule| !rule.ipv6).peekable();
    rules.peek().is_some() && (rules.clone().any(|rule| !own.contains(&rule.priority)) || rules.count() < own.len())
}

/// Whether packets of the family that come in by the interface are passed on, as far as is known: what the kernel did not tell
/// is not off.
pub(super) fn forwards(tables: &Tables, link: &Link, ipv6: bool) -> bool {
    if ipv6 { tables.all6.forwarding != Some(false) } else { link.forwarding4 }
}
