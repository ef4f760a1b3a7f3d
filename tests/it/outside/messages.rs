//! One message a transition, to receivers of the test's own.

use std::path::Path;
use std::time::{Duration, Instant};

use turquoise::notify::{SIGNATURE_HEADER, TIMESTAMP_HEADER, verify};

use super::receiver::{Manner, Receiver, story};
use super::stage::{Stage, edit, turquoise};
use super::world::World;

/// Names a receiver in the clone's turquoise.yaml.
fn notify(clone: &Path, receivers: &str) {
    edit(&clone.join("turquoise.yaml"), |text| format!("{text}\n  notifications:\n{receivers}"));
}

fn webhook(receiver: &Receiver) -> String {
    format!("    - webhook: {{url: \"http://{}/hook\"}}\n", receiver.address)
}

fn event(kind: &str, revision: &str) -> String {
    format!("{kind} {revision}")
}

#[test]
fn every_transition_is_told_once_with_who_what_why_and_how_to_go_back() {
    let receiver = Receiver::start(Manner::Well);
    let stage = Stage::open_with(|clone| notify(clone, &webhook(&receiver)));
    let first = stage.git_log("%H").pop().unwrap_or_default();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let back = stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    let broken = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&broken, "rejected");
    let expect = [
        event("started", &first),
        event("live", &first),
        event("started", &bump),
        event("live", &bump),
        event("returned", &back),
        event("started", &broken),
        event("rejected", &broken),
    ];
    stage.until("every message", |_| receiver.arrived().len() >= expect.len());
    assert_eq!(receiver.arrived().iter().map(|one| story(&one.json())).collect::<Vec<_>>(), expect);

    let heard = receiver.heard();
    assert_eq!(heard.len(), expect.len(), "each message has an id of its own");
    let live = &heard[3]["data"];
    assert_eq!((&live["author"], &live["subject"]), (&"A developer".into(), &"Release 1.1.0".into()));
    assert_eq!(live["old_images"].as_array().map(Vec::len), live["images"].as_array().map(Vec::len));
    assert!(live["old_images"].to_string().contains(":1.0.0") && live["images"].to_string().contains(":1.1.0"));
    let rejected = &heard[6]["data"];
    assert!(rejected["reason"].as_str().is_some_and(|words| words.contains("smoke")), "{rejected:#}");
    assert!(rejected["cure"].as_str().is_some_and(|words| words.starts_with("git revert ")), "{rejected:#}");
    for envelope in &heard {
        assert_eq!(envelope["specversion"], "1.0");
        assert_eq!(envelope["subject"], "shop");
        assert_eq!(
            envelope["type"],
            format!("dev.turquoise.release.{}", envelope["data"]["kind"].as_str().expect("kind"))
        );
    }
    let events = stage.kubectl(&[
        "get",
        "events",
        "-o",
        "jsonpath={range .items[*]}{.reason} {.involvedObject.name}{'\\n'}{end}",
    ]);
    assert!(events.contains("Rejected shop") && events.contains("Live shop"), "{events}");
    let status = stage.status();
    assert_eq!(status["messages"]["pending"], 0, "{:#}", status["messages"]);
    stage.ends();
}

#[test]
fn the_command_in_the_message_takes_traffic_back() {
    let receiver = Receiver::start(Manner::Well);
    let stage = Stage::open_with(|clone| notify(clone, &webhook(&receiver)));
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let live = event("live", &bump);
    stage.until("the message", |_| receiver.stories().contains(&live));
    let told = receiver.heard().into_iter().find(|one| story(one) == live).expect("heard");
    let command = told["data"]["go_back"].as_str().expect("a command").to_owned();
    stage.revert(command.strip_prefix("git revert ").expect("a revert"));
    stage.until_live("blue", "1.0.0");
    stage.until("its end", |_| {
        let stories = receiver.stories();
        stories.contains(&event("withdrawn", &bump)) && stories.iter().any(|story| story.starts_with("returned "))
    });
    stage.ends();
}

/// Kills turquoise whenever a message has arrived that it cannot know of, until the story is told.
fn survive(stage: &mut Stage, receiver: &Receiver, what: &str, told: impl Fn(&Stage) -> bool) -> usize {
    let (start, limits, mut kills) = (Instant::now(), World::here().limits(), 0);
    while !told(stage) {
        assert!(start.elapsed() < 2 * limits.step, "{what} did not happen: {:?}\n{}", receiver.stories(), stage.log());
        if receiver.left_somebody_waiting() {
            stage.kill();
            stage.run();
            kills += 1;
        }
        std::thread::sleep(limits.look);
    }
    kills
}

