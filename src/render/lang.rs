//! The languages that nslab speaks. Every sentence for people is in one of their files.

pub mod check;
mod en;
mod es;
pub mod graph;
mod message;
mod names;
pub mod trace;

use std::ffi::OsString;

pub use message::Message;
use message::{marked, say};
use names::{flags, protocol};

use crate::error::Error;
use crate::report::capture::Direction;
use crate::report::frame::Payload;
use crate::report::notice::{Notice, Question};
use crate::report::{doctor, instance, lab, macs, ping, plan, topology};

/// A language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

impl Lang {
    /// The language of a locale: the first variable that POSIX looks at and that is not empty tells, `es...` for Spanish.
    pub fn of_locale(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
        let locale = first.unwrap_or_default().to_string_lossy().into_owned();
        match locale.split(['_', '.', '@']).next() {
            Some("es") => Self::Es,
            _ => Self::En,
        }
    }

    /// Its sentences.
    pub fn tongue(self) -> &'static dyn Tongue {
        match self {
            Self::En => &en::English,
            Self::Es => &es::Spanish,
        }
    }
}

/// A word that stands in a heading or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Word {
    Address,
    Addresses,
    Bridge,
    Command,
    Containers,
    Dev,
    FdbTitle,
    From,
    Hosts,
    Inside,
    Kind,
    Lab,
    Labs,
    Learned,
    Leftovers,
    Limit,
    Limits,
    Links,
    Mac,
    Metric,
    Mtu,
    Name,
    Neighbours,
    No,
    Node,
    None,
    Own,
    Peer,
    Pid,
    Fingerprint,
    Port,
    Remote,
    Routes,
    Since,
    State,
    Static,
    Summary,
    Table,
    To,
    Topologies,
    Try,
    Unknown,
    User,
    Via,
    Works,
    Yes,
    Features,
    Findings,
    Harmless,
    Unlimited,
    Value,
    Allows,
    Age,
    Broadcasts,
    Frames,
    Owner,
    Why,
}

