//! Objects and a JSON patch for all of them.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::MemoryTree;

fuzz_target!(|data: &[u8]| {
    let [objects, patch] = common::parts(data);
    let kustomization = b"resources: [a.yaml]\npatches: [{path: p.yaml, target: {name: '.*'}}]\n";
    let tree = MemoryTree::new([("kustomization.yaml", &kustomization[..]), ("a.yaml", objects), ("p.yaml", patch)]);
    common::render(&tree, "");
});
