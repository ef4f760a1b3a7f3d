//! The planner against a world of people and faults; one binary for all integration tests.

mod differential;
mod documents;
mod outside;
mod property;
mod sabotage;
mod scenarios;
mod tidy;
mod world;
