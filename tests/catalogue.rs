//! The catalogues of sentences: every sentence of the source is in each of them with its placeholders, and nothing else is.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A context and an English text.
type Key = (String, String);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// A string literal at the beginning of a text: what it means, and what follows.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut meant = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((meant, rest.as_str())),
            '\\' => match rest.next()? {
                'n' => meant.push('\n'),
                't' => meant.push('\t'),
                'u' => {
                    let (number, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    meant.push(char::from_u32(u32::from_str_radix(number, 16).ok()?)?);
                    rest = after.chars();
                }
                '\n' => rest = rest.as_str().trim_start().chars(),
                other => meant.push(other),
            },
            other => meant.push(other),
        }
    }
}

/// What stands in the brackets that a text begins within: its string literals, with the depth of brackets of each.
fn literals(mut text: &str) -> Vec<(String, usize)> {
    let (mut depth, mut found) = (0, Vec::new());
    while let Some(next) = text.chars().next() {
        if let Some((meant, after)) = literal(text) {
            found.push((meant, depth));
            text = after;
            continue;
        }
        match next {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            // A character in quotes may be a bracket.
            '\'' if text.chars().nth(2) == Some('\'') => text = &text[text.char_indices().nth(2).unwrap().0..],
            _ => {}
        }
        text = &text[next.len_utf8()..];
    }
    found
}

/// Source without its comments and attributes.
fn code(text: &str) -> String {
    let kept = text.lines().filter(|line| !["//", "#["].iter().any(|start| line.trim_start().starts_with(start)));
    kept.collect::<Vec<_>>().join("\n") + "\n"
}

/// Every sentence that the source says by `t!`, `w!`, `words!` and `n!`.
fn said() -> BTreeSet<Key> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut said = BTreeSet::new();
    for path in files
        .iter()
        .filter(|path| !path.ends_with("render/lang/catalogue.rs"))
        .chain([&root().join("src/render/lang/catalogue.rs")])
    {
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let code = code(text);
        for name in ["t!(", "w!(", "words!(", "n!("] {
            for (at, _) in code.match_indices(name) {
                let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let inner = &code[at + name.len()..];
                // The macros' own rules, and what they say of each other.
                if !whole || inner.starts_with(['$', '@']) {
                    continue;
                }
                let found = literals(inner);
                match name {
                    "words!(" => said.extend(found.into_iter().map(|(text, _)| (String::new(), text))),
                    "n!(" => {
                        let two = found.iter().rev().filter(|(_, depth)| *depth == 0).take(2);
                        said.extend(two.map(|(text, _)| (String::new(), text.clone())));
                    }
                    _ => {
                        let bracket = inner.split_once(',').is_some_and(|(_, after)| after.trim_start().starts_with('['));
                        let mut found = found.into_iter();
                        let context = if bracket { found.next().unwrap().0 } else { String::new() };
                        let (english, _) = found.next().unwrap_or_else(|| panic!("{}: no literal in {name}", path.display()));
                        said.insert((context, english));
                    }
                }
            }
        }
    }
    said
}

/// What is looked up at run time.
fn looked_up() -> BTreeSet<Key> {
    let names = nslab::topology::catalog::names().filter_map(nslab::topology::catalog::find);
    let summaries = names.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("summary: ")));
    summaries.map(|summary| ("topology".to_owned(), summary.trim_matches('"').to_owned())).collect()
}

/// The paragraphs of a text of the grammar; of one with lines that are typed the other lines, since those are the same everywhere.
fn to_translate(text: &str) -> Vec<String> {
    let typed = |line: &str| ["nslab ", "sudo ", "source "].iter().any(|start| line.starts_with(start)) && !line.contains("   ");
    let paragraph = |text: &str| {
        if text.lines().any(|line| typed(line.trim())) {
            text.lines().map(str::trim).filter(|line| !typed(line)).map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        }
    };
    text.split("\n\n").flat_map(paragraph).collect()
}

/// Every help text of a command and of those in it.
fn helps(command: &clap::Command, found: &mut BTreeSet<String>) {
    if command.is_hide_set() {
        return;
    }
    let of_command = [
        command.get_about(),
        command.get_long_about(),
        command.get_before_help(),
        command.get_before_long_help(),
        command.get_after_help(),
        command.get_after_long_help(),
    ];
    let of_arguments = command.get_arguments().flat_map(|arg| [arg.get_help(), arg.get_long_help()]);
    let of_values = command.get_arguments().flat_map(clap::Arg::get_possible_values);
    let of_values = of_values.filter_map(|value| value.get_help().map(ToString::to_string));
    let texts = of_command.into_iter().chain(of_arguments).flatten().map(ToString::to_string).chain(of_values);
    found.extend(texts.flat_map(|text| to_translate(&text)));
    command.get_subcommands().for_each(|inner| helps(inner, found));
}

