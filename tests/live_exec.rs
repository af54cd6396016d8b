//! `exec`, `shell` and `ps` on the running kernel. Needs root, for a box to work in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use support::{Ran, fails, in_box, nslab, ok, rounds, run, sh, wait_for};

/// A command of nslab whose last argument is a script.
fn exec(node: &str, script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.args(["exec", node, "sh", "-c", script]).stdin(std::process::Stdio::null()).current_dir("/");
    command
}

/// Runs a script in a node.
fn inside(node: &str, script: &str) -> Ran {
    run(&mut exec(node, script))
}

#[track_caller]
fn says(node: &str, script: &str) -> String {
    inside(node, script).expect(0).out.trim().to_owned()
}

/// The inits of all sandboxes.
fn inits() -> usize {
    let named = |entry: &fs::DirEntry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.starts_with(b"nslab: init of ")
    };
    fs::read_dir("/proc").unwrap().flatten().filter(named).count()
}

#[test]
fn a_node_has_a_hostname_processes_names_and_links_of_its_own() {
    in_box(|| {
        ok("up bridged");
        assert_eq!(says("a1", "hostname; cat /etc/hostname"), "a1\na1");
        assert_eq!(says("host-a", "hostname"), "host-a");
        let processes = says("a1", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; ls -d /proc/[0-9]* | wc -l");
        assert!(processes.starts_with("nslab: init of bridged/host-a.a1"), "{processes}");
        assert!(processes.lines().last().unwrap().parse::<u32>().unwrap() <= 4, "{processes}");
        assert!(says("a1", "getent hosts b1").starts_with("10.0.0.21"));
        assert_eq!(says("a1", "cat /etc/resolv.conf"), "nameserver 127.0.0.1");
        assert_eq!(says("a1", "ls /sys/class/net"), "eth0\nlo");
        assert_eq!(says("host-a", "ls -d /sys/class/net/br0 /sys/fs/cgroup"), "/sys/class/net/br0\n/sys/fs/cgroup");
        ok("exec a1 ping -c 1 -W 2 b1");
    });
}

#[test]
fn what_a_node_writes_stays_in_the_node_until_the_lab_goes() {
    in_box(|| {
        ok("up bridged");
        let (new, old) = ("/root/nslab-test-new", "/etc/hostname");
        let before = fs::read(old).unwrap_or_default();
        says("a1", &format!("echo mine > {new}; echo changed > {old}; rm -r /usr/share/doc; echo t > /tmp/nslab-test-new"));
        assert!(!Path::new(new).exists() && !Path::new("/tmp/nslab-test-new").exists());
        assert_eq!(fs::read(old).unwrap_or_default(), before);
        assert_eq!(
            says("a1", &format!("cat {new} {old} /tmp/nslab-test-new; ls -d /usr/share/doc 2>&1 | wc -l")),
            "mine\nchanged\nt\n1"
        );
        assert_eq!(inside("a2", &format!("cat {new}")).code, 1, "another node sees it");
        ok("down");
        ok("up bridged");
        assert_eq!(inside("a1", &format!("cat {new}")).code, 1, "it outlived its lab");
    });
}

#[test]
fn other_disks_are_read_only_and_the_callers_directory_is_as_it_is() {
    in_box(|| {
        sh("mount -t tmpfs disk /mnt && mkdir /mnt/work && touch /mnt/file");
        ok("up bridged");
        let refused = inside("a1", "ls /mnt; touch /mnt/file").expect(1);
        assert!(refused.out.contains("work") && refused.err.contains("Read-only"), "{refused}");
        // The first one makes the sandbox, the second one finds it.
        for name in ["first", "second"] {
            let script = format!("pwd; touch {name}; sleep 1 >/dev/null 2>&1 &");
            let ran = run(exec("a1", &script).current_dir("/mnt/work")).expect(0);
            assert_eq!(ran.out, "/mnt/work\n");
            assert!(Path::new("/mnt/work").join(name).exists());
        }
        assert_eq!(inside("a1", "touch /mnt/file").code, 1, "only the directory itself is writable");
        let ran = run(exec("a1", "pwd; touch nslab-test-etc").current_dir("/etc")).expect(0);
        assert_eq!(ran.out, "/etc\n");
        assert!(!Path::new("/etc/nslab-test-etc").exists(), "a directory of the system was written to");
    });
}

#[test]
fn the_real_root_is_there_for_those_who_ask() {
    in_box(|| {
        sh("mount -t tmpfs disk /mnt");
        ok("up bridged");
        ok("exec --real-root a1 touch /mnt/real");
        assert!(Path::new("/mnt/real").exists());
        assert_eq!(ok("exec --real-root a1 hostname").out, "a1\n");
        assert!(ok("exec --real-root a1 getent hosts b1").out.starts_with("10.0.0.21"));
        assert!(ok("exec --real-root host-a ip netns exec a2 ip -br addr").out.contains("10.0.0.12"));
    });
}

#[test]
fn a_host_sees_its_containers_and_what_it_makes_survives_its_shell() {
    in_box(|| {
        ok("up bridged");
        says(
            "host-a",
            "ip netns add x; ip link add v1 type veth peer name eth9 netns a1; ip link add v2 type veth peer name p netns x",
        );
        assert!(says("a1", "ip -br link").contains("eth9@"));
        assert!(wait_for(5, || inits() == 0));
        assert!(says("host-a", "ip -n x -br link; ip netns exec a1 hostname").contains("p@"));
        let names = says("host-a", "ls /run/netns");
        assert_eq!(names, "a1\na2\nx");
        assert!(ok("status").out.contains('x'));
        let user = "/run/netns/bridged.x";
        assert!(!Path::new(user).exists(), "it belongs to the host alone");
        ok("down");
        assert_eq!(sh("grep -c nslab /proc/self/mountinfo || true").trim(), "0");
    });
}

#[test]
fn a_container_that_comes_later_is_seen_by_a_shell_that_is_open() {
    in_box(|| {
        ok("up bridged");
        says("host-a", "sleep 60 >/dev/null 2>&1 &");
        let text = ok("topology bridged").out.replace("a2", "late");
        fs::write("/run/changed.yaml", text).unwrap();
        ok("up /run/changed.yaml");
        assert_eq!(inits(), 1);
        assert!(says("host-a", "ls /run/netns; ip netns exec late ip -br link").contains("eth0@"));
        assert!(says("host-a", "getent hosts late").starts_with("10.0.0.12"), "its name is not known");
    });
}

#[test]
fn the_exit_code_is_the_commands_own() {
    in_box(|| {
        ok("up bridged");
        assert_eq!(inside("a1", "exit 7").code, 7);
        assert_eq!(inside("a1", "kill -9 $$").code, 137);
        assert_eq!(inside("a1", "kill -TERM $$").code, 143);
        let missing = fails(127, "exec a1 no-such-command");
        assert!(missing.err.contains("no-such-command"), "{missing}");
        fails(126, "exec a1 /etc/passwd");
        fails(125, "exec a9 true");
        ok("down");
        fails(125, "exec a1 true");
    });
}

#[test]
fn a_command_gets_three_descriptors_and_an_environment_that_was_built() {
    in_box(|| {
        ok("up bridged");
        let extra = fs::File::open("/etc/passwd").unwrap();
        let kept = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
        nix::fcntl::fcntl(&extra, kept).unwrap();
        assert!(extra.as_raw_fd() > 2);
        // The shell expands the pattern by a descriptor of its own.
        let ran = run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "a1", "ls", "/proc/self/fd"])).expect(0);
        assert_eq!(ran.out, "0\n1\n2\n3\n", "3 is the directory that ls reads");
        let mut command = exec("a1", "env");
        command.envs([
            ("LD_LIBRARY_PATH", "/x"),
            ("SECRET", "x"),
            ("HOME", "/home/u"),
            ("LC_TIME", "C"),
            ("PATH", "/home/u/bin"),
        ]);
        let ran = run(&mut command).expect(0);
        for wanted in [
            "HOME=/root\n",
            "USER=root\n",
            "LC_TIME=C\n",
            "NSLAB_LAB=bridged\n",
            "NSLAB_NODE=host-a.a1\n",
            "PATH=/run/bin:/usr/local/sbin:",
        ] {
            assert!(ran.out.contains(wanted), "{wanted}: {ran}");
        }
        assert!(!ran.out.contains("SECRET") && !ran.out.contains("LD_LIBRARY_PATH"), "{ran}");
    });
}

