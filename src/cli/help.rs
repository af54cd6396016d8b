//! The grammar with its help in the reader's language.

use clap::builder::{PossibleValue, StyledStr};
use clap::{Arg, ArgAction, Command};

use crate::render::lang::{Lang, find, w};
use crate::render::sentences::usage::{in_words, possible};

/// The grammar as it explains itself in a language. It parses as the English one does.
pub(super) fn translated(mut grammar: Command, lang: Lang) -> Command {
    grammar.build();
    command(grammar, lang)
}

/// Of a command a text, and how it is set.
type Text = (fn(&Command) -> Option<&StyledStr>, fn(Command, String) -> Command);

fn command(english: Command, lang: Lang) -> Command {
    let mut command = if english.get_name() == "help" { leaf(&english) } else { english };
    let usage = in_words(lang, &command.render_usage().ansi().to_string());
    if let Some((_, usage)) = usage.split_once(w!(lang, "Usage:")).and_then(|(_, after)| after.split_once(' ')) {
        command = command.override_usage(usage.to_owned());
    }
    let texts: [Text; 4] = [
        (Command::get_about, |command, text| command.about(text)),
        (Command::get_long_about, |command, text| command.long_about(text)),
        (Command::get_after_help, |command, text| command.after_help(text)),
        (Command::get_after_long_help, |command, text| command.after_long_help(text)),
    ];
    for (get, set) in texts {
        if let Some(text) = get(&command).map(ToString::to_string) {
            command = set(command, in_language(lang, &text));
        }
    }
    let template = template(&command, lang);
    command.mut_args(|arg| argument(arg, lang)).mut_subcommands(|inner| self::command(inner, lang)).help_template(template)
}

/// `help` with its words, and not with a copy of all commands.
fn leaf(help: &Command) -> Command {
    let about = help.get_about().cloned().unwrap_or_default();
    let words = Arg::new("subcommand")
        .action(ArgAction::Append)
        .num_args(..)
        .value_name("COMMAND")
        .help("Print help for the subcommand(s)");
    let mut leaf = Command::new("help").about(about).arg(words).disable_help_flag(true).disable_version_flag(true);
    if let Some(name) = help.get_bin_name() {
        leaf = leaf.bin_name(name.to_owned());
    }
    leaf
}

