//! Containers of a server, and their files.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Client, Response, quote};
use crate::error::{Error, RemoteFault, Result};

/// What can be done to a container as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Action {
    Start,
    Stop,
    Restart,
    Freeze,
    Unfreeze,
}

/// A change of a container's state.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// What to do.
    pub action: Action,
    /// Without waiting for what runs in it.
    pub force: bool,
    /// Seconds that what runs in it has; -1 for as long as it takes.
    pub timeout: i64,
}

/// A container to make.
#[derive(Debug, Clone, Default)]
pub struct New<'a> {
    /// The image: an alias or the start of a fingerprint.
    pub image: &'a str,
    /// Its name; the server finds one where it is empty.
    pub name: &'a str,
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// Its devices beside those of its profiles.
    pub devices: Value,
    /// Its profiles; the server's usual ones where none are named.
    pub profiles: Option<Vec<String>>,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
}

pub(super) fn path(name: &str) -> String {
    format!("/1.0/instances/{}", quote(name))
}

impl Client {
    /// Every container with its state, by name.
    pub fn instances(&self) -> Result<Vec<Value>> {
        let Value::Array(mut all) = self.get("/1.0/instances?recursion=2")? else { return Err(self.wire.no_api()) };
        all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        Ok(all)
    }

    /// One container.
    pub fn instance(&self, name: &str) -> Result<Value> {
        self.get(&path(name))
    }

    /// What a container is doing: its network, its processes.
    pub fn state(&self, name: &str) -> Result<Value> {
        self.get(&format!("{}/state", path(name)))
    }

    /// The whole fingerprint of an image, by an alias or its start.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn fingerprint(&self, image: &str) -> Result<String> {
        let (found, key) = match self.get(&format!("/1.0/images/aliases/{}", quote(image))) {
            Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) => {
                (self.get(&format!("/1.0/images/{}", quote(image)))?, "fingerprint")
            }
            alias => (alias?, "target"),
        };
        Ok(found[key].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a container, which does not run yet; its name.
    ///
    /// # Errors
    /// When there is no such image, the name is taken, or the server cannot be reached or refuses.
    pub fn create(&self, new: &New) -> Result<String> {
        let fingerprint = self.fingerprint(new.image)?;
        let devices = if new.devices.is_null() { json!({}) } else { new.devices.clone() };
        let body = json!({
            "name": new.name, "type": "container", "config": new.config, "devices": devices, "profiles": new.profiles,
            "ephemeral": new.ephemeral, "source": {"type": "image", "fingerprint": fingerprint},
        });
        let ended = self.finish(Method::POST, "/1.0/instances", Some(&body))?;
        let made = ended["resources"]["instances"][0].as_str().or(ended["resources"]["containers"][0].as_str());
        Ok(made.and_then(|path| path.rsplit('/').next()).unwrap_or(new.name).to_owned())
    }

    /// Starts, stops, restarts, freezes or goes on.
    ///
    /// # Errors
    /// When it is in that state already, or the server cannot be reached or refuses.
    pub fn change(&self, name: &str, change: Change) -> Result<()> {
        let Change { action, force, timeout } = change;
        let body = json!({"action": action, "force": force, "timeout": timeout, "stateful": false});
        self.finish(Method::PUT, &format!("{}/state", path(name)), Some(&body)).map(drop)
    }

    /// Deletes a container that does not run.
    ///
    /// # Errors
    /// When it runs, or the server cannot be reached or refuses.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.finish(Method::DELETE, &path(name), None).map(drop)
    }

    /// Gives a container that does not run another name.
    ///
    /// # Errors
    /// When it runs, the name is taken, or the server cannot be reached or refuses.
    pub fn rename(&self, name: &str, to: &str) -> Result<()> {
        self.finish(Method::POST, &path(name), Some(&json!({"name": to, "migration": false}))).map(drop)
    }

    /// Changes what is written down about a container: settings, devices.
    ///
    /// # Errors
    /// When somebody changed it meanwhile, or the server cannot be reached or refuses.
    pub fn configure(&self, name: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let keys = ["architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description"];
        self.edit(&path(name), &keys, edit)
    }

    /// A NIC on a network of the server, as a device.
    ///
    /// # Errors
    /// When there is no such network, or the server cannot be reached or refuses.
    pub fn nic(&self, network: &str) -> Result<Value> {
        let document = self.get(&format!("/1.0/networks/{}", quote(network)))?;
        Ok(if document["managed"] == true {
            json!({"type": "nic", "network": network})
        } else {
            let kind = if document["type"] == "bridge" { "bridged" } else { "macvlan" };
            json!({"type": "nic", "nictype": kind, "parent": network})
        })
    }
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Kind {
    File,
    Directory,
    Symlink,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// Whose a file is and who may use it: numbers inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// A file of a container.
#[derive(Debug, Clone)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Who may use it.
    pub mode: u32,
    /// What is in it: bytes, the names in a directory, the target of a link.
    pub content: Bytes,
    /// The names in a directory.
    pub names: Vec<String>,
}

