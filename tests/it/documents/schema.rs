//! JSON schemas: the one of turquoise.yaml against the parser and its documents, and a small validator, which the answers
//! of a real daemon are held against as well.

use serde_json::{Map, Value};
use turquoise::core::policy;

use super::words::serde_saphyr;
use super::{document, fenced};

/// What of a value is not as a schema says. The keywords are those that our schemas use; any other is a failure, so that
/// nothing is believed that was not looked at.
fn problems(schema: &Value, value: &Value, root: &Value, at: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else { return vec![format!("{at}: the schema is no object")] };
    let mut found = Vec::new();
    for (keyword, wanted) in schema {
        found.extend(keyword_problems(keyword, wanted, schema, value, root, at));
    }
    found
}

fn keyword_problems(
    keyword: &str,
    wanted: &Value,
    schema: &Map<String, Value>,
    value: &Value,
    root: &Value,
    at: &str,
) -> Vec<String> {
    let say = |wrong: bool| if wrong { vec![format!("{at}: {keyword} {wanted}, found {value}")] } else { Vec::new() };
    let list = || wanted.as_array().cloned().unwrap_or_default();
    let number = || wanted.as_i64().unwrap_or_default();
    match keyword {
        "$ref" => {
            let pointer = wanted.as_str().and_then(|text| text.strip_prefix('#')).expect("a local reference");
            let target = root.pointer(pointer).unwrap_or_else(|| panic!("{at}: nothing at {pointer}"));
            problems(target, value, root, at)
        }
        "type" => {
            let names = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
            say(!names.iter().filter_map(Value::as_str).any(|name| is_a(name, value)))
        }
        "const" => say(value != wanted),
        "enum" => say(!list().contains(value)),
        "required" => {
            say(value.is_object() && list().iter().filter_map(Value::as_str).any(|name| value.get(name).is_none()))
        }
        "anyOf" => say(!list().iter().any(|one| problems(one, value, root, at).is_empty())),
        "oneOf" => say(list().iter().filter(|one| problems(one, value, root, at).is_empty()).count() != 1),
        "properties" => {
            let fields = wanted.as_object().into_iter().flatten();
            let present = fields.filter_map(|(name, inner)| Some((name, inner, value.get(name)?)));
            present.flat_map(|(name, inner, value)| problems(inner, value, root, &format!("{at}.{name}"))).collect()
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
            let others = value.as_object().into_iter().flatten().filter(|(name, _)| !known.contains_key(*name));
            let problem = |(name, value): (&String, &Value)| match wanted {
                Value::Bool(false) => vec![format!("{at}: unknown field {name}")],
                Value::Null
                | Value::Bool(true)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => problems(wanted, value, root, &format!("{at}.{name}")),
            };
            others.flat_map(problem).collect()
        }
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.flat_map(|(index, value)| problems(wanted, value, root, &format!("{at}[{index}]"))).collect()
        }
        "pattern" => {
            let pattern = regex::Regex::new(wanted.as_str().expect("a pattern")).expect("a pattern");
            say(value.as_str().is_some_and(|text| !pattern.is_match(text)))
        }
        "minimum" => say(value.as_i64().is_some_and(|value| value < number())),
        "maximum" => say(value.as_i64().is_some_and(|value| value > number())),
        "minLength" => say(value.as_str().is_some_and(|text| (text.len() as i64) < number())),
        "maxItems" => say(value.as_array().is_some_and(|items| items.len() as i64 > number())),
        "format" => {
            assert_eq!(wanted, "date-time", "{at}: only times are known");
            say(value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_err()))
        }
        "$schema" | "$defs" | "title" | "description" | "default" => Vec::new(),
        other => panic!("{at}: the keyword {other} is not known here"),
    }
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type {other}"),
    }
}

/// What of an answer is not as the OpenAPI description says.
pub(crate) fn answer_problems(schema: &str, answer: &Value) -> Vec<String> {
    let root = serde_saphyr(&document("docs/openapi.yaml"));
    let schema = root.pointer(schema).unwrap_or_else(|| panic!("nothing at {schema}"));
    problems(schema, answer, &root, "answer")
}

