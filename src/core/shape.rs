//! What an app looks like at one commit: its rendered overlays, classified and checked.
//!
//! Whatever would make a release unsafe by its form alone (names that collide, a selector that reaches the other
//! colour, a check of a Service that shows live pods) is refused here, before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::colour::{ByColour, Colour};
use super::desired::{AutoscalerSpec, Bounds, Declared, Overlay, OverlayObject, Render, Role, WorkloadSpec};
use super::digest;
use super::ids::ObjectKey;
use super::policy::Policy;
use super::references;
use super::report::Blocked;
use super::text::OneLine;
use super::workload::WorkloadKind;

mod kinds;
mod labels;
mod lint;

/// One rendered object and the place it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The object.
    pub value: Value,
    /// The file, relative to the repo's root.
    pub file: String,
    /// The line on which the object's document begins, from 1; 0 where unknown.
    pub line: usize,
}

/// The three overlays of an app, rendered at one commit.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Each colour's objects.
    pub colours: ByColour<&'a [Manifest]>,
    /// The live overlay's objects.
    pub live: &'a [Manifest],
}

/// What the live overlay alone tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSide {
    /// The selector's key: the label whose value is a colour's name.
    pub key: String,
    /// The live Services, by name.
    pub live: Vec<String>,
    /// The preview Services, by name.
    pub previews: Vec<String>,
    /// The colour that the live Services name.
    pub declared: Declared,
    /// All objects with their roles and digests.
    pub overlay: Arc<Overlay>,
}

/// An app at one commit, fit for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The selector's key.
    pub key: String,
    /// The live Services, by name.
    pub live: Vec<String>,
    /// The preview Services, by name.
    pub previews: Vec<String>,
    /// The colour that the live Services name.
    pub declared: Declared,
    /// Both colours.
    pub renders: ByColour<Arc<Render>>,
    /// The live overlay.
    pub overlay: Arc<Overlay>,
    /// Every `(apiVersion, kind)` in use: what the daemon watches and may prune.
    pub kinds: BTreeSet<(String, String)>,
}

/// Classifies and checks an app.
///
/// # Errors
/// [`Blocked::Invalid`] with every problem found, each with object, file, line and what to do;
/// [`Blocked::SelectorUnknown`] where no live Service names a colour.
pub fn shape(parts: &Parts<'_>, policy: &Policy) -> Result<Shape, Blocked> {
    let mut problems = lint::objects(parts, policy);
    let side = match live_side(parts.live, policy.selector_key.as_deref(), &policy.preview_services) {
        Ok(side) => side,
        Err(Blocked::Invalid { problems: more }) => {
            problems.extend(more);
            return Err(Blocked::Invalid { problems });
        }
        Err(other) if problems.is_empty() => return Err(other),
        Err(_) => return Err(Blocked::Invalid { problems }),
    };
    problems.extend(lint::selectors(parts, &side));
    problems.extend(lint::checks(parts, policy, &side));
    if !problems.is_empty() {
        return Err(Blocked::Invalid { problems });
    }
    let all = parts.colours.blue.iter().chain(parts.colours.green).chain(parts.live);
    let kinds = all.filter_map(Manifest::key).map(|key| (key.api_version, key.kind)).collect();
    let LiveSide { key, live, previews, declared, overlay } = side;
    let renders = ByColour::from_fn(|colour| Arc::new(render(parts.colours[colour], colour)));
    Ok(Shape { key, live, previews, declared, renders, overlay, kinds })
}

/// One colour, as far as decisions need it.
#[must_use]
pub fn render(manifests: &[Manifest], colour: Colour) -> Render {
    let mut images = BTreeSet::new();
    let mut workloads = Vec::new();
    let autoscalers: Vec<AutoscalerSpec> = manifests.iter().filter_map(autoscaler).collect();
    for manifest in manifests {
        let Some(key) = manifest.key().filter(ObjectKey::is_workload) else { continue };
        let template = key.workload_kind().map_or("", WorkloadKind::template);
        for list in ["initContainers", "containers"] {
            let containers = manifest.value.pointer(&format!("{template}/spec/{list}")).and_then(Value::as_array);
            let named = containers.into_iter().flatten().filter_map(|container| container.get("image")?.as_str());
            images.extend(named.map(str::to_owned));
        }
        workloads.push(WorkloadSpec {
            replicas: replicas(manifest, &key, &autoscalers),
            twin: without_colour(&key.name, colour),
            labels: pod_labels(manifest, template),
            key,
        });
    }
    Render {
        digest: digest::of_objects(manifests.iter().map(|manifest| &manifest.value)),
        images: images.into_iter().collect(),
        workloads,
        autoscalers,
        objects: manifests.iter().filter_map(Manifest::key).collect(),
        refers: manifests.iter().flat_map(|manifest| references::of(&manifest.value)).collect(),
    }
}

