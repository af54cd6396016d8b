//! `lxc list`

use serde_json::Value;

use super::{reach, refuse};
use crate::error::Result;
use crate::lxd::format;
use crate::render::Printed;

/// How a table is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub(super) enum Shape {
    #[default]
    Table,
    Compact,
    Csv,
    Json,
    Yaml,
}

impl Shape {
    /// Rows, or what they were made of.
    pub(super) fn print(self, headings: &[&str], rows: &[Vec<String>], all: &Value) -> Printed {
        Printed::text(match self {
            Self::Table | Self::Compact => format::table(headings, rows),
            Self::Csv => format::csv(rows),
            Self::Json => format::json(all),
            Self::Yaml => format::yaml(all),
        })
    }
}

/// List instances
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

impl List {
    pub(super) fn run(self) -> Result<Printed> {
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
        let headings: Vec<&str> = columns.iter().map(Column::heading).collect();
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

enum Column {
    Letter(char),
    Key(String),
}

fn columns(words: &str) -> Result<Vec<Column>> {
    let mut all = Vec::new();
    for part in words.split(',') {
        if part.contains('.') {
            all.push(Column::Key(part.to_owned()));
        } else {
            for letter in part.chars() {
                if !"ns46tSpacdNPL".contains(letter) {
                    return Err(refuse(format!("Unknown column shorthand char '{letter}' in '{part}'")));
                }
                all.push(Column::Letter(letter));
            }
        }
    }
    Ok(all)
}

impl Column {
    fn heading(&self) -> &str {
        match self {
            Self::Key(key) => key,
            Self::Letter(letter) => match letter {
                'n' => "NAME",
                's' => "STATE",
                '4' => "IPV4",
                '6' => "IPV6",
                't' => "TYPE",
                'S' => "SNAPSHOTS",
                'p' => "PID",
                'a' => "ARCHITECTURE",
                'c' => "CREATED AT",
                'd' => "DESCRIPTION",
                'N' => "PROCESSES",
                'P' => "PROFILES",
                _ => "LOCATION",
            },
        }
    }

    fn cell(&self, one: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_i64().filter(|&number| number > 0).map_or(String::new(), |n| n.to_string());
        match self {
            Self::Key(key) => text(&one["expanded_config"][key]),
            Self::Letter(letter) => match letter {
                'n' => text(&one["name"]),
                's' => text(&one["status"]).to_uppercase(),
                '4' => addresses(one, "inet"),
                '6' => addresses(one, "inet6"),
                't' => text(&one["type"]).to_uppercase(),
                'S' => one["snapshots"].as_array().map_or(0, Vec::len).to_string(),
                'p' => number(&one["state"]["pid"]),
                'a' => text(&one["architecture"]),
                'c' => text(&one["created_at"]),
                'd' => text(&one["description"]),
                'N' => number(&one["state"]["processes"]),
                'P' => {
                    let names = one["profiles"].as_array().into_iter().flatten().map(text);
                    names.collect::<Vec<_>>().join("\n")
                }
                _ => text(&one["location"]),
            },
        }
    }
}

fn addresses(one: &Value, family: &str) -> String {
    let devices = one["state"]["network"].as_object().into_iter().flatten().filter(|(name, _)| *name != "lo");
    let shown = devices.flat_map(|(name, device)| {
        let all = device["addresses"].as_array().into_iter().flatten();
        all.filter(move |one| one["family"] == family && one["scope"] == "global")
            .map(move |one| format!("{} ({name})", one["address"].as_str().unwrap_or_default()))
    });
    shown.collect::<Vec<_>>().join("\n")
}
