//! Every kind that runs pods, with the real parts.

use std::path::Path;

use serde_json::Value;

use super::stage::{Stage, edit, short_deadline};

/// Adds a manifest to the base.
fn add(clone: &Path, file: &str, text: &str) {
    edit(&clone.join("base").join(file), |_| text.to_owned());
    edit(&clone.join("base/kustomization.yaml"), |old| {
        old.replacen("  - backend.yaml\n", &format!("  - backend.yaml\n  - {file}\n"), 1)
    });
}

/// An autoscaler of the frontend; it would be left alone by a release.
fn autoscaler(min: u32) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: shop-frontend\nspec:\n  \
         minReplicas: {min}\n  maxReplicas: 8\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    \
         name: shop-frontend\n"
    )
}

/// A second live Service with its preview.
fn with_admin(clone: &Path) {
    edit(&clone.join("overlays/live/service.yaml"), |text| {
        let admin = text.replace("name: shop-preview", "name: admin-preview").replace("name: shop\n", "name: admin\n");
        format!("{text}---\n{admin}")
    });
}

impl Stage {
    fn object(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])).expect("JSON")
    }

    fn replicas(&self, name: &str) -> u64 {
        self.object("deployment", name)["spec"]["replicas"].as_u64().expect("a number")
    }

    fn selects(&self, service: &str) -> String {
        self.kubectl(&["get", "service", service, "-o", "jsonpath={.spec.selector.colour}"])
    }

    fn suspended(&self, colour: &str) -> bool {
        self.object("cronjob", &format!("shop-night-{colour}"))["spec"]["suspend"] == true
    }

    /// Waits until the status says that the server refused something, in these words.
    fn until_refused(&self, words: &str) {
        self.until(&format!("refused: {words}"), |app| {
            let said = app["blocked"]["words"].as_str().unwrap_or_default();
            app["blocked"]["reason"] == "refused" && said.contains(words)
        });
        assert_eq!(self.status()["serving"], "blue", "no half-applied flip");
    }
}

#[test]
fn an_autoscalers_size_is_reached_before_the_flip_and_its_bounds_are_no_release() {
    let stage = Stage::open_with(|clone| add(clone, "autoscaler.yaml", &autoscaler(2)));
    stage.home().autoscale("shop-frontend-blue", 6);
    stage.until("six frontends", |app| app["colours"]["blue"]["ready"] == 8);
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.replicas("shop-frontend-green"), 6);
    assert_eq!(stage.replicas("shop-frontend-blue"), 6, "blue's count is not touched");
    let flipped = stage.object("service", "shop")["metadata"]["annotations"]["turquoise.dev/flipped-at"].clone();
    let pods = stage.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=shop-frontend,colour=green",
        "-o",
        r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].lastTransitionTime}"#,
    ]);
    assert_eq!(pods.split_whitespace().count(), 6);
    // A pod's times are whole seconds.
    let second = |time: &str| time.get(..19).unwrap_or_default().to_owned();
    let flip = second(flipped.as_str().expect("a time"));
    let late = pods.split_whitespace().find(|ready| second(ready) > flip);
    assert_eq!(late, None, "all six were ready before the flip at {flipped}");

    let releases = stage.git_log("%an").iter().filter(|name| *name == "turquoise").count();
    stage.commit("Never fewer than three", |clone| {
        edit(&clone.join("base/autoscaler.yaml"), |_| autoscaler(3));
    });
    let low = |colour: &str| stage.object("hpa", &format!("shop-frontend-{colour}"))["spec"]["minReplicas"].clone();
    stage.until("new bounds in both", |app| low("green") == 3 && low("blue") == 3 && stage.is_at_rest(app));
    assert_eq!(stage.git_log("%an").iter().filter(|name| *name == "turquoise").count(), releases);
    stage.ends();
}

#[test]
fn a_port_that_moves_goes_with_the_flip_and_comes_back() {
    let stage = Stage::open_with(|clone| {
        edit(&clone.join("overlays/live/service.yaml"), |text| text.replace("targetPort: http", "targetPort: 8080"));
    });
    let port = |service: &str| stage.object("service", service)["spec"]["ports"][0]["targetPort"].clone();
    let bump = stage.commit("Release 1.1.0, which listens on 9090", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
        edit(&clone.join("base/frontend.yaml"), |text| {
            let text = text.replace("containerPort: 8080", "containerPort: 9090");
            text.replacen("          env:\n", "          env:\n            - {name: PORT, value: \"9090\"}\n", 1)
        });
        edit(&clone.join("overlays/live/service.yaml"), |text| text.replace("targetPort: 8080", "targetPort: 9090"));
    });
    stage.until_live("green", "1.1.0");
    assert_eq!((port("shop"), port("shop-preview")), (9090.into(), 9090.into()));
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert_eq!(port("shop"), 8080, "the old port is back");
    stage.ends();
}

