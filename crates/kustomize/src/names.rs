//! References by name: once everything has its last name, whoever mentioned the old one gets the new one.

use std::collections::{HashMap, HashSet};

use crate::value::{Text, Value};

use crate::config::Config;
use crate::fieldspec::{FieldSpec, Make};
use crate::resource::{CLUSTER_SCOPED, Gvk, Resource};
use crate::transform::{describe, with_value};
use crate::yaml::text_of;

/// What is known of an object that others may refer to, taken before any reference is changed.
struct Candidate {
    gvk: Gvk,
    previous_kinds: Vec<Text>,
    previous_names: Vec<Text>,
    original_namespace: Text,
    /// The namespace it is compared by.
    effective_namespace: Text,
    name: Text,
    /// As written, perhaps empty.
    namespace: Text,
    prefixes: Vec<Text>,
    suffixes: Vec<Text>,
}

impl Candidate {
    fn new(resource: &Resource) -> Self {
        Self {
            gvk: resource.gvk(),
            previous_kinds: resource.previous.iter().map(|id| id.kind.clone()).collect(),
            previous_names: resource.previous.iter().map(|id| id.name.clone()).collect(),
            original_namespace: resource.original_id().namespace,
            effective_namespace: resource.effective_namespace(),
            name: resource.name(),
            namespace: resource.namespace(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        }
    }

    fn was(&self, target: &Gvk) -> bool {
        self.previous_kinds.iter().any(|kind| Gvk { kind: kind.clone(), ..self.gvk.clone() }.is_selected_by(target))
    }
}

/// Changes every reference to a renamed object.
pub(crate) fn fix_references(resources: &mut [Resource], config: &Config) -> Result<(), String> {
    let candidates: Vec<Candidate> = resources.iter().map(Candidate::new).collect();
    let mut by_name: HashMap<&str, Vec<&Candidate>> = HashMap::new();
    for candidate in &candidates {
        let mut seen = HashSet::new();
        for name in &candidate.previous_names {
            if seen.insert(name.as_str()) {
                by_name.entry(name).or_default().push(candidate);
            }
        }
    }
    let mut by_kind: HashMap<&str, Vec<(usize, &Gvk, &FieldSpec)>> = HashMap::new();
    let all = config
        .name_reference
        .iter()
        .flat_map(|reference| reference.referrers.iter().map(move |spec| (&reference.target, spec)));
    for (order, (target, spec)) in all.enumerate() {
        by_kind.entry(spec.gvk.kind.as_str()).or_default().push((order, target, spec));
    }
    for (resource, own) in resources.iter_mut().zip(&candidates) {
        let original = resource.original_id().gvk;
        let of_kind = by_kind.get(original.kind.as_str()).into_iter().flatten();
        let mut specs: Vec<_> = of_kind.chain(by_kind.get("").into_iter().flatten()).collect();
        specs.sort_by_key(|(order, _, _)| *order);
        let bound = binding_namespaces(resource).map_err(|reason| describe(resource, &reason))?;
        for (_, target, spec) in specs {
            if !original.is_selected_by(&spec.gvk) {
                continue;
            }
            let role = if spec.path.ends_with("roleRef/name") { role_reference(resource) } else { None };
            let referrer = Referrer { own, by_name: &by_name, target, role, binding_namespaces: &bound };
            with_value(resource, |object| spec.apply(object, Make::Nothing, &mut |value| referrer.set(value)))
                .map_err(|reason| describe(resource, &reason))?;
        }
    }
    Ok(())
}

/// Group and kind that a binding's `roleRef` names.
fn role_reference(resource: &Resource) -> Option<Gvk> {
    let role = resource.object.get("roleRef")?;
    let text = |field: &str| role.get(field).filter(|value| !value.is_null()).and_then(text_of);
    Some(Gvk { group: text("apiGroup")?, version: Text::default(), kind: text("kind")? })
}

/// Namespaces of the service accounts that a role binding lists: it may refer there.
fn binding_namespaces(resource: &Resource) -> Result<Vec<Text>, String> {
    if resource.kind() != "RoleBinding" || resource.is_cluster_scoped() {
        return Ok(Vec::new());
    }
    let subjects = resource.object.get("subjects").and_then(Value::as_array);
    let accounts = subjects
        .into_iter()
        .flatten()
        .filter(|subject| subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount"));
    let named = accounts.filter_map(|subject| subject.get("namespace"));
    named
        .map(|name| {
            name.as_str()
                .map(Text::from)
                .ok_or_else(|| "a subject's `namespace` is no string; leave it out or fill it in".into())
        })
        .collect()
}

struct Referrer<'a> {
    own: &'a Candidate,
    by_name: &'a HashMap<&'a str, Vec<&'a Candidate>>,
    target: &'a Gvk,
    role: Option<Gvk>,
    binding_namespaces: &'a [Text],
}

impl<'a> Referrer<'a> {
    fn set(&self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::Null(_) => Ok(()),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                Value::Array(_) => Err("a name is a list of lists".into()),
                Value::Object(_)
                | Value::Null(_)
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Quoted(_) => self.set(item),
            }),
            Value::Object(map) => {
                let name = map.get("name").and_then(text_of).ok_or("the reference has no `name`")?;
                let within = map.get("namespace").and_then(text_of);
                let Some(found) = self.select(&name, within.as_deref(), true)? else { return Ok(()) };
                if found.name == name && found.namespace.is_empty() {
                    return Ok(());
                }
                map.insert("name", found.name.clone().into());
                if !found.namespace.is_empty() {
                    map.insert("namespace", found.namespace.clone().into());
                }
                Ok(())
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
                let name = text_of(value).unwrap_or_default();
                if let Some(found) = self.select(&name, None, false)?
                    && found.name != name
                {
                    *value = Value::String(found.name.clone());
                }
                Ok(())
            }
        }
    }

    /// The one object that is meant, if there is one. Several are fine if they have the same name (and namespace) now.
    fn select(&self, name: &str, within: Option<&str>, with_namespace: bool) -> Result<Option<&'a Candidate>, String> {
        let Some(named) = self.by_name.get(name) else { return Ok(None) };
        let mut found: Vec<&Candidate> =
            named.iter().copied().filter(|c| c.was(self.target) && self.reaches(c)).collect();
        if let Some(namespace) = within {
            found = in_namespace(self.by_name, &found, namespace);
        }
        if let Some(role) = &self.role {
            found.retain(|candidate| candidate.was(role));
        }
        if found.len() > 1 {
            found.retain(|candidate| self.shares_affixes(candidate, true));
        }
        if found.len() > 1 {
            found.retain(|candidate| self.shares_affixes(candidate, false));
        }
        let Some((first, rest)) = found.split_first() else { return Ok(None) };
        let same = rest.iter().all(|c| c.name == first.name && (!with_namespace || c.namespace == first.namespace));
        if same {
            return Ok(Some(first));
        }
        let names: Vec<&str> = found.iter().map(|candidate| candidate.name.as_str()).collect();
        Err(format!("`{name}` could mean several objects of kind {}: {}", self.target.kind, names.join(", ")))
    }

    /// Objects of another namespace are out of reach, but for service accounts and what has no namespace.
    fn reaches(&self, candidate: &Candidate) -> bool {
        let scoped = |c: &Candidate| c.effective_namespace == CLUSTER_SCOPED;
        if scoped(self.own) || scoped(candidate) || self.own.effective_namespace == candidate.effective_namespace {
            return true;
        }
        candidate.gvk.kind == "ServiceAccount" && self.binding_namespaces.contains(&candidate.namespace)
    }

    fn shares_affixes(&self, candidate: &Candidate, empty_fits: bool) -> bool {
        let fits = |a: &[Text], b: &[Text]| (empty_fits && (a.is_empty() || b.is_empty())) || same_ending(a, b);
        fits(&candidate.prefixes, &self.own.prefixes) && fits(&candidate.suffixes, &self.own.suffixes)
    }
}

/// Those whose first namespace it is; if no object at all began there, those that are there now.
fn in_namespace<'a>(
    by_name: &HashMap<&str, Vec<&'a Candidate>>,
    found: &[&'a Candidate],
    namespace: &str,
) -> Vec<&'a Candidate> {
    let began: Vec<&Candidate> = found.iter().copied().filter(|c| c.original_namespace == namespace).collect();
    let any_began =
        !began.is_empty() || by_name.values().flatten().any(|candidate| candidate.original_namespace == namespace);
    if any_began {
        return began;
    }
    found.iter().copied().filter(|c| c.effective_namespace == namespace).collect()
}

/// Whether the shorter list is the end of the longer one; an empty list only goes with an empty one.
fn same_ending(a: &[Text], b: &[Text]) -> bool {
    if a.is_empty() || b.is_empty() {
        return a.len() == b.len();
    }
    if a.len() <= b.len() { b.ends_with(a) } else { a.ends_with(b) }
}
