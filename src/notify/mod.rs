//! Messages to people: one JSON envelope (CloudEvents 1.0) a transition, sent beside the daemon's work. A dead receiver
//! never holds a release.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::core::event::Event;
use crate::core::text::OneLine;

/// One delivery: a receiver that is slower than that is as good as dead.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one message: with the back-off between them about a minute.
const TRIES_MAX: usize = 6;
/// Messages that wait for a slow receiver; beyond that the newest are dropped and the log says so.
const QUEUE_MAX: usize = 256;

/// Where messages are handed in.
#[derive(Debug, Clone)]
pub struct Notifier {
    queue: mpsc::Sender<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    url: String,
    envelope: Value,
}

impl Notifier {
    /// Starts the sender. Must be called in a tokio runtime; it ends when the last notifier is dropped.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn start() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(DELIVERY_TIMEOUT)
            .build()?;
        let (queue, mut deliveries) = mpsc::channel::<Delivery>(QUEUE_MAX);
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                if let Err(words) = deliver(&http, &delivery).await {
                    tracing::warn!(event = %delivery.envelope["id"], "failed to deliver a message: {words}");
                }
            }
        });
        Ok(Self { queue })
    }

    /// Hands in a message for one receiver.
    pub fn send(&self, url: &str, source: &str, event: &Event) {
        let delivery = Delivery { url: url.to_owned(), envelope: envelope(source, event) };
        if self.queue.try_send(delivery).is_err() {
            tracing::warn!(event = %event.id, "dropped a message: {QUEUE_MAX} wait already");
        }
    }
}

async fn deliver(http: &reqwest::Client, delivery: &Delivery) -> Result<(), OneLine> {
    let post = || async {
        let request = http.post(&delivery.url).header("content-type", "application/cloudevents+json");
        let response = request.body(delivery.envelope.to_string()).send().await;
        // The address may hold a token: the error is said without it.
        let response = response.map_err(|error| OneLine::new(&error.without_url().to_string()))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(OneLine::new(&format!("the receiver answered {}", response.status().as_u16())))
        }
    };
    post.retry(ExponentialBuilder::default().with_jitter().with_max_times(TRIES_MAX)).await
}

/// The event as a CloudEvents 1.0 JSON envelope.
fn envelope(source: &str, event: &Event) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": format!("dev.turquoise.release.{}", event.kind.as_str()),
        "subject": event.app,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": event,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::EventKind;
    use crate::core::ids::AppName;
    use wiremock::matchers::{body_partial_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_message_is_an_envelope_and_is_tried_again() {
        crate::daemon::install_crypto();
        let server = MockServer::start().await;
        let hook = || Mock::given(method("POST")).and(path("/hook"));
        hook().respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&server).await;
        hook()
            .and(body_partial_json(json!({"specversion": "1.0", "type": "dev.turquoise.release.live", "subject": "shop"})))
            .respond_with(ResponseTemplate::new(204))
            .expect(1)
            .mount(&server)
            .await;
        let event = Event::new(EventKind::Live, &AppName::new("shop"), "c0ffee", jiff::Timestamp::UNIX_EPOCH);
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let delivery = Delivery { url: format!("{}/hook", server.uri()), envelope: envelope("turquoise", &event) };
        deliver(&http, &delivery).await.expect("delivered at the second try");
    }
}
