//! One delivery on its way: the body, the secret, the tries.

use std::time::Duration;

use serde_json::{Value, json};

use super::lane::Ready;
use crate::sandbox::log::Logged;
use crate::sandbox::org::{now, text};

const TRIES: u32 = 2;

/// How a try came out.
enum Outcome {
    Taken,
    Refused,
    /// Silence or a 5xx: worth another try.
    Failed,
}

/// Delivers one body after the other. Whether each was taken; nothing of those that are lost.
pub(super) async fn deliver(http: &reqwest::Client, ready: &Ready, timeout: Duration) -> Vec<bool> {
    if ready.plan.lose {
        return Vec::new();
    }
    tokio::time::sleep(ready.plan.delay).await;
    let mut taken = Vec::new();
    for events in &ready.bodies {
        let events: Vec<Value> = events.iter().map(|logged: &std::sync::Arc<Logged>| logged.event()).collect();
        let body = envelope(&ready.hook, &events).to_string();
        for _ in 0..=ready.plan.repeat {
            taken.push(try_to_deliver(http, &ready.hook["channel"]["config"], &body, timeout).await);
        }
    }
    taken
}

fn envelope(hook: &Value, events: &[Value]) -> Value {
    json!({
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": hook["_links"]["self"]["href"],
        "eventId": uuid::Uuid::new_v4().to_string(),
        "data": { "events": events },
        "eventTime": now(),
        "contentType": "application/json",
    })
}

async fn try_to_deliver(http: &reqwest::Client, config: &Value, body: &str, timeout: Duration) -> bool {
    for _ in 0..TRIES {
        match post(http, config, body, timeout).await {
            Outcome::Taken => return true,
            Outcome::Refused => return false,
            Outcome::Failed => {}
        }
    }
    false
}

async fn post(http: &reqwest::Client, config: &Value, body: &str, timeout: Duration) -> Outcome {
    let mut request = http.post(text(config, "uri")).timeout(timeout).header("content-type", "application/json");
    let scheme = &config["authScheme"];
    if !text(scheme, "key").is_empty() {
        request = request.header(text(scheme, "key"), text(scheme, "value"));
    }
    for header in config["headers"].as_array().into_iter().flatten() {
        request = request.header(text(header, "key"), text(header, "value"));
    }
    match request.body(body.to_owned()).send().await {
        Ok(response) if response.status().is_success() => Outcome::Taken,
        Ok(response) if !response.status().is_server_error() => Outcome::Refused,
        Ok(_) | Err(_) => Outcome::Failed,
    }
}
