//! One rule a row.
use serde_json::json;

use super::*;

fn manifest(value: Value) -> Manifest {
    Manifest { value, file: "a.yaml".into(), line: 3 }
}

fn deployment(name: &str, labels: Value) -> Manifest {
    manifest(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"image": "shop:1"}]}}}}))
}

fn service(name: &str, selector: Value) -> Manifest {
    manifest(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector}}))
}

fn other(api_version: &str, kind: &str, spec: Value) -> Manifest {
    manifest(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "other"}, "spec": spec}))
}

struct App {
    blue: Vec<Manifest>,
    green: Vec<Manifest>,
    live: Vec<Manifest>,
    policy: Policy,
}

impl App {
    fn sound() -> Self {
        let colour = |colour: &str| {
            let labels = json!({"app": "shop", "colour": colour});
            vec![deployment(&format!("shop-{colour}"), labels.clone()), service(&format!("own-{colour}"), labels)]
        };
        Self {
            blue: colour("blue"),
            green: colour("green"),
            live: vec![
                service("shop", json!({"app": "shop", "colour": "blue"})),
                service("shop-preview", json!({"app": "shop", "colour": "green"})),
            ],
            policy: Policy::default(),
        }
    }

    fn shape(&self) -> Result<Shape, Blocked> {
        let colours = ByColour { blue: &self.blue[..], green: &self.green[..] };
        shape(&Parts { colours, live: &self.live }, &self.policy)
    }
}

#[test]
fn a_sound_app_is_classified() {
    let shape = App::sound().shape().expect("a shape");
    assert_eq!(shape.key, "colour");
    assert_eq!(shape.declared, Declared::Colour(Colour::Blue));
    assert_eq!(shape.renders.blue.workloads[0].twin, "shop");
    let roles: Vec<Role> = shape.overlay.objects.iter().map(|object| object.role).collect();
    assert_eq!(roles, [Role::Live, Role::Preview]);
}

/// A row: what is broken, and words of the problem.
type Row = (fn(&mut App), &'static str);

#[test]
fn what_would_be_unsafe_is_refused_by_name() {
    let rows: [Row; 18] = [
        (|app| app.green = app.blue.clone(), "rendered by overlays/blue and by overlays/green"),
        (
            |app| app.live.push(deployment("shop-blue", json!({"a": "b"}))),
            "rendered by overlays/blue and by overlays/live",
        ),
        (|app| app.green.clear(), "overlays/green: renders no objects"),
        (|app| drop(app.green.remove(0)), "overlays/green: renders no Deployment"),
        (|app| app.green[0] = deployment("shop-green", json!({"app": "shop"})), "no pod of green has these labels"),
        (|app| app.blue[1] = service("own-blue", json!({"app": "shop"})), "also selects pods of green"),
        (|app| app.live[0] = service("shop", json!({"app": "other", "colour": "blue"})), "no pod of blue"),
        (
            |app| {
                app.blue
                    .push(manifest(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "db"}})))
            },
            "a.yaml:3: ReplicaSet db cannot be released by colour",
        ),
        (
            |app| app.blue.push(other("apps/v1", "StatefulSet", json!({"updateStrategy": {"type": "OnDelete"}}))),
            "StatefulSet other updates its pods only when a hand deletes them",
        ),
        (
            |app| {
                let strategy = json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}});
                app.blue.push(other("apps/v1", "StatefulSet", strategy));
            },
            "below its `partition`",
        ),
        (
            |app| app.blue.push(other("batch/v1", "Job", json!({"ttlSecondsAfterFinished": 60}))),
            "take `ttlSecondsAfterFinished` out",
        ),
        (
            |app| app.live.push(manifest(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}))),
            "whole cluster",
        ),
        (|app| app.live[0].value["metadata"]["namespace"] = "n".into(), "spec.namespace: n"),
        (|app| app.live.push(service("x", json!({"app": "shop", "slot": "blue"}))), "both `colour` and `slot`"),
        (|app| app.live.clear(), "no Service"),
        (|app| app.policy.preview_services = vec!["nope".into()], "`previewServices` lists `nope`"),
        (|app| app.blue.push(manifest(json!({"kind": "ConfigMap", "metadata": {"name": "x"}}))), "lacks `apiVersion`"),
        (
            |app| app.blue[0] = deployment("shop-blue", json!({"app": "shop", "colour": "green"})),
            "also selects pods of green",
        ),
    ];
    for (spoil, expect) in rows {
        let mut app = App::sound();
        spoil(&mut app);
        match app.shape() {
            Err(Blocked::Invalid { problems }) => {
                assert!(problems.iter().any(|problem| problem.as_str().contains(expect)), "{expect}: {problems:?}");
            }
            other => panic!("{expect}: {other:?}"),
        }
    }
}

