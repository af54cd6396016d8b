//! A set of facts, at most one in a slot.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use super::fact::{Fact, Link, Port, RouteTo, Slot};
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

/// What is said in a slot, as records hold it.
#[derive(Serialize)]
enum Value<'a> {
    Present,
    Link(&'a Link),
    Mac(Mac),
    Number(u32),
    Master(&'a IfName),
    Route(&'a RouteTo),
}

/// What records hold beside the slot.
fn value(fact: &Fact) -> Value<'_> {
    match fact {
        Fact::Netns(_) | Fact::Stp(_) | Fact::Isolated(_) | Fact::Fdb(..) | Fact::Addr(..) | Fact::Up(_) => Value::Present,
        Fact::Sysctl(_, _, number) | Fact::Mtu(_, number) => Value::Number(*number),
        Fact::Link(_, link) => Value::Link(link),
        Fact::Mac(_, mac) => Value::Mac(*mac),
        Fact::Member(_, bridge) => Value::Master(bridge),
        Fact::Route(.., to) => Value::Route(to),
    }
}

/// In records a fact is a pair: its slot, and what is said there.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|fact| (fact.slot(), value(fact))))
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
    if let Json::Object(said) = value {
        for place in slot.values_mut() {
            let mut all = match place.take() {
                Json::Array(all) => all,
                one => vec![one],
            };
            all.extend(said.values().cloned());
            *place = Json::Array(all);
        }
    }
    Json::Object(slot)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::{NodeId, Ns, Sysctl};

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
}
