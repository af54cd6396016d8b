//! `nslab validate`

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::role::Role;
use super::run::{Context, Run};
use crate::check::KINDS;
use crate::error::{Error, Result};
use crate::lab::Casting;
use crate::render::lang::Lang;
use crate::render::sentences;
use crate::report::topology::{File, Finding, Validation};
use crate::topology::read;

/// Check topology files without touching anything
///
/// Ends with 2 when a file is wrong; every mistake is told at once.
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// The files
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    role: Role,
}

impl Run for Validate {
    type Out = Validation;

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let casting = self.role.casting()?;
        let files = self.files.iter().map(|file| check(file, &casting)).collect();
        Ok(Validation { files })
    }
}

fn check(path: &Path, casting: &Casting) -> File {
    let file = path.display().to_string();
    match read(path, KINDS).and_then(|topology| casting.apart(&topology)) {
        Ok(topology) => File {
            file,
            valid: true,
            hosts: topology.hosts.len(),
            containers: topology.containers(),
            findings: Vec::new(),
            error: None,
        },
        Err(error) => File { file, valid: false, hosts: 0, containers: 0, findings: said(&error), error: Some(error) },
    }
}

/// What is wrong, for programs: in English, whatever people read, with the places.
fn said(error: &Error) -> Vec<Finding> {
    let Error::Topology { text, findings, .. } = error else {
        return vec![Finding { line: 0, column: 0, message: sentences::errors::error(Lang::En, error).what }];
    };
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    };
    let said = findings.iter().map(|finding| {
        let (line, column) = if finding.at == (0..0) { (0, 0) } else { place(finding.at.start) };
        Finding { line, column, message: sentences::findings::problem(Lang::En, &finding.problem) }
    });
    said.collect()
}
