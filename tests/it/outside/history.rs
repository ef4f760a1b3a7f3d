//! Locks that people damage, history that they rewrite, branches that they merge.

use std::fs;

use super::stage::{Stage, edit};

/// The lock from one of its keys on, up to the next section.
fn section(lock: &str, key: &str) -> String {
    lock.lines()
        .skip_while(|line| *line != key)
        .take_while(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_lock_that_is_deleted_or_broken_is_restored_whole() {
    let stage = Stage::open();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let broken = stage.bump("1.2.0-smoke-fails");
    stage.until_verdict(&broken, "rejected");
    let whole = stage.file("turquoise.lock");
    let kept = stage.pods("green");
    stage.commit("Who needs a lock", |clone| fs::remove_file(clone.join("turquoise.lock")).expect("removed"));
    stage.until("restored", |app| stage.git_log("%s")[0].contains("names again") && stage.is_at_rest(app));
    assert_eq!(stage.file("turquoise.lock"), whole);
    stage.commit("A merge gone wrong", |clone| {
        edit(&clone.join("turquoise.lock"), |text| format!("<<<<<<< HEAD\n{text}"));
    });
    stage.until("restored", |app| stage.git_log("%s")[0].contains("names again") && stage.is_at_rest(app));
    assert_eq!(stage.file("turquoise.lock"), whole);
    assert_eq!(stage.verdicts(&broken, "rejected"), 1, "it is not tried again");
    assert_eq!(stage.pods("green"), kept);
    stage.ends();
}

#[test]
fn pins_that_are_swapped_by_hand_are_restored() {
    let stage = Stage::open();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let whole = stage.file("turquoise.lock");
    stage.commit("Green is blue", |clone| {
        edit(&clone.join("turquoise.lock"), |text| {
            text.replace("\nblue:\n", "\nred:\n").replace("\ngreen:\n", "\nblue:\n").replace("\nred:\n", "\ngreen:\n")
        });
    });
    stage.until("restored", |app| stage.file("turquoise.lock") != whole || stage.is_at_rest(app));
    stage.until("restored", |app| stage.git_log("%s")[0].contains("names again") && stage.is_at_rest(app));
    let now = stage.file("turquoise.lock");
    for colour in ["blue:", "green:"] {
        assert_eq!(section(&now, colour), section(&whole, colour));
    }
    stage.ends();
}

#[test]
fn a_force_push_that_drops_our_commits_moves_no_traffic() {
    let stage = Stage::open();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let pods = stage.pods("green");
    let flips = || stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.metadata.annotations}"]);
    let flipped_at =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON")["turquoise.dev/flipped-at"].clone();
    let before = flipped_at(&flips());
    // The person's branch as it was before turquoise's commits on top of the bump.
    stage.person(&["fetch", "--quiet"]);
    stage.person(&["push", "--quiet", "--force", "origin", &format!("{bump}:main")]);
    let app = stage
        .until("restored", |app| app["declared"] == "green" && stage.git_log("%s").len() > 2 && stage.is_at_rest(app));
    assert_eq!(app["serving"], "green");
    assert_eq!(flipped_at(&flips()), before, "traffic was never switched");
    assert_eq!((stage.pods("green"), stage.verdicts(&bump, "released")), (pods, 1));
    // A person's word for the selector counts again.
    stage.select("blue");
    stage.until_live("blue", "1.0.0");
    stage.ends();
}

#[test]
fn a_squash_of_everything_releases_nothing_even_when_the_old_commits_are_gone() {
    let mut stage = Stage::open();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let pods = stage.pods("green");
    stage.clone_of_head();
    let root = stage.person(&["rev-list", "--max-parents=0", "HEAD"]);
    stage.person(&["reset", "--quiet", "--soft", &root]);
    stage.person(&["commit", "--quiet", "--message=Everything so far"]);
    stage.person(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    let squashed = stage.person(&["rev-parse", "HEAD"]);
    let app = stage.until("rest", |app| {
        app["colours"]["green"]["images"][0] == "shop:1.1.0" && app["head"] != squashed.as_str()
            || stage.is_at_rest(app)
    });
    assert_eq!((app["serving"].as_str(), app["declared"].as_str()), (Some("green"), Some("green")));
    stage.kill();
    stage.forget_lost_commits();
    stage.run();
    let app = stage.until("rest", |app| app["alerts"][0].is_object() && stage.is_at_rest(app));
    assert_eq!(app["alerts"][0]["reason"], "pin_unreachable");
    assert_eq!(
        (app["serving"].as_str(), stage.git_log("%H").first()),
        (Some("green"), app["head"].as_str().map(str::to_owned).as_ref())
    );
    stage.bump("1.2.0");
    stage.until_live("blue", "1.2.0");
    stage.until("the watch is over", |app| app["phase"] == "settled" && stage.is_at_rest(app));
    assert_eq!(stage.pods("green"), pods, "kept, although nobody can say any more what it was made from");
    stage.ends();
}

#[test]
fn a_branch_that_is_deleted_and_restored_changes_nothing() {
    let stage = Stage::open();
    stage.bump("1.1.0");
    let app = stage.until_live("green", "1.1.0");
    let head = stage.clone_of_head();
    stage.person(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/elsewhere"]);
    // A bare repository refuses to lose its own branch; a person who has its files does not ask.
    stage.delete_branch("main");
    stage.until("trouble", |app| app["error"].is_string());
    stage.person(&["push", "--quiet", "origin", "HEAD:main"]);
    let again = stage.until("rest", |app| stage.is_at_rest(app));
    assert_eq!((&again["serving"], &again["head"]), (&app["serving"], &app["head"]), "{head:?}");
    stage.ends();
}

#[test]
fn a_staging_branch_with_its_own_turquoise_does_not_speak_for_main() {
    let stage = Stage::open();
    // What another turquoise would have left on `staging`: a flip, a pin and a verdict of its own.
    stage.clone_of_head();
    stage.person(&["checkout", "--quiet", "-b", "staging"]);
    let clone = stage.clone_path();
    edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
    stage.person(&["commit", "--quiet", "--all", "--message=Release 1.1.0"]);
    let bump = stage.person(&["rev-parse", "HEAD"]);
    edit(&clone.join("overlays/live/service.yaml"), |text| {
        text.replace("colour: green", "colour: red")
            .replace("colour: blue", "colour: green")
            .replace("colour: red", "colour: blue")
    });
    edit(&clone.join("turquoise.lock"), |text| text.replace("branch: \"main\"", "branch: \"staging\""));
    let trailers = format!(
        "green goes live\n\nTurquoise-App: shop\nTurquoise-Branch: staging\nTurquoise-Live: green\n\
         Turquoise-Revision: {bump}\nTurquoise-Verdict: released\nTurquoise-Version: 0.1.0"
    );
    stage.person(&["commit", "--quiet", "--all", "--message", &trailers]);
    stage.person(&["push", "--quiet", "origin", "staging"]);
    // Merged into main without its content: the old version is what main says.
    edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.1.0", "newTag: 1.0.0"));
    stage.person(&["commit", "--quiet", "--all", "--message=Back to 1.0.0"]);
    stage.person(&["checkout", "--quiet", "main"]);
    stage.person(&["merge", "--quiet", "--no-ff", "--message=Merge staging", "staging"]);
    stage.person(&["push", "--quiet", "origin", "main"]);
    let app = stage.until("restored", |app| {
        stage.file("turquoise.lock").contains("branch: \"main\"") && app["declared"] == "blue" && stage.is_at_rest(app)
    });
    assert_eq!(app["serving"], "blue");
    let flip = stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.metadata.annotations}"]);
    assert!(!flip.contains("flipped-at"), "traffic was never switched: {flip}");
    stage.ends();
}
