//! `record-route`: the nodes on the way of a packet, as the record route option of a ping says.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::path::{Found, Path};
use crate::check::evidence::{Besides, Common, Evidence};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::scene::Scene;
use crate::kernel::sockets::Manner;
use crate::plan::NodeId;
use crate::probe::ping::{Came, Order, ping};
use crate::render::lang::t;
use crate::render::sentences::statement::Words;
use crate::report::probe::Family;
use crate::report::wire::Recorded;
use crate::topology::reader::Item;

/// Requests, until one is answered: the first may be lost to a busy machine.
const TRIES: u64 = 3;
/// Since the last one.
const PATIENCE: Duration = Duration::from_millis(1200);

/// The way of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRoute(Path);

impl Kind for RecordRoute {
    const ABOUT: &'static str = "The same, as ping -R tells.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        Path::read(item).map(Self)
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        t!(words.lang, "as ping -R records it, {way}", way = self.0.wanted(words))
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        self.0.played_by(players).map(Self)
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Acts(self.0.from.0.clone())
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let Self(path) = self;
        let scene = stage.scene;
        let (from, to) = (path.from.0.clone(), path.to.0.clone());
        let pin = scene.place(&from)?.pin.clone();
        scene.place(&to)?;
        // The option is of IPv4 alone.
        let Some(address) = scene.address(&from, &to).filter(IpAddr::is_ipv4) else {
            return Err(without(&from, &to, stage).into());
        };
        let order = Order {
            pin,
            node: from.to_string(),
            to: address,
            scope: 0,
            count: TRIES,
            interval: Duration::from_millis(300),
            patience: Some(PATIENCE),
            size: 16,
            manner: Manner { record_route: true, ..Manner::default() },
        };
        let mut slots: Option<Recorded> = None;
        let sent = ping(&order, &mut |came| match came {
            Came::Reply { route: Some(found), .. } => {
                slots = Some(found);
                false
            }
            _ => true,
        });
        sent.map_err(|error| Common::from(&error))?;
        let Some(slots) = slots else { return Ok(Verdict::unanswered(from, &to, address)) };
        let mut hops = hops(&slots, address, stage);
        // The sender writes its own address first.
        if hops.first() == Some(&from.to_string()) {
            hops.remove(0);
        }
        let wanted: Vec<String> = path.hops.iter().map(ToString::to_string).collect();
        if hops == wanted {
            return Ok(Verdict::default());
        }
        Err(Found::Way { from: from.to_string(), to: to.to_string(), hops }.into())
    }
}

fn without(from: &NodeId, to: &NodeId, stage: &Stage<'_>) -> Common {
    let six_alone = |node: &&NodeId| {
        let all = stage.scene.addresses(node);
        !all.is_empty() && all.iter().all(|(_, net)| net.addr().is_ipv6())
    };
    let Some(node) = [from, to].into_iter().find(six_alone) else { return stage.scene.unmet(from, to) };
    let all = stage.scene.addresses(node).into_iter();
    let besides = all.map(|(interface, address)| Besides { address, interface }).collect();
    Common::NoAddress { node: node.to_string(), family: Some(Family::Ipv4), besides }
}

/// Who wrote an address on the way there; the destination writes its own last.
fn hops(slots: &Recorded, to: IpAddr, stage: &Stage<'_>) -> Vec<String> {
    let mut hops: Vec<String> = Vec::new();
    for address in &slots.addresses {
        let address = IpAddr::from(*address);
        let owner = stage.scene.owners(address).into_iter().next();
        hops.push(owner.map_or_else(|| address.to_string(), |owner| owner.node));
        if address == to {
            break;
        }
    }
    hops
}
