//! Label and field selectors.

use serde_json::{Map, Value};

use crate::object;

/// What a label selector, in a query or in an object, asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
    /// An object's empty selector that selects nothing (a Service without one).
    nothing: bool,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl LabelSelector {
    /// Reads the query parameter `labelSelector`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let requirements = split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()?;
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// The selector of a Service: equal labels; none selects nothing.
    pub(crate) fn equal(labels: Option<&Map<String, Value>>) -> Self {
        let requirements: Vec<_> = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]))
            .collect();
        LabelSelector { nothing: requirements.is_empty(), requirements }
    }

    /// A `LabelSelector` object: `matchLabels` and `matchExpressions`.
    pub(crate) fn of(selector: &Value) -> Self {
        let mut requirements = LabelSelector::equal(object::map(selector, "/matchLabels")).requirements;
        for expression in object::list(selector, "/matchExpressions") {
            let key = object::text(expression, "/key").to_owned();
            let values: Vec<_> =
                object::list(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(match object::text(expression, "/operator") {
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Missing(key),
                _ => Requirement::In(key, values),
            });
        }
        LabelSelector { requirements, nothing: false }
    }

    /// Whether an object's labels meet it.
    pub(crate) fn matches(&self, labelled: &Value) -> bool {
        self.matches_labels(object::map(labelled, "/metadata/labels"))
    }

    /// Whether these labels meet it.
    pub(crate) fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        !self.nothing
            && self.requirements.iter().all(|requirement| match requirement {
                Requirement::In(key, values) => label(key).is_some_and(|has| values.iter().any(|value| value == has)),
                Requirement::NotIn(key, values) => label(key).is_none_or(|has| values.iter().all(|value| value != has)),
                Requirement::Exists(key) => label(key).is_some(),
                Requirement::Missing(key) => label(key).is_none(),
            })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => (),
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Missing(key.trim().to_owned()));
    }
    for (word, negated) in [(" notin ", true), (" in ", false), (" notin(", true), (" in(", false)] {
        if let Some((key, values)) = part.split_once(word) {
            let values = values.trim().trim_start_matches('(').trim_end_matches(')');
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            let key = key.trim().to_owned();
            return Ok(if negated { Requirement::NotIn(key, values) } else { Requirement::In(key, values) });
        }
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if part.contains([' ', '(', ')']) {
        return Err(format!("unable to parse requirement: {part}"));
    }
    Ok(Requirement::Exists(part.to_owned()))
}

/// What the query parameter `fieldSelector` asks for: fields that equal, or do not equal, a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldSelector {
    requirements: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads the query parameter. Fields that the real server does not index are refused as it does.
    pub(crate) fn parse(text: &str, plural: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, true, value)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            if !is_indexed(plural, field) {
                return Err(format!("field label not supported: {field}"));
            }
            requirements.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(FieldSelector { requirements })
    }

    /// The same, and this name.
    pub(crate) fn and_name(mut self, name: &str) -> Self {
        self.requirements.push(("metadata.name".to_owned(), true, name.to_owned()));
        self
    }

    /// Whether an object's fields meet it.
    pub(crate) fn matches(&self, candidate: &Value) -> bool {
        self.requirements.iter().all(|(field, equal, value)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let has = match candidate.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (has == *value) == *equal
        })
    }
}

fn is_indexed(plural: &str, field: &str) -> bool {
    if matches!(field, "metadata.name" | "metadata.namespace") {
        return true;
    }
    match plural {
        "pods" => matches!(
            field,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.serviceAccountName"
                | "spec.hostNetwork"
                | "status.phase"
                | "status.podIP"
                | "status.nominatedNodeName"
        ),
        "events" => {
            field.starts_with("involvedObject.")
                || field.starts_with("regarding.")
                || matches!(field, "reason" | "type" | "source" | "reportingComponent")
        }
        "secrets" => field == "type",
        "namespaces" => field == "status.phase",
        "nodes" => field == "spec.unschedulable",
        "services" => matches!(field, "spec.clusterIP" | "spec.type"),
        "replicasets" | "replicationcontrollers" => field == "status.replicas",
        "jobs" => field == "status.successful",
        _ => false,
    }
}
