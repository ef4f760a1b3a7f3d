//! What the pages show, made from a status and a book: pure, so that every page can be looked at without a cluster.

use askama::Template;

use super::links;
use super::words::{escape, time, verdict_class, words_of};
use crate::core::book::{Book, HistoryLine, Note};
use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::report::{Blocked, Phase, Waiting};
use crate::core::status::{AppStatus, CheckStatus, ColourStatus, Replica, VerdictStatus};
use crate::core::verdict::Verdict;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page of all apps.
#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct Overview<'a> {
    apps: Vec<Row<'a>>,
    sums: Vec<(usize, &'static str, &'static str)>,
    said: String,
    trouble: usize,
    replica: Option<Replica>,
    poll_ms: u32,
    version: &'static str,
}

struct Row<'a> {
    app: &'a AppStatus,
    live: &'static str,
    phase: String,
    class: &'static str,
    images: &'a [String],
    pods: String,
    synced: Option<String>,
    trouble: Vec<String>,
}

impl<'a> Overview<'a> {
    /// The apps that need somebody stand first, then those that move, then the others; by name among them.
    pub(super) fn new(apps: &'a [AppStatus], replica: Option<Replica>, poll_ms: u32) -> Self {
        let mut rows: Vec<Row<'a>> = apps.iter().map(row).collect();
        rows.sort_by_key(|row| (rank(row.app), &row.app.name));
        let count = |wanted: u8| apps.iter().filter(|app| rank(app) == wanted).count();
        let sums = [
            (count(0), "blocked or failing", "bad"),
            (count(1), "waiting for approval", "warn"),
            (count(2), "to look at", "warn"),
            (count(3), "under way", "going"),
            (count(4), "settled", "good"),
        ];
        let sums: Vec<_> = sums.into_iter().filter(|(count, _, _)| *count > 0).collect();
        let said: Vec<String> = sums.iter().map(|(count, words, _)| format!("{count} {words}")).collect();
        Self { apps: rows, trouble: count(0), said: said.join(", "), sums, replica, poll_ms, version: VERSION }
    }
}

/// How much an app asks for attention; 0 asks most.
fn rank(app: &AppStatus) -> u8 {
    if app.phase == Phase::Blocked || app.error.is_some() {
        return 0;
    }
    match app.phase {
        Phase::AwaitingApproval => 1,
        Phase::Deploying | Phase::Verifying | Phase::Flipping | Phase::Watching if app.alerts.is_empty() => 3,
        Phase::Settled if app.alerts.is_empty() && rejected(app).is_none() => 4,
        Phase::Deploying | Phase::Verifying | Phase::Flipping | Phase::Watching | Phase::Settled | Phase::Blocked => 2,
    }
}

/// The newest verdict, where it is a rejection.
fn rejected(app: &AppStatus) -> Option<&VerdictStatus> {
    app.verdict.as_ref().filter(|verdict| verdict.verdict == Verdict::Rejected)
}

/// The phase in words; an app whose last look failed is nowhere.
fn state_of(app: &AppStatus) -> String {
    if app.error.is_some() && app.phase != Phase::Blocked { "failing".to_owned() } else { words_of(app.phase) }
}

fn row(app: &AppStatus) -> Row<'_> {
    let shown = app.serving.or(app.declared).map(|colour| &app.colours[colour]);
    let mut trouble: Vec<String> = app.blocked.iter().map(|blocked| blocked.message.clone()).collect();
    if trouble.is_empty() {
        trouble.extend(app.error.iter().map(ToString::to_string));
    }
    trouble.extend(app.alerts.iter().map(ToString::to_string));
    trouble.extend(rejected(app).map(|verdict| {
        let reason = verdict.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} was rejected{reason}", verdict.revision.short())
    }));
    Row {
        live: app.serving.map_or("", Colour::as_str),
        phase: state_of(app),
        class: class_of(app),
        images: shown.map_or(&[], |state| state.images.as_slice()),
        pods: shown.map(|state| format!("{} of {} pods ready", state.ready, state.wanted)).unwrap_or_default(),
        synced: app.synced_at.map(|at| time(at, "ago")),
        trouble,
        app,
    }
}

