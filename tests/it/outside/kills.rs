//! kill -9 at any moment, and a stop by SIGTERM.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::stage::{Stage, edit};
use super::tap::Moment;
use super::world::Only;

const TAP: Only = Only::Sandbox("the tap carries plain HTTP; a real API server speaks TLS alone");

/// Fewer writes than any of these deeds takes, and more: a count that does not end is a loop.
const WRITES_MIN: usize = 3;
const WRITES_MAX: usize = 60;

/// What is done again and again, and the end that it must come to.
struct Deed {
    /// What comes before the first time.
    prepare: fn(&Stage),
    /// Does it for the n-th time, and gives the revision that it is about.
    act: fn(&Stage, usize) -> String,
    /// The phases in which it has ended.
    phases: &'static [&'static str],
    /// Whether the status of an app in one of these phases is its end.
    is_done: fn(&Value, &str) -> bool,
    /// What is in the log of the revision, each once.
    verdicts: &'static [&'static str],
}

/// Kills turquoise at each of the writes that it makes of a deed, one a round, until there is none left to be killed at.
/// They are found by counting: the first round without a death is the last.
fn killed_at_each_write(policy: impl FnOnce(&Path), deed: &Deed) {
    let Some(mut stage) = TAP.bare_with_images(policy, &[]) else { return };
    let tap = stage.tapped();
    let mut stage = stage.opened();
    (deed.prepare)(&stage);
    let mut count = 0;
    for moment in [Moment::Before, Moment::After] {
        let mut deaths = Vec::new();
        loop {
            count += 1;
            let round = deaths.len() + 1;
            assert!(round < WRITES_MAX, "there are always more writes: {deaths:#?}");
            let is_done = |stage: &Stage, app: &Value, revision: &str| {
                let is_quiet = deed.phases.iter().any(|phase| app["phase"] == *phase);
                is_quiet && (deed.is_done)(app, revision) && stage.is_at_rest(app)
            };
            tap.arm(stage.daemon.as_ref().expect("turquoise runs").id(), round, moment);
            let revision = (deed.act)(&stage, count);
            stage.until("a death or the end", |app| tap.has_killed() || is_done(&stage, app, &revision));
            let death = tap.disarm();
            if death.is_some() {
                stage.kill();
                stage.run();
            }
            stage.until(&format!("the same end after {death:?}"), |app| is_done(&stage, app, &revision));
            for verdict in deed.verdicts {
                assert_eq!(stage.verdicts(&revision, verdict), 1, "{verdict}, {death:?}\n{}", stage.log());
            }
            match death {
                Some(death) => deaths.push(death),
                None => break,
            }
        }
        assert!(deaths.len() >= WRITES_MIN, "only {deaths:#?}");
        // Seen with `--nocapture`.
        println!("killed {moment:?} each of {} writes: {deaths:#?}", deaths.len());
    }
    stage.ends();
}

#[test]
fn killed_again_and_again_the_end_is_the_same() {
    let mut stage = Stage::open();
    // The pauses walk over the whole of a release, which takes about half a second.
    let pauses = [30, 60, 90, 120, 160, 200, 240, 280, 320, 360, 400, 440, 500].map(Duration::from_millis);
    let mut pauses = pauses.into_iter().cycle();
    let mut colour = "green";
    for (round, version) in ["1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0", "1.0.0"].into_iter().enumerate() {
        let bump = stage.bump(version);
        for _ in 0..3 {
            std::thread::sleep(pauses.next().unwrap_or_default());
            stage.kill();
            stage.run();
        }
        stage.until_live(colour, version);
        assert_eq!(stage.verdicts(&bump, "released"), 1, "round {round}: one verdict\n{}", stage.log());
        colour = if colour == "green" { "blue" } else { "green" };
    }
    let broken = stage.bump("2.0.0-smoke-fails");
    for _ in 0..3 {
        std::thread::sleep(pauses.next().unwrap_or_default());
        stage.kill();
        stage.run();
    }
    stage.until_verdict(&broken, "rejected");
    assert_eq!(stage.verdicts(&broken, "rejected"), 1);
    stage.ends();
}

#[test]
fn sigterm_ends_with_zero_and_a_restart_goes_on() {
    let mut stage = Stage::open();
    let slow = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    assert_eq!(stage.terminate(), Some(0));
    stage.run();
    stage.until_live("green", "1.1.0-slow-start");
    assert_eq!(stage.verdicts(&slow, "released"), 1);
    stage.ends();
}

