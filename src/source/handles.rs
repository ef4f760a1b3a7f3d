//! A repository's handles: libgit2 lets one thread at a time use one, so that readers side by side need several.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use git2::Repository;

use super::error::SourceError;
use super::location;

/// Handles that are kept open while nobody uses them. Each has a cache of its own, and opening one costs less than a
/// tenth of a millisecond: two serve a daemon that looks at one app after another.
const IDLE_MAX: usize = 2;

/// See the module.
pub(super) struct Handles {
    path: PathBuf,
    /// The location as it was given, for errors.
    location: String,
    idle: Mutex<Vec<Repository>>,
}

impl Handles {
    /// Handles of the repository at a path, which is opened once to see that it is there.
    pub(super) fn open(path: PathBuf, location: &str) -> Result<Self, SourceError> {
        let first = location::open(&path, location)?;
        Ok(Self { path, location: location.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// Works with a handle that nobody else uses meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Repository) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let git = match idle {
            Some(git) => git,
            None => location::open(&self.path, &self.location)?,
        };
        let result = work(&git);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(git);
        }
        result
    }

    /// Closes those that nobody uses, with what they cache.
    pub(super) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
