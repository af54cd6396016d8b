//! Lengths of time as they are typed.

use std::time::Duration;

use crate::error::WrongValue;

/// `5s`, `0.2s`, `200ms`, `2m`; a bare number counts seconds. A day at most.
pub(super) fn duration(word: &str) -> Result<Duration, WrongValue> {
    const DAY: f64 = 86_400.0;
    let (number, unit) = word.split_at(word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len()));
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(WrongValue::Time),
    };
    let seconds = number.parse::<f64>().map_err(|_| WrongValue::Time)? * unit;
    if (0.0..=DAY).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(WrongValue::Day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_unit() {
        for (word, milliseconds) in [("5s", 5000), ("5", 5000), ("0.2", 200), ("200ms", 200), ("2m", 120_000), ("0", 0)] {
            assert_eq!(duration(word), Ok(Duration::from_millis(milliseconds)), "{word}");
        }
        for word in ["", "s", "5x", "-1", "1e9", "nan", "inf", "5 s", "25h"] {
            assert!(duration(word).is_err(), "{word}");
        }
    }
}
