//! Verdicts and the trailers that carry them in `git log`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::colour::Colour;
use super::ids::{AppName, CommitId};

/// What a commit of turquoise says about a revision. `Verified` is no verdict: it waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It took traffic.
    Released,
    /// It failed to become ready, a check, or the watch.
    Rejected,
    /// A person took it back after it was released.
    Withdrawn,
    /// A newer revision took its place before it was decided.
    Superseded,
    /// It passed its checks and waits for approval.
    Verified,
}

impl Verdict {
    /// Every value.
    pub const ALL: [Self; 5] = [Self::Released, Self::Rejected, Self::Withdrawn, Self::Superseded, Self::Verified];

    /// The word in trailers, the status and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
            Self::Verified => "verified",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text).ok_or(())
    }
}

/// One entry of the log: a verdict about a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The revision it is about.
    pub revision: CommitId,
    /// What was said.
    pub verdict: Verdict,
}

/// The verdicts of one app on one branch, oldest first, over all ancestors of HEAD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerdictLog {
    entries: Vec<Entry>,
    newest: BTreeMap<CommitId, Verdict>,
}

impl VerdictLog {
    /// A log from its entries, oldest first.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        let newest = entries.iter().map(|entry| (entry.revision.clone(), entry.verdict)).collect();
        Self { entries, newest }
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The newest verdict about a revision.
    #[must_use]
    pub fn newest(&self, revision: &CommitId) -> Option<Verdict> {
        self.newest.get(revision).copied()
    }

    /// Whether anything was decided about a revision. `verified` waits for a person and decides nothing, but it was
    /// said: a revision with it is no longer a fresh candidate.
    #[must_use]
    pub fn mentions(&self, revision: &CommitId) -> bool {
        self.newest.contains_key(revision)
    }

    /// Whether a revision was released and not rejected since (rule 5).
    #[must_use]
    pub fn released_and_not_rejected_since(&self, revision: &CommitId) -> bool {
        self.entries
            .iter()
            .rev()
            .filter(|entry| entry.revision == *revision)
            .find_map(|entry| match entry.verdict {
                Verdict::Released => Some(true),
                Verdict::Rejected => Some(false),
                Verdict::Withdrawn | Verdict::Superseded | Verdict::Verified => None,
            })
            .unwrap_or(false)
    }

    /// The revision of the newest `released` entry.
    #[must_use]
    pub fn newest_released(&self) -> Option<&CommitId> {
        self.entries.iter().rev().find(|entry| entry.verdict == Verdict::Released).map(|entry| &entry.revision)
    }
}

/// The trailers of one commit of turquoise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailers {
    /// The app it is about.
    pub app: AppName,
    /// The branch it was made on.
    pub branch: String,
    /// The colour that is live after the commit; absent before the first release.
    pub live: Option<Colour>,
    /// The facts: the commit's own first, superseded revisions after it.
    pub facts: Vec<Entry>,
    /// The turquoise that made the commit.
    pub version: String,
}

impl Trailers {
    /// The last paragraph of the commit message, one trailer a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("Turquoise-App: {}\nTurquoise-Branch: {}\n", self.app, self.branch);
        if let Some(live) = self.live {
            text.push_str(&format!("Turquoise-Live: {live}\n"));
        }
        for fact in &self.facts {
            text.push_str(&format!("Turquoise-Revision: {}\nTurquoise-Verdict: {}\n", fact.revision, fact.verdict));
        }
        text.push_str(&format!("Turquoise-Version: {}\n", self.version));
        text
    }

    /// Reads the trailers of a commit message: the last paragraph only, every line of it a trailer, so that text
    /// from outside that was quoted further up is never taken for one. `None` where the commit is not turquoise's.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let last = message.trim_end().rsplit("\n\n").next()?;
        let (mut app, mut branch, mut live, mut version) = (None, None, None, None);
        let mut facts = Vec::new();
        let mut revision: Option<CommitId> = None;
        for line in last.lines() {
            let (key, value) = line.split_once(": ")?;
            match key {
                "Turquoise-App" if app.is_none() => app = Some(AppName::new(value)),
                "Turquoise-Branch" if branch.is_none() => branch = Some(value.to_owned()),
                "Turquoise-Live" if live.is_none() => live = Some(value.parse().ok()?),
                "Turquoise-Version" if version.is_none() => version = Some(value.to_owned()),
                "Turquoise-Revision" => revision = Some(CommitId::new(value)),
                "Turquoise-Verdict" => {
                    facts.push(Entry { revision: revision.take()?, verdict: value.parse().ok()? });
                }
                key if key.starts_with("Turquoise-") => return None,
                _other_tools_trailer => {}
            }
        }
        Some(Self { app: app?, branch: branch?, live, facts, version: version? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers() -> Trailers {
        Trailers {
            app: AppName::new("shop"),
            branch: "main".into(),
            live: Some(Colour::Green),
            facts: vec![
                Entry { revision: CommitId::new("aa"), verdict: Verdict::Released },
                Entry { revision: CommitId::new("bb"), verdict: Verdict::Superseded },
            ],
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn trailers_read_back() {
        let message = format!("shop: green is live\n\nA body.\n\n{}", trailers().to_text());
        assert_eq!(Trailers::parse(&message), Some(trailers()));
    }

    #[test]
    fn only_the_last_paragraph_counts() {
        let text = trailers().to_text();
        for message in [
            format!("{text}\nno trailer here"),
            format!("subject\n\n{text}\nSigned by a person\n"),
            format!("subject\n\n{text}and a sentence\n"),
            "subject\n\nTurquoise-App: shop\nTurquoise-Verdict: released\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(Trailers::parse(&message), None, "{message}");
        }
        let signed = format!("subject\n\n{text}Signed-off-by: A <a@example.org>\n");
        assert_eq!(Trailers::parse(&signed), Some(trailers()));
    }

    #[test]
    fn a_release_counts_until_it_is_rejected() {
        let id = CommitId::new("aa");
        let log = |verdicts: &[Verdict]| {
            VerdictLog::new(verdicts.iter().map(|&verdict| Entry { revision: id.clone(), verdict }).collect())
        };
        for (verdicts, expect) in [
            (&[][..], false),
            (&[Verdict::Released], true),
            (&[Verdict::Released, Verdict::Withdrawn], true),
            (&[Verdict::Released, Verdict::Rejected], false),
            (&[Verdict::Rejected, Verdict::Released], true),
            (&[Verdict::Verified], false),
        ] {
            assert_eq!(log(verdicts).released_and_not_rejected_since(&id), expect, "{verdicts:?}");
        }
    }
}
