//! Checks against listeners of their own, with an API server that knows one Service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{any, body_string, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::core::colour::Colour;
use crate::core::grants::SecretSource;
use crate::core::ids::{CommitId, Digest};
use crate::core::policy::{Asks, parse};
use crate::core::signature::sign;
use crate::core::url::WebUrl;

const SERVICE: &str = "/api/v1/namespaces/shop/services/shop-preview";

fn now() -> Timestamp {
    "2026-01-05T10:00:00Z".parse().expect("a time")
}

/// An API server whose one Service has that address, and an asker that knows it.
async fn api(cluster_ip: &str, in_cluster: bool) -> (MockServer, Asker) {
    crate::daemon::install_crypto();
    let server = MockServer::start().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop-preview"}, "spec": {"clusterIP": cluster_ip}});
    Mock::given(path(SERVICE)).respond_with(ResponseTemplate::new(200).set_body_json(service)).mount(&server).await;
    let asker = asker(*server.address(), in_cluster);
    (server, asker)
}

fn asker(server: SocketAddr, in_cluster: bool) -> Asker {
    let config = kube::Config::new(format!("http://{server}").parse().expect("a URL"));
    let client = kube::Client::try_from(config).expect("a client");
    Asker::new(client, (server.ip().to_string(), server.port()), in_cluster)
}

/// A check as a policy writes it.
fn written(body: &str) -> Asks {
    let text = format!("apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - {body}\n");
    parse(&text).expect("a valid policy").checks.remove(0).asks
}

fn http_of(fields: &str) -> HttpCheck {
    match written(&format!("http: {{service: shop-preview, timeout: 2s{fields}}}")) {
        Asks::Http(http) => http,
        Asks::Webhook(_) => panic!("an http check was written"),
    }
}

fn on_service(port: u16, path: &str) -> Place {
    Place::Service { namespace: "shop".into(), service: "shop-preview".into(), port, path: path.into() }
}

fn on_url(url: &str) -> Place {
    Place::Url(WebUrl::parse(url).expect("a URL"))
}

async fn round(asker: &Asker, http: &HttpCheck, place: &Place) -> Result<(), String> {
    secret_round(asker, http, place, &Secrets::default()).await
}

async fn secret_round(asker: &Asker, http: &HttpCheck, place: &Place, secrets: &Secrets) -> Result<(), String> {
    http::round(asker, http, place, secrets).await.map_err(|not_passed| match not_passed {
        NotPassed::Failed(words) => words.to_string(),
        NotPassed::Hindered(words) => format!("hindered: {words}"),
    })
}

