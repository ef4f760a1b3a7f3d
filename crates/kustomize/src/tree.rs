//! What a build reads: a folder, files in memory, a git tree, or edits laid over any of these.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// Why a path could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Nothing stands there.
    #[error("no such file or directory")]
    NotFound,
    /// The path, or a symbolic link on it, leads out of the tree.
    #[error("the path leads out of the tree")]
    Escapes,
    /// A device, a pipe or a socket: reading it could block for ever.
    #[error("not a regular file")]
    NotRegular,
    /// The file is larger than the caller wants to read.
    #[error("larger than {limit_bytes} bytes")]
    TooLarge {
        /// The caller's limit.
        limit_bytes: u64,
    },
    /// The operating system or the repository said no.
    #[error("{0}")]
    Io(String),
}

/// A tree of files. Paths are separated by `/`, relative to the tree's root and normalised: `overlays/blue`, or the empty
/// string for the root itself.
///
/// Implementations resolve symbolic links and never follow one out of the tree.
///
/// ```
/// use turquoise_kustomize::{EntryKind, FileTree, MemoryTree};
///
/// let tree = MemoryTree::new([("base/service.yaml", "kind: Service\n")]);
/// assert_eq!(tree.kind("base"), Ok(Some(EntryKind::Directory)));
/// assert_eq!(tree.read("base/service.yaml", 100).unwrap(), b"kind: Service\n");
/// ```
pub trait FileTree {
    /// What stands at `path`; `None` when nothing does.
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError>;

    /// The bytes of a regular file, if there are no more than `limit_bytes` of them.
    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError>;

    /// The path with every symbolic link on it resolved. Trees without links return it unchanged.
    fn resolve(&self, path: &str) -> Result<String, TreeError> {
        Ok(path.to_string())
    }

    /// The names of what a directory holds, for guesses at what a missing path meant. Trees that cannot say give none.
    fn names(&self, directory: &str) -> Vec<String> {
        let _ = directory;
        Vec::new()
    }

    /// An identity of the file's content, such as a git object id, so that callers can keep what they derived from it.
    fn id(&self, path: &str) -> Option<[u8; 20]> {
        let _ = path;
        None
    }
}

impl<T: FileTree + ?Sized> FileTree for &T {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        (**self).kind(path)
    }
    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
        (**self).read(path, limit_bytes)
    }
    fn resolve(&self, path: &str) -> Result<String, TreeError> {
        (**self).resolve(path)
    }
    fn names(&self, directory: &str) -> Vec<String> {
        (**self).names(directory)
    }
    fn id(&self, path: &str) -> Option<[u8; 20]> {
        (**self).id(path)
    }
}

/// A folder on disk. Nothing outside it is read, whatever `..`, absolute paths or symbolic links say.
///
/// Give it `/` as the root to read like kubectl does outside a repository.
///
/// ```no_run
/// use turquoise_kustomize::{Build, Folder};
///
/// let output = Build::new(&Folder::new("."), "overlays/blue").run()?;
/// print!("{}", output.to_yaml());
/// # Ok::<(), turquoise_kustomize::BuildErrors>(())
/// ```
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`. It need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: root.canonicalize().unwrap_or(root) }
    }

    fn real(&self, path: &str) -> Result<PathBuf, TreeError> {
        let path = normalise(path).ok_or(TreeError::Escapes)?;
        let real = self.root.join(&path).canonicalize().map_err(|error| {
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                TreeError::NotFound
            } else {
                TreeError::Io(error.to_string())
            }
        })?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(TreeError::Escapes) }
    }
}

impl FileTree for Folder {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        let real = match self.real(path) {
            Ok(real) => real,
            Err(TreeError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = std::fs::metadata(real).map_err(|error| TreeError::Io(error.to_string()))?;
        if metadata.is_dir() {
            Ok(Some(EntryKind::Directory))
        } else if metadata.is_file() {
            Ok(Some(EntryKind::File))
        } else {
            Err(TreeError::NotRegular)
        }
    }

    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
        let real = self.real(path)?;
        let io = |error: std::io::Error| TreeError::Io(error.to_string());
        // Looked at before opening: opening a pipe blocks until somebody writes to it.
        let metadata = std::fs::metadata(&real).map_err(io)?;
        if !metadata.is_file() {
            return Err(TreeError::NotRegular);
        }
        if metadata.len() > limit_bytes {
            return Err(TreeError::TooLarge { limit_bytes });
        }
        let file = std::fs::File::open(&real).map_err(io)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(TreeError::TooLarge { limit_bytes });
        }
        Ok(bytes)
    }

    fn resolve(&self, path: &str) -> Result<String, TreeError> {
        let real = self.real(path)?;
        let relative = real.strip_prefix(&self.root).map_err(|_| TreeError::Escapes)?;
        to_slashes(relative).ok_or_else(|| TreeError::Io("the path is not UTF-8".into()))
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = self.real(directory).ok().and_then(|real| std::fs::read_dir(real).ok());
        let entries = entries.into_iter().flatten().take(NAMES_MAX).flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// Names of a directory that are looked through for a guess.
const NAMES_MAX: usize = 1_000;

fn to_slashes(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|c| c.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

/// Files in memory, for tests and for callers that hold their manifests already.
///
/// ```
/// use turquoise_kustomize::{Build, MemoryTree};
///
/// let tree = MemoryTree::new([
///     ("kustomization.yaml", "namePrefix: blue-\nresources: [service.yaml]\n"),
///     ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n"),
/// ]);
/// let output = Build::new(&tree, "").run()?;
/// assert_eq!(output.objects[0].name(), "blue-shop");
/// # Ok::<(), turquoise_kustomize::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    files: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
}

