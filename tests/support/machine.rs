//! A picture of the machine, taken with foreign tools: what nslab must leave as it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use super::run::{ip_batch, run, sh, wait_for};

/// Links, addresses, routes, rules, sysctls, nftables, mounts, processes and the files of `/run`, line by line.
#[derive(PartialEq, Eq)]
pub struct Machine(BTreeMap<&'static str, Vec<String>>);

impl Machine {
    /// Looks at the box that the test runs in.
    pub fn look() -> Self {
        // As few programs as can be: the tests of kills look some thousand times.
        let routes = "route show table all\nrule\n";
        let network = [ip_batch(&["-d", "-o"], &format!("link\naddr\n{routes}")), ip_batch(&["-6"], routes)].concat();
        let network = network.lines().map(without_clocks).collect();
        let nft = run(Command::new("nft").args(["-a", "list", "ruleset"])).expect(0).out.lines().map(str::to_owned).collect();
        Self(BTreeMap::from([
            ("network", network),
            ("nftables", nft),
            ("sysctls", sysctls()),
            ("mounts", mounts()),
            ("files of /run", files(Path::new("/run"))),
            ("processes", processes()),
        ]))
    }

    /// Checks that the machine is as in the picture; the kernel and ending processes get 30 seconds.
    #[track_caller]
    pub fn assert_unchanged(&self, after: &str) {
        if wait_for(30, || Self::look() == *self) {
            return;
        }
        panic!("the machine is not as it was, after: {after}\n{}", self.difference(&Self::look()));
    }

    fn difference(&self, now: &Self) -> String {
        let mut said = String::new();
        for (what, before) in &self.0 {
            let now = &now.0[what];
            let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("{what}: gone: {line}\n"));
            let came = now.iter().filter(|line| !before.contains(line)).map(|line| format!("{what}: came: {line}\n"));
            said.extend(gone.chain(came));
        }
        if said.is_empty() { "only the order or the number of equal lines differs\n".to_owned() } else { said }
    }
}

fn without_clocks(line: &str) -> String {
    let line = line.split(" valid_lft ").next().unwrap().split(" expires ").next().unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let kept = words.iter().enumerate().filter(|(at, _)| *at == 0 || !words[at - 1].ends_with("_timer")).map(|(_, word)| *word);
    kept.collect::<Vec<_>>().join(" ")
}

fn sysctls() -> Vec<String> {
    let mut lines = Vec::new();
    for tree in ["net/ipv4/conf", "net/ipv6/conf", "net/bridge"] {
        read_tree(&Path::new("/proc/sys").join(tree), &mut lines);
    }
    lines.push(format!("ip_forward {}", fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim()));
    lines.sort();
    lines
}

fn read_tree(dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_tree(&path, lines);
        } else if let Ok(text) = fs::read_to_string(&path) {
            lines.push(format!("{} {}", path.display(), text.trim()));
        }
    }
}

/// `mountinfo` without the numbers that the kernel gives anew each time.
fn mounts() -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read("/proc/self/mountinfo").unwrap()).into_owned();
    let line = |line: &str| {
        let words = line.split(' ').skip(3).map(|word| if word.starts_with("shared:") { "shared" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

/// Everything below a directory: kind, mode, owner, and target or content.
fn files(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_file() && meta.len() > 0 {
            fs::read_to_string(&path).unwrap_or_else(|_| "bytes".to_owned())
        } else {
            format!("device {} socket {}", meta.dev(), kind.is_socket())
        };
        lines.push(format!("{} {:o} {}:{} {content}", path.display(), meta.mode(), meta.uid(), meta.gid()));
        if kind.is_dir() {
            lines.extend(files(&path));
        }
    }
    lines.sort();
    lines
}

/// Every process but this one, its own threads and zombies.
fn processes() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']));
        if pid == std::process::id() || zombie {
            continue;
        }
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        lines.push(format!("{pid} {}", String::from_utf8_lossy(&words).replace('\0', " ")));
    }
    lines.sort();
    lines
}

/// How many processes there are whose command line contains this, sandboxes included.
pub fn running(words: &str) -> usize {
    processes().iter().filter(|line| line.contains(words)).count()
}

/// Puts things of other people into the box whose names look like nslab's; take the picture afterwards.
pub fn canaries() {
    sh("ip link add br0 type bridge forward_delay 0
        ip link add veth-a1 type veth peer name enp0s8
        ip link set veth-a1 master br0
        for dev in br0 veth-a1 enp0s8; do ip link set $dev addrgenmode none; done
        ip addr add 10.0.0.99/24 dev br0
        ip link set br0 up; ip link set veth-a1 up; ip link set enp0s8 up
        ip route add 10.9.0.0/16 via 10.0.0.1 dev br0
        nft add table inet nslab
        nft add chain inet nslab forward '{ type filter hook forward priority 0; policy accept; }'
        ip netns add bridged.host-a.zz
        ip netns add nslab-bridged
        mkdir -p /run/nslab-other /run/lock
        echo mine > /run/nslab-other/lab.json
        ln -s /nowhere /run/netns/routed.host-z");
    // The state of carriers settles a moment later.
    assert!(wait_for(10, || sh("ip -o link show up").matches("state UP").count() >= 3), "{}", sh("ip link"));
    let (mut before, mut same) = (Machine::look(), 0);
    wait_for(20, || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = Machine::look();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same >= 3
    });
}
