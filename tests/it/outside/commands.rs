//! The commands that people call, on real files, repositories and a real daemon; what they print is golden.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::stage::{Stage, edit, turquoise};
use super::world::Only;
use crate::documents::schema::answer_problems;

/// Runs a command as a script does: no terminal, 80 columns.
fn said(args: &[&str], folder: &Path) -> (Option<i32>, String) {
    let output = turquoise()
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_GLOBAL", folder.join("no-such-file"))
        .env("COLUMNS", "80")
        .env("NO_COLOR", "1")
        .output()
        .expect("turquoise runs");
    let Output { status, stdout, stderr } = output;
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// The same for golden files: ids, times and folders are other ones each time.
fn golden(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.canonicalize().expect("a folder").display().to_string(), "[FOLDER]");
    let text = text.replace(&folder.display().to_string(), "[FOLDER]");
    let ids = regex::Regex::new(r"\b[0-9a-f]{7,40}\b").expect("a pattern");
    let times = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").expect("a pattern");
    times.replace_all(&ids.replace_all(&text, "[ID]"), "[TIME]").into_owned()
}

fn lines_fit(text: &str) {
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "wider than 80 columns:\n{}", long.join("\n"));
}

#[test]
fn help_fits_into_80_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["", "run", "check", "render", "status", "history", "promote", "retry", "init", "completions", "man"]
    {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let (code, text) = said(&args, folder.path());
        assert_eq!(code, Some(0), "{command}");
        lines_fit(&text);
        assert!(!text.contains('\u{1b}'), "{command} is coloured");
        if command.is_empty() {
            insta::assert_snapshot!("help", text);
        }
    }
}

#[test]
fn wrong_usage_is_2_and_a_world_that_does_not_answer_is_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::new();
    for (code, args) in [
        (2, &["status", "--server", "::nonsense"][..]),
        (2, &["status", "--server", "ftp://127.0.0.1"]),
        (3, &["status", "--server", "http://127.0.0.1:9"]),
        (2, &["history", "shop", "--repo", "nowhere.git"]),
        (2, &["run", "--repo", "nowhere.git", "--kubeconfig", "nowhere"]),
        (2, &["run", "--repo", "x", "--poll", "0"]),
        (2, &["promote", "shop", "--repo", "nowhere.git"]),
        (2, &["promote", "shop", "--repo", "https://ann@example.org/shop.git"]),
        (2, &["init", "nowhere"]),
        (1, &["check", "."]),
        (2, &["check", "nowhere"]),
        (2, &["render", "nowhere"]),
        (2, &["completions", "cobol"]),
    ] {
        let (found, said) = said(args, folder.path());
        assert_eq!(found, Some(code), "{args:?}: {said}");
        text.push_str(&format!("$ turquoise {}\n{}", args.join(" "), golden(&said, folder.path())));
    }
    insta::assert_snapshot!("usage", text);
}

#[test]
fn completions_manual_and_schema_are_made() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let (code, text) = said(&["completions", shell], folder.path());
        assert!(code == Some(0) && text.contains("promote"), "{shell}");
    }
    let (code, text) = said(&["man"], folder.path());
    assert!(code == Some(0) && text.contains(".TH turquoise 1"), "{text}");
    assert_eq!(said(&["man", "--dir", "pages"], folder.path()).0, Some(0));
    assert!(folder.path().join("pages/turquoise-run.1").is_file());
    let (code, text) = said(&["schema"], folder.path());
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert!(code == Some(0) && schema["properties"]["kind"]["const"] == "BlueGreen");
}

#[test]
fn a_path_outside_of_git_is_one_from_the_root() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("kustomization.yaml"), "resources: [missing.yaml]\n").expect("written");
    let (code, text) = said(&["render", "."], folder.path());
    let path = folder.path().canonicalize().expect("a folder").join("kustomization.yaml");
    assert!(code == Some(1) && text.starts_with(&format!("{}:1", path.display())), "{text}");
}

/// What a person has who deploys with `kubectl apply` today.
const MANIFESTS: &str = "# Our shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: web:1.0
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8080, targetPort: http}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
";

