//! English and Spanish side by side: nothing is missing in either, nothing of one has stayed in the other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/samples.rs"]
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use nslab::check::KINDS;
use nslab::commands::topology::{Item, List};
use nslab::commands::up::Report;
use nslab::error::Error;
use nslab::problem::Finding;
use nslab::render::lang::{Lang, Message};
use nslab::render::{self, Show, Style, sentences};
use nslab::report::lab::{Answer, Halves, Notice, Outcome};
use nslab::topology;

/// Lines of errors longer than this are a paragraph, not a line.
const LONGEST: usize = 150;

/// Where no terminal reads.
fn plain(lang: Lang) -> Style {
    Style { lang, colour: false, unicode: true, width: None }
}

/// The string literals of a file, without what stands in comments.
fn literals(text: &str) -> Vec<String> {
    let said = |line: &&str| !["//", "#["].iter().any(|start| line.trim_start().starts_with(start));
    let code: String = text.lines().filter(said).collect::<Vec<_>>().join("\n");
    let (mut found, mut letters) = (Vec::new(), code.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            // '"' is a letter, 'a a lifetime.
            '\'' if letters.peek() == Some(&'"') => drop(letters.next()),
            '"' => {
                let mut literal = String::new();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => literal.extend(['\\', letters.next().unwrap()]),
                        letter => literal.push(letter),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// The words of a literal, without what stands in braces.
fn words(literal: &str) -> Vec<String> {
    let mut depth = 0;
    let kept: String = literal
        .chars()
        .map(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth > 0 || c == '}' { ' ' } else { c }
        })
        .collect();
    kept.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 1).map(str::to_lowercase).collect()
}

fn said(error: &Error, lang: Lang) -> String {
    render::error(error, plain(lang))
}

/// A sentence that a person can read: there, in whole words, and not the program's own way to write a value down.
fn is_plain(text: &str, of: &str) {
    assert!(!text.trim().is_empty(), "nothing is said of {of}");
    let braces = text.replace("{ name: v1 }", "");
    assert!(!braces.contains(['{', '}']), "{of}: {text}");
    for debug in ["Some(", "None", "\\\""] {
        assert!(!text.contains(debug), "{of}: {text}");
    }
    let camel = |word: &str| {
        let small = |c: char| c.is_ascii_lowercase();
        word.chars().zip(word.chars().skip(1)).filter(|(a, b)| small(*a) && b.is_ascii_uppercase()).count() > 0
    };
    let odd = text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        camel(word)
            && !["VirtualBox", "AppArmor", "NetworkManager", "MiB", "GiB", "IPv4", "IPv6", "ICMPv6", "VMs", "MACs", "NICs"]
                .contains(word)
    });
    assert_eq!(odd, None, "{of}: {text}");
}

/// Both say something, and not the same.
fn differ(english: &str, spanish: &str, of: &str) {
    is_plain(english, of);
    is_plain(spanish, of);
    assert_ne!(english, spanish, "{of}");
    is_spanish(spanish, of);
}

/// Words of English that are none of Spanish, of commands or of addresses.
fn is_spanish(text: &str, of: &str) {
    const ENGLISH: [&str; 17] = [
        "the", "is", "are", "of", "with", "has", "it", "that", "this", "which", "was", "cannot", "does", "takes", "did", "there",
        "who",
    ];
    let odd = words(text).into_iter().find(|word| ENGLISH.contains(&word.as_str()));
    assert_eq!(odd, None, "{of}: {text}");
}

#[test]
fn no_english_word_has_stayed_in_the_spanish_sentences() {
    let catalogue = include_str!("../src/render/lang/es.txt");
    let translations = catalogue.split("\n\n").filter_map(|block| block.lines().filter(|line| !line.starts_with('#')).nth(1));
    assert!(translations.clone().count() > 1000);
    for translation in translations {
        is_spanish(translation, "es.txt");
    }
}

#[test]
fn what_draws_text_and_what_commands_say_has_no_sentence_of_its_own() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render");
    let commands = dir.with_file_name("commands");
    let mut folders = vec![dir.clone(), commands.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, here): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.is_dir());
        folders.extend(inner.into_iter().filter(|inner| ![dir.join("lang"), dir.join("sentences")].contains(inner)));
        // What the stock `lxc` says is English, as its users and their scripts expect.
        let words = [dir.join("lang.rs"), dir.join("lxc.rs")];
        files.extend(here.into_iter().filter(|file| !words.contains(file)));
    }
    assert!(files.len() > 8);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let plain = |text: &&String| {
            // Help, and what a shell reads.
            let typed = file.starts_with(&commands) && (text.contains('\n') || text.contains("\\n") || text.starts_with("cd ~"));
            let sentence = text.contains(' ') && words(text).len() > 1 && !text.contains(['{', '=', '<']);
            sentence && !typed && *text != "default (IPv6)"
        };
        // A title or a heading that is looked up in the catalogues, those of drawings and agents in their context.
        let catalogue = include_str!("../src/render/lang/es.txt");
        let looked_up = |text: &&String| {
            ["\n", "\n[drawing] ", "\n[agent] "].iter().any(|before| catalogue.contains(&format!("{before}{text}\n")))
        };
        let sentences: Vec<String> = literals(code).iter().filter(plain).filter(|text| !looked_up(text)).cloned().collect();
        assert!(sentences.is_empty(), "{}: {sentences:?}", file.display());
    }
}

