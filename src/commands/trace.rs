//! `nslab trace`

use std::net::IpAddr;

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{completions, target};
use crate::error::{Error, Result, Usage};
use crate::probe::ping::stations::{Stations, goal};
use crate::probe::trace::{Order, trace};
use crate::probe::view::View;
use crate::report::ping::Family;
use crate::report::trace::Trace as Found;

/// Show the path of one packet and of its reply, and where and why it dies
///
/// The way is predicted from the tables of all nodes and watched on every segment at once; where the two differ, it says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab trace a1 b1\n  sudo nslab trace a1 8.8.8.8\n  sudo nslab trace a1 b1 --size 1472"
)]
pub struct Trace {
    /// Who sends it.
    #[arg(help = "Who sends it: [LAB/][HOST/]NODE", value_name = "A", add = ArgValueCompleter::new(completions::nodes))]
    from: String,
    /// Whom it is for: a node, one of its interfaces NODE.INTERFACE, or an address
    #[arg(value_name = "B", add = ArgValueCompleter::new(completions::nodes))]
    to: String,
    /// Bytes of payload; the packet may not be cut on its way
    #[arg(short, long, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u16).range(0..=65507))]
    size: u16,
    /// The time to live that it begins with; the node's own, mostly 64, where nothing is said
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// Take an IPv4 address of B
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// Take an IPv6 address of B
    #[arg(short = '6')]
    ipv6: bool,
}

impl Run for Trace {
    type Out = Found;

    fn place(&self) -> Place {
        Place::Privileged
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let (subject, target) = target::looked_at(&self.from, context)?;
        let entry = &subject.entry;
        let mut view = View::look(&subject)?;
        let stations = Stations::of(&view, entry);
        let goal = goal(&self.to, self.families(), stations.get(&target.node)?, &stations, entry)?;
        check(goal.address, &view)?;
        let order = Order { from: &target.node, to: goal.address, scope: goal.scope, payload: self.size, ttl: self.ttl };
        trace(&mut view, order, stations.names.clone())
    }
}

impl Trace {
    fn families(&self) -> &'static [Family] {
        match (self.ipv4, self.ipv6) {
            (true, _) => &[Family::Ipv4],
            (_, true) => &[Family::Ipv6],
            _ => &[Family::Ipv4, Family::Ipv6],
        }
    }
}

/// That the address can be that of one node: neither 0.0.0.0, nor multicast, nor the broadcast address of a network here.
fn check(address: IpAddr, view: &View) -> Result<()> {
    let nets = || view.places.iter().flat_map(|place| &place.node.links).flat_map(|link| &link.addresses);
    let broadcast = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || nets().any(|net| net.prefix_len() < 31 && net.broadcast() == address),
        IpAddr::V6(_) => false,
    };
    if broadcast || address.is_unspecified() || address.is_multicast() {
        return Err(Error::Usage(Usage::NotOneNode(address.to_string())));
    }
    Ok(())
}