#[test]
fn what_init_makes_of_manifests_is_released() {
    let only = Only::Sandbox("images that are not the shop's are a flag of the sandbox");
    let told = only.bare_with_images(
        |clone| {
            for old in ["base", "overlays"] {
                fs::remove_dir_all(clone.join(old)).expect("removed");
            }
            fs::remove_file(clone.join("turquoise.yaml")).expect("removed");
            fs::create_dir(clone.join("base")).expect("a folder");
            fs::write(clone.join("base/web.yaml"), MANIFESTS).expect("written");
            let (code, dry) = said(&["init", "base", "--dry-run"], clone);
            assert_eq!(code, Some(0), "{dry}");
            assert!(!clone.join("turquoise.yaml").exists(), "a dry run writes nothing");
            let (code, text) = said(&["init", "base"], clone);
            assert_eq!(code, Some(0), "{text}");
            insta::assert_snapshot!("init", golden(&text, clone));
            assert_eq!(fs::read_to_string(clone.join("base/web.yaml")).expect("there"), MANIFESTS);
            let (code, text) = said(&["init", "base"], clone);
            assert!(code == Some(1) && text.contains("nothing is overwritten"), "{text}");
            assert_eq!(said(&["check"], clone).0, Some(0));
            let lock = clone.join("turquoise.lock");
            fs::write(&lock, "kind: BlueGreenLock\nblue: [\n").expect("written");
            let (code, text) = said(&["check"], clone);
            assert!(code == Some(1) && text.contains("turquoise.lock:") && text.contains("take back"), "{text}");
            fs::remove_file(lock).expect("removed");
        },
        &["web:1.0", "web:1.1"],
    );
    let Some(mut stage) = told else { return };
    stage.run();
    stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
    let bump = stage
        .commit("Release 1.1", |clone| edit(&clone.join("base/web.yaml"), |text| text.replace("web:1.0", "web:1.1")));
    let status = stage.until("the second", |app| app["serving"] == "green" && stage.is_at_rest(app));
    assert_eq!(status["colours"]["green"]["images"][0], "web:1.1");
    assert_eq!(status["verdict"]["revision"], bump.as_str());
    assert_eq!(stage.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.selector.colour}"]), "green");
    assert_eq!(stage.kubectl(&["get", "serviceaccount", "web", "-o", "name"]), "serviceaccount/web");
}

#[test]
fn a_person_promotes_what_is_verified_and_nothing_else() {
    let stage = Stage::open_with(|clone| {
        edit(&clone.join("turquoise.yaml"), |text| format!("{text}\n  promotion: manual\n"));
    });
    let clone = stage.clone_of_head();
    let (code, text) = said(&["promote", "shop"], &clone);
    assert!(code == Some(1) && text.contains("nothing is verified"), "{text}");
    let bump = stage.bump("1.1.0");
    stage.until("verified", |app| app["phase"] == "awaiting_approval" && app["waiting"][0]["reason"] == "approval");
    let clone = stage.clone_of_head();
    fs::write(clone.join("notes.txt"), "not for the commit").expect("written");
    edit(&clone.join("overlays/live/service.yaml"), |text| format!("{text}# mine\n"));
    let (code, text) = said(&["promote", "shop"], &clone);
    assert!(code == Some(1) && text.contains("not committed"), "{text}");
    stage.person(&["checkout", "--quiet", "--", "overlays"]);
    let before = stage.person(&["rev-parse", "HEAD"]);
    let (code, dry) = said(&["promote", "shop", "--dry-run"], &clone);
    assert_eq!((code, stage.person(&["rev-parse", "HEAD"])), (Some(0), before), "{dry}");
    stage.person(&["config", "user.name", "A developer"]);
    stage.person(&["config", "user.email", "dev@example.org"]);
    let (code, text) = said(&["promote", "shop"], &clone);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!("promote", golden(&text, &clone));
    assert_eq!(stage.person(&["status", "--porcelain"]), "?? notes.txt", "the work tree follows");
    assert_eq!(
        stage.person(&["show", "--format=%an", "--name-only", "HEAD"]),
        "A developer\n\noverlays/live/service.yaml"
    );
    fs::remove_file(clone.join("notes.txt")).expect("removed");
    stage.person(&["push", "--quiet"]);
    let status = stage.until_live("green", "1.1.0");
    assert_eq!(status["verdict"]["revision"], bump.as_str());
    let (code, text) = said(&["promote", "shop"], &stage.clone_of_head());
    assert!(code == Some(1) && text.contains("nothing is verified"), "{text}");
    stage.ends();
}

#[test]
fn a_person_asks_for_a_retry() {
    let stage = Stage::open();
    let (code, text) = said(&["retry", "shop"], &stage.clone_of_head());
    assert!(code == Some(1) && text.contains("no revision stands rejected"), "{text}");
    let broken = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&broken, "rejected");
    // In the bare repository this time: the branch moves there.
    let bare = stage.bare_path();
    let config = |key: &str, value: &str| {
        let set = std::process::Command::new("git").arg("--git-dir").arg(&bare).args(["config", key, value]).status();
        assert!(set.expect("git runs").success());
    };
    config("user.name", "A developer");
    config("user.email", "dev@example.org");
    let (code, text) = said(&["retry", "shop", "--repo", &bare.display().to_string()], &bare);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!("retry", golden(&text, &bare));
    stage.until("tried again and rejected again", |app| {
        let rejections = stage.git_log("%s").iter().filter(|subject| subject.ends_with("is rejected")).count();
        rejections == 2 && stage.is_at_rest(app)
    });
    assert!(stage.file("turquoise.lock").contains(&broken), "the rejection stands again");
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.ends();
}

