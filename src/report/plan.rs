//! A plan as the commands that a student would type.

use serde::Serialize;

use crate::plan::steps::Step;

/// `plan`, and `up --dry-run`.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The lab.
    pub lab: String,
    /// What the commands do.
    pub purpose: Purpose,
    /// The commands, in an order that works.
    pub steps: Vec<Step>,
    /// What becomes of the machine's own NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<super::nic::Changes>,
}

/// What the commands of a plan do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Make the lab out of nothing.
    Build,
    /// Make it on hosts with LXD.
    BuildOnLxd,
    /// What `up` would do now.
    Preview,
    /// Make again what somebody made by hand.
    ByHand,
}
