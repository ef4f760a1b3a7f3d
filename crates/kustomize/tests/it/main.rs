//! One binary for all integration tests: each module is a table of cases.

mod conformance;
mod corners;
mod edits;
mod refusals;
mod renders;
mod safety;
mod speed;

use turquoise_kustomize::{Build, MemoryTree};

/// A tree from `--- path` headed text: one string holds all files of a case.
pub fn tree(text: &str) -> MemoryTree {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(path) => files.push((path.trim().to_string(), String::new())),
            None => {
                if let Some((_, content)) = files.last_mut() {
                    content.push_str(line);
                }
            }
        }
    }
    MemoryTree::new(files)
}

/// What a case renders to, or its errors.
pub fn render(text: &str, path: &str) -> String {
    match Build::new(&tree(text), path).run() {
        Ok(output) => output.to_yaml(),
        Err(errors) => format!("error: {errors}"),
    }
}
