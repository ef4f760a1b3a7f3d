//! As much OpenAPI as `kubectl apply` asks for: which kinds there are, and that the server validates fields itself.
//!
//! There are no schemas, so `kubectl explain` says that it knows no such field.

use serde_json::{Map, Value, json};

use crate::resources::{RESOURCES, Resource};

/// `/openapi/v3` and the documents it names.
pub(crate) fn document(path: &str) -> Option<Value> {
    let rest = path.strip_prefix("/openapi/v3")?;
    if rest.is_empty() {
        let mut paths = Map::new();
        for resource in &RESOURCES {
            let place = place(resource);
            paths
                .entry(place.clone())
                .or_insert_with(|| json!({"serverRelativeURL": format!("/openapi/v3/{place}?hash=sandbox")}));
        }
        return Some(json!({"paths": paths}));
    }
    let wanted = rest.trim_start_matches('/');
    let resources: Vec<_> = RESOURCES.iter().filter(|resource| place(resource) == wanted).collect();
    if resources.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        paths.insert(path_of(resource), operations(resource));
        schemas.insert(
            format!("sandbox.{}", resource.kind),
            json!({"type": "object", "x-kubernetes-group-version-kind": [kind(resource)]}),
        );
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "turquoise sandbox", "version": crate::api::VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn place(resource: &Resource) -> String {
    if resource.group.is_empty() {
        format!("api/{}", resource.version)
    } else {
        format!("apis/{}/{}", resource.group, resource.version)
    }
}

fn path_of(resource: &Resource) -> String {
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("/{}{scope}/{}/{{name}}", place(resource), resource.plural)
}

fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn operations(resource: &Resource) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters =
        json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation"), parameter("force")]);
    let operation = |action: &str| {
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind(resource),
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        })
    };
    json!({"get": operation("get"), "patch": operation("patch"), "put": operation("put"), "delete": operation("delete")})
}
