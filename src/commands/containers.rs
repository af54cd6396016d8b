//! Containers: launched, started, stopped, restarted, paused, renamed, deleted, here or on a remote.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

use super::remote::RemoteContainer;
use super::target::duration;
use super::{Context, Place, Run, completions, need_outside, target};
use crate::error::{Error, Result, WrongValue};
use crate::kernel::sandbox::Manner;
use crate::lab::instances::{self, InstanceId, Options};
use crate::lxd::client::New;
use crate::render::lang::{Lang, duration as took, t};
use crate::render::{Show, Style, lines};
use crate::report::lab::Notice;
use crate::topology::{Keys, Nic as Card};

/// Make a container on a host of a lab that is up, and start it
///
/// Like `lxc launch`: its files are the machine's own under a private writable layer, eth0 is plugged into the host's bridge
/// (lxdbr0 where there is one) and has a free address of its subnet. It goes with the lab, or with `nslab delete`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab launch host-a/a3\n  sudo nslab launch host-a/a3 --device eth0,nictype=bridged,parent=br0\n  sudo nslab launch host-b/b3 --device eth0,nictype=p2p,host_name=veth-b3\n  nslab launch host-b:b3"
)]
pub struct Launch {
    /// Its name: [LAB/][HOST/]NAME, where the host may be left out when there is only one; or REMOTE:NAME
    #[arg(value_name = "CONTAINER", add = ArgValueCompleter::new(completions::hosts))]
    container: String,
    /// The image, on a remote that has others than nslab's own
    #[arg(long, value_name = "IMAGE", default_value = "host")]
    image: String,
    /// A device: its name and its keys, as `lxc config device add` takes them
    #[arg(long, short, value_name = "NAME,KEY=VALUE,...", value_parser = device)]
    device: Vec<(String, Keys)>,
    /// Plug eth0 into this bridge of the host
    #[arg(long, short, value_name = "BRIDGE")]
    network: Option<String>,
    /// A key of its configuration
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Delete it when it stops
    #[arg(long, short)]
    ephemeral: bool,
    /// Do not start it
    #[arg(long)]
    stopped: bool,
}

fn pair(text: &str) -> std::result::Result<(String, String), WrongValue> {
    let (key, value) = text.split_once('=').ok_or_else(|| WrongValue::Pair(text.to_owned()))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn device(text: &str) -> std::result::Result<(String, Keys), WrongValue> {
    let (name, keys) = text.split_once(',').ok_or_else(|| WrongValue::Device(text.to_owned()))?;
    let mut keys: Keys = keys.split(',').map(pair).collect::<std::result::Result<_, _>>()?;
    keys.entry("type".to_owned()).or_insert_with(|| "nic".to_owned());
    Ok((name.to_owned(), keys))
}

/// What was done to containers.
#[derive(Debug, Default, Serialize)]
pub struct Changes {
    /// Each that was changed, in the order of the command line.
    containers: Vec<Change>,
    /// Why others were not.
    #[serde(skip)]
    errors: Vec<Error>,
}

/// What was done to a container.
#[derive(Debug, Serialize)]
struct Change {
    /// The remote that it is on; none of one that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    /// Its lab; empty on a remote.
    #[serde(skip_serializing_if = "String::is_empty")]
    lab: String,
    /// Its host; empty on a remote.
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    name: String,
    done: Done,
    /// Of a launched one, its NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    nics: Option<Vec<Nic>>,
    /// Of a renamed one, its new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
    /// How many operations it took.
    operations: usize,
    milliseconds: f64,
}

/// A NIC of a launched container.
#[derive(Debug, Serialize)]
struct Nic {
    /// Its interface name.
    name: String,
    /// The other end of its cable, in the host.
    peer: String,
    /// The bridge that it is plugged into.
    bridge: Option<String>,
    addresses: Vec<IpNet>,
}

/// What is done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    /// It was made, and runs.
    Launched,
    /// It was made, and is stopped.
    Made,
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// It was stopped and runs again.
    Restarted,
    /// It is gone, with its files.
    Deleted,
    /// Its processes stand still.
    Paused,
    /// It has another name.
    Renamed,
}

impl Done {
    /// The container's network namespace goes.
    fn ends(self) -> bool {
        matches!(self, Self::Stopped | Self::Restarted | Self::Deleted)
    }
}

impl Show for Changes {
    fn text(&self, style: Style) -> String {
        lines(&self.containers.iter().map(|one| one.sentence(style.lang)).collect::<Vec<_>>())
    }

    fn is_talk(&self) -> bool {
        true
    }

    fn errors(&self) -> Vec<&Error> {
        self.errors.iter().collect()
    }
}

impl From<Change> for Changes {
    fn from(change: Change) -> Self {
        Self { containers: vec![change], errors: Vec::new() }
    }
}