fn pod_labels(manifest: &Manifest, template: &str) -> BTreeMap<String, String> {
    let labels = manifest.value.pointer(&format!("{template}/metadata/labels")).and_then(Value::as_object);
    let texts = labels.into_iter().flatten();
    texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A workload's own size; Kubernetes' default of 1 where it says nothing, nothing where an autoscaler of the same colour
/// owns it. A Job or CronJob that the manifest suspends has none.
fn replicas(manifest: &Manifest, key: &ObjectKey, autoscalers: &[AutoscalerSpec]) -> Option<u32> {
    if autoscalers.iter().any(|scaler| scaler.scales(key)) {
        return None;
    }
    if !key.workload_kind().is_some_and(WorkloadKind::is_counted) {
        let suspended = manifest.value.pointer("/spec/suspend") == Some(&Value::Bool(true));
        return Some(u32::from(!suspended));
    }
    let own = manifest.value.pointer("/spec/replicas").and_then(Value::as_u64);
    Some(own.map_or(1, |own| u32::try_from(own).unwrap_or(u32::MAX)))
}

/// An autoscaler's target and bounds.
fn autoscaler(manifest: &Manifest) -> Option<AutoscalerSpec> {
    let key = manifest.key().filter(ObjectKey::is_autoscaler)?;
    let text = |pointer: &str| manifest.text(pointer).to_owned();
    let target = (text("/spec/scaleTargetRef/kind"), text("/spec/scaleTargetRef/name"));
    Some(AutoscalerSpec { key, target, bounds: Bounds::of(&manifest.value) })
}

/// The name with the parts that name the colour taken out: the same for both twins of a workload.
fn without_colour(name: &str, colour: Colour) -> String {
    let parts: Vec<&str> = name.split('-').filter(|part| *part != colour.as_str()).collect();
    if parts.is_empty() { name.to_owned() } else { parts.join("-") }
}

/// Classifies the live overlay by itself: enough for walks through history, where nothing is checked.
///
/// # Errors
/// [`Blocked::Invalid`] without a Service, or with two labels that could be the key; [`Blocked::SelectorUnknown`]
/// where no live Service's selector holds the key.
pub fn live_side(
    manifests: &[Manifest],
    selector_key: Option<&str>,
    preview_services: &[String],
) -> Result<LiveSide, Blocked> {
    let services: Vec<&Manifest> = manifests.iter().filter(|manifest| manifest.is_service()).collect();
    let key = match selector_key {
        Some(key) => key.to_owned(),
        None => find_key(&services)?,
    };
    let (mut live, mut previews, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for service in &services {
        match role(service, &key, preview_services) {
            Role::Live => {
                live.push(service.name().to_owned());
                named.push((service.name(), service.selector_value(&key).unwrap_or_default()));
            }
            Role::Preview => previews.push(service.name().to_owned()),
            Role::Shared | Role::Routing => {}
        }
    }
    if live.is_empty() {
        return Err(no_live_service(&services, &key));
    }
    let objects = manifests.iter().filter_map(|manifest| {
        let role = role(manifest, &key, preview_services);
        let digest = digest::of_objects([&colourless(manifest, &key)]);
        Some(OverlayObject { key: manifest.key()?, role, digest, refers: references::of(&manifest.value) })
    });
    let overlay = Arc::new(Overlay { objects: objects.collect() });
    Ok(LiveSide { declared: declared(&named), key, live, previews, overlay })
}

/// The one label of a Service's selector whose value is a colour's name.
fn find_key(services: &[&Manifest]) -> Result<String, Blocked> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for service in services {
        let selector = service.selector().into_iter().flatten();
        found.extend(selector.filter(|(_, value)| is_colour(value)).map(|(key, _)| key.as_str()));
    }
    let mut keys = found.iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok((*key).to_owned()),
        (None, _) => Err(no_live_service(services, "colour")),
        (Some(one), Some(two)) => Err(invalid(format!(
            "both `{one}` and `{two}` name a colour in the live overlay's selectors: \
             set `spec.selectorKey` in turquoise.yaml to the one that turquoise switches"
        ))),
    }
}

