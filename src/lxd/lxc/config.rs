//! `lxc config`, with the devices of instances, and `lxc network`

use std::io::{IsTerminal, Read};

use hyper::Method;
use serde_json::{Map, Value, json};

use super::list::{Listing, NETWORKS};
use super::remote::Trust;
use super::{done, pair, put, reach, refuse, text, yaml};
use crate::error::Result;
use crate::lxd::client::{Client, quote};

// No docstring, here and below: it would take the place of the verb's.
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
    Trust(Trust),
}

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
    pub(super) fn run(self) -> Result<String> {
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

fn show(word: &str, expanded: bool) -> Result<String> {
    let (client, name) = reach(word)?;
    if name.is_empty() {
        return Ok(yaml(&json!({"config": client.get("/1.0")?["config"]})));
    }
    let document = client.instance(name)?;
    let (config, devices) = if expanded { ("expanded_config", "expanded_devices") } else { ("config", "devices") };
    let mut shown = json!({"config": document[config], "devices": document[devices]});
    for key in ["architecture", "ephemeral", "profiles", "stateful", "description"] {
        shown[key] = document[key].clone();
    }
    Ok(yaml(&shown))
}

fn get(words: &[String]) -> Result<String> {
    let (place, key) = last(words);
    let (client, name) = reach(place)?;
    let document = if name.is_empty() { client.get("/1.0")? } else { client.instance(name)? };
    let value = match &document["config"][key] {
        Value::Null => String::new(),
        Value::String(value) => value.clone(),
        other => other.to_string(),
    };
    Ok(value + "\n")
}

fn set(words: &[String]) -> Result<String> {
    match words {
        [first, ..] if first.contains('=') => change("", &pairs(words)?),
        [_, value] if !value.contains('=') => change("", &pairs(words)?),
        [place, rest @ ..] => change(place, &pairs(rest)?),
        [] => Ok(String::new()),
    }
}

/// `KEY VALUE`, or each `KEY=VALUE`.
fn pairs(words: &[String]) -> Result<Vec<(String, String)>> {
    match words {
        [key, value] if !key.contains('=') => Ok(vec![(key.clone(), value.clone())]),
        words => words.iter().map(|word| pair(word)).collect(),
    }
}

/// Changes settings of an instance or of the server.
fn change(place: &str, pairs: &[(String, String)]) -> Result<String> {
    let (client, name) = reach(place)?;
    if name.is_empty() {
        let body: Map<_, _> = pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        return client.finish(Method::PATCH, "/1.0", Some(&json!({"config": body}))).map(done);
    }
    client.configure(name, |all| apply(all, pairs)).map(done)
}

/// Changes the settings of what a server told; an empty value forgets.
fn apply(document: &mut Value, pairs: &[(String, String)]) {
    for (key, value) in pairs {
        if !value.is_empty() {
            document["config"][key] = value.clone().into();
        } else if let Some(config) = document["config"].as_object_mut() {
            config.remove(key);
        }
    }
}

/// The YAML on standard input.
fn input() -> Result<Value> {
    if std::io::stdin().is_terminal() {
        return Err(refuse("There is no editor here: pipe the YAML in"));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))
}

/// Settings are strings, whatever YAML takes them for.
fn strings(map: &mut Value) {
    for value in map.as_object_mut().into_iter().flat_map(Map::values_mut) {
        match value {
            Value::Null => *value = "".into(),
            Value::Bool(_) | Value::Number(_) => *value = value.to_string().into(),
            Value::Object(_) => strings(value),
            _ => {}
        }
    }
}

fn edit(word: &str) -> Result<String> {
    let new = input()?;
    let (client, name) = reach(word)?;
    let edited = client.configure(name, |all| {
        for (key, value) in new.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        strings(&mut all["config"]);
        strings(&mut all["devices"]);
    });
    edited.map(done)
}

impl Device {
    fn run(self) -> Result<String> {
        match self {
            Self::Add { name, device, kind, settings } => {
                let mut made = json!({"type": kind});
                put(&mut made, settings.iter().map(String::as_str))?;
                let (client, name) = reach(&name)?;
                add(&client, name, &device, made)?;
                Ok(format!("Device {device} added to {name}\n"))
            }
            Self::Remove { name, devices } => {
                let (client, name) = reach(&name)?;
                remove(&client, name, &devices)?;
                let lines = devices.iter().map(|device| format!("Device {device} removed from {name}\n"));
                Ok(lines.collect::<Vec<_>>().concat())
            }
            Self::Set { name, device, settings } => {
                let (client, name) = reach(&name)?;
                let mut made = client.instance(name)?["devices"][&device].take();
                if made.is_null() {
                    return Err(refuse("Device doesn't exist"));
                }
                put(&mut made, settings.iter().map(String::as_str))?;
                client.configure(name, |all| all["devices"][&device] = made).map(done)
            }
            Self::Show { name } => {
                let (client, name) = reach(&name)?;
                Ok(yaml(&client.instance(name)?["devices"]))
            }
            Self::List { name } => {
                let (client, name) = reach(&name)?;
                let document = client.instance(name)?;
                let names = document["devices"].as_object().into_iter().flat_map(Map::keys);
                Ok(names.map(|device| device.clone() + "\n").collect())
            }
        }
    }
}

/// Adds a device to an instance that has none of that name.
fn add(client: &Client, name: &str, device: &str, made: Value) -> Result<()> {
    if client.instance(name)?["devices"].get(device).is_some() {
        return Err(refuse("The device already exists"));
    }
    client.configure(name, |all| all["devices"][device] = made)
}

