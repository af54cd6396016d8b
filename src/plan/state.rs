//! A set of facts, at most one in a slot; and what to do to get from one to another.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use super::{Fact, Link, Ns, Op, Plan, Port, RouteTo, Slot, Takes};
use crate::name::{IfName, Mac};

/// Everything that is said about a lab's network, in the order of slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(Vec<Fact>);

impl State {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every fact.
    pub fn iter(&self) -> std::slice::Iter<'_, Fact> {
        self.0.iter()
    }

    fn find(&self, slot: Slot<'_>) -> Result<usize, usize> {
        self.0.binary_search_by(|fact| fact.slot().cmp(&slot))
    }

    /// What is said in a slot.
    pub fn get(&self, slot: Slot<'_>) -> Option<&Fact> {
        self.find(slot).ok().map(|at| &self.0[at])
    }

    /// Whether anything is said in a slot.
    pub fn has(&self, slot: Slot<'_>) -> bool {
        self.find(slot).is_ok()
    }

    /// Whether just that is so.
    pub fn holds(&self, fact: &Fact) -> bool {
        self.get(fact.slot()) == Some(fact)
    }

    /// Says it, in place of what was said in its slot. Many facts are said faster by [`Extend`].
    pub fn insert(&mut self, fact: Fact) {
        match self.find(fact.slot()) {
            Ok(at) => self.0[at] = fact,
            Err(at) => self.0.insert(at, fact),
        }
    }

    /// Says nothing any more in a slot; what was said.
    pub fn remove(&mut self, slot: Slot<'_>) -> Option<Fact> {
        self.find(slot).ok().map(|at| self.0.remove(at))
    }

    /// Keeps these facts alone.
    pub fn retain(&mut self, keep: impl FnMut(&Fact) -> bool) {
        self.0.retain(keep);
    }

    /// The Ethernet address of an interface.
    pub fn mac(&self, port: &Port) -> Option<Mac> {
        self.get(Slot::Mac(port)).and_then(|fact| if let Fact::Mac(_, mac) = fact { Some(*mac) } else { None })
    }

    /// The MTU of an interface in bytes.
    pub fn mtu(&self, port: &Port) -> Option<u32> {
        self.get(Slot::Mtu(port)).and_then(|fact| if let Fact::Mtu(_, mtu) = fact { Some(*mtu) } else { None })
    }

    /// The bridge that an interface is a port of.
    pub fn master(&self, port: &Port) -> Option<&IfName> {
        self.get(Slot::Member(port)).and_then(|fact| if let Fact::Member(_, bridge) = fact { Some(bridge) } else { None })
    }

    /// Links; of a veth pair the lesser end.
    pub fn links(&self) -> impl Iterator<Item = (&Port, &Link)> {
        self.iter().filter_map(|fact| if let Fact::Link(port, link) = fact { Some((port, link)) } else { None })
    }

    /// Every interface that it makes, both ends of a pair.
    pub fn ends(&self) -> impl Iterator<Item = &Port> {
        self.links().flat_map(|(port, link)| std::iter::once(port).chain(link.peer()))
    }
}

