//! The commands that may mend what is wrong: of what the tables show at once, of what a packet dies of after a trace.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::evidence::{Bench, Common, Evidence};
use super::scene::is_managed;
use crate::error::{Error, Result};
use crate::lab::Subject;
use crate::plan::{Fact, NodeId};
use crate::probe::cure::cure;
use crate::probe::trace::{Order, trace};
use crate::probe::view::{Looked, View};
use crate::report::trace::Cause;
use crate::report::wire::Names;

/// Packets that are traced in one run: each takes a tenth of a second and more.
const TRACES: usize = 2;

/// Why a packet dies, how certainly, and what mends it.
type Death = Option<(Cause, bool, Vec<String>)>;

/// Hints, each packet traced once.
pub(super) struct Hints<'a> {
    subject: &'a Subject,
    names: Names,
    /// Another topology judges: how the lab itself is described is no cure.
    other: bool,
    traced: HashMap<(NodeId, IpAddr), Death>,
}

impl<'a> Hints<'a> {
    pub(super) fn new(subject: &'a Subject, names: Names, other: bool) -> Self {
        Self { subject, names, other, traced: HashMap::new() }
    }

    /// Takes the lab's own description out of a view where it leads elsewhere than the one that judges: its addresses, routes and
    /// ports of bridges.
    pub(super) fn forget(&self, view: &mut View) {
        if self.other
            && let Looked::Known(described) = &mut view.described
        {
            described.retain(|fact| !matches!(fact, Fact::Addr(..) | Fact::Route(..) | Fact::Member(..)));
        }
    }

    /// The evidence with the cause of what is suspect, and the commands.
    ///
    /// # Errors
    /// When a signal arrives.
    pub(super) fn find(
        &mut self,
        view: &View,
        mut evidence: Vec<Evidence>,
        suspect: Option<(NodeId, IpAddr)>,
    ) -> Result<(Vec<Evidence>, Vec<String>)> {
        let bench = Bench { prompt: &self.subject.prompt, names: &self.names, view };
        let mut hints: Vec<String> = evidence.iter().flat_map(|evidence| evidence.0.cures(&bench)).collect();
        if let Some((from, to)) = suspect
            && let Some((cause, certain, cures)) = self.death(from, to)?.and_then(|death| self.elsewhere(view, death))
        {
            hints.extend(cures);
            evidence.push(Common::because(cause, certain).into());
        }
        let mut kept: Vec<String> = Vec::new();
        for hint in hints {
            if kept.contains(&hint) || self.other && leads_back(view, &hint) {
                continue;
            }
            kept.push(hint);
        }
        Ok((evidence, kept))
    }

    /// The same without the managed bridges that an interface is in none of: nothing where they are all there is.
    fn elsewhere(&self, view: &View, (cause, certain, cures): (Cause, bool, Vec<String>)) -> Death {
        match cause {
            Cause::NotInBridge { interface, bridges } if self.other && bridges.iter().any(|bridge| is_managed(bridge)) => {
                let bridges: Vec<String> = bridges.into_iter().filter(|bridge| !is_managed(bridge)).collect();
                let cause = Cause::NotInBridge { interface, bridges };
                let any = matches!(&cause, Cause::NotInBridge { bridges, .. } if !bridges.is_empty());
                any.then(|| {
                    let cures = cure(view, &cause);
                    (cause, certain, cures)
                })
            }
            cause => Some((cause, certain, cures)),
        }
    }

    fn death(&mut self, from: NodeId, to: IpAddr) -> Result<Death> {
        let key = (from, to);
        if let Some(known) = self.traced.get(&key) {
            return Ok(known.clone());
        }
        if self.traced.len() >= TRACES {
            return Ok(None);
        }
        let order = Order { from: &key.0, to, scope: 0, payload: 56, ttl: None };
        // The pings have left their marks in the tables since.
        let traced = View::living(self.subject).and_then(|mut view| {
            self.forget(&mut view);
            trace(&mut view, order, self.names.clone())
        });
        let death = match traced {
            Ok(trace) => trace.death().map(|death| (death.cause.clone(), death.certain, death.cure.clone())),
            Err(error @ Error::Signal(_)) => return Err(error),
            // Without a trace the failure stands all the same.
            Err(_) => None,
        };
        self.traced.insert(key, death.clone());
        Ok(death)
    }
}

/// Whether a command puts something back on a managed bridge, or sends packets to its subnet.
fn leads_back(view: &View, command: &str) -> bool {
    let links = || view.places.iter().flat_map(|place| &place.node.links).filter(|link| is_managed(&link.name));
    let inside = |word: &str| {
        let address = word.parse::<IpNet>().map(|net| net.addr()).or_else(|_| word.parse::<IpAddr>());
        address.is_ok_and(|address| links().any(|link| link.addresses.iter().any(|net| net.contains(&address))))
    };
    command.split_whitespace().any(|word| is_managed(word) && links().any(|link| link.name == word) || inside(word))
}
