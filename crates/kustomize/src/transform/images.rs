//! Changes the names, tags and digests of container images.

use crate::value::Value;
use regex::Regex;

use super::{apply_to, describe, with_value};
use crate::fieldspec::{FieldSpec, Make};
use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use crate::resource::Resource;
use crate::yaml::text_of;

/// One entry of `images`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) new_tag: String,
    pub(crate) tag_suffix: String,
    pub(crate) digest: String,
}

/// Changes every image of that name in every list of containers, wherever it stands, then at the configured places.
///
/// The second pass finds most images again, with their new name; a tag suffix is added twice where both names match,
/// as the original does.
pub(crate) fn apply(resources: &mut [Resource], image: &Image, fields: &[FieldSpec]) -> Result<(), String> {
    let matcher = matcher(&image.name)?;
    let change = |value: &mut Value| -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        let text = text_of(value).ok_or("an image is no scalar")?;
        if matcher.is_match(&text) {
            *value = changed(&text, image).into();
        }
        Ok(())
    };
    for resource in resources.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        with_value(resource, |object| walk(object, &change)).map_err(|reason| describe(resource, &reason))?;
        for spec in fields {
            apply_to(resource, spec, Make::Nothing, &mut change.clone())?;
        }
    }
    Ok(())
}

fn matcher(name: &str) -> Result<Regex, String> {
    if name.len() > REGEX_BYTES_MAX {
        return Err(format!("the image name is longer than {REGEX_BYTES_MAX} bytes"));
    }
    regex::RegexBuilder::new(&format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$"))
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| format!("the image name `{name}` is no valid regular expression"))
}

fn walk(value: &mut Value, change: &dyn Fn(&mut Value) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                walk(value, change)?;
                if let ("containers" | "initContainers", Value::Array(containers)) = (key.as_str(), value) {
                    for container in containers {
                        match container {
                            Value::Object(fields) => fields.get_mut("image").map_or(Ok(()), change)?,
                            Value::Null(_) => {}
                            Value::Bool(_)
                            | Value::Number(_)
                            | Value::String(_)
                            | Value::Quoted(_)
                            | Value::Array(_) => {
                                return Err("a container is no map".into());
                            }
                        }
                    }
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, change)),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => Ok(()),
    }
}

fn changed(reference: &str, image: &Image) -> String {
    let (name, mut tag, mut digest) = split(reference);
    let mut out = if image.new_name.is_empty() { name.to_string() } else { image.new_name.clone() };
    let suffixed;
    match (image.new_tag.is_empty(), image.digest.is_empty(), image.tag_suffix.is_empty()) {
        (false, false, _) => (tag, digest) = (image.new_tag.as_str(), image.digest.as_str()),
        (false, true, _) => (tag, digest) = (image.new_tag.as_str(), ""),
        (true, false, _) => (tag, digest) = ("", image.digest.as_str()),
        (true, true, false) => {
            suffixed = format!("{tag}{}", image.tag_suffix);
            (tag, digest) = (suffixed.as_str(), "");
        }
        (true, true, true) => {}
    }
    for (mark, part) in [(':', tag), ('@', digest)] {
        if !part.is_empty() {
            out.push(mark);
            out.push_str(part);
        }
    }
    out
}

/// Name, tag and digest. A colon before the first slash belongs to the registry's port.
fn split(reference: &str) -> (&str, &str, &str) {
    let from = reference.find('/').unwrap_or(0);
    let (head, digest) = match reference.get(from..).and_then(|rest| rest.find('@')) {
        Some(at) => reference.split_at(from + at),
        None => (reference, ""),
    };
    let digest = digest.strip_prefix('@').unwrap_or(digest);
    match head.get(from..).and_then(|rest| rest.find(':')) {
        Some(colon) => {
            let (name, tag) = head.split_at(from + colon);
            (name, tag.strip_prefix(':').unwrap_or(tag), digest)
        }
        None => (head, "", digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_the_right_marks() {
        for (reference, expected) in [
            ("nginx", ("nginx", "", "")),
            ("nginx:1.2", ("nginx", "1.2", "")),
            ("localhost:5000/nginx", ("localhost:5000/nginx", "", "")),
            ("localhost:5000/nginx:1@sha256:ab", ("localhost:5000/nginx", "1", "sha256:ab")),
            ("nginx@sha256:ab", ("nginx", "", "sha256:ab")),
        ] {
            assert_eq!(split(reference), expected, "{reference}");
        }
    }

    #[test]
    fn a_tag_drops_the_digest_and_a_digest_the_tag() {
        let image =
            |new_tag: &str, digest: &str| Image { new_tag: new_tag.into(), digest: digest.into(), ..Image::default() };
        assert_eq!(changed("a:1@sha256:x", &image("2", "")), "a:2");
        assert_eq!(changed("a:1", &image("", "sha256:y")), "a@sha256:y");
        assert_eq!(changed("a:1", &image("2", "sha256:y")), "a:2@sha256:y");
        let nginx = matcher("nginx").expect("a pattern");
        assert!(nginx.is_match("nginx:1") && !nginx.is_match("docker.io/nginx:1"));
    }
}
