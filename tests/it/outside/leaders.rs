//! Several replicas, one leader, by a Lease. Whoever stands by looks, shows, and writes
//! nothing; whoever was cut off, frozen or killed is replaced in a few seconds, and nothing is done twice.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::many::{Many, Shop};
use super::receiver::{Manner, Receiver};
use super::replicas::Replicas;
use super::stage::{Stage, edit};
use super::transport::Transport;
use super::world::{Only, World};

/// From the leader's death to its successor's acting.
const TAKEOVER_MAX: Duration = Duration::from_secs(6);
/// From a leader's SIGTERM, or a replica's start under its own name, to somebody's acting.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Each replica has a way to the API server of its own, through which the test sees what it writes.
const WHY: &str = "the ways of the replicas to the API server are tapped in plain HTTP";

fn bare(prepare: impl FnOnce(&Path)) -> Option<Stage> {
    Only::Sandbox(WHY).bare_with_images(prepare, &[])
}

/// Two replicas, the first release live, and traffic.
fn world(stage: Option<Stage>) -> Option<Replicas> {
    let mut world = Replicas::open(stage?, &["a", "b"]);
    world.stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
    world.stage.with_traffic();
    Some(world)
}

fn notify(clone: &Path, receiver: &Receiver) {
    let words = format!("\n  notifications:\n    - webhook: {{url: \"http://{}/hook\"}}\n", receiver.address);
    edit(&clone.join("turquoise.yaml"), |text| format!("{text}{words}"));
}

const fn other(replica: usize) -> usize {
    1 - replica
}

/// Waits until the other one leads, and says how long it took.
fn taken_over(world: &Replicas, from: usize, since: Instant) -> Duration {
    world.until("a takeover", || world.leads(other(from)));
    let took = since.elapsed();
    println!("taken over after {} ms", took.as_millis());
    took
}

#[test]
fn one_acts_and_the_other_shows_the_same_and_writes_nothing() {
    let receiver = Receiver::start(Manner::Well);
    let start = Instant::now();
    let Some(mut world) = world(bare(|clone| notify(clone, &receiver))) else { return };
    let leader = world.until_led();
    let standby = other(leader);
    let name = |replica: usize| ["a", "b"][replica];
    assert_eq!(
        world.replica(leader),
        serde_json::json!({"name": name(leader), "leading": true, "leader": name(leader)})
    );
    assert_eq!(world.replica(standby)["leader"], name(leader));
    for (replica, leads) in [(leader, 1), (standby, 0)] {
        assert!(world.get(replica, "/metrics").contains(&format!("turquoise_leading {leads}\n")));
        world.until("both are ready", || world.get(replica, "/readyz").starts_with("ok\n"));
    }
    world.watch(standby);
    let bump = world.stage.bump("1.1.0");
    world.stage.until_live("green", "1.1.0");
    let broken = world.stage.bump("2.0.0-smoke-fails");
    world.stage.until_verdict(&broken, "rejected");
    world.watch(leader);
    world.stage.until_verdict(&broken, "rejected");
    assert_eq!((world.stage.verdicts(&bump, "released"), world.stage.verdicts(&broken, "rejected")), (1, 1));
    let written = world.wire(standby).written_since(start);
    assert!(written.is_empty(), "{written:#?}");
    world.until("every message", || receiver.stories().iter().any(|story| story.starts_with("rejected")));
    assert_eq!(receiver.arrived().len(), receiver.heard().len(), "{:?}", receiver.stories());

    // A person deletes the lease, and edits it: whoever leads goes on.
    world.stage.kubectl(&["delete", "lease", "turquoise"]);
    std::thread::sleep(Duration::from_millis(300));
    world.stage.kubectl(&["annotate", "lease", "turquoise", "seen=yes", "--overwrite"]);
    std::thread::sleep(Duration::from_secs(2));
    assert!(world.leads(leader) && !world.leads(standby), "{}", world.log(leader));
    assert!(!world.log(leader).contains("lost the lease"), "{}", world.log(leader));
    // Between two requests the connection rests, and is used again.
    for replica in [leader, standby] {
        assert!(!world.log(replica).contains("connection error"), "{}", world.log(replica));
    }
    world.end();
}

