//! Repositories on servers, over https and ssh, their faults, and what the child process may do.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::https::{Fault, TOKEN};
use super::stage::{Stage, turquoise};
use super::transport::Transport;

/// A story that everybody knows.
fn a_release_and_its_revert(transport: Transport) {
    let stage = Stage::open_over(transport);
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let pods = stage.pods("blue");
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert_eq!(stage.pods("blue"), pods, "no new pods");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    let broken = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&broken, "rejected");
    assert!(!stage.log().contains(TOKEN));
    stage.ends();
}

#[test]
fn a_release_and_its_revert_over_https() {
    a_release_and_its_revert(Transport::Https);
}

#[test]
fn a_release_and_its_revert_over_ssh() {
    a_release_and_its_revert(Transport::Ssh);
}

/// A hook of the repository, which the server runs before it takes a push of turquoise's; people's are taken.
pub(super) fn hook(stage: &Stage, script: &str) {
    let text = format!(
        "#!/bin/sh\nread old new reference\n[ \"$(git log -1 --format=%an $new)\" = turquoise ] || exit 0\ncd {}\n{script}",
        stage.folder().display()
    );
    executable(&stage.folder().join("shop.git/hooks/pre-receive"), &text);
}

/// Written beside and moved, so that the server never runs half a hook.
fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("written");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("changed");
    fs::rename(beside, path).expect("moved");
}

