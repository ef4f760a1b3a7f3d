//! What the operator says: flags for one repository, a configuration file for many. Both become the same [`Settings`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::grants::Grants;
use crate::core::ids::RepoName;
use crate::core::outside::Outside;
use crate::core::plan::{Planner, plan};
use crate::core::text::OneLine;

mod raw;

pub use crate::core::access::GitAccess as Credentials;
pub use raw::{File, Problem, parse};

/// Passes that are under way at once. A pass mostly waits for git's disk and the API server's answers; sixteen keep both
/// busy and ask no more of an API server than a dozen people with kubectl.
pub const CONCURRENCY_DEFAULT: usize = 16;
/// How often git is asked although nothing said that it changed.
pub const POLL_DEFAULT: Duration = Duration::from_secs(15);
/// A configuration of a thousand repos has some 200 KiB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What `turquoise run` was asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The watched repositories, in the order in which free names are given away: two repositories' apps of one name are
    /// one too many, and the later one's is left alone.
    pub repos: Vec<RepoSettings>,
    /// The kubeconfig file; `None`: the environment's, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// Where the HTTP server listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Says what would be done and writes nothing.
    pub dry_run: bool,
    /// The cluster's name: written into each lock, and a lock that names another one is left alone.
    pub cluster: Option<String>,
    /// Passes that are under way at once.
    pub concurrency: usize,
    /// What the flags say of git servers: for each repository of a file the cache and the timeout, for one all of it.
    pub git: Credentials,
    /// The configuration file that these come from: it is read again when it changes.
    pub file: Option<PathBuf>,
    /// How the HTTP server is reached.
    pub outside: Outside,
    /// Of several replicas one acts; `None`: this one is alone, and always does.
    pub election: Option<Election>,
    /// A commit's page, with `{commit}` in place of its id, for links in messages.
    pub commit_url: Option<String>,
    /// What decides; nothing outside of the program says so.
    pub planner: Planner,
}

/// How replicas find out which of them acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The Lease's namespace; `None`: the pod's own, or the kubeconfig's.
    pub namespace: Option<String>,
    /// The Lease's name.
    pub name: String,
    /// What this replica is called; `None`: as its pod, or as its machine and process.
    pub identity: Option<String>,
}

/// One watched repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoSettings {
    /// What the operator calls it; unique.
    pub name: RepoName,
    /// A URL or a path.
    pub location: String,
    /// The watched branch.
    pub branch: String,
    /// How often git is asked although nothing said that it changed.
    pub poll: Duration,
    /// How its server is reached.
    pub credentials: Credentials,
    /// The namespace of apps that name none; `None`: the kubeconfig's own.
    pub namespace: Option<String>,
    /// What its turquoise.yaml files may ask for.
    pub grants: Grants,
}

impl RepoSettings {
    /// A repository as the flags give it.
    #[must_use]
    pub fn new(location: &str, branch: &str, poll: Duration, grants: Grants) -> Self {
        Self {
            name: RepoName::new(default_name(location)),
            location: location.to_owned(),
            branch: branch.to_owned(),
            poll,
            credentials: Credentials::default(),
            namespace: None,
            grants,
        }
    }

    /// Whether the same branch of the same repository is watched in the same way: then only its rights or its pace differ.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |one: &Self| (one.location.clone(), one.branch.clone(), one.credentials.clone());
        place(self) == place(other)
    }
}

impl Settings {
    /// Settings for one repository, without a file.
    #[must_use]
    pub fn one(repo: RepoSettings) -> Self {
        Self {
            repos: vec![repo],
            kubeconfig: None,
            context: None,
            listen: None,
            dry_run: false,
            cluster: None,
            concurrency: CONCURRENCY_DEFAULT,
            git: Credentials::default(),
            file: None,
            outside: Outside::default(),
            election: None,
            commit_url: None,
            planner: plan,
        }
    }

    /// These settings with what a file says in place of theirs: what it does not name stays.
    #[must_use]
    pub fn with(&self, file: File) -> Self {
        let reached = |repo: RepoSettings| {
            let (cache, timeout) = (self.git.cache.clone(), self.git.timeout);
            RepoSettings { credentials: Credentials { cache, timeout, ..repo.credentials }, ..repo }
        };
        Self {
            repos: file.repos.into_iter().map(reached).collect(),
            cluster: file.cluster.or_else(|| self.cluster.clone()),
            listen: file.listen.or(self.listen),
            concurrency: file.concurrency.unwrap_or(CONCURRENCY_DEFAULT),
            ..self.clone()
        }
    }
}

/// Reads a configuration file. Blocks.
///
/// # Errors
/// Every problem with file and line; one without a line where the file cannot be read.
pub fn read(path: &Path) -> Result<File, Vec<OneLine>> {
    let shown = path.display();
    let unreadable = |words: &dyn std::fmt::Display| vec![OneLine::new(&format!("{shown}: {words}"))];
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(&format!("is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|problems| {
        let line = |one: &Problem| match one.line {
            0 => format!("{shown}: {}", one.message),
            line => format!("{shown}:{line}: {}", one.message),
        };
        problems.iter().map(|one| OneLine::new(&line(one))).collect()
    })
}

/// The name of a repository that is given none: the last part of its path.
fn default_name(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/').trim_end_matches("/.git").trim_end_matches(".git");
    let last = path.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    last.to_lowercase()
}