#[test]
fn an_account_that_a_release_needs_comes_first_and_stays_for_its_pin() {
    let stage = Stage::open();
    let bump = stage.commit("Release 1.1.0 with an account of its own", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
        edit(&clone.join("base/frontend.yaml"), |text| {
            text.replacen("      containers:", "      serviceAccountName: shop\n      containers:", 1)
        });
        edit(&clone.join("overlays/live/account.yaml"), |_| {
            "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: shop\n".into()
        });
        edit(&clone.join("overlays/live/kustomization.yaml"), |text| {
            text.replace("  - service.yaml", "  - service.yaml\n  - account.yaml")
        });
    });
    stage.until_live("green", "1.1.0");
    let events = stage.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(!events.contains("FailedCreate"), "a pod asked for it too early: {events}");
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert_eq!(stage.object("serviceaccount", "shop")["metadata"]["name"], "shop", "green's pin refers to it");
    stage.ends();
}

#[test]
fn two_tiers_of_two_tags_never_mix() {
    let stage = Stage::open_with(|clone| {
        edit(&clone.join("base/backend.yaml"), |text| text.replace("image: shop\n", "image: docker.io/library/shop\n"));
        edit(&clone.join("base/kustomization.yaml"), |text| {
            format!("{text}  - name: docker.io/library/shop\n    newTag: 1.0.0\n")
        });
    });
    let bump = stage.commit("Release 1.1.0 of both", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
    });
    stage.until_live("green", "1.1.0");
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    // The traffic compares both tiers' versions in every answer.
    stage.ends();
}

#[test]
fn two_live_services_move_as_one() {
    let mut stage = Stage::open_with(with_admin);
    let both = |stage: &Stage, colour: &str| stage.selects("shop") == colour && stage.selects("admin") == colour;
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert!(both(&stage, "green"));
    let commit = stage.git_log("%H")[0].clone();
    stage.clone_of_head();
    let changed = stage.person(&["show", "--format=", "--unified=0", &commit, "--", "overlays/live"]);
    assert_eq!(changed.matches("\n+    colour: green").count(), 2, "one commit for both: {changed}");

    // As after a kill between the two patches: the second follows.
    stage.until("the watch is over", |app| app["phase"] == "settled");
    stage.kill();
    stage.kubectl(&["patch", "service", "admin", "-p", r#"{"spec":{"selector":{"colour":"blue"}}}"#]);
    stage.run();
    stage.until("both green again", |app| both(&stage, "green") && stage.is_at_rest(app));

    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert!(both(&stage, "blue"));
    stage.ends();
}

#[test]
fn a_quota_rejects_with_the_servers_words() {
    let stage = Stage::open_with(short_deadline);
    stage.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small}\nspec: {hard: {pods: \"5\"}}\n");
    let bump = stage.bump("1.1.0");
    let status = stage.until_verdict(&bump, "rejected");
    let reason = status["verdict"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("exceeded quota: small"), "{reason}");
    stage.kubectl(&["delete", "quota", "small"]);
    stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    stage.ends();
}

#[test]
fn a_policy_and_an_immutable_field_block_with_the_servers_words() {
    let stage = Stage::open();
    let rule = "{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}";
    // It is for the whole cluster: in its own name, and for the story's own namespace.
    let (name, label) = (stage.home().own_name("no-two"), stage.home().label());
    let whose = format!("{{matchLabels: {{kubernetes.io/metadata.name: {}}}}}", stage.home().namespace());
    let policy = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
         metadata: {{name: {name}, labels: {{{label}}}}}\n\
         spec:\n  matchConstraints: {{namespaceSelector: {whose}, resourceRules: [{rule}]}}\n  validations:\n  \
         - {{expression: \"!object.spec.template.spec.containers[0].image.endsWith(':2.0.0')\", message: no version 2}}\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: {name}, labels: {{{label}}}}}\nspec: {{policyName: {name}, validationActions: [Deny]}}\n"
    );
    stage.apply(&policy);
    stage.home().until_refused("shop:2.0.0");
    stage.bump("2.0.0");
    stage.until_refused("no version 2");
    // The operator relents, and it is tried again without another commit.
    stage.kubectl(&["delete", "validatingadmissionpolicybinding", &name]);
    stage.until_live("green", "2.0.0");

    // A selector cannot change: refused in the idle colour, and taken back by a revert.
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let frontend = || stage.kubectl(&["get", "deployment", "shop-frontend-blue", "-o", image]);
    let before = frontend();
    let change = stage.commit("Another selector, with 2.1.0", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 2.0.0", "newTag: 2.1.0"));
        edit(&clone.join("base/backend.yaml"), |text| {
            let text = text
                .replace("      app: shop-backend\n  template", "      app: shop-backend\n      tier: web\n  template");
            text.replace(
                "        app: shop-backend\n    spec",
                "        app: shop-backend\n        tier: web\n    spec",
            )
        });
    });
    stage.until("refused: immutable", |app| {
        let said = app["blocked"]["words"].as_str().unwrap_or_default();
        app["blocked"]["reason"] == "refused" && said.contains("spec.selector: Invalid value") && !said.contains('\n')
    });
    assert_eq!(stage.status()["serving"], "green", "no half-applied flip");
    assert_eq!(frontend(), before, "no half-applied colour");
    stage.revert(&change);
    stage.until_live("green", "2.0.0");
    stage.ends();
}

/// A StatefulSet, a DaemonSet, a Job, a CronJob and a disruption budget.
const EVERY_KIND: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shop-cache}
spec:
  serviceName: shop-cache
  replicas: 2
  selector: {matchLabels: {app: shop-cache}}
  template:
    metadata: {labels: {app: shop-cache}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: cache, image: shop, args: [backend], ports: [{containerPort: 8080}]}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: shop-agent}
