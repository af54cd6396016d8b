//! Incus's stock client in a host's shell, and files of another host's containers, which it moves by SFTP alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{INCUS, Ran, in_box, inside, limit, ok, run, sh, wait_for};

/// A lab whose host-a commands host-b's containers as `t:`, from `/run/w`.
fn routed() {
    ok("up routed");
    ok("agent start host-b");
    sh("mkdir -p /run/w /run/home");
    let token = ok("agent token --name host-a host-b").out;
    incus(&["remote", "add", "t", token.trim()]).expect(0);
}

fn client(words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "routed.host-a", INCUS]).args(words).current_dir("/run/w").stdin(Stdio::null());
    command.envs([("INCUS_CONF", "/run/conf"), ("HOME", "/run/home"), ("LC_ALL", "C")]);
    command
}

fn incus(words: &[&str]) -> Ran {
    run(&mut client(words))
}

fn in_b1(script: &str) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "b1", "sh", "-euc", script])).expect(0).out
}

/// How many files the agent of host-b has open.
fn open_files() -> usize {
    sh("ls /proc/$(pgrep -f '[s]erve-agent routed host-b')/fd | wc -l").trim().parse().unwrap()
}

#[test]
fn in_class_a_hosts_shell_is_ready_for_incuss_client_too() {
    in_box(|| {
        ok("up remote");
        let on = |host: &str, words: &[&str]| {
            run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", host, INCUS]).args(words).env("INCUS_SOCKET", "/nowhere"))
        };
        assert_eq!(
            on("host-a", &["list", "-c", "ns4", "-f", "csv"]).expect(0).out,
            "a1,RUNNING,10.1.0.11 (eth0)\na2,RUNNING,10.1.0.12 (eth0)\n"
        );
        // Without internet, whatever the image is called.
        for image in ["host", "ubuntu:22.04", "images:debian/12", "debian/12"] {
            let said = on("host-a", &["launch", image, "c1"]).expect(0);
            assert!(!said.err.contains("first time") && !said.out.contains("first time"), "{said}");
            assert_eq!(on("host-a", &["exec", "c1", "--", "hostname"]).expect(0).out, "c1\n");
            on("host-a", &["delete", "-f", "c1"]).expect(0);
        }
        let token = ok("agent token --name host-a host-b").out;
        on("host-a", &["remote", "add", "host-b", token.trim()]).expect(0);
        on("host-a", &["launch", "host-b:host", "host-b:b3"]).expect(0);
        assert_eq!(on("host-a", &["exec", "host-b:b3", "--", "hostname"]).expect(0).out, "b3\n");
        on("host-a", &["delete", "-f", "host-b:b3"]).expect(0);
        // The assignment's third checkpoint sees that host-a commands host-b, whichever client was told so.
        assert!(ok("check").out.contains("5 of 5 points"));
        ok("down");
    });
}

#[test]
fn in_class_incuss_client_shows_what_passed_a_container_and_that_it_is_frozen() {
    in_box(|| {
        routed();
        sh(&format!("{} exec a1 ping -q -c 3 10.2.0.2", env!("CARGO_BIN_EXE_nslab")));
        // The kernel's own neighbour discovery may pass between the two looks.
        let same = || {
            let state = incus(&["query", "t:/1.0/instances/b1/state"]).expect(0).json();
            let kernel = inside("routed", "host-b.b1", "ip -j -s link show dev eth0").expect(0).json();
            let (told, seen) = (&state["network"]["eth0"]["counters"], &kernel[0]["stats64"]);
            let of = |way: &str, what: &str| {
                (told[format!("{what}_{way}")].as_u64().unwrap(), &seen[if way == "sent" { "tx" } else { "rx" }][what])
            };
            let all = [of("received", "packets"), of("received", "bytes"), of("sent", "packets"), of("sent", "bytes")];
            all.iter().all(|(told, seen)| *told >= 3 && *seen == told)
        };
        assert!(wait_for(20, same), "what is told is not what the kernel counts");
        let said = incus(&["info", "t:b1"]).expect(0);
        assert!(said.out.contains("10.2.0.2/30 (global)") && !said.out.contains("Created"), "{said}");

        sh(&format!("{} exec b1 sh -c 'sleep 1000 >/dev/null 2>&1 &'", env!("CARGO_BIN_EXE_nslab")));
        incus(&["pause", "t:b1"]).expect(0);
        let refused = incus(&["exec", "t:b1", "--", "true"]).expect(1);
        assert!(refused.err.contains("frozen"), "{refused}");
        assert_eq!(incus(&["file", "pull", "-q", "t:b1/etc/hostname", "-"]).expect(0).out, "b1\n");
        incus(&["resume", "t:b1"]).expect(0);
        incus(&["exec", "t:b1", "--", "true"]).expect(0);
        ok("down");
    });
}

