//! `lxc config`

use std::io::{IsTerminal, Read};

use hyper::Method;
use serde_json::{Value, json};

use super::{done, pair, reach, refuse, trust};
use crate::error::Result;
use crate::lxd::client::Client;
use crate::lxd::format;
use crate::render::Printed;

/// Settings of instances and of servers
#[derive(Debug, clap::Subcommand)]
pub(super) enum Config {
    /// Show the settings of an instance or of the server
    Show {
        /// [REMOTE:][NAME]
        #[arg(default_value = "")]
        name: String,
        /// With those of its profiles
        #[arg(short, long)]
        expanded: bool,
    },
    /// Show a setting
    Get {
        /// [REMOTE:][NAME], where it is not the server's; then the setting
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// Change settings
    Set {
        /// [REMOTE:][NAME], where they are not the server's; then KEY=VALUE...
        #[arg(required = true, num_args = 1.., allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Forget a setting
    Unset {
        /// [REMOTE:][NAME], where it is not the server's; then the setting
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// Replace the settings of an instance by the YAML on standard input
    Edit {
        /// [REMOTE:]NAME
        name: String,
    },
    /// Devices of an instance
    #[command(subcommand)]
    Device(Device),
    /// Clients that the server trusts
    #[command(subcommand)]
    Trust(trust::Trust),
}

/// Devices of an instance
#[derive(Debug, clap::Subcommand)]
pub(super) enum Device {
    /// Add a device
    Add {
        /// [REMOTE:]NAME
        name: String,
        /// The device's name
        device: String,
        /// nic, disk ...
        kind: String,
        /// KEY=VALUE
        settings: Vec<String>,
    },
    /// Remove devices
    #[command(alias = "rm")]
    Remove {
        /// [REMOTE:]NAME
        name: String,
        /// The devices' names
        #[arg(required = true)]
        devices: Vec<String>,
    },
    /// Change a device
    Set {
        /// [REMOTE:]NAME
        name: String,
        /// The device's name
        device: String,
        /// KEY=VALUE
        #[arg(required = true)]
        settings: Vec<String>,
    },
    /// Show the devices
    Show {
        /// [REMOTE:]NAME
        name: String,
    },
    /// List the devices
    List {
        /// [REMOTE:]NAME
        name: String,
    },
}

impl Config {
    pub(super) fn run(self) -> Result<Printed> {
        match self {
            Self::Show { name, expanded } => show(&name, expanded),
            Self::Get { words } => get(&words),
            Self::Set { words } => set(&words),
            Self::Unset { words } => {
                let (place, key) = last(&words);
                change(place, &[(key.to_owned(), String::new())])
            }
            Self::Edit { name } => edit(&name),
            Self::Device(device) => device.run(),
            Self::Trust(trust) => trust.run(),
        }
    }
}

/// The place and the last word; one word alone is the server's.
fn last(words: &[String]) -> (&str, &str) {
    match words {
        [place, key, ..] => (place, key),
        [key] => ("", key),
        [] => ("", ""),
    }
}

fn show(word: &str, expanded: bool) -> Result<Printed> {
    let (client, name) = reach(word)?;
    if name.is_empty() {
        let server = client.get("/1.0")?;
        return Ok(Printed::text(format::yaml(&json!({"config": server["config"]}))));
    }
    let (told, _) = client.instance(name)?;
    let (config, devices) = if expanded { ("expanded_config", "expanded_devices") } else { ("config", "devices") };
    let mut shown = json!({"config": told[config], "devices": told[devices]});
    for key in ["architecture", "ephemeral", "profiles", "stateful", "description"] {
        shown[key] = told[key].clone();
    }
    Ok(Printed::text(format::yaml(&shown)))
}

fn get(words: &[String]) -> Result<Printed> {
    let (place, key) = last(words);
    let (client, name) = reach(place)?;
    let told = if name.is_empty() { client.get("/1.0")? } else { client.instance(name)?.0 };
    let value = match &told["config"][key] {
        Value::Null => String::new(),
        Value::String(value) => value.clone(),
        other => other.to_string(),
    };
    Ok(Printed::text(value + "\n"))
}

fn set(words: &[String]) -> Result<Printed> {
    let pairs = |words: &[String]| words.iter().map(|word| pair(word)).collect::<Result<Vec<_>>>();
    match words {
        [first, ..] if first.contains('=') => change("", &pairs(words)?),
        [key, value] if !value.contains('=') => change("", &[(key.clone(), value.clone())]),
        [place, key, value] if !key.contains('=') => change(place, &[(key.clone(), value.clone())]),
        [place, rest @ ..] => change(place, &pairs(rest)?),
        [] => Ok(done()),
    }
}

/// Changes settings of an instance or of the server; an empty value forgets.
fn change(place: &str, pairs: &[(String, String)]) -> Result<Printed> {
    let (client, name) = reach(place)?;
    if name.is_empty() {
        let body: Value =
            pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect::<serde_json::Map<_, _>>().into();
        client.finish(Method::PATCH, "/1.0", Some(&json!({"config": body})), &[])?;
        return Ok(done());
    }
    client.edit(name, |all| apply(all, pairs))?;
    Ok(done())
}

fn apply(all: &mut Value, pairs: &[(String, String)]) {
    for (key, value) in pairs {
        if value.is_empty() {
            if let Some(config) = all["config"].as_object_mut() {
                config.remove(key);
            }
        } else {
            all["config"][key] = value.clone().into();
        }
    }
}

/// The YAML on standard input.
pub(super) fn input() -> Result<Value> {
    if std::io::stdin().is_terminal() {
        return Err(refuse("There is no editor here: pipe the YAML in"));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))
}

/// Settings are strings, whatever YAML takes them for.
fn strings(map: &mut Value) {
    for value in map.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        match value {
            Value::Null => *value = "".into(),
            Value::Bool(_) | Value::Number(_) => *value = value.to_string().into(),
            Value::Object(_) => strings(value),
            _ => {}
        }
    }
}

fn edit(word: &str) -> Result<Printed> {
    let new = input()?;
    let (client, name) = reach(word)?;
    client.edit(name, |all| {
        for (key, value) in new.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        strings(&mut all["config"]);
        strings(&mut all["devices"]);
    })?;
    Ok(done())
}

impl Device {
    fn run(self) -> Result<Printed> {
        match self {
            Self::Add { name, device, kind, settings } => {
                let mut made = json!({"type": kind});
                for word in &settings {
                    let (key, value) = pair(word)?;
                    made[key] = value.into();
                }
                let (client, name) = reach(&name)?;
                add(&client, name, &device, made)?;
                Ok(Printed::text(format!("Device {device} added to {name}\n")))
            }
            Self::Remove { name, devices } => {
                let (client, name) = reach(&name)?;
                remove(&client, name, &devices)?;
                let lines: Vec<String> = devices.iter().map(|device| format!("Device {device} removed from {name}\n")).collect();
                Ok(Printed::text(lines.concat()))
            }
            Self::Set { name, device, settings } => {
                let (client, name) = reach(&name)?;
                let mut made = client.instance(name)?.0["devices"][&device].take();
                if made.is_null() {
                    return Err(refuse("Device doesn't exist"));
                }
                for word in &settings {
                    let (key, value) = pair(word)?;
                    made[key] = value.into();
                }
                client.edit(name, |all| all["devices"][&device] = made)?;
                Ok(done())
            }
            Self::Show { name } => {
                let (client, name) = reach(&name)?;
                Ok(Printed::text(format::yaml(&client.instance(name)?.0["devices"])))
            }
            Self::List { name } => {
                let (client, name) = reach(&name)?;
                let told = client.instance(name)?.0;
                let names = told["devices"].as_object().into_iter().flatten();
                let lines: Vec<String> = names.map(|(device, _)| format!("{device}\n")).collect();
                Ok(Printed::text(lines.concat()))
            }
        }
    }
}

/// Adds a device to an instance that has none of that name.
pub(super) fn add(client: &Client, name: &str, device: &str, made: Value) -> Result<()> {
    if client.instance(name)?.0["devices"].get(device).is_some() {
        return Err(refuse("The device already exists"));
    }
    client.edit(name, |all| all["devices"][device] = made)
}

/// Removes devices of an instance.
pub(super) fn remove(client: &Client, name: &str, devices: &[String]) -> Result<()> {
    let told = client.instance(name)?.0;
    if devices.iter().any(|device| told["devices"].get(device).is_none()) {
        return Err(refuse("Device doesn't exist"));
    }
    client.edit(name, |all| {
        for device in devices {
            if let Some(all) = all["devices"].as_object_mut() {
                all.remove(device);
            }
        }
    })
}
