#![allow(clippy::unwrap_used)]

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