#[test]
fn in_class_what_incus_has_and_the_agent_has_not_is_refused_and_not_passed_over() {
    in_box(|| {
        routed();
        for (words, said) in [
            (&["list", "t:", "--project", "other"][..], "Project not found"),
            (&["launch", "t:host", "t:c1", "--target", "member"], "when clustered"),
            (&["launch", "t:host", "t:c1", "--profile", "other"], "Profile not found"),
            (&["launch", "t:host", "t:c1", "--vm"], "VM"),
            (&["launch", "t:none", "t:c1"], "not found"),
            (&["config", "device", "add", "t:b1", "tmp", "disk", "source=/tmp", "path=/mnt"], "nslab does not support type=disk"),
            (
                &["config", "device", "add", "t:b1", "web", "proxy", "listen=tcp:127.0.0.1:80", "connect=tcp:127.0.0.1:80"],
                "nslab does not support type=proxy",
            ),
            (&["stop", "t:b1", "--stateful"], "cannot be kept"),
            (&["snapshot", "create", "t:b1"], "not found"),
            (&["copy", "t:b1", "t:c1"], "Unknown source"),
            (&["network", "create", "t:other", "--type=physical"], "Only bridges"),
        ] {
            let refused = incus(words).expect(1);
            assert!(refused.err.contains(said), "{refused}");
        }
        assert_eq!(incus(&["list", "t:", "-c", "ns", "-f", "csv"]).expect(0).out, "b1,RUNNING\nb2,RUNNING\n");
        assert_eq!(incus(&["config", "device", "list", "t:b1"]).expect(0).out.trim(), "");
        ok("down");
    });
}