#[test]
fn killed_at_every_delivery_nothing_is_lost_and_nothing_is_told_twice() {
    let receiver = Receiver::start(Manner::MuteAtFirst);
    let mut stage = Stage::bare(|clone| notify(clone, &webhook(&receiver)));
    stage.run();
    let first = stage.git_log("%H").pop().unwrap_or_default();
    let answered = |kind: &str, revision: &str| {
        let wanted = event(kind, revision);
        receiver.arrived().iter().any(|one| one.answered && story(&one.json()) == wanted)
    };
    let mut kills = survive(&mut stage, &receiver, "the first release", |_| answered("live", &first));
    let bump = stage.bump("1.1.0");
    kills += survive(&mut stage, &receiver, "the bump", |_| answered("live", &bump));
    let back = stage.revert(&bump);
    kills += survive(&mut stage, &receiver, "the return", |_| answered("returned", &back));
    let broken = stage.bump("2.0.0-smoke-fails");
    kills += survive(&mut stage, &receiver, "the rejection", |_| answered("rejected", &broken));
    let expect = [
        event("started", &first),
        event("live", &first),
        event("started", &bump),
        event("live", &bump),
        event("returned", &back),
        event("started", &broken),
        event("rejected", &broken),
    ];
    assert_eq!(receiver.stories(), expect, "as a receiver hears them that drops what it has seen");
    assert!(kills >= expect.len(), "killed {kills} times");
    for envelope in receiver.heard() {
        let same = receiver.arrived().into_iter().filter(|one| one.json()["id"] == envelope["id"]);
        let bodies: Vec<String> = same.map(|one| one.body).collect();
        assert!(bodies.len() >= 2, "sent again: {envelope}");
        assert!(bodies.iter().all(|body| *body == bodies[0]), "a message that is sent again is the same");
    }
    stage.ends();
}

#[test]
fn a_receiver_that_is_slow_dead_or_busy_holds_no_release_and_hears_it_all_the_same() {
    let (busy, dead) = (
        Receiver::start(Manner::First(vec![
            "500 Internal Server Error".into(),
            "429 Too Many Requests\r\nRetry-After: 2".into(),
        ])),
        Receiver::start(Manner::Mute),
    );
    let receivers = format!("{}{}", webhook(&busy), webhook(&dead));
    let stage = Stage::open_with(|clone| notify(clone, &receivers));
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.until("the busy one", |_| busy.stories().contains(&event("live", &bump)));
    let arrived = busy.arrived();
    assert_eq!(arrived[0].json()["id"], arrived[1].json()["id"], "sent again");
    assert_eq!(arrived[1].json()["id"], arrived[2].json()["id"], "and again");
    let pending = stage.until("pending for the dead one", |app| app["messages"]["pending"].as_u64() >= Some(4));
    assert!(!pending["messages"]["oldest"].is_null(), "{pending:#}");
    dead.becomes(Manner::Well);
    stage.until("the dead one, back", |_| dead.stories().contains(&event("live", &bump)));
    assert_eq!(dead.stories(), busy.stories());
    stage.until("nothing on its way", |app| app["messages"]["pending"] == 0);
    let metrics = stage.get("/metrics");
    assert!(metrics.contains("turquoise_messages_total{app=\"shop\",outcome=\"tried_again\"}"), "{metrics}");
    stage.ends();
}

#[test]
fn a_dry_run_tells_nobody_and_writes_nothing() {
    let receiver = Receiver::start(Manner::Well);
    let mut stage = Stage::bare(|clone| notify(clone, &webhook(&receiver)));
    stage.set("TURQUOISE_DRY_RUN", "true");
    stage.run();
    stage.until("a look", |app| !app["synced_at"].is_null());
    std::thread::sleep(Duration::from_millis(500));
    assert!(receiver.arrived().is_empty());
    assert_eq!(stage.kubectl(&["get", "configmaps", "-o", "name", "-l", "turquoise.dev/app=shop"]), "");
}

