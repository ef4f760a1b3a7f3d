//! One object on its way through the build, with what the build must remember about it.

use std::collections::HashMap;

use crate::schema;
use crate::shared::SharedLabel;
use crate::value::{Map, Text, Value};
use crate::yaml::text_of;

/// The namespace in which objects of no namespace are compared.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Stands for the namespace of objects that have none by their kind.
pub(crate) const CLUSTER_SCOPED: &str = "_non_namespaceable_";

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Gvk {
    pub(crate) group: Text,
    pub(crate) version: Text,
    pub(crate) kind: Text,
}

impl Gvk {
    pub(crate) fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Whether `selector` allows this; empty parts allow anything.
    pub(crate) fn is_selected_by(&self, selector: &Gvk) -> bool {
        let fits = |part: &str, wanted: &str| wanted.is_empty() || part == wanted;
        fits(&self.group, &selector.group) && fits(&self.version, &selector.version) && fits(&self.kind, &selector.kind)
    }

    pub(crate) fn api_version(&self) -> Text {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version).into() }
    }
}

/// What identifies an object. `namespace` is the one it is compared by: `default` for none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) gvk: Gvk,
    pub(crate) namespace: Text,
    pub(crate) name: Text,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.gvk.kind, self.name)?;
        if self.namespace != DEFAULT_NAMESPACE && self.namespace != CLUSTER_SCOPED {
            write!(f, " in namespace {}", self.namespace)?;
        }
        if !self.gvk.group.is_empty() {
            write!(f, " ({})", self.gvk.api_version())?;
        }
        Ok(())
    }
}

/// An earlier kind, name and namespace of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviousId {
    pub(crate) kind: Text,
    pub(crate) name: Text,
    pub(crate) namespace: Text,
}

/// What a generator does when the object exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behavior {
    #[default]
    Create,
    Replace,
    Merge,
}

/// Where an object came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Origin {
    /// The file, as a path in the tree; for generated objects the kustomization.
    pub path: String,
    /// The line on which the object's document began, from 1.
    pub line: usize,
}

/// The same while the build holds it: thousands of objects share one path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(crate) path: Text,
    pub(crate) line: usize,
}

impl From<Source> for Origin {
    fn from(source: Source) -> Self {
        Self { path: source.path.to_string(), line: source.line }
    }
}

/// Makes the map of annotations where there is none: the original keeps its notes there, so once there are some, whoever
/// adds to annotations finds a map. An empty one vanishes at the end.
pub(crate) fn open_annotations(object: &mut Map) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata.get("annotations").is_none_or(Value::is_null)
    {
        metadata.insert("annotations", Value::Object(Map::new()));
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    /// The object; empty once a patch deleted it.
    pub(crate) object: Map,
    pub(crate) origin: Source,
    pub(crate) previous: Vec<PreviousId>,
    pub(crate) prefixes: Vec<Text>,
    pub(crate) suffixes: Vec<Text>,
    pub(crate) behavior: Behavior,
    pub(crate) needs_hash: bool,
    pub(crate) shared: Vec<SharedLabel>,
    /// Names of the variables whose value is read from this object.
    pub(crate) variables: Vec<String>,
}

impl Resource {
    pub(crate) fn new(object: Map, origin: Source) -> Self {
        Self { object, origin, ..Self::default() }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.object.is_empty()
    }

    pub(crate) fn api_version(&self) -> &str {
        self.object.get("apiVersion").and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn kind(&self) -> &str {
        self.object.get("kind").and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(self.api_version(), self.kind())
    }

    /// Whether `selector` allows the present kind; empty parts allow anything.
    pub(crate) fn is_selected_by(&self, selector: &Gvk) -> bool {
        let fits = |part: &str, wanted: &str| wanted.is_empty() || part == wanted;
        let (group, version) = self.api_version().split_once('/').unwrap_or(("", self.api_version()));
        fits(self.kind(), &selector.kind) && fits(group, &selector.group) && fits(version, &selector.version)
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.object.get("metadata")?.as_object()?.get(field)
    }

    /// The name; other scalars than strings count as their text.
    pub(crate) fn name(&self) -> Text {
        self.metadata("name").filter(|v| !v.is_null()).and_then(text_of).unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> Text {
        self.metadata("namespace").filter(|v| !v.is_null()).and_then(text_of).unwrap_or_default()
    }

    /// Changes the metadata map, which is made if it is missing.
    pub(crate) fn edit_metadata<R>(&mut self, act: impl FnOnce(&mut Map) -> R) -> R {
        let mut metadata = match self.object.remove("metadata") {
            Some(Value::Object(map)) => map,
            Some(_) | None => Map::new(),
        };
        let result = act(&mut metadata);
        self.object.insert("metadata", Value::Object(metadata));
        result
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        self.edit_metadata(|metadata| metadata.insert("name", name.into()));
    }

    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            if self.metadata("namespace").is_some() {
                self.edit_metadata(|metadata| metadata.remove("namespace"));
            }
        } else {
            self.edit_metadata(|metadata| metadata.insert("namespace", namespace.into()));
        }
    }