spec:
  selector: {matchLabels: {app: shop-agent}}
  template:
    metadata: {labels: {app: shop-agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: shop, args: [backend], ports: [{containerPort: 8080}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: shop-migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: shop
          args: [migrate]
          env: [{name: MIGRATION_FAILS, value: ""}]
          # Else a kubelet tells no more than the exit code.
          terminationMessagePolicy: FallbackToLogsOnError
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: shop-night}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: night, image: shop, args: [migrate]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop-frontend}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: shop-frontend}}
"#;

#[test]
fn every_kind_that_runs_pods_moves_with_its_colour() {
    let stage = Stage::open_with(|clone| {
        add(clone, "kinds.yaml", EVERY_KIND);
        edit(&clone.join("turquoise.yaml"), |text| text.replace("retire: keep", "retire: {scaleTo: 0, after: 2s}"));
    });
    assert!(!stage.suspended("blue"), "the live colour's schedule runs");
    let job = |colour: &str| stage.object("job", &format!("shop-migrate-{colour}"))["metadata"]["uid"].clone();
    let (first, bump) = (job("blue"), stage.bump("1.1.0"));
    stage.until_live("green", "1.1.0");
    stage.until("the schedules have changed places", |_| stage.suspended("blue") && !stage.suspended("green"));
    stage.until("blue is down", |app| app["colours"]["blue"]["wanted"] == 0 && stage.pods("blue").len() == 1);
    let down = stage.object("daemonset", "shop-agent-blue");
    assert_eq!(down["status"]["desiredNumberScheduled"], 0, "it names no node: {down:#}");
    assert_eq!(stage.object("statefulset", "shop-cache-blue")["spec"]["replicas"], 0);
    let budget = stage.object("poddisruptionbudget", "shop-frontend-green");
    assert_eq!(budget["status"]["currentHealthy"], 2);

    // The return brings all of it up again, and does no work twice.
    let migrated = job("green");
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    stage.until("the schedules are back", |_| !stage.suspended("blue") && stage.suspended("green"));
    assert_eq!(stage.object("daemonset", "shop-agent-blue")["status"]["numberReady"], 1);
    assert_eq!(stage.object("statefulset", "shop-cache-blue")["status"]["readyReplicas"], 2);
    assert_eq!(job("blue"), first, "the Job was not run again");

    // A Job that fails rejects, with its pod's words; the next content runs it anew.
    let failing = stage.commit("Release 1.2.0 with a broken migration", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.2.0"));
        edit(&clone.join("base/kinds.yaml"), |text| text.replace(r#"value: """#, r#"value: "no such table""#));
    });
    let status = stage.until_verdict(&failing, "rejected");
    let reason = status["verdict"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("BackoffLimitExceeded") && reason.contains("no such table"), "{reason}");
    assert_eq!(status["serving"], "blue");
    assert_ne!(job("green"), migrated, "a Job is made anew for each content");
    stage.revert(&failing);
    stage.bump("2.0.0");
    stage.until_live("green", "2.0.0");
    stage.until("the schedules have changed places", |app| {
        stage.suspended("blue") && !stage.suspended("green") && stage.is_at_rest(app)
    });
    stage.ends();
}
