//! What a capture writes, judged by tshark and tcpdump on the same frames; needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "support/frames.rs"]
mod frames;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use frames::{Dice, frame, seed};
use nix::sys::signal::Signal;
use support::capture::{Capture, Sender, delivered};
use support::{Ran, fails, in_box, inside, nslab, ok, run, sh};

/// What tshark reads of the frames of a file that pass its display filter: interface, description, direction, time.
fn tshark(file: &str, filter: &str) -> Vec<[String; 4]> {
    let mut command = Command::new("tshark");
    command.args(["-r", file, "-Y", filter, "-T", "fields", "-E", "separator=|"]);
    for field in ["frame.interface_name", "frame.interface_description", "frame.packet_flags_direction", "frame.time_epoch"] {
        command.args(["-e", field]);
    }
    let ran = run(&mut command).expect(0);
    let fields = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    ran.out.lines().map(fields).collect()
}

/// What `capinfos` says of a file, which must be whole.
fn capinfos(file: &str) -> String {
    run(Command::new("capinfos").arg(file)).expect(0).out
}

/// A block of its ring waits a second for more frames, and is lost where tcpdump ends before.
const TCPDUMPS_SECOND: Duration = Duration::from_millis(1500);

/// The bytes of every frame in a file, with its time in nanoseconds, as tcpdump reads them.
fn tcpdump_read(file: &str, filter: &str) -> Vec<(String, String)> {
    let mut command = Command::new("tcpdump");
    command.args(["-r", file, "-n", "-tt", "-xx", "--time-stamp-precision=nano", filter]);
    let ran = run(&mut command).expect(0);
    let mut frames: Vec<(String, String)> = Vec::new();
    for line in ran.out.lines() {
        match line.trim_start().split_once(":  ").filter(|_| line.starts_with('\t')) {
            Some((_, hex)) => frames.last_mut().unwrap().1 += &hex.replace(' ', ""),
            None => frames.push((line.split(' ').next().unwrap().to_owned(), String::new())),
        }
    }
    frames
}

/// tcpdump in a node, writing to a file, once it listens. What it has seen is in the file a second later.
fn tcpdump(node: &str, interface: &str, file: &str) -> Capture {
    let pin = format!("--net=/run/nslab/bridged/netns/{node}");
    let words = ["tcpdump", "-i", interface, "-U", "-Z", "root", "--time-stamp-precision=nano", "-w", file];
    Capture::with(Command::new("nsenter").arg(pin).args(words))
}

