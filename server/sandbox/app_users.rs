//! Assignments of users to applications, `/api/v1/apps/{id}/users`
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApplicationUsers/>).

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::edge::object_of;
use super::error::{Answer, OktaError};
use super::org::{Object, Org, app_target, now, target, text, user_target};
use super::paging::{Page, Params, limit, page};

const PAGE: usize = 500;
const DEFAULT_PAGE: usize = 50;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/apps/{app}/users", get(list).post(assign))
        .route("/api/v1/apps/{app}/users/{user}", get(read).post(update).delete(remove))
}

async fn list(State(shared): State<Shared>, Path(app): Path<String>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    org.app(&app)?;
    let q = params.get("q").map(|q| q.to_lowercase()).unwrap_or_default();
    let starts = |id: &str| {
        let profile = org.users.get(id).map(|user| &user["profile"]);
        let attribute = |name| profile.map(|profile| text(profile, name).to_lowercase()).unwrap_or_default();
        ["firstName", "lastName", "email", "login"].into_iter().any(|name| attribute(name).starts_with(&q))
    };
    let assigned = org.app_users.get(&app).into_iter().flatten().filter(|(id, _)| q.is_empty() || starts(id));
    let items = assigned.map(|(id, app_user)| (id.as_str(), app_user.clone()));
    let path = format!("/api/v1/apps/{app}/users");
    Ok(page(&org.url, &path, &params, limit(&params, DEFAULT_PAGE, PAGE)?, items))
}

async fn assign(State(shared): State<Shared>, Path(app): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| org.assign(&app, &body)).map(Json)
}

async fn read(State(shared): State<Shared>, Path((app, user)): Path<(String, String)>) -> Answer<Json<Value>> {
    shared.org().app_user(&app, &user).cloned().map(Json)
}

async fn update(
    State(shared): State<Shared>,
    Path((app, user)): Path<(String, String)>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| org.update_app_user(&app, &user, &body)).map(Json)
}

async fn remove(State(shared): State<Shared>, Path((app, user)): Path<(String, String)>) -> Answer<StatusCode> {
    shared.change(|org| {
        let assigned = org.app_user(&app, &user)?;
        if assigned["scope"] == "GROUP" {
            return Err(OktaError::unsupported());
        }
        org.unassign(&app, &user);
        Ok(StatusCode::NO_CONTENT)
    })
}

impl Org {
    fn app_user(&self, app: &str, user: &str) -> Answer<&Value> {
        self.app(app)?;
        let found = self.app_users.get(app).and_then(|users| users.get(user));
        found.ok_or_else(|| OktaError::not_found(user, "AppUser"))
    }

    pub(super) fn assign(&mut self, app: &str, body: &Value) -> Answer<Value> {
        let instance = self.app(app)?.clone();
        let user_id = text(body, "id");
        let user = self.users.get(user_id).cloned().ok_or_else(|| OktaError::not_found(user_id, "User"))?;
        let scope = if text(body, "scope").is_empty() { "USER" } else { text(body, "scope") };
        check_password(&instance, body)?;
        let mut profile = mapped(&user);
        profile.extend(body["profile"].as_object().cloned().unwrap_or_default());
        let login = user["profile"]["login"].clone();
        let given = &body["credentials"]["userName"];
        let mut credentials = json!({ "userName": if given.is_null() { login } else { given.clone() } });
        if body["credentials"]["password"].is_object() {
            credentials["password"] = json!({});
        }
        let (time, url) = (now(), &self.url);
        let app_user = json!({
            "id": user_id, "externalId": null, "created": time, "lastUpdated": time, "scope": scope, "status": "ACTIVE",
            "statusChanged": time, "passwordChanged": null, "syncState": "DISABLED", "lastSync": null,
            "credentials": credentials, "profile": profile,
            "_links": {
                "app": { "href": format!("{url}/api/v1/apps/{app}") }, "user": { "href": format!("{url}/api/v1/users/{user_id}") },
            },
        });
        self.app_users.entry(app.to_owned()).or_default().insert(user_id.to_owned(), app_user.clone());
        let targets = membership_targets(&instance, &user, &app_user);
        self.record("application.user_membership.add", "Add user to application membership", targets);
        Ok(app_user)
    }

    fn update_app_user(&mut self, app: &str, user: &str, body: &Value) -> Answer<Value> {
        let mut app_user = self.app_user(app, user)?.clone();
        check_password(self.app(app)?, body)?;
        if let Some(profile) = app_user["profile"].as_object_mut() {
            for (name, value) in body["profile"].as_object().cloned().unwrap_or_default() {
                match value {
                    Value::Null => drop(profile.remove(&name)),
                    value => drop(profile.insert(name, value)),
                }
            }
        }
        if !body["credentials"]["userName"].is_null() {
            app_user["credentials"]["userName"] = body["credentials"]["userName"].clone();
        }
        if body["credentials"]["password"].is_object() {
            app_user["credentials"]["password"] = json!({});
            app_user["passwordChanged"] = json!(now());
        }
        app_user["lastUpdated"] = json!(now());
        self.app_users.entry(app.to_owned()).or_default().insert(user.to_owned(), app_user.clone());
        let targets = membership_targets(&self.apps[app], &self.users[user], &app_user);
        let event_type = "application.user_membership.change_username";
        self.record(event_type, "Change users application username", targets);
        Ok(app_user)
    }

    pub(super) fn unassign(&mut self, app: &str, user: &str) {
        let Some(app_user) = self.app_users.get_mut(app).and_then(|users| users.remove(user)) else { return };
        let targets = membership_targets(&self.apps[app], &self.users[user], &app_user);
        self.record("application.user_membership.remove", "Remove user's application membership", targets);
    }
}

fn membership_targets(app: &Value, user: &Value, app_user: &Value) -> Vec<Value> {
    let name = user_target(user);
    let alternate_id = &app_user["credentials"]["userName"];
    vec![target(app_user, "AppUser", alternate_id, text(&name, "displayName")), app_target(app), name]
}

/// What the org's mappings make of a user's own profile.
fn mapped(user: &Value) -> Object {
    let profile = &user["profile"];
    let name = [text(profile, "firstName"), text(profile, "lastName")].join(" ");
    let mapped = json!({
        "name": name, "given_name": profile["firstName"], "family_name": profile["lastName"], "email": profile["email"],
    });
    mapped.as_object().cloned().unwrap_or_default()
}

/// Only applications that keep passwords of their own take one.
fn check_password(app: &Value, body: &Value) -> Answer<()> {
    let takes_password = text(&app["credentials"], "scheme") == "EDIT_USERNAME_AND_PASSWORD";
    if body["credentials"]["password"].is_object() && !takes_password {
        let what = "The password cannot be set for an application with this sign-on mode";
        return Err(OktaError::invalid("password", what));
    }
    Ok(())
}
