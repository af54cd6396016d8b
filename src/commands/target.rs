//! What the command line means: labs, nodes, topologies, the role of this machine, lengths of time.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::{Context, completions, lacking};
use crate::check::KINDS;
use crate::error::{Error, Result, Takes, Thing, Usage, WrongValue};
use crate::kernel::sockets;
use crate::lab::instances::InstanceId;
use crate::lab::resolve::{self, Target};
use crate::lab::{self, Casting, Entry, Journal, NicChoice, Subject};
use crate::name::{LabName, NodeName};
use crate::probe::is_link_local;
use crate::probe::ping::stations::Station;
use crate::report::lab::Notice;
use crate::report::probe::Family;
use crate::topology::catalog::{self, is_file};
use crate::topology::{self, Topology};

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
    resolve::running(&entry.stopped, &target.node)?;
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

/// As [`lab`], where one must be up.
pub(super) fn up(typed: Option<&str>) -> Result<Entry> {
    lab(typed)?.ok_or_else(none_up)
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
    let labs = match typed.map(str::to_owned).or_else(wish) {
        Some(name) => vec![resolve::find(&name, &lab::names())?.clone()],
        None => lab::whole()?,
    };
    Ok(labs.into_iter().map(|entry| entry.lab).collect())
}

/// That no lab is up.
pub(super) fn none_up() -> Error {
    Error::Usage(Usage::NothingUp)
}

/// A container's name, checked.
pub(super) fn container(word: &str) -> Result<NodeName> {
    word.parse().map_err(|fault| Error::BadName { what: Thing::Container, word: word.to_owned(), fault })
}

/// Where a container is to be that was typed as `[LAB/][HOST/]NAME`.
///
/// # Errors
/// `Ambiguous` where the lab has several hosts and none is named.
pub(super) fn instance_id(typed: &str, context: &mut Context) -> Result<InstanceId> {
    let words: Vec<&str> = typed.split('/').collect();
    let (lab, host, word) = match words.as_slice() {
        [word] => (None, None, *word),
        [lab, word] if is_lab(lab) => (Some(*lab), None, *word),
        [host, word] => (None, Some(*host), *word),
        [lab, host, word] => (Some(*lab), Some(*host), *word),
        _ => return Err(container(typed).err().unwrap_or_else(none_up)),
    };
    let name = container(word)?;
    let entry = current(lab, context)?;
    let host = chosen(&entry, host, word)?;
    Ok(InstanceId { lab: entry.lab, host, name })
}

/// Whether a lab of the name is up.
pub(super) fn is_lab(word: &str) -> bool {
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

/// The topology of a file or of the catalogue.
pub(super) fn topology(word: &str) -> Result<Topology> {
    if is_file(word) { topology::read(Path::new(word), KINDS) } else { built_in(word) }
}

/// The journal of a lab that is up; none when no such lab is, or the caller may not read that.
fn journal(word: &str) -> Option<Journal> {
    let entry = lab::names().into_iter().find(|entry| entry.lab == word)?;
    if lacking().is_some() {
        return None;
    }
    // With a damaged journal `up` and `down` go on without it, and say what is wrong with it.
    lab::load(&entry.lab).ok()
}

/// The topology of a lab that is up, as its journal has it; none when no such lab is, or the caller may not read that.
pub(super) fn described(word: &str) -> Option<Topology> {
    journal(word).map(|journal| journal.whole.unwrap_or(journal.topology))
}

/// As [`described`], without what was launched, stopped or configured since.
fn of_file(word: &str) -> Option<Topology> {
    journal(word).map(|journal| journal.origin.or(journal.whole).unwrap_or(journal.topology))
}

/// The topology that `up` is to make: a lab that is up stays what it is, even where a built-in one has its name.
pub(super) fn wanted(word: &str, context: &mut Context) -> Result<Topology> {
    let described = if is_file(word) { None } else { of_file(word) };
    let Some(described) = described else { return topology(word) };
    if catalog::find(word).is_some() && !is_built_in(word, &described)? {
        context.front.notice(&Notice::OwnDescription { lab: word.to_owned() });
    }
    Ok(described)
}

/// Whether a lab is described as the topology of its name is; numbers that were given out for containers since make no difference.
fn is_built_in(word: &str, described: &Topology) -> Result<bool> {
    let mut shipped = built_in(word)?;
    shipped.count_on(described);
    Ok(without_checks(shipped) == without_checks(described.clone()))
}

/// What makes the lab: its checkpoints and what it is to become are none of that.
fn without_checks(mut topology: Topology) -> Topology {
    topology.checkpoints.clear();
    topology.exercise.clear();
    topology
}

/// The topology of the catalogue.
pub(super) fn built_in(word: &str) -> Result<Topology> {
    match catalog::find(word) {
        Some(text) => topology::parse(word, text, KINDS),
        None if Path::new(word).is_file() => {
            Err(Error::Unknown { what: Thing::Topology, word: word.to_owned(), candidates: vec![format!("./{word}")] })
        }
        None => Err(unknown(word)),
    }
}

/// That the catalogue has no such topology, with what was probably meant.
pub(super) fn unknown(word: &str) -> Error {
    let names = catalog::names().map(str::to_owned).collect();
    Error::Unknown { what: Thing::Topology, word: word.to_owned(), candidates: resolve::near(word, names) }
}

/// The host that this machine plays, and its real NICs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Role {
    /// Play this host of the topology: the machine itself is the host, and a real NIC stands where its network was
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(completions::nodes))]
    pub(super) role: Option<String>,
    /// The real NIC; TOPOLOGY=NAME, once for each, where the host has several. Without it the only free one is taken
    #[arg(long, value_name = "NAME", requires = "role")]
    pub(super) nic: Vec<NicChoice>,
}

