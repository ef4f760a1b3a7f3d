//! The public suite and edge cases, where they are unpacked or can be: figures must not fall.
//!
//! The corpora are no part of the project. Without them this says so and passes: the project's own cases are the other modules.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Corpus, cases that must pass at level `ordered`.
const FLOORS: [(&str, usize); 2] = [("krusty", 318), ("probes", 268)];

#[test]
fn figures_do_not_fall() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    if !shared.join("conformance.py").is_file() {
        println!("conformance: {} is not there, nothing measured", shared.display());
        return;
    }
    let Some(renderer) = renderer() else {
        println!(
            "conformance: the example `render` is not built, nothing measured; run `cargo build --examples` first"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (corpus, floor) in FLOORS {
        let archive = shared.join(format!("{corpus}.tar.xz"));
        let unpacked = Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(folder.path()).status();
        if !unpacked.is_ok_and(|status| status.success()) {
            println!("conformance: {} cannot be unpacked, nothing measured", archive.display());
            return;
        }
        let report = folder.path().join(format!("{corpus}.json"));
        let ran = Command::new("python3")
            .arg(shared.join("conformance.py"))
            .arg(folder.path().join(corpus))
            .arg(format!("{} {{args}} {{dir}}", renderer.display()))
            .args(["--level", "ordered", "--json"])
            .arg(&report)
            .output();
        let (Ok(ran), Ok(text)) = (ran, std::fs::read_to_string(&report)) else {
            println!("conformance: the runner needs python3 with PyYAML, nothing measured");
            return;
        };
        let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
        let passed = report["pass"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        println!("conformance: {corpus} {passed} of {}", report["cases"]);
        assert!(passed >= floor, "{corpus}: {passed} pass, {floor} did\n{}", String::from_utf8_lossy(&ran.stdout));
    }
}

/// The example next to this test's own binary.
fn renderer() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.parent()?.join("examples/render");
    path.is_file().then_some(path)
}
