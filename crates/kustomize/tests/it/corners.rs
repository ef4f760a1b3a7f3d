//! Corners of the original, each found by comparing random kustomizations with it (`tests/differential.py`). The expected
//! texts are its own.

use crate::render;

/// What it is about, the files, and the output; `None` where the original fails.
const CASES: &[(&str, &str, Option<&str>)] = &[
    (
        "a JSON patch adds an annotation where there was none",
        r#"=== kustomization.yaml
resources: [a.yaml]
patches:
- target: {kind: Service}
  patch: |-
    - {op: add, path: /metadata/annotations/note, value: 5}
=== a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  annotations:
    note: "5"
  name: a
"#,
        ),
    ),
    (
        "annotations are text as it is written, labels are not",
        r#"=== kustomization.yaml
resources: [a.yaml]
=== a.yaml
apiVersion: v1
kind: Service
metadata:
  name: a
  annotations: {port: 0x10, scrape: true, version: 1.10, day: 2020-01-01, nothing: , tilde: ~, list: [a]}
  labels: {port: 0x10, scrape: true}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  annotations:
    day: "2020-01-01"
    list: ""
    nothing: ""
    port: "0x10"
    scrape: "true"
    tilde: "~"
    version: "1.10"
  labels:
    port: 16
    scrape: true
  name: a
"#,
        ),
    ),
    (
        "between braces nothing is an empty string",
        r#"=== kustomization.yaml
resources: [a.yaml]
=== a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {a: , b: {c}, d: [e: ]}
more:
  f:
"#,
        Some(
            r#"apiVersion: v1
data:
  a: ""
  b:
    c: ""
  d:
  - e: ""
kind: ConfigMap
metadata:
  name: a
more:
  f: null
"#,
        ),
    ),
    (
        "null deletes a label in patches without a target, and is a word elsewhere",
        r#"=== kustomization.yaml
resources: [a.yaml]
patchesStrategicMerge:
- |-
  kind: ConfigMap
  apiVersion: v1
  metadata: {name: a, labels: {one: null}, annotations: null}
patches:
- patch: |-
    kind: ConfigMap
    apiVersion: v1
    metadata: {name: a, labels: {two: null}}
- target: {kind: ConfigMap}
  patch: |-
    kind: ConfigMap
    apiVersion: v1
    metadata: {name: any, labels: {three: null}}
=== a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {one: x, two: x, three: x}, annotations: {note: x}}
"#,
        Some(
            r#"apiVersion: v1
kind: ConfigMap
metadata:
  annotations:
    note: x
  labels:
    one: "null"
    three: "null"
  name: a
"#,
        ),
    ),
    (
        "a label without selectors changes those that a base made with it",
        r#"=== kustomization.yaml
resources: [base]
labels: [{pairs: {app: overlay}}]
=== base/kustomization.yaml
resources: [a.yaml]
commonLabels: {app: base}
=== base/a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  labels:
    app: overlay
  name: a
spec:
  selector:
    app: overlay
"#,
        ),
    ),
    (
        "so does a strategic merge, and the last place wins",
        r#"=== kustomization.yaml
resources: [base]
patches:
- patch: |-
    apiVersion: v1
    kind: Service
    metadata: {name: a, labels: {app: label}}
    spec: {selector: {app: selector}}
=== base/kustomization.yaml
resources: [a.yaml]
commonLabels: {app: base}
=== base/a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  labels:
    app: selector
  name: a
spec:
  selector:
    app: selector
"#,
        ),
    ),
    (
        "so does a replacement",
        r#"=== kustomization.yaml
resources: [a.yaml]
labels: [{pairs: {app: base}, includeSelectors: true}]
replacements:
- source: {kind: Service, name: a}
  targets: [{select: {kind: Service}, fieldPaths: [metadata.labels.app]}]
=== a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  labels:
    app: a
  name: a
spec:
  selector:
    app: a
"#,
        ),
    ),
    (
        "a JSON patch does not, and parts the places",
        r#"=== kustomization.yaml
resources: [base]
patches:
- target: {kind: Service}
  patch: |-
    - {op: replace, path: /metadata/labels/app, value: patched}
labels: [{pairs: {app: label}}]
=== base/kustomization.yaml
resources: [a.yaml]
commonLabels: {app: base}
=== base/a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  labels:
    app: label
  name: a
spec:
  selector:
    app: base
"#,
        ),
    ),
    (
        "a label that was there before is not shared",
        r#"=== kustomization.yaml
resources: [base]
labels: [{pairs: {app: label}}]
=== base/kustomization.yaml
resources: [a.yaml]
commonLabels: {app: base}
=== base/a.yaml
apiVersion: v1
kind: Service
metadata: {name: a, labels: {app: old}}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  labels:
    app: label
  name: a
spec:
  selector:
    app: base
"#,
        ),
    ),
    (
        "own lists of kinds without Namespace leave it where its name puts it",
        r#"=== kustomization.yaml
resources: [a.yaml]
sortOptions: {order: legacy, legacySortOptions: {orderFirst: [Service], orderLast: []}}
=== a.yaml
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: v1
kind: Service
metadata: {name: a}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  name: a
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: a
---
apiVersion: v1
kind: Namespace
metadata:
  name: a
"#,
        ),
    ),
    (
        "what is missing is copied as null",
        r#"=== kustomization.yaml
resources: [a.yaml]
patches:
- target: {kind: ConfigMap}
  patch: |-
    - {op: copy, from: /data/none, path: /data/copy}
=== a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {a: b}
"#,
        Some(
            r#"apiVersion: v1
data:
  a: b
  copy: null
kind: ConfigMap
metadata:
  name: a
"#,
        ),
    ),
    (
        "of lists with two keys and none given the last element stays",
        r#"=== kustomization.yaml
resources: [a.yaml]
patches:
- patch: |-
    apiVersion: v1
    kind: Service
    metadata: {name: a}
    spec: {ports: [{name: y}, {name: z}]}
=== a.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{name: x}, {name: w}]}
"#,
        Some(
            r#"apiVersion: v1
kind: Service
metadata:
  name: a
spec:
  ports:
  - name: w
"#,
        ),
    ),
    (
        "folded text with indented lines",
        r#"=== kustomization.yaml
resources: [a.yaml]
=== a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  a: >
    one
      two
      three

    four
  b: >+
    one
    two


"#,
        Some(
            r#"apiVersion: v1
data:
  a: |
    one

      two
      three

    four
  b: |+
    one two



kind: ConfigMap
metadata:
  name: a
"#,
        ),
    ),
    (
        "a patch cannot take the name away",
        r#"=== kustomization.yaml
resources: [a.yaml]
patches:
- target: {kind: ConfigMap}
  patch: |-
    - {op: remove, path: /metadata/name}
=== a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
"#,
        None,
    ),
];

/// `tests/corners`: each file is a case, what it is about, the files, and last the output under `=== expected`.
#[test]
fn corner_files_are_the_originals() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corners");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the folder is there").flatten().map(|f| f.path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let case = std::fs::read_to_string(&path).expect("a case is text");
        let (files, expected) = case.split_once("=== expected\n").expect("a case ends with what is expected");
        let printed = render(files, "");
        match expected {
            "error\n" => assert!(printed.starts_with("error: "), "{}: {printed}", path.display()),
            expected => assert_eq!(printed, expected, "{}", path.display()),
        }
    }
}

#[test]
fn corners_are_the_originals() {
    for (about, files, expected) in CASES {
        let printed = render(files, "");
        match expected {
            Some(expected) => assert_eq!(printed, *expected, "{about}"),
            None => assert!(printed.starts_with("error: "), "{about}: {printed}"),
        }
    }
}
