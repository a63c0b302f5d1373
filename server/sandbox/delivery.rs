//! Delivering the log to event hooks, with Okta's rules: 3 s for an answer, one more try after silence or a 5xx, none after a 4xx,
//! several events in one body when they came together, no order promised.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Shared;
use super::control::DeliveryFault;
use super::org::{now, text};

const TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 2;
/// Events in one body.
const BATCH: usize = 100;
/// Deliveries under way at the same time; more wait in the log.
const MAX_UNDER_WAY: usize = 256;

/// Delivers until it is dropped.
pub(super) async fn run(shared: Shared) {
    let mut next = shared.org().log.end();
    let mut under_way = JoinSet::new();
    loop {
        let (end, deliveries) = due(&shared, next);
        next = end;
        for (hook, events) in deliveries {
            while under_way.len() >= MAX_UNDER_WAY {
                under_way.join_next().await;
            }
            let fault = shared.control().next_delivery_fault();
            under_way.spawn(deliver(shared.http.clone(), hook, events, fault));
        }
        tokio::select! {
            () = shared.grown.notified() => {}
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
        }
    }
}

/// What the log has for each hook since event number `start`, and where it ends.
fn due(shared: &Shared, start: u64) -> (u64, Vec<(Value, Vec<Value>)>) {
    let org = shared.org();
    let listening =
        org.hooks.values().filter(|hook| hook["status"] == "ACTIVE" && hook["verificationStatus"] == "VERIFIED");
    let mut deliveries = Vec::new();
    for hook in listening {
        let types = hook["events"]["items"].as_array().cloned().unwrap_or_default();
        let events: Vec<Value> = org
            .log
            .since(start)
            .filter(|(_, event)| types.contains(&event["eventType"]))
            .map(|(_, event)| event.clone())
            .collect();
        deliveries.extend(events.chunks(BATCH).map(|events| (hook.clone(), events.to_vec())));
    }
    (org.log.end(), deliveries)
}

async fn deliver(http: reqwest::Client, hook: Value, events: Vec<Value>, fault: DeliveryFault) {
    if fault.lose {
        return;
    }
    tokio::time::sleep(fault.delay).await;
    let body = json!({
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": hook["_links"]["self"]["href"],
        "eventId": uuid::Uuid::new_v4().to_string(),
        "data": { "events": events },
        "eventTime": now(),
        "contentType": "application/json",
    });
    let body = body.to_string();
    for _ in 0..=fault.repeat {
        for _ in 0..TRIES {
            if post(&http, &hook["channel"]["config"], &body).await {
                break;
            }
        }
    }
}

/// Whether that is the end of it: an answer other than 5xx.
async fn post(http: &reqwest::Client, config: &Value, body: &str) -> bool {
    let mut request = http.post(text(config, "uri")).timeout(TIMEOUT).header("content-type", "application/json");
    let scheme = &config["authScheme"];
    if !text(scheme, "key").is_empty() {
        request = request.header(text(scheme, "key"), text(scheme, "value"));
    }
    for header in config["headers"].as_array().into_iter().flatten() {
        request = request.header(text(header, "key"), text(header, "value"));
    }
    match request.body(body.to_owned()).send().await {
        Ok(response) => !response.status().is_server_error(),
        Err(_) => false,
    }
}
