//! Random people, faults and kills for a while, under traffic: no request fails, git and cluster agree whenever it is
//! quiet, and turquoise grows neither in memory nor in open files.
//!
//! `cargo test` plays for seconds; `make soak` for an hour (`TURQUOISE_SOAK_SECONDS`). `TURQUOISE_SOAK_SEED` plays the
//! same hands again, as far as the machine allows.

use std::fmt::Debug;
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::stage::{Stage, edit, hermetic};
use super::tap::{Fault, Moment, Tap};
use super::world::Only;

const TAP: Only = Only::Sandbox("faults of the server come from the tap, which carries plain HTTP");

/// What `cargo test` plays: some twenty hands.
const SECONDS: u64 = 20;
/// Hands between two moments at which everything must have come to rest.
const HANDS_MAX: usize = 4;
/// The longest pause between two hands: a release takes half a second, so hands fall into all of its parts.
const PAUSE_MS_MAX: u64 = 700;
/// What a dev build may hold: it starts with some 50 MB, and pods, versions and revisions are the same few all the time.
const MEMORY_KB_MAX: u64 = 100 * 1024;
/// Files: some dozen for the loop, watches and the repository, and those of requests under way.
const FILES_MAX: usize = 128;

#[derive(Debug, Clone, Copy)]
enum Hand {
    Bump(&'static str),
    RevertPerson,
    RevertTurquoise,
    Select(&'static str),
    Replicas(u8),
    Empty,
    ScaleIdle,
    DeleteIdle,
    Label,
    Kill,
    KillAtWrite(usize, Moment),
    Stop,
    Break(Fault),
}

/// Versions that are healthy, and such that fail in their ways; a crash is found within a second.
const VERSIONS: [&str; 8] =
    ["1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0", "2.0.0-smoke-fails", "1.1.0-crash", "2.1.0-wrong-backend"];

fn draw(random: &mut Rng) -> Hand {
    match random.u8(..28) {
        0..8 => Hand::Bump(VERSIONS[random.usize(..VERSIONS.len())]),
        8..11 => Hand::RevertPerson,
        11..13 => Hand::RevertTurquoise,
        13 => Hand::Select(if random.bool() { "blue" } else { "green" }),
        14 => Hand::Replicas(random.u8(1..4)),
        15 => Hand::Empty,
        16 => Hand::ScaleIdle,
        17 => Hand::DeleteIdle,
        18 => Hand::Label,
        19 | 20 => Hand::Kill,
        21..24 => Hand::KillAtWrite(random.usize(1..12), if random.bool() { Moment::Before } else { Moment::After }),
        24 => Hand::Stop,
        25 => Hand::Break(Fault::Answers { status: [409, 429, 500, 503][random.usize(..4)], each: random.usize(1..4) }),
        26 => Hand::Break(Fault::Stale { from: random.usize(..10) }),
        _ => Hand::Break([Fault::Silent, Fault::Unwatched, Fault::Lost { each: 2 }][random.usize(..3)]),
    }
}

struct Soak {
    stage: Stage,
    tap: Tap,
    played: Vec<Hand>,
}

impl Soak {
    fn play(&mut self, hand: Hand) {
        let stage = &mut self.stage;
        match hand {
            Hand::Bump(version) => drop(stage.bump(version)),
            Hand::RevertPerson => revert(stage, "A developer"),
            Hand::RevertTurquoise => revert(stage, "turquoise"),
            Hand::Select(colour) => drop(stage.select(colour)),
            Hand::Replicas(count) => {
                drop(stage.commit("Another size", |clone| {
                    edit(&clone.join("base/frontend.yaml"), |text| {
                        let (before, rest) = text.split_once("replicas: ").expect("a size");
                        format!("{before}replicas: {count}{}", rest.get(1..).unwrap_or_default())
                    });
                }));
            }
            Hand::Empty => drop(stage.commit("Nothing", |_| {})),
            Hand::ScaleIdle => idle(stage, &["scale", "--replicas=1"]),
            Hand::DeleteIdle => idle(stage, &["delete"]),
            Hand::Label => {
                drop(stage.kubectl(&["label", "--overwrite", "service", "shop", "team=shop"]));
            }
            Hand::Kill => {
                stage.kill();
                stage.run();
            }
            Hand::Stop => {
                let code = stage.terminate();
                assert!(code == Some(0) || self.tap.has_killed(), "it ended with {code:?}");
                stage.run();
            }
            Hand::KillAtWrite(at, moment) => {
                self.tap.arm(stage.daemon.as_ref().expect("turquoise runs").id(), at, moment);
            }
            Hand::Break(fault) => self.tap.breaks(fault),
        }
        self.played.push(hand);
    }

    /// Who was killed starts again; the server is well.
    fn mend(&mut self) {
        if self.tap.disarm().is_some() {
            self.stage.kill();
            self.stage.run();
        }
        self.tap.mends();
    }

    /// Everything comes to rest: git and cluster agree, and nothing more is committed.
    fn rests(&self) {
        let played = &self.played;
        let what = format!("rest after {:?}", &played[played.len().saturating_sub(12)..]);
        self.stage.until(&what, |app| {
            app["phase"] == "settled" && self.stage.is_at_rest(app) && app["declared"] == app["serving"]
        });
    }
}

/// A revert of somebody's newest commit, where git can do it without a person.
fn revert(stage: &Stage, author: &str) {
    stage.person(&["fetch", "--quiet"]);
    stage.person(&["reset", "--quiet", "--hard", "origin/main"]);
    let commit = stage.person(&["log", "-1", "--format=%H", "--author", author]);
    let git = |args: &[&str]| {
        hermetic("git", stage.folder()).current_dir(stage.clone_path()).args(args).output().expect("git runs").status
    };
    // The first commit made everything: its revert would take the app away.
    if stage.git_log("%H").len() > 2 && git(&["revert", "--no-edit", &commit]).success() {
        // Somebody was faster: a person who gives up.
        git(&["push", "--quiet"]);
    } else {
        git(&["revert", "--abort"]);
    }
}

/// kubectl with the idle colour's frontend, if it is there.
fn idle(stage: &Stage, args: &[&str]) {
    let status = stage.status();
    let Some(idle) = status["idle"].as_str().filter(|_| status["declared"] == status["serving"]) else { return };
    // A release may make it the live one in this very moment, and that hand is another story's.
    if status["phase"] != "settled" || status["colours"][idle]["wanted"] == 0 {
        return;
    }
    let deployment = format!("deployment/shop-frontend-{idle}");
    let _not_there = hermetic("kubectl", stage.folder())
        .args(["--kubeconfig", "kubeconfig"])
        .current_dir(stage.folder())
        .args(args)
        .arg(deployment)
        .output();
}

/// Resident memory in KiB, and open files, of turquoise.
fn weight(stage: &Stage) -> (u64, usize) {
    let pid = stage.daemon.as_ref().expect("turquoise runs").id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    (resident, fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count))
}

fn setting<T: std::str::FromStr<Err: Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn random_people_faults_and_kills_end_in_rest_and_no_request_fails() {
    let Some(mut stage) = TAP.bare_with_images(|_| {}, &[]) else { return };
    let seed = setting("TURQUOISE_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let end = Instant::now() + Duration::from_secs(setting("TURQUOISE_SOAK_SECONDS").unwrap_or(SECONDS));
    println!("TURQUOISE_SOAK_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let tap = stage.tapped();
    let mut soak = Soak { stage: stage.opened(), tap, played: Vec::new() };
    let (mut memory_kb, mut files, mut rests) = (0, 0, 0);
    while Instant::now() < end {
        for _ in 0..random.usize(1..=HANDS_MAX) {
            let hand = draw(&mut random);
            soak.play(hand);
            std::thread::sleep(Duration::from_millis(random.u64(..PAUSE_MS_MAX)));
            // A fault and a death each last for one more hand.
            if random.bool() {
                soak.mend();
            }
        }
        soak.mend();
        soak.rests();
        rests += 1;
        let (now_kb, now_files) = weight(&soak.stage);
        (memory_kb, files) = (now_kb.max(memory_kb), now_files.max(files));
        assert!(memory_kb <= MEMORY_KB_MAX, "{memory_kb} KiB are resident after {} hands", soak.played.len());
        assert!(files <= FILES_MAX, "{files} files are open after {} hands", soak.played.len());
    }
    println!("{} hands, {rests} rests, {memory_kb} KiB, {files} files at most", soak.played.len());
    soak.stage.ends();
}
