//! Where a commit can be read in a forge, as far as the repository's address tells.

use crate::core::ids::CommitId;

/// The web address under which a forge shows the commits of a repository; `None` for paths and for hosts that nobody
/// can know. Nothing of a user or password gets into it.
pub(super) fn commits(repo: &str) -> Option<String> {
    let (host, path) = place(repo)?;
    let path = path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if !is_host || path.is_empty() || !path.chars().all(plain) || path.split('/').any(|part| part == "..") {
        return None;
    }
    // The forges' own words for a commit's page.
    let below = match host {
        host if host.contains("gitlab") => "-/commit",
        host if host.contains("bitbucket") => "commits",
        host if host.contains("github") || host.contains("gitea") || host.contains("forgejo") => "commit",
        "codeberg.org" => "commit",
        _unknown => return None,
    };
    Some(format!("https://{host}/{path}/{below}"))
}

/// One commit's page.
pub(super) fn commit(commits: Option<&str>, id: &CommitId) -> Option<String> {
    let is_id = id.as_str().len() >= 7 && id.as_str().chars().all(|c| c.is_ascii_hexdigit());
    commits.filter(|_| is_id).map(|commits| format!("{commits}/{id}"))
}

/// Host and path of `https://user@host:port/path`, `ssh://...` and `user@host:path`.
fn place(repo: &str) -> Option<(&str, &str)> {
    if let Some((scheme, rest)) = repo.split_once("://") {
        if !matches!(scheme, "https" | "http" | "ssh") {
            return None;
        }
        let (authority, path) = rest.split_once('/')?;
        let host = authority.rsplit('@').next()?;
        return Some((host.split(':').next()?, path));
    }
    let (authority, path) = repo.split_once(':')?;
    let (_, host) = authority.rsplit_once('@')?;
    (!host.contains('/')).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forges_are_known_by_their_hosts() {
        for (repo, expect) in [
            ("https://token:secret@github.com/a/shop.git", Some("https://github.com/a/shop/commit")),
            ("git@github.com:a/shop.git", Some("https://github.com/a/shop/commit")),
            ("ssh://git@gitlab.example.org:2222/a/b/shop.git", Some("https://gitlab.example.org/a/b/shop/-/commit")),
            ("https://codeberg.org/a/shop", Some("https://codeberg.org/a/shop/commit")),
            ("https://bitbucket.org/a/shop.git", Some("https://bitbucket.org/a/shop/commits")),
            ("https://git.example.org/a/shop.git", None),
            ("/srv/git/shop.git", None),
            ("file:///srv/github.com/shop.git", None),
            ("https://github.com/a/\"><script>", None),
            ("javascript:github.com/a", None),
            ("https://github.com/../a", None),
        ] {
            assert_eq!(commits(repo).as_deref(), expect, "{repo}");
        }
        assert_eq!(commit(Some("https://x/commit"), &CommitId::new("\"><script>")), None);
    }
}
