//! `/api/v1/groups`.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::Value;

use super::error::OktaError;
use super::{Shared, log};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/groups", get(list))
        .route("/api/v1/groups/{id}", get(read))
        .route("/api/v1/groups/{id}/users", get(members))
        .route("/api/v1/groups/{id}/users/{user}", put(add).delete(remove))
}

async fn list(State(shared): State<Shared>) -> Json<Vec<Value>> {
    Json(shared.org().groups.values().cloned().collect())
}

async fn read(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, OktaError> {
    shared.org().groups.get(&id).cloned().map(Json).ok_or_else(|| OktaError::not_found(&id, "UserGroup"))
}

async fn members(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<(HeaderMap, Json<Vec<Value>>), OktaError> {
    let org = shared.org();
    let members = org.members.get(&id).ok_or_else(|| OktaError::not_found(&id, "UserGroup"))?;
    let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000);
    let after = query.get("after").cloned().unwrap_or_default();
    let mut rest = members.iter().filter(|member| **member > after);
    let page: Vec<&String> = rest.by_ref().take(limit).collect();
    let mut headers = HeaderMap::new();
    if let (Some(last), Some(_)) = (page.last(), rest.next()) {
        let link = format!("<{}/api/v1/groups/{id}/users?after={last}&limit={limit}>; rel=\"next\"", org.url);
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.append("link", link);
        }
    }
    Ok((headers, Json(page.into_iter().filter_map(|id| org.users.get(id).cloned()).collect())))
}

async fn add(state: State<Shared>, path: Path<(String, String)>) -> Result<StatusCode, OktaError> {
    change(state, path, true)
}

async fn remove(state: State<Shared>, path: Path<(String, String)>) -> Result<StatusCode, OktaError> {
    change(state, path, false)
}

fn change(
    State(shared): State<Shared>,
    Path((group, user)): Path<(String, String)>,
    add: bool,
) -> Result<StatusCode, OktaError> {
    let event = {
        let mut org = shared.org();
        let user = org.user(&user).cloned().ok_or_else(|| OktaError::not_found(&user, "User"))?;
        let target = org.groups.get(&group).cloned().ok_or_else(|| OktaError::not_found(&group, "UserGroup"))?;
        let id = user["id"].as_str().unwrap_or_default().to_owned();
        let members = org.members.entry(group).or_default();
        let changed = if add { members.insert(id) } else { members.remove(&id) };
        let (kind, message) = match add {
            true => ("group.user_membership.add", "Add user to group membership"),
            false => ("group.user_membership.remove", "Remove user from group membership"),
        };
        changed.then(|| log::event(kind, message, &[log::user(&user), log::group(&target)]))
    };
    log::emit(&shared, event.into_iter().collect());
    Ok(StatusCode::NO_CONTENT)
}
