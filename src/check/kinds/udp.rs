//! `udp`: datagrams of a node come to somebody who listens on a port of another one, or do not.

use serde::{Deserialize, Serialize};

use super::tcp::{Door, Found};
use crate::check::evidence::{Common, Evidence};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::scene::Scene;
use crate::kernel::netfilter::iptables;
use crate::probe::trace::{Order, trace};
use crate::render::lang::t;
use crate::render::sentences::statement::Words;
use crate::report::probe::Transport;
use crate::report::trace::{Cause, Direction, IcmpMessage, IcmpWord, Outcome, Trace};
use crate::topology::reader::Item;

/// A port of UDP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Udp(Door);

impl Kind for Udp {
    const ABOUT: &'static str = "Datagrams of a node come to somebody who listens on a port of another one.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        Door::read(item).map(Self)
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let Door { port, open, .. } = self.0;
        let (lang, from, to) = (words.lang, words.node(&self.0.from), words.node(&self.0.to));
        if open {
            t!(lang, "{to} takes datagrams of {from} on UDP port {port}", to, from, port)
        } else {
            t!(lang, "{to} takes no datagrams of {from} on UDP port {port}", to, from, port)
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        self.0.played_by(players).map(Self)
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Acts(self.0.from.0.clone())
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let transport = Transport::Udp { port: self.0.port };
        let suspect = self.0.suspect(stage, transport)?;
        let scene = stage.scene;
        let mut view = scene.view.with(scene.view.places.clone());
        let order = Order { transport, ..Order::ping(&suspect.from, suspect.to) };
        let traced = trace(&mut view, order, scene.stations.names.clone()).map_err(|error| Common::from(&error))?;
        let Some(open) = is_taken(&traced, scene, &self.0) else {
            let (from, to) = (self.0.from.to_string(), self.0.to.to_string());
            return Err(Found::Unsure { from, to, transport }.into());
        };
        Ok(self.0.verdict(suspect, open, traced.refused))
    }
}

/// Whether somebody got it; none where nobody can see that.
fn is_taken(traced: &Trace, scene: &Scene<'_>, door: &Door) -> Option<bool> {
    let unreachable = |message: &IcmpMessage| message.says == IcmpWord::PortUnreachable && message.leg == Direction::Request;
    match &traced.outcome {
        Outcome::Answered { .. } => Some(true),
        _ if traced.refused || traced.messages.iter().any(unreachable) => Some(false),
        _ if scene.is_remote(&door.to.0) => None,
        // The rules of iptables-legacy leave no sign of what they drop.
        Outcome::Died(death) if matches!(death.cause, Cause::Silent { .. }) => {
            let place = scene.place(&door.to.0).ok()?;
            iptables::tables(&place.pin).is_empty().then_some(true)
        }
        // What was answered was taken, whatever became of the answer.
        Outcome::Died(death) => Some(death.leg == Direction::Reply),
    }
}
