//! `/api/v1/eventHooks`.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::error::OktaError;
use super::org::now;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/eventHooks", post(create).get(list))
        .route("/api/v1/eventHooks/{id}", get(read).delete(delete))
        .route("/api/v1/eventHooks/{id}/lifecycle/{action}", post(lifecycle))
}

/// Secrets never come back.
fn shown(hook: &Value) -> Value {
    let mut hook = hook.clone();
    if let Some(scheme) = hook["channel"]["config"]["authScheme"].as_object_mut() {
        scheme.remove("value");
    }
    hook
}

async fn create(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut org = shared.org();
    let id = org.id("who");
    let hook = json!({
        "id": id, "status": "ACTIVE", "verificationStatus": "UNVERIFIED", "name": body["name"], "created": now(),
        "lastUpdated": now(), "events": body["events"], "channel": body["channel"],
        "_links": { "self": { "href": format!("{}/api/v1/eventHooks/{id}", org.url) } },
    });
    org.hooks.insert(id, hook.clone());
    Json(shown(&hook))
}

async fn list(State(shared): State<Shared>) -> Json<Vec<Value>> {
    Json(shared.org().hooks.values().map(shown).collect())
}

async fn read(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, OktaError> {
    shared.org().hooks.get(&id).map(shown).map(Json).ok_or_else(|| OktaError::not_found(&id, "EventHook"))
}

async fn delete(State(shared): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, OktaError> {
    shared.org().hooks.remove(&id).map(|_| StatusCode::NO_CONTENT).ok_or_else(|| OktaError::not_found(&id, "EventHook"))
}

async fn lifecycle(
    State(shared): State<Shared>,
    Path((id, action)): Path<(String, String)>,
) -> Result<Json<Value>, OktaError> {
    let hook = shared.org().hooks.get(&id).cloned().ok_or_else(|| OktaError::not_found(&id, "EventHook"))?;
    let (field, value) = match action.as_str() {
        "activate" => ("status", "ACTIVE"),
        "deactivate" => ("status", "INACTIVE"),
        _ => {
            verify(&shared, &hook).await?;
            ("verificationStatus", "VERIFIED")
        }
    };
    let mut org = shared.org();
    let hook = org.hooks.get_mut(&id).ok_or_else(|| OktaError::not_found(&id, "EventHook"))?;
    hook[field] = json!(value);
    Ok(Json(shown(hook)))
}

async fn verify(shared: &Shared, hook: &Value) -> Result<(), OktaError> {
    let failed = || OktaError::validation("Failed to verify the event hook", Vec::new());
    let challenge = uuid::Uuid::new_v4().to_string();
    let uri = hook["channel"]["config"]["uri"].as_str().unwrap_or_default();
    let request =
        shared.hooks.get(uri).timeout(Duration::from_secs(3)).header("x-okta-verification-challenge", &challenge);
    let answer = request.send().await.map_err(|_| failed())?.text().await.map_err(|_| failed())?;
    let answer: Value = serde_json::from_str(&answer).map_err(|_| failed())?;
    if answer["verification"] == challenge { Ok(()) } else { Err(failed()) }
}
