//! The sandbox through real HTTP: kube's client, `kubectl`, and plain requests to the Services.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails here, with the line")]

mod admission;
mod apply;
mod budgets;
mod faults;
mod kubectl;
mod lifecycle;
mod patches;
mod pods;
mod rollout;
mod support;
mod traffic;
mod watching;
mod workloads;
mod writes;
