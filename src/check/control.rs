//! `control`: a host commands the containers of another one through its agent, as the stock client would that it has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use hyper::Method;
use serde_json::json;

use super::Stage;
use super::verdict::{Verdict, failed};
use crate::error::{Error, RemoteFault};
use crate::kernel;
use crate::lab::{agents, paths::netns_path};
use crate::lxd::client::{Action, Change, Client, New, Remote, Store};
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::report::check::{Evidence, Note, Step};
use crate::topology::checks::Control;

/// The container that is made and deleted again.
const NAME: &str = "nslab-check";
/// The key that says whose it is.
const MARK: &str = "user.nslab.check";

pub(super) fn check(control: &Control, stage: &Stage<'_>) -> Verdict {
    match tried(control, stage) {
        Ok(()) => Verdict::default(),
        Err(evidence) => {
            let token =
                matches!(&evidence, Evidence::NoRemote { .. } | Evidence::Distrusted { .. } | Evidence::OtherServer { .. });
            let far = stage.scene.is_far(&NodeId::Host(control.of.clone()));
            let note = Note::TokenThere { host: control.of.to_string() };
            Verdict { notes: Vec::from_iter((token && far).then_some(note)), ..Verdict::wrong(evidence) }
        }
    }
}

fn tried(control: &Control, stage: &Stage<'_>) -> Result<(), Evidence> {
    let lab = &stage.scene.view.lab;
    let (from, of) = (NodeId::Host(control.from.clone()), NodeId::Host(control.of.clone()));
    stage.scene.place(&from)?;
    let there: Vec<IpAddr> = {
        let place = stage.scene.place(&of)?;
        place.node.links.iter().flat_map(|link| &link.addresses).map(ipnet::IpNet::addr).collect()
    };
    if !stage.scene.is_far(&of) && !agents::runs(lab, &control.of) {
        return Err(Evidence::NoAgent { host: control.of.to_string() });
    }
    let plays = stage.scene.lab.role.as_ref().is_some_and(|role| role.host == control.from);
    let (store, remote) = known(&stores(control, stage, plays), &there)
        .ok_or_else(|| Evidence::NoRemote { from: control.from.to_string(), of: control.of.to_string() })?;
    let identity = store.identity().map_err(|error| failed(&error))?;
    let commanded = kernel::within(&netns_path(lab, &from), || {
        let client = Client::new(&remote, Some(&identity)).map_err(|error| failed(&error))?;
        commanded(&client).map_err(|(step, error)| evidence(control, &remote, step, &error))
    });
    match commanded {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            Err(Evidence::Failed { tried: format!("setns {}", control.from), errno })
        }
        Err(error) => Err(failed(&error)),
    }
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
    let ended = client.finish(Method::POST, &path, Some(&body), &[]).map_err(at(Step::Exec))?;
    if ended["metadata"]["return"] != 0 {
        let text = format!("{} ends with {}", command[2], ended["metadata"]["return"]);
        let refused = RemoteFault::Refused { remote: client.name().to_owned(), code: 400, text };
        return Err((Step::Exec, Error::Remote(refused)));
    }
    client.change(NAME, Change { action: Action::Stop, force: true, timeout: 0 }).map_err(at(Step::Stop))?;
    client.delete(NAME).map_err(at(Step::Delete))
}

fn remove(client: &Client) {
    if client.instance(NAME).is_ok_and(|(own, _)| own["config"][MARK].is_string()) {
        let _ = client.change(NAME, Change { action: Action::Stop, force: true, timeout: 0 });
        let _ = client.delete(NAME);
    }
}

fn evidence(control: &Control, remote: &Remote, step: Step, error: &Error) -> Evidence {
    let name = |host: &NodeName| host.to_string();
    let (from, of, remote) = (name(&control.from), name(&control.of), remote.name.clone());
    match error {
        Error::Remote(RemoteFault::Untrusted(_)) => Evidence::Distrusted { from, of, remote },
        Error::Remote(RemoteFault::Unreachable { address, .. } | RemoteFault::Handshake { address, .. }) => {
            Evidence::Unreached { from, remote, address: address.clone() }
        }
        Error::Remote(RemoteFault::Changed { .. }) => Evidence::OtherServer { from, of, remote },
        Error::Remote(RemoteFault::Refused { text, .. }) => Evidence::Refused { remote, step, text: text.clone() },
        other => failed(other),
    }
}
