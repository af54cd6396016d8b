//! Tables that no kernel has: a prediction of them ends, and does not fail.

use std::net::IpAddr;

use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use super::bench::Bench;
use super::rules::SIX;
use crate::kernel::tables::{BridgePort, Far, NextHop, PortState, Rule, RuleAction, Tables};
use crate::name::Mac;
use crate::probe::predict::{Probe, predict};
use crate::probe::view::View;
use crate::report::trace::{Journey, Leg};
use crate::topology::catalog;

const RUNS: u64 = 2_000;

/// `SplitMix64`: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.roll(all.len())).cloned()
    }
}

/// What there is in a lab to mix.
struct Stock {
    addresses: Vec<IpAddr>,
    macs: Vec<Mac>,
    nodes: Vec<String>,
}

fn stock(view: &View) -> Stock {
    let links = || view.places.iter().flat_map(|place| &place.tables.links);
    let mut addresses: Vec<IpAddr> = links().flat_map(|link| &link.addresses).map(|own| own.net.addr()).collect();
    addresses.push([8, 8, 8, 8].into());
    addresses.push([255, 255, 255, 255].into());
    let macs = links().filter_map(|link| link.mac).chain([Mac([0xff; 6]), Mac([0; 6])]).collect();
    Stock { addresses, macs, nodes: view.places.iter().map(|place| place.node.node.clone()).collect() }
}

fn mutate(tables: &mut Tables, stock: &Stock, dice: &mut Dice) {
    let count = tables.links.len();
    let index = |dice: &mut Dice| u32::try_from(dice.roll(count + 2)).unwrap();
    let at = dice.roll(count);
    let link = &mut tables.links[at];
    match dice.roll(13) {
        0 => link.up = !link.up,
        1 => link.master = dice.one_in(3).then(|| index(dice)).or(link.master.xor(Some(2))),
        2 => {
            let node = dice.pick(&stock.nodes);
            link.peer = Some(Far { namespace: None, index: index(dice), node, name: None });
        }
        3 => link.mac = dice.pick(&stock.macs),
        4 => link.mtu = [0, 1, 68, 1280, u32::MAX][dice.roll(5)],
        5 => link.kind = ["bridge", "veth", "loopback", "tun"][dice.roll(4)].to_owned(),
        6 => {
            let states =
                [PortState::Disabled, PortState::Blocking, PortState::Listening, PortState::Learning, PortState::Forwarding];
            link.port = Some(BridgePort {
                state: states[dice.roll(5)],
                learns: dice.one_in(2),
                floods: dice.one_in(2),
                broadcasts: dice.one_in(2),
                isolated: dice.one_in(2),
                hairpin: dice.one_in(2),
            });
        }
        7 => {
            link.forwarding4 = !link.forwarding4;
            link.rp_filter = u8::try_from(dice.roll(3)).unwrap();
            (link.proxy_arp, link.arp_ignore) = (dice.one_in(2), [0, 0, 1, 8][dice.roll(4)]);
            link.accept_local = dice.one_in(2);
        }
        8 => mutate_routes(tables, stock, dice),
        9 => {
            let (dev, mac) = (index(dice), dice.pick(&stock.macs));
            let states = [NeighbourState::Permanent, NeighbourState::Stale, NeighbourState::Failed, NeighbourState::Noarp];
            let address = dice.pick(&stock.addresses).unwrap();
            tables.neighbours.push(crate::kernel::tables::Neighbour { address, dev, mac, state: states[dice.roll(4)] });
        }
        10 => {
            let (bridge, port, own) = (index(dice), index(dice), dice.one_in(4));
            let mac = dice.pick(&stock.macs).unwrap();
            tables.fdb.push(crate::kernel::tables::Fdb { bridge, mac, port, own, fixed: dice.one_in(2), age: None });
        }
        11 => {
            let actions = [RuleAction::Table(254), RuleAction::Table(255), RuleAction::Goto(7), RuleAction::Nop];
            let action = dice.pick(&actions).unwrap();
            let priority = u32::try_from(dice.roll(10)).unwrap();
            let (inverted, from) = (dice.one_in(4), dice.pick(&stock.addresses).map(Into::into));
            let rule = Rule {
                ipv6: dice.one_in(2),
                priority,
                from,
                to: None,
                enters: None,
                strange: false,
                inverted,
                suppressed: None,
                action,
            };
            tables.rules.push(rule);
        }
        _ => tables.all6.forwarding = [None, Some(true), Some(false)][dice.roll(3)],
    }
}