#[test]
fn every_error_is_told_in_both_languages() {
    for error in samples::errors() {
        let of = format!("{error:?}");
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| said(&error, lang));
        differ(&english, &spanish, &of);
        for text in [english, spanish] {
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= LONGEST, "{longest} columns: {text}");
        }
    }
}

#[test]
fn everything_done_to_an_agent_is_told_in_both_languages() {
    for outcome in samples::agent_outcomes() {
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| outcome.text(plain(lang)));
        differ(&english, &spanish, &format!("{outcome:?}"));
    }
}

#[test]
fn what_is_between_two_halves_is_told_in_both_languages() {
    let escape = "\u{1b}[31m";
    for mismatch in samples::mismatches() {
        let answer = |host: &str| Answer {
            host: host.to_owned(),
            lab: "bridged".to_owned(),
            hostname: escape.to_owned(),
            mac: "08:00:27:00:00:01".to_owned(),
            nic: "enp0s8".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let others = Halves { answers: vec![answer("c")], silent: vec!["d".to_owned()], findings: vec![mismatch.clone()] };
        let up = Report {
            lab: "bridged".parse().unwrap(),
            outcome: Outcome::Already,
            hosts: 1,
            containers: 2,
            operations: 0,
            milliseconds: 1.0,
            hint: None,
            kept: None,
            confirm_within: None,
            others: Some(others),
        };
        let [english, spanish] =
            [Lang::En, Lang::Es].map(|lang| up.text(plain(lang)).lines().map(str::to_owned).collect::<Vec<_>>());
        assert!(english.len() > 3 && english.len() == spanish.len(), "{english:?}\n{spanish:?}");
        for (english, spanish) in english.iter().zip(&spanish) {
            assert!(!english.contains(escape) && !spanish.contains(escape), "{english:?}");
            assert!(english.len() <= LONGEST && spanish.len() <= LONGEST + 20, "{english}\n{spanish}");
        }
        differ(&english[3], &spanish[3], &format!("{mismatch:?}"));
    }
}

#[test]
fn everything_that_gets_in_the_way_on_a_machine_is_told_in_both_languages() {
    let both = |told: &dyn Fn(Lang) -> Message, of: &str| {
        let [english, spanish] = [Lang::En, Lang::Es].map(told);
        differ(&english.what, &spanish.what, of);
        differ(english.why.as_deref().unwrap(), spanish.why.as_deref().unwrap(), of);
        assert_eq!(english.hints.len(), spanish.hints.len(), "{of}");
    };
    for finding in samples::findings() {
        both(&|lang| sentences::doctor::finding(lang, &finding), &format!("{finding:?}"));
    }
    for found in samples::interferences() {
        let of = format!("{found:?}");
        both(&|lang| sentences::doctor::interference(lang, &found), &of);
        // What has no lab is told by the doctor, who breaks lines.
        if found.lab.is_none() {
            continue;
        }
        let notice = Notice::Interference(found);
        for lang in [Lang::En, Lang::Es] {
            let text = render::notice(&notice, plain(lang));
            let long = text.lines().find(|line| line.chars().count() > 240);
            assert_eq!(long, None, "{of}");
        }
    }
}

#[test]
fn everything_done_to_a_remote_is_told_in_both_languages() {
    for outcome in samples::outcomes() {
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| outcome.text(plain(lang)));
        differ(&english, &spanish, &format!("{outcome:?}"));
    }
}

#[test]
fn every_problem_of_a_file_is_told_in_both_languages() {
    for problem in samples::problems() {
        let of = format!("{problem:?}");
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| sentences::findings::problem(lang, &problem));
        differ(&english, &spanish, &of);
        match (sentences::findings::advice(Lang::En, &problem), sentences::findings::advice(Lang::Es, &problem)) {
            (Some(english), Some(spanish)) => differ(&english, &spanish, &of),
            (None, None) => {}
            (english, spanish) => panic!("{of}: {english:?}, {spanish:?}"),
        }
        let finding = Finding { problem, at: 6..9, other: Some(0..4) };
        let error = Error::Topology { file: "lab.yaml".to_owned(), text: "name: lab\n".to_owned(), findings: vec![finding] };
        is_plain(&said(&error, Lang::Es), &of);
    }
}

