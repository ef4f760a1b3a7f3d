//! Whole builds: files in, text out.

use crate::render;

#[track_caller]
fn check(files: &str, path: &str, expected: &str) {
    assert_eq!(render(files, path), expected.trim_start_matches('\n'), "{files}");
}

const SERVICE: &str = "=== base/s.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {app: shop}, ports: [{port: 80}]}\n";
const BASE: &str = "=== base/kustomization.yaml\nresources: [s.yaml]\n";

#[test]
fn a_colour_is_a_suffix_and_a_label_with_selectors() {
    let files = format!(
        "{SERVICE}{BASE}=== blue/kustomization.yaml\nresources: [../base]\nnameSuffix: -blue\nlabels:\n- pairs: {{colour: blue}}\n  includeSelectors: true\n"
    );
    check(
        &files,
        "blue",
        "
apiVersion: v1
kind: Service
metadata:
  labels:
    colour: blue
  name: shop-blue
spec:
  ports:
  - port: 80
  selector:
    app: shop
    colour: blue
",
    );
}

#[test]
fn two_colours_of_one_base_stand_side_by_side() {
    let files = format!(
        "{SERVICE}{BASE}=== blue/kustomization.yaml\nresources: [../base]\nnameSuffix: -blue\n=== green/kustomization.yaml\nresources: [../base]\nnameSuffix: -green\n=== kustomization.yaml\nresources: [blue, green]\n"
    );
    let text = render(&files, "");
    assert!(text.contains("name: shop-blue\n") && text.contains("name: shop-green\n"), "{text}");
}

#[test]
fn generated_names_end_in_a_hash_and_references_follow() {
    check(
        "
=== kustomization.yaml
resources: [pod.yaml]
namePrefix: x-
configMapGenerator:
- name: settings
  literals: [A=1]
=== pod.yaml
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, envFrom: [{configMapRef: {name: settings}}]}]}
",
        "",
        "
apiVersion: v1
data:
  A: \"1\"
kind: ConfigMap
metadata:
  name: x-settings-89g4tffbfk
---
apiVersion: v1
kind: Pod
metadata:
  name: x-p
spec:
  containers:
  - envFrom:
    - configMapRef:
        name: x-settings-89g4tffbfk
    name: c
",
    );
}

#[test]
fn strategic_merges_put_the_patchs_elements_first() {
    check(
        "
=== kustomization.yaml
resources: [d.yaml]
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: d}
    spec: {template: {spec: {containers: [{name: b, image: new}, {name: a, $patch: delete}]}}}
=== d.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: a, image: a}, {name: c, image: c}, {name: b, image: b}]}}}
",
        "",
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
spec:
  template:
    spec:
      containers:
      - image: new
        name: b
      - image: c
        name: c
",
    );
}

#[test]
fn replacements_copy_the_name_of_the_colour() {
    let text = render(
        "
=== kustomization.yaml
resources: [a.yaml]
nameSuffix: -blue
replacements:
- source: {kind: Service, name: back}
  targets:
  - select: {kind: Deployment}
    fieldPaths: ['spec.env.[name=HOST].value']
=== a.yaml
apiVersion: v1
kind: Service
metadata: {name: back}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec: {env: [{name: HOST, value: x}]}
",
        "",
    );
    assert!(text.contains("value: back-blue\n"), "{text}");
}

#[test]
fn components_run_before_the_transformers_of_who_names_them() {
    let text = render(
        "
=== kustomization.yaml
resources: [c.yaml]
components: [comp]
namePrefix: top-
=== comp/kustomization.yaml
kind: Component
nameSuffix: -comp
=== c.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
",
        "",
    );
    assert!(text.contains("name: top-a-comp\n"), "{text}");
}

#[test]
fn the_order_is_that_of_kinds_unless_told_otherwise() {
    let files = "
=== kustomization.yaml
resources: [all.yaml]
SORT
=== all.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
---
apiVersion: v1
kind: Namespace
metadata: {name: n}
";
    let kinds =
        |text: &str| text.lines().filter_map(|line| line.strip_prefix("kind: ")).map(String::from).collect::<Vec<_>>();
    assert_eq!(kinds(&render(&files.replace("SORT", ""), "")), ["Namespace", "Deployment"]);
    assert_eq!(kinds(&render(&files.replace("SORT", "sortOptions: {order: fifo}"), "")), ["Deployment", "Namespace"]);
}

#[test]
fn text_is_written_as_kubernetes_tools_write_it() {
    check(
        "
=== kustomization.yaml
resources: [c.yaml]
=== c.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  a10: 'yes'
  a2: \"two\\nlines\"
  b: 'x: y'
  c: \" lead\\nand\\n\\n\"
  d: \"tab\\t\"
  e: '2020-01-01'
  f: ''
  g: a very long line of words that goes on and on until it has to be folded somewhere past column eighty
",
        "",
        "
apiVersion: v1
data:
  a2: |-
    two
    lines
  a10: \"yes\"
  b: 'x: y'
  c: |2+
     lead
    and

  d: \"tab\\t\"
  e: \"2020-01-01\"
  f: \"\"
  g: a very long line of words that goes on and on until it has to be folded somewhere
    past column eighty
kind: ConfigMap
metadata:
  name: a
",
    );
}

#[test]
fn warnings_are_values() {
    let tree = crate::tree(
        "=== kustomization.yaml\nbases: [b]\nnamePrefix: a-\nnamePrefix: c-\n=== b/kustomization.yaml\nresources: []\n",
    );
    let output = turquoise_kustomize::Build::new(&tree, "").run().expect("a render");
    let warnings: Vec<String> = output.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "kustomization.yaml:1: `bases` is deprecated; use `resources`",
            "kustomization.yaml:3: `namePrefix` is given a second time, and only the last one counts",
        ]
    );
    assert!(output.objects.is_empty());
}
