//! What the demo prints: a timeline while it runs, a table at the end. Calm where nobody looks at a terminal.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::Instant;

use serde_json::json;

use super::Stage;
use super::repo::DemoRepo;
use super::story::Ending;
use crate::core::status::AppStatus;
use crate::reconcile::Did;

/// Prints.
pub(super) struct Show {
    start: Instant,
    colours: bool,
    /// With `--json` the timeline goes to standard error.
    to_stderr: bool,
    last: RefCell<String>,
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        let colours = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Self { start: Instant::now(), colours, to_stderr: json, last: RefCell::default() }
    }

    fn line(&self, text: &str) {
        if self.to_stderr {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A step begins.
    pub(super) fn step(&self, text: &str) {
        self.line("");
        self.line(&self.paint("1;36", text));
    }

    /// Something happened.
    pub(super) fn say(&self, who: &str, text: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        let text = if self.colours {
            text.replace("blue", &self.paint("34", "blue")).replace("green", &self.paint("32", "green"))
        } else {
            text.to_owned()
        };
        self.line(&format!("{} {who:<9} {text}", self.paint("2", &format!("{seconds:7.3}s"))));
    }

    /// turquoise did something.
    pub(super) fn did(&self, did: &Did) {
        match did {
            Did::Deployed { colour, revision, .. } => {
                self.say("turquoise", &format!("deployed {} into {colour}", revision.short()));
            }
            Did::Committed { id, commit } => {
                let facts: Vec<String> =
                    commit.facts.iter().map(|fact| format!("{} is {}", fact.revision.short(), fact.verdict)).collect();
                self.say("turquoise", &format!("committed {}: {}", id.short(), facts.join(", ")));
            }
            Did::Switched { to, revision } => {
                self.say("turquoise", &format!("switched traffic to {to} ({})", revision.short()));
            }
            Did::WentLive { colour, .. } => {
                self.say("turquoise", &format!("applied the live overlay, {colour} serves"))
            }
            Did::Mended { words } => self.say("turquoise", words.as_str()),
            Did::Would(_) | Did::Other(_) => {}
        }
    }

    /// turquoise looked; only what is new is said.
    pub(super) fn status(&self, status: &AppStatus) {
        let waiting: Vec<String> = status.waiting.iter().map(ToString::to_string).collect();
        let words = match (&status.error, &status.blocked) {
            (Some(error), _) => error.to_string(),
            (None, Some(blocked)) => format!("blocked: {}", blocked.message),
            (None, None) if waiting.is_empty() => return,
            (None, None) => format!("waits for {}", waiting.join("; ")),
        };
        if *self.last.borrow() != words {
            self.say("turquoise", &words);
            *self.last.borrow_mut() = words;
        }
    }

    /// The table, or the JSON object.
    pub(super) fn result(&self, ending: &Ending, as_json: bool) {
        let tally = &ending.tally;
        if as_json {
            let object = json!({
                "requests": {
                    "sent": tally.sent, "failed": tally.failed, "mixed": tally.mixed, "went_back": tally.went_back,
                    "by_version": tally.versions, "failures": tally.failures,
                },
                "releases": ending.releases,
                "git_log": ending.log.iter().map(|(id, subject)| json!({"commit": id, "subject": subject})).collect::<Vec<_>>(),
                "failure": ending.failure,
            });
            println!("{object}");
            return;
        }
        self.step("what happened");
        self.line(&format!("{:<20} {:<9} {:<6} {:>18}", "VERSION", "OUTCOME", "LIVE", "SECONDS FROM PUSH"));
        for release in &ending.releases {
            self.line(&format!(
                "{:<20} {:<9} {:<6} {:>18.2}",
                release.version, release.outcome, release.live, release.seconds
            ));
        }
        self.line("");
        self.line(&format!(
            "{} requests sent, {} failed, {} with mixed versions, {} that saw an older version again",
            tally.sent, tally.failed, tally.mixed, tally.went_back
        ));
        for failure in &tally.failures {
            self.line(&format!("  {failure}"));
        }
        self.step("git log");
        for (id, subject) in &ending.log {
            self.line(&format!("{id} {subject}"));
        }
        if let Some(failure) = &ending.failure {
            self.line("");
            self.line(&self.paint("31", &format!("it did not go as it should: {failure}")));
        }
    }

    /// What to try next while everything is left running.
    pub(super) fn keep(&self, stage: &Stage, repo: &DemoRepo, ending: &Ending) {
        let (config, bare) = (stage.kubeconfig.display(), repo.path().display());
        self.step("everything is left running until ^C; try");
        for line in [
            format!("export KUBECONFIG={config}"),
            "kubectl get deployments,pods,services --show-labels".to_owned(),
            "kubectl get service shop -o yaml".to_owned(),
            format!("git clone {bare} shop && cd shop && git log"),
            "sed -i 's/newTag: .*/newTag: 1.2.0/' base/kustomization.yaml && git commit -am 'Release 1.2.0' && git push".to_owned(),
            "git pull --rebase && git revert --no-edit HEAD~1 && git push".to_owned(),
            format!("curl {}", ending.status_url.as_deref().unwrap_or_default()),
            format!("tail -f {}", ending.request_log),
        ] {
            self.line(&format!("  {line}"));
        }
    }
}
