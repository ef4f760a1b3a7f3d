//! Lines of turquoise's commit messages that an app's people shape: fixed fields, one line, no environment, no
//! files.

use std::fmt;

use serde::{Serialize, Serializer};

use super::text::{OUTSIDE_TEXT_CHARS_MAX, OneLine};

/// Text of a template beside its fields, in characters: the other half of a line is for what the fields say.
const TEXT_CHARS_MAX: usize = OUTSIDE_TEXT_CHARS_MAX / 2;

/// What a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The app's name.
    App,
    /// The watched branch.
    Branch,
    /// The colour that is live after the commit.
    Colour,
    /// The revision that the commit speaks of, in short.
    Revision,
    /// What it says of it: `released`, `verified`, `rejected`, `withdrawn`.
    Verdict,
    /// What turquoise would say by itself: `green goes live with shop:1.1.0`.
    Summary,
}

const FIELDS: [(&str, Field); 6] = [
    ("app", Field::App),
    ("branch", Field::Branch),
    ("colour", Field::Colour),
    ("revision", Field::Revision),
    ("verdict", Field::Verdict),
    ("summary", Field::Summary),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A line with fields in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.contains(char::is_control) || OneLine::new(text).as_str() != text {
            return Err("a line of a commit message must be one line of plain text, and not empty".to_owned());
        }
        if text.to_ascii_lowercase().contains("turquoise-") {
            return Err(
                "`Turquoise-` begins turquoise's own trailers, which are what was decided: leave it out".to_owned()
            );
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, inside)) = rest.split_once('{') {
            let (name, after) = inside.split_once('}').ok_or("a `{` has no `}`: fields are written `{app}`")?;
            let field = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
            let known = || FIELDS.map(|(name, _)| format!("`{{{name}}}`")).join(", ");
            let field = field.ok_or_else(|| format!("there is no field `{{{name}}}`; there are {}", known()))?;
            parts.extend([Part::Text(before.to_owned()), Part::Field(field)]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self { text: text.to_owned(), parts };
        if template.texts().sum::<usize>() > TEXT_CHARS_MAX {
            return Err(format!(
                "a line of a commit message has at most {TEXT_CHARS_MAX} characters beside its fields"
            ));
        }
        Ok(template)
    }

    /// The lengths of what stands between the fields, in characters.
    fn texts(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| match part {
            Part::Text(text) => text.chars().count(),
            Part::Field(_) => 0,
        })
    }

    /// The line. Where it is too long, the longest field is cut, and never the template's own text.
    #[must_use]
    pub fn line(&self, value: impl Fn(Field) -> String) -> OneLine {
        let room = OUTSIDE_TEXT_CHARS_MAX - 1 - self.texts().sum::<usize>();
        let mut said: Vec<String> = self.fields().map(|field| OneLine::new(&value(field)).to_string()).collect();
        let length = |text: &String| text.chars().count();
        loop {
            let over = said.iter().map(length).sum::<usize>().saturating_sub(room);
            let Some(longest) = said.iter_mut().max_by_key(|text| length(text)).filter(|_| over > 0) else { break };
            *longest = cut(longest, length(longest).saturating_sub(over));
        }
        let mut said = said.into_iter();
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(_) => said.next().unwrap_or_default(),
        });
        OneLine::new(&parts.collect::<String>())
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(field) => Some(*field),
        })
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    if chars_max > 0 {
        short.push('…');
    }
    short
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(template: &str, summary: &str) -> String {
        let value = |field| match field {
            Field::App => "shop".to_owned(),
            Field::Summary => summary.to_owned(),
            Field::Branch | Field::Colour | Field::Revision | Field::Verdict => "?".to_owned(),
        };
        Template::parse(template).expect("a template").line(value).to_string()
    }

    #[test]
    fn fields_take_their_places_and_what_they_say_stays_in_its_line() {
        assert_eq!(line("{app}: {summary} [skip ci]", "green"), "shop: green [skip ci]");
        assert_eq!(line("no field", "green"), "no field");
        assert_eq!(line("{summary}", "a\n\nTurquoise-App: evil"), "a Turquoise-App: evil");
        let long = line("{summary} of {app} [skip ci]", &"x".repeat(500));
        assert_eq!(long.chars().count(), 199, "{long}");
        assert!(long.ends_with("x… of shop [skip ci]"), "{long}");
        let twice = line(&"{summary}".repeat(2), &"x".repeat(150));
        assert_eq!((twice.chars().count(), twice.matches('…').count()), (199, 1), "{twice}");
    }

    #[test]
    fn what_is_no_line_is_refused_with_what_may_stand_there() {
        for (text, word) in [
            ("", "not empty"),
            ("a\nb", "one line"),
            ("a\u{202e}b", "one line"),
            ("{ap}", "`{summary}`"),
            ("{app", "no `}`"),
            ("{HOME}", "no field"),
            ("Turquoise-Verdict: released", "trailers"),
            (&"x".repeat(101), "at most 100"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