/// A listener that says these bytes to everybody, after a pause each.
async fn raw(pieces: Vec<Vec<u8>>, pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let pieces = pieces.clone();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _asked = stream.read(&mut asked).await;
                for piece in pieces {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_is_judged_by_status_and_json() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let target = MockServer::start().await;
    for (fields, status, body, expect) in [
        ("", 200, "", None),
        ("", 204, "", None),
        ("", 301, "moved", Some("/ answered 301: moved")),
        ("", 500, "out of\r\n\u{1b}[31mstock", Some("/ answered 500: out of [31mstock")),
        (", status: 404", 404, "", None),
        (", status: 404", 200, "fine", Some("/ answered 200: fine")),
        (", status: [3xx, 200]", 302, "", None),
        (", status: [3xx, 200]", 201, "", Some("/ answered 201:")),
        (", json: [{pointer: /ok, equals: true}]", 200, r#"{"ok":true}"#, None),
        (", json: [{pointer: /ok, equals: true}]", 200, r#"{"ok":"true"}"#, Some("/ok is \"true\", not true")),
        (", json: [{pointer: /a/1, equals: 2}]", 200, r#"{"a":[1,2.0]}"#, None),
        (", json: [{pointer: /b, equals: 1}]", 200, r#"{"a":1}"#, Some("without /b: {\"a\":1}")),
        (", json: [{pointer: '', equals: {a: [1]}}]", 200, r#"{"a":[1]}"#, None),
        (", json: [{pointer: /a, equals: 1}]", 200, "<html>", Some("no JSON: <html>")),
    ] {
        target.reset().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string(body)).mount(&target).await;
        let found = round(&asker, &http_of(fields), &on_service(target.address().port(), "/")).await;
        match expect {
            None => assert_eq!(found, Ok(()), "{fields} {status} {body}"),
            Some(words) => assert!(found.as_ref().is_err_and(|said| said.contains(words)), "{fields}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_written() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let target = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/orders"))
        .and(header("x-caller", "turquoise"))
        .and(header("host", "shop-preview"))
        .and(header("user-agent", "turquoise"))
        .and(body_string("{\"dry\":true}"))
        .respond_with(ResponseTemplate::new(201))
        .expect(3)
        .mount(&target)
        .await;
    let http =
        http_of(", method: POST, headers: {X-Caller: turquoise}, body: '{\"dry\":true}', times: 3, interval: 1ms");
    assert_eq!(round(&asker, &http, &on_service(target.address().port(), "/orders")).await, Ok(()));
}

#[tokio::test]
async fn the_first_failure_in_a_row_ends_it() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let target = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).up_to_n_times(2).mount(&target).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503).set_body_string("tired")).expect(1).mount(&target).await;
    let found = round(&asker, &http_of(", times: 9, interval: 1ms"), &on_service(target.address().port(), "/")).await;
    assert_eq!(found, Err("/ answered 503: tired".to_owned()));
}

#[tokio::test]
async fn who_hangs_drips_or_never_ends_is_bounded() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_vec();
    let drips: Vec<Vec<u8>> = [head.clone()].into_iter().chain((0..200).map(|_| b"x".to_vec())).collect();
    let heads_drip: Vec<Vec<u8>> = b"HTTP/1.1 200 OK\r\nX: y".iter().map(|byte| vec![*byte]).collect();
    let floods: Vec<Vec<u8>> = [head.clone()].into_iter().chain((0..200).map(|_| vec![b'x'; 1 << 20])).collect();
    let (pause, none) = (Duration::from_millis(50), Duration::ZERO);
    let quick = http_of("").clone();
    let quick = HttpCheck { timeout: Duration::from_millis(400), ..quick };
    for (what, check, address, expect) in [
        ("hangs", &quick, raw(vec![b"HTTP".to_vec()], Duration::from_secs(60)).await, "did not answer in 0.4 s"),
        ("drips its head", &quick, raw(heads_drip, pause).await, "did not answer in 0.4 s"),
        ("drips its body", &quick, raw(drips, pause).await, "did not answer in 0.4 s"),
        ("is cut off", &http_of(""), raw(vec![head], none).await, "cut off"),
    ] {
        let found = round(&asker, check, &on_service(address.port(), "/x?token=hunter2")).await;
        assert!(found.as_ref().is_err_and(|words| words.contains(expect)), "{what}: {found:?}");
        assert!(!found.is_err_and(|words| words.contains("hunter2")), "{what}: no query is told");
    }
    // A flood passes by its status, and is too long for JSON.
    let address = raw(floods, none).await;
    assert_eq!(round(&asker, &http_of(""), &on_service(address.port(), "/")).await, Ok(()));
    let found = round(&asker, &http_of(", json: [{pointer: /a, equals: 1}]"), &on_service(address.port(), "/")).await;
    assert!(found.as_ref().is_err_and(|words| words.contains("more than 65536 bytes")), "{found:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let (target, other) = (MockServer::start().await, MockServer::start().await);
    let away = ResponseTemplate::new(302).insert_header("location", other.uri().as_str());
    Mock::given(any()).respond_with(away).mount(&target).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&other).await;
    for place in [on_service(target.address().port(), "/"), on_url(&target.uri())] {
        let found = round(&asker, &http_of(""), &place).await;
        assert!(found.as_ref().is_err_and(|words| words.contains("answered 302")), "{found:?}");
    }
}

#[tokio::test]
async fn metadata_and_the_api_server_are_never_asked() {
    let (server, asker) = api("169.254.169.254", true).await;
    let port = server.address().port();
    for (place, words) in [
        (on_url("http://169.254.169.254/latest/meta-data/"), "link-local"),
        (on_url("http://[::ffff:169.254.169.254]/"), "link-local"),
        (on_url("http://[fe80::1]/"), "link-local"),
        (on_url("http://100.100.100.200/"), "metadata"),
        (on_url("http://0.0.0.0/"), "unspecified"),
        (on_url(&format!("http://127.0.0.1:{port}/api/v1/secrets")), "never asks the API server"),
        (on_url(&format!("http://localhost:{port}/api/v1/secrets")), "never asks the API server"),
        (on_service(80, "/"), "link-local"),
    ] {
        let found = round(&asker, &http_of(""), &place).await;
        assert!(found.as_ref().is_err_and(|said| said.contains(words)), "{place:?}: {found:?}");
    }
    let asked = server.received_requests().await.unwrap_or_default();
    assert!(asked.iter().all(|request| request.url.path() == SERVICE), "the API server was asked by a check");
}

#[tokio::test]
async fn the_address_that_was_looked_at_is_the_one_that_is_dialled() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let target = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(1).mount(&target).await;
    // No resolver knows this name: only the addresses that it was given can be dialled.
    let url = format!("http://preview.invalid:{}/", target.address().port());
    let client = asker.client_for("preview.invalid", &[*target.address()]).map_err(|_| "a client").expect("a client");
    let place = on_url(&url);
    let request =
        request::Request { place: &place, method: crate::core::policy::Method::Get, headers: vec![], body: vec![] };
    let answer = request::dial(&client, &request, &url, None).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn outside_the_cluster_a_service_is_asked_through_the_api_server() {
    let (server, asker) = api("10.96.0.7", false).await;
    Mock::given(method("GET"))
        .and(path(format!("{SERVICE}:8080/proxy/smoke")))
        .and(header("x-caller", "turquoise"))
        .respond_with(ResponseTemplate::new(500).set_body_string("no"))
        .expect(1)
        .mount(&server)
        .await;
    let found = round(&asker, &http_of(", headers: {x-caller: turquoise}"), &on_service(8080, "/smoke")).await;
    assert_eq!(found, Err("/smoke answered 500: no".to_owned()));
    // What the API server keeps for itself is not sent at all.
    let (_folder, secrets) = secret("api", "hunter2");
    let http = http_of(", headers: {Authorization: {secret: api}}");
    let found = secret_round(&asker, &http, &on_service(8080, "/smoke"), &secrets).await;
    assert!(found.as_ref().is_err_and(|words| words.contains("authorization")), "{found:?}");
}

/// One granted Secret.
fn secret(name: &str, text: &str) -> (tempfile::TempDir, Secrets) {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    (folder, Secrets(BTreeMap::from([(name.to_owned(), SecretSource::File(path))])))
}

#[tokio::test]
async fn a_secret_is_sent_and_never_told() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let target = MockServer::start().await;
    let echo = |request: &Request| {
        let sent = request.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        ResponseTemplate::new(403).set_body_string(format!("who is {sent}?"))
    };
    Mock::given(header("authorization", "Bearer hunter2hunter2")).respond_with(echo).expect(1).mount(&target).await;
    let (_folder, secrets) = secret("api", "hunter2hunter2\n");
    let http = http_of(", headers: {Authorization: {secret: api, prefix: 'Bearer '}}");
    let place = on_service(target.address().port(), "/");
    let found = secret_round(&asker, &http, &place, &secrets).await;
    assert_eq!(found, Err("/ answered 403: who is Bearer ***?".to_owned()));
    let missing = secret_round(&asker, &http, &place, &Secrets::default()).await;
    assert!(missing.as_ref().is_err_and(|words| words.starts_with("hindered: the Secret `api`")), "{missing:?}");
}