fn policy_problems(text: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(&document("docs/turquoise.schema.json")).expect("JSON");
    problems(&schema, &serde_saphyr(text), &schema, "turquoise.yaml")
}

const HEAD: &str = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\n";

#[test]
fn the_schema_accepts_every_documented_policy() {
    let mut examples = vec![document("example-repo/turquoise.yaml")];
    for page in ["docs/turquoise.yaml.md", "README.md"] {
        examples.extend(fenced(&document(page), "yaml").into_iter().filter(|text| text.contains("kind: BlueGreen")));
    }
    assert!(examples.len() >= 4, "{} examples", examples.len());
    let parts = [
        ("docs/turquoise.yaml.md", "checks:"),
        ("docs/notifications.md", "spec:"),
        ("docs/recipes/approval.md", "# turquoise.yaml"),
    ];
    for (page, start) in parts {
        let part = fenced(&document(page), "yaml").into_iter().find(|text| text.starts_with(start));
        let part = part.unwrap_or_else(|| panic!("{page} has no example that begins with `{start}`"));
        let spec = if start == "checks:" { format!("spec:\n  {}", part.replace('\n', "\n  ")) } else { part };
        examples.push(format!("{HEAD}{spec}\n"));
    }
    for text in examples {
        assert!(policy::parse(&text).is_ok(), "the parser refuses\n{text}");
        assert_eq!(policy_problems(&text), [""; 0], "{text}");
    }
}

#[test]
fn the_schema_and_the_parser_refuse_the_same() {
    for body in [
        "spec: {wach: 5s}",
        "metadata: {labels: {}}",
        "spec: {watch: soon}",
        "spec: {promotion: later}",
        "spec: {retire: later}",
        "spec: {retire: {scaleTo: -1}}",
        "spec: {checks: [{name: x}]}",
        "spec: {checks: [{http: {service: a, path: x}}]}",
        "spec: {checks: [{http: {service: a, json: [{pointer: /x}]}}]}",
        "spec: {checks: [{webhook: {url: 'ftp://x'}}]}",
        "spec: {checks: [{http: {service: a}, webhook: {url: 'https://x'}}]}",
        "spec: {checks: [{http: {service: a, times: 0}}]}",
        "spec: {checks: [{http: {service: a, port: 70000}}]}",
        "spec: {checks: [{http: {service: a, host: b}}]}",
        "spec: {notifications: [{webhook: {url: 'ftp://x'}}]}",
        "spec: {notifications: [{slack: {}}]}",
        "spec: {notifications: [{slack: {urlFrom: a, secret: b}}]}",
        "spec: {notifications: [{webhook: {url: 'https://x', urlFrom: a}}]}",
        "spec: {notifications: [{webhook: {urlFrom: a}, slack: {urlFrom: a}}]}",
        "spec: {checks: [{http: {path: /}}]}",
        "spec: {checks: [{webhook: {url: 'https://x', secret: 'a b'}}]}",
        "spec: {adopt: maybe}",
        "spec: {namespace: Not_One}",
        "more: 1",
    ] {
        let text = format!("{HEAD}{body}\n");
        assert!(policy::parse(&text).is_err(), "the parser accepts\n{text}");
        assert!(!policy_problems(&text).is_empty(), "the schema accepts\n{text}");
    }
    assert!(!policy_problems("kind: BlueGreen\n").is_empty());
}

#[test]
fn the_schema_knows_every_field_of_the_documents_and_they_every_one_of_it() {
    let schema: Value = serde_json::from_str(&document("docs/turquoise.schema.json")).expect("JSON");
    let page = document("docs/turquoise.yaml.md");
    let mut fields = Vec::new();
    collect(&schema, &mut fields);
    assert!(fields.len() > 25, "{fields:?}");
    for field in fields {
        let named = page.contains(&format!("{field}:")) || page.contains(&format!("{field}`"));
        assert!(named, "docs/turquoise.yaml.md says nothing of `{field}`");
    }
}

fn collect(schema: &Value, fields: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, inner) in map {
                if key == "properties" {
                    fields.extend(inner.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
                }
                collect(inner, fields);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
