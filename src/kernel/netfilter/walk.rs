//! What a packet filter's rules do with a packet, judged without one: as far as the rules say it in words that nslab knows.

/// The deepest that chains call each other (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;
/// The bit of a new connection among those of its state (`NF_CT_STATE_BIT` of `linux/netfilter/nf_conntrack_common.h`).
pub const NEW: u32 = 8;

/// The filters of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Every chain with its rules.
    pub chains: Vec<Rules>,
}

/// A chain and its rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The family as `nft` writes it.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub name: String,
    /// It is one of iptables as it was before nftables.
    pub legacy: bool,
    /// Where packets meet it by themselves; none for one that only other chains call.
    pub hook: Option<String>,
    /// What no rule decides is dropped.
    pub drops: bool,
    /// In order.
    pub rules: Vec<Rule>,
}

/// A rule: what a packet must be, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub tests: Vec<Test>,
    /// What then happens.
    pub verdict: Verdict,
}

/// One thing that a rule asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The interface that it comes in by.
    Enters(Pattern),
    /// The interface that it goes out by.
    Leaves(Pattern),
    /// The bridge that it crosses.
    Crosses(Pattern),
    /// The index of the interface that it comes in by, and whether it must be another.
    EntersIndex(u32, bool),
    /// The index of the interface that it goes out by, and whether it must be another.
    LeavesIndex(u32, bool),
    /// It is IPv6, or must not be.
    Ipv6(bool),
    /// The number of its protocol, and whether it must be another.
    Protocol(u8, bool),
    /// It is, or is not, of a new connection.
    New(bool),
    /// It is an echo request, or something else with a type.
    Echo(bool),
    /// It crosses a bridge.
    Bridged,
    /// Something that nslab does not know.
    Unknown,
}

/// An interface's name, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name, or its beginning.
    pub name: String,
    /// Only the beginning.
    pub open: bool,
    /// It must be another one.
    pub inverted: bool,
}

impl Pattern {
    fn holds(&self, name: &str) -> bool {
        let same = if self.open { name.starts_with(&self.name) } else { name == self.name };
        same != self.inverted
    }
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that decides.
    Continue,
    /// The packet passes this chain and those that called it.
    Accept,
    /// It is dropped, or refused.
    Drop,
    /// Back to the chain that called this one.
    Return,
    /// On with that chain, and back.
    Jump(String),
    /// On with that chain, and not back.
    Goto(String),
    /// Something that nslab does not know.
    Unknown,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// An echo request.
    Ping,
    /// The first segment of a connection, to a port that no rule names.
    Tcp,
}

/// A packet on its way, of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// What is in it.
    pub load: Load,
    /// The interface that it comes in by, and its index where there is one.
    pub enters: (&'a str, Option<u32>),
    /// The interface that it goes out by; empty where it is for the machine itself.
    pub leaves: (&'a str, Option<u32>),
    /// The bridge whose ports it goes between.
    pub bridge: Option<&'a str>,
}

/// A chain with a hook that drops a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The chain.
    pub chain: &'a Rules,
    /// By its policy, not by a rule.
    pub policy: bool,
    /// No rule before that might let it pass was unknown to nslab.
    pub certain: bool,
}

/// What a chain has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Dies,
    Open,
}

/// Three answers: the third is that nslab does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Perhaps,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Test {
    fn matches(&self, packet: &Packet<'_>) -> Answer {
        let index = |own: Option<u32>, asked: u32, inverted: bool| ((own == Some(asked)) != inverted).into();
        match self {
            Self::Enters(pattern) => pattern.holds(packet.enters.0).into(),
            Self::Leaves(pattern) => pattern.holds(packet.leaves.0).into(),
            Self::Crosses(pattern) => pattern.holds(packet.bridge.unwrap_or_default()).into(),
            Self::EntersIndex(asked, inverted) => index(packet.enters.1, *asked, *inverted),
            Self::LeavesIndex(asked, inverted) => index(packet.leaves.1, *asked, *inverted),
            Self::Ipv6(ipv6) => (*ipv6 == packet.ipv6).into(),
            Self::Protocol(number, inverted) => {
                let own = match packet.load {
                    Load::Tcp => libc::IPPROTO_TCP,
                    Load::Ping if packet.ipv6 => libc::IPPROTO_ICMPV6,
                    Load::Ping => libc::IPPROTO_ICMP,
                };
                ((own == i32::from(*number)) != *inverted).into()
            }
            Self::Echo(request) => (packet.load == Load::Ping && *request).into(),
            Self::New(new) => (*new).into(),
            Self::Bridged => packet.bridge.is_some().into(),
            Self::Unknown => Answer::Perhaps,
        }
    }
}

impl Rule {
    fn matches(&self, packet: &Packet<'_>) -> Answer {
        let mut answer = Answer::Yes;
        for test in &self.tests {
            match test.matches(packet) {
                Answer::No => return Answer::No,
                Answer::Perhaps => answer = Answer::Perhaps,
                Answer::Yes => {}
            }
        }
        answer
    }
}

