//! English.

mod agent;
mod capture;
mod causes;
mod check;
mod doctor;
mod errors;
mod filters;
mod findings;
mod graph;
mod halves;
mod instances;
mod interference;
mod labs;
mod macs;
mod nics;
mod ping;
mod plans;
mod remote;
mod role;
mod trace;

use super::{Beside, Failing, Mark, Message, Tongue, Way, Word};
use crate::error::Error;
use crate::problem::Problem;
use crate::render::escape::escape;
use crate::report::capture::Direction;
use crate::report::frame::Payload;
use crate::report::notice::{Notice, Question};
use crate::report::{doctor as health, instance, lab, macs as census, node, ping as pings, plan, topology};

/// English.
pub(super) struct English;

impl Tongue for English {
    fn error(&self, error: &Error) -> Message {
        errors::error(error)
    }

    fn problem(&self, problem: &Problem) -> String {
        findings::problem(problem)
    }

    fn advice(&self, problem: &Problem) -> Option<String> {
        findings::advice(problem)
    }

    fn elsewhere(&self, line: usize) -> String {
        findings::elsewhere(line)
    }

    fn unshown(&self, number: usize) -> String {
        findings::unshown(number)
    }

    fn bug(&self, message: &str, place: &str) -> String {
        format!(
            "nslab: a mistake in nslab itself ({place}): {}\n  nslab status tells what is there; please report this line.",
            escape(message)
        )
    }

    fn notice(&self, notice: &Notice) -> String {
        match notice {
            Notice::Listening(points) => capture::listening(points),
            Notice::PointsDown(points) => capture::down(points),
            Notice::PointsGone { points, left } => capture::gone(points, *left),
            Notice::Captured(end, file) => capture::end(end, file.as_deref()),
            Notice::KeptDefault { routes } => role::kept_default(routes),
            Notice::Agentless { host, why } => {
                format!("lxc finds no agent in {host}: {}. nslab agent start {host} says more.", self.error(why).what)
            }
            Notice::Class { host } => format!(
                "here lxc commands the containers of {host}. Every name of an image, ubuntu:22.04 too, means this machine's own files: nothing is downloaded."
            ),
            Notice::Interference(found) => interference::message(found).what,
            Notice::OwnDescription { lab } => format!(
                "{lab} is up from a description of its own, which it keeps; for the built-in one: nslab down {lab} first."
            ),
            Notice::Assumed { lab, exact } => format!(
                "several labs are up; taking {lab}. Name it exactly with {exact}, or choose the lab with NSLAB_LAB={lab}."
            ),
        }
    }

    fn question(&self, question: &Question) -> String {
        match question {
            Question::Certificate { address, fingerprint } => remote::question(address, fingerprint),
            Question::Reset { lab, by_hand } => {
                format!("Remove what was made by hand in {lab} ({})? [y/N]", count(*by_hand, "thing", "things"))
            }
        }
    }

