//! Writes a scalar anew in the style it has.

use crate::value::Value;

use crate::yaml::plain;

/// Where a scalar stands, which decides what plain text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// In the file itself.
    File,
    /// In YAML that is itself a block scalar of the file: the text is the same, only indented.
    Block,
}

/// The new scalar in the old one's quotes. A plain one stays plain if the value can be written so.
pub(super) fn rewrite(old: &str, context: Context, value: &str) -> Result<String, String> {
    if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || value.is_empty() {
        return Err(format!("`{}` is no value of a label", value.escape_default()));
    }
    // Values of labels need no escapes, so quotes need no thought.
    match (old.chars().next(), old.chars().next_back()) {
        (Some('"'), Some('"')) if old.len() > 1 => Ok(format!("\"{value}\"")),
        (Some('\''), Some('\'')) if old.len() > 1 => Ok(format!("'{value}'")),
        (Some('|' | '>'), _) => Err("the value is written as a block; write it on the line of its key".into()),
        (Some(_), Some(_)) => {
            let stays_a_string = matches!(plain(value), Value::String(text) if text == value) && !is_old_word(value);
            let quote = match context {
                Context::File | Context::Block => "\"",
            };
            Ok(if stays_a_string { value.to_string() } else { format!("{quote}{value}{quote}") })
        }
        (None, _) | (Some(_), None) => Err("the value is empty".into()),
    }
}

/// Words that old readers take for booleans, and text that YAML takes for something else.
fn is_old_word(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "---" | "...")
        || value.starts_with('-')
        || value.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_stays() {
        for (old, value, expected) in [
            ("blue", "green", Ok("green")),
            ("'blue'", "green", Ok("'green'")),
            ("\"blue\"", "green", Ok("\"green\"")),
            ("blue", "yes", Ok("\"yes\"")),
            ("blue", "12", Ok("\"12\"")),
            ("blue", "1e3", Ok("\"1e3\"")),
        ] {
            assert_eq!(
                rewrite(old, Context::File, value).as_deref().map_err(String::as_str),
                expected,
                "{old} to {value}"
            );
        }
        assert!(rewrite("blue", Context::File, "a: b").is_err());
        assert!(rewrite("|-", Context::File, "green").is_err());
    }
}
