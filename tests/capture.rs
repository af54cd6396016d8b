//! What a capture tells, judged by tcpdump and by what was sent; needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::capture::{Capture, Sender};
use support::{Machine, fails, in_box, inside, nslab, ok, sh, wait_for};

fn ping(from: &str, to: &str) {
    inside("bridged", from, &format!("ping -c 1 -W 2 {to}")).expect(0);
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Every key of a JSON value, at any depth, is described in the document.
fn documented(value: &Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                assert!(include_str!("../docs/json.md").contains(&format!("`{key}`")), "docs/json.md does not describe `{key}`");
                documented(value);
            }
        }
        Value::Array(items) => items.iter().for_each(documented),
        _ => {}
    }
}

#[test]
fn a_ping_is_told_frame_by_frame_with_the_owners_of_the_mac_addresses() {
    in_box(|| {
        ok("up bridged");
        let capture = Capture::start("internal a1.eth0 icmp or arp");
        ping("host-a.a1", "10.0.0.21");
        let ran = capture.stop().expect(0);
        let printed: Vec<String> = ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for wanted in [
            "a1.eth0 out 02:00:01:00:01:00 a1 > ff:ff:ff:ff:ff:ff everybody ARP who has 10.0.0.21? Tell 10.0.0.11",
            "internal host-a > host-b 02:00:01:00:01:00 a1 > ff:ff:ff:ff:ff:ff everybody ARP who has 10.0.0.21? Tell 10.0.0.11",
            "internal host-b > host-a 02:00:02:00:01:00 b1 > 02:00:01:00:01:00 a1 ARP 10.0.0.21 is at 02:00:02:00:01:00",
            "a1.eth0 out 02:00:01:00:01:00 a1 > 02:00:02:00:01:00 b1 10.0.0.11 > 10.0.0.21 ttl 64 ICMP echo request id",
            "a1.eth0 in 02:00:02:00:01:00 b1 > 02:00:01:00:01:00 a1 10.0.0.21 > 10.0.0.11 ttl 64 ICMP echo reply id",
        ] {
            assert!(printed.iter().any(|line| line.contains(wanted)), "no line {wanted:?}\n{ran}");
        }
        let times: Vec<f64> = printed.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
        assert!(times.is_sorted() && times.iter().all(|time| *time < 20.0), "{ran}");
        assert!(ran.err.contains(&format!("{} frames", printed.len())) && ran.err.contains("none lost"), "{ran}");
        ok("down");
    });
}

#[test]
fn a_switch_is_its_ports_and_a_bridge_by_name_shows_what_passes_it() {
    in_box(|| {
        ok("up three-hosts");
        // Of the whole node the bridge itself shows only what is for the host.
        let node = Capture::start("host-a icmp --format json");
        inside("three-hosts", "host-a.a1", "ping -c 1 -W 2 10.0.0.21").expect(0);
        let ran = node.stop().expect(0);
        let points: Vec<Value> = lines(&ran.out).into_iter().map(|line| line["point"].clone()).collect();
        assert_eq!(points[..4], ["host-a.veth-a1", "host-a.enp0s8", "host-a.enp0s8", "host-a.veth-a1"], "{ran}");
        let capture = Capture::start("host-a.br0 internal host-a.veth-a1 icmp");
        inside("three-hosts", "host-a.a1", "ping -c 1 -W 2 10.0.0.21").expect(0);
        let ran = capture.stop().expect(0);
        let printed: Vec<String> = ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let ways: Vec<&str> = printed.iter().map(|line| line.split_once(' ').unwrap().1.split(" 02:").next().unwrap()).collect();
        let request =
            ["host-a.veth-a1 in", "host-a.br0 in", "internal.port1 host-a > internal", "internal.port2 internal > host-b"];
        let reply =
            ["internal.port2 host-b > internal", "internal.port1 internal > host-a", "host-a.br0 in", "host-a.veth-a1 out"];
        assert_eq!(ways, [request, reply].concat(), "{ran}");
        ok("down");
    });
}

