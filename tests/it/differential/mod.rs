//! The planner against the reference model: the same history, the same end.
//!
//! The model lies beside the project (`TURQUOISE_SHARED`, else `../shared`); where it is not there, nothing is compared.
//! Both sides count an act's delay in the same steps: a deploy, a scaling, a passing check before a flip, a commit, a
//! patch and the end of a watch are one each; whatever else turquoise does is free.

mod exceptions;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use fastrand::Rng;
use serde_json::{Value, json};
use turquoise::core::action::Action;
use turquoise::core::colour::Colour;
use turquoise::core::observed::CheckKey;
use turquoise::core::verdict::Verdict;

use crate::property::started;
use crate::world::cluster::Pace;
use crate::world::git::index;
use crate::world::people::{Op, Undone};
use crate::world::{Progress, Retiring, Run, Setup, World, judge};

const CASES: u64 = 6_000;
/// Differences that are shown.
const SHOWN_MAX: usize = 6;
/// What the model's delays call "until nothing is to be done".
const REST: u64 = 99;
/// What people do in the model.
const OPS: [&str; 24] = [
    "bump2", "bump3", "bump9", "bump8", "bump7", "bump1", "rv_last", "rv_prev", "rv_flip", "rv_rej", "selector",
    "bump+sel", "liveov", "idleov", "bothov", "empty", "lockdel", "lockswap", "kubectl", "crash", "ext", "rot",
    "rv_ver", "rv_pin",
];

/// One history.
pub(super) struct History {
    pub(super) manual: bool,
    pub(super) zero: bool,
    pub(super) ops: Vec<(&'static str, u64)>,
}

impl History {
    fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let ops = (0..1 + rng.usize(..4)).map(|_| {
            let delay = [0, 1, 2, 3, 4, REST, REST][rng.usize(..7)];
            (OPS[rng.usize(..OPS.len())], delay)
        });
        let ops = ops.collect();
        Self { manual: rng.u8(..4) == 0, zero: rng.u8(..4) == 0, ops }
    }

    fn to_json(&self) -> Value {
        json!({ "manual": self.manual, "retire": if self.zero { "zero" } else { "keep" }, "ops": self.ops })
    }

    fn setup(&self) -> Setup {
        Setup {
            manual: self.manual,
            retiring: if self.zero { Retiring::Zero } else { Retiring::Keep },
            pace: Pace { start_s: 0, endpoints_s: 0, check_s: 0 },
            watch_s: 1,
            ..Setup::PLAIN
        }
    }
}

/// What one step of the planner counts in the model.
fn cost(world: &World, action: &Action) -> u64 {
    let declared = world.git.tree().declared();
    match action {
        // Content that stays is written down anew, and scaled up in the model's next step; where the selector names the
        // colour, the model writes it down for nothing.
        Action::Deploy(deploy) => {
            let content = world.git.commits[index(&deploy.render)].tree.content(deploy.colour);
            let objects = &world.cluster.colours[deploy.colour];
            if objects.content() == Some(content) {
                u64::from(declared != Some(deploy.colour)) + u64::from(objects.replicas() == 0)
            } else {
                1
            }
        }
        Action::Check { keys } => {
            let preview = keys.iter().any(|key| key.target == crate::world::look::PREVIEW);
            let fails = keys
                .iter()
                .any(|key| world.cluster.colours[key.colour].content().is_some_and(|content| content.base == 8));
            // Situation 55: what was released in one colour is not trusted in the other; and passes are bound to the
            // revision. The model trusts the log and the pods, and comes to the same end one step sooner.
            let log = world.git.verdicts();
            let passed = |key: &CheckKey| {
                let same = |run: &Run| run.key.pods == key.pods && run.key.target == key.target && !run.fails;
                world.process.checks.iter().any(same)
            };
            let trusted = declared != world.cluster.serving()
                && keys.iter().all(|key| log.released_and_not_rejected_since(&key.revision) || passed(key));
            u64::from(preview && !fails && !trusted)
        }
        Action::Scale(_) | Action::Commit(_) | Action::Switch(_) | Action::EndWatch { .. } => 1,
        Action::ApplyOverlay(_)
        | Action::Adopt(_)
        | Action::Stamp(_)
        | Action::MarkInUse { .. }
        | Action::Recreate { .. }
        | Action::Resize { .. }
        | Action::Schedules(_)
        | Action::NoteInventory(_)
        | Action::PruneOverlay { .. }
        | Action::Prune { .. }
        | Action::PointPreviews { .. } => 0,
    }
}

/// Goes on for so many of the model's steps; true where it went further, because one action counts for two of them.
fn go(world: &mut World, steps: u64) -> bool {
    let mut done = 0;
    for _ in 0..judge::STEPS_TO_REST_MAX {
        if done >= steps {
            return done > steps;
        }
        let next = world.pending.front().map_or(0, |action| cost(world, action));
        match world.step() {
            Progress::Acted => done += next,
            Progress::Looked | Progress::Waited => {}
            Progress::Rest => return false,
        }
    }
    false
}

