//! `nslab check`: the shipped topologies, how checks end, points, the formats, watching.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{documented, fails, in_box, inside, limit, nslab, ok, run, shipped};

fn json(words: &str) -> Value {
    let value = nslab(&format!("--format json check {words}")).json();
    documented(&value, "check");
    value
}

/// The state of every check, by its kind.
fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checkpoints = report["checkpoints"].as_array().unwrap().iter();
    let checks = checkpoints.flat_map(|checkpoint| checkpoint["checks"].as_array().unwrap());
    checks.map(|check| (text(&check["kind"]), text(&check["state"]))).collect()
}

/// What the hints of `control` say.
fn trusted() {
    let token = ok("agent token host-b --name host-a").out;
    ok(&format!("exec host-a lxc remote add host-b {}", token.trim()));
}

#[test]
fn the_third_checkpoint_says_what_lets_a_host_command_another_ones_containers() {
    in_box(|| {
        ok("up remote");
        let unknown = fails(1, "check");
        for words in
            ["0 of 5", "knows no remote that is host-b", "agent token host-b --name host-a", "lxc remote add host-b TOKEN"]
        {
            assert!(unknown.out.contains(words), "{words}: {unknown}");
        }
        trusted();
        assert!(ok("check").out.contains("5 of 5"));
        assert_eq!(ok("exec host-a lxc list host-b: -c n -f csv").out, "b1\nb2\n", "the check has left something");
        ok("agent stop host-b");
        let stopped = fails(1, "check");
        assert!(stopped.out.contains("sudo nslab agent start host-b"), "{stopped}");
        ok("agent start host-b");
        let fingerprint =
            ok("agent trust list host-b --format json").json()["clients"][0]["fingerprint"].as_str().unwrap().to_owned();
        ok(&format!("agent trust remove host-b {fingerprint}"));
        let distrusted = fails(1, "check");
        assert!(
            distrusted.out.contains("does not trust host-a") && distrusted.out.contains("remote remove host-b"),
            "{distrusted}"
        );
        ok("exec host-a lxc remote remove host-b");
        trusted();
        // One that was killed in the middle has left its container, which goes with the next one.
        ok("exec host-a lxc launch host-b:host host-b:nslab-check -c user.nslab.check=true");
        assert!(ok("check").out.contains("5 of 5"));
        assert_eq!(ok("exec host-a lxc list host-b: -c n -f csv").out, "b1\nb2\n");
        ok("down");

        // Whatever the names of a lab are.
        ok("up routed");
        assert!(fails(1, "check --against remote").out.contains("sudo nslab agent start host-b"));
        trusted_by_need();
        assert!(ok("check --against remote").out.contains("5 of 5"));
        ok("down");
    });
}

fn trusted_by_need() {
    ok("agent start host-b");
    trusted();
}

#[test]
fn every_shipped_topology_is_as_its_checkpoints_say() {
    in_box(|| {
        let mut checked = 0;
        for name in shipped() {
            ok(&format!("up {name}"));
            if name.starts_with("bare") {
                let ran = fails(2, "check");
                assert!(ran.err.contains("nothing to check") && ran.err.contains("use --against"), "{ran}");
            } else {
                if name == "remote" {
                    trusted();
                }
                let ran = ok("check");
                assert!(ran.out.contains("checks passed") && !ran.out.contains("FAIL"), "{ran}");
                assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{ran}");
                checked += 1;
            }
            ok("down");
        }
        assert!(checked >= 6, "{checked}");
    });
}

#[test]
fn the_two_scenarios_never_pass_for_each_other() {
    in_box(|| {
        for (name, other) in
            [("bridged", "routed"), ("routed", "bridged"), ("three-hosts", "routed"), ("bridged-hosts", "routed")]
        {
            ok(&format!("up {name}"));
            let ran = fails(1, &format!("check --against {other}"));
            assert!(ran.out.contains("0 of "), "{ran}");
            ok("down");
        }
        for name in ["bridged-hosts", "three-hosts"] {
            ok(&format!("up {name}"));
            assert!(ok("check --against bridged").out.contains("50 of 50"));
            ok("down");
        }
    });
}

