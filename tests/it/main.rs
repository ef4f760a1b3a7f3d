//! The planner against a world of people and faults; one binary for all integration tests.

mod outside;
mod differential;
mod property;
mod sabotage;
mod scenarios;
mod world;
