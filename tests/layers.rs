//! The order of the house, read from its source: who may use whom, how long a file may be, where `unsafe` and printing live.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every room of `src` and its layer; a file uses its own layer or a lower one. A room whose parts stand on layers of their own
/// is named by them.
const LAYERS: &[(&str, u8)] = &[
    ("name", 0),
    ("error", 0),
    ("problem", 0),
    ("typed", 0),
    ("topology", 1),
    ("lxd::devices", 1),
    ("lxd::options", 1),
    ("plan", 2),
    ("graph", 2),
    ("lxd::script", 2),
    ("render", 3),
    ("report", 3),
    ("kernel", 4),
    ("lab", 5),
    ("probe", 5),
    ("check", 5),
    ("lxd::client", 5),
    ("lxd::tls", 5),
    ("commands", 6),
    ("lxd::lxc", 6),
    ("lxd::server", 6),
    ("cli", 7),
    ("main", 7),
];
const LONGEST_FILE: usize = 500;

struct Source {
    path: PathBuf,
    /// The module's path: `["plan", "state"]` for `src/plan/state.rs`.
    module: Vec<String>,
    text: String,
}

impl Source {
    fn top(&self) -> &str {
        &self.module[0]
    }

    /// The text without comments and with every line's number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap()))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: PathBuf| {
        let inner = path.strip_prefix(&src).unwrap().with_extension("");
        let module = inner.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod").collect();
        Source { text: fs::read_to_string(&path).unwrap(), module, path }
    };
    let found: Vec<Source> = rust_files(&src).into_iter().map(read).filter(|source| source.top() != "lib").collect();
    assert!(found.len() > 5, "src is not where this test looks for it: {}", src.display());
    found
}

/// The layer of a path: of `lxd::devices::kind` that of `lxd::devices`, else that of its room.
fn layer(path: &str) -> Option<u8> {
    let of = |name: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    LAYERS.iter().find(|(name, _)| of(name)).map(|(_, layer)| *layer)
}

/// What a file names by `crate::…`, by `nslab::…` in the binary, or by `super::…` out of its own part of the house.
fn used(source: &Source) -> Vec<String> {
    let code: String = source.code().map(|(_, line)| line).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for prefix in ["crate::", "nslab::", "super::"] {
        if prefix == "nslab::" && source.top() != "main" {
            continue;
        }
        for at in code.match_indices(prefix).map(|(at, _)| at).filter(|at| starts_a_path(&code[..*at])) {
            let mut rest = &code[at..];
            let mut above = source.module.len();
            while let Some(inner) = rest.trim_start().strip_prefix("super::") {
                (rest, above) = (inner, above.saturating_sub(1));
            }
            if prefix == "super::" {
                // In a test module inside the file `super` is the file itself: there only a layer's name counts.
                let room = source.module[..above].iter().map(|part| part.clone() + "::").collect::<String>();
                let names = first_names(rest.trim_start()).into_iter().map(|name| room.clone() + &name);
                found.extend(names.filter(|name| layer(name).is_some() && (above == 0 || split(&source.module[0]))));
            } else {
                found.extend(first_names(code[at + prefix.len()..].trim_start()));
            }
        }
    }
    found
}

/// A room whose parts stand on layers of their own.
fn split(room: &str) -> bool {
    LAYERS.iter().any(|(name, _)| name.split_once("::").is_some_and(|(top, _)| top == room))
}

fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':')
}

/// `plan::Op` names `plan`; `{error::Error, plan::{Op, Key}}` names `error` and `plan`. Of a room with parts the part is named,
/// too: `lxd::{client, server::Agent}` names `lxd::client` and `lxd::server`.
fn first_names(path: &str) -> Vec<String> {
    if !path.starts_with('{') {
        let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        return match path[name.len()..].strip_prefix("::") {
            Some(rest) if split(&name) => first_names(rest.trim_start()).iter().map(|part| format!("{name}::{part}")).collect(),
            _ => vec![name],
        };
    }
    let (mut depth, mut names) = (0, Vec::new());
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && (c == '{' || c == ',') {
            names.extend(first_names(path[at + 1..].trim_start()));
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_module_uses_its_own_layer_or_a_lower_one() {
    let mut faults = Vec::new();
    for source in sources() {
        let path = source.path.display();
        let module = source.module.join("::");
        let Some(own) = layer(&module).or_else(|| split(&module).then_some(u8::MAX)) else {
            faults.push(format!("{path}: give `{module}` a layer in tests/layers.rs"));
            continue;
        };
        for name in used(&source) {
            match layer(&name) {
                Some(other) if other > own => {
                    faults.push(format!("{path}: layer {own} uses `{name}` of layer {other}"));
                }
                Some(_) => {}
                None if name.starts_with(char::is_uppercase) => {}
                None if split(&name) => {}
                None => faults.push(format!("{path}: `crate::{name}` has no layer in tests/layers.rs")),
            }
        }
    }
    report(&faults);
}

#[test]
fn the_reader_of_paths_sees_every_form() {
    let source = Source {
        path: PathBuf::new(),
        module: vec!["plan".to_owned(), "fact".to_owned()],
        text: "use crate::{error::{Error, Result}, lab}; // crate::cli\n fn f() { crate::kernel::x(); super::super::check::y(); mycrate::z() }"
            .to_owned(),
    };
    assert_eq!(used(&source), ["error", "lab", "kernel", "check"]);
}

#[test]
fn the_parts_of_a_room_are_seen_however_they_are_named() {
    let source = Source {
        path: PathBuf::new(),
        module: ["lxd", "client", "tls"].map(str::to_owned).to_vec(),
        text: "use super::super::server::{Agent}; use super::wire; use crate::lxd::{devices::{kind, plug}, script}; use crate::lxd::tls;"
            .to_owned(),
    };
    assert_eq!(used(&source), ["lxd::devices", "lxd::script", "lxd::tls", "lxd::server", "lxd::client::wire"]);
    assert_eq!((layer("lxd::server::api"), layer("lxd::serverless"), layer("labor")), (Some(6), None, None));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let files = ["src", "tests", "benches"].map(|dir| root().join(dir)).into_iter().filter(|dir| dir.exists());
    let mut faults = Vec::new();
    for path in files.flat_map(|dir| rust_files(&dir)) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!("{}: {lines} lines; split it", path.display()));
        }
    }
    report(&faults);
}

#[test]
fn unsafe_code_lives_in_kernel_sys_alone() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !(source.module.len() > 1 && source.module[..2] == ["kernel", "sys"])) {
        for (number, line) in source.code() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe" || word == "unsafe_code") {
                faults.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
            }
        }
    }
    report(&faults);
}

#[test]
fn only_render_the_command_line_and_main_print() {
    let printers = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !["render", "cli", "main"].contains(&source.top())) {
        for (number, line) in source.code() {
            if printers.iter().any(|printer| line.match_indices(printer).any(|(at, _)| starts_a_path(&line[..at]))) {
                faults.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
            }
        }
    }
    report(&faults);
}