    /// The strings of `metadata.labels` or `metadata.annotations`.
    pub(crate) fn string_map(&self, field: &str) -> Map {
        self.metadata(field).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The text of one label or annotation.
    pub(crate) fn string_in(&self, field: &str, key: &str) -> Option<Text> {
        self.metadata(field)?.as_object()?.get(key).and_then(text_of)
    }

    pub(crate) fn set_string_map(&mut self, field: &str, map: Map) {
        if map.is_empty() {
            if self.metadata(field).is_some() {
                self.edit_metadata(|metadata| metadata.remove(field));
            }
        } else {
            self.edit_metadata(|metadata| metadata.insert(field, Value::Object(map)));
        }
    }

    pub(crate) fn is_cluster_scoped(&self) -> bool {
        schema::is_cluster_scoped(self.api_version(), self.kind())
    }

    /// The namespace by which the object is compared.
    pub(crate) fn effective_namespace(&self) -> Text {
        effective_namespace(self.is_cluster_scoped(), self.namespace())
    }

    pub(crate) fn id(&self) -> Id {
        Id { gvk: self.gvk(), namespace: self.effective_namespace(), name: self.name() }
    }

    /// Every earlier id, the oldest first. Group and version are the present ones.
    pub(crate) fn previous_ids(&self) -> impl Iterator<Item = Id> + '_ {
        let gvk = self.gvk();
        self.previous.iter().map(move |previous| Id {
            gvk: Gvk { kind: previous.kind.clone(), ..gvk.clone() },
            namespace: previous.namespace.clone(),
            name: previous.name.clone(),
        })
    }

    /// Every id the object has or had.
    pub(crate) fn all_ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.previous_ids().collect();
        let current = self.id();
        if !ids.contains(&current) {
            ids.push(current);
        }
        ids
    }

    pub(crate) fn original_id(&self) -> Id {
        self.previous_ids().next().unwrap_or_else(|| self.id())
    }

    /// Whether anything is remembered of it; the original keeps that in annotations.
    pub(crate) fn has_history(&self) -> bool {
        !self.previous.is_empty() || !self.prefixes.is_empty() || !self.suffixes.is_empty() || self.needs_hash
    }

    /// Annotations become strings; without any the field goes.
    pub(crate) fn write_annotations_as_text(&mut self) {
        let Some(metadata) = self.object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        match metadata.get_mut("annotations") {
            Some(Value::Object(map)) if !map.is_empty() => {
                for value in map.values_mut().filter(|value| !value.is_string()) {
                    *value = text_of(value).unwrap_or_default().into();
                }
            }
            Some(_) => drop(metadata.remove("annotations")),
            None => {}
        }
    }

    /// Remembers the present id before it changes.
    pub(crate) fn store_previous_id(&mut self) {
        let previous =
            PreviousId { kind: self.kind().into(), name: self.name(), namespace: self.effective_namespace() };
        self.previous.push(previous);
    }

    /// All annotations were taken away, and with them what the original notes there: from here on the present name is the
    /// only one, and a generated object loses its hash.
    pub(crate) fn forget_history(&mut self) {
        self.previous.clear();
        self.prefixes.clear();
        self.suffixes.clear();
        self.needs_hash = false;
    }

    /// Takes the history that an earlier tool wrote into annotations.
    pub(crate) fn take_history(&mut self) {
        const PREFIX: &str = "internal.config.kubernetes.io/";
        let has_any = |annotations: &Map| annotations.keys().any(|key| key.starts_with(PREFIX));
        if !self.metadata("annotations").and_then(Value::as_object).is_some_and(has_any) {
            return;
        }
        let mut annotations = self.string_map("annotations");
        let mut take = |name: &str| -> Vec<Text> {
            let taken = annotations.remove(&format!("{PREFIX}{name}"));
            let text = taken.as_ref().and_then(Value::as_str).unwrap_or("");
            text.split(',').filter(|part| !part.is_empty()).map(Text::from).collect()
        };
        let (names, namespaces, kinds) = (take("previousNames"), take("previousNamespaces"), take("previousKinds"));
        (self.prefixes, self.suffixes) = (take("prefixes"), take("suffixes"));
        let triples = names.into_iter().zip(namespaces).zip(kinds);
        self.previous = triples.map(|((name, namespace), kind)| PreviousId { kind, name, namespace }).collect();
        self.set_string_map("annotations", annotations);
    }

    /// Takes over what an older object of the same id carries: its name, namespace, history, and labels and annotations that this one lacks.
    pub(crate) fn inherit_from(&mut self, older: &Resource) {
        for field in ["labels", "annotations"] {
            let mut merged = older.string_map(field);
            merged.extend(self.string_map(field));
            self.set_string_map(field, merged);
        }
        self.set_name(&older.name());
        self.set_namespace(&older.namespace());
        self.needs_hash = self.needs_hash && older.needs_hash;
        self.behavior = older.behavior;
        self.previous.clone_from(&older.previous);
        self.prefixes.clone_from(&older.prefixes);
        self.suffixes.clone_from(&older.suffixes);
        self.variables.clone_from(&older.variables);
    }
}

/// After a `step` that may change ids: no two objects may have the same.
pub(crate) fn refuse_twins(resources: &[Resource], step: &str) -> Result<(), String> {
    let mut seen: HashMap<Id, &Resource> = HashMap::with_capacity(resources.len());
    for resource in resources.iter().filter(|resource| !resource.is_deleted()) {
        if let Some(other) = seen.insert(resource.id(), resource) {
            return Err(format!(
                "{step} gives two objects the same id: {} of {}:{} and of {}:{}",
                resource.id(),
                other.origin.path,
                other.origin.line,
                resource.origin.path,
                resource.origin.line
            ));
        }
    }
    Ok(())
}

pub(crate) fn effective_namespace(cluster_scoped: bool, namespace: Text) -> Text {
    if cluster_scoped {
        CLUSTER_SCOPED.into()
    } else if namespace.is_empty() {
        DEFAULT_NAMESPACE.into()
    } else {
        namespace
    }
}
