//! Secrets that the operator granted: read when they are needed, never kept, never printed.

use std::collections::BTreeMap;

use super::request::NoAnswer;
use crate::core::grants::SecretSource;
use crate::core::policy::{Header, HeaderValue, is_header_text};
use crate::core::text::OneLine;
use crate::net::read_secret;

/// Shorter pieces of a secret are not hidden by themselves: they stand in any text.
const PIECE_CHARS_MIN: usize = 6;
/// What stands in a text where a secret stood.
const HIDDEN: &str = "***";

/// The granted places, by name.
#[derive(Debug, Clone, Default)]
pub struct Secrets(pub BTreeMap<String, SecretSource>);

/// What a request carried that must not be printed.
#[derive(Default)]
pub(super) struct Hidden(Vec<String>);

impl Secrets {
    /// A secret's text.
    pub(super) async fn read(&self, name: &str) -> Result<String, NoAnswer> {
        let hindered = |why: &str| NoAnswer::Hindered(OneLine::new(&format!("the Secret `{name}`: {why}")));
        let source = self.0.get(name).ok_or_else(|| hindered("it is not granted"))?.clone();
        let read = tokio::task::spawn_blocking(move || read_secret(&source)).await;
        // The place is the operator's affair: only what is wrong with it is told.
        let bytes =
            read.map_err(|_lost| hindered("it could not be read"))?.map_err(|error| hindered(error.words.as_str()))?;
        String::from_utf8(bytes).map_err(|_bytes| hindered("it is no text"))
    }

    /// The headers with their values, and what of them must not be printed.
    pub(super) async fn headers(&self, headers: &[Header]) -> Result<(Vec<(String, String)>, Hidden), NoAnswer> {
        let (mut filled, mut hidden) = (Vec::with_capacity(headers.len()), Hidden::default());
        for Header { name, value } in headers {
            let value = match value {
                HeaderValue::Text(text) => text.clone(),
                HeaderValue::Secret { secret, prefix } => {
                    let text = self.read(secret).await?;
                    if !is_header_text(&text) {
                        let words = format!("the Secret `{secret}` holds what no header may hold");
                        return Err(NoAnswer::Hindered(OneLine::new(&words)));
                    }
                    hidden.add(&text);
                    format!("{prefix}{text}")
                }
            };
            filled.push((name.clone(), value));
        }
        Ok((filled, hidden))
    }
}

impl Hidden {
    /// Hides a secret, its parts, and how JSON writes it: an answer may repeat what it was asked with.
    pub(super) fn add(&mut self, secret: &str) {
        let escaped = serde_json::Value::from(secret).to_string();
        let pieces = secret.split_whitespace().filter(|piece| piece.len() >= PIECE_CHARS_MIN);
        self.0.extend(pieces.map(str::to_owned));
        self.0.push(secret.to_owned());
        self.0.push(escaped.trim_matches('"').to_owned());
        // The longest first: a shorter one must not leave the rest of it.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.0.dedup();
    }

    /// One line of a text without what is hidden.
    pub(super) fn line(&self, text: &str) -> OneLine {
        let hidden = self.0.iter().filter(|secret| !secret.is_empty());
        OneLine::new(&hidden.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_repeated_is_hidden() {
        let mut hidden = Hidden::default();
        hidden.add("user hunter2\"x");
        for (text, expect) in [
            ("you sent user hunter2\"x", "you sent ***"),
            ("hunter2\"x is wrong", "*** is wrong"),
            (r#"{"got":"user hunter2\"x"}"#, r#"{"got":"***"}"#),
            ("a\nb", "a b"),
        ] {
            assert_eq!(hidden.line(text).as_str(), expect);
        }
    }

    #[tokio::test]
    async fn a_secret_is_a_file_of_the_operators() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            (name.to_owned(), SecretSource::File(path))
        };
        let secrets = Secrets(
            [
                write("good", b"hunter2\r\n"),
                write("empty", b"\n"),
                write("long", &[b'x'; 70_000]),
                write("bytes", &[0xff]),
                write("lines", b"a\nb"),
                ("gone".to_owned(), SecretSource::File(folder.path().join("nothing"))),
            ]
            .into(),
        );
        assert_eq!(secrets.read("good").await.ok().as_deref(), Some("hunter2"));
        for name in ["empty", "long", "bytes", "gone", "unknown"] {
            let Err(NoAnswer::Hindered(words)) = secrets.read(name).await else { panic!("{name} is read") };
            assert!(words.as_str().contains(name) && !words.as_str().contains("nothing"), "{words}");
        }
        let value = HeaderValue::Secret { secret: "lines".into(), prefix: String::new() };
        let injected = secrets.headers(&[Header { name: "x".into(), value }]).await;
        assert!(matches!(injected, Err(NoAnswer::Hindered(_))), "a header of two lines");
    }
}