impl IntoIterator for State {
    type Item = Fact;
    type IntoIter = std::vec::IntoIter<Fact>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a State {
    type Item = &'a Fact;
    type IntoIter = std::slice::Iter<'a, Fact>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Fact> for State {
    /// What comes later replaces what was said in the same slot.
    fn extend<T: IntoIterator<Item = Fact>>(&mut self, facts: T) {
        self.0.extend(facts);
        self.0.sort_by(|a, b| a.slot().cmp(&b.slot()));
        self.0.dedup_by(|later, kept| {
            let same = later.slot() == kept.slot();
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
    }
}

impl FromIterator<Fact> for State {
    fn from_iter<T: IntoIterator<Item = Fact>>(facts: T) -> Self {
        let mut state = Self::new();
        state.extend(facts);
        state
    }
}

impl<const N: usize> From<[Fact; N]> for State {
    fn from(facts: [Fact; N]) -> Self {
        facts.into_iter().collect()
    }
}

/// In records a fact is a pair: its slot, and what is said there.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|fact| (fact.slot(), fact.value())))
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(serde_json::Map<String, Json>, Json)>::deserialize(deserializer)?;
        pairs.into_iter().map(|(slot, value)| serde_json::from_value(joined(slot, &value)).map_err(D::Error::custom)).collect()
    }
}

/// `{"Mtu": PORT}` and `{"Number": 1500}` as `{"Mtu": [PORT, 1500]}`.
fn joined(mut slot: serde_json::Map<String, Json>, value: &Json) -> Json {
    if let Json::Object(fields) = value {
        for place in slot.values_mut() {
            let mut all = match place.take() {
                Json::Array(all) => all,
                one => vec![one],
            };
            all.extend(fields.values().cloned());
            *place = Json::Array(all);
        }
    }
    Json::Object(slot)
}

/// The operations that turn `from` into `to`: first what goes, latest first, then what comes or changes, in build order.
///
/// Children die with their parents and are not deleted by themselves; what dies and is wanted is added again; settings
/// are overwritten.
pub fn diff(from: &State, to: &State) -> Plan {
    let mut doomed = Doomed::default();
    let mut going = from.iter().filter(|fact| goes(fact, to)).peekable();
    if going.peek().is_some() {
        doomed = Doomed::new(from);
        going.for_each(|fact| doomed.condemn(fact));
        doomed.cut_loose(from);
    }
    let mut plan: Plan = doomed.roots.values().map(|fact| Op::Del((*fact).clone())).collect();
    plan.sort_by(|a, b| order(b).cmp(&order(a)));
    let mut build: Plan = to
        .iter()
        .filter_map(|fact| match from.get(fact.slot()).filter(|old| !doomed.dead.contains(&old.slot())) {
            None => Some(Op::Add(fact.clone())),
            Some(old) if old != fact => Some(Op::Set(fact.clone())),
            Some(_) => None,
        })
        .collect();
    build.sort_by(|a, b| order(a).cmp(&order(b)));
    plan.extend(build);
    plan
}

/// A fact goes when it is no longer said, or when a link is to be of another kind or have another peer.
fn goes(fact: &Fact, to: &State) -> bool {
    match to.get(fact.slot()) {
        None => true,
        Some(wanted) => matches!(fact, Fact::Link(..)) && wanted != fact,
    }
}

fn order(op: &Op) -> ((u8, u8), Slot<'_>) {
    (op.fact().stage(), op.fact().slot())
}

/// The facts that go, and those that the kernel takes along with them.
#[derive(Default)]
struct Doomed<'a> {
    ports: BTreeMap<&'a Port, Vec<&'a Fact>>,
    masters: BTreeMap<Port, Vec<&'a Fact>>,
    routes: BTreeMap<Port, Vec<&'a Fact>>,
    spaces: BTreeMap<&'a Ns, Vec<&'a Fact>>,
    pairs: BTreeMap<&'a Port, &'a Fact>,
    dead: BTreeSet<Slot<'a>>,
    roots: BTreeMap<Slot<'a>, &'a Fact>,
}

impl<'a> Doomed<'a> {
    fn new(from: &'a State) -> Self {
        let mut this = Self::default();
        for fact in from {
            this.index(fact);
        }
        this
    }

    fn index(&mut self, fact: &'a Fact) {
        self.spaces.entry(fact.ns()).or_default().push(fact);
        if let Some(port) = fact.port() {
            self.ports.entry(port).or_default().push(fact);
        }
        let at = |dev: &IfName| Port { ns: fact.ns().clone(), dev: dev.clone() };
        if let Takes::Interface(_, Some(peer)) = fact.takes() {
            self.pairs.insert(peer, fact);
        }
        if let Fact::Member(_, bridge) = fact {
            self.masters.entry(at(bridge)).or_default().push(fact);
        }
        if let Fact::Route(.., RouteTo::Via(_, dev) | RouteTo::Dev(dev)) = fact {
            self.routes.entry(at(dev)).or_default().push(fact);
        }
    }

    /// This fact is to be deleted, unless something that takes it along is already gone.
    fn condemn(&mut self, fact: &'a Fact) {
        if !self.dead.contains(&fact.slot()) {
            self.kill(fact);
            self.roots.insert(fact.slot(), fact);
        }
    }

