//! How a string is printed: plain, in quotes, or as a block.

use super::scalar::{Dialect, Resolved, resolve, timestamp};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Whether a string is printed without quotes, on one line.
pub(crate) fn prints_plain(text: &str) -> bool {
    matches!(style(text, false), Style::Plain)
}

/// The style the original would choose for a string.
pub(super) fn style(text: &str, key: bool) -> Style {
    let analysis = analyse(text);
    if text.contains('\n') {
        return if analysis.block && !key { Style::Literal } else { Style::Double };
    }
    if !can_be_plain(text) {
        return Style::Double;
    }
    if analysis.plain {
        Style::Plain
    } else if analysis.single {
        Style::Single
    } else {
        Style::Double
    }
}

/// Whether the text, written plain, would still be read as a string by a YAML 1.1 reader.
fn can_be_plain(text: &str) -> bool {
    if resolve(text, Dialect::Strict) != Resolved::String {
        return false;
    }
    timestamp(text).is_none() && !is_base_60(text)
}

/// `190:20:30` is a number in base 60 for old readers.
fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !rest.starts_with(|c: char| c.is_ascii_digit()) || !rest.contains(':') {
        return false;
    }
    let mut groups = rest.split(':');
    let first = groups.next().unwrap_or("");
    if !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let groups: Vec<&str> = groups.collect();
    let count = groups.len();
    groups.into_iter().enumerate().all(|(i, group)| {
        let digits = if i + 1 == count { group.split_once('.').map_or(group, |(whole, _)| whole) } else { group };
        let fraction_is_fine =
            group.get(digits.len()..).is_some_and(|f| f.chars().skip(1).all(|c| c.is_ascii_digit() || c == '_'));
        fraction_is_fine
            && match digits.as_bytes() {
                [d] => d.is_ascii_digit(),
                [b'0'..=b'5', d] => d.is_ascii_digit(),
                _ => false,
            }
    })
}

struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

/// Which styles can hold the text, in a block context.
fn analyse(text: &str) -> Analysis {
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut special, mut breaks, mut space_break, mut break_space) = (false, false, false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    let mut preceded_by_blank = true;
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        let followed_by_blank = chars.peek().is_none_or(|n| is_blank(*n));
        indicators |= match c {
            '#' => preceded_by_blank,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => first,
            '?' | '-' => first && followed_by_blank,
            ':' => followed_by_blank,
            _ => false,
        };
        special |= !is_printable(c);
        if c == ' ' {
            break_space |= previous_break;
            (previous_space, previous_break) = (true, false);
        } else if is_break(c) {
            breaks = true;
            space_break |= previous_space;
            (previous_space, previous_break) = (false, true);
        } else {
            (previous_space, previous_break) = (false, false);
        }
        preceded_by_blank = is_blank(c);
        first = false;
    }
    let leading = text.starts_with(|c| c == ' ' || is_break(c));
    let trailing = text.ends_with(|c| c == ' ' || is_break(c));
    let unsafe_everywhere = space_break || special;
    Analysis {
        plain: !(leading || trailing || break_space || unsafe_everywhere || breaks || indicators || text.is_empty()),
        single: !(break_space || unsafe_everywhere),
        block: !(text.ends_with(' ') || unsafe_everywhere),
    }
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\0') || is_break(c)
}

pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}
