//! The folder in which the copies of repos are kept.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::core::text::OneLine;
use crate::source::address::Address;
use crate::source::error::SourceError;

/// Hexadecimal digits of the address's digest in a folder's name: enough that no two repos of a daemon share one.
const DIGEST_CHARS: usize = 16;

/// One repo's copy. Nobody but this user may look into it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Where the copy is deleted with the process.
    _private: Option<tempfile::TempDir>,
}

impl Cache {
    /// Makes the folder for a branch of a repo.
    ///
    /// # Errors
    /// [`SourceError::Cache`]: it cannot be made; the words say how to name another.
    pub(super) fn open(named: Option<&Path>, address: &Address, reference: &str) -> Result<Self, SourceError> {
        let (root, private) = match named.map(Path::to_path_buf).or_else(of_the_user) {
            Some(root) => (root, None),
            None => {
                let made = tempfile::Builder::new().prefix("turquoise-").tempdir();
                let made = made.map_err(|error| failed(&std::env::temp_dir(), &error))?;
                (made.path().to_path_buf(), Some(made))
            }
        };
        let folder = root.join(folder_name(address, reference));
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder.join("home"));
        made.map_err(|error| failed(&root, &error))?;
        // The folder is passed on to a process with another working directory.
        let folder = folder.canonicalize().map_err(|error| failed(&root, &error))?;
        Ok(Self { folder, _private: private })
    }

    /// The bare repository.
    pub(super) fn repo(&self) -> PathBuf {
        self.folder.join("repo.git")
    }

    /// A home for the child, so that it sees nothing of the user's settings.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }
}

fn failed(folder: &Path, error: &std::io::Error) -> SourceError {
    SourceError::Cache { folder: folder.display().to_string(), words: OneLine::new(&error.to_string()) }
}

fn of_the_user() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("turquoise"))
}

/// The repo's name for people, and a digest of where it is.
fn folder_name(address: &Address, reference: &str) -> String {
    let name = crate::source::location::repo_name(&address.url);
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(40).collect();
    let digest = Sha256::digest(format!("{}\n{reference}", address.url).as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{}", digest.get(..DIGEST_CHARS).unwrap_or_default())
}
