//! `nslab remote`, `REMOTE:NODE` and nslab as `lxc` on a real LXD, over TLS; and the stock client with the same cases.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::in_box;

/// Runs a script of `tests/agent` beside a real LXD; what it printed and what was said.
fn beside_lxd(script: &str, home: &str) -> (String, String) {
    let out = Command::new("tests/agent/real-lxd.sh")
        .args([home, script, env!("CARGO_BIN_EXE_nslab"), "busybox"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "\n");
    (text(&out.stdout), text(&out.stderr))
}

/// LXD itself loses the end of a terminal's output now and then: a test that failed for that is done once more.
fn passes(script: &str) {
    in_box(|| {
        let (mut answers, mut said) = beside_lxd(script, "/run/lxd");
        if answers.contains("not ok")
            && answers.lines().filter(|line| line.starts_with("not ok")).all(|line| line.contains("terminal"))
        {
            (answers, said) = beside_lxd(script, "/run/again");
        }
        let done = answers.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(answers.ends_with("done\n") && !answers.contains("not ok") && done > 0, "{answers}\n{said}");
    });
}

#[test]
fn in_class_a_real_lxd_does_what_remote_commands_say() {
    passes("tests/agent/remote.sh");
}

#[test]
fn in_class_a_real_lxd_does_what_nslab_as_lxc_says() {
    passes("tests/agent/as-lxc.sh");
}

#[test]
fn in_class_a_real_lxd_does_what_the_stock_client_says() {
    passes("tests/agent/stock-lxc.sh");
}
