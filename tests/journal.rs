//! A journal from before a restart, damaged or planted: never followed blindly, and the lab still goes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::Command;

use support::{Machine, Wiring, canaries, fails, in_box, nslab, ok, run, sh};

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");
const JOURNAL: &str = "/run/nslab/bridged/lab.json";

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

#[test]
fn what_is_left_from_before_a_restart_is_told_and_cleared_by_up() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let lab = Wiring::look("bridged");
        let journal = fs::read_to_string(JOURNAL).unwrap();
        assert!(journal.contains(&boot_id()), "the journal does not say which boot it is of");
        let old = journal.replace(&boot_id(), "00000000-1111-2222-3333-444444444444");
        // On a machine whose /run is on disk: the files survive, the mounts and namespaces do not.
        sh("cp -a /run/nslab /run/kept 2>/dev/null || true
            find /run/kept -name netns -exec sh -c 'for pin in \"$1\"/*; do rm -f \"$pin\"; : > \"$pin\"; done' _ {} \\;
            umount -n -l /run/nslab; rmdir /run/nslab 2>/dev/null || true; mkdir -p -m 700 /run/nslab; cp -a /run/kept/. /run/nslab; rm -rf /run/kept");
        fs::write(JOURNAL, old).unwrap();
        let status = nslab("status bridged");
        assert_ne!(status.code, 0, "{status}");
        assert!(format!("{}{}", status.out, status.err).contains("restart"), "{status}");
        ok("up bridged");
        lab.assert_same(&Wiring::look("bridged"), "up after a restart");
        ok("status bridged");
        ok("down bridged");
        machine.assert_unchanged("a lab from before a restart");
    });
}

/// Brings the lab up, damages the journal, and takes it down: everything pinned goes, whatever the journal says.
fn damaged(machine: &Machine, what: &str, content: &[u8]) {
    ok("up bridged");
    fs::write(JOURNAL, content).unwrap();
    let down = nslab("down bridged");
    assert!([0, 5].contains(&down.code), "{what}: {down}");
    if down.code == 5 {
        assert!(!down.err.is_empty(), "{what}: exit code 5 in silence");
    }
    machine.assert_unchanged(&format!("down with a journal {what}\n{down}"));
}

#[test]
fn with_a_damaged_journal_down_still_ends_everything_under_the_name() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let whole = fs::read(JOURNAL).unwrap();
        ok("down bridged");
        let step = (whole.len() / 120).max(1);
        for length in (0..whole.len()).step_by(step) {
            damaged(&machine, &format!("cut at byte {length}"), &whole[..length]);
        }
        for at in (0..whole.len()).step_by(step * 2) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 7);
            damaged(&machine, &format!("with a bit of byte {at} flipped"), &flipped);
        }
        for foreign in ["{}", "[]", "null", "42", r#"{"format":1}"#, r#"{"format":"x","topology":[]}"#, "\u{0}\u{0}"] {
            damaged(&machine, &format!("of foreign content {foreign}"), foreign.as_bytes());
        }
        damaged(&machine, "nested deeply", "[".repeat(100_000).as_bytes());
    });
}

#[test]
fn up_over_a_damaged_journal_touches_nothing_it_cannot_explain() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        fs::write(JOURNAL, "{").unwrap();
        let lab = Wiring::look("bridged");
        let up = nslab("up bridged");
        assert!(up.code != 0 && up.err.contains("nslab down bridged"), "{up}");
        lab.assert_same(&Wiring::look("bridged"), "a refused up");
        nslab("down bridged");
        machine.assert_unchanged("down with a damaged journal");
    });
}

