//! Which objects a patch is for.

use regex::Regex;

use super::labels::LabelSelector;
use crate::kustomization::Selector;
use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use crate::resource::Resource;

/// A compiled target: its fields are regular expressions that must match as a whole.
pub(crate) struct Target {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: LabelSelector,
    annotations: LabelSelector,
}

enum Pattern {
    Any,
    /// Text without special characters: most targets are that.
    Exact(String),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Pattern::Any);
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '/') {
            return Ok(Pattern::Exact(text.to_string()));
        }
        if text.len() > REGEX_BYTES_MAX {
            return Err(format!("the target's pattern is longer than {REGEX_BYTES_MAX} bytes"));
        }
        regex::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(REGEX_COMPILED_BYTES_MAX)
            .build()
            .map(Pattern::Regex)
            .map_err(|_| format!("the target's pattern `{text}` is no valid regular expression"))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Exact(exact) => exact == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Target {
    pub(crate) fn new(selector: &Selector) -> Result<Self, String> {
        Ok(Self {
            group: Pattern::new(&selector.gvk.group)?,
            version: Pattern::new(&selector.gvk.version)?,
            kind: Pattern::new(&selector.gvk.kind)?,
            name: Pattern::new(&selector.name)?,
            namespace: Pattern::new(&selector.namespace)?,
            labels: LabelSelector::parse(&selector.label_selector)?,
            annotations: LabelSelector::parse(&selector.annotation_selector)?,
        })
    }

    /// Names and namespaces match in their first or their present form.
    pub(crate) fn matches(&self, resource: &Resource) -> bool {
        if !self.kind.matches(resource.kind()) {
            return false;
        }
        let first = resource.previous.first();
        let name = self.name.matches(&resource.name()) || first.is_some_and(|id| self.name.matches(&id.name));
        if !name {
            return false;
        }
        let in_namespace = self.namespace.matches(&resource.effective_namespace())
            || first.is_some_and(|id| self.namespace.matches(&id.namespace));
        let gvk = resource.gvk();
        in_namespace
            && self.group.matches(&gvk.group)
            && self.version.matches(&gvk.version)
            && self.labels.matches(|key| resource.string_in("labels", key))
            && self.annotations.matches(|key| resource.string_in("annotations", key))
    }
}