const TOOLS: &str = "name: tools
networks: { internal: {} }
hosts:
  host-a:
    nics: { enp0s8: { network: internal } }
    bridges: { br0: { ports: [enp0s8] } }
    containers: { a1: { nics: { eth0: { bridge: br0, address: 10.0.0.1/24 } } } }
  host-b:
    nics: { enp0s8: { network: internal } }
    bridges: { br0: { ports: [enp0s8] } }
    containers: { b1: { nics: { eth0: { bridge: br0, address: 10.0.0.2/24 } } } }
checkpoints:
  - name: commands
    points: 9
    checks:
      - { command: { node: a1, run: 'echo at home in $(hostname)', output: at home in a1 } }
      - { command: { node: b1, run: 'exit 3', exit: 3 } }
      - { command: { node: b1, run: 'echo no >&2; exit 4' } }
      - { command: { node: b1, run: 'no-such-tool-at-all' } }
      - { command: { node: host-a, run: 'sleep 30', timeout: 1 } }
      - { addresses: { of: a1, are: 10.0.0.1/24 } }
  - name: the wire
    points: 1
    checks:
      - { reach: [[a1, b1]] }
      - { forwarding: { off: [host-a, b1] } }
      - { bridge: { host: host-b, name: br0, ports: [enp0s8, b1] } }
";

#[test]
fn a_check_passes_fails_cannot_run_or_is_skipped_and_the_total_stays() {
    in_box(|| {
        fs::write("/run/tools.yaml", TOOLS).unwrap();
        ok("up /run/tools.yaml");
        let report = json("");
        let ended: Vec<String> = states(&report).into_iter().map(|(_, state)| state).collect();
        let expected = ["pass", "pass", "fail", "could-not-run", "fail", "pass", "pass", "pass", "pass"];
        assert_eq!(ended, expected, "{report:#}");
        assert_eq!((&report["points"], &report["reached"]), (&10.into(), &1.0.into()));
        assert_eq!(json("--partial")["reached"], 5.5);
        let output = fails(1, "check").out;
        for words in ["ended with 4, not 0. It says: no", "is not there: no-such-tool-at-all", "after 1 second", "COULD NOT RUN"]
        {
            assert!(output.contains(words), "{words:?} in:\n{output}");
        }
        let only = json("--only forwarding --only bridge");
        let skipped = states(&only).iter().filter(|(_, state)| state == "skipped").count();
        assert_eq!((skipped, &only["skipped"], &only["passed"]), (7, &7.into(), &2.into()));
        assert_eq!(nslab("check --only forwarding").code, 0);
        assert_eq!(states(&only).len(), 9);
        assert_eq!(nslab("check --only command").code, 1);
        assert!(fails(2, "check --only reech").err.contains("\"reach\""));
        assert!(fails(2, "check --against bare").err.contains("no checkpoints"));
        assert!(fails(2, "check --against brigded").err.contains("\"bridged\""));
        assert!(fails(2, "check nowhere").err.contains("\"nowhere\""));
        ok("down");
    });
}

#[test]
fn what_is_gone_never_passes() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-a", "ip link del enp0s8").expect(0);
        let ran = fails(1, "check");
        assert!(ran.out.contains("host-a.enp0s8 is gone"), "{ran}");
        ok("down");
        ok("up bridged");
        ok("stop b1");
        let ran = nslab("check");
        assert!(ran.out.contains("b1 is stopped.") && ran.out.contains("sudo nslab start b1"), "{ran}");
        assert!(!ran.out.contains("namespace"), "{ran}");
        ok("start b1");
        support::sh("umount /run/nslab/bridged/netns/host-b.b1");
        let report = json("");
        let states = states(&report);
        assert_eq!(states.len(), 7);
        let state = |kind: &str| states.iter().find(|(each, _)| each == kind).unwrap().1.clone();
        assert_eq!((state("reach").as_str(), state("path").as_str()), ("could-not-run", "could-not-run"), "{report:#}");
        assert_eq!(states.iter().filter(|(_, state)| state == "pass").count(), 1, "{states:?}");
        assert!(nslab("check").out.contains("The namespace of b1 is gone"));
        ok("down");
    });
}

