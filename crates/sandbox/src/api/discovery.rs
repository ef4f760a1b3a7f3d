//! Which kinds there are: discovery, in its aggregated form and in the old one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::VERSION;
use crate::resources::{RESOURCES, Resource};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const PLAIN: &str = "application/json";

/// `/version`.
pub(crate) fn version() -> Value {
    let mut numbers = VERSION.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next(),
        "minor": numbers.next(),
        "gitVersion": format!("{VERSION}+sandbox"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// A discovery document with its content type.
pub(crate) fn document(path: &str, is_aggregated: bool) -> Option<(&'static str, Value)> {
    match path {
        "/api" if is_aggregated => return Some((AGGREGATED, aggregated(true))),
        "/apis" if is_aggregated => return Some((AGGREGATED, aggregated(false))),
        "/api" => {
            let document = json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []});
            return Some((PLAIN, document));
        }
        "/apis" => {
            let groups: Vec<_> = groups().into_iter().filter(|(name, _)| !name.is_empty()).map(group).collect();
            return Some((PLAIN, json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})));
        }
        _ => (),
    }
    if path == "/api/v1" {
        return Some((PLAIN, resource_list("", "v1")));
    }
    let rest = path.strip_prefix("/apis/")?;
    let (name, version) = rest.split_once('/').unwrap_or((rest, ""));
    let known = groups().into_iter().find(|(group, _)| *group == name)?;
    if version.is_empty() {
        return Some((PLAIN, group(known)));
    }
    known.1.iter().any(|resource| resource.version == version).then(|| (PLAIN, resource_list(name, version)))
}

fn groups() -> BTreeMap<&'static str, Vec<&'static Resource>> {
    let mut groups: BTreeMap<&'static str, Vec<&'static Resource>> = BTreeMap::new();
    for resource in &RESOURCES {
        groups.entry(resource.group).or_default().push(resource);
    }
    groups
}

fn group((name, resources): (&str, Vec<&Resource>)) -> Value {
    let version = resources.first().map_or("v1", |resource| resource.version);
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version})
}

fn verbs(resource: &Resource) -> Value {
    if resource.group == "authorization.k8s.io" {
        return json!(["create"]);
    }
    json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
}

/// The subresources of a kind: name, the kind they speak, their group and version, and their verbs.
fn subresources(resource: &Resource) -> Vec<(&'static str, &'static str, &'static str, &'static str, Value)> {
    let mut all = Vec::new();
    if resource.status {
        all.push(("status", resource.kind, resource.group, resource.version, json!(["get", "patch", "update"])));
    }
    if resource.scale {
        all.push(("scale", "Scale", "autoscaling", "v1", json!(["get", "patch", "update"])));
    }
    if resource.plural == "pods" {
        all.push(("log", "Pod", "", "v1", json!(["get"])));
        all.push(("eviction", "Eviction", "policy", "v1", json!(["create"])));
    }
    if matches!(resource.plural, "pods" | "services") {
        all.push(("proxy", "PodProxyOptions", "", "v1", json!(["create", "delete", "get", "patch", "update"])));
    }
    all
}

fn resource_list(group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in RESOURCES.iter().filter(|resource| resource.group == group && resource.version == version) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": verbs(resource),
        });
        if !resource.short.is_empty() {
            entry["shortNames"] = json!(resource.short);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        list.push(entry);
        for (name, kind, group, version, verbs) in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": verbs,
            });
            if (group, version) != (resource.group, resource.version) {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            list.push(entry);
        }
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list})
}

fn aggregated(core: bool) -> Value {
    let items: Vec<_> = groups()
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, resources)| {
            let version = resources.first().map_or("v1", |resource| resource.version);
            let resources: Vec<_> = resources.into_iter().map(aggregated_resource).collect();
            json!({
                "metadata": {"name": name, "creationTimestamp": null},
                "versions": [{"version": version, "resources": resources, "freshness": "Current"}],
            })
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let below: Vec<_> = subresources(resource)
        .into_iter()
        .map(|(name, speaks, group, version, verbs)| {
            json!({"subresource": name, "responseKind": kind(group, version, speaks), "verbs": verbs})
        })
        .collect();
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(resource.group, resource.version, resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if !below.is_empty() {
        entry["subresources"] = json!(below);
    }
    entry
}
