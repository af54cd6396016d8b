//! What crosses a wire: interfaces, and addresses with their owners.

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