impl Role {
    /// What was asked for.
    ///
    /// # Errors
    /// When the host's name is none.
    pub(super) fn casting(&self) -> Result<Casting> {
        let name = |word: &String| word.parse().map_err(|fault| Error::BadName { what: Thing::Host, word: word.clone(), fault });
        Ok(Casting { host: self.role.as_ref().map(name).transpose()?, nics: self.nic.clone() })
    }
}

// No docstring: it would become the help of the commands that have it.
#[derive(Debug, clap::Args)]
pub(super) struct Families {
    /// Take an IPv4 address of B
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// Take an IPv6 address of B
    #[arg(short = '6')]
    ipv6: bool,
}

impl Families {
    /// Those that come into question from an address.
    ///
    /// # Errors
    /// When it is of the other family.
    pub(super) fn from(&self, source: Option<IpAddr>) -> Result<&'static [Family]> {
        let wanted = self.wanted();
        match source.map(Family::from_address) {
            None => Ok(wanted),
            Some(Family::Ipv4) if wanted.contains(&Family::Ipv4) => Ok(&[Family::Ipv4]),
            Some(Family::Ipv6) if wanted.contains(&Family::Ipv6) => Ok(&[Family::Ipv6]),
            Some(Family::Ipv4) => Err(Error::Usage(Usage::Option("-6", Takes::Ipv6))),
            Some(Family::Ipv6) => Err(Error::Usage(Usage::Option("-4", Takes::Ipv4))),
        }
    }

    /// The families of addresses that come into question.
    pub(super) fn wanted(&self) -> &'static [Family] {
        match (self.ipv4, self.ipv6) {
            (true, _) => &[Family::Ipv4],
            (_, true) => &[Family::Ipv6],
            _ => &[Family::Ipv4, Family::Ipv6],
        }
    }
}

// No docstring, as above.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Send from this address of A, instead of the one that its routes choose
    #[arg(long = "from", value_name = "ADDRESS")]
    source: Option<IpAddr>,
}

impl Source {
    /// The address, which has to be the node's own.
    ///
    /// # Errors
    /// When it is not; those that the node has are named.
    pub(super) fn of(&self, from: &Station) -> Result<Option<IpAddr>> {
        let own: Vec<IpAddr> = from.addresses.iter().map(|(_, net)| net.addr()).filter(|own| !is_link_local(*own)).collect();
        // One on the loopback is the node's own, too: what goes there comes from there.
        let has = |source: IpAddr| {
            let asked = sockets::sources(&from.pin, &from.id.to_string(), &[(source, 9).into()])?;
            Ok::<_, Error>(own.contains(&source) || asked.first() == Some(&Ok(source)))
        };
        match self.source {
            Some(source) if !has(source)? => Err(Error::Usage(Usage::NotOwnAddress(
                from.id.to_string().replacen('.', "/", 1),
                source.to_string(),
                own.iter().map(ToString::to_string).collect(),
            ))),
            source => Ok(source),
        }
    }
}

/// What a value on the command line is, or why it is none.
type Value<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A number from 1.
pub(super) fn positive(word: &str) -> Value<u64> {
    match word.parse()? {
        0 => Err(WrongValue::Zero.into()),
        number => Ok(number),
    }
}

/// Bytes that an echo can carry: those of an IPv4 packet without its header and that of ICMP.
pub(super) fn payload(word: &str) -> Value<u16> {
    within(word, 0, 65507)
}

/// A time to live: a packet with none is not sent.
pub(super) fn time_to_live(word: &str) -> Value<u8> {
    within(word, 1, 255)
}

/// A port of TCP or UDP.
pub(super) fn port(word: &str) -> Value<u16> {
    within(word, 1, 65535)
}

fn within<N: TryFrom<u64>>(word: &str, least: u64, most: u64) -> Value<N> {
    let number = word.parse()?;
    let valid = (least..=most).contains(&number).then_some(number).and_then(|number| N::try_from(number).ok());
    valid.ok_or_else(|| WrongValue::Range(least, most).into())
}

/// `5s`, `0.2s`, `200ms`, `2m`, `1h`; a bare number counts seconds.
pub(super) fn seconds(word: &str) -> Option<f64> {
    let (number, unit) = word.split_at(word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len()));
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// A length of time; a day at most.
pub(super) fn duration(word: &str) -> std::result::Result<Duration, WrongValue> {
    const DAY: f64 = 86_400.0;
    let seconds = seconds(word).ok_or(WrongValue::Time)?;
    if (0.0..=DAY).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(WrongValue::Day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_unit() {
        for (word, milliseconds) in [("5s", 5000), ("5", 5000), ("0.2", 200), ("200ms", 200), ("2m", 120_000), ("0", 0)] {
            assert_eq!(duration(word), Ok(Duration::from_millis(milliseconds)), "{word}");
        }
        for word in ["", "s", "5x", "-1", "1e9", "nan", "inf", "5 s", "25h"] {
            assert!(duration(word).is_err(), "{word}");
        }
    }
}
