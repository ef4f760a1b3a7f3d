//! Label selectors, as Kubernetes matches them.

use serde_json::{Map, Value};

/// Whether a map of equalities (a Service's selector, `matchLabels`) matches labels. The empty one matches all.
pub(super) fn equal(selector: &Map<String, Value>, labels: Option<&Map<String, Value>>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Whether a LabelSelector (`matchLabels`, `matchExpressions`) matches labels. An unknown operator matches nothing.
pub(super) fn selects(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let equalities = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equalities.is_none_or(|map| equal(map, labels))
        && expressions.into_iter().flatten().all(|expression| expression_holds(expression, labels))
}

fn expression_holds(expression: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
    let value = labels.and_then(|labels| labels.get(key));
    let listed = || {
        let values = expression.get("values").and_then(Value::as_array);
        value.is_some_and(|value| values.is_some_and(|values| values.contains(value)))
    };
    match expression.get("operator").and_then(Value::as_str) {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some(_) | None => false,
    }
}

/// A selector as people write it.
pub(super) fn text(selector: Option<&Map<String, Value>>) -> String {
    let pairs = selector.into_iter().flatten().map(|(key, value)| match value.as_str() {
        Some(value) => format!("{key}={value}"),
        None => format!("{key}={value}"),
    });
    let text = pairs.collect::<Vec<_>>().join(",");
    if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") }
}
