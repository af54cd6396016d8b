//! What is wrong with a command line, in English as clap says it, word for word; notices and questions.

use std::error::Error;
use std::fmt;
use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{capture, doctor, errors, role};
use crate::error::WrongValue;
use crate::render::escape::escape;
use crate::render::lang::{Lang, listed, n, quoted, t, w};
use crate::report::lab::{Notice, Question};

/// What is wrong, hints, how the command is used and where there is help; nothing where clap found what is not known here.
pub fn refused(lang: Lang, error: &clap::Error, usage: Option<&str>) -> Option<String> {
    let mut parts = vec![what(lang, error)?];
    let hints = hints(lang, error);
    if !hints.is_empty() {
        let lines: Vec<String> = hints.iter().map(|hint| format!("  {} {hint}", w!(lang, "tip:"))).collect();
        parts.push(lines.join("\n"));
    }
    parts.extend(usage.map(|usage| in_words(lang, usage)));
    let english = error.render().to_string();
    let help = english.trim_end().strip_suffix("'.").and_then(|start| start.rsplit('\'').next());
    parts.extend(help.map(|help| t!(lang, "For more information, try '{help}'.", help)));
    Some(parts.join("\n\n") + "\n")
}

/// What stands before it.
pub fn title(lang: Lang) -> &'static str {
    w!(lang, "error:")
}

/// How a command is used: what clap says of it, in the reader's words.
pub fn in_words(lang: Lang, usage: &str) -> String {
    let title = w!(lang, "Usage:");
    // The lines of one that is used in several ways stand under each other.
    let below = format!("\n{}", " ".repeat(title.chars().count() + 1));
    let command = w!(lang, "COMMAND");
    usage
        .replacen("Usage:", title, 1)
        .replace(&format!("\n{}", " ".repeat("Usage: ".len())), &below)
        .replace("[OPTIONS]", w!(lang, "[OPTIONS]"))
        .replace("[COMMAND]", &format!("[{command}]"))
        .replace("<COMMAND>", &format!("<{command}>"))
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn list(error: &clap::Error, kind: ContextKind) -> &[String] {
    match error.get(kind) {
        Some(ContextValue::Strings(list)) => list,
        Some(ContextValue::String(one)) => std::slice::from_ref(one),
        _ => &[],
    }
}

fn number(error: &clap::Error, kind: ContextKind) -> Option<isize> {
    match error.get(kind)? {
        ContextValue::Number(number) => Some(*number),
        _ => None,
    }
}

/// Each on a line of its own.
fn below<'a>(lines: impl IntoIterator<Item = &'a String>) -> String {
    lines.into_iter().flat_map(|line| ["\n  ", line]).collect()
}

