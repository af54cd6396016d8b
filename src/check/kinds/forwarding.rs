//! `forwarding`: who forwards packets and who does not.

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Bench, Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, nodes};
use crate::check::scene::Scene;
use crate::kernel::tables::Link;
use crate::probe::cure::cure;
use crate::probe::view::Place;
use crate::render::lang::t;
use crate::render::sentences::statement::{Say, Words};
use crate::report::probe::Family;
use crate::report::trace::Cause;
use crate::topology::reader::Item;

/// Who forwards packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// These do.
    on: Vec<Machine>,
    /// These do not.
    off: Vec<Machine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The node forwards, or does not, or the kernel did not tell.
    Forwards { node: String, ipv6: bool, on: Option<bool> },
}

impl Seen for Found {
    fn is_obstacle(&self) -> bool {
        let Self::Forwards { on, .. } = self;
        on.is_none()
    }

    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        let Self::Forwards { node, ipv6, on } = self;
        let cause = Cause::ForwardingOff { node: node.clone(), ipv6: *ipv6 };
        if *on == Some(false) { cure(bench.view, &cause) } else { Vec::new() }
    }
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let Self::Forwards { node, ipv6, on } = self;
        let (lang, node, family) = (words.lang, words.node(node), if *ipv6 { "IPv6" } else { "IPv4" });
        match on {
            Some(true) => t!(lang, "{node} forwards {family}.", node, family),
            Some(false) => t!(lang, "{node} does not forward {family}.", node, family),
            None => t!(lang, "The kernel does not tell whether {node} forwards {family}.", node, family),
        }
    }
}

impl Kind for Forwarding {
    const ABOUT: &'static str = "Who forwards packets.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let on = keys.optional("on", "These do.", nodes);
            let off = keys.optional("off", "These do not.", nodes);
            keys.need_one_of(&["on", "off"]);
            Some(Self { on: on.unwrap_or_default(), off: off.unwrap_or_default() })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        let on = match self.on.as_slice() {
            [] => None,
            [node] => Some(t!(lang, "{node} forwards packets", node = words.node(node))),
            nodes => Some(t!(lang, "{nodes} forward packets", nodes = words.nodes(nodes))),
        };
        let off = match self.off.as_slice() {
            [] => None,
            [node] => Some(t!(lang, "{node} does not forward packets", node = words.node(node))),
            nodes => Some(t!(lang, "{nodes} do not forward packets", nodes = words.nodes(nodes))),
        };
        on.into_iter().chain(off).collect::<Vec<_>>().join(", ")
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        Ok(Self { on: players.all(&self.on)?, off: players.all(&self.off)? })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(self.on.iter().chain(&self.off).map(|machine| machine.0.clone()).collect())
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let on = self.on.iter().map(|machine| (machine, true));
        let all = on.chain(self.off.iter().map(|machine| (machine, false)));
        let evidence = all.flat_map(|(machine, wanted)| one(machine, wanted, stage)).collect();
        Ok(Verdict { evidence, ..Verdict::default() })
    }
}

fn one(machine: &Machine, wanted: bool, stage: &Stage<'_>) -> Vec<Evidence> {
    let place = match stage.scene.place(&machine.0) {
        Ok(place) => place,
        Err(gone) => return vec![gone.into()],
    };
    let node = machine.to_string();
    let wrong = |family| {
        let (on, ipv6) = (forwards(place, family, wanted), family == Family::Ipv6);
        (on != Some(wanted)).then(|| Found::Forwards { node: node.clone(), ipv6, on }.into())
    };
    stage.scene.families.iter().copied().filter_map(wrong).collect()
}

/// Of IPv4 an interface may forward by itself where `all` does not: who is to forward does so with every one that has an address,
/// who is not to with none.
fn forwards(place: &Place, family: Family, wanted: bool) -> Option<bool> {
    if family == Family::Ipv6 {
        return place.node.forwarding.ipv6;
    }
    let all = place.node.forwarding.ipv4?;
    let counts = |link: &&Link| link.kind != "loopback" && link.addresses.iter().any(|address| address.net.addr().is_ipv4());
    let mut each = place.tables.links.iter().filter(counts).map(|link| link.forwarding4).peekable();
    let alone = if wanted { each.peek().is_some() && each.all(|on| on) } else { each.any(|on| on) };
    Some(all || alone)
}