/// How a history ends; `None` where a revert conflicts.
fn end(world: &World, quiet: bool) -> Value {
    let tree = world.git.tree();
    let letter = |colour: Colour| if colour == Colour::Blue { "B" } else { "G" };
    let carried = |colour: Colour| {
        let objects = &world.cluster.colours[colour];
        objects.content().map(|content| json!([[content.base, content.overlay], objects.replicas() > 0]))
    };
    let pin = |colour: Colour| {
        let pin = tree.lock.pins[colour].as_ref();
        pin.map(|pin| json!([index(&pin.revision), format!("{:?}", pin.state).to_lowercase()]))
    };
    let facts = world.git.facts().filter(|fact| fact.verdict != Verdict::Superseded);
    json!({
        "quiet": quiet,
        "serving": world.cluster.serving().map(letter),
        "declared": tree.declared().map(letter),
        "carried": { "B": carried(Colour::Blue), "G": carried(Colour::Green) },
        "pins": { "B": pin(Colour::Blue), "G": pin(Colour::Green) },
        "rejected": tree.lock.rejected.as_ref().map(|rejection| index(&rejection.revision)),
        "log": facts.map(|fact| json!([index(&fact.revision), fact.verdict.as_str()])).collect::<Vec<_>>(),
    })
}

/// Plays a history: its end, the world then, and whether an act came too late by one step.
fn play(history: &History, told: bool) -> (Value, World, bool) {
    let mut world = started(history.setup());
    world.single = true;
    if told {
        world.transcript.begin();
    }
    let mut late = false;
    for (op, delay) in &history.ops {
        let op: Op = op.parse().expect("the model's ops are the world's");
        match world.person(op) {
            Ok(()) => late |= go(&mut world, if *delay == REST { u64::MAX } else { *delay }),
            Err(Undone::Void) => {}
            Err(Undone::Conflict(_)) => return (json!({ "conflict": true }), world, late),
        }
    }
    let quiet = world.rest();
    (end(&world, quiet), world, late)
}

fn model() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("TURQUOISE_SHARED").map_or_else(beside, PathBuf::from);
    let folder = shared.join("model");
    folder.join("rules.py").is_file().then_some(folder)
}

/// How the model ends each history.
fn ends_of_the_model(folder: &std::path::Path, histories: &[History]) -> Vec<Value> {
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/differential/driver.py");
    let mut child = Command::new("python3")
        .args(["-B", driver])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs the model");
    let mut stdin = child.stdin.take().expect("it is piped");
    let lines: Vec<String> = histories.iter().map(|history| history.to_json().to_string()).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.join("\n").as_bytes()));
    let output = child.wait_with_output().expect("the model ends");
    writer.join().expect("the writer ends").expect("the model reads all histories");
    assert!(output.status.success(), "the model plays all histories");
    let text = String::from_utf8(output.stdout).expect("the model writes text");
    text.lines().map(|line| serde_json::from_str(line).expect("the model writes JSON")).collect()
}

#[test]
fn ends_as_the_model_does() {
    let Some(folder) = model() else {
        println!("nothing to compare with: set TURQUOISE_SHARED to the folder that holds model/rules.py");
        return;
    };
    let cases = std::env::var("TURQUOISE_DIFF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let first: u64 = std::env::var("TURQUOISE_DIFF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let histories: Vec<History> = (first..first + cases).map(History::of).collect();
    let ends = ends_of_the_model(&folder, &histories);
    assert_eq!(ends.len(), histories.len(), "one end a history");
    let mut differences = Vec::new();
    let (mut compared, mut conflicts, mut excepted) = (0, 0, std::collections::BTreeMap::new());
    for (history, mut theirs) in histories.iter().zip(ends) {
        let trace = theirs.as_object_mut().and_then(|end| end.remove("trace"));
        let (ours, world, late) = play(history, false);
        if ours == theirs {
            compared += 1;
            conflicts += usize::from(theirs.get("conflict").is_some());
        } else if exceptions::is_released_again(&ours, &theirs) {
            *excepted.entry("I4: what serves and was withdrawn before is released again").or_insert(0) += 1;
        } else if let Some(name) = exceptions::of(history, late, &world) {
            *excepted.entry(name).or_insert(0) += 1;
        } else {
            differences.push((history, ours, theirs, trace));
        }
    }
    println!("{compared} alike, {conflicts} of them conflicts; excepted: {excepted:?}");
    differences.sort_by_key(|(history, ..)| history.ops.len());
    let shown = differences.iter().take(SHOWN_MAX).map(|(history, ours, theirs, trace)| {
        let (_, world, _) = play(history, true);
        let trace = trace.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}\nmodel: {theirs}\n  {trace}\nours:  {ours}\n{}\n", history.to_json(), world.transcript.text())
    });
    let shown: Vec<String> = shown.collect();
    assert!(differences.is_empty(), "{} of {cases} differ\n\n{}", differences.len(), shown.join("\n"));
}
