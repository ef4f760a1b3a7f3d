//! What is refused, and how that reads.

use crate::render;

#[track_caller]
fn check(files: &str, path: &str, expected: &str) {
    let text = render(files, path);
    assert!(text.starts_with("error: "), "rendered: {text}");
    assert_eq!(text.trim_start_matches("error: "), expected, "{files}");
}

#[test]
fn unknown_and_wrong_fields_all_at_once() {
    check(
        "=== kustomization.yaml\nresorces: []\nimages:\n- name: a\n  newTga: b\n  newTag: 1.10\nnamespace: n\n",
        "",
        "kustomization.yaml:1:1: unknown field `resorces` in the kustomization; did you mean `resources`?\n\
         kustomization.yaml:4:3: unknown field `newTga` in `images`; did you mean `newTag`?\n\
         kustomization.yaml:5:3: `newTag` must be a string, not a number; put it in quotes\n\
         kustomization.yaml:6:1: `namespace` must be a string, not a boolean; put it in quotes",
    );
}

#[test]
fn missing_files_and_broken_ones_together() {
    check(
        "=== a/kustomization.yaml\nresources:\n- ../b\n=== b/kustomization.yaml\nresources:\n- gone.yaml\n- bad.yaml\n- ../../up.yaml\n- https://example.com/x.yaml\n=== b/bad.yaml\na: 1\n b: 2\n",
        "a",
        "b/kustomization.yaml:2:3: `gone.yaml` does not exist (by way of a/kustomization.yaml)\n\
         b/kustomization.yaml:4:3: `../../up.yaml` leads out of the tree; only what lies in it can be used (by way of a/kustomization.yaml)\n\
         b/kustomization.yaml:5:3: `https://example.com/x.yaml` is remote; nothing is fetched: copy it into the repository, for example as a git submodule or with `git subtree` (by way of a/kustomization.yaml)\n\
         b/bad.yaml:2:3: broken YAML: mapping values are not allowed in this context; check the indentation, and put a text that holds a colon in quotes (by way of a/kustomization.yaml, b/kustomization.yaml)",
    );
}

#[test]
fn what_one_attempt_would_hide_is_said_too() {
    check(
        "=== kustomization.yaml\nresources: [gone.yaml, a.yaml]\nopenapi: {path: https://example.com/schema}\nconfigurations: [c.yaml]\n\
         configMapGenerator:\n- name: a\n  literals: [nothing]\n- name: b\n  files: [b.txt]\npatches:\n- path: p.yaml\n\
         - patch: '[{\"op\": \"add\", \"path\": \"/a\"}]'\n- target: {kind: (}\n  patch: '[{\"op\": \"add\", \"path\": \"/a\"}]'\n\
         - target: {kind: A}\n  patch: '[{\"op\": \"put\", \"path\": \"/a\"}]'\n=== a.yaml\na: b\n",
        "",
        "kustomization.yaml:1:13: `gone.yaml` does not exist\n\
         kustomization.yaml:2:1: `https://example.com/schema` is remote; nothing is fetched: copy it into the repository, for example as a git submodule or with `git subtree`\n\
         kustomization.yaml:3:18: `c.yaml` does not exist; did you mean `a.yaml`?\n\
         kustomization.yaml:5:3: `a`: the literal `nothing` is no `key=value`\n\
         kustomization.yaml:7:3: `b`: `b.txt` does not exist\n\
         kustomization.yaml:10:3: `p.yaml` does not exist; did you mean `a.yaml`?\n\
         kustomization.yaml:11:3: a JSON patch needs a `target`\n\
         kustomization.yaml:12:3: the target's pattern `(` is no valid regular expression\n\
         kustomization.yaml:14:3: `put` is no operation; it is add, remove, replace, move, copy or test",
    );
}

