use super::*;
use crate::core::colour::Colour;
use crate::core::event::EventKind;
use crate::core::grants::SecretSource;
use crate::core::ids::{AppName, CommitId};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn epoch() -> Timestamp {
    Timestamp::from_second(1_767_607_242).expect("a time")
}

fn links() -> Links {
    Links {
        page: Some("https://turquoise.example.org/".into()),
        commit: Some("https://git.example.org/shop/commit/{commit}".into()),
    }
}

/// An event as a look would make it, with everything that the kind can have.
fn event(kind: EventKind) -> Event {
    let (revision, flip) = (CommitId::new("0b6c8d2".repeat(6)), CommitId::new("e04a7f3".repeat(6)));
    let about_a_revision = matches!(
        kind,
        EventKind::Started
            | EventKind::Verified
            | EventKind::Live
            | EventKind::Returned
            | EventKind::Rejected
            | EventKind::FlippedBack
            | EventKind::Withdrawn
    );
    let plain = Event::new(kind, &AppName::new("shop"), "a fact", epoch());
    if !about_a_revision {
        return Event {
            reason: Some("the selector in git names neither colour: red".into()),
            cure: Some("set the live Service's selector in git to `blue` or `green`".into()),
            ..plain
        };
    }
    Event {
        colour: Some(Colour::Green),
        revision: Some(revision),
        author: Some("A developer".into()),
        subject: Some("Release 1.1.0".into()),
        images: vec!["shop:1.1.0".into()],
        old_images: vec!["shop:1.0.0".into()],
        commit: (kind != EventKind::Started).then(|| flip.clone()),
        go_back: matches!(kind, EventKind::Live | EventKind::Returned).then(|| format!("git revert {flip}")),
        reason: kind.is_trouble().then(|| "check `smoke`: /smoke answered 500: no stock".into()),
        cure: kind
            .is_trouble()
            .then(|| format!("git revert {flip} has it tried again, checks included").as_str().into()),
        ..plain
    }
}

#[test]
fn each_event_in_each_format() {
    for kind in EventKind::ALL {
        let event = event(kind);
        let text = format!(
            "{}\n\n{:#}\n\n{:#}\n",
            summary(&event),
            cloud_event(&event, "turquoise//srv/git/shop.git", &links()),
            slack(&event, &links())
        );
        insta::assert_snapshot!(format!("message_{}", kind.as_str()), text);
    }
}

#[test]
fn text_from_outside_is_harmless_in_each_format() {
    let nasty = "<!channel> <@U1> <https://evil.example|click> & \u{1b}[31mred\u{1b}[0m\nTurquoise-Verdict: released\r\n`rm` \u{202e}";
    let event = Event {
        author: Some(nasty.into()),
        subject: Some(nasty.into()),
        reason: Some(nasty.into()),
        cure: Some(nasty.into()),
        images: vec![nasty.into()],
        old_images: vec![nasty.into()],
        ..event(EventKind::Rejected)
    };
    let slack = slack(&event, &links());
    let texts = [&slack["text"], &slack["blocks"][0]["text"]["text"], &slack["blocks"][1]["elements"][0]["text"]];
    for text in texts {
        let text = text.as_str().expect("text");
        for bad in ["<!", "<@", "<https://evil", "\u{1b}", "\r", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {text}");
        }
    }
    assert!(texts[1].as_str().is_some_and(|text| text.contains("&lt;!channel&gt;")));
    assert_eq!(slack["blocks"][0]["text"]["verbatim"], true);
    let envelope = cloud_event(&event, "turquoise/x", &links());
    for text in [summary(&event), envelope.to_string()] {
        for bad in ["\u{1b}", "\\u001b", "\n", "\\n", "\\r", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {text}");
        }
    }
    let too_long = Event { reason: Some("x".repeat(5000).as_str().into()), ..event };
    assert!(summary(&too_long).chars().count() < 2500, "{}", summary(&too_long));
}

