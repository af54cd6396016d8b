//! `control`: a host commands the containers of another one through its agent, as the stock client would that it has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::check::evidence::{Bench, Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::host;
use crate::check::scene::Scene;
use crate::error::{Error, RemoteFault};
use crate::kernel;
use crate::lab::{agents, paths::netns_path};
use crate::lxd::client::{Action, Change, Client, New, Remote, Store};
use crate::name::NodeName;
use crate::plan::{NodeId, quoted};
use crate::render::lang::t;
use crate::render::sentences::statement::{Say, Words};
use crate::topology::reader::Item;
use crate::typed;

/// The container that is made and deleted again.
const NAME: &str = "nslab-check";
/// The key that says whose it is.
const MARK: &str = "user.nslab.check";

/// Whose containers a host commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The host that commands.
    from: NodeName,
    /// The host whose containers they are.
    of: NodeName,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The host's agent does not run.
    NoAgent { host: String },
    /// The first host knows no remote that is the other one.
    NoRemote { from: String, of: String },
    /// The other host does not trust the one that knows it as that remote.
    Distrusted { from: String, of: String, remote: String },
    /// Nobody answers where the remote should be.
    Unreached { from: String, remote: String, address: String },
    /// What answers there is another server than the one that was added.
    OtherServer { from: String, of: String, remote: String },
    /// The remote did not do a step, in its own words.
    Refused { remote: String, step: Step, text: String },
    /// The token of this host's agent is printed on the other machine, which plays it.
    TokenThere { host: String },
}

/// What a host does with a container of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    List,
    Launch,
    Exec,
    Stop,
    Delete,
}

impl Seen for Found {
    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        let (from, of, known) = match self {
            Self::NoAgent { host } => return vec![typed::here(&format!("sudo nslab agent start {}", bench.node(host)))],
            Self::NoRemote { from, of } => (from, of, None),
            Self::Distrusted { from, of, remote } | Self::OtherServer { from, of, remote } => (from, of, Some(remote)),
            Self::Unreached { .. } | Self::Refused { .. } | Self::TokenThere { .. } => return Vec::new(),
        };
        let forget = known.map(|remote| bench.exec(from, &format!("lxc remote remove {}", quoted(remote))));
        let token = typed::here(&format!("sudo nslab agent token {} --name {from}", bench.node(of)));
        let add = bench.exec(from, &format!("lxc remote add {of} TOKEN"));
        forget.into_iter().chain([token, add]).collect()
    }
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::NoAgent { host } => t!(lang, "{host} has no agent that runs.", host),
            Self::NoRemote { from, of } => {
                t!(lang, "{host} knows no remote that is {other}: add it with a token of {other}.", host = from, other = of)
            }
            Self::Distrusted { from, of, remote } => t!(
                lang,
                "{other} does not trust {host}, which knows it as {remote}: add it again with a new token.",
                other = of,
                host = from,
                remote
            ),
            Self::Unreached { from, remote, address } => t!(
                lang,
                "From {host} nobody answers at {address}, where the remote {remote} should be.",
                host = from,
                address,
                remote
            ),
            Self::OtherServer { from, of, remote } => t!(
                lang,
                "What {host} knows as {remote} is not {other} any more: its certificate is another one.",
                host = from,
                remote,
                other = of
            ),
            Self::Refused { remote, step, text } => match step {
                Step::List => t!(lang, "{remote} does not list the container: {text}", remote, text),
                Step::Launch => t!(lang, "{remote} does not launch the container: {text}", remote, text),
                Step::Exec => t!(lang, "{remote} does not run a command in the container: {text}", remote, text),
                Step::Stop => t!(lang, "{remote} does not stop the container: {text}", remote, text),
                Step::Delete => t!(lang, "{remote} does not delete the container: {text}", remote, text),
            },
            Self::TokenThere { host } => t!(
                lang,
                "The token is printed on the other machine, which plays {host}; the rest is typed here.",
                host = words.node(host)
            ),
        }
    }
}

impl Kind for Control {
    const ABOUT: &'static str = "A host commands another one's containers.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let from = keys.required("from", "The host that commands.", host);
            let of = keys.required("of", "The host whose containers they are.", host);
            Some(Self { from: from?.name.clone(), of: of?.name.clone() })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        t!(words.lang, "{host} commands the containers of {other}", host = self.from, other = self.of)
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        Ok(Self { from: players.host(&self.from)?, of: players.host(&self.of)? })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Acts(NodeId::Host(self.from.clone()))
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let Some(found) = tried(self, stage)? else { return Ok(Verdict::default()) };
        let elsewhere = stage.scene.is_remote(&NodeId::Host(self.of.clone()));
        let token = matches!(&found, Found::NoRemote { .. } | Found::Distrusted { .. } | Found::OtherServer { .. });
        let note = || Found::TokenThere { host: self.of.to_string() }.into();
        Ok(Verdict { notes: Vec::from_iter((token && elsewhere).then(note)), ..Verdict::wrong(found) })
    }
}

/// What came of it: nothing that is wrong, something, or why it could not be tried.
type Tried = Result<Option<Found>, Common>;

