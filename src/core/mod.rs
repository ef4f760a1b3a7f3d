//! The pure core: facts in, a plan out. No IO, no clock, no async; everything outside depends on it, and it on nothing.
//!
//! - [`desired`] what git says, [`observed`] what the cluster says, [`policy`] what the app's people ask for;
//! - [`plan`] the decision, by the rules of docs/rules.md, [`action`] what may be done, [`report`] what people are told;
//! - [`news`] the transitions behind [`event`] messages, [`deliveries`] which of them were told;
//! - [`election`] which of several replicas acts;
//! - [`lock`], [`verdict`] the facts that turquoise writes into git, [`message`] their words.

pub mod access;
pub mod action;
pub mod alert;
pub mod book;
pub mod colour;
pub mod deliveries;
pub mod describe;
pub mod desired;
pub mod digest;
pub mod election;
pub mod event;
pub mod failure;
pub mod flip;
pub mod grants;
pub mod ids;
pub mod lock;
pub mod message;
pub mod news;
pub mod observed;
pub mod outside;
pub mod plan;
pub mod policy;
pub mod references;
pub mod report;
pub mod shape;
pub mod signature;
pub mod status;
pub mod template;
pub mod text;
pub mod trouble;
pub mod url;
pub mod verdict;
pub mod workload;
