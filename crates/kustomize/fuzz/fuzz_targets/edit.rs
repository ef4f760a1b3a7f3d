//! The byte-exact edit of a selector, wherever it is written: nothing else may change.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::{FileTree as _, MemoryTree, Overlay, edit};

fuzz_target!(|data: &[u8]| {
    let [kustomization, service, patch] = common::parts(data);
    let tree = MemoryTree::new([("kustomization.yaml", kustomization), ("service.yaml", service), ("p.yaml", patch)]);
    common::render(&tree, "");
    let Ok(edit) = edit::set_service_selector(&tree, "", "", "shop", "colour", "green") else { return };
    assert_eq!(tree.read(&edit.path, u64::MAX).as_deref(), Ok(edit.before.as_slice()));
    let edited = Overlay::new(&tree).with(&edit.path, edit.after.clone());
    match edit::set_service_selectors(&edited, "", "", &[("shop", "colour", "green")]) {
        Ok(more) => assert!(more.is_empty(), "an edit leaves nothing to do"),
        Err(error) => panic!("after the edit: {error}"),
    }
});
