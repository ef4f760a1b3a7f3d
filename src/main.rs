//! The `turquoise` binary.

fn main() {}
