//! Which node and interface is at the other end of a veth pair.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsRawFd;

use futures::{StreamExt, TryStreamExt};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use rtnetlink::Handle;

use super::{Pin, name};
use crate::report::node::{Link, Peer};

/// Requests under way at once.
const IN_FLIGHT: usize = 64;

/// Where the other end is: the namespace's number as this namespace counts (none: the same one), the interface's.
#[derive(Debug, Clone, Copy)]
struct End {
    namespace: Option<i32>,
    index: u32,
}

/// Fills in the peer of every veth among `links`.
pub(super) async fn find(handle: &Handle, messages: &[LinkMessage], links: &mut [Link], others: &[Pin]) {
    let ends: HashMap<u32, End> = messages.iter().filter_map(|message| Some((message.header.index, end(message)?))).collect();
    let wanted: HashSet<i32> = ends.values().filter_map(|end| end.namespace).collect();
    let nodes = nodes(handle, &wanted, others).await;
    let veths = links.iter_mut().filter(|link| link.kind == "veth");
    let ends = veths.filter_map(|link| ends.get(&link.index).map(|end| (link, *end)));
    let fill = futures::stream::iter(ends).for_each_concurrent(IN_FLIGHT, |(link, end)| {
        let nodes = &nodes;
        async move {
            let node = end.namespace.and_then(|number| nodes.get(&number).cloned());
            link.peer = Some(Peer { node, name: interface(handle, end).await });
        }
    });
    fill.await;
}

fn end(message: &LinkMessage) -> Option<End> {
    let (mut index, mut namespace) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(number) => index = Some(*number),
            LinkAttribute::LinkNetNsId(number) => namespace = Some(*number),
            _ => {}
        }
    }
    index.map(|index| End { namespace, index })
}

/// The name of an interface in another namespace, asked from this one.
async fn interface(handle: &Handle, end: End) -> Option<String> {
    let mut request = handle.link().get().match_index(end.index);
    if let Some(namespace) = end.namespace {
        request.message_mut().attributes.push(LinkAttribute::IfNetnsId(namespace));
    }
    let message = request.execute().try_next().await.ok()??;
    name(&message)
}

/// The nodes by the numbers that this namespace gives theirs; only those with a number in `wanted`.
async fn nodes(handle: &Handle, wanted: &HashSet<i32>, others: &[Pin]) -> HashMap<i32, String> {
    let mut found = HashMap::new();
    let mut asked = futures::stream::iter(others)
        .map(|pin| async move { Some((number(handle, pin).await?, pin.node.clone())) })
        .buffer_unordered(IN_FLIGHT);
    while found.len() < wanted.len()
        && let Some(answer) = asked.next().await
    {
        found.extend(answer.filter(|(number, _)| wanted.contains(number)));
    }
    found
}

/// The number that this namespace gives to the pinned one, if it has met it.
async fn number(handle: &Handle, pin: &Pin) -> Option<i32> {
    let namespace = File::open(&pin.path).ok()?;
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(u32::try_from(namespace.as_raw_fd()).ok()?));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(message));
    request.header.flags = NLM_F_REQUEST;
    let mut answers = handle.clone().request(request).ok()?;
    let answer = answers.next().await?;
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(answer)) = answer.payload else { return None };
    answer.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
        _ => None,
    })
}