/// The page of one app.
#[derive(Template)]
#[template(path = "app.html")]
pub(super) struct AppPage<'a> {
    app: &'a AppStatus,
    phase: String,
    class: &'static str,
    head: Option<String>,
    synced: Option<String>,
    reason: &'static str,
    problems: Vec<String>,
    rejected: Option<Rejected>,
    colours: Vec<ColourView<'a>>,
    now: &'static str,
    steps: Vec<Step>,
    candidate: Option<String>,
    checks: &'a [CheckStatus],
    waiting: Vec<WaitView>,
    ways: Vec<Way>,
    history: Option<Vec<LineView>>,
    poll_ms: u32,
    version: &'static str,
}

struct Rejected {
    title: String,
    reason: String,
}

struct ColourView<'a> {
    colour: Colour,
    live: bool,
    declared: bool,
    state: &'a ColourStatus,
    pods: &'static str,
    change: Option<String>,
}

struct Step {
    name: &'static str,
    done: bool,
    current: bool,
}

struct WaitView {
    words: String,
    until: Option<String>,
}

/// Something that a person can do, as commands to copy.
struct Way {
    title: String,
    words: String,
    commands: String,
}

struct LineView {
    id: String,
    when: String,
    subject: String,
    author: String,
    commit: String,
    ours: bool,
    facts: Vec<(&'static str, String)>,
}

impl<'a> AppPage<'a> {
    pub(super) fn new(app: &'a AppStatus, book: Option<&'a Book>, poll_ms: u32) -> Self {
        let look = Look { app, book, commits: links::commits(&app.repo) };
        Self {
            phase: state_of(app),
            class: class_of(app),
            head: app.head.as_ref().map(|head| look.commit(head)),
            synced: app.synced_at.map(|at| time(at, "ago")),
            reason: app.blocked.as_ref().map_or("", |blocked| blocked.blocked.as_str()),
            problems: problems(app),
            rejected: look.rejected(),
            colours: Colour::BOTH.map(|colour| look.colour(colour)).into(),
            now: if app.candidate.is_some() || steps(app).len() > 1 { "The release under way" } else { "What goes on" },
            steps: steps(app),
            candidate: app.candidate.as_ref().map(|candidate| look.change(&candidate.revision)),
            checks: app.candidate.as_ref().map_or(&[], |candidate| &candidate.checks),
            waiting: app.waiting.iter().map(wait).collect(),
            ways: look.ways(),
            history: book.map(|book| book.history.iter().map(|line| look.line(line)).collect()),
            poll_ms,
            version: VERSION,
            app,
        }
    }

    fn check_class(&self, state: &&str) -> &'static str {
        match *state {
            "passed" => "good",
            "failed" => "bad",
            "running" => "going",
            _not_yet => "",
        }
    }
}

/// What a page's parts are made from.
struct Look<'a> {
    app: &'a AppStatus,
    book: Option<&'a Book>,
    commits: Option<String>,
}

impl<'a> Look<'a> {
    /// A commit's short id, with a link where the forge is known.
    fn commit(&self, id: &CommitId) -> String {
        let short = escape(id.short());
        match links::commit(self.commits.as_deref(), id) {
            Some(url) => format!(r#"<a href="{}" rel="noreferrer noopener"><code>{short}</code></a>"#, escape(&url)),
            None => format!("<code>{short}</code>"),
        }
    }

    fn note(&self, id: &CommitId) -> Option<&'a Note> {
        self.book?.notes.get(id)
    }

