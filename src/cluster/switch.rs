//! Writes to Services and the rest of the live overlay: the switch of traffic by compare-and-swap.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::api::Patch;
use serde_json::{Value, json};

use super::annotations as name;
use super::apply::Dress;
use super::{Cluster, ClusterError, Subject, by_us, call, composed, record};
use crate::core::action::{ApplyOverlay, ServiceGuard, Switch};
use crate::core::colour::Colour;
use crate::core::desired::OverlayObject;
use crate::core::ids::ObjectKey;
use crate::core::observed::FlipRecord;

impl Cluster {
    /// Switches every live Service to a colour: selector, routing and the flip's record in one write each, under the
    /// resource version and the selector that were seen.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where a Service is not as it was seen. Services that were switched before it stay so:
    /// the next look finds them in disagreement or the rest of them astray, and goes on.
    pub async fn switch(
        &self,
        subject: &Subject,
        switch: &Switch,
        overlay: &[OverlayObject],
        objects: &[Value],
    ) -> Result<(), ClusterError> {
        let flip = record::flip_to_annotations(&switch.record);
        for guard in &switch.services {
            let service = self.seen_service(subject, guard).await?;
            let whole = switch.whole.contains(&guard.name);
            let rendered = objects.iter().find(|object| whole && is_service(object, &guard.name));
            let digest = overlay.iter().find(|one| one.key.kind == "Service" && one.key.name == guard.name);
            match (rendered, digest) {
                // The routing changed with the release, or by hand: it goes in the same write (rule 8).
                (Some(rendered), Some(digest)) => {
                    let mut dress = overlay_dress(subject, digest);
                    dress.annotations.extend(kept(&service, &[name::INVENTORY]));
                    dress.annotations.extend(flip.clone());
                    dress.resource_version = Some(guard.resource_version.clone());
                    self.apply(subject, &coloured(rendered, &subject.key, switch.to), &dress).await?;
                }
                (Some(_) | None, _) => {
                    let mut patch = selector_patch(&service, guard, &subject.key, switch.to);
                    patch.extend(annotation_patch(&service, &flip));
                    self.patch_service(subject, guard, patch).await?;
                }
            }
        }
        Ok(())
    }

    /// Points preview Services at a colour.
    ///
    /// # Errors
    /// As [`Cluster::switch`].
    pub async fn point_previews(
        &self,
        subject: &Subject,
        services: &[ServiceGuard],
        to: Colour,
    ) -> Result<(), ClusterError> {
        for guard in services {
            let service = self.seen_service(subject, guard).await?;
            self.patch_service(subject, guard, selector_patch(&service, guard, &subject.key, to)).await?;
        }
        Ok(())
    }

    /// Writes on the live Services what is known of the last flip.
    ///
    /// # Errors
    /// As [`Cluster::switch`].
    pub async fn end_watch(
        &self,
        subject: &Subject,
        services: &[ServiceGuard],
        end: &FlipRecord,
    ) -> Result<(), ClusterError> {
        self.annotate_services(subject, services, &record::flip_to_annotations(end)).await
    }

    /// Applies objects of the live overlay; Services that select by colour get the colours that the action says.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where a live Service is not as it was seen; whatever the server refuses.
    pub async fn apply_overlay(
        &self,
        subject: &Subject,
        action: &ApplyOverlay,
        overlay: &[OverlayObject],
        objects: &[Value],
    ) -> Result<(), ClusterError> {
        for key in &action.objects {
            let rendered = objects.iter().find(|object| ObjectKey::of(object).as_ref() == Some(key));
            let (Some(rendered), Some(one)) = (rendered, overlay.iter().find(|one| one.key == *key)) else { continue };
            let mut dress = overlay_dress(subject, one);
            let mut object = rendered.clone();
            if key.kind == "Service" && subject.live.contains(&key.name) {
                object = coloured(rendered, &subject.key, action.live);
                if let Some(guard) = action.services.iter().find(|guard| guard.name == key.name) {
                    let service = self.seen_service(subject, guard).await?;
                    dress.resource_version = Some(guard.resource_version.clone());
                    // What a flip wrote stays: an apply that left it out would take it away.
                    dress.annotations.extend(kept(&service, &name::FLIP));
                }
            } else if key.kind == "Service" && subject.previews.contains(&key.name) {
                object = coloured(rendered, &subject.key, action.preview);
            }
            if key.kind == "Service" && subject.live.iter().chain(&subject.previews).any(|name| *name == key.name) {
                dress.annotations.insert(name::INVENTORY.into(), record::inventory_text(&action.inventory));
            }
            self.apply(subject, &object, &dress).await?;
        }
        Ok(())
    }

    /// The Service, if it is as it was seen.
    pub(super) async fn seen_service(&self, subject: &Subject, guard: &ServiceGuard) -> Result<Service, ClusterError> {
        let api = self.api::<Service>(&subject.namespace);
        let service = call(&format!("get Service {}", guard.name), api.get_opt(&guard.name)).await?;
        service
            .filter(|service| service.metadata.resource_version.as_ref() == Some(&guard.resource_version))
            .ok_or_else(|| ClusterError::Conflict(format!("Service {}", guard.name)))
    }

    /// Writes annotations on Services, each under the resource version that was seen.
    pub(super) async fn annotate_services(
        &self,
        subject: &Subject,
        services: &[ServiceGuard],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), ClusterError> {
        for guard in services {
            let service = self.seen_service(subject, guard).await?;
            let mut patch =
                vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": guard.resource_version})];
            patch.extend(annotation_patch(&service, annotations));
            self.patch_service(subject, guard, patch).await?;
        }
        Ok(())
    }

