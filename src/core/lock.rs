//! `turquoise.lock`: what each colour was last released with, and at most one rejection.
//!
//! The text is written in sections with a comment line between them, so that `git revert` of one fact does not
//! conflict with another. A write replaces only the lines of the sections that change.

use serde::Deserialize;

use super::colour::{ByColour, Colour};
use super::ids::{CommitId, Digest};
use super::text::OneLine;

/// The lock's file name, beside turquoise.yaml.
pub const LOCK_FILE: &str = "turquoise.lock";

/// What a pin says about its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinState {
    /// It took traffic.
    Released,
    /// It passed every check and waits for a person (manual promotion).
    Verified,
}

impl PinState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Verified => "verified",
        }
    }
}

/// What a colour was last released with, or verified with under manual promotion.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The revision: a commit of the watched branch.
    pub revision: CommitId,
    /// Released or verified.
    pub state: PinState,
    /// The digests of both colours at that revision, for people: compared values are always rendered anew.
    pub digests: Digests,
    /// The images of the pinned colour, sorted.
    #[serde(default)]
    pub images: Vec<String>,
    /// The turquoise that wrote the pin.
    pub turquoise: String,
}

/// Both colours' digests, as they stand in a pin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// Blue's.
    pub blue: Digest,
    /// Green's.
    pub green: Digest,
}

/// A revision that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The revision.
    pub revision: CommitId,
    /// Which check, which pod, its last words.
    #[serde(default)]
    pub reason: OneLine,
}

/// The whole lock. The default is the lock of an app that was never released.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The branch it is for.
    pub branch: String,
    /// The cluster it is for, where the operator named it.
    pub cluster: Option<String>,
    /// Each colour's pin.
    pub pins: ByColour<Option<Pin>>,
    /// The one standing rejection.
    pub rejected: Option<Rejection>,
}

/// The lock as serde reads it; every section may be missing or null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    branch: String,
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    blue: Option<Pin>,
    #[serde(default)]
    green: Option<Pin>,
    #[serde(default)]
    rejected: Option<Rejection>,
}

/// Why a lock's text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LockError {
    /// 1-based line, 0 where unknown.
    pub line: u64,
    /// What is wrong.
    pub message: OneLine,
}

const API_VERSION: &str = "turquoise.dev/v1alpha1";
const KIND: &str = "BlueGreenLock";

/// The lock's sections in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Head,
    Pin(Colour),
    Rejected,
}

impl Section {
    const ALL: [Self; 4] = [Self::Head, Self::Pin(Colour::Blue), Self::Pin(Colour::Green), Self::Rejected];

    /// The comment line that stands above the section and keeps it apart from the one before.
    const fn comment(self) -> &'static str {
        match self {
            Self::Head => {
                "# turquoise writes this file: what each colour was last released with. Revert its commits freely."
            }
            Self::Pin(Colour::Blue) => "# ---- blue: the content it holds or comes back with ----",
            Self::Pin(Colour::Green) => "# ---- green: the content it holds or comes back with ----",
            Self::Rejected => "# ---- the newest rejected revision; take it out to have it tried again ----",
        }
    }
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// Broken YAML, an unknown field, another `apiVersion` or `kind`.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let raw: RawLock = serde_yaml::from_str(text).map_err(|error| LockError {
            line: error.location().map_or(0, |at| at.line()),
            message: OneLine::new(&error.without_snippet().to_string()),
        })?;
        if raw.api_version != API_VERSION || raw.kind != KIND {
            return Err(LockError {
                line: 1,
                message: OneLine::new(&format!(
                    "expected `{API_VERSION}` `{KIND}`, found `{}` `{}`",
                    raw.api_version, raw.kind
                )),
            });
        }
        Ok(Self {
            branch: raw.branch,
            cluster: raw.cluster,
            pins: ByColour { blue: raw.blue, green: raw.green },
            rejected: raw.rejected,
        })
    }

    /// The lock as text, from nothing.
    #[must_use]
    pub fn to_text(&self) -> String {
        Section::ALL.iter().map(|&section| self.section_text(section)).collect()
    }

    /// The text `before` with only the sections changed in which this lock differs from what `before` says; the
    /// whole text anew where `before` is no lock or lacks a section's comment line.
    #[must_use]
    pub fn edit_text(&self, before: &str) -> String {
        let (Ok(old), Some(parts)) = (Self::parse(before), split_sections(before)) else {
            return self.to_text();
        };
        let mut text = String::with_capacity(before.len() + 512);
        for (section, part) in Section::ALL.into_iter().zip(parts) {
            if self.section_differs(&old, section) {
                text.push_str(&self.section_text(section));
            } else {
                text.push_str(part);
            }
        }
        text
    }

    fn section_differs(&self, old: &Self, section: Section) -> bool {
        match section {
            Section::Head => self.branch != old.branch || self.cluster != old.cluster,
            Section::Pin(colour) => self.pins[colour] != old.pins[colour],
            Section::Rejected => self.rejected != old.rejected,
        }
    }

    fn section_text(&self, section: Section) -> String {
        let mut text = format!("{}\n", section.comment());
        match section {
            Section::Head => {
                text.push_str(&format!("apiVersion: {API_VERSION}\nkind: {KIND}\nbranch: {}\n", quoted(&self.branch)));
                if let Some(cluster) = &self.cluster {
                    text.push_str(&format!("cluster: {}\n", quoted(cluster)));
                }
            }
            Section::Pin(colour) => match &self.pins[colour] {
                None => text.push_str(&format!("{colour}: null\n")),
                Some(pin) => text.push_str(&pin_text(colour, pin)),
            },
            Section::Rejected => match &self.rejected {
                None => text.push_str("rejected: null\n"),
                Some(rejection) => text.push_str(&format!(
                    "rejected:\n  revision: {}\n  reason: {}\n",
                    quoted(rejection.revision.as_str()),
                    quoted(rejection.reason.as_str())
                )),
            },
        }
        text
    }
}

