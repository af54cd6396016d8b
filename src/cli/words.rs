//! What people type who come from other tools, and what it is here.

use std::collections::HashSet;

use crate::lab;
use crate::name::NodeName;
use crate::topology::catalog;

/// Words that other tools have for something, and the lines that do it here.
pub(super) struct Entry {
    /// What may stand first on the command line.
    pub(super) words: &'static [&'static str],
    /// What is typed here instead.
    pub(super) lines: &'static [Line],
}

/// A line to type, and whom it is for.
///
/// `{1|a1}` is the first word that was typed behind, `a1` where there is none; `{@|...}` is all of them, `{+|...}` all but the
/// first.
pub(super) enum Line {
    /// Whatever was typed behind.
    Any(&'static str),
    /// Not where a node was typed behind.
    Lab(&'static str),
    /// Not where a lab or a topology was typed behind.
    Node(&'static str),
}

use Line::{Any, Lab, Node};

/// First words that are no commands of nslab's.
pub(super) const FOREIGN: &[Entry] = &[
    Entry {
        words: &["traceroute", "traceroute6", "tracepath", "tracert", "mtr"],
        lines: &[Any("nslab trace {1|a1} {2|b1}"), Any("nslab exec {1|a1} traceroute {2|b1}")],
    },
    Entry { words: &["pingall", "ping-all", "pingpair", "fping"], lines: &[Any("nslab ping --all")] },
    Entry { words: &["ping6"], lines: &[Any("nslab ping -6 {1|a1} {2|b1}")] },
    Entry {
        words: &["arp", "arping", "neigh", "neighbours"],
        lines: &[Any("nslab exec {1|a1} ip neigh"), Any("nslab show {1|a1}")],
    },
    Entry {
        words: &[
            "addr",
            "address",
            "addresses",
            "link",
            "links",
            "interface",
            "interfaces",
            "iface",
            "nics",
            "ipconfig",
            "ifconfig",
        ],
        lines: &[Any("nslab exec {1|a1} ip addr"), Any("nslab show {1|a1}")],
    },
    Entry { words: &["route", "routes"], lines: &[Any("nslab exec {1|a1} ip route"), Any("nslab show {1|a1}")] },
    Entry { words: &["netns"], lines: &[Any("nslab list"), Any("nslab exec {2|a1} ip addr")] },
    Entry {
        words: &["tcpdump", "tshark", "wireshark", "dumpcap", "sniff", "pcap", "dump"],
        lines: &[Any("nslab capture {1|all}"), Any("nslab exec host-a tcpdump {@|-e}")],
    },
    Entry { words: &["mac", "fdb", "mac-table", "mactable", "cam"], lines: &[Any("nslab macs"), Node("nslab show {1|host-a}")] },
    Entry {
        words: &["create", "run", "deploy", "boot", "build", "make", "apply", "new", "init", "add", "open", "load", "import"],
        lines: &[Lab("nslab up {1|bridged}"), Node("nslab launch {1|host-a/a3}")],
    },
    Entry {
        words: &["destroy", "remove", "rm", "del", "teardown", "undeploy", "erase", "purge"],
        lines: &[Lab("nslab down {1|}"), Node("nslab delete {1|a1}")],
    },
    Entry { words: &["kill", "halt", "poweroff", "shutdown"], lines: &[Lab("nslab down {1|}"), Node("nslab stop {1|a1}")] },
    Entry { words: &["clean", "cleanup", "prune", "quit", "exit"], lines: &[Any("nslab down {1|}"), Any("nslab down --all")] },
    Entry { words: &["ls", "labs", "lab", "nodes", "hosts", "containers", "names"], lines: &[Any("nslab list")] },
    Entry {
        words: &["topologies", "topos", "templates", "images", "catalog", "catalogue", "examples", "scenarios", "lessons"],
        lines: &[Any("nslab topology"), Any("nslab topology {1|bridged}")],
    },
    Entry {
        words: &["inspect", "info", "describe", "get", "view", "stat", "state"],
        lines: &[Node("nslab show {1|host-a}"), Lab("nslab status {1|}")],
    },
    Entry {
        words: &["log", "logs", "events", "history", "journal", "monitor"],
        lines: &[Any("nslab status"), Any("nslab capture all")],
    },
    Entry { words: &["top", "htop", "processes"], lines: &[Any("nslab ps {1|}")] },
    Entry {
        words: &[
            "ssh", "attach", "console", "login", "enter", "connect", "sh", "bash", "terminal", "term", "xterm", "nsenter",
            "telnet",
        ],
        lines: &[Any("nslab shell {1|a1}")],
    },
    Entry { words: &["cmd", "command", "do"], lines: &[Any("nslab exec {1|a1} {+|ip addr}")] },
    Entry {
        words: &["test", "verify", "judge", "grade", "evaluate", "score", "assert"],
        lines: &[Any("nslab check"), Lab("nslab check --against {1|bridged}")],
    },
    Entry {
        words: &["draw", "diagram", "picture", "map", "plot", "svg", "dot", "net", "network", "networks", "topo"],
        lines: &[Any("nslab graph {1|}")],
    },
    Entry { words: &["version"], lines: &[Any("nslab --version")] },
    Entry { words: &["manual", "docs", "usage", "commands", "ayuda"], lines: &[Any("nslab help"), Any("nslab man")] },
    Entry { words: &["config", "edit", "yaml"], lines: &[Any("nslab topology {1|bridged}"), Any("nslab validate ./lab.yaml")] },
    Entry { words: &["save", "export"], lines: &[Any("nslab plan --by-hand {1|}"), Any("nslab topology bridged")] },
    Entry { words: &["script", "commands-of", "show-commands"], lines: &[Any("nslab plan {1|bridged}")] },
    Entry { words: &["reload", "redeploy", "reapply"], lines: &[Any("nslab up {1|bridged}"), Any("nslab reset {1|}")] },
    Entry { words: &["undo", "restore", "revert", "rollback"], lines: &[Any("nslab reset {1|}")] },
    Entry { words: &["reboot"], lines: &[Node("nslab restart {1|a1}"), Lab("nslab reset {1|}")] },
    Entry { words: &["freeze", "suspend"], lines: &[Any("nslab pause {1|a1}")] },
    Entry { words: &["unpause", "unfreeze", "resume", "continue", "thaw"], lines: &[Any("nslab start {1|a1}")] },
    Entry { words: &["mv", "move"], lines: &[Any("nslab rename {1|a1} {2|a3}")] },
    Entry {
        words: &["diagnose", "healthcheck", "preflight", "fix", "repair"],
        lines: &[Any("nslab doctor"), Lab("nslab up {1|bridged}")],
    },
    Entry { words: &["token", "trust"], lines: &[Any("nslab agent token {1|host-b} --name host-a")] },
    Entry {
        words: &[
            "ip", "ss", "netstat", "bridge", "brctl", "sysctl", "nft", "iptables", "ethtool", "curl", "wget", "nc", "ncat",
            "iperf", "iperf3", "dig", "host", "nslookup", "cat", "hostname", "vtysh", "lsof", "dhclient",
        ],
        lines: &[Any("nslab exec host-a {0} {@|}")],
    },
];

/// Commands of nslab's that the grammar refuses as they were typed: by the command, and what stands behind it.
pub(super) const INCOMPLETE: &[Entry] = &[
    Entry { words: &["up"], lines: &[Any("nslab up bridged"), Any("nslab topology")] },
    Entry { words: &["topology"], lines: &[Any("nslab topology {2|bridged}"), Any("nslab topology")] },
    Entry { words: &["ping"], lines: &[Any("nslab ping {1|a1} {2|b1}"), Any("nslab ping --all")] },
    Entry { words: &["trace"], lines: &[Any("nslab trace {1|a1} {2|b1}")] },
    Entry { words: &["exec"], lines: &[Any("nslab exec {1|a1} ip addr"), Any("nslab shell {1|a1}")] },
    Entry { words: &["shell"], lines: &[Any("nslab exec {1|a1} {+|ip addr}"), Any("nslab shell {1|a1}")] },
    Entry { words: &["capture"], lines: &[Any("nslab capture all"), Any("nslab capture host-a")] },
    Entry { words: &["launch"], lines: &[Any("nslab launch host-a/a3")] },
    Entry { words: &["start"], lines: &[Any("nslab start a1"), Any("nslab up bridged")] },
    Entry { words: &["stop"], lines: &[Any("nslab stop a1"), Any("nslab down")] },
    Entry { words: &["restart"], lines: &[Any("nslab restart a1"), Any("nslab reset")] },
    Entry { words: &["delete"], lines: &[Any("nslab delete a1"), Any("nslab down")] },
    Entry { words: &["pause"], lines: &[Any("nslab pause a1")] },
    Entry { words: &["rename"], lines: &[Any("nslab rename {1|a1} {2|a3}")] },
    Entry { words: &["validate"], lines: &[Any("nslab validate ./lab.yaml")] },
    Entry { words: &["show"], lines: &[Any("nslab show {1|host-a}")] },
    Entry { words: &["status"], lines: &[Any("nslab status {1|}"), Any("nslab show host-a")] },
    Entry { words: &["check"], lines: &[Any("nslab check"), Any("nslab check --against {1|bridged}")] },
    Entry { words: &["plan"], lines: &[Any("nslab plan {1|bridged}")] },
    Entry { words: &["graph"], lines: &[Any("nslab graph {1|}"), Any("nslab graph --format svg")] },
];

/// Commands that take containers, where a lab or a topology was typed.
pub(super) const WHOLE: &[Entry] = &[
    Entry { words: &["start", "launch"], lines: &[Any("nslab up {1|bridged}")] },
    Entry { words: &["stop", "delete", "pause"], lines: &[Any("nslab down {1|bridged}")] },
    Entry { words: &["restart"], lines: &[Any("nslab reset {1|bridged}")] },
    Entry {
        words: &["show"],
        lines: &[Any("nslab status {1|bridged}"), Any("nslab graph {1|bridged}"), Any("nslab topology {1|bridged}")],
    },
    Entry { words: &["shell", "exec"], lines: &[Any("nslab list"), Any("nslab shell host-a")] },
];

/// What may stand behind `topology` and the like before the name.
const VERBS: [&str; 8] = ["show", "get", "cat", "print", "list", "ls", "view", "info"];

/// The words of a command line without nslab's own options: its name left out.
pub(super) fn bare(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut all = all;
    while let Some(word) = all.next() {
        match word.as_str() {
            // Behind the command options are its own.
            _ if !words.is_empty() => words.push(word),
            "--lang" | "--format" => drop(all.next()),
            option if option.starts_with('-') => {}
            _ => words.push(word),
        }
    }
    words
}

/// What to type instead of words that the grammar refuses; nothing where nobody knows what was meant.
pub(super) fn instead(words: &[String]) -> Vec<String> {
    let words = if words.first().is_some_and(|word| word == "help") { &words[1..] } else { words };
    let Some((first, behind)) = words.split_first() else { return Vec::new() };
    if catalog::find(first).is_some() || (catalog::is_file(first) && !first.starts_with('-')) {
        return vec![format!("nslab up {}", quoted(first))];
    }
    match find(FOREIGN, first).or_else(|| find(INCOMPLETE, first)) {
        Some(entry) => fill(entry, first, behind),
        None => Vec::new(),
    }
}

/// What to type where a command for containers was given a lab or a topology that is no node as well.
pub(super) fn whole(words: &[String]) -> Vec<String> {
    let Some((first, behind)) = words.split_first() else { return Vec::new() };
    let Some(word) = behind.first().filter(|word| is_lab(word) && !is_node(word)) else { return Vec::new() };
    find(WHOLE, first).map(|entry| fill(entry, first, std::slice::from_ref(word))).unwrap_or_default()
}

fn find(table: &'static [Entry], word: &str) -> Option<&'static Entry> {
    table.iter().find(|entry| entry.words.contains(&word))
}

/// Commands that need no root.
const FREE: [&str; 8] = ["list", "topology", "help", "--version", "plan", "validate", "man", "doctor"];

/// A line as it is typed with `sudo`, where it needs that.
pub(super) fn with_sudo(line: &str) -> String {
    let command = line.split(' ').nth(1).unwrap_or_default();
    if FREE.contains(&command) { line.to_owned() } else { format!("sudo {line}") }
}

/// The lines of an entry, with what was typed.
pub(super) fn fill(entry: &Entry, first: &str, behind: &[String]) -> Vec<String> {
    let verb = first == "topology" && behind.len() == 1 && VERBS.contains(&behind[0].as_str());
    let plain: Vec<&String> = behind.iter().filter(|word| !word.starts_with('-') && !verb).collect();
    let known = plain.first().map(|word| (is_node(word), is_lab(word)));
    let mut lines: Vec<String> = Vec::new();
    for line in entry.lines {
        let text = match (line, known) {
            (Lab(_), Some((true, false))) | (Node(_), Some((false, true))) => continue,
            (Any(text) | Lab(text) | Node(text), _) => text,
        };
        let words: Vec<String> =
            pieces(text).map(|piece| filled(&piece, first, behind, &plain)).filter(|word| !word.is_empty()).collect();
        let line = words.join(" ");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The words of a template; a placeholder with its default is one.
fn pieces(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let end = if rest.starts_with('{') { rest.find('}').map(|at| at + 1) } else { rest.find(' ') };
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!piece.is_empty()).then(|| piece.to_owned())
    })
}

fn filled(piece: &str, first: &str, behind: &[String], plain: &[&String]) -> String {
    let Some(inside) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return piece.to_owned() };
    let (which, default) = inside.split_once('|').unwrap_or((inside, ""));
    let all = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let given = match which {
        "0" => return quoted(first),
        "1" => plain.first().map(|word| quoted(word)),
        // Somebody else than the first.
        "2" if plain.len() == 1 && plain[0] == default => Some("a1".to_owned()),
        "2" => plain.get(1).map(|word| quoted(word)),
        "+" => behind.get(1..).filter(|rest| !rest.is_empty()).map(all),
        _ => Some(all(behind)).filter(|text| !text.is_empty()),
    };
    given.unwrap_or_else(|| default.to_owned())
}

fn quoted(word: &str) -> String {
    // As the user typed it, so that it can be typed again.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { crate::plan::quoted(word).into() }
}

fn is_lab(word: &str) -> bool {
    catalog::find(word).is_some()
        || catalog::is_file(word) && word.ends_with("ml")
        || lab::names().iter().any(|entry| entry.lab == word)
}

/// Whether a node of a lab that is up has the name.
fn is_node(word: &str) -> bool {
    let short = word.rsplit('/').next().unwrap_or(word);
    let names: HashSet<NodeName> = lab::names()
        .into_iter()
        .flat_map(|entry| entry.hosts.into_iter().flat_map(|(host, inside)| std::iter::once(host).chain(inside)))
        .collect();
    names.contains(short)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::{Entry, FOREIGN, INCOMPLETE, WHOLE, bare, fill, instead};
    use crate::cli::Cli;

    fn split(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn behind() -> Vec<Vec<String>> {
        let all = ["", "a1", "a1 b1", "bridged", "-i eth0", "a1 ls -l /", "show bridged", "./lab.yaml", "a1 'x y'"];
        all.iter().map(|words| split(words)).collect()
    }

    #[test]
    fn every_line_that_is_advised_is_one_that_the_grammar_takes() {
        let tables: [&[Entry]; 3] = [FOREIGN, INCOMPLETE, WHOLE];
        for entry in tables.iter().copied().flatten() {
            for first in entry.words {
                for behind in behind() {
                    let lines = fill(entry, first, &behind);
                    assert!(!lines.is_empty(), "{first} {behind:?}");
                    for line in lines {
                        let parsed = Cli::command().try_get_matches_from(split(&line));
                        let shows = |kind| matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                        let taken = parsed.as_ref().map_or_else(|error| shows(error.kind()), |_| true);
                        assert!(taken, "{first} {behind:?}: {line}: {:?}", parsed.err().map(|error| error.to_string()));
                    }
                }
            }
        }
    }

    #[test]
    fn no_word_is_in_a_table_twice_and_each_is_in_the_right_one() {
        let grammar = Cli::command();
        let commands: HashSet<&str> = grammar.get_subcommands().map(clap::Command::get_name).collect();
        for (table, known) in [(FOREIGN, false), (INCOMPLETE, true), (WHOLE, true)] {
            let words: Vec<&str> = table.iter().flat_map(|entry| entry.words).copied().collect();
            let unique: HashSet<&str> = words.iter().copied().collect();
            assert_eq!(unique.len(), words.len(), "{words:?}");
            for word in words {
                assert_eq!(commands.contains(word), known, "{word}");
            }
        }
    }

    #[test]
    fn what_was_typed_is_kept_where_it_fits() {
        for (typed, advised) in [
            ("traceroute a1 b1", "nslab trace a1 b1"),
            ("traceroute b1", "nslab trace b1 a1"),
            ("ping b1", "nslab ping b1 a1"),
            ("ping a1", "nslab ping a1 b1"),
            ("topology show bridged", "nslab topology bridged"),
            ("topology show", "nslab topology bridged"),
            ("help traceroute", "nslab trace a1 b1"),
            ("exec host-a", "nslab exec host-a ip addr"),
            ("shell a1 ls -l", "nslab exec a1 ls -l"),
            ("ssh a2", "nslab shell a2"),
            ("destroy bridged", "nslab down bridged"),
            ("deploy ./my-lab.yaml", "nslab up ./my-lab.yaml"),
            ("bridged", "nslab up bridged"),
            ("./my-lab.yaml", "nslab up ./my-lab.yaml"),
            ("up", "nslab up bridged"),
            ("ip -n a1 addr", "nslab exec host-a ip -n a1 addr"),
        ] {
            assert_eq!(instead(&split(typed)).first().map(String::as_str), Some(advised), "{typed}");
        }
        assert_eq!(instead(&split("frobnicate")), Vec::<String>::new());
        assert_eq!(bare(["-q", "--lang", "es", "ssh", "a1", "--lang"].into_iter().map(str::to_owned)), split("ssh a1 --lang"));
    }
}