fn release() -> Release {
    Release {
        id: "an-id".into(),
        check: "board".into(),
        app: AppName::new("shop"),
        namespace: "shop".into(),
        repo: "shop.git".into(),
        branch: "main".into(),
        revision: CommitId::new("c0ffee"),
        colour: Colour::Green,
        images: Images { old: vec!["shop:1".into()], new: vec!["shop:2".into()] },
        commit: Words { author: "A person".into(), subject: "Release 2".into() },
        turquoise: "0.1.0".into(),
    }
}

async fn decided(board: &MockServer, fields: &str, secrets: &Secrets) -> Result<(), String> {
    let (_api, asker) = api("127.0.0.1", false).await;
    let webhook = match written(&format!("webhook: {{url: '{}/hook?token=hunter2'{fields}}}", board.uri())) {
        Asks::Webhook(webhook) => webhook,
        Asks::Http(_) => panic!("a webhook was written"),
    };
    webhook::decided(&asker, &webhook, &release(), secrets, now).await.map_err(|not_passed| match not_passed {
        NotPassed::Failed(words) => words.to_string(),
        NotPassed::Hindered(words) => format!("hindered: {words}"),
    })
}

#[tokio::test]
async fn a_webhook_is_told_the_release_and_any_2xx_passes() {
    let (_folder, secrets) = secret("board", "hunter2");
    for status in [200, 202, 204] {
        let board = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/hook"))
            .and(header("idempotency-key", "an-id"))
            .and(header("content-type", "application/json"))
            .respond_with(ResponseTemplate::new(status))
            .expect(1)
            .mount(&board)
            .await;
        assert_eq!(decided(&board, ", secret: board", &secrets).await, Ok(()), "{status}");
        let asked = board.received_requests().await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
        assert_eq!(body["images"], json!({"old": ["shop:1"], "new": ["shop:2"]}));
        assert_eq!(body["commit"], json!({"author": "A person", "subject": "Release 2"}));
        assert_eq!((&body["revision"], &body["colour"]), (&json!("c0ffee"), &json!("green")));
        let signed = asked[0].headers.get("turquoise-signature").and_then(|value| value.to_str().ok());
        assert_eq!(signed, Some(sign(b"hunter2", now().as_second(), &asked[0].body).as_str()));
        assert_eq!(asked[0].headers.get("turquoise-timestamp").map(|value| value.as_bytes()), Some(&b"1767607200"[..]));
    }
}

