//! `$patch`: what a strategic merge is told beside the values.

use std::borrow::Cow;

use crate::value::{Map, Value};
use crate::yaml::text_of;

/// The directive's field.
const DIRECTIVE: &str = "$patch";

/// What happens to the map or list that a directive stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Merge,
    Replace,
    Delete,
}

/// A map's directive, and the map without it.
pub(super) fn map_directive(map: &Map) -> Result<(Directive, Cow<'_, Map>), String> {
    let Some(directive) = map.get(DIRECTIVE) else {
        return Ok((Directive::Merge, Cow::Borrowed(map)));
    };
    let directive = read_directive(directive)?;
    let mut rest = map.clone();
    rest.remove(DIRECTIVE);
    Ok((directive, Cow::Owned(rest)))
}

fn read_directive(value: &Value) -> Result<Directive, String> {
    match value.as_str() {
        Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        Some(_) | None => Err(format!(
            "unknown directive `$patch: {}`; it is `merge`, `replace` or `delete`",
            if value.is_null() { "null".into() } else { text_of(value).unwrap_or_default() }
        )),
    }
}

/// A list's directive, which is an element of its own, and the list without it.
pub(super) fn list_directive(items: &[Value]) -> Result<(Directive, Vec<Value>), String> {
    let holder = items.iter().find_map(|item| item.as_object().filter(|map| map.contains_key(DIRECTIVE)));
    let Some(holder) = holder.filter(|map| map.len() == 1) else { return Ok((Directive::Merge, items.to_vec())) };
    let Some(value) = holder.get(DIRECTIVE) else { return Ok((Directive::Merge, items.to_vec())) };
    let directive = read_directive(value)?;
    let rest = items.iter().filter(|item| item.get(DIRECTIVE) != Some(value)).cloned().collect();
    Ok((directive, rest))
}
