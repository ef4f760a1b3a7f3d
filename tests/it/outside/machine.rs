//! The machine's own faults, a clock that is set and a disk that is full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::stage::{Stage, short_deadline};
use super::transport::Transport;
use super::world::Only;

const CLOCK: Only = Only::Sandbox("only turquoise's own clock is set, so the cluster's makes no difference");
const DISK: Only = Only::Sandbox("the disk is turquoise's own, so the cluster makes no difference");

/// Debian's places for the library that sets a process's clock; its program knows, but becomes another process.
const FAKETIME: &str = "for lib in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1 \
     /usr/lib64/faketime/libfaketimeMT.so.1; do [ -e \"$lib\" ] && LD_PRELOAD=$lib exec \"$0\" \"$@\"; done; \
     echo 'libfaketime is missing: `make test` installs or names it' >&2; exit 1";

/// Sets the clock of the process under test, from the next time that it asks.
fn set_clock(stage: &Stage, offset: &str) {
    // Written beside and moved, so that nobody reads half of it.
    let file = stage.folder().join("clock");
    fs::write(file.with_extension("new"), format!("{offset}\n")).expect("written");
    fs::rename(file.with_extension("new"), file).expect("moved");
}

#[test]
fn s86_a_clock_that_jumps_rejects_nobody() {
    let Some(mut stage) = CLOCK.bare_with_images(|_| {}, &[]) else { return };
    let file = stage.folder().join("clock").display().to_string();
    stage.launched_by(
        &["sh", "-c", FAKETIME],
        &[
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            // Time that passes is not what somebody sets.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    set_clock(&stage, "+0");
    let mut stage = stage.opened();

    // Ready after less than the deadline: an hour ahead in the middle makes nobody late.
    let slow = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    set_clock(&stage, "+3600");
    stage.until("the jump is noticed", |_| stage.log().contains("the clock jumped by 1h"));
    stage.until_live("green", "1.1.0-slow-start");
    assert_eq!((stage.verdicts(&slow, "released"), stage.verdicts(&slow, "rejected")), (1, 0));

    // An hour back, with a restart: the start that lies ahead is no reason to wait for an hour.
    stage.commit("Wait for less", short_deadline);
    let broken = stage.bump("2.0.0-never-ready");
    stage.until("a candidate", |app| app["colours"]["blue"]["revision"] == broken.as_str());
    stage.kill();
    set_clock(&stage, "+0");
    stage.run();
    stage.until_verdict(&broken, "rejected");
    assert_eq!(stage.verdicts(&broken, "rejected"), 1);
    stage.ends();
}

/// Everything that is left of the disk that only turquoise sees.
fn fill(cache: &Path) -> PathBuf {
    let file = cache.join("filler");
    let mut filler = fs::File::create(&file).expect("a file");
    while filler.write_all(&[0; 512]).is_ok() {}
    file
}

#[test]
fn s86_a_full_disk_is_named_and_what_serves_goes_on() {
    let Some(mut stage) = DISK.bare_with_images(|_| {}, &[]) else { return };
    fs::create_dir(stage.folder().join("cache")).expect("a folder");
    let mount = "mount -t tmpfs -o size=2m turquoise cache && exec \"$0\" \"$@\"";
    stage.launched_by(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount], &[]);
    let stage = stage.over(Transport::Https).opened();

    let pid = stage.daemon.as_ref().expect("turquoise runs").id();
    let inside = format!("/proc/{pid}/root{}", stage.folder().join("cache").display());
    let filler = fill(Path::new(&inside));
    stage.bump("1.1.0");
    let status = stage.until("the full disk is named", |app| {
        let words = app["error"].as_str().unwrap_or_default();
        words.contains("nothing can be written: No space left on device")
    });
    assert_eq!(status["serving"], "blue");
    fs::remove_file(filler).expect("removed");
    stage.until_live("green", "1.1.0");
    stage.ends();
}
