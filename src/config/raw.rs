//! Reading a configuration file: raw serde types, validated once, every problem reported with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Spanned;

use super::{Credentials, POLL_DEFAULT, RepoSettings, default_name};
use crate::core::grants::{Grants, SecretSource};
use crate::core::ids::RepoName;
use crate::core::policy::{in_our_words, is_dns_label, parse_duration};
use crate::core::text::OneLine;

/// Asking a server more often than this is an attack on it.
const POLL_MIN: Duration = Duration::from_secs(1);
/// More passes at once than this only wait for each other.
const CONCURRENCY_MAX: usize = 256;

/// What a configuration file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The watched repositories.
    pub repos: Vec<RepoSettings>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Where the HTTP server listens.
    pub listen: Option<SocketAddr>,
    /// Passes that are under way at once.
    pub concurrency: Option<usize>,
}

/// One thing that is wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// 1-based line; 0 where the whole file is meant.
    pub line: u64,
    /// What is wrong, and what to write instead.
    pub message: OneLine,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawFile {
    api_version: Spanned<String>,
    kind: Spanned<String>,
    cluster: Option<Spanned<String>>,
    listen: Option<Spanned<String>>,
    concurrency: Option<Spanned<usize>>,
    repos: Vec<Spanned<RawRepo>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRepo {
    name: Option<Spanned<String>>,
    url: Spanned<String>,
    branch: Option<Spanned<String>>,
    poll: Option<Spanned<String>>,
    #[serde(default)]
    credentials: RawCredentials,
    #[serde(default)]
    grants: RawGrants,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawCredentials {
    username: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    password_file: Option<Spanned<String>>,
    ssh_key_file: Option<Spanned<String>>,
    ssh_passphrase_file: Option<Spanned<String>>,
    known_hosts_file: Option<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawGrants {
    #[serde(default)]
    namespaces: Vec<Spanned<String>>,
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    #[serde(default)]
    secrets: BTreeMap<String, Spanned<String>>,
}

/// Reads and validates a configuration file; relative paths in it are meant from its folder.
///
/// # Errors
/// Every problem that could be found, each with its line; broken YAML and unknown fields end the search.
pub fn parse(text: &str, folder: &Path) -> Result<File, Vec<Problem>> {
    let raw: RawFile = serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        vec![Problem { line, message: OneLine::new(&in_our_words(&error.without_snippet().to_string())) }]
    })?;
    let mut validator = Validator { folder, problems: Vec::new() };
    let file = validator.file(raw);
    validator.problems.sort_by_key(|problem| problem.line);
    if validator.problems.is_empty() { Ok(file) } else { Err(validator.problems) }
}

/// Collects every problem while it turns raw values into valid ones.
struct Validator<'a> {
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl Validator<'_> {
    fn problem<T>(&mut self, at: &Spanned<T>, message: impl AsRef<str>) {
        self.problems.push(Problem { line: at.referenced.line(), message: OneLine::new(message.as_ref()) });
    }

    fn file(&mut self, raw: RawFile) -> File {
        if raw.api_version.value != "turquoise.dev/v1alpha1" {
            self.problem(&raw.api_version, "`apiVersion` must be `turquoise.dev/v1alpha1`");
        }
        if raw.kind.value != "Configuration" {
            self.problem(&raw.kind, "`kind` must be `Configuration`");
        }
        let cluster = self.line(raw.cluster, "`cluster`");
        let listen = raw.listen.and_then(|listen| match listen.value.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("`{}` is no address; write for example `127.0.0.1:8080`", listen.value);
                self.problem(&listen, message);
                None
            }
        });
        let concurrency = raw.concurrency.map(|number| {
            if number.value == 0 || number.value > CONCURRENCY_MAX {
                self.problem(&number, format!("`concurrency` must be 1 to {CONCURRENCY_MAX}"));
            }
            number.value
        });
        File { repos: self.repos(raw.repos), cluster, listen, concurrency }
    }

    fn repos(&mut self, raw: Vec<Spanned<RawRepo>>) -> Vec<RepoSettings> {
        let mut repos: Vec<RepoSettings> = Vec::with_capacity(raw.len());
        for spanned in raw {
            let at = Spanned::new((), spanned.referenced, spanned.defined);
            let repo = self.repo(spanned.value);
            if repos.iter().any(|other| other.name == repo.name) {
                let message = format!("two repos are named `{}`; give each its own `name`", repo.name);
                self.problem(&at, message);
            }
            if repos.iter().any(|other| other.location == repo.location && other.branch == repo.branch) {
                self.problem(&at, format!("the branch `{}` of this repo is watched already", repo.branch));
            }
            repos.push(repo);
        }
        repos
    }

    fn repo(&mut self, raw: RawRepo) -> RepoSettings {
        if raw.url.value.trim().is_empty() {
            self.problem(&raw.url, "`url` is empty: a URL or a path");
        }
        let named = raw.name.is_some();
        let default = Spanned::new(default_name(&raw.url.value), raw.url.referenced, raw.url.defined);
        let name = raw.name.unwrap_or(default);
        if !is_dns_label(&name.value) {
            let hint = if named { "" } else { ": give it a `name`" };
            let message = format!("`{}` is no name, lower-case letters, digits and `-`, at most 63{hint}", name.value);
            self.problem(&name, message);
        }
        let remote =
            raw.url.value.contains("://") && !raw.url.value.starts_with("file://") || raw.url.value.contains('@');
        let location = if remote { raw.url.value } else { self.path_text(&raw.url.value) };
        let poll = raw.poll.map_or(POLL_DEFAULT, |poll| match parse_duration(&poll.value) {
            Ok(duration) if duration >= POLL_MIN => duration,
            Ok(_) => {
                self.problem(&poll, "`poll` must be at least `1s`; a push is seen at once without it");
                POLL_DEFAULT
            }
            Err(why) => {
                self.problem(&poll, why);
                POLL_DEFAULT
            }
        });
        let credentials = self.credentials(raw.credentials);
        let namespaces = self.labels(&raw.grants.namespaces);
        RepoSettings {
            name: RepoName::new(name.value),
            location,
            branch: self.line(raw.branch, "`branch`").unwrap_or_else(|| "main".to_owned()),
            poll,
            credentials,
            namespace: namespaces.first().cloned(),
            grants: Grants {
                namespaces: namespaces.into_iter().collect(),
                hosts: self.hosts(&raw.grants.hosts),
                secrets: self.secrets(raw.grants.secrets),
            },
        }
    }

    fn credentials(&mut self, raw: RawCredentials) -> Credentials {
        if let (Some(_), Some(password)) = (&raw.token_file, &raw.password_file) {
            self.problem(password, "`tokenFile` and `passwordFile` exclude each other: name one");
        }
        if let (Some(password), None) = (&raw.password_file, &raw.username) {
            self.problem(password, "a password needs a user: name it with `username`");
        }
        if let (Some(phrase), None) = (&raw.ssh_passphrase_file, &raw.ssh_key_file) {
            self.problem(phrase, "a passphrase needs its key: name it with `sshKeyFile`");
        }
        let file = |raw: Option<Spanned<String>>| raw.map(|file| self.path(&file.value));
        Credentials {
            token_file: file(raw.token_file),
            password_file: file(raw.password_file),
            ssh_key_file: file(raw.ssh_key_file),
            ssh_passphrase_file: file(raw.ssh_passphrase_file),
            known_hosts_file: file(raw.known_hosts_file),
            ca_file: file(raw.ca_file),
            username: self.line(raw.username, "`username`"),
            ..Credentials::default()
        }
    }

    fn labels(&mut self, raw: &[Spanned<String>]) -> Vec<String> {
        for namespace in raw {
            if !is_dns_label(&namespace.value) {
                self.problem(namespace, format!("`{}` is no namespace", namespace.value));
            }
        }
        raw.iter().map(|namespace| namespace.value.clone()).collect()
    }

    fn hosts(&mut self, raw: &[Spanned<String>]) -> BTreeSet<String> {
        for host in raw {
            let text = host.value.as_str();
            if text.is_empty() || text.contains(['/', '@', '*', ' ']) {
                self.problem(
                    host,
                    format!("`{text}` is no host; write `HOST` or `HOST:PORT`, without scheme and path"),
                );
            }
        }
        raw.iter().map(|host| host.value.clone()).collect()
    }

    fn secrets(&mut self, raw: BTreeMap<String, Spanned<String>>) -> BTreeMap<String, SecretSource> {
        let mut secrets = BTreeMap::new();
        for (name, source) in raw {
            match source.value.parse() {
                Ok(SecretSource::File(path)) => drop(secrets.insert(name, SecretSource::File(self.folder.join(path)))),
                Ok(variable) => drop(secrets.insert(name, variable)),
                Err(why) => self.problem(&source, format!("`{name}`: {why}")),
            }
        }
        secrets
    }

    /// A text of one line that is not empty.
    fn line(&mut self, raw: Option<Spanned<String>>, what: &str) -> Option<String> {
        let raw = raw?;
        if raw.value.trim().is_empty() || raw.value.contains(char::is_control) {
            self.problem(&raw, format!("{what} must be one line and not empty"));
        }
        Some(raw.value)
    }

    fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    fn path_text(&self, text: &str) -> String {
        match text.strip_prefix("file://") {
            Some(_absolute) => text.to_owned(),
            None => self.path(text).display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: turquoise.dev/v1alpha1\nkind: Configuration\n";

    /// The example of docs/config.md is a file that works.
    #[test]
    fn the_documented_example_is_good() {
        let text = include_str!("../../docs/config.md");
        let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let file = parse(example, Path::new("/etc/turquoise")).expect("a good example");
        assert_eq!(file.cluster.as_deref(), Some("production"));
        let [shop, docs] = file.repos.as_slice() else { panic!("{file:?}") };
        assert_eq!((shop.name.as_str(), shop.namespace.as_deref()), ("shop", Some("shop")));
        assert_eq!(shop.credentials.token_file.as_deref(), Some(Path::new("/etc/turquoise/shop/token")));
        assert!(shop.grants.hosts.contains("hooks.example.org"));
        let chat = SecretSource::File("/etc/turquoise/shop/chat-url".into());
        assert_eq!(shop.grants.secrets.get("chat"), Some(&chat));
        assert_eq!((docs.location.as_str(), docs.poll), ("/srv/git/docs.git", POLL_DEFAULT));
        assert_eq!(docs.grants, Grants::default());
    }

    #[test]
    fn relative_paths_are_meant_from_the_files_folder() {
        let text = format!("{HEAD}repos:\n- url: a.git\n  credentials: {{caFile: ca.pem}}\n- url: git@h:b.git\n");
        let file = parse(&text, Path::new("/c")).expect("a valid file");
        assert_eq!(file.repos[0].location, "/c/a.git");
        assert_eq!(file.repos[0].credentials.ca_file.as_deref(), Some(Path::new("/c/ca.pem")));
        assert_eq!((file.repos[1].location.as_str(), file.repos[1].name.as_str()), ("git@h:b.git", "b"));
    }

    #[test]
    fn problems_carry_their_lines_and_come_all_at_once() {
        for (body, expect) in [
            ("repos: []\npol: 1\n", vec![(4, "unknown field `pol`")]),
            ("repos:\n- url: a.git\n  credentials: {tokenfile: x}\n", vec![(5, "did you mean `tokenFile`?")]),
            ("repos:\n- name: a\n", vec![(4, "url")]),
            ("repos:\n- url: a.git\n- url: b/a.git\n", vec![(5, "two repos are named `a`")]),
            ("repos:\n- url: a.git\n- {url: a.git, name: b}\n", vec![(5, "watched already")]),
            (
                "concurrency: 0\nlisten: here\ncluster: ''\nrepos:\n- url: a.git\n  poll: 5ms\n  grants:\n    namespaces: [A]\n    hosts: ['https://h/']\n",
                vec![
                    (3, "1 to 256"),
                    (4, "no address"),
                    (5, "not empty"),
                    (8, "at least `1s`"),
                    (10, "no namespace"),
                    (11, "no host"),
                ],
            ),
            (
                "repos:\n- url: https://h/a.git\n  credentials:\n    tokenFile: t\n    passwordFile: p\n",
                vec![(7, "exclude each other"), (7, "needs a user")],
            ),
            ("repos:\n- url: a.git\n  grants:\n    secrets: {chat: hunter2}\n", vec![(6, "`file:PATH`")]),
            ("repos:\n- url: '/x/A B.git'\n", vec![(4, "give it a `name`")]),
            ("repos: [\n", vec![(3, "")]),
        ] {
            let problems = parse(&format!("{HEAD}{body}"), Path::new("/c")).expect_err(body);
            assert_eq!(problems.len(), expect.len(), "{body}: {problems:?}");
            for (problem, (line, word)) in problems.iter().zip(expect) {
                assert_eq!(problem.line, line, "{body}: {problem:?}");
                assert!(problem.message.as_str().contains(word), "{body}: {problem:?}");
            }
        }
        let wrong = parse("apiVersion: v1\nkind: BlueGreen\nrepos: []\n", Path::new("")).expect_err("wrong");
        assert_eq!(wrong.iter().map(|one| one.line).collect::<Vec<_>>(), [1, 2]);
    }
}