#[test]
fn a_check_asks_a_preview() {
    let mut app = App::sound();
    let text = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - http: {service: shop}\n";
    app.policy = crate::core::policy::parse(text).expect("a policy");
    let Err(Blocked::Invalid { problems }) = app.shape() else { panic!("not refused") };
    assert!(problems[0].as_str().contains("its previews are `shop-preview`"), "{problems:?}");
}

#[test]
fn a_check_asks_a_port_that_the_service_has() {
    let mut app = App::sound();
    let text =
        "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - http: {service: shop-preview}\n";
    app.policy = crate::core::policy::parse(text).expect("a policy");
    let preview = app.live.iter_mut().find(|one| one.name() == "shop-preview").expect("a preview");
    preview.value["spec"]["ports"] = json!([{"port": 8080}, {"port": 9090}]);
    let Err(Blocked::Invalid { problems }) = app.shape() else { panic!("not refused") };
    assert!(
        problems[0].as_str().contains("has no port 80, which check `check-1` asks; it has 8080, 9090"),
        "{problems:?}"
    );
}

#[test]
fn a_selector_of_neither_colour_is_never_guessed() {
    let mut app = App::sound();
    app.live[0].value["spec"]["selector"]["colour"] = "red".into();
    assert!(matches!(app.shape().expect("a shape").declared, Declared::Unknown(found) if found == "shop: `red`"));
    app.live[0] = service("shop", json!({"app": "shop"}));
    assert!(matches!(app.shape(), Err(Blocked::SelectorUnknown { .. })));
    let mut app = App::sound();
    app.live.push(service("admin", json!({"app": "shop", "colour": "green"})));
    assert!(matches!(app.shape().expect("a shape").declared, Declared::Unknown(_)), "live Services that disagree");
}

#[test]
fn the_colour_is_no_content_of_the_overlay() {
    let digest = |app: &App| app.shape().expect("a shape").overlay;
    let sound = App::sound();
    let mut flipped = App::sound();
    flipped.live[0].value["spec"]["selector"]["colour"] = "green".into();
    flipped.live[0].value["metadata"]["labels"] = json!({"colour": "green"});
    let mut labelled = App::sound();
    labelled.live[0].value["metadata"]["labels"] = json!({});
    assert_eq!(digest(&flipped), digest(&labelled));
    let mut ported = App::sound();
    ported.live[0].value["spec"]["ports"] = json!([{"port": 80}]);
    assert_ne!(digest(&ported), digest(&sound));
}

#[test]
fn what_runs_by_itself_is_no_number() {
    let mut app = App::sound();
    for (kind, spec, expect) in [
        ("Job", json!({}), 1),
        ("CronJob", json!({"schedule": "0 3 * * *"}), 1),
        ("CronJob", json!({"schedule": "0 3 * * *", "suspend": true}), 0),
    ] {
        app.blue.truncate(2);
        app.blue.push(other("batch/v1", kind, spec.clone()));
        let shape = app.shape().expect("a shape");
        let found = shape.renders.blue.workloads.iter().find(|workload| workload.key.kind == kind);
        assert_eq!(found.expect("a workload").replicas, Some(expect), "{kind} {spec}");
    }
}

#[test]
fn an_autoscaler_owns_the_size() {
    let mut app = App::sound();
    app.blue.push(manifest(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hpa-blue"}, "spec": {"minReplicas": 2, "maxReplicas": 9,
            "scaleTargetRef": {"kind": "Deployment", "name": "shop-blue"}}})));
    app.green[0].value["spec"]["replicas"] = Value::Null;
    let shape = app.shape().expect("a shape");
    assert_eq!(shape.renders.blue.workloads[0].replicas, None);
    let scaler = &shape.renders.blue.autoscalers[0];
    assert!(scaler.scales(&shape.renders.blue.workloads[0].key));
    assert_eq!(scaler.bounds.to_string().parse(), Ok(scaler.bounds));
    assert_eq!(scaler.bounds.to_string(), "2-9");
    assert_eq!(shape.renders.green.workloads[0].replicas, Some(1));
}