#[test]
fn a_journal_that_is_a_link_or_belongs_to_somebody_else_is_refused() {
    in_box(|| {
        ok("up bridged");
        let lab = Wiring::look("bridged");
        sh(&format!("cp {JOURNAL} /run/elsewhere; ln -sf /run/elsewhere {JOURNAL}"));
        fails(3, "down bridged");
        fails(3, "up bridged");
        lab.assert_same(&Wiring::look("bridged"), "a refused link");
        sh(&format!("rm {JOURNAL}; cp /run/elsewhere {JOURNAL}; chown 65534 {JOURNAL}"));
        fails(3, "down bridged");
        lab.assert_same(&Wiring::look("bridged"), "a refused owner");
        sh(&format!("chown 0 {JOURNAL}; rm /run/elsewhere"));
        ok("down bridged");
    });
}

#[test]
fn labs_are_known_without_their_index_and_for_others_it_is_said_that_they_are_not() {
    const INDEX: &str = "/run/nslab/index.json";
    let as_nobody = || run(Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups", NSLAB, "list"]));
    in_box(|| {
        let machine = Machine::look();
        ok("up bridged");
        ok("up routed");
        let (list, status) = (ok("list").out, ok("status").out);
        let spoil = [
            "rm INDEX",
            "echo x > INDEX",
            "rm INDEX; mkdir INDEX",
            "rmdir INDEX; ln -s /run/kept INDEX",
            "rm INDEX; echo [{}] > INDEX",
        ];
        sh(&format!("cp {INDEX} /run/kept"));
        for how in spoil {
            sh(&how.replace("INDEX", INDEX));
            assert_eq!((ok("list").out, ok("status").out), (list.clone(), status.clone()), "{how}");
            ok("ping bridged/a1 b1 -c 1");
            assert!(ok("show a1").out.contains("10.1.0.11"), "{how}: a bare name is no more that of the last lab");
            if !how.contains("[{}]") {
                let told = as_nobody().expect(3);
                assert!(told.err.contains("it is not known which labs are up"), "{how}: {told}");
            }
        }
        sh("echo x > /run/nslab/routed/lab.json");
        fails(5, "list");
        fails(5, "status");
        ok("status bridged");
        ok("down bridged");
        nslab("down routed");
        sh("rm /run/kept");
        machine.assert_unchanged("labs without an index");
    });
}

#[test]
fn the_place_of_all_labs_is_refused_when_somebody_else_made_it() {
    in_box(|| {
        sh("mkdir /run/nslab; chown 65534 /run/nslab");
        let machine = Machine::look();
        fails(3, "up bridged");
        machine.assert_unchanged("up with a foreign /run/nslab");
        sh("rmdir /run/nslab; mkdir /run/x; ln -s /run/x /run/nslab");
        let machine = Machine::look();
        fails(3, "up bridged");
        machine.assert_unchanged("up with /run/nslab a link");
    });
}

#[test]
fn without_its_journal_a_lab_still_goes_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up routed");
        fs::remove_file("/run/nslab/routed/lab.json").unwrap();
        let down = nslab("down routed");
        assert!([0, 5].contains(&down.code), "{down}");
        machine.assert_unchanged("down without a journal");
    });
}

/// Puts the records of `bridged` that the build at e262aea wrote in the place of those that are there.
fn as_of_e262aea(which: &str) {
    for (name, at) in [("lab", JOURNAL), ("index", "/run/nslab/index.json")] {
        let text = fs::read_to_string(format!("tests/records/e262aea/{which}{name}.json")).unwrap();
        fs::write(at, text.replace("BOOT", &boot_id())).unwrap();
    }
}

#[test]
fn a_lab_brought_up_by_an_older_build_is_shown_kept_and_taken_down() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let lab = Wiring::look("bridged");
        as_of_e262aea("");
        let status = ok("status bridged");
        assert!(status.out.contains("as described") && status.out.contains("2 hosts, 4 containers"), "{status}");
        let show = ok("show a1");
        assert!(show.out.contains("eth0") && show.out.contains("10.0.0."), "{show}");
        ok("ping a1 b1 -c 1");
        let up = ok("up bridged");
        assert!(up.out.contains("already"), "{up}");
        lab.assert_same(&Wiring::look("bridged"), "up over the records of an older build");
        as_of_e262aea("");
        ok("down bridged");
        machine.assert_unchanged("a lab of an older build");
    });
}

