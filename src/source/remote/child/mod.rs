//! The child process: speaks to one server for one errand, and ends. It has the credentials of that server and nothing
//! else: an empty environment, an empty home, limits on memory and files, and no life of its own.

mod hosts;
mod tidy;

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Error, ErrorClass, ErrorCode, FetchOptions, Oid,
    PushOptions, RemoteCallbacks, RemoteRedirect, Repository,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::wire::{Answer, Errand, REQUEST_BYTES_MAX, Request, Trouble};
use crate::core::text::OneLine;
use crate::source::access::Credentials;

/// Memory of its own, files that are mapped aside: ten times what a first copy of 100,000 files and 50,000 commits took
/// (docs/git.md), and what a server that lies about an object's size can make it ask for.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The largest file it may write: a pack. Larger repositories are no place for manifests.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// How often it says that it goes on.
const GOING_EVERY: Duration = Duration::from_millis(500);

/// What an object that was indexed counts beside the bytes that were received: resolving deltas is work as well.
const DONE_PER_OBJECT: u64 = 1024;

/// What is kept of the words that a server sends beside its answer: the end of them, which a hook wrote last.
const SIDEBAND_BYTES_MAX: usize = 4096;

/// The exit code where nothing could be answered.
const NO_REQUEST: u8 = 2;

/// The child's life: one request, its answer, the end.
#[must_use]
pub(crate) fn main() -> ExitCode {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(REQUEST_BYTES_MAX as u64).read_line(&mut line);
    let request = read.ok().and_then(|_| serde_json::from_str::<Request>(&line).ok());
    drop(line);
    let Some(request) = request else {
        eprintln!(
            "error: `turquoise {}` is what turquoise itself starts to speak to a git server",
            super::CHILD_COMMAND
        );
        return ExitCode::from(NO_REQUEST);
    };
    let answer = confine().and_then(|()| perform(&request)).unwrap_or_else(Answer::Failed);
    say(&answer);
    ExitCode::SUCCESS
}

fn say(answer: &Answer) {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    // Whoever should hear it is gone: so is the reason for going on, and the pipe's end says so below.
    let _gone = std::io::stdout().lock().write_all(&line);
}

/// Takes on the limits, and dies with the daemon.
fn confine() -> Result<(), Trouble> {
    let failed = |what: &str, error: &dyn Display| Trouble::Child { words: OneLine::new(&format!("{what}: {error}")) };
    let limits = [(Resource::Core, 0), (Resource::Data, MEMORY_BYTES_MAX), (Resource::Fsize, FILE_BYTES_MAX)];
    for (resource, most) in limits {
        // A limit that is lower already stays.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| failed("its limits cannot be set", &error))?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| failed("it cannot be bound to the daemon", &error))?;
    // Where the system has no such signal, or the daemon was gone before it was asked for: the pipe ends with it.
    let watch = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(i32::from(NO_REQUEST));
    });
    watch.map(drop).map_err(|error| failed("it cannot be bound to the daemon", &error))
}

/// Makes the copy's repository, or makes it anew where it cannot be opened.
pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    if Repository::open_bare(folder).is_ok() {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| Error::from_str(&error.to_string()))?;
    }
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("turquoise-has-none");
    Repository::init_opts(folder, &options).map(drop)
}

/// What a commit and its trees take, with room to spare.
const ROOM_BYTES: usize = 64 * 1024;

fn perform(request: &Request) -> Result<Answer, Trouble> {
    let copy = |words: &dyn Display| Trouble::Copy {
        folder: request.cache.display().to_string(),
        words: OneLine::new(&words.to_string()),
    };
    // Two turquoises may share a copy; whoever holds it is done soon or killed.
    let lock = request.cache.join("turquoise.lock");
    let lock = std::fs::File::create(lock).and_then(|file| file.lock().map(|()| file)).map_err(|error| copy(&error))?;
    let repo = Repository::open_bare(&request.cache).map_err(|error| copy(&error.message()))?;
    if let Some(known_hosts) = &request.known_hosts {
        hosts::hand_to_libssh2(known_hosts).map_err(|error| copy(&error))?;
    }
    let answer = match &request.errand {
        Errand::Sync => sync(request, &repo),
        Errand::Bring { commit } => bring(request, &repo, commit),
        Errand::Push { from, to } => push(request, &repo, from, to),
    };
    let answer = answer.map_err(|trouble| match room(&request.cache) {
        Ok(()) => trouble,
        Err(error) => {
            Trouble::Disk { folder: request.cache.display().to_string(), words: OneLine::new(&error.to_string()) }
        }
    });
    drop(lock);
    answer
}

