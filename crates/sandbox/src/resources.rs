//! The kinds that the sandbox serves.

/// One kind, as discovery names it.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The API group, empty for the core's.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    /// Whether it has the subresource `status`.
    pub(crate) status: bool,
    /// Whether it has the subresource `scale`.
    pub(crate) scale: bool,
    /// Whether `metadata.generation` counts the changes of its spec.
    pub(crate) generation: bool,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `deployments.apps`, as error messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Its place in [`RESOURCES`].
    pub(crate) fn index(&'static self) -> usize {
        RESOURCES.iter().position(|other| std::ptr::eq(other, self)).unwrap_or(usize::MAX)
    }
}

const fn of(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        singular,
        kind,
        namespaced: true,
        short: &[],
        categories: &[],
        status: false,
        scale: false,
        generation: false,
    }
}

impl Resource {
    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }
    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }
    const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }
    const fn status(mut self) -> Self {
        self.status = true;
        self
    }
    const fn scale(mut self) -> Self {
        self.scale = true;
        self
    }
    const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }
}

const APPS: &str = "apps";
const NET: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// Every kind that can be stored. `events.k8s.io` shows the core's events under a second name.
pub(crate) static RESOURCES: [Resource; 44] = [
    of("", "v1", "namespaces", "namespace", "Namespace").cluster().short(&["ns"]).status(),
    of("", "v1", "nodes", "node", "Node").cluster().short(&["no"]).status(),
    of("", "v1", "pods", "pod", "Pod").short(&["po"]).all().status().generation(),
    of("", "v1", "services", "service", "Service").short(&["svc"]).all().status(),
    of("", "v1", "endpoints", "endpoints", "Endpoints").short(&["ep"]),
    of("", "v1", "configmaps", "configmap", "ConfigMap").short(&["cm"]),
    of("", "v1", "secrets", "secret", "Secret"),
    of("", "v1", "events", "event", "Event").short(&["ev"]),
    of("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount").short(&["sa"]),
    of("", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim").short(&["pvc"]).status(),
    of("", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume").cluster().short(&["pv"]).status(),
    of("", "v1", "replicationcontrollers", "replicationcontroller", "ReplicationController")
        .short(&["rc"])
        .all()
        .status()
        .scale()
        .generation(),
    of("", "v1", "limitranges", "limitrange", "LimitRange").short(&["limits"]),
    of("", "v1", "resourcequotas", "resourcequota", "ResourceQuota").short(&["quota"]).status(),
    of("", "v1", "podtemplates", "podtemplate", "PodTemplate").generation(),
    of(APPS, "v1", "deployments", "deployment", "Deployment").short(&["deploy"]).all().status().scale().generation(),
    of(APPS, "v1", "replicasets", "replicaset", "ReplicaSet").short(&["rs"]).all().status().scale().generation(),
    of(APPS, "v1", "statefulsets", "statefulset", "StatefulSet").short(&["sts"]).all().status().scale().generation(),
    of(APPS, "v1", "daemonsets", "daemonset", "DaemonSet").short(&["ds"]).all().status().generation(),
    of(APPS, "v1", "controllerrevisions", "controllerrevision", "ControllerRevision"),
    of("batch", "v1", "jobs", "job", "Job").all().status().generation(),
    of("batch", "v1", "cronjobs", "cronjob", "CronJob").short(&["cj"]).all().status().generation(),
    of("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler")
        .short(&["hpa"])
        .all()
        .status(),
    of("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget")
        .short(&["pdb"])
        .status()
        .generation(),
    of(NET, "v1", "ingresses", "ingress", "Ingress").short(&["ing"]).status().generation(),
    of(NET, "v1", "ingressclasses", "ingressclass", "IngressClass").cluster().generation(),
    of(NET, "v1", "networkpolicies", "networkpolicy", "NetworkPolicy").short(&["netpol"]).generation(),
    of("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice").generation(),
    of("coordination.k8s.io", "v1", "leases", "lease", "Lease"),
    of("events.k8s.io", "v1", "events", "event", "Event").short(&["ev"]),
    of(RBAC, "v1", "roles", "role", "Role"),
    of(RBAC, "v1", "rolebindings", "rolebinding", "RoleBinding"),
    of(RBAC, "v1", "clusterroles", "clusterrole", "ClusterRole").cluster(),
    of(RBAC, "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding").cluster(),
    of("storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass").cluster().short(&["sc"]),
    of("scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass").cluster().short(&["pc"]),
    of(
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
        "ValidatingAdmissionPolicy",
    )
    .cluster()
    .status()
    .generation(),
    of(
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        "ValidatingAdmissionPolicyBinding",
    )
    .cluster()
    .generation(),
    of(GATEWAY, "v1", "gatewayclasses", "gatewayclass", "GatewayClass").cluster().short(&["gc"]).status().generation(),
    of(GATEWAY, "v1", "gateways", "gateway", "Gateway").short(&["gtw"]).status().generation(),
    of(GATEWAY, "v1", "httproutes", "httproute", "HTTPRoute").status().generation(),
    of(GATEWAY, "v1", "grpcroutes", "grpcroute", "GRPCRoute").status().generation(),
    of("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview")
        .cluster(),
    of("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview")
        .cluster(),
];

/// The kind served at this group, version and plural.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|resource| resource.group == group && resource.version == version && resource.plural == plural)
}

/// The kind with this plural, for the sandbox's own use; the core's events, not their second name.
pub(crate) fn plural(plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.plural == plural)
}

/// The kind that an `apiVersion` and a `kind` name.
pub(crate) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    RESOURCES.iter().find(|resource| resource.kind == kind && resource.group == group && resource.version == version)
}

macro_rules! known {
    ($($name:ident = $plural:literal, $group:literal;)*) => {
        $(
            /// The kind of this name.
            pub(crate) static $name: std::sync::LazyLock<&'static Resource> = std::sync::LazyLock::new(|| {
                RESOURCES
                    .iter()
                    .find(|resource| resource.plural == $plural && resource.group == $group)
                    .unwrap_or(&RESOURCES[0])
            });
        )*
    };
}

known! {
    NAMESPACES = "namespaces", "";
    NODES = "nodes", "";
    PODS = "pods", "";
    SERVICES = "services", "";
    CONFIG_MAPS = "configmaps", "";
    SECRETS = "secrets", "";
    EVENTS = "events", "";
    SERVICE_ACCOUNTS = "serviceaccounts", "";
    DEPLOYMENTS = "deployments", "apps";
    REPLICA_SETS = "replicasets", "apps";
    ENDPOINT_SLICES = "endpointslices", "discovery.k8s.io";
    STATEFUL_SETS = "statefulsets", "apps";
    DAEMON_SETS = "daemonsets", "apps";
    CONTROLLER_REVISIONS = "controllerrevisions", "apps";
    JOBS = "jobs", "batch";
    AUTOSCALERS = "horizontalpodautoscalers", "autoscaling";
    DISRUPTION_BUDGETS = "poddisruptionbudgets", "policy";
    VOLUME_CLAIMS = "persistentvolumeclaims", "";
    QUOTAS = "resourcequotas", "";
    POLICIES = "validatingadmissionpolicies", "admissionregistration.k8s.io";
    POLICY_BINDINGS = "validatingadmissionpolicybindings", "admissionregistration.k8s.io";
}
