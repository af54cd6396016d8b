//! English and Spanish side by side: nothing is missing in either, nothing of one has stayed in the other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/samples.rs"]
mod samples;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nslab::error::Error;
use nslab::problem::Finding;
use nslab::render::lang::{Lang, Message, Tongue};
use nslab::render::{self, Format, Style};
use nslab::report::Report;
use nslab::report::half::{Answer, Halves};
use nslab::report::lab::{Outcome, Up};
use nslab::report::notice::Notice;
use nslab::topology;

/// What is typed and what names a thing is the same in every language.
const SAME: &[&str] = &[
    "  Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On",
    "  VBoxManage controlvm VM nicpromisc2 allow-all",
    "  VBoxManage modifyvm VM --macaddress2 auto",
    "  sudo ip link set {nic} mtu 1400",
    "  sudo ip link set {nic} mtu {}",
    "  sudo rm /etc/machine-id && sudo systemd-machine-id-setup && sudo reboot",
    "  {sudo}nslab down {}",
    "  {sudo}nslab exec {node} ip addr",
    "  {sudo}nslab show {node}",
    "  sudo nslab keep {lab}",
    "sudo nslab agent start {host}",
    "sudo nslab exec {host} ss -ltnp",
    "  {sudo}nslab up bridged",
    "ether host MAC, ether src MAC, ether dst MAC",
    "ether host {}",
    "icmp, icmp6, arp, ip, ip6, tcp, udp, host A, net P, port N, src A, dst A, ether host M; and, or, not, ( )",
    "network namespaces",
    "nslab check {} --against bridged",
    "nslab check {} --against routed",
    "nslab down {}",
    "nslab remote add {} TOKEN",
    "nslab show {}",
    "nslab up bridged",
    "sudo nslab exec {} nft -a list chain {family} {table} {chain}",
    "sudo nslab exec {} sh -c 'tc -s qdisc; ip -s link; ip xfrm policy'",
    "sudo sysctl kernel.unprivileged_userns_clone=1",
    "sudo sysctl net.ipv4.neigh.default.gc_thresh3=65536",
    "sudo sysctl user.max_user_namespaces=65536",
    "sudo sysctl {name}={more}",
    "{to} via {via} dev {}",
];

/// Lines of errors longer than this are a paragraph, not a line.
const LONGEST: usize = 150;

fn folder(lang: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/lang").join(lang)
}

/// Every file of a language by its name, the one beside the folder included, without its own tests.
fn files(lang: &str) -> Vec<(String, String)> {
    let dir = folder(lang);
    let mut paths: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let read = |path: &Path| fs::read_to_string(path).unwrap().split("#[cfg(test)]").next().unwrap().to_owned();
    let mut found: Vec<(String, String)> = paths.iter().map(|path| (name(path), read(path))).collect();
    found.push(("the language".to_owned(), read(&dir.with_extension("rs"))));
    assert!(found.len() > 8, "{} is not where this test looks for it", dir.display());
    found
}

/// The names of the functions that other files can call, and of the methods.
fn functions(text: &str) -> BTreeSet<String> {
    let word = |line: &str| line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let line = |line: &str| line.trim_start().strip_prefix("pub(super) ").unwrap_or(line).trim_start().to_owned();
    let open = |text: &str| text.starts_with("    fn ") || text.starts_with("pub(super) fn ");
    text.lines().filter(|text| open(text)).map(|text| word(line(text).strip_prefix("fn ").unwrap())).collect()
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
    render::error(error, Style { lang, colour: false, unicode: true, width: None })
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
fn both_languages_have_the_same_files_and_functions() {
    let (english, spanish) = (files("en"), files("es"));
    for (name, text) in &english {
        let other = spanish.iter().find(|(other, _)| other == name);
        let (_, other) = other.unwrap_or_else(|| panic!("src/render/lang/es has no {name}"));
        let (ours, theirs) = (functions(text), functions(other));
        assert!(!ours.is_empty(), "{name} has no function");
        let missing: Vec<&String> = ours.difference(&theirs).collect();
        assert!(missing.is_empty(), "es/{name} lacks {missing:?}");
    }
}

#[test]
fn no_sentence_is_the_same_in_both_languages() {
    let all = |lang: &str| files(lang).iter().flat_map(|(_, text)| literals(text)).collect::<BTreeSet<String>>();
    let (english, spanish) = (all("en"), all("es"));
    assert!(english.len() > 300 && spanish.len() > 300, "{} and {} literals", english.len(), spanish.len());
    let sentence = |text: &&&String| text.contains(' ') && words(text).len() > 1;
    let same: Vec<&String> = english.intersection(&spanish).collect();
    let same: Vec<&&String> = same.iter().filter(sentence).filter(|text| !SAME.contains(&text.as_str())).collect();
    assert!(same.is_empty(), "not translated: {same:#?}");
    for &same in SAME {
        assert!(english.contains(same) && spanish.contains(same), "{same:?} is no longer in both languages");
    }
}

#[test]
fn no_english_word_has_stayed_in_the_spanish_sentences() {
    for (name, text) in files("es") {
        for literal in literals(&text) {
            is_spanish(&literal, &name);
        }
    }
}

#[test]
fn what_draws_text_and_reports_has_no_sentence_of_its_own() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render");
    let mut folders = vec![dir.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, here): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.is_dir());
        folders.extend(inner.into_iter().filter(|inner| *inner != dir.join("lang")));
        // What the stock `lxc` says is English, as its users and their scripts expect.
        let words = [dir.join("lang.rs"), dir.join("lxc.rs")];
        files.extend(here.into_iter().filter(|file| !words.contains(file)));
    }
    assert!(files.len() > 8);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let plain = |text: &&String| {
            text.contains(' ') && words(text).len() > 1 && !text.contains(['{', '=', '<']) && *text != "default (IPv6)"
        };
        let sentences: Vec<String> = literals(code).iter().filter(plain).cloned().collect();
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
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().agent(&outcome));
        differ(&english, &spanish, &format!("{outcome:?}"));
    }
}