#[test]
fn a_leader_killed_at_any_moment_of_a_release_is_replaced_and_nothing_is_doubled() {
    let receiver = Receiver::start(Manner::Well);
    let Some(mut world) = world(bare(|clone| notify(clone, &receiver))) else { return };
    let mut colour = "green";
    let mut bumps = Vec::new();
    let moments = [20, 120, 250, 400, 600].map(Duration::from_millis);
    for (moment, version) in moments.into_iter().zip(["1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0"]) {
        let leader = world.until_led();
        let bump = world.stage.bump(version);
        std::thread::sleep(moment);
        let killed = Instant::now();
        world.kill(leader);
        let took = taken_over(&world, leader, killed);
        assert!(took < TAKEOVER_MAX, "{took:?}\n{}", world.log(other(leader)));
        world.watch(other(leader));
        world.stage.until_live(colour, version);
        assert_eq!(world.stage.verdicts(&bump, "released"), 1, "one verdict\n{}", world.log(other(leader)));
        world.start(leader);
        assert!(!world.leads(leader), "it stands by");
        bumps.push(bump);
        world.stage.with_new_traffic();
        colour = if colour == "green" { "blue" } else { "green" };
    }
    let ours = world.stage.git_log("%an").iter().filter(|author| *author == "turquoise").count();
    assert_eq!(ours, bumps.len() + 1, "a commit a release: {:#?}", world.stage.git_log("%an %s"));
    let live = |bump: &String| format!("live {bump}");
    world.until("every message", || bumps.iter().all(|bump| receiver.stories().contains(&live(bump))));
    let stories = receiver.stories();
    for bump in &bumps {
        let told = stories.iter().filter(|story| **story == live(bump)).count();
        assert_eq!(told, 1, "as a receiver hears them that drops what it has seen: {stories:#?}");
    }
    println!("{} messages, {} of them again", receiver.arrived().len(), receiver.arrived().len() - stories.len());
    world.end();
}

#[test]
fn a_leader_killed_between_push_and_patch_leaves_the_patch_to_the_other() {
    let Some(mut world) = world(bare(|_| {}).map(|stage| stage.over(Transport::Https))) else { return };
    let leader = world.until_led();
    world.at_the_next_push(leader, "-9");
    let bump = world.stage.bump("1.1.0");
    world.struck();
    let killed = Instant::now();
    world.killed(leader);
    let selector = ["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"];
    assert_eq!((world.stage.kubectl(&selector), world.stage.verdicts(&bump, "released")), ("blue".into(), 1));
    let took = taken_over(&world, leader, killed);
    assert!(took < TAKEOVER_MAX, "{took:?}");
    world.watch(other(leader));
    world.stage.until_live("green", "1.1.0");
    println!("live after {} ms", killed.elapsed().as_millis());
    assert_eq!(world.stage.verdicts(&bump, "released"), 1);
    let ours = world.stage.git_log("%an").iter().filter(|author| *author == "turquoise").count();
    assert_eq!(ours, 2, "{:#?}", world.stage.git_log("%an %s"));
    world.end();
}

#[test]
fn a_leader_frozen_between_push_and_patch_writes_nothing_when_it_is_let_go() {
    let Some(mut world) = world(bare(|_| {}).map(|stage| stage.over(Transport::Https))) else { return };
    let leader = world.until_led();
    world.at_the_next_push(leader, "-STOP");
    let bump = world.stage.bump("1.1.0");
    world.struck();
    let frozen = Instant::now();
    let took = taken_over(&world, leader, frozen);
    assert!(took < TAKEOVER_MAX, "{took:?}");
    world.watch(other(leader));
    world.stage.until_live("green", "1.1.0");
    // The world goes on: what the frozen one was about to do would be wrong now.
    let back = world.stage.revert(&bump);
    world.stage.until_live("blue", "1.0.0");
    world.stage.with_new_traffic();
    let let_go = Instant::now();
    world.signal(leader, "-CONT");
    world.until("it stands by", || world.replica(leader)["leader"] == ["a", "b"][other(leader)]);
    let next = world.stage.bump("2.0.0");
    world.stage.until_live("green", "2.0.0");
    let written = world.wire(leader).written_since(let_go);
    assert!(written.is_empty(), "{written:#?}\n{}", world.log(leader));
    for revision in [bump, back, next] {
        assert!(world.stage.verdicts(&revision, "released") <= 1);
    }
    world.end();
}

