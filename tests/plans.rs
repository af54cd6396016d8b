//! The plan of every built-in topology, as text: `tests/plans/NAME.txt`. `NSLAB_BLESS=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use support::{ok, shipped};

#[test]
fn every_topology_has_the_plan_that_was_agreed_on() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut different = Vec::new();
    for name in shipped() {
        let plan = ok(&format!("plan {name}")).out;
        let golden = directory.join(format!("{name}.txt"));
        if std::env::var_os("NSLAB_BLESS").is_some() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&golden, &plan).unwrap();
        }
        let agreed = fs::read_to_string(&golden).unwrap_or_default();
        if plan != agreed {
            let line = plan.lines().zip(agreed.lines()).position(|(now, then)| now != then);
            let line = line.unwrap_or(plan.lines().count().min(agreed.lines().count()));
            let shown = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
            different.push(format!("{name}, line {}:\n  now:    {}\n  agreed: {}", line + 1, shown(&plan), shown(&agreed)));
        }
    }
    assert!(different.is_empty(), "{}\nlook at the change; NSLAB_BLESS=1 cargo test --test plans agrees", different.join("\n"));
}

#[test]
fn no_plan_is_agreed_on_for_a_topology_that_is_gone() {
    let names = shipped();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(names.iter().any(|shipped| shipped == name), "{} belongs to no topology", path.display());
    }
}