#[test]
fn a_failure_comes_with_the_command_that_mends_it() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-b", "sysctl -qw net.ipv4.ip_forward=0").expect(0);
        let report = json("");
        let hints: Vec<&str> = report["checkpoints"][0]["checks"][0]["hints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hint| hint.as_str().unwrap())
            .collect();
        assert!(!hints.is_empty(), "{report:#}");
        for hint in hints {
            let line = hint.replace("sudo nslab", env!("CARGO_BIN_EXE_nslab"));
            run(Command::new("sh").args(["-c", &line])).expect(0);
        }
        ok("check");
        ok("down");
    });
}

#[test]
fn a_lab_of_an_older_nslab_has_nothing_to_check_and_can_be_checked_against_another() {
    in_box(|| {
        ok("up bridged");
        let path = "/run/nslab/bridged/lab.json";
        let mut journal: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert!(journal["topology"].as_object_mut().unwrap().remove("checkpoints").is_some());
        fs::write(path, journal.to_string()).unwrap();
        ok("status");
        fails(2, "check");
        ok("check --against bridged");
        let again = ok("up bridged");
        assert!(!again.err.contains("description of its own"), "{again}");
        ok("down");
    });
}

#[test]
fn junit_output_is_what_others_read() {
    in_box(|| {
        fs::write("/run/tools.yaml", TOOLS.replace("at home in a1 }", "'at <home> & \"a1\"' }")).unwrap();
        ok("up /run/tools.yaml");
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/junit.xsd");
        for (words, code) in [("check", 1), ("check --only reach", 0), ("--lang es check", 1)] {
            let ran = nslab(&format!("--format junit {words}")).expect(code);
            fs::write("/run/junit.xml", &ran.out).unwrap();
            run(Command::new("xmllint").args(["--noout", "--schema", schema, "/run/junit.xml"])).expect(0);
        }
        let count = |path: &str| run(Command::new("xmllint").args(["--xpath", path, "/run/junit.xml"])).out;
        nslab("--format junit check");
        assert_eq!(count("count(//testcase)").trim(), "9");
        assert_eq!(count("count(//failure)").trim(), "3");
        assert_eq!(count("count(//error)").trim(), "1");
        let refused = fails(2, "--format junit list");
        assert!(refused.err.contains("junit"), "{refused}");
        ok("down");
    });
}

/// A watching nslab whose output goes to a file.
fn watching(words: &str) -> std::process::Child {
    let out = fs::File::create("/run/watch.txt").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.args(["check", "--watch"]).args(words.split_whitespace()).stdin(Stdio::null()).stdout(out).spawn().unwrap()
}