/// Somebody pushes after the server has told where the branch is and before it moves it.
fn people_push_between_negotiation_and_update(transport: Transport) {
    let stage = Stage::open_over(transport);
    // A person's commit, straight into the repository, ten times; the hook itself says yes.
    hook(
        &stage,
        "unset GIT_DIR GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
         n=$(cat races 2>/dev/null || echo 0)\n\
         [ \"$n\" -ge 10 ] && exit 0\n\
         n=$((n + 1)); echo $n > races\n\
         cd shop.git\n\
         export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org\n\
         export GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org\n\
         new=$(git commit-tree main^{tree} -p main -m \"Race $n\")\n\
         git update-ref refs/heads/main $new\n\
         exit 0\n",
    );
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let log = stage.git_log("%s");
    for race in 1..=10 {
        assert!(log.contains(&format!("Race {race}")), "lost: {log:#?}");
    }
    assert_eq!(stage.verdicts(&bump, "released"), 1, "{log:#?}");
    stage.ends();
}

#[test]
fn people_push_between_negotiation_and_update_over_https() {
    people_push_between_negotiation_and_update(Transport::Https);
}

#[test]
fn people_push_between_negotiation_and_update_over_ssh() {
    people_push_between_negotiation_and_update(Transport::Ssh);
}

fn a_hook_declines(transport: Transport) {
    let stage = Stage::open_over(transport);
    hook(&stage, "echo 'only the release team may push \u{1b}[31mhere' >&2\nexit 1\n");
    let bump = stage.bump("1.1.0");
    let status = stage.until("the hook's words", |app| {
        app["error"].as_str().is_some_and(|words| words.contains("only the release team may push"))
    });
    assert_eq!((&status["serving"], &status["alerts"][0]["reason"]), (&"blue".into(), &"push_declined".into()));
    let words = status["error"].as_str().unwrap_or_default();
    assert!(words.contains("declined") && !words.contains('\u{1b}'), "{words}");
    assert!(stage.log().contains("needs the right to push"), "{}", stage.log());
    assert_eq!(stage.git_log("%H")[0], bump, "nothing was pushed");
    assert!(!stage.log().contains("switched traffic to green"), "git leads\n{}", stage.log());
    // Back-off: not a push in each second.
    hook(&stage, "exit 0\n");
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    stage.ends();
}

#[test]
fn a_hook_that_declines_is_quoted_over_https() {
    a_hook_declines(Transport::Https);
}

#[test]
fn a_hook_that_declines_is_quoted_over_ssh() {
    a_hook_declines(Transport::Ssh);
}

#[test]
fn a_push_whose_answer_is_lost_is_found_at_the_next_look() {
    let stage = Stage::open_over(Transport::Https);
    stage.server.https().fault(Fault::LosesThePushReply);
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert!(stage.server.https().fault_is(&Fault::None), "a reply was lost");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    let subjects = stage.git_log("%s");
    assert_eq!(subjects.iter().filter(|subject| subject.contains("green goes live")).count(), 1, "{subjects:#?}");
    stage.ends();
}

/// Over https: each fault is named, nothing moves, and a bump from meanwhile goes live afterwards.
#[test]
fn a_server_that_misbehaves_is_named_and_taken_up_again() {
    let stage = Stage::open_over(Transport::Https);
    let faults = [
        (Fault::Status(500), "500"),
        (Fault::Refuses, "connection to the server failed"),
        (Fault::Hangs, "did not answer in 3 s"),
        (Fault::Drips, "did not answer in 3 s"),
        (Fault::Redirects("https://elsewhere.example/shop.git".into()), "redirect"),
        (Fault::Babbles, "bad packet"),
        (Fault::Lies, "`https://127.0.0.1"),
    ];
    let versions = ["1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0", "1.0.0", "1.1.0"];
    let mut colour = "green";
    for ((fault, words), version) in faults.into_iter().zip(versions) {
        let before = stage.status();
        stage.server.https().fault(fault.clone());
        let bump = stage.bump(version);
        let status = stage.until(&format!("{fault:?} is named"), |app| {
            app["error"].as_str().is_some_and(|error| error.contains(words))
        });
        assert_eq!((&status["serving"], &status["head"]), (&before["serving"], &before["head"]), "{fault:?}");
        assert!(status["synced_at"].is_string(), "the age of the last sync: {status:#}");
        stage.server.https().fault(Fault::None);
        stage.until_live(colour, version);
        assert_eq!(stage.verdicts(&bump, "released"), 1, "{fault:?}");
        colour = if colour == "green" { "blue" } else { "green" };
    }
    stage.ends();
}

#[test]
fn a_certificate_of_an_unknown_ca_is_refused_with_the_cure() {
    let stage = Stage::open_over(Transport::Https);
    let good = stage.server.https().certificate();
    stage.server.https().with_another_certificate();
    stage.server.https().requests();
    stage.until("the certificate is named", |app| {
        app["error"].as_str().is_some_and(|error| error.contains("certificate is not trusted"))
    });
    assert!(stage.log().contains("--git-ca"), "{}", stage.log());
    assert_eq!(stage.server.https().requests(), Vec::<String>::new(), "not one request was sent");
    stage.server.https().set_certificate(good);
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.ends();
}

#[test]
fn another_host_key_is_refused_with_its_fingerprint() {
    let mut stage = Stage::open_over(Transport::Ssh);
    stage.server.ssh().with_other_host_keys();
    stage.until("the key is named", |app| {
        app["error"].as_str().is_some_and(|error| error.contains("not the one in") && error.contains("SHA256:"))
    });
    stage.server.ssh().stop();
    stage.until("a server that is down is named", |app| {
        app["error"].as_str().is_some_and(|error| error.contains("connection to the server failed"))
    });
    stage.server.ssh().with_true_host_keys();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.ends();
}

/// `turquoise history`, which reads a repository and ends.
fn history(stage: &Stage, url: &str, with: &[(&str, &Path)]) -> Output {
    let mut command = turquoise();
    command.args(["history", "shop", "--repo", url, "--cache"]).arg(stage.folder().join("history"));
    command.env("HOME", stage.folder().join("home"));
    for (flag, path) in with {
        command.arg(flag).arg(path);
    }
    command.output().expect("turquoise history runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn keys_of_all_kinds_and_hosts_that_are_not_known() {
    let mut stage = Stage::bare(|_| {}).over(Transport::Ssh);
    let server = stage.server.ssh();
    let (url, known) = (server.url(), server.known_hosts());
    let keys = ["ed25519", "ecdsa", "rsa"].map(|kind| (kind, server.key(kind)));
    let locked = server.allow("ed25519", "locked", "open sesame");
    let stage = stage;
    for (kind, key) in &keys {
        let output = history(&stage, &url, &[("--git-ssh-key", key), ("--git-known-hosts", &known)]);
        assert!(output.status.success() && said(&output).contains("The shop"), "{kind}: {}", said(&output));
    }
    let phrase = stage.folder().join("phrase");
    fs::write(&phrase, "open sesame\n").expect("written");
    let with: &[(&str, &Path)] =
        &[("--git-ssh-key", &locked), ("--git-known-hosts", &known), ("--git-ssh-passphrase-file", &phrase)];
    let output = history(&stage, &url, with);
    assert!(output.status.success(), "a key with a passphrase: {}", said(&output));
    hosts_that_are_not_known(stage, &url, &keys[0].1, &known);
}

fn hosts_that_are_not_known(mut stage: Stage, url: &str, key: &Path, known: &Path) {
    // One kind of host key is trusted, and it is not the one that would be offered first.
    for kind in ["ecdsa", "rsa"] {
        stage.server.ssh().trust(&[kind]);
        let output = history(&stage, url, &[("--git-ssh-key", key), ("--git-known-hosts", known)]);
        assert!(output.status.success(), "only {kind} is trusted: {}", said(&output));
    }
    stage.server.ssh().trust(&["ed25519"]);
    stage.server.ssh().hash_known_hosts();
    assert!(fs::read_to_string(known).expect("readable").starts_with("|1|"));
    let output = history(&stage, url, &[("--git-ssh-key", key), ("--git-known-hosts", known)]);
    assert!(output.status.success(), "hashed names: {}", said(&output));
    // Nobody is trusted: the message holds what to add, and adding it is enough.
    stage.server.ssh().trust(&[]);
    let output = history(&stage, url, &[("--git-ssh-key", key), ("--git-known-hosts", known)]);
    let words = said(&output);
    assert!(!output.status.success() && words.contains("SHA256:") && words.contains("add this line"), "{words}");
    let line = words.lines().find_map(|line| Some(line.split_once("(`--git-known-hosts`): ")?.1)).expect("a line");
    fs::write(known, format!("{line}\n")).expect("written");
    let output = history(&stage, url, &[("--git-ssh-key", key), ("--git-known-hosts", known)]);
    assert!(output.status.success(), "with the line that was named: {}", said(&output));
    // A key that the server does not take.
    let other = stage.folder().join("stranger");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other).status();
    assert!(made.expect("ssh-keygen runs").success());
    let output = history(&stage, url, &[("--git-ssh-key", &other), ("--git-known-hosts", known)]);
    assert!(!output.status.success() && said(&output).contains("--git-ssh-key"), "{}", said(&output));
    // No key at all.
    let output = history(&stage, url, &[]);
    assert!(!output.status.success() && said(&output).contains("needs a private key"), "{}", said(&output));
}

#[test]
fn an_idle_poll_is_one_request_and_a_wrong_token_is_named_and_not_shown() {
    let stage = Stage::open_over(Transport::Https);
    stage.until("rest", |app| app["phase"] == "settled");
    stage.server.https().requests();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let requests = stage.server.https().requests();
    assert!(requests.iter().all(|line| line == "GET /shop.git/info/refs?service=git-upload-pack"), "{requests:#?}");
    // A poll each 500 to 550 ms; a look of the cluster's may ask once more.
    assert!((1..=8).contains(&requests.len()), "{requests:#?}");
    let secret = "another-s3cr3t";
    let (token, ca) = (stage.folder().join("wrong"), stage.server.https().ca.clone());
    fs::write(&token, secret).expect("written");
    let output = history(&stage, &stage.server.https().url(), &[("--git-token-file", &token), ("--git-ca", &ca)]);
    let words = said(&output);
    assert!(!output.status.success() && words.contains("--git-token-file") && !words.contains(secret), "{words}");
    let output = history(&stage, &stage.server.https().url(), &[("--git-ca", &ca)]);
    assert!(!output.status.success() && said(&output).contains("there are none"), "{}", said(&output));
    stage.ends();
}

/// Feeds `git fast-import` a repository of many files and commits, beside what is there.
fn grow(stage: &Stage, files: usize, commits: usize) {
    let mut text = String::new();
    let who = "committer Ann <ann@example.org> 1600000000 +0000";
    for commit in 0..commits {
        let from = if commit == 0 { "from refs/heads/main^0\n" } else { "" };
        text.push_str(&format!("commit refs/heads/main\n{who}\ndata <<END\nChange {commit}\nEND\n{from}"));
        let changed = if commit == 0 { 0..files } else { commit % files..commit % files + 1 };
        for file in changed {
            let folder = file % 100;
            text.push_str(&format!("M 100644 inline many/{folder}/{file}\ndata <<END\nfile {file} at {commit}\nEND\n"));
        }
    }
    let mut import = Command::new("git");
    import.current_dir(stage.folder().join("shop.git")).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn().expect("git runs");
    import.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    assert!(import.wait().expect("ended").success());
}

/// Larger ones were measured by hand: docs/git.md has the figures.
#[test]
fn a_large_repository_is_copied_once_and_released_from() {
    let stage = Stage::bare(|_| {}).over(Transport::Https);
    grow(&stage, 10_000, 2_000);
    let mut stage = stage.opened();
    let mut posts = 0;
    let mut count = |stage: &Stage| {
        let requests = stage.server.https().requests();
        posts += requests.iter().filter(|line| line.starts_with("POST") && line.contains("upload-pack")).count();
        posts
    };
    assert!((1..=3).contains(&count(&stage)), "one fetch, with a negotiation");
    let before = count(&stage);
    assert!(stage.terminate() == Some(0));
    stage.run();
    stage.until("rest", |app| app["phase"] == "settled" && stage.is_at_rest(app));
    assert_eq!(count(&stage), before, "the copy was kept: nothing was fetched again");
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    stage.ends();
}

/// Rule 13: what a force-push took from the branch is fetched by its id.
#[test]
fn a_pin_that_a_squash_took_from_the_branch_is_fetched_by_its_id() {
    let mut stage = Stage::open_over(Transport::Https);
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let pods = stage.pods("green");
    assert_eq!(stage.terminate(), Some(0));
    let squash = "git config uploadpack.allowAnySHA1InWant true\n\
         export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org\n\
         export GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org\n\
         git update-ref refs/heads/main $(git commit-tree 'main^{tree}' -m Squash)";
    let shop = stage.folder().join("shop.git");
    assert!(Command::new("sh").args(["-ec", squash]).current_dir(shop).status().expect("sh runs").success());
    fs::remove_dir_all(stage.folder().join("cache")).expect("removed");
    stage.run();
    stage.until("rest", |app| stage.is_at_rest(app));
    let reasons = stage.status()["alerts"].to_string();
    assert!(!reasons.contains("pin_unreachable"), "{reasons}");
    assert_eq!(stage.status()["serving"], "green");
    assert_eq!(stage.pods("green"), pods, "no new pods");
    let kept = "git --git-dir=$(echo cache/*/repo.git) for-each-ref refs/turquoise/kept";
    let kept = Command::new("sh").args(["-ec", kept]).current_dir(stage.folder()).output().expect("sh runs");
    assert!(!kept.stdout.is_empty(), "nothing was fetched by its id");
    stage.ends();
}

/// The children of a process.
fn children(pid: u32) -> Vec<u32> {
    let is_child = |stat: String| {
        let fields = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()?;
        (fields == pid).then_some(())
    };
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(is_child).is_some()).collect()
}

fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_child_shows_no_secret_has_limits_and_dies_with_the_daemon() {
    let mut stage = Stage::open_over(Transport::Https);
    stage.server.https().fault(Fault::Hangs);
    let child = wait_for("a child", || children(stage.daemon_pid()).first().copied());
    let read =
        |name: &str| fs::read(format!("/proc/{child}/{name}")).map(|all| String::from_utf8_lossy(&all).into_owned());
    // Until it has set its limits it is still on its way.
    let limits = wait_for("limits", || read("limits").ok().filter(|text| text.contains("1073741824")));
    assert!(limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")), "{limits}");
    let (arguments, environment) = (read("cmdline").expect("readable"), read("environ").expect("readable"));
    assert_eq!(arguments, "turquoise\0git-child\0");
    let names: Vec<&str> = environment.split('\0').filter_map(|one| Some(one.split_once('=')?.0)).collect();
    assert_eq!(names, ["HOME", "SSL_CERT_DIR", "SSL_CERT_FILE"]);
    let group =
        read("stat").expect("readable").rsplit_once(") ").expect("a stat").1.split(' ').nth(2).map(str::to_owned);
    assert_eq!(group, Some(child.to_string()), "a process group of its own");
    stage.kill();
    wait_for("the child's end", || (!Path::new(&format!("/proc/{child}")).exists()).then_some(()));
    stage.server.https().fault(Fault::None);
    stage.run();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    // Nothing of the token stays behind: not in the copy, not in the log.
    let found = Command::new("grep").args(["-r", "-l", TOKEN]).arg(stage.folder().join("cache")).output();
    assert_eq!(String::from_utf8_lossy(&found.expect("grep runs").stdout), "");
    assert!(!stage.log().contains(TOKEN));
    stage.ends();
}