fn what(lang: Lang, error: &clap::Error) -> Option<String> {
    let argument = || text(error, ContextKind::InvalidArg).map(|argument| in_words(lang, argument));
    let value = || text(error, ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::ArgumentConflict => conflict(lang, error)?,
        ErrorKind::NoEquals => {
            t!(lang, "equal sign is needed when assigning values to '{argument}'", argument = argument()?)
        }
        ErrorKind::InvalidValue => {
            let (argument, value) = (argument()?, value()?);
            let what = if value.is_empty() {
                t!(lang, "a value is required for '{argument}' but none was supplied", argument)
            } else {
                t!(lang, "invalid value '{value}' for '{argument}'", value, argument)
            };
            let values = list(error, ContextKind::ValidValue);
            if values.is_empty() { what } else { format!("{what}\n  [{}]", possible(lang, values)) }
        }
        ErrorKind::ValueValidation => {
            let what = t!(lang, "invalid value '{value}' for '{argument}'", value = value()?, argument = argument()?);
            match error.source() {
                Some(source) => format!("{what}: {}", why(lang, source)),
                None => what,
            }
        }
        ErrorKind::InvalidSubcommand => {
            t!(lang, "unrecognized subcommand '{word}'", word = text(error, ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::UnknownArgument => t!(lang, "unexpected argument '{argument}' found", argument = argument()?),
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> = list(error, ContextKind::InvalidArg).iter().map(|word| in_words(lang, word)).collect();
            format!("{}{}", w!(lang, "the following required arguments were not provided:"), below(&missing))
        }
        ErrorKind::MissingSubcommand => {
            let command = text(error, ContextKind::InvalidSubcommand)?;
            let what = t!(lang, "'{command}' requires a subcommand but one was not provided", command);
            let known = list(error, ContextKind::ValidSubcommand).join(", ");
            if known.is_empty() { what } else { format!("{what}\n  [{}]", t!(lang, "subcommands: {known}", known)) }
        }
        ErrorKind::TooManyValues => t!(
            lang,
            "unexpected value '{value}' for '{argument}' found; no more were expected",
            value = value()?,
            argument = argument()?
        ),
        ErrorKind::TooFewValues => {
            let (argument, least) = (argument()?, number(error, ContextKind::MinValues)?);
            match number(error, ContextKind::ActualNumValues)? {
                given @ ..=1 => {
                    t!(lang, "{least} values required by '{argument}'; only {given} was provided", least, argument, given)
                }
                given => t!(lang, "{least} values required by '{argument}'; only {given} were provided", least, argument, given),
            }
        }
        ErrorKind::WrongNumberOfValues => {
            let (argument, wanted) = (argument()?, number(error, ContextKind::ExpectedNumValues)?);
            match number(error, ContextKind::ActualNumValues)? {
                given @ ..=1 => {
                    t!(lang, "{wanted} values required for '{argument}' but {given} was provided", wanted, argument, given)
                }
                given => t!(lang, "{wanted} values required for '{argument}' but {given} were provided", wanted, argument, given),
            }
        }
        ErrorKind::InvalidUtf8 => w!(lang, "invalid UTF-8 was detected in one or more arguments").to_owned(),
        _ => return None,
    })
}

fn conflict(lang: Lang, error: &clap::Error) -> Option<String> {
    let prior: Vec<String> = list(error, ContextKind::PriorArg).iter().map(|word| in_words(lang, word)).collect();
    let several = matches!(error.get(ContextKind::PriorArg), Some(ContextValue::Strings(_)));
    let others = below(&prior);
    Some(match (text(error, ContextKind::InvalidArg), text(error, ContextKind::InvalidSubcommand)) {
        (Some(argument), _) => {
            let argument = in_words(lang, argument);
            match prior.as_slice() {
                [same] if !several && *same == argument => {
                    t!(lang, "the argument '{argument}' cannot be used multiple times", argument)
                }
                [other] if !several => t!(lang, "the argument '{argument}' cannot be used with '{other}'", argument, other),
                _ => format!("{}{others}", t!(lang, "the argument '{argument}' cannot be used with:", argument)),
            }
        }
        (None, Some(command)) => match prior.as_slice() {
            [other] if !several => t!(lang, "the subcommand '{command}' cannot be used with '{other}'", command, other),
            _ => format!("{}{others}", t!(lang, "the subcommand '{command}' cannot be used with:", command)),
        },
        (None, None) => return None,
    })
}

/// The values that there are.
pub fn possible(lang: Lang, values: &[String]) -> String {
    let quoted = |value: &String| if value.contains(char::is_whitespace) { format!("{value:?}") } else { value.clone() };
    t!(lang, "possible values: {values}", values = values.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Why a value is none.
fn why(lang: Lang, source: &(dyn Error + 'static)) -> String {
    if let Some(wrong) = source.downcast_ref::<WrongValue>() {
        return value(lang, wrong);
    }
    if let Some(number) = source.downcast_ref::<ParseIntError>() {
        return match number.kind() {
            IntErrorKind::Empty => w!(lang, "cannot parse integer from empty string").to_owned(),
            IntErrorKind::InvalidDigit => w!(lang, "invalid digit found in string").to_owned(),
            IntErrorKind::PosOverflow => w!(lang, "number too large to fit in target type").to_owned(),
            IntErrorKind::NegOverflow => w!(lang, "number too small to fit in target type").to_owned(),
            _ => number.to_string(),
        };
    }
    let text = source.to_string();
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        [value, "is", "not", "in", range] => t!(lang, "{value} is not in {range}", value, range),
        _ => text,
    }
}

/// In English, which is what clap tells.
impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&value(Lang::En, self))
    }
}

impl Error for WrongValue {}

/// Why a value is none, of those that nslab reads itself.
pub fn value(lang: Lang, wrong: &WrongValue) -> String {
    match wrong {
        WrongValue::Time => w!(lang, "a time is like 5s, 200ms or 2m").to_owned(),
        WrongValue::Listening => w!(lang, "a time, like 10s, 500ms or 2m").to_owned(),
        WrongValue::Day => w!(lang, "it can be 24h at most").to_owned(),
        WrongValue::Span => w!(lang, "more than nothing, a year at most").to_owned(),
        WrongValue::Zero => w!(lang, "at least 1").to_owned(),
        WrongValue::Range(least, most) => t!(lang, "between {least} and {most}", least, most),
        WrongValue::Pair(text) => t!(lang, "\"{text}\" is not KEY=VALUE", text),
        WrongValue::Device(text) => t!(lang, "\"{text}\" is not NAME,KEY=VALUE,...", text),
    }
}