    fn is_yes(&self, answer: &str) -> bool {
        matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Address => "ADDRESS",
            Word::Age => "AGE",
            Word::Broadcasts => "TO ALL",
            Word::Frames => "FRAMES",
            Word::Owner => "OWNER",
            Word::Why => "WHY",
            Word::Addresses => "Addresses",
            Word::Allows => "ALLOWS",
            Word::Bridge => "BRIDGE",
            Word::Command => "COMMAND",
            Word::Containers => "CONTAINERS",
            Word::Dev => "INTERFACE",
            Word::FdbTitle => "Forwarding table of the bridges",
            Word::Features => "What this kernel can do",
            Word::Findings => "What may get in the way",
            Word::Harmless => "What looks odd and is harmless",
            Word::From => "FROM",
            Word::Hosts => "HOSTS",
            Word::Inside => "INSIDE",
            Word::Kind => "KIND",
            Word::Lab => "LAB",
            Word::Labs => "Labs that are up",
            Word::Learned => "learned",
            Word::Leftovers => "What was left over",
            Word::Limit => "LIMIT",
            Word::Limits => "Limits",
            Word::Links => "Interfaces",
            Word::Mac => "MAC",
            Word::Metric => "METRIC",
            Word::Mtu => "MTU",
            Word::Name => "NAME",
            Word::Neighbours => "Neighbours",
            Word::No => "no",
            Word::Node => "NODE",
            Word::None => "-",
            Word::Own => "own",
            Word::Peer => "OTHER END",
            Word::Pid => "PID",
            Word::Fingerprint => "FINGERPRINT",
            Word::Remote => "REMOTE",
            Word::Port => "PORT",
            Word::Routes => "Routes",
            Word::Since => "UP SINCE (UTC)",
            Word::State => "STATE",
            Word::Static => "static",
            Word::Summary => "WHAT IT TEACHES",
            Word::Table => "TABLE",
            Word::To => "TO",
            Word::Topologies => "Topologies",
            Word::Try => "try",
            Word::Unknown => "?",
            Word::Unlimited => "no limit",
            Word::User => "USER",
            Word::Value => "VALUE",
            Word::Via => "VIA",
            Word::Works => "WORKS",
            Word::Yes => "yes",
        }
    }

    fn size(&self, hosts: usize, containers: usize) -> String {
        format!("{}, {}", count(hosts, "host", "hosts"), count(containers, "container", "containers"))
    }

    fn home(&self, home: &lab::Home) -> Vec<String> {
        labs::home(home)
    }

    fn up(&self, up: &lab::Up) -> Vec<String> {
        labs::up(up, &self.size(up.hosts, up.containers))
    }

    fn down(&self, down: &lab::Down) -> Vec<String> {
        labs::down(down)
    }

    fn not_understood(&self, typed: &str) -> String {
        format!("cannot make sense of {}", quoted(typed))
    }

    fn lab_for_container(&self, word: &str) -> String {
        format!("{} is a whole lab, and this command takes one of its nodes", quoted(word))
    }

    fn nothing_up(&self) -> String {
        "No lab is up.".to_owned()
    }

    fn machine(&self, changes: &crate::report::nic::Changes) -> Vec<String> {
        nics::changes(changes)
    }

    fn keep(&self, keep: &lab::Keep) -> String {
        nics::kept(keep)
    }

    fn reset(&self, reset: &lab::Reset) -> String {
        labs::reset(reset)
    }

    fn instances(&self, changes: &instance::Changes) -> Vec<String> {
        instances::changes(changes)
    }

    fn status(&self, status: &lab::Status) -> Vec<String> {
        labs::status(status, &self.size(status.hosts, status.containers))
    }

    fn missing(&self) -> &'static str {
        "To make it as described:"
    }

    fn foreign(&self, status: &lab::Status) -> Vec<String> {
        labs::foreign(status)
    }

    fn by_hand(&self) -> &'static str {
        "Made by hand:"
    }

    fn script(&self, plan: &plan::Plan) -> Vec<String> {
        plans::script(plan)
    }

    fn place(&self, place: &plan::Place) -> String {
        plans::place(place)
    }

    fn step(&self, what: plan::What) -> &'static str {
        plans::step(what)
    }

    fn nothing_to_do(&self, plan: &plan::Plan) -> String {
        plans::nothing(plan)
    }

    fn summary(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn valid(&self, file: &topology::File) -> String {
        format!("{}: fine, {}", escape(&file.file), self.size(file.hosts, file.containers))
    }

    fn node(&self, node: &node::Node) -> String {
        labs::node(node)
    }

    fn no_processes(&self) -> String {
        "No process runs there.".to_owned()
    }

    fn rights(&self, rights: health::Rights) -> &'static str {
        doctor::rights(rights)
    }

    fn ability(&self, ability: health::Ability) -> &'static str {
        doctor::ability(ability)
    }

    fn limit(&self, limit: health::LimitName) -> &'static str {
        doctor::limit(limit)
    }

    fn allows(&self, containers: u64) -> String {
        format!("about {containers} containers")
    }

    fn finding(&self, finding: &health::Finding) -> Message {
        doctor::finding(finding)
    }

    fn interference(&self, found: &crate::report::interference::Interference) -> Message {
        interference::message(found)
    }

    fn leftover(&self, leftover: &health::Leftover) -> Message {
        doctor::leftover(leftover)
    }

    fn unseen(&self, unseen: health::Unseen) -> String {
        doctor::unseen(unseen)
    }

    fn check(&self) -> &dyn super::check::Checking {
        self
    }

    fn trace(&self) -> &dyn super::trace::Tracing {
        self
    }

    fn payload(&self, vlan: Option<u16>, payload: &Payload) -> String {
        capture::payload(vlan, payload)
    }

    fn direction(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }

    fn group(&self, everybody: bool) -> &'static str {
        if everybody { "everybody" } else { "multicast" }
    }

    fn graph(&self) -> &dyn super::graph::Drawing {
        self
    }

    fn verdict(&self, report: &health::Doctor) -> String {
        doctor::verdict(report)
    }

    fn ping_start(&self, start: &pings::Start) -> String {
        ping::start(start)
    }

    fn ping_event(&self, start: &pings::Start, event: &pings::Event) -> String {
        ping::event(start, event)
    }

    fn recorded(&self, way: Way) -> &'static str {
        ping::recorded(way)
    }

    fn recorded_note(&self, full: bool) -> Vec<String> {
        ping::recorded_note(full)
    }

    fn ping_end(&self, ping: &pings::Ping) -> Vec<String> {
        ping::end(ping)
    }

    fn marks(&self, marks: &[Mark]) -> String {
        ping::marks(marks)
    }

    fn failing(&self, group: &Failing) -> String {
        ping::failing(group)
    }

    fn matrix_end(&self, matrix: &pings::Matrix) -> Vec<String> {
        ping::matrix_end(matrix)
    }

    fn network(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::network(lab, network)
    }

    fn no_network(&self, lab: &census::Census) -> String {
        format!("{} has no network between hosts.", escape(&lab.lab))
    }

    fn reason(&self, reason: census::Reason) -> &'static str {
        macs::reason(reason)
    }

    fn reasons(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::reasons(lab, network)
    }

    fn forwarding_table(&self, kind: census::Kind) -> &'static str {
        macs::forwarding_table(kind)
    }

    fn growth(&self, bridged: bool, routed: bool) -> &'static str {
        macs::growth(bridged, routed)
    }

    fn lesson(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::lesson(lab, network)
    }

    fn more(&self, number: usize) -> String {
        format!("... and {number} more (--format json has all)")
    }

    fn remote(&self, outcome: &crate::report::remote::Outcome) -> String {
        remote::outcome(outcome)
    }

    fn agent(&self, outcome: &crate::report::agent::Outcome) -> String {
        agent::outcome(outcome)
    }

    fn nobody_trusted(&self, host: &str) -> String {
        agent::nobody(host)
    }

    fn agent_state(&self, running: bool) -> &'static str {
        agent::state(running)
    }

    fn no_remotes(&self) -> String {
        remote::no_remotes()
    }

    fn no_instances(&self, remote: &str) -> String {
        remote::no_instances(remote)
    }

    fn beside(&self, row: Beside) -> &'static str {
        macs::beside(row)
    }
}

/// A number with its noun.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A foreign word in quotation marks.
fn quoted(word: &str) -> String {
    format!("\"{}\"", escape(word))
}
