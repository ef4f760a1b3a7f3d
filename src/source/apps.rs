//! Which apps a repo holds at a commit: every folder with a turquoise.yaml.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository};

use super::error::{SourceError, git};
use super::reads::Probe;
use super::renders::{POLICY_BYTES_MAX, join};
use super::tree;
use crate::core::ids::AppName;
use crate::core::policy::{self, POLICY_FILE, Policy};
use crate::core::report::Blocked;
use crate::core::text::OneLine;

/// Folders below the root in which apps are looked for; deeper trees are vendored code.
const DEPTH_MAX: usize = 12;

/// Folders opened in one walk: a repo of 100,000 files has some 20,000.
const FOLDERS_MAX: usize = 200_000;

/// Apps of one repo; each costs a look at the cluster.
const APPS_MAX: usize = 5_000;

/// Subtrees without apps that are remembered beyond those that the last whole walk found: each commit brings a few new ones,
/// and a whole walk is a millisecond for a thousand folders.
const BARREN_MORE_MAX: usize = 4_000;

/// One app: a folder with a turquoise.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The folder, relative to the repo's root; empty for the root itself.
    pub folder: String,
    /// `metadata.name`, else the folder's name, at the root the repo's.
    pub name: AppName,
    /// Its policy, or why it has none.
    pub policy: Result<Arc<Policy>, Blocked>,
}

/// The folders with a turquoise.yaml below a tree, relative to it, each with that file.
type Below = Arc<[(String, Oid)]>;

/// What is remembered between walks, so that the next one opens only what changed.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// Subtrees with apps that the last walk met: which.
    fertile: HashMap<Oid, Below>,
    /// Subtrees in which there are none.
    barren: HashSet<Oid>,
    /// How many of these the last whole walk found.
    barren_at_first: usize,
    /// The name that a folder's app last had: a broken turquoise.yaml does not rename it.
    names: BTreeMap<String, AppName>,
    /// What each turquoise.yaml says, by path and content: another app's commit does not make all of them be read again.
    policies: HashMap<(String, Oid), Result<Arc<Policy>, Blocked>>,
}

impl Apps {
    /// Every app at a tree, by folder.
    pub(super) fn at(&mut self, repo: &Repository, root: Oid, repo_name: &str) -> Result<Vec<App>, SourceError> {
        if self.barren.len() > self.barren_at_first + BARREN_MORE_MAX {
            self.barren.clear();
        }
        let is_whole = self.barren.is_empty();
        let mut walk = Walk {
            repo,
            before: std::mem::take(&mut self.fertile),
            fertile: HashMap::new(),
            barren: &mut self.barren,
            folders_left: FOLDERS_MAX,
        };
        let below = walk.below(root, 0).map_err(git("the repo's folders cannot be read"))?;
        self.fertile = walk.fertile;
        if is_whole {
            self.barren_at_first = self.barren.len();
        }
        let mut apps = Vec::with_capacity(below.len());
        let mut policies = HashMap::with_capacity(below.len());
        for (folder, id) in below.iter().take(APPS_MAX) {
            let key = (join(folder, POLICY_FILE), *id);
            let policy = match self.policies.remove(&key) {
                Some(known) => known,
                None => read_policy(repo, *id, &key.0).map(Arc::new),
            };
            apps.push(self.app(folder, &policy, repo_name));
            policies.insert(key, policy);
        }
        self.policies = policies;
        self.names = apps.iter().map(|app| (app.folder.clone(), app.name.clone())).collect();
        block_duplicates(&mut apps);
        Ok(apps)
    }

    fn app(&self, folder: &str, policy: &Result<Arc<Policy>, Blocked>, repo_name: &str) -> App {
        let default = AppName::new(folder.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(repo_name));
        let name = match policy {
            Ok(policy) => policy.name.clone().unwrap_or(default),
            Err(_) => self.names.get(folder).cloned().unwrap_or(default),
        };
        let policy = policy.clone().and_then(|policy| {
            match policy::wrong_default_name(&join(folder, POLICY_FILE), name.as_str()) {
                Some(problem) => Err(Blocked::Invalid { problems: vec![problem] }),
                None => Ok(policy),
            }
        });
        App { folder: folder.to_owned(), name, policy }
    }
}

