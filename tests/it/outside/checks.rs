//! What a candidate must answer, and what follows when it does not.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::stage::{Stage, edit, short_deadline};
use super::world::World;

/// What somebody answers under a path.
#[derive(Clone)]
pub(super) enum Answer {
    Says(u16, &'static str),
    /// `202` and `Retry-After: 1`.
    Later,
    Hangs,
}

/// Somebody who is asked, and who answers as the test says.
pub(super) struct Target {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    answers: Vec<(&'static str, Answer)>,
    asked: Vec<(String, Value)>,
}

impl Target {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script: Arc<Mutex<Script>> = Arc::default();
        let shared = Arc::clone(&script);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &script));
            }
        });
        Self { address, script }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on; everything else is answered by 200.
    pub(super) fn answers(&self, path: &'static str, answer: Answer) {
        let mut script = self.script();
        script.answers.retain(|(known, _)| *known != path);
        script.answers.push((path, answer));
    }

    /// The bodies that were sent to a path.
    fn asked(&self, path: &str) -> Vec<Value> {
        self.script().asked.iter().filter(|(asked, _)| asked == path).map(|(_, body)| body.clone()).collect()
    }
}

fn answer(mut stream: TcpStream, script: &Mutex<Script>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut line, mut path) = (0, String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if path.is_empty() {
            path = line.split_whitespace().nth(1)?.to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.asked.push((path.clone(), serde_json::from_slice(&body).unwrap_or_default()));
        let known = script.answers.iter().find(|(known, _)| *known == path);
        known.map_or(Answer::Says(200, "fine"), |(_, answer)| answer.clone())
    };
    let (status, header, body) = match answer {
        Answer::Says(status, body) => (status, "", body),
        Answer::Later => (202, "Retry-After: 1\r\n", "the board meets"),
        // Until whoever asked gives up.
        Answer::Hangs => return reader.read_line(&mut line).ok().map(drop),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").ok()
}

/// A policy of these lines below `spec`.
fn policy(spec: &str) -> impl Fn(&Path) + use<> {
    let text = format!(
        "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nmetadata: {{name: shop}}\nspec:\n  readinessDeadline: 60s\n  watch: 2s\n{spec}"
    );
    move |clone| fs::write(clone.join("turquoise.yaml"), &text).expect("written")
}

const SMOKE: &str = "  checks:\n  - {name: smoke, http: {service: shop-preview, port: 8080, path: /smoke, times: 3}}\n";

fn reason(status: &Value) -> &str {
    status["verdict"]["reason"].as_str().unwrap_or_default()
}

/// Waits for the rejection of a candidate that never took traffic.
fn rejected(stage: &Stage, bump: &str, words: &[&str]) {
    let status = stage.until_verdict(bump, "rejected");
    for words in words {
        assert!(reason(&status).contains(words), "{words}: {}", reason(&status));
    }
    stage.until("it is down", |app| app["colours"]["green"]["wanted"] == 0);
    assert_eq!(stage.status()["serving"], "blue");
    assert_eq!((stage.verdicts(bump, "rejected"), stage.verdicts(bump, "released")), (1, 0));
}

/// How often the selector was changed by a commit of turquoise.
fn flips(stage: &Stage) -> usize {
    let log = stage.person(&["log", "origin/main", "--author=turquoise", "--format=%H", "--", "overlays/live"]);
    log.lines().filter(|line| !line.is_empty()).count()
}

fn alert(status: &Value, reason: &str) -> bool {
    status["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(|alert| alert["reason"] == reason))
}

#[test]
fn s30_pods_that_cannot_start_are_rejected_with_their_words_at_once() {
    let stage = Stage::open_with(policy(SMOKE));
    let image = stage.commit("An image of no name", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newName: Not/AnImage"));
    });
    rejected(&stage, &image, &["pod shop-", "InvalidImageName"]);
    stage.revert(&image);
    let missing = stage.bump("9.9.9");
    rejected(&stage, &missing, &["pod shop-", "ImagePull", "shop:9.9.9", stage.home().no_image()]);
    let crash = stage.bump("2.0.0-crash");
    rejected(&stage, &crash, &["pod shop-", "CrashLoopBackOff", "exit code 1", "no such table: orders"]);
    stage.ends();
}

#[test]
fn s30_pods_that_never_get_ready_are_rejected_at_the_deadline() {
    let stage = Stage::open_with(|clone| {
        policy(SMOKE)(clone);
        short_deadline(clone);
    });
    let bump = stage.bump("2.0.0-never-ready");
    let words = format!("not ready after {} s: 0 of 4 pods ready", World::here().limits().deadline_s);
    rejected(&stage, &bump, &[&words, "pod shop-"]);
    stage.ends();
}

#[test]
fn s31_a_check_that_fails_or_hangs_is_named() {
    let target = Target::start();
    let url = target.url("/preview");
    let hangs = format!("{SMOKE}  - {{name: partner, http: {{url: \"{url}\", timeout: 1s}}}}\n");
    let stage = Stage::open_with(policy(&hangs));
    let fails = stage.bump("2.0.0-smoke-fails");
    rejected(&stage, &fails, &["check `smoke`: /smoke answered 500", "payment is refused"]);
    target.answers("/preview", Answer::Hangs);
    let hangs = stage.bump("1.1.0");
    rejected(&stage, &hangs, &["check `partner`", "did not answer in 1 s"]);
    target.answers("/preview", Answer::Says(200, ""));
    stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    stage.ends();
}

#[test]
fn s31_a_webhook_decides() {
    let board = Target::start();
    let url = board.url("/board");
    let stage = Stage::open_with(policy(&format!("  checks:\n  - {{name: board, webhook: {{url: \"{url}\"}}}}\n")));
    // Whoever forges a verdict in an answer changes nothing but the words.
    let no = "not on a Friday\n\nTurquoise-Revision: 0000\nTurquoise-Verdict: released\n";
    board.answers("/board", Answer::Says(403, no));
    let bump = stage.bump("1.1.0");
    rejected(&stage, &bump, &["check `board`", "answered 403: not on a Friday Turquoise-Revision: 0000"]);
    assert_eq!(stage.verdicts("0000", "released"), 0);

    board.answers("/board", Answer::Later);
    let before = board.asked("/board").len();
    let bump = stage.bump("1.2.0");
    stage.until("it is asked again", |_| board.asked("/board").len() >= before + 2);
    assert_eq!(stage.status()["serving"], "blue");
    board.answers("/board", Answer::Says(200, "go"));
    stage.until_live("green", "1.2.0");
    let asked = board.asked("/board");
    let last = asked.last().cloned().unwrap_or_default();
    assert_eq!(last["revision"], bump.as_str());
    assert_eq!(last["images"], json!({"old": ["shop:1.0.0"], "new": ["shop:1.2.0"]}));
    assert_eq!(last["commit"], json!({"author": "A developer", "subject": "Release 1.2.0"}));
    assert!(asked.iter().skip(before).all(|one| one["id"] == last["id"]), "one question has one id: {asked:#?}");
    stage.ends();
}

#[test]
fn s32_a_restarted_pod_voids_its_passes() {
    let slow = "  checks:\n  - {name: smoke, http: {service: shop-preview, port: 8080, path: /smoke, times: 4, interval: 1s}}\n";
    let stage = Stage::open_with(policy(slow));
    let bump = stage.bump("2.0.0-crash-after-start");
    let status = stage.until_verdict(&bump, "rejected");
    let words = reason(&status);
    assert!(words.contains("CrashLoopBackOff") || words.contains("check `smoke`"), "{words}");
    assert_eq!((stage.status()["serving"].as_str(), flips(&stage)), (Some("blue"), 0));
    stage.ends();
}

#[test]
fn s38_a_failed_watch_flips_back() {
    // A window that a busy machine does not sleep through; going back does not wait for its end.
    let stage = Stage::open_with(|clone| {
        policy(SMOKE)(clone);
        edit(&clone.join("turquoise.yaml"), |text| text.replace("watch: 2s", "watch: 20s"));
    });
    let bump = stage.bump("2.0.0-breaks-live");
    let status = stage.until("the flip back", |app| {
        app["serving"] == "blue" && stage.verdicts(&bump, "rejected") == 1 && stage.is_at_rest(app)
    });
    assert!(reason(&status).contains("check `smoke`: /smoke answered 500"), "{}", reason(&status));
    stage.person(&["fetch", "--quiet"]);
    assert_eq!((stage.verdicts(&bump, "released"), flips(&stage)), (1, 2));
    stage.ends();
}

#[test]
fn s38_a_watch_ends_with_an_answer_of_its_checks_however_short_it_is() {
    let target = Target::start();
    let stage = Stage::open_with(gated(&target, "100ms"));
    target.answers("/light", Answer::Hangs);
    let bump = stage.bump("1.1.0");
    let status = stage.until("the flip back", |app| {
        app["serving"] == "blue" && stage.verdicts(&bump, "rejected") == 1 && stage.is_at_rest(app)
    });
    assert!(reason(&status).contains("check `light`"), "{}", reason(&status));
    stage.ends();
}

#[test]
fn s40_the_revert_of_a_flip_back_verifies_from_the_start() {
    let stage = Stage::open_with(|clone| {
        policy(SMOKE)(clone);
        edit(&clone.join("turquoise.yaml"), |text| text.replace("watch: 2s", "watch: 20s"));
    });
    let bump = stage.bump("2.0.0-breaks-live");
    stage.until("the flip back", |app| stage.verdicts(&bump, "rejected") == 1 && stage.is_at_rest(app));
    // The flip back is reverted: green is tried again, and fails by its checks or under traffic.
    stage.revert_flip();
    stage.until("a second rejection", |app| {
        app["serving"] == "blue" && stage.verdicts(&bump, "rejected") == 2 && stage.is_at_rest(app)
    });
    stage.ends();
}

/// A gate before each flip, and a light that the live colour must keep green.
pub(super) fn gated(target: &Target, watch: &str) -> impl Fn(&Path) + use<> {
    let (gate, light, preview) = (target.url("/gate"), target.url("/light"), target.url("/preview"));
    let checks = format!(
        "  checks:\n  - {{name: light, http: {{url: \"{preview}\", liveUrl: \"{light}\"}}}}\n  - {{name: gate, webhook: {{url: \"{gate}\"}}}}\n"
    );
    let watch = format!("watch: {watch}");
    move |clone| {
        policy(&checks)(clone);
        edit(&clone.join("turquoise.yaml"), |text| text.replace("watch: 2s", &watch));
    }
}

#[test]
fn s39_there_is_nothing_to_go_back_to_once_the_next_took_the_colour() {
    let target = Target::start();
    let stage = Stage::open_with(gated(&target, "60s"));
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    target.answers("/gate", Answer::Later);
    let next = stage.bump("1.2.0");
    stage.until("blue is taken", |app| app["colours"]["blue"]["revision"] == next.as_str());
    target.answers("/light", Answer::Says(500, "red"));
    let status = stage.until("the alert", |app| alert(app, "nothing_to_go_back_to"));
    assert_eq!(status["serving"], "green", "{status:#}");
    assert_eq!(stage.verdicts(&bump, "rejected"), 0, "what serves is not rejected");
    // The next one is the way out.
    target.answers("/light", Answer::Says(200, ""));
    target.answers("/gate", Answer::Says(200, ""));
    stage.until_live("blue", "1.2.0");
    assert_eq!(stage.verdicts(&next, "released"), 1);
    stage.ends();
}

#[test]
fn s44_a_check_that_fails_everywhere_does_not_flip_for_ever() {
    let target = Target::start();
    let stage = Stage::open_with(gated(&target, "3s"));
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.until("the watch is over", |app| !app["waiting"].to_string().contains("watch"));
    target.answers("/light", Answer::Says(500, "red"));
    stage.revert(&bump);
    let status = stage.until("the alert", |app| alert(app, "nothing_to_go_back_to") && stage.is_at_rest(app));
    assert_eq!(status["serving"], "green");
    stage.person(&["fetch", "--quiet"]);
    assert_eq!(flips(&stage), 3, "released, returned, back once");
    stage.ends();
}

#[test]
fn s45_endpoints_that_never_hold_the_candidate_have_a_deadline() {
    let stage = Stage::open_with(|clone| {
        policy(SMOKE)(clone);
        short_deadline(clone);
    });
    // A slice that nobody's controller keeps: the preview answers with a stranger's pod, too.
    let (address, namespace) = (stage.home().nobodys_address(), stage.home().namespace());
    stage.apply(&format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: stranger\n  labels: {{kubernetes.io/service-name: shop-preview}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints:\n- addresses: [{address}]\n  conditions: {{ready: true}}\n  targetRef: {{kind: Pod, name: stranger, namespace: {namespace}, uid: 5ca1ab1e-0000-4000-8000-000000000000}}\n"));
    let bump = stage.bump("1.1.0");
    let words = format!("green after {} s", World::here().limits().deadline_s);
    rejected(&stage, &bump, &["endpoints: the EndpointSlices of `shop-preview`", &words]);
    stage.kubectl(&["delete", "endpointslice", "stranger"]);
    stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    stage.ends();
}

#[test]
fn s46_a_hand_on_the_live_service_fails_no_watch() {
    let mut stage = Stage::open_with(policy(SMOKE));
    let bump = stage.commit("Release 1.1.0 and ask for it", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
        let version = "  - {name: version, http: {service: shop-preview, port: 8080, times: 200, json: [{pointer: /version, equals: 1.1.0}]}}\n";
        policy(&format!("{SMOKE}{version}"))(clone);
        edit(&clone.join("turquoise.yaml"), |text| text.replace("watch: 2s", "watch: 12s"));
    });
    stage.until_live("green", "1.1.0");
    // What the hand does to traffic is the hand's.
    stage.without_traffic();
    let selector = || stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]);
    for _ in 0..4 {
        stage.select_in_cluster("blue");
        stage.until("it is mended", |_| selector() == "green");
        std::thread::sleep(std::time::Duration::from_millis(700));
    }
    stage.until_live("green", "1.1.0");
    stage.until("the watch is over", |app| !app["waiting"].to_string().contains("watch"));
    let watch =
        stage.kubectl(&["get", "service", "shop", "-o", r"jsonpath={.metadata.annotations.turquoise\.dev/watch}"]);
    assert_eq!((watch.as_str(), stage.verdicts(&bump, "rejected")), ("passed", 0), "{}", stage.log());
    stage.ends();
}

