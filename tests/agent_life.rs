//! Agents that a topology asks for, and those that are there by need.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::other::{Other, cable};
use support::{Machine, fails, in_box, nslab, ok, run, sh, wait_for};

/// A lab whose host-b has an agent, or not.
fn file(agent: bool) -> &'static str {
    let text = format!(
        "name: two\nnetworks: {{ wire: {{}} }}\nhosts:\n  host-a: {{ nics: {{ e0: {{ network: wire, address: 10.0.0.1/24 }} }} }}\n  \
         host-b: {{ agent: {agent}, nics: {{ e0: {{ network: wire, address: 10.0.0.2/24 }} }}, containers: {{ b1: {{}} }} }}\n"
    );
    std::fs::write("/run/two.yaml", text).unwrap();
    "/run/two.yaml"
}

fn agents() -> usize {
    run(Command::new("pgrep").args(["-f", "nslab serve-agent two"])).out.lines().count()
}

#[test]
fn up_starts_the_agent_that_a_topology_asks_for_and_down_ends_it() {
    in_box(|| {
        let up = format!("up {}", file(true));
        let before = Machine::look();
        ok(&up);
        assert_eq!(sh("ip netns exec two.host-b ss -Hltn | awk '{print $4}'").trim(), "10.0.0.2:8443");
        assert!(ok("status").out.contains("Agents that run: host-b."));
        assert!(ok(&up).out.contains("already up"));
        assert_eq!(agents(), 1);

        sh("pkill -9 -f '[s]erve-agent two'");
        assert!(wait_for(30, || nslab("status").code == 1));
        let said = nslab("status").out;
        assert!(said.contains("drifted") && said.contains("should run and do not: host-b"), "{said}");
        assert!(ok(&up).out.contains("as described again"));
        assert_eq!(agents(), 1);
        ok("status");

        let without = format!("up {}", file(false));
        assert!(ok(&without).out.contains("was changed"));
        assert_eq!(agents(), 0);
        assert!(ok(&format!("up {}", file(true))).out.contains("was changed"));
        assert_eq!(agents(), 1);
        ok("down");
        assert_eq!(agents(), 0);
        before.assert_unchanged("agent: true, up and down");
    });
}

