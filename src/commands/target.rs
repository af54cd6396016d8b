//! The lab or node that the command line means.

use super::Context;
use crate::error::{Error, InstanceFault, Result, Usage};
use crate::lab::resolve::{self, Target};
use crate::lab::{self, Entry, Subject};
use crate::name::{LabName, NodeName};
use crate::report::lab::{Host, Item};
use crate::report::notice::Notice;

/// The lab of `NSLAB_LAB`.
pub(super) fn wish() -> Option<String> {
    std::env::var("NSLAB_LAB").ok().filter(|lab| !lab.is_empty())
}

/// The node that was typed, which must be no stopped container; says so when it had to assume a lab.
pub(super) fn node(typed: &str, context: &mut Context) -> Result<Target> {
    looked_at(typed, context).map(|(_, target)| target)
}

/// As [`node`], with its lab, to be looked at.
pub(super) fn looked_at(typed: &str, context: &mut Context) -> Result<(Subject, Target)> {
    let labs = lab::names();
    let target = among(typed, &labs, context)?;
    let entry = resolve::find(target.lab.as_str(), &labs)?;
    if entry.stopped.contains(&target.node.to_string()) {
        return Err(Error::Instance(InstanceFault::Stopped(resolve::word(&target.node))));
    }
    Ok((Subject::among(entry.clone(), &labs), target))
}

/// The node that was typed, stopped or not; says so when it had to assume a lab.
pub(super) fn any(typed: &str, context: &mut Context) -> Result<Target> {
    among(typed, &lab::names(), context)
}

fn among(typed: &str, labs: &[Entry], context: &mut Context) -> Result<Target> {
    let target = resolve::node(typed, labs, wish().as_deref())?;
    if let Some(exact) = &target.assumed {
        context.front.notice(&Notice::Assumed { lab: target.lab.to_string(), exact: exact.clone() });
    }
    Ok(target)
}

/// The lab that was typed, or else the only one.
pub(super) fn lab(typed: Option<&str>) -> Result<Option<Entry>> {
    let labs = lab::names();
    match typed {
        Some(name) => resolve::find(name, &labs).cloned().map(Some),
        None => resolve::only(&labs, wish().as_deref()).map(Option::<&Entry>::cloned),
    }
}

/// The lab that was typed, or else that of `NSLAB_LAB`, the only one, or the last one brought up; says so when it had to assume.
pub(super) fn current(typed: Option<&str>, context: &mut Context) -> Result<Entry> {
    let labs = lab::names();
    let found = match typed.map(str::to_owned).or_else(wish) {
        Some(name) => resolve::find(&name, &labs)?,
        None => resolve::last(&labs).ok_or_else(none_up)?,
    };
    if labs.len() > 1 && typed.is_none() && wish().is_none() {
        context.front.notice(&Notice::Assumed { lab: found.lab.to_string(), exact: found.lab.to_string() });
    }
    Ok(found.clone())
}

/// The labs that a command without a lab looks at: that of `NSLAB_LAB`, else all.
pub(super) fn labs(typed: Option<&str>) -> Result<Vec<LabName>> {
    let labs = lab::names();
    let chosen: Vec<&Entry> = match typed.map(str::to_owned).or_else(wish) {
        Some(name) => vec![resolve::find(&name, &labs)?],
        None => labs.iter().collect(),
    };
    Ok(chosen.into_iter().map(|entry| entry.lab.clone()).collect())
}

/// That no lab is up.
pub(super) fn none_up() -> Error {
    Error::Usage(Usage::NothingUp)
}

/// The labs that are up, for a report.
pub(super) fn items() -> Vec<Item> {
    let mut items: Vec<Item> = lab::names().into_iter().map(item).collect();
    items.sort_by(|a, b| a.lab.cmp(&b.lab));
    items
}

fn item(entry: Entry) -> Item {
    let texts = |names: Vec<NodeName>| names.into_iter().map(String::from).collect();
    let hosts = entry.hosts.into_iter().map(|(host, inside)| Host { host: host.into(), containers: texts(inside) }).collect();
    Item {
        lab: entry.lab.into(),
        summary: entry.summary,
        hosts,
        switches: texts(entry.switches),
        role: entry.role.map(String::from),
        exercise: entry.exercise,
        since: entry.since,
    }
}
