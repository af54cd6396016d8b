//! Mistakes that students and teachers make: `trace` names the cause, and what it and `check` say to type mends them.
//! The cases are the paragraphs of `tests/mistakes/*.txt`. `MISTAKE='words|words' cargo test --test mistakes` tries those alone whose
//! name has one of them, and tells what is typed; `MISTAKES_COLD=1` and `MISTAKES_LANG=es` ask a lab that has forgotten, and in Spanish.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

#[path = "mistakes/case.rs"]
mod case;
#[path = "mistakes/student.rs"]
mod student;

use std::collections::HashSet;
use std::env;

use case::{cases, groups, known};
use student::{Student, Void};
use support::in_box;

macro_rules! groups {
    ($($group:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($group)),*];
        $(#[test]
        fn $group() {
            in_box(|| mended(stringify!($group)));
        })*
    };
}

groups! {
    addresses assignment bridges far filters halves halves_routed links moved neighbours ports routers routes scenario settings several
    six six_routers sizes switch twice typing
}

/// Tries a group; fails where a case does not end as the list of known failures says.
fn mended(group: &str) {
    let (student, known) = (Student::from_environment(), known());
    let wanted = env::var("MISTAKE").unwrap_or_default();
    let told = |case: &case::Case| case.only.as_deref().is_none_or(|only| (only == "cold") == student.cold);
    let all: Vec<_> =
        cases(group).into_iter().filter(told).filter(|case| wanted.split('|').any(|words| case.name.contains(words))).collect();
    let (mut right, mut surprises) = (0, Vec::new());
    for case in &all {
        let expected = known.iter().find(|known| known.name == case.name && if student.cold { known.cold } else { known.warm });
        let said = match student.try_case(case) {
            Err(Void(why)) => {
                surprises.push(&case.name);
                format!("VOID  {}: {why}", case.name)
            }
            Ok(outcome) => {
                let (ok, typed) = (outcome.faults.is_empty(), outcome.typed.len());
                right += usize::from(ok);
                if ok != expected.is_none() {
                    surprises.push(&case.name);
                }
                let word = ["wrong", "ok   "][usize::from(ok)];
                let head = match expected {
                    None => format!("{word} {} ({typed} typed)", case.name),
                    Some(known) if ok => format!("ok    {}: delete it from known-failures ({})", case.name, known.reason),
                    Some(known) => format!("known {} ({}; {typed} typed)", case.name, known.reason),
                };
                let tell = if wanted.is_empty() { Vec::new() } else { outcome.typed };
                let more = outcome.faults.into_iter().chain(tell.into_iter().map(|line| format!("$ {line}")));
                more.fold(head, |text, line| text + "\n      " + &line)
            }
        };
        eprintln!("{said}");
    }
    eprintln!("{group}, {}, {}: {right} of {} mastered", if student.cold { "cold" } else { "warm" }, student.lang, all.len());
    assert!(surprises.is_empty(), "not as known-failures says: {surprises:?}");
}

#[test]
fn every_file_of_mistakes_is_tried_and_every_known_failure_is_a_case() {
    assert_eq!(groups(), {
        let mut tested: Vec<_> = TESTED.to_vec();
        tested.sort_unstable();
        tested
    });
    let names: Vec<String> = groups().iter().flat_map(|group| cases(group)).map(|case| case.name).collect();
    let mut seen = HashSet::new();
    let twice: Vec<_> = names.iter().filter(|name| !seen.insert(*name)).collect();
    assert!(twice.is_empty(), "the same name twice: {twice:?}");
    assert!(names.len() >= 100, "{} cases", names.len());
    let strange: Vec<_> = known().into_iter().map(|known| known.name).filter(|name| !names.contains(name)).collect();
    assert!(strange.is_empty(), "no such case: {strange:?}");
}
