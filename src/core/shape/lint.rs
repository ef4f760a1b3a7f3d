//! What must hold of an app's objects before anything is written; every problem names object, file and cure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{LiveSide, Manifest, Parts, kinds, labels};
use crate::core::colour::Colour;
use crate::core::policy::Policy;
use crate::core::text::OneLine;
use crate::core::workload::WorkloadKind;

/// More problems than this say no more: the file that causes them is named by then.
const PROBLEMS_MAX: usize = 50;

/// Kinds without a namespace, of Kubernetes itself and the Gateway API. Others show by discovery when applied.
const CLUSTER_KINDS: [(&str, &str); 26] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("certificates.k8s.io", "ClusterTrustBundle"),
    ("cert-manager.io", "ClusterIssuer"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// Where an object was rendered, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Colour(Colour),
    Live,
}

impl Part {
    fn name(self, policy: &Policy) -> &str {
        match self {
            Self::Colour(Colour::Blue) => &policy.overlays.blue,
            Self::Colour(Colour::Green) => &policy.overlays.green,
            Self::Live => &policy.overlays.live,
        }
    }
}

/// What each object says by itself, and names across the overlays.
pub(super) fn objects(parts: &Parts<'_>, policy: &Policy) -> Vec<OneLine> {
    let mut problems = Vec::new();
    for (colour, manifests) in parts.colours.iter() {
        let folder = Part::Colour(colour).name(policy);
        if manifests.is_empty() {
            problems.push(OneLine::new(&format!("{folder}: renders no objects: {colour} would have nothing to run")));
        } else if !manifests.iter().any(serves) {
            problems.push(OneLine::new(&format!(
                "{folder}: renders no Deployment, StatefulSet or DaemonSet: {colour} would have nothing to serve with"
            )));
        }
        problems.extend(manifests.iter().filter_map(|manifest| kinds::problem_of(manifest, colour)));
    }
    let mut names: BTreeMap<(&str, &str, &str), (Part, &Manifest)> = BTreeMap::new();
    let sides = [
        (Part::Colour(Colour::Blue), parts.colours.blue),
        (Part::Colour(Colour::Green), parts.colours.green),
        (Part::Live, parts.live),
    ];
    for (part, manifests) in sides {
        for manifest in manifests {
            problems.extend(placement(manifest, policy));
            let name = (manifest.group(), manifest.kind(), manifest.name());
            match names.get(&name) {
                Some((first, other)) if *first != part => problems.push(problem(
                    manifest,
                    &format!(
                        "is rendered by {} and by {} ({}): each overlay needs names of its own, \
                         for example by `nameSuffix: -blue` and `nameSuffix: -green`",
                        first.name(policy),
                        part.name(policy),
                        other.place()
                    ),
                )),
                Some(_) => {}
                None => {
                    names.insert(name, (part, manifest));
                }
            }
        }
    }
    problems.truncate(PROBLEMS_MAX);
    problems
}

fn serves(manifest: &Manifest) -> bool {
    manifest.key().and_then(|key| key.workload_kind()).is_some_and(WorkloadKind::serves)
}

/// Identity and namespace.
fn placement(manifest: &Manifest, policy: &Policy) -> Option<OneLine> {
    if manifest.key().is_none() {
        return Some(problem(manifest, "lacks `apiVersion`, `kind` or `metadata.name`"));
    }
    if CLUSTER_KINDS.contains(&(manifest.group(), manifest.kind())) {
        return Some(problem(
            manifest,
            "belongs to the whole cluster: turquoise writes only into the app's namespace; apply it by other means",
        ));
    }
    let own = manifest.value.pointer("/metadata/namespace").and_then(Value::as_str)?;
    match policy.namespace.as_deref() {
        Some(namespace) if namespace == own => None,
        Some(namespace) => Some(problem(manifest, &format!("names the namespace `{own}`, the app's is `{namespace}`"))),
        None => Some(problem(
            manifest,
            &format!("names the namespace `{own}`: set `spec.namespace: {own}` in turquoise.yaml as well"),
        )),
    }
}

