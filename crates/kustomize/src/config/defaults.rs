//! The built-in places, in a compact form of our own: kinds and paths that share a shape are written once.

use std::sync::LazyLock;

use super::{Config, NameReference};
use crate::fieldspec::FieldSpec;
use crate::resource::Gvk;

pub(super) static CONFIG: LazyLock<Config> = LazyLock::new(build);

/// Kinds whose pod spec stands at the path; version where only one is meant.
const POD_SPECS: &[(&str, &str, &str)] = &[
    ("v1", "Pod", "spec"),
    ("", "PodTemplate", "template/spec"),
    ("", "Deployment", "spec/template/spec"),
    ("", "ReplicaSet", "spec/template/spec"),
    ("", "DaemonSet", "spec/template/spec"),
    ("", "StatefulSet", "spec/template/spec"),
    ("", "Job", "spec/template/spec"),
    ("", "CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// The kinds whose pod spec may name accounts, claims and priority classes: another set than above.
const ACCOUNT_HOLDERS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
];

const CONFIG_MAP_PATHS: &[&str] = &[
    "volumes/configMap/name",
    "containers/env/valueFrom/configMapKeyRef/name",
    "initContainers/env/valueFrom/configMapKeyRef/name",
    "containers/envFrom/configMapRef/name",
    "initContainers/envFrom/configMapRef/name",
    "volumes/projected/sources/configMap/name",
];

const SECRET_PATHS: &[&str] = &[
    "volumes/secret/secretName",
    "containers/env/valueFrom/secretKeyRef/name",
    "initContainers/env/valueFrom/secretKeyRef/name",
    "containers/envFrom/secretRef/name",
    "initContainers/envFrom/secretRef/name",
    "imagePullSecrets/name",
    "volumes/projected/sources/secret/name",
];

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

fn spec(group: &str, version: &str, kind: &str, path: &str) -> FieldSpec {
    FieldSpec::new(group, version, kind, path, false)
}

fn create(group: &str, version: &str, kind: &str, path: &str) -> FieldSpec {
    FieldSpec::new(group, version, kind, path, true)
}

fn kinds(paths: &[(&str, &str)]) -> Vec<FieldSpec> {
    paths.iter().map(|(kind, path)| spec("", "", kind, path)).collect()
}

fn build() -> Config {
    let metadata_name = vec![spec("", "", "", "metadata/name")];
    let template_labels = metadata_fields("labels");
    let mut common_labels = selectors();
    common_labels.extend(template_labels.iter().cloned());
    Config {
        name_prefix: metadata_name.clone(),
        name_suffix: metadata_name,
        namespace: vec![
            create("", "", "Namespace", "metadata/name"),
            create("apiregistration.k8s.io", "", "APIService", "spec/service/namespace"),
            spec(
                "apiextensions.k8s.io",
                "",
                "CustomResourceDefinition",
                "spec/conversion/webhook/clientConfig/service/namespace",
            ),
        ],
        common_labels,
        labels: Vec::new(),
        template_labels,
        common_annotations: metadata_fields("annotations"),
        name_reference: name_references(),
        var_reference: var_references(),
        images: ["spec", "spec/template/spec"]
            .iter()
            .flat_map(|pod| {
                ["containers", "initContainers"].map(|list| create("", "", "", &format!("{pod}/{list}[]/image")))
            })
            .collect(),
        replicas: ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"]
            .iter()
            .map(|kind| create("", "", kind, "spec/replicas"))
            .collect(),
    }
}

/// Labels or annotations of objects and of the templates in them.
fn metadata_fields(field: &str) -> Vec<FieldSpec> {
    let stateful_group = if field == "labels" { "apps" } else { "" };
    let mut fields = vec![
        create("", "", "", &format!("metadata/{field}")),
        create("", "v1", "ReplicationController", &format!("spec/template/metadata/{field}")),
    ];
    for (group, kind) in
        [("", "Deployment"), ("", "ReplicaSet"), ("", "DaemonSet"), (stateful_group, "StatefulSet"), ("batch", "Job")]
    {
        fields.push(create(group, "", kind, &format!("spec/template/metadata/{field}")));
    }
    if field == "labels" {
        fields.push(create("apps", "", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels"));
    }
    fields.push(create("batch", "", "CronJob", &format!("spec/jobTemplate/metadata/{field}")));
    fields.push(create("batch", "", "CronJob", &format!("spec/jobTemplate/spec/template/metadata/{field}")));
    fields
}

fn selectors() -> Vec<FieldSpec> {
    let mut fields = vec![
        create("", "v1", "Service", "spec/selector"),
        create("", "v1", "ReplicationController", "spec/selector"),
        create("", "", "Deployment", "spec/selector/matchLabels"),
        create("", "", "ReplicaSet", "spec/selector/matchLabels"),
        create("", "", "DaemonSet", "spec/selector/matchLabels"),
        create("apps", "", "StatefulSet", "spec/selector/matchLabels"),
    ];
    let during = "DuringSchedulingIgnoredDuringExecution";
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in ["podAffinity", "podAntiAffinity"] {
            let base = format!("spec/template/spec/affinity/{affinity}");
            fields.push(spec(
                "apps",
                "",
                kind,
                &format!("{base}/preferred{during}/podAffinityTerm/labelSelector/matchLabels"),
            ));
            fields.push(spec("apps", "", kind, &format!("{base}/required{during}/labelSelector/matchLabels")));
        }
        fields.push(spec("apps", "", kind, "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels"));
    }
    fields.push(spec("batch", "", "Job", "spec/selector/matchLabels"));
    fields.push(spec("batch", "", "CronJob", "spec/jobTemplate/spec/selector/matchLabels"));
    fields.push(spec("policy", "", "PodDisruptionBudget", "spec/selector/matchLabels"));
    for path in ["spec/podSelector", "spec/ingress/from/podSelector", "spec/egress/to/podSelector"] {
        fields.push(spec("networking.k8s.io", "", "NetworkPolicy", &format!("{path}/matchLabels")));
    }
    fields
}

fn reference(group: &str, version: &str, kind: &str, referrers: Vec<FieldSpec>) -> NameReference {
    NameReference { target: Gvk { group: group.into(), version: version.into(), kind: kind.into() }, referrers }
}

fn in_pods(paths: &[&str]) -> Vec<FieldSpec> {
    let at = |(version, kind, pod): &(&str, &str, &str)| -> Vec<FieldSpec> {
        paths.iter().map(|path| spec("", version, kind, &format!("{pod}/{path}"))).collect()
    };
    POD_SPECS.iter().flat_map(at).collect()
}

fn in_holders(path: &str) -> Vec<FieldSpec> {
    ACCOUNT_HOLDERS.iter().map(|(kind, pod)| spec("", "", kind, &format!("{pod}/{path}"))).collect()
}

fn with(mut fields: Vec<FieldSpec>, more: Vec<FieldSpec>) -> Vec<FieldSpec> {
    fields.extend(more);
    fields
}

/// In the order in which they are tried: that of the kinds in the output.
fn name_references() -> Vec<NameReference> {
    let scaled = || kinds(&[("HorizontalPodAutoscaler", "spec/scaleTargetRef/name")]);
    vec![
        reference(
            "storage.k8s.io",
            "v1",
            "StorageClass",
            kinds(&[
                ("PersistentVolume", "spec/storageClassName"),
                ("PersistentVolumeClaim", "spec/storageClassName"),
                ("StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"),
            ]),
        ),
        reference(
            "",
            "v1",
            "ServiceAccount",
            with(
                vec![spec(RBAC, "", "RoleBinding", "subjects"), spec(RBAC, "", "ClusterRoleBinding", "subjects")],
                in_holders("serviceAccountName"),
            ),
        ),
        reference(RBAC, "", "Role", vec![spec(RBAC, "", "RoleBinding", "roleRef/name")]),
        reference(
            RBAC,
            "",
            "ClusterRole",
            vec![spec(RBAC, "", "RoleBinding", "roleRef/name"), spec(RBAC, "", "ClusterRoleBinding", "roleRef/name")],
        ),
        reference(
            "",
            "v1",
            "ConfigMap",
            with(
                in_pods(CONFIG_MAP_PATHS),
                kinds(&[
                    ("Node", "spec/configSource/configMap"),
                    ("Role", "rules/resourceNames"),
                    ("ClusterRole", "rules/resourceNames"),
                    ("Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap"),
                ]),
            ),
        ),
        reference("", "v1", "Secret", secrets()),
        reference("", "v1", "Service", services()),
        reference("scheduling.k8s.io", "v1", "PriorityClass", in_holders("priorityClassName")),
        reference(
            "",
            "v1",
            "PersistentVolume",
            kinds(&[("PersistentVolumeClaim", "spec/volumeName"), ("ClusterRole", "rules/resourceNames")]),
        ),
        reference("", "v1", "PersistentVolumeClaim", in_holders("volumes/persistentVolumeClaim/claimName")),
        reference("", "", "Deployment", scaled()),
        reference("", "", "StatefulSet", scaled()),
        reference("", "", "ReplicaSet", scaled()),
        reference("", "", "ReplicationController", scaled()),
        // The group of the target is written with a version in the original's table, so nothing ever matches it.
        reference("networking.k8s.io/v1", "v1", "IngressClass", kinds(&[("Ingress", "spec/ingressClassName")])),
        reference(
            ADMISSION,
            "",
            "ValidatingAdmissionPolicy",
            vec![spec(ADMISSION, "", "ValidatingAdmissionPolicyBinding", "spec/policyName")],
        ),
    ]
}

fn secrets() -> Vec<FieldSpec> {
    let mut fields = in_pods(SECRET_PATHS);
    fields.extend(kinds(&[
        ("Ingress", "spec/tls/secretName"),
        ("Ingress", r"metadata/annotations/ingress.kubernetes.io\/auth-secret"),
        ("Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret"),
        ("Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret"),
        ("ServiceAccount", "imagePullSecrets/name"),
        ("StorageClass", "parameters/secretName"),
        ("StorageClass", "parameters/adminSecretName"),
        ("StorageClass", "parameters/userSecretName"),
        ("StorageClass", "parameters/secretRef"),
        ("Role", "rules/resourceNames"),
        ("ClusterRole", "rules/resourceNames"),
        ("PersistentVolume", "spec/azureFile/secretName"),
    ]));
    fields.push(spec(
        "serving.knative.dev",
        "v1",
        "Service",
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
    ));
    fields
}

fn services() -> Vec<FieldSpec> {
    let mut fields = vec![spec("apps", "", "StatefulSet", "spec/serviceName")];
    fields.extend(kinds(&[
        ("Ingress", "spec/rules/http/paths/backend/serviceName"),
        ("Ingress", "spec/backend/serviceName"),
        ("Ingress", "spec/rules/http/paths/backend/service/name"),
        ("Ingress", "spec/defaultBackend/service/name"),
    ]));
    fields.push(spec("apiregistration.k8s.io", "", "APIService", "spec/service/name"));
    fields.push(spec(ADMISSION, "", "ValidatingWebhookConfiguration", "webhooks/clientConfig/service"));
    fields.push(spec(ADMISSION, "", "MutatingWebhookConfiguration", "webhooks/clientConfig/service"));
    fields
}

fn var_references() -> Vec<FieldSpec> {
    let mut fields = Vec::new();
    for (_, kind, pod) in POD_SPECS.iter().filter(|(_, kind, _)| *kind != "PodTemplate") {
        for list in ["containers", "initContainers"] {
            for path in ["args", "command", "env/value", "volumeMounts/mountPath"] {
                fields.push(spec("", "", kind, &format!("{pod}/{list}/{path}")));
            }
        }
    }
    fields.extend(kinds(&[
        ("CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"),
        ("DaemonSet", "spec/template/spec/volumes/nfs/server"),
        ("Deployment", "spec/template/spec/volumes/nfs/server"),
        ("Deployment", "spec/template/metadata/annotations"),
        ("Ingress", "spec/rules/host"),
        ("Ingress", "spec/tls/hosts"),
        ("Ingress", "spec/tls/secretName"),
        ("Job", "spec/template/spec/volumes/nfs/server"),
        ("Pod", "spec/volumes/nfs/server"),
        ("ReplicaSet", "spec/template/spec/volumes/nfs/server"),
        ("Service", "spec/ports/port"),
        ("Service", "spec/ports/targetPort"),
        ("StatefulSet", "spec/volumeClaimTemplates/spec/nfs/server"),
        ("PersistentVolume", "spec/nfs/server"),
        ("", "metadata/labels"),
        ("", "metadata/annotations"),
    ]));
    fields
}