#[test]
fn a_dry_run_says_in_full_what_it_would_do_and_writes_nothing() {
    let mut stage = Stage::bare(|_| {});
    let before = (stage.git_log("%H"), stage.kubectl(&["get", "all", "-o", "name"]));
    stage.run_with(&["--dry-run"]);
    let commands = ["would apply", "would deploy"];
    stage.until("the plan is said", |_| commands.iter().any(|words| stage.log().contains(words)));
    let log = stage.log();
    let words = log.lines().find(|line| line.contains("would deploy")).unwrap_or_default();
    assert!(words.contains("into blue") && words.contains("Deployment shop-frontend-blue"), "{words}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((stage.git_log("%H"), stage.kubectl(&["get", "all", "-o", "name"])), before);
    assert_eq!(stage.log().matches("would deploy").count(), 1, "it is said once");
}

#[test]
fn status_tells_in_a_table_what_the_json_says_and_the_json_is_as_described() {
    let hostile = "Release \u{1b}[31m2.0.0\u{1b}]0;owned\u{7} <script>alert(1)</script>";
    let stage = Stage::open();
    let check = |app: &Value| {
        let found = answer_problems("/components/schemas/App", app);
        assert!(found.is_empty(), "{found:#?}\n{app:#}");
    };
    check(&stage.status());
    let broken = stage.commit(hostile, |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 2.0.0-smoke-fails"));
    });
    stage.until("any of it", |app| {
        check(app);
        let is_down = app["colours"]["green"]["ready"] == 0;
        app["verdict"]["verdict"] == "rejected" && stage.is_at_rest(app) && is_down
    });
    let server = format!("http://{}", stage.address());
    let (code, text) = said(&["status", "--server", &server], &stage.clone_of_head());
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("status", golden(&text, &stage.clone_of_head()));
    let (code, text) = said(&["status", "shop", "-o", "json", "--server", &server], &stage.clone_of_head());
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert!(code == Some(0) && shown["verdict"]["revision"] == broken.as_str(), "{text}");
    assert_eq!(said(&["status", "nobody", "--server", &server], &stage.clone_of_head()).0, Some(1));
    let (code, text) = said(&["history", "shop"], &stage.clone_of_head());
    assert_eq!(code, Some(0));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "terminal escapes: {text:?}");
    insta::assert_snapshot!("history", golden(&text, &stage.clone_of_head()));

    let list = get(&stage, "/api/v1/apps", "Accept: */*");
    assert_eq!(
        answer_problems("/paths/~1api~1v1~1apps/get/responses/200/content/application~1json/schema", &json(&list)),
        [""; 0]
    );
    let history = json(&get(&stage, "/api/v1/apps/shop/history", "Accept: */*"));
    assert_eq!(answer_problems("/components/schemas/History", &history), [""; 0]);
    assert_eq!(history["entries"][0]["facts"][0]["verdict"], "rejected");
    assert_eq!(
        answer_problems("/components/schemas/Error", &json(&get(&stage, "/api/v1/apps/nobody", "Accept: */*"))),
        [""; 0]
    );
    for path in ["/healthz", "/readyz"] {
        assert!(get(&stage, path, "Accept: */*").ends_with("ok"), "{path}");
    }
    let page = get(&stage, "/apps/shop", "Accept: */*");
    let escaped = page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;");
    assert!(page.contains("was rejected") && page.contains("git revert --no-edit") && escaped, "{page}");
    assert!(!page.contains("<script>alert") && !page.contains('\u{1b}'));
    // A look may come between the two questions; not between twenty pairs of them.
    let is_known = |()| {
        let list = get(&stage, "/api/v1/apps", "Accept: */*");
        let tag = list.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();
        get(&stage, "/api/v1/apps", &format!("If-None-Match: {tag}")).starts_with("HTTP/1.1 304")
    };
    assert!(std::iter::repeat_n((), 20).any(is_known), "what is not new is not sent again");
    assert!(get(&stage, "/api/v1/apps", "If-None-Match: \"other\"").starts_with("HTTP/1.1 200"));
    let mended = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.status()["verdict"]["revision"], mended.as_str());
    stage.ends();
}

/// What turquoise answers to a request, head and all.
fn get(stage: &Stage, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(stage.address()).expect("turquoise listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

fn json(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
