//! Which lists are sets or maps by key, and which maps are one value: what merging must know about the kinds.
//!
//! Server-side apply goes by the API's `listType`, `listMapKey`, `mapType` and `structType`; strategic merge patches by
//! `patchStrategy` and `patchMergeKey`. Both are written here as lines, one field a line, from the published OpenAPI.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::resources::Resource;

/// How a value merges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    /// The whole value has one owner and is replaced as one.
    pub(crate) atomic: bool,
    /// A list whose items are told apart by themselves.
    pub(crate) set: bool,
    /// A list whose items are told apart by these fields.
    pub(crate) keys: Vec<Key>,
    /// The merge key of a strategic merge patch; empty with `patch_merge` for a list of plain values.
    pub(crate) patch_key: Option<String>,
    /// Whether a strategic merge patch merges this list.
    pub(crate) patch_merge: bool,
    /// The fields of a map.
    pub(crate) fields: HashMap<String, Schema>,
    /// The items of a list.
    pub(crate) item: Option<Box<Schema>>,
}

/// A key of a list map, with the value that an item without it has.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) default: Option<&'static str>,
}

/// A value without a schema: maps merge, lists are one value.
static UNKNOWN: LazyLock<Schema> = LazyLock::new(Schema::default);

impl Schema {
    /// The schema of a field.
    pub(crate) fn field(&self, name: &str) -> &Schema {
        self.fields.get(name).unwrap_or(&UNKNOWN)
    }

    /// The schema of a list's items.
    pub(crate) fn items(&self) -> &Schema {
        self.item.as_deref().unwrap_or(&UNKNOWN)
    }

    /// Whether a list of this schema is one value.
    pub(crate) fn is_atomic_list(&self) -> bool {
        self.atomic || (!self.set && self.keys.is_empty())
    }
}

/// The schema of a kind's objects.
pub(crate) fn of(resource: &Resource) -> &'static Schema {
    let name = match (resource.group, resource.kind) {
        ("gateway.networking.k8s.io", _) => "Gateway",
        (_, kind) => kind,
    };
    SCHEMAS.get(name).or_else(|| SCHEMAS.get("Object")).unwrap_or(&UNKNOWN)
}

/// `Type path how`: how is `atomic`, `set`, `keys=a,b`, `merge=key` (strategic only), or `=Type` to continue with a type.
/// `[]` in a path stands for a list's items.
const LINES: &str = "
ObjectMeta finalizers set merge
ObjectMeta ownerReferences keys=uid merge=uid
ObjectMeta ownerReferences.[] atomic
Object metadata =ObjectMeta
LabelSelector . atomic
Status conditions keys=type merge=type

Container ports keys=containerPort,protocol merge=containerPort
Container env keys=name merge=name
Container env.[].valueFrom.fieldRef atomic
Container env.[].valueFrom.configMapKeyRef atomic
Container env.[].valueFrom.secretKeyRef atomic
Container env.[].valueFrom.resourceFieldRef atomic
Container volumeMounts keys=mountPath merge=mountPath
Container volumeDevices keys=devicePath merge=devicePath
Container resources.claims keys=name
PodSpec containers keys=name merge=name
PodSpec containers.[] =Container
PodSpec initContainers keys=name merge=name
PodSpec initContainers.[] =Container
PodSpec ephemeralContainers keys=name merge=name
PodSpec volumes keys=name merge=name
PodSpec imagePullSecrets keys=name merge=name
PodSpec hostAliases keys=ip merge=ip
PodSpec nodeSelector atomic
PodSpec topologySpreadConstraints keys=topologyKey,whenUnsatisfiable merge=topologyKey
PodSpec topologySpreadConstraints.[].labelSelector atomic
PodSpec schedulingGates keys=name merge=name
PodSpec resourceClaims keys=name merge=name
PodTemplate metadata =ObjectMeta
PodTemplate spec =PodSpec
PodStatus conditions keys=type merge=type
PodStatus podIPs keys=ip merge=ip
PodStatus hostIPs atomic merge=ip

Pod metadata =ObjectMeta
Pod spec =PodSpec
Pod status =PodStatus
Workload metadata =ObjectMeta
Workload spec.selector =LabelSelector
Workload spec.template =PodTemplate
Workload status =Status
Deployment . =Workload
ReplicaSet . =Workload
StatefulSet . =Workload
DaemonSet . =Workload
Job . =Workload
ReplicationController metadata =ObjectMeta
ReplicationController spec.selector atomic
ReplicationController spec.template =PodTemplate
ReplicationController status =Status
CronJob metadata =ObjectMeta
CronJob spec.jobTemplate =Workload
Service metadata =ObjectMeta
Service spec.selector atomic
Service spec.ports keys=port,protocol merge=port
Service spec.externalIPs atomic
Service spec.clusterIPs atomic
Service spec.ipFamilies atomic
Service status =Status
Service status.loadBalancer.ingress atomic
ServiceAccount metadata =ObjectMeta
ServiceAccount secrets keys=name merge=name
Namespace metadata =ObjectMeta
Namespace spec.finalizers atomic
Namespace status =Status
Node metadata =ObjectMeta
Node spec.podCIDRs set merge
Node status =Status
Node status.addresses keys=type merge=type
PersistentVolumeClaim metadata =ObjectMeta
PersistentVolumeClaim spec.selector =LabelSelector
PersistentVolumeClaim spec.dataSource atomic
PersistentVolumeClaim status =Status
HorizontalPodAutoscaler metadata =ObjectMeta
HorizontalPodAutoscaler status =Status
PodDisruptionBudget metadata =ObjectMeta
PodDisruptionBudget spec.selector =LabelSelector
PodDisruptionBudget status =Status
NetworkPolicy metadata =ObjectMeta
NetworkPolicy spec.podSelector =LabelSelector
Ingress metadata =ObjectMeta
EndpointSlice metadata =ObjectMeta
EndpointSlice ports atomic
EndpointSlice endpoints atomic
Event metadata =ObjectMeta
Event involvedObject atomic
Gateway metadata =ObjectMeta
Gateway spec.listeners keys=name
Gateway status =Status
";

static SCHEMAS: LazyLock<HashMap<&'static str, Schema>> = LazyLock::new(|| {
    let mut types: HashMap<&'static str, Schema> = HashMap::new();
    for line in LINES.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(path)) = (words.next(), words.next()) else { continue };
        for how in words {
            // A line refers only to types that are complete above it.
            let other = how.strip_prefix('=').and_then(|other| types.get(other)).cloned();
            set(at(types.entry(name).or_default(), path), how, other);
        }
    }
    types
});

fn at<'a>(schema: &'a mut Schema, path: &str) -> &'a mut Schema {
    path.split('.').filter(|part| !part.is_empty()).fold(schema, |schema, part| match part {
        "[]" => schema.item.get_or_insert_default(),
        field => schema.fields.entry(field.to_owned()).or_default(),
    })
}

fn set(place: &mut Schema, how: &str, other: Option<Schema>) {
    if let Some(other) = other {
        *place = other;
    } else if how == "atomic" {
        place.atomic = true;
    } else if how == "set" {
        place.set = true;
    } else if how == "merge" {
        place.patch_merge = true;
    } else if let Some(key) = how.strip_prefix("merge=") {
        place.patch_merge = true;
        place.patch_key = Some(key.to_owned());
    } else if let Some(keys) = how.strip_prefix("keys=") {
        place.keys = keys
            .split(',')
            .map(|name| Key { name: name.to_owned(), default: (name == "protocol").then_some("TCP") })
            .collect();
    }
}
