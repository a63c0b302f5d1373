//! Users, `/api/v1/users` (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/>).

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::edge::object_of;
use super::error::{Answer, OktaError};
use super::expression::{self, Dialect, Operator};
use super::org::{Object, Org, group_target, now, text, user_target};
use super::paging::{Page, Params, limit, page};

const MAX_GROUPS: usize = 20;
const SHORTEST_PASSWORD: usize = 8;
const PROVIDERS: [&str; 6] = ["OKTA", "ACTIVE_DIRECTORY", "LDAP", "FEDERATION", "SOCIAL", "IMPORT"];
/// A page of users, and the most that `q` gives.
const PAGE: usize = 200;
const Q_DEFAULT: usize = 10;

/// `filter`: a few properties, equality only but for times, case counts.
const FILTER: Dialect = Dialect {
    allows: |property, operator| match property {
        "status" | "id" | "profile.login" | "profile.email" | "profile.firstName" | "profile.lastName" => {
            operator == Operator::Eq
        }
        "lastUpdated" => matches!(operator, Operator::Eq | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le),
        _ => false,
    },
    ignore_case: false,
    negation: false,
};

/// `search`: any attribute, every operator but `ne` and `ew`; `co` on a few attributes only; case does not count.
const SEARCH: Dialect = Dialect {
    allows: |property, operator| {
        let known = property.starts_with("profile.")
            || ["id", "status", "created", "activated", "statusChanged", "lastUpdated", "type.id"].contains(&property);
        known
            && match operator {
                Operator::Ne | Operator::Ew => false,
                Operator::Co => {
                    ["profile.firstName", "profile.lastName", "profile.email", "profile.login"].contains(&property)
                }
                _ => true,
            }
    },
    ignore_case: true,
    negation: false,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/users", get(list).post(create))
        .route("/api/v1/users/{user}", get(read).post(update).put(replace).delete(delete))
        .route("/api/v1/users/{user}/groups", get(groups))
}

async fn list(State(shared): State<Shared>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    let given = |name: &str| params.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(q) = given("q") {
        return org.users_starting_with(q, limit(&params, Q_DEFAULT, PAGE)?);
    }
    let (text, dialect) = match (given("search"), given("filter")) {
        (Some(search), _) => (Some(search), SEARCH),
        (None, filter) => (filter, FILTER),
    };
    let wanted = match text {
        Some(text) => Some(expression::parse(text, dialect).ok_or_else(OktaError::invalid_search)?),
        None => None,
    };
    let mut found: Vec<(&str, &Value)> = org
        .users
        .iter()
        .filter(|(_, user)| match &wanted {
            Some(wanted) => wanted.matches(user, dialect),
            // Without an expression the deactivated ones are left out.
            None => user["status"] != "DEPROVISIONED",
        })
        .map(|(id, user)| (id.as_str(), user))
        .collect();
    let limit = limit(&params, PAGE, PAGE)?;
    let Some(sort_by) = given("sortBy").filter(|_| given("search").is_some()) else {
        let items = found.into_iter().map(|(id, user)| (id, user.clone()));
        return Ok(page(&org.url, "/api/v1/users", &params, limit, items));
    };
    let pointer = format!("/{}", sort_by.replace('.', "/"));
    found.sort_by_key(|(_, user)| user.pointer(&pointer).and_then(Value::as_str).unwrap_or_default().to_lowercase());
    if given("sortOrder").is_some_and(|order| order.eq_ignore_ascii_case("desc")) {
        found.reverse();
    }
    // The page begins after a place in the sorted list rather than after an id.
    let keys: Vec<String> = (0..found.len()).map(|place| format!("{place:08}")).collect();
    let items = keys.iter().zip(found).map(|(key, (_, user))| (key.as_str(), user.clone()));
    Ok(page(&org.url, "/api/v1/users", &params, limit, items))
}

async fn create(State(shared): State<Shared>, Query(params): Query<Params>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    let flag = |name: &str, default: bool| params.get(name).map_or(default, |value| value == "true");
    let (activate, with_provider) = (flag("activate", true), flag("provider", false));
    shared.change(|org| org.create_user(&body, activate, with_provider)).map(Json)
}

async fn read(State(shared): State<Shared>, Path(user): Path<String>) -> Answer<Json<Value>> {
    let org = shared.org();
    let id = org.user_id(&user)?;
    Ok(Json(org.users[&id].clone()))
}

async fn update(State(shared): State<Shared>, Path(user): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| org.update_user(&user, &body, false)).map(Json)
}

