//! Writing YAML byte for byte as Kubernetes' tools do: their emitter's styles, quoting and folding.

use std::fmt::Write as _;

use serde_json::Number;

use crate::value::{Map, Value};

use super::keys::sorted;
use super::style::{Style, is_break, is_printable, style};

/// The column after which long text is folded at a space.
const WIDTH: usize = 80;

/// The longest key in bytes that stands before `:`; longer ones are written with `?`.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Appends one document, ending with a newline.
pub(crate) fn append_document(out: &mut String, value: &Value) {
    let mut emitter = Emitter { out, column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => emitter.mapping(map, 0, true),
        Value::Array(items) if !items.is_empty() => emitter.sequence(items, 0, true),
        Value::Null(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Quoted(_)
        | Value::Array(_)
        | Value::Object(_) => {
            // Indented, so that no line of a text looks like the end of the document.
            emitter.leaf(value, 2);
            emitter.newline();
        }
    }
}

struct Emitter<'a> {
    out: &'a mut String,
    column: usize,
}

impl Emitter<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put_char(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        for _ in 0..indent {
            self.out.push(' ');
        }
        self.column += indent;
    }

    /// `inline`: the first entry continues the current line (after `- ` or at the start of the document).
    fn mapping(&mut self, map: &Map, indent: usize, inline: bool) {
        for (i, (key, value)) in sorted(map).into_iter().enumerate() {
            if i > 0 || !inline {
                self.indent(indent);
            }
            let simple =
                key.len() <= SIMPLE_KEY_BYTES_MAX && !key.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
            if simple {
                self.string(key, indent, true);
                self.put(":");
            } else {
                self.put("? ");
                self.string(key, indent + 2, false);
                self.newline();
                self.indent(indent);
                self.put(":");
            }
            self.after_indicator(value, indent, indent);
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, inline: bool) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 || !inline {
                self.indent(indent);
            }
            self.put("-");
            match item {
                Value::Object(map) if !map.is_empty() => {
                    self.put(" ");
                    self.mapping(map, indent + 2, true);
                }
                Value::Array(inner) if !inner.is_empty() => {
                    self.put(" ");
                    self.sequence(inner, indent + 2, true);
                }
                Value::Null(_)
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Quoted(_)
                | Value::Array(_)
                | Value::Object(_) => {
                    self.put(" ");
                    self.leaf(item, indent + 2);
                    self.newline();
                }
            }
        }
    }

    /// The value after `key:`; lists below a map are not indented.
    fn after_indicator(&mut self, value: &Value, indent: usize, list_indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.newline();
                self.mapping(map, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.newline();
                self.sequence(items, list_indent, false);
            }
            Value::Null(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Quoted(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.put(" ");
                self.leaf(value, indent + 2);
                self.newline();
            }
        }
    }

    /// A value that is written on one line, or a block scalar whose last line is not ended.
    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null(_) => self.put("null"),
            Value::Bool(b) => self.put(if *b { "true" } else { "false" }),
            Value::Number(n) => self.number(n),
            Value::String(s) | Value::Quoted(s) => self.string(s, indent, false),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    fn number(&mut self, number: &Number) {
        match number.as_f64() {
            Some(float) if number.is_f64() => {
                let text = float_text(float);
                self.put(&text);
            }
            _ => {
                let text = number.to_string();
                self.put(&text);
            }
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        match style(text, key) {
            Style::Plain => self.folded(text, indent, key, false),
            Style::Single => {
                self.put_char('\'');
                self.folded(text, indent, key, true);
                self.put_char('\'');
            }
            Style::Double => self.double(text, indent, key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Plain and single-quoted text: a single space beyond the width becomes a line break.
    fn folded(&mut self, text: &str, indent: usize, key: bool, quoted: bool) {
        if self.column + text.len() <= WIDTH && !(quoted && text.contains(['\'', '\n'])) {
            return self.put(text);
        }
        let mut after_space = false;
        let mut after_break = false;
        let mut chars = text.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            if c == ' ' {
                let next_is_space = chars.peek().is_some_and(|(_, n)| *n == ' ');
                let inner = !quoted || (i > 0 && i + 1 < text.len());
                if !key && !after_space && self.column > WIDTH && inner && !next_is_space {
                    self.newline();
                    self.indent(indent);
                } else {
                    self.put_char(' ');
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.newline();
                }
                self.break_char(c);
                after_break = true;
                after_space = false;
                continue;
            } else {
                if after_break {
                    self.indent(indent);
                }
                if quoted && c == '\'' {
                    self.put_char('\'');
                }
                self.put_char(c);
                after_space = false;
            }
            after_break = false;
        }
    }

    fn break_char(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
    }

    fn double(&mut self, text: &str, indent: usize, key: bool) {
        self.put_char('"');
        // After a byte order mark the original escapes everything.
        let escape_all = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            if escape_all || !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.escape(c);
                after_space = false;
            } else if c == ' ' {
                if !key && !after_space && self.column > WIDTH && i > 0 && i + 1 < text.len() {
                    self.newline();
                    self.indent(indent);
                    if chars.peek().is_some_and(|(_, n)| *n == ' ') {
                        self.put_char('\\');
                    }
                } else {
                    self.put_char(' ');
                }
                after_space = true;
            } else {
                self.put_char(c);
                after_space = false;
            }
        }
        self.put_char('"');
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => {
                let code = u32::from(c);
                let mut text = String::with_capacity(10);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02X}"),
                    0x100..=0xffff => write!(text, "\\u{code:04X}"),
                    _ => write!(text, "\\U{code:08X}"),
                };
                return self.put(&text);
            }
        };
        self.put(short);
    }

    /// A `|` block; the caller ends its last line, so the last newline is left out.
    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with(|c: char| c == ' ' || is_break(c)) {
            self.put("2");
        }
        let mut from_end = text.chars().rev();
        let (last, before) = (from_end.next(), from_end.next());
        match (last.is_some_and(is_break), before) {
            (false, _) => self.put("-"),
            (true, None) => self.put("+"),
            (true, Some(before)) if is_break(before) => self.put("+"),
            (true, Some(_)) => {}
        }
        self.newline();
        let mut at_start = true;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if is_break(c) {
                if chars.peek().is_none() {
                    // The caller's newline is this one.
                    if c != '\n' {
                        self.break_char(c);
                    }
                    break;
                }
                self.break_char(c);
                at_start = true;
            } else {
                if at_start {
                    self.indent(indent);
                }
                self.put_char(c);
                at_start = false;
            }
        }
    }
}

/// The shortest digits, with an exponent of two digits when it is below -4 or above 5.
fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