#[test]
fn s80_killed_at_each_write_of_a_release() {
    // Three versions and two colours: each meets each.
    killed_at_each_write(
        watch("0s"),
        &Deed {
            prepare: |_| {},
            act: |stage, count| stage.bump(["1.1.0", "1.2.0", "2.0.0"][count % 3]),
            phases: &["settled"],
            is_done: |app, revision| serves(app, revision) && app["verdict"]["verdict"] == "released",
            verdicts: &["released"],
        },
    );
}

#[test]
fn s80_killed_at_each_write_of_a_return() {
    // The revert of a revert is a return, too: both colours hold what they were released with, all the time.
    killed_at_each_write(
        watch("0s"),
        &Deed {
            prepare: |stage| {
                stage.bump("1.1.0");
                stage.until_live("green", "1.1.0");
            },
            act: |stage, _| {
                let newest = stage.person(&["log", "-1", "--format=%H", "--author=A developer"]);
                stage.revert(&newest)
            },
            phases: &["settled"],
            is_done: |app, revision| serves(app, revision) && app["verdict"]["verdict"] == "released",
            verdicts: &["released"],
        },
    );
}

#[test]
fn s80_killed_at_each_write_of_a_rejection() {
    killed_at_each_write(
        watch("0s"),
        &Deed {
            prepare: |_| {},
            act: |stage, count| stage.bump(["2.0.0-smoke-fails", "2.1.0-smoke-fails"][count % 2]),
            phases: &["settled"],
            is_done: |app, revision| {
                app["verdict"]["revision"] == revision && app["verdict"]["verdict"] == "rejected" && is_kept(app)
            },
            verdicts: &["rejected"],
        },
    );
}

#[test]
fn s80_killed_at_each_write_of_a_flip_back() {
    // The window is longer than a busy machine takes to notice; that of the way back ends as a release's does.
    killed_at_each_write(
        watch("20s"),
        &Deed {
            prepare: |_| {},
            act: |stage, count| stage.bump(["2.0.0-breaks-live", "2.1.0-breaks-live"][count % 2]),
            phases: &["settled", "watching"],
            is_done: |app, revision| {
                app["verdict"]["revision"] == revision && app["verdict"]["verdict"] == "rejected" && is_kept(app)
            },
            verdicts: &["released", "rejected"],
        },
    );
}

/// Connections that clients keep to the idle colour end at its frontends before anything behind them is of another version,
/// however long turquoise is away in the middle.
#[test]
fn a_deploy_that_is_cut_off_between_two_tiers_mixes_no_versions() {
    // Longer than pods take to start and to end.
    const AWAY: Duration = Duration::from_secs(3);
    let Some(mut stage) = TAP.bare_with_images(watch("0s"), &[]) else { return };
    let tap = stage.tapped();
    let mut stage = stage.opened();
    let first = stage.bump("1.1.0");
    stage.until("the first flip", |app| serves(app, &first) && stage.is_at_rest(app));
    let cut_off = (1..WRITES_MAX).find_map(|at| {
        tap.arm(stage.daemon.as_ref().expect("turquoise runs").id(), at, Moment::After);
        let revision = stage.bump(["1.2.0", "2.0.0", "2.1.0"][at % 3]);
        stage.until("a death", |_| tap.has_killed());
        let death = tap.disarm().unwrap_or_default();
        stage.kill();
        let workload = death.split_once("/deployments/").map(|(_, name)| name.to_owned());
        if workload.is_some() {
            std::thread::sleep(AWAY);
        }
        stage.run();
        stage.until(&format!("the end after {death}"), |app| serves(app, &revision) && stage.is_at_rest(app));
        workload
    });
    assert!(cut_off.as_ref().is_some_and(|name| name.contains("shop-frontend")), "{cut_off:?} was written first");
    stage.ends();
}

/// The colour that both git and cluster name carries the revision.
fn serves(app: &Value, revision: &str) -> bool {
    let serving = app["serving"].as_str().unwrap_or_default();
    app["declared"] == serving && app["colours"][serving]["revision"] == revision
}

/// The first colour serves on, and the other one is scaled down.
fn is_kept(app: &Value) -> bool {
    app["serving"] == "blue" && app["declared"] == "blue" && app["colours"]["green"]["ready"] == 0
}

fn watch(window: &'static str) -> impl FnOnce(&Path) {
    move |clone| {
        edit(&clone.join("turquoise.yaml"), |text| text.replace("watch: 2s", &format!("watch: {window}")));
    }
}
