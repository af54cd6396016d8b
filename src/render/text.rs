//! Reports as text for people.

mod agent;
mod capture;
mod check;
mod doctor;
mod labs;
mod macs;
mod node;
mod ping;
mod remote;
mod table;
mod topologies;
mod trace;

use super::{Style, script};
use crate::render::sentences;
use crate::report::{Piece, Report};

/// A report as text, each line ended.
pub fn report(report: &Report, style: Style) -> String {
    match report {
        Report::Home(home) => labs::home(home, style),
        Report::Up(up) => lines(&sentences::labs::up(style.lang, up)),
        Report::Down(downs) => labs::down(downs, style),
        Report::Changes(changes) => lines(&sentences::instances::changes(style.lang, changes)),
        Report::Keep(keep) => lines(&[sentences::nics::kept(style.lang, keep)]),
        Report::Reset(reset) => lines(&[sentences::labs::reset(style.lang, reset)]),
        Report::Status(statuses) => labs::status(statuses, style),
        Report::List(list) => labs::list(list, style),
        Report::Topologies(list) => topologies::list(&list.topologies, style),
        Report::Topology(source) => source.text.clone(),
        Report::Validation(validation) => topologies::validation(validation, style),
        Report::Plan(plan) => script::script(plan, style),
        Report::Node(node) => node::node(node, style),
        Report::Ping(ping) => ping::end(ping, style),
        Report::Matrix(matrix) => ping::matrix(matrix, style),
        Report::Macs(found) => macs::macs(found, style),
        Report::Processes(processes) => node::processes(processes, style),
        Report::Check(report) => check::check(report, style),
        Report::Trace(trace) => trace::trace(trace, style),
        Report::Doctor(doctor) => doctor::doctor(doctor, style),
        Report::Graph(graph) => super::graph::text::drawing(graph, style),
        Report::Agent(outcome) => lines(&[sentences::agent::outcome(style.lang, outcome)]),
        Report::Token(token) => lines(std::slice::from_ref(&token.token)),
        Report::Agents(all) => agent::agents(all, style),
        Report::Trusted(all) => agent::trusted(all, style),
        Report::Remotes(all) => remote::remotes(all, style),
        Report::Instances(all) => remote::instances(all, style),
        Report::Remote(outcome) => lines(&[sentences::remote::outcome(style.lang, outcome)]),
        Report::Text(text) => text.clone(),
        Report::Exit(_) => String::new(),
    }
}

/// A part of a result as text, each line ended.
pub fn piece(piece: Piece, style: Style) -> String {
    match piece {
        Piece::PingStart(start) => lines(&[sentences::ping::start(style.lang, start)]),
        Piece::Check(now, before) => check::change(now, before, style),
        Piece::PingEvent(start, event, before) => ping::event(start, event, before, style),
        Piece::Frames(layout, frames) => frames.iter().map(|frame| capture::line(frame, layout, style)).collect(),
        Piece::Text(text) => text.to_owned(),
        Piece::CaptureEnd(_) => String::new(),
    }
}

/// Lines, each ended.
fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