#[test]
fn json_lines_are_as_documented_and_in_the_order_of_time() {
    in_box(|| {
        ok("up bridged");
        let capture = Capture::start("all --format json");
        for to in ["10.0.0.12", "10.0.0.21", "10.0.0.22"] {
            ping("host-a.a1", to);
        }
        inside("bridged", "host-a.a1", "ping -R -c 1 -W 2 10.0.0.12").expect(0);
        inside("bridged", "host-a.a1", "ping -c 1 -s 4000 -W 2 10.0.0.21").expect(0);
        let sender = Sender::at("bridged", "host-a.a1", "eth0");
        sender.send(&[&[0xff; 6][..], &[2, 0, 1, 0, 1, 0, 0x81, 0, 0, 7, 0x88, 0xb5], &[0; 46]].concat());
        let ran = capture.stop().expect(0);
        let printed = lines(&ran.out);
        printed.iter().for_each(documented);
        let (last, frames) = printed.split_last().unwrap();
        assert_eq!(
            (&last["event"], &last["frames"], &last["dropped"]),
            (&"end".into(), &frames.len().into(), &Value::Array(vec![]))
        );
        let times: Vec<u64> = frames.iter().map(|frame| frame["nanoseconds"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{ran}");
        // One echo request to b1 crosses three cables, each told once.
        let request = |frame: &&Value| {
            frame["payload"]["ip"]["destination"] == "10.0.0.21"
                && frame["payload"]["ip"]["body"]["echo"]["reply"] == false
                && frame["payload"]["ip"]["fragment"].is_null()
        };
        let points: Vec<&str> = frames.iter().filter(request).map(|frame| frame["point"].as_str().unwrap()).collect();
        assert_eq!(points, ["a1.eth0", "internal", "b1.eth0"], "{ran}");
        let crossing = frames.iter().filter(request).nth(1).unwrap();
        assert_eq!(crossing["ends"], serde_json::json!(["host-a", "host-b"]));
        assert_eq!(
            crossing["source"],
            serde_json::json!({ "mac": "02:00:01:00:01:00", "owner": { "node": "host-a.a1", "interface": "eth0" } })
        );
        let way = serde_json::json!(["10.0.0.11", "10.0.0.12"]);
        let recorded = |frame: &Value| {
            frame["payload"]["ip"]["route"]["addresses"].as_array().map(|all| all.iter().take(2).cloned().collect())
        };
        assert!(frames.iter().any(|frame| recorded(frame) == Some(way.clone())), "{ran}");
        assert!(frames.iter().any(|frame| frame["payload"]["ip"]["fragment"]["more"] == true));
        assert!(frames.iter().any(|frame| frame["vlan"] == 7 && frame["payload"]["other"] == 0x88b5), "{ran}");
        ok("down");
    });
}

#[test]
fn a_name_in_a_filter_stands_for_all_its_addresses() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-a.a1", "ip addr add fd00::11/64 dev eth0 nodad").expect(0);
        inside("bridged", "host-b.b1", "ip addr add fd00::21/64 dev eth0 nodad").expect(0);
        let by_address = Capture::start("internal --format json src host-a/a1 and (icmp or icmp6) and dst b1");
        let by_mac = Capture::start("internal --format json ether src b1.eth0 and not arp and not port 5353");
        ping("host-a.a1", "10.0.0.21");
        ping("host-a.a2", "10.0.0.21");
        ping("host-a.a1", "fd00::21");
        let addresses = |ran: &support::Ran, way: &str| -> Vec<String> {
            let echo = |frame: &Value| {
                let packet = &frame["payload"]["ip"];
                packet["body"].get("echo").is_some().then(|| packet[way].as_str().unwrap().to_owned())
            };
            lines(&ran.out).iter().filter_map(echo).collect()
        };
        let ran = by_address.stop().expect(0);
        assert_eq!(addresses(&ran, "source"), ["10.0.0.11", "fd00::11"], "{ran}");
        let ran = by_mac.stop().expect(0);
        assert_eq!(addresses(&ran, "destination"), ["10.0.0.11", "10.0.0.12", "fd00::11"], "{ran}");
        ok("down");
    });
}

