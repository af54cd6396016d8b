//! A box: network, mount and process namespaces of its own and an empty `/run` and `/var/lib`, so that no test can touch the machine.

use std::process::{Command, Stdio};

/// Set inside a box, to the name of the test that it was made for.
const INSIDE: &str = "NSLAB_TEST_BOX";
/// Longer than any test takes on two slow cores, in milliseconds; a hanging test ends with a message.
const LIMIT: u64 = 1_200_000;
/// The shell stays as process 1, reaping what the tests leave to it.
const SETUP: &str = "mount -n -t tmpfs -o mode=755 tmpfs /run && mount -n -t tmpfs -o mode=755 tmpfs /var/lib && ip link set lo up && \"$@\"; exit $?";

/// Runs the body of a test in a box: starts this test binary again, for this one test, with namespaces of its own.
///
/// # Panics
/// When not root, and when the test fails inside.
pub fn in_box(body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let name = &test_name();
    assert!(nix::unistd::geteuid().is_root(), "`{name}` needs root, for namespaces of its own; try: make test");
    let unshare = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private"];
    let out = Command::new("timeout")
        .args(["-k", "10", &super::limit(LIMIT).as_secs().to_string()])
        .args(unshare)
        .args(["sh", "-c", SETUP, "box"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .stdin(Stdio::null())
        .output()
        .expect("timeout and unshare are installed");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "in the box ({}):\n{said}", out.status);
    assert!(said.contains("1 passed"), "the box did not run `{name}`:\n{said}");
    eprint!("{said}");
}

/// The test's name is that of its thread; where tests run on the main thread, the one that the runner asked for exactly.
fn test_name() -> String {
    let thread = std::thread::current().name().unwrap_or("main").to_owned();
    if thread != "main" {
        return thread;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = words.iter().find(|word| !word.starts_with('-')).filter(|_| words.iter().any(|word| word == "--exact"));
    asked.cloned().expect("a test's thread bears its name: run without --test-threads=1")
}
