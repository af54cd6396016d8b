//! Links that were switched on a moment ago: the kernel looks at their carrier within a second, or when it is asked.

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use nix::errno::Errno;

use super::socket::Netlink;
use super::verbs;

/// Looks once more at links that are up but not in operation yet, which makes the kernel see the carrier at once: ports
/// first, then what is made of them. Whether there were any.
pub fn settle(socket: &mut Netlink, links: &[LinkMessage]) -> Result<bool, Errno> {
    let waits = |link: &&LinkMessage| {
        let operates = link.attributes.contains(&LinkAttribute::OperState(State::Up));
        link.header.flags.contains(LinkFlags::Up) && !link.header.flags.contains(LinkFlags::Loopback) && !operates
    };
    let indices: Vec<u32> = links.iter().filter(waits).map(|link| link.header.index).collect();
    for index in indices.iter().chain(&indices) {
        let (payload, flags) = verbs::look(*index);
        socket.push(payload, flags, 0)?;
    }
    socket.flush()?;
    Ok(!indices.is_empty())
}