#[test]
fn a_daemon_keeps_its_sandbox_and_its_end_ends_it() {
    in_box(|| {
        ok("up bridged");
        assert_eq!(inits(), 0, "a process without need");
        says("a1", "setsid sleep 1000 >/dev/null 2>&1 &");
        assert_eq!(inits(), 1);
        assert!(wait_for(5, || ok("ps").out.contains(" sleep 1000") && !ok("ps").out.contains("setsid")));
        let listed = ok("ps --format json").json();
        let processes = listed["processes"].as_array().unwrap_or_else(|| panic!("{listed}"));
        assert_eq!(processes.len(), 1, "{listed}");
        assert_eq!(processes[0]["command"], "sleep 1000");
        assert_eq!(processes[0]["node"], "host-a.a1");
        assert_eq!(says("a1", "pkill -x sleep; echo ended"), "ended");
        assert!(wait_for(5, || inits() == 0), "the init outlived its sandbox");
    });
}

#[test]
fn twenty_commands_at_once_share_one_sandbox() {
    in_box(|| {
        ok("up bridged");
        let children: Vec<_> = (0..rounds(20)).map(|_| exec("a1", "readlink /proc/self/ns/pid; sleep 2")).collect();
        let started: Vec<_> =
            children.into_iter().map(|mut command| command.stdout(std::process::Stdio::piped()).spawn().unwrap()).collect();
        let mut spaces: Vec<String> = started
            .into_iter()
            .map(|child| {
                let out = child.wait_with_output().unwrap();
                assert!(out.status.success());
                String::from_utf8(out.stdout).unwrap()
            })
            .collect();
        spaces.dedup();
        assert_eq!(spaces.len(), 1, "{spaces:?}");
        assert!(wait_for(5, || inits() == 0));
    });
}

