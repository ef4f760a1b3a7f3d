//! The kinds of Kubernetes 1.21.2, with those lists that merge by key.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A type: the fields that lead to lists which merge. All others are left out.
#[derive(Debug)]
pub(crate) struct Def {
    pub(super) fields: &'static [(&'static str, FieldDef)],
}

#[derive(Debug)]
pub(crate) struct FieldDef {
    /// The type of the field, or of its elements.
    pub(super) def: Option<&'static Def>,
    /// The merge keys of a list; empty for a set of scalars.
    pub(super) keys: Option<&'static [&'static str]>,
}

const fn to(def: &'static Def) -> FieldDef {
    FieldDef { def: Some(def), keys: None }
}

const fn list(def: &'static Def, keys: &'static [&'static str]) -> FieldDef {
    FieldDef { def: Some(def), keys: Some(keys) }
}

const fn leaves(keys: &'static [&'static str]) -> FieldDef {
    FieldDef { def: None, keys: Some(keys) }
}

const META: Def = Def { fields: &[("finalizers", leaves(&[])), ("ownerReferences", leaves(&["uid"]))] };
const CONDITIONS: Def = Def { fields: &[("conditions", leaves(&["type"]))] };

const CONTAINER: Def = Def {
    fields: &[
        ("env", leaves(&["name"])),
        ("ports", leaves(&["containerPort", "protocol"])),
        ("volumeDevices", leaves(&["devicePath"])),
        ("volumeMounts", leaves(&["mountPath"])),
    ],
};
const EPHEMERAL_CONTAINER: Def = Def {
    fields: &[
        ("env", leaves(&["name"])),
        ("volumeDevices", leaves(&["devicePath"])),
        ("volumeMounts", leaves(&["mountPath"])),
    ],
};
const POD_SPEC: Def = Def {
    fields: &[
        ("containers", list(&CONTAINER, &["name"])),
        ("ephemeralContainers", list(&EPHEMERAL_CONTAINER, &["name"])),
        ("hostAliases", leaves(&["ip"])),
        ("imagePullSecrets", leaves(&["name"])),
        ("initContainers", list(&CONTAINER, &["name"])),
        ("topologySpreadConstraints", leaves(&["topologyKey", "whenUnsatisfiable"])),
        // The claim template of an ephemeral volume is an object of its own.
        ("volumes", list(&VOLUME, &["name"])),
    ],
};
const VOLUME: Def = Def { fields: &[("ephemeral", to(&EPHEMERAL_VOLUME))] };
const EPHEMERAL_VOLUME: Def = Def { fields: &[("volumeClaimTemplate", to(&ANY_OBJECT))] };
const POD_TEMPLATE: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&POD_SPEC))] };
const TEMPLATED: Def = Def { fields: &[("template", to(&POD_TEMPLATE))] };
const JOB_TEMPLATE: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&TEMPLATED))] };
const CRON_SPEC: Def = Def { fields: &[("jobTemplate", to(&JOB_TEMPLATE))] };

const ANY_OBJECT: Def = Def { fields: &[("metadata", to(&META))] };
const WITH_CONDITIONS: Def = Def { fields: &[("metadata", to(&META)), ("status", to(&CONDITIONS))] };
const WORKLOAD: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&TEMPLATED)), ("status", to(&CONDITIONS))] };
const CRON_JOB: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&CRON_SPEC))] };
const POD_STATUS: Def = Def { fields: &[("conditions", leaves(&["type"])), ("podIPs", leaves(&["ip"]))] };
const POD: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&POD_SPEC)), ("status", to(&POD_STATUS))] };
const POD_TEMPLATE_OBJECT: Def = Def { fields: &[("metadata", to(&META)), ("template", to(&POD_TEMPLATE))] };
const SERVICE_SPEC: Def = Def { fields: &[("ports", leaves(&["port", "protocol"]))] };
const SERVICE: Def =
    Def { fields: &[("metadata", to(&META)), ("spec", to(&SERVICE_SPEC)), ("status", to(&CONDITIONS))] };