#[test]
fn every_bad_file_is_refused_in_spanish() {
    let files: Vec<PathBuf> = fs::read_dir("tests/bad").unwrap().map(|entry| entry.unwrap().path()).collect();
    let yaml = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    for file in files.iter().filter(yaml) {
        let text = fs::read_to_string(file).unwrap();
        let error = topology::parse("lab.yaml", &text, KINDS).expect_err("a bad file");
        let said = said(&error, Lang::Es);
        // The lines of the file and the YAML parser's own words stay what they are.
        let ours = said.lines().filter(|line| (line.starts_with("lab.yaml") || line.contains(" = ")) && !line.contains("YAML:"));
        ours.for_each(|line| is_spanish(line, &file.display().to_string()));
        assert!(said.contains("no describe un laboratorio"), "{said}");
    }
}

#[test]
fn every_cause_of_a_packets_death_is_told_in_both_languages() {
    for cause in samples::causes() {
        let (of, report) = (format!("{cause:?}"), samples::trace(cause));
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| {
            let text = report.text(plain(lang));
            let of_width = |line: &&str| line.chars().count() > 80 && !line.contains("nslab exec");
            assert_eq!(text.lines().find(of_width), None, "{text}");
            // Below the heading that says how far it came are the cause and what to do about it.
            text.split_once("host-a.\n").unwrap().1.to_owned()
        });
        differ(&english, &spanish, &of);
    }
}

#[test]
fn every_built_in_topology_has_a_spanish_summary() {
    for name in topology::catalog::names() {
        let own = topology::catalog::find(name).unwrap().lines().find_map(|line| line.strip_prefix("summary: ")).unwrap();
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| {
            let item = Item { name: name.to_owned(), summary: Some(own.to_owned()), hosts: 2, containers: 2 };
            let list = List { topologies: vec![item] };
            let text = list.text(plain(lang));
            text.lines().last().unwrap().trim_start_matches(name).trim().to_owned()
        });
        assert_eq!(english, own);
        differ(&english, &spanish, name);
    }
}

#[test]
fn the_usual_errors_of_the_system_are_spanish() {
    for errno in [
        libc::EPERM,
        libc::ENOENT,
        libc::EACCES,
        libc::EBUSY,
        libc::EEXIST,
        libc::EINVAL,
        libc::ENOSPC,
        libc::ENOMEM,
        libc::EROFS,
        libc::EMFILE,
        libc::ENODEV,
        libc::EOPNOTSUPP,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::EADDRINUSE,
        libc::EADDRNOTAVAIL,
        libc::EISDIR,
        libc::ENOTDIR,
        libc::EPIPE,
        libc::EIO,
        libc::ENOSYS,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::ETIMEDOUT,
        libc::ENOEXEC,
        libc::ETXTBSY,
    ] {
        let error = Error::Output { errno };
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| sentences::errors::error(lang, &error).what);
        let after = |text: &str| text.split_once(": ").unwrap().1.to_owned();
        assert_ne!(after(&english), after(&spanish));
        is_spanish(&spanish, &english);
    }
    let unusual = Error::Output { errno: libc::ENOTUNIQ };
    let [english, spanish] = [Lang::En, Lang::Es].map(|lang| sentences::errors::error(lang, &unusual).what);
    assert_eq!(english.split_once(": ").unwrap().1, spanish.split_once(": ").unwrap().1);
}

#[test]
fn the_locale_says_which_language() {
    let of = |set: &[(&str, &str)]| {
        Lang::of_locale(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
    };
    for spanish in ["es", "es_ES", "es_ES.UTF-8", "es_MX@currency", "es.UTF-8"] {
        assert_eq!(of(&[("LANG", spanish)]), Lang::Es, "{spanish}");
    }
    for english in ["", "C", "C.UTF-8", "POSIX", "en_GB.UTF-8", "est_EE", "eu_ES.UTF-8", "ES"] {
        assert_eq!(of(&[("LANG", english)]), Lang::En, "{english}");
    }
    assert_eq!(of(&[]), Lang::En);
    assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "es_ES.UTF-8")]), Lang::En);
    assert_eq!(of(&[("LC_ALL", ""), ("LC_MESSAGES", "es_ES.UTF-8"), ("LANG", "en_US.UTF-8")]), Lang::Es);
    assert_eq!(of(&[("LC_MESSAGES", "en_US.UTF-8"), ("LANG", "es_ES.UTF-8")]), Lang::En);
}