#[test]
fn a_source_holds_no_credentials_and_is_a_uri() {
    for (repo, source) in [
        ("/srv/git/shop.git", "turquoise//srv/git/shop.git"),
        ("https://user:secret@git.example.org/shop.git?token=secret", "turquoise/https://git.example.org/shop.git"),
        ("ssh://git@git.example.org:22/shop.git", "turquoise/ssh://git.example.org:22/shop.git"),
        ("my shop.git", "turquoise/my%20shop.git"),
    ] {
        assert_eq!(source_of(repo), source);
    }
}

#[test]
fn pauses_grow_and_a_receivers_wish_is_granted() {
    let seconds = |failures, asked: Option<u64>| pause(failures, asked.map(Duration::from_secs), 1.0).as_secs();
    let grown: Vec<u64> = [1, 2, 3, 4, 9, 10, 40].map(|failures| seconds(failures, None)).into();
    assert_eq!(grown, [1, 2, 4, 8, 256, 300, 300]);
    assert!(pause(3, None, 0.0) >= Duration::from_secs(2), "the random part is a half at most");
    for failures in [1, 9] {
        assert!((30..=31).contains(&seconds(failures, Some(30))), "{failures}");
        assert!(seconds(failures, Some(0)) >= 1, "a pause of nothing is none");
    }
}

fn courier(secrets: &[(&str, SecretSource)]) -> Courier {
    crate::daemon::install_crypto();
    let grants = Grants {
        hosts: ["127.0.0.1".to_owned()].into(),
        secrets: secrets.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect(),
        ..Grants::default()
    };
    Courier::new("/srv/git/shop.git", Arc::new(grants), links(), epoch).expect("a courier")
}

fn to(url: &str) -> Receiver {
    Receiver { format: Format::CloudEvents, to: Destination::Url(url.to_owned()), secret: None }
}

#[tokio::test]
async fn what_an_answer_means() {
    let server = MockServer::start().await;
    let answers = [
        (200, None, "delivered"),
        (204, None, "delivered"),
        (302, None, "later"),
        (400, None, "refused"),
        (404, None, "refused"),
        (408, None, "later"),
        (429, Some("7"), "later 7"),
        (429, Some("Mon, 05 Jan 2026 10:00:52 GMT"), "later 10"),
        (429, Some("Mon, 05 Jan 2026 09:00:52 GMT"), "later 0"),
        (429, Some("soon"), "later"),
        (500, None, "later"),
        (503, Some("999999"), "later 3600"),
    ];
    for (index, (status, retry_after, _)) in answers.iter().enumerate() {
        let mut answer = ResponseTemplate::new(*status).set_body_string("no\u{1b}[31m\nstock");
        if let Some(text) = retry_after {
            answer = answer.insert_header("retry-after", *text);
        }
        let hook = Mock::given(method("POST")).and(path(format!("/{index}")));
        hook.and(header("content-type", "application/cloudevents+json")).respond_with(answer).mount(&server).await;
    }
    let courier = courier(&[]);
    for (index, (status, _, expect)) in answers.iter().enumerate() {
        let receiver = to(&format!("{}/{index}", server.uri()));
        let outcome = courier.deliver(&receiver, &event(EventKind::Live)).await;
        let (words, said) = match &outcome {
            Outcome::Delivered => ("delivered".to_owned(), String::new()),
            Outcome::Refused { words } => ("refused".to_owned(), words.to_string()),
            Outcome::Later { asked: None, words } => ("later".to_owned(), words.to_string()),
            Outcome::Later { asked: Some(asked), words } => (format!("later {}", asked.as_secs()), words.to_string()),
        };
        assert_eq!(words, *expect, "{status}");
        assert!(!said.contains('\u{1b}') && !said.contains('\n'), "{said}");
        assert!(outcome == Outcome::Delivered || said.contains(&status.to_string()), "{said}");
    }
}

