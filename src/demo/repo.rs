//! The demo's repository: example-repo as a bare repository, and a person's commits in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use git2::{Commit, IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, Signature};

/// The branch that is watched.
pub(super) const BRANCH: &str = "main";

/// Tries to move the branch while turquoise commits too.
const PUSHES_MAX: usize = 20;

/// example-repo, as it is.
const FILES: [(&str, &str); 8] = [
    ("base/kustomization.yaml", include_str!("../../example-repo/base/kustomization.yaml")),
    ("base/frontend.yaml", include_str!("../../example-repo/base/frontend.yaml")),
    ("base/backend.yaml", include_str!("../../example-repo/base/backend.yaml")),
    ("overlays/blue/kustomization.yaml", include_str!("../../example-repo/overlays/blue/kustomization.yaml")),
    ("overlays/green/kustomization.yaml", include_str!("../../example-repo/overlays/green/kustomization.yaml")),
    ("overlays/live/kustomization.yaml", include_str!("../../example-repo/overlays/live/kustomization.yaml")),
    ("overlays/live/service.yaml", include_str!("../../example-repo/overlays/live/service.yaml")),
    ("turquoise.yaml", include_str!("../../example-repo/turquoise.yaml")),
];

const BASE: &str = "base/kustomization.yaml";

/// A bare repository with the example in it.
pub(super) struct DemoRepo {
    path: PathBuf,
}

impl DemoRepo {
    /// Makes the repository with one commit.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head(BRANCH);
        let repo = Repository::init_opts(path, &options).context("failed to make the repository")?;
        let mut index = git2::Index::new()?;
        for (file, text) in FILES {
            index.add(&entry(file, repo.blob(text.as_bytes())?))?;
        }
        let tree = repo.find_tree(index.write_tree_to(&repo)?)?;
        let person = person()?;
        repo.commit(Some(&format!("refs/heads/{BRANCH}")), &person, &person, "The shop, version 1.0.0", &tree, &[])?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the tag in base, as a person would, and pushes it.
    pub(super) fn bump(&self, version: &str) -> anyhow::Result<Oid> {
        self.push(&format!("Release {version}"), |repo, head| {
            let tree = head.tree()?;
            let blob = repo.find_blob(tree.get_path(Path::new(BASE))?.id())?;
            let text = String::from_utf8_lossy(blob.content()).into_owned();
            let Some((before, rest)) = text.split_once("newTag: ") else { bail!("base names no tag") };
            let after = rest.split_once('\n').map_or("", |(_, after)| after);
            let mut index = git2::Index::new()?;
            index.read_tree(&tree)?;
            index.add(&entry(BASE, repo.blob(format!("{before}newTag: {version}\n{after}").as_bytes())?))?;
            Ok(index.write_tree_to(repo)?)
        })
    }

    /// `git revert` of a commit, and a push.
    pub(super) fn revert(&self, commit: Oid) -> anyhow::Result<Oid> {
        let subject = {
            let repo = Repository::open(&self.path)?;
            let commit = repo.find_commit(commit)?;
            commit.summary().ok().flatten().unwrap_or_default().to_owned()
        };
        self.push(&format!("Revert \"{subject}\""), |repo, head| {
            let mut index = repo.revert_commit(&repo.find_commit(commit)?, head, 0, None)?;
            if index.has_conflicts() {
                bail!("the revert conflicts");
            }
            Ok(index.write_tree_to(repo)?)
        })
    }

    /// The log, newest first: `(id, subject, body's last verdict)`.
    pub(super) fn log(&self) -> anyhow::Result<Vec<(String, String)>> {
        let repo = Repository::open(&self.path)?;
        let mut walk = repo.revwalk()?;
        walk.push_ref(&format!("refs/heads/{BRANCH}"))?;
        walk.map(|id| {
            let id = id?;
            let commit = repo.find_commit(id)?;
            let subject = commit.summary().ok().flatten().unwrap_or_default().to_owned();
            Ok((id.to_string().chars().take(7).collect(), subject))
        })
        .collect()
    }

    /// Commits on top of the branch; tried again where turquoise was faster.
    fn push(
        &self,
        message: &str,
        tree: impl Fn(&Repository, &Commit<'_>) -> anyhow::Result<Oid>,
    ) -> anyhow::Result<Oid> {
        let repo = Repository::open(&self.path)?;
        let reference = format!("refs/heads/{BRANCH}");
        for _ in 0..PUSHES_MAX {
            let head = repo.find_reference(&reference)?.peel_to_commit()?;
            let tree = repo.find_tree(tree(&repo, &head)?)?;
            let person = person()?;
            let commit = repo.commit(None, &person, &person, message, &tree, &[&head])?;
            if repo.reference_matching(&reference, commit, true, head.id(), message).is_ok() {
                return Ok(commit);
            }
        }
        bail!("failed to push {message:?}: the branch moved {PUSHES_MAX} times")
    }
}

fn person() -> Result<Signature<'static>, git2::Error> {
    Signature::now("A developer", "developer@example.org")
}

fn entry(path: &str, id: Oid) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}
