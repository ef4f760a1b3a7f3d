//! An in-process Kubernetes: a real HTTP API that kube clients and `kubectl` talk to, controllers, a kubelet whose pods are
//! small HTTP servers in this process, and Services that really listen.
//!
//! What is modelled, and what differs from a real cluster, is listed in this crate's README.

mod admission;
mod api;
mod apply;
mod clock;
mod controllers;
mod decode;
mod defaults;
mod faults;
mod images;
mod kubelet;
mod network;
mod object;
mod options;
mod patch;
mod quota;
mod resources;
mod sandbox;
mod schema;
mod store;
mod validate;
mod world;
mod writes;

pub use clock::Clock;
pub use faults::{Effect, Faults, Rule, RuleId, Verb};
pub use images::{Behaviour, ImageError, Images};
pub use options::Options;
pub use sandbox::{Sandbox, SandboxError};
pub use turquoise_shop::Fault;