/// Every help text of the grammar, clap's own among them.
fn help() -> BTreeSet<Key> {
    let mut grammar = nslab::cli::grammar();
    let mut found = BTreeSet::from(["Print help for the subcommand(s)".to_owned()]);
    grammar.build();
    helps(&grammar, &mut found);
    found.into_iter().map(|text| ("help".to_owned(), text)).collect()
}

/// A catalogue as it stands in its file.
fn catalogue(path: &Path) -> BTreeMap<Key, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut read = BTreeMap::new();
    for block in text.split("\n\n") {
        let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with('#')).collect();
        match lines.as_slice() {
            [] => {}
            [english, translation] => {
                let (context, english) =
                    english.strip_prefix('[').and_then(|rest| rest.split_once("] ")).unwrap_or(("", english));
                let unescape = |text: &str| literal(&format!("\"{}\"", text.replace('"', "\\\""))).unwrap().0;
                let key = (context.to_owned(), unescape(english));
                let twice = read.insert(key, unescape(translation));
                assert!(twice.is_none(), "{}: twice: {english}", path.display());
            }
            other => panic!("{}: not an English line and its translation: {other:#?}", path.display()),
        }
    }
    read
}

fn placeholders(text: &str) -> BTreeSet<String> {
    let text = text.replace("{{", "").replace("}}", "");
    text.split('{').skip(1).map(|part| part.split('}').next().unwrap().to_owned()).collect()
}

/// A literal without its placeholders.
fn without_braces(text: &str) -> String {
    text.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after)).collect::<Vec<_>>().join(" ")
}

/// Every language but English.
fn catalogues() -> Vec<PathBuf> {
    let all = std::fs::read_dir(root().join("src/render/lang")).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect()
}

#[test]
fn every_sentence_of_the_source_is_in_every_catalogue_with_its_placeholders_and_none_is_left_over() {
    let said: BTreeSet<Key> = said().into_iter().chain(looked_up()).chain(help()).collect();
    assert!(said.len() > 1000, "only {} sentences were found", said.len());
    assert!(!catalogues().is_empty());
    let mut faults = Vec::new();
    for path in catalogues() {
        let read = catalogue(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What an unfinished one lacks is said in English. Those that nslab comes with are whole.
        let unfinished = std::fs::read_to_string(&path).unwrap().starts_with("# Unfinished");
        assert!(!unfinished || name != "es.txt");
        for key in &said {
            match read.get(key) {
                None if unfinished => {}
                None => faults.push(format!("{name}: not there: {key:?}")),
                Some(translation) if placeholders(translation) != placeholders(&key.1) => {
                    faults.push(format!("{name}: other placeholders: {key:?}: {translation:?}"));
                }
                Some(_) => {}
            }
        }
        // The system's own sentences.
        let errno = |text: &str| (1..200).any(|number| nix::errno::Errno::from_raw(number).desc() == text);
        let known = |(context, text): &Key| context == "errno" && errno(text);
        faults.extend(
            read.keys().filter(|key| !said.contains(*key) && !known(key)).map(|key| format!("{name}: said nowhere: {key:?}")),
        );
    }
    assert!(faults.is_empty(), "{}\n{} faults", faults.join("\n"), faults.len());
}

#[test]
fn a_format_in_a_placeholder_is_no_sentence() {
    for (_, english) in said() {
        let odd = placeholders(&english).into_iter().find(|name| name.is_empty() || name.contains(':'));
        assert_eq!(odd, None, "{english:?}");
    }
}

/// What begins a line that is typed, or names a thing, and is the same in every language.
const TYPED: [&str; 16] = [
    "nslab ",
    "sudo ",
    "{sudo}",
    "ip ",
    "tc ",
    "iptables-legacy ",
    "lxc ",
    "unshare ",
    "VBoxManage ",
    "Hyper-V:",
    "{command}",
    "{to} via",
    "ether host",
    "icmp,",
    "network namespaces",
    "seq=",
];

#[test]
fn what_is_said_stands_in_a_catalogue_or_is_typed() {
    let said: BTreeSet<String> = said().into_iter().map(|(_, english)| english).collect();
    let mut files = Vec::new();
    sources(&root().join("src/render/sentences"), &mut files);
    let mut faults = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = code(text.split("#[cfg(test)]").next().unwrap());
        for (literal, _) in literals(&code) {
            let words = without_braces(&literal).split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 1).count();
            let typed = TYPED.iter().any(|start| literal.trim_start().starts_with(start));
            if literal.contains(' ') && words > 1 && !typed && !said.contains(&literal) {
                faults.push(format!("{}: {literal:?}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
