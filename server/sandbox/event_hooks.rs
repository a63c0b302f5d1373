//! Event hooks, `/api/v1/eventHooks`
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/>).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::edge::object_of;
use super::error::{Answer, OktaError};
use super::org::{Org, now, target, text};

const MAX_ACTIVE: usize = 25;
const MAX_TYPES: usize = 300;
const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(3);
/// An answer to a verification is some tens of bytes.
const MAX_VERIFICATION: u64 = 4096;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/eventHooks", get(list).post(create))
        .route("/api/v1/eventHooks/{hook}", get(read).put(replace).delete(delete))
        .route("/api/v1/eventHooks/{hook}/lifecycle/{operation}", post(operate))
}

async fn list(State(shared): State<Shared>) -> Json<Vec<Value>> {
    Json(shared.org().hooks.values().map(shown).collect())
}

async fn create(State(shared): State<Shared>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| org.create_hook(&body)).map(Json)
}

async fn read(State(shared): State<Shared>, Path(hook): Path<String>) -> Answer<Json<Value>> {
    shared.org().hook(&hook).map(shown).map(Json)
}

async fn replace(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    let unverify = shared.control().delivery_settings.unverify_replaced;
    shared.change(|org| {
        let mut hook = org.hook(&id)?.clone();
        check(&body)?;
        let moved = hook["channel"]["config"]["uri"] != body["channel"]["config"]["uri"];
        for name in ["name", "events", "channel"] {
            hook[name] = body[name].clone();
        }
        hook["lastUpdated"] = json!(now());
        if moved || unverify {
            hook["verificationStatus"] = json!("UNVERIFIED");
        }
        org.put_hook(hook, "event_hook.updated", "Event hook updated")
    })
}

async fn delete(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<StatusCode> {
    shared.change(|org| {
        let hook = org.hook(&id)?.clone();
        if hook["status"] == "ACTIVE" {
            return Err(OktaError::invalid("eventHook", "The event hook must be deactivated before it is deleted"));
        }
        org.hooks.remove(&id);
        org.record("event_hook.deleted", "Event hook deleted", vec![hook_target(&hook)]);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn operate(State(shared): State<Shared>, Path((id, operation)): Path<(String, String)>) -> Answer<Json<Value>> {
    let hook = shared.org().hook(&id)?.clone();
    let (field, value, event_type, message) = match operation.as_str() {
        "activate" => ("status", "ACTIVE", "event_hook.activated", "Event hook activated"),
        "deactivate" => ("status", "INACTIVE", "event_hook.deactivated", "Event hook deactivated"),
        "verify" => {
            verify(&shared.http, &hook).await?;
            ("verificationStatus", "VERIFIED", "event_hook.verified", "Event hook verified")
        }
        _ => return Err(OktaError::no_such_endpoint()),
    };
    shared.change(|org| {
        let mut hook = org.hook(&id)?.clone();
        if operation == "activate" && hook["status"] != "ACTIVE" {
            org.room_for_hook()?;
        }
        hook[field] = json!(value);
        hook["lastUpdated"] = json!(now());
        org.put_hook(hook, event_type, message)
    })
}

/// One GET that has to give the challenge back.
async fn verify(http: &reqwest::Client, hook: &Value) -> Answer<()> {
    let failed = |what: &str| OktaError::invalid("eventHook", what);
    let challenge = uuid::Uuid::new_v4().to_string();
    let uri = text(&hook["channel"]["config"], "uri");
    let request = http.get(uri).timeout(VERIFICATION_TIMEOUT).header("x-okta-verification-challenge", &challenge);
    let response = request.send().await.map_err(|_| failed("The event hook's URL could not be reached"))?;
    let answered = response.status().is_success() && response.content_length().unwrap_or(0) <= MAX_VERIFICATION;
    let body = response.bytes().await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match answered && body["verification"] == challenge.as_str() {
        true => Ok(()),
        false => Err(failed("The event hook's URL did not give the verification challenge back")),
    }
}

impl Org {
    fn hook(&self, id: &str) -> Answer<&Value> {
        self.hooks.get(id).ok_or_else(|| OktaError::not_found(id, "EventHook"))
    }

    fn create_hook(&mut self, body: &Value) -> Answer<Value> {
        check(body)?;
        self.room_for_hook()?;
        let id = self.new_id("who");
        let (time, url) = (now(), format!("{}/api/v1/eventHooks/{id}", self.url));
        let hook = json!({
            "id": id, "status": "ACTIVE", "verificationStatus": "UNVERIFIED", "name": body["name"], "created": time,
            "createdBy": self.admin, "lastUpdated": time, "events": body["events"], "channel": body["channel"],
            "_links": {
                "self": { "href": url },
                "verify": { "href": format!("{url}/lifecycle/verify"), "hints": { "allow": ["POST"] } },
                "deactivate": { "href": format!("{url}/lifecycle/deactivate"), "hints": { "allow": ["POST"] } },
            },
        });
        self.put_hook(hook, "event_hook.created", "Event hook created").map(|Json(hook)| hook)
    }

    fn room_for_hook(&self) -> Answer<()> {
        match self.hooks.values().filter(|hook| hook["status"] == "ACTIVE").count() {
            ..MAX_ACTIVE => Ok(()),
            _ => Err(OktaError::invalid("eventHook", "The maximum number of active event hooks has been reached")),
        }
    }

    /// Switches a hook off whose deliveries fail.
    pub(super) fn deactivate_failing_hook(&mut self, id: &str) {
        let Some(mut hook) = self.hooks.get(id).filter(|hook| hook["status"] == "ACTIVE").cloned() else { return };
        hook["status"] = json!("INACTIVE");
        hook["lastUpdated"] = json!(now());
        let _ = self.put_hook(hook, "event_hook.deactivated", "Event hook deactivated");
    }

    fn put_hook(&mut self, hook: Value, event_type: &str, message: &str) -> Answer<Json<Value>> {
        let answer = shown(&hook);
        self.record(event_type, message, vec![hook_target(&hook)]);
        self.hooks.insert(text(&hook, "id").to_owned(), hook);
        Ok(Json(answer))
    }
}

fn hook_target(hook: &Value) -> Value {
    target(hook, "EventHook", &hook["id"], text(hook, "name"))
}

/// A hook as it is read: its secret never comes back.
fn shown(hook: &Value) -> Value {
    let mut hook = hook.clone();
    if let Some(scheme) = hook["channel"]["config"]["authScheme"].as_object_mut() {
        scheme.remove("value");
    }
    hook["channel"]["config"]["method"] = json!("POST");
    hook
}

fn check(body: &Value) -> Answer<()> {
    let config = &body["channel"]["config"];
    let types = body["events"]["items"].as_array().map_or(0, Vec::len);
    let wrong = if text(body, "name").is_empty() {
        Some(("name", "The field cannot be left blank"))
    } else if types == 0 {
        Some(("events", "At least one event type is needed"))
    } else if types > MAX_TYPES {
        Some(("events", "An event hook takes 300 event types at most"))
    } else if text(&body["channel"], "type") != "HTTP" {
        Some(("channel", "The channel type must be HTTP"))
    } else if !reachable(text(config, "uri")) {
        Some(("uri", "The URI must be an https URL"))
    } else {
        None
    };
    wrong.map_or(Ok(()), |(field, what)| Err(OktaError::invalid(field, what)))
}

/// Okta delivers over https only. The sandbox delivers to this machine too, as everything runs here.
fn reachable(uri: &str) -> bool {
    let Ok(url) = url::Url::parse(uri) else { return false };
    let loopback =
        url.host_str().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."));
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