fn hints(lang: Lang, error: &clap::Error) -> Vec<String> {
    let mut hints = Vec::new();
    let quote = |word: &String| t!(lang, "'{word}'", word);
    let near = |kind| list(error, kind).iter().map(quote).collect::<Vec<_>>();
    match near(ContextKind::SuggestedSubcommand).as_slice() {
        [] => {}
        [near] => hints.push(t!(lang, "a similar subcommand exists: {near}", near)),
        several => hints.push(t!(lang, "some similar subcommands exist: {near}", near = several.join(", "))),
    }
    match near(ContextKind::SuggestedArg).as_slice() {
        [] => {}
        [near] => hints.push(t!(lang, "a similar argument exists: {near}", near)),
        several => hints.push(t!(lang, "some similar arguments exist: {near}", near = several.join(", "))),
    }
    match near(ContextKind::SuggestedValue).as_slice() {
        [] => {}
        [near] => hints.push(t!(lang, "a similar value exists: {near}", near)),
        several => hints.push(t!(lang, "some similar values exist: {near}", near = several.join(", "))),
    }
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    if let Some(ContextValue::StyledStrs(suggested)) = error.get(ContextKind::Suggested) {
        // clap tells these as sentences.
        let known = [as_value, without_dashes];
        hints.extend(suggested.iter().map(|suggestion| {
            let suggestion = escape(&suggestion.to_string()).into_owned();
            known.iter().find(|known| known(Lang::En, argument) == suggestion).map_or(suggestion, |known| known(lang, argument))
        }));
    }
    hints
}

fn as_value(lang: Lang, argument: &str) -> String {
    t!(lang, "to pass '{argument}' as a value, use '-- {argument}'", argument)
}

fn without_dashes(lang: Lang, argument: &str) -> String {
    t!(lang, "subcommand '{argument}' exists; to use it, remove the '--' before it", argument)
}

/// A notice.
pub fn notice(lang: Lang, notice: &Notice) -> String {
    match notice {
        Notice::Listening(points) => capture::listening(lang, points),
        Notice::PointsDown(points) => capture::down(lang, points),
        Notice::PointsGone { points, left } => capture::gone(lang, points, *left),
        Notice::Captured(end, file) => capture::end(lang, end, file.as_deref()),
        Notice::KeptDefault { routes } => role::kept_default(lang, routes),
        Notice::Agentless { host, why } => {
            let why = errors::error(lang, why).what;
            t!(lang, "lxc finds no agent in {host}: {why}. nslab agent start {host} says more.", host, why)
        }
        Notice::Class { host } => t!(
            lang,
            "here lxc commands the containers of {host}. Every name of an image, ubuntu:22.04 too, means this machine's own files: nothing is downloaded.",
            host
        ),
        Notice::Interference(found) => doctor::interference(lang, found).what,
        Notice::LinksLost { node, links } => t!(
            lang,
            "{links} in {node}, made by hand, went when it stopped, with the other end of each cable; nothing brings that back.",
            links = listed(lang, links),
            node
        ),
        Notice::OwnDescription { lab } => t!(
            lang,
            "{lab} is up from a description of its own, which it keeps; for the built-in one: nslab down {lab} first.",
            lab
        ),
        Notice::Assumed { lab, exact } => t!(
            lang,
            "several labs are up; taking {lab}. Name it exactly with {exact}, or choose the lab with NSLAB_LAB={lab}.",
            lab,
            exact
        ),
    }
}

/// A question, with its possible answers.
pub fn question(lang: Lang, question: &Question) -> String {
    match question {
        Question::Certificate { address, fingerprint } => {
            t!(lang, "{address} has the certificate {fingerprint}. Is that the right one? [y/N]", address, fingerprint)
        }
        Question::Reset { lab, by_hand } => {
            let things = n!(lang, *by_hand, "thing", "things");
            t!(lang, "Remove what was made by hand in {lab} ({things})? [y/N]", lab, things)
        }
    }
}

/// Whether an answer means yes.
pub fn is_yes(lang: Lang, answer: &str) -> bool {
    let answer = answer.trim().to_lowercase();
    w!(lang, ["answers"] "y yes").split(' ').any(|yes| yes == answer)
}

/// That nslab itself is wrong: the panic's message and place.
pub fn bug(lang: Lang, message: &str, place: &str) -> String {
    let headline = t!(lang, "nslab: a mistake in nslab itself ({place}): {message}", place, message);
    format!("{headline}\n  {}", w!(lang, "nslab status tells what is there; please report this line."))
}

/// That nslab has no such command line.
pub fn not_understood(lang: Lang, typed: &str) -> String {
    t!(lang, "cannot make sense of {typed}", typed = quoted(lang, typed))
}

/// That a lab or a topology was given to a command for containers.
pub fn lab_for_container(lang: Lang, word: &str) -> String {
    t!(lang, "{word} is a whole lab, and this command takes one of its nodes", word = quoted(lang, word))
}
