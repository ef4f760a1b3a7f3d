//! Where a repo is, and whether it can be served from there.

use std::path::Path;

use git2::{ErrorCode, Repository};

use super::error::SourceError;
use crate::core::text::OneLine;

/// A URL without its user and password, and without a query, which may hold a token.
pub(super) fn without_credentials(location: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = location.split_once("://") else {
        // `user@host:path` has no place for a password; what looks like one is not shown.
        let (user, rest) = location.split_once('@').unwrap_or_default();
        let secret = user.contains(':') && !user.contains('/');
        return if secret { rest.to_owned() } else { location.to_owned() };
    };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit('@').next().unwrap_or_default();
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

/// Opens a repository that is exactly there: no search in folders above.
pub(super) fn open(path: &Path, location: &str) -> Result<Repository, SourceError> {
    Repository::open(path).map_err(|error| {
        let words = if error.code() == ErrorCode::Owner {
            format!(
                "{}; it belongs to another user: run `git config --global --add safe.directory {location}` as the user \
                 that turquoise runs as",
                error.message()
            )
        } else if error.code() == ErrorCode::NotFound {
            "there is none".to_owned()
        } else {
            error.message().to_owned()
        };
        SourceError::Open { location: location.to_owned(), words: OneLine::new(&words) }
    })
}

/// Refuses a branch that is checked out: a commit would move it under the work tree's files, and the next commit from
/// there would undo it.
pub(super) fn refuse_checked_out(repo: &Repository, branch: &str, reference: &str) -> Result<(), SourceError> {
    let checked_out = |work_tree: &Path| {
        let work_tree = work_tree.display().to_string();
        let work_tree = work_tree.trim_end_matches('/').to_owned();
        Err(SourceError::CheckedOut { branch: branch.to_owned(), work_tree })
    };
    let common = repo.commondir();
    // HEAD of the main work tree; a bare repo's names a default branch only.
    let main = common.parent().filter(|_| common.file_name().is_some_and(|name| name == ".git"));
    if let Some(main) = main
        && points_at(&common.join("HEAD"), reference)
    {
        return checked_out(main);
    }
    let Ok(linked) = std::fs::read_dir(common.join("worktrees")) else { return Ok(()) };
    for folder in linked.flatten() {
        if points_at(&folder.path().join("HEAD"), reference) {
            let git_file = std::fs::read_to_string(folder.path().join("gitdir")).unwrap_or_default();
            let work_tree = Path::new(git_file.trim()).parent().map_or_else(|| folder.path(), Path::to_path_buf);
            // A work tree that was deleted holds no files that could be left behind.
            if work_tree.exists() {
                return checked_out(&work_tree);
            }
        }
    }
    Ok(())
}

fn points_at(head: &Path, reference: &str) -> bool {
    std::fs::read_to_string(head)
        .is_ok_and(|text| text.trim().strip_prefix("ref:").is_some_and(|name| name.trim() == reference))
}

/// The name of a root app that names none: the repo's.
pub(super) fn repo_name(location: &str) -> String {
    let trimmed = location.trim_end_matches('/').trim_end_matches("/.git").trim_end_matches(".git");
    // `host:shop.git` has no slash before the name.
    let last = trimmed.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last.rsplit(':').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (location, shown) in [
            ("https://user:secret@example.org/shop.git?token=secret", "https://example.org/shop.git"),
            ("ssh://git@example.org/shop.git", "ssh://example.org/shop.git"),
            ("git@example.org:shop.git", "git@example.org:shop.git"),
            ("ann:secret@example.org:shop.git", "example.org:shop.git"),
            ("http://secret@example.org", "http://example.org"),
            ("/srv/a@b:c.git", "/srv/a@b:c.git"),
        ] {
            assert_eq!(without_credentials(location), shown);
        }
    }

    #[test]
    fn a_repo_is_named_after_its_folder() {
        for (location, name) in [
            ("/srv/shop.git", "shop"),
            ("/srv/shop/", "shop"),
            ("/srv/Shop/.git", "shop"),
            ("shop.git/", "shop"),
            ("git@host:Shop.git", "shop"),
            ("https://host/a/shop.git", "shop"),
        ] {
            assert_eq!(repo_name(location), name, "{location}");
        }
    }
}