#[test]
fn a_leader_frozen_anywhere_and_let_go_writes_nothing_and_may_lead_again_later() {
    let receiver = Receiver::start(Manner::Well);
    let Some(mut world) = world(bare(|clone| notify(clone, &receiver))) else { return };
    let mut colour = "green";
    for (moment, version) in [40, 200, 450].map(Duration::from_millis).into_iter().zip(["1.1.0", "2.0.0", "3.0.0"]) {
        let leader = world.until_led();
        let bump = world.stage.bump(version);
        std::thread::sleep(moment);
        world.signal(leader, "-STOP");
        let frozen = Instant::now();
        let took = taken_over(&world, leader, frozen);
        assert!(took < TAKEOVER_MAX, "{took:?}");
        let let_go = Instant::now();
        world.signal(leader, "-CONT");
        world.watch(other(leader));
        world.stage.until_live(colour, version);
        assert_eq!(world.stage.verdicts(&bump, "released"), 1);
        // Also by one that has led before.
        world.until("the message", || receiver.stories().contains(&format!("live {bump}")));
        let written = world.wire(leader).written_since(let_go);
        assert!(written.is_empty(), "frozen after {moment:?}: {written:#?}\n{}", world.log(leader));
        colour = if colour == "green" { "blue" } else { "green" };
        world.stage.with_new_traffic();
    }
    world.end();
}

#[test]
fn a_leader_that_is_told_to_end_hands_over_at_once() {
    let Some(mut world) = world(bare(|_| {})) else { return };
    let leader = world.until_led();
    let slow = world.stage.bump("1.1.0-slow-start");
    world.watch(leader);
    world.stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    let told = Instant::now();
    world.signal(leader, "-TERM");
    let took = taken_over(&world, leader, told);
    assert!(took < AT_ONCE, "{took:?}\n{}", world.log(leader));
    assert_eq!(world.ended(leader), Some(0));
    world.watch(other(leader));
    world.stage.until_live("green", "1.1.0-slow-start");
    assert_eq!(world.stage.verdicts(&slow, "released"), 1);

    // One that stands by ends as well, and takes nothing with it.
    world.start(leader);
    world.until("it looks", || !world.get(leader, "/api/v1/apps/shop").is_empty());
    world.signal(leader, "-TERM");
    assert_eq!(world.ended(leader), Some(0));
    assert!(world.leads(other(leader)), "{}", world.log(other(leader)));
    world.end();
}

#[test]
fn a_leader_without_the_api_server_stands_down_before_the_other_takes_over() {
    let Some(mut world) = world(bare(|_| {})) else { return };
    let leader = world.until_led();
    let bump = world.stage.bump("1.1.0-slow-start");
    world.watch(other(leader));
    world.stage.until("a candidate", |app| app["colours"]["green"]["revision"] == bump.as_str());
    world.wire(leader).cut(true);
    let cut = Instant::now();
    // Asked in this order: were both to act, the first answer could not be an old one.
    let mut stood_down = None;
    while !world.leads(other(leader)) {
        assert!(cut.elapsed() < TAKEOVER_MAX, "{}", world.log(other(leader)));
        if stood_down.is_none() && world.replica(leader)["leading"] == false {
            stood_down = Some(cut.elapsed());
        }
        std::thread::sleep(World::here().limits().look);
    }
    println!("stood down after {stood_down:?}, taken over after {:?}", cut.elapsed());
    assert!(stood_down.is_some(), "{}", world.log(leader));
    world.stage.until_live("green", "1.1.0-slow-start");
    let back = Instant::now();
    world.wire(leader).cut(false);
    world.until("it stands by", || world.replica(leader)["leader"] == ["a", "b"][other(leader)]);
    world.stage.with_new_traffic();
    world.stage.bump("2.0.0");
    world.stage.until_live("blue", "2.0.0");
    assert_eq!(world.stage.verdicts(&bump, "released"), 1);
    // A request that was under way when the wire was cut passes it only now: its guards decide. Nothing came after it.
    let late = world.wire(leader).written_since(back + World::here().limits().look);
    assert!(late.is_empty(), "{late:#?}");
    world.end();
}

/// The best of three restarts: what a restart waits for shows in each of them, what the machine does besides does not.
fn fastest(restart: impl FnMut(&str) -> Duration) -> Duration {
    let took = ["1.1.0", "2.0.0", "3.0.0"].map(restart);
    println!("looking again after {took:?}");
    took.into_iter().min().unwrap_or_default()
}