async fn replace(State(shared): State<Shared>, Path(user): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| org.update_user(&user, &body, true)).map(Json)
}

async fn delete(State(shared): State<Shared>, Path(user): Path<String>) -> Answer<StatusCode> {
    shared.change(|org| org.delete_user(&user)).map(|()| StatusCode::NO_CONTENT)
}

async fn groups(State(shared): State<Shared>, Path(user): Path<String>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    let id = org.user_id(&user)?;
    let own = org.groups.iter().filter(|(group, _)| org.members.get(*group).is_some_and(|all| all.contains(&id)));
    let items = own.map(|(id, group)| (id.as_str(), group.clone()));
    Ok(page(&org.url, &format!("/api/v1/users/{id}/groups"), &params, limit(&params, PAGE, PAGE)?, items))
}

impl Org {
    pub(super) fn user_id(&self, id_or_login: &str) -> Answer<String> {
        self.find_user(id_or_login).ok_or_else(|| OktaError::not_found(id_or_login, "User"))
    }

    fn users_starting_with(&self, q: &str, limit: usize) -> Answer<Page> {
        let q = q.to_lowercase();
        let starts = |user: &Value| {
            let attribute = |name| text(&user["profile"], name).to_lowercase();
            ["firstName", "lastName", "email"].into_iter().any(|name| attribute(name).starts_with(&q))
                || format!("{} {}", attribute("firstName"), attribute("lastName")).starts_with(&q)
        };
        let users = self.users.values().filter(|user| user["status"] != "DEPROVISIONED" && starts(user));
        // There is no next page with q.
        Ok((axum::http::HeaderMap::new(), Json(users.take(limit).cloned().collect())))
    }

    pub(super) fn create_user(&mut self, body: &Value, activate: bool, with_provider: bool) -> Answer<Value> {
        let profile = body["profile"].as_object().cloned().unwrap_or_default();
        let mut wrong = self.check_profile(&profile);
        wrong.extend(check_credentials(&body["credentials"]));
        if wrong.is_empty() {
            wrong.extend(self.taken_login(&profile, ""));
        }
        let groups = group_ids(body)?;
        if let Some(unknown) = groups.iter().find(|group| !self.groups.contains_key(*group)) {
            return Err(OktaError::not_found(unknown, "UserGroup"));
        }
        if !wrong.is_empty() {
            return Err(OktaError::validation(wrong));
        }
        let id = self.new_id("00u");
        let provided = with_provider && text(&body["credentials"]["provider"], "type") != "OKTA";
        let has_password = body["credentials"]["password"].is_object();
        let status = match (activate, has_password || provided) {
            (false, _) => "STAGED",
            (true, false) => "PROVISIONED",
            (true, true) => "ACTIVE",
        };
        let (time, active) = (now(), activate.then(now));
        let user = json!({
            "id": id, "status": status, "created": time, "activated": active, "statusChanged": active,
            "lastLogin": null, "lastUpdated": time, "passwordChanged": has_password.then(now),
            "type": { "id": "otysandbox0000000001" },
            "profile": without_nulls(profile),
            "credentials": credentials(&body["credentials"], &json!({})),
            "_links": { "self": { "href": format!("{}/api/v1/users/{id}", self.url) } },
        });
        self.users.insert(id.clone(), user.clone());
        self.record("user.lifecycle.create", "Create okta user", vec![user_target(&user)]);
        if activate {
            self.record("user.lifecycle.activate", "Activate Okta user", vec![user_target(&user)]);
        }
        self.join_everyone(&id);
        for group in groups {
            self.add_member(&group, &id)?;
        }
        Ok(user)
    }

    /// Partial: what is not given keeps its value and null clears it. Strict: what is not given is cleared too.
    fn update_user(&mut self, id_or_login: &str, body: &Value, strict: bool) -> Answer<Value> {
        let id = self.user_id(id_or_login)?;
        let mut user = self.users[&id].clone();
        if user["status"] == "DEPROVISIONED" {
            return Err(OktaError::not_in_this_status());
        }
        let given = body["profile"].as_object().cloned();
        let mut profile = user["profile"].as_object().cloned().unwrap_or_default();
        if let Some(given) = given {
            match strict {
                true => profile = given,
                false => profile.extend(given),
            }
        }
        let mut wrong = self.check_profile(&profile);
        wrong.extend(check_credentials(&body["credentials"]));
        wrong.extend(self.taken_login(&profile, &id));
        if !wrong.is_empty() {
            return Err(OktaError::validation(wrong));
        }
        user["profile"] = Value::Object(without_nulls(profile));
        user["credentials"] = credentials(&body["credentials"], &user["credentials"]);
        user["lastUpdated"] = json!(now());
        let new_password = body["credentials"]["password"].is_object();
        if new_password {
            user["passwordChanged"] = json!(now());
        }
        self.users.insert(id, user.clone());
        self.record("user.account.update_profile", "Update user profile for Okta", vec![user_target(&user)]);
        if new_password {
            self.record("user.account.update_password", "User update password for Okta", vec![user_target(&user)]);
        }
        Ok(user)
    }

