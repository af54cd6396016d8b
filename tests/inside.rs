//! What is typed in the shell of a node: commands on that node and on others, the cures that nslab prints there, and programs that
//! would command containers.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Ran, in_box, nslab, ok, run, running, sh, wait_for};

/// The path that sudo and a login give.
const PLAIN: &str = "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a line of a shell in a node.
fn within(node: &str, line: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    for name in ["NSLAB_LAB", "LANG", "LC_ALL", "LC_MESSAGES", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    run(command.args(["exec", node, "sh", "-c", line]).stdin(Stdio::null()))
}

/// What a line of a shell in a node prints.
#[track_caller]
fn said(node: &str, line: &str) -> String {
    within(node, line).expect(0).out.trim().to_owned()
}

#[test]
fn a_command_on_the_readers_own_node_takes_the_place_of_nslab() {
    in_box(|| {
        ok("up bridged");
        for node in ["host-a", "a1"] {
            let pids = said(node, &format!("echo $$; exec nslab exec {node} sh -c 'echo $$; hostname; exit'"));
            let lines: Vec<&str> = pids.lines().collect();
            assert_eq!(lines[0], lines[1], "{pids}");
            assert_eq!(lines[2], node);
        }
        assert_eq!(within("a1", "nslab exec bridged/host-a/a1 sh -c 'exit 7'").code, 7);
        // Also where process 1 is another one, in a PID namespace within.
        let nested = "unshare -pf --mount-proc sh -c 'nslab exec host-a hostname; nslab exec b1 hostname; nslab list -q | head -n 1; nslab down'";
        let nested = within("host-a", nested);
        assert!(nested.out.starts_with("host-a\nb1\n") && nested.err.contains("inside bridged/host-a"), "{nested}");
        let user = within("host-a", "unshare -Ur nslab list; unshare -Ur nslab exec b1 hostname");
        assert!(user.out.contains("bridged") && user.out.ends_with("b1\n"), "{user}");
        assert_eq!(within("a1", "nslab exec a1 no-such-command").code, 127);
        assert_eq!(within("a1", "nslab exec a1 /etc/passwd").code, 126);
        // Without the variables that tell the lab, as sudo leaves them.
        assert_eq!(said("host-a", &format!("{PLAIN} nslab exec host-a hostname")), "host-a");
        let shell = format!(
            "(sleep 1; echo 'hostname; exit') | script -qec '{} exec host-a nslab shell host-a' /dev/null",
            env!("CARGO_BIN_EXE_nslab")
        );
        assert!(sh(&shell).contains("root@host-a"));
        ok("down");
    });
}

#[test]
fn commands_on_other_nodes_work_in_a_nodes_shell_as_outside() {
    in_box(|| {
        ok("up bridged");
        for node in ["host-a", "b2"] {
            assert_eq!(said(node, "nslab exec b1 hostname"), "b1");
            assert_eq!(said(node, "nslab exec host-b hostname"), "host-b");
            assert_eq!(within(node, "nslab exec b1 sh -c 'exit 9'").code, 9);
            assert_eq!(within(node, "nslab exec b1 sh -c 'kill -9 $$'").code, 137);
            assert_eq!(said(node, "echo typed | nslab exec b1 cat"), "typed");
            assert_eq!(said(node, "nslab exec b1 sh -c 'echo out; echo err >&2' 2>/dev/null"), "out");
            assert_eq!(said(node, "nslab exec b1 seq 100000 | tail -n 1"), "100000");
            let words = "nslab exec b1 sh -c 'kill -STOP $$' & sleep 1; kill $!; wait $!; echo $?";
            assert_eq!(said(node, words), "143");
        }
        // The machine's whole table of processes, not the node's.
        let mut asleep = support::spawn("exec b1 sleep 1234");
        assert!(wait_for(10, || running("sleep 1234") > 0));
        assert!(said("host-a", "nslab ps b1").contains("sleep 1234"));
        assert!(said("a1", "nslab launch host-a/a9").contains("a9 runs on host-a"));
        assert_eq!(said("a1", "nslab exec a9 hostname"), "a9");
        assert!(said("host-b", "nslab stop a9 && nslab start a9 && nslab pause a9 && nslab start a9").contains("a9"));
        assert!(said("a1", "nslab stop a9 && nslab rename a9 a8 && nslab delete a8").contains("gone"));
        assert!(said("a1", "nslab check").contains("50 of 50"));
        assert!(said("a1", "nslab agent start host-b; nslab agent status; nslab agent stop host-b").contains("host-b"));
        asleep.kill().unwrap();
        asleep.wait().unwrap();
        said("host-a", "ip link del veth-a1; ip link add extra type dummy || ip link add extra type bridge");
        let status = within("host-a", "nslab status");
        assert!(status.out.contains("  ip link add extra type") && !status.out.contains("ip -n"), "{status}");
        assert!(said("host-a", "nslab up bridged").contains("as described again"));
        assert!(said("host-a", "nslab reset --yes").contains("bridged"));
        assert!(!said("host-a", "ip link").contains("extra"));
        assert!(said("b1", "nslab macs routed").contains("routed"));
        // What would end the shell is refused.
        let refused = within("a1", "nslab down");
        assert_eq!(refused.code, 2, "{refused}");
        assert!(refused.err.contains("inside bridged/host-a/a1"), "{refused}");
        ok("down");
    });
}

#[test]
fn a_shell_on_another_node_has_a_terminal_of_its_own() {
    in_box(|| {
        ok("up bridged");
        let keys = "printf 'nslab shell b1\\n'; sleep 1; printf 'tty; stty size; sleep 77\\n'; sleep 1; printf '\\032'; sleep 1; \
                    printf 'jobs; kill %%1; hostname\\nexit\\n'; sleep 1; printf 'echo in-$HOSTNAME; exit\\n'; sleep 1";
        let typed =
            format!("({keys}) | script -qec 'stty rows 20 cols 70; {} shell host-a' /dev/null", env!("CARGO_BIN_EXE_nslab"));
        let screen = sh(&typed);
        for wanted in ["/dev/pts/", "20 70", "Stopped", "root@b1", "in-host-a"] {
            assert!(screen.contains(wanted), "{wanted}: {screen}");
        }
        assert!(wait_for(10, || running("sleep 77") == 0));
        ok("down");
    });
}

#[test]
fn what_is_typed_ahead_of_a_command_on_another_node_is_read_by_the_next() {
    in_box(|| {
        ok("up bridged");
        let keys = "printf 'nslab exec b1 sleep 1\\necho first-$HOSTNAME\\nnslab exec b1 sh -c \"read x; echo got \\$x\"\\nhello\\n\
                    echo last-$HOSTNAME\\nexit\\n'; sleep 4";
        let screen = sh(&format!("({keys}) | script -qec '{} shell host-a' /dev/null", env!("CARGO_BIN_EXE_nslab")));
        for wanted in ["first-host-a", "got hello", "last-host-a"] {
            assert!(screen.contains(wanted), "{wanted}: {screen}");
        }
        ok("down");
    });
}

#[test]
fn what_runs_on_another_node_ends_with_the_one_who_asked_for_it() {
    in_box(|| {
        ok("up bridged");
        let mut client = support::spawn("exec host-a nslab exec b1 sleep 4321");
        assert!(wait_for(10, || sh("pgrep -cxf 'sleep 4321' || true").trim() == "1"));
        sh("kill -9 $(pgrep -of '^nslab exec b1 sleep')");
        assert!(wait_for(20, || running("sleep 4321") == 0), "{}", sh("ps ax"));
        client.wait().unwrap();
        // Those that mind no signal, and those that a command has started, are of the same session.
        let stubborn = "timeout -s KILL 1 nslab exec b1 sh -c 'trap \"\" HUP TERM INT; sleep 4321 & sleep 4321; true'; true";
        said("host-a", stubborn);
        assert!(wait_for(20, || running("sleep 4321") == 0), "{}", sh("ps ax"));
        // Nothing of the sandboxes stays, and nothing of what helped.
        assert!(wait_for(10, || running("nslab: ") == 0), "{}", sh("ps ax"));
        ok("down");
    });
}

/// Breaks, reads the cure inside a node, types it there, and pings.
fn mended(node: &str, broken: &str, cure: &[&str]) {
    said(node, broken);
    let trace = within(node, "nslab trace a1 b1 --format json");
    let cures: Vec<String> = serde_json::from_value(trace.json()["outcome"]["died"]["cure"].clone()).unwrap();
    assert_eq!(cures, cure, "{broken}");
    let screen = within(node, "nslab trace a1 b1").out;
    for line in &cures {
        assert!(screen.contains(line.as_str()) && !screen.contains("sudo"), "{screen}");
        said(node, line);
    }
    assert!(wait_for(20, || within(node, "nslab ping a1 b1 -c 1").code == 0), "{broken}");
}

#[test]
fn every_cure_printed_inside_a_node_is_typed_there_as_it_stands() {
    in_box(|| {
        ok("up bridged");
        mended("host-a", "ip link set veth-a1 nomaster", &["ip link set veth-a1 master br0"]);
        mended("a1", "ip link set eth0 down", &["ip link set eth0 up"]);
        let far = ["nslab exec host-b ip link set veth-b1 master br0"];
        mended("a1", "nslab exec host-b ip link set veth-b1 nomaster", &far);
        // The same of check.
        said("host-a", "ip link set veth-a1 nomaster");
        let check = within("host-a", "nslab check").expect(1).out;
        assert!(
            check.contains(": ip link set veth-a1 master br0") && !check.contains("sudo") && !check.contains("exec"),
            "{check}"
        );
        let outside = nslab("check").out;
        assert!(outside.contains("sudo nslab exec host-a ip link set veth-a1 master br0"), "{outside}");
        ok("down");
    });
}

#[test]
fn nslab_is_found_in_a_node_from_wherever_it_was_started() {
    in_box(|| {
        // Where the machine has LXD.
        sh("mkdir -p /tmp/elsewhere /var/lib/lxd");
        let copy = "/tmp/elsewhere/nslab";
        std::fs::copy(env!("CARGO_BIN_EXE_nslab"), copy).unwrap();
        let from = |words: &[&str]| run(Command::new(copy).args(words).env_remove("LANG").stdin(Stdio::null())).expect(0).out;
        from(&["up", "bridged"]);
        for node in ["host-a", "a1"] {
            for line in
                ["nslab --version".to_owned(), format!("{PLAIN} nslab --version"), "nslab exec b1 nslab --version".to_owned()]
            {
                assert!(from(&["exec", node, "sh", "-c", &line]).starts_with("nslab "), "{node}: {line}");
            }
            assert!(from(&["exec", "--real-root", node, "nslab", "--version"]).starts_with("nslab "), "{node}");
        }
        for line in ["lxc list -c n -f csv".to_owned(), format!("{PLAIN} lxc list -c n -f csv")] {
            assert_eq!(from(&["exec", "host-a", "sh", "-c", &line]), "a1\na2\n", "{line}");
        }
        from(&["down"]);
        assert!(!Path::new("/usr/local/bin/lxc").exists());
        sh("rm -r /tmp/elsewhere");
    });
}

#[test]
fn a_sandbox_whose_shim_was_killed_has_one_again_with_the_next_command() {
    in_box(|| {
        ok("up bridged");
        let mut stays = support::spawn("exec host-a sleep 999");
        assert!(wait_for(10, || running("shim of bridged/host-a") > 0));
        sh("kill -9 $(pgrep -f '[s]him of bridged/host-a')");
        assert_eq!(said("host-a", "nslab exec b1 hostname; lxc list -c n -f csv"), "b1\na1\na2");
        assert_eq!(running("shim of bridged/host-a"), 1);
        stays.kill().unwrap();
        stays.wait().unwrap();
        ok("down");
        assert_eq!(running("shim of"), 0);
    });
}

#[test]
fn a_binary_that_was_replaced_while_the_lab_is_up_is_no_hindrance() {
    in_box(|| {
        sh("mkdir -p /run/own");
        let copy = "/run/own/nslab";
        let replace = || {
            std::fs::copy(env!("CARGO_BIN_EXE_nslab"), "/run/own/new").unwrap();
            std::fs::rename("/run/own/new", copy).unwrap();
        };
        replace();
        let from = |words: &[&str]| run(Command::new(copy).args(words).stdin(Stdio::null())).expect(0).out;
        from(&["up", "bridged"]);
        assert_eq!(from(&["exec", "host-a", "lxc", "list", "-c", "n", "-f", "csv"]), "a1\na2\n");
        let mut shell = Command::new(copy).args(["exec", "host-a", "sleep", "999"]).spawn().unwrap();
        assert!(wait_for(10, || running("shim of bridged/host-a") > 0));
        replace();
        // The agent and the shim are of the binary that is gone.
        assert_eq!(from(&["exec", "host-a", "lxc", "exec", "a1", "--", "nslab", "exec", "b1", "hostname"]), "b1\n");
        assert_eq!(from(&["exec", "host-a", "nslab", "exec", "host-b", "nslab", "exec", "b2", "hostname"]), "b2\n");
        shell.kill().unwrap();
        shell.wait().unwrap();
        from(&["down"]);
    });
}

#[test]
fn arguments_and_variables_of_any_bytes_and_length_reach_another_node() {
    in_box(|| {
        ok("up bridged");
        let bytes = "nslab exec b1 printf '%s' \"$(printf 'a\\377\\303\\251 b')\" | od -An -tx1";
        assert_eq!(said("host-a", bytes), "61 ff c3 a9 20 62");
        let large =
            "for i in 1 2 3 4 5 6 7 8; do export V$i=$(head -c 120000 /dev/zero | tr '\\0' z); done; nslab exec b1 hostname";
        assert_eq!(said("host-a", large), "b1");
        ok("down");
    });
}

#[test]
fn the_agent_of_a_host_starts_at_the_first_connection_whatever_the_command_is() {
    in_box(|| {
        ok("up bridged");
        said("host-a", "true");
        assert_eq!(running("serve-agent"), 0);
        said("host-a", "printf 'exec lxc list -c n -f csv\\n' > /tmp/script.sh; chmod +x /tmp/script.sh");
        let listed = run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "host-a", "sh", "/tmp/script.sh"])).expect(0);
        assert_eq!(listed.out, "a1\na2\n");
        assert_eq!(running("serve-agent bridged host-a"), 1);
        // It outlives the sandbox, and one that was ended starts again.
        ok("agent stop host-a");
        assert_eq!(running("serve-agent"), 0);
        let many = "for i in 1 2 3 4 5 6 7 8; do lxc list -c n -f csv > /tmp/$i & done; wait; cat /tmp/[1-8] | sort | uniq -c | tr -s ' '";
        assert_eq!(said("host-a", many), "8 a1\n 8 a2");
        assert_eq!(running("serve-agent bridged host-a"), 1);
        let python = "python3 -c 'import os,socket\ns=socket.socket(socket.AF_UNIX)\ns.connect(os.environ[\"LXD_DIR\"]+\"/unix.socket\")\n\
                      s.sendall(b\"GET /1.0 HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n\")\nprint(s.recv(15).decode())'";
        assert_eq!(said("host-a", python), "HTTP/1.0 200 OK");
        ok("down");
        assert_eq!(running("serve-agent"), 0);
    });
}

