//! What a folded scalar becomes in the original, which writes every manifest once and reads it again.
//!
//! Its writer looks at the wrong character when it decides whether to double a line break, so a break before a line that
//! is indented further is doubled for good.

/// The text of a folded scalar after the original has written and read it.
pub(super) fn refold(text: &str) -> String {
    let body = text.trim_end_matches('\n');
    // With a space before a break it is written in quotes, where nothing happens to it.
    let is_one_line = !body.contains('\n') && text.len() - body.len() <= 1;
    if is_one_line || text.contains(" \n") {
        return text.to_string();
    }
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let first = text.trim_start_matches('\n');
    let doubles = !(first.is_empty() || is_indented(first));
    let leading = text.len() - first.len();
    let mut out = String::with_capacity(text.len() + 8);
    out.extend(std::iter::repeat_n('\n', leading));
    let mut rest = first;
    while let Some(end) = rest.find('\n') {
        let (line, after) = rest.split_at(end);
        rest = after.trim_start_matches('\n');
        let breaks = after.len() - rest.len();
        let written = if doubles && !is_indented(line) { breaks + 1 } else { breaks };
        out.push_str(line);
        let kept = if rest.is_empty() {
            // Only where several end the text are all of them kept.
            if breaks > 1 { written } else { breaks }
        } else if is_indented(line) || is_indented(rest) {
            written
        } else {
            written - 1
        };
        if kept == 0 {
            out.push(' ');
        }
        out.extend(std::iter::repeat_n('\n', kept));
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_before_indented_lines_are_doubled() {
        for (text, expected) in [
            ("one line\n", "one line\n"),
            ("a\nb\n", "a\nb\n"),
            ("a\n  b\n  c\nd", "a\n\n  b\n  c\nd"),
            ("a\n\n  b", "a\n\n\n  b"),
            ("a \n  b", "a \n  b"),
            ("a b\n\n\n", "a b\n\n\n\n"),
            ("  a\nb c\nd\n", "  a\nb c d\n"),
            ("\na\nb\n  c\n", "\na\nb\n\n  c\n"),
        ] {
            assert_eq!(refold(text), expected, "{text:?}");
        }
    }
}