/// Selectors: each reaches pods of its own colour, and none of the other.
pub(super) fn selectors(parts: &Parts<'_>, side: &LiveSide) -> Vec<OneLine> {
    let mut problems = Vec::new();
    for colour in Colour::BOTH {
        for manifest in parts.colours[colour] {
            if serves(manifest) {
                let selector = manifest.value.pointer("/spec/selector").unwrap_or(&Value::Null);
                let own = labels::selects(selector, template_labels(manifest));
                let reaches = |colour| own_pods(parts, colour, |pod| labels::selects(selector, pod));
                if !own {
                    problems.push(problem(manifest, "selects other pods than its own template makes"));
                } else if reaches(colour.other()) {
                    problems.push(problem(manifest, &reaches_both(colour, &side.key)));
                }
            } else if let Some(selector) = manifest.selector().filter(|map| manifest.is_service() && !map.is_empty()) {
                problems.extend(service(parts, manifest, selector, colour, &side.key));
            }
        }
        for manifest in parts.live.iter().filter(|manifest| manifest.is_service()) {
            let coloured = [&side.live, &side.previews].into_iter().flatten().any(|name| name == manifest.name());
            let Some(selector) = manifest.selector().filter(|_| coloured) else { continue };
            let mut selector = selector.clone();
            selector.insert(side.key.clone(), colour.as_str().into());
            problems.extend(service(parts, manifest, &selector, colour, &side.key));
        }
    }
    problems.truncate(PROBLEMS_MAX);
    problems
}

fn service(
    parts: &Parts<'_>,
    manifest: &Manifest,
    selector: &Map<String, Value>,
    colour: Colour,
    key: &str,
) -> Option<OneLine> {
    let reaches = |colour| own_pods(parts, colour, |pod| labels::equal(selector, pod));
    if reaches(colour.other()) {
        Some(problem(manifest, &reaches_both(colour, key)))
    } else if reaches(colour) {
        None
    } else {
        let text = labels::text(Some(selector));
        Some(problem(
            manifest,
            &format!("selects {text}, and no pod of {colour} has these labels: give them to the pod templates"),
        ))
    }
}

fn reaches_both(colour: Colour, key: &str) -> String {
    format!(
        "belongs to {colour} and also selects pods of {}: add `labels: [{{pairs: {{{key}: {colour}}}, \
         includeSelectors: true}}]` to the overlay of {colour}",
        colour.other()
    )
}

fn own_pods(parts: &Parts<'_>, colour: Colour, matches: impl Fn(Option<&Map<String, Value>>) -> bool) -> bool {
    let workloads = parts.colours[colour].iter().filter(|manifest| manifest.value.pointer("/spec/template").is_some());
    workloads.map(template_labels).any(matches)
}

fn template_labels(manifest: &Manifest) -> Option<&Map<String, Value>> {
    manifest.value.pointer("/spec/template/metadata/labels")?.as_object()
}

/// Checks ask previews only: any other Service would answer with pods that are not the candidate's.
pub(super) fn checks(parts: &Parts<'_>, policy: &Policy, side: &LiveSide) -> Vec<OneLine> {
    let unknown = |name: &&String| !side.previews.contains(name);
    let previews = if side.previews.is_empty() {
        "it has none: add a Service named `<live Service>-preview` whose selector names the other colour".to_owned()
    } else {
        format!("its previews are `{}`", side.previews.join("`, `"))
    };
    let services = policy.checks.iter().filter_map(|check| Some((check, check.service()?)));
    let of_checks = services.filter(|(_, service)| !side.previews.iter().any(|name| name == service)).map(
        |(check, service)| {
            OneLine::new(&format!(
                "turquoise.yaml: check `{}` asks Service `{service}`, which is no preview of the live overlay; {previews}",
                check.name
            ))
        },
    );
    let of_list = policy.preview_services.iter().filter(unknown).map(|name| {
        OneLine::new(&format!(
            "turquoise.yaml: `previewServices` lists `{name}`, and the live overlay has no such Service with `{}` \
             in its selector",
            side.key
        ))
    });
    of_checks.chain(of_list).chain(ports(parts, policy)).collect()
}

/// Checks ask ports that their Services have.
fn ports(parts: &Parts<'_>, policy: &Policy) -> Vec<OneLine> {
    let asked = policy.checks.iter().filter_map(|check| Some((check, check.service_port()?)));
    let missing = asked.filter_map(|(check, (service, port))| {
        let manifest = parts.live.iter().find(|manifest| manifest.is_service() && manifest.name() == service)?;
        let ports = manifest.value.pointer("/spec/ports")?.as_array()?;
        let known: Vec<String> =
            ports.iter().filter_map(|port| Some(port.get("port")?.as_u64()?.to_string())).collect();
        let words = format!("has no port {port}, which check `{}` asks; it has {}", check.name, known.join(", "));
        (!known.contains(&port.to_string())).then(|| problem(manifest, &words))
    });
    missing.collect()
}

pub(super) fn problem(manifest: &Manifest, what: &str) -> OneLine {
    OneLine::new(&format!("{}: {} {} {what}", manifest.place(), manifest.kind(), manifest.name()))
}
