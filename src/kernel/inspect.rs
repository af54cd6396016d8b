//! What is in a node's namespace: links, addresses, routes, forwarding tables, neighbours.

mod peer;
mod read;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use rtnetlink::Handle;

use crate::error::{Error, KernelError, Result};
use crate::report::node::{Forwarding, Node};

/// A node of the lab and the pin of its namespace.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its pin.
    pub path: PathBuf,
}

/// Everything in the namespace of `here`; `others` are the nodes in which a veth's other end may be.
///
/// The lab and the kind of the node are left for the caller to fill in.
///
/// # Errors
/// When the pin cannot be entered or the kernel refuses an answer.
pub fn inspect(here: &Pin, others: &[Pin]) -> Result<Node> {
    let entered = |task: &str, errno| failed(&here.node, &format!("{task} {}", here.path.display()), errno);
    let namespace = File::open(&here.path).map_err(|error| entered("open", errno(&error)))?;
    // The thread that enters the namespace dies there: no other thread may find itself in it.
    let looking = || -> Result<Node> {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).map_err(|errno| entered("setns", errno as i32))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|error| failed(&here.node, "epoll_create", errno(&error)))?;
        let mut node = runtime.block_on(ask(here, others))?;
        node.forwarding = forwarding();
        Ok(node)
    };
    std::thread::scope(|scope| scope.spawn(looking).join())
        .unwrap_or_else(|_| Err(failed(&here.node, "look into the namespace", libc::EIO)))
}

async fn ask(here: &Pin, others: &[Pin]) -> Result<Node> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|error| failed(&here.node, "netlink socket", errno(&error)))?;
    let pump = tokio::spawn(connection);
    let asked = dump(&handle, others).await.map_err(|error| refused(&here.node, &error));
    pump.abort();
    asked
}

async fn dump(handle: &Handle, others: &[Pin]) -> std::result::Result<Node, rtnetlink::Error> {
    let messages: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    let names = names(&messages);
    let mut links: Vec<_> = messages.iter().map(|message| read::link(message, &names)).collect();
    links.sort_by_key(|link| link.index);
    let addresses: Vec<_> = handle.address().get().execute().try_collect().await?;
    read::addresses(&addresses, &mut links);
    peer::find(handle, &messages, &mut links, others).await;
    let mut node = Node { links, ..Node::default() };
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut wanted = RouteMessage::default();
        wanted.header.address_family = family;
        let routes: Vec<_> = handle.route().get(wanted).execute().try_collect().await?;
        node.routes.extend(routes.iter().filter_map(|route| read::route(route, &names)));
        let request = handle.neighbours().get().set_address_family(family);
        let neighbours: Vec<_> = request.execute().try_collect().await?;
        node.neighbours.extend(neighbours.iter().filter_map(|neighbour| read::neighbour(neighbour, &names)));
    }
    let table = handle.neighbours().get().set_address_family(AddressFamily::Bridge).execute();
    // A kernel without bridges refuses the question; then there is nothing to show.
    let entries: Vec<_> = table.filter_map(|entry| std::future::ready(entry.ok())).collect().await;
    node.fdb = entries.iter().filter_map(|entry| read::fdb(entry, &names, &node.links)).collect();
    node.fdb.sort_by(|a, b| (&a.bridge, &a.port, &a.mac).cmp(&(&b.bridge, &b.port, &b.mac)));
    node.fdb.dedup_by(|a, b| (&a.bridge, &a.port, &a.mac) == (&b.bridge, &b.port, &b.mac));
    Ok(node)
}

/// The interface names by their indices.
type Names = HashMap<u32, String>;

fn names(messages: &[LinkMessage]) -> Names {
    messages.iter().filter_map(|message| Some((message.header.index, name(message)?))).collect()
}

fn name(message: &LinkMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

/// What `/proc/sys/net` says in the namespace of this thread.
fn forwarding() -> Forwarding {
    let on = |path: &str| -> Option<bool> { Some(std::fs::read_to_string(Path::new(path)).ok()?.trim() != "0") };
    Forwarding { ipv4: on("/proc/sys/net/ipv4/ip_forward"), ipv6: on("/proc/sys/net/ipv6/conf/all/forwarding") }
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn failed(node: &str, tried: &str, errno: i32) -> Error {
    Error::Kernel(KernelError { node: Some(node.to_owned()), tried: tried.to_owned(), errno, said: None })
}

fn refused(node: &str, error: &rtnetlink::Error) -> Error {
    let errno = match error {
        rtnetlink::Error::NetlinkError(message) => -message.raw_code(),
        _ => libc::EIO,
    };
    failed(node, "netlink dump", errno)
}
