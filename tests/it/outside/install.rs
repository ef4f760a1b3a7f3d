//! turquoise's own install: what `kubectl apply -k` makes of it, what it may do, and what it runs as.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::stage::{command, hermetic, turquoise};
use super::world::Only;

const INSTALLS: [&str; 3] = ["kubernetes", "overlays/single-namespace", "overlays/high-availability"];

fn place(install: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(install)
}

fn rendered(install: &str) -> Vec<Value> {
    let text = command(turquoise().arg("render").arg(place(install)));
    text.split("\n---\n").map(|one| serde_yaml::from_str(one).expect("YAML")).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn kubectl_renders_each_install_alike_and_a_cluster_takes_it() {
    let why = "it would install turquoise for good";
    let Some(stage) = Only::Sandbox(why).bare_with_images(|_| {}, &[]) else { return };
    stage.kubectl(&["create", "namespace", "shop"]);
    for install in INSTALLS {
        let ours = command(turquoise().arg("render").arg(place(install)));
        let theirs = command(hermetic("kubectl", stage.folder()).arg("kustomize").arg(place(install)));
        assert_eq!(ours, theirs, "{install}");
        let path = place(install).display().to_string();
        let flags: &[&str] = if install == "kubernetes" { &["-n", "shop"] } else { &[] };
        let kinds = rendered(install).len();
        let applied = stage.kubectl(&[flags, &["apply", "-k", &path]].concat());
        assert_eq!(applied.lines().count(), kinds, "{applied}");
    }
}

#[test]
fn an_install_has_no_more_rights_than_it_needs() {
    for install in INSTALLS {
        let objects = rendered(install);
        assert!(objects.iter().all(|object| !object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster"))));
        let rules = of_kind(&objects, "Role")["rules"].as_array().expect("rules").clone();
        let words = |rule: &Value, field: &str| -> BTreeSet<String> {
            let list = rule[field].as_array().into_iter().flatten();
            list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let set = |all: &[&str]| -> BTreeSet<String> { all.iter().map(ToString::to_string).collect() };
        let verbs = |resource: &str| -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
            let of = rules.iter().filter(|rule| words(rule, "resources").contains(resource));
            of.map(|rule| (words(rule, "verbs"), words(rule, "resourceNames"))).collect()
        };
        for rule in &rules {
            for field in ["apiGroups", "resources", "verbs"] {
                assert!(!words(rule, field).contains("*"), "{install}: {rule}");
            }
            assert!(
                words(rule, "verbs").is_disjoint(&set(&["update", "deletecollection", "escalate", "bind"])),
                "{rule}"
            );
        }
        assert_eq!(verbs("secrets"), [(set(&["create", "patch", "delete"]), set(&[]))], "{install}");
        let leases = verbs("leases");
        if install.ends_with("high-availability") {
            let by_name = (set(&["get", "patch"]), set(&["turquoise"]));
            assert_eq!(leases, [(set(&["create"]), set(&[])), by_name], "{install}");
        } else {
            assert!(leases.is_empty(), "{install}: without an election there is no Lease");
        }
    }
}

#[test]
fn an_install_runs_as_nobody_and_can_write_nothing_of_its_image() {
    for install in INSTALLS {
        let objects = rendered(install);
        let deployment = of_kind(&objects, "Deployment");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{install}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{install}");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true, "{install}");
        assert_eq!(container["allowPrivilegeEscalation"], false, "{install}");
        assert_eq!(container["capabilities"], serde_json::json!({"drop": ["ALL"]}), "{install}");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for (kind, selector) in
            [("PodDisruptionBudget", "/spec/selector/matchLabels"), ("NetworkPolicy", "/spec/podSelector/matchLabels")]
        {
            let selector = of_kind(&objects, kind).pointer(selector).and_then(Value::as_object).expect("a selector");
            assert!(
                !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value),
                "{install}: {kind}"
            );
        }
        // What is mounted is there, and the settings are flags that this binary knows.
        let volumes: BTreeSet<&str> = names(&pod["volumes"]);
        assert_eq!(names(&pod["containers"][0]["volumeMounts"]), volumes, "{install}");
        let settings = of_kind(&objects, "ConfigMap")["data"].as_object().expect("settings").clone();
        let help = command(turquoise().args(["run", "--help"]));
        for name in settings.keys() {
            assert!(help.contains(&format!("{name}=")), "{install}: {name} is no flag");
        }
        let elects = settings.get("TURQUOISE_LEADER_ELECT").is_some_and(|value| value == "true");
        assert_eq!(deployment["spec"]["replicas"], if elects { 2 } else { 1 }, "{install}");
        assert_eq!(
            deployment["spec"]["strategy"]["type"] == "Recreate",
            !elects,
            "{install}: never two without an election"
        );
    }
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}