const SERVICE_ACCOUNT: Def = Def { fields: &[("metadata", to(&META)), ("secrets", leaves(&["name"]))] };
const NODE_SPEC: Def = Def { fields: &[("podCIDRs", leaves(&[]))] };
const NODE_STATUS: Def = Def { fields: &[("addresses", leaves(&["type"])), ("conditions", leaves(&["type"]))] };
const NODE: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&NODE_SPEC)), ("status", to(&NODE_STATUS))] };
const COMPONENT_STATUS: Def = Def { fields: &[("metadata", to(&META)), ("conditions", leaves(&["type"]))] };
const WEBHOOKS: Def = Def { fields: &[("metadata", to(&META)), ("webhooks", leaves(&["name"]))] };
const CSI_NODE_SPEC: Def = Def { fields: &[("drivers", leaves(&["name"]))] };
const CSI_NODE: Def = Def { fields: &[("metadata", to(&META)), ("spec", to(&CSI_NODE_SPEC))] };

/// One known kind.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) def: &'static Def,
    pub(super) cluster_scoped: bool,
}

const NAMESPACED: bool = false;
const CLUSTER: bool = true;

/// API versions separated by spaces, kinds separated by spaces, type, scope.
const KINDS: &[(&str, &str, &Def, bool)] = &[
    ("v1", "Binding ConfigMap Endpoints Event LimitRange ResourceQuota Secret", &ANY_OBJECT, NAMESPACED),
    ("v1", "PersistentVolumeClaim", &WITH_CONDITIONS, NAMESPACED),
    ("v1", "Pod", &POD, NAMESPACED),
    ("v1", "PodTemplate", &POD_TEMPLATE_OBJECT, NAMESPACED),
    ("v1", "ReplicationController", &WORKLOAD, NAMESPACED),
    ("v1", "Service", &SERVICE, NAMESPACED),
    ("v1", "ServiceAccount", &SERVICE_ACCOUNT, NAMESPACED),
    ("v1", "Namespace", &WITH_CONDITIONS, CLUSTER),
    ("v1", "Node", &NODE, CLUSTER),
    ("v1", "PersistentVolume", &ANY_OBJECT, CLUSTER),
    ("v1", "ComponentStatus", &COMPONENT_STATUS, CLUSTER),
    ("apps/v1", "DaemonSet Deployment ReplicaSet StatefulSet", &WORKLOAD, NAMESPACED),
    ("apps/v1", "ControllerRevision", &ANY_OBJECT, NAMESPACED),
    ("batch/v1 batch/v1beta1", "CronJob", &CRON_JOB, NAMESPACED),
    ("batch/v1", "Job", &WORKLOAD, NAMESPACED),
    ("autoscaling/v1 autoscaling/v2beta1 autoscaling/v2beta2", "HorizontalPodAutoscaler", &ANY_OBJECT, NAMESPACED),
    (
        "admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1beta1",
        "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
        &WEBHOOKS,
        CLUSTER,
    ),
    ("apiextensions.k8s.io/v1 apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", &ANY_OBJECT, CLUSTER),
    ("apiregistration.k8s.io/v1 apiregistration.k8s.io/v1beta1", "APIService", &WITH_CONDITIONS, CLUSTER),
    // Reviews cannot be read back, and the original learns from reads alone that a kind has no namespace.
    ("authentication.k8s.io/v1 authentication.k8s.io/v1beta1", "TokenReview", &ANY_OBJECT, NAMESPACED),
    (
        "authorization.k8s.io/v1 authorization.k8s.io/v1beta1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
        &ANY_OBJECT,
        NAMESPACED,
    ),
    ("certificates.k8s.io/v1 certificates.k8s.io/v1beta1", "CertificateSigningRequest", &ANY_OBJECT, CLUSTER),
    ("coordination.k8s.io/v1 coordination.k8s.io/v1beta1", "Lease", &ANY_OBJECT, NAMESPACED),
    ("discovery.k8s.io/v1 discovery.k8s.io/v1beta1", "EndpointSlice", &ANY_OBJECT, NAMESPACED),
    ("events.k8s.io/v1 events.k8s.io/v1beta1", "Event", &ANY_OBJECT, NAMESPACED),
    ("extensions/v1beta1 networking.k8s.io/v1 networking.k8s.io/v1beta1", "Ingress", &ANY_OBJECT, NAMESPACED),
    ("networking.k8s.io/v1 networking.k8s.io/v1beta1", "IngressClass", &ANY_OBJECT, CLUSTER),
    ("networking.k8s.io/v1", "NetworkPolicy", &ANY_OBJECT, NAMESPACED),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema PriorityLevelConfiguration", &ANY_OBJECT, CLUSTER),
    ("node.k8s.io/v1 node.k8s.io/v1beta1", "RuntimeClass", &ANY_OBJECT, CLUSTER),
    ("policy/v1 policy/v1beta1", "PodDisruptionBudget", &WITH_CONDITIONS, NAMESPACED),
    ("policy/v1beta1", "PodSecurityPolicy", &ANY_OBJECT, CLUSTER),
    (
        "rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1beta1",
        "ClusterRole ClusterRoleBinding",
        &ANY_OBJECT,
        CLUSTER,
    ),
    ("rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1beta1", "Role RoleBinding", &ANY_OBJECT, NAMESPACED),
    ("scheduling.k8s.io/v1 scheduling.k8s.io/v1beta1", "PriorityClass", &ANY_OBJECT, CLUSTER),
    ("storage.k8s.io/v1 storage.k8s.io/v1beta1", "CSIDriver StorageClass VolumeAttachment", &ANY_OBJECT, CLUSTER),
    ("storage.k8s.io/v1 storage.k8s.io/v1beta1", "CSINode", &CSI_NODE, CLUSTER),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity", &ANY_OBJECT, NAMESPACED),
];

