//! Groups and their members, `/api/v1/groups`
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Group/>).

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::edge::object_of;
use super::error::{Answer, OktaError};
use super::expression::{self, Dialect, Operator};
use super::org::{Org, group_target, now, text, user_target};
use super::paging::{Page, Params, limit, page};

const PAGE: usize = 10_000;
const Q_PAGE: usize = 300;
const MEMBERS_PAGE: usize = 1000;

/// `filter` and `search` differ little for groups: type, id, times, and with `search` the profile.
const SEARCH: Dialect = Dialect {
    allows: |property, operator| match property {
        "type" | "id" => operator == Operator::Eq,
        "lastUpdated" | "lastMembershipUpdated" | "created" => {
            matches!(operator, Operator::Eq | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le)
        }
        property => property.starts_with("profile.") && !matches!(operator, Operator::Ne | Operator::Ew),
    },
    ignore_case: true,
    negation: false,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/groups", get(list).post(create))
        .route("/api/v1/groups/{group}", get(read).put(replace).delete(delete))
        .route("/api/v1/groups/{group}/users", get(members))
        .route("/api/v1/groups/{group}/users/{user}", put(add).delete(remove))
}

async fn list(State(shared): State<Shared>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    let given = |name: &str| params.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(q) = given("q") {
        let q = q.to_lowercase();
        let starts = |group: &&Value| text(&group["profile"], "name").to_lowercase().starts_with(&q);
        let found = org.groups.values().filter(starts).take(limit(&params, Q_PAGE, Q_PAGE)?);
        // There is no next page with q.
        return Ok((axum::http::HeaderMap::new(), Json(found.cloned().collect())));
    }
    let wanted = match given("search").or(given("filter")) {
        Some(text) => Some(expression::parse(text, SEARCH).ok_or_else(OktaError::invalid_search)?),
        None => None,
    };
    let found = org.groups.iter().filter(|(_, group)| wanted.as_ref().is_none_or(|all| all.matches(group, SEARCH)));
    let items = found.map(|(id, group)| (id.as_str(), group.clone()));
    Ok(page(&org.url, "/api/v1/groups", &params, limit(&params, PAGE, PAGE)?, items))
}

async fn create(State(shared): State<Shared>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| {
        let group = org.create_group(&body["profile"], "OKTA_GROUP")?;
        org.record("group.lifecycle.create", "Create Okta group", vec![group_target(&group)]);
        Ok(Json(group))
    })
}

async fn read(State(shared): State<Shared>, Path(group): Path<String>) -> Answer<Json<Value>> {
    shared.org().group(&group).cloned().map(Json)
}

async fn replace(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    shared.change(|org| {
        let mut group = org.changeable_group(&id)?.clone();
        org.check_name(&body["profile"], &id)?;
        group["profile"] = body["profile"].clone();
        group["lastUpdated"] = json!(now());
        org.groups.insert(id, group.clone());
        org.record("group.profile.update", "Update group profile", vec![group_target(&group)]);
        Ok(Json(group))
    })
}

async fn delete(State(shared): State<Shared>, Path(id): Path<String>) -> Answer<StatusCode> {
    shared.change(|org| {
        let group = org.changeable_group(&id)?.clone();
        org.groups.remove(&id);
        org.members.remove(&id);
        org.record("group.lifecycle.delete", "Delete Okta group", vec![group_target(&group)]);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn members(
    State(shared): State<Shared>,
    Path(group): Path<String>,
    Query(params): Query<Params>,
) -> Answer<Page> {
    let org = shared.org();
    org.group(&group)?;
    let members = org.members.get(&group).into_iter().flatten();
    let items = members.filter_map(|id| Some((id.as_str(), org.users.get(id)?.clone())));
    let path = format!("/api/v1/groups/{group}/users");
    Ok(page(&org.url, &path, &params, limit(&params, MEMBERS_PAGE, MEMBERS_PAGE)?, items))
}

async fn add(State(shared): State<Shared>, Path((group, user)): Path<(String, String)>) -> Answer<StatusCode> {
    shared.change(|org| {
        org.changeable_group(&group)?;
        let user = org.user_id(&user)?;
        org.add_member(&group, &user)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn remove(State(shared): State<Shared>, Path((group, user)): Path<(String, String)>) -> Answer<StatusCode> {
    shared.change(|org| {
        org.changeable_group(&group)?;
        let user = org.user_id(&user)?;
        org.remove_member(&group, &user);
        Ok(StatusCode::NO_CONTENT)
    })
}

impl Org {
    pub(super) fn group(&self, id: &str) -> Answer<&Value> {
        self.groups.get(id).ok_or_else(|| OktaError::not_found(id, "UserGroup"))
    }

    /// A group that can be changed here: Okta and applications manage their own.
    fn changeable_group(&self, id: &str) -> Answer<&Value> {
        let group = self.group(id)?;
        match text(group, "type") {
            "OKTA_GROUP" => Ok(group),
            "BUILT_IN" => Err(OktaError::unsupported()),
            _ => Err(OktaError::access_denied()),
        }
    }

    pub(super) fn create_group(&mut self, profile: &Value, kind: &str) -> Answer<Value> {
        self.check_name(profile, "")?;
        let id = self.new_id("00g");
        let class = if kind == "APP_GROUP" { "okta:windows_security_principal" } else { "okta:user_group" };
        let (time, url) = (now(), &self.url);
        let group = json!({
            "id": id, "created": time, "lastUpdated": time, "lastMembershipUpdated": time,
            "objectClass": [class], "type": kind, "profile": profile,
            "_links": {
                "users": { "href": format!("{url}/api/v1/groups/{id}/users") },
                "apps": { "href": format!("{url}/api/v1/groups/{id}/apps") },
            },
        });
        self.groups.insert(id.clone(), group.clone());
        self.members.insert(id, Default::default());
        Ok(group)
    }

    fn check_name(&self, profile: &Value, own_id: &str) -> Answer<()> {
        let name = text(profile, "name");
        if name.is_empty() {
            return Err(OktaError::invalid("name", "The field cannot be left blank"));
        }
        let taken = self.groups.iter().any(|(id, group)| id != own_id && text(&group["profile"], "name") == name);
        if taken {
            let what = "An object with this field already exists in the current organization";
            return Err(OktaError::invalid("name", what));
        }
        Ok(())
    }

    fn remove_member(&mut self, group: &str, user: &str) {
        if !self.members.get_mut(group).is_some_and(|members| members.remove(user)) {
            return;
        }
        let targets = vec![user_target(&self.users[user]), group_target(&self.groups[group])];
        self.record("group.user_membership.remove", "Remove user from group membership", targets);
        self.touch_membership(group);
    }

    pub(super) fn touch_membership(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group["lastMembershipUpdated"] = json!(now());
        }
    }
}