    /// The first time only deactivates.
    fn delete_user(&mut self, id_or_login: &str) -> Answer<()> {
        let id = self.user_id(id_or_login)?;
        let user = self.users[&id].clone();
        if user["status"] != "DEPROVISIONED" {
            return self.deactivate_user(&id);
        }
        if id == self.admin {
            return Err(OktaError::access_denied());
        }
        self.users.remove(&id);
        for members in self.members.values_mut() {
            members.remove(&id);
        }
        let target = user_target(&user);
        self.record("user.lifecycle.delete.initiated", "Delete Okta user initiated", vec![target.clone()]);
        self.record("user.lifecycle.delete.completed", "Delete Okta user completed", vec![target]);
        Ok(())
    }

    fn taken_login(&self, profile: &Object, own_id: &str) -> Option<String> {
        let login = profile.get("login")?.as_str()?.to_lowercase();
        let has = |user: &Value| text(&user["profile"], "login").to_lowercase() == login;
        let taken = self.users.iter().any(|(id, user)| id != own_id && has(user));
        taken.then(|| "login: An object with this field already exists in the current organization".to_owned())
    }

    fn join_everyone(&mut self, user: &str) {
        let everyone = self.groups.iter().find(|(_, group)| group["type"] == "BUILT_IN").map(|(id, _)| id.clone());
        if let Some(everyone) = everyone {
            self.members.entry(everyone).or_default().insert(user.to_owned());
        }
    }

    /// Makes a user a member; nothing happens to one who is.
    pub(super) fn add_member(&mut self, group: &str, user: &str) -> Answer<()> {
        if !self.members.entry(group.to_owned()).or_default().insert(user.to_owned()) {
            return Ok(());
        }
        let targets = vec![user_target(&self.users[user]), group_target(&self.groups[group])];
        self.record("group.user_membership.add", "Add user to group membership", targets);
        self.touch_membership(group);
        Ok(())
    }
}

fn without_nulls(profile: Object) -> Object {
    profile.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn group_ids(body: &Value) -> Answer<Vec<String>> {
    let ids = body["groupIds"].as_array().into_iter().flatten();
    let ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
    if ids.len() > MAX_GROUPS {
        return Err(OktaError::invalid("groupIds", "The number of groups exceeds the maximum of 20"));
    }
    Ok(ids)
}

fn check_credentials(credentials: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let password = &credentials["password"];
    let too_short = |value: &str| value.chars().count() < SHORTEST_PASSWORD;
    if password.is_object() && password["hash"].is_null() && too_short(text(password, "value")) {
        let policy = "Password requirements were not met. Password requirements: at least 8 characters.";
        wrong.push(format!("password: {policy}"));
    }
    let question = &credentials["recovery_question"];
    if question.is_object() && text(question, "question").is_empty() {
        wrong.push("recovery_question: The security question cannot be left blank".to_owned());
    }
    if question.is_object() && text(question, "answer").chars().count() < 4 {
        wrong
            .push("recovery_question: The security question answer must be at least 4 characters in length".to_owned());
    }
    let provider = &credentials["provider"];
    if provider.is_object() && !PROVIDERS.contains(&text(provider, "type")) {
        wrong.push("provider: The provider type is not one of those allowed".to_owned());
    }
    wrong
}

/// What a user's credentials are once `given` has been set: never the secrets themselves.
fn credentials(given: &Value, before: &Value) -> Value {
    let mut shown = before.as_object().cloned().unwrap_or_default();
    if given["password"].is_object() {
        shown.insert("password".to_owned(), json!({}));
    }
    if given["recovery_question"].is_object() {
        shown.insert("recovery_question".to_owned(), json!({ "question": given["recovery_question"]["question"] }));
    }
    let default = json!({ "type": "OKTA", "name": "OKTA" });
    let provider = if given["provider"].is_object() { given["provider"].clone() } else { default };
    if given["provider"].is_object() || !shown.contains_key("provider") {
        shown.insert("provider".to_owned(), provider);
    }
    Value::Object(shown)
}
