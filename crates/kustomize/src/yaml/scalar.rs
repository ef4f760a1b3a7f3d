//! What a scalar's text means.

use serde_json::Number;

use crate::value::{Text, Value};

/// How plain scalars are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Manifests: `yes` is a string, a date is a timestamp.
    Resources,
    /// Kustomization files and JSON patches: `yes` is true, a date is a string.
    Strict,
}

/// What a plain scalar is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Number(Number),
    /// A timestamp, in the form in which it is printed.
    Timestamp(String),
    /// `.nan` or `.inf`: JSON has no such numbers.
    NotFinite,
    String,
}

/// Resolves a plain scalar without a tag.
pub(super) fn resolve(text: &str, dialect: Dialect) -> Resolved {
    let Some(first) = text.bytes().next() else { return Resolved::Null };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => word(text, dialect),
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" => Resolved::NotFinite,
            _ => float(text),
        },
        b'+' | b'-' | b'0'..=b'9' => number(text, dialect),
        _ => Resolved::String,
    }
}

fn word(text: &str, dialect: Dialect) -> Resolved {
    match text {
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        _ => match dialect {
            Dialect::Resources => Resolved::String,
            Dialect::Strict => match text {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Resolved::Bool(true),
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Resolved::Bool(false),
                _ => Resolved::String,
            },
        },
    }
}

fn number(text: &str, dialect: Dialect) -> Resolved {
    if matches!(text, "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF") {
        return Resolved::NotFinite;
    }
    if let Some(printed) = timestamp(text) {
        // The strict dialect keeps the text: a timestamp is only a reason to quote it when printing.
        return match dialect {
            Dialect::Resources => Resolved::Timestamp(printed),
            Dialect::Strict => Resolved::String,
        };
    }
    if !text.contains('_') {
        return integer(text).map_or_else(|| float(text), Resolved::Number);
    }
    let plain = text.replace('_', "");
    integer(&plain).map_or_else(|| float(&plain), Resolved::Number)
}

/// Integers: decimal, `0x`, `0b`, `0o`, and octal with a bare leading zero.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(magnitude.into());
    }
    0i64.checked_sub_unsigned(magnitude).map(Number::from)
}

/// Floats as YAML writes them. Integral values become integers, as they are printed.
fn float(text: &str) -> Resolved {
    if !is_float(text) {
        return Resolved::String;
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Resolved::Number(number_from_f64(float)),
        _ => Resolved::String,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = rest.get(whole..).unwrap_or("");
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole == 0 && count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or("");
    } else if whole == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

/// The JSON number for a float. Floats without a fraction become integers where their shortest decimal form fits one.
pub(crate) fn number_from_f64(float: f64) -> Number {
    // From here on the original writes an exponent, and reads a float again.
    const INTEGERS_BELOW: f64 = 1e21;
    if float.fract() == 0.0 && float.abs() < INTEGERS_BELOW {
        let text = format!("{float}");
        if let Ok(number) = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)) {
            return number;
        }
    }
    Number::from_f64(float).unwrap_or_else(|| Number::from(0))
}

/// A timestamp's printed form, if the text is one: `2001-12-14`, `2001-12-14t21:59:43.10-05:00`, `2001-12-14 21:59:43`.
pub(super) fn timestamp(text: &str) -> Option<String> {
    // Cheap refusal first: almost no scalar is a timestamp.
    if text.as_bytes().get(4) != Some(&b'-') || text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let year: u32 = text.get(..4).filter(|y| y.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    let rest = text.get(5..)?;
    let (month, rest) = one_or_two_digits(rest)?;
    let (day, rest) = one_or_two_digits(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let zoned = rest.starts_with(['T', 't']);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = one_or_two_digits(rest)?;
    let (minute, rest) = one_or_two_digits(rest.strip_prefix(':')?)?;
    let (second, mut rest) = one_or_two_digits(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix(['.', ',']) {
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return None;
        }
        fraction = after.get(..count.min(9))?.trim_end_matches('0');
        rest = after.get(count..)?;
    }
    let zone = if zoned {
        zone(rest)?
    } else if rest.is_empty() {
        "Z"
    } else {
        return None;
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"))
}

fn zone(text: &str) -> Option<&str> {
    match text.as_bytes() {
        b"Z" | [b'+' | b'-', b'0', b'0', b':', b'0', b'0'] => Some("Z"),
        [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => {
            (text.get(1..3)? <= "24" && text.get(4..6)? < "60").then_some(text)
        }
        _ => None,
    }
}

fn one_or_two_digits(text: &str) -> Option<(u32, &str)> {
    let count = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text.get(..count)?.parse().ok()?, text.get(count..)?))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The text of a scalar value, as YAML would write it without quotes; `None` for lists and maps.
pub(crate) fn text_of(value: &Value) -> Option<Text> {
    match value {
        Value::Null(_) => Some("null".into()),
        Value::Bool(b) => Some(if *b { "true" } else { "false" }.into()),
        Value::Number(n) => Some(n.to_string().into()),
        Value::String(s) | Value::Quoted(s) => Some(s.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads a text as a plain scalar of a manifest would be read.
pub(crate) fn plain(text: &str) -> Value {
    match resolve(text, Dialect::Resources) {
        Resolved::Null => Value::NULL,
        Resolved::Bool(b) => Value::Bool(b),
        Resolved::Number(n) => Value::Number(n),
        Resolved::Timestamp(printed) => printed.into(),
        Resolved::NotFinite | Resolved::String => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;

    #[test]
    fn plain_scalars_of_manifests() {
        for (text, expected) in [
            ("0o644", json!(420)),
            ("0644", json!(420)),
            ("0x1A", json!(26)),
            ("1_000", json!(1000)),
            ("08", json!(8)),
            ("0o8", json!("0o8")),
            ("+12", json!(12)),
            ("1:30", json!("1:30")),
            ("-0644", json!(-420)),
            ("1e3", json!(1000)),
            ("1.10", json!(1.1)),
            ("1e", json!("1e")),
            ("100m", json!("100m")),
            ("1e400", json!("1e400")),
            ("yes", json!("yes")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("-9223372036854775808", json!(-9_223_372_036_854_775_808_i64)),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("2001-12-14t21:59:43.10-05:00", json!("2001-12-14T21:59:43.1-05:00")),
            ("2002-12-14", json!("2002-12-14T00:00:00Z")),
            ("2002-02-30", json!("2002-02-30")),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn the_strict_dialect_has_more_booleans_and_no_dates() {
        assert_eq!(resolve("On", Dialect::Strict), Resolved::Bool(true));
        assert_eq!(resolve("2020-01-01", Dialect::Strict), Resolved::String);
    }
}