#[test]
fn chats_and_signed_webhooks_need_no_secret_in_git_and_nothing_in_a_commit_harms_them() {
    let (signed, chat) = (Receiver::start(Manner::Well), Receiver::start(Manner::Well));
    let receivers = format!(
        "    - webhook: {{url: \"http://{}/hook\", secret: key}}\n    - slack: {{urlFrom: chat}}\n",
        signed.address
    );
    let mut stage = Stage::bare(|clone| notify(clone, &receivers));
    let key = stage.write("key", "s3cret\n");
    let url = stage.write("chat", &format!("http://{}/services/T0KEN\n", chat.address));
    stage.set("TURQUOISE_ALLOW_SECRET", &format!("key=file:{},chat=file:{}", key.display(), url.display()));
    stage.set("TURQUOISE_PUBLIC_URL", "https://turquoise.example.org/");
    stage.set("TURQUOISE_COMMIT_URL", "https://git.example.org/commit/{commit}");
    stage.run();
    stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
    let nasty = "<!channel> <b>bold</b> \u{1b}[31mred\u{202e} & `rm`\nTurquoise-App: shop\nTurquoise-Verdict: released";
    let broken = stage.commit(nasty, |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 2.0.0-smoke-fails"));
    });
    stage.until_verdict(&broken, "rejected");
    let rejected = event("rejected", &broken);
    stage.until("the message", |_| signed.stories().contains(&rejected));
    stage.until("the chat", |_| chat.arrived().len() >= signed.arrived().len());

    for arrived in signed.arrived() {
        let (timestamp, signature) = (&arrived.headers[TIMESTAMP_HEADER], &arrived.headers[SIGNATURE_HEADER]);
        let sent = timestamp.parse().expect("a time");
        assert!(verify(b"s3cret", timestamp, signature, arrived.body.as_bytes(), sent, 0));
        assert!(!verify(b"other", timestamp, signature, arrived.body.as_bytes(), sent, 0));
        assert_eq!(arrived.headers["content-type"], "application/cloudevents+json");
    }
    let told = signed.heard().into_iter().find(|one| story(one) == rejected).expect("heard");
    let subject = told["data"]["subject"].as_str().expect("a subject").to_owned();
    assert!(subject.starts_with("<!channel> <b>bold</b> [31mred") && !subject.contains('\u{1b}'), "{subject:?}");
    assert_eq!(told["data"]["links"]["revision"], format!("https://git.example.org/commit/{broken}"));
    let words = chat.arrived().into_iter().find(|one| one.body.contains("rejected")).expect("said").json().to_string();
    assert!(words.contains("&lt;!channel&gt;") && words.contains("https://turquoise.example.org/"), "{words}");
    for bad in ["<!", "<b>", "\\u001b", "\u{1b}", "\u{202e}"] {
        assert!(!words.contains(bad), "{bad:?} in {words}");
    }

    // Nor the log, the page, the status, git or the command line; and no secret is anywhere.
    let cli = turquoise().args(["status", "--server", &stage.server()]).output().expect("it runs");
    let places = [
        ("log", stage.log()),
        ("page", stage.get("/")),
        ("status", stage.get("/api/v1/apps")),
        ("metrics", stage.get("/metrics")),
        ("git", stage.git_log("%B").join("\n").replace(nasty.lines().next().expect("a line"), "")),
        ("cli", String::from_utf8_lossy(&cli.stdout).into_owned()),
        ("record", stage.kubectl(&["get", "configmap", "turquoise-shop-deliveries", "-o", "yaml"])),
        ("events", stage.kubectl(&["get", "events", "-o", "yaml"])),
    ];
    for (place, text) in places {
        for bad in ["s3cret", "T0KEN", "\u{1b}[31mred", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {place}: {text}");
        }
        assert!(!(place == "page" && text.contains("<b>bold")), "{text}");
    }
    assert_eq!(stage.verdicts(&broken, "rejected"), 1);
    stage.ends();
}

#[test]
fn what_is_not_granted_is_blocked_by_name_and_told() {
    let receiver = Receiver::start(Manner::Well);
    let stage = Stage::open_with(|clone| notify(clone, &webhook(&receiver)));
    let asks = stage.commit("Ask for more", |clone| {
        edit(&clone.join("turquoise.yaml"), |text| {
            let more = "    - webhook: {url: \"http://metadata.example/\", secret: theirs}\n";
            format!("{text}{more}  namespace: kube-system\n")
        });
    });
    let status = stage.until("blocked", |app| app["phase"] == "blocked" && app["head"] == asks.as_str());
    let words = status["blocked"].to_string();
    for flag in ["--allow-namespace kube-system", "--allow-host metadata.example", "--allow-secret theirs="] {
        assert!(words.contains(flag), "{flag}: {words}");
    }
    assert_eq!(
        stage.kubectl(&["get", "deployments", "-n", "kube-system", "-l", "turquoise.dev/app", "-o", "name"]),
        ""
    );
    let mended = stage.revert(&asks);
    stage.until("mended", |app| app["head"] == mended.as_str() && stage.is_at_rest(app));
    stage.ends();
}

#[test]
fn a_selector_emptied_in_git_is_told_once() {
    let receiver = Receiver::start(Manner::Well);
    let mut stage = Stage::open_with(|clone| notify(clone, &webhook(&receiver)));
    let red = stage.select("red");
    stage.until("blocked", |app| app["phase"] == "blocked" && app["head"] == red.as_str());
    let blocked = || receiver.heard().into_iter().filter(|one| one["data"]["kind"] == "blocked").collect::<Vec<_>>();
    stage.until("the message", |_| !blocked().is_empty());
    stage.kill();
    stage.run();
    stage.until("blocked still", |app| app["phase"] == "blocked");
    stage.commit("Something else", |clone| std::fs::write(clone.join("README.md"), "words").expect("written"));
    stage.until("looked at again", |app| stage.is_at_rest(app));
    let told = blocked();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0]["data"]["cure"].as_str().is_some_and(|cure| cure.contains("`blue` or `green`")), "{:#}", told[0]);
    let mended = stage.select("blue");
    stage.until("mended", |app| app["head"] == mended.as_str() && stage.is_at_rest(app));
    stage.ends();
}

#[test]
fn a_hook_beyond_loopback_needs_a_secret() {
    let stage = Stage::bare(|_| {});
    let output = stage.run_to_its_end(&["--listen", "0.0.0.0:0"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("--hook-secret") && words.contains("--no-push-hook"), "{words}");
    for wrong in ["s3cret", "file:/nonexistent/secret", "env:NO_SUCH_VARIABLE"] {
        let output = stage.run_to_its_end(&["--listen", "0.0.0.0:0", "--hook-secret", wrong]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}");
    }
}