#[test]
fn the_first_commands_of_all_nodes_come_at_once() {
    in_box(|| {
        for _ in 0..5 {
            ok("up bridged");
            std::thread::scope(|scope| {
                for node in ["a1", "a2", "b1", "b2", "host-a", "host-b"] {
                    scope.spawn(move || assert_eq!(says(node, "hostname"), node));
                }
            });
            assert_eq!(sh("grep -cE ' /run/nslab/bridged/(layers|run) ' /proc/self/mountinfo").trim(), "2");
            ok("down");
        }
    });
}

#[test]
fn a_sandbox_that_ends_is_made_again() {
    in_box(|| {
        ok("up bridged");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| drop(inside("a1", "true").expect(0))));
            }
        });
        assert!(wait_for(5, || inits() == 0));
    });
}

#[test]
fn root_of_a_user_namespace_has_sandboxes_too() {
    in_box(|| {
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let script = format!(
            "{nslab} up bridged >/dev/null && {nslab} exec a1 sh -c 'hostname; touch /etc/x && cat /etc/hosts; ping -c 1 -W 2 b1' && \
             {nslab} exec host-a ip netns exec a1 ip -br addr && {nslab} down && id -u"
        );
        let ran = run(Command::new("unshare").args(["-Urnm", "sh", "-c", &script]).current_dir("/")).expect(0);
        assert!(ran.out.starts_with("a1\n") && ran.out.contains(" 0% packet loss") && ran.out.contains("10.0.0.11"), "{ran}");
    });
}

#[test]
fn inside_of_a_node_a_lab_is_looked_at_but_not_taken_down() {
    in_box(|| {
        ok("up bridged");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let ran = inside("host-a", &format!("{nslab} list; {nslab} exec a1 hostname; {nslab} down")).expect(2);
        assert!(ran.out.contains("bridged") && ran.out.ends_with("a1\n"), "{ran}");
        assert!(ran.err.contains("inside bridged/host-a"), "{ran}");
        ok("exec a1 ping -c 1 -W 2 b1");
    });
}

#[test]
fn a_caller_that_ignores_its_children_or_hangups_is_no_hindrance() {
    in_box(|| {
        ok("up bridged");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let script = format!("trap '' CHLD; exec {nslab} exec a1 sh -c 'exit 9'");
        assert_eq!(run(Command::new("bash").args(["-c", &script])).code, 9);
        let script = format!("trap '' HUP; exec {nslab} exec a1 sh -c 'kill -HUP $$; echo alive'");
        assert_eq!(run(Command::new("sh").args(["-c", &script])).expect(0).out, "alive\n");
        let script = format!("exec {nslab} exec a1 sleep 60 & sleep 1; kill -TERM $!; wait $!");
        assert_eq!(run(Command::new("sh").args(["-c", &script])).code, 143, "SIGTERM is not passed on");
    });
}

#[test]
fn the_key_to_the_display_counts_under_a_nodes_hostname() {
    in_box(|| {
        ok("up bridged");
        let key = b"\x01\x00\x00\x06laptop\x00\x010\x00\x12MIT-MAGIC-COOKIE-1\x00\x04abcd";
        fs::write("/run/key", key).unwrap();
        let mut command = exec("a1", "echo $DISPLAY; head -c 2 $XAUTHORITY | od -An -tx1; tail -c 4 $XAUTHORITY");
        let ran = run(command.envs([("DISPLAY", ":7"), ("XAUTHORITY", "/run/key")])).expect(0);
        assert_eq!(ran.out, ":7\n ff ff\nabcd");
        ok("down");
    });
}

#[test]
fn nothing_is_said_where_nothing_runs() {
    in_box(|| {
        ok("up bridged");
        assert_eq!(ok("ps --format json").json()["processes"].as_array().map(Vec::len), Some(0));
        assert_eq!(nslab("exec a1 true").code, 0);
        assert_eq!(ok("ps --format json").json()["processes"].as_array().map(Vec::len), Some(0));
    });
}

/// Without the stock client in this box, whatever the machine has.
#[test]
fn on_a_host_without_the_stock_client_nslab_is_lxc() {
    in_box(|| {
        sh(
            "mkdir -p /run/without/up /run/without/work && mount -t overlay overlay -o lowerdir=/usr/bin,upperdir=/run/without/up,workdir=/run/without/work /usr/bin && rm -f /usr/bin/lxc",
        );
        ok("up bridged");
        let remotes = says("host-a", "LXD_DIR=/x lxc remote list");
        assert!(remotes.contains("| local (current) | unix:///x/unix.socket"), "{remotes}");
        assert_eq!(says("host-a", "LXD_DIR=/x lxc list 2>&1 || echo code $?").lines().last(), Some("code 1"));
        assert_eq!(says("a1", "command -v lxc || echo none"), "none");
        ok("down bridged");
    });
}