    /// Patches a Service whose patch begins with the `test` of what was seen.
    async fn patch_service(
        &self,
        subject: &Subject,
        guard: &ServiceGuard,
        operations: Vec<Value>,
    ) -> Result<(), ClusterError> {
        let service = guard.name.as_str();
        let patch: json_patch::Patch =
            composed(&format!("build the patch of Service {service}"), Value::Array(operations))?;
        let params = by_us();
        let api = self.api::<Service>(&subject.namespace);
        let patch = Patch::<()>::Json(patch);
        let work = api.patch_metadata(service, &params, &patch);
        match call(&format!("patch Service {service}"), work).await {
            Ok(_) => Ok(()),
            // A failed `test` is a 422 like any other: who wrote since tells.
            Err(ClusterError::Refused { code: 422, what, words }) => {
                self.seen_service(subject, guard).await?;
                Err(ClusterError::Refused { code: 422, what, words })
            }
            Err(error) => Err(error),
        }
    }
}

/// Those annotations of a Service that an apply must carry on: left out, they would be taken away.
fn kept(service: &Service, names: &[&str]) -> BTreeMap<String, String> {
    let annotations = service.metadata.annotations.iter().flatten();
    annotations
        .filter(|(key, _)| names.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn overlay_dress(subject: &Subject, one: &OverlayObject) -> Dress {
    let mut dress = Dress::of(subject, (name::PART, name::PART_LIVE));
    dress.annotations.insert(name::DIGEST.into(), one.digest.to_string());
    dress
}

fn is_service(object: &Value, service: &str) -> bool {
    ObjectKey::of(object).is_some_and(|key| key.api_version == "v1" && key.kind == "Service" && key.name == service)
}

/// A rendered Service with another colour in its selector.
fn coloured(object: &Value, key: &str, colour: Colour) -> Value {
    let mut object = object.clone();
    if let Some(value) = object.pointer_mut("/spec/selector").and_then(|selector| selector.get_mut(key)) {
        *value = colour.as_str().into();
    }
    object
}

/// Whether a Service's selector, its colour aside, or its ports differ from what a render says. Fields that the render
/// leaves to the API server are not compared.
pub(super) fn is_astray(service: &Service, rendered: &Value, key: &str) -> bool {
    let actual = serde_json::to_value(&service.spec).unwrap_or_default();
    let without_colour = |spec: &Value| {
        let mut selector = spec.get("selector").and_then(Value::as_object).cloned().unwrap_or_default();
        selector.remove(key);
        selector
    };
    let wanted = rendered.get("spec").cloned().unwrap_or_default();
    let ports = |spec: &Value| spec.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let (has, wants) = (ports(&actual), ports(&wanted));
    let holds = |has: &Value, wants: &Value| {
        let fields = wants.as_object().into_iter().flatten();
        fields.into_iter().all(|(field, value)| has.get(field) == Some(value))
    };
    let same_ports = has.len() == wants.len() && has.iter().zip(&wants).all(|(has, wants)| holds(has, wants));
    without_colour(&actual) != without_colour(&wanted) || !same_ports
}

/// A segment of a JSON pointer (RFC 6901).
fn segment(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

/// Replaces the selector's one value, if resource version and selector are still as they were seen.
fn selector_patch(service: &Service, guard: &ServiceGuard, key: &str, to: Colour) -> Vec<Value> {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": guard.resource_version})];
    match selector {
        Some(selector) => {
            patch.push(json!({"op": "test", "path": "/spec/selector", "value": selector}));
            patch.push(json!({"op": "add", "path": format!("/spec/selector/{}", segment(key)), "value": to.as_str()}));
        }
        None => patch.push(json!({"op": "add", "path": "/spec/selector", "value": {key: to.as_str()}})),
    }
    patch
}

fn annotation_patch(service: &Service, annotations: &BTreeMap<String, String>) -> Vec<Value> {
    if service.metadata.annotations.is_none() {
        return vec![json!({"op": "add", "path": "/metadata/annotations", "value": annotations})];
    }
    annotations
        .iter()
        .map(|(key, value)| json!({"op": "add", "path": format!("/metadata/annotations/{}", segment(key)), "value": value}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_on_selector_or_ports_is_seen_and_the_servers_defaults_are_none() {
        let rendered = json!({"spec": {"selector": {"app": "shop", "colour": "blue"}, "ports": [{"port": 8080, "targetPort": "http"}]}});
        let service = |selector: Value, target: Value| -> Service {
            let ports = json!([{"port": 8080, "targetPort": target, "protocol": "TCP", "nodePort": 30123}]);
            serde_json::from_value(json!({"spec": {"selector": selector, "ports": ports, "clusterIP": "127.96.0.1"}}))
                .expect("a Service")
        };
        for (selector, target, expect) in [
            (json!({"app": "shop", "colour": "green"}), json!("http"), false),
            (json!({"colour": "blue"}), json!("http"), true),
            (json!({"app": "shop", "colour": "blue", "extra": "x"}), json!("http"), true),
            (json!({"app": "backend", "colour": "blue"}), json!("http"), true),
            (Value::Null, json!("http"), true),
            (json!({"app": "shop", "colour": "blue"}), json!(9999), true),
        ] {
            assert_eq!(
                is_astray(&service(selector.clone(), target.clone()), &rendered, "colour"),
                expect,
                "{selector} {target}"
            );
        }
    }
}