fn pin_text(colour: Colour, pin: &Pin) -> String {
    let mut text = format!(
        "{colour}:\n  revision: {}\n  state: {}\n  digests:\n    blue: {}\n    green: {}\n  images:",
        quoted(pin.revision.as_str()),
        pin.state.as_str(),
        quoted(pin.digests.blue.as_str()),
        quoted(pin.digests.green.as_str()),
    );
    if pin.images.is_empty() {
        text.push_str(" []");
    }
    for image in &pin.images {
        text.push_str(&format!("\n    - {}", quoted(image)));
    }
    text.push_str(&format!("\n  turquoise: {}\n", quoted(&pin.turquoise)));
    text
}

/// A double-quoted YAML scalar: JSON strings are YAML, and a hash of digits only must stay text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Cuts a lock's text before each section's comment line. `None` where one is missing or out of order.
fn split_sections(text: &str) -> Option<[&str; 4]> {
    let mut starts = [0; 5];
    starts[4] = text.len();
    for (index, section) in Section::ALL.iter().enumerate().skip(1) {
        let at = text.find(section.comment())?;
        let line_start = at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n');
        if !line_start || at < starts[index - 1] {
            return None;
        }
        starts[index] = at;
    }
    let part = |index: usize| text.get(starts[index]..starts[index + 1]);
    Some([part(0)?, part(1)?, part(2)?, part(3)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(revision: &str, image: &str) -> Pin {
        Pin {
            revision: CommitId::new(revision),
            state: PinState::Released,
            digests: Digests { blue: Digest::new("00112233"), green: Digest::new("1e10") },
            images: vec![image.to_owned()],
            turquoise: "0.1.0".into(),
        }
    }

    fn lock() -> Lock {
        Lock {
            branch: "main".into(),
            cluster: None,
            pins: ByColour { blue: Some(pin("0123456789", "shop:1.0.0")), green: None },
            rejected: None,
        }
    }

    #[test]
    fn a_lock_reads_back_as_it_was_written() {
        let mut lock = lock();
        lock.cluster = Some("prod: \"eu\"".into());
        lock.rejected =
            Some(Rejection { revision: CommitId::new("123"), reason: OneLine::new("pod `x`: said # \"no\"") });
        assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
    }

    #[test]
    fn an_edit_keeps_every_line_of_the_other_sections() {
        let before = lock().to_text().replace("branch: \"main\"\n", "branch: \"main\"   # ours\n");
        let mut after = lock();
        after.pins.green = Some(pin("ff", "shop:2.0.0"));
        let text = after.edit_text(&before);
        assert!(text.contains("branch: \"main\"   # ours\n"), "{text}");
        assert_eq!(Lock::parse(&text), Ok(after));
    }

    #[test]
    fn what_is_no_lock_is_refused_with_its_line() {
        for (text, line) in [("", 0), ("apiVersion: v1\nkind: X\nbranch: main\n", 1)] {
            assert!(Lock::parse(text).is_err_and(|error| error.line >= line), "{text}");
        }
        let unknown = lock().to_text().replace("green: null", "green: null\nyellow: null");
        let error = Lock::parse(&unknown).expect_err("an unknown section");
        assert!(error.message.as_str().contains("yellow"), "{error}");
    }
}