fn files(name: &str, file: &str) -> String {
    format!("{}/files?path={}", path(name), quote(file))
}

impl Client {
    /// What is there, without the API's envelope.
    fn raw(&self, path: &str) -> Result<Response> {
        let response = self.runtime.block_on(self.wire.send(Method::GET, path, None, &[]))?;
        if !response.status.is_success() {
            self.wire.answer(&response)?;
            return Err(self.wire.refused(response.status.as_u16(), response.status.as_str()));
        }
        Ok(response)
    }

    /// Reads a file or a directory.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn pull(&self, name: &str, file: &str) -> Result<File> {
        let response = self.raw(&files(name, file))?;
        let families = ["x-lxd-", "x-incus-"];
        let header = |end: &str| families.iter().find_map(|start| response.headers.get(format!("{start}{end}"))?.to_str().ok());
        let kind = match header("type") {
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            _ => Kind::File,
        };
        let mode = header("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let names = if kind == Kind::Directory { self.wire.answer(&response)?.metadata } else { Value::Null };
        let names = names.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        Ok(File { kind, mode, content: response.body, names })
    }

    /// What a container's console has shown.
    ///
    /// # Errors
    /// When it keeps none, or the server cannot be reached or refuses.
    pub fn console_log(&self, name: &str) -> Result<Bytes> {
        self.raw(&format!("{}/console", path(name))).map(|response| response.body)
    }

    /// Writes a file, or makes a directory or link.
    ///
    /// # Errors
    /// When it cannot be written there, or the server cannot be reached or refuses.
    pub fn push(&self, name: &str, file: &str, kind: Kind, owner: Owner, content: Vec<u8>) -> Result<()> {
        let (uid, gid, mode) = (owner.uid.to_string(), owner.gid.to_string(), format!("{:04o}", owner.mode & 0o7777));
        let headers = [
            ("Content-Type", "application/octet-stream"),
            ("X-LXD-uid", &uid),
            ("X-LXD-gid", &gid),
            ("X-LXD-mode", &mode),
            ("X-LXD-type", kind.word()),
            ("X-LXD-write", "overwrite"),
            ("X-Incus-uid", &uid),
            ("X-Incus-gid", &gid),
            ("X-Incus-mode", &mode),
            ("X-Incus-type", kind.word()),
            ("X-Incus-write", "overwrite"),
        ];
        let file = files(name, file);
        let sent = self.wire.send(Method::POST, &file, Some(content.into()), &headers);
        self.wire.answer(&self.runtime.block_on(sent)?).map(drop)
    }

    /// Deletes a file or an empty directory.
    pub fn remove(&self, name: &str, file: &str) -> Result<()> {
        self.ask(Method::DELETE, &files(name, file), None).map(drop)
    }
}
