//! The agent of a host, commanded from another host of the lab over TLS: by the stock client, and by nslab as `lxc`.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{INCUS, Machine, fails, in_box, inside, ok, run, sh, wait_for};

const ADDRESS: &str = "192.168.100.2:8443";

/// Runs the cases from host-a, which host-b's agent gives a token.
fn passes(client: &str) {
    in_box(|| {
        let before = Machine::look();
        ok("up routed");
        ok("agent start host-b");
        let token = ok("agent token --name host-a host-b").out;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/conformance.sh");
        let words = ["netns", "exec", "routed.host-a", script, client, ADDRESS, token.trim(), "host"];
        let out = Command::new("ip").args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "\n");
        let (answers, said) = (text(&out.stdout), text(&out.stderr));
        let done = answers.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(answers.ends_with("done\n") && !answers.contains("not ok") && done == 84, "{done} of 84\n{answers}\n{said}");
        ok("down");
        before.assert_unchanged("an agent, and down");
    });
}

#[test]
fn in_class_the_stock_client_does_with_the_agent_what_it_does_with_lxd() {
    passes("lxc");
}

#[test]
fn in_class_incuss_client_does_with_the_agent_what_lxds_does() {
    passes(INCUS);
}

#[test]
fn nslab_as_lxc_does_with_the_agent_what_it_does_with_lxd() {
    const LINK: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/lxc");
    let _ = std::fs::remove_file(LINK);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nslab"), LINK).or_else(|_| std::fs::metadata(LINK).map(drop)).unwrap();
    passes(LINK);
}

#[test]
fn nslab_from_another_host_does_with_the_agent_what_it_does_with_lxd() {
    in_box(|| {
        ok("up routed");
        ok("agent start host-b");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/remote.sh");
        let out = Command::new("ip")
            .args(["netns", "exec", "routed.host-a", script, env!("CARGO_BIN_EXE_nslab"), "host"])
            .envs([("ADDRESS", ADDRESS), ("LXD_DIR", "/run/nslab/routed/agent/host-b"), ("LXD_CONF", "/run/conf")])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "\n");
        let (answers, said) = (text(&out.stdout), text(&out.stderr));
        assert!(answers.ends_with("done\n") && !answers.contains("not ok"), "{answers}\n{said}");
        ok("down");
    });
}

#[test]
fn a_killed_agent_takes_nothing_along_and_its_key_outlives_the_lab() {
    in_box(|| {
        ok("up routed");
        ok("agent start host-b");
        let certificate = || sh("cat /var/lib/nslab/agents/routed/host-b/server.crt");
        let key = certificate();
        sh(&format!("{} exec b1 sh -c 'sleep 1000 >/dev/null 2>&1 &'", env!("CARGO_BIN_EXE_nslab")));
        sh("pkill -9 -f '[s]erve-agent routed host-b'");
        assert!(wait_for(5, || ok("agent status").out.lines().any(|line| line.contains("host-b") && line.contains("stopped"))));
        assert!(ok("ps b1").out.contains("sleep 1000"), "the process in b1 has gone with the agent");
        ok("agent start host-b");
        assert_eq!(key, certificate());
        ok("down");
        ok("up routed");
        ok("agent start host-b");
        assert_eq!(key, certificate(), "another key after down and up");
        ok("down");
        assert_eq!(run(Command::new("pgrep").args(["-f", "nslab serve-agent"])).out, "");
        ok("agent forget routed");
        assert_eq!(sh("ls -A /var/lib"), "");
        let again = fails(2, "agent forget routed");
        assert!(again.err.contains("nothing to forget"), "{again}");
    });
}

#[test]
fn what_clients_would_need_goes_with_the_lab_while_nobody_has_used_one() {
    in_box(|| {
        ok("up routed");
        for host in ["host-a", "host-b"] {
            ok(&format!("exec {host} true"));
            ok(&format!("exec --real-root {host} true"));
        }
        ok("down");
        assert_eq!(sh("ls -A /var/lib"), "");
        ok("up routed");
        ok("exec host-b true");
        ok("exec host-a true");
        sh("echo 'default-remote: other' > /var/lib/nslab/agents/routed/host-a/client/config.yml");
        ok("down");
        assert_eq!(sh("cd /var/lib/nslab/agents; find . -type f").trim(), "./routed/host-a/client/config.yml");
    });
}

#[test]
fn what_is_no_trusted_client_learns_nothing_and_plain_http_is_no_answer() {
    in_box(|| {
        ok("up routed");
        ok("agent start host-b");
        let asked = |script: &str| inside("routed", "host-a", script).out;
        let curl = |words: &str| asked(&format!("curl -sk --max-time 10 {words} || echo refused"));
        assert!(curl(&format!("https://{ADDRESS}/1.0")).contains("\"auth\":\"untrusted\""));
        for path in [
            "/1.0/instances",
            "/1.0/certificates",
            "/1.0/networks",
            "/1.0/operations",
            "/1.0/instances/b1/files?path=/etc/shadow",
        ] {
            let said = curl(&format!("'https://{ADDRESS}{path}'"));
            assert!(said.contains("not authorized") && said.contains("403") && !said.contains("b1\""), "{path}: {said}");
        }
        assert_eq!(curl(&format!("http://{ADDRESS}/1.0")).trim(), "refused");
        assert_eq!(curl(&format!("--tls-max 1.2 https://{ADDRESS}/1.0")).trim(), "refused");
        ok("down");
    });
}
