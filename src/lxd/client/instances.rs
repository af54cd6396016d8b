//! Containers of a server, and their files.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::requests::{Answer, Client};
use super::requests::{Response, refused};
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::url::quote;

/// What can be done to a container as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Action {
    Start,
    Stop,
    Restart,
    Freeze,
    Unfreeze,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
        }
    }
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
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn instances(&self) -> Result<Vec<Value>> {
        match self.get("/1.0/instances?recursion=2")? {
            Value::Array(mut all) => {
                all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
                Ok(all)
            }
            _ => Err(Error::Remote(RemoteFault::NoApi(self.name().to_owned()))),
        }
    }

    /// One container, with the tag that a change names.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn instance(&self, name: &str) -> Result<(Value, Option<String>)> {
        self.get_tagged(&path(name))
    }

    /// What a container is doing: its network, its processes.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn state(&self, name: &str) -> Result<Value> {
        self.get(&format!("{}/state", path(name)))
    }

    /// A network of the server.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn network(&self, name: &str) -> Result<Value> {
        self.get(&format!("/1.0/networks/{}", quote(name)))
    }

    /// Makes a container, which does not run yet; its name.
    ///
    /// # Errors
    /// When there is no such image, the name is taken, or the server cannot be reached or refuses.
    pub fn create(&self, new: &New) -> Result<String> {
        let fingerprint = match self.get(&format!("/1.0/images/aliases/{}", quote(new.image))) {
            Ok(alias) => alias["target"].as_str().unwrap_or_default().to_owned(),
            Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) => {
                let image = self.get(&format!("/1.0/images/{}", quote(new.image)))?;
                image["fingerprint"].as_str().unwrap_or_default().to_owned()
            }
            Err(error) => return Err(error),
        };
        let devices = if new.devices.is_null() { json!({}) } else { new.devices.clone() };
        let body = json!({
            "name": new.name, "type": "container", "config": new.config, "devices": devices, "profiles": new.profiles,
            "ephemeral": new.ephemeral, "source": {"type": "image", "fingerprint": fingerprint},
        });
        let ended = self.finish(Method::POST, "/1.0/instances", Some(&body), &[])?;
        let made = ended["resources"]["instances"][0].as_str().or(ended["resources"]["containers"][0].as_str());
        Ok(made.and_then(|path| path.rsplit('/').next()).unwrap_or(new.name).to_owned())
    }

    /// Starts, stops, restarts, freezes or goes on.
    ///
    /// # Errors
    /// When it is in that state already, or the server cannot be reached or refuses.
    pub fn change(&self, name: &str, change: Change) -> Result<()> {
        let Change { action, force, timeout } = change;
        let body = json!({"action": action.word(), "force": force, "timeout": timeout, "stateful": false});
        self.finish(Method::PUT, &format!("{}/state", path(name)), Some(&body), &[]).map(drop)
    }

    /// Deletes a container that does not run.
    ///
    /// # Errors
    /// When it runs, or the server cannot be reached or refuses.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.finish(Method::DELETE, &path(name), None, &[]).map(drop)
    }

    /// Gives a container that does not run another name.
    ///
    /// # Errors
    /// When it runs, the name is taken, or the server cannot be reached or refuses.
    pub fn rename(&self, name: &str, to: &str) -> Result<()> {
        self.finish(Method::POST, &path(name), Some(&json!({"name": to, "migration": false})), &[]).map(drop)
    }

    /// Changes what is written down about a container: settings, devices.
    ///
    /// # Errors
    /// When somebody changed it meanwhile, or the server cannot be reached or refuses.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let (mut all, tag) = self.instance(name)?;
        edit(&mut all);
        let keys = ["architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description"];
        let body: Value = keys.into_iter().map(|key| (key.to_owned(), all[key].take())).collect::<serde_json::Map<_, _>>().into();
        let matching: Vec<(&str, &str)> = tag.as_deref().map(|tag| ("If-Match", tag)).into_iter().collect();
        self.finish(Method::PUT, &path(name), Some(&body), &matching).map(drop)
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

fn header<'a>(response: &'a Response, end: &str) -> Option<&'a str> {
    ["x-lxd-", "x-incus-"].iter().find_map(|start| response.headers.get(format!("{start}{end}"))?.to_str().ok())
}

impl Client {
    /// Reads a file or a directory.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn pull(&self, name: &str, file: &str) -> Result<File> {
        let response = self.runtime.block_on(self.wire.send(Method::GET, &files(name, file), None, &[]))?;
        if !response.status.is_success() {
            Answer::of(self.name(), &response)?;
            return Err(refused(self.name(), response.status, response.status.as_str()));
        }
        let kind = match header(&response, "type") {
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            _ => Kind::File,
        };
        let mode = header(&response, "mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let names = if kind == Kind::Directory { Answer::of(self.name(), &response)?.told() } else { serde_json::Value::Null };
        let names = names.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        Ok(File { kind, mode, content: response.body, names })
    }

    /// What a container's console has shown.
    ///
    /// # Errors
    /// When it keeps none, or the server cannot be reached or refuses.
    pub fn console_log(&self, name: &str) -> Result<Bytes> {
        let log = format!("{}/console", path(name));
        let response = self.runtime.block_on(self.wire.send(Method::GET, &log, None, &[]))?;
        if !response.status.is_success() {
            Answer::of(self.name(), &response)?;
        }
        Ok(response.body)
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
        Answer::of(self.name(), &self.runtime.block_on(sent)?).map(drop)
    }

    /// Deletes a file or an empty directory.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn remove(&self, name: &str, file: &str) -> Result<()> {
        self.ask(Method::DELETE, &files(name, file), None, &[]).map(drop)
    }
}
