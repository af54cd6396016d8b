//! Subnets and routers as a tree: below a subnet its routers, below a router its other subnets.

use std::collections::HashSet;

use crate::graph::{L3, Subnet};
use crate::plan::NodeId;
use crate::render::escape::escape;
use crate::render::graph::layers::{Joined, Spot};
use crate::render::graph::parts::{member_words, path};
use crate::render::sentences::graph::Words;

/// More members of a subnet are counted.
const SHOWN: usize = 12;

pub(super) fn l3(drawn: &L3, words: Words) -> Vec<String> {
    if drawn.subnets.is_empty() {
        return vec![words.no_subnets()];
    }
    let number = |name: &NodeId| drawn.routers.iter().position(|router| router.node == *name);
    let links: Vec<(usize, usize)> = drawn
        .subnets
        .iter()
        .enumerate()
        .flat_map(|(at, subnet)| subnet.routers.iter().filter_map(move |end| Some((at, number(&end.node)?))))
        .collect();
    let parts = Joined::new(drawn.subnets.len(), drawn.routers.len(), links.iter().copied()).parts();
    let mut tree = Tree { drawn, words, links, told: Vec::new(), subnets: HashSet::new(), routers: HashSet::new() };
    for part in parts {
        match part.first().and_then(|layer| layer.first()) {
            Some(Spot::Subnet(at)) => {
                tree.told.push(prefixes(&drawn.subnets[*at]));
                tree.subnet(*at, "");
            }
            Some(Spot::Router(at)) => {
                let name = tree.router_words(*at);
                tree.told.push(name);
                tree.router(*at, "");
            }
            None => {}
        }
    }
    tree.told
}

struct Tree<'a> {
    drawn: &'a L3,
    words: Words,
    links: Vec<(usize, usize)>,
    told: Vec<String>,
    subnets: HashSet<usize>,
    routers: HashSet<usize>,
}

fn prefixes(subnet: &Subnet) -> String {
    subnet.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Tree<'_> {
    /// What is in a subnet whose name stands already.
    fn subnet(&mut self, at: usize, indent: &str) {
        self.subnets.insert(at);
        let subnet = &self.drawn.subnets[at];
        let mut below: Vec<usize> = self.links.iter().filter(|(each, _)| *each == at).map(|(_, router)| *router).collect();
        below.dedup();
        below.retain(|router| !self.routers.contains(router));
        let bar = if below.is_empty() { "   " } else { "│  " };
        let shown = if subnet.members.len() > SHOWN + 1 { SHOWN } else { subnet.members.len() };
        for member in &subnet.members[..shown] {
            let mut line = vec![member_words(member, self.words)];
            line.extend(member.gateways.iter().map(|gateway| self.words.default(*gateway)));
            self.told.push(format!("{indent}{bar}{}", line.join(", ")));
        }
        if subnet.members.len() > shown {
            self.told.push(format!("{indent}{bar}{}", self.words.more(subnet.members.len() - shown)));
        }
        for (number, router) in below.iter().enumerate() {
            let last = number + 1 == below.len();
            let name = self.router_words(*router);
            let line = format!("{indent}{}{} ── {name}", branch(last), self.slots(at, *router));
            self.told.push(line);
            if !self.routers.contains(router) {
                self.router(*router, &format!("{indent}{}", bar_below(last)));
            }
        }
    }

    /// The other subnets of a router whose name stands already.
    fn router(&mut self, at: usize, indent: &str) {
        self.routers.insert(at);
        let mut below: Vec<usize> = self.links.iter().filter(|(_, router)| *router == at).map(|(subnet, _)| *subnet).collect();
        below.dedup();
        // The one above it stands there already; a way round is told once more.
        let above = below.iter().copied().find(|subnet| self.subnets.contains(subnet));
        below.retain(|subnet| Some(*subnet) != above);
        for (number, subnet) in below.iter().enumerate() {
            let last = number + 1 == below.len();
            let known = self.subnets.contains(subnet);
            let name = prefixes(&self.drawn.subnets[*subnet]);
            let line = format!("{indent}{}{} ── {name}", branch(last), self.slots(*subnet, at));
            self.told.push(line);
            if !known {
                self.subnet(*subnet, &format!("{indent}{}", bar_below(last)));
            }
        }
    }

    fn router_words(&self, at: usize) -> String {
        let router = &self.drawn.routers[at];
        let words = std::iter::once(path(&router.node)).chain(self.words.of_router(router));
        words.collect::<Vec<_>>().join(", ")
    }

    /// A router's interfaces in a subnet with their addresses there.
    fn slots(&self, subnet: usize, router: usize) -> String {
        let (subnet, router) = (&self.drawn.subnets[subnet], &self.drawn.routers[router]);
        let mut slots = Vec::new();
        for end in subnet.routers.iter().filter(|end| end.node == router.node) {
            let Some(interface) = router.interface(&end.interface) else { continue };
            let mut words = vec![escape(interface.name.as_str()).into_owned()];
            words.extend(subnet.inside(interface).map(|each| self.words.marked(each.address.addr(), each.mark)));
            words.extend(self.words.condition(interface.mark, interface.state));
            slots.push(words.join(" "));
        }
        slots.join(", ")
    }
}

fn branch(last: bool) -> &'static str {
    if last { "└─ " } else { "├─ " }
}

fn bar_below(last: bool) -> &'static str {
    if last { "  " } else { "│ " }
}
