//! turquoise keeps blue and green in git; see README.md and ARCHITECTURE.md.

pub mod checks;
pub mod cluster;
pub mod core;
pub mod source;
