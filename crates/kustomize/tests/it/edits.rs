//! Byte-exact edits: every way to write a selector, and what must be refused.

use turquoise_kustomize::edit::{EditError, set_service_selector, set_service_selectors};
use turquoise_kustomize::{FileTree, MemoryTree};

const KUSTOMIZATION: &str = "resources: [service.yaml]\n";

fn live(service: &str) -> MemoryTree {
    MemoryTree::new([("app/live/kustomization.yaml", KUSTOMIZATION), ("app/live/service.yaml", service)])
}

/// The edit must be the replacement of one occurrence of `<...>` in the template, from blue to green.
fn check(template: &str) {
    let before = template.replace(['<', '>'], "");
    let after = {
        let (head, rest) = template.split_once('<').expect("a mark");
        let (old, tail) = rest.split_once('>').expect("a mark's end");
        format!("{head}{}{tail}", old.replace("blue", "green"))
    };
    let tree = live(&before);
    match set_service_selector(&tree, "app/live", "app", "shop", "colour", "green") {
        Ok(edit) => {
            assert_eq!(String::from_utf8_lossy(&edit.after), after, "{template}");
            assert_eq!(edit.path, "app/live/service.yaml");
            assert_eq!(edit.before, before.as_bytes());
            let line = 1 + template.split('<').next().map_or(0, |head| head.matches('\n').count());
            assert_eq!(edit.line, line, "{template}");
        }
        Err(error) => panic!("{template}: {error}"),
    }
}

const HEAD: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\n";

#[test]
fn every_style_of_manifest() {
    for body in [
        "spec:\n  selector:\n    app: shop\n    colour: <blue>\n",
        "spec:\n  selector:\n    app: shop\n    colour: <blue> # which colour is live: blue\n",
        "spec:\n  selector:\n    colour: <\"blue\">\n    app: blue\n",
        "spec:\n  selector:\n    colour: <'blue'>",
        "spec:\n  selector: {app: shop, colour: <blue>}\n",
        "spec:\n  selector: {app: shop, colour: <blue>, x: y} # {colour: blue}\n",
        "spec:\n  selector: {\"colour\":<\"blue\">}\n",
        "spec:\n      selector:\n            colour:   <blue>   \n",
        "spec:\n  # a\ttab: blue\n  selector:\n    colour: <blue>\n  ports: [{port: 80}]\n",
        "spec:\n  selector:\n    ? colour\n    : <blue>\n",
        "spec:\n  selector:\n    colour:\n      <blue>\n",
        "spec:\n  selector:\n    colour: !!str <blue>\n",
    ] {
        check(&format!("{HEAD}{body}"));
        check(&format!("{HEAD}{body}").replace('\n', "\r\n"));
        check(&format!("\u{feff}# é 😀\n{HEAD}{body}"));
        let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {colour: blue}\n";
        check(&format!("{other}---\n{HEAD}{body}"));
        check(&format!("---\n# first\n{HEAD}{}\n---\n# nothing\n---\n{other}", body.trim_end_matches('\n')));
    }
}

#[test]
fn lists_and_json() {
    check(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: shop}\n  spec:\n    selector: {colour: <blue>}\n",
    );
    check(
        "{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n \"metadata\": {\"name\": \"shop\"},\n \"spec\": {\"selector\": {\"colour\": <\"blue\">}}}\n",
    );
    // The preview's own value stays.
    let preview =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: shop-preview}\nspec: {selector: {colour: blue}}\n";
    check(&format!("{HEAD}spec: {{selector: {{colour: <blue>}}}}\n{preview}"));
}

#[test]
fn patches_and_labels_of_the_overlay() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {app: shop, colour: red}}\n";
    for (kustomization, extra, file) in [
        (
            "resources: [../base]\npatches:\n- path: p.yaml\n",
            "kind: Service\napiVersion: v1\nmetadata: {name: shop}\nspec:\n  selector:\n    colour: <blue> # live\n",
            "p.yaml",
        ),
        (
            "resources: [../base]\npatchesStrategicMerge: [p.yaml]\n",
            "kind: Service\napiVersion: v1\nmetadata: {name: shop}\nspec: {selector: {colour: <'blue'>}}",
            "p.yaml",
        ),
        (
            "resources: [../base]\npatches:\n- path: p.json\n  target: {kind: Service}\n",
            "[{\"op\": \"replace\", \"path\": \"/spec/selector/colour\", \"value\": <\"blue\">}]\n",
            "p.json",
        ),
        (
            "resources: [../base]\npatches:\n- path: p.yaml\n  target: {kind: Service}\n",
            "- op: replace\n  path: /spec/selector/colour\n  value: <blue>\n",
            "p.yaml",
        ),
        (
            "resources: [../base]\npatches:\n- target: {kind: Service}\n  patch: |-\n    - op: replace\n      path: /spec/selector/colour\n      value: <blue>\n",
            "",
            "kustomization.yaml",
        ),
        (
            "resources: [../base]\npatches:\n- patch: |\n      # a patch\n      apiVersion: v1\n      kind: Service\n      metadata:\n        name: shop\n      spec:\n        selector:\n          colour: <\"blue\"> # live\n",
            "",
            "kustomization.yaml",
        ),
        (
            "resources: [../base]\nlabels:\n- pairs: {colour: <blue>}\n  includeSelectors: true\n",
            "",
            "kustomization.yaml",
        ),
    ] {
        let (path, template) = if extra.is_empty() { ("kustomization.yaml", kustomization) } else { (file, extra) };
        let strip = |text: &str| text.replace(['<', '>'], "");
        let mut files = vec![
            ("app/base/kustomization.yaml".to_string(), "resources: [s.yaml]\n".to_string()),
            ("app/base/s.yaml".to_string(), service.to_string()),
            (
                "app/live/kustomization.yaml".to_string(),
                if extra.is_empty() { strip(kustomization) } else { kustomization.to_string() },
            ),
        ];
        if !extra.is_empty() {
            files.push((format!("app/live/{file}"), strip(extra)));
        }
        let tree = MemoryTree::new(files);
        let found = set_service_selector(&tree, "app/live", "app", "shop", "colour", "green");
        let edit = found.unwrap_or_else(|error| panic!("{template}: {error}"));
        let (head, rest) = template.split_once('<').expect("a mark");
        let (old, tail) = rest.split_once('>').expect("a mark's end");
        let expected = format!("{head}{}{tail}", old.replace("blue", "green"));
        assert_eq!(edit.path, format!("app/live/{path}"));
        assert_eq!(String::from_utf8_lossy(&edit.after), expected);
    }
}

