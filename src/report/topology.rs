//! Reports on topologies.

use serde::Serialize;

/// `topology`: the built-in ones.
#[derive(Debug, Serialize)]
pub struct List {
    /// In the order of the catalogue.
    pub topologies: Vec<Item>,
}

/// One topology.
#[derive(Debug, Serialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// One line on what it teaches.
    pub summary: Option<String>,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
}

/// `topology NAME`: the file.
#[derive(Debug, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its text, as it can be saved and edited.
    pub text: String,
}

/// `validate`
#[derive(Debug, Serialize)]
pub struct Validation {
    /// Each file, in the order given.
    pub files: Vec<File>,
}

/// What is to be said of one file.
#[derive(Debug, Serialize)]
pub struct File {
    /// The file.
    pub file: String,
    /// Whether `up` takes it.
    pub valid: bool,
    /// How many hosts it has, when valid.
    pub hosts: usize,
    /// How many containers it has, when valid.
    pub containers: usize,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// The error as it is printed in text.
    #[serde(skip)]
    pub error: Option<crate::error::Error>,
}

/// One thing wrong with a file.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Counted from 1; 0 where the whole file cannot be read.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}
