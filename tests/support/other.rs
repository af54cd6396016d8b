//! Another machine, as a box of its own, and the cable to it.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::process::{Child, Command, Stdio};

use super::{run, sh};

/// The other machine: a network, a `/run` and a `/var/lib` of its own.
pub struct Other(Child);

impl Other {
    /// Starts it.
    pub fn boot() -> Self {
        // A name and an id of its own, as every machine has that is no clone.
        let script = "for dir in /run /var/lib; do mount -t tmpfs -o mode=755 tmpfs $dir; done; ip link set lo up; hostname other
            tr -d - </proc/sys/kernel/random/uuid >/run/machine-id
            if [ -e /etc/machine-id ]; then mount --bind /run/machine-id /etc/machine-id; fi
            echo up; exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["-n", "-m", "-u", "--propagation", "private", "sh", "-c", script]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    /// Its process, in whose namespaces it is.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The command that enters it.
    pub fn enter(&self) -> Vec<String> {
        let pid = self.0.id().to_string();
        ["nsenter", "-t", &pid, "-n", "-m", "-u"].map(str::to_owned).to_vec()
    }

    /// Runs a shell script there and expects 0.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let enter = self.enter();
        run(Command::new(&enter[0]).args(&enter[1..]).args(["sh", "-euc", script])).expect(0).out
    }

    #[track_caller]
    /// Runs nslab there and expects 0.
    pub fn ok(&self, words: &str) -> String {
        self.sh(&format!("{} {words}", env!("CARGO_BIN_EXE_nslab")))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A NIC of this machine, free and down as a new one is, whose cable leads to the other machine's `eth1`.
pub fn cable(other: &Other) {
    sh(&format!("ip link add enp0s8 type veth peer name eth1 netns {}", other.pid()));
    // The first time that a link is up changes how it is shown.
    other.sh("ip link set eth1 up; ip link set eth1 down");
    sh("ip link set enp0s8 up; ip link set enp0s8 down");
}
