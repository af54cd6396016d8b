//! What is said while a command runs: notices and questions.

/// Something worth telling that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `capture` has begun: where it listens.
    Listening(Vec<String>),
    /// Interfaces that are listened at went down.
    PointsDown(Vec<String>),
    /// Interfaces that were listened at are gone, with how many are left.
    PointsGone {
        /// The points.
        points: Vec<String>,
        /// How many are left.
        left: usize,
    },
    /// A capture has ended: how, and the file where there is one.
    Captured(super::capture::End, Option<String>),
    /// Several labs are up and the command line names none: the lab that is meant, and the name that would say so.
    Assumed {
        /// The lab.
        lab: String,
        /// How to name the thing without doubt.
        exact: String,
    },
    /// The machine keeps its default route; these routes stand in for the lab's.
    KeptDefault {
        /// Their destinations.
        routes: Vec<ipnet::IpNet>,
    },
    /// A host has no agent, so that `lxc` finds nobody there.
    Agentless {
        /// The host.
        host: String,
        /// Why it could not be started.
        why: Box<crate::error::Error>,
    },
    /// The first shell of a host: what `lxc` is there.
    Class {
        /// The host.
        host: String,
    },
    /// Something on the machine gets in the way of a lab that has a role there.
    Interference(super::interference::Interference),
    /// A lab that is up bears the name of a built-in topology and is made from another description.
    OwnDescription {
        /// The lab.
        lab: String,
    },
}

impl Notice {
    /// Whether it must be told even to somebody who wants to hear nothing.
    pub fn is_grave(&self) -> bool {
        matches!(self, Self::Captured(end, _) if !end.dropped.is_empty())
    }
}

/// A question to answer with yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// `remote add` sees a certificate for the first time.
    Certificate {
        /// Where.
        address: String,
        /// SHA-256 of it, in hexadecimal digits.
        fingerprint: String,
    },
    /// `reset` removes what was made by hand.
    Reset {
        /// The lab.
        lab: String,
        /// How many things go.
        by_hand: usize,
    },
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Operations done.
    pub done: usize,
    /// Operations in all.
    pub of: usize,
}
