//! Schemas: which attributes users may have, `/api/v1/meta/schemas` (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Schema/>).

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::edge::object_of;
use super::error::{Answer, OktaError};
use super::org::{Object, Org};

/// Okta's standard attributes of a user, in the order of its schema.
const STANDARD: [&str; 31] = [
    "login",
    "firstName",
    "lastName",
    "middleName",
    "honorificPrefix",
    "honorificSuffix",
    "email",
    "title",
    "displayName",
    "nickName",
    "profileUrl",
    "secondEmail",
    "mobilePhone",
    "primaryPhone",
    "streetAddress",
    "city",
    "state",
    "zipCode",
    "countryCode",
    "postalAddress",
    "preferredLanguage",
    "locale",
    "timezone",
    "userType",
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "managerId",
    "manager",
];
const REQUIRED: [&str; 4] = ["login", "firstName", "lastName", "email"];

/// Attributes of an application's users: what an OpenID Connect app has.
const APP_USER: [&str; 20] = [
    "formatted",
    "name",
    "nickname",
    "given_name",
    "middle_name",
    "family_name",
    "email",
    "profile_url",
    "picture_url",
    "website",
    "gender",
    "birthdate",
    "time_zone",
    "locale_name",
    "phone_number",
    "street_address",
    "locality",
    "region",
    "postal_code",
    "country",
];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/meta/schemas/user/{id}", get(user).post(update))
        .route("/api/v1/meta/schemas/apps/{app}/default", get(app_user))
}

async fn user(State(shared): State<Shared>, Path(_): Path<String>) -> Json<Value> {
    Json(shared.org().user_schema())
}

async fn update(State(shared): State<Shared>, Path(_): Path<String>, body: Bytes) -> Answer<Json<Value>> {
    let body = object_of(&body)?;
    let custom = body["definitions"]["custom"]["properties"].as_object().cloned().unwrap_or_default();
    shared.change(|org| {
        for (name, attribute) in custom {
            match attribute {
                Value::Null => drop(org.custom_attributes.remove(&name)),
                attribute => drop(org.custom_attributes.insert(name, attribute)),
            }
        }
        org.record("user_schema.property.update", "Update user schema", Vec::new());
        Ok(Json(org.user_schema()))
    })
}

async fn app_user(State(shared): State<Shared>, Path(app): Path<String>) -> Answer<Json<Value>> {
    let org = shared.org();
    let label = org.apps.get(&app).ok_or_else(|| OktaError::not_found(&app, "AppInstance"))?["label"].clone();
    let properties: Object = APP_USER.into_iter().map(|name| (name.to_owned(), attribute(name, false))).collect();
    Ok(Json(json!({
        "id": format!("{}/meta/schemas/apps/{app}/default", org.url),
        "$schema": "http://json-schema.org/draft-04/schema#",
        "name": "app", "title": format!("{} User", label.as_str().unwrap_or_default()), "type": "object",
        "definitions": {
            "base": { "id": "#base", "type": "object", "properties": properties, "required": [] },
            "custom": { "id": "#custom", "type": "object", "properties": {}, "required": [] },
        },
        "properties": { "profile": { "allOf": [{ "$ref": "#/definitions/custom" }, { "$ref": "#/definitions/base" }] } },
    })))
}

fn attribute(name: &str, required: bool) -> Value {
    json!({
        "title": name, "type": "string", "required": required, "mutability": "READ_WRITE", "scope": "NONE",
        "permissions": [{ "principal": "SELF", "action": "READ_WRITE" }], "master": { "type": "PROFILE_MASTER" },
    })
}

impl Org {
    fn user_schema(&self) -> Value {
        let standard = |name: &str| (name.to_owned(), attribute(name, REQUIRED.contains(&name)));
        let properties: Object = STANDARD.into_iter().map(standard).collect();
        json!({
            "id": format!("{}/meta/schemas/user/default", self.url),
            "$schema": "http://json-schema.org/draft-04/schema#",
            "name": "user", "title": "User", "description": "Okta user profile template", "type": "object",
            "created": "2024-01-01T00:00:00.000Z", "lastUpdated": "2024-01-01T00:00:00.000Z",
            "definitions": {
                "base": { "id": "#base", "type": "object", "properties": properties, "required": REQUIRED },
                "custom": { "id": "#custom", "type": "object", "properties": self.custom_attributes, "required": [] },
            },
            "properties": { "profile": { "allOf": [{ "$ref": "#/definitions/custom" }, { "$ref": "#/definitions/base" }] } },
        })
    }

    /// What is wrong with a profile, each `attribute: what`.
    pub(super) fn check_profile(&self, profile: &Object) -> Vec<String> {
        let mut wrong: Vec<String> = REQUIRED
            .into_iter()
            .filter(|name| profile.get(*name).and_then(Value::as_str).is_none_or(str::is_empty))
            .map(|name| format!("{name}: The field cannot be left blank"))
            .collect();
        wrong.extend(profile.iter().filter_map(|(name, value)| self.check_attribute(name, value)));
        for name in ["login", "email"] {
            let is_address =
                |value: &str| value.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
            if profile.get(name).and_then(Value::as_str).is_some_and(|value| !value.is_empty() && !is_address(value)) {
                wrong.push(format!("{name}: Username must be in the form of an email address"));
            }
        }
        wrong
    }

    fn check_attribute(&self, name: &str, value: &Value) -> Option<String> {
        if value.is_null() {
            return None;
        }
        let kind = match self.custom_attributes.get(name) {
            Some(attribute) => attribute["type"].as_str().unwrap_or("string"),
            None if STANDARD.contains(&name) => "string",
            None => return Some(format!("{name}: Property name does not exist in the schema")),
        };
        let fits = match kind {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            _ => true,
        };
        if !fits {
            return Some(format!("{name}: Property type mismatch, expected {kind}"));
        }
        let allowed = self.custom_attributes.get(name).and_then(|attribute| attribute["enum"].as_array());
        let listed = allowed.is_none_or(|allowed| allowed.contains(value));
        (!listed).then(|| format!("{name}: The value is not one of those allowed"))
    }
}