impl MemoryTree {
    /// A tree of these files. Paths that lead out of it are left out.
    pub fn new<P: AsRef<str>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        let mut tree = Self::default();
        for (path, bytes) in files {
            if let Some(path) = normalise(path.as_ref()) {
                let mut parent = path.as_str();
                while let Some(cut) = parent.rfind('/') {
                    parent = parent.get(..cut).unwrap_or("");
                    tree.directories.insert(parent.to_string());
                }
                tree.files.insert(path, bytes.into());
            }
        }
        tree
    }
}

impl FileTree for MemoryTree {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        let path = normalise(path).ok_or(TreeError::Escapes)?;
        Ok(if self.files.contains_key(&path) {
            Some(EntryKind::File)
        } else if path.is_empty() || self.directories.contains(&path) {
            Some(EntryKind::Directory)
        } else {
            None
        })
    }

    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
        let path = normalise(path).ok_or(TreeError::Escapes)?;
        let bytes = self.files.get(&path).ok_or(TreeError::NotFound)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(TreeError::TooLarge { limit_bytes });
        }
        Ok(bytes.clone())
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let inside = |path: &String| {
            let rest =
                if directory.is_empty() { path.as_str() } else { path.strip_prefix(directory)?.strip_prefix('/')? };
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_string())
        };
        self.files.keys().chain(&self.directories).filter_map(inside).take(NAMES_MAX).collect()
    }
}

/// Changed files laid over another tree: what would be read after an edit.
///
/// ```
/// use turquoise_kustomize::{FileTree, MemoryTree, Overlay};
///
/// let below = MemoryTree::new([("a.yaml", "colour: blue\n"), ("b.yaml", "b: 1\n")]);
/// let above = Overlay::new(&below).with("a.yaml", "colour: green\n");
/// assert_eq!(above.read("a.yaml", 100).unwrap(), b"colour: green\n");
/// assert_eq!(above.read("b.yaml", 100).unwrap(), b"b: 1\n");
/// ```
pub struct Overlay<'a, T: FileTree + ?Sized> {
    below: &'a T,
    files: BTreeMap<String, Cow<'a, [u8]>>,
}

impl<'a, T: FileTree + ?Sized> Overlay<'a, T> {
    /// Nothing changed yet.
    pub fn new(below: &'a T) -> Self {
        Self { below, files: BTreeMap::new() }
    }

    /// The same with the file at `path` (as resolved by the tree below) holding `bytes`.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_string(), Cow::Owned(bytes.into()));
        self
    }
}

impl<T: FileTree + ?Sized> FileTree for Overlay<'_, T> {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        if self.files.contains_key(path) { Ok(Some(EntryKind::File)) } else { self.below.kind(path) }
    }

    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
        match self.files.get(path) {
            Some(bytes) if bytes.len() as u64 > limit_bytes => Err(TreeError::TooLarge { limit_bytes }),
            Some(bytes) => Ok(bytes.to_vec()),
            None => self.below.read(path, limit_bytes),
        }
    }

    fn resolve(&self, path: &str) -> Result<String, TreeError> {
        if self.files.contains_key(path) { Ok(path.to_string()) } else { self.below.resolve(path) }
    }

    fn id(&self, path: &str) -> Option<[u8; 20]> {
        if self.files.contains_key(path) { None } else { self.below.id(path) }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        self.below.names(directory)
    }
}

/// The path without `.`, `..` and doubled slashes; `None` when it leads above the root or is absolute.
pub(crate) fn normalise(path: &str) -> Option<String> {
    join("", path)
}

/// `path` as seen from `directory`, normalised; `None` when it leads above the root or is absolute.
pub(crate) fn join(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether `path` is `directory` or lies below it.
pub(crate) fn is_within(path: &str, directory: &str) -> bool {
    directory.is_empty() || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_tree() {
        for (directory, path, expected) in [
            ("overlays/blue", "../../base", Some("base")),
            ("", "./a//b/", Some("a/b")),
            ("a", "..", Some("")),
            ("a", "../..", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(join(directory, path).as_deref(), expected, "{directory} + {path}");
        }
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("x", ""));
        assert!(!is_within("ab", "a"));
    }
}
