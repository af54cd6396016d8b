//! Everything about the command line that needs no root and touches nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::OpenOptions;
use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Ran, fails, ok, run};

fn nslab() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR").env_remove("NSLAB_LAB");
    command
}

fn nslab_in(locale: &str, words: &str) -> Ran {
    run(nslab().env("LC_ALL", locale).args(words.split_whitespace()))
}

/// Every command that help lists.
fn commands() -> Vec<String> {
    let help = ok("--help").out;
    let list = help.split("Commands:\n").nth(1).expect("help lists commands").split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_command_is_there_and_explains_itself() {
    let found = commands();
    for name in [
        "up",
        "down",
        "reset",
        "status",
        "list",
        "topology",
        "exec",
        "shell",
        "ps",
        "show",
        "graph",
        "plan",
        "validate",
        "doctor",
        "schema",
        "completions",
        "man",
    ] {
        assert!(found.iter().any(|command| command == name), "{name} is not in --help: {found:?}");
    }
    for name in found {
        let help = ok(&format!("{name} --help")).out;
        assert!(help.contains("Usage: nslab") && help.lines().next().unwrap().len() > 10, "{name}: {help}");
        let page = ok(&format!("man {name}")).out;
        assert!(page.contains(".TH"), "{name}: {page}");
    }
    assert!(ok("man").out.contains(".SH SUBCOMMANDS"));
}

#[test]
fn nslab_alone_tells_the_topologies_and_what_to_type() {
    let said = run(&mut nslab()).expect(0).out;
    for words in ["bridged", "routed", "nslab up bridged", "nslab doctor"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
}

#[test]
fn a_wrong_word_is_answered_with_the_right_one() {
    for (code, typed, meant) in [
        (2, "dwon", "'down'"),
        (2, "topology brigded", "\"bridged\""),
        (2, "plan ruoted", "\"routed\""),
        (2, "man dcotor", "\"doctor\""),
        (2, "list --fromat json", "--format"),
        (2, "topology bridged extra", "extra"),
        (2, "down bridged --all", "--all"),
        (2, "exec", "<NODE>"),
        (2, "completions tcsh", "bash"),
    ] {
        let ran = fails(code, typed);
        assert!(ran.err.contains(meant), "{typed}: no {meant} in\n{ran}");
        assert!(ran.out.is_empty(), "{ran}");
    }
}

#[test]
fn a_number_that_is_too_small_is_told_in_words() {
    for (lang, words) in [("en", "'--count <N>': at least 1\n"), ("es", "«--count <N>»: 1 como mínimo\n")] {
        for command in ["ping a1 b1", "capture all"] {
            let words_of = command.split(' ').chain(["-c", "0", "--lang", lang]);
            let told = run(nslab().args(words_of));
            assert!(told.code == 2 && told.err.contains(words), "{}", told.err);
        }
    }
}

#[test]
fn a_number_out_of_its_range_is_told_in_words() {
    for (lang, words) in [("en", "'--size <BYTES>': between 0 and 65507\n"), ("es", "«--size <BYTES>»: entre 0 y 65507\n")] {
        for command in ["ping", "trace"] {
            let told = run(nslab().args([command, "a1", "b1", "--size", "70000", "--lang", lang]));
            assert!(told.code == 2 && told.err.contains(words), "{}", told.err);
        }
    }
}

#[test]
fn the_ways_to_use_a_command_stand_under_each_other() {
    for (lang, title) in [("en", "Usage: "), ("es", "Uso: ")] {
        let told = run(nslab().args(["--lang", lang, "capture"])).err;
        let ways = told.lines().filter(|line| line.contains("nslab capture ["));
        let columns: Vec<Option<usize>> = ways.map(|way| way.find("nslab")).collect();
        assert_eq!(columns, [Some(2 + title.len()); 2], "{told}");
    }
}

#[test]
fn help_and_what_is_wrong_with_a_command_line_are_in_the_language_that_the_line_or_the_locale_asks_for() {
    for (locale, words, spanish) in [
        ("C", "--lang es --help", true),
        ("C", "--lang=es help up", true),
        ("es_ES.UTF-8", "help agent start", true),
        ("es_ES.UTF-8", "--lang en up -h", false),
        ("es_ES.UTF-8", "upp", true),
        ("es_ES.UTF-8", "--lang xx list", true),
        ("C", "ping a1 --lang es --count x b1", true),
        ("C", "ping a1 b1 --count x -- --lang es", false),
        ("es_ES.UTF-8", "up bridged --lang en --frob", false),
        ("C", "--lang es agent", true),
    ] {
        let ran = nslab_in(locale, words);
        let text = format!("{}{}", ran.out, ran.err);
        let words_of = |list: [&str; 4]| list.iter().any(|word| text.contains(word));
        let (es, en) = (["Uso:", "Opciones:", "Para saber", "valor"], ["Usage:", "Options:", "For more", "value '"]);
        assert_eq!((words_of(es), words_of(en)), (spanish, !spanish), "{locale} {words}: {text}");
    }
    assert_eq!(nslab_in("es_ES.UTF-8", "man up").expect(0).out, ok("man up").out);
    let odd = nslab_in("es_ES.UTF-8", "up --fr\u{1b}[31mob").expect(2);
    assert!(odd.err.contains(r"--fr\x1b[31mob") && !odd.err.contains('\u{1b}'), "{odd}");
}

#[test]
fn without_root_both_ways_to_get_it_are_shown_before_anything_is_read() {
    let user = |words: &str| -> Ran {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", env!("CARGO_BIN_EXE_nslab")]);
        run(command.args(words.split(' ')).stdin(Stdio::null()))
    };
    for words in ["up /nowhere/at/all.yaml", "up bridged --dry-run", "down x", "reset", "status", "show a1", "ps"] {
        let ran = user(words).expect(3);
        assert!(ran.err.contains(&format!("nslab {words}")), "{ran}");
        assert!(ran.err.contains("try: sudo ") && ran.err.contains("unshare -Urnm"), "{ran}");
    }
    for words in ["exec a1 true", "shell a1"] {
        assert!(user(words).expect(125).err.contains("try: sudo "));
    }
    for words in ["list", "topology", "topology routed", "plan bridged", "schema", "doctor", "man", "completions bash"] {
        assert!(!user(words).expect(0).out.is_empty());
    }
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    for words in ["topology", "plan routed", "--help", "man"] {
        let mut child = nslab().args(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{words}");
    }
}

#[test]
fn a_full_disk_is_told_and_ends_with_1() {
    for words in ["topology", "plan routed", "--help", "--format json list"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let out = nslab().args(words.split(' ')).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{words}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("No space left on device"), "{words}");
    }
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let both = nslab().arg("topology").stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(both.code(), Some(1));
}

#[test]
fn an_odd_environment_changes_nothing() {
    let plain = ok("topology").out;
    let words = "env -u TERM -u HOME LANG=C COLUMNS=1 NO_COLOR=1 \"$0\" topology";
    let sh = |script: &str| run(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_nslab")]).stdin(Stdio::null()));
    assert_eq!(sh(words).expect(0).out, plain);
    assert_eq!(sh("env -i \"$0\" topology").expect(0).out, plain);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        sh(&format!("\"$0\" topology {closed}")).expect(0);
        sh(&format!("\"$0\" validate /nowhere.yaml {closed}")).expect(2);
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let escapes = |environment: &str, words: &str| {
        // script(1) gives the command a terminal.
        let line = format!("env {environment} {} {words}", env!("CARGO_BIN_EXE_nslab"));
        let ran = run(Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()));
        ran.out.contains('\x1b')
    };
    assert!(escapes("TERM=xterm", "topology"));
    assert!(!escapes("TERM=xterm NO_COLOR=1", "topology"));
    assert!(!escapes("TERM=dumb", "topology"));
    assert!(!escapes("-u TERM", "topology"));
    assert!(!escapes("TERM=xterm NO_COLOR=1", "topology nowhere"));
    assert!(!ok("topology").out.contains('\x1b'));
    assert!(!ok("doctor").out.contains('\x1b'));
}

#[test]
fn json_is_json_with_the_documented_keys() {
    let document = include_str!("../docs/json.md");
    for (words, keys) in [
        ("", &["topologies", "labs", "privileged"][..]),
        ("list", &["labs"]),
        ("topology", &["topologies"]),
        ("topology bridged", &["name", "text"]),
        ("plan routed", &["lab", "purpose", "steps"]),
        ("doctor", &["kernel", "rights", "features", "limits", "findings", "interference", "leftovers", "unseen"]),
    ] {
        let value: Value = ok(&format!("--format json {words}")).json();
        let object = value.as_object().expect("an object");
        let found: Vec<&str> = object.keys().map(String::as_str).collect();
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        assert_eq!(found, keys, "{words}");
        for key in keys {
            assert!(document.contains(&format!("`{key}`")), "docs/json.md does not describe {key} of nslab {words}");
        }
    }
    let _: Value = ok("schema").json();
}

#[test]
fn completion_scripts_are_read_by_their_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(&format!("completions {shell}")).out;
        assert!(script.contains("nslab") && script.contains("NSLAB_COMPLETE"), "{shell}: {script}");
    }
    let script = ok("completions bash").out;
    run(Command::new("bash").args(["-n", "-c", &script])).expect(0);
    let complete = |words: &[&str]| {
        let last = (words.len() - 1).to_string();
        let mut asked = nslab();
        asked.env("NSLAB_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", last).env("_CLAP_IFS", "\n");
        run(asked.arg("--").args(words)).expect(0).out
    };
    assert!(complete(&["nslab", "to"]).contains("topology"));
    assert!(complete(&["nslab", "up", "bridged-"]).lines().any(|word| word == "bridged-hosts"));
    assert!(complete(&["nslab", "topology", "rou"]).lines().any(|word| word == "routed-router"));
}

