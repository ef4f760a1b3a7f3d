//! `pods/log`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::api::errors::ApiError;
use crate::api::request::ApiRequest;
use crate::api::{Body, plain, verbs};
use crate::object::{list, text};
use crate::store::Key;
use crate::world::World;

/// How often a followed log is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// Answers with a container's lines, and goes on with new ones if asked to.
pub(crate) fn answer(world: &Arc<World>, request: &ApiRequest) -> Result<Response<Body>, ApiError> {
    let (key, pod) = verbs::pod_of(world, request)?;
    let names: Vec<_> = list(&pod, "/spec/containers").iter().map(|container| text(container, "/name")).collect();
    let container = match (request.param("container").filter(|name| !name.is_empty()), names.as_slice()) {
        (Some(name), names) if names.contains(&name) => name.to_owned(),
        (Some(name), _) => {
            return Err(ApiError::bad_request(format!("container {name} is not valid for pod {}", key.name)));
        }
        (None, [only]) => (*only).to_owned(),
        (None, names) => {
            let message = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                key.name,
                names.join(" ")
            );
            return Err(ApiError::bad_request(message));
        }
    };
    let is_true = |name: &str| matches!(request.param(name), Some("true" | "1"));
    let stamped = is_true("timestamps");
    let previous = is_true("previous");
    let (mut lines, written) = world.logs.read(&key, &container, previous);
    if let Some(tail) = request.param("tailLines").and_then(|tail| tail.parse::<usize>().ok()) {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    if previous && lines.is_empty() {
        let message = format!("previous terminated container {container:?} in pod {:?} not found", key.name);
        return Err(ApiError::bad_request(message));
    }
    let first = shown(&lines, stamped);
    if !is_true("follow") {
        return Ok(plain(StatusCode::OK, "text/plain", first));
    }
    let follow = Follow { world: Arc::clone(world), key, container, stamped, written, first: Some(first) };
    let body = StreamBody::new(stream::unfold(follow, |mut follow| async move {
        let text = follow.next().await?;
        Some((Ok(Frame::data(Bytes::from(text))), follow))
    }));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn shown(lines: &[(String, String)], stamped: bool) -> String {
    let line = |(at, line): &(String, String)| if stamped { format!("{at} {line}\n") } else { format!("{line}\n") };
    lines.iter().map(line).collect()
}

struct Follow {
    world: Arc<World>,
    key: Key,
    container: String,
    stamped: bool,
    written: u64,
    first: Option<String>,
}

impl Follow {
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            // The log ends with its pod.
            self.world.store.get(&self.key)?;
            let (lines, written) = self.world.logs.read(&self.key, &self.container, false);
            let fresh = usize::try_from(written.saturating_sub(self.written)).unwrap_or(usize::MAX);
            self.written = written;
            if fresh > 0 {
                return Some(shown(&lines[lines.len().saturating_sub(fresh)..], self.stamped));
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}
