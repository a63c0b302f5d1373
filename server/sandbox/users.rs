//! `/api/v1/users`.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::error::OktaError;
use super::org::now;
use super::{Shared, log};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/users", post(create).get(list))
        .route("/api/v1/users/{id}", get(read))
        .route("/api/v1/users/{id}/groups", get(groups))
        .route("/api/v1/users/{id}/lifecycle/deactivate", post(deactivate))
}

type Answer<T> = Result<T, OktaError>;

async fn create(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    Json(body): Json<Value>,
) -> Answer<Json<Value>> {
    let profile = body["profile"].as_object().cloned().unwrap_or_default();
    let missing: Vec<String> = ["firstName", "lastName", "email", "login"]
        .into_iter()
        .filter(|name| profile.get(*name).and_then(Value::as_str).is_none_or(str::is_empty))
        .map(|name| format!("{name}: The field cannot be left blank"))
        .collect();
    if let Some(first) = missing.first() {
        let field = first.split(':').next().unwrap_or_default().to_owned();
        return Err(OktaError::validation(&field, missing));
    }
    let login = profile["login"].as_str().unwrap_or_default().to_owned();
    let activate = query.get("activate").is_none_or(|value| value == "true");
    let password = body["credentials"]["password"].is_object();
    let (user, events) = {
        let mut org = shared.org();
        if org.user(&login).is_some() {
            let cause = "login: An object with this field already exists in the current organization".to_owned();
            return Err(OktaError::validation("login", vec![cause]));
        }
        let status = match (activate, password) {
            (false, _) => "STAGED",
            (true, false) => "PROVISIONED",
            (true, true) => "ACTIVE",
        };
        let user = org.add_user(profile, status);
        let mut events = vec![log::event("user.lifecycle.create", "Create okta user", &[log::user(&user)])];
        if activate {
            events.push(log::event("user.lifecycle.activate", "Activate Okta user", &[log::user(&user)]));
        }
        (user, events)
    };
    log::emit(&shared, events);
    Ok(Json(user))
}

async fn list(State(shared): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Json<Vec<Value>> {
    let q = query.get("q").map(|q| q.to_lowercase()).unwrap_or_default();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let starts = |user: &Value, name: &str| {
        user["profile"][name].as_str().is_some_and(|value| value.to_lowercase().starts_with(&q))
    };
    let org = shared.org();
    let users = org.users.values().filter(|user| user["status"] != "DEPROVISIONED");
    let found = users.filter(|user| ["firstName", "lastName", "email"].into_iter().any(|name| starts(user, name)));
    Json(found.take(limit).cloned().collect())
}

async fn read(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let org = shared.org();
    let user = match id.as_str() {
        "me" => org.users.values().next(),
        id => org.user(id),
    };
    user.cloned().map(Json).ok_or_else(|| OktaError::not_found(&id, "User"))
}

async fn groups(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<Json<Vec<Value>>> {
    let org = shared.org();
    let user = org.user(&id).ok_or_else(|| OktaError::not_found(&id, "User"))?;
    let user_id = user["id"].as_str().unwrap_or_default();
    let groups = org.groups.iter().filter(|(id, _)| org.members.get(*id).is_some_and(|set| set.contains(user_id)));
    Ok(Json(groups.map(|(_, group)| group.clone()).collect()))
}

async fn deactivate(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<(StatusCode, Json<Value>)> {
    let event = {
        let mut org = shared.org();
        let user = org.user(&id).cloned().ok_or_else(|| OktaError::not_found(&id, "User"))?;
        if user["status"] == "DEPROVISIONED" {
            return Err(OktaError::activation_refused());
        }
        let key = user["id"].as_str().unwrap_or_default().to_owned();
        if let Some(user) = org.users.get_mut(&key) {
            user["status"] = json!("DEPROVISIONED");
            user["statusChanged"] = json!(now());
        }
        log::event("user.lifecycle.deactivate", "Deactivate Okta user", &[log::user(&user)])
    };
    log::emit(&shared, vec![event]);
    Ok((StatusCode::OK, Json(Value::Object(Map::new()))))
}
