//! A lab that was reset.

use serde::Serialize;

use crate::name::LabName;
use crate::plan::steps::Step;

/// `reset`
#[derive(Debug, Serialize)]
pub struct Reset {
    /// The lab.
    pub lab: LabName,
    /// Whether the question was answered with yes.
    pub confirmed: bool,
    /// How many operations took away what was made by hand or brought back what was missing.
    pub operations: usize,
    /// How many namespaces made by hand are gone.
    pub namespaces: usize,
    /// How many packet filter tables are gone.
    pub tables: usize,
    /// What would still have to be done: a second look found it otherwise than described.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Step>,
    /// What was made by hand and is not nslab's to undo.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Step>,
}

impl Reset {
    /// Of a lab in which nothing was to be done.
    pub fn nothing(lab: &LabName) -> Self {
        let (left, kept) = (Vec::new(), Vec::new());
        Self { lab: lab.clone(), confirmed: true, operations: 0, namespaces: 0, tables: 0, left, kept }
    }
}