impl Ruleset {
    /// The chains at a hook that drop the packet; `families` are those that see it.
    pub fn drop<'a>(&'a self, hook: &str, families: &[&str], packet: &Packet<'_>) -> Vec<Dropped<'a>> {
        let mut found = Vec::new();
        let here = |chain: &&Rules| chain.hook.as_deref() == Some(hook) && families.contains(&chain.family.as_str());
        for chain in self.chains.iter().filter(here) {
            let mut certain = true;
            let fate = self.walk(chain, packet, 0, &mut certain);
            if fate == Fate::Dies || fate == Fate::Open && chain.drops {
                found.push(Dropped { chain, policy: fate == Fate::Open, certain });
            }
        }
        found
    }

    fn walk(&self, chain: &Rules, packet: &Packet<'_>, depth: usize, certain: &mut bool) -> Fate {
        for rule in &chain.rules {
            let answer = rule.matches(packet);
            if answer == Answer::No {
                continue;
            }
            let fate = match &rule.verdict {
                Verdict::Continue => Fate::Open,
                Verdict::Accept => Fate::Passes,
                Verdict::Drop => Fate::Dies,
                Verdict::Return if answer == Answer::Yes => return Fate::Open,
                Verdict::Return | Verdict::Unknown => {
                    *certain = false;
                    Fate::Open
                }
                Verdict::Jump(to) => self.called(chain, to, packet, depth, certain),
                Verdict::Goto(to) => {
                    let fate = self.called(chain, to, packet, depth, certain);
                    if answer == Answer::Yes {
                        return fate;
                    }
                    fate
                }
            };
            match (answer, fate) {
                (Answer::Yes, Fate::Passes | Fate::Dies) => return fate,
                // What might let it pass makes the rest a guess; what might drop it is about other packets.
                (Answer::Perhaps, Fate::Passes) => *certain = false,
                _ => {}
            }
        }
        Fate::Open
    }

    fn called(&self, from: &Rules, to: &str, packet: &Packet<'_>, depth: usize, certain: &mut bool) -> Fate {
        let same = |chain: &&Rules| {
            chain.name == to && chain.table == from.table && chain.family == from.family && chain.legacy == from.legacy
        };
        match self.chains.iter().find(same) {
            Some(chain) if depth < DEEPEST => self.walk(chain, packet, depth + 1, certain),
            _ => {
                *certain = false;
                Fate::Open
            }
        }
    }

    /// The programs whose chains there are in the table of a chain.
    pub fn makers(&self, rules: &Rules) -> Vec<&'static str> {
        let there = |maker: &&(&str, &str)| {
            let (prefix, _) = maker;
            rules.table.starts_with(prefix)
                || self.chains.iter().any(|chain| {
                    let same = chain.table == rules.table && chain.family == rules.family && chain.legacy == rules.legacy;
                    same && chain.name.starts_with(prefix)
                })
        };
        let mut found: Vec<&'static str> = MAKERS.iter().filter(there).map(|(_, maker)| *maker).collect();
        found.dedup();
        found
    }
}