#[test]
fn what_was_launched_and_stopped_under_an_older_build_is_known_and_reset() {
    in_box(|| {
        canaries();
        let machine = Machine::look();
        ok("up bridged");
        let lab = Wiring::look("bridged");
        ok("launch host-a/a3");
        ok("stop a2");
        as_of_e262aea("edited-");
        let status = ok("status bridged");
        for word in ["as described", "5 containers", "1 launched", "1 stopped"] {
            assert!(status.out.contains(word), "{word}: {status}");
        }
        ok("start a2");
        sh("ip netns list | grep -q bridged.host-a.a2");
        ok("stop a2");
        as_of_e262aea("edited-");
        ok("reset bridged --yes");
        lab.assert_same(&Wiring::look("bridged"), "reset of the records of an older build");
        ok("down bridged");
        machine.assert_unchanged("an edited lab of an older build");
    });
}

/// A part of a lab on the machine itself, with a NIC of its or without, and a bridge that no NIC is in.
fn part(nic: bool) -> &'static str {
    let nics = if nic { "\n    nics: { enp0s8: { network: n } }" } else { "" };
    let file = format!(
        "name: part\nnetworks: {{ n: {{}} }}\nhosts:\n  a:{nics}\n    bridges: {{ br0: {{ address: 10.9.0.1/24 }}, br1: {{}} }}\n    \
         routes: [ {{ to: 10.8.0.0/16, blackhole: true }} ]\n    \
         containers:\n      c1: {{ nics: {{ eth0: {{ bridge: br0, address: 10.9.0.2/24 }} }} }}\n  \
         b: {{ nics: {{ e: {{ network: n }}, f: {{ network: n }} }} }}\n"
    );
    fs::write("/run/part.yaml", file).unwrap();
    if nic { "up /run/part.yaml --role a --nic enp0s8" } else { "up /run/part.yaml --role a" }
}

#[test]
fn with_a_role_nothing_on_the_machine_outlives_a_journal_that_is_damaged_or_gone() {
    in_box(|| {
        sh(
            "ip link add enp0s8 type veth peer name far; ip link set enp0s8 up; ip link set enp0s8 down; ip link add br7 type bridge",
        );
        for nic in [true, false] {
            let up = part(nic);
            let machine = Machine::look();
            let damages = [
                "truncate -s 100 lab.json",
                "echo broken > lab.json",
                ": > lab.json",
                "rm lab.json",
                "sed -i s/br0/br7/g lab.json",
                "sed -i 's/\"format\":1/\"format\":99/' lab.json",
            ];
            for damage in damages {
                ok(up);
                sh(&format!("ip link show br0; ip link show br1; ip route | grep -q blackhole; cd /run/nslab/part; {damage}"));
                let down = nslab("down part");
                assert!([0, 5].contains(&down.code), "{damage}: {down}");
                machine.assert_unchanged(&format!("down after {damage}, with a NIC: {nic}\n{down}"));
            }
        }
    });
}

#[test]
fn with_both_records_lost_down_names_what_looks_like_the_labs_and_how_it_goes() {
    in_box(|| {
        sh("ip link add br7 type bridge");
        let up = part(false);
        let machine = Machine::look();
        ok(up);
        sh("cd /run/nslab/part; echo broken > lab.json; echo broken > made.json; ip route del blackhole 10.8.0.0/16");
        let down = fails(5, "down part");
        for name in ["br0", "br1"] {
            let line = format!("sudo ip link del {name}");
            assert!(down.err.contains(&line), "{down}");
            sh(line.trim_start_matches("sudo "));
        }
        assert!(!down.err.contains("br7"), "{down}");
        machine.assert_unchanged("what was named is gone");
    });
}
