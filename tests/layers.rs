//! The order of the house, read from its source: who may use whom, how long a file may be, where `unsafe` and printing live.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module at the top of `src` and its layer; a module uses its own layer or a lower one.
const LAYERS: [(&str, u8); 18] = [
    ("name", 0),
    ("error", 0),
    ("problem", 0),
    ("typed", 0),
    ("topology", 1),
    ("plan", 2),
    ("render", 3),
    ("report", 3),
    ("kernel", 4),
    ("lab", 5),
    ("probe", 5),
    ("check", 5),
    ("check", 5),
    ("remote", 5),
    ("commands", 6),
    ("agent", 6),
    ("cli", 7),
    ("main", 7),
];
const LONGEST_FILE: usize = 500;

struct Source {
    path: PathBuf,
    /// The module's path: `["plan", "fact"]` for `src/plan/fact.rs`.
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

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The top modules that a file names by `crate::…`, by `nslab::…` in the binary, or by `super::` up to the root.
fn used(source: &Source) -> Vec<String> {
    let code: String = source.code().map(|(_, line)| line).collect::<Vec<_>>().join(" ");
    let up = "super::".repeat(source.module.len());
    let mut found = Vec::new();
    for prefix in ["crate::", "nslab::", &up] {
        if prefix == "nslab::" && source.top() != "main" {
            continue;
        }
        let starts: Vec<usize> = code.match_indices(prefix).map(|(at, _)| at).filter(|at| starts_a_path(&code[..*at])).collect();
        for at in starts {
            // In a test module inside the file `super` is the file itself: there only a layer's name counts.
            let names = first_names(code[at + prefix.len()..].trim_start()).into_iter();
            found.extend(names.filter(|name| prefix != up || layer(name).is_some()));
        }
    }
    found
}

fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':')
}

/// `plan::Op` names `plan`; `{error::Error, plan::{Op, Key}}` names `error` and `plan`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !path.starts_with('{') {
        return vec![word(path)];
    }
    let (mut depth, mut names) = (0, Vec::new());
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && (c == '{' || c == ',') {
            names.push(word(&path[at + 1..]));
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
        let Some(own) = layer(source.top()) else {
            faults.push(format!("{path}: give `{}` a layer in tests/layers.rs", source.top()));
            continue;
        };
        for name in used(&source) {
            match layer(&name) {
                Some(other) if other > own => {
                    faults.push(format!("{path}: layer {own} uses `{name}` of layer {other}"));
                }
                Some(_) => {}
                None if name.starts_with(char::is_uppercase) => {}
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
        text: "use crate::{error::{Error, Result}, lab}; // crate::cli\n fn f() { crate::kernel::x(); super::super::agent::y(); mycrate::z() }"
            .to_owned(),
    };
    assert_eq!(used(&source), ["error", "lab", "kernel", "agent"]);
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