#[test]
fn a_single_replica_is_looking_again_at_once_after_a_kill_with_an_election() {
    let Some(stage) = bare(|_| {}) else { return };
    let mut world = Replicas::open(stage, &["only"]);
    world.stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
    let took = fastest(|version| {
        world.kill(0);
        let bump = world.stage.bump(version);
        let start = Instant::now();
        world.start(0);
        world.watch(0);
        world.until("it leads", || world.leads(0));
        let acts =
            |app: &Value| app["candidate"]["revision"] == bump.as_str() || app["verdict"]["revision"] == bump.as_str();
        world.stage.until("a look at the new commit", |app| app["head"] == bump.as_str() || acts(app));
        start.elapsed()
    });
    assert!(took < AT_ONCE, "{took:?}\n{}", world.log(0));
    world.end();
}

#[test]
fn a_single_replica_is_looking_again_at_once_after_a_kill_without_an_election() {
    let mut stage = Stage::bare(|_| {});
    stage.run();
    stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
    let took = fastest(|version| {
        stage.kill();
        let bump = stage.bump(version);
        let start = Instant::now();
        stage.run();
        stage.until("a look at the new commit", |app| app["head"] == bump.as_str());
        start.elapsed()
    });
    assert!(took < AT_ONCE, "{took:?}\n{}", stage.log());
    stage.ends();
}

#[test]
fn replicas_with_a_configuration_file_and_no_names_of_their_own() {
    let mut world = Many::open();
    world.repo("shop", &[Shop { name: "shop", replicas: 1, check: None }]);
    let file = "apiVersion: turquoise.dev/v1alpha1\nkind: Configuration\nrepos:\n- {url: shop.git, poll: 1s}\n";
    std::fs::write(world.path("turquoise.yaml"), file).expect("written");
    // What overlays/high-availability adds to the Role, for a Lease of another name.
    let namespace = world.home().namespace().to_owned();
    let api = "apiVersion: rbac.authorization.k8s.io/v1";
    let rights = format!(
        "{api}\nkind: Role\nmetadata: {{name: lead}}\n\
         rules: [{{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, patch]}}]\n---\n\
         {api}\nkind: RoleBinding\nmetadata: {{name: lead}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: lead}}\n\
         subjects: [{{kind: ServiceAccount, name: turquoise, namespace: {namespace}}}]\n"
    );
    std::fs::write(world.path("rights.yaml"), rights).expect("written");
    world.kubectl(&["apply", "-f", &world.path("rights.yaml").to_string_lossy()]);
    let flags = ["--config", "turquoise.yaml", "--leader-elect", "--lease-name", "shop-lead"];
    let flags = [&flags[..], &["--lease-namespace", &namespace]].concat();
    let daemons = [world.run(&flags), world.run(&flags)];
    for daemon in daemons {
        world.until_live(daemon, "shop", "blue", "1.0.0");
    }
    let leading = |world: &Many, daemon: usize| world.get(daemon, "/metrics").contains("turquoise_leading 1\n");
    assert_eq!(daemons.iter().filter(|daemon| leading(&world, **daemon)).count(), 1);
    let holder = world.kubectl(&["get", "lease", "shop-lead", "-o", "jsonpath={.spec.holderIdentity}"]);
    let table = daemons.map(|daemon| {
        let server = format!("http://{}", world.address(daemon));
        turquoise_status(&server)
    });
    let name = holder.rsplit_once('_').expect("a process").0;
    assert!(table.iter().any(|text| text.contains(&format!("{name} leads"))), "{table:?}");
    assert!(table.iter().any(|text| text.contains(&format!("stands by, {name} leads"))), "{table:?}");
    let bump = world.bump("shop", &["shop"], "2.0.0");
    for daemon in daemons {
        world.until_live(daemon, "shop", "green", "2.0.0");
    }
    let fact = format!("Turquoise-Revision: {bump}");
    assert_eq!(world.log_of("shop", "%B").iter().filter(|line| **line == fact).count(), 1, "one verdict");
    let (status, words) = world.turquoise(&["run", "--repo", "shop.git", "--leader-elect", "--dry-run"]);
    assert_eq!(status.code(), Some(2), "{words}");
}

fn turquoise_status(server: &str) -> String {
    let output = super::stage::turquoise().args(["status", "--server", server]).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
