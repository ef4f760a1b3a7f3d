//! Real repositories for tests: hermetic, with fixed names and times.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::{FileMode, ObjectType, Oid, Repository, Signature, Time, build::TreeUpdateBuilder};

use super::{App, Committed, GitAccess, Repo, Seen};
use crate::core::action::{Commit, RejectionEdit, Topic};
use crate::core::colour::{ByColour, Colour};
use crate::core::desired::Desired;
use crate::core::digest;
use crate::core::ids::{CommitId, Digest};
use crate::core::lock::{Digests, Pin, PinState, Rejection};
use crate::core::text::OneLine;
use crate::core::verdict::{Entry, Verdict};

/// The tag in the example's base.
pub(super) const TAG_FILE: &str = "base/kustomization.yaml";
/// The example's live Services.
pub(super) const LIVE_FILE: &str = "overlays/live/service.yaml";

/// A bare repository with people who push to it.
pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) git: Repository,
    /// Seconds; every commit is a second later.
    clock: i64,
}

impl World {
    /// A bare repo whose `main` has one commit: the example.
    pub(super) fn example() -> Self {
        let mut world = Self::empty();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo");
        let mut files = Vec::new();
        collect(&example, &example, &mut files);
        let files: Vec<(&str, Option<&str>)> =
            files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        world.commit_files(&files, "Add the shop");
        world
    }

    /// A bare repo without a commit.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        let git = Repository::init_opts(folder.path().join("shop.git"), &options).expect("a bare repo");
        Self { folder, git, clock: 1_700_000_000 }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("shop.git")
    }

    pub(super) fn location(&self) -> String {
        self.path().display().to_string()
    }

    pub(super) fn open(&self) -> Repo {
        Repo::open(&self.location(), "main", &GitAccess::default()).expect("a repo to watch")
    }

    pub(super) fn tip(&self) -> Option<git2::Commit<'_>> {
        self.git.find_reference("refs/heads/main").ok()?.peel_to_commit().ok()
    }

    pub(super) fn head(&self) -> CommitId {
        CommitId::new(self.tip().expect("a commit").id().to_string())
    }

    /// A file at HEAD.
    pub(super) fn read(&self, path: &str) -> String {
        let tree = self.tip().expect("a commit").tree().expect("its tree");
        let entry = tree.get_path(Path::new(path)).expect(path);
        let blob = self.git.find_blob(entry.id()).expect("a blob");
        String::from_utf8(blob.content().to_vec()).expect("text")
    }

    /// A person's commit on `main`; `None` deletes a file.
    pub(super) fn commit_files(&mut self, files: &[(&str, Option<&str>)], message: &str) -> CommitId {
        let parent = self.tip().map(|tip| tip.id());
        let id = self.write(files, message, parent, &[]);
        self.set_main(id);
        CommitId::new(id.to_string())
    }

    /// The same from a file's text of today.
    pub(super) fn edit(&mut self, path: &str, edit: impl FnOnce(String) -> String, message: &str) -> CommitId {
        let text = edit(self.read(path));
        self.commit_files(&[(path, Some(&text))], message)
    }

    /// Sets the tag in base.
    pub(super) fn bump(&mut self, tag: &str) -> CommitId {
        let set = |text: String| {
            let lines = text.lines().map(|line| match line.split_once("newTag: ") {
                Some((before, _)) => format!("{before}newTag: {tag}\n"),
                None => format!("{line}\n"),
            });
            lines.collect()
        };
        self.edit(TAG_FILE, set, &format!("Bump to {tag}"))
    }

    /// A commit that touches nothing of the app.
    pub(super) fn unrelated(&mut self) -> CommitId {
        let text = self.clock.to_string();
        self.commit_files(&[("docs/README.md", Some(&text))], "Write docs")
    }

    /// Writes a commit without moving a branch.
    pub(super) fn write(
        &mut self,
        files: &[(&str, Option<&str>)],
        message: &str,
        first_parent: Option<Oid>,
        more_parents: &[Oid],
    ) -> Oid {
        self.clock += 1;
        let parents: Vec<git2::Commit<'_>> =
            first_parent.iter().chain(more_parents).map(|id| self.git.find_commit(*id).expect("a parent")).collect();
        let mut update = TreeUpdateBuilder::new();
        for (path, text) in files {
            match text {
                Some(text) => {
                    update.upsert(*path, self.git.blob(text.as_bytes()).expect("a blob"), FileMode::Blob);
                }
                None => {
                    update.remove(*path);
                }
            }
        }
        let base = match parents.first() {
            Some(parent) => parent.tree().expect("a tree"),
            None => {
                let empty = self.git.treebuilder(None).expect("a tree").write().expect("a tree");
                self.git.find_tree(empty).expect("a tree")
            }
        };
        let tree = update.create_updated(&self.git, &base).expect("a tree");
        let tree = self.git.find_tree(tree).expect("a tree");
        let person = Signature::new("Ann", "ann@example.org", &Time::new(self.clock, 0)).expect("a signature");
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        self.git.commit(None, &person, &person, message, &tree, &parents).expect("a commit")
    }

    pub(super) fn set_main(&self, id: Oid) {
        self.git.reference("refs/heads/main", id, true, "test").expect("a branch");
    }

    /// Runs the real git, in a clone that is made anew.
    pub(super) fn in_clone(&self, script: &[&[&str]]) {
        let clone = tempfile::tempdir_in(self.folder.path()).expect("a folder");
        self.run(clone.path(), &["clone", "-q", &self.location(), "."]);
        for args in script {
            self.run(clone.path(), args);
        }
    }

    pub(super) fn run(&self, folder: &Path, args: &[&str]) {
        assert!(git_in(self.home())(folder, args), "git {args:?}");
    }

    /// An empty home for the real git.
    pub(super) fn home(&self) -> &Path {
        self.folder.path()
    }
}