/// Whether something can be written there. To libgit2 a full disk and a lost connection are errors of one class, and its
/// words are not compared: it is tried.
fn room(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&[0; ROOM_BYTES])?;
    file.sync_all()
}

/// One connection: the references, and where the branch's commit is missing here, its objects.
fn sync(request: &Request, repo: &Repository) -> Result<Answer, Trouble> {
    let notes = Notes::default();
    let remote = fetch(request, repo, &notes, &format!("+{0}:{0}", request.reference))?;
    let heads = remote.list().map_err(|error| notes.trouble(&error))?;
    let head = heads.iter().find(|head| head.name() == request.reference).map(git2::RemoteHead::oid);
    if let Some(head) = head {
        let lies = |error: &Error| Trouble::Server { words: OneLine::new(&format!("it named {head}: {error}")) };
        repo.find_commit(head).map_err(|error| lies(&error))?;
    }
    let tidied = tidy::tidy(repo).map_err(|error| Trouble::Copy {
        folder: request.cache.display().to_string(),
        words: OneLine::new(&error.to_string()),
    })?;
    Ok(Answer::Synced { head: head.map(|id| id.to_string()), tidied })
}

/// Brings what a refspec names, over one connection.
fn fetch<'r>(
    request: &Request,
    repo: &'r Repository,
    notes: &Notes,
    refspec: &str,
) -> Result<git2::Remote<'r>, Trouble> {
    let mut remote = remote(request, repo)?;
    let mut options = FetchOptions::new();
    let headers = headers(request);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    options
        .remote_callbacks(callbacks(request, notes))
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .follow_redirects(RemoteRedirect::None)
        .custom_headers(&headers);
    remote.fetch(&[refspec], Some(&mut options), None).map_err(|error| notes.trouble(&error))?;
    drop(options);
    Ok(remote)
}

/// A commit by its id, kept by a reference of its own.
fn bring(request: &Request, repo: &Repository, commit: &str) -> Result<Answer, Trouble> {
    let notes = Notes::default();
    fetch(request, repo, &notes, &format!("{commit}:refs/turquoise/kept/{commit}"))?;
    Ok(Answer::Brought)
}

/// Moves the branch from one commit to its child.
fn push(request: &Request, repo: &Repository, from: &str, to: &str) -> Result<Answer, Trouble> {
    let words = |error: &Error| Trouble::Child { words: OneLine::new(error.message()) };
    let from = Oid::from_str(from).map_err(|error| words(&error))?;
    let notes = Notes::default();
    let (moved, outcome) = (RefCell::new(false), RefCell::new(None::<Result<(), String>>));
    let mut remote = remote(request, repo)?;
    let mut callbacks = callbacks(request, &notes);
    // The lease: what the server says of the branch now is what the commit was made for, or nothing is sent.
    callbacks.push_negotiation(|updates| {
        let as_seen = updates.iter().all(|update| update.src() == from);
        if as_seen && !updates.is_empty() {
            return Ok(());
        }
        *moved.borrow_mut() = true;
        Err(Error::from_str("the branch has moved"))
    });
    // The push itself is a success also where a hook says no: only this tells.
    callbacks.push_update_reference(|reference, status| {
        if reference == request.reference {
            *outcome.borrow_mut() = Some(status.map_or(Ok(()), |words| Err(words.to_owned())));
        }
        Ok(())
    });
    let headers = headers(request);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let mut options = PushOptions::new();
    options
        .remote_callbacks(callbacks)
        .packbuilder_parallelism(1)
        .follow_redirects(RemoteRedirect::None)
        .custom_headers(&headers);
    let pushed = remote.push(&[format!("{to}:{}", request.reference)], Some(&mut options));
    drop(options);
    if moved.into_inner() {
        return Ok(Answer::Moved);
    }
    match (outcome.into_inner(), pushed) {
        (Some(Ok(())), _) => Ok(Answer::Pushed),
        (Some(Err(status)), _) => Ok(Answer::Declined { words: notes.declined(&status) }),
        (None, Err(error)) => Err(notes.trouble(&error)),
        (None, Ok(())) => Err(Trouble::Server { words: OneLine::new("it did not say what became of the push") }),
    }
}

