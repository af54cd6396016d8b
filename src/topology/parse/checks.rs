//! The keys of checkpoints: what may be written, before it is known to make sense.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, Decode, List, OneOrMany, entries, record, unknown_key};
use super::tree::{Kind as Shape, Tree};
use crate::problem::{self, Problem};
use crate::topology::checks::{Kind, Subnet};
use crate::topology::findings::Findings;

record! {
    /// Checks that give points together.
    RawCheckpoint("Checkpoint") {
        /// Its name.
        #[schemars(required)]
        name: At<String>,
        /// What it gives when every check in it passes; 0 unless given.
        #[schemars(range(min = 0, max = 1000))]
        points: At<i64>,
        /// What must hold.
        #[schemars(required)]
        checks: List<RawCheck>,
    }
}

record! {
    /// Whose MAC addresses are in the frames that cross a network.
    RawMacs("Macs") {
        /// The network.
        #[schemars(required)]
        network: At<String>,
        /// `containers`, `hosts`, or a list of nodes: all of them, and nobody else.
        #[schemars(required)]
        owners: OneOrMany,
    }
}

record! {
    /// The way of a packet.
    RawPath("Path") {
        /// Who sends it.
        #[schemars(required)]
        from: At<String>,
        /// Whom it is for.
        #[schemars(required)]
        to: At<String>,
        /// Every node that routes it, in order, and the receiver last.
        #[schemars(required)]
        hops: OneOrMany,
    }
}

record! {
    /// Where a node sends packets for a destination.
    RawRoutes("Routes") {
        /// The node.
        #[schemars(required)]
        node: At<String>,
        /// A node, a prefix, or `default`.
        #[schemars(required)]
        to: At<String>,
        /// The next router: a node or an address; left out where the destination is on the node's own segment.
        via: At<String>,
    }
}

record! {
    /// The addresses of nodes and their subnets.
    RawAddresses("Addresses") {
        /// `containers`, `hosts`, or a list of nodes.
        #[schemars(required)]
        of: OneOrMany,
        /// Only the addresses of the NICs on this network.
        network: At<String>,
        /// `same`, `different` (on different hosts), or `point-to-point` (shared with the host's end of the cable alone).
        subnet: At<Subnet>,
        /// Addresses that each of them has, with their prefixes.
        are: OneOrMany,
    }
}

record! {
    /// Who forwards packets and who does not.
    RawForwarding("Forwarding") {
        /// These do.
        on: OneOrMany,
        /// These do not.
        off: OneOrMany,
    }
}

record! {
    /// What a bridge of a host joins.
    RawBridged("Bridged") {
        /// The host.
        #[schemars(required)]
        host: At<String>,
        /// The bridge; any bridge of the host unless given.
        name: At<String>,
        /// NICs of the host and containers: further containers may be on it, further NICs may not.
        #[schemars(required)]
        ports: OneOrMany,
    }
}

record! {
    /// A command in a node, its exit code and output.
    RawCommand("Command") {
        /// The node.
        #[schemars(required)]
        node: At<String>,
        /// For `sh -c`.
        #[schemars(required)]
        run: At<String>,
        /// The exit code that it must end with; 0 unless given.
        #[schemars(range(min = 0, max = 255))]
        exit: At<i64>,
        /// What its output must contain.
        output: At<String>,
        /// Seconds that it may take; 10 unless given.
        #[schemars(range(min = 1, max = 600))]
        timeout: At<i64>,
    }
}

record! {
    /// A host commands the containers of another one through its agent: lists, launches, runs a command, stops and deletes.
    RawControl("Control") {
        /// The host that commands.
        #[schemars(required)]
        from: At<String>,
        /// The host whose containers they are.
        #[schemars(required)]
        of: At<String>,
    }
}

/// One check: its kind is its only key.
#[derive(Debug)]
pub(super) enum RawCheck {
    Reach(RawReach),
    Unreachable(List<OneOrMany>),
    Macs(RawMacs),
    Path(RawPath),
    RecordRoute(RawPath),
    Routes(RawRoutes),
    Addresses(RawAddresses),
    Forwarding(RawForwarding),
    Bridge(RawBridged),
    Command(RawCommand),
    Control(RawControl),
}

