//! Thousands of resources cost each what one costs.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use turquoise_kustomize::{Build, MemoryTree};

fn build(count: usize) -> Duration {
    let mut all = String::new();
    let mut top = String::from(
        "resources: [all.yaml]\nnameSuffix: -blue\nlabels: [{pairs: {colour: blue}, includeSelectors: true}]\nconfigMapGenerator:\n",
    );
    for i in 0..count {
        let written = write!(
            all,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d{i}}}\nspec: {{template: {{spec: {{containers: [{{name: c, envFrom: [{{configMapRef: {{name: c{i}}}}}]}}]}}}}}}\n"
        );
        assert!(written.is_ok());
        let written = writeln!(top, "- {{name: c{i}, literals: [a={i}]}}");
        assert!(written.is_ok());
    }
    top.push_str("patches:\n");
    for i in 0..count {
        let written = writeln!(
            top,
            "- patch: '{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d{i}}}, spec: {{replicas: 2}}}}'"
        );
        assert!(written.is_ok());
    }
    let tree = MemoryTree::new([("kustomization.yaml", top), ("all.yaml", all)]);
    let start = Instant::now();
    let output = Build::new(&tree, "").run().expect("a render");
    assert_eq!(output.objects.len(), 2 * count);
    start.elapsed()
}

#[test]
fn growth_is_near_linear() {
    build(50);
    let small = build(200).max(Duration::from_millis(1));
    let large = build(3200);
    // Sixteen times the input; a quadratic pass would take 256 times as long. The machine may be busy, so the bound is wide.
    assert!(large < small * 16 * 6, "200: {small:?}, 3200: {large:?}");
}