fn remote<'r>(request: &Request, repo: &'r Repository) -> Result<git2::Remote<'r>, Trouble> {
    let child = |words: &str| Trouble::Child { words: OneLine::new(words) };
    let remote = repo.remote_anonymous(&request.url).map_err(|error| child(error.message()))?;
    // A rule of the system's git configuration must not send the credentials elsewhere.
    if remote.url().ok() != Some(request.url.as_str()) {
        return Err(child("the system's git configuration rewrites the URL (`url.insteadOf`)"));
    }
    Ok(remote)
}

/// The credentials of https, with the first request: otherwise each question would be asked twice.
fn headers(request: &Request) -> Vec<String> {
    match &request.credentials {
        Credentials::Basic { username, secret } => {
            let pair = format!("{username}:{}", secret.expose());
            vec![format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))]
        }
        Credentials::None | Credentials::Key { .. } => Vec::new(),
    }
}

/// What was learnt on the way, and says more than libgit2's error.
#[derive(Debug, Default)]
struct Notes {
    trouble: RefCell<Option<Trouble>>,
    sideband: RefCell<Vec<u8>>,
    offered: RefCell<bool>,
}

impl Notes {
    fn trouble(&self, error: &Error) -> Trouble {
        if let Some(noted) = self.trouble.borrow_mut().take() {
            return noted;
        }
        let words = OneLine::new(error.message());
        match (error.code(), error.class()) {
            (ErrorCode::Certificate, _) | (_, ErrorClass::Ssl) => Trouble::Certificate { words },
            (ErrorCode::Auth, _) => Trouble::Unauthorised { words },
            (_, ErrorClass::Net | ErrorClass::Os | ErrorClass::Ssh) => Trouble::Unreachable { words },
            (_, ErrorClass::NoMemory) => Trouble::Limit { words },
            _any_other => Trouble::Server { words },
        }
    }

    /// The words with which a push was declined: what the hook printed, then the server's own.
    fn declined(&self, status: &str) -> OneLine {
        let said = self.sideband.borrow();
        let said = OneLine::new(&String::from_utf8_lossy(&said));
        let said = if said.is_empty() { status.to_owned() } else { format!("{status}: {said}") };
        OneLine::new(&said)
    }
}

fn callbacks<'a>(request: &'a Request, notes: &'a Notes) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.credentials(move |_url, user, allowed| credentials(request, notes, user, allowed));
    callbacks.certificate_check(move |certificate, _host| match certificate.as_hostkey() {
        // libgit2 has checked it against the trusted certificates, and the name in it.
        None => Ok(CertificateCheckStatus::CertificatePassthrough),
        Some(key) => match hosts::check(request, key) {
            Ok(status) => Ok(status),
            Err((trouble, status)) => {
                *notes.trouble.borrow_mut() = Some(trouble);
                status
            }
        },
    });
    callbacks.sideband_progress(move |bytes| {
        let mut said = notes.sideband.borrow_mut();
        said.extend_from_slice(bytes);
        let excess = said.len().saturating_sub(SIDEBAND_BYTES_MAX);
        said.drain(..excess);
        true
    });
    let mut said = Instant::now();
    callbacks.transfer_progress(move |progress| {
        if said.elapsed() >= GOING_EVERY {
            said = Instant::now();
            let objects = progress.indexed_objects() + progress.indexed_deltas();
            say(&Answer::Going { done: progress.received_bytes() as u64 + objects as u64 * DONE_PER_OBJECT });
        }
        true
    });
    callbacks
}

/// Answers the server's question who we are, once: what it does not take the first time it does not take at all.
fn credentials(request: &Request, notes: &Notes, user: Option<&str>, allowed: CredentialType) -> Result<Cred, Error> {
    let refuse = |words: &str| {
        *notes.trouble.borrow_mut() = Some(Trouble::Unauthorised { words: OneLine::new(words) });
        Err(Error::new(ErrorCode::Auth, ErrorClass::Callback, words))
    };
    match &request.credentials {
        Credentials::None => refuse("there are none, and it asks for some"),
        // They went with the request.
        Credentials::Basic { .. } => refuse("it does not take the token or password"),
        Credentials::Key { username, .. } if allowed.contains(CredentialType::USERNAME) => Cred::username(username),
        Credentials::Key { username, key, passphrase } if allowed.contains(CredentialType::SSH_MEMORY) => {
            if notes.offered.replace(true) {
                return refuse("it does not take the key");
            }
            let passphrase = passphrase.as_ref().map(crate::source::access::Secret::expose);
            Cred::ssh_key_from_memory(user.unwrap_or(username), None, key.expose(), passphrase)
        }
        Credentials::Key { .. } => refuse("it does not take a key"),
    }
}
