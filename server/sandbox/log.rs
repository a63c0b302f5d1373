//! Log events, and their delivery to event hooks.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::org::now;

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn user(user: &Value) -> Value {
    let profile = &user["profile"];
    let name = [&profile["firstName"], &profile["lastName"]].map(|name| name.as_str().unwrap_or_default()).join(" ");
    json!({ "id": user["id"], "type": "User", "alternateId": profile["login"], "displayName": name, "detailEntry": null })
}

pub(super) fn group(group: &Value) -> Value {
    json!({ "id": group["id"], "type": "UserGroup", "alternateId": "unknown", "displayName": group["profile"]["name"], "detailEntry": null })
}

pub(super) fn event(event_type: &str, message: &str, targets: &[Value]) -> Value {
    json!({
        "uuid": uuid::Uuid::new_v4().to_string(), "published": now(), "eventType": event_type, "version": "0",
        "displayMessage": message, "severity": "INFO",
        "actor": { "id": "00u00000000000admin", "type": "User", "alternateId": "admin@acme.example", "displayName": "Alice Admin", "detailEntry": null },
        "outcome": { "result": "SUCCESS", "reason": null },
        "target": targets,
    })
}

pub(super) fn emit(shared: &Shared, events: Vec<Value>) {
    let hooks: Vec<Value> = shared.org().hooks.values().cloned().collect();
    for hook in hooks.into_iter().filter(|hook| hook["status"] == "ACTIVE" && hook["verificationStatus"] == "VERIFIED")
    {
        let wanted = |event: &&Value| {
            hook["events"]["items"].as_array().is_some_and(|items| items.contains(&event["eventType"]))
        };
        let events: Vec<Value> = events.iter().filter(wanted).cloned().collect();
        if events.is_empty() {
            continue;
        }
        let body = json!({
            "eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1",
            "source": hook["_links"]["self"]["href"], "eventId": uuid::Uuid::new_v4().to_string(),
            "data": { "events": events }, "eventTime": now(), "contentType": "application/json",
        });
        let config = hook["channel"]["config"].clone();
        let client = shared.hooks.clone();
        tokio::spawn(async move {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            for _ in 0..2 {
                let sent = client
                    .post(text(&config["uri"]))
                    .timeout(TIMEOUT)
                    .header("content-type", "application/json")
                    .header(text(&config["authScheme"]["key"]), text(&config["authScheme"]["value"]))
                    .body(body.to_string())
                    .send()
                    .await;
                if sent.is_ok_and(|response| !response.status().is_server_error()) {
                    return;
                }
            }
        });
    }
}