fn tried(control: &Control, stage: &Stage<'_>) -> Tried {
    let lab = &stage.scene.view.lab;
    let (from, of) = (NodeId::Host(control.from.clone()), NodeId::Host(control.of.clone()));
    stage.scene.place(&from)?;
    let there: Vec<IpAddr> = {
        let place = stage.scene.place(&of)?;
        place.node.links.iter().flat_map(|link| &link.addresses).map(ipnet::IpNet::addr).collect()
    };
    if !stage.scene.is_remote(&of) && !agents::runs(lab, &control.of) {
        return Ok(Some(Found::NoAgent { host: control.of.to_string() }));
    }
    let plays = stage.scene.role == Some(&control.from);
    let Some((store, remote)) = known(&stores(control, stage, plays), &there) else {
        return Ok(Some(Found::NoRemote { from: control.from.to_string(), of: control.of.to_string() }));
    };
    let identity = store.identity().map_err(|error| Common::from(&error))?;
    let commanded = kernel::within(&netns_path(lab, &from), &control.from.to_string(), || {
        let client = Client::new(&remote, Some(&identity)).map_err(|error| Common::from(&error))?;
        commanded(&client).map_or_else(|(step, error)| met(control, &remote, step, &error), |()| Ok(None))
    });
    commanded.map_err(|error| Common::from(&error))?
}

/// Where the clients on a host keep what they know; the machine that plays a host has its own, too.
fn stores(control: &Control, stage: &Stage<'_>, plays: bool) -> Vec<PathBuf> {
    let own = agents::client(&stage.scene.view.lab, &control.from);
    let machines = [Store::usual(), PathBuf::from("/root/.config/lxc"), PathBuf::from("/root/.config/incus")];
    let incus = agents::incus(&own);
    [own, incus].into_iter().chain(machines.into_iter().filter(|_| plays)).collect()
}

/// The remote at one of these addresses, and the store that knows it.
fn known(stores: &[PathBuf], there: &[IpAddr]) -> Option<(Store, Remote)> {
    stores.iter().find_map(|dir| {
        let store = Store::open(dir.clone()).ok()?;
        let found = store.remotes().into_iter().find(|remote| remote.host().is_some_and(|host| there.contains(&host)))?;
        Some((store, found))
    })
}

/// The steps of the assignment, on a container of its own, which is gone afterwards whatever happened.
fn commanded(client: &Client) -> Result<(), (Step, Error)> {
    let at = |step| move |error| (step, error);
    let all = client.instances().map_err(at(Step::List))?;
    // One that a check left that was killed.
    let old = all.iter().any(|one| one["name"] == NAME && one["config"][MARK].is_string());
    if old {
        remove(client);
    }
    let done = launched(client).map_err(at(Step::Launch)).and_then(|()| lived(client));
    if done.is_err() {
        remove(client);
    }
    done
}

fn launched(client: &Client) -> crate::error::Result<()> {
    let own = client.get("/1.0")?["environment"]["driver"] == "nslab";
    let images = client.get("/1.0/images?recursion=1")?;
    let image = images[0]["fingerprint"].as_str().unwrap_or_default().to_owned();
    let config = BTreeMap::from([(MARK.to_owned(), "true".to_owned())]);
    // Without a NIC nothing of the lab's network changes; LXD's profile has the disk, too.
    let profiles = own.then(Vec::new);
    client.create(&New { image: &image, name: NAME, config, profiles, ..New::default() })?;
    let change = Change { action: Action::Start, force: false, timeout: -1 };
    client.change(NAME, change)
}

fn lived(client: &Client) -> Result<(), (Step, Error)> {
    let at = |step| move |error| (step, error);
    let path = format!("/1.0/instances/{NAME}/exec");
    let command = ["sh", "-c", &format!("test \"$(hostname)\" = {NAME}")];
    let body = json!({"command": command, "interactive": false, "wait-for-websocket": false, "record-output": true});
    let ended = client.finish(Method::POST, &path, Some(&body)).map_err(at(Step::Exec))?;
    if ended["metadata"]["return"] != 0 {
        let text = format!("{} ends with {}", command[2], ended["metadata"]["return"]);
        let refused = RemoteFault::Refused { remote: client.name().to_owned(), code: 400, text };
        return Err((Step::Exec, Error::Remote(refused)));
    }
    client.change(NAME, Change { action: Action::Stop, force: true, timeout: 0 }).map_err(at(Step::Stop))?;
    client.delete(NAME).map_err(at(Step::Delete))
}

fn remove(client: &Client) {
    if client.instance(NAME).is_ok_and(|own| own["config"][MARK].is_string()) {
        let _ = client.change(NAME, Change { action: Action::Stop, force: true, timeout: 0 });
        let _ = client.delete(NAME);
    }
}

fn met(control: &Control, remote: &Remote, step: Step, error: &Error) -> Tried {
    let name = |host: &NodeName| host.to_string();
    let (from, of, remote) = (name(&control.from), name(&control.of), remote.name.clone());
    Ok(Some(match error {
        Error::Remote(RemoteFault::Untrusted(_)) => Found::Distrusted { from, of, remote },
        Error::Remote(RemoteFault::Unreachable { address, .. } | RemoteFault::Handshake { address, .. }) => {
            Found::Unreached { from, remote, address: address.clone() }
        }
        Error::Remote(RemoteFault::Changed { .. }) => Found::OtherServer { from, of, remote },
        Error::Remote(RemoteFault::Refused { text, .. }) => Found::Refused { remote, step, text: text.clone() },
        other => return Err(Common::from(other)),
    }))
}