    /// This fact ends, and with it all that hangs on it.
    fn kill(&mut self, fact: &'a Fact) {
        if !self.dead.insert(fact.slot()) {
            return;
        }
        match fact.takes() {
            Takes::Namespace(ns) => {
                for fact in self.spaces.get(ns).cloned().unwrap_or_default() {
                    self.fall(fact);
                    // The other end of a pair may be the one that tells; it goes when either end's namespace goes.
                    if let Some(pair) = fact.port().and_then(|port| self.pairs.get(port)).copied() {
                        self.fall(pair);
                    }
                }
                let pairs: Vec<&Fact> = self.pairs.iter().filter(|(port, _)| port.ns == *ns).map(|(_, pair)| *pair).collect();
                for pair in pairs {
                    self.fall(pair);
                }
            }
            Takes::Interface(port, peer) => {
                self.port_goes(port);
                if let Some(peer) = peer {
                    self.port_goes(peer);
                }
            }
            Takes::Operation(port) => self.down(port),
            Takes::Membership(port) => {
                for fact in self.ports.get(port).cloned().unwrap_or_default() {
                    let goes = match fact {
                        Fact::Isolated(_) | Fact::Fdb(..) => true,
                        Fact::OfPort(_, hand) => hand.is_of_membership(),
                        _ => false,
                    };
                    if goes {
                        self.fall(fact);
                    }
                }
            }
            Takes::Address(port, net) => {
                for fact in self.ports.get(port).cloned().unwrap_or_default() {
                    if fact.slot() == Slot::Addr(port, net) {
                        self.fall(fact);
                    }
                }
            }
            Takes::Nothing => {}
        }
    }

    /// A namespace ends when the kernel gets round to it; a pair with one end in one that stays is deleted at once, so that
    /// its name there is free.
    fn cut_loose(&mut self, from: &'a State) {
        let ends = |ns: &Ns| self.roots.contains_key(&Slot::Netns(ns));
        let loose = from.iter().filter(|fact| match fact {
            Fact::Link(port, link) if self.dead.contains(&fact.slot()) => {
                link.peer().is_some_and(|peer| ends(&port.ns) != ends(&peer.ns))
            }
            _ => false,
        });
        let loose: Vec<&Fact> = loose.collect();
        self.roots.extend(loose.into_iter().map(|fact| (fact.slot(), fact)));
    }

    /// This fact ends without a deletion of its own.
    fn fall(&mut self, fact: &'a Fact) {
        self.roots.remove(&fact.slot());
        self.kill(fact);
    }

    fn port_goes(&mut self, port: &Port) {
        let on_it = self.ports.get(port).cloned().unwrap_or_default();
        let members = self.masters.get(port).cloned().unwrap_or_default();
        let routes = self.routes.get(port).cloned().unwrap_or_default();
        for fact in on_it.into_iter().chain(members).chain(routes) {
            self.fall(fact);
        }
    }

