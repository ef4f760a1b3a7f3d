//! Config maps and secrets from literals, files and environment files.

pub(crate) mod hash;

use std::collections::BTreeMap;

use crate::value::{Map, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kustomization::{Generator, GeneratorOptions};
use crate::resource::{Resource, Source};

/// Base64 is broken into lines of this length, when it is longer.
const BASE64_LINE: usize = 70;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeneratedKind {
    ConfigMap,
    Secret,
}

/// Generates one object. `load` reads a file next to the kustomization.
pub(crate) fn generate(
    kind: GeneratedKind,
    generator: &Generator,
    options: &GeneratorOptions,
    origin: Source,
    load: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Resource, String> {
    if generator.name.is_empty() {
        return Err("a generated object needs a `name`".into());
    }
    let data = pairs(generator, load).map_err(|reason| format!("`{}`: {reason}", generator.name))?;
    let mut metadata = Map::new();
    metadata.insert("name", generator.name.clone().into());
    if !generator.namespace.is_empty() {
        metadata.insert("namespace", generator.namespace.clone().into());
    }
    for (field, map) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !map.is_empty() {
            let map: Map = map.iter().map(|(key, value)| (key.into(), value.as_str().into())).collect();
            metadata.insert(field, Value::Object(map));
        }
    }
    let mut object = Map::new();
    object.insert("apiVersion", "v1".into());
    object.insert("metadata", Value::Object(metadata));
    match kind {
        GeneratedKind::ConfigMap => {
            object.insert("kind", "ConfigMap".into());
            fill_config_map(&mut object, data);
        }
        GeneratedKind::Secret => {
            let secret_type = if generator.secret_type.is_empty() { "Opaque" } else { &generator.secret_type };
            object.insert("kind", "Secret".into());
            object.insert("type", secret_type.into());
            let encoded: Map = data.into_iter().map(|(k, v)| (k.into(), base64_lines(&v).into())).collect();
            object.insert("data", Value::Object(encoded));
        }
    }
    if options.immutable {
        object.insert("immutable", Value::Bool(true));
    }
    let mut resource = Resource::new(object, origin);
    resource.behavior = generator.behavior;
    resource.needs_hash = !options.disable_name_suffix_hash;
    Ok(resource)
}

fn fill_config_map(object: &mut Map, data: BTreeMap<String, Vec<u8>>) {
    let (mut texts, mut binaries) = (Map::new(), Map::new());
    for (key, bytes) in data {
        match String::from_utf8(bytes) {
            Ok(text) => texts.insert(key, text.into()),
            Err(error) => binaries.insert(key, base64_lines(error.as_bytes()).into()),
        };
    }
    for (field, map) in [("data", texts), ("binaryData", binaries)] {
        if !map.is_empty() {
            object.insert(field, Value::Object(map));
        }
    }
}

/// Base64; longer than one line it is broken, and each line ends with a newline.
fn base64_lines(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    if encoded.len() <= BASE64_LINE {
        return encoded;
    }
    let mut out = String::with_capacity(encoded.len() + encoded.len() / BASE64_LINE + 1);
    for (i, c) in encoded.chars().enumerate() {
        if i > 0 && i % BASE64_LINE == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push('\n');
    out
}

/// Environment files first, then literals, then files; no key twice. The error says all that is wrong with them.
fn pairs(
    generator: &Generator,
    load: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut data = BTreeMap::new();
    let mut reasons = Vec::new();
    let mut note = |found: Result<Vec<(String, Vec<u8>)>, String>| match found {
        Ok(found) => {
            for (key, value) in found {
                if data.insert(key.clone(), value).is_some() {
                    reasons.push(format!("the key `{key}` is given twice"));
                }
            }
        }
        Err(reason) => reasons.push(reason),
    };
    for path in &generator.envs {
        note(load(path).and_then(|bytes| env_file(&bytes).map_err(|reason| format!("{path}: {reason}"))));
    }
    for literal in &generator.literals {
        note(literal_pair(literal).map(|pair| vec![pair]));
    }
    for source in &generator.files {
        note(file_source(source).and_then(|(key, path)| Ok(vec![(key.to_string(), load(path)?)])));
    }
    if reasons.is_empty() { Ok(data) } else { Err(reasons.join("; ")) }
}

/// `key=value`.
fn literal_pair(literal: &str) -> Result<(String, Vec<u8>), String> {
    let (key, value) = literal
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("the literal `{literal}` is no `key=value`"))?;
    Ok((key.to_string(), unquoted(value).as_bytes().to_vec()))
}

/// Without one pair of quotes around it.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// `path`, whose last part is the key, or `key=path`.
fn file_source(source: &str) -> Result<(&str, &str), String> {
    match source.split_once('=') {
        None => Ok((source.trim_end_matches('/').rsplit('/').next().unwrap_or(source), source)),
        Some((_, path)) if path.contains('=') => Err(format!("`{source}` has more than one `=`")),
        Some(("", _)) => Err(format!("`{source}` has no key before the `=`")),
        Some((_, "")) => Err(format!("`{source}` has no path after the `=`")),
        Some((key, path)) => Ok((key, path)),
    }
}

/// `KEY=value` lines. Quotes and comments after values are part of the value.
fn env_file(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut pairs = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| format!("line {} is not UTF-8", i + 1))?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = if i == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.is_empty() {
            pairs.push((key.to_string(), value.as_bytes().to_vec()));
        }
    }
    Ok(pairs)
}

/// Puts a generated object's data over an older one's.
pub(crate) fn merge_data(newer: &mut Resource, older: &Resource) {
    for field in ["data", "binaryData"] {
        let mut merged = older.object.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(Value::Object(own)) = newer.object.remove(field) {
            merged.extend(own);
        }
        if !merged.is_empty() {
            newer.object.insert(field, Value::Object(merged));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_taken_literally() {
        let text = "\u{feff}A=1\r\n  B=\"x\" # no comment \n#c\nD\nexport E=2\n";
        let pairs = env_file(text.as_bytes()).expect("an env file");
        let expected = [("A", "1"), ("B", "\"x\" # no comment "), ("D", ""), ("export E", "2")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_string(), v.as_bytes().to_vec())));
    }

    #[test]
    fn sources_of_files() {
        assert_eq!(file_source("a/b.txt"), Ok(("b.txt", "a/b.txt")));
        assert_eq!(file_source("k=a/b.txt"), Ok(("k", "a/b.txt")));
        for bad in ["=a", "a=", "a=b=c"] {
            assert!(file_source(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn long_base64_is_broken_with_a_newline_after_each_line() {
        assert_eq!(base64_lines(b"abc"), "YWJj");
        let long = base64_lines(&[0; 60]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [70, 10]);
        assert!(long.ends_with('\n'));
    }
}