/// Daemons of the machine that would command its real containers, each on the socket of its kind; what reaches one is written down.
const DAEMONS: &str = "
import os, socket, threading, time
def serve(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path): os.remove(path)
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen()
    def loop():
        while True:
            c, _ = s.accept(); open('/run/reached', 'a').write(path + '\\n'); c.close()
    threading.Thread(target=loop, daemon=True).start()
COUNT = -3
def all():
    for path in PATHS[:COUNT]: serve(path)
all(); open('/run/serves', 'w').close()
while not os.path.exists('/run/again'): time.sleep(0.05)
COUNT = len(PATHS)
all(); open('/run/serves-again', 'w').close()
time.sleep(120)
";

/// The last three come later.
const PATHS: [&str; 8] = [
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/incus/unix.socket",
    "/run/docker.sock",
    "/run/user/1000/docker.sock",
    "/run/user/1000/podman/podman.sock",
    "/run/podman/podman.sock",
];

#[test]
fn the_machines_own_daemons_are_out_of_reach_in_every_sandbox() {
    in_box(|| {
        sh("mount -t tmpfs none /var && mkdir -p /var/lib /var/tmp && ln -s /run /var/run");
        let paths = format!("PATHS = {PATHS:?}");
        let mut daemons = Command::new("python3").args(["-c", &format!("{paths}{DAEMONS}")]).spawn().unwrap();
        assert!(wait_for(10, || Path::new("/run/serves").exists()));
        ok("up bridged");
        let knock = format!(
            "python3 -c 'import socket\n{paths}\nfor path in PATHS:\n  s = socket.socket(socket.AF_UNIX)\n  try: s.connect(path); \
             s.sendall(b\"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n\"); print(path, s.recv(8).decode())\n  except OSError as e: pass'"
        );
        let mut daemon = support::spawn("exec --real-root host-a sleep 300");
        assert!(wait_for(10, || running("sleep 300") > 0));
        // Those that are open already when the daemons begin anew, and others come.
        let late: Vec<_> = [("a1", "--"), ("host-a", "--real-root")]
            .into_iter()
            .map(|(node, root)| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
                command.args(["exec", root, node, "sh", "-c", &format!("sleep 6; {knock}")]);
                (node, command.stdout(Stdio::piped()).spawn().unwrap())
            })
            .collect();
        sh("sleep 1");
        for round in ["first", "after the daemons began anew"] {
            for node in ["host-a", "a1"] {
                for root in ["", "--real-root "] {
                    for sudo in ["", PLAIN] {
                        let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
                        command.arg("exec").args(root.split_whitespace()).args([node, "sh", "-c", &format!("{sudo} {knock}")]);
                        let heard = run(command.stdin(Stdio::null())).expect(0).out;
                        let agent = heard.lines().all(|line| line.ends_with("HTTP/1.0") && node == "host-a");
                        assert!(agent, "{round} {node} {root}{sudo}: {heard}");
                        if node == "host-a" {
                            assert!(heard.contains("/var/lib/lxd/unix.socket HTTP/1.0"), "{round} {root}{sudo}: {heard}");
                        }
                    }
                }
            }
            std::fs::write("/run/again", "").unwrap();
            assert!(wait_for(10, || Path::new("/run/serves-again").exists()));
        }
        for (node, child) in late {
            let heard = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            assert!(heard.lines().all(|line| line.ends_with("HTTP/1.0") && node == "host-a"), "{node}: {heard}");
        }
        assert!(!Path::new("/run/reached").exists(), "{}", sh("cat /run/reached"));
        assert_eq!(said("host-a", &format!("{PLAIN} lxc list -c n -f csv")), "a1\na2");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        ok("down");
        daemons.kill().unwrap();
        daemons.wait().unwrap();
    });
}

