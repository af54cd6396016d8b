//! `lxc launch`, `init`, `start`, `stop`, `restart`, `pause`, `delete`, `rename`

use serde_json::{Value, json};

use super::{client, done, pair, parse, reach, refuse, store, tell};
use crate::commands::Context;
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{Action, Change, Client, New};
use crate::render::Printed;

/// What is made, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Made {
    /// The image: [REMOTE:]IMAGE
    image: String,
    /// The instance: [REMOTE:]NAME
    name: Option<String>,
    /// A setting: KEY=VALUE
    #[arg(short, long)]
    config: Vec<String>,
    /// A device's setting: DEVICE,KEY=VALUE...
    #[arg(short, long)]
    device: Vec<String>,
    /// A profile, instead of the usual one
    #[arg(short, long)]
    profile: Vec<String>,
    /// No profile
    #[arg(long, conflicts_with = "profile")]
    no_profiles: bool,
    /// Attach it to this network
    #[arg(short, long)]
    network: Option<String>,
    /// It goes when it stops
    #[arg(short, long)]
    ephemeral: bool,
}

impl Made {
    fn make(self, context: &mut Context) -> Result<(Client, String)> {
        let store = store()?;
        let (from, image) = parse(&store, &self.image);
        // A bare REMOTE:IMAGE makes it there, as `lxc` does for the default remote.
        let (remote, name) = self.name.as_deref().map_or((store.default_remote(), ""), |name| parse(&store, name));
        // Of the public image servers only the image's name counts.
        if from != remote && store.find(&from).is_ok() {
            return Err(refuse(format!("Images are not copied between servers: try {remote}:{image}")));
        }
        let client = client(&store, &remote)?;
        let mut devices = json!({});
        for word in &self.device {
            let (device, rest) = word.split_once(',').ok_or_else(|| refuse(format!("Invalid device: {word}")))?;
            for word in rest.split(',') {
                let (key, value) = pair(word)?;
                devices[device][key] = value.into();
            }
        }
        if let Some(network) = &self.network {
            devices["eth0"] = nic(&client, network)?;
            devices["eth0"]["name"] = "eth0".into();
        }
        let config = self.config.iter().map(|word| pair(word)).collect::<Result<_>>()?;
        let profiles = (self.no_profiles || !self.profile.is_empty()).then_some(self.profile);
        tell(context, &if name.is_empty() { "Creating the instance".to_owned() } else { format!("Creating {name}") })?;
        let name = client.create(&New { image, name, config, devices, profiles, ephemeral: self.ephemeral })?;
        Ok((client, name))
    }
}

/// A NIC on a network of the server.
pub(crate) fn nic(client: &Client, network: &str) -> Result<Value> {
    let told = client.network(network)?;
    Ok(if told["managed"] == true {
        json!({"type": "nic", "network": network})
    } else {
        let kind = if told["type"] == "bridge" { "bridged" } else { "macvlan" };
        json!({"type": "nic", "nictype": kind, "parent": network})
    })
}

/// Make an instance from an image and start it
#[derive(Debug, clap::Args)]
pub(super) struct Launch {
    #[command(flatten)]
    made: Made,
}

impl Launch {
    pub(super) fn run(self, context: &mut Context) -> Result<Printed> {
        let (client, name) = self.made.make(context)?;
        tell(context, &format!("Starting {name}"))?;
        client.change(&name, Change { action: Action::Start, force: false, timeout: -1 })?;
        Ok(done())
    }
}

/// Make an instance from an image
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    #[command(flatten)]
    made: Made,
}

impl Init {
    pub(super) fn run(self, context: &mut Context) -> Result<Printed> {
        self.made.make(context)?;
        Ok(done())
    }
}

/// Does something to each instance; the first error ends it.
fn each(names: &[String], mut what: impl FnMut(&Client, &str) -> Result<()>) -> Result<Printed> {
    for word in names {
        let (client, name) = reach(word)?;
        what(&client, name)?;
    }
    Ok(done())
}

/// Start instances
#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// The instances: [REMOTE:]NAME
    #[arg(required = true)]
    names: Vec<String>,
}

impl Start {
    pub(super) fn run(self) -> Result<Printed> {
        each(&self.names, |client, name| {
            let frozen = client.instance(name)?.0["status"] == "Frozen";
            let action = if frozen { Action::Unfreeze } else { Action::Start };
            client.change(name, Change { action, force: false, timeout: 0 })
        })
    }
}

/// Stop instances
#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    /// The instances: [REMOTE:]NAME
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// At once
    #[arg(short, long)]
    force: bool,
    /// Seconds that it has to end by itself
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    timeout: i64,
    /// Every instance
    #[arg(long)]
    all: bool,
}

impl Stop {
    pub(super) fn run(self) -> Result<Printed> {
        let change = Change { action: Action::Stop, force: self.force, timeout: self.timeout };
        if self.all {
            let (client, _) = reach(self.names.first().map_or("", String::as_str))?;
            for one in client.instances()?.iter().filter(|one| one["status"] == "Running") {
                client.change(one["name"].as_str().unwrap_or_default(), change)?;
            }
            return Ok(done());
        }
        each(&self.names, |client, name| client.change(name, change))
    }
}

/// Restart instances
#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    /// The instances: [REMOTE:]NAME
    #[arg(required = true)]
    names: Vec<String>,
    /// At once
    #[arg(short, long)]
    force: bool,
    /// Seconds that it has to end by itself
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    timeout: i64,
}

impl Restart {
    pub(super) fn run(self) -> Result<Printed> {
        let change = Change { action: Action::Restart, force: self.force, timeout: self.timeout };
        each(&self.names, |client, name| client.change(name, change))
    }
}

/// Pause instances; start lets them go on
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// The instances: [REMOTE:]NAME
    #[arg(required = true)]
    names: Vec<String>,
}

impl Pause {
    pub(super) fn run(self) -> Result<Printed> {
        each(&self.names, |client, name| client.change(name, Change { action: Action::Freeze, force: false, timeout: -1 }))
    }
}

/// Delete instances
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// The instances: [REMOTE:]NAME
    #[arg(required = true)]
    names: Vec<String>,
    /// Also those that run
    #[arg(short, long)]
    force: bool,
}

impl Delete {
    pub(super) fn run(self) -> Result<Printed> {
        each(&self.names, |client, name| {
            let (told, _) = client.instance(name)?;
            if told["status"] != "Stopped" {
                if !self.force {
                    return Err(refuse("The instance is currently running, stop it first or pass --force"));
                }
                client.change(name, Change { action: Action::Stop, force: true, timeout: -1 })?;
                if told["ephemeral"] == true {
                    return Ok(());
                }
            }
            match client.delete(name) {
                Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) if self.force => Ok(()),
                deleted => deleted,
            }
        })
    }
}

/// Rename an instance that is stopped
#[derive(Debug, clap::Args)]
pub(super) struct Rename {
    /// The instance: [REMOTE:]NAME
    name: String,
    /// The new name
    to: String,
}

impl Rename {
    pub(super) fn run(self) -> Result<Printed> {
        let (client, name) = reach(&self.name)?;
        client.rename(name, self.to.split_once(':').map_or(self.to.as_str(), |(_, name)| name))?;
        Ok(done())
    }
}
