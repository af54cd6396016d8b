//! Every shipped topology describes a lab and says what it teaches.
#![allow(clippy::unwrap_used)]

use nslab::check::KINDS;
use nslab::topology::{self, catalog};

#[test]
fn every_shipped_topology_is_read_without_a_finding() {
    assert!(catalog::names().count() > 0);
    for name in catalog::names() {
        let lab = topology::parse(name, catalog::find(name).unwrap(), KINDS);
        assert_eq!(lab.as_ref().map(|lab| lab.name.as_str()), Ok(name), "{lab:#?}");
    }
}

#[test]
fn every_file_of_the_folder_is_embedded_as_it_is() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("topologies").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(catalog::find(&name), Some(std::fs::read_to_string(&path).unwrap().as_str()), "{name}");
        assert!(topology::read(&path, KINDS).is_ok(), "{name}");
        files.push(name);
    }
    files.sort();
    assert_eq!(files, catalog::names().collect::<Vec<_>>());
}

#[test]
fn every_shipped_topology_opens_with_its_lesson_and_has_a_summary() {
    for name in catalog::names() {
        let text = catalog::find(name).unwrap();
        let lesson = catalog::lesson(text);
        assert!(lesson.lines().count() >= 3 && lesson.len() > 200, "{name} explains too little:\n{lesson}");
        let lab = topology::parse(name, text, KINDS).unwrap();
        let summary = lab.summary.unwrap();
        assert!((20..=100).contains(&summary.len()), "{name}: {summary}");
    }
}

#[test]
fn a_lab_cannot_be_called_like_one_of_its_hosts() {
    let mut lab = topology::parse("routed", catalog::find("routed").unwrap(), KINDS).unwrap();
    assert!(lab.rename("host-a".parse().unwrap()).is_err());
    assert_eq!(lab.name.as_str(), "routed");
    lab.rename("monday".parse().unwrap()).unwrap();
    assert_eq!(lab.name.as_str(), "monday");
}

/// No built-in is near the limits, but a file may be.
#[test]
fn the_largest_lab_may_be_written_out_container_by_container() {
    use std::fmt::Write;
    let mut text = String::from("name: lab\nhosts:\n");
    for host in 1..=4 {
        writeln!(text, "  h{host}:\n    bridges: {{ br0: {{ address: 10.{host}.0.1/16 }} }}\n    containers:").unwrap();
        for (number, at) in (0..1020).map(|number| (number, format!("10.{host}.{}.{}/16", number / 200 + 1, number % 200 + 1))) {
            writeln!(text, "      c{number}: {{ nics: {{ eth0: {{ bridge: br0, address: {at} }} }}, gateway: 10.{host}.0.1 }}")
                .unwrap();
        }
    }
    assert_eq!(topology::parse("lab.yaml", &text, KINDS).map(|lab| lab.containers()), Ok(4080));
}