#[test]
fn tshark_reads_interfaces_directions_nanoseconds_and_bytes_as_tcpdump_saw_them() {
    in_box(|| {
        ok("up bridged");
        let spots = [("host-a.a1", "eth0", "a1.eth0"), ("host-a", "enp0s8", "internal"), ("host-b", "veth-b1", "host-b.veth-b1")];
        let foreign: Vec<Capture> =
            spots.iter().map(|(node, interface, ..)| tcpdump(node, interface, &format!("/run/{node}.pcap"))).collect();
        let capture = Capture::start("internal a1 host-b.veth-b1 -w /run/ours.pcapng");
        inside("bridged", "host-a.a1", "ping -c 2 -i 0.2 -W 2 10.0.0.21").expect(0);
        inside("bridged", "host-b.b1", "ping -c 1 -s 3000 -W 2 10.0.0.11").expect(0);
        let seed = seed();
        let sender = Sender::at("bridged", "host-b.b1", "eth0");
        for number in 0..200 {
            sender.send(&frame(&mut Dice(seed.wrapping_mul(101) + number)));
        }
        let ran = capture.stop().expect(0);
        std::thread::sleep(TCPDUMPS_SECOND);
        for tcpdump in foreign {
            tcpdump.stop().expect(0);
        }

        let ours = tshark("/run/ours.pcapng", "frame");
        assert!(ours.len() > 250 && ran.err.contains(&format!("{} frames in /run/ours.pcapng", ours.len())), "{ran}");
        let times: Vec<&str> = ours.iter().map(|frame| frame[3].as_str()).collect();
        assert!(times.is_sorted() && times.iter().any(|time| !time.ends_with("000")), "no nanoseconds, or no order");
        let bytes = tcpdump_read("/run/ours.pcapng", "");
        assert_eq!(bytes.len(), ours.len());
        for (node, _, name) in spots {
            let description = ours.iter().find(|frame| frame[0] == name).unwrap()[1].clone();
            assert!(description.contains("lab bridged"), "{description}");
            let mine: Vec<_> = ours.iter().zip(&bytes).filter(|(frame, _)| frame[0] == name).collect();
            // tcpdump began before and ended after: ours is a part of it, frame by frame.
            let theirs = tcpdump_read(&format!("/run/{node}.pcap"), "");
            let found = theirs.iter().position(|(_, hex)| *hex == mine[0].1.1);
            let first = found.unwrap_or_else(|| panic!("{name}: tcpdump has not seen {:?}, but {:?}", mine[0], theirs.len()));
            let part = &theirs[first..first + mine.len()];
            for ((_, (time, hex)), (their_time, their_hex)) in mine.iter().zip(part) {
                assert_eq!(hex, their_hex, "FRAMES_SEED={seed}: {name} at {time}");
                let apart = time.parse::<f64>().unwrap() - their_time.parse::<f64>().unwrap();
                assert!(apart.abs() < 0.001, "{name}: {time} and {their_time}");
            }
        }
        // A request goes out of a1, from host-a to host-b by the wire, and out of b1's port.
        let requests = tshark("/run/ours.pcapng", "icmp.type==8 && ip.dst==10.0.0.21 && icmp.seq==1");
        let ways: Vec<(&str, &str)> = requests.iter().map(|frame| (frame[0].as_str(), frame[2].as_str())).collect();
        let (inbound, outbound) = ("0x00000001", "0x00000002");
        let expected = [("a1.eth0", outbound), ("internal", outbound), ("host-b.veth-b1", outbound)];
        assert_eq!(ways.iter().map(|way| way.0).collect::<Vec<_>>(), expected.map(|way| way.0), "{ways:?}");
        assert!(ways.iter().zip(expected).all(|(way, wanted)| direction(way.1) == direction(wanted.1)), "{ways:?}");
        let replies = tshark("/run/ours.pcapng", "icmp.type==0 && ip.src==10.0.0.21 && icmp.seq==1");
        assert!(replies.len() == 3 && replies.iter().all(|frame| direction(&frame[2]) == direction(inbound)), "{replies:?}");
        assert!(capinfos("/run/ours.pcapng").contains("nslab"));
        ok("down");
    });
}

/// The number in tshark's way to write it.
fn direction(text: &str) -> u32 {
    text.strip_prefix("0x").map_or_else(|| text.parse().unwrap(), |hex| u32::from_str_radix(hex, 16).unwrap())
}

#[test]
fn filters_in_the_kernel_pass_what_tcpdumps_pass_on_the_same_frames() {
    in_box(|| {
        ok("up bridged");
        let filters = [
            "icmp",
            "arp",
            "ip6 and not icmp6",
            "host 10.0.0.11",
            "src net 10.0.0.0/24 and not arp",
            "port 53 or 80",
            "udp dst port 5353 or tcp",
            "ether src 02:00:01:00:02:00 and not ip",
        ];
        let everything = Capture::start("a1 -w /run/all.pcapng");
        let filtered: Vec<Capture> = filters
            .iter()
            .enumerate()
            .map(|(at, filter)| Capture::start(&format!("a1 -w /run/{at}.pcapng -- {filter}")))
            .collect();
        let seed = seed();
        let sender = Sender::at("bridged", "host-a", "veth-a1");
        for number in 0..3000 {
            let mut frame = frame(&mut Dice(seed.wrapping_mul(4099) + number));
            // A live filter looks behind a tag and a file's does not: untagged frames are the same to both.
            while [[0x81, 0], [0x88, 0xa8]].contains(&[frame[12], frame[13]]) {
                frame.drain(12..16);
            }
            sender.send(&frame);
        }
        everything.stop().expect(0);
        for capture in filtered {
            capture.stop().expect(0);
        }
        let all = tcpdump_read("/run/all.pcapng", "").len();
        assert!(all >= 3000, "{all}");
        for (at, filter) in filters.iter().enumerate() {
            let ours: Vec<String> = tcpdump_read(&format!("/run/{at}.pcapng"), "").into_iter().map(|(_, hex)| hex).collect();
            let theirs: Vec<String> = tcpdump_read("/run/all.pcapng", filter).into_iter().map(|(_, hex)| hex).collect();
            assert!(!ours.is_empty() && ours.len() < all, "{filter}: {} of {all}", ours.len());
            assert_eq!(ours, theirs, "FRAMES_SEED={seed}: {filter}");
        }
        ok("down");
    });
}

