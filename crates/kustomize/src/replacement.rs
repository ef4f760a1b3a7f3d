//! Replacements: a field of one object is copied into fields of others.

use crate::value::{Map, Text, Value};
use regex::Regex;

use crate::fieldspec::split_path;
use crate::kustomization::{FieldOptions, Replacement, ReplacementTarget, Selector};
use crate::limits::{COPIED_BYTES_MAX, REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use crate::patch::labels::LabelSelector;
use crate::resource::{Id, Resource, effective_namespace};
use crate::transform::{describe, with_value};
use crate::yaml::{plain, text_of};

const DEFAULT_FIELD_PATH: &str = "metadata.name";

/// Applies one replacement. `written` counts the bytes that all replacements of the build have copied.
pub(crate) fn apply(resources: &mut [Resource], replacement: &Replacement, written: &mut usize) -> Result<(), String> {
    let (Some(source), Some(targets)) = (&replacement.source, &replacement.targets) else {
        return Err("a replacement needs a `source` and at least one target".into());
    };
    let path = if source.field_path.is_empty() { DEFAULT_FIELD_PATH } else { &source.field_path };
    let mut matches = resources.iter().filter(|resource| any_id_selected(resource, &source.selector));
    let holder =
        matches.next().ok_or_else(|| format!("nothing is selected by the source {}", show(&source.selector)))?;
    if matches.next().is_some() {
        return Err(format!("several objects are selected by the source {}; name one", show(&source.selector)));
    }
    let object = Value::Object(holder.object.clone());
    let value = look_up(&object, &split_field_path(path))
        .filter(|value| !is_empty(value))
        .ok_or_else(|| format!("the source {} has no field `{path}`", holder.id()))?;
    let value = refined(value, &source.options)?;
    let size = value.to_string().len();
    for target in targets {
        apply_target(resources, &value, target, size, written)?;
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null(_) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => false,
    }
}

fn show(selector: &Selector) -> String {
    let gvk = &selector.gvk;
    let parts = [
        ("kind", &gvk.kind),
        ("name", &Text::from(&selector.name)),
        ("namespace", &Text::from(&selector.namespace)),
        ("group", &gvk.group),
        ("version", &gvk.version),
    ];
    let shown: Vec<String> = parts.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k} `{v}`")).collect();
    if shown.is_empty() { "(any)".into() } else { shown.join(", ") }
}

/// The scope of the object's kind does not matter for its present id: what names no namespace is in `default`.
fn any_id_selected(resource: &Resource, selector: &Selector) -> bool {
    let is_selected = |id: &Id| {
        (selector.name.is_empty() || selector.name == id.name)
            && (selector.namespace.is_empty() || selector.namespace == id.namespace)
            && id.gvk.is_selected_by(&selector.gvk)
    };
    let present = Id { namespace: effective_namespace(false, resource.namespace()), ..resource.id() };
    is_selected(&present) || resource.previous_ids().any(|id| is_selected(&id))
}

/// One part of the source, if a delimiter is given.
fn refined(value: &Value, options: &FieldOptions) -> Result<Value, String> {
    if options.delimiter.is_empty() {
        return Ok(value.clone());
    }
    let text = text_of(value).ok_or("the source's `delimiter` needs a scalar")?;
    let index = usize::try_from(options.index).ok();
    index
        .and_then(|index| text.split(&options.delimiter).nth(index))
        .map(Value::from)
        .ok_or_else(|| format!("the source's index {} is out of bounds for `{text}`", options.index))
}

fn apply_target(
    resources: &mut [Resource],
    value: &Value,
    target: &ReplacementTarget,
    size: usize,
    written: &mut usize,
) -> Result<(), String> {
    let select = target.select.as_ref().ok_or("a replacement's target needs a `select`")?;
    let default = [DEFAULT_FIELD_PATH.to_string()];
    let field_paths = if target.field_paths.is_empty() { &default[..] } else { &target.field_paths };
    let paths: Result<Vec<(&String, Vec<Segment>)>, String> =
        field_paths.iter().map(|path| Ok((path, segments(path)?))).collect();
    let paths = paths?;
    let selected = Matcher::new(select)?;
    let rejected: Result<Vec<Matcher<'_>>, String> = target.reject.iter().map(Matcher::new).collect();
    let rejected = rejected?;
    for resource in resources {
        if !any_id_selected(resource, select) || !selected.by_labels(resource) {
            continue;
        }
        if rejected.iter().any(|reject| reject.rejects(resource)) {
            continue;
        }
        for (path, segments) in &paths {
            let mut count = 0;
            let set = &mut |field: &mut Value, made: bool| {
                count += 1;
                *written += size;
                if *written > COPIED_BYTES_MAX {
                    return Err(format!("replacements copy more than {COPIED_BYTES_MAX} bytes"));
                }
                set_field(field, made, value, &target.options)
            };
            let make = target.options.create.then_some(value);
            with_value(resource, |object| visit(object, segments, make, false, set))
                .and_then(|()| if count == 0 { Err("there is no such field".to_string()) } else { Ok(()) })
                .map_err(|reason| {
                    let reason = describe(resource, &reason);
                    format!("the replacement of field `{path}` failed: {reason}")
                })?;
        }
    }
    Ok(())
}

