//! Watches: changes from a version on, one JSON line each.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::errors::ApiError;
use crate::api::output::{Format, Output};
use crate::api::request::{ApiRequest, Selectors};
use crate::api::{Body, cut, events};
use crate::object;
use crate::resources::Resource;
use crate::store::{Change, Scope};
use crate::world::World;

/// A watch without `timeoutSeconds` ends after this long, as the real server's does after 30 to 60 minutes.
const WATCH_LASTS: Duration = Duration::from_secs(30 * 60);

/// How often a watch that wants bookmarks gets one while nothing happens. The real server takes about a minute; sooner costs
/// nothing here.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);

/// One running watch.
struct Watching {
    world: Arc<World>,
    resource: &'static Resource,
    output: Output,
    namespace: Option<String>,
    selectors: Selectors,
    seen: u64,
    lines: VecDeque<String>,
    tip: watch::Receiver<()>,
    cuts: watch::Receiver<u64>,
    ends: Instant,
    bookmark: Option<Instant>,
    has_columns: bool,
    is_over: bool,
}

/// Begins a watch.
pub(crate) fn answer(
    world: &Arc<World>,
    resource: &'static Resource,
    request: &ApiRequest,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let door = events::stored_as(resource);
    let lasts = request.param("timeoutSeconds").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
    let wants_bookmarks = matches!(request.param("allowWatchBookmarks"), Some("true" | "1"));
    let mut selectors = request.selectors(door)?;
    if let Some(name) = &request.name {
        selectors = selectors.named(name);
    }
    let mut watching = Watching {
        world: Arc::clone(world),
        resource: door,
        output: Output { resource, format },
        namespace: request.namespace.clone(),
        selectors,
        seen: 0,
        lines: VecDeque::new(),
        tip: world.store.listen(Scope::of(door, request.namespace.as_deref())),
        cuts: world.faults.watch_cuts(),
        ends: Instant::now() + lasts.map_or(WATCH_LASTS, Duration::from_secs),
        bookmark: wants_bookmarks.then(|| Instant::now() + BOOKMARK_EVERY),
        has_columns: false,
        is_over: false,
    };
    let sends_initial = matches!(request.param("sendInitialEvents"), Some("true" | "1"));
    match request.param("resourceVersion") {
        Some(text) if !sends_initial && !matches!(text, "" | "0") => {
            let version =
                text.parse().map_err(|_| ApiError::bad_request(format!("invalid resource version: {text:?}")))?;
            let current = world.store.version();
            if version > current {
                return Err(ApiError::version_too_large(version, current));
            }
            watching.seen = version;
        }
        _ => watching.begin_with_all(sends_initial && wants_bookmarks),
    }
    let body = StreamBody::new(stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|line| (line, watching))
    }));
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watching {
    /// Starts with all objects as if they had just been added.
    fn begin_with_all(&mut self, with_bookmark: bool) {
        let (version, objects) = self.world.store.list(self.resource, self.namespace.as_deref());
        self.seen = version;
        for object in objects {
            if !self.selectors.matches(&object) {
                continue;
            }
            let line = self.line("ADDED", &object);
            self.lines.push_back(line);
        }
        if with_bookmark {
            let line = self.bookmark_line(json!({"k8s.io/initial-events-end": "true"}));
            self.lines.push_back(line);
        }
    }

    /// The next piece of the body: all lines there are. None ends it, an error cuts it.
    async fn next(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        loop {
            if !self.lines.is_empty() {
                self.world.faults.thawed().await;
                let text: String = self.lines.drain(..).collect();
                return Some(Ok(Frame::data(Bytes::from(text))));
            }
            if self.is_over {
                return None;
            }
            match self.world.store.changes_of(self.resource, self.namespace.as_deref(), self.seen) {
                None => {
                    let current = self.world.store.version();
                    let error = ApiError::expired(format!("too old resource version: {} ({current})", self.seen));
                    self.lines.push_back(format!("{}\n", json!({"type": "ERROR", "object": error.status()})));
                    self.is_over = true;
                    continue;
                }
                Some((version, changes)) => {
                    self.seen = version;
                    let lines: Vec<_> = changes.iter().filter_map(|change| self.line_of(change)).collect();
                    self.lines.extend(lines);
                }
            }
            if self.lines.is_empty()
                && let Err(error) = self.wait().await
            {
                return Some(Err(error));
            }
        }
    }

    /// Waits for a change, the time for a bookmark, or the end.
    async fn wait(&mut self) -> io::Result<()> {
        let bookmark = self.bookmark.unwrap_or(self.ends);
        tokio::select! {
            biased;
            _ = self.cuts.changed() => return Err(cut()),
            changed = self.tip.changed() => self.is_over = changed.is_err(),
            () = sleep_until(self.ends) => {
                self.is_over = true;
                if self.bookmark.is_some() {
                    let line = self.bookmark_line(Value::Null);
                    self.lines.push_back(line);
                }
            }
            () = sleep_until(bookmark) => {
                self.bookmark = Some(Instant::now() + BOOKMARK_EVERY);
                let line = self.bookmark_line(Value::Null);
                self.lines.push_back(line);
            }
        }
        Ok(())
    }

    /// What a change means to this watch: an object that stops to match is deleted for it, one that begins to is added.
    fn line_of(&mut self, change: &Change) -> Option<String> {
        let matches =
            |object: &Option<Arc<Value>>| object.as_ref().is_some_and(|object| self.selectors.matches(object));
        match (matches(&change.old), matches(&change.new)) {
            (false, false) => None,
            (false, true) => change.new.as_ref().map(|object| self.line("ADDED", object)),
            (true, true) => change.new.as_ref().map(|object| self.line("MODIFIED", object)),
            (true, false) => {
                // The deleted object under the version of the change, as the real server sends it.
                let mut last = Value::clone(change.old.as_ref()?);
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.line("DELETED", &last))
            }
        }
    }

    fn line(&mut self, kind: &str, object: &Value) -> String {
        let with_columns = !std::mem::replace(&mut self.has_columns, true);
        format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", self.output.text(object, with_columns))
    }

    fn bookmark_line(&mut self, annotations: Value) -> String {
        let Resource { kind, .. } = self.output.resource;
        let mut object = json!({
            "kind": kind,
            "apiVersion": self.output.resource.api_version(),
            "metadata": {"resourceVersion": self.seen.to_string(), "creationTimestamp": null},
        });
        if !annotations.is_null() {
            object["metadata"]["annotations"] = annotations;
        }
        let object = match self.output.format {
            Format::Objects => object,
            Format::Metadata => crate::api::output::metadata(&object),
            Format::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": [], "rows": [],
                "metadata": {"resourceVersion": object::resource_version(&object)},
            }),
        };
        format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
    }
}