#[test]
fn a_pipe_is_followed_live() {
    in_box(|| {
        ok("up bridged");
        let mut capture = Capture::start("a1 -w - icmp");
        let mut tcpdump = Command::new("tcpdump")
            .args(["-n", "-l", "-r", "-"])
            .stdin(capture.output())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = tcpdump.stdout.take().unwrap();
        inside("bridged", "host-a.a1", "ping -c 1 -W 2 10.0.0.21").expect(0);
        // Both frames are there while the capture still runs.
        let mut seen = String::new();
        while seen.matches('\n').count() < 2 {
            let mut some = [0; 512];
            let number = out.read(&mut some).unwrap();
            assert!(number > 0, "it ended: {seen}");
            seen += &String::from_utf8_lossy(&some[..number]);
        }
        assert!(seen.contains("echo request") && seen.contains("echo reply"), "{seen}");
        tcpdump.kill().unwrap();
        tcpdump.wait().unwrap();
        // A reader that has gone is noticed without a frame, and is no error.
        capture.end().expect(0);
        ok("down");
    });
}

#[test]
fn signals_and_a_full_disk_leave_a_file_of_whole_blocks() {
    in_box(|| {
        ok("up bridged");
        sh("mkdir /run/small; mount -n -t tmpfs -o size=64k tmpfs /run/small");
        let full = Capture::start("a1 -w /run/small/x.pcapng");
        let by_signal: Vec<(Signal, i32, Capture)> = [(Signal::SIGINT, 0), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)]
            .map(|(signal, code)| (signal, code, Capture::start(&format!("a1 -w /run/{signal}.pcapng"))))
            .into();
        let sender = Sender::at("bridged", "host-a", "veth-a1");
        for number in 0..300_u16 {
            let [high, low] = number.to_be_bytes();
            sender.send(&[&[2, 0, 1, 0, 1, 0, 2, 9, 9, 9, high, low, 0x88, 0xb5][..], &[7; 900]].concat());
        }
        let ran = full.end().expect(1);
        assert!(ran.err.contains("/run/small/x.pcapng: No space left on device") && ran.err.contains("whole"), "{ran}");
        let kept = tcpdump_read("/run/small/x.pcapng", "").len();
        assert!((30..300).contains(&kept), "{kept} frames of 300 in 64 KiB");
        assert!(capinfos("/run/small/x.pcapng").contains("Number of packets:   "));
        for (signal, code, capture) in by_signal {
            std::thread::sleep(Duration::from_millis(100));
            capture.signal(signal);
            let ran = capture.end().expect(code);
            let file = format!("/run/{signal}.pcapng");
            assert!(tcpdump_read(&file, "").len() >= 300 && capinfos(&file).contains("Number of stat entries = 1"), "{ran}");
        }
        ok("down");
    });
}

#[test]
fn the_file_belongs_to_who_typed_sudo_and_links_are_not_followed() {
    in_box(|| {
        ok("up bridged");
        sh("mkdir -m 777 /run/open; mkdir -m 755 /run/closed; ln -s /run/closed/x /run/open/link");
        let sudo = |file: &str| -> Ran {
            let words = ["capture", "a1", "--for", "50ms", "-w", file];
            run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(words).env("SUDO_UID", "1234").env("SUDO_GID", "1235"))
        };
        sudo("/run/open/x.pcapng").expect(0);
        let meta = std::fs::metadata("/run/open/x.pcapng").unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (1234, 1235, 0o644));
        assert!(sudo("/run/closed/x.pcapng").expect(2).err.contains("Permission denied"));
        for ran in [sudo("/run/open/link"), fails(2, "capture a1 --for 50ms -w /run/open/link")] {
            assert!(ran.code == 2 && ran.err.contains("/run/open/link"), "{ran}");
        }
        assert!(fails(2, "capture a1 -w /run/open").err.contains("Is a directory"));
        assert_eq!(sh("ls -A /run/closed"), "");
        nslab("capture a1 --for 50ms -w /dev/null").expect(0);
        ok("down");
    });
}

