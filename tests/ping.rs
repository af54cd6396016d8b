//! `nslab ping` beside the ping program, tcpdump and tshark.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Machine, Wiring, fails, in_box, inside, nslab, ok, run, sh, wait_for};

fn json_of(words: &str) -> Value {
    nslab(&format!("--format json {words}")).json()
}

/// tcpdump in a node, writing to a file.
struct Dump {
    child: Child,
    file: String,
}

impl Dump {
    fn begin(lab: &str, node: &str, interface: &str, filter: &str) -> Self {
        let file = format!("/run/{node}.{interface}.pcap");
        let log = format!("{file}.log");
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/nslab/{lab}/netns/{node}"))
            .args([
                "tcpdump",
                "--immediate-mode",
                "-s",
                "256",
                "-B",
                "4096",
                "-U",
                "-Z",
                "root",
                "-i",
                interface,
                "-w",
                &file,
                filter,
            ])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        assert!(wait_for(20, || std::fs::read_to_string(&log).unwrap().contains("listening on")), "tcpdump does not begin");
        Self { child, file }
    }

    /// The fields of each packet, as tshark reads them, once there are so many packets.
    fn fields(mut self, packets: usize, fields: &str) -> Vec<String> {
        let read = || sh(&format!("tshark -r {} -T fields {fields} 2>/dev/null || true", self.file));
        wait_for(20, || read().lines().count() >= packets);
        sh(&format!("kill -INT {}", self.child.id()));
        self.child.wait().unwrap();
        read().lines().map(str::to_owned).collect()
    }
}

fn addresses(parties: &Value) -> Vec<String> {
    parties.as_array().unwrap().iter().map(|party| party["address"].as_str().unwrap().to_owned()).collect()
}

fn owners(parties: &Value) -> Vec<String> {
    let word =
        |party: &Value| format!("{}.{}", party["owner"]["node"].as_str().unwrap(), party["owner"]["interface"].as_str().unwrap());
    parties.as_array().unwrap().iter().map(word).collect()
}

#[test]
fn a_ping_says_what_the_ping_program_says_and_whose_the_address_is() {
    in_box(|| {
        ok("up routed");
        let ours = ok("ping a1 b1 -c 3 -s 100");
        let theirs = inside("routed", "host-a.a1", "ping -n -c 1 -s 100 10.2.0.2").expect(0).out;
        assert!(theirs.contains("108 bytes from 10.2.0.2") && theirs.contains("ttl=62"), "{theirs}");
        let lines = ours
            .out
            .lines()
            .filter(|line| line.starts_with("108 bytes from b1.eth0 (10.2.0.2): seq=") && line.contains(" ttl=62 time="));
        assert_eq!(lines.count(), 3, "{ours}");
        assert!(ours.out.contains("3 sent, 3 answered, 0 % lost"), "{ours}");
        assert_eq!(ok("ping a1 10.2.0.2 -c 1").out.lines().next(), ok("ping a1 b1 -c 1").out.lines().next());
        let interface = ok("ping a1 host-a.br0 -c 1");
        assert!(interface.out.contains("from host-a.br0 (10.1.0.1): seq=1 ttl=64"), "{interface}");
        ok("down");
    });
}

