//! The bodies of assignments, in Okta's shape.

use serde_json::{Map, Value, json};

use crate::cards::project;
use crate::error::{Error, Result};
use crate::proto::{AppUserCredentialsInput, AppUserProfile};

/// The scope that today's orgs take.
const DEFAULT_SCOPE: &str = "USER";
const MAX_SCOPE: usize = 64;

/// Assigns `user`; an empty scope is the default one.
pub(super) fn assignment(
    user: &str,
    scope: &str,
    credentials: Option<&AppUserCredentialsInput>,
    profile: Option<&AppUserProfile>,
) -> Result<Map<String, Value>> {
    if scope.len() > MAX_SCOPE || scope.chars().any(char::is_control) {
        return Err(Error::invalid("scope", "is no scope; leave it empty for USER"));
    }
    let mut body = update(credentials, profile);
    body.insert("id".to_owned(), json!(user));
    body.insert("scope".to_owned(), json!(if scope.is_empty() { DEFAULT_SCOPE } else { scope }));
    Ok(body)
}

/// Changes what is given.
pub(super) fn update(
    credentials: Option<&AppUserCredentialsInput>,
    profile: Option<&AppUserProfile>,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut given = Map::new();
    if let Some(user_name) = credentials.and_then(|credentials| credentials.user_name.as_ref()) {
        given.insert("userName".to_owned(), json!(user_name));
    }
    if let Some(password) = credentials.and_then(|credentials| credentials.password.as_ref()) {
        given.insert("password".to_owned(), json!({ "value": password }));
    }
    if !given.is_empty() {
        body.insert("credentials".to_owned(), Value::Object(given));
    }
    let profile = profile.map(project::app_profile_to_json).unwrap_or_default();
    if !profile.is_empty() {
        body.insert("profile".to_owned(), Value::Object(profile));
    }
    body
}
