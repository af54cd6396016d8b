//! What is listed, in tables of columns, and shown: instances, images, profiles, projects, storage pools, operations, the server;
//! `lxc query` and `lxc monitor`

use std::iter::once;

use hyper::Method;
use serde_json::{Map, Value};

use super::{Shape, json, reach, refuse, text, yaml};
use crate::commands::Context;
use crate::error::Result;

/// A column: its heading, and what it shows of one of the things listed.
type Column = (&'static str, fn(&Value) -> String);

/// What a server lists.
pub(super) struct Table {
    path: &'static str,
    columns: &'static [Column],
}

const NAME: Column = ("NAME", |one| text(&one["name"]));
const DESCRIPTION: Column = ("DESCRIPTION", |one| text(&one["description"]));
const USED_BY: Column = ("USED BY", |one| count(&one["used_by"]));

pub(super) const PROFILES: Table = Table { path: "/1.0/profiles", columns: &[NAME, DESCRIPTION, USED_BY] };
pub(super) const PROJECTS: Table = Table { path: "/1.0/projects", columns: &[NAME, DESCRIPTION, USED_BY] };
pub(super) const STORAGE: Table = Table {
    path: "/1.0/storage-pools",
    columns: &[NAME, ("DRIVER", |one| text(&one["driver"])), DESCRIPTION, USED_BY, ("STATE", |one| upper(&one["status"]))],
};
pub(super) const OPERATIONS: Table = Table {
    path: "/1.0/operations",
    columns: &[
        ("ID", |one| text(&one["id"])),
        ("TYPE", |one| upper(&one["class"])),
        DESCRIPTION,
        ("STATUS", |one| upper(&one["status"])),
        ("CANCELABLE", |one| yes(&one["may_cancel"]).to_uppercase()),
        ("CREATED", |one| text(&one["created_at"])),
    ],
};
pub(super) const NETWORKS: Table = Table {
    path: "/1.0/networks",
    columns: &[
        NAME,
        ("TYPE", |one| text(&one["type"])),
        ("MANAGED", |one| yes(&one["managed"]).to_uppercase()),
        ("IPV4", |one| text(&one["config"]["ipv4.address"])),
        ("IPV6", |one| text(&one["config"]["ipv6.address"])),
        DESCRIPTION,
        USED_BY,
        ("STATE", |one| upper(&one["status"])),
    ],
};
pub(super) const CERTIFICATES: Table = Table {
    path: "/1.0/certificates",
    columns: &[("TYPE", |one| text(&one["type"])), NAME, ("FINGERPRINT", |one| short(&one["fingerprint"]))],
};
/// Of the operations those that are tokens.
pub(super) const TOKENS: Table = Table {
    path: "/1.0/operations",
    columns: &[
        ("NAME", |one| text(&one["metadata"]["request"]["name"])),
        ("TOKEN", |one| text(&one["id"])),
        ("EXPIRES AT", |one| text(&one["metadata"]["expiresAt"])),
    ],
};
const IMAGES: Table = Table {
    path: "/1.0/images",
    columns: &[
        ("ALIAS", |one| {
            let more = one["aliases"].as_array().map_or(0, Vec::len).saturating_sub(1);
            text(&one["aliases"][0]["name"]) + &if more > 0 { format!(" ({more} more)") } else { String::new() }
        }),
        ("FINGERPRINT", |one| short(&one["fingerprint"])),
        ("PUBLIC", |one| yes(&one["public"]).to_owned()),
        ("DESCRIPTION", |one| text(&one["properties"]["description"])),
        ("ARCHITECTURE", |one| text(&one["architecture"])),
        ("TYPE", |one| upper(&one["type"])),
        ("SIZE", |one| size(&one["size"])),
        ("UPLOAD DATE", |one| text(&one["uploaded_at"])),
    ],
};
/// The columns of instances, each with its letter.
const INSTANCES: [(char, Column); 13] = [
    ('n', NAME),
    ('s', ("STATE", |one| upper(&one["status"]))),
    ('4', ("IPV4", |one| addresses(one, "inet"))),
    ('6', ("IPV6", |one| addresses(one, "inet6"))),
    ('t', ("TYPE", |one| upper(&one["type"]))),
    ('S', ("SNAPSHOTS", |one| count(&one["snapshots"]))),
    ('p', ("PID", |one| positive(&one["state"]["pid"]))),
    ('a', ("ARCHITECTURE", |one| text(&one["architecture"]))),
    ('c', ("CREATED AT", |one| text(&one["created_at"]))),
    ('d', DESCRIPTION),
    ('N', ("PROCESSES", |one| positive(&one["state"]["processes"]))),
    ('P', ("PROFILES", |one| one["profiles"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join("\n"))),
    ('L', ("LOCATION", |one| text(&one["location"]))),
];

fn upper(value: &Value) -> String {
    text(value).to_uppercase()
}

fn count(value: &Value) -> String {
    value.as_array().map_or(0, Vec::len).to_string()
}

fn positive(value: &Value) -> String {
    value.as_i64().filter(|&number| number > 0).map_or(String::new(), |number| number.to_string())
}

fn yes(value: &Value) -> &'static str {
    if *value == true { "yes" } else { "no" }
}

fn short(fingerprint: &Value) -> String {
    text(fingerprint).chars().take(12).collect()
}

/// A size with two decimals, in the units of the stock client.
fn size(value: &Value) -> String {
    let hundredths = value.as_u64().unwrap_or_default() / 10_000;
    format!("{}.{:02}MB", hundredths / 100, hundredths % 100)
}

fn addresses(one: &Value, family: &str) -> String {
    let devices = one["state"]["network"].as_object().into_iter().flatten().filter(|(name, _)| *name != "lo");
    let shown = devices.flat_map(|(name, device)| {
        let all = device["addresses"].as_array().into_iter().flatten();
        all.filter(move |one| one["family"] == family && one["scope"] == "global")
            .map(move |one| format!("{} ({name})", text(&one["address"])))
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// What a server has listed, each; some of it comes in groups.
pub(super) fn rows(all: &Value) -> impl Iterator<Item = &Value> {
    once(all).chain(all.as_object().into_iter().flat_map(Map::values)).flat_map(|all| all.as_array().into_iter().flatten())
}

#[derive(Debug, clap::Args)]
pub(super) struct Listing {
    /// [REMOTE:]
    #[arg(default_value = "")]
    pub(super) remote: String,
    /// How to print
    #[arg(short, long, default_value = "table")]
    format: Shape,
}

impl Listing {
    /// Asks the server and prints what it lists.
    pub(super) fn print(&self, table: &Table) -> Result<String> {
        Ok(self.show(table, &reach(&self.remote)?.0.get(&format!("{}?recursion=1", table.path))?))
    }

    /// Prints what the server has listed.
    pub(super) fn show(&self, table: &Table, all: &Value) -> String {
        let row = |one| table.columns.iter().map(|(_, cell)| cell(one)).collect();
        let headings: Vec<&str> = table.columns.iter().map(|(heading, _)| *heading).collect();
        self.format.print(&headings, &rows(all).map(row).collect::<Vec<_>>(), all)
    }
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Look {
    /// List them
    #[command(alias = "ls")]
    List(Listing),
    /// Show one
    Show {
        /// [REMOTE:]NAME
        name: String,
    },
}

impl Look {
    pub(super) fn run(self, table: &Table) -> Result<String> {
        match self {
            Self::List(listing) => listing.print(table),
            Self::Show { name } => {
                let (client, name) = reach(&name)?;
                Ok(yaml(&client.get(&format!("{}/{name}", table.path))?))
            }
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// [REMOTE:], then parts of names or KEY=VALUE of settings
    #[arg(value_name = "[REMOTE:] [FILTER]")]
    words: Vec<String>,
    /// Columns: n name, s state, 4 IPv4, 6 IPv6, t type, S snapshots, p pid, a architecture, c created, d description,
    /// N processes, P profiles, L location, or the key of a setting
    #[arg(short, long, default_value = "ns46tS")]
    columns: String,
    /// How to print
    #[arg(short, long, default_value = "table")]
    format: Shape,
    /// Fewer columns: name, state, architecture, created, profiles, type
    #[arg(long)]
    fast: bool,
}

/// A column that was asked for.
struct Asked<'a> {
    heading: &'a str,
    /// What it shows; where the heading is the key of a setting, that setting.
    cell: Option<fn(&Value) -> String>,
}

impl Asked<'_> {
    fn cell(&self, one: &Value) -> String {
        self.cell.map_or_else(|| text(&one["expanded_config"][self.heading]), |cell| cell(one))
    }
}

impl List {
    pub(super) fn run(self) -> Result<String> {
        let (place, filters) = match self.words.split_first() {
            Some((first, rest)) if first.contains(':') => {
                let (remote, name) = first.split_once(':').unwrap_or((first, ""));
                let named = (!name.is_empty()).then(|| name.to_owned());
                (format!("{remote}:"), named.into_iter().chain(rest.iter().cloned()).collect::<Vec<_>>())
            }
            _ => (String::new(), self.words.clone()),
        };
        let (client, _) = reach(&place)?;
        let all = client.instances()?.into_iter().filter(|one| filters.iter().all(|filter| matches(one, filter)));
        let all: Vec<Value> = all.collect();
        let columns = columns(if self.fast { "nsacPt" } else { &self.columns })?;
        let rows: Vec<Vec<String>> = all.iter().map(|one| columns.iter().map(|column| column.cell(one)).collect()).collect();
        let headings: Vec<&str> = columns.iter().map(|column| column.heading).collect();
        Ok(self.format.print(&headings, &rows, &Value::from(all)))
    }
}

fn matches(one: &Value, filter: &str) -> bool {
    match filter.split_once('=') {
        Some(("status", state)) => one["status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case(state)),
        Some((key, value)) => one["expanded_config"][key] == value || one[key] == value,
        None => one["name"].as_str().is_some_and(|name| name.starts_with(filter)),
    }
}

fn columns(words: &str) -> Result<Vec<Asked<'_>>> {
    let mut all = Vec::new();
    for part in words.split(',') {
        if part.contains('.') {
            all.push(Asked { heading: part, cell: None });
            continue;
        }
        for letter in part.chars() {
            let known = INSTANCES.iter().find(|(own, _)| *own == letter);
            let unknown = || refuse(format!("Unknown column shorthand char '{letter}' in '{part}'"));
            let (_, (heading, cell)) = known.ok_or_else(unknown)?;
            all.push(Asked { heading, cell: Some(*cell) });
        }
    }
    Ok(all)
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Image {
    /// List the images
    #[command(alias = "ls")]
    List(Listing),
    /// Show an image
    Info {
        /// [REMOTE:]IMAGE
        name: String,
    },
}

impl Image {
    pub(super) fn run(self) -> Result<String> {
        match self {
            Self::List(listing) => listing.print(&IMAGES),
            Self::Info { name } => {
                let (client, name) = reach(&name)?;
                Ok(image(&client.get(&format!("/1.0/images/{}", client.fingerprint(name)?))?))
            }
        }
    }
}

fn image(one: &Value) -> String {
    let mut lines = vec![format!(
        "Fingerprint: {}\nSize: {}\nArchitecture: {}\nType: {}\nPublic: {}\nTimestamps:\n    Created: {}\n    Uploaded: {}\nProperties:\n",
        text(&one["fingerprint"]),
        size(&one["size"]),
        text(&one["architecture"]),
        text(&one["type"]),
        yes(&one["public"]),
        text(&one["created_at"]),
        text(&one["uploaded_at"])
    )];
    for (key, value) in one["properties"].as_object().into_iter().flatten() {
        lines.push(format!("    {key}: {}\n", text(value)));
    }
    lines.push("Aliases:\n".to_owned());
    for alias in one["aliases"].as_array().into_iter().flatten() {
        lines.push(format!("    - {}\n", text(&alias["name"])));
    }
    lines.concat()
}

#[derive(Debug, clap::Args)]
pub(super) struct Info {
    /// [REMOTE:][NAME]
    #[arg(default_value = "")]
    name: String,
    /// What the server is made of
    #[arg(long)]
    resources: bool,
}

impl Info {
    pub(super) fn run(self) -> Result<String> {
        let (client, name) = reach(&self.name)?;
        if name.is_empty() {
            return Ok(yaml(&client.get(if self.resources { "/1.0/resources" } else { "/1.0" })?));
        }
        Ok(instance(&client.instance(name)?, &client.state(name)?))
    }
}

fn instance(document: &Value, state: &Value) -> String {
    let mut lines = vec![format!(
        "Name: {}\nStatus: {}\nType: {}\nArchitecture: {}\n",
        text(&document["name"]),
        upper(&document["status"]),
        text(&document["type"]),
        text(&document["architecture"])
    )];
    if let Some(pid) = state["pid"].as_i64().filter(|&pid| pid > 0) {
        lines.push(format!("PID: {pid}\n"));
    }
    // Go's time for none.
    let known = |key: &str| Some(text(&document[key])).filter(|time| !time.starts_with("0001-"));
    lines.extend(known("created_at").map(|time| format!("Created: {time}\n")));
    lines.extend(known("last_used_at").map(|time| format!("Last Used: {time}\n")));
    if document["status"] == "Stopped" {
        return lines.concat();
    }
    lines.push(format!("\nResources:\n  Processes: {}\n  Network usage:\n", state["processes"].as_i64().unwrap_or_default()));
    for (name, device) in state["network"].as_object().into_iter().flatten() {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let counters = &device["counters"];
        lines.push(format!(
            "    {name}:\n      Type: {}\n      State: {}\n      MAC address: {}\n      MTU: {}\n      Bytes received: {}\n      Bytes sent: {}\n      IP addresses:\n",
            text(&device["type"]),
            upper(&device["state"]),
            text(&device["hwaddr"]),
            number(&device["mtu"]),
            number(&counters["bytes_received"]),
            number(&counters["bytes_sent"])
        ));
        for one in device["addresses"].as_array().into_iter().flatten() {
            let word = |key: &str| text(&one[key]);
            lines.push(format!("        {}:  {}/{} ({})\n", word("family"), word("address"), word("netmask"), word("scope")));
        }
    }
    lines.concat()
}

#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// [REMOTE:]/1.0/...
    path: String,
    /// The method
    #[arg(short = 'X', long, default_value = "GET")]
    request: String,
    /// The body
    #[arg(short, long)]
    data: Option<String>,
    /// Wait for the operation
    #[arg(long)]
    wait: bool,
    /// The whole answer
    #[arg(long)]
    raw: bool,
}

impl Query {
    pub(super) fn run(self) -> Result<String> {
        let (client, path) = reach(&self.path)?;
        let body = self.data.as_deref().map(serde_json::from_str::<Value>).transpose();
        let body = body.map_err(|error| refuse(error.to_string()))?;
        let method: Method = self.request.to_uppercase().parse().map_err(|_| refuse("Invalid method"))?;
        if !path.starts_with('/') {
            return Err(refuse("Query path must start with /"));
        }
        let metadata = if self.wait {
            client.finish(method, path, body.as_ref())?
        } else {
            client.ask(method, path, body.as_ref())?.metadata
        };
        Ok(if metadata.is_null() { String::new() } else { json(&metadata) })
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Monitor {
    /// [REMOTE:]
    #[arg(default_value = "")]
    remote: String,
    /// lifecycle, operation, logging
    #[arg(long = "type")]
    kinds: Vec<String>,
}

impl Monitor {
    pub(super) fn run(self, context: &mut Context) -> Result<()> {
        let (client, _) = reach(&self.remote)?;
        let kinds = if self.kinds.is_empty() { "lifecycle,operation".to_owned() } else { self.kinds.join(",") };
        client.events(&kinds, &mut |event| context.front.emit(&(yaml(event) + "\n\n")))
    }
}
