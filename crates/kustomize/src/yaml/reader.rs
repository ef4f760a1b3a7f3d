//! From parser events to values, with the bounds kept while building.

use std::collections::HashMap;

use crate::value::{Map, Null, Text, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StrInput, StructureStyle, Tag};

use super::annotations::{Annotations, Place};
use super::budget::Budget;
use super::gather::{MapBuilder, push_read, settle};
use super::node::{Entry, Node, NodeKind, Span};
use super::refold::refold;
use super::scalar::{Dialect, Resolved, resolve, timestamp};
use super::{Document, Repeated, YamlError};
use crate::error::Position;
use crate::limits::{ALIAS_NODES_MAX, DEPTH_MAX, FILE_DOCUMENTS_MAX};

/// Reads every document of a text. Documents that are null are left out.
pub(super) fn read(
    text: &str,
    dialect: Dialect,
    with_nodes: bool,
    repeated: Repeated,
    annotations: Annotations,
    budget: &Budget,
) -> Result<Vec<Document>, YamlError> {
    budget.open(text);
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let mut line = 1;
    let mut offset = text.len() - body.len();
    for part in split(body)? {
        if documents.len() == FILE_DOCUMENTS_MAX {
            return Err(error_at(line, format!("more than {FILE_DOCUMENTS_MAX} documents in one file")));
        }
        let mut reader = Reader::new(part, dialect, with_nodes, line - 1, offset, budget);
        reader.on_repeated = repeated;
        reader.place = Place::new(annotations);
        if let Some(document) = reader.document()? {
            documents.push(document);
        }
        line += newlines(part);
        offset += part.len();
    }
    Ok(documents)
}

/// Cuts a text at its `---` lines, as the original does before it parses: each part is parsed on its own, so anchors do not
/// reach across documents. Each part but the first begins with its `---` line; the parts together are the whole text.
fn split(text: &str) -> Result<Vec<&str>, YamlError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut search = 0;
    while let Some(found) = text.get(search..).and_then(|rest| rest.find("\n---")) {
        let separator = search + found + 1;
        let rest = text.get(separator + 3..).unwrap_or("");
        let Some(length) = rest.find('\n') else { break };
        let tail = rest.get(..length).unwrap_or("").trim();
        if !tail.is_empty() && !tail.starts_with('#') {
            // Content on the separator's own line is YAML, but not to the original, which wants a separator alone.
            let line = 1 + text.get(..separator).map_or(0, newlines);
            return Err(error_at(
                line,
                format!("`---{tail}` is no document separator; put the content on the next line"),
            ));
        }
        parts.push(text.get(start..separator).unwrap_or(""));
        start = separator;
        search = separator + 3;
    }
    parts.push(text.get(start..).unwrap_or(""));
    Ok(parts)
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

fn error_at(line: usize, message: impl Into<String>) -> YamlError {
    YamlError { line, column: 0, message: message.into() }
}

struct Reader<'i, 'b> {
    parser: Parser<'i, StrInput<'i>>,
    dialect: Dialect,
    with_nodes: bool,
    line_offset: usize,
    byte_offset: usize,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    budget: &'b Budget,
    /// Lists and maps that are being read, kept for the next ones.
    lists: Vec<Vec<Value>>,
    maps: Vec<Vec<(Text, Value)>>,
    alias_nodes: usize,
    on_repeated: Repeated,
    repeated: Vec<(String, Position)>,
    place: Place,
}

/// A finished anchor: its value and how many nodes a copy of it costs. An anchor that is still being read is absent.
struct Anchor {
    value: Value,
    nodes: usize,
}

