//! The packet filter tables (nftables) of a namespace: whose there are, and their end. nslab itself keeps none.

pub mod chains;
pub mod legacy;
mod message;
pub mod ruleset;
pub mod trace;
pub mod walk;
mod xtables;

use nix::errno::Errno;

use message::{attributes, dump, open, text, transact, word};

use super::fault;
use super::observe::is_namespace;
use super::space::{self, Pins, Space};
use super::thread::thread;
use crate::error::Result;
use crate::plan::NodeId;

/// Message numbers of `linux/netfilter/nfnetlink.h` and `nf_tables.h`: the subsystem is the high byte.
const GET_TABLE: u16 = 10 << 8 | 1;
const NEW_TABLE: u16 = 10 << 8;
const DEL_TABLE: u16 = 10 << 8 | 2;
/// `NFTA_TABLE_NAME`
const TABLE_NAME: u16 = 1;

/// A table: its family as in `nfgenmsg`, its name.
type Table = (u8, String);

/// The family as `nft` writes it.
fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "other",
    }
}

/// The tables of all these nodes; a kernel without nftables has none.
pub fn tables(pins: &Pins, nodes: &[NodeId]) -> Vec<(NodeId, String, String)> {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    let found = thread(|| {
        let mut found = Vec::new();
        for node in there {
            let Ok(_here) = Space::open(&pins.pin(node), node) else { continue };
            let Ok(tables) = list() else { continue };
            found.extend(tables.into_iter().map(|(number, name)| (node.clone(), family(number).to_owned(), name)));
        }
        found
    });
    found.unwrap_or_default()
}

/// Deletes every table of these nodes; how many there were.
pub fn flush(pins: &Pins, nodes: &[NodeId]) -> Result<usize> {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    thread(|| {
        let mut count = 0;
        for node in there {
            let _here = Space::open(&pins.pin(node), node)?;
            let tables = list().unwrap_or_default();
            count += tables.len();
            if !tables.is_empty() {
                delete(&tables).map_err(|errno| space::error(node, "nft flush ruleset", errno))?;
            }
        }
        Ok(count)
    })?
}

/// The tables of the calling thread's namespace.
fn list() -> std::result::Result<Vec<Table>, Errno> {
    dump(GET_TABLE, NEW_TABLE, table)
}

fn table(body: &[u8]) -> Option<Table> {
    let name = attributes(body.get(4..)?).find(|(kind, _)| *kind == TABLE_NAME)?.1;
    Some((*body.first()?, word(name)))
}

/// Deletes tables of the calling thread's namespace, all in one transaction.
fn delete(tables: &[Table]) -> std::result::Result<(), Errno> {
    let socket = open()?;
    fault::point()?;
    let parts: Vec<_> = tables.iter().map(|(family, name)| (DEL_TABLE, 0, *family, vec![text(TABLE_NAME, name)])).collect();
    transact(&socket, &parts)
}
