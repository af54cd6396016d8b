//! Sentences in the reader's language: each stands once, in English, where it is said; a catalogue has its translations.

use std::collections::HashMap;
use std::fmt::Display;

use super::Lang;
use crate::render::escape::escape;

/// A sentence in a language, its values escaped: `t!(lang, "{lab} is up: {size}.", lab = up.lab, size)`.
///
/// The compiler holds sentence and values together: each placeholder has a value, and no value is left over. Where one English text
/// has several translations a context tells them apart: `t!(lang, ["direction"] "in")`.
macro_rules! t {
    ($lang:expr, [$context:literal] $english:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::render::lang::t!(@translate $lang, $context, $english $(, $name $(= $value)?)*)
    };
    ($lang:expr, $english:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::render::lang::t!(@translate $lang, "", $english $(, $name $(= $value)?)*)
    };
    (@translate $lang:expr, $context:literal, $english:literal $(, $name:ident $(= $value:expr)?)*) => {
        $crate::render::lang::translate(
            $lang,
            $context,
            {
                if false {
                    let _ = format_args!($english $(, $name = $crate::render::lang::t!(@value $name $(= $value)?))*);
                }
                $english
            },
            &[$((stringify!($name), &$crate::render::lang::t!(@value $name $(= $value)?) as &dyn ::std::fmt::Display)),*],
        )
    };
    (@value $name:ident) => { $name };
    (@value $name:ident = $value:expr) => { $value };
}

/// A word or a sentence without values in a language, as it stands in the catalogue: `w!(lang, "ADDRESS")`.
macro_rules! w {
    ($lang:expr, [$context:literal] $english:literal) => {
        $crate::render::lang::word($lang, $context, $english)
    };
    ($lang:expr, $english:literal) => {
        $crate::render::lang::word($lang, "", $english)
    };
}

/// Several of them, as the headings of a table: `words!(lang, "NAME", "ADDRESS")`.
macro_rules! words {
    ($lang:expr, $($english:literal),+) => {
        [$($crate::render::lang::w!($lang, $english)),+]
    };
}

/// A number of things: `n!(lang, hosts, "host", "hosts")` is `1 host` or `2 hosts`.
macro_rules! n {
    ($lang:expr, $number:expr, $one:literal, $many:literal) => {{
        let number = $number;
        format!(
            "{number} {}",
            if number == 1 { $crate::render::lang::w!($lang, $one) } else { $crate::render::lang::w!($lang, $many) }
        )
    }};
}

pub(crate) use {n, t, w, words};

/// What the catalogue of a language says, by context and English text.
pub type Catalogue = HashMap<(&'static str, String), String>;

/// A sentence with its values in the places that the language gives them. English is its own translation.
pub fn translate(lang: Lang, context: &'static str, english: &'static str, values: &[(&str, &dyn Display)]) -> String {
    let template = find(lang, context, english).unwrap_or(english);
    let mut text = String::with_capacity(template.len() + 16 * values.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
        } else if let Some((name, after)) = after.split_once('}').filter(|_| brace == "{") {
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                text.push_str(&escape(&value.to_string()));
            }
            rest = after;
        } else {
            rest = after;
        }
    }
    text + rest
}

/// A text without values.
pub fn word(lang: Lang, context: &'static str, english: &'static str) -> &'static str {
    find(lang, context, english).unwrap_or(english)
}

/// The translation of a text that is known only at run time; none where there is none, and in English.
pub fn find(lang: Lang, context: &'static str, english: &str) -> Option<&'static str> {
    lang.catalogue()?.get(&(context, english.to_owned())).map(String::as_str)
}

/// A foreign word in quotation marks.
pub fn quoted(lang: Lang, text: impl Display) -> String {
    t!(lang, "\"{text}\"", text)
}

/// `a`, `a and b`, `a, b and c`; nothing where there is nothing.
pub fn and(lang: Lang, words: &[String]) -> String {
    joined(lang, words, w!(lang, ["list"] "and"))
}

/// `a`, `a or b`, `a, b or c`.
pub fn or(lang: Lang, words: &[String]) -> String {
    joined(lang, words, w!(lang, ["list"] "or"))
}

/// `between` may be two: `y|e i hi` is `e` before a word that begins with `i` or `hi`, else `y`.
fn joined(lang: Lang, words: &[String], between: &str) -> String {
    match words {
        [] => w!(lang, ["list"] "nothing").to_owned(),
        [one] => one.clone(),
        [start @ .., last] => {
            let (usual, other) = between.split_once('|').unwrap_or((between, ""));
            let mut other = other.split(' ');
            let before = other.next().filter(|_| other.any(|sound| last.starts_with(sound)));
            format!("{} {} {last}", start.join(", "), before.unwrap_or(usual))
        }
    }
}

/// A catalogue's entries: an English line, before it perhaps `[context] `, the translation, an empty line. `\n` is a line end within a
/// text, `\u{a0}` a character by its number, `#` begins a comment line.
pub fn parse(text: &'static str) -> Catalogue {
    let blocks = text.split("\n\n").map(|block| block.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>());
    let entry = |lines: Vec<&'static str>| {
        let [english, translation] = lines.as_slice() else { return None };
        let (context, english) = english.strip_prefix('[').and_then(|rest| rest.split_once("] ")).unwrap_or(("", english));
        Some(((context, unescaped(english)), unescaped(translation)))
    };
    blocks.filter_map(entry).collect()
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('n') {
            out.push('\n');
            after
        } else if let Some((number, after)) = after.strip_prefix("u{").and_then(|after| after.split_once('}')) {
            out.extend(u32::from_str_radix(number, 16).ok().and_then(char::from_u32));
            after
        } else {
            out.push('\\');
            after.strip_prefix('\\').unwrap_or(after)
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_places_that_the_language_gives_them() {
        let values: [(&str, &dyn Display); 2] = [("a", &1), ("b", &"x\x1b")];
        assert_eq!(translate(Lang::En, "", "{b} {{and}} {a}", &values), "x\\x1b {and} 1");
    }

    #[test]
    fn a_catalogue_is_read_with_its_contexts_and_escapes() {
        let read = parse("# head\n\nyes\nsí\n\n[way] in\nentra\\u{a0}ya\\n");
        assert_eq!(read[&("", "yes".to_owned())], "sí");
        assert_eq!(read[&("way", "in".to_owned())], "entra\u{a0}ya\n");
    }

    #[test]
    fn a_list_ends_as_its_language_ends_one() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(and(Lang::En, &words(&["a", "b", "c"])), "a, b and c");
        assert_eq!(and(Lang::Es, &words(&["a", "internal"])), "a e internal");
        assert_eq!(or(Lang::Es, &words(&["a", "host-a"])), "a u host-a");
        assert_eq!(or(Lang::Es, &words(&["a"])), "a");
        assert_eq!(and(Lang::Es, &[]), "nada");
    }
}