/// `all`, or pairs of nodes.
#[derive(Debug)]
pub(super) enum RawReach {
    All,
    Pairs(List<OneOrMany>),
}

impl Decode for RawReach {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match &tree.kind {
            Shape::List(_) => List::decode(tree, findings).map(Self::Pairs),
            _ if tree.text() == Some("all") => Some(Self::All),
            _ => {
                findings.add(&tree.at, Problem::Expected(problem::Shape::AllOrPairs));
                None
            }
        }
    }
}

impl Decode for Subnet {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match tree.text() {
            Some("same") => Some(Self::Same),
            Some("different") => Some(Self::Different),
            Some("point-to-point") => Some(Self::PointToPoint),
            _ => {
                findings.add(&tree.at, Problem::Expected(problem::Shape::Subnet));
                None
            }
        }
    }
}

impl Decode for RawCheck {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        let entries = entries(tree, findings)?;
        let [(key, value)] = entries.as_slice() else {
            findings.add(&tree.at, Problem::OneCheck);
            return None;
        };
        let Some(kind) = Kind::ALL.iter().find(|kind| kind.word() == key.value) else {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            unknown_key(key, &known, findings);
            return None;
        };
        match kind {
            Kind::Reach => Decode::decode(value, findings).map(Self::Reach),
            Kind::Unreachable => Decode::decode(value, findings).map(Self::Unreachable),
            Kind::Macs => Decode::decode(value, findings).map(Self::Macs),
            Kind::Path => Decode::decode(value, findings).map(Self::Path),
            Kind::RecordRoute => Decode::decode(value, findings).map(Self::RecordRoute),
            Kind::Routes => Decode::decode(value, findings).map(Self::Routes),
            Kind::Addresses => Decode::decode(value, findings).map(Self::Addresses),
            Kind::Forwarding => Decode::decode(value, findings).map(Self::Forwarding),
            Kind::Bridge => Decode::decode(value, findings).map(Self::Bridge),
            Kind::Command => Decode::decode(value, findings).map(Self::Command),
            Kind::Control => Decode::decode(value, findings).map(Self::Control),
        }
    }
}

impl JsonSchema for RawReach {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reach".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "all" }, generator.subschema_for::<List<OneOrMany>>()] })
    }
}

impl JsonSchema for RawCheck {
    fn schema_name() -> Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = serde_json::Map::new();
        for kind in Kind::ALL {
            let (schema, about) = match kind {
                Kind::Reach => {
                    (generator.subschema_for::<RawReach>(), "`all` containers reach each other, or pairs of nodes do.")
                }
                Kind::Unreachable => {
                    (generator.subschema_for::<List<OneOrMany>>(), "Pairs of nodes that do not reach each other.")
                }
                Kind::Macs => (generator.subschema_for::<RawMacs>(), "Whose MAC addresses cross a network."),
                Kind::Path => (generator.subschema_for::<RawPath>(), "The nodes on the way of a packet."),
                Kind::RecordRoute => (generator.subschema_for::<RawPath>(), "The same, as ping -R tells."),
                Kind::Routes => (generator.subschema_for::<RawRoutes>(), "Where a node sends packets."),
                Kind::Addresses => (generator.subschema_for::<RawAddresses>(), "Addresses and their subnets."),
                Kind::Forwarding => (generator.subschema_for::<RawForwarding>(), "Who forwards packets."),
                Kind::Bridge => (generator.subschema_for::<RawBridged>(), "What a bridge joins."),
                Kind::Command => (generator.subschema_for::<RawCommand>(), "A command in a node."),
                Kind::Control => (generator.subschema_for::<RawControl>(), "A host commands another one's containers."),
            };
            properties.insert(kind.word().to_owned(), described(schema, about));
        }
        json_schema!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1
        })
    }
}

fn described(schema: Schema, about: &str) -> serde_json::Value {
    let mut value = serde_json::Value::from(schema);
    if let Some(map) = value.as_object_mut() {
        map.insert("description".to_owned(), about.into());
    }
    value
}
