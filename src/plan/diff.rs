//! The only planner: what to do to get from one state to another.

use super::fact::{Plan, State};

/// The operations that turn `from` into `to`.
pub fn diff(_from: &State, _to: &State) -> Plan {
    Plan::new()
}
