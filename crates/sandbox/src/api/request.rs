//! Reading requests: what is asked for, of which kind, by whom.

use std::collections::HashMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::{HeaderMap, Method};
use serde_json::Value;

use crate::api::errors::ApiError;
use crate::api::protobuf;
use crate::decode::FieldValidation;
use crate::faults::Verb;
use crate::patch;
use crate::resources::{self, Resource};
use crate::store::{FieldSelector, LabelSelector};

/// The longest body; the real server's limit.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What a path leads to.
pub(crate) enum Target {
    /// Discovery, health and the like.
    Document(String),
    /// Objects.
    Object { verb: Verb, resource: &'static Resource },
}

/// A request to the API.
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: String,
    /// What follows the subresource: the path of a proxied request.
    pub(crate) rest: String,
    pub(crate) query: HashMap<String, String>,
    /// The query as it came, for what is passed on.
    pub(crate) raw_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    resource: Option<&'static Resource>,
}

impl ApiRequest {
    /// Reads a request whole; bodies are bounded.
    pub(crate) async fn read(request: hyper::Request<Incoming>) -> Result<(ApiRequest, Target), ApiError> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| ApiError::too_large())?.to_bytes();
        let raw_query = head.uri.query().unwrap_or_default().to_owned();
        let mut read = ApiRequest {
            method: head.method,
            namespace: None,
            name: None,
            subresource: String::new(),
            rest: String::new(),
            query: parse_query(&raw_query),
            raw_query,
            headers: head.headers,
            body,
            resource: None,
        };
        let target = read.find(head.uri.path())?;
        Ok((read, target))
    }

    fn find(&mut self, path: &str) -> Result<Target, ApiError> {
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let document = || Ok(Target::Document(path.trim_end_matches('/').to_owned()));
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return document(),
        };
        let (namespace, rest) = match rest {
            // `namespaces/x` is an object, `namespaces/x/pods` leads into it.
            ["namespaces", namespace, below, rest @ ..] if !matches!(*below, "status" | "finalize") => {
                (Some((*namespace).to_owned()), [&[*below], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        // The old form of a watch.
        let (is_old_watch, rest) = match rest.as_slice() {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest.to_vec()),
            _ => (false, rest),
        };
        let (plural, name, below) = match rest.as_slice() {
            [plural] => (*plural, None, &[][..]),
            [plural, name, below @ ..] => (*plural, Some((*name).to_owned()), below),
            [] => return Err(ApiError::no_such_path()),
        };
        let resource = resources::find(group, version, plural).ok_or_else(ApiError::no_such_path)?;
        if !resource.namespaced && namespace.is_some() {
            return Err(ApiError::no_such_path());
        }
        self.namespace = namespace;
        self.name = name;
        self.resource = Some(resource);
        if let [subresource, rest @ ..] = below {
            self.subresource = (*subresource).to_owned();
            self.rest = rest.join("/");
        }
        let watches = is_old_watch || matches!(self.param("watch"), Some("true" | "1"));
        let verb = match (&self.method, &self.name) {
            (&Method::GET | &Method::HEAD, None) if watches => Verb::Watch,
            (&Method::GET | &Method::HEAD, None) => Verb::List,
            (&Method::GET | &Method::HEAD, Some(_)) => Verb::Get,
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, Some(_)) => Verb::Update,
            (&Method::PATCH, Some(_)) => Verb::Patch,
            (&Method::DELETE, Some(_)) => Verb::Delete,
            (&Method::DELETE, None) => Verb::DeleteCollection,
            _ => return Err(ApiError::method_not_allowed()),
        };
        Ok(Target::Object { verb, resource })
    }

    /// The plural that rules of the faults name.
    pub(crate) fn resource_name(&self) -> &'static str {
        self.resource.map_or("", |resource| resource.plural)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn accept(&self) -> &str {
        self.header(ACCEPT)
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE)
    }

    fn header(&self, name: hyper::header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn accepts_aggregated_discovery(&self) -> bool {
        self.accept().contains("as=APIGroupDiscoveryList") && self.accept().contains("v=v2;")
            || self.accept().contains("v=v2,")
    }

    pub(crate) fn is_dry_run(&self) -> Result<bool, ApiError> {
        match self.param("dryRun") {
            None | Some("") => Ok(false),
            Some("All") => Ok(true),
            Some(other) => {
                Err(ApiError::bad_request(format!("dryRun: Unsupported value: {other:?}: supported values: \"All\"")))
            }
        }
    }

    /// Who writes: the parameter, or the client's name as its user agent begins.
    pub(crate) fn manager(&self) -> String {
        if let Some(manager) = self.param("fieldManager").filter(|manager| !manager.is_empty()) {
            return manager.to_owned();
        }
        match self.header(USER_AGENT).split('/').next() {
            None | Some("") => "unknown".to_owned(),
            Some(agent) => agent.to_owned(),
        }
    }

    pub(crate) fn field_validation(&self) -> Result<FieldValidation, ApiError> {
        match self.param("fieldValidation") {
            None | Some("" | "Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(ApiError::bad_request(format!("fieldValidation: Unsupported value: {other:?}"))),
        }
    }

    pub(crate) fn selectors(&self, resource: &Resource) -> Result<Selectors, ApiError> {
        let labels = self.param("labelSelector").unwrap_or_default();
        let fields = self.param("fieldSelector").unwrap_or_default();
        Ok(Selectors {
            labels: LabelSelector::parse(labels).map_err(ApiError::bad_request)?,
            fields: FieldSelector::parse(fields, resource.plural).map_err(ApiError::bad_request)?,
        })
    }

    /// The body as an object, in JSON or YAML.
    pub(crate) fn object(&self) -> Result<Value, ApiError> {
        if self.content_type().contains("protobuf") {
            return protobuf::decode(&self.body);
        }
        let value = patch::yaml(&self.body)?;
        if value.is_object() { Ok(value) } else { Err(ApiError::bad_request("the body is no object")) }
    }
}

/// What a list or a watch is limited to.
#[derive(Clone, Debug)]
pub(crate) struct Selectors {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selectors {
    /// The same, for one object only.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.fields = self.fields.and_name(name);
        self
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

fn parse_query(query: &str) -> HashMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(&name.replace('+', " ")), percent_decoded(&value.replace('+', " ")))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