#[test]
fn what_is_between_two_halves_is_told_in_both_languages() {
    let escape = "\u{1b}[31m";
    for discord in samples::discords() {
        let answer = |host: &str| Answer {
            host: host.to_owned(),
            lab: "bridged".to_owned(),
            hostname: escape.to_owned(),
            mac: "08:00:27:00:00:01".to_owned(),
            nic: "enp0s8".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let others = Halves { answers: vec![answer("c")], silent: vec!["d".to_owned()], findings: vec![discord.clone()] };
        let up = Up {
            lab: "bridged".to_owned(),
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
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().up(&up));
        assert!(english.len() > 3 && english.len() == spanish.len(), "{english:?}\n{spanish:?}");
        for (english, spanish) in english.iter().zip(&spanish) {
            assert!(!english.contains(escape) && !spanish.contains(escape), "{english:?}");
            assert!(english.len() <= LONGEST && spanish.len() <= LONGEST + 20, "{english}\n{spanish}");
        }
        differ(&english[3], &spanish[3], &format!("{discord:?}"));
    }
}

#[test]
fn everything_that_gets_in_the_way_on_a_machine_is_told_in_both_languages() {
    let both = |told: &dyn Fn(&dyn Tongue) -> Message, of: &str| {
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| told(lang.tongue()));
        differ(&english.what, &spanish.what, of);
        differ(english.why.as_deref().unwrap(), spanish.why.as_deref().unwrap(), of);
        assert_eq!(english.hints.len(), spanish.hints.len(), "{of}");
    };
    for finding in samples::findings() {
        both(&|tongue| tongue.finding(&finding), &format!("{finding:?}"));
    }
    for found in samples::interferences() {
        let of = format!("{found:?}");
        both(&|tongue| tongue.interference(&found), &of);
        // What has no lab is told by the doctor, who breaks lines.
        if found.lab.is_none() {
            continue;
        }
        let notice = Notice::Interference(found);
        for lang in [Lang::En, Lang::Es] {
            let text = render::notice(&notice, Style { lang, colour: false, unicode: true, width: None });
            let long = text.lines().find(|line| line.chars().count() > 240);
            assert_eq!(long, None, "{of}");
        }
    }
}

#[test]
fn everything_done_to_a_remote_is_told_in_both_languages() {
    for outcome in samples::outcomes() {
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().remote(&outcome));
        differ(&english, &spanish, &format!("{outcome:?}"));
    }
}

#[test]
fn every_problem_of_a_file_is_told_in_both_languages() {
    for problem in samples::problems() {
        let of = format!("{problem:?}");
        let [english, spanish] = [Lang::En, Lang::Es].map(Lang::tongue);
        differ(&english.problem(&problem), &spanish.problem(&problem), &of);
        match (english.advice(&problem), spanish.advice(&problem)) {
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
        let error = topology::parse("lab.yaml", &text).expect_err("a bad file");
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
        let (of, trace) = (format!("{cause:?}"), samples::trace(cause.clone()));
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().trace());
        differ(&english.cause(&trace, &cause), &spanish.cause(&trace, &cause), &of);
        match (english.advice(&trace, &cause), spanish.advice(&trace, &cause)) {
            (Some(english), Some(spanish)) => differ(&english, &spanish, &of),
            (None, None) => {}
            (english, spanish) => panic!("{of}: {english:?}, {spanish:?}"),
        }
        assert_eq!(english.details(&trace, &cause), spanish.details(&trace, &cause), "{of}");
        let report = Report::Trace(Box::new(trace));
        for lang in [Lang::En, Lang::Es] {
            let text = render::report(&report, Format::Text, Style { lang, colour: false, unicode: true, width: None });
            let of_width = |line: &&str| line.chars().count() > 80 && !line.contains("nslab exec");
            assert_eq!(text.lines().find(of_width), None, "{text}");
        }
    }
}

#[test]
fn every_built_in_topology_has_a_spanish_summary() {
    for name in topology::catalog::names() {
        assert_eq!(Lang::En.tongue().summary(name), None);
        let summary = Lang::Es.tongue().summary(name).unwrap_or_else(|| panic!("{name} has no summary in es/topologies.rs"));
        is_spanish(summary, name);
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
        let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().error(&error).what);
        let after = |text: &str| text.split_once(": ").unwrap().1.to_owned();
        assert_ne!(after(&english), after(&spanish));
        is_spanish(&spanish, &english);
    }
    let unusual = Error::Output { errno: libc::ENOTUNIQ };
    let [english, spanish] = [Lang::En, Lang::Es].map(|lang| lang.tongue().error(&unusual).what);
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
