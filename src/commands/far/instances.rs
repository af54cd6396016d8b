//! Containers of other machines: launched, started, stopped, deleted as those of a lab are here.

use std::time::{Duration, Instant};

use super::{client, split};
use crate::error::{Error, InstanceFault, RemoteFault, Result};
use crate::lxd::client::{Action, Change as Wish, Client, New};
use crate::report::instance::{Change, Done};

/// A container of a remote.
#[derive(Debug)]
pub(in crate::commands) struct Far {
    remote: String,
    name: String,
    client: Client,
}

impl Far {
    /// The container that a word names; none where the word is of this machine.
    ///
    /// # Errors
    /// When the remote is not known.
    pub(in crate::commands) fn of(word: &str) -> Result<Option<Self>> {
        let Some((remote, name)) = split(word) else { return Ok(None) };
        Ok(Some(Self { remote: remote.to_owned(), name: name.to_owned(), client: client(remote)? }))
    }

    /// What was done to it.
    pub(in crate::commands) fn change(&self, name: &str, done: Done, start: Instant) -> Change {
        Change {
            remote: Some(self.remote.clone()),
            lab: String::new(),
            host: String::new(),
            name: name.to_owned(),
            done,
            nics: None,
            now: None,
            operations: 0,
            milliseconds: start.elapsed().as_secs_f64() * 1000.0,
        }
    }

    /// Its name.
    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    fn status(&self) -> Result<String> {
        Ok(self.client.instance(&self.name)?.0["status"].as_str().unwrap_or_default().to_owned())
    }

    fn is(&self, fault: impl FnOnce(String) -> InstanceFault) -> Error {
        Error::Instance(fault(format!("{}:{}", self.remote, self.name)))
    }

    fn act(&self, action: Action, force: bool, timeout: i64) -> Result<()> {
        self.client.change(&self.name, Wish { action, force, timeout })
    }

    /// Makes it, and starts it unless it is to stay stopped; the name that it has.
    ///
    /// # Errors
    /// When there is no such image, the name is taken, or the server cannot be reached or refuses.
    pub(in crate::commands) fn launch(&self, new: &New<'_>, stopped: bool) -> Result<String> {
        let name = self.client.create(&New { name: &self.name, ..new.clone() })?;
        if !stopped {
            self.client.change(&name, Wish { action: Action::Start, force: false, timeout: -1 })?;
        }
        Ok(name)
    }

    /// The device that a NIC on a network of the server is.
    ///
    /// # Errors
    /// When there is no such network, or the server cannot be reached or refuses.
    pub(in crate::commands) fn nic(&self, network: &str) -> Result<serde_json::Value> {
        crate::lxd::lxc::nic(&self.client, network)
    }

    /// Starts it, or lets it go on.
    ///
    /// # Errors
    /// When it runs, or the server cannot be reached or refuses.
    pub(in crate::commands) fn start(&self) -> Result<()> {
        match self.status()?.as_str() {
            "Running" => Err(self.is(InstanceFault::Running)),
            "Frozen" => self.act(Action::Unfreeze, false, 0),
            _ => self.act(Action::Start, false, -1),
        }
    }

    /// Stops it: what runs in it is asked to end, and killed after the grace.
    ///
    /// # Errors
    /// When it does not run, or the server cannot be reached or refuses.
    pub(in crate::commands) fn stop(&self, grace: Duration) -> Result<()> {
        if self.status()? == "Stopped" {
            return Err(self.is(InstanceFault::Stopped));
        }
        let seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        if seconds == 0 {
            return self.act(Action::Stop, true, 0);
        }
        // LXD gives up where nslab kills.
        match self.act(Action::Stop, false, seconds) {
            Err(Error::Remote(RemoteFault::Refused { .. })) if self.status()? != "Stopped" => self.act(Action::Stop, true, 0),
            other => other,
        }
    }

    /// Stops it and starts it.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub(in crate::commands) fn restart(&self, grace: Duration) -> Result<()> {
        if self.status()? == "Stopped" {
            return Err(self.is(InstanceFault::Stopped));
        }
        if grace.is_zero() {
            return self.act(Action::Restart, true, 0);
        }
        let seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        match self.act(Action::Restart, false, seconds) {
            Err(Error::Remote(RemoteFault::Refused { .. })) if self.status()? == "Running" => self.act(Action::Restart, true, 0),
            other => other,
        }
    }

    /// Deletes it; with force one that runs is stopped first.
    ///
    /// # Errors
    /// When it runs, or the server cannot be reached or refuses.
    pub(in crate::commands) fn delete(&self, force: bool) -> Result<()> {
        let (told, _) = self.client.instance(&self.name)?;
        if told["status"] != "Stopped" {
            if !force {
                return Err(self.is(InstanceFault::Running));
            }
            self.act(Action::Stop, true, -1)?;
            if told["ephemeral"] == true {
                return Ok(());
            }
        }
        self.client.delete(&self.name)
    }

    /// Lets its processes stand still.
    ///
    /// # Errors
    /// When it does not run, or the server cannot be reached or refuses.
    pub(in crate::commands) fn pause(&self) -> Result<()> {
        match self.status()?.as_str() {
            "Stopped" => Err(self.is(InstanceFault::Stopped)),
            "Frozen" => Err(self.is(InstanceFault::Frozen)),
            _ => self.act(Action::Freeze, false, -1),
        }
    }
}
