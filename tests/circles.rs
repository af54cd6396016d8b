//! No two files of `src` use each other, directly or round about: the house can be read from the bottom up.
//!
//! The file of a folder may use what is in the folder, which is what it is for; what is in it may use the folder's file.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Module = Vec<String>;

/// A `use` of a file: what it names, under which name, and whether it only passes it on.
struct Import {
    path: Vec<String>,
    name: String,
    public: bool,
}

struct File {
    module: Module,
    imports: Vec<Import>,
    /// Paths of more than one word in the code besides its imports, and single words.
    paths: Vec<Vec<String>>,
    words: BTreeSet<String>,
}

/// Words, `::`, and single signs; no comments, no texts.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut found) = (0, Vec::new());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let rest = &chars[at..];
        let raw = || rest.iter().skip(1).take_while(|c| **c == '#').count();
        match rest {
            ['/', '/', ..] => at += rest.iter().take_while(|c| **c != '\n').count(),
            ['r', '"' | '#', ..] if rest.get(raw() + 1) == Some(&'"') => {
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', raw())).collect();
                let start = raw() + 2;
                at += start + rest[start..].windows(end.len()).position(|part| part == end).unwrap() + end.len();
            }
            ['"', ..] => {
                at += 1;
                while chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            ['\'', '\\', ..] => at += 3 + rest[3..].iter().position(|c| *c == '\'').unwrap(),
            ['\'', _, '\'', ..] => at += 3,
            [':', ':', ..] => {
                found.push("::".to_owned());
                at += 2;
            }
            [c, ..] if is_word(*c) => {
                let word: String = rest.iter().take_while(|c| is_word(**c)).collect();
                at += word.chars().count();
                found.push(word);
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
                at += 1;
            }
            [] => {}
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The tokens without the modules that are compiled for tests alone.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let head = ["#", "[", "cfg", "(", "test", ")", "]"];
    let Some(start) = tokens.windows(head.len()).position(|part| part.iter().map(String::as_str).eq(head)) else {
        return tokens;
    };
    // Up to what the attributes belong to; of an item that is no module, the attributes alone go.
    let mut end = start + head.len();
    while tokens[end] == "#" {
        end += 1 + tokens[end..].iter().position(|token| token == "]").unwrap();
    }
    if tokens[end] == "mod" {
        end += 2;
    }
    if tokens[end] == "{" {
        let mut depth = 0;
        loop {
            match tokens[end].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth == 0 {
                break;
            }
        }
    }
    without_tests([&tokens[..start], &tokens[end..]].concat())
}

/// `a::{b, c::{self, d as e}}` as `a::b`, `a::c` and `a::d` named `e`; returns how many tokens it took.
fn tree(tokens: &[String], before: &[String], public: bool, found: &mut Vec<Import>) -> usize {
    let (mut at, mut path) = (0, before.to_vec());
    loop {
        match tokens[at].as_str() {
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at += tree(&tokens[at..], &path, public, found);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            "::" => at += 1,
            "self" if !path.is_empty() => at += 1,
            word if is_word(word) && word != "as" => {
                path.push(word.to_owned());
                at += 1;
            }
            "*" => {
                path.push("*".to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens[at] == "as" {
        name.clone_from(&tokens[at + 1]);
        at += 2;
    }
    found.push(Import { path, name, public });
    at
}

fn read(module: Module, text: &str) -> File {
    let tokens = without_tests(tokens(text));
    let (mut imports, mut paths, mut words, mut at) = (Vec::new(), Vec::new(), BTreeSet::new(), 0);
    while at < tokens.len() {
        if tokens[at] == "use" {
            let public = at > 0 && [")", "pub"].contains(&tokens[at - 1].as_str());
            at += 1 + tree(&tokens[at + 1..], &[], public, &mut imports);
            continue;
        }
        let mut path = Vec::new();
        while at < tokens.len() && is_word(&tokens[at]) {
            path.push(tokens[at].clone());
            at += 1;
            if tokens.get(at).is_none_or(|next| next != "::") || tokens.get(at + 1).is_none_or(|next| !is_word(next)) {
                break;
            }
            at += 1;
        }
        words.extend(path.first().cloned());
        match path.len() {
            0 => at += 1,
            1 => {}
            _ => paths.push(path),
        }
    }
    File { module, imports, paths, words }
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

struct House(BTreeMap<Module, File>);

impl House {
    fn of_sources() -> Self {
        let (src, mut paths) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
        rust_files(&src, &mut paths);
        let module = |path: &Path| -> Module {
            let inner = path.strip_prefix(&src).unwrap().with_extension("");
            inner.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod" && part != "lib").collect()
        };
        let files = paths.iter().map(|path| (module(path), fs::read_to_string(path).unwrap()));
        Self::of(files.filter(|(module, _)| module.iter().all(|part| part != "main" && part != "tests")))
    }

    fn of(files: impl Iterator<Item = (Module, String)>) -> Self {
        Self(files.map(|(module, text)| (module.clone(), read(module, &text))).collect())
    }

    /// The file that what a path names is written in, followed through those that pass it on.
    fn home(&self, path: &[String], from: &Module, depth: usize) -> Option<Module> {
        let (mut here, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
            }
            first => {
                let child = [from.as_slice(), &[first.to_owned()]].concat();
                (self.0.contains_key(&child) || self.import(from, first).is_some()).then(|| (from.clone(), path))?
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let child = [here.as_slice(), std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                (here, rest) = (child, after);
                continue;
            }
            let import = self.import(&here, name).filter(|_| depth < 10);
            return match import {
                Some(import) => self.home(&[&import.path, after].concat(), &here, depth + 1),
                None => Some(here),
            };
        }
        Some(here)
    }

    fn import(&self, module: &Module, name: &str) -> Option<&Import> {
        self.0.get(module)?.imports.iter().find(|import| import.name == name)
    }

    /// The files that a file uses, each with what it names of it.
    fn used(&self, file: &File) -> BTreeMap<Module, BTreeSet<String>> {
        let mut found: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
        let passed_on = |import: &Import| import.public && !file.words.contains(&import.name);
        let imported = file.imports.iter().filter(|import| !passed_on(import)).map(|import| &import.path);
        for path in imported.chain(&file.paths) {
            let home = self.home(path, &file.module, 0);
            if let Some(home) = home.filter(|home| !home.starts_with(&file.module) && !home.is_empty()) {
                found.entry(home).or_default().insert(path.last().unwrap().clone());
            }
        }
        found
    }

    /// Groups of files of which each uses, directly or not, all others of its group.
    fn circles(&self) -> Vec<Vec<String>> {
        let uses: BTreeMap<&Module, _> = self.0.values().map(|file| (&file.module, self.used(file))).collect();
        let reached = |from: &Module| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(next) = open.pop() {
                let more = uses.get(&next).into_iter().flat_map(BTreeMap::keys);
                open.extend(more.filter(|other| seen.insert((*other).clone())).cloned().collect::<Vec<_>>());
            }
            seen
        };
        let reach: BTreeMap<&Module, BTreeSet<Module>> = self.0.keys().map(|module| (module, reached(module))).collect();
        let mut groups: BTreeSet<Vec<&Module>> = BTreeSet::new();
        for (module, reached) in reach.iter().filter(|(module, reached)| reached.contains(**module)) {
            groups.insert(
                reach.keys().copied().filter(|other| reached.contains(*other) && reach[*other].contains(*module)).collect(),
            );
        }
        let told = |group: Vec<&Module>| {
            let inner = |module: &Module| {
                let to = uses[module].iter().filter(|(other, _)| group.contains(other));
                let told = to.map(|(other, names)| {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    format!("{} uses {}: {}", module.join("::"), other.join("::"), names.join(", "))
                });
                told.collect::<Vec<_>>()
            };
            group.iter().flat_map(|module| inner(module)).collect()
        };
        groups.into_iter().map(told).collect()
    }
}

#[test]
fn no_two_files_use_each_other_directly_or_round_about() {
    let house = House::of_sources();
    assert!(house.0.len() > 50, "src is not where this test looks for it");
    let circles = house.circles();
    let told: Vec<String> =
        circles.iter().enumerate().map(|(at, lines)| format!("circle {}:\n  {}", at + 1, lines.join("\n  "))).collect();
    assert!(circles.is_empty(), "\n{}\n", told.join("\n"));
}

#[test]
fn the_reader_of_circles_sees_every_form() {
    let house = |files: &[(&str, &str)]| {
        let module = |path: &str| path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        House::of(files.iter().map(|(path, text)| (module(path), (*text).to_owned()))).circles().len()
    };
    let root = ("", "mod a; mod b;");
    assert_eq!(house(&[root, ("a", "use crate::b::B; struct A;"), ("b", "fn f() { crate::a::g() } struct B;")]), 1);
    assert_eq!(
        house(&[root, ("a", "use super::{b::{self, B}};"), ("b", "struct B; // crate::a\n const C: &str = \"crate::a::A\";")]),
        0
    );
    // A folder's file and what is in the folder; but two of those.
    assert_eq!(house(&[root, ("a", "mod c; pub use c::C; struct A(C);"), ("a::c", "use super::A; pub struct C;")]), 0);
    let (one, other) = (("a::c", "use super::d; pub struct C;"), ("a::d", "use crate::a::c::C;"));
    assert_eq!(house(&[root, ("a", "mod c; mod d; pub struct A;"), one, other]), 1);
    // Through a name that another file passes on.
    let passing = ("a", "mod c; mod d; pub use c::C;");
    assert_eq!(house(&[root, passing, ("a::c", "use super::d::D; pub struct C;"), ("a::d", "use crate::a::C; struct D;")]), 1);
    // What only tests use makes none.
    assert_eq!(
        house(&[
            root,
            ("a", "use crate::b; #[cfg(test)] mod tests { use super::*; } "),
            ("b", "#[cfg(test)] #[allow(x)] mod tests { use crate::a::A; }")
        ]),
        0
    );
}
