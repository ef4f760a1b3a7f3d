//! A whole tree: a base, an overlay, a component, and files of any content.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::MemoryTree;

fuzz_target!(|data: &[u8]| {
    let [top, base, objects, component, file] = common::parts(data);
    let tree = MemoryTree::new([
        ("top/kustomization.yaml", top),
        ("top/f", file),
        ("base/kustomization.yaml", base),
        ("base/a.yaml", objects),
        ("base/f", file),
        ("c/kustomization.yaml", component),
        ("c/f", file),
    ]);
    common::render(&tree, "top");
});
