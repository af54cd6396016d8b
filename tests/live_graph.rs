//! Drawings of labs that are up: what is missing, down, changed or made by hand is marked. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::{Machine, fails, in_box, inside, ok, sh};

fn json(words: &str) -> Value {
    ok(&format!("graph {words} --format json")).json()
}

/// The part of a list with that value under the key.
fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|each| each[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {list:#}"))
}

fn interface<'a>(node: &'a Value, name: &str) -> &'a Value {
    find(&node["interfaces"], "name", name)
}

#[test]
fn a_lab_as_described_is_drawn_as_its_topology_and_nothing_is_changed_by_it() {
    in_box(|| {
        for name in support::shipped() {
            let described = ["physical", "l3"].map(|layer| json(&format!("{name} --layer {layer}")));
            ok(&format!("up {name}"));
            let up = Machine::look();
            for (layer, mut described) in ["physical", "l3"].into_iter().zip(described) {
                let lab = json(&format!("{name} --layer {layer}"));
                assert_eq!((&described["live"], &lab["live"]), (&false.into(), &true.into()));
                described["live"] = true.into();
                assert_eq!(lab, described, "{name}, {layer}");
            }
            up.assert_unchanged("graph");
            ok("down");
        }
    });
}

#[test]
fn what_is_down_missing_changed_or_made_by_hand_is_marked_in_every_format() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-a", "ip link set enp0s8 down; ip link add mine type bridge; ip link set veth-a2 nomaster")
            .expect(0);
        inside("bridged", "host-b.b1", "ip address del 10.0.0.21/24 dev eth0; ip address add 10.0.0.99/24 dev eth0").expect(0);
        inside("bridged", "host-b", "ip link del veth-b2").expect(0);
        ok("exec host-b ip netns add own");
        ok("exec host-b ip link add v-own type veth peer name eth0 netns own");
        let lab = json("");
        let (a, b) = (find(&lab["hosts"], "node", "host-a"), find(&lab["hosts"], "node", "host-b"));
        assert_eq!(interface(a, "enp0s8")["state"], "down");
        assert_eq!(interface(b, "enp0s8")["state"], "no-carrier");
        assert_eq!((&interface(a, "mine")["mark"], &interface(a, "mine")["kind"]), (&"by-hand".into(), &"bridge".into()));
        assert_eq!((&interface(a, "veth-a2")["mark"], &interface(a, "veth-a2")["bridge"]), (&"changed".into(), &Value::Null));
        assert_eq!(interface(b, "veth-b2")["mark"], "missing");
        let (b1, b2) = (find(&b["containers"], "node", "host-b.b1"), find(&b["containers"], "node", "host-b.b2"));
        assert_eq!(find(&interface(b1, "eth0")["addresses"], "address", "10.0.0.21/24")["mark"], "missing");
        assert_eq!(find(&interface(b1, "eth0")["addresses"], "address", "10.0.0.99/24")["mark"], "by-hand");
        assert_eq!(interface(b2, "eth0")["mark"], "missing");
        assert_eq!(find(&b["containers"], "node", "host-b.own")["mark"], "by-hand");
        assert_eq!(interface(b, "v-own")["mark"], "by-hand");
        // The kernel itself says the same.
        assert!(sh("ip -n bridged.host-a -o link show enp0s8").contains("state DOWN"));
        assert!(sh("ip -n bridged.host-b -o link show enp0s8").contains("NO-CARRIER"));
        let svg = ok("graph bridged --format svg").out;
        for (class, word) in [
            ("bridge byhand", "by hand"),
            ("interface missing", "missing"),
            ("interface dead", "down"),
            ("interface changed", "changed"),
        ] {
            assert!(svg.contains(&format!("<rect class=\"{class}")), "no {class}");
            for format in ["svg", "text", "dot", "mermaid"] {
                let drawing = ok(&format!("graph bridged --format {format}")).out;
                assert!(drawing.contains(word), "no {word} in {format}:\n{drawing}");
            }
        }
        let l3 = json("--layer l3");
        let member = find(&l3["subnets"][0]["members"], "node", "host-b.b1");
        assert_eq!(find(&member["addresses"], "address", "10.0.0.99/24")["mark"], "by-hand");
        ok("down");
    });
}

#[test]
fn a_node_that_is_gone_is_missing_and_a_lab_built_by_hand_is_drawn_as_it_is() {
    in_box(|| {
        ok("up routed");
        sh("umount -l /run/nslab/routed/netns/host-b.b2");
        let lab = json("routed");
        let b2 = find(&find(&lab["hosts"], "node", "host-b")["containers"], "node", "host-b.b2");
        assert_eq!(b2["mark"], "missing");
        ok("down");
        ok("up bare");
        ok("exec host-a ip link add br7 type bridge");
        ok("exec host-a ip link add v1 type veth peer name eth0 netns a1");
        ok("exec host-a ip link set v1 master br7 up");
        ok("exec a1 ip address add 10.7.0.1/24 dev eth0");
        let lab = json("bare");
        let cable = lab["cables"].as_array().unwrap().iter().find(|cable| cable["mark"] == "by-hand").unwrap();
        let ends = serde_json::json!([{ "node": "host-a", "interface": "v1" }, { "node": "host-a.a1", "interface": "eth0" }]);
        assert_eq!((&cable["ends"], &cable["network"]), (&ends, &Value::Null));
        assert_eq!(json("bare --layer l3")["subnets"][0]["prefixes"], serde_json::json!(["10.7.0.0/24"]));
        ok("down");
    });
}

#[test]
fn every_key_is_documented_and_a_file_gets_what_its_name_says() {
    in_box(|| {
        fn documented(value: &Value) {
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| {
                    assert!(include_str!("../docs/json.md").contains(&format!("`{key}`")), "{key}");
                    documented(value);
                }),
                Value::Array(items) => items.iter().for_each(documented),
                _ => {}
            }
        }
        documented(&json("three-hosts"));
        documented(&json("routed --layer l3"));
        for (file, begins) in [("a.svg", "<svg "), ("a.dot", "graph "), ("a.mmd", "%% "), ("a.json", "{"), ("a.txt", "routed: ")]
        {
            assert!(ok(&format!("graph routed -o /run/{file}")).out.is_empty());
            assert!(std::fs::read_to_string(format!("/run/{file}")).unwrap().starts_with(begins), "{file}");
        }
        assert!(fails(2, "graph routed -o /run/a.png").err.contains(".svg"));
        assert!(fails(2, "graph routed -o /nowhere/a.svg").err.contains("/nowhere/a.svg"));
        assert!(fails(2, "graph ruoted").err.contains("\"routed\""));
        assert!(fails(2, "graph").err.contains("no lab is up"));
        assert!(fails(2, "list --format svg").err.contains("text, json"));
    });
}
