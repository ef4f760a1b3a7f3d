//! SITUATION 80: kill -9 at any moment, and a stop by SIGTERM.

use std::time::Duration;

use super::stage::Stage;

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
