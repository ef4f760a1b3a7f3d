//! turquoise keeps blue and green in git; see README.md and ARCHITECTURE.md.

pub mod checks;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod core;
pub mod daemon;
pub mod demo;
pub mod http;
pub mod net;
pub mod notify;
pub mod reconcile;
pub mod source;