/// Removes devices of an instance.
fn remove(client: &Client, name: &str, devices: &[String]) -> Result<()> {
    let document = client.instance(name)?;
    if devices.iter().any(|device| document["devices"].get(device).is_none()) {
        return Err(refuse("Device doesn't exist"));
    }
    client.configure(name, |all| {
        for device in devices {
            if let Some(all) = all["devices"].as_object_mut() {
                all.remove(device);
            }
        }
    })
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Network {
    /// List the networks
    #[command(alias = "ls")]
    List(Listing),
    /// Show a network's settings
    Show {
        /// [REMOTE:]NETWORK
        name: String,
    },
    /// Show a network's state
    Info {
        /// [REMOTE:]NETWORK
        name: String,
    },
    /// Make a network
    Create {
        /// [REMOTE:]NETWORK
        name: String,
        /// KEY=VALUE
        settings: Vec<String>,
        /// The kind of network
        #[arg(short = 't', long = "type", default_value = "")]
        kind: String,
    },
    /// Delete a network
    #[command(alias = "rm")]
    Delete {
        /// [REMOTE:]NETWORK
        name: String,
    },
    /// Show a setting
    Get {
        /// [REMOTE:]NETWORK
        name: String,
        /// The setting
        key: String,
    },
    /// Change settings
    Set {
        /// [REMOTE:]NETWORK
        name: String,
        /// KEY=VALUE
        #[arg(required = true)]
        settings: Vec<String>,
    },
    /// Forget a setting
    Unset {
        /// [REMOTE:]NETWORK
        name: String,
        /// The setting
        key: String,
    },
    /// Give an instance a NIC on a network
    Attach {
        /// [REMOTE:]NETWORK
        name: String,
        /// The instance
        instance: String,
        /// The device's name
        device: Option<String>,
        /// The interface's name inside
        interface: Option<String>,
    },
    /// Take that NIC away
    Detach {
        /// [REMOTE:]NETWORK
        name: String,
        /// The instance
        instance: String,
        /// The device's name
        device: Option<String>,
    },
}

impl Network {
    pub(super) fn run(self) -> Result<String> {
        match self {
            Self::List(listing) => listing.print(&NETWORKS),
            Self::Show { name } => {
                let (client, name) = reach(&name)?;
                Ok(yaml(&client.get(&path(name))?))
            }
            Self::Info { name } => network(&name),
            Self::Create { name, settings, kind } => {
                let (client, name) = reach(&name)?;
                let mut body = json!({"name": name, "type": kind, "description": "", "config": {}});
                put(&mut body["config"], settings.iter().map(String::as_str))?;
                client.finish(Method::POST, "/1.0/networks", Some(&body))?;
                Ok(format!("Network {name} created\n"))
            }
            Self::Delete { name } => {
                let (client, name) = reach(&name)?;
                client.finish(Method::DELETE, &path(name), None)?;
                Ok(format!("Network {name} deleted\n"))
            }
            Self::Get { name, key } => {
                let (client, name) = reach(&name)?;
                Ok(text(&client.get(&path(name))?["config"][key]) + "\n")
            }
            Self::Set { name, settings } => reset(&name, &pairs(&settings)?),
            Self::Unset { name, key } => reset(&name, &[(key, String::new())]),
            Self::Attach { name, instance, device, interface } => {
                let (client, network) = reach(&name)?;
                let mut made = client.nic(network)?;
                if let Some(interface) = interface.or_else(|| device.clone()) {
                    made["name"] = interface.into();
                }
                add(&client, &instance, device.as_deref().unwrap_or(network), made).map(done)
            }
            Self::Detach { name, instance, device } => {
                let (client, network) = reach(&name)?;
                let device = match device {
                    Some(device) => device,
                    None => attached(&client.instance(&instance)?, network)?,
                };
                remove(&client, &instance, &[device]).map(done)
            }
        }
    }
}

fn path(name: &str) -> String {
    format!("/1.0/networks/{}", quote(name))
}

fn reset(word: &str, pairs: &[(String, String)]) -> Result<String> {
    let (client, name) = reach(word)?;
    client.edit(&path(name), &["config", "description"], |document| apply(document, pairs)).map(done)
}

/// The only device of an instance that is on a network.
fn attached(document: &Value, network: &str) -> Result<String> {
    let devices = document["devices"].as_object().into_iter().flatten();
    let mut on = devices.filter(|(_, device)| device["network"] == network || device["parent"] == network);
    match (on.next(), on.next()) {
        (Some((name, _)), None) => Ok(name.clone()),
        (None, _) => Err(refuse("No device found for this network")),
        _ => Err(refuse("More than one device matches, specify the device name")),
    }
}

fn network(word: &str) -> Result<String> {
    let (client, name) = reach(word)?;
    let state = client.get(&format!("{}/state", path(name)))?;
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let shown = format!(
        "Name: {name}\nMAC address: {}\nMTU: {}\nState: {}\nType: {}\n",
        text(&state["hwaddr"]),
        number(&state["mtu"]),
        text(&state["state"]),
        text(&state["type"])
    );
    let line = |one: &Value| {
        let word = |key: &str| text(&one[key]);
        format!("  {}\t{}/{} ({})\n", word("family"), word("address"), word("netmask"), word("scope"))
    };
    let mut addresses: Vec<String> = state["addresses"].as_array().into_iter().flatten().map(line).collect();
    if !addresses.is_empty() {
        addresses.insert(0, "\nIP addresses:\n".to_owned());
    }
    let counters = &state["counters"];
    let usage = format!(
        "\nNetwork usage:\n  Bytes received: {}\n  Bytes sent: {}\n  Packets received: {}\n  Packets sent: {}\n",
        number(&counters["bytes_received"]),
        number(&counters["bytes_sent"]),
        number(&counters["packets_received"]),
        number(&counters["packets_sent"])
    );
    Ok(shown + &addresses.concat() + &usage)
}