fn no_live_service(services: &[&Manifest], key: &str) -> Blocked {
    let found: Vec<String> = services
        .iter()
        .map(|service| format!("{}: Service {} selects {}", service.place(), service.name(), service.selector_text()))
        .collect();
    if found.is_empty() {
        return invalid(format!(
            "the live overlay has no Service: add one whose selector has `{key}: blue` or `{key}: green`"
        ));
    }
    Blocked::SelectorUnknown { found: OneLine::new(&found.join("; ")) }
}

fn declared(named: &[(&str, &str)]) -> Declared {
    let mut colours = named.iter().map(|(_, value)| value.parse::<Colour>().ok());
    match colours.next().flatten() {
        Some(first) if colours.all(|colour| colour == Some(first)) => Declared::Colour(first),
        Some(_) | None => {
            let found: Vec<String> = named.iter().map(|(name, value)| format!("{name}: `{value}`")).collect();
            Declared::Unknown(found.join(", "))
        }
    }
}

/// Kinds that route traffic; all other objects of the live overlay are shared.
const ROUTING_KINDS: [(&str, &str); 4] = [
    ("", "Service"),
    ("networking.k8s.io", "Ingress"),
    ("extensions", "Ingress"),
    // Every kind of the Gateway API: Gateway, HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, ReferenceGrant.
    ("gateway.networking.k8s.io", "*"),
];

fn role(manifest: &Manifest, key: &str, preview_services: &[String]) -> Role {
    let group = manifest.group();
    let routes = ROUTING_KINDS.iter().any(|(g, kind)| *g == group && (*kind == "*" || *kind == manifest.kind()));
    if !routes {
        Role::Shared
    } else if !manifest.is_service() || manifest.selector_value(key).is_none() {
        Role::Routing
    } else if manifest.name().ends_with("-preview") || preview_services.iter().any(|name| name == manifest.name()) {
        Role::Preview
    } else {
        Role::Live
    }
}

/// The object with its colour taken out: of a Service's selector, and of its labels, which `labels.pairs` of the live
/// overlay change with it.
#[must_use]
pub fn colourless(manifest: &Manifest, key: &str) -> Value {
    let mut value = manifest.value.clone();
    let in_selector = manifest.is_service().then_some("/spec/selector");
    for pointer in in_selector.into_iter().chain(["/metadata/labels"]) {
        if let Some(map) = value.pointer_mut(pointer).and_then(Value::as_object_mut)
            && (pointer == "/spec/selector" || map.get(key).is_some_and(is_colour))
        {
            map.remove(key);
        }
    }
    value
}

fn is_colour(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Colour>().is_ok())
}

fn invalid(problem: String) -> Blocked {
    Blocked::Invalid { problems: vec![OneLine::new(&problem)] }
}

impl Manifest {
    /// Its identity; `None` where it lacks a part of it.
    #[must_use]
    pub fn key(&self) -> Option<ObjectKey> {
        ObjectKey::of(&self.value)
    }

    /// `file:line`, as people find it.
    #[must_use]
    pub fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}", self.file, self.line) }
    }

    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.text("/kind")
    }

    fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    fn group(&self) -> &str {
        self.text("/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    fn is_service(&self) -> bool {
        self.kind() == "Service" && self.text("/apiVersion") == "v1"
    }

    /// A Service's selector.
    fn selector(&self) -> Option<&serde_json::Map<String, Value>> {
        self.value.pointer("/spec/selector")?.as_object()
    }

    /// The selector's value under a key; what is no text counts as the empty text.
    fn selector_value(&self, key: &str) -> Option<&str> {
        self.selector()?.get(key).map(|value| value.as_str().unwrap_or_default())
    }

    fn selector_text(&self) -> String {
        labels::text(self.selector())
    }
}

#[cfg(test)]
mod tests;
