//! A container's life since the lab is up: what a file does not say of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nic;

/// Keys with their values, as LXD's API has them.
pub type Keys = BTreeMap<String, String>;

/// Whether a container is to run. No process has to: it is a wish, kept until somebody has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// It has its namespace and its links.
    #[default]
    Running,
    /// It has neither; its private files are kept.
    Stopped,
    /// It has both, and its processes stand still.
    Frozen,
}

/// What happened to a container since the lab is up, and what was configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Whether it is to run.
    #[serde(skip_serializing_if = "is_default")]
    pub run: Run,
    /// It was launched, and is in no file.
    #[serde(skip_serializing_if = "is_default")]
    pub launched: bool,
    /// It is deleted when it stops.
    #[serde(skip_serializing_if = "is_default")]
    pub ephemeral: bool,
    /// Its configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Keys,
    /// Its own devices; one takes the place of what the file or the launch gave under its name.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: BTreeMap<String, Keys>,
    /// Its NICs as the file or the launch gave them, where its devices are others.
    #[serde(skip_serializing_if = "is_default")]
    pub given: Option<Vec<Nic>>,
    /// When it was launched, in seconds since 1970.
    #[serde(skip_serializing_if = "is_default")]
    pub created_at: Option<u64>,
    /// When it was started last, in seconds since 1970.
    #[serde(skip_serializing_if = "is_default")]
    pub last_used_at: Option<u64>,
}

impl Instance {
    /// Nothing is to be said beyond what the file says.
    pub fn is_plain(&self) -> bool {
        is_default(self)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