    /// A link that goes down loses its routes and its IPv6 addresses.
    fn down(&mut self, port: &Port) {
        for fact in self.routes.get(port).cloned().unwrap_or_default() {
            self.fall(fact);
        }
        for fact in self.ports.get(port).cloned().unwrap_or_default() {
            if matches!(fact, Fact::Addr(_, net) if net.addr().is_ipv6()) {
                self.fall(fact);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::{NodeId, Sysctl};

    /// As nslab 0.1 wrote it: one fact of each kind.
    const RECORD: &str = r#"[
        [{"Netns":{"Node":{"Host":"a"}}},"Present"],
        [{"Sysctl":["Root","Forward4"]},{"Number":1}],
        [{"Link":{"ns":"Root","dev":"br0"}},{"Link":"Bridge"}],
        [{"Link":{"ns":"Root","dev":"v0"}},{"Link":{"Veth":{"peer":{"ns":{"Node":{"Container":["a","c"]}},"dev":"eth0"}}}}],
        [{"Mac":{"ns":"Root","dev":"br0"}},{"Mac":"0a:01:00:00:00:01"}],
        [{"Mtu":{"ns":"Root","dev":"br0"}},{"Number":1400}],
        [{"Stp":{"ns":"Root","dev":"br0"}},"Present"],
        [{"Member":{"ns":"Root","dev":"ens3"}},{"Master":"br0"}],
        [{"Isolated":{"ns":"Root","dev":"ens3"}},"Present"],
        [{"Fdb":[{"ns":"Root","dev":"ens3"},"02:01:00:00:00:01"]},"Present"],
        [{"Addr":[{"ns":"Root","dev":"br0"},"10.0.0.1/24"]},"Present"],
        [{"Up":{"ns":"Root","dev":"br0"}},"Present"],
        [{"Route":["Root",254,"10.1.0.0/16",0]},{"Route":{"Via":["10.0.0.2","br0"]}}],
        [{"Route":["Root",254,"10.2.0.0/16",0]},{"Route":"Blackhole"}]
    ]"#;

    #[test]
    fn records_of_earlier_versions_are_read_and_written_alike() {
        let state: State = serde_json::from_str(RECORD).unwrap();
        assert_eq!(serde_json::to_value(&state).unwrap(), serde_json::from_str::<Json>(RECORD).unwrap());
        let port = |dev: &str| Port { ns: Ns::Root, dev: dev.parse().unwrap() };
        assert_eq!((state.mtu(&port("br0")), state.master(&port("ens3")).map(IfName::as_str)), (Some(1400), Some("br0")));
        assert!(state.holds(&Fact::Netns(Ns::Node(NodeId::Host("a".parse().unwrap())))));
        assert!(state.holds(&Fact::Sysctl(Ns::Root, Sysctl::Forward4, 1)));
    }

    #[test]
    fn what_is_said_later_replaces_what_was_said_in_its_slot() {
        let port = Port { ns: Ns::Root, dev: "br0".parse().unwrap() };
        let mtu = |mtu| Fact::Mtu(port.clone(), mtu);
        let mut state = State::from([Fact::Up(port.clone()), mtu(1500), mtu(1400)]);
        assert_eq!(state.iter().collect::<Vec<_>>(), [&mtu(1400), &Fact::Up(port.clone())]);
        state.extend([mtu(1300), mtu(1280)]);
        state.insert(Fact::Stp(port.clone()));
        assert_eq!((state.mtu(&port), state.len()), (Some(1280), 3));
        assert_eq!(state.remove(Slot::Mtu(&port)), Some(mtu(1280)));
    }

    fn ns(name: &str) -> Ns {
        Ns::Node(NodeId::Host(name.parse().unwrap()))
    }

    fn port(host: &str, dev: &str) -> Port {
        Port { ns: ns(host), dev: dev.parse().unwrap() }
    }

    fn pair(dev: &str) -> Fact {
        Fact::Link(port("a", "eth0"), Link::Veth { peer: port("b", dev) })
    }

    fn two_hosts() -> State {
        let (b, address) = (port("b", "eth0"), "fd00::1/64".parse().unwrap());
        State::from([Fact::Netns(ns("a")), Fact::Netns(ns("b")), pair("eth0"), Fact::Addr(b.clone(), address), Fact::Up(b)])
    }

    #[test]
    fn nothing_to_do_is_an_empty_plan() {
        assert_eq!(diff(&two_hosts(), &two_hosts()), Plan::new());
    }

    #[test]
    fn a_namespace_takes_everything_in_it_along_and_the_pair_is_cut_loose() {
        let from = two_hosts();
        let mut to = from.clone();
        to.retain(|fact| *fact.ns() == ns("b") && fact.port().is_none());
        assert_eq!(diff(&from, &to), vec![Op::Del(pair("eth0")), Op::Del(Fact::Netns(ns("a")))]);
        assert_eq!(diff(&from, &State::new()).len(), 2, "where both namespaces end, the pair needs no operation");
    }

    #[test]
    fn a_link_that_goes_down_gets_its_v6_address_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.remove(Slot::Up(&port("b", "eth0")));
        let address = Fact::Addr(port("b", "eth0"), "fd00::1/64".parse().unwrap());
        assert_eq!(diff(&from, &to), vec![Op::Del(Fact::Up(port("b", "eth0"))), Op::Add(address)]);
    }

    #[test]
    fn another_peer_means_another_pair_and_what_was_on_it_is_added_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.insert(pair("eth1"));
        let plan = diff(&from, &to);
        assert!(matches!(&plan[0], Op::Del(Fact::Link(..))), "{plan:?}");
        assert!(plan.iter().any(|op| matches!(op, Op::Add(Fact::Up(p)) if p.dev.as_str() == "eth0")), "{plan:?}");
    }
}
