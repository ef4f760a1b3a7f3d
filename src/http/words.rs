//! The pages' words: phases, verdicts, moments, and text from elsewhere.

use jiff::Timestamp;

use crate::core::report::Phase;
use crate::core::verdict::Verdict;

/// The phase in words.
pub(super) fn words_of(phase: Phase) -> String {
    phase.as_str().replace('_', " ")
}

/// A verdict's colour on the page.
pub(super) const fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Released => "good",
        Verdict::Rejected => "bad",
        Verdict::Withdrawn | Verdict::Superseded => "",
        Verdict::Verified => "warn",
    }
}

/// A moment: the script counts from it, and without the script it reads as it stands.
pub(super) fn time(at: Timestamp, kind: &str) -> String {
    let words = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!(r#"<time datetime="{at:.0}" data-as="{kind}">{words}</time>"#)
}

/// Text from elsewhere, harmless in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