#[test]
fn a_recorded_route_agrees_with_tshark_and_with_the_ping_program() {
    in_box(|| {
        for (lab, from, to, turn) in [("routed", "host-a.a1", "10.2.0.2", 4), ("bridged", "host-a.a1", "10.0.0.21", 2)] {
            ok(&format!("up {lab}"));
            let dump = Dump::begin(lab, from, "eth0", "icmp[icmptype] == icmp-echoreply");
            let ran = nslab(&format!("--format json ping a1 {to} -R -c 1")).expect(0);
            let seen = dump.fields(1, "-e ip.rec_rt");
            let route = &ran.json()["events"][0]["reply"]["route"];
            let ours = [addresses(&route["there"]), addresses(&route["back"])].concat();
            // The kernel itself writes the last one, as the answer comes in: the wire does not show it.
            let seen: Vec<&str> = seen[0].split(',').filter(|address| *address != "0.0.0.0").collect();
            assert_eq!(ours[..ours.len() - 1], seen, "{ran}");
            let theirs = inside(lab, from, &format!("ping -n -R -c 1 {to}")).expect(0).out;
            let theirs: Vec<&str> = theirs
                .lines()
                .skip_while(|line| !line.starts_with("RR:"))
                .take_while(|line| !line.is_empty())
                .map(|line| line.trim_start_matches("RR:").trim())
                .collect();
            assert_eq!(ours, theirs);
            assert_eq!(addresses(&route["there"]).len(), turn);
            assert_eq!(route["full"], false);
            ok("down");
        }
        ok("up routed");
        let route = &json_of("ping a1 b1 -R -c 1")["events"][0]["reply"]["route"];
        assert_eq!(owners(&route["there"]), ["host-a.a1.eth0", "host-a.enp0s8", "host-b.veth-b1", "host-b.b1.eth0"]);
        assert_eq!(owners(&route["back"]), ["host-b.b1.eth0", "host-b.enp0s8", "host-a.br0", "host-a.a1.eth0"]);
        let text = ok("ping a1 b1 -R -c 2").out;
        assert!(
            text.contains("there 10.1.0.11") && text.contains("back  10.2.0.2") && text.contains("the same as before"),
            "{text}"
        );
        assert!(text.contains("traceroute"), "{text}");
        ok("down");
    });
}

#[test]
fn full_slots_are_told() {
    in_box(|| {
        ok("up routed-router");
        let text = ok("ping a1 b1 -R -c 1");
        assert!(text.out.contains("nine slots are full"), "{text}");
        let route = &json_of("ping a1 b1 -R -c 1")["events"][0]["reply"]["route"];
        assert_eq!((addresses(&route["there"]).len(), addresses(&route["back"]).len()), (6, 3), "{route}");
        assert_eq!(route["full"], true);
        ok("down");
    });
}

#[test]
fn errors_that_come_back_are_shown_with_who_says_so() {
    in_box(|| {
        ok("up routed");
        let expired = fails(1, "ping a1 b1 -c 1 -t 1");
        assert!(expired.out.contains("From host-a.br0 (10.1.0.1): seq=1 the time to live has run out"), "{expired}");
        assert!(expired.out.contains("nslab trace a1 10.2.0.2"), "{expired}");
        let nobody = fails(1, "ping a1 10.1.0.77 -c 1");
        assert!(nobody.out.contains("From a1.eth0 (10.1.0.11): seq=1 destination host unreachable"), "{nobody}");
        inside("routed", "host-b", "ip route add prohibit 10.2.0.2/32").expect(0);
        let refused = json_of("ping a1 b1 -c 1");
        let error = &refused["events"][0]["error"];
        assert_eq!(
            (&error["fault"]["error"], &error["from"]["owner"]["node"]),
            (&json!("prohibited"), &json!("host-b")),
            "{refused}"
        );
        inside("routed", "host-b", "ip route del prohibit 10.2.0.2/32").expect(0);
        inside("routed", "host-a.a1", "ip route del default").expect(0);
        let unsent = fails(1, "ping a1 b1 -c 1");
        assert!(unsent.out.contains("was not sent: no route"), "{unsent}");
        ok("down");
    });
}

#[test]
fn a_small_mtu_on_the_way_is_told_and_not_remembered() {
    in_box(|| {
        ok("up routed");
        for (node, interface) in [("host-a", "enp0s8"), ("host-b", "enp0s8")] {
            inside("routed", node, &format!("ip link set {interface} mtu 1300")).expect(0);
        }
        ok("ping a1 b1 -c 1 -s 1400");
        let cache = || inside("routed", "host-a.a1", "ip route get 10.2.0.2; ip route show cache").expect(0).out;
        inside("routed", "host-a.a1", "ping -n -c 1 -M do -s 1400 10.2.0.2").expect(1);
        assert!(cache().contains("mtu 1300"), "the ping program leaves it: {}", cache());
        inside("routed", "host-a.a1", "ip route flush cache").expect(0);
        let big = json_of("ping a1 b1 -c 1 -s 1400 --df");
        assert_eq!(big["events"][0]["error"]["fault"], json!({ "error": "too-big", "mtu": 1300 }), "{big}");
        assert_eq!(big["events"][0]["error"]["from"]["owner"], json!({ "node": "host-a", "interface": "br0" }));
        assert!(!cache().contains("mtu 1300"), "{}", cache());
        ok("down");
    });
}

