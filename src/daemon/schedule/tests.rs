//! Who is looked at when, and whose turn it is.

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn app(name: &str) -> AppName {
    AppName::new(name)
}

fn repo(name: &str) -> RepoName {
    RepoName::new(name)
}

fn pass(name: &str) -> Command {
    Command::Pass(app(name))
}

fn found(apps: &[&str], news: bool) -> BTreeMap<AppName, bool> {
    apps.iter().map(|name| (app(name), news)).collect()
}

/// A schedule that has just found apps in repos; gives what it began with.
fn schedule(passes: usize, repos: &[(&str, &[&str])]) -> (Schedule, Vec<Command>) {
    let mut schedule = Schedule::new(Limits { passes });
    for (name, _) in repos {
        assert_eq!(schedule.on(Event::RepoAdded(repo(name)), NOW), [Command::Discover(repo(name))]);
    }
    let mut commands = Vec::new();
    for (name, apps) in repos {
        commands.extend(schedule.on(Event::Discovered(repo(name), found(apps, true)), NOW));
    }
    (schedule, commands)
}

fn waiting(name: &str) -> Event {
    Event::PassEnded(app(name), Ended::Waiting(None))
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn a_trigger_during_a_pass_is_one_more_pass_after_it() {
    let (mut schedule, began) = schedule(4, &[("r", &["shop"])]);
    assert_eq!(began, [pass("shop")]);
    for _ in 0..5 {
        assert_eq!(schedule.on(Event::AppsTouched(vec![app("shop")]), NOW), []);
    }
    assert_eq!(schedule.on(waiting("shop"), NOW), [pass("shop")]);
    assert_eq!(schedule.on(waiting("shop"), NOW), []);
    assert!(!schedule.is_busy());
}

#[test]
fn at_rest_only_a_slow_resync_is_due_and_apps_drift_apart() {
    let (mut schedule, _) = schedule(4, &[("r", &["a", "b"])]);
    schedule.on(waiting("a"), NOW);
    schedule.on(waiting("b"), NOW);
    let first = schedule.next_due(NOW).expect("a resync");
    assert!(first >= after(NOW, RESYNC) && first <= after(NOW, RESYNC + RESYNC_SPREAD));
    assert_ne!(spread(&app("a")), spread(&app("b")));
    assert_eq!(schedule.due(first).len(), 1);
}

#[test]
fn a_search_wakes_only_apps_of_which_git_says_something_new() {
    let (mut schedule, _) = schedule(4, &[("r", &["a", "b"])]);
    schedule.on(waiting("a"), NOW);
    schedule.on(waiting("b"), NOW);
    assert_eq!(schedule.on(Event::GitTouched(repo("r")), NOW), [Command::Discover(repo("r"))]);
    let mut apps = found(&["a", "b"], false);
    assert_eq!(schedule.on(Event::Discovered(repo("r"), apps.clone()), NOW), []);
    schedule.on(Event::AllTouched, NOW);
    apps.insert(app("b"), true);
    apps.insert(app("c"), false);
    let mut began = schedule.on(Event::Discovered(repo("r"), apps), NOW);
    // Whose turn it is counts on from the passes before.
    began.sort();
    assert_eq!(began, [pass("b"), pass("c")], "what is new to us is looked at, too");
}

#[test]
fn failures_back_off_and_the_clusters_triggers_do_not_cut_the_pause_short() {
    let (mut schedule, _) = schedule(4, &[("r", &["shop"])]);
    let mut due = NOW;
    for expect_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
        assert_eq!(schedule.on(Event::PassEnded(app("shop"), Ended::Failed), due), []);
        let next = schedule.next_due(due).expect("a retry");
        assert_eq!(next.duration_since(due).as_millis(), expect_ms);
        assert_eq!(schedule.on(Event::AppsTouched(vec![app("shop")]), due), []);
        due = next;
        assert_eq!(schedule.due(due), [pass("shop")]);
    }
    schedule.on(Event::PassEnded(app("shop"), Ended::Failed), due);
    schedule.on(Event::GitTouched(repo("r")), due);
    let mended = schedule.on(Event::Discovered(repo("r"), found(&["shop"], true)), due);
    assert_eq!(mended, [pass("shop")], "a push does");
}

#[test]
fn what_changes_during_the_try_that_succeeds_is_looked_at() {
    let (mut schedule, _) = schedule(4, &[("r", &["shop"])]);
    schedule.on(Event::PassEnded(app("shop"), Ended::Failed), NOW);
    let retry = after(NOW, RETRY_FIRST);
    assert_eq!(schedule.due(retry), [pass("shop")]);
    assert_eq!(schedule.on(Event::AppsTouched(vec![app("shop")]), retry), []);
    assert_eq!(schedule.on(waiting("shop"), retry), [pass("shop")]);
}

