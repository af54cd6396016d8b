//! Data as the stock `lxc` prints it: tables with borders, YAML, CSV.

use std::fmt::Write;

use serde_json::Value;

use crate::error::{Error, RemoteFault};
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::sentences;

/// An error as the stock client words it, where it is the server's; else in the caller's language.
pub fn error(error: &Error, style: Style) -> String {
    let text = match error {
        Error::Remote(RemoteFault::Refused { text, .. }) => escape(text).into_owned(),
        Error::Remote(RemoteFault::Untrusted(_)) => "not authorized".to_owned(),
        Error::Command { errno, .. } if *errno == libc::ENOENT => "Command not found".to_owned(),
        Error::Command { .. } => "Command not executable".to_owned(),
        other => {
            let message = sentences::errors::error(style.lang, other);
            let more = message.why.into_iter().chain(message.hints);
            more.fold(message.what, |text, line| text + "\n  " + &line)
        }
    };
    format!("Error: {text}\n")
}

/// A table with borders; every cell on one line.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.split('\n').map(|line| escape(line).into_owned()).collect()).collect())
        .collect();
    let width = |at: usize| {
        let lines = rows.iter().filter_map(|row| row.get(at)).flatten().map(|line| line.chars().count());
        lines.chain(headings.get(at).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let rule: String = widths.iter().fold("+".to_owned(), |rule, width| rule + &"-".repeat(width + 2) + "+") + "\n";
    let heading: String = headings.iter().zip(&widths).fold("|".to_owned(), |line, (cell, width)| {
        let (left, right) = ((width - cell.len()) / 2, (width - cell.len()).div_ceil(2));
        line + " " + &" ".repeat(left) + cell + &" ".repeat(right) + " |"
    });
    let mut text = format!("{rule}{heading}\n{rule}");
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(1);
        for at in 0..height {
            text.push('|');
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, " {:width$} |", cell.get(at).map_or("", String::as_str));
            }
            text.push('\n');
        }
        text += &rule;
    }
    text
}

/// Rows as comma-separated values (RFC 4180).
pub fn csv(rows: &[Vec<String>]) -> String {
    let cell = |cell: &String| {
        if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// JSON, indented.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// YAML.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(text, "{:indent$}{}:", "", scalar(key));
                below(value, indent, text);
            }
        }
        Value::Array(all) if !all.is_empty() => {
            for value in all {
                let _ = write!(text, "{:indent$}-", "");
                let mut inner = String::new();
                block(value, indent + 2, &mut inner);
                let _ = if flat(value) { write!(text, " {inner}") } else { write!(text, " {}", inner.trim_start()) };
            }
        }
        Value::Object(_) => text.push_str("{}\n"),
        Value::Array(_) => text.push_str("[]\n"),
        Value::String(word) => {
            let _ = writeln!(text, "{}", scalar(word));
        }
        other => {
            let _ = writeln!(text, "{other}");
        }
    }
}

fn flat(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(all) => all.is_empty(),
        _ => true,
    }
}

fn below(value: &Value, indent: usize, text: &mut String) {
    if flat(value) {
        text.push(' ');
        block(value, 0, text);
    } else {
        text.push('\n');
        let deeper = if value.is_array() { indent } else { indent + 2 };
        block(value, deeper, text);
    }
}

/// A word as it is where YAML reads it as that word, else in quotes.
fn scalar(word: &str) -> String {
    let reserved = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let odd = |c: char| c.is_control() || !(c.is_alphanumeric() || "_./-+@ ".contains(c));
    let first = word.chars().next();
    let special = reserved.contains(&word.to_lowercase().as_str())
        || first.is_some_and(|c| c.is_ascii_digit() || "-+.@ ".contains(c))
        || word.ends_with(' ')
        || word.contains(odd);
    if special { Value::from(word).to_string() } else { word.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::{csv, table, yaml};

    #[test]
    fn a_table_looks_like_that_of_the_stock_client() {
        let rows = [vec!["c1".to_owned(), "RUNNING".to_owned()]];
        let shown = "+------+---------+\n| NAME |  STATE  |\n+------+---------+\n| c1   | RUNNING |\n+------+---------+\n";
        assert_eq!(table(&["NAME", "STATE"], &rows), shown);
        assert_eq!(csv(&[vec!["a,b".to_owned(), "c".to_owned()]]), "\"a,b\",c\n");
    }

    #[test]
    fn yaml_reads_back_as_it_was() {
        let value = json!({
            "config": {"user.cf": "one", "x": "true", "n": "1", "text": "a\nb: c", "empty": ""}, "devices": {}, "list": [],
            "profiles": ["default", "two words"], "nested": [{"a": 1, "b": {"c": null}}, [true]], "é": "- x",
        });
        let text = yaml(&value);
        let back: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, value, "{text}");
        assert!(text.contains("  user.cf: one\n") && text.contains("devices: {}\n"), "{text}");
    }
}
