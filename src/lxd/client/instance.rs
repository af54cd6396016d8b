//! Containers of a server.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};

use super::Client;
use crate::error::{Error, RemoteFault, Result};

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

/// Text as one segment of a path or as a value of a query (RFC 3986).
pub(super) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
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

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(quote("c1"), "c1");
        assert_eq!(quote("../1.0?x=y"), "..%2F1.0%3Fx%3Dy");
    }
}