#[test]
fn it_ends_after_so_many_frames_after_so_long_and_with_its_reader() {
    in_box(|| {
        ok("up bridged");
        let counted = Capture::start("a1 b1 -c 3 icmp");
        let mut left = Capture::start("a1 icmp");
        let idle =
            Capture::with(Command::new("sh").args(["-c", &format!("{} capture b2 arp | true", env!("CARGO_BIN_EXE_nslab"))]));
        let mut reader = BufReader::new(left.output());
        inside("bridged", "host-a.a1", "ping -c 3 -i 0.2 -W 2 10.0.0.21").expect(0);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("ICMP"));
        drop(reader);
        let ran = counted.end().expect(0);
        assert_eq!(ran.out.lines().count(), 3, "{ran}");
        let timed = nslab("capture a1 --for 400ms icmp --format json").expect(0);
        let took = lines(&timed.out).last().unwrap()["milliseconds"].as_u64().unwrap();
        assert!(took >= 400, "{timed}");
        ping("host-a.a1", "10.0.0.21");
        left.end().expect(0);
        // Nothing comes, and still it sees that nobody reads.
        idle.end().expect(0);
        let quiet = nslab("--quiet capture a1 --for 100ms icmp").expect(0);
        assert!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet}");
        let terminated = Capture::start("a1");
        terminated.signal(Signal::SIGTERM);
        terminated.end().expect(143);
        ok("down");
    });
}

#[test]
fn what_vanishes_is_told_and_the_rest_goes_on() {
    in_box(|| {
        let machine = Machine::look();
        ok("up bridged");
        inside("bridged", "host-a.a1", "ip link add left type veth peer name right; ip link set left up; ip link set right up");
        let mut capture = Capture::start("a1.left b1.eth0 a2 b2 icmp");
        inside("bridged", "host-a.a1", "ip link set left down").expect(0);
        capture.wait_for("a1.left is down");
        inside("bridged", "host-a.a1", "ip link del left").expect(0);
        capture.wait_for("a1.left is gone");
        inside("bridged", "host-a.a2", "ip link del eth0").expect(0);
        capture.wait_for("a2.eth0 is gone");
        ping("host-b.b2", "10.0.0.21");
        std::thread::sleep(Duration::from_millis(300));
        ok("down");
        let ran = capture.end().expect(0);
        assert!(ran.out.contains("b1.eth0 in") && ran.out.contains("b2.eth0 out"), "{ran}");
        assert!(ran.err.contains("nothing is left to listen at"), "{ran}");
        machine.assert_unchanged("a capture that outlived its lab");
    });
}

#[test]
fn a_capture_keeps_no_lab_from_going() {
    in_box(|| {
        ok("up bridged");
        let capture = Capture::start("all");
        ok("down");
        let ran = capture.end().expect(0);
        assert!(ran.err.contains("are gone"), "{ran}");
        assert!(wait_for(10, || sh("ip -o link").lines().count() == 1 && !std::path::Path::new("/run/nslab/bridged").exists()));
    });
}

#[test]
fn bad_words_are_refused_before_anything_is_opened() {
    in_box(|| {
        fails(2, "capture a1");
        ok("up bridged");
        let cases = [
            ("capture icmp", "where to listen?"),
            ("capture a9", "did you mean \"a1\""),
            ("capture a1.eth9", "did you mean \"eth0\""),
            ("capture internul", "did you mean \"internal\""),
            ("capture a1 icpm", "did you mean \"icmp\""),
            ("capture host-a.a1", "did you mean \"host-a/a1\""),
            ("capture a1 -- icpm", "did you mean icmp?"),
            ("capture a1 -w /run/x.pcapng host a1 or", "lacks a condition"),
            ("capture a1 -w /nowhere/x", "cannot write /nowhere/x"),
            ("capture a1 --for 10y", "10s, 500ms"),
            ("capture a1 -c 0", "at least 1"),
        ];
        for (words, message) in cases {
            let ran = fails(2, words);
            assert!(ran.err.contains(message) && ran.out.is_empty(), "{ran}");
        }
        assert!(!std::path::Path::new("/run/x.pcapng").exists());
        ok("up routed");
        let several = fails(2, "capture bridged/a1 routed/b1");
        assert!(several.err.contains("bridged, routed"), "{several}");
        let assumed = nslab("capture internal --for 50ms").expect(0);
        assert!(assumed.err.contains("taking routed"), "{assumed}");
        let exact = nslab("capture bridged/internal --for 50ms").expect(0);
        assert!(!exact.err.contains("taking"), "{exact}");
        ok("down --all");
    });
}

