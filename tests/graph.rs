//! Drawings of topologies: nothing overlaps, nothing is cut, everything is there, and other programs take them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "nothing is pinged here")]
#[path = "support/random.rs"]
mod random;
mod support;
#[path = "support/svg.rs"]
mod svg;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nslab::check::KINDS;
use nslab::graph::{Layer, wiring};
use nslab::plan::{Fact, compile};
use nslab::render::{Format, Show, Style, lang::Lang};
use nslab::topology::{self, Topology, catalog};

const LAYERS: [Layer; 2] = [Layer::Physical, Layer::L3];

fn drawn(topology: &Topology, layer: Layer, format: Format) -> String {
    let style = Style { lang: Lang::En, colour: false, width: None, unicode: true };
    wiring::graph(topology, None, layer).written(format, style)
}

fn shipped() -> Vec<Topology> {
    catalog::names().map(|name| topology::parse(name, catalog::find(name).unwrap(), KINDS).unwrap()).collect()
}

fn good() -> Vec<Topology> {
    let files = std::fs::read_dir("tests/good").unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<Topology> = files.map(|path| topology::read(&path, KINDS).unwrap()).collect();
    assert!(found.len() >= 4);
    found
}

/// Hosts on one network, each with so many containers on its bridge.
fn large(hosts: usize, containers: usize) -> Topology {
    let mut text = String::from("name: large\nnetworks: { internal: {} }\nhosts:\n");
    for host in 1..=hosts {
        write!(
            text,
            "  host-{host}:\n    nics: {{ enp0s8: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [enp0s8] }} }}\n    \
             containers:\n      c: {{ count: {containers}, nics: {{ eth0: {{ bridge: br0, address: 10.0.{}.1/16 }} }} }}\n",
            host * 8
        )
        .unwrap();
    }
    topology::parse("large", &text, KINDS).unwrap()
}

/// Every lab that the pictures are tried with.
fn all() -> Vec<(String, Topology)> {
    let mut all: Vec<(String, Topology)> =
        shipped().into_iter().chain(good()).map(|each| (each.name.to_string(), each)).collect();
    all.push(("3 hosts with 30 containers".to_owned(), large(3, 10)));
    for seed in 0..50 {
        let lab = random::lab(seed);
        all.push((format!("random lab {seed}"), topology::parse("random", &lab.yaml, KINDS).unwrap()));
    }
    all
}