static TABLE: LazyLock<HashMap<&'static str, Vec<(&'static str, Known)>>> = LazyLock::new(|| {
    let mut table: HashMap<&str, Vec<(&str, Known)>> = HashMap::new();
    for (api_versions, kinds, def, cluster_scoped) in KINDS {
        for kind in kinds.split(' ') {
            for api_version in api_versions.split(' ') {
                let known = Known { def, cluster_scoped: *cluster_scoped };
                table.entry(kind).or_default().push((api_version, known));
            }
        }
    }
    table
});

/// The built-in types that schemas of others refer to by the name of their definition.
pub(super) fn definition(name: &str) -> Option<&'static Def> {
    Some(match name.strip_prefix("io.k8s.")? {
        "api.core.v1.PodTemplateSpec" => &POD_TEMPLATE,
        "api.core.v1.PodSpec" => &POD_SPEC,
        "api.core.v1.Container" => &CONTAINER,
        "api.core.v1.EphemeralContainer" => &EPHEMERAL_CONTAINER,
        "api.core.v1.Volume" => &VOLUME,
        "api.core.v1.ServiceSpec" => &SERVICE_SPEC,
        "api.batch.v1.JobSpec" | "api.apps.v1.DeploymentSpec" | "api.apps.v1.StatefulSetSpec" => &TEMPLATED,
        "api.batch.v1.JobTemplateSpec" | "api.batch.v1beta1.JobTemplateSpec" => &JOB_TEMPLATE,
        "apimachinery.pkg.apis.meta.v1.ObjectMeta" => &META,
        _ => return None,
    })
}

pub(super) fn find(api_version: &str, kind: &str) -> Option<&'static Known> {
    TABLE.get(kind)?.iter().find(|(known, _)| *known == api_version).map(|(_, known)| known)
}