/// How the chains or tables of a program begin, and its name.
const MAKERS: [(&str, &str); 10] = [
    ("DOCKER", "docker"),
    ("docker", "docker"),
    ("firewalld", "firewalld"),
    ("FORWARD_direct", "firewalld"),
    ("ufw-", "ufw"),
    ("ufw6-", "ufw"),
    ("LIBVIRT_", "libvirt"),
    ("libvirt_", "libvirt"),
    ("KUBE-", "Kubernetes"),
    ("CNI-", "CNI"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pattern(name: &str) -> Pattern {
        Pattern { name: name.trim_end_matches('*').to_owned(), open: name.ends_with('*'), inverted: false }
    }

    fn enters(name: &str) -> Test {
        Test::Enters(pattern(name))
    }

    fn leaves(name: &str) -> Test {
        Test::Leaves(pattern(name))
    }

    fn rule(tests: Vec<Test>, verdict: Verdict) -> Rule {
        Rule { tests, verdict }
    }

    fn chain(name: &str, hook: Option<&str>, drops: bool, rules: Vec<Rule>) -> Rules {
        let (family, table, name) = ("ip".to_owned(), "filter".to_owned(), name.to_owned());
        Rules { family, table, name, legacy: false, hook: hook.map(str::to_owned), drops, rules }
    }

    /// What becomes of a packet from the first to the second: none where it passes, else whether that is sure.
    fn fate(set: &Ruleset, from: &str, to: &str) -> Option<bool> {
        let bridge = (from == to).then_some(from);
        let packet = Packet { ipv6: false, load: Load::Ping, enters: (from, Some(7)), leaves: (to, None), bridge };
        let dropped = set.drop("forward", &["ip", "inet"], &packet);
        dropped.first().map(|dropped| dropped.certain)
    }

    /// As docker leaves it.
    fn docker() -> Ruleset {
        let jump = |to: &str| Verdict::Jump(to.to_owned());
        Ruleset {
            chains: vec![
                chain(
                    "FORWARD",
                    Some("forward"),
                    true,
                    vec![
                        rule(vec![], jump("DOCKER-USER")),
                        rule(vec![], jump("DOCKER-ISOLATION-STAGE-1")),
                        rule(vec![leaves("docker0"), Test::New(false)], Verdict::Accept),
                        rule(vec![leaves("docker0")], jump("DOCKER")),
                        rule(vec![enters("docker0")], Verdict::Accept),
                    ],
                ),
                chain("DOCKER-USER", None, false, vec![rule(vec![], Verdict::Return)]),
                chain("DOCKER-ISOLATION-STAGE-1", None, false, vec![rule(vec![enters("docker0")], Verdict::Continue)]),
                chain("DOCKER", None, false, vec![]),
            ],
        }
    }

    #[test]
    fn the_policy_that_docker_sets_drops_the_labs_packets_and_not_its_own() {
        let set = docker();
        assert_eq!(fate(&set, "br0", "br0"), Some(true));
        assert_eq!(fate(&set, "enp0s8", "br0"), Some(true));
        assert_eq!(fate(&set, "docker0", "enp0s3"), None);
        assert_eq!(set.makers(&set.chains[0]), ["docker"]);
        let packet = Packet { ipv6: false, load: Load::Ping, enters: ("br0", None), leaves: ("br0", None), bridge: Some("br0") };
        assert!(set.drop("forward", &["ip", "inet"], &packet)[0].policy);
        assert!(set.drop("input", &["ip"], &packet).is_empty() && set.drop("forward", &["ip6"], &packet).is_empty());
    }

    #[test]
    fn a_rule_before_the_policy_lets_them_pass() {
        for (at, tests) in [
            ("FORWARD", vec![enters("br0"), leaves("br0")]),
            ("DOCKER-USER", vec![enters("br*")]),
            ("FORWARD", vec![Test::Bridged]),
            ("FORWARD", vec![Test::Protocol(1, false), Test::Echo(true)]),
            ("FORWARD", vec![Test::EntersIndex(7, false), Test::New(true)]),
            ("FORWARD", vec![Test::Enters(Pattern { inverted: true, ..pattern("eth0") })]),
        ] {
            let mut set = docker();
            let chain = set.chains.iter_mut().find(|chain| chain.name == at).unwrap();
            chain.rules.insert(0, rule(tests.clone(), Verdict::Accept));
            assert_eq!(fate(&set, "br0", "br0"), None, "{tests:?}");
        }
        for other in [
            vec![enters("br1")],
            vec![enters("br")],
            vec![Test::New(false)],
            vec![Test::Protocol(6, false)],
            vec![Test::Protocol(1, false), Test::Echo(false)],
            vec![Test::Ipv6(true)],
            vec![Test::EntersIndex(8, false)],
            vec![Test::EntersIndex(7, true)],
            vec![Test::Unknown, Test::New(false)],
        ] {
            let mut set = docker();
            set.chains[0].rules.insert(0, rule(other.clone(), Verdict::Accept));
            assert_eq!(fate(&set, "br0", "br0"), Some(true), "{other:?}");
        }
    }

    #[test]
    fn what_nslab_does_not_know_makes_it_a_guess_only_where_it_might_let_packets_pass() {
        for (unknown, certain) in [
            (rule(vec![Test::Unknown], Verdict::Accept), false),
            (rule(vec![Test::Unknown], Verdict::Drop), true),
            (rule(vec![Test::Unknown], Verdict::Continue), true),
            (rule(vec![], Verdict::Unknown), false),
            (rule(vec![], Verdict::Jump("nowhere".to_owned())), false),
            (rule(vec![Test::Unknown], Verdict::Jump("DOCKER".to_owned())), true),
        ] {
            let mut set = docker();
            set.chains[0].rules.insert(0, unknown.clone());
            assert_eq!(fate(&set, "br0", "br0"), Some(certain), "{unknown:?}");
        }
    }

    #[test]
    fn a_last_rule_that_drops_is_as_good_as_a_policy_and_circles_of_chains_end() {
        let refuses = Ruleset { chains: vec![chain("f", Some("forward"), false, vec![rule(vec![], Verdict::Drop)])] };
        let packet = Packet { ipv6: false, load: Load::Ping, enters: ("a", None), leaves: ("b", None), bridge: None };
        assert!(!refuses.drop("forward", &["ip"], &packet)[0].policy);
        let round = |to: &str| vec![rule(vec![], Verdict::Jump(to.to_owned()))];
        let circle = Ruleset { chains: vec![chain("f", Some("forward"), true, round("g")), chain("g", None, false, round("f"))] };
        assert_eq!(fate(&circle, "a", "b"), Some(false));
        let goes = |to: &str| vec![rule(vec![], Verdict::Goto(to.to_owned())), rule(vec![], Verdict::Accept)];
        let gone = Ruleset { chains: vec![chain("f", Some("forward"), true, goes("g")), chain("g", None, false, vec![])] };
        assert_eq!(fate(&gone, "a", "b"), Some(true));
    }
}