/// A text of the grammar, by paragraphs; of one that is not in the catalogue, line by line: lines that are typed are the same
/// everywhere.
fn in_language(lang: Lang, english: &str) -> String {
    let line = |line: &str| {
        let bare = line.trim_start();
        let indent = &line[..line.len() - bare.len()];
        format!("{indent}{}", find(lang, "help", bare).unwrap_or(bare))
    };
    let paragraph = |text: &str| match find(lang, "help", text) {
        Some(translation) => translation.to_owned(),
        None => text.split('\n').map(line).collect::<Vec<_>>().join("\n"),
    };
    english.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// What clap shows, in its order, under headings that it has in English alone.
fn template(command: &Command, lang: Lang) -> String {
    let (title, header) = (command.get_styles().get_usage(), command.get_styles().get_header());
    let shown = |arg: &Arg| !arg.is_hide_set();
    let commands = command.get_subcommands().any(|inner| !inner.is_hide_set());
    let positionals = command.get_positionals().any(shown);
    let options = command.get_arguments().any(|arg| shown(arg) && !arg.is_positional());
    let sections = [
        (commands, w!(lang, "Commands:"), "{subcommands}"),
        (positionals, w!(lang, "Arguments:"), "{positionals}"),
        (options, w!(lang, "Options:"), "{options}"),
    ];
    let mut parts = vec![format!("{{before-help}}{{about-with-newline}}\n{title}{}{title:#} {{usage}}", w!(lang, "Usage:"))];
    let there = sections.into_iter().filter(|(there, ..)| *there);
    parts.extend(there.map(|(_, heading, tag)| format!("{header}{heading}{header:#}\n{tag}")));
    parts.join("\n\n") + "{after-help}"
}

/// An argument: what clap adds about its values in English is part of its help.
fn argument(mut arg: Arg, lang: Lang) -> Arg {
    if arg.get_value_names().is_some_and(|names| names.len() == 1 && names[0] == "COMMAND") {
        arg = arg.value_name(w!(lang, "COMMAND"));
    }
    let translate = |text: Option<&StyledStr>| text.map(|text| in_language(lang, &text.to_string()));
    let short = translate(arg.get_help()).unwrap_or_default();
    let full = translate(arg.get_long_help());
    let takes = arg.get_action().takes_values();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let shows_default = takes && !arg.is_hide_default_value_set() && !defaults.is_empty();
    let default = shows_default.then(|| format!("[{} {}]", w!(lang, "default:"), defaults.join(" ")));
    let mut values = if arg.is_hide_possible_values_set() { Vec::new() } else { arg.get_possible_values() };
    values.retain(|value| !value.is_hide_set());
    let names: Vec<String> = values.iter().map(|value| value.get_name().to_owned()).collect();
    let names = (!names.is_empty()).then(|| format!("[{}]", possible(lang, &names)));
    let described = values.iter().any(|value| value.get_help().is_some());
    let (list, bare) = if described { (listed(&values, lang), None) } else { (String::new(), names.clone()) };
    let notes: Vec<String> = default.iter().cloned().chain(bare).collect();
    let all = joined([full.as_ref().unwrap_or(&short), &list, &notes.join("\n")], "\n\n");
    let brief = joined([&short, &default.unwrap_or_default(), &names.unwrap_or_default()], " ");
    if full.is_some() || all != brief {
        arg = arg.long_help(all);
    }
    arg.help(brief).hide_default_value(true).hide_possible_values(true)
}

/// Those that are not empty.
fn joined(texts: [&str; 3], between: &str) -> String {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(between)
}

/// Values, each with what it means.
fn listed(values: &[PossibleValue], lang: Lang) -> String {
    let longest = values.iter().map(|value| value.get_name().chars().count()).max().unwrap_or_default();
    let mut lines = vec![w!(lang, "Possible values:").to_owned()];
    lines.extend(values.iter().map(|value| match value.get_help() {
        Some(help) => {
            let name = format!("{}:", value.get_name());
            format!("- {name:width$} {}", in_language(lang, &help.to_string()), width = longest + 1)
        }
        None => format!("- {}", value.get_name()),
    }));
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use clap::CommandFactory;
    use clap::error::{ContextKind, ContextValue, ErrorKind};

    use super::*;
    use crate::cli::Cli;
    use crate::render::sentences::usage::{refused, title};

    fn wrong(grammar: &Command, line: &str) -> clap::Error {
        let words = line.split_whitespace().map(|word| match word {
            "EMPTY" => OsString::new(),
            "BYTES" => OsString::from_vec(vec![0xff]),
            word => OsString::from(word),
        });
        grammar.clone().try_get_matches_from(words).unwrap_err()
    }

    fn message(lang: Lang, error: &clap::Error) -> String {
        let usage = match error.get(ContextKind::Usage) {
            Some(ContextValue::StyledStr(usage)) => Some(usage.to_string()),
            _ => None,
        };
        format!("{} {}", title(lang), refused(lang, error, usage.as_deref()).unwrap())
    }

    /// A grammar with what nslab's own has not.
    fn odd() -> Command {
        Command::new("odd")
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
            .subcommand(Command::new("inner"))
            .subcommand(Command::new("inners"))
            .arg(Arg::new("equals").long("equals").require_equals(true).num_args(1))
            .arg(Arg::new("two").long("two").num_args(2))
            .arg(Arg::new("least").long("least").num_args(2..))
            .arg(Arg::new("colour").long("colour").value_parser(["green", "grey", "dark blue"]))
            .arg(Arg::new("alone").long("alone").action(ArgAction::SetTrue).conflicts_with_all(["two", "colour"]))
            .arg(Arg::new("byte").long("byte").value_parser(clap::value_parser!(u8)))
            .arg(Arg::new("long").long("long").value_parser(clap::value_parser!(i64).range(1..=9)).allow_hyphen_values(true))
    }

    const WRONG: [&str; 33] = [
        "nslab frobnicate",
        "nslab upp",
        "nslab sto",
        "nslab --frob",
        "nslab up",
        "nslab up --frob x",
        "nslab up b --forma json",
        "nslab up b --format",
        "nslab up b --format xml",
        "nslab up b --allow x",
        "nslab down --all x",
        "nslab ping -c x a1 b1",
        "nslab ping -c EMPTY a1 b1",
        "nslab ping -c 0 a1 b1",
        "nslab ping -c 99999999999999999999 a1 b1",
        "nslab ping -i x a1 b1",
        "nslab ping -i 25h a1 b1",
        "nslab ping --all -4 -c 3",
        "nslab ping -4 -6 a1 b1",
        "nslab ping a b c d",
        "nslab capture all --for x",
        "nslab capture all --for 0",
        "nslab launch a3 -c x",
        "nslab launch a3 -d x",
        "nslab -q -q list",
        "nslab --quiet=3 list",
        "nslab agent --quiet",
        "nslab agent token",
        "nslab exec a1",
        "nslab completions",
        "nslab help frob",
        "nslab up BYTES",
        "nslab show",
    ];

    const ODD: [&str; 9] = [
        "odd --equals x",
        "odd --two 1",
        "odd --least 1",
        "odd --colour gren",
        "odd --alone --two 1 2 --colour grey",
        "odd --byte 300",
        "odd --long -99999999999999999999",
        "odd --long 10",
        "odd --alone inner",
    ];

    fn all() -> Vec<(&'static str, clap::Error)> {
        let errors_of = |grammar: &Command, lines: &[&'static str]| -> Vec<_> {
            lines.iter().map(|&line| (line, wrong(grammar, line))).collect()
        };
        let mut all = errors_of(&Cli::command(), &WRONG);
        all.extend(errors_of(&odd(), &ODD));
        all.retain(|(_, error)| error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        all
    }

    #[test]
    fn what_is_wrong_with_a_command_line_is_told_in_english_as_clap_tells_it() {
        for (line, error) in all() {
            assert_eq!(message(Lang::En, &error), error.render().to_string(), "{line}");
        }
        let kinds: BTreeSet<String> = all().iter().map(|(_, error)| format!("{:?}", error.kind())).collect();
        assert!(kinds.len() >= 11, "{kinds:?}");
    }

    #[test]
    fn what_is_wrong_with_a_command_line_is_told_in_spanish_without_an_english_line() {
        for (line, error) in all() {
            let (english, spanish) = (message(Lang::En, &error), message(Lang::Es, &error));
            let english: BTreeSet<&str> = english.lines().filter(|line| line.trim().contains(' ')).collect();
            for shown in spanish.lines() {
                let typed = shown.trim_start().starts_with(['-', '<']) || shown.starts_with("     nslab");
                let same = english.contains(shown) && !typed;
                assert!(!same, "{line}: {spanish}");
            }
            assert!(!spanish.contains("[OPTIONS]") && !spanish.contains("[COMMAND]"), "{line}: {spanish}");
        }
    }

    /// Every command by its words.
    fn paths(command: &Command, before: &str, found: &mut Vec<String>) {
        let path = format!("{before} {}", command.get_name()).trim().to_owned();
        let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        shown.for_each(|inner| paths(inner, &path, found));
        found.push(path);
    }

    #[test]
    fn all_help_is_spanish_and_fits_a_terminal() {
        let grammar = Cli::command().term_width(80);
        let spanish = translated(grammar.clone(), Lang::Es);
        let mut found = Vec::new();
        paths(&grammar, "", &mut found);
        assert!(found.len() > 40, "{found:?}");
        for path in found {
            for option in ["-h", "--help"] {
                let line = format!("{path} {option}");
                let (english, spanish) = (wrong(&grammar, &line).render(), wrong(&spanish, &line).render());
                let (english, spanish) = (english.to_string(), spanish.to_string());
                let typed = |line: &&str| ["nslab ", "sudo ", "source "].iter().any(|start| line.trim().starts_with(start));
                let lines: BTreeSet<&str> = english.lines().filter(|line| !typed(line) && line.trim().contains(' ')).collect();
                for shown in spanish.lines().filter(|line| !typed(line)) {
                    let value =
                        shown.trim_start().starts_with('-') || shown.ends_with(']') || shown.contains("yaml-language-server");
                    assert!(value || !lines.contains(shown), "{line}: {shown}");
                    assert!(shown.chars().count() <= 80, "{line}: {shown}");
                }
                let shape = |text: &str| text.lines().filter(|line| line.trim().is_empty()).count();
                assert_eq!(shape(&english), shape(&spanish), "{line}:\n{english}\n{spanish}");
            }
        }
    }
}