/// What a language must be able to say.
pub trait Tongue: Sync {
    /// An error: what happened, why, what to type.
    fn error(&self, error: &Error) -> Message;
    /// That nslab has no such command line.
    fn not_understood(&self, typed: &str) -> String;
    /// That a lab or a topology was given to a command for containers.
    fn lab_for_container(&self, word: &str) -> String;
    /// What is wrong with a topology file.
    fn problem(&self, problem: &crate::problem::Problem) -> String;
    /// What to write instead, where there is more to say.
    fn advice(&self, problem: &crate::problem::Problem) -> Option<String>;
    /// In which line the other of two places is.
    fn elsewhere(&self, line: usize) -> String;
    /// How many findings are not shown.
    fn unshown(&self, number: usize) -> String;
    /// That nslab itself is wrong: the panic's message and place.
    fn bug(&self, message: &str, place: &str) -> String;
    /// A notice.
    fn notice(&self, notice: &Notice) -> String;
    /// A question, with its possible answers.
    fn question(&self, question: &Question) -> String;
    /// Whether an answer means yes.
    fn is_yes(&self, answer: &str) -> bool;
    /// A word of a heading or table.
    fn word(&self, word: Word) -> &'static str;
    /// A number of hosts and containers.
    fn size(&self, hosts: usize, containers: usize) -> String;
    /// `nslab` alone: what to type next.
    fn home(&self, home: &lab::Home) -> Vec<String>;
    /// The result of `up`.
    fn up(&self, up: &lab::Up) -> Vec<String>;
    /// The result of `down` for one lab.
    fn down(&self, down: &lab::Down) -> Vec<String>;
    /// That no lab is up.
    fn nothing_up(&self) -> String;
    /// What would become of the machine's NICs, line by line.
    fn machine(&self, changes: &crate::report::nic::Changes) -> Vec<String>;
    /// The result of `keep`.
    fn keep(&self, keep: &lab::Keep) -> String;
    /// The result of `reset`.
    fn reset(&self, reset: &lab::Reset) -> String;
    /// What was done to containers.
    fn instances(&self, changes: &instance::Changes) -> Vec<String>;
    /// The condition of a lab, and what to type.
    fn status(&self, status: &lab::Status) -> Vec<String>;
    /// The title over what is missing in a lab.
    fn missing(&self) -> &'static str;
    /// What was made by hand and has no `ip` line: namespaces, packet filters.
    fn foreign(&self, status: &lab::Status) -> Vec<String>;
    /// The title over what was made by hand in a lab.
    fn by_hand(&self) -> &'static str;
    /// The head of a script that makes a lab by hand.
    fn script(&self, plan: &plan::Plan) -> Vec<String>;
    /// Where commands work.
    fn place(&self, place: &plan::Place) -> String;
    /// What commands do.
    fn step(&self, what: plan::What) -> &'static str;
    /// That a plan is empty.
    fn nothing_to_do(&self, plan: &plan::Plan) -> String;
    /// What a built-in topology teaches, where its file does not say it in this language.
    fn summary(&self, name: &str) -> Option<&'static str>;
    /// That a topology file is fine.
    fn valid(&self, file: &topology::File) -> String;
    /// A node's title: what it is, whether it forwards.
    fn node(&self, node: &crate::report::node::Node) -> String;
    /// That no process runs.
    fn no_processes(&self) -> String;
    /// With which rights nslab runs.
    fn rights(&self, rights: doctor::Rights) -> &'static str;
    /// A feature of the kernel.
    fn ability(&self, ability: doctor::Ability) -> &'static str;
    /// A limit's name, and what it counts.
    fn limit(&self, limit: doctor::LimitName) -> &'static str;
    /// How many containers a limit allows.
    fn allows(&self, containers: u64) -> String;
    /// Something that may interfere: what, why it matters, what to type.
    fn finding(&self, finding: &doctor::Finding) -> Message;
    /// Something that gets in the way of a lab that has a role: what, why, what to type.
    fn interference(&self, found: &crate::report::interference::Interference) -> Message;
    /// Something left over: what, why it matters, what to type.
    fn leftover(&self, leftover: &doctor::Leftover) -> Message;
    /// Something that could not be looked at.
    fn unseen(&self, unseen: doctor::Unseen) -> String;
    /// The sentences of `check`.
    fn check(&self) -> &dyn check::Checking;
    /// The sentences of `trace`.
    fn trace(&self) -> &dyn trace::Tracing;
    /// What a frame carries.
    fn payload(&self, vlan: Option<u16>, payload: &Payload) -> String;
    /// Which way a frame went.
    fn direction(&self, direction: Direction) -> &'static str;
    /// Everybody, or a group: what a MAC address that is no interface's means.
    fn group(&self, everybody: bool) -> &'static str;
    /// The words of `graph`.
    fn graph(&self) -> &dyn graph::Drawing;
    /// The last line of `doctor`.
    fn verdict(&self, doctor: &doctor::Doctor) -> String;
    /// Who pings whom.
    fn ping_start(&self, start: &ping::Start) -> String;
    /// What has come back.
    fn ping_event(&self, start: &ping::Start, event: &ping::Event) -> String;
    /// The title over a recorded way.
    fn recorded(&self, way: Way) -> &'static str;
    /// What a recorded route does not say, and why traceroute lists other addresses.
    fn recorded_note(&self, full: bool) -> Vec<String>;
    /// The last lines of `ping`.
    fn ping_end(&self, ping: &ping::Ping) -> Vec<String>;
    /// What the marks of the matrix mean, those that are in it.
    fn marks(&self, marks: &[Mark]) -> String;
    /// Pairs of the matrix that failed alike.
    fn failing(&self, group: &Failing) -> String;
    /// The last lines of `ping --all`.
    fn matrix_end(&self, matrix: &ping::Matrix) -> Vec<String>;
    /// The title of a network: its lab, its ends, what crossed it.
    fn network(&self, census: &macs::Census, network: &macs::Network) -> Vec<String>;
    /// That a lab has no network between hosts.
    fn no_network(&self, census: &macs::Census) -> String;
    /// Why a MAC address crosses, in a word.
    fn reason(&self, reason: macs::Reason) -> &'static str;
    /// Why those MAC addresses cross, in sentences.
    fn reasons(&self, census: &macs::Census, network: &macs::Network) -> Vec<String>;
    /// The title of a forwarding table.
    fn forwarding_table(&self, kind: macs::Kind) -> &'static str;
    /// How many MAC addresses one more container adds, where hosts bridge and where they route.
    fn growth(&self, bridged: bool, routed: bool) -> &'static str;
    /// What follows for the switch and for the containers.
    fn lesson(&self, census: &macs::Census, network: &macs::Network) -> Vec<String>;
    /// That so many rows are not shown.
    fn more(&self, number: usize) -> String;
    /// What was done to a remote or to a container of one.
    fn remote(&self, outcome: &crate::report::remote::Outcome) -> String;
    /// What was done to an agent.
    fn agent(&self, outcome: &crate::report::agent::Outcome) -> String;
    /// That an agent trusts nobody.
    fn nobody_trusted(&self, host: &str) -> String;
    /// Whether an agent runs.
    fn agent_state(&self, running: bool) -> &'static str;
    /// That no remote is known.
    fn no_remotes(&self) -> String;
    /// That a remote has no containers.
    fn no_instances(&self, remote: &str) -> String;
    /// A row of two labs side by side.
    fn beside(&self, row: Beside) -> &'static str;
}

/// A part of a recorded route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Way {
    There,
    Back,
    AsBefore,
}

/// A place in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Every family was answered.
    Answered,
    /// IPv4 alone was answered.
    Only4,
    /// IPv6 alone was answered.
    Only6,
    /// Nothing was answered.
    Failed,
    /// The two have no family in common.
    NoAddress,
}

/// Pairs that failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failing {
    /// No ping from or to a node was answered.
    Node(String),
    /// No ping from the containers of one host to those of another was answered: so many.
    Hosts(String, String, usize),
    /// A pair: names as they are typed, and how it failed.
    Pair(String, String, Mark, Vec<ping::Fault>),
    /// So many more.
    More(usize),
}

/// A row of labs side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Beside {
    Network,
    Addresses,
    Each,
    Answered,
    From,
}