#[test]
fn a_variable_without_its_object_is_found_where_it_is_declared() {
    check(
        "=== kustomization.yaml\nresources: [base]\n=== base/kustomization.yaml\nresources: [a.yaml]\nvars:\n- name: A\n  objref: {apiVersion: v1, kind: Service, name: gone}\n=== base/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        "",
        "base/kustomization.yaml:3:3: the variable `A` refers to Service `gone`, which is not in the build (by way of kustomization.yaml)",
    );
}

#[test]
fn a_missing_file_is_guessed_at() {
    check(
        "=== kustomization.yaml\nresources: [servce.yaml, sub/a.yml]\n=== service.yaml\na: b\n=== sub/a.yaml\na: b\n",
        "",
        "kustomization.yaml:1:13: `servce.yaml` does not exist; did you mean `service.yaml`?\n\
         kustomization.yaml:1:26: `sub/a.yml` does not exist; did you mean `sub/a.yaml`?",
    );
}

#[test]
fn each_with_its_reason() {
    let object = "=== a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for (files, path, expected) in [
        (
            "=== a/x.yaml\na: 1\n",
            "a",
            "a: the directory has no kustomization; add one of kustomization.yaml, kustomization.yml, Kustomization",
        ),
        ("=== x.yaml\na: 1\n", "gone", "gone: `gone` does not exist"),
        (
            "=== kustomization.yaml\nresources: [.]\n",
            "",
            "kustomization.yaml:1:13: `.` closes a cycle: `.`, which is or lies in it, is being built",
        ),
        (
            "=== kustomization.yaml\nhelmCharts: [{name: a}]\n",
            "",
            "kustomization.yaml:1:1: `helmCharts` is not supported: Helm is never run; render the chart with `helm template`, commit the result and list it in `resources`",
        ),
        (
            "=== a/kustomization.yaml\nresources: [../x.yaml]\n=== x.yaml\na: 1\n",
            "a",
            "a/kustomization.yaml:1:13: `../x.yaml` is not in or below the kustomization's directory; move it there, or give it a kustomization of its own and list that as a resource",
        ),
        (
            "=== kustomization.yaml\nresources: [a.yaml, a.yaml]\n=== a.yaml\nkind: A\nmetadata: {name: a}\n",
            "",
            "kustomization.yaml:1:21: two resources have the same id: A a of a.yaml:1 and of a.yaml:1; remove or rename one",
        ),
        (
            "=== kustomization.yaml\nresources: [a.yaml]\n=== a.yaml\n\nkind: A\nmetadata: {generateName: a}\n",
            "",
            "a.yaml:2: the A has no `metadata.name`; `generateName` is not enough (by way of kustomization.yaml)",
        ),
        (
            "=== kustomization.yaml\ntransformers: [t.yaml]\n=== t.yaml\napiVersion: example.com/v1\nkind: Mine\nmetadata: {name: a}\n",
            "",
            "kustomization.yaml:1:16: Mine is no built-in plug-in; nothing is executed here: use a built-in one, or run yours beforehand and commit its output",
        ),
    ] {
        check(files, path, expected);
    }
    for (rest, expected) in [
        (
            "patches: [{path: p.yaml}]\n=== p.yaml\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n",
            "kustomization.yaml:2:11: no resource matches the patch for ConfigMap b; did you mean `a`?",
        ),
        (
            "patches: [{patch: '[{\"op\": \"remove\", \"path\": \"/x\"}]', target: {name: a}}]\n",
            "kustomization.yaml:2:11: ConfigMap a (from a.yaml:1): operation `remove` at `/x` does not apply: `x` is missing",
        ),
        (
            "patches: [{patch: 'nonsense', target: {name: '('}}]\n",
            "kustomization.yaml:2:11: the patch is neither a strategic merge patch (a resource must be a map with `apiVersion`, `kind` and `metadata`) nor a JSON patch (a JSON patch is a list of operations)",
        ),
        (
            "images: [{name: '(', newTag: x}]\n",
            "kustomization.yaml:2:10: the image name `(` is no valid regular expression",
        ),
        (
            "replicas: [{name: a, count: 2}]\n",
            "kustomization.yaml:2:12: no resource named `a` is of a kind whose replicas can be set (Deployment, ReplicationController, ReplicaSet, StatefulSet)",
        ),
        (
            "configMapGenerator: [{name: a}]\n",
            "kustomization.yaml:2:22: ConfigMap a exists already (from a.yaml:1); use the behavior `merge` or `replace`",
        ),
    ] {
        check(&format!("=== kustomization.yaml\nresources: [a.yaml]\n{rest}{object}"), "", expected);
    }
}