#[test]
fn a_terminal_gets_no_pcapng() {
    in_box(|| {
        ok("up bridged");
        let line = format!("script -qec '{} capture a1 -w -' /dev/null", env!("CARGO_BIN_EXE_nslab"));
        let ran = run(Command::new("sh").args(["-c", &line]).stdin(Stdio::null())).expect(2);
        assert!(ran.out.contains("wireshark -k -i -"), "{ran}");
        ok("down");
    });
}

/// More than 64 MiB of rings take.
const SENT: usize = 60_000;

#[test]
fn frames_that_found_no_room_are_counted_and_told() {
    in_box(|| {
        ok("up bridged");
        let mut capture = Capture::start("a1 b1 -w - not ip6");
        let mut output = capture.output();
        let sender = Sender::at("bridged", "host-a", "veth-a1");
        // Nobody reads: the rings of 32 MiB fill.
        let frame = [&[2, 0, 1, 0, 1, 0, 2, 9, 9, 9, 9, 9, 0x88, 0xb5][..], &[7; 1486]].concat();
        let before = delivered("bridged", "host-a", "veth-a1");
        (0..SENT).for_each(|_| sender.send(&frame));
        let sent = delivered("bridged", "host-a", "veth-a1") - before;
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).unwrap();
            std::fs::write("/run/lost.pcapng", bytes).unwrap();
        });
        let ran = capture.stop().expect(0);
        reading.join().unwrap();
        let number = |text: &str| -> usize { text.trim().parse().unwrap() };
        let reported = ran.err.split("LOST for want of room: ").nth(1).and_then(|text| text.split(" at a1.eth0").next());
        let lost = number(reported.unwrap_or_else(|| panic!("{sent} delivered, and no loss told: {ran}")));
        assert!(lost > 5_000, "{ran}");
        let infos = run(Command::new("capinfos").args(["-T", "-r", "-c", "/run/lost.pcapng"])).expect(0).out;
        let kept = number(infos.trim().split('\t').next_back().unwrap());
        assert!(sent > SENT * 9 / 10 && kept + lost + 50 > sent && kept + lost < sent + 50, "{kept} + {lost} of {sent}");
        ok("down");
    });
}

#[test]
fn under_a_flood_it_loses_no_more_than_tcpdump() {
    in_box(|| {
        const FLOOD: u32 = 200_000;
        ok("up bridged");
        let binary = std::env::var("NSLAB_RELEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nslab").to_owned());
        let theirs = tcpdump("host-a.a1", "eth0", "/run/theirs.pcap");
        let ours = Capture::with(Command::new(binary).args(["capture", "a1.eth0", "-w", "/run/ours.pcapng"]));
        let sender = Sender::at("bridged", "host-a", "veth-a1");
        let mut frame = [&[2, 0, 1, 0, 1, 0, 2, 9, 9, 9, 9, 9, 0x88, 0xb5][..], &[0; 46]].concat();
        for number in 0..FLOOD {
            frame[14..18].copy_from_slice(&number.to_be_bytes());
            sender.send(&frame);
        }
        std::thread::sleep(TCPDUMPS_SECOND);
        let (ours, theirs) = (ours.stop().expect(0), theirs.stop().expect(0));
        let kept = |file: &str| -> BTreeMap<String, u32> {
            let mut numbers = BTreeMap::new();
            for (_, hex) in tcpdump_read(file, "ether proto 0x88b5") {
                *numbers.entry(hex[28..36].to_owned()).or_default() += 1;
            }
            numbers
        };
        let (mine, foreign) = (kept("/run/ours.pcapng"), kept("/run/theirs.pcap"));
        assert!(mine.values().all(|times| *times == 1), "a frame came twice");
        let (lost, others) = (FLOOD as usize - mine.len(), FLOOD as usize - foreign.len());
        // The slack is for what else the machine does.
        assert!(lost <= others + FLOOD as usize / 200, "ours lost {lost}, tcpdump {others}\n{ours}\n{theirs}");
        assert!(lost == 0 || ours.err.contains("LOST"), "{ours}");
        ok("down");
    });
}
