//! Objects that refer to each other by name, renamed in two arms, with places for names of any kind.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::MemoryTree;

fuzz_target!(|data: &[u8]| {
    let [objects, more, configuration] = common::parts(data);
    let tree = MemoryTree::new([
        ("base/kustomization.yaml", &b"resources: [a.yaml]\nconfigMapGenerator: [{name: cm, literals: [a=b]}]\n"[..]),
        ("base/a.yaml", objects),
        ("blue/kustomization.yaml", b"resources: [../base]\nnameSuffix: -blue\n"),
        ("green/kustomization.yaml", b"resources: [../base]\nnamePrefix: green-\nnamespace: n\n"),
        ("top/kustomization.yaml", b"resources: [../blue, ../green, more.yaml]\nconfigurations: [c.yaml]\n"),
        ("top/more.yaml", more),
        ("top/c.yaml", configuration),
    ]);
    common::render(&tree, "blue");
    common::render(&tree, "top");
});