struct Matcher<'a> {
    selector: &'a Selector,
    labels: LabelSelector,
    annotations: LabelSelector,
}

impl<'a> Matcher<'a> {
    fn new(selector: &'a Selector) -> Result<Self, String> {
        let labels = LabelSelector::parse(&selector.label_selector)?;
        let annotations = LabelSelector::parse(&selector.annotation_selector)?;
        Ok(Self { selector, labels, annotations })
    }

    fn by_labels(&self, resource: &Resource) -> bool {
        self.labels.matches(|key| resource.string_in("labels", key))
            && self.annotations.matches(|key| resource.string_in("annotations", key))
    }

    /// Labels and ids reject on their own; an empty selector rejects nothing.
    fn rejects(&self, resource: &Resource) -> bool {
        let selector = self.selector;
        let has_labels = !selector.label_selector.is_empty() || !selector.annotation_selector.is_empty();
        let has_id = *selector
            != Selector {
                label_selector: selector.label_selector.clone(),
                annotation_selector: selector.annotation_selector.clone(),
                ..Selector::default()
            };
        (has_labels && self.by_labels(resource)) || (has_id && any_id_selected(resource, selector))
    }
}

/// Splits at dots; `[a.b]` keeps its dots, and `\.` stands for a dot.
pub(crate) fn split_field_path(path: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    for part in split_path(path, '.') {
        let bracketed = match open.take() {
            Some(mut before) => {
                before.push('.');
                before.push_str(&part);
                before
            }
            None if part.starts_with('[') && !part.ends_with(']') => {
                open = Some(part);
                continue;
            }
            None => {
                out.push(part);
                continue;
            }
        };
        if part.ends_with(']') {
            out.push(close(&bracketed));
        } else {
            open = Some(bracketed);
        }
    }
    out.extend(open.map(|rest| close(&rest)));
    out
}

fn close(bracketed: &str) -> String {
    if bracketed.contains('=') { bracketed.to_string() } else { bracketed.trim_matches(['[', ']']).to_string() }
}

/// `[key=value]` as key and value.
fn list_match(segment: &str) -> Option<(&str, &str)> {
    segment.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

/// The value at a path, if there is exactly one way to it.
pub(crate) fn look_up<'v>(value: &'v Value, segments: &[String]) -> Option<&'v Value> {
    let mut current = value;
    for segment in segments.iter().map(|segment| segment.trim()).filter(|segment| !segment.is_empty()) {
        current = match current {
            Value::Object(map) => map.get(segment)?,
            Value::Array(items) => match list_match(segment) {
                Some(("", text)) => items.iter().find(|item| text_of(item).as_deref() == Some(text))?,
                Some((key, text)) => {
                    items.iter().find(|item| item.get(key).and_then(text_of).as_deref() == Some(text))?
                }
                None if segment == "-" => items.last()?,
                None => items.get(segment.parse::<usize>().ok()?)?,
            },
            Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => return None,
        };
    }
    Some(current)
}

/// One segment of a target's path.
enum Segment {
    Field(String),
    Index(usize),
    Every,
    /// Elements whose field matches the pattern; without a field, elements that match themselves.
    Match {
        field: String,
        text: String,
        pattern: Regex,
    },
}

impl Segment {
    fn wants_list(&self) -> bool {
        match self {
            Segment::Match { .. } | Segment::Index(_) => true,
            Segment::Field(_) | Segment::Every => false,
        }
    }
}

fn segments(path: &str) -> Result<Vec<Segment>, String> {
    split_field_path(path)
        .into_iter()
        .map(|segment| {
            if let Some((field, text)) = list_match(&segment) {
                if text.len() > REGEX_BYTES_MAX {
                    return Err(format!("a pattern is longer than {REGEX_BYTES_MAX} bytes"));
                }
                let pattern = regex::RegexBuilder::new(text).size_limit(REGEX_COMPILED_BYTES_MAX).build();
                let pattern = pattern.map_err(|_| format!("`{text}` in `{path}` is no valid regular expression"))?;
                return Ok(Segment::Match { field: field.to_string(), text: text.to_string(), pattern });
            }
            Ok(match segment.parse::<usize>() {
                Ok(index) => Segment::Index(index),
                Err(_) if segment == "*" => Segment::Every,
                Err(_) => Segment::Field(segment),
            })
        })
        .collect()
}