#[test]
fn an_agent_that_cannot_listen_undoes_up_and_says_who_is_in_its_way() {
    in_box(|| {
        ok(&format!("up {}", file(false)));
        sh("ip netns exec two.host-b python3 -c 'import socket,time
s = socket.create_server((\"10.0.0.2\", 8443)); time.sleep(60)' >/dev/null 2>&1 &");
        assert!(wait_for(30, || sh("ip netns exec two.host-b ss -Hltn").contains(":8443")));
        let failed = nslab(&format!("up {}", file(true)));
        assert_eq!(failed.code, 4, "{}", failed.err);
        assert!(failed.err.contains("cannot listen at 10.0.0.2:8443"), "{}", failed.err);
        assert_eq!(agents(), 0);
        assert!(ok("status").out.contains("as described"));
        ok("down");
    });
}

#[test]
fn an_agent_whose_process_stands_still_is_told_so_and_nobody_waits_for_it_forever() {
    in_box(|| {
        ok(&format!("up {}", file(true)));
        sh("pkill -STOP -f '[s]erve-agent two'");
        let begun = std::time::Instant::now();
        let status = ok("agent status").out;
        assert!(status.contains("does not answer"), "{status}");
        let told: serde_json::Value = serde_json::from_str(&ok("--format json agent status").out).unwrap();
        let own = &told["agents"][1];
        assert_eq!((&own["host"], &own["running"], &own["answers"]), (&"host-b".into(), &true.into(), &false.into()));
        for words in ["agent start host-b", "agent token host-b --name me", "agent trust list host-b"] {
            let silent = fails(3, words).err;
            assert!(silent.contains("the agent of host-b runs, but does not answer"), "{words}: {silent}");
        }
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        sh("pkill -CONT -f '[s]erve-agent two'");
        assert!(ok("agent status").out.contains("10.0.0.2:8443"));
        sh("pkill -STOP -f '[s]erve-agent two'");
        ok("agent stop host-b");
        assert_eq!(agents(), 0);
        ok("down");
    });
}

/// What a command in a node prints, without its last line's end.
fn says(words: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_nslab")).arg("exec").args(words).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

#[test]
fn a_host_is_ready_for_class_as_soon_as_somebody_wants_lxc_there() {
    in_box(|| {
        let before = Machine::look();
        ok("up routed");
        says(&["host-b", "ip", "addr"]);
        says(&["host-b", "sh", "-c", "echo $LXD_DIR"]);
        assert!(!ok("status").out.contains("Agents"), "an agent that nobody needs");

        assert_eq!(says(&["host-b", "lxc", "list", "-c", "ns", "-f", "csv"]), "b1,RUNNING\nb2,RUNNING");
        assert!(ok("status").out.contains("Agents that run: host-b."));
        assert_eq!(says(&["host-a", "sh", "-c", "lxc list -c n -f csv | wc -l"]), "2");
        assert!(says(&["b1", "sh", "-c", "echo lxc; env"]).lines().all(|line| !line.starts_with("LXD_")));

        // Two hosts, both with an agent: which?
        let which = fails(2, "agent token --name host-a").err;
        assert!(which.contains("host-a") && which.contains("host-b"), "{which}");
        ok("agent stop host-a");
        let token = ok("agent token --name host-a").out;
        says(&["host-a", "lxc", "remote", "add", "host-b", token.trim()]);
        let add = "lxc launch host host-b:b4 && lxc delete -f host-b:b4 && lxc launch host-b:host host-b:b3 && lxc exec host-b:b3 -- hostname && lxc delete -f host-b:b3";
        assert!(says(&["host-a", "sh", "-c", add]).ends_with("b3"));
        assert!(says(&["host-a", "sh", "-c", concat!(env!("CARGO_BIN_EXE_nslab"), " exec host-b:b1 hostname # as lxc")]) == "b1");
        ok("down");
        before.assert_unchanged("agents by need");

        // The keys of both sides are as they were: the remote stays good.
        ok("up routed");
        ok("agent start host-b");
        assert_eq!(says(&["host-a", "lxc", "list", "host-b:", "-c", "n", "-f", "csv"]), "b1\nb2");
        ok("down");
    });
}

#[test]
fn a_shell_of_a_host_commands_its_containers_with_the_machines_own_files_too() {
    in_box(|| {
        ok("up routed");
        let typed = "printf 'lxc list -c n -f csv; echo conf-$LXD_CONF; exit\n'";
        let shell = |words: &str| sh(&format!("{typed} | script -qec '{} shell {words}' /dev/null", env!("CARGO_BIN_EXE_nslab")));
        for words in ["host-a", "--real-root host-a"] {
            let said = shell(words);
            assert!(said.contains("a1\r\na2") && said.contains("conf-/var/lib/nslab/agents/routed/host-a/client"), "{said}");
            // What an image is there is said once.
            assert_eq!(said.contains("ubuntu:22.04 too, means this machine's own files"), words == "host-a", "{said}");
        }
        ok("down");
    });
}

#[test]
fn a_host_whose_agent_cannot_start_has_its_shell_all_the_same() {
    in_box(|| {
        ok("up routed");
        sh("ip netns exec routed.host-a python3 -c 'import socket,time
s = socket.create_server((\"192.168.100.1\", 8443)); time.sleep(60)' >/dev/null 2>&1 &");
        assert!(wait_for(30, || sh("ip netns exec routed.host-a ss -Hltn").contains(":8443")));
        assert_eq!(says(&["host-a", "echo", "lxc"]), "lxc");
        // Said to the client that waits for it, in its user's language.
        let done =
            run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "host-a", "lxc", "list"]).env("LC_ALL", "es_ES.UTF-8"));
        assert_eq!(done.code, 1, "{done}");
        assert!(done.err.contains("el agente de host-a no puede escuchar en 192.168.100.1:8443"), "{done}");
        assert!(done.err.contains("pruebe: ss -ltnp") && !done.err.contains("nslab:"), "{done}");
        ok("down");
    });
}

#[test]
fn on_a_machine_that_plays_a_host_its_agent_starts_at_the_first_connection() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        let before = Machine::look();
        ok("up routed --role host-a --nic enp0s8");
        says(&["host-a", "sh", "-c", "echo lxc"]);
        assert!(!ok("status").out.contains("Agents"), "an agent that nobody needs");
        let hidden = ["host-a", "sh", "-c", "client=l; ${client}xc list -c n -f csv"];
        assert_eq!(says(&hidden), "a1\na2");
        assert!(ok("status").out.contains("Agents that run: host-a."));
        ok("agent stop host-a");
        assert_eq!(says(&hidden), "a1\na2");
        sh("rm /run/nslab/routed/agent/host-a/*/unix.socket");
        assert_eq!(says(&hidden), "a1\na2", "where its socket is lost");
        ok("down");
        before.assert_unchanged("an agent by need on a machine that plays a host");
    });
}

