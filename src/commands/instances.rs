//! What the commands on containers share.

use std::time::{Duration, Instant};

use super::far::Far;
use super::run::{Context, Place};
use super::{rights, target};
use crate::error::{Error, Result, Thing};
use crate::kernel::sandbox::Manner;
use crate::lab::instances::Site;
use crate::lab::{self, Entry, resolve};
use crate::name::NodeName;
use crate::report::instance::{Change, Changes, Done, Nic};
use crate::topology::{Attach, Nic as Card};

/// How long processes have to end by themselves where nobody says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The grace that the options ask for.
pub(super) fn grace(force: bool, timeout: Option<Duration>) -> Duration {
    if force { Duration::ZERO } else { timeout.unwrap_or(GRACE) }
}

/// Where a command on containers works: those of remotes are reached from anywhere.
pub(super) fn place(typed: &[String]) -> Place {
    if typed.iter().any(|word| word.contains(':')) { Place::Anywhere } else { Place::Outside(Manner::Finishes) }
}

/// Does something to each container that was typed; one that fails does not keep the others from it.
pub(super) fn each(
    typed: &[String],
    done: Done,
    context: &mut Context,
    act: impl Fn(&Site) -> Result<usize>,
    far: impl Fn(&Far) -> Result<()>,
) -> Result<Changes> {
    crate::kernel::sys::note_signals();
    let mut places = Vec::new();
    for word in typed {
        places.push(if let Some(there) = Far::of(word)? {
            Container::Far(there)
        } else {
            rights::need_outside(context)?;
            let found = target::any(word, context)?;
            Container::Here(Site::of(&found.lab, &found.node)?)
        });
    }
    let mut changes = Changes::default();
    for place in &places {
        let start = Instant::now();
        let result = match place {
            Container::Here(site) => act(site).map(|operations| change(site, done, operations, start)),
            Container::Far(there) => far(there).map(|()| there.change(there.name(), done, start)),
        };
        match result {
            Ok(change) => changes.containers.push(change),
            Err(error) => changes.errors.push(error),
        }
    }
    Ok(changes)
}

/// Where a container is.
enum Container {
    Here(Site),
    Far(Far),
}

/// What was done to a container.
pub(super) fn change(site: &Site, done: Done, operations: usize, start: Instant) -> Change {
    Change {
        remote: None,
        lab: site.lab.to_string(),
        host: site.host.to_string(),
        name: site.name.to_string(),
        done,
        nics: None,
        now: None,
        operations,
        milliseconds: start.elapsed().as_secs_f64() * 1000.0,
    }
}

/// A container's NICs, for a report.
pub(super) fn cards(nics: &[Card]) -> Vec<Nic> {
    let card = |nic: &Card| {
        let Attach::Host(end) = &nic.attach else { return None };
        let bridge = end.bridge.as_ref().map(ToString::to_string);
        Some(Nic { name: nic.name.to_string(), peer: end.name.to_string(), bridge, addresses: nic.addresses.clone() })
    };
    nics.iter().filter_map(card).collect()
}

/// A container's name, checked.
pub(super) fn name(word: &str) -> Result<NodeName> {
    word.parse().map_err(|fault| Error::BadName { what: Thing::Container, word: word.to_owned(), fault })
}

/// Where a container is to be that was typed as `[LAB/][HOST/]NAME`.
///
/// # Errors
/// `Ambiguous` where the lab has several hosts and none is named.
pub(super) fn site(typed: &str, context: &mut Context) -> Result<Site> {
    let words: Vec<&str> = typed.split('/').collect();
    let (lab, host, word) = match words.as_slice() {
        [word] => (None, None, *word),
        [lab, word] if is_lab(lab) => (Some(*lab), None, *word),
        [host, word] => (None, Some(*host), *word),
        [lab, host, word] => (Some(*lab), Some(*host), *word),
        _ => return Err(name(typed).err().unwrap_or_else(target::none_up)),
    };
    let name = name(word)?;
    let entry = target::current(lab, context)?;
    let host = chosen(&entry, host, word)?;
    Ok(Site { lab: entry.lab, host, name })
}

fn is_lab(word: &str) -> bool {
    lab::names().iter().any(|entry| entry.lab == word)
}

fn chosen(entry: &Entry, typed: Option<&str>, word: &str) -> Result<NodeName> {
    let hosts: Vec<&NodeName> = entry.hosts.iter().map(|(host, _)| host).collect();
    match (typed, hosts.as_slice()) {
        (Some(typed), hosts) => {
            hosts.iter().find(|host| **host == typed).map(|host| NodeName::clone(host)).ok_or_else(|| Error::Unknown {
                what: Thing::Host,
                word: typed.to_owned(),
                candidates: resolve::near(typed, hosts.iter().map(ToString::to_string).collect()),
            })
        }
        (None, [one]) => Ok(NodeName::clone(one)),
        (None, hosts) => {
            let candidates = hosts.iter().map(|host| format!("{host}/{word}")).collect();
            Err(Error::Ambiguous { what: Thing::Container, word: word.to_owned(), candidates })
        }
    }
}