type Set<'f> = &'f mut dyn FnMut(&mut Value, bool) -> Result<(), String>;

/// Visits every value at the path; `make`: what is missing is made, and holds in the end what `make` holds.
fn visit(value: &mut Value, path: &[Segment], make: Option<&Value>, made: bool, set: Set<'_>) -> Result<(), String> {
    let Some((segment, rest)) = path.split_first() else { return set(value, made) };
    match (segment, value) {
        (Segment::Field(field), Value::Object(map)) => {
            if let Some(make) = make.filter(|_| !map.contains_key(field)) {
                let mut fresh = fresh(rest, make);
                visit(&mut fresh, rest, Some(make), true, set)?;
                map.insert(field.as_str(), fresh);
                return Ok(());
            }
            map.get_mut(field).map_or(Ok(()), |value| visit(value, rest, make, false, set))
        }
        (Segment::Index(index), Value::Array(items)) => {
            if let Some(make) = make.filter(|_| *index == items.len()) {
                let mut fresh = fresh(rest, make);
                visit(&mut fresh, rest, Some(make), true, set)?;
                items.push(fresh);
                return Ok(());
            }
            let count = items.len();
            let item = items
                .get_mut(*index)
                .ok_or_else(|| format!("index {index} specified but only {count} elements found"))?;
            visit(item, rest, make, false, set)
        }
        (Segment::Every, Value::Array(items)) => {
            items.iter_mut().try_for_each(|item| visit(item, rest, make, false, set))
        }
        (Segment::Match { field, text, pattern }, Value::Array(items)) => {
            let fits = |item: &Value| {
                let value = if field.is_empty() { Some(item) } else { item.get(field) };
                value.and_then(text_of).is_some_and(|text| pattern.is_match(&text))
            };
            let mut found = false;
            for item in items.iter_mut().filter(|item| fits(item)) {
                found = true;
                if field.is_empty() { set(item, false)? } else { visit(item, rest, make, false, set)? }
            }
            if let (false, Some(make)) = (found, make) {
                let mut item = plain(text);
                if field.is_empty() {
                    set(&mut item, true)?;
                } else {
                    item = Value::Object(Map::from_iter([(field.into(), item)]));
                    visit(&mut item, rest, Some(make), false, set)?;
                }
                items.push(item);
            }
            Ok(())
        }
        (Segment::Field(_) | Segment::Index(_) | Segment::Every | Segment::Match { .. }, Value::Null(_)) => Ok(()),
        (Segment::Index(index), Value::Object(map)) => {
            map.get_mut(&index.to_string()).map_or(Ok(()), |value| visit(value, rest, make, false, set))
        }
        (Segment::Field(field), _) => Err(format!("`{field}` is looked for in something that is no map")),
        (Segment::Index(_) | Segment::Every | Segment::Match { .. }, _) => Err("a list was expected".into()),
    }
}

fn fresh(rest: &[Segment], make: &Value) -> Value {
    match rest.first() {
        Some(segment) if segment.wants_list() => Value::Array(Vec::new()),
        Some(_) => Value::Object(Map::new()),
        None => match make {
            Value::Object(_) => Value::Object(Map::new()),
            Value::Array(_) => Value::Array(Vec::new()),
            Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => Value::NULL,
        },
    }
}

/// Scalars take over the text and keep their own type; lists and maps are replaced.
fn set_field(field: &mut Value, made: bool, value: &Value, options: &FieldOptions) -> Result<(), String> {
    if matches!(field, Value::Object(_) | Value::Array(_)) {
        if !options.delimiter.is_empty() {
            return Err("the target's `delimiter` needs a scalar".into());
        }
        field.clone_from(value);
        return Ok(());
    }
    let mut text = text_of(value).unwrap_or_default();
    if !options.delimiter.is_empty() {
        let old = if made || field.is_null() { Text::default() } else { text_of(field).unwrap_or_default() };
        let mut parts: Vec<&str> = old.split(&options.delimiter).collect();
        let index = usize::try_from(options.index);
        match index {
            Err(_) => parts.insert(0, &text),
            Ok(index) if index >= parts.len() => parts.push(&text),
            Ok(index) => {
                if let Some(part) = parts.get_mut(index) {
                    *part = &text;
                }
            }
        }
        text = parts.join(&options.delimiter).into();
    }
    let typed = plain(&text);
    *field = match field {
        Value::String(_) => Value::String(text),
        Value::Quoted(_) => Value::Quoted(text),
        Value::Number(_) if typed.is_number() => typed,
        Value::Bool(_) if typed.is_boolean() => typed,
        Value::Number(_) => return Err(format!("`{text}` is no number, which the field holds")),
        Value::Bool(_) => return Err(format!("`{text}` is no boolean, which the field holds")),
        Value::Null(_) | Value::Object(_) | Value::Array(_) => typed,
    };
    Ok(())
}