#[test]
fn a_node_named_like_a_filter_word_is_asked_about() {
    in_box(|| {
        let yaml = "name: odd\nnetworks: { net: {} }\nhosts:\n  arp:\n    nics: { eth0: { network: net } }\n  b:\n    nics: { eth0: { network: net } }\n";
        std::fs::write("/run/odd.yaml", yaml).unwrap();
        ok("up /run/odd.yaml");
        for word in ["arp", "net"] {
            let ran = fails(2, &format!("capture b {word}"));
            assert!(ran.err.contains(&format!("odd/{word}")) && ran.err.contains(&format!("-- {word}")), "{ran}");
            nslab(&format!("capture odd/{word} --for 50ms")).expect(0);
        }
        nslab("capture b --for 50ms -- arp").expect(0);
        ok("down");
    });
}

#[test]
fn a_terminal_that_is_too_narrow_gets_the_packet_below_its_frame() {
    in_box(|| {
        ok("up bridged");
        let on_terminal = |columns: u8| {
            let line = format!("stty cols {columns}; echo listening >&2; {} capture a1 -c 2 icmp", env!("CARGO_BIN_EXE_nslab"));
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo listening >&2; exec script -qec '{line}' /dev/null")]).env("TERM", "dumb");
            let capture = Capture::with(&mut command);
            // It says on the terminal that it listens: so there is traffic until it has ended.
            let ran = std::thread::scope(|scope| {
                scope.spawn(|| inside("bridged", "host-a.a1", "ping -c 40 -i 0.2 -w 8 10.0.0.12"));
                capture.end().expect(0)
            });
            ran.out.lines().filter(|line| line.contains("02:00:01") || line.contains("ICMP")).count()
        };
        assert_eq!((on_terminal(80), on_terminal(200)), (4, 2));
        ok("down");
    });
}

#[test]
fn it_needs_no_other_program_and_no_root_outside_a_user_namespace() {
    in_box(|| {
        let script = format!(
            "export PATH=/nowhere N={}; $N up routed && ($N capture internal -c 1 icmp --for 8s >/run/out 2>/run/err &) \
             && n=0; while ! /bin/grep -q listening /run/err; do n=$((n+1)); [ $n -lt 200 ] || exit 9; /bin/sleep 0.05; done; \
             $N ping a1 b1 -c 1 && /bin/sleep 1 && $N down && /bin/cat /run/out",
            env!("CARGO_BIN_EXE_nslab")
        );
        let boxed = format!("mount -t tmpfs tmpfs /run; {script}");
        let ran = support::run(Command::new("unshare").args(["-Urnm", "/bin/sh", "-c", &boxed])).expect(0);
        assert!(ran.out.contains("internal host-a > host-b") && ran.out.contains("ICMP echo request"), "{ran}");
    });
}

#[test]
fn a_hundred_containers_are_a_hundred_cables_and_a_wire() {
    in_box(|| {
        let host = |host: &str, number: u8, first: u8| {
            format!(
                "  {host}:\n    nics: {{ enp0s8: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [enp0s8] }} }}\n    \
                 containers:\n      c: {{ count: 50, nics: {{ eth0: {{ bridge: br0, address: 10.0.{number}.{first}/16 }} }} }}\n"
            )
        };
        let hosts = host("host-a", 1, 11) + &host("host-b", 2, 111);
        std::fs::write("/run/many.yaml", format!("name: many\nnetworks: {{ internal: {{}} }}\nhosts:\n{hosts}")).unwrap();
        ok("up /run/many.yaml");
        let capture = Capture::start("all --format json icmp");
        inside("many", "host-a.c1", "ping -c 1 -W 2 10.0.2.160").expect(0);
        let ran = capture.stop().expect(0);
        let printed = lines(&ran.out);
        let points: Vec<&str> = printed.iter().filter_map(|line| line["point"].as_str()).collect();
        let way = ["host-a/c1.eth0", "internal", "host-b/c50.eth0"];
        assert_eq!(points, [way, [way[2], way[1], way[0]]].concat(), "{ran}");
        ok("down");
    });
}