impl<'i, 'b> Reader<'i, 'b> {
    fn new(
        text: &'i str,
        dialect: Dialect,
        with_nodes: bool,
        line_offset: usize,
        byte_offset: usize,
        budget: &'b Budget,
    ) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            dialect,
            with_nodes,
            line_offset,
            byte_offset,
            anchors: HashMap::new(),
            nodes: 0,
            budget,
            lists: Vec::new(),
            maps: Vec::new(),
            alias_nodes: 0,
            on_repeated: Repeated::Refuse,
            repeated: Vec::new(),
            place: Place::new(Annotations::Typed),
        }
    }

    /// The first document, unless it is null.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser may get events that are not known yet")]
    fn document(mut self) -> Result<Option<Document>, YamlError> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                    return Err(self.error(&span, "only `%YAML 1.1` is known; leave the directive out"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let line = span.start.line() + self.line_offset;
                    let (value, node) = self.value(event, span, 0)?;
                    // Errors in the rest of this document count, a further document does not.
                    if !matches!(self.next()?.0, Event::DocumentEnd | Event::StreamEnd) {
                        return Err(error_at(line, "the document does not end where it should"));
                    }
                    return Ok((!value.is_null()).then_some(Document { value, line, node, repeated: self.repeated }));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'i>, ParserSpan), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(error_at(self.line_offset + 1, "the document ends early")),
        }
    }

    fn scan_error(&self, error: &ScanError) -> YamlError {
        let marker = error.marker();
        YamlError { line: marker.line() + self.line_offset, column: marker.col() + 1, message: error.info() }
    }

    fn error(&self, span: &ParserSpan, message: impl Into<String>) -> YamlError {
        YamlError { line: span.start.line() + self.line_offset, column: span.start.col() + 1, message: message.into() }
    }

    fn span(&self, span: &ParserSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span {
            start: range.start + self.byte_offset,
            end: range.end + self.byte_offset,
            position: Position { line: span.start.line() + self.line_offset, column: span.start.col() + 1 },
        }
    }

    fn node(&self, span: &ParserSpan, anchored: bool, kind: NodeKind) -> Option<Node> {
        self.with_nodes.then(|| Node { span: self.span(span), kind, anchored })
    }

    fn count(&mut self, span: &ParserSpan, nodes: usize) -> Result<(), YamlError> {
        /// A node's place takes about as much memory as so many nodes.
        const PLACE_NODES: usize = 4;
        self.nodes += nodes;
        let cost = if self.with_nodes { nodes * (1 + PLACE_NODES) } else { nodes };
        self.budget.read(cost).map_err(|why| self.error(span, why))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser may get events that are not known yet")]
    fn value(&mut self, event: Event<'i>, span: ParserSpan, depth: usize) -> Result<(Value, Option<Node>), YamlError> {
        if depth > DEPTH_MAX {
            return Err(self.error(&span, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.count(&span, 1)?;
        let before = self.nodes;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), &span)?;
                self.anchor(anchor, &value, 1);
                let plain = style == ScalarStyle::Plain;
                Ok((value, self.node(&span, anchor > 0, NodeKind::Scalar { plain })))
            }
            Event::Alias(id) => {
                let Some(anchor) = self.anchors.get(&id) else {
                    return Err(self.error(&span, "the anchor's value contains itself"));
                };
                let (value, nodes) = (anchor.value.clone(), anchor.nodes);
                self.alias_nodes += nodes;
                if self.alias_nodes > ALIAS_NODES_MAX {
                    return Err(
                        self.error(&span, format!("excessive aliasing: aliases add more than {ALIAS_NODES_MAX} nodes"))
                    );
                }
                self.count(&span, nodes)?;
                if depth + value_depth(&value) > DEPTH_MAX {
                    return Err(self.error(&span, format!("nested more than {DEPTH_MAX} deep")));
                }
                Ok((value, self.node(&span, false, NodeKind::Alias)))
            }
            Event::SequenceStart(_, anchor, _) => {
                let (mut items, mut nodes) = (self.lists.pop().unwrap_or_default(), Vec::new());
                loop {
                    let (event, item_span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let (value, node) = self.value(event, item_span, depth + 1)?;
                    push_read(&mut items, value);
                    nodes.extend(node);
                }
                let value = Value::Array(settle(items, &mut self.lists));
                self.anchor(anchor, &value, 1 + self.nodes - before);
                Ok((value, self.node(&span, anchor > 0, NodeKind::Sequence(nodes))))
            }
            Event::MappingStart(style, anchor, _) => {
                let (map, entries) = self.mapping(depth, style == StructureStyle::Flow)?;
                let value = Value::Object(map);
                self.anchor(anchor, &value, 1 + self.nodes - before);
                Ok((value, self.node(&span, anchor > 0, NodeKind::Mapping(entries))))
            }
            _ => Err(self.error(&span, "a value was expected here")),
        }
    }

    fn anchor(&mut self, id: usize, value: &Value, nodes: usize) {
        if id > 0 {
            self.anchors.insert(id, Anchor { value: value.clone(), nodes });
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser may get events that are not known yet")]
    fn mapping(&mut self, depth: usize, flow: bool) -> Result<(Map, Vec<Entry>), YamlError> {
        let mut map = MapBuilder::new(self.maps.pop().unwrap_or_default());
        let mut entries = Vec::new();
        let mut merged: Option<Value> = None;
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let (key, _) = self.value(event, key_span, depth + 1)?;
            let key = self.key(key, depth, &key_span)?;
            let (event, value_span) = self.next()?;
            let nothing = is_nothing(&event, &value_span);
            let written = match &event {
                _ if nothing => Some(Text::default()),
                Event::Scalar(text, _, _, _) => self.place.is_text(depth).then(|| Text::from(&**text)),
                _ => None,
            };
            // Between braces nothing is an empty string: `{a: , b}`.
            let (nothing, left_out) = (nothing && flow && self.place.is_in_build(), nothing && !flow);
            let outer = self.place;
            self.place = outer.below(&key, depth);
            let (mut value, node) = self.value(event, value_span, depth + 1)?;
            self.place = outer;
            if self.place.is_text(depth) && !merge {
                value = self.place.text(value, written);
            } else if nothing {
                value = "".into();
            } else if left_out {
                value = Value::Null(Null::LeftOut);
            }
            if merge {
                if merged.is_some() && self.dialect == Dialect::Resources {
                    return Err(self.error(&key_span, "mapping key `<<` already defined"));
                }
                if !is_mergeable(&value) {
                    return Err(self.error(&value_span, "`<<` needs a map or a list of maps"));
                }
                merged = Some(match merged {
                    // The later one wins: it comes first in the list.
                    Some(earlier) => Value::Array(vec![value, earlier]),
                    None => value,
                });
                continue;
            }
            if map.contains_key(&key) {
                if self.on_repeated == Repeated::Refuse {
                    return Err(self.error(&key_span, format!("mapping key `{key}` already defined")));
                }
                self.repeated.push((key.to_string(), self.span(&key_span).position));
            }
            if let Some(node) = node {
                entries.push(Entry { key: key.to_string(), key_span: self.span(&key_span), value: node });
            }
            map.push(key, value);
        }
        // Of a key that was given twice the last one counts.
        let mut map = Map::from_entries(settle(map.into_entries(), &mut self.maps));
        if let Some(merged) = merged {
            map = merge_into(map, merged);
        }
        Ok((map, entries))
    }

    /// A key as JSON has it: manifests may have other scalars than strings as keys only in their outermost map.
    fn key(&self, key: Value, depth: usize, span: &ParserSpan) -> Result<Text, YamlError> {
        match (key, self.dialect) {
            (Value::String(key) | Value::Quoted(key), _) => Ok(key),
            (Value::Number(key), Dialect::Strict) => Ok(key.to_string().into()),
            (Value::Bool(key), Dialect::Strict) => Ok(key.to_string().into()),
            (Value::Number(key), Dialect::Resources) if depth == 0 => Ok(key.to_string().into()),
            (Value::Bool(key), Dialect::Resources) if depth == 0 => Ok(key.to_string().into()),
            (Value::Null(_) | Value::Bool(_) | Value::Number(_), _) => {
                Err(self.error(span, "the key is no string; put it in quotes"))
            }
            (Value::Array(_) | Value::Object(_), _) => Err(self.error(span, "a list or map cannot be a key")),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &ParserSpan) -> Result<Value, YamlError> {
        let string = || match style {
            ScalarStyle::Plain => Value::from(text),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
                Value::Quoted(text.into())
            }
        };
        let Some(tag) = tag else {
            return match style {
                ScalarStyle::Plain => self.plain(text, resolve(text, self.dialect), span),
                ScalarStyle::Folded if self.place.is_in_build() => Ok(Value::Quoted(refold(text).into())),
                ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
                    Ok(string())
                }
            };
        };
        if tag.handle() != "tag:yaml.org,2002:" {
            // Tags of other schemas mean nothing here: the text stays.
            return Ok(string());
        }
        let resolved = resolve(text, self.dialect);
        match (tag.suffix(), resolved) {
            ("binary", _) => {
                let bytes: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
                let decoded = STANDARD.decode(bytes).map_err(|_| self.error(span, "`!!binary` is not base64"))?;
                Ok(String::from_utf8_lossy(&decoded).into_owned().into())
            }
            ("int" | "float", Resolved::Number(n)) => Ok(Value::Number(n)),
            ("bool", Resolved::Bool(b)) => Ok(Value::Bool(b)),
            ("null", Resolved::Null) => Ok(Value::NULL),
            ("timestamp", _) => Ok(timestamp(text).map_or_else(string, Value::from)),
            ("int" | "float" | "bool" | "null", _) => {
                Err(self.error(span, format!("`{text}` cannot be read as `!!{}`", tag.suffix())))
            }
            _ => Ok(string()),
        }
    }

    fn plain(&self, text: &str, resolved: Resolved, span: &ParserSpan) -> Result<Value, YamlError> {
        Ok(match resolved {
            Resolved::Null => Value::NULL,
            Resolved::Bool(b) => Value::Bool(b),
            Resolved::Number(n) => Value::Number(n),
            Resolved::Timestamp(printed) => printed.into(),
            Resolved::NotFinite => {
                return Err(self.error(span, format!("`{text}` is no number that JSON knows; put it in quotes")));
            }
            Resolved::String => text.into(),
        })
    }
}

/// Whether a value is left out: the parser then says `~`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser may get events that are not known yet")]
fn is_nothing(event: &Event<'_>, span: &ParserSpan) -> bool {
    match event {
        Event::Scalar(_, ScalarStyle::Plain, 0, None) => {
            (span.start.line(), span.start.col()) == (span.end.line(), span.end.col())
        }
        _ => false,
    }
}

fn is_mergeable(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().all(Value::is_object),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => false,
    }
}

/// Adds what `<<` names: the map's own keys win, then earlier maps over later ones.
fn merge_into(map: Map, merged: Value) -> Map {
    match merged {
        // Of a key that is there twice the last one counts.
        Value::Object(fields) => fields.into_iter().chain(map).collect(),
        Value::Array(items) => items.into_iter().fold(map, merge_into),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => map,
    }
}

/// How deep a value is nested; a scalar is 0. Values read here are no deeper than [`DEPTH_MAX`].
pub(crate) fn value_depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(value_depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(value_depth).max().unwrap_or(0),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => 0,
    }
}