#[test]
fn validate_tells_every_file_and_ends_with_2_if_one_is_wrong() {
    let directory = std::env::temp_dir().join(format!("nslab-cli-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let (good, bad) = (directory.join("good.yaml"), directory.join("bad.yaml"));
    std::fs::write(&good, ok("topology bridged").out).unwrap();
    std::fs::write(&bad, "name: bad\nhosts:\n  h:\n    bridgs: {}\n").unwrap();
    let both = |format: &str| run(nslab().args(["--format", format, "validate"]).args([&bad, &good])).expect(2);
    let text = both("text");
    assert!(text.out.contains("good.yaml: fine, 2 hosts, 4 containers"), "{text}");
    assert!(text.err.contains("bad.yaml") && text.err.contains("bridges"), "{text}");
    let json = both("json").json();
    assert_eq!(json["files"][0]["valid"], false);
    assert_eq!(json["files"][0]["findings"][0]["line"], 4);
    assert_eq!(json["files"][1]["valid"], true);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn whatever_a_user_types_is_printed_escaped() {
    let ran = run(nslab().args(["plan", "\x1b[31mred\u{202e}"])).expect(2);
    assert!(ran.err.contains("\\x1b[31mred\\u{202e}"), "{ran}");
    assert!(!ran.err.contains('\x1b'), "{ran}");
}
