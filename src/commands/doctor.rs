//! `nslab doctor`

use std::fs;
use std::path::{Path, PathBuf};

use super::run::{Context, Run, lacking};
use crate::error::{Error, Result};
use crate::kernel::{fallback, feature, userns};
use crate::lab;
use crate::lab::role::Seen;
use crate::name::LabName;
use crate::report::doctor::{Doctor as Health, Finding, Leftover, Rights, Unseen};
use crate::report::lab::Condition;

/// Look at what this machine can do, what may get in the way, and what was left over
///
/// Touches nothing: features are tried in namespaces that end at once. Ends with 3 when no lab can be made here.
#[derive(Debug, clap::Args)]
pub struct Doctor;

impl Run for Doctor {
    type Out = Health;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let rights = own_rights();
        let able = matches!(rights, Rights::Root | Rights::UserNamespace);
        let mut findings = feature::findings();
        if rights == Rights::Restricted {
            findings.extend(lacking().map(|name| Finding::Capability { name }));
        }
        let mut unseen = Vec::new();
        let seen = if able { lab::role::on_this_machine() } else { Seen::default() };
        if !able {
            unseen.extend([Unseen::Features, Unseen::Leftovers, Unseen::Interference]);
        }
        findings.extend(seen.netfilter.then_some(Finding::BridgeNetfilter));
        findings.extend(feature::forwards().then_some(Finding::Forwarding { lab: seen.forwards }));
        let names = fallback::everywhere();
        findings.extend((!names.is_empty()).then_some(Finding::FallbackDevices { names }));
        let mut leftovers = dead_links(Path::new("/run/netns"));
        if able {
            leftovers.extend(labs());
        }
        Ok(Health {
            kernel: feature::release(),
            rights,
            features: if able { feature::features() } else { Vec::new() },
            limits: feature::limits(),
            findings,
            interference: seen.found,
            leftovers,
            unseen,
        })
    }
}

fn own_rights() -> Rights {
    match (lacking(), nix::unistd::geteuid().is_root()) {
        (None, _) if userns::is_inside() => Rights::UserNamespace,
        (None, _) => Rights::Root,
        (Some(_), true) => Rights::Restricted,
        (Some(_), false) => Rights::None,
    }
}

/// Labs that are not as they should be.
fn labs() -> Vec<Leftover> {
    let known = lab::every();
    let broken = known.iter().filter(|entry| !lab::index::is_in_use(entry.lab.as_str())).filter_map(|entry| {
        let lab = entry.lab.to_string();
        match lab::status(&entry.lab).map(|status| status.condition) {
            Ok(Condition::Stale) => Some(Leftover::Stale { lab }),
            // Of what one was for, a killed maker tells nobody any more.
            Ok(_) if lab::index::is_forgotten(&lab) => Some(Leftover::Forgotten { lab }),
            Ok(Condition::Unfinished | Condition::RolledBack) => Some(Leftover::Unfinished { lab }),
            Ok(Condition::Up | Condition::Drifted) | Err(Error::Foreign { .. }) => None,
            Err(_) => Some(Leftover::NoJournal { lab }),
        }
    });
    let foreign = match lab::paths::whose() {
        Some(Error::Foreign { path, owner }) => Some(Leftover::Foreign { path, owner }),
        _ => None,
    };
    let unknown = pinned().into_iter().filter(|lab| !known.iter().any(|entry| entry.lab == *lab));
    let unknown: Vec<_> = unknown.map(|lab| Leftover::NoJournal { lab }).collect();
    broken.chain(unknown).chain(foreign).collect()
}

/// The names of the directories that labs have, whatever is in them.
fn pinned() -> Vec<String> {
    let at = Path::new(lab::paths::RUN);
    if !lab::paths::is_reachable(at) || !lab::paths::is_own(at) {
        return Vec::new();
    }
    let entries = fs::read_dir(at).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let labs = directories.map(|entry| entry.file_name().to_string_lossy().into_owned());
    labs.filter(|name| name.parse::<LabName>().is_ok()).collect()
}

/// The caller's own names of namespaces that lead nowhere; where one may not look, that is not known.
fn dead_links(directory: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let leads_nowhere = |path: &PathBuf| path.is_symlink() && path.try_exists().is_ok_and(|there| !there);
    let dead = entries.map(|entry| entry.path()).filter(|path| leads_nowhere(path) && lab::paths::is_own(path));
    dead.map(|path| Leftover::DeadLink { path }).collect()
}
