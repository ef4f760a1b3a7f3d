//! Where a repo is, and whether it can be served from there.

use std::path::Path;

use git2::{BranchType, ErrorCode, Repository};

use super::error::SourceError;
use crate::core::text::OneLine;

/// Branches that an error names: more is a list that nobody reads.
const BRANCHES_NAMED_MAX: usize = 8;

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

/// Refuses a branch that is not there in a repository that has others: its name was mistyped. A repository without any
/// waits for its first push.
pub(super) fn refuse_missing_branch(repo: &Repository, location: &str, branch: &str) -> Result<(), SourceError> {
    if repo.find_branch(branch, BranchType::Local).is_ok() {
        return Ok(());
    }
    let branches = repo.branches(Some(BranchType::Local)).into_iter().flatten().flatten();
    let mut names: Vec<String> = branches.filter_map(|(other, _)| Some(other.name().ok()??.to_owned())).collect();
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    let more = names.len().saturating_sub(BRANCHES_NAMED_MAX);
    names.truncate(BRANCHES_NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let others = OneLine::new(&format!("; it has {}{more}; name one with `--branch`", names.join(", ")));
    let others = others.to_string();
    Err(SourceError::NoBranch { location: location.to_owned(), branch: branch.to_owned(), others })
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