#[test]
fn in_class_incuss_client_moves_files_whole_with_their_modes_and_owners() {
    in_box(|| {
        routed();
        sh("cd /run/w; head -c 16777216 /dev/urandom >big; chmod 751 big; chown 12:34 big; echo new >note
            mkdir -p tree/sub/empty; echo 1 >tree/one; echo 2 >tree/sub/two; : >tree/none; echo 3 >'tree/a b é'; chmod 700 tree/sub
            ln -s ../one tree/sub/link; ln -s /etc/hostname tree/far; ln -s /nowhere tree/dangling; seq -f 'tree/sub/f%g' 30 | xargs touch");
        incus(&["file", "push", "-q", "big", "t:b1/srv/big"]).expect(0);
        assert_eq!(in_b1("stat -c '%a %u %g %s' /srv/big"), "751 12 34 16777216\n");
        assert_eq!(in_b1("sha256sum </srv/big"), sh("sha256sum </run/w/big"));
        incus(&["file", "pull", "-q", "t:b1/srv/big", "back"]).expect(0);
        sh("cd /run/w; cmp big back; [ $(stat -c %a back) = 751 ]");
        incus(&["file", "push", "-q", "-p", "--mode", "0640", "--uid", "5", "--gid", "6", "note", "t:b1/srv/p/q/note"]).expect(0);
        assert_eq!(in_b1("stat -c '%a %u %g' /srv/p/q/note; cat /srv/p/q/note"), "640 5 6\nnew\n");

        incus(&["file", "push", "-q", "-r", "tree", "t:b1/srv/"]).expect(0);
        incus(&["file", "pull", "-q", "-r", "t:b1/srv/tree", "out"]).expect(0);
        sh("cd /run/w; diff -r --no-dereference tree out/tree; [ $(stat -c %a out/tree/sub) = 700 ]");
        assert_eq!(in_b1("readlink /srv/tree/sub/link /srv/tree/far /srv/tree/dangling"), "../one\n/etc/hostname\n/nowhere\n");
        // A second time over what is there, shorter.
        sh("cd /run/w; : >tree/one");
        incus(&["file", "push", "-q", "-r", "tree", "t:b1/srv/"]).expect(0);
        assert_eq!(in_b1("stat -c %s /srv/tree/one /srv/tree/sub/two"), "0\n2\n");

        incus(&["file", "create", "t:b1/srv/made", "--type=directory"]).expect(0);
        incus(&["file", "create", "t:b1/srv/made/link", "note", "--type=symlink"]).expect(0);
        run(client(&["file", "edit", "t:b1/srv/made/note"]).stdin(fs::File::open("/run/w/note").unwrap())).expect(0);
        assert_eq!(in_b1("cat /srv/made/link"), "new\n");
        let full = incus(&["file", "delete", "t:b1/srv/made"]).expect(1);
        assert!(full.err.contains("not empty"), "{full}");
        incus(&["file", "delete", "-f", "t:b1/srv/tree"]).expect(0);
        incus(&["file", "delete", "t:b1/srv/made/link", "t:b1/srv/made/note", "t:b1/srv/made"]).expect(0);
        assert_eq!(in_b1("ls /srv"), "big\np\n");
        ok("down");
    });
}

#[test]
fn in_class_no_path_of_incuss_client_leads_out_of_the_container() {
    in_box(|| {
        routed();
        sh("echo 'the machine' >/run/secret; echo mine >/run/w/note");
        in_b1(
            "cd /srv; ln -s /run/secret one; ln -s ../../../../run/secret two; ln -s /proc/1/root/run/secret three; ln -s / root; mkfifo pipe",
        );
        for path in [
            "/run/secret",
            "../../run/secret",
            "srv/../../../run/secret",
            "srv/one",
            "srv/two",
            "srv/three",
            "srv/root/run/secret",
            "proc/1/root/run/secret",
            "proc/self/root/run/secret",
            "proc/self/cwd/run/secret",
            "dev/zero",
            "srv/pipe",
        ] {
            let path = format!("t:b1/{path}");
            let read = incus(&["file", "pull", "-q", &path, "-"]).expect(1);
            assert!(!read.out.contains("machine"), "{read}");
            if !path.contains("dev") && !path.contains("pipe") {
                incus(&["file", "push", "-q", "note", &path]).expect(1);
            }
            if path.ends_with("secret") {
                incus(&["file", "delete", &path]).expect(1);
            }
        }
        assert_eq!(fs::read_to_string("/run/secret").unwrap(), "the machine\n");
        ok("down");
    });
}

#[test]
fn in_class_an_incus_client_that_vanishes_or_stops_reading_leaves_nothing_open() {
    in_box(|| {
        routed();
        sh("truncate -s 1G /run/w/huge; echo mine >/run/w/note");
        in_b1("truncate -s 1G /srv/huge");
        incus(&["list", "t:"]).expect(0);
        let before = open_files();
        let mut pushing = client(&["file", "push", "-q", "huge", "t:b1/srv/pushed"]).spawn().unwrap();
        assert!(wait_for(30, || in_b1("stat -c %s /srv/pushed 2>/dev/null || echo 0").trim() != "0"), "nothing arrives");
        pushing.kill().unwrap();
        pushing.wait().unwrap();
        // Who reads no more is kept waiting, not kept in memory.
        let mut pulling = client(&["file", "pull", "-q", "t:b1/srv/huge", "-"]).stdout(Stdio::piped()).spawn().unwrap();
        assert!(wait_for(30, || open_files() > before), "nobody pulls");
        std::thread::sleep(limit(1000));
        let agent = sh("pgrep -f '[s]erve-agent routed host-b'");
        let memory = sh(&format!("awk '/^VmRSS/ {{print $2}}' /proc/{}/status", agent.trim()));
        assert!(memory.trim().parse::<usize>().unwrap() < 64 << 10, "{memory} kB");
        pulling.kill().unwrap();
        pulling.wait().unwrap();
        assert!(wait_for(30, || open_files() <= before), "{} open files, {before} before", open_files());
        incus(&["file", "push", "-q", "note", "t:b1/srv/note"]).expect(0);
        assert_eq!(in_b1("cat /srv/note"), "mine\n");
        incus(&["delete", "-f", "t:b1"]).expect(0);
        ok("down");
    });
}