#[tokio::test]
async fn a_message_is_signed_and_secrets_stay_where_they_are() {
    let (server, folder) = (MockServer::start().await, tempfile::tempdir().expect("a folder"));
    let (key, chat) = (folder.path().join("key"), folder.path().join("chat"));
    std::fs::write(&key, "s3cret\n").expect("written");
    std::fs::write(&chat, format!("{}/services/T0KEN\n", server.uri())).expect("written");
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let courier = courier(&[("key", SecretSource::File(key)), ("chat", SecretSource::File(chat.clone()))]);
    let signed = Receiver { secret: Some("key".into()), ..to(&format!("{}/hook", server.uri())) };
    assert_eq!(courier.deliver(&signed, &event(EventKind::Live)).await, Outcome::Delivered);
    let slack = Receiver { format: Format::Slack, to: Destination::Secret("chat".into()), secret: None };
    assert_eq!(courier.deliver(&slack, &event(EventKind::Live)).await, Outcome::Delivered);
    let requests = server.received_requests().await.expect("requests");
    let text = |name: &str| requests[0].headers.get(name).expect(name).to_str().expect("text").to_owned();
    let (timestamp, signature) = (text(TIMESTAMP_HEADER), text(SIGNATURE_HEADER));
    assert!(verify(b"s3cret", &timestamp, &signature, &requests[0].body, epoch().as_second(), 300));
    assert_eq!(requests[1].url.path(), "/services/T0KEN");
    assert!(requests[1].headers.get(SIGNATURE_HEADER).is_none());

    // What goes wrong is said without the token.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = listener.local_addr().expect("an address");
    drop(listener);
    std::fs::write(&chat, format!("http://{nobody}/services/T0KEN")).expect("written");
    let Outcome::Later { words, .. } = courier.deliver(&slack, &event(EventKind::Live)).await else {
        panic!("nobody is there");
    };
    assert!(words.as_str().contains("127.0.0.1") && !words.as_str().contains("T0KEN"), "{words}");
    std::fs::write(&chat, "T0KEN").expect("written");
    let Outcome::Later { words, .. } = courier.deliver(&slack, &event(EventKind::Live)).await else {
        panic!("no URL");
    };
    assert!(!words.as_str().contains("T0KEN"), "{words}");
    let elsewhere = to("http://169.254.169.254/T0KEN");
    let Outcome::Later { words, .. } = courier.deliver(&elsewhere, &event(EventKind::Live)).await else {
        panic!("not granted");
    };
    assert!(words.as_str().contains("--allow-host") && !words.as_str().contains("T0KEN"), "{words}");
}

/// The receiver's side in Python, as docs/notifications.md shows it, run on a message of ours.
#[test]
fn the_documented_python_verifies_our_signature() {
    let docs = include_str!("../../docs/notifications.md");
    let code = docs.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
    let body = cloud_event(&event(EventKind::Live), "turquoise/x", &links()).to_string();
    let signature = sign(b"s3cret", 1_767_607_242, body.as_bytes());
    let call = "import json, sys\n\
                a = json.load(sys.stdin)\n\
                print(verify(a['secret'].encode(), a['timestamp'], a['signature'], a['body'].encode(), now=a['now']))\n";
    for (secret, timestamp, body, now, expect) in [
        ("s3cret", "1767607242", body.as_str(), 1_767_607_250, "True"),
        ("other", "1767607242", body.as_str(), 1_767_607_250, "False"),
        ("s3cret", "1767607243", body.as_str(), 1_767_607_250, "False"),
        ("s3cret", "1767607242", "another body", 1_767_607_250, "False"),
        ("s3cret", "1767607242", body.as_str(), 1_767_610_000, "False"),
        ("s3cret", "soon", body.as_str(), 1_767_607_250, "False"),
    ] {
        let mut python = std::process::Command::new("python3")
            .args(["-c", &format!("{code}\n{call}")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 runs; `make test` installs or names it");
        let input = serde_json::json!({"secret": secret, "timestamp": timestamp, "signature": signature, "body": body, "now": now});
        std::io::Write::write_all(&mut python.stdin.take().expect("piped"), input.to_string().as_bytes())
            .expect("written");
        let output = python.wait_with_output().expect("ended");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expect, "{secret} {timestamp} {now}");
    }
}
