//! Without root, inside `unshare -Urnm`: labs work whatever is in `/run`, and nothing of anybody else's is seen, touched or lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::net::UnixListener;
use std::process::Command;

use support::{Machine, Ran, in_box, ok, run, sh};

/// Before a script: `$N` is nslab, and two pictures of `/run` tell whether it is as it was.
const HEAD: &str = "
    run() { ls -laR --time-style=+ /run 2>/dev/null || true; sed 's/.* - //' /proc/self/mountinfo; cut -d' ' -f4,5,6 /proc/self/mountinfo; }
    unchanged() { run >/tmp/now; diff /tmp/before /tmp/now >&2 || { echo \"/run has changed: $*\" >&2; exit 90; }; }
    mount -n -t tmpfs none /tmp; cd /; run >/tmp/before\n";

/// Runs a script as a user without any rights, in `unshare` with these flags.
fn shell(user: u32, flags: &str, script: &str) -> Ran {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "unshare"]);
    environment(command.args(flags.split_whitespace()).args(["sh", "-euc", script]))
}

fn environment(command: &mut Command) -> Ran {
    for name in
        ["RUST_BACKTRACE", "NO_COLOR", "NSLAB_LAB", "NSLAB_FAULT", "LANG", "LC_ALL", "LC_MESSAGES", "SUDO_UID", "SUDO_GID"]
    {
        command.env_remove(name);
    }
    run(command.env("N", env!("CARGO_BIN_EXE_nslab")).env("HOME", "/").current_dir("/"))
}

/// As [`shell`], in namespaces of its own as the README says.
fn rootless(script: &str) -> Ran {
    shell(1000, "-Urnm", &format!("{HEAD}{script}"))
}

/// A plain user outside of any user namespace.
fn user(words: &str) -> Ran {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--clear-groups", env!("CARGO_BIN_EXE_nslab")]);
    environment(command.args(words.split_whitespace()))
}

/// Everything that is done with a lab.
const EVERYTHING: &str = "
    $N up bridged
    $N status bridged | grep -q 'as described'
    $N list | grep -q bridged
    $N | grep -q bridged
    [ $($N list | grep -c host) = 0 ]
    $N show a1 | grep -q 10.0.0.11
    $N exec a1 -- ping -c 1 -W 5 b1
    $N exec host-a -- ip -br link | grep -q br0
    echo hostname | $N shell a1 | grep -qx a1
    $N exec a1 -- $N list | grep -q bridged
    [ $(ip netns list | grep -c '^bridged\\.') = 6 ]
    nsenter --net=/run/netns/bridged.host-a.a1 ip -br addr show eth0 | grep -q 10.0.0.11
    $N exec a1 -- sleep 1000 & until $N ps | grep -q sleep; do sleep 0.1; done
    $N ping a1 b1 -c 1 | grep -q ' 0 % lost'
    $N ping --all | grep -q '12 answered'
    $N trace a1 b1 | grep -q Answered
    $N macs | grep -q 02:00:01
    $N macs routed | grep -q 02:00:01
    $N graph --format svg | grep -q '<svg'
    $N check --against bridged >/tmp/check || { cat /tmp/check; exit 91; }
    $N plan bridged | grep -q 'ip netns add'
    $N up routed --dry-run | grep -q host-a
    $N capture a1 -c 1 --for 20s icmp >/tmp/capture 2>&1 & until grep -q listening /tmp/capture; do sleep 0.1; done
    $N ping a1 b1 -c 1 >/dev/null; wait $!; grep -q ICMP /tmp/capture
    $N launch host-a/a3
    $N stop a3
    $N start a3
    $N restart a3
    $N exec a3 -- ping -c 1 -W 5 b1
    $N delete --force a3
    $N agent start host-a
    $N exec host-a -- lxc list | grep -q a1
    $N agent status | grep -q host-a
    $N reset
    $N doctor | grep -q 'Labs work here'
    $N up routed
    $N status
    $N down routed
    $N down bridged
    $N list | grep -q 'No lab'
    $N down\n";

/// Has everything done in a box that was made ready by a script.
#[track_caller]
fn works(before: &str) {
    in_box(|| {
        sh(before);
        let machine = Machine::look();
        rootless(&format!("{EVERYTHING} unchanged everything")).expect(0);
        machine.assert_unchanged(before);
    });
}

#[test]
fn everything_works_in_a_run_that_is_roots() {
    works("mkdir /run/lock /run/user");
}

