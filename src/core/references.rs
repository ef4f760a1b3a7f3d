//! What an object refers to by name: which shared objects a colour's pods cannot start without.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ids::ObjectKey;

/// A reference to another object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `ServiceAccount`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

/// Fields that hold nothing but a name, of Kubernetes' own kinds.
const NAMES: [(&str, &str); 5] = [
    ("serviceAccountName", "ServiceAccount"),
    ("serviceAccount", "ServiceAccount"),
    ("claimName", "PersistentVolumeClaim"),
    ("secretName", "Secret"),
    ("serviceName", "Service"),
];

/// Fields whose object, or whose list's objects, hold a `name`.
const NAMED: [(&str, &str); 7] = [
    ("configMap", "ConfigMap"),
    ("configMapRef", "ConfigMap"),
    ("configMapKeyRef", "ConfigMap"),
    ("secret", "Secret"),
    ("secretRef", "Secret"),
    ("secretKeyRef", "Secret"),
    ("imagePullSecrets", "Secret"),
];

impl Reference {
    /// Whether an object may be what is meant. An object of a custom kind often makes one of another kind with its own name
    /// (a sealed Secret, a certificate), so there the name decides.
    #[must_use]
    pub fn may_mean(&self, key: &ObjectKey) -> bool {
        let group = key.api_version.split_once('/').map_or("", |(group, _)| group);
        let is_custom = group.contains('.') && !group.ends_with(".k8s.io");
        self.name == key.name && (is_custom || self.kind == key.kind)
    }
}

/// Everything that an object refers to by name.
#[must_use]
pub fn of(object: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        if !matches!(field.as_str(), "kind" | "metadata") {
            note(field, value, &mut found);
        }
    }
    found
}

fn note(field: &str, value: &Value, found: &mut BTreeSet<Reference>) {
    let mut add = |kind: &str, name: &str| {
        found.insert(Reference { kind: kind.to_owned(), name: name.to_owned() });
    };
    match value {
        Value::String(name) => {
            if let Some((_, kind)) = NAMES.iter().find(|(known, _)| *known == field) {
                add(kind, name);
            }
        }
        Value::Object(map) => {
            if let Some(name) = map.get("name").and_then(Value::as_str) {
                // `{kind, name}`: a role's binding, an autoscaler's target, an owner.
                let said = map.get("kind").and_then(Value::as_str);
                let known = NAMED.iter().find(|(known, _)| *known == field).map(|(_, kind)| *kind);
                if let Some(kind) = said.or(known) {
                    add(kind, name);
                }
            }
            map.iter().for_each(|(field, value)| note(field, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| note(field, item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(api_version: &str, kind: &str, name: &str) -> ObjectKey {
        ObjectKey { api_version: api_version.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    #[test]
    fn names_are_found_where_kubernetes_reads_them() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "labelled"}},
            "spec": {"selector": {"matchLabels": {"app": "labelled"}}, "template": {"spec": {
                "serviceAccountName": "robot",
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "disk"}},
                    {"name": "tls", "secret": {"secretName": "cert"}},
                    {"name": "all", "projected": {"sources": [{"configMap": {"name": "parts"}}]}}],
                "containers": [{"name": "web", "image": "web:1",
                    "envFrom": [{"configMapRef": {"name": "settings"}}],
                    "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}]}]}}}});
        let found = of(&deployment);
        for (api_version, kind, name, expect) in [
            ("v1", "ServiceAccount", "robot", true),
            ("v1", "ConfigMap", "robot", false),
            ("v1", "Secret", "registry", true),
            ("v1", "PersistentVolumeClaim", "disk", true),
            ("v1", "PersistentVolumeClaim", "data", false),
            ("v1", "Secret", "cert", true),
            ("v1", "ConfigMap", "parts", true),
            ("v1", "ConfigMap", "settings", true),
            ("v1", "Secret", "token", true),
            ("v1", "ServiceAccount", "labelled", false),
            ("v1", "ServiceAccount", "web", false),
            ("bitnami.com/v1alpha1", "SealedSecret", "token", true),
            ("rbac.authorization.k8s.io/v1", "Role", "token", false),
        ] {
            let key = key(api_version, kind, name);
            assert_eq!(found.iter().any(|one| one.may_mean(&key)), expect, "{key}");
        }
        let binding = json!({"kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot"}]});
        let found: Vec<String> = of(&binding).into_iter().map(|one| format!("{} {}", one.kind, one.name)).collect();
        assert_eq!(found, ["Role r", "ServiceAccount robot"]);
    }
}
