//! A kustomization file of any content, beside the files it may name.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::MemoryTree;

const OBJECTS: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, labels: {app: x}}\nspec: {replicas: 1, template: {spec: {containers: [{name: c, image: nginx}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";

fuzz_target!(|data: &[u8]| {
    let [kustomization] = common::parts(data);
    let tree = MemoryTree::new([
        ("kustomization.yaml", kustomization),
        ("a.yaml", OBJECTS.as_bytes()),
        ("e.env", b"A=1\n#c\n B=2"),
        ("base/kustomization.yaml", b"resources: [a.yaml]\n"),
        ("base/a.yaml", OBJECTS.as_bytes()),
        ("part/kustomization.yaml", b"kind: Component\nnamePrefix: p-\n"),
    ]);
    common::render(&tree, "");
});
