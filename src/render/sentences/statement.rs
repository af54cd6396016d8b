//! What is known only where it is found out: a statement that says itself in a sentence and is data for programs.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::render::lang::{Lang, and, t};
use crate::report::wire::{Interface, Names};

/// More names than this are counted.
const NAMED: usize = 6;

/// What says itself.
pub trait Say: Data + Debug + Send + Sync {
    /// In a sentence.
    fn sentence(&self, words: &Words<'_>) -> String;
}

/// What is data for programs.
pub trait Data {
    /// As JSON.
    fn json(&self) -> Value;
}

impl<T: Serialize> Data for T {
    fn json(&self) -> Value {
        // Nothing here is a map with keys that are no strings, and nothing else fails to serialize.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A statement of whatever kind.
#[derive(Debug, Clone)]
pub struct Statement(pub Arc<dyn Say>);

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.0.json() == other.0.json()
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json().serialize(serializer)
    }
}

/// The words for nodes and addresses of a lab.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The language.
    pub lang: Lang,
    /// The lab.
    pub lab: &'a str,
    /// How its nodes are typed.
    pub names: &'a Names,
}

impl Words<'_> {
    /// A node as it is typed.
    pub fn node(&self, node: &impl Display) -> String {
        self.names.node(&node.to_string())
    }

    /// An interface as it is typed.
    pub fn interface(&self, interface: &Interface) -> String {
        self.names.interface(interface)
    }

    /// All of the nodes.
    pub fn nodes<T: Display>(&self, nodes: &[T]) -> String {
        and(self.lang, &nodes.iter().map(|node| self.node(node)).collect::<Vec<_>>())
    }

    /// The first few of many nodes.
    pub fn few_nodes(&self, nodes: &[String]) -> String {
        self.few(&nodes.iter().map(|node| self.node(node)).collect::<Vec<_>>())
    }

    /// The first few of many.
    pub fn few(&self, words: &[String]) -> String {
        match words.get(..NAMED) {
            Some(first) if words.len() > NAMED => {
                t!(self.lang, "{names} and {number} more", names = first.join(", "), number = words.len() - NAMED)
            }
            _ => and(self.lang, words),
        }
    }

    /// Who pings whom.
    pub fn ping(&self, (from, to): &(String, String)) -> String {
        format!("{} -> {}", self.node(from), self.node(to))
    }

    /// Addresses with their prefixes.
    pub fn nets(&self, nets: &[IpNet]) -> String {
        and(self.lang, &nets.iter().map(ToString::to_string).collect::<Vec<_>>())
    }
}
