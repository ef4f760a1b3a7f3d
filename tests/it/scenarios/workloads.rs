//! Workloads of every kind of size: an autoscaler's, a Job's, a CronJob's; several Services as one.

use turquoise::core::workload::WorkloadKind;

use super::{Blue, Green, Story, golden};
use crate::world::Setup;
use crate::world::cluster::MIGRATION_FAILS;
use crate::world::people::Op;
use turquoise::core::colour::Colour;

/// A Deployment that an autoscaler owns, a Job and a CronJob in each colour.
fn every_kind() -> Story {
    Story::of(Setup { tiers: 3, ..Setup::PLAIN })
}

impl Story {
    fn cron_runs(&self, colour: Colour) -> bool {
        self.world.cluster.colours[colour].schedules().next().is_some()
    }

    /// When the colour's Job began.
    fn job_began(&self, colour: Colour) -> i64 {
        let workloads = &self.world.cluster.colours[colour].workloads;
        workloads.iter().find(|workload| workload.is_kind(WorkloadKind::Job)).expect("a Job").born_s
    }
}

#[test]
fn s18_the_candidate_grows_to_what_the_autoscaler_holds() {
    let mut story = every_kind();
    story.does(Op::Autoscaled(20)).bump(2).until("SWITCHES");
    let (pace, now_s) = (story.world.cluster.pace, story.world.now_s);
    assert_eq!(story.world.cluster.colours[Green].ready_pods(pace, now_s).len(), 20, "ready before the flip");
    story.rests().is_live(Green, 2).flips(1);
    assert_eq!(story.world.cluster.colours[Blue].replicas(), 20, "blue's count is not touched");
    golden!("18_autoscaler", story);
}

#[test]
fn s15_an_autoscalers_bounds_are_applied_in_place() {
    let mut story = every_kind();
    story.bump(2).rests().does(Op::Size(3)).rests().is_live(Green, 2).flips(1);
    for colour in [Blue, Green] {
        let bounds: Vec<u32> =
            story.world.cluster.colours[colour].autoscalers.values().map(|(bounds, _)| bounds.min).collect();
        assert_eq!(bounds, [3], "{colour}");
    }
    golden!("15_bounds", story);
}

#[test]
fn cron_jobs_run_in_the_serving_colour_alone() {
    let mut story = every_kind();
    assert!(story.cron_runs(Blue) && !story.cron_runs(Green));
    story.bump(2).rests().is_live(Green, 2);
    assert!(!story.cron_runs(Blue) && story.cron_runs(Green));
    story.revert_last().rests().is_live(Blue, 1);
    assert!(story.cron_runs(Blue) && !story.cron_runs(Green));
    golden!("20_cron_jobs", story);
}

#[test]
fn killed_between_suspending_and_letting_run() {
    let mut story = every_kind();
    story.bump(2).until("suspends");
    story.world.faults.cut = Some(1);
    story.rests().is_live(Green, 2);
    assert!(!story.cron_runs(Blue) && story.cron_runs(Green));
    golden!("80_killed_between_cron_jobs", story);
}

#[test]
fn s30_a_job_that_fails_is_a_rejection_and_a_retry_runs_it_again() {
    let mut story = every_kind();
    story.bump(MIGRATION_FAILS).rests().is_live(Blue, 1).flips(0);
    let began = story.job_began(Green);
    story.revert_rejection().rests().is_live(Blue, 1).flips(0);
    assert!(story.job_began(Green) > began, "it ran once more");
    golden!("30_job_fails", story);
}

#[test]
fn a_return_does_no_work_twice() {
    let mut story = every_kind();
    story.bump(2).rests();
    let began = story.job_began(Blue);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.job_began(Blue), began, "the Job is not run again");
    story.bump(3).rests().is_live(Green, 3);
    golden!("02_return_with_a_job", story);
}

#[test]
fn s20_two_live_services_flip_together_and_go_back_together() {
    let mut story = Story::of(Setup { live_services: 2, ..Setup::PLAIN });
    story.bump(2).rests().is_live(Green, 2).flips(1);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    golden!("20_two_services", story);
}