/// The real git, with nothing of this machine's settings; says whether it succeeded.
pub(super) fn git_in(home: &Path) -> impl Fn(&Path, &[&str]) -> bool {
    move |folder, args| {
        let output = Command::new("git")
            .args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Bob")
            .env("GIT_AUTHOR_EMAIL", "bob@example.org")
            .env("GIT_COMMITTER_NAME", "Bob")
            .env("GIT_COMMITTER_EMAIL", "bob@example.org")
            .env("GIT_AUTHOR_DATE", "1700001000 +0000")
            .env("GIT_COMMITTER_DATE", "1700001000 +0000")
            .stdin(Stdio::null())
            .output()
            .expect("git is installed");
        output.status.success()
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the example").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("a path below").display().to_string();
            files.push((name, std::fs::read_to_string(&path).expect("text")));
        }
    }
}

/// The only app of a repo at HEAD.
pub(super) fn app(repo: &mut Repo) -> App {
    let head = repo.head().expect("a HEAD");
    let apps = repo.apps(&head).expect("apps");
    assert_eq!(apps.len(), 1, "{apps:?}");
    App::clone(&apps[0])
}

/// What git says now.
pub(super) fn look(repo: &mut Repo) -> Desired {
    let app = app(repo);
    let head = repo.head().expect("a HEAD");
    repo.look(&app, &head, &Seen::default()).expect("a look").expect("nothing blocked")
}

/// A pin as the planner writes it.
pub(super) fn pin(revision: &CommitId) -> Pin {
    let digest: Digest = digest::of_json(&serde_json::Value::Null);
    Pin {
        revision: revision.clone(),
        state: PinState::Released,
        digests: Digests { blue: digest.clone(), green: digest },
        images: vec!["shop:1".into()],
        turquoise: "0.1.0".into(),
    }
}

/// A commit of turquoise without content.
pub(super) fn plain(repo: &mut Repo, live: Colour) -> Commit {
    Commit {
        parent: repo.head().expect("a HEAD"),
        selector: None,
        pins: ByColour::default(),
        rejection: RejectionEdit::Keep,
        facts: Vec::new(),
        live: Some(live),
        topic: Topic::Withdraw,
    }
}

/// A flip to a colour.
pub(super) fn release(repo: &mut Repo, colour: Colour, revision: &CommitId) -> Commit {
    let mut commit = plain(repo, colour);
    commit.selector = Some(colour);
    commit.pins[colour] = Some(pin(revision));
    commit.facts = vec![Entry { revision: revision.clone(), verdict: Verdict::Released }];
    commit.topic = Topic::Release { colour, images: vec!["shop:1".into()] };
    commit
}

/// A rejection in the lock.
pub(super) fn reject(repo: &mut Repo, live: Colour, revision: &CommitId) -> Commit {
    let mut commit = plain(repo, live);
    let reason = OneLine::new("it broke");
    commit.rejection = RejectionEdit::Set(Rejection { revision: revision.clone(), reason: reason.clone() });
    commit.facts = vec![Entry { revision: revision.clone(), verdict: Verdict::Rejected }];
    commit.topic = Topic::Reject { colour: live.other(), reason };
    commit
}

/// Makes a commit that must succeed.
pub(super) fn make(repo: &mut Repo, commit: &Commit) -> CommitId {
    let app = app(repo);
    match repo.commit(&app, commit).expect("a commit") {
        Committed::Made(id) => id,
        Committed::Stale => panic!("stale"),
    }
}

/// Whether an object is a commit.
pub(super) fn is_commit(git: &Repository, id: Oid) -> bool {
    git.find_object(id, Some(ObjectType::Commit)).is_ok()
}