impl Change {
    /// What was done to a container.
    fn new(place: &Container, done: Done, operations: usize, start: Instant) -> Self {
        let (remote, lab, host, name) = match place {
            Container::Here(id) => (None, id.lab.to_string(), id.host.to_string(), id.name.to_string()),
            Container::There(container) => (Some(container.remote.clone()), String::new(), String::new(), container.name.clone()),
        };
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
        Self { remote, lab, host, name, done, nics: None, now: None, operations, milliseconds }
    }

    /// The container, as it is typed.
    fn word(&self) -> String {
        self.remote.as_ref().map_or_else(|| format!("{}/{}", self.host, self.name), |remote| format!("{remote}:{}", self.name))
    }

    fn sentence(&self, lang: Lang) -> String {
        let (name, host, word) = (&self.name, &self.host, self.word());
        let took = took(self.milliseconds);
        match (self.done, &self.nics) {
            (Done::Launched, Some(own)) => {
                t!(lang, "{name} runs on {host}: {nics}, {took}.", name, host, nics = nics(lang, own), took)
            }
            (Done::Made, Some(own)) => {
                t!(lang, "{name} was made on {host} and is stopped: {nics}.", name, host, nics = nics(lang, own))
            }
            (Done::Made, None) => t!(lang, "{word} was made and is stopped.", word),
            (Done::Launched | Done::Started, _) => t!(lang, "{word} runs, {took}.", word, took),
            (Done::Stopped, _) => t!(lang, "{word} is stopped, {took}.", word, took),
            (Done::Restarted, _) => t!(lang, "{word} runs again, {took}.", word, took),
            (Done::Deleted, _) => t!(lang, "{word} is gone, with its files.", word),
            (Done::Paused, _) => {
                t!(lang, "{word} is paused: its processes stand still. nslab start {word} lets them go on.", word)
            }
            (Done::Renamed, _) => t!(lang, "{word} is called {now} now.", word, now = self.now.as_deref().unwrap_or_default()),
        }
    }
}

fn nics(lang: Lang, nics: &[Nic]) -> String {
    let one = |nic: &Nic| {
        let (name, peer) = (&nic.name, &nic.peer);
        let addresses = nic.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (&nic.bridge, addresses.as_str()) {
            (Some(bridge), "") => t!(lang, "{name} on {bridge} without an address", name, bridge),
            (Some(bridge), _) => t!(lang, "{name} on {bridge} with {addresses}", name, bridge, addresses),
            (None, "") => t!(lang, "{name} to {peer} without an address", name, peer),
            (None, _) => t!(lang, "{name} to {peer} with {addresses}", name, peer, addresses),
        }
    };
    if nics.is_empty() {
        return t!(lang, "without a NIC (--device eth0,nictype=bridged,parent=BRIDGE gives one)");
    }
    nics.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl Run for Launch {
    type Out = Changes;

    fn place(&self) -> Place {
        place(std::slice::from_ref(&self.container))
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let done = if self.stopped { Done::Made } else { Done::Launched };
        let config = self.config.into_iter().collect();
        let mut devices: BTreeMap<String, Keys> = self.device.into_iter().collect();
        let change = if let Some(remote) = RemoteContainer::parse(&self.container)? {
            let start = Instant::now();
            let (image, devices, ephemeral) = (self.image.as_str(), json!(devices), self.ephemeral);
            let new = New { image, config, devices, ephemeral, ..New::default() };
            let name = remote.launch(new, self.network.as_deref(), self.stopped)?;
            Change { name, ..Change::new(&Container::There(remote), done, 0, start) }
        } else {
            crate::kernel::sys::note_signals();
            let id = target::instance_id(&self.container, context)?;
            let start = Instant::now();
            if let Some(network) = self.network {
                let keys = [("type", "nic"), ("name", "eth0"), ("network", network.as_str())];
                devices.insert("eth0".to_owned(), keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
            }
            let options = Options { config, devices, ephemeral: self.ephemeral, stopped: self.stopped, bare: false };
            let (nics, operations) = instances::launch(&id, &options)?;
            Change { nics: Some(cards(&nics)), ..Change::new(&Container::Here(id), done, operations, start) }
        };
        Ok(change.into())
    }
}

/// Start stopped containers, or let paused ones go on
///
/// Each comes back with its MAC addresses, IP addresses, routes and files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab start a1")]
pub struct Start {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    containers: Vec<String>,
}

impl Run for Start {
    type Out = Changes;

    fn place(&self) -> Place {
        place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        each(&self.containers, Done::Started, context, instances::start, RemoteContainer::start)
    }
}

/// Stop containers: their processes end, their links go, their files stay
///
/// Processes are asked to end, and killed after ten seconds or the given time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab stop a1\n  sudo nslab stop --force a1 b1")]
pub struct Stop {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    containers: Vec<String>,
    #[command(flatten)]
    ending: Ending,
}

impl Run for Stop {
    type Out = Changes;

    fn place(&self) -> Place {
        place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let grace = self.ending.grace();
        each(&self.containers, Done::Stopped, context, |id| instances::stop(id, Some(grace)), |there| there.stop(grace))
    }
}

/// Stop containers and start them again
///
/// What was made by hand in their network goes; MAC addresses, IP addresses, routes and files stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab restart a1")]
pub struct Restart {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    containers: Vec<String>,
    #[command(flatten)]
    ending: Ending,
}

impl Run for Restart {
    type Out = Changes;

    fn place(&self) -> Place {
        place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let grace = self.ending.grace();
        each(&self.containers, Done::Restarted, context, |id| instances::restart(id, Some(grace)), |there| there.restart(grace))
    }
}

/// Let the processes of containers stand still
///
/// `nslab start` lets them go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab pause a1")]
pub struct Pause {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    containers: Vec<String>,
}

impl Run for Pause {
    type Out = Changes;

    fn place(&self) -> Place {
        place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        each(&self.containers, Done::Paused, context, |id| instances::pause(id).map(|()| 0), RemoteContainer::pause)
    }
}

/// Delete stopped containers, with their files
///
/// One of the topology's file comes back with `nslab reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab delete a3\n  sudo nslab delete --force a3")]
pub struct Delete {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    containers: Vec<String>,
    /// Stop those that run first, without asking their processes to end
    #[arg(long, short)]
    force: bool,
}

impl Run for Delete {
    type Out = Changes;

    fn place(&self) -> Place {
        place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let force = self.force;
        each(&self.containers, Done::Deleted, context, |id| instances::remove(id, force), |there| there.delete(force))
    }
}

/// Give a stopped container another name
///
/// Its MAC addresses, IP addresses and files stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab rename a3 a4")]
pub struct Rename {
    /// The container: [LAB/][HOST/]NAME
    #[arg(value_name = "CONTAINER", add = ArgValueCompleter::new(completions::nodes))]
    container: String,
    /// Its new name
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Rename {
    type Out = Changes;
    const PLACE: Place = Place::Outside(Manner::Finishes);

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let found = target::any(&self.container, context)?;
        let id = InstanceId::from_node(&found.lab, &found.node)?;
        let name = target::container(&self.name)?;
        let start = Instant::now();
        instances::rename(&id, &name)?;
        Ok(Change { now: Some(name.to_string()), ..Change::new(&Container::Here(id), Done::Renamed, 0, start) }.into())
    }
}

/// How long processes have to end by themselves where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(10);

// No docstring: it would become the help of the commands that have it.
#[derive(Debug, clap::Args)]
struct Ending {
    /// Do not ask the processes to end: kill them
    #[arg(long, short)]
    force: bool,
    /// How long processes may take to end before they are killed
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "force")]
    timeout: Option<Duration>,
}