#[test]
fn no_zombie_stays_where_process_1_does_not_reap() {
    in_box(|| {
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let lines = [
            format!("{nslab} up bridged >/dev/null"),
            format!("{nslab} exec a1 true"),
            format!("{nslab} exec host-a sh -c 'nslab exec b1 true'"),
            format!("{nslab} exec --real-root host-b true"),
            format!("{nslab} check >/dev/null"),
            "sleep 0.2".to_owned(),
            "ps -e -o stat=,args= | grep ^Z; true".to_owned(),
            // A command whose nslab is killed is a zombie that its init waits for: the shim does not wait along.
            format!("{nslab} exec a1 sleep 50 & sleep 1; kill -9 $!"),
            format!("{nslab} down >/dev/null; ps -e -o args= | grep \"^nslab: shi[m]\"; true"),
            format!("{nslab} down >/dev/null"),
        ];
        // Process 1 of that namespace is a sleep, which waits for nobody.
        let script = lines.join("; ");
        sh("unshare -pf --mount-proc sleep 1000 >/dev/null 2>&1 & echo $! > /run/first; sleep 0.5");
        let zombies = sh(&format!("nsenter -t $(pgrep -P $(cat /run/first)) -p -m sh -c '{}'", script.replace('\'', "'\\''")));
        sh("pkill -9 -f '^sleep 1000'");
        assert_eq!(zombies, "");
    });
}
