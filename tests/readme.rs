//! What the documents show is what nslab does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{INCUS, Machine, in_box, ok, run};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The insides of a document's fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// Every `$ command` of a block with the output shown below it.
fn commands(block: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), Vec::new())),
            (None, Some((_, shown))) => shown.push(line.to_owned()),
            (None, None) => panic!("output before the first command: {line}"),
        }
    }
    found
}

/// A line without what differs each time: milliseconds, and how wide a column is.
fn steady(line: &str) -> String {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let timed = |at: usize| words.get(at + 1).is_some_and(|next| next.starts_with("ms"));
    let word = |(at, word): (usize, &&str)| {
        let value = word.split_once('=').map_or(*word, |(_, value)| value);
        let number = value.parse::<f64>().is_ok() || value.split('/').all(|part| part.parse::<f64>().is_ok());
        if timed(at) && number { "N".to_owned() } else { (*word).to_owned() }
    };
    let kept = words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
    let kept = kept.trim_start_matches(['│', '|', ' ']);
    kept.split("time ").next().unwrap().to_owned()
}

fn binary_first_in_path() -> String {
    let here = Path::new(env!("CARGO_BIN_EXE_nslab")).parent().unwrap();
    format!("{}:{}", here.display(), std::env::var("PATH").unwrap())
}

/// Fenced blocks in their order: what stands behind the fence, and their insides.
fn fences(text: &str) -> Vec<(String, String)> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once("\n```") {
        let (info, inside) = after.split_once('\n').unwrap();
        let (inside, after) = inside.split_once("\n```").unwrap();
        found.push((info.to_owned(), inside.to_owned()));
        rest = after;
    }
    found
}

/// Runs a document's blocks in their order: `sh HOST` is typed into that host's shell, and of a `console` block the lines
/// shown must come, in their order; `...` stands for lines left out. `console incus` is for a test that needs Incus's client.
fn check(name: &str, locale: &str) -> usize {
    let mut checked = 0;
    for (info, inside) in fences(&document(name)) {
        match info.split_once(' ') {
            None if info == "console" => checked += console(name, locale, &inside),
            Some(("sh", host)) => {
                let nslab = env!("CARGO_BIN_EXE_nslab");
                let path = format!("PATH={}\n{inside}", binary_first_in_path());
                run(Command::new(nslab).args(["exec", host, "sh", "-ec", &path])).expect(0);
            }
            _ => {}
        }
    }
    checked
}

/// Runs the commands of a block; how many lines were compared.
fn console(name: &str, locale: &str, block: &str) -> usize {
    let mut checked = 0;
    for (command, shown) in commands(block) {
        let plain = &command.trim_start_matches("sudo ").replace("$(sudo ", "$(");
        let ran = run(Command::new("sh")
            .args(["-c", plain])
            .env("PATH", binary_first_in_path())
            .env("COLUMNS", "100")
            .env("LANG", locale)
            .env_remove("LC_ALL")
            .env_remove("RUST_BACKTRACE")
            .current_dir(env!("CARGO_MANIFEST_DIR")));
        let said = format!("{}{}", ran.out, ran.err);
        let came: Vec<String> = said.lines().map(steady).collect();
        let mut rest = &came[..];
        for line in shown.iter().map(|line| steady(line)).filter(|line| !line.is_empty() && line != "...") {
            let at = rest.iter().position(|came| *came == line);
            let at = at.unwrap_or_else(|| panic!("{name}: `{command}` does not print\n  {line}\nbut\n{ran}"));
            rest = &rest[at + 1..];
            checked += 1;
        }
    }
    checked
}

#[test]
fn the_readmes_examples_print_what_it_shows() {
    in_box(|| {
        let machine = Machine::look();
        let lines = check("README.md", "en_US.UTF-8");
        assert!(lines >= 10, "the README shows only {lines} lines of output");
        machine.assert_unchanged("the README's examples");
    });
}

#[test]
fn the_assignment_walked_through_prints_what_it_shows_in_both_languages() {
    in_box(|| {
        let machine = Machine::look();
        for (name, locale) in [("docs/lab.md", "en_US.UTF-8"), ("docs/practica-4.md", "es_ES.UTF-8")] {
            let lines = check(name, locale);
            assert!(lines >= 200, "{name} shows only {lines} lines of output");
        }
        machine.assert_unchanged("the assignment walked through");
    });
}

#[test]
fn lxc_on_one_host_and_on_another_prints_what_the_document_shows() {
    in_box(|| {
        let machine = Machine::look();
        let lines = check("docs/remote.md", "en_US.UTF-8");
        assert!(lines >= 30, "docs/remote.md shows only {lines} lines of output");
        machine.assert_unchanged("the document on remotes");
    });
}

#[test]
fn in_class_incuss_client_prints_what_the_document_shows() {
    in_box(|| {
        let machine = Machine::look();
        let typed = fences(&document("docs/remote.md")).into_iter().filter(|(info, _)| info == "console incus");
        // It is on the machine, but not where a host's shell looks for commands.
        let lines: usize = typed
            .map(|(_, inside)| console("docs/remote.md", "en_US.UTF-8", &inside.replace(" incus ", &format!(" {INCUS} "))))
            .sum();
        assert!(lines >= 10, "docs/remote.md shows only {lines} lines of output");
        machine.assert_unchanged("the document on Incus");
    });
}

#[test]
fn the_format_documents_example_is_valid_and_comes_up() {
    in_box(|| {
        let examples = blocks(&document("docs/topology-format.md"), "yaml");
        assert!(examples[0].starts_with("name:"));
        let mut whole = String::new();
        for example in examples {
            // A part stands for itself in the document, and belongs to the whole file before it.
            whole = if example.starts_with("name:") { example } else { format!("{whole}\n{example}") };
            fs::write("/run/example.yaml", &whole).unwrap();
            ok("validate /run/example.yaml");
            ok("up /run/example.yaml");
            ok("down --all");
        }
    });
}

#[test]
fn the_demo_runs_through_and_leaves_nothing() {
    in_box(|| {
        let machine = Machine::look();
        let ran =
            run(Command::new("sh").args(["tests/demo.sh", env!("CARGO_BIN_EXE_nslab")]).current_dir(env!("CARGO_MANIFEST_DIR")));
        let ran = ran.expect(0);
        assert!(ran.out.contains(" 0% packet loss"), "{ran}");
        machine.assert_unchanged("make demo");
    });
}

#[test]
fn the_readme_has_exactly_the_two_commands() {
    let readme = document("README.md");
    for command in ["make demo", "make test"] {
        assert!(readme.lines().any(|line| line.trim_start().starts_with(command)), "{command} is not in the README");
    }
    let makefile = document("Makefile");
    assert!(makefile.contains("\ndemo:") && makefile.contains("\ntest:"));
}
