//! Every state of the status page, without a cluster: `cargo run --example gallery`, then look at the address that it
//! prints. `make page-test` looks at it with a real browser.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use turquoise::core::book::{Book, Fact, HistoryLine, Note};
use turquoise::core::colour::{ByColour, Colour};
use turquoise::core::ids::{AppName, CommitId};
use turquoise::core::observed::Drift;
use turquoise::core::outside::Outside;
use turquoise::core::report::{Alert, Blocked, Phase, Waiting};
use turquoise::core::status::{AppStatus, Candidate, CheckStatus, ColourStatus, VerdictStatus};
use turquoise::core::text::OneLine;
use turquoise::core::verdict::Verdict;
use turquoise::daemon::clock;
use turquoise::http::{Board, ServeError, serve};

/// What a hostile commit, pod or check may try.
const HOSTILE: &str =
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u{1b}[31m'\"&amp;</p>";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ServeError> {
    let many = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let board = Board::new(|| {});
    for app in [
        settled(),
        deploying(),
        verifying(),
        awaiting(),
        watching(),
        rejected(),
        blocked(),
        drifting(),
        failing(),
        hostile(),
        fresh(),
    ] {
        show(&board, app);
    }
    for number in 0..many {
        let mut app = settled();
        app.name = AppName::new(format!("app-{number:03}"));
        show(&board, app);
    }
    let (address, server) = serve(([127, 0, 0, 1], 0).into(), board.clone(), &Outside::default()).await?;
    println!("http://{address}/");
    let moving = async {
        let mut round = 0_u32;
        loop {
            let mut app = verifying();
            app.name = AppName::new("moving");
            // A page looks every two seconds: a phase that changed as often would always look the same.
            app.phase = if (round / 3).is_multiple_of(2) { Phase::Verifying } else { Phase::Flipping };
            app.colours.green.ready = round % 5;
            show(&board, app);
            round += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! { () = server => {}, () = moving => {}, _ = tokio::signal::ctrl_c() => {} }
    Ok(())
}

fn show(board: &Board, app: AppStatus) {
    let subject = if app.name.as_str() == "hostile" { HOSTILE } else { "Let the basket remember what was in it" };
    let book = Arc::new(book(subject));
    board.set_library(app.name.clone(), Arc::new(move |_| Ok((*book).clone())));
    board.set(app);
}

fn id(digit: char) -> CommitId {
    CommitId::new("4f0c9a1e6d2b8c7a5f3e1d0c9b8a7f6e5d4c3b2a".replace('4', &digit.to_string()))
}

fn ago(seconds: i64) -> Timestamp {
    clock::now() - SignedDuration::from_secs(seconds)
}

fn app(name: &str, phase: Phase) -> AppStatus {
    let mut app = AppStatus::unknown(
        AppName::new(name),
        "shop".into(),
        "https://github.com/example/shop.git".into(),
        "main".into(),
    );
    let state = |revision: CommitId, image: &str, ready, wanted| ColourStatus {
        revision: Some(revision),
        images: vec![image.to_owned()],
        ready,
        wanted,
    };
    app.head = Some(id('9'));
    app.phase = phase;
    app.declared = Some(Colour::Blue);
    app.serving = Some(Colour::Blue);
    app.idle = Some(Colour::Green);
    app.colours = ByColour {
        blue: state(id('a'), "registry.example.org/team/shop:1.1.0", 4, 4),
        green: state(id('b'), "registry.example.org/team/shop:1.0.0", 4, 4),
    };
    app.verdict = Some(verdict(id('a'), Verdict::Released, None));
    app.synced_at = Some(ago(4));
    app
}

fn verdict(revision: CommitId, verdict: Verdict, reason: Option<&str>) -> VerdictStatus {
    VerdictStatus { revision, verdict, reason: reason.map(OneLine::new), at: Some(ago(300)) }
}

fn check(name: &str, state: &'static str, reason: Option<&str>) -> CheckStatus {
    CheckStatus { name: name.to_owned(), state, reason: reason.map(OneLine::new) }
}

fn settled() -> AppStatus {
    app("settled", Phase::Settled)
}

fn candidate(app: &mut AppStatus, checks: Vec<CheckStatus>) {
    app.colours.green = ColourStatus {
        revision: Some(id('c')),
        images: vec!["registry.example.org/team/shop:2.0.0".into()],
        ready: 4,
        wanted: 4,
    };
    app.candidate = Some(Candidate { revision: id('c'), checks });
}

fn deploying() -> AppStatus {
    let mut app = app("deploying", Phase::Deploying);
    candidate(&mut app, vec![check("smoke", "pending", None)]);
    app.colours.green.ready = 1;
    let trouble = Some(OneLine::new("pod shop-green-7c9d: ImagePullBackOff: back-off pulling image \"shop:2.0.0\""));
    app.waiting = vec![Waiting::Readiness { colour: Colour::Green, ready: 1, wanted: 4, trouble, deadline: ago(-97) }];
    app
}

fn verifying() -> AppStatus {
    let mut app = app("verifying", Phase::Verifying);
    candidate(
        &mut app,
        vec![check("smoke", "passed", None), check("prices", "running", None), check("load", "pending", None)],
    );
    app.waiting = vec![Waiting::Checks { checks: vec!["prices".into(), "load".into()] }];
    app
}

fn awaiting() -> AppStatus {
    let mut app = app("awaiting", Phase::AwaitingApproval);
    candidate(&mut app, vec![check("smoke", "passed", None)]);
    app.verdict = Some(verdict(id('c'), Verdict::Verified, None));
    app.waiting = vec![Waiting::Approval { colour: Colour::Green, revision: id('c') }];
    app
}

fn watching() -> AppStatus {
    let mut app = app("watching", Phase::Settled);
    app.waiting = vec![Waiting::Watch { until: ago(-1500) }, Waiting::Retire { colour: Colour::Green, at: ago(-4000) }];
    app
}

fn rejected() -> AppStatus {
    let mut app = app("rejected", Phase::Settled);
    app.verdict =
        Some(verdict(id('c'), Verdict::Rejected, Some("check `smoke`: /smoke answered 500: no stock in warehouse 7")));
    app.colours.green = ColourStatus {
        revision: Some(id('c')),
        images: vec!["registry.example.org/team/shop:2.0.0".into()],
        ready: 0,
        wanted: 0,
    };
    app
}

fn blocked() -> AppStatus {
    let mut app = app("blocked", Phase::Settled);
    let problems = [
        "turquoise.yaml:7: unknown field `wach`; did you mean `watch`?",
        "overlays/green/kustomization.yaml:9: ConfigMap shop-settings-blue: both colours render an object of this name",
    ];
    let blocked = Blocked::Invalid { problems: problems.into_iter().map(OneLine::new).collect() };
    app.set_blocked(&id('9'), blocked, ago(4));
    app
}

fn drifting() -> AppStatus {
    let mut app = app("drifting", Phase::Settled);
    app.alerts = vec![
        Alert::Drift { objects: vec![OneLine::new("Deployment shop-backend-blue")] },
        Alert::Astray { services: vec!["shop".into()] },
    ];
    app.drift = vec![Drift {
        object: OneLine::new("Deployment shop-backend-blue"),
        field: OneLine::new("spec.template.spec.containers[backend].image"),
        wanted: OneLine::new("registry.example.org/team/shop:1.1.0"),
        found: OneLine::new("registry.example.org/team/shop:edge"),
    }];
    app
}

fn failing() -> AppStatus {
    let mut app = app("failing", Phase::Settled);
    app.error = Some(OneLine::new("failed to read the Deployments: no answer in 10 s"));
    app.synced_at = Some(ago(754));
    app
}

fn hostile() -> AppStatus {
    let mut app = app("hostile", Phase::Verifying);
    candidate(&mut app, vec![check(HOSTILE, "failed", Some(HOSTILE))]);
    app.namespace = HOSTILE.to_owned();
    app.repo = AppStatus::unknown(
        AppName::new("hostile"),
        String::new(),
        format!("https://user:hunter2@github.com/x/{HOSTILE}"),
        String::new(),
    )
    .repo;
    app.branch = HOSTILE.to_owned();
    app.colours.blue.images = vec![HOSTILE.to_owned(), "x".repeat(300)];
    app.error = Some(OneLine::new(HOSTILE));
    app.alerts = vec![Alert::NothingToGoBackTo { failure: OneLine::new(HOSTILE) }];
    app.drift = vec![Drift {
        object: OneLine::new(HOSTILE),
        field: OneLine::new(HOSTILE),
        wanted: OneLine::new(HOSTILE),
        found: OneLine::new(&"y".repeat(300)),
    }];
    app.blocked = Some(Blocked::Refused { words: OneLine::new(HOSTILE) }.into());
    app.verdict = Some(verdict(id('c'), Verdict::Rejected, Some(HOSTILE)));
    app.waiting = vec![Waiting::Checks { checks: vec![HOSTILE.to_owned()] }];
    app
}

fn fresh() -> AppStatus {
    AppStatus::unknown(AppName::new("fresh"), "shop".into(), "/srv/git/shop.git".into(), "main".into())
}

fn book(subject: &str) -> Book {
    let line = |commit, subject: &str, author: &str, seconds, live, facts: &[(CommitId, Verdict)]| HistoryLine {
        commit,
        subject: OneLine::new(subject),
        author: OneLine::new(author),
        at: ago(seconds),
        live,
        facts: facts.iter().map(|(revision, verdict)| Fact { revision: revision.clone(), verdict: *verdict }).collect(),
    };
    let blue = Some(Colour::Blue);
    let history = vec![
        line(id('9'), "shop: 0c9a1e6 is rejected", "turquoise", 300, blue, &[(id('c'), Verdict::Rejected)]),
        line(id('c'), subject, "Ada Lovelace", 420, None, &[]),
        line(
            id('d'),
            "shop: blue goes live with shop:1.1.0",
            "turquoise",
            3600,
            blue,
            &[(id('a'), Verdict::Released), (id('e'), Verdict::Superseded)],
        ),
        line(id('a'), "Release 1.1.0", "Grace Hopper", 3700, None, &[]),
        line(
            id('f'),
            "shop: green goes live with shop:1.0.0",
            "turquoise",
            90_000,
            Some(Colour::Green),
            &[(id('b'), Verdict::Released)],
        ),
        line(id('b'), "Release 1.0.0", "Grace Hopper", 900_000, None, &[]),
    ];
    let note = |subject: &str, seconds, merge| Note {
        subject: OneLine::new(subject),
        author: OneLine::new("Grace Hopper"),
        at: ago(seconds),
        merge,
    };
    let notes = [
        (id('a'), note("Release 1.1.0", 3700, true)),
        (id('b'), note("Release 1.0.0", 900_000, false)),
        (id('c'), note(subject, 420, false)),
    ];
    Book { history, notes: notes.into_iter().collect() }
}