/// Waits until the file says so.
fn until(what: &str, holds: impl Fn(&str) -> bool) {
    let began = Instant::now();
    while !holds(&fs::read_to_string("/run/watch.txt").unwrap()) {
        assert!(began.elapsed() < limit(20_000), "{what}:\n{}", fs::read_to_string("/run/watch.txt").unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn steps_turn_green_as_commands_land_in_another_terminal() {
    in_box(|| {
        ok("up bare");
        let mut child = watching("--against bridged");
        until("begins", |output| output.contains("7 checks failed"));
        let step = |script: &str| {
            let script = format!(". {}/tests/hand/steps\n{script}", env!("CARGO_MANIFEST_DIR"));
            run(Command::new("sh").args(["-c", &script]).env("LAB", "bare")).expect(0);
        };
        step("nics; cable host-a a1 v1; bridge host-a br0 enp0s8 v1");
        until("the first bridge", |output| output.contains("PASS  a bridge of host-a"));
        step("cable host-b b1 v1; bridge host-b br0 enp0s8 v1");
        until("the second bridge", |output| output.contains("PASS  a bridge of host-b"));
        step("at host-a.a1 addr add 10.0.0.1/24 dev eth0; at host-b.b1 addr add 10.0.0.2/24 dev eth0");
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", fs::read_to_string("/run/watch.txt").unwrap());
        let output = fs::read_to_string("/run/watch.txt").unwrap();
        assert!(output.contains("50 of 50 points") && !output.contains('\u{1b}'), "{output}");
        // A slow machine shows the bridge half made, which is a change, too.
        let lines: Vec<&str> = output.lines().collect();
        let at = lines.iter().enumerate().filter(|(_, line)| line.contains("a bridge of host-b"));
        let whole = |at: usize| {
            lines[at..].iter().enumerate().take_while(|(down, line)| *down == 0 || line.starts_with("        ")).count()
        };
        let printed: Vec<&[&str]> = at.map(|(at, _)| &lines[at..at + whole(at)]).collect();
        assert!(printed.len() >= 2, "{output}");
        assert!(printed.windows(2).all(|pair| pair[0] != pair[1]), "only changes are told:\n{output}");
        ok("down");
    });
}

#[test]
fn watching_hears_settings_filters_and_new_namespaces_and_is_quiet_where_nothing_changes() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-b", "sysctl -qw net.ipv4.ip_forward=0").expect(0);
        inside("routed", "host-a.a1", "nft add table ip mine").expect(0);
        let child = watching("");
        until("begins", |output| output.contains("Watching"));
        // The check's own pings, traces and taps are no news.
        let sent = || -> u64 {
            let ran = inside("routed", "host-a.a1", "cat /proc/net/snmp").expect(0);
            let rows: Vec<Vec<&str>> =
                ran.out.lines().filter(|line| line.starts_with("Icmp:")).map(|line| line.split(' ').collect()).collect();
            let column = rows[0].iter().position(|name| *name == "OutEchos").unwrap();
            rows[1][column].parse().unwrap()
        };
        std::thread::sleep(Duration::from_millis(700));
        let before = sent();
        assert!(before > 0, "the check has pinged");
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(sent(), before, "checked again though nothing has changed");
        inside("routed", "host-b", "sysctl -qw net.ipv4.ip_forward=1; nft 'add table ip t; add chain ip t f { type filter hook forward priority 0; policy drop; }'").expect(0);
        until("a filter", |output| {
            output.contains("PASS  host-a and host-b forward packets") && output.contains("A packet filter in host-b")
        });
        ok("exec host-b ip netns add late");
        ok("exec host-b ip link add v9 type veth peer name eth0 netns late");
        ok("exec host-b ip -n late addr add 10.9.0.2/30 dev eth0");
        until("a new namespace", |output| output.contains("host-b/late"));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let mut child = child;
        assert_eq!(child.wait().unwrap().code(), Some(1), "ends as the last state");
        ok("down");
    });
}

#[test]
fn a_hundred_containers_reach_each_other_in_time() {
    in_box(|| {
        let host = |name: &str, letter: &str, first: u8| {
            format!(
                "  {name}:\n    nics: {{ enp0s8: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [enp0s8] }} }}\n    \
                 containers: {{ {letter}: {{ count: 50, nics: {{ eth0: {{ bridge: br0, address: 10.0.0.{first}/24 }} }} }} }}\n"
            )
        };
        let hosts = host("host-a", "a", 11) + &host("host-b", "b", 131);
        let text = format!(
            "name: big\nnetworks: {{ internal: {{}} }}\nhosts:\n{hosts}checkpoints:\n  - name: all\n    points: 1\n    checks:\n      - \
             {{ reach: all }}\n      - {{ macs: {{ network: internal, owners: containers }} }}\n      - {{ addresses: {{ of: \
             containers, subnet: same }} }}\n"
        );
        fs::write("/run/big.yaml", text).unwrap();
        ok("up /run/big.yaml");
        let ran = ok("check");
        let bar = if cfg!(debug_assertions) { 15_000 } else { 2_500 };
        assert!(ran.took < limit(bar), "{ran}");
        inside("big", "host-b.b7", "ip addr del 10.0.0.137/24 dev eth0").expect(0);
        let ran = fails(1, "check");
        assert!(ran.out.contains("b7 has no address"), "{ran}");
        ok("down");
    });
}
