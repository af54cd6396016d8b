//! The processes of nodes. Sandboxes come with a change of their own: until then nslab starts no process in a node.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;

/// Where the files of one lab are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/run/nslab/LAB`
    pub lab: PathBuf,
}

/// A process in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on the machine.
    pub pid: i32,
    /// Its command line.
    pub command: String,
}

/// Ends every process of the lab: those ended, those that could not be.
pub fn end_all(_paths: &Paths, _grace: Duration) -> Result<(Vec<Process>, Vec<Process>)> {
    Ok((Vec::new(), Vec::new()))
}

/// Ends the processes of some nodes.
pub fn end(_paths: &Paths, _nodes: &[String], _grace: Duration) -> Result<(Vec<Process>, Vec<Process>)> {
    Ok((Vec::new(), Vec::new()))
}

/// The processes of some nodes.
pub fn processes(_paths: &Paths, _nodes: &[String]) -> Result<Vec<Process>> {
    Ok(Vec::new())
}
