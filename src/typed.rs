//! Command lines as they are typed where their reader is: outside with `sudo`, in a node's shell without it, and there without
//! `nslab exec NODE` in front.

use std::sync::OnceLock;

/// Who reads what nslab prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reader {
    /// The lab and the node whose shell it is.
    pub node: Option<(String, String)>,
    /// Root in a user namespace alone, where `sudo` does not work.
    pub unprivileged: bool,
}

static READER: OnceLock<Reader> = OnceLock::new();

/// Says who reads, once, before anything is printed.
pub fn set(reader: Reader) {
    let _ = READER.set(reader);
}

/// A command line, written for outside, as this reader types it.
pub fn here(line: &str) -> String {
    READER.get().map_or_else(|| line.to_owned(), |reader| reader.line(line))
}

impl Reader {
    /// A reader in the shell of `LAB/HOST` or `LAB/HOST.CONTAINER`.
    pub fn inside(words: &str) -> Self {
        let node = words.split_once('/').map(|(lab, node)| (lab.to_owned(), node.to_owned()));
        Self { node, unprivileged: false }
    }

    fn line(&self, line: &str) -> String {
        if self.node.is_none() && !self.unprivileged {
            return line.to_owned();
        }
        let line = line.replace("sudo nslab", "nslab");
        if self.node.is_none() {
            return line;
        }
        let line = self.in_namespace(&line.replace("sudo ", ""));
        let own = line.strip_prefix("nslab exec ").and_then(|rest| rest.split_once(' '));
        match own {
            Some((word, command)) if self.is(word) => command.to_owned(),
            _ => line,
        }
    }

    /// A line for a namespace that only the machine knows by its name, `ip -n LAB.NODE ...` or `ip netns exec LAB.NODE ...`, as one for
    /// the node.
    fn in_namespace(&self, line: &str) -> String {
        let Some((lab, _)) = &self.node else { return line.to_owned() };
        let rest = |start: &str| line.strip_prefix(start)?.strip_prefix(lab.as_str())?.strip_prefix('.')?.split_once(' ');
        match (rest("ip -n "), rest("ip netns exec ")) {
            (Some((node, command)), _) => format!("nslab exec {} ip {command}", node.replacen('.', "/", 1)),
            (_, Some((node, command))) => format!("nslab exec {} {command}", node.replacen('.', "/", 1)),
            _ => line.to_owned(),
        }
    }

    /// Whether `[LAB/][HOST/]NODE` is the reader's own node. A bare name is printed only where one node has it.
    fn is(&self, word: &str) -> bool {
        let Some((lab, node)) = &self.node else { return false };
        let full = node.replacen('.', "/", 1);
        let local = word.strip_prefix(&format!("{lab}/")).unwrap_or(word);
        local == full || full.rsplit('/').next() == Some(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_for_where_it_is_typed() {
        let line = "sudo nslab exec host-a ip link set enp0s8 up";
        let outside = Reader::default();
        assert_eq!(outside.line(line), line);
        let host = Reader::inside("bridged/host-a");
        assert_eq!(host.line(line), "ip link set enp0s8 up");
        assert_eq!(host.line("sudo nslab exec bridged/host-a ip link"), "ip link");
        assert_eq!(host.line("sudo nslab exec other/host-a ip link"), "nslab exec other/host-a ip link");
        assert_eq!(host.line("sudo nslab exec host-b ip link"), "nslab exec host-b ip link");
        assert_eq!(host.line("sudo nslab status"), "nslab status");
        assert_eq!(host.line("sudo sysctl user.max_net_namespaces=1"), "sysctl user.max_net_namespaces=1");
        assert_eq!(host.line("ip -n bridged.host-a link set enp0s8 up"), "ip link set enp0s8 up");
        assert_eq!(host.line("ip -n bridged.host-b.b1 link set eth0 up"), "nslab exec host-b/b1 ip link set eth0 up");
        assert_eq!(host.line("ip netns exec bridged.host-a sysctl -qw x=1"), "sysctl -qw x=1");
        assert_eq!(host.line("ip -n other.host-a link"), "ip -n other.host-a link");
        let container = Reader::inside("bridged/host-a.c1");
        assert_eq!(container.line("sudo nslab exec host-a/c1 ip route"), "ip route");
        assert_eq!(container.line("sudo nslab exec host-b/c1 ip route"), "nslab exec host-b/c1 ip route");
        assert_eq!(container.line("sudo nslab exec bridged/host-a/c1 ip route"), "ip route");
        let rootless = Reader { unprivileged: true, ..Reader::default() };
        assert_eq!(rootless.line(line), "nslab exec host-a ip link set enp0s8 up");
        assert_eq!(rootless.line("sudo sysctl x=1"), "sudo sysctl x=1");
    }
}
