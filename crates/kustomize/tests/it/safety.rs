//! Hostile input: nothing outside the tree is read, and every bound is reported by name.

use std::time::{Duration, Instant};

use turquoise_kustomize::{Build, EntryKind, FileTree, Folder, MemoryTree, TreeError, limits, yaml};

use crate::render;

#[test]
fn folders_confine_links_and_parents() {
    let outside = tempfile::tempdir().expect("a folder");
    let inside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret.yaml"), "kind: Secret\nmetadata: {name: s}\n").expect("written");
    std::fs::write(outside.path().join("kustomization.yaml"), "resources: [secret.yaml]\n").expect("written");
    std::fs::write(inside.path().join("a.yaml"), "kind: A\nmetadata: {name: a}\n").expect("written");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), inside.path().join("dir")).expect("linked");
        std::os::unix::fs::symlink(outside.path().join("secret.yaml"), inside.path().join("link.yaml"))
            .expect("linked");
        std::os::unix::fs::symlink("a.yaml", inside.path().join("good.yaml")).expect("linked");
        std::os::unix::fs::symlink("loop", inside.path().join("loop")).expect("linked");
    }
    let tree = Folder::new(inside.path());
    for path in ["../x", "dir", "dir/secret.yaml", "link.yaml", "a/../../x"] {
        assert_eq!(tree.kind(path), Err(TreeError::Escapes), "{path}");
        assert!(tree.read(path, 1000).is_err(), "{path}");
    }
    assert_eq!(tree.kind("good.yaml"), Ok(Some(EntryKind::File)));
    assert_eq!(tree.resolve("good.yaml").as_deref(), Ok("a.yaml"));
    assert!(tree.kind("loop").is_err());
    assert_eq!(tree.read("a.yaml", 3), Err(TreeError::TooLarge { limit_bytes: 3 }));
    for (resource, wanted) in
        [("dir", "leads out of the tree"), ("link.yaml", "leads out of the tree"), ("good.yaml", "")]
    {
        std::fs::write(inside.path().join("kustomization.yaml"), format!("resources: [{resource}]\n"))
            .expect("written");
        match Build::new(&tree, "").run() {
            Ok(output) => assert!(wanted.is_empty() && output.objects.len() == 1, "{resource}"),
            Err(errors) => assert!(!wanted.is_empty() && errors.to_string().contains(wanted), "{resource}: {errors}"),
        }
    }
}

#[test]
fn bombs_are_refused_fast() {
    let start = Instant::now();
    let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        aliases.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")));
    }
    let error = yaml::resources(&aliases).expect_err("a bomb");
    assert!(error.message.contains("excessive aliasing"), "{error}");
    for deep in
        ["[".repeat(20_000), "{a: ".repeat(20_000), "- ".repeat(20_000), "a:\n".repeat(3) + &"? ".repeat(20_000)]
    {
        assert!(yaml::resources(&deep).is_err());
        assert!(yaml::strict(&deep).is_err());
    }
    let mut files = vec![
        ("k0/kustomization.yaml".to_string(), "resources: [c.yaml]\n".to_string()),
        ("k0/c.yaml".to_string(), "kind: A\nmetadata: {name: a}\n".to_string()),
    ];
    for i in 1..30 {
        let lines: String = (0..8).map(|j| format!("- p{j}\n")).collect();
        files.push((format!("k{i}/kustomization.yaml"), format!("resources:\n{lines}")));
        for j in 0..8 {
            files.push((
                format!("k{i}/p{j}/kustomization.yaml"),
                format!("namePrefix: p{j}-\nresources: [../../k{}]\n", i - 1),
            ));
        }
    }
    let errors = Build::new(&MemoryTree::new(files), "k29").run().expect_err("exponential bases");
    let text = errors.to_string();
    assert!(
        text.contains(&format!("{} kustomizations", limits::KUSTOMIZATIONS_MAX)) || text.contains("layers"),
        "{}",
        text.lines().next().unwrap_or("")
    );
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn patches_cannot_grow_without_bound() {
    let copies: String = (0..40).map(|i| format!("    - {{op: copy, from: /data, path: /data/x{i}}}\n")).collect();
    let files = format!(
        "=== kustomization.yaml\nresources: [a.yaml]\npatches:\n- target: {{kind: A}}\n  patch: |-\n{copies}=== a.yaml\nkind: A\nmetadata: {{name: a}}\ndata: {{a: 1, b: 2}}\n"
    );
    let text = render(&files, "");
    assert!(text.starts_with("error: "), "{text}");
    let regex = "=== kustomization.yaml\nresources: [a.yaml]\npatches:\n- target: {name: '(((a{1000}){1000}){1000})'}\n  patch: '[]'\n=== a.yaml\nkind: A\nmetadata: {name: a}\n";
    assert!(render(regex, "").contains("no valid regular expression"), "{}", render(regex, ""));
}

#[test]
fn odd_files_are_answers_not_panics() {
    let odd: [&[u8]; 12] = [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"a",
        b"- a",
        b"resources: {a: b}",
        b"resources: [1, null, {}]",
        b"%YAML 1.2\n---\na: b",
        b"resources: !!binary x",
        b"\xef\xbb\xbf",
        b"a: &a [*a]",
    ];
    for bytes in odd {
        let tree = MemoryTree::new([("kustomization.yaml", bytes)]);
        assert!(Build::new(&tree, "").run().is_err(), "{bytes:?}");
        let tree = MemoryTree::new([("kustomization.yaml", &b"resources: [a.yaml]"[..]), ("a.yaml", bytes)]);
        drop(Build::new(&tree, "").run());
    }
}

#[test]
fn a_build_has_one_budget_for_all_that_it_reads_and_adds() {
    // Each document's aliases are few enough, all together they are not.
    let line = "x,".repeat(100);
    let bomb = format!("a: &a [{line}]\nb: &b [{}]\nc: [{}]\n", "*a,".repeat(100), "*b,".repeat(15));
    let error = yaml::resources(&vec![bomb; 10].join("---\n")).expect_err("many small bombs");
    assert!(error.message.contains(&format!("more than {} nodes", limits::NODES_BASE)), "{error}");
    let objects: String = (0..2_100).map(|i| format!("---\nkind: A\nmetadata: {{name: a{i}}}\n")).collect();
    let labels: String = (0..2_000).map(|i| format!("  k{i}: v\n")).collect();
    let tree = MemoryTree::new([
        ("kustomization.yaml", format!("resources: [a.yaml]\ncommonLabels:\n{labels}")),
        ("a.yaml", objects),
    ]);
    let errors = Build::new(&tree, "").run().expect_err("labels times objects");
    assert!(errors.to_string().contains(&limits::ADDED_NODES_MAX.to_string()), "{errors}");
}

/// Inputs that fuzzing found, each with what went wrong.
#[test]
fn what_fuzzing_found_stays_mended() {
    // A document that is a text, of which a line looks like a separator, was written so that it could not be read again.
    let documents = yaml::resources("a:[ |2-\n   x\n\n  --- a f g\n: 0").unwrap_or_default();
    for value in documents.iter().map(yaml::Document::to_json).chain([serde_json::json!("a\n--- b\n...\n")]) {
        let written = yaml::to_string(&value);
        let read = yaml::resources(&written).expect("what was written can be read");
        assert_eq!(read.iter().map(yaml::Document::to_json).collect::<Vec<_>>(), [value], "{written}");
    }
}
