//! `lxc info`, `query`, `monitor`, and what is only looked at: profiles, projects, storage pools, operations

use hyper::Method;
use serde_json::Value;

use super::list::Shape;
use super::{reach, refuse};
use crate::commands::Context;
use crate::error::Result;
use crate::lxd::client::Answer;
use crate::lxd::format;
use crate::render::Printed;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn used(one: &Value) -> String {
    one["used_by"].as_array().map_or(0, Vec::len).to_string()
}

/// Show a server or an instance
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
    pub(super) fn run(self) -> Result<Printed> {
        let (client, name) = reach(&self.name)?;
        if name.is_empty() {
            let path = if self.resources { "/1.0/resources" } else { "/1.0" };
            return Ok(Printed::text(format::yaml(&client.get(path)?)));
        }
        let (told, _) = client.instance(name)?;
        let state = client.state(name)?;
        Ok(Printed::text(instance(&told, &state)))
    }
}

fn instance(told: &Value, state: &Value) -> String {
    let mut lines = vec![format!(
        "Name: {}\nStatus: {}\nType: {}\nArchitecture: {}\n",
        text(&told["name"]),
        text(&told["status"]).to_uppercase(),
        text(&told["type"]),
        text(&told["architecture"])
    )];
    if let Some(pid) = state["pid"].as_i64().filter(|&pid| pid > 0) {
        lines.push(format!("PID: {pid}\n"));
    }
    // Go's time for none.
    let known = |key: &str| Some(text(&told[key])).filter(|time| !time.starts_with("0001-"));
    lines.extend(known("created_at").map(|time| format!("Created: {time}\n")));
    lines.extend(known("last_used_at").map(|time| format!("Last Used: {time}\n")));
    if told["status"] == "Stopped" {
        return lines.concat();
    }
    lines.push(format!("\nResources:\n  Processes: {}\n  Network usage:\n", state["processes"].as_i64().unwrap_or_default()));
    for (name, device) in state["network"].as_object().into_iter().flatten() {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let counters = &device["counters"];
        lines.push(format!(
            "    {name}:\n      Type: {}\n      State: {}\n      MAC address: {}\n      MTU: {}\n      Bytes received: {}\n      Bytes sent: {}\n      IP addresses:\n",
            text(&device["type"]),
            text(&device["state"]).to_uppercase(),
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

/// Send a request and print what the server tells
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
    pub(super) fn run(self) -> Result<Printed> {
        let (client, path) = reach(&self.path)?;
        let body = self.data.as_deref().map(serde_json::from_str::<Value>).transpose();
        let body = body.map_err(|error| refuse(error.to_string()))?;
        let method: Method = self.request.to_uppercase().parse().map_err(|_| refuse("Invalid method"))?;
        if !path.starts_with('/') {
            return Err(refuse("Query path must start with /"));
        }
        let told = if self.wait {
            client.finish(method, path, body.as_ref(), &[])?
        } else {
            match client.ask(method, path, body.as_ref(), &[])? {
                Answer::Done(told, _) | Answer::Working(_, told) => told,
            }
        };
        Ok(Printed::text(if told.is_null() { String::new() } else { format::json(&told) }))
    }
}

/// Print what happens on a server, until Ctrl-C
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
    pub(super) fn run(self, context: &mut Context) -> Result<Printed> {
        let (client, _) = reach(&self.remote)?;
        let kinds = if self.kinds.is_empty() { "lifecycle,operation".to_owned() } else { self.kinds.join(",") };
        client.events(&kinds, &mut |event| context.front.emit(&(format::yaml(event) + "\n\n")))?;
        Ok(super::done())
    }
}

macro_rules! looked_at {
    ($(#[$doc:meta])* $name:ident, $path:literal, $headings:expr, $row:expr) => {
        $(#[$doc])*
        #[derive(Debug, clap::Subcommand)]
        pub(super) enum $name {
            /// List them
            #[command(alias = "ls")]
            List {
                /// [REMOTE:]
                #[arg(default_value = "")]
                remote: String,
                /// How to print
                #[arg(short, long, default_value = "table")]
                format: Shape,
            },
            /// Show one
            Show {
                /// [REMOTE:]NAME
                name: String,
            },
        }

        impl $name {
            pub(super) fn run(self) -> Result<Printed> {
                match self {
                    Self::List { remote, format } => {
                        let all = reach(&remote)?.0.get(concat!($path, "?recursion=1"))?;
                        let each = all.as_array().into_iter().flatten().collect::<Vec<_>>();
                        let grouped = all.as_object().into_iter().flat_map(|all| all.values());
                        let each = each.into_iter().chain(grouped.flat_map(|all| all.as_array().into_iter().flatten()));
                        let row: fn(&Value) -> Vec<String> = $row;
                        let rows: Vec<Vec<String>> = each.map(row).collect();
                        Ok(format.print(&$headings, &rows, &all))
                    }
                    Self::Show { name } => {
                        let (client, name) = reach(&name)?;
                        Ok(Printed::text(format::yaml(&client.get(&format!(concat!($path, "/{}"), name))?)))
                    }
                }
            }
        }
    };
}

looked_at!(
    /// Profiles of the server
    Profile, "/1.0/profiles", ["NAME", "DESCRIPTION", "USED BY"],
    |one| vec![text(&one["name"]), text(&one["description"]), used(one)]
);
looked_at!(
    /// Projects of the server
    Project, "/1.0/projects", ["NAME", "DESCRIPTION", "USED BY"],
    |one| vec![text(&one["name"]), text(&one["description"]), used(one)]
);
looked_at!(
    /// Storage pools of the server
    Storage, "/1.0/storage-pools", ["NAME", "DRIVER", "DESCRIPTION", "USED BY", "STATE"],
    |one| vec![text(&one["name"]), text(&one["driver"]), text(&one["description"]), used(one), text(&one["status"]).to_uppercase()]
);
looked_at!(
    /// What the server works on
    Operation, "/1.0/operations", ["ID", "TYPE", "DESCRIPTION", "STATUS", "CANCELABLE", "CREATED"],
    |one| {
        let cancelable = if one["may_cancel"] == true { "YES" } else { "NO" };
        vec![
            text(&one["id"]),
            text(&one["class"]).to_uppercase(),
            text(&one["description"]),
            text(&one["status"]).to_uppercase(),
            cancelable.to_owned(),
            text(&one["created_at"]),
        ]
    }
);
