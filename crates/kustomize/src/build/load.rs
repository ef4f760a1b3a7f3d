//! Finds and reads files, inside the tree and within the limits.

use super::{Builder, Fallible, Frame};
use crate::build::FileScope;
use crate::error::{Position, did_you_mean};
use crate::kustomization::{self, FILE_NAMES, Kustomization};
use crate::limits::{BUILD_BYTES_MAX, BUILD_FILES_MAX, FILE_BYTES_MAX, KUSTOMIZATIONS_MAX, LAYERS_MAX};
use crate::tree::{EntryKind, FileTree, TreeError, is_within, join};

impl<T: FileTree + ?Sized> Builder<'_, T> {
    /// A path that a kustomization names: resolved, with what stands there.
    pub(super) fn locate(&self, directory: &str, name: &str) -> Result<(String, EntryKind), String> {
        if name.is_empty() {
            return Err("the path is empty".into());
        }
        if name.starts_with('/') {
            return Err(format!("`{name}` is absolute; name it relative to the kustomization"));
        }
        let escapes = || format!("`{name}` leads out of the tree; only what lies in it can be used");
        let path = join(directory, name).ok_or_else(escapes)?;
        let describe = |error: TreeError| match error {
            TreeError::Escapes => escapes(),
            TreeError::NotFound => self.missing(directory, name),
            TreeError::NotRegular | TreeError::TooLarge { .. } | TreeError::Io(_) => format!("`{name}`: {error}"),
        };
        match self.tree.kind(&path) {
            Ok(Some(kind)) => Ok((self.tree.resolve(&path).map_err(describe)?, kind)),
            Ok(None) if is_remote(name) => Err(format!(
                "`{name}` is remote; nothing is fetched: copy it into the repository, for example as a git submodule or with `git subtree`"
            )),
            Ok(None) => Err(self.missing(directory, name)),
            Err(error) => Err(describe(error)),
        }
    }

    /// Says that nothing is there, and what was probably meant.
    fn missing(&self, directory: &str, name: &str) -> String {
        let (parent, last) = name.trim_end_matches('/').rsplit_once('/').unwrap_or(("", name));
        let names = join(directory, parent).map(|parent| self.tree.names(&parent)).unwrap_or_default();
        let near = did_you_mean(last, names.iter().map(String::as_str));
        let near = near
            .filter(|near| *near != last)
            .map(|near| if parent.is_empty() { near.to_string() } else { format!("{parent}/{near}") });
        near.map_or_else(
            || match name.split_once(" - ") {
                // A list goes on with a line that is indented deeper.
                Some((first, _)) => {
                    format!("`{name}` does not exist; is the line after `- {first}` indented too deep?")
                }
                None => format!("`{name}` does not exist"),
            },
            |near| format!("`{name}` does not exist; did you mean `{near}`?"),
        )
    }

    /// Reads a file that a kustomization in `directory` names.
    pub(super) fn load(&mut self, directory: &str, name: &str) -> Result<(String, Vec<u8>), String> {
        let (path, kind) = self.locate(directory, name)?;
        if kind == EntryKind::Directory {
            return Err(format!("`{name}` is a directory, not a file"));
        }
        self.confine(directory, name, &path)?;
        let bytes = self.read(&path)?;
        Ok((path, bytes))
    }

    /// Like [`Self::load`], as text.
    pub(super) fn load_text(&mut self, directory: &str, name: &str) -> Result<(String, String), String> {
        let (path, bytes) = self.load(directory, name)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8"))?;
        Ok((path, text))
    }

    pub(super) fn confine(&self, directory: &str, name: &str, path: &str) -> Result<(), String> {
        if self.scope == FileScope::Kustomization && !is_within(path, directory) {
            return Err(format!(
                "`{name}` is not in or below the kustomization's directory; move it there, or give it a kustomization of its own and list that as a resource"
            ));
        }
        Ok(())
    }

    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.files_read += 1;
        if self.files_read > BUILD_FILES_MAX {
            return Err(format!("the build reads more than {BUILD_FILES_MAX} files"));
        }
        let left = BUILD_BYTES_MAX.saturating_sub(self.bytes_read);
        let bytes = self.tree.read(path, FILE_BYTES_MAX.min(left)).map_err(|error| match error {
            TreeError::TooLarge { .. } if left < FILE_BYTES_MAX => {
                format!("the build reads more than {BUILD_BYTES_MAX} bytes")
            }
            TreeError::TooLarge { .. }
            | TreeError::NotFound
            | TreeError::Escapes
            | TreeError::NotRegular
            | TreeError::Io(_) => {
                format!("`{path}`: {error}")
            }
        })?;
        self.bytes_read += bytes.len() as u64;
        Ok(bytes)
    }

    /// Reads the kustomization of a directory and puts it on the chain.
    pub(super) fn enter(&mut self, directory: &str, shown_directory: String) -> Fallible<Frame> {
        let start = Position::default();
        self.kustomizations += 1;
        if self.kustomizations > KUSTOMIZATIONS_MAX {
            return Err(self.fail(
                format!("the build runs more than {KUSTOMIZATIONS_MAX} kustomizations"),
                directory,
                start,
            ));
        }
        if self.chain.len() == LAYERS_MAX {
            return Err(self.fail(format!("more than {LAYERS_MAX} layers of kustomizations"), directory, start));
        }
        let mut found = Vec::new();
        for name in FILE_NAMES {
            if let Ok((path, EntryKind::File)) = self.locate(directory, name)
                && self.confine(directory, name, &path).is_ok()
            {
                found.push((name, path));
            }
        }
        let (file_name, path) = match found.as_slice() {
            [(name, path)] => (*name, path.clone()),
            [] => {
                let message = format!("the directory has no kustomization; add one of {}", FILE_NAMES.join(", "));
                return Err(self.fail(message, directory, start));
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                let message = format!("the directory has several kustomizations ({}); keep one", names.join(", "));
                return Err(self.fail(message, directory, start));
            }
        };
        self.chain.push((directory.to_string(), path.clone()));
        let kustomization = match self.parse(&path) {
            Ok(kustomization) => kustomization,
            Err(errors) => {
                self.chain.pop();
                return Err(errors);
            }
        };
        Ok(Frame { directory: directory.to_string(), path, file_name, kustomization, shown_directory })
    }

    fn parse(&mut self, path: &str) -> Fallible<Kustomization> {
        let start = Position::default();
        let bytes = self.read(path).map_err(|reason| self.fail(reason, path, start))?;
        let text = String::from_utf8(bytes).map_err(|_| self.fail("the file is not UTF-8", path, start))?;
        let parsed = kustomization::parse(path, &text, &self.budget)
            .map_err(|problems| problems.into_iter().map(|p| self.error(p, path, start)).collect::<Vec<_>>())?;
        self.warnings.extend(parsed.warnings);
        Ok(parsed.kustomization)
    }
}

/// Whether a path that does not exist looks like something to fetch.
fn is_remote(name: &str) -> bool {
    let hosts = ["github.com/", "gitlab.com/", "bitbucket.org/", "git@", "git::", "gh:"];
    name.contains("://")
        || hosts.iter().any(|host| name.starts_with(host))
        || name.contains(".git?")
        || name.contains("?ref=")
}
