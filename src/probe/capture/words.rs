//! The words after `nslab capture`: first the points, then the filter.

use crate::probe::filter::KEYWORDS;

/// Splits the words where the filter begins: at the first that begins one.
///
/// Every word of the filter language is a word of its own there; a filter in quotation marks has blanks, which no name has.
pub fn split(words: &[String]) -> (&[String], &[String]) {
    words.split_at(words.iter().position(|word| begins_filter(word)).unwrap_or(words.len()))
}

/// Whether a filter begins with the word, wherever it stands.
pub fn begins_filter(word: &str) -> bool {
    KEYWORDS.contains(&word) || word.starts_with(['(', '!']) || word.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_begins_at_its_first_word() {
        let split = |text: &str| {
            let words: Vec<String> = text.split('|').map(str::to_owned).collect();
            let (points, filter) = split(&words);
            format!("{} / {}", points.join(" "), filter.join(" "))
        };
        assert_eq!(split("a1|b1.eth0"), "a1 b1.eth0 / ");
        assert_eq!(split("all|icmp|and|host|a1"), "all / icmp and host a1");
        assert_eq!(split("a1|not|arp"), "a1 / not arp");
        assert_eq!(split("a1|!arp"), "a1 / !arp");
        assert_eq!(split("a1|(|arp|)"), "a1 / ( arp )");
        assert_eq!(split("internal|icmp and host a1"), "internal / icmp and host a1");
        assert_eq!(split("icmp"), " / icmp");
    }
}
