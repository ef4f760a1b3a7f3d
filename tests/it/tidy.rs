//! Rules that the compiler does not hold: who may depend on whom, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Past that many lines without its tests a file has a seam (CONTRIBUTING.md).
const FILE_LINES_MAX: usize = 450;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, without build results.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != ".git") {
                open.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// A file's own code: what stands above its `#[cfg(test)] mod tests { ... }`. A `mod tests;` hides nothing below it.
fn own_code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn own_lines(text: &str) -> usize {
    own_code(text).lines().count()
}

#[test]
fn files_are_short_enough_to_be_read() {
    let files = rust_files(&root());
    assert!(files.len() > 50, "only {} files were found", files.len());
    let long: Vec<String> = files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "tests.rs"))
        .filter_map(|path| {
            let lines = own_lines(&fs::read_to_string(path).expect("readable"));
            (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", relative(path)))
        })
        .collect();
    assert!(long.is_empty(), "longer than {FILE_LINES_MAX} lines without tests:\n{}", long.join("\n"));
}

#[test]
fn rooms_depend_on_each_other_only_as_the_architecture_says() {
    // (folder or file, what it must not name, why)
    let walls: [(&str, &[&str], &str); 11] = [
        (
            "src/core",
            &[
                "tokio",
                "kube::",
                "git2",
                "reqwest",
                "crate::source",
                "crate::cluster",
                "crate::daemon",
                "crate::checks",
                "std::fs",
                "std::net",
            ],
            "the core is pure",
        ),
        (
            "src/source",
            &["crate::cluster", "crate::checks", "crate::notify", "crate::http", "crate::daemon", "kube::"],
            "git knows git",
        ),
        (
            "src/cluster",
            &["crate::source", "crate::checks", "crate::notify", "crate::http", "crate::daemon", "git2"],
            "the cluster knows the cluster",
        ),
        (
            "src/checks",
            &["crate::source", "crate::cluster", "crate::notify", "crate::http", "git2"],
            "checks ask Services",
        ),
        (
            "src/notify",
            &["crate::source", "crate::cluster", "crate::checks", "crate::http", "kube::"],
            "messages are sent",
        ),
        (
            "src/net",
            &["crate::source", "crate::cluster", "crate::checks", "crate::notify", "crate::http", "kube::", "git2"],
            "requests are fenced",
        ),
        (
            "src/http",
            &["crate::source", "crate::cluster", "crate::checks", "crate::notify", "kube::", "git2"],
            "the server shows",
        ),
        (
            "src/config",
            &["crate::source", "crate::cluster", "crate::daemon", "crate::http", "tokio", "git2", "kube::"],
            "the operator's words are read, not acted on",
        ),
        ("src/reconcile.rs", &["turquoise_sandbox", "crate::daemon", "crate::http"], "a pass is driven by the daemon"),
        ("src/daemon", &["turquoise_sandbox", "crate::demo", "crate::cli"], "the daemon never knows the sandbox"),
        ("crates/kustomize/src", &["tokio", "kube", "git2", "turquoise::"], "the renderer is a library of its own"),
    ];
    let mut broken = Vec::new();
    for (place, forbidden, why) in walls {
        let place = root().join(place);
        let files = if place.is_dir() { rust_files(&place) } else { vec![place] };
        assert!(!files.is_empty());
        for path in files {
            let text = fs::read_to_string(&path).expect("readable");
            let uses = own_code(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in uses {
                let words = |name: &str| {
                    line.contains(&format!("use {name}")) || line.contains(&format!(" {name}")) && line.contains("::")
                };
                if let Some(name) = forbidden.iter().find(|name| words(name)) {
                    broken.push(format!("{}: `{name}` ({why}): {}", relative(&path), line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_project_speaks_of_itself_alone() {
    // A path of somebody's machine, in any file that is read by people or machines.
    let folders = ["src", "crates", "tests", "docs", "kubernetes", "overlays", "example-repo", "scripts", "templates"];
    let mut found = Vec::new();
    for folder in folders {
        let mut open = vec![root().join(folder)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else if let Ok(text) = fs::read_to_string(&path) {
                    let home = concat!("/ho", "me/");
                    let lines = text.lines().filter(|line| line.contains(home) && !line.contains("$HOME"));
                    found.extend(lines.map(|line| format!("{}: {line}", relative(&path))));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