#[test]
fn ipv6_is_pinged_and_its_errors_are_read() {
    in_box(|| {
        let file = "/run/six.yaml";
        std::fs::write(
            file,
            "name: six
networks: { net: {} }
hosts:
  h1:
    forwarding: true
    nics: { e0: { network: net, address: 'fd00:0:0:9::1/64' } }
    gateway: 'fd00:0:0:9::2'
    containers:
      a: { nics: { eth0: { address: ['fd00:0:0:1::2/64', 10.1.0.2/30], host: { name: va, address: ['fd00:0:0:1::1/64', 10.1.0.1/30] } } }, gateway: 'fd00:0:0:1::1' }
  h2:
    forwarding: true
    nics: { e0: { network: net, address: 'fd00:0:0:9::2/64' } }
    gateway: 'fd00:0:0:9::1'
    containers:
      b: { nics: { eth0: { address: 'fd00:0:0:2::2/64', host: { name: vb, address: 'fd00:0:0:2::1/64' } } }, gateway: 'fd00:0:0:2::1' }
",
        )
        .unwrap();
        ok(&format!("up {file}"));
        let answer = ok("ping a b -c 1");
        assert!(answer.out.contains("64 bytes from b.eth0 (fd00:0:0:2::2): seq=1 ttl=62"), "{answer}");
        let expired = json_of("ping a b -c 1 -t 1");
        assert_eq!(expired["events"][0]["error"]["fault"]["error"], "time-exceeded", "{expired}");
        assert_eq!(expired["events"][0]["error"]["from"]["owner"]["interface"], "va");
        for host in ["h1", "h2"] {
            inside("six", host, "ip link set e0 mtu 1300").expect(0);
        }
        let big = json_of("ping a b -c 1 -s 1400");
        assert_eq!(big["events"][0]["error"]["fault"], json!({ "error": "too-big", "mtu": 1300 }), "{big}");
        let route = inside("six", "h1.a", "ip -6 route get fd00:0:0:2::2").expect(0).out;
        assert!(route.contains("fd00:0:0:1::1") && !route.contains("1300"), "{route}");
        assert!(fails(2, "ping a b -R").err.contains("IPv6 has no record route"));
        assert!(fails(2, "ping a b -4").err.contains("no IPv4 address"));
        assert!(ok("ping a h1.va -c 1").out.contains("h1.va (10.1.0.1)"), "IPv4 comes first where both are reached");
        assert!(ok("ping a h1.va -6 -c 1").out.contains("h1.va (fd00:0:0:1::1)"));
        ok("down");
    });
}