    /// A revision: its id, what it says, by whom and when.
    fn change(&self, id: &CommitId) -> String {
        let commit = self.commit(id);
        match self.note(id) {
            Some(note) => format!(
                r#"{commit} {} <span class="muted">by {}, {}</span>"#,
                escape(note.subject.as_str()),
                escape(note.author.as_str()),
                time(note.at, "ago")
            ),
            None => commit,
        }
    }

    fn colour(&self, colour: Colour) -> ColourView<'a> {
        let (app, state) = (self.app, &self.app.colours[colour]);
        let pods = match (state.revision.is_some() || state.wanted > 0, state.wanted) {
            (false, _) => "nothing is deployed here",
            (true, 0) => "scaled down",
            (true, _) => "pods ready",
        };
        ColourView {
            colour,
            live: app.serving == Some(colour),
            declared: app.declared == Some(colour) && app.serving != Some(colour),
            state,
            pods,
            change: state.revision.as_ref().map(|id| self.change(id)),
        }
    }

    /// The newest verdict, where it is a rejection that still says something about what HEAD asks for.
    fn rejected(&self) -> Option<Rejected> {
        let verdict = rejected(self.app)?;
        let subject = self.note(&verdict.revision).map(|note| format!(": {}", note.subject)).unwrap_or_default();
        Some(Rejected {
            title: format!("{} was rejected{subject}", verdict.revision.short()),
            reason: verdict.reason.as_ref().map_or_else(|| "see its commit".to_owned(), ToString::to_string),
        })
    }

    /// What a person can do now: approve, stop, try again, go back.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        let (app, name) = (self.app, &self.app.name);
        if app.phase == Phase::AwaitingApproval {
            ways.push(way(
                "Approve it",
                "Makes the commit that sets the live Service's selector to the verified colour, and shows it first.",
                &[format!("turquoise promote {name}"), push()],
            ));
        }
        if let Some(candidate) = &app.candidate {
            let stop = way(
                "Take the change back",
                "The candidate is given up; traffic does not move.",
                &self.revert(candidate.revision.clone()),
            );
            ways.push(stop);
        }
        if let Some(verdict) = rejected(app) {
            ways.push(way("Take the rejected change back", "", &self.revert(verdict.revision.clone())));
        }
        if let Some(said) = rejected(app).and_then(|verdict| self.book?.said(&verdict.revision, Verdict::Rejected)) {
            ways.push(way(
                "Try the rejected revision again",
                "As it is, from the start, checks included: where the fault was outside the change.",
                &self.revert(said.commit.clone()),
            ));
        }
        ways.extend(self.back().into_iter().flatten());
        ways
    }

    /// The ways back to what was live before.
    fn back(&self) -> Option<Vec<Way>> {
        let (app, book) = (self.app, self.book?);
        let serving = app.serving?;
        let live = app.colours[serving].revision.as_ref()?;
        let released = |line: &&HistoryLine| {
            line.facts.iter().any(|fact| fact.verdict == Verdict::Released && fact.revision != *live)
        };
        book.history.iter().find(released)?;
        let other = &app.colours[serving.other()];
        let kept = other.ready > 0 && other.ready == other.wanted && app.candidate.is_none();
        let words = if kept {
            format!("{} still runs {}: traffic is switched without new pods.", serving.other(), other.images.join(", "))
        } else {
            "The content of before is deployed and made ready first, then traffic is switched.".to_owned()
        };
        let mut ways = Vec::new();
        // Below a newer change of the same lines a revert would conflict: then that one is taken back first.
        let newest = book.history.iter().flat_map(|line| &line.facts).find(|fact| fact.verdict == Verdict::Released);
        let is_newest = newest.is_some_and(|fact| fact.revision == *live) && self.note(live).is_some();
        if is_newest && app.candidate.is_none() && rejected(app).is_none() {
            ways.push(way("Go back to what was live before", &words, &self.revert(live.clone())));
        }
        if let Some(flip) = book.said(live, Verdict::Released) {
            ways.push(way(
                "Go back, and leave the change in the branch",
                "Reverts turquoise's own commit: the revision is withdrawn and not tried again by itself.",
                &self.revert(flip.commit.clone()),
            ));
        }
        Some(ways)
    }

    fn revert(&self, id: CommitId) -> [String; 3] {
        let merge = if self.note(&id).is_some_and(|note| note.merge) { " -m 1" } else { "" };
        ["git pull --rebase".to_owned(), format!("git revert --no-edit{merge} {}", id.short()), push()]
    }

    fn line(&self, line: &HistoryLine) -> LineView {
        let fact =
            |verdict: Verdict, revision: &CommitId| (verdict_class(verdict), format!("{verdict} {}", revision.short()));
        LineView {
            id: line.commit.to_string(),
            when: time(line.at, "ago"),
            subject: line.subject.to_string(),
            author: line.author.to_string(),
            commit: self.commit(&line.commit),
            ours: line.live.is_some() || !line.facts.is_empty(),
            facts: line.facts.iter().map(|one| fact(one.verdict, &one.revision)).collect(),
        }
    }
}