#[test]
fn what_people_do_wrong_most_says_what_to_do() {
    let service = "=== a.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: prod}\n";
    for (kustomization, expected) in [
        ("", "1:1: the kustomization is empty; give it `resources`, and if there are none, `resources: []`"),
        ("# later\n", "1:1: the kustomization is empty; give it `resources`, and if there are none, `resources: []`"),
        (
            "images:\n- name: x\n  newName: {{ registry }}/x\n",
            "3:13: broken YAML: a list or map cannot be a key; this looks like a template: fill it in before it is committed, or put it in quotes",
        ),
        (
            "resources:\n<<<<<<< HEAD\n- a.yaml\n=======\n- b.yaml\n>>>>>>> b\n",
            "2:1: broken YAML: simple key expected ':'; a merge left both its sides here: keep one",
        ),
        (
            "resources:\n\t- a.yaml\n",
            "2:2: broken YAML: tabs disallowed within this context (block indentation); indent with spaces",
        ),
        (
            "resources:\n  - b.yaml\n   - c.yaml\n",
            "2:5: `b.yaml - c.yaml` does not exist; is the line after `- b.yaml` indented too deep?",
        ),
        ("patches:\n- p.yaml\n", "2:3: a patch must be a map, not a string; write `path: p.yaml`"),
        ("patches:\n- |\n  kind: Service\n", "3:3: a patch must be a map, not a string; write `patch: |` before it"),
        (
            "resources: []\nsortOptions: {order: name}\n",
            "2:15: `sortOptions.order` is `name`; it must be `fifo` or `legacy`",
        ),
        (
            "resources: [a.yaml]\npatchesStrategicMerge: ['{apiVersion: v1, kind: Service, metadata: {name: web}}']\n",
            "2:25: no resource matches the patch for Service web; there is Service web in namespace prod: name it as it is, with apiVersion and namespace",
        ),
        (
            "resources: [a.yaml]\npatchesStrategicMerge: ['{apiVersion: v1, kind: Service, metadata: {name: wep}}']\n",
            "2:25: no resource matches the patch for Service wep; did you mean `web`?",
        ),
    ] {
        let files = format!("=== kustomization.yaml\n{kustomization}{service}");
        check(&files, "", &format!("kustomization.yaml:{expected}"));
    }
}

#[test]
fn all_that_is_wrong_with_a_file_is_said_at_once() {
    check(
        "=== kustomization.yaml\nresources: [a.yaml]\nsecretGenerator:\n- name: s\n  envs: [gone.env]\n  literals: [a=1, b, a=2]\n  files: [c=d=e]\n\
         === a.yaml\napiVersion: v1\nmetadata: {name: a}\n---\nkind: Service\n---\n- a list\n---\nkind: Job\nmetadata: {generateName: j-}\n",
        "",
        "a.yaml:1: the resource has no `kind` (by way of kustomization.yaml)\n\
         a.yaml:4: the Service has no `metadata.name` (by way of kustomization.yaml)\n\
         a.yaml:6: a resource must be a map with `apiVersion`, `kind` and `metadata` (by way of kustomization.yaml)\n\
         a.yaml:8: the Job has no `metadata.name`; `generateName` is not enough (by way of kustomization.yaml)\n\
         kustomization.yaml:3:3: `s`: `gone.env` does not exist; the literal `b` is no `key=value`; the key `a` is given twice; `c=d=e` has more than one `=`",
    );
}