#[test]
fn several_at_once_do_not_confuse_one_another() {
    in_box(|| {
        ok("up bridged");
        let targets = ["a2", "b1", "b2", "a2", "b1", "b2"];
        let all: Vec<Value> = std::thread::scope(|scope| {
            let each = targets.map(|to| scope.spawn(move || json_of(&format!("ping a1 {to} -c 20 -i 0.01"))));
            each.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for one in all {
            let events = one["events"].as_array().unwrap();
            assert_eq!((&one["received"], events.len()), (&json!(20), 20), "{one}");
            assert!(
                events.iter().all(|event| event["reply"]["from"] == one["to"] && event["reply"]["duplicate"] == false),
                "{one}"
            );
        }
        ok("down");
    });
}

#[test]
fn a_ping_leaves_from_the_address_that_was_asked_for() {
    in_box(|| {
        ok("up routed");
        inside("routed", "host-a.a1", "ip addr add 10.1.0.99/24 dev eth0; ip addr add fd00:9::1/64 dev eth0 nodad").expect(0);
        let dump = Dump::begin("routed", "host-b.b1", "eth0", "icmp");
        let report = json_of("ping a1 b1 -c 1 --from 10.1.0.99");
        assert_eq!(report["received"], 1, "{report}");
        assert_eq!(report["source"], "10.1.0.99");
        assert_eq!(dump.fields(2, "-e ip.src"), ["10.1.0.99", "10.2.0.2"]);
        assert_eq!(json_of("trace a1 b1 --from 10.1.0.99")["request"]["source"], "10.1.0.99");
        for (words, message) in [
            ("--from 10.2.0.2", "10.1.0.11"),
            ("--from 10.1.0.99 -6", "IPv6"),
            ("--from fd00:9::1 -4", "IPv4"),
            ("--from fd00:9::1", "b1"),
            ("--from 10.1.0", "10.1.0"),
        ] {
            let ran = fails(2, &format!("ping a1 b1 {words}"));
            assert!(ran.err.contains(message) && ran.out.is_empty(), "{ran}");
        }
        assert!(fails(2, "ping --all --from 10.1.0.99").err.contains("--from"));
        ok("down");
    });
}

#[test]
fn wrong_words_are_refused_before_anything_is_sent() {
    in_box(|| {
        assert!(fails(2, "ping a1 b1").err.contains("No lab is up"));
        assert!(fails(2, "ping --all").err.contains("no lab is up"));
        ok("up bridged");
        for (words, message) in [
            ("ping a1 zebra", "zebra"),
            ("ping a9 b1", "\"a1\""),
            ("ping a1 b1.eth7", "eth0"),
            ("ping a1 10.0.0.300", "neither an address"),
            ("ping a1 10.0.0.1/24", "neither an address"),
            ("ping a1 host-a", "no IP address"),
            ("ping a1 b1 -c 0", "0"),
            ("ping a1 b1 -t 256", "256"),
            ("ping a1 b1 -s 65508", "65508"),
            ("ping a1", "nslab ping a1 b1"),
            ("ping --all nowhere", "nowhere"),
            ("ping --all -R", "--all"),
            ("ping a1 fe80::1%eth9", "eth0"),
        ] {
            let ran = fails(2, words);
            assert!(ran.err.contains(message), "{ran}");
        }
        ok("down");
    });
}

#[test]
fn nothing_outlives_a_ping_and_no_other_program_is_run() {
    in_box(|| {
        ok("up bridged");
        let (machine, wiring) = (Machine::look(), Wiring::look("bridged"));
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let log = "/run/exec.log";
        for words in ["ping a1 b1 -c 1", "ping a1 b1 -c 1 -R", "ping --all"] {
            run(Command::new("strace").args(["-f", "-e", "trace=execve", "-o", log, nslab]).args(words.split(' '))).expect(0);
            let ran = std::fs::read_to_string(log).unwrap();
            assert_eq!(ran.matches("execve(").count(), 1, "{ran}");
            std::fs::remove_file(log).unwrap();
            machine.assert_unchanged(words);
            wiring.assert_same(&Wiring::look("bridged"), words);
        }
        ok("down");
    });
}

#[test]
fn a_closed_pipe_or_an_interrupt_ends_it_at_once() {
    in_box(|| {
        ok("up bridged");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        sh(&format!("timeout 20 {nslab} ping a1 b1 -c 100000 | head -n 3"));
        let out = sh(&format!("timeout -s INT {} {nslab} ping a1 b1 -c 100000 || true", support::limit(1000).as_secs()));
        assert!(out.contains("0 % lost"), "{out}");
        assert!(Path::new("/run/nslab/bridged").exists());
        ok("down");
    });
}

#[test]
fn it_works_as_root_of_a_user_namespace_only() {
    in_box(|| {
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let script = format!(
            "mount -t tmpfs tmpfs /run && {nslab} up bridged && {nslab} ping a1 b1 -c 1 && {nslab} ping a1 b1 -c 1 -R && {nslab} ping --all && {nslab} down"
        );
        let output = sh(&format!("unshare -Urnm --propagation private sh -c '{script}'"));
        assert!(output.contains("12 pairs: 12 answered"), "{output}");
    });
}