#[test]
fn no_box_overlaps_no_text_is_cut_and_no_line_goes_through_what_it_does_not_join() {
    let (mut boxes, mut texts, mut lines) = (0, 0, 0);
    let mut faults = Vec::new();
    for (name, topology) in all() {
        for layer in LAYERS {
            let picture = svg::Picture::read(&drawn(&topology, layer, Format::Svg));
            faults.extend(picture.faults().into_iter().map(|fault| format!("{name}, {layer:?}: {fault}")));
            boxes += picture.boxes.len();
            texts += picture.texts.len();
            lines += picture.lines.len();
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
    assert!(boxes > 2000 && texts > 4000 && lines > 700, "{boxes} boxes, {texts} texts, {lines} lines");
}

#[test]
fn the_reader_of_pictures_sees_what_is_wrong() {
    let good = drawn(&shipped()[0], Layer::Physical, Format::Svg);
    assert!(svg::Picture::read(&good).faults().is_empty());
    let rect = good.lines().find(|line| line.starts_with("<rect class=\"interface")).unwrap();
    let wide = rect.replace(" width=\"", " width=\"9");
    let text = good.lines().find(|line| line.contains("class=\"mono")).unwrap();
    let long = text.replace("</text>", " and very much more than fits into the box</text>");
    let cable = good.lines().find(|line| line.starts_with("<path")).unwrap();
    let through = "<path class=\"cable\" d=\"M1 1 L400 260\"/>";
    for (what, bad) in [(rect, wide.as_str()), (text, &long), (cable, through)] {
        assert!(!svg::Picture::read(&good.replace(what, bad)).faults().is_empty(), "{bad}");
    }
}

#[test]
fn the_letters_of_every_shipped_lab_are_seven_points_high_on_a_sheet_of_a4() {
    for topology in shipped() {
        for layer in LAYERS {
            let points = svg::Picture::read(&drawn(&topology, layer, Format::Svg)).smallest_on_paper();
            assert!(points >= 7.0, "{}, {layer:?}: {points:.1} points", topology.name);
        }
    }
}

/// What no drawing of the wiring may leave out: nodes, interfaces, MAC addresses, addresses of the file.
fn described(topology: &Topology) -> BTreeSet<String> {
    let mut described = BTreeSet::new();
    for fact in compile(topology) {
        match &fact {
            Fact::Mac(_, mac) => drop(described.insert(mac.to_string())),
            Fact::Addr(_, net) if !net.to_string().starts_with("fe80:") => drop(described.insert(net.to_string())),
            _ => {}
        }
        described.extend(fact.port().filter(|port| port.dev.as_str() != "lo").map(|port| port.dev.to_string()));
    }
    for host in &topology.hosts {
        described.insert(host.name.to_string());
        described.extend(host.containers.iter().map(|container| container.name.to_string()));
    }
    described.extend(topology.networks.iter().map(|network| network.name.to_string()));
    // Nobody sees the name of the bridge in a switch.
    described.remove("switch");
    described
}

#[test]
fn every_node_interface_and_address_is_in_every_drawing_of_the_wiring() {
    for (name, topology) in all() {
        let described = described(&topology);
        for format in [Format::Text, Format::Json, Format::Svg, Format::Dot, Format::Mermaid] {
            let drawing = drawn(&topology, Layer::Physical, format).replace("#58;", ":").replace("#47;", "/");
            let missing: Vec<&String> = described.iter().filter(|word| !drawing.contains(word.as_str())).collect();
            assert!(missing.is_empty(), "{name}, {format:?}: {missing:?} is missing in\n{drawing}");
        }
    }
}

#[test]
fn every_subnet_and_router_is_in_every_drawing_of_the_third_layer() {
    for (name, topology) in all() {
        let mut described: BTreeSet<String> = BTreeSet::new();
        for fact in compile(&topology) {
            if let Fact::Addr(_, net) = fact
                && !net.to_string().starts_with("fe80:")
            {
                described.insert(if net.prefix_len() < net.max_prefix_len() {
                    net.trunc().to_string()
                } else {
                    net.addr().to_string()
                });
            }
        }
        for format in [Format::Text, Format::Json, Format::Svg, Format::Dot, Format::Mermaid] {
            let drawing = drawn(&topology, Layer::L3, format);
            let alone = |word: &String| !word.contains('/') && format != Format::Json && format != Format::Svg;
            let missing: Vec<&String> =
                described.iter().filter(|word| !alone(word) && !drawing.contains(word.as_str())).collect();
            assert!(missing.is_empty(), "{name}, {format:?}: {missing:?} is missing in\n{drawing}");
        }
    }
}

#[test]
fn graphviz_takes_every_drawing() {
    let mut whole = String::new();
    let mut number = 0;
    for (_, topology) in all() {
        for layer in LAYERS {
            whole += &drawn(&topology, layer, Format::Dot);
            number += 1;
        }
    }
    let mut dot =
        Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = dot.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(whole.as_bytes()).unwrap());
    let output = dot.wait_with_output().unwrap();
    writer.join().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warnings.is_empty(), "{warnings}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("</svg>").count(), number);
}

#[test]
fn text_fits_80_columns_for_every_shipped_lab() {
    for topology in shipped() {
        for layer in LAYERS {
            let text = drawn(&topology, layer, Format::Text);
            let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= 80, "{}, {layer:?}: {} columns\n{widest}", topology.name, widest.chars().count());
        }
    }
}

#[test]
fn a_thousand_containers_are_drawn_and_none_is_left_out() {
    let lab = large(1, 1000);
    let text = drawn(&lab, Layer::Physical, Format::Text);
    let svg = drawn(&lab, Layer::Physical, Format::Svg);
    for number in 1..=1000 {
        assert!(text.contains(&format!(" c{number} eth0 ")), "c{number}");
        assert!(svg.contains(&format!(">c{number}</text>")), "c{number}");
    }
}

/// Drawings that are kept: to look at, and to see what a change does to them. `NSLAB_BLESS=1` writes them anew.
#[test]
fn the_kept_drawings_are_what_nslab_draws() {
    let mut kept = vec![("docs/bridged.svg".to_owned(), "bridged", Layer::Physical, Format::Svg)];
    for name in ["bridged", "routed", "three-hosts"] {
        kept.push((format!("tests/graphs/{name}.mmd"), name, Layer::Physical, Format::Mermaid));
        kept.push((format!("tests/graphs/{name}-l3.mmd"), name, Layer::L3, Format::Mermaid));
    }
    for (file, name, layer, format) in kept {
        let drawing = drawn(&topology::parse(name, catalog::find(name).unwrap(), KINDS).unwrap(), layer, format);
        if std::env::var_os("NSLAB_BLESS").is_some() {
            std::fs::write(&file, &drawing).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), drawing, "{file}");
    }
}
