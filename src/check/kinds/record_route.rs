//! `record-route`: the nodes on the way of a packet, as the record route option of a ping says.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::path::{Found, Path};
use crate::check::evidence::{Besides, Common};
use crate::check::kind::{Kind, Stage, Verdict};
use crate::check::nodes::Machine;
use crate::check::players::Players;
use crate::check::scene::Scene;
use crate::kernel::echo::Manner;
use crate::plan::NodeId;
use crate::probe::ping::{Came, Order, ping};
use crate::render::lang::t;
use crate::render::sentences::statement::Words;
use crate::report::frame::Recorded;
use crate::report::ping::Family;
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

    fn names(&self) -> Vec<Machine> {
        self.0.names()
    }

    fn acts_on(&self) -> Option<NodeId> {
        self.0.acts_on()
    }

    fn looks_at(&self, _: &Scene<'_>) -> Vec<NodeId> {
        Vec::new()
    }

    fn judge(&self, stage: &Stage<'_>) -> Verdict {
        let Self(path) = self;
        let scene = stage.scene;
        let (from, to) = (path.from.id(), path.to.id());
        for node in [&from, &to] {
            if let Err(gone) = scene.place(node) {
                return Verdict::wrong(gone);
            }
        }
        let Some((pin, address)) = scene.station(&from).map(|station| station.pin.clone()).zip(address4(stage, path)) else {
            return Verdict::wrong(without(&from, &to, stage));
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
            manner: Manner { ttl: None, record_route: true, whole: false },
        };
        let mut slots: Option<Recorded> = None;
        let sent = ping(&order, &mut |came| match came {
            Came::Reply { route: Some(found), .. } => {
                slots = Some(found);
                false
            }
            _ => true,
        });
        if let Err(error) = sent {
            return Verdict::wrong(Common::from(&error));
        }
        let Some(slots) = slots else {
            let pairs = vec![(from.to_string(), to.to_string())];
            return Verdict { suspect: Some((from, address)), ..Verdict::wrong(Common::Unanswered { pairs, number: 1, of: 1 }) };
        };
        let mut hops = hops(&slots, address, stage);
        // The sender writes its own address first.
        if hops.first() == Some(&from.to_string()) {
            hops.remove(0);
        }
        let wanted: Vec<String> = path.hops.iter().map(ToString::to_string).collect();
        if hops == wanted {
            Verdict::default()
        } else {
            Verdict::wrong(Found::Way { from: from.to_string(), to: to.to_string(), hops })
        }
    }
}

/// The option is of IPv4 alone.
fn address4(stage: &Stage<'_>, path: &Path) -> Option<IpAddr> {
    stage.scene.address(&path.from.id(), &path.to.id()).filter(IpAddr::is_ipv4)
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
