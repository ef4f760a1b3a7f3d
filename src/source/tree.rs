//! A git tree at a commit as the file tree of a build, without a checkout.

use std::cell::RefCell;

use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};
use turquoise_kustomize::{EntryKind, FileTree, TreeError};

use super::reads::{Probe, Reads};

/// Symbolic links followed for one path: what Linux follows.
const LINKS_MAX: usize = 40;

/// A link's target longer than any path is no path.
const LINK_BYTES_MAX: usize = 4096;

/// A git tree. Links are resolved inside it and never out of it; every path that is looked at is noted.
pub(super) struct GitTree<'r> {
    git: &'r Repository,
    root: Tree<'r>,
    reads: RefCell<Reads>,
}

impl<'r> GitTree<'r> {
    pub(super) fn new(git: &'r Repository, root: Oid) -> Result<Self, git2::Error> {
        Ok(Self { git, root: git.find_tree(root)?, reads: RefCell::default() })
    }

    /// What was looked at so far.
    pub(super) fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }

    /// What stands at a path, links not followed.
    fn probe(&self, path: &str) -> Result<Probe, TreeError> {
        let probe = probe(&self.root, path).map_err(|error| io(&error))?;
        self.reads.borrow_mut().note(path, probe);
        Ok(probe)
    }

    /// The path with its links resolved, and what stands there.
    fn real(&self, path: &str) -> Result<(String, Probe), TreeError> {
        let mut todo: Vec<String> = parts_reversed(path)?;
        let mut here: Vec<String> = Vec::new();
        let mut links = 0;
        let mut last = Probe::Directory;
        while let Some(part) = todo.pop() {
            if part == ".." {
                here.pop().ok_or(TreeError::Escapes)?;
                last = Probe::Directory;
                continue;
            }
            here.push(part);
            last = self.probe(&here.join("/"))?;
            match last {
                Probe::Directory => {}
                Probe::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(TreeError::Io("too many levels of symbolic links".into()));
                    }
                    here.pop();
                    todo.extend(parts_reversed(&self.link_target(target)?)?);
                    last = Probe::Directory;
                }
                Probe::Submodule => {
                    return Err(TreeError::Io("a git submodule is not read: put its files into this repo".into()));
                }
                Probe::Absent | Probe::File(_) if todo.is_empty() => {}
                Probe::Absent | Probe::File(_) => return Ok((here.join("/"), Probe::Absent)),
            }
        }
        Ok((here.join("/"), last))
    }

    fn link_target(&self, target: Oid) -> Result<String, TreeError> {
        let blob = self.git.find_blob(target).map_err(|error| io(&error))?;
        let text = std::str::from_utf8(blob.content()).ok().filter(|text| text.len() <= LINK_BYTES_MAX);
        text.map(str::to_owned).ok_or_else(|| TreeError::Io("a symbolic link without a readable target".into()))
    }
}

impl FileTree for GitTree<'_> {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        match self.real(path)?.1 {
            Probe::File(_) => Ok(Some(EntryKind::File)),
            Probe::Directory => Ok(Some(EntryKind::Directory)),
            Probe::Absent | Probe::Link(_) | Probe::Submodule => Ok(None),
        }
    }

    fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
        match self.real(path)?.1 {
            Probe::File(id) => read_blob(self.git, id, limit_bytes),
            Probe::Directory => Err(TreeError::NotRegular),
            Probe::Absent | Probe::Link(_) | Probe::Submodule => Err(TreeError::NotFound),
        }
    }

    fn resolve(&self, path: &str) -> Result<String, TreeError> {
        match self.real(path)? {
            (_, Probe::Absent) => Err(TreeError::NotFound),
            (real, Probe::File(_) | Probe::Link(_) | Probe::Directory | Probe::Submodule) => Ok(real),
        }
    }

    fn id(&self, path: &str) -> Option<[u8; 20]> {
        match self.real(path).ok()?.1 {
            Probe::File(id) => id.as_bytes().try_into().ok(),
            Probe::Absent | Probe::Link(_) | Probe::Directory | Probe::Submodule => None,
        }
    }
}

/// What stands at a path of a tree, links not followed.
pub(super) fn probe(root: &Tree<'_>, path: &str) -> Result<Probe, git2::Error> {
    if path.is_empty() {
        return Ok(Probe::Directory);
    }
    match root.get_path(std::path::Path::new(path)) {
        Ok(entry) => Ok(Probe::of(Some(&entry))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(Probe::Absent),
        Err(error) => Err(error),
    }
}

/// A blob's bytes; its size is looked at before it is loaded.
pub(super) fn read_blob(git: &Repository, id: Oid, limit_bytes: u64) -> Result<Vec<u8>, TreeError> {
    let (bytes, kind) = git.odb().and_then(|odb| odb.read_header(id)).map_err(|error| io(&error))?;
    if kind != ObjectType::Blob {
        return Err(TreeError::NotRegular);
    }
    if bytes as u64 > limit_bytes {
        return Err(TreeError::TooLarge { limit_bytes });
    }
    Ok(git.find_blob(id).map_err(|error| io(&error))?.content().to_vec())
}

fn io(error: &git2::Error) -> TreeError {
    TreeError::Io(error.message().to_owned())
}

/// A relative path's parts, the last first.
fn parts_reversed(path: &str) -> Result<Vec<String>, TreeError> {
    if path.starts_with('/') || path.contains('\0') {
        return Err(TreeError::Escapes);
    }
    Ok(path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect())
}
