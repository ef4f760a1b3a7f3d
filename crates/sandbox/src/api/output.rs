//! Answers with objects: whole, as metadata only, or as a table for people.

use std::sync::Arc;

use base64::Engine as _;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::api::request::ApiRequest;
use crate::api::{Body, events, plain, table};
use crate::object;
use crate::resources::Resource;

/// What the client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Objects,
    Metadata,
    /// Tables whose rows carry this of the object: `None`, `Metadata` or `Object`.
    Table(RowObject),
}

/// What the rows of a table carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowObject {
    Nothing,
    Metadata,
    Object,
}

impl Format {
    /// Reads `Accept`.
    pub(crate) fn of(request: &ApiRequest) -> Format {
        for accepted in request.accept().split(',') {
            if accepted.contains("as=Table") {
                return Format::Table(match request.param("includeObject") {
                    Some("None") => RowObject::Nothing,
                    Some("Object") => RowObject::Object,
                    _ => RowObject::Metadata,
                });
            }
            if accepted.contains("as=PartialObjectMetadata") {
                return Format::Metadata;
            }
            if accepted.trim() == "application/json" {
                return Format::Objects;
            }
        }
        Format::Objects
    }
}

/// How objects of a kind are written.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) resource: &'static Resource,
    pub(crate) format: Format,
}

impl Output {
    /// An answer with one object.
    pub(crate) fn object(self, status: StatusCode, object: &Value, warnings: &[String]) -> Response<Body> {
        let mut response = plain(status, "application/json", self.text(object, true));
        for warning in warnings {
            // A warning that is no header value (it quotes the client's field names) is left out.
            if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
                response.headers_mut().append("warning", value);
            }
        }
        response
    }

    /// One object as JSON. A table has its columns only if `with_columns`.
    pub(crate) fn text(self, object: &Value, with_columns: bool) -> String {
        let shown;
        let object = if events::is_plain(self.resource) {
            object
        } else {
            shown = events::shown(self.resource, object);
            &shown
        };
        match self.format {
            Format::Objects => object.to_string(),
            Format::Metadata => metadata(object).to_string(),
            Format::Table(rows) => {
                let version = json!({"resourceVersion": object::resource_version(object)});
                table::table(self.resource, version, &[object], rows, with_columns).to_string()
            }
        }
    }

    /// An answer with many objects.
    pub(crate) fn list(
        self,
        version: u64,
        token: Option<String>,
        remaining: Option<usize>,
        objects: &[Arc<Value>],
    ) -> Response<Body> {
        let mut meta = json!({"resourceVersion": version.to_string()});
        if let Some(token) = token {
            meta["continue"] = json!(token);
        }
        if let Some(remaining) = remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        let shown: Vec<Value>;
        let objects: Vec<&Value> = if events::is_plain(self.resource) {
            objects.iter().map(|object| &**object).collect()
        } else {
            shown = objects.iter().map(|object| events::shown(self.resource, object)).collect();
            shown.iter().collect()
        };
        let text = match self.format {
            Format::Objects => {
                // Custom resources keep apiVersion and kind in each item, built-in ones have them at the list only.
                let is_custom = self.resource.group == "gateway.networking.k8s.io";
                let items: Vec<_> = objects.iter().map(|object| Item { object, is_custom }).collect();
                let list = List {
                    kind: format!("{}List", self.resource.kind),
                    api_version: self.resource.api_version(),
                    metadata: meta,
                    items,
                };
                serde_json::to_string(&list).unwrap_or_default()
            }
            Format::Metadata => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": objects.iter().map(|object| metadata(object)).collect::<Vec<_>>(),
            })
            .to_string(),
            Format::Table(rows) => table::table(self.resource, meta, &objects, rows, true).to_string(),
        };
        plain(StatusCode::OK, "application/json", text)
    }
}

/// An object's metadata as an object of its own.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

#[derive(Serialize)]
struct List<'a> {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: Vec<Item<'a>>,
}

/// A list's item.
struct Item<'a> {
    object: &'a Value,
    is_custom: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.object.as_object().into_iter().flatten() {
            if self.is_custom || !matches!(name.as_str(), "apiVersion" | "kind") {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// A page of a list.
pub(crate) struct Page {
    pub(crate) version: u64,
    pub(crate) token: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// Cuts a list to the page that `limit` and `continue` ask for. The token names the version of the first page and the last
/// object; later pages show the objects as they are by then.
pub(crate) fn page(request: &ApiRequest, version: u64, objects: &mut Vec<Arc<Value>>) -> Result<Page, ApiError> {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut first_version = version;
    if let Some(token) = request.param("continue").filter(|token| !token.is_empty()) {
        let wrong = || ApiError::bad_request("continue key is not valid: it is no token of this server");
        let token = engine.decode(token).map_err(|_| wrong())?;
        let token: Value = serde_json::from_slice(&token).map_err(|_| wrong())?;
        first_version = token["rv"].as_u64().ok_or_else(wrong)?;
        let last = (object::text(&token, "/namespace"), object::text(&token, "/name"));
        objects.retain(|object| (object::namespace(object), object::name(object)) > last);
    }
    let limit = request.param("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let remaining = limit.map(|limit| objects.len().saturating_sub(limit)).filter(|remaining| *remaining > 0);
    if let Some(limit) = limit {
        objects.truncate(limit);
    }
    let token = remaining.and_then(|_| objects.last()).map(|last| {
        let token = json!({"rv": first_version, "namespace": object::namespace(last), "name": object::name(last)});
        engine.encode(token.to_string())
    });
    Ok(Page { version: first_version, token, remaining })
}