fn way(title: &str, words: &str, commands: &[String]) -> Way {
    Way { title: title.to_owned(), words: words.to_owned(), commands: commands.join("\n") }
}

fn push() -> String {
    "git push".to_owned()
}

fn problems(app: &AppStatus) -> Vec<String> {
    let Some(Blocked::Invalid { problems }) = app.blocked.as_ref().map(|blocked| &blocked.blocked) else {
        return Vec::new();
    };
    problems.iter().map(ToString::to_string).collect()
}

/// How far the release is; empty where none is under way.
fn steps(app: &AppStatus) -> Vec<Step> {
    let watched = app.waiting.iter().any(|one| matches!(one, Waiting::Watch { .. }));
    let mut names = vec!["Deploy", "Verify", "Commit and switch", "Watch"];
    let at = match app.phase {
        Phase::Deploying => 0,
        Phase::Verifying => 1,
        Phase::AwaitingApproval => {
            names.insert(2, "Approve");
            2
        }
        Phase::Flipping => 2,
        Phase::Watching => 3,
        Phase::Settled if watched => 3,
        Phase::Settled | Phase::Blocked => return Vec::new(),
    };
    let step = |(index, name)| Step { name, done: index < at, current: index == at };
    names.into_iter().enumerate().map(step).collect()
}

fn wait(waiting: &Waiting) -> WaitView {
    let until = |words: &str| waiting.until().map(|at| format!("{words} {}", time(at, "left")));
    let (words, until) = match waiting {
        Waiting::Readiness { colour, ready, wanted, trouble, .. } => {
            let trouble = trouble.as_ref().map(|words| format!("; {words}")).unwrap_or_default();
            (format!("{colour} to become ready: {ready} of {wanted} pods{trouble}"), until("given up"))
        }
        Waiting::Size { colour, ready, wanted, .. } => {
            (format!("{colour} to be as large as the serving colour: {ready} of {wanted} pods"), until("given up"))
        }
        Waiting::Watch { .. } => {
            ("the end of the watch: the checks go on through the live address".to_owned(), until("ends"))
        }
        Waiting::Retire { colour, .. } => {
            (format!("clients to let go of {colour}, which is retired then"), until("retired"))
        }
        Waiting::Endpoints { .. } | Waiting::Checks { .. } | Waiting::Approval { .. } => {
            (waiting.to_string(), until("until"))
        }
    };
    WaitView { words, until }
}

fn class_of(app: &AppStatus) -> &'static str {
    match rank(app) {
        0 => "bad",
        1 | 2 => "warn",
        3 => "going",
        _settled => "good",
    }
}

/// The page of an app that is not there.
#[derive(Template)]
#[template(path = "missing.html")]
pub(super) struct Missing {
    version: &'static str,
}

impl Missing {
    pub(super) const fn new() -> Self {
        Self { version: VERSION }
    }
}
