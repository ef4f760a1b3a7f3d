//! The HTTP check: requests in a row, each with the expected answer.

use std::time::Duration;

use serde_json::Value;

use super::NotPassed;
use super::request::{Answer, Asker, NoAnswer, Place, Request};
use super::secrets::{Hidden, Secrets};
use crate::core::policy::{CONNECT_GRACE, HttpCheck, JsonRule, Status};
use crate::core::text::OneLine;
use crate::net::ANSWER_BYTES_MAX;

/// The pause between two tries within [`CONNECT_GRACE`].
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// As many passes in a row as the policy asks; the first failure ends the round.
pub(super) async fn round(asker: &Asker, http: &HttpCheck, place: &Place, secrets: &Secrets) -> Result<(), NotPassed> {
    for round in 0..http.times {
        if round > 0 {
            tokio::time::sleep(http.interval).await;
        }
        once(asker, http, place, secrets).await?;
    }
    Ok(())
}

/// Asks once, and again while nobody listens yet.
async fn once(asker: &Asker, http: &HttpCheck, place: &Place, secrets: &Secrets) -> Result<(), NotPassed> {
    let (headers, hidden) = secrets.headers(&http.headers).await?;
    let body = http.body.clone().unwrap_or_default().into_bytes();
    let request = Request { place, method: http.method, headers, body };
    let tries = CONNECT_GRACE.as_millis() / CONNECT_PAUSE.as_millis();
    for _ in 0..tries {
        match asker.send(&request, http.timeout).await {
            Ok(answer) => return judge(http, place, &answer, &hidden).map_err(NotPassed::Failed),
            Err(NoAnswer::Refused(_)) => tokio::time::sleep(CONNECT_PAUSE).await,
            Err(no_answer @ (NoAnswer::Failed(_) | NoAnswer::Hindered(_))) => return Err(no_answer.into()),
        }
    }
    let answer = asker.send(&request, http.timeout).await?;
    judge(http, place, &answer, &hidden).map_err(NotPassed::Failed)
}

/// Whether an answer is the expected one, else what it is instead.
fn judge(http: &HttpCheck, place: &Place, answer: &Answer, hidden: &Hidden) -> Result<(), OneLine> {
    let any_success = [Status::Class(2)];
    let wanted = if http.status.is_empty() { &any_success[..] } else { &http.status };
    let body = String::from_utf8_lossy(&answer.body);
    let name = place.name();
    if !wanted.iter().any(|status| status.holds(answer.status)) {
        return Err(hidden.line(&format!("{name} answered {}: {body}", answer.status)));
    }
    if http.json.is_empty() {
        return Ok(());
    }
    if answer.cut {
        return Err(OneLine::new(&format!(
            "{name} answered more than {ANSWER_BYTES_MAX} bytes, which is too long to read as JSON"
        )));
    }
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
        return Err(hidden.line(&format!("{name} answered {} and no JSON: {body}", answer.status)));
    };
    for JsonRule { pointer, equals } in &http.json {
        let whole = if pointer.is_empty() { "the answer" } else { pointer };
        match json.pointer(pointer) {
            Some(value) if same(value, equals) => {}
            Some(value) => {
                return Err(
                    hidden.line(&format!("{name} answered {}: {whole} is {value}, not {equals}", answer.status))
                );
            }
            None => return Err(hidden.line(&format!("{name} answered {} without {whole}: {body}", answer.status))),
        }
    }
    Ok(())
}

/// Equal as JSON: `1` and `1.0` are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
            _,
        ) => a == b,
    }
}
