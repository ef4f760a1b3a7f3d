//! turquoise keeps blue and green in git; see README.md and ARCHITECTURE.md.

pub mod core;
pub mod source;
