//! A mistake as its file tells it, and the list of those that nslab does not master yet.

use std::fs;

use serde_json::Value;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistakes");

/// How a lab is told that two machines make.
const HALVES: &str = ", in halves";

/// A mistake in a lab that was right a moment before.
#[derive(Default)]
pub struct Case {
    pub name: String,
    /// What is brought up: a topology that ships, or a file of this folder.
    pub lab: String,
    /// The scenario that is then made in it by hand, whose checkpoints judge; else the lab's own do.
    pub by_hand: Option<String>,
    /// It is made by two machines, of which this one plays the first host.
    pub halves: bool,
    /// Where each command is typed, a node or `here`, the machine itself, or `there`, the other one, and the command.
    pub mistake: Vec<(String, String)>,
    pub trace: String,
    /// What is traced on the other machine where this one cannot mend it.
    pub back: String,
    /// What that may name first.
    pub there: Vec<Named>,
    /// No cure is right: what has to be done is no command of a node's, or is not known.
    pub no_cure: bool,
    /// `warm` or `cold`, where a mistake costs nothing otherwise.
    pub only: Option<String>,
    /// How many facts the mistake changed, with those that the kernel took along.
    pub facts: usize,
    /// What `trace` may name first; any of them is right.
    pub causes: Vec<Named>,
    /// What `check` may show instead, where `trace` is answered or cannot know.
    pub evidence: Vec<Named>,
}

/// A machine word of nslab's, and the places that belong to it.
pub struct Named {
    pub word: String,
    pub places: Vec<String>,
}

impl Named {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace().map(str::to_owned);
        Self { word: words.next().unwrap_or_default(), places: words.collect() }
    }

    /// Whether the value speaks of all the places.
    fn is_about(&self, value: &Value) -> bool {
        self.places.iter().all(|place| mentions(value, place))
    }

    /// Whether a death names it.
    pub fn is_cause(&self, death: &Value) -> bool {
        death["cause"]["cause"] == self.word.as_str() && self.is_about(death)
    }

    /// Whether an item of a check's evidence names it: by its own word, or as the cause that it hands on.
    pub fn is_evidence(&self, item: &Value) -> bool {
        let own = item.get(&self.word).is_some() || *item == self.word.as_str();
        (own || item["because"]["cause"]["cause"] == self.word.as_str()) && self.is_about(item)
    }
}

/// A place is `NODE.INTERFACE`, a node, an address with or without its prefix, or any other value.
fn mentions(value: &Value, place: &str) -> bool {
    match value {
        Value::String(text) => text == place || text.split_once('/').is_some_and(|(address, _)| address == place),
        Value::Array(items) => items.iter().any(|item| mentions(item, place)),
        Value::Object(map) => {
            let word = |key| map.get(key).and_then(Value::as_str);
            let is_it = word("node").zip(word("interface")).is_some_and(|(node, interface)| {
                place.strip_prefix(node).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == interface)
            });
            is_it || map.values().any(|item| mentions(item, place))
        }
        _ => false,
    }
}

/// The cases of a file, which an empty line parts.
pub fn cases(group: &str) -> Vec<Case> {
    let path = format!("{FOLDER}/{group}.txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split("\n\n").map(|part| case(part, &path)).filter(|case| !case.name.is_empty()).collect()
}

fn case(part: &str, path: &str) -> Case {
    let mut case = Case::default();
    for line in part.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = format!("{path}: {line}");
        let typed = line.split_once("$ ").filter(|(node, _)| !node.contains([' ', ':']));
        if let Some((node, command)) = typed {
            case.mistake.push((node.to_owned(), command.to_owned()));
            continue;
        }
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{bad}"));
        match key {
            "mistake" => value.clone_into(&mut case.name),
            "lab" if value.ends_with(HALVES) => {
                value.trim_end_matches(HALVES).clone_into(&mut case.lab);
                case.halves = true;
            }
            "lab" => match value.split_once(", by hand ") {
                Some((lab, scenario)) => {
                    lab.clone_into(&mut case.lab);
                    case.by_hand = Some(scenario.to_owned());
                }
                None => value.clone_into(&mut case.lab),
            },
            "trace" => value.clone_into(&mut case.trace),
            "back" => value.clone_into(&mut case.back),
            "there" => case.there.push(Named::parse(value)),
            "cure" if value == "none" => case.no_cure = true,
            "only" => case.only = Some(value.to_owned()),
            "facts" => case.facts = value.parse().unwrap_or_else(|_| panic!("{bad}")),
            "cause" => case.causes.push(Named::parse(value)),
            "check" => case.evidence.push(Named::parse(value)),
            _ => panic!("{bad}"),
        }
    }
    let whole = !case.lab.is_empty() && !case.mistake.is_empty() && !case.trace.is_empty() && case.facts > 0;
    let judged = !case.causes.is_empty() || !case.evidence.is_empty();
    assert!(case.name.is_empty() || (whole && judged), "{path}: {} lacks something", case.name);
    case
}

/// The groups: the files of the folder.
pub fn groups() -> Vec<String> {
    let names = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
    names.sort();
    names
}

/// A mistake that nslab does not master yet.
pub struct Known {
    pub name: String,
    pub warm: bool,
    pub cold: bool,
    pub reason: String,
}

pub fn known() -> Vec<Known> {
    let text = fs::read_to_string(format!("{FOLDER}/known-failures")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let known = |line: &str| {
        let [name, when, reason] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("known-failures: {line}") };
        assert!(["warm", "cold", "both"].contains(&when), "known-failures: {line}");
        Known { name: name.to_owned(), warm: when != "cold", cold: when != "warm", reason: reason.to_owned() }
    };
    lines.map(known).collect()
}
