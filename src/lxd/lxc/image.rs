//! `lxc image`

use serde_json::Value;

use super::list::Shape;
use super::reach;
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::Client;
use crate::render::Printed;

/// Images of the server
#[derive(Debug, clap::Subcommand)]
pub(super) enum Image {
    /// List the images
    #[command(alias = "ls")]
    List {
        /// [REMOTE:]
        #[arg(default_value = "")]
        remote: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        format: Shape,
    },
    /// Show an image
    Info {
        /// [REMOTE:]IMAGE
        name: String,
    },
}

impl Image {
    pub(super) fn run(self) -> Result<Printed> {
        match self {
            Self::List { remote, format } => list(&remote, format),
            Self::Info { name } => {
                let (client, name) = reach(&name)?;
                Ok(info(&find(&client, name)?))
            }
        }
    }
}

fn find(client: &Client, name: &str) -> Result<Value> {
    let fingerprint = match client.get(&format!("/1.0/images/aliases/{name}")) {
        Ok(alias) => alias["target"].as_str().unwrap_or_default().to_owned(),
        Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) => name.to_owned(),
        Err(error) => return Err(error),
    };
    client.get(&format!("/1.0/images/{fingerprint}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A size with two decimals, in the units of the stock client.
fn size(value: &Value) -> String {
    let hundredths = value.as_u64().unwrap_or_default() / 10_000;
    format!("{}.{:02}MB", hundredths / 100, hundredths % 100)
}

fn list(remote: &str, format: Shape) -> Result<Printed> {
    let all = reach(remote)?.0.get("/1.0/images?recursion=1")?;
    let row = |one: &Value| {
        let alias = text(&one["aliases"][0]["name"]);
        let more = one["aliases"].as_array().map_or(0, Vec::len).saturating_sub(1);
        vec![
            if more > 0 { format!("{alias} ({more} more)") } else { alias },
            text(&one["fingerprint"]).chars().take(12).collect(),
            if one["public"] == true { "yes" } else { "no" }.to_owned(),
            text(&one["properties"]["description"]),
            text(&one["architecture"]),
            text(&one["type"]).to_uppercase(),
            size(&one["size"]),
            text(&one["uploaded_at"]),
        ]
    };
    let rows: Vec<Vec<String>> = all.as_array().into_iter().flatten().map(row).collect();
    let headings = ["ALIAS", "FINGERPRINT", "PUBLIC", "DESCRIPTION", "ARCHITECTURE", "TYPE", "SIZE", "UPLOAD DATE"];
    Ok(format.print(&headings, &rows, &all))
}

fn info(one: &Value) -> Printed {
    let mut lines = vec![format!(
        "Fingerprint: {}\nSize: {}\nArchitecture: {}\nType: {}\nPublic: {}\nTimestamps:\n    Created: {}\n    Uploaded: {}\n",
        text(&one["fingerprint"]),
        size(&one["size"]),
        text(&one["architecture"]),
        text(&one["type"]),
        if one["public"] == true { "yes" } else { "no" },
        text(&one["created_at"]),
        text(&one["uploaded_at"])
    )];
    lines.push("Properties:\n".to_owned());
    for (key, value) in one["properties"].as_object().into_iter().flatten() {
        lines.push(format!("    {key}: {}\n", text(value)));
    }
    lines.push("Aliases:\n".to_owned());
    for alias in one["aliases"].as_array().into_iter().flatten() {
        lines.push(format!("    - {}\n", text(&alias["name"])));
    }
    Printed::text(lines.concat())
}
