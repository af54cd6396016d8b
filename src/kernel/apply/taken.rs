//! Whether a link was refused because somebody else has its index.

use std::collections::HashMap;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;

use crate::kernel::socket::Refusal;
use crate::kernel::space::{Space, all_links};
use crate::kernel::verbs;
use crate::plan::{Fact, Op, Plan, Port};

/// Whether it was the index of a link that was refused. Addresses that followed the request in its batch went to the link that has
/// the index, and are taken off it: whatever else follows names its link by name, or is refused.
pub fn is_index(plan: &Plan, refusals: &[Refusal], space: &mut Space) -> bool {
    let Some((_, first)) = refusals.first().and_then(|first| ends(plan, first)) else { return false };
    let Ok(names) = names(space) else { return false };
    let errno = refusals.first().map(|first| first.errno);
    let mut found = false;
    for port in refusals.iter().filter_map(|refusal| ends(plan, refusal)).flat_map(|(peer, port)| peer.into_iter().chain([port]))
    {
        let index = space.index(&port.dev);
        if names.get(&index).is_some_and(|name| name != port.dev.as_str()) {
            found = true;
            take_off(plan, port, index, space);
        }
    }
    // Of an index here the kernel says EEXIST, or EINVAL where the link that has it has longer addresses; of one in the other end's
    // namespace EBUSY.
    let elsewhere = matches!(errno, Some(Errno::EEXIST | Errno::EBUSY)) && !names.values().any(|name| name == first.dev.as_str());
    found || elsewhere
}

/// The ends in this namespace of the link that was refused.
fn ends<'a>(plan: &'a Plan, refusal: &Refusal) -> Option<(Option<&'a Port>, &'a Port)> {
    let Op::Add(Fact::Link(port, link)) = &plan[refusal.tag] else { return None };
    Some((link.peer().filter(|peer| peer.ns == port.ns), port))
}

fn names(space: &mut Space) -> std::result::Result<HashMap<u32, String>, Errno> {
    let mut names = HashMap::new();
    for message in space.socket.dump(&all_links())? {
        let RouteNetlinkMessage::NewLink(link) = message else { continue };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        names.insert(link.header.index, name.unwrap_or_default());
    }
    Ok(names)
}

fn take_off(plan: &Plan, port: &Port, index: u32, space: &mut Space) {
    for op in plan {
        if let Op::Add(Fact::Addr(at, net)) = op
            && at == port
        {
            let (payload, flags) = verbs::del_address(index, *net);
            // Most are refused: they were not sent yet.
            let _ = space.socket.push(payload, flags, 0);
        }
    }
    let _ = space.socket.flush();
}