#[test]
fn a_conflict_looks_at_git_again() {
    let (mut schedule, _) = schedule(4, &[("r", &["shop"])]);
    let commands = schedule.on(Event::PassEnded(app("shop"), Ended::Conflict), NOW);
    assert_eq!(commands, [Command::Discover(repo("r"))]);
    assert_eq!(schedule.due(after(NOW, CONFLICT_PAUSE)), [pass("shop")]);
}

#[test]
fn turns_go_over_repos_and_then_over_apps() {
    let (mut schedule, began) = schedule(2, &[("big", &["b1", "b2", "b3", "b4", "b5"]), ("small", &["s1", "s2"])]);
    assert_eq!(began, [pass("b1"), pass("b2")]);
    let mut order = Vec::new();
    let mut running: std::collections::VecDeque<AppName> = [app("b1"), app("b2")].into();
    while let Some(done) = running.pop_front() {
        for command in schedule.on(Event::PassEnded(done, Ended::Waiting(None)), NOW) {
            let Command::Pass(next) = command else { panic!("{command:?}") };
            order.push(next.to_string());
            running.push_back(next);
        }
    }
    assert_eq!(order, ["s1", "b3", "s2", "b4", "b5"]);
}

#[test]
fn a_busy_app_waits_for_its_turn_like_the_others() {
    let (mut schedule, _) = schedule(1, &[("r", &["a", "b", "c"])]);
    let mut order = Vec::new();
    let mut running = app("a");
    for _ in 0..6 {
        // `a` is touched all the time.
        schedule.on(Event::AppsTouched(vec![app("a")]), NOW);
        let commands = schedule.on(Event::PassEnded(running, Ended::Waiting(None)), NOW);
        let [Command::Pass(next)] = commands.as_slice() else { panic!("{commands:?}") };
        order.push(next.to_string());
        running = next.clone();
    }
    assert_eq!(order, ["b", "c", "a", "a", "a", "a"]);
}

#[test]
fn what_hangs_holds_nobody_back_and_is_bounded() {
    let hanging: Vec<String> = (0..20).map(|number| format!("h{number:02}")).collect();
    let hanging: Vec<&str> = hanging.iter().map(String::as_str).collect();
    let (mut schedule, began) = schedule(2, &[("bad", &hanging), ("good", &["shop"])]);
    assert_eq!(began.len(), 2);
    let mut now = NOW;
    let mut started = began.len();
    let mut shop_after = None;
    while let Some(due) = schedule.next_due(now) {
        now = due;
        let mut commands = schedule.due(now);
        if commands.contains(&pass("shop")) {
            shop_after = Some(now.duration_since(NOW));
            commands.extend(schedule.on(waiting("shop"), now));
        }
        started += commands.iter().filter(|command| **command != pass("shop")).count();
        if now.duration_since(NOW).as_secs() > 60 {
            break;
        }
    }
    assert_eq!(shop_after.map(|after| after.as_millis()), Some(3000), "one slow pass's time and no more");
    assert_eq!(started, 2 + 2 * Limits::SLOW_FACTOR, "hanging passes are bounded, too");
}

#[test]
fn what_is_gone_is_not_looked_at() {
    let (mut schedule, _) = schedule(4, &[("r", &["shop"]), ("q", &["other"])]);
    schedule.on(waiting("shop"), NOW);
    schedule.on(Event::GitTouched(repo("r")), NOW);
    assert_eq!(schedule.on(Event::Discovered(repo("r"), BTreeMap::new()), NOW), []);
    assert_eq!(schedule.on(Event::AppsTouched(vec![app("shop")]), NOW), []);
    assert_eq!(schedule.on(Event::RepoRemoved(repo("q")), NOW), []);
    assert_eq!(schedule.on(waiting("other"), after(NOW, ms(1))), []);
    assert!(!schedule.is_busy() && schedule.next_due(NOW).is_none());
}

#[test]
fn a_repo_that_cannot_be_read_is_tried_again_and_the_others_go_on() {
    let (mut schedule, _) = schedule(4, &[("bad", &["shop"]), ("good", &["other"])]);
    schedule.on(Event::GitTouched(repo("bad")), NOW);
    assert_eq!(schedule.on(Event::DiscoveryFailed(repo("bad")), NOW), []);
    assert_eq!(schedule.on(Event::GitTouched(repo("good")), NOW), [Command::Discover(repo("good"))]);
    assert_eq!(schedule.due(after(NOW, RETRY_FIRST)), [Command::Discover(repo("bad"))]);
}
