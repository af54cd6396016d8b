//! `lxc network`

use hyper::Method;
use serde_json::{Map, Value, json};

use super::list::Shape;
use super::{config, done, instance, pair, reach, refuse};
use crate::error::Result;
use crate::lxd::format;
use crate::render::Printed;

/// Networks of the server
#[derive(Debug, clap::Subcommand)]
pub(super) enum Network {
    /// List the networks
    #[command(alias = "ls")]
    List {
        /// [REMOTE:]
        #[arg(default_value = "")]
        remote: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        format: Shape,
    },
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
    pub(super) fn run(self) -> Result<Printed> {
        match self {
            Self::List { remote, format } => list(&remote, format),
            Self::Show { name } => {
                let (client, name) = reach(&name)?;
                Ok(Printed::text(format::yaml(&client.network(name)?)))
            }
            Self::Info { name } => info(&name),
            Self::Create { name, settings, kind } => {
                let (client, name) = reach(&name)?;
                let settings = settings.iter().map(|word| pair(word).map(|(key, value)| (key, value.into())));
                let settings = settings.collect::<Result<Map<_, _>>>()?;
                let body = json!({"name": name, "type": kind, "description": "", "config": settings});
                client.finish(Method::POST, "/1.0/networks", Some(&body), &[])?;
                Ok(Printed::text(format!("Network {name} created\n")))
            }
            Self::Delete { name } => {
                let (client, name) = reach(&name)?;
                client.finish(Method::DELETE, &format!("/1.0/networks/{name}"), None, &[])?;
                Ok(Printed::text(format!("Network {name} deleted\n")))
            }
            Self::Get { name, key } => {
                let (client, name) = reach(&name)?;
                let told = client.network(name)?;
                Ok(Printed::text(format!("{}\n", told["config"][key].as_str().unwrap_or_default())))
            }
            Self::Set { name, settings } => {
                let words = match settings.as_slice() {
                    [key, value] if !key.contains('=') => vec![(key.clone(), value.clone())],
                    words => words.iter().map(|word| pair(word)).collect::<Result<_>>()?,
                };
                set(&name, &words)
            }
            Self::Unset { name, key } => set(&name, &[(key, String::new())]),
            Self::Attach { name, instance, device, interface } => {
                let (client, network) = reach(&name)?;
                let mut made = instance::nic(&client, network)?;
                if let Some(interface) = interface.or_else(|| device.clone()) {
                    made["name"] = interface.into();
                }
                config::add(&client, &instance, device.as_deref().unwrap_or(network), made)?;
                Ok(done())
            }
            Self::Detach { name, instance, device } => {
                let (client, network) = reach(&name)?;
                let device = match device {
                    Some(device) => device,
                    None => attached(&client.instance(&instance)?.0, network)?,
                };
                config::remove(&client, &instance, &[device])?;
                Ok(done())
            }
        }
    }
}

/// The only device of an instance that is on a network.
fn attached(told: &Value, network: &str) -> Result<String> {
    let devices = told["devices"].as_object().into_iter().flatten();
    let mut on = devices.filter(|(_, device)| device["network"] == network || device["parent"] == network);
    match (on.next(), on.next()) {
        (Some((name, _)), None) => Ok(name.clone()),
        (None, _) => Err(refuse("No device found for this network")),
        _ => Err(refuse("More than one device matches, specify the device name")),
    }
}

fn list(remote: &str, format: Shape) -> Result<Printed> {
    let (client, _) = reach(remote)?;
    let all = client.get("/1.0/networks?recursion=1")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |one: &Value| {
        let managed = if one["managed"] == true { "YES" } else { "NO" };
        vec![
            text(&one["name"]),
            text(&one["type"]),
            managed.to_owned(),
            text(&one["config"]["ipv4.address"]),
            text(&one["config"]["ipv6.address"]),
            text(&one["description"]),
            one["used_by"].as_array().map_or(0, Vec::len).to_string(),
            text(&one["status"]).to_uppercase(),
        ]
    };
    let rows: Vec<Vec<String>> = all.as_array().into_iter().flatten().map(row).collect();
    let headings = ["NAME", "TYPE", "MANAGED", "IPV4", "IPV6", "DESCRIPTION", "USED BY", "STATE"];
    Ok(format.print(&headings, &rows, &all))
}

fn info(word: &str) -> Result<Printed> {
    let (client, name) = reach(word)?;
    let told = client.get(&format!("/1.0/networks/{name}/state"))?;
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut lines = vec![format!(
        "Name: {name}\nMAC address: {}\nMTU: {}\nState: {}\nType: {}\n",
        text("hwaddr"),
        number(&told["mtu"]),
        text("state"),
        text("type")
    )];
    let addresses = told["addresses"].as_array().into_iter().flatten();
    let line = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("  {}\t{}/{} ({})\n", word("family"), word("address"), word("netmask"), word("scope"))
    };
    let addresses: String = addresses.map(line).collect();
    if !addresses.is_empty() {
        lines.push(format!("\nIP addresses:\n{addresses}"));
    }
    let counters = &told["counters"];
    lines.push(format!(
        "\nNetwork usage:\n  Bytes received: {}\n  Bytes sent: {}\n  Packets received: {}\n  Packets sent: {}\n",
        number(&counters["bytes_received"]),
        number(&counters["bytes_sent"]),
        number(&counters["packets_received"]),
        number(&counters["packets_sent"])
    ));
    Ok(Printed::text(lines.concat()))
}

fn set(word: &str, pairs: &[(String, String)]) -> Result<Printed> {
    let (client, name) = reach(word)?;
    let path = format!("/1.0/networks/{name}");
    let (mut told, tag) = client.get_tagged(&path)?;
    for (key, value) in pairs {
        if value.is_empty() {
            if let Some(config) = told["config"].as_object_mut() {
                config.remove(key);
            }
        } else {
            told["config"][key] = value.clone().into();
        }
    }
    let matching: Vec<(&str, &str)> = tag.as_deref().map(|tag| ("If-Match", tag)).into_iter().collect();
    let body = json!({"config": told["config"], "description": told["description"]});
    client.finish(Method::PUT, &path, Some(&body), &matching)?;
    Ok(done())
}