/// The apps in order of their folders, as those that were known before where they are the same: most commits change one app.
pub(super) fn shared(found: Vec<App>, before: Option<&Arc<Vec<Arc<App>>>>) -> Arc<Vec<Arc<App>>> {
    let Some(before) = before else { return Arc::new(found.into_iter().map(Arc::new).collect()) };
    let known = |app: &App| {
        let at = before.binary_search_by(|known| known.folder.cmp(&app.folder)).ok()?;
        before.get(at).filter(|known| ***known == *app).map(Arc::clone)
    };
    let apps: Vec<_> = found.into_iter().map(|app| known(&app).unwrap_or_else(|| Arc::new(app))).collect();
    let same = apps.len() == before.len() && apps.iter().zip(before.iter()).all(|(app, known)| Arc::ptr_eq(app, known));
    if same { Arc::clone(before) } else { Arc::new(apps) }
}

/// One walk through a commit's folders.
struct Walk<'a> {
    repo: &'a Repository,
    before: HashMap<Oid, Below>,
    fertile: HashMap<Oid, Below>,
    barren: &'a mut HashSet<Oid>,
    folders_left: usize,
}

impl Walk<'_> {
    fn below(&mut self, tree: Oid, depth: usize) -> Result<Below, git2::Error> {
        if self.barren.contains(&tree) {
            return Ok(Arc::default());
        }
        if let Some(known) = self.before.get(&tree).or_else(|| self.fertile.get(&tree)).map(Arc::clone) {
            self.fertile.insert(tree, Arc::clone(&known));
            return Ok(known);
        }
        if depth > DEPTH_MAX || self.folders_left == 0 {
            return Ok(Arc::default());
        }
        self.folders_left -= 1;
        let mut found = Vec::new();
        for entry in &self.repo.find_tree(tree)? {
            // A name that is no UTF-8 is nobody's app.
            let Ok(name) = entry.name() else { continue };
            if entry.kind() == Some(ObjectType::Tree) {
                let below = self.below(entry.id(), depth + 1)?;
                let inside = |folder: &str| join(name, folder).trim_end_matches('/').to_owned();
                found.extend(below.iter().map(|(folder, id)| (inside(folder), *id)));
            } else if name == POLICY_FILE
                && let Probe::File(id) = Probe::of(Some(&entry))
            {
                found.push((String::new(), id));
            }
        }
        if found.is_empty() {
            self.barren.insert(tree);
            return Ok(Arc::default());
        }
        found.sort_unstable();
        let found: Below = found.into();
        self.fertile.insert(tree, Arc::clone(&found));
        Ok(found)
    }
}

fn read_policy(repo: &Repository, id: Oid, path: &str) -> Result<Policy, Blocked> {
    let invalid = |problems| Err(Blocked::Invalid { problems });
    let bytes = match tree::read_blob(repo, id, POLICY_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return invalid(vec![OneLine::new(&format!("{path}: {error}"))]),
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return invalid(vec![OneLine::new(&format!("{path}: is not UTF-8"))]);
    };
    policy::parse(text).or_else(|problems| invalid(problems.iter().map(|one| one.at(path)).collect()))
}

/// Two apps of one name would write the same objects: both are blocked.
fn block_duplicates(apps: &mut [App]) {
    let mut folders: BTreeMap<AppName, Vec<OneLine>> = BTreeMap::new();
    for app in apps.iter() {
        let folder = if app.folder.is_empty() { "." } else { &app.folder };
        folders.entry(app.name.clone()).or_default().push(OneLine::new(folder));
    }
    for app in apps {
        if let Some(folders) = folders.get(&app.name).filter(|folders| folders.len() > 1) {
            app.policy = Err(Blocked::DuplicateName { folders: folders.clone() });
        }
    }
}