#[test]
fn a_machine_that_plays_a_host_commands_the_containers_of_the_one_that_plays_the_other() {
    in_box(|| {
        let other = Other::boot();
        cable(&other);
        let before = Machine::look();
        ok("up remote --role host-a --nic enp0s8");
        other.ok("up remote --role host-b --nic eth1");
        assert!(ok("status").out.contains("Agents that run: host-a."));
        assert_eq!(says(&["host-a", "lxc", "list", "-c", "n", "-f", "csv"]), "a1\na2");
        let unknown = fails(1, "check");
        assert!(
            unknown.out.contains("knows no remote that is host-b") && unknown.out.contains("lxc remote add host-b TOKEN"),
            "{unknown}"
        );
        assert!(unknown.out.contains("printed on the other machine, which plays host-b"), "{unknown}");
        let elsewhere = other.ok("check");
        assert!(elsewhere.contains("5 of 5") && elsewhere.contains("on the other machine"), "{elsewhere}");

        let token = other.ok("agent token host-b --name host-a");
        says(&["host-a", "lxc", "remote", "add", "host-b", token.trim()]);
        assert_eq!(says(&["host-a", "lxc", "list", "host-b:", "-c", "n", "-f", "csv"]), "b1\nb2");
        let judged = ok("check");
        assert!(judged.out.contains("5 of 5"), "{judged}");
        ok("down");
        other.ok("down");
        before.assert_unchanged("agents of two machines");
    });
}

#[test]
fn an_agent_can_listen_at_an_address_that_was_given_by_hand_and_does_without_when_it_is_gone() {
    in_box(|| {
        let give = |host: &str, address: &str| {
            says(&[host, "sh", "-c", &format!("ip addr add {address}/24 dev enp0s8; ip link set enp0s8 up")]);
        };
        let listens = || sh("ip netns exec bare-lxd.host-b ss -Hltn | awk '$4 ~ /:8443/ {print $4}'");
        ok("up bare-lxd");
        give("host-a", "192.168.100.1");
        give("host-b", "192.168.100.2");
        says(&["host-b", "lxc", "config", "set", "core.https_address", "192.168.100.2"]);
        assert_eq!(listens().trim(), "192.168.100.2:8443");
        let stranger = nslab("exec host-b lxc config set core.https_address 192.168.100.7");
        assert!(stranger.code == 1 && stranger.err.contains("192.168.100.7 is no address of this host"), "{stranger}");
        let token = ok("agent token host-b --name host-a").out;
        says(&["host-a", "lxc", "remote", "add", "host-b", token.trim()]);
        assert_eq!(says(&["host-a", "lxc", "list", "host-b:", "-c", "n", "-f", "csv"]), "b1\nb2");
        ok("down");

        ok("up bare-lxd");
        assert_eq!(says(&["host-b", "lxc", "list", "-c", "n", "-f", "csv"]), "b1\nb2");
        let nowhere = fails(3, "agent token host-b --name host-a");
        assert!(nowhere.err.contains("core.https_address"), "{nowhere}");
        give("host-b", "192.168.100.2");
        says(&["host-b", "lxc", "config", "set", "core.https_address", "192.168.100.2"]);
        assert_eq!(listens().trim(), "192.168.100.2:8443");
        // On all of them: the lab's own address first.
        says(&["host-b", "lxc", "config", "set", "core.https_address", ":8443"]);
        let all = ok("--format json agent status").out;
        assert!(all.contains("\"192.168.100.2:8443\"") && !all.contains("127.0.0.1"), "{all}");
        ok("down");
    });
}
