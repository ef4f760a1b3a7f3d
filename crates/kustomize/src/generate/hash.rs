//! The hash at the end of generated names: it changes with the content, so that workloads roll when their settings do.

use std::fmt::Write as _;

use crate::value::Value;
use sha2::{Digest, Sha256};

use crate::resource::Resource;

/// Characters of the hash.
const HASH_CHARS: usize = 10;

/// The hash of a config map, a secret, or of any other object as a whole.
pub(crate) fn hash(resource: &Resource) -> String {
    let field = |name: &str| resource.object.get(name);
    let or_empty = |name: &str| match field(name) {
        None | Some(Value::Null(_)) => "\"\"".to_string(),
        Some(value) => json(value),
    };
    // Fields in the order of their names; the object's own name is not looked at.
    let text = match resource.kind() {
        "ConfigMap" => {
            let binary = field("binaryData").filter(|value| value.is_object());
            let binary = binary.map(|value| format!("\"binaryData\":{},", json(value))).unwrap_or_default();
            format!("{{{binary}\"data\":{},\"kind\":\"ConfigMap\",\"name\":\"\"}}", or_empty("data"))
        }
        "Secret" => {
            let plain = field("stringData").filter(|value| value.is_object());
            let plain = plain.map(|value| format!("\"stringData\":{},", json(value))).unwrap_or_default();
            format!(
                "{{\"data\":{},\"kind\":\"Secret\",\"name\":\"\",{plain}\"type\":{}}}",
                or_empty("data"),
                or_empty("type")
            )
        }
        _ => json(&Value::Object(resource.object.clone())),
    };
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::with_capacity(HASH_CHARS);
    for byte in digest.iter().take(HASH_CHARS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    // Letters and digits that could be read as a word are replaced.
    let replaced = |c| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().map(replaced).collect()
}

/// JSON as the original writes it: no spaces, sorted keys, `<`, `>` and `&` escaped.
fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::String(text) | Value::Quoted(text) => write_string(out, text),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