#[test]
fn everything_works_beside_an_empty_netns_of_roots() {
    works("mkdir -m 700 /run/netns");
}

#[test]
fn everything_works_beside_namespaces_of_roots() {
    works("ip netns add docker; ip netns add bridged; ln -s /nowhere /run/netns/dead");
}

#[test]
fn everything_works_beside_the_same_lab_of_roots() {
    in_box(|| {
        ok("up bridged");
        let machine = Machine::look();
        rootless(&format!("{EVERYTHING} unchanged everything")).expect(0);
        machine.assert_unchanged("a user's lab beside root's");
        ok("status bridged");
        ok("exec a1 ping -c 1 -W 5 b1");
        ok("down");
    });
}

#[test]
fn everything_works_where_run_is_read_only() {
    works("mkdir /run/user; mount -o remount,ro /run");
}

#[test]
fn everything_works_where_run_is_no_mount_and_the_root_is_read_only() {
    works("umount -n /run; mount -n -o remount,bind,ro /");
}

#[test]
fn everything_works_in_a_run_of_the_users_own() {
    works("chown 1000:1000 /run; ip netns add docker; chown 1000:1000 /run/netns");
}

#[test]
fn everything_works_in_a_run_that_anybody_may_write_to() {
    works("chmod 1777 /run");
}

#[test]
fn everything_works_in_a_run_that_nobody_may_look_into() {
    works("mkdir /run/user; chmod 711 /run");
}

/// Everything that may be in a `/run`.
const ODD: &str = "
    mkdir -m 700 /run/secret; echo key >/run/secret/key; chmod 600 /run/secret/key
    mkdir -p /run/user/1000 /run/deep/er; mount -t tmpfs -o uid=1000,mode=700 none /run/user/1000; mount -t tmpfs none /run/deep/er
    mkfifo /run/fifo; echo text >/run/file; ln -s file /run/link; ln -s /nowhere /run/dangling; ln -s nslab/bridged /run/into
    touch \"$(printf '/run/not \\\\ utf\\n8\\377')\" /run/-rf '/run/ '; mkdir \"$(printf '/run/dir\\377')\"
    mount -t tmpfs none \"$(printf '/run/dir\\377')\"; echo own >/run/mine; chown 1000 /run/mine; mknod /run/null c 1 3
    mkdir /run/alone; mount -t tmpfs none /run/alone; mount --make-unbindable /run/alone\n";

#[test]
fn everything_works_in_a_run_full_of_oddities() {
    works(ODD);
}

