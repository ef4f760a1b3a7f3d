//! The planner against a world of people and faults; one binary for all integration tests.

mod property;
mod scenarios;
mod world;
