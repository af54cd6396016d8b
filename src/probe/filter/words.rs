//! The words of a filter, with their places.

use std::ops::Range;

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) at: Range<usize>,
}

/// Marks that are words even where no blank is around them.
const MARKS: [&str; 5] = ["&&", "||", "(", ")", "!"];

/// Splits a filter.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match mark(rest) {
            Some(mark) => mark.len(),
            None if c.is_whitespace() => c.len_utf8(),
            None => rest
                .char_indices()
                .find(|(place, c)| c.is_whitespace() || mark(&rest[*place..]).is_some())
                .map_or(rest.len(), |(place, _)| place),
        };
        if !c.is_whitespace() {
            words.push(Word { text: &rest[..length], at: at..at + length });
        }
        at += length;
    }
    words
}

fn mark(text: &str) -> Option<&'static str> {
    MARKS.into_iter().find(|mark| text.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_need_no_blanks() {
        let of = |text| words(text).into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(of("!(icmp&&host a1)||port  80"), ["!", "(", "icmp", "&&", "host", "a1", ")", "||", "port", "80"]);
        assert_eq!(of("  "), Vec::<&str>::new());
        assert_eq!(words("é host")[1].at, 3..7);
    }
}