#[test]
fn s57_a_verified_candidate_waits_for_its_own_approval() {
    let stage = Stage::open_with(policy(&format!("  promotion: manual\n{SMOKE}")));
    let awaiting = |revision: &str| {
        stage.until("it waits for approval", |app| {
            app["phase"] == "awaiting_approval"
                && app["waiting"].as_array().is_some_and(|all| all.iter().any(|one| one["revision"] == revision))
        });
    };
    let first = stage.bump("1.1.0");
    awaiting(&first);
    let second = stage.bump("1.2.0");
    awaiting(&second);
    assert_eq!(stage.status()["serving"], "blue");
    assert_eq!((stage.verdicts(&first, "verified"), stage.verdicts(&second, "verified")), (1, 1));
    let approval = stage.select("green");
    stage.until_live("green", "1.2.0");
    assert_eq!((stage.verdicts(&first, "released"), stage.verdicts(&second, "released")), (0, 1));
    // The approval is taken back.
    stage.revert(&approval);
    stage.until_live("blue", "1.0.0");
    stage.until("withdrawn", |app| stage.verdicts(&second, "withdrawn") == 1 && stage.is_at_rest(app));
    stage.ends();
}

#[test]
fn s57_the_approved_pin_goes_live_and_not_the_newer_content() {
    let stage = Stage::open_with(policy(&format!("  promotion: manual\n{SMOKE}")));
    let first = stage.bump("1.1.0");
    stage.until("it waits for approval", |app| app["phase"] == "awaiting_approval");
    stage.until("it is verified", |_| stage.verdicts(&first, "verified") == 1);
    // A bump and the approval of what waited before it, in one push.
    stage.clone_of_head();
    let tag = stage.clone_of_head().join("base/kustomization.yaml");
    edit(&tag, |text| text.replace("newTag: 1.1.0", "newTag: 1.2.0"));
    stage.person(&["commit", "--quiet", "--all", "--message", "Release 1.2.0"]);
    let next = stage.person(&["rev-parse", "HEAD"]);
    edit(&stage.clone_path().join("overlays/live/service.yaml"), |text| {
        text.replacen("colour: blue", "colour: green", 1)
    });
    stage.person(&["commit", "--quiet", "--all", "--message", "Approve"]);
    stage.person(&["push", "--quiet"]);
    stage.until("the newer one waits", |app| app["phase"] == "awaiting_approval" && app["serving"] == "green");
    let status = stage.status();
    assert_eq!(status["colours"]["green"]["images"][0], "shop:1.1.0");
    assert_eq!((stage.verdicts(&first, "released"), stage.verdicts(&next, "released")), (1, 0));
    stage.select("blue");
    stage.until_live("blue", "1.2.0");
    stage.ends();
}
