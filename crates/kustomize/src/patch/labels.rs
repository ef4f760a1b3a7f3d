//! Kubernetes' label selectors: `app=shop,tier!=db,env in (a,b),!old`.

use crate::value::Text;

/// One condition on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// A parsed selector; the empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is no label selector: {why}");
        let mut requirements = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (requirement, after) = requirement(rest).map_err(|why| bad(&why))?;
            requirements.push(requirement);
            rest = match after.trim_start().strip_prefix(',') {
                Some(next) if next.trim().is_empty() => return Err(bad("it ends with a comma")),
                Some(next) => next.trim_start(),
                None if after.trim().is_empty() => "",
                None => return Err(bad("a comma is missing")),
            };
        }
        Ok(Self(requirements))
    }

    /// `value_of` gives the value of a label, if the object has it.
    pub(crate) fn matches(&self, value_of: impl Fn(&str) -> Option<Text>) -> bool {
        let number = |key: &str| value_of(key).and_then(|value| value.parse::<i64>().ok());
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => value_of(key).is_some(),
            Requirement::Missing(key) => value_of(key).is_none(),
            Requirement::In(key, values) => {
                value_of(key).is_some_and(|value| values.iter().any(|known| *known == value))
            }
            Requirement::NotIn(key, values) => {
                value_of(key).is_none_or(|value| !values.iter().any(|known| *known == value))
            }
            Requirement::Greater(key, than) => number(key).is_some_and(|value| value > *than),
            Requirement::Less(key, than) => number(key).is_some_and(|value| value < *than),
        })
    }
}

fn requirement(text: &str) -> Result<(Requirement, &str), String> {
    if let Some(rest) = text.strip_prefix('!') {
        let (key, rest) = key(rest.trim_start())?;
        return Ok((Requirement::Missing(key), rest));
    }
    let (key, rest) = key(text)?;
    let rest = rest.trim_start();
    for (operator, negative) in [("==", false), ("!=", true), ("=", false)] {
        if let Some(rest) = rest.strip_prefix(operator) {
            let (value, rest) = word(rest.trim_start());
            let values = vec![checked_value(value)?];
            return Ok((if negative { Requirement::NotIn(key, values) } else { Requirement::In(key, values) }, rest));
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some(rest) = rest.strip_prefix(operator) {
            let (value, rest) = word(rest.trim_start());
            let than = value.parse().map_err(|_| format!("`{value}` is no integer"))?;
            return Ok((if greater { Requirement::Greater(key, than) } else { Requirement::Less(key, than) }, rest));
        }
    }
    let (operator, after) = word(rest);
    match operator {
        "in" | "notin" => {
            let (values, after) = value_list(after.trim_start())?;
            Ok((if operator == "in" { Requirement::In(key, values) } else { Requirement::NotIn(key, values) }, after))
        }
        "" => Ok((Requirement::Exists(key), rest)),
        other => Err(format!("`{other}` is no operator")),
    }
}

fn value_list(text: &str) -> Result<(Vec<String>, &str), String> {
    let inner = text.strip_prefix('(').ok_or("`in` needs values in parentheses")?;
    let (list, rest) = inner.split_once(')').ok_or("a closing parenthesis is missing")?;
    let values: Result<Vec<String>, String> = list.split(',').map(|value| checked_value(value.trim())).collect();
    Ok((values?, rest))
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || "=!<>,()".contains(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn key(text: &str) -> Result<(String, &str), String> {
    let (key, rest) = word(text);
    let (prefix, name) = key.split_once('/').unwrap_or(("", key));
    let prefix_is_fine = prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c));
    if name.is_empty()
        || name.len() > 63
        || !is_name(name)
        || !prefix_is_fine
        || (key.contains('/') && prefix.is_empty())
    {
        return Err(format!("`{key}` is no label key"));
    }
    Ok((key.to_string(), rest))
}

fn checked_value(value: &str) -> Result<String, String> {
    if value.len() > 63 || !(value.is_empty() || is_name(value)) {
        return Err(format!("`{value}` is no label value"));
    }
    Ok(value.to_string())
}

fn is_name(text: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends_well(text.chars().next())
        && ends_well(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_like_kubernetes() {
        let labels = |key: &str| match key {
            "app" => Some("shop".into()),
            "n" => Some("5".into()),
            _ => None,
        };
        for (text, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=shop", true),
            ("app == shop , n", true),
            ("app!=shop", false),
            ("tier!=x", true),
            ("app in (shop, till)", true),
            ("app notin (shop)", false),
            ("n>4,n<6", true),
        ] {
            assert_eq!(LabelSelector::parse(text).map(|s| s.matches(labels)), Ok(expected), "{text}");
        }
        for text in ["app in shop", "a b", "=x", "app=shop,", "app in (a"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
