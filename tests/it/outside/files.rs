//! Odd files: byte-exact edits, and one clear message for each that is broken.

use std::fs;

use super::stage::{Stage, edit, turquoise};

#[test]
fn odd_formatting_is_preserved_byte_for_byte() {
    let odd = "# first\r\napiVersion: v1\r\nkind: Service\r\nmetadata: {name: shop}   # the live one\r\nspec:\r\n    selector: { app: \"shop-frontend\", 'colour':   'blue' }  # turquoise: edit me\r\n    ports: [{name: http, port: 8080, targetPort: http}]\r\n---\r\n\r\napiVersion: v1\r\nkind: Service\r\nmetadata:\r\n      name:   shop-preview\r\nspec:\r\n      selector:\r\n            colour:   \"green\"   \t# the other one\r\n            app: shop-frontend\r\n      ports:\r\n      - {name: http, port: 8080, targetPort: http}";
    let stage = Stage::open_with(|clone| fs::write(clone.join("overlays/live/service.yaml"), odd).expect("written"));
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let expect =
        odd.replace("'colour':   'blue'", "'colour':   'green'").replace("colour:   \"green\"", "colour:   \"blue\"");
    assert_eq!(stage.file("overlays/live/service.yaml"), expect);
    stage.ends();
}

#[test]
fn broken_files_are_blocked_with_file_and_line_and_other_apps_go_on() {
    let stage = Stage::open_with(|clone| {
        let other = clone.join("other");
        fs::create_dir(&other).expect("a folder");
        let text = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec: {wach: 1s}\n";
        fs::write(other.join("turquoise.yaml"), text).expect("written");
    });
    let other = stage.until_app("other", "other is blocked", |app| app["phase"] == "blocked");
    let words = other["blocked"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("other/turquoise.yaml:3") && words.contains("wach"), "{words}");
    for (what, expect, change) in broken() {
        let broken = stage.commit(what, change);
        let status = stage.until(what, |app| app["phase"] == "blocked" && app["head"] == broken.as_str());
        let words = status["blocked"]["message"].as_str().unwrap_or_default();
        assert!(words.contains(expect), "{what}: {words}");
        assert!(stage.log().contains(expect), "{what} is not in the log");
        let check = turquoise().arg("check").arg(stage.clone_of_head()).output().expect("turquoise check runs");
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(check.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains(expect), "{what}: {said}");
        assert_eq!(stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]), "blue");
        let mended = stage.revert(&broken);
        stage.until("mended", |app| app["head"] == mended.as_str() && stage.is_at_rest(app));
    }
    stage.ends();
}

type Broken = (&'static str, &'static str, Box<dyn Fn(&std::path::Path)>);

fn broken() -> Vec<Broken> {
    let change = |file: &'static str, from: &'static str, to: &'static str| -> Box<dyn Fn(&std::path::Path)> {
        Box::new(move |clone| {
            edit(&clone.join(file), |text| {
                assert!(text.contains(from), "{file} has no {from}");
                text.replacen(from, to, 1)
            });
        })
    };
    vec![
        ("broken YAML", "base/backend.yaml:", change("base/backend.yaml", "  replicas: 2", "  replicas: [2")),
        (
            "missing overlay",
            "overlays/green",
            Box::new(|clone| fs::remove_dir_all(clone.join("overlays/green")).expect("removed")),
        ),
        (
            "colliding names",
            "base/kustomization.yaml:9: ConfigMap shop-settings-blue",
            change("overlays/green/kustomization.yaml", "nameSuffix: -green", "nameSuffix: -blue"),
        ),
        (
            "a selector that matches nobody",
            "overlays/live/service.yaml:",
            change("overlays/live/service.yaml", "app: shop-frontend", "app: nobody"),
        ),
        ("an unknown field", "turquoise.yaml:", change("turquoise.yaml", "  watch: 2s", "  wacht: 2s")),
        (
            "an unknown field in a kustomization",
            "overlays/blue/kustomization.yaml:",
            change("overlays/blue/kustomization.yaml", "nameSuffix:", "nameSufix:"),
        ),
    ]
}