#[test]
fn what_cannot_be_changed_alone_is_refused() {
    let shared = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: &s {colour: blue}}\n";
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: shop}\n  spec:\n    selector: &s {colour: blue}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: shop-preview}\n  spec:\n    selector: *s\n";
    assert!(set_service_selector(&live(shared), "app/live", "app", "shop", "colour", "green").is_ok());
    for (service, key, value, folder, text) in [
        ("shop", "colour", "green", "app", list),
        ("shop-preview", "colour", "green", "app", list),
        ("shop", "colour", "green", "elsewhere", shared),
        ("shop", "colour", "not a label!", "app", shared),
    ] {
        let found = set_service_selector(&live(text), "app/live", folder, service, key, value);
        assert!(matches!(found, Err(EditError::NotEditable(_))), "{service} {value} {folder}: {found:?}");
    }
    let missing = set_service_selector(&live(shared), "app/live", "app", "shop", "slot", "x");
    assert!(matches!(missing, Err(EditError::NoSuchSelector(_))), "{missing:?}");
    let nobody = set_service_selector(&live(shared), "app/live", "app", "till", "colour", "x");
    assert!(matches!(nobody, Err(EditError::NoSuchSelector(_))), "{nobody:?}");
    let already = set_service_selector(&live(shared), "app/live", "app", "shop", "colour", "blue");
    assert_eq!(already, Err(EditError::AlreadySet));
}

#[test]
fn several_services_change_together() {
    let service = |name: &str, colour: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{colour: {colour}}}}}\n---\n"
        )
    };
    let text = service("shop", "blue") + &service("till", "blue") + &service("shop-preview", "green");
    let tree = live(&text);
    let wishes = [("shop", "colour", "green"), ("till", "colour", "green"), ("shop-preview", "colour", "blue")];
    let edits = set_service_selectors(&tree, "app/live", "app", &wishes).expect("an edit");
    assert_eq!(edits.len(), 1);
    let swapped = text.replace("blue", "#").replace("green", "blue").replace('#', "green");
    assert_eq!(String::from_utf8_lossy(&edits[0].after), swapped);
    assert_eq!(edits[0].line, 4);
    // Shared by both, and wished alike: the one place is the right one.
    let shared = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {selector: &s {colour: blue}}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {selector: *s}\n";
    let both =
        set_service_selectors(&live(shared), "app/live", "", &[("a", "colour", "green"), ("b", "colour", "green")]);
    assert_eq!(both.map(|edits| edits.len()), Ok(1));
}

#[test]
fn a_label_that_other_objects_get_too_is_refused() {
    let service = |name: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: a}}}}\n")
    };
    let tree = MemoryTree::new([
        ("live/kustomization.yaml", "resources: [a.yaml, b.yaml]\ncommonLabels: {colour: blue}\n".to_string()),
        ("live/a.yaml", service("shop")),
        ("live/b.yaml", service("shop-preview")),
    ]);
    let found = set_service_selector(&tree, "live", "live", "shop", "colour", "green");
    assert!(matches!(found, Err(EditError::NotEditable(_))), "{found:?}");
    let wishes = [("shop", "colour", "green"), ("shop-preview", "colour", "green")];
    assert_eq!(set_service_selectors(&tree, "live", "live", &wishes).map(|edits| edits.len()), Ok(1));
}

#[test]
fn names_with_suffixes_are_found() {
    let tree = MemoryTree::new([
        ("app/live/kustomization.yaml", "resources: [../base]\nnamePrefix: my-\nnameSuffix: -eu\n"),
        ("app/base/kustomization.yaml", "resources: [s.yaml]\n"),
        (
            "app/base/s.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {colour: blue}}\n",
        ),
    ]);
    let edit = set_service_selector(&tree, "app/live", "app", "my-shop-eu", "colour", "green").expect("an edit");
    assert_eq!(edit.path, "app/base/s.yaml");
    assert!(tree.kind("app/base/s.yaml").is_ok());
}
