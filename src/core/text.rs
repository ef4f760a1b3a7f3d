//! Text from outside, made fit for a commit, a log line or a message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest text from outside that is kept, in characters: one line of a commit body that a person still reads.
pub const OUTSIDE_TEXT_CHARS_MAX: usize = 200;

/// What is kept of the beginning of an error that is too long: what failed, and on which object.
const ERROR_START_CHARS: usize = 110;

/// One line of text from outside: no control characters, at most [`OUTSIDE_TEXT_CHARS_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OneLine(String);

impl OneLine {
    /// Replaces control characters and other line breaks by spaces, folds white space and cuts what is too long.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut line = String::with_capacity(text.len().min(OUTSIDE_TEXT_CHARS_MAX * 4));
        for (at, c) in folded(text).enumerate() {
            if at == OUTSIDE_TEXT_CHARS_MAX - 1 {
                line.push('…');
                break;
            }
            line.push(c);
        }
        Self(line)
    }

    /// The same of an error. What is too long is cut in its middle: an error begins with what failed and ends with the cause.
    #[must_use]
    pub fn of_error(error: &dyn fmt::Display) -> Self {
        let text = error.to_string();
        let length = folded(&text).count();
        let Some(cut) = length.checked_sub(OUTSIDE_TEXT_CHARS_MAX - 1).filter(|cut| *cut > 0) else {
            return Self::new(&text);
        };
        let start: String = folded(&text).take(ERROR_START_CHARS).collect();
        let end: String = folded(&text).skip(ERROR_START_CHARS + cut).collect();
        Self(format!("{start}…{end}"))
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Lines in a row, for a sentence that names them all.
#[must_use]
pub fn join(lines: &[OneLine], separator: &str) -> String {
    let words: Vec<&str> = lines.iter().map(OneLine::as_str).collect();
    words.join(separator)
}

/// The characters of a text without what is unprintable, and with one space for each gap.
fn folded(text: &str) -> impl Iterator<Item = char> {
    let is_gap = |c: char| c.is_whitespace() || is_unprintable(c);
    text.split(is_gap).filter(|word| !word.is_empty()).enumerate().flat_map(|(at, word)| {
        let gap = (at > 0).then_some(' ');
        gap.into_iter().chain(word.chars())
    })
}

/// Control characters, and those that reorder or hide what stands beside them on a screen.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for OneLine {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for OneLine {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<OneLine> for String {
    fn from(line: OneLine) -> Self {
        line.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_one_bounded_line() {
        for (input, expect) in [
            ("plain", "plain"),
            ("  two\r\n\nlines\t", "two lines"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred [0m"),
            ("a\u{202e}b", "a b"),
            ("", ""),
        ] {
            assert_eq!(OneLine::new(input).as_str(), expect, "{input:?}");
        }
        let long = OneLine::new(&"ü".repeat(5000));
        assert_eq!(long.as_str().chars().count(), OUTSIDE_TEXT_CHARS_MAX);
        assert!(long.as_str().ends_with('…'));
    }

    #[test]
    fn a_long_error_keeps_what_failed_and_why() {
        let error = format!("failed to apply it: {}: no version 2", "policy ".repeat(100));
        let line = OneLine::of_error(&error);
        assert_eq!(line.as_str().chars().count(), OUTSIDE_TEXT_CHARS_MAX);
        assert!(line.as_str().starts_with("failed to apply it: policy ") && line.as_str().ends_with(": no version 2"));
        for short in ["failed", &"x".repeat(OUTSIDE_TEXT_CHARS_MAX - 1)] {
            assert_eq!(OneLine::of_error(&short).as_str(), short);
        }
    }
}
