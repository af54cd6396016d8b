//! What commands return: plain data, the shape of `--format json`. Sentences are made of it in `render`.

use serde::Serialize;

pub mod agent;
pub mod capture;
pub mod check;
pub mod doctor;
pub mod frame;
pub mod half;
pub mod instance;
pub mod interference;
pub mod lab;
pub mod macs;
pub mod nic;
pub mod node;
pub mod notice;
pub mod ping;
pub mod plan;
pub mod remote;
pub mod topology;
pub mod trace;
pub mod wire;

/// A part of a result, told while the command still works.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Printed as it is.
    Text(&'a str),
    /// `ping`: who pings whom.
    PingStart(&'a ping::Start),
    /// `check --watch`: what holds now, and what held before.
    Check(&'a check::Report, Option<&'a check::Report>),
    /// `ping`: what has come back, and the record of the route that came before.
    PingEvent(&'a ping::Start, &'a ping::Event, Option<&'a ping::Recorded>),
    /// `capture`: frames, in the order of time.
    Frames(&'a capture::Layout, &'a [capture::Line]),
    /// `capture`: how it ended.
    CaptureEnd(&'a capture::End),
}

/// What a command found or did.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// `nslab` alone.
    Home(lab::Home),
    /// `up`
    Up(lab::Up),
    /// `down`
    Down(lab::Downs),
    /// `reset`
    Reset(lab::Reset),
    /// `launch`, `start`, `stop`, `restart`, `delete`, `pause`, `rename`
    Changes(instance::Changes),
    /// `keep`
    Keep(lab::Keep),
    /// `status`
    Status(lab::Statuses),
    /// `list`
    List(lab::List),
    /// `topology`
    Topologies(topology::List),
    /// `topology NAME`
    Topology(topology::Source),
    /// `validate`
    Validation(topology::Validation),
    /// `plan`, and `up --dry-run`
    Plan(plan::Plan),
    /// `show`
    Node(node::Node),
    /// `ping`
    Ping(ping::Ping),
    /// `ping --all`
    Matrix(ping::Matrix),
    /// `macs`
    Macs(macs::Macs),
    /// `ps`
    Processes(node::Processes),
    /// `doctor`
    Doctor(doctor::Doctor),
    /// `check`
    Check(Box<check::Report>),
    /// `trace`
    Trace(Box<trace::Trace>),
    /// `graph`
    Graph(Box<crate::graph::Graph>),
    /// `agent start` and the like.
    Agent(agent::Outcome),
    /// `agent token`
    Token(agent::Token),
    /// `agent status`
    Agents(agent::Agents),
    /// `agent trust list`
    Trusted(agent::Trusted),
    /// `remote list`
    Remotes(remote::Remotes),
    /// `list REMOTE:`, `status REMOTE:`
    Instances(remote::Instances),
    /// `remote add`, `remote remove`, `start REMOTE:NODE` and the like.
    Remote(remote::Outcome),
    /// `schema`, `completions`, `man`: printed as it is, whatever the format.
    Text(String),
    /// `exec`, `shell`: the command's own exit code.
    Exit(u8),
}

impl Report {
    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Status(statuses) => u8::from(statuses.labs.iter().any(|lab| !lab.condition.is_up())),
            Self::Validation(validation) => {
                if validation.files.iter().all(|file| file.valid) {
                    0
                } else {
                    2
                }
            }
            Self::Down(downs) => downs.errors.first().map_or(0, crate::error::Error::exit_code),
            Self::Changes(changes) => changes.errors.first().map_or(0, crate::error::Error::exit_code),
            Self::Doctor(doctor) => {
                if doctor.works() {
                    0
                } else {
                    3
                }
            }
            Self::Check(report) => report.exit_code(),
            Self::Trace(trace) => u8::from(trace.death().is_some()),
            Self::Ping(ping) => u8::from(ping.received == 0),
            Self::Matrix(matrix) => u8::from(!matrix.failed.is_empty()),
            Self::Instances(all) => u8::from(all.judged && !all.instances.iter().all(remote::Instance::runs)),
            Self::Exit(code) => *code,
            _ => 0,
        }
    }

    /// Whether it only tells that the work is done.
    pub fn is_talk(&self) -> bool {
        matches!(
            self,
            Self::Up(_) | Self::Down(_) | Self::Changes(_) | Self::Reset(_) | Self::Keep(_) | Self::Remote(_) | Self::Agent(_)
        )
    }

    /// The errors that it carries, to be told on stderr.
    pub fn errors(&self) -> Vec<&crate::error::Error> {
        match self {
            Self::Validation(validation) => validation.files.iter().filter_map(|file| file.error.as_ref()).collect(),
            Self::Down(downs) => downs.errors.iter().collect(),
            Self::Changes(changes) => changes.errors.iter().collect(),
            _ => Vec::new(),
        }
    }
}