#[test]
fn what_else_is_in_run_stays_there_while_a_lab_is_up() {
    in_box(|| {
        sh(ODD);
        sh("ip netns add docker");
        let _listener = UnixListener::bind("/run/socket").unwrap();
        sh("chmod 777 /run/socket");
        rootless(
            "socket=$(stat -c %d:%i /run/socket); $N up bridged
             [ \"$(cat /run/file /run/link)\" = \"$(printf 'text\\ntext')\" ]
             [ \"$(readlink /run/dangling)\" = /nowhere ]
             if cat /run/secret/key 2>/dev/null; then exit 91; fi
             [ -p /run/fifo ]; [ -c /run/null ]; [ -e \"$(printf '/run/not \\\\ utf\\n8\\377')\" ]; [ -e /run/netns/docker ]
             echo more >>/run/mine; echo session >/run/user/1000/bus
             [ -S /run/socket ]; [ $(stat -c %d:%i /run/socket) = $socket ]
             $N exec a1 -- cat /run/user/1000/bus | grep -qx session
             $N down; [ \"$(cat /run/mine)\" = \"$(printf 'own\\nmore')\" ]; echo own >/run/mine; rm /run/user/1000/bus; unchanged 'a look around'",
        )
        .expect(0);
    });
}

#[test]
fn what_somebody_writes_into_run_meanwhile_is_not_lost_with_the_lab() {
    in_box(|| {
        sh("mkdir /run/old; ln -s old /run/link; ip netns add docker");
        for (write, there, undo) in [
            ("echo mine >/run/new", "grep -qx mine /run/new", "rm /run/new"),
            ("ip netns add mine", "ip netns list | grep -qx mine", "ip netns del mine"),
            ("ln -sfn new /run/link", "[ $(readlink /run/link) = new ]", "rm /run/link"),
            ("mount -n -t tmpfs none /run/old; echo mine >/run/old/x", "grep -qx mine /run/old/x", "umount -n /run/old"),
        ] {
            rootless(&format!(
                "$N up bridged; {write}; $N down; {there}; [ ! -e /run/nslab ]; $N list | grep -q 'No lab'
                 $N up routed; {there}; $N exec a1 -- true; $N down; {there}; {undo}; $N down; unchanged '{write}'"
            ))
            .expect(0);
        }
    });
}

#[test]
fn without_a_lab_of_ones_own_those_of_root_are_neither_listed_nor_commanded() {
    in_box(|| {
        ok("up bridged");
        let machine = Machine::look();
        let script = "$N list; $N; $N status; $N down; $N down bridged; $N down --all; $N doctor
             for command in 'exec a1 true' 'show a1' 'ping a1 b1' 'trace a1 b1' macs 'launch host-a/a3' 'stop a1' reset 'agent start host-a'; do
                 ! $N $command || exit 91
             done
             $N up bridged --dry-run | grep -q 'ip netns add'; unchanged looking";
        let told = |ran: &Ran| format!("{}{}", ran.out, ran.err);
        let ran = rootless(script).expect(0);
        let root = environment(Command::new("unshare").args(["-Urnm", "sh", "-euc", &format!("{HEAD}{script}")])).expect(0);
        for ran in [ran, root] {
            assert!(told(&ran).contains("No lab is up."), "{ran}");
            assert!(!told(&ran).contains("UP SINCE") && !told(&ran).contains("remove") && !told(&ran).contains("rm "), "{ran}");
        }
        machine.assert_unchanged("looking from a user namespace");
        ok("status bridged");
        ok("down");
    });
}

#[test]
fn root_has_labs_of_its_own_in_a_user_namespace_beside_those_of_the_machine() {
    in_box(|| {
        ok("up bridged");
        let machine = Machine::look();
        let script = format!("{HEAD}{EVERYTHING} unchanged everything");
        environment(Command::new("unshare").args(["-Urnm", "sh", "-euc", &script])).expect(0);
        environment(Command::new("unshare").args(["-Urnmpf", "--mount-proc", "sh", "-euc", &script])).expect(0);
        machine.assert_unchanged("root's labs in a user namespace");
        ok("exec a1 ping -c 1 -W 5 b1");
        ok("down");
    });
}

#[test]
fn two_shells_have_labs_that_know_nothing_of_each_other() {
    in_box(|| {
        for (mode, other) in [("755", 1000), ("1777", 1000), ("755", 1001), ("1777", 1001)] {
            sh(&format!("mkdir -p /run/meet; chmod 777 /run/meet; chmod {mode} /run"));
            let machine = Machine::look();
            let script = |own: &str, other: &str| {
                format!(
                    "$N up {own} --name shared; touch /run/meet/{own}; until [ -e /run/meet/{other} ]; do sleep 0.05; done
                     [ $($N list | grep -c shared) = 1 ]; $N status | grep -q 'as described'; $N exec a1 -- ping -c 1 -W 5 b1
                     [ $(ip netns list | grep -c shared) = 6 ]; $N show a1 | grep -q {own_address}
                     touch /run/meet/{own}-done; until [ -e /run/meet/{other}-done ]; do sleep 0.05; done; $N down",
                    own_address = if own == "bridged" { "10.0.0.11" } else { "10.1.0.11" }
                )
            };
            std::thread::scope(|scope| {
                let one = scope.spawn(|| rootless(&script("bridged", "routed")));
                shell(other, "-Urnm", &script("routed", "bridged")).expect(0);
                one.join().unwrap().expect(0);
            });
            sh("rm /run/meet/*");
            machine.assert_unchanged("two shells");
        }
    });
}

#[test]
fn a_user_namespace_inside_of_one_with_a_lab_has_labs_of_its_own() {
    in_box(|| {
        ok("up bridged");
        rootless(
            "$N up bridged; $N exec a1 -- true
             unshare -Urnm sh -euc '$N list | grep -q No; $N up routed --name bridged; $N exec a1 -- ping -c 1 -W 5 b1; $N list | grep -q bridged
                 unshare -Urnm sh -euc \"$N up bridged; $N ping --all; $N down; $N list | grep -q No\"
                 $N status | grep -q described; $N down; $N list | grep -q No'
             $N status | grep -q 'as described'; $N exec a1 -- ping -c 1 -W 5 b1; $N down; unchanged nesting",
        )
        .expect(0);
        ok("status bridged");
        ok("down");
    });
}

#[test]
fn inside_of_a_node_a_user_namespace_covers_nothing_of_the_lab() {
    in_box(|| {
        ok("up bridged");
        let machine = Machine::look();
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let inside =
            format!("exec host-a -- unshare -Urnm sh -c '{nslab} list; {nslab} down bridged; {nslab} exec a1 true; true'");
        let ran = run(Command::new("sh").args(["-c", &format!("{nslab} {inside}")])).expect(0);
        assert!(ran.out.contains("bridged") && ran.err.contains("inside bridged/host-a"), "{ran}");
        rootless(
            "$N up bridged; $N exec host-a -- $N list | grep -q bridged; $N exec host-a -- $N exec a1 -- hostname | grep -qx a1
             $N exec host-a -- sh -c 'ls -A /run' >/tmp/run; [ $(grep -c nslab-run /tmp/run) = 0 ]
             if $N exec host-a -- $N down 2>/tmp/err; then exit 91; fi; grep -q 'inside bridged/host-a' /tmp/err; $N status | grep -q described
             $N exec --real-root a1 -- $N list | grep -q bridged; $N down; unchanged 'commands in a node'",
        )
        .expect(0);
        ok("down");
        drop(machine);
    });
}

#[test]
fn without_a_mount_namespace_of_its_own_it_says_how_to_get_one() {
    in_box(|| {
        sh("mkdir /run/lock");
        let machine = Machine::look();
        let ran = shell(1000, "-Urn", "set +e; $N up bridged; code=$?; $N list; exit $code").expect(3);
        assert!(
            ran.err.contains("no mount namespace") && ran.err.contains("unshare -Urnm") && ran.out.contains("No lab is up"),
            "{ran}"
        );
        machine.assert_unchanged(&format!("{ran}"));
    });
}

#[test]
fn where_mounting_is_forbidden_it_says_so_and_leaves_nothing() {
    in_box(|| {
        sh("mkdir /run/user");
        let machine = Machine::look();
        let forbidden = "strace -qq -f -o /dev/null -e trace=mount -e inject=mount:error=EPERM $N up bridged";
        let user = rootless(&format!("code=0; {forbidden} || code=$?; unchanged refused; exit $code")).expect(3);
        let root = environment(Command::new("sh").args(["-euc", forbidden])).expect(3);
        for ran in [user, root] {
            assert!(ran.err.contains("may not be mounted") && ran.err.contains("nslab doctor"), "{ran}");
            assert!(!ran.err.contains("mount namespace"), "{ran}");
        }
        machine.assert_unchanged("mounts that were refused");
    });
}

#[test]
fn killed_stopped_or_failing_anywhere_on_the_way_up_it_is_healed() {
    faults("up bare", "true");
}

#[test]
fn killed_stopped_or_failing_anywhere_on_the_way_down_it_is_healed() {
    faults("down bare", "$N up bare");
}

/// A fault of two kinds at every point of a command, each healed by `down` and by `up`.
fn faults(command: &str, before: &str) {
    in_box(|| {
        sh("mkdir /run/old /run/user; ip netns add docker");
        let machine = Machine::look();
        let count =
            rootless(&format!("{before} >&2; NSLAB_FAULT=count $N {command} 2>&1 | sed -n 's/^fault points: //p'")).expect(0);
        let points: usize = count.out.trim().parse().unwrap();
        assert!(points > 10, "{count}");
        for point in 1..=points {
            let other = ["errno:ENOSPC", "errno:EPERM", "panic", "signal:TERM"][point % 4];
            let ran = rootless(&format!(
                "for fault in kill {other}; do for heal in down up; do
                     {before}; NSLAB_FAULT=$fault@{point} $N {command} || true
                     if [ $heal = up ]; then $N up bare; $N status; fi
                     $N down; unchanged $fault@{point} $heal
                 done; done"
            ));
            assert_eq!(ran.code, 0, "{command}, point {point}: {ran}");
        }
        machine.assert_unchanged(command);
    });
}

#[test]
fn many_first_starts_and_last_ends_at_once_share_one_cover() {
    in_box(|| {
        sh("mkdir /run/user");
        rootless(
            "for round in 1 2 3; do
                 pids=; for n in $(seq 12); do $N up bare --name lab$n & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid; done
                 [ $(grep -c ' /run ' /proc/self/mountinfo) = 2 ]; [ $($N list | grep -c lab) = 12 ]
                 pids=; for n in $(seq 12); do $N down lab$n & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid; done
                 unchanged \"round $round\"
                 pids=; for n in $(seq 6); do { $N up bare --name lab$n && $N down lab$n; } & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid; done
                 unchanged \"round $round, up and down\"
             done",
        )
        .expect(0);
    });
}

#[test]
fn a_plain_user_is_never_told_to_remove_what_is_roots() {
    in_box(|| {
        ok("up bridged");
        let machine = Machine::look();
        assert!(user("list").expect(0).out.contains("bridged"));
        for words in ["", "list", "status", "down", "down --all", "doctor", "doctor --format json", "up bridged", "exec a1 true"]
        {
            let ran = user(words);
            let told = format!("{}{}", ran.out, ran.err);
            assert!(!told.contains("rm ") && !told.contains("remove") && !told.contains("nowhere"), "{ran}");
            assert!(ran.code == 0 || told.contains("sudo ") && told.contains("labs of your own"), "{ran}");
        }
        machine.assert_unchanged("a plain user's commands");
        ok("down");
    });
}

#[test]
fn root_neither_uses_nor_removes_the_records_of_a_user() {
    in_box(|| {
        sh("mkdir -p /run/nslab/bridged /run/netns; echo '[]' >/run/nslab/index.json; chown -R 1000 /run/nslab
            ln -s /nowhere /run/netns/alices; chown -h 1000 /run/netns/alices");
        let machine = Machine::look();
        for words in ["up bridged", "down", "down bridged", "down --all"] {
            let ran = support::fails(3, words);
            assert!(ran.err.contains("belongs to the user") && ran.err.contains("unshare -Urnm"), "{ran}");
            assert!(!ran.err.contains("then remove"), "{ran}");
        }
        let told = support::fails(3, "doctor");
        assert!(told.out.contains("No lab can be made here"), "{told}");
        assert!(told.out.contains("/run/nslab belongs to the user") && !told.out.contains("alices"), "{told}");
        assert!(ok("list").out.contains("No lab is up."));
        machine.assert_unchanged("root's commands");
        sh("rm -r /run/nslab; ln -s /tmp /run/nslab");
        let ran = support::fails(3, "up bridged");
        assert!(ran.err.contains("then remove it"), "root's own link: {ran}");
        sh(
            "ln -s /nowhere /run/netns/own; ln -s /nowhere /run/netns/bridged.host-a; chown -h 1000 /run/netns/bridged.host-a; rm /run/nslab",
        );
        assert!(ok("doctor").out.contains("rm /run/netns/own"));
        let ran = support::fails(4, "up bridged");
        assert!(ran.err.contains("--name") && !ran.err.contains("remove"), "{ran}");
        sh("chown -h 0 /run/netns/bridged.host-a");
        assert!(support::fails(4, "up bridged").err.contains("remove it, or"));
    });
}

#[test]
fn in_a_container_whose_run_is_its_own_every_shell_finds_the_labs() {
    in_box(|| {
        let words = ["-Umnpf", "--kill-child", "--mount-proc", "sleep", "1000"];
        let mut container = Command::new("unshare").args(words).spawn().unwrap();
        let init = || sh(&format!("cat /proc/{0}/task/{0}/children", container.id())).trim().to_owned();
        let started = || !init().is_empty() && sh(&format!("cat /proc/{}/cmdline", init())).starts_with("sleep");
        assert!(support::wait_for(10, started), "the container does not start");
        let init = init();
        sh(&format!("for map in uid_map gid_map; do echo 0 100000 65536 >/proc/{init}/$map; done"));
        let enter = |script: &str| {
            let words = ["-t", &init, "-U", "-m", "-n", "-p", "-S", "0", "-G", "0", "sh", "-euc", script];
            environment(Command::new("nsenter").args(words)).expect(0)
        };
        enter("mount -n -t tmpfs none /run; mount -n -t tmpfs none /var/lib");
        enter("ip link set lo up; $N up bridged; ls -A /run");
        let there = enter(
            "$N status; $N exec a1 -- ping -c 1 -W 5 b1; grep -c nslab-run /proc/self/mountinfo || true; ls /run/netns | wc -l",
        );
        assert!(there.out.contains("as described") && there.out.ends_with("0\n6\n"), "{there}");
        enter(
            "unshare -Urnm sh -euc '$N list | grep -q No; $N up bridged; $N exec a1 -- ping -c 1 -W 5 b1; grep -q nslab-run /proc/self/mountinfo; $N down'
             $N status | grep -q described; $N down; [ -z \"$(ls -A /run)\" ]",
        );
        container.kill().unwrap();
        container.wait().unwrap();
    });
}
