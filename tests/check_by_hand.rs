//! `nslab check --against`: labs that somebody made by hand, right and wrong. The cases are the scripts of `tests/hand`; the head
//! of each says in which lab it works, what it is checked against, the verdict, and a word of the reason.
//! `HAND=routed-nat cargo test --test check_by_hand` runs those of that name alone and prints them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::fs;
use std::process::Command;

use support::{in_box, nslab, ok, run};

/// A script of the folder.
struct Case {
    name: String,
    lab: String,
    against: String,
    passes: bool,
    why: String,
    path: String,
}

fn cases() -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hand");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "sh")).collect();
    paths.sort();
    let case = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let head = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("# {key}: ")));
            line.unwrap_or_else(|| panic!("{}: no line \"# {key}:\"", path.display())).to_owned()
        };
        let passes = match head("verdict").as_str() {
            "pass" => true,
            "fail" => false,
            other => panic!("{}: {other}", path.display()),
        };
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = path.to_str().unwrap().to_owned();
        Case { name, lab: head("lab"), against: head("against"), passes, why: head("why"), path }
    };
    paths.iter().map(case).collect()
}

/// What nslab says of a case, in one line.
fn judge(case: &Case) -> (i32, String) {
    ok(&format!("--quiet up {}", case.lab));
    let script = format!(". {}/tests/hand/steps\n. {}", env!("CARGO_MANIFEST_DIR"), case.path);
    let done = run(Command::new("sh").args(["-c", &script]).env("LAB", &case.lab).env("NSLAB", env!("CARGO_BIN_EXE_nslab")));
    assert_eq!(done.code, 0, "{}: the steps themselves fail:\n{done}", case.name);
    let ran = nslab(&format!("check {} --against {}", case.lab, case.against));
    ok(&format!("--quiet down {}", case.lab));
    if std::env::var_os("HAND").is_some() {
        eprintln!("--- {}\n{ran}", case.name);
    }
    (ran.code, ran.out)
}

#[test]
fn no_lab_made_by_hand_is_misjudged() {
    in_box(|| {
        let wanted = std::env::var("HAND").unwrap_or_default();
        let all = cases();
        assert!(all.len() >= 30, "{} cases", all.len());
        let mut wrong = Vec::new();
        for case in all.iter().filter(|case| case.name.contains(&wanted)) {
            let (code, output) = judge(case);
            let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
            if code != i32::from(!case.passes) {
                wrong.push(format!("{}: exit code {code}\n{output}", case.name));
            } else if !line.contains(&case.why) {
                wrong.push(format!("{}: does not say {:?}\n{output}", case.name, case.why));
            }
        }
        assert!(wrong.is_empty(), "{} misjudged:\n{}", wrong.len(), wrong.join("\n"));
    });
}
