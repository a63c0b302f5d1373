//! Admin roles: of users, and of service apps
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/RoleAssignmentAUser/>).

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::error::{Answer, OktaError};

/// Okta's standard roles, and what it calls them.
const ROLES: [(&str, &str); 10] = [
    ("SUPER_ADMIN", "Super Administrator"),
    ("ORG_ADMIN", "Organizational Administrator"),
    ("APP_ADMIN", "Application Administrator"),
    ("USER_ADMIN", "Group Administrator"),
    ("HELP_DESK_ADMIN", "Help Desk Administrator"),
    ("READ_ONLY_ADMIN", "Read-Only Administrator"),
    ("MOBILE_ADMIN", "Mobile Administrator"),
    ("API_ACCESS_MANAGEMENT_ADMIN", "API Access Management Administrator"),
    ("REPORT_ADMIN", "Report Administrator"),
    ("GROUP_MEMBERSHIP_ADMIN", "Group Membership Administrator"),
];

/// The label of a role, if there is such a one.
pub(super) fn label(role: &str) -> Option<&'static str> {
    ROLES.iter().find(|(name, _)| *name == role).map(|(_, label)| *label)
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/users/{user}/roles", get(of_user))
        .route("/oauth2/v1/clients/{client}/roles", get(of_client))
}

async fn of_user(State(shared): State<Shared>, Path(user): Path<String>) -> Answer<Json<Vec<Value>>> {
    let org = shared.org();
    let id = org.user_id(&user)?;
    let role = (id == org.admin).then_some("SUPER_ADMIN");
    let created = &org.users[&id]["created"];
    Ok(Json(role.map(|role| assignment(1, role, "USER", created)).into_iter().collect()))
}

async fn of_client(State(shared): State<Shared>, Path(client): Path<String>) -> Answer<Json<Vec<Value>>> {
    let oauth = shared.oauth();
    let role = oauth.role_of(&client).ok_or_else(|| OktaError::not_found(&client, "PublicClientApp"))?;
    let created = json!("2024-01-01T00:00:00.000Z");
    Ok(Json(role.map(|role| assignment(2, role, "CLIENT", &created)).into_iter().collect()))
}

fn assignment(number: u32, role: &str, to: &str, created: &Value) -> Value {
    json!({
        "id": format!("ra1sandbox{number:010}"), "label": label(role), "type": role, "status": "ACTIVE",
        "created": created, "lastUpdated": created, "assignmentType": to, "_links": {},
    })
}
