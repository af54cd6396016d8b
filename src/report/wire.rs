//! What crosses a wire: interfaces, and addresses with their owners.

use std::collections::HashMap;

use serde::Serialize;

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Interface {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its name there.
    pub interface: String,
}

/// A MAC address in a frame, with who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Station {
    /// The address.
    pub mac: String,
    /// The interface that has it; none where nobody in the lab does, or several do.
    pub owner: Option<Interface>,
}

/// The shortest words that name the nodes of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// From the names in reports, `host.container`, to what is typed.
    pub fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// A node as it is typed; one that nobody can type yet with its host before it.
    pub fn node(&self, node: &str) -> String {
        self.0.get(node).cloned().unwrap_or_else(|| node.replacen('.', "/", 1))
    }

    /// An interface as it is typed.
    pub fn interface(&self, interface: &Interface) -> String {
        format!("{}.{}", self.node(&interface.node), interface.interface)
    }
}