impl Ending {
    /// How long processes may take to end.
    fn grace(&self) -> Duration {
        if self.force { Duration::ZERO } else { self.timeout.unwrap_or(GRACE) }
    }
}

/// Where a command on containers works: those of remotes are reached from anywhere.
fn place(typed: &[String]) -> Place {
    if typed.iter().any(|word| word.contains(':')) { Place::Anywhere } else { Place::Outside(Manner::Finishes) }
}

/// Does something to each container that was typed; one that fails does not keep the others from it.
fn each(
    typed: &[String],
    done: Done,
    context: &mut Context,
    act: impl Fn(&InstanceId) -> Result<usize>,
    on_remote: impl Fn(&RemoteContainer) -> Result<()>,
) -> Result<Changes> {
    crate::kernel::sys::note_signals();
    let mut places = Vec::new();
    for word in typed {
        places.push(if let Some(there) = RemoteContainer::parse(word)? {
            Container::There(there)
        } else {
            need_outside(context)?;
            let found = target::any(word, context)?;
            Container::Here(InstanceId::from_node(&found.lab, &found.node)?)
        });
    }
    let mut changes = Changes::default();
    for place in &places {
        let start = Instant::now();
        let lost = match place {
            Container::Here(id) if done.ends() => instances::links_by_hand(id),
            _ => Vec::new(),
        };
        let result = match place {
            Container::Here(id) => act(id),
            Container::There(there) => on_remote(there).map(|()| 0),
        };
        match result {
            Ok(operations) => {
                changes.containers.push(Change::new(place, done, operations, start));
                if let (false, Container::Here(id)) = (lost.is_empty(), place) {
                    context.front.notice(&Notice::LinksLost { node: id.name.to_string(), links: lost });
                }
            }
            Err(error) => changes.errors.push(error),
        }
    }
    Ok(changes)
}

/// Where a container is.
enum Container {
    Here(InstanceId),
    There(RemoteContainer),
}

/// A container's NICs, for a report.
fn cards(nics: &[Card]) -> Vec<Nic> {
    let card = |nic: &Card| {
        let end = nic.attach.host_end()?;
        let bridge = end.bridge.as_ref().map(ToString::to_string);
        Some(Nic { name: nic.name.to_string(), peer: end.name.to_string(), bridge, addresses: nic.addresses.clone() })
    };
    nics.iter().filter_map(card).collect()
}
