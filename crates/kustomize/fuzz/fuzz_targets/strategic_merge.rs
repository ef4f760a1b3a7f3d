//! Objects and a strategic merge patch: by its own name, and by a target.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::MemoryTree;

fuzz_target!(|data: &[u8]| {
    let [objects, patch] = common::parts(data);
    for kustomization in ["resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "resources: [a.yaml]\npatches: [{path: p.yaml, target: {name: '.*'}}]\n"] {
        let tree = MemoryTree::new([("kustomization.yaml", kustomization.as_bytes()), ("a.yaml", objects), ("p.yaml", patch)]);
        common::render(&tree, "");
    }
});