fn mutate_routes(tables: &mut Tables, stock: &Stock, dice: &mut Dice) {
    let Some(mut route) = dice.pick(&tables.routes) else { return };
    let dev = u32::try_from(dice.roll(tables.links.len() + 2)).unwrap();
    match dice.roll(5) {
        0 => {
            let at = dice.roll(tables.routes.len());
            tables.routes.remove(at);
            return;
        }
        1 => {
            route.kind = [RouteType::Local, RouteType::BlackHole, RouteType::Throw, RouteType::Unicast, RouteType::Broadcast]
                [dice.roll(5)];
        }
        2 => route.hops = vec![NextHop { via: dice.pick(&stock.addresses), dev, dead: dice.one_in(4) }],
        3 => route.to = dice.pick(&stock.addresses).map(Into::into).unwrap(),
        _ => (route.source, route.mtu) = (dice.pick(&stock.addresses), Some(0)),
    }
    let at = dice.roll(tables.routes.len() + 1);
    tables.routes.insert(at, route);
}

/// Frames get no younger on their way.
fn ages(journey: &Journey, seed: u64) {
    let ttls: Vec<u8> = journey.visits.iter().filter_map(|visit| visit.frame.as_ref().map(|frame| frame.ttl)).collect();
    assert!(ttls.windows(2).all(|pair| pair[0] >= pair[1]), "seed {seed}: {journey:#?}");
    assert!(journey.visits.len() < 5_000, "seed {seed}");
}

#[test]
fn a_prediction_of_damaged_tables_ends_and_does_not_fail() {
    let labs: Vec<Bench> = catalog::names().filter(|name| *name != "bare").chain([SIX]).map(Bench::new).collect();
    let (mut died, mut lived) = (0, 0);
    for seed in 0..RUNS {
        let mut dice = Dice(seed);
        let mut view = dice.pick(&labs).unwrap().view();
        let stock = stock(&view);
        for _ in 0..dice.roll(12) {
            let place = dice.roll(view.places.len());
            mutate(&mut view.places[place].tables, &stock, &mut dice);
        }
        let (from, to) = (dice.roll(view.places.len()), dice.pick(&stock.addresses).unwrap());
        let probe = Probe {
            size: [28, 84, 1500, 65_535][dice.roll(4)],
            ttl: [0, 1, 64, 255][dice.roll(4)],
            may_fragment: dice.one_in(2),
            source: dice.one_in(4).then(|| dice.pick(&stock.addresses).unwrap()),
        };
        let prediction = predict(&view, &view.places[from].id, to, &probe);
        ages(&prediction.request, seed);
        prediction.reply.iter().for_each(|reply| ages(reply, seed));
        if let Some(death) = &prediction.death {
            assert!(stock.nodes.contains(&death.node), "seed {seed}: {death:#?}");
            assert!((death.leg == Leg::Reply) <= prediction.reply.is_some(), "seed {seed}: {prediction:#?}");
            died += 1;
        } else {
            let back = prediction.reply.as_ref().and_then(|reply| reply.visits.last());
            assert_eq!(back.map(|visit| &visit.node), Some(&stock.nodes[from]), "seed {seed}: {prediction:#?}");
            lived += 1;
        }
    }
    assert!(died > 200 && lived > 200, "{died} died, {lived} lived");
}