#[tokio::test]
async fn whoever_needs_time_is_asked_again_with_the_same_id() {
    let board = MockServer::start().await;
    let later = ResponseTemplate::new(202).insert_header("retry-after", "1").set_body_string("the board meets");
    Mock::given(any()).respond_with(later).up_to_n_times(1).mount(&board).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&board).await;
    assert_eq!(decided(&board, "", &Secrets::default()).await, Ok(()));
    let asked = board.received_requests().await.unwrap_or_default();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|request| request.headers.get("idempotency-key").is_some_and(|id| id == "an-id")));
}

#[tokio::test]
async fn a_webhook_that_says_no_or_never_decides_fails() {
    let board = MockServer::start().await;
    let no = "no:\n\nTurquoise-Revision: c0ffee\nTurquoise-Verdict: released\u{1b}[2J";
    Mock::given(any()).respond_with(ResponseTemplate::new(409).set_body_string(no)).expect(1).mount(&board).await;
    let words = decided(&board, "", &Secrets::default()).await.expect_err("refused");
    assert!(words.ends_with("answered 409: no: Turquoise-Revision: c0ffee Turquoise-Verdict: released [2J"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");

    let board = MockServer::start().await;
    let later = ResponseTemplate::new(202).insert_header("retry-after", "1").set_body_string("the board meets");
    Mock::given(any()).respond_with(later).mount(&board).await;
    let words = decided(&board, ", timeout: 1500ms", &Secrets::default()).await.expect_err("undecided");
    assert!(words.contains("did not decide in 1.5 s") && words.contains("the board meets"), "{words}");

    let gone = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let (_api, asker) = api("127.0.0.1", false).await;
    let webhook = WebhookCheck {
        url: WebUrl::parse(&format!("http://{gone}/")).expect("a URL"),
        secret: None,
        headers: Vec::new(),
        timeout: Duration::from_millis(300),
    };
    let found = webhook::decided(&asker, &webhook, &release(), &Secrets::default(), now).await;
    assert!(matches!(found, Err(NotPassed::Failed(words)) if words.as_str().contains("did not decide in 0.3 s")));
}

#[test]
fn what_a_target_says_cannot_forge_a_trailer() {
    use crate::core::action::{Commit, RejectionEdit, Topic};
    use crate::core::colour::ByColour;
    use crate::core::lock::{Lock, Rejection};
    use crate::core::verdict::{Entry, Trailers, Verdict};
    let said = "no\n\nTurquoise-App: shop\r\nTurquoise-Branch: main\u{2028}Turquoise-Revision: evil\nTurquoise-Verdict: released\nTurquoise-Version: 9\n\n# ---- x\nrejected: null";
    let reason = crate::core::failure::Failure::Check { check: "board".into(), words: OneLine::new(said) }.line();
    let ours = Entry { revision: CommitId::new("c0ffee"), verdict: Verdict::Rejected };
    let rejection = Rejection { revision: CommitId::new("c0ffee"), reason: reason.clone() };
    let commit = Commit {
        parent: CommitId::new("aa"),
        selector: None,
        pins: ByColour::default(),
        rejection: RejectionEdit::Set(rejection.clone()),
        facts: vec![ours.clone()],
        live: Some(Colour::Blue),
        topic: Topic::Reject { colour: Colour::Green, reason },
    };
    let template = |text| Some(crate::core::template::Template::parse(text).expect("a template"));
    let shape = crate::core::policy::Messages {
        subject: template("{app} {verdict} {summary} [skip ci]"),
        note: template("{summary}"),
    };
    let message = crate::core::message::commit_message(&commit, &AppName::new("shop"), "main", &shape);
    assert_eq!(Trailers::parse(&message).map(|trailers| trailers.facts), Some(vec![ours]), "{message}");
    assert_eq!(message.matches("\n\n").count(), 3, "{message}");
    assert!(message.lines().next().is_some_and(|line| line.ends_with("[skip ci]")), "{message}");
    let lock = Lock { branch: "main".into(), rejected: Some(rejection), ..Lock::default() };
    assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
}

fn key(services: &str) -> CheckKey {
    CheckKey {
        check: "smoke".into(),
        colour: Colour::Green,
        revision: CommitId::new("c0ffee"),
        rejections: 0,
        pods: ["a/0".to_owned()].into(),
        policy: Digest::new("p"),
        target: "shop-preview".into(),
        services: [services.to_owned()].into(),
        repeat: false,
    }
}

/// A runner, and how often it said that there is news.
fn runner(asker: Asker) -> (Runner, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    let runner = Runner::new(asker, now, move |_| {
        let _gone = said.send(());
    });
    (runner, heard)
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_fails_no_check() {
    crate::daemon::install_crypto();
    let target = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&target).await;
    let broken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&broken);
    let server = MockServer::start().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop-preview"}, "spec": {"clusterIP": "127.0.0.1"}});
    Mock::given(path(SERVICE))
        .respond_with(move |_: &Request| match counted.fetch_add(1, Ordering::SeqCst) {
            0 => ResponseTemplate::new(500).set_body_string("etcd is gone"),
            _ => ResponseTemplate::new(200).set_body_json(&service),
        })
        .mount(&server)
        .await;
    let (runner, mut heard) = runner(asker(*server.address(), false));
    let app = AppName::new("shop");
    let what = What::Http { http: http_of(""), place: on_service(target.address().port(), "/") };
    runner.start(&app, &key("shop-preview/1"), Ask { what, secrets: Secrets::default() });
    heard.recv().await.expect("news");
    assert!(matches!(runner.states(&app)[0].outcome, CheckOutcome::Hindered { .. }), "{:?}", runner.states(&app));
    heard.recv().await.expect("news");
    assert_eq!(runner.states(&app)[0].outcome, CheckOutcome::Passed { at: now() });
}

#[tokio::test]
async fn a_check_that_is_started_again_replaces_the_old_one() {
    let (_api, asker) = api("127.0.0.1", false).await;
    let hangs = raw(vec![], Duration::from_secs(60)).await;
    let (runner, _heard) = runner(asker);
    let app = AppName::new("shop");
    for version in ["shop-preview/1", "shop-preview/2"] {
        let what = What::Http { http: http_of(""), place: on_service(hangs.port(), "/") };
        runner.start(&app, &key(version), Ask { what, secrets: Secrets::default() });
    }
    let keys: Vec<CheckKey> = runner.states(&app).into_iter().map(|state| state.key).collect();
    assert_eq!(keys, [key("shop-preview/2")]);
    assert_eq!(key("shop-preview/1").id(&app), key("shop-preview/2").id(&app), "the same question has one id");
    let restarted = CheckKey { pods: ["a/1".to_owned()].into(), ..key("shop-preview/1") };
    assert_ne!(restarted.id(&app), key("shop-preview/1").id(&app));
    runner.retain(&app, |_| false);
    assert_eq!(runner.states(&app), []);
}
