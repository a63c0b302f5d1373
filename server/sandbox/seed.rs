//! The company that a sandbox begins with: a JSON file, read strictly, played through the same functions as calls are.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::OktaError;
use super::org::{Object, Org};

/// The sandbox's own company.
pub(super) const COMPANY: &str = include_str!("seed.json");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    company: String,
    #[serde(default)]
    custom_attributes: Object,
    #[serde(default)]
    groups: Vec<SeedGroup>,
    #[serde(default)]
    apps: Vec<SeedApp>,
    /// The first one is the admin whose API token it is.
    users: Vec<SeedUser>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedGroup {
    name: String,
    #[serde(default)]
    description: String,
    /// `APP_GROUP` for one that an application manages.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedApp {
    name: String,
    label: String,
    sign_on_mode: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedUser {
    profile: Object,
    /// ACTIVE unless said otherwise.
    status: Option<String>,
    /// Names of groups.
    #[serde(default)]
    groups: Vec<String>,
    /// Labels of applications.
    #[serde(default)]
    apps: Vec<String>,
}

/// The company that `text` describes, at `url`.
pub(super) fn company(text: &str, url: String) -> Result<Org, String> {
    let seed: Seed = serde_json::from_str(text).map_err(|error| format!("the seed cannot be read: {error}"))?;
    let refused = |what: &str, error: OktaError| format!("the seed's {what} is refused: {error:?}");
    let mut org = Org::new(url, seed.company, seed.custom_attributes);
    let everyone = json!({ "name": "Everyone", "description": "All users in your organization" });
    org.create_group(&everyone, "BUILT_IN").map_err(|error| refused("Everyone", error))?;
    for group in &seed.groups {
        let profile = json!({ "name": group.name, "description": group.description });
        let kind = group.kind.as_deref().unwrap_or("OKTA_GROUP");
        org.create_group(&profile, kind).map_err(|error| refused(&group.name, error))?;
    }
    for app in &seed.apps {
        org.create_app(&app.name, &app.label, &app.sign_on_mode);
    }
    if seed.users.is_empty() {
        return Err("the seed has no user; the first one is the admin whose API token it is".to_owned());
    }
    for user in seed.users {
        add_user(&mut org, user)?;
    }
    org.log.clear();
    Ok(org)
}

fn add_user(org: &mut Org, seed: SeedUser) -> Result<(), String> {
    let name = seed.profile.get("login").and_then(Value::as_str).unwrap_or("user without a login").to_owned();
    let refused = |error: OktaError| format!("the seed's user {name} is refused: {error:?}");
    let body = json!({ "profile": seed.profile, "credentials": { "password": { "value": "Sandbox-1234" } } });
    let user = org.create_user(&body, true, false).map_err(refused)?;
    let id = user["id"].as_str().unwrap_or_default().to_owned();
    if org.admin.is_empty() {
        org.admin.clone_from(&id);
    }
    for group in &seed.groups {
        let found = org.groups.iter().find(|(_, other)| other["profile"]["name"] == group.as_str());
        let group = found.map(|(id, _)| id.clone()).ok_or_else(|| format!("the seed has no group {group:?}"))?;
        org.add_member(&group, &id).map_err(refused)?;
    }
    for app in &seed.apps {
        let found = org.apps.iter().find(|(_, other)| other["label"] == app.as_str());
        let app = found.map(|(id, _)| id.clone()).ok_or_else(|| format!("the seed has no application {app:?}"))?;
        org.assign(&app, &json!({ "id": id })).map_err(refused)?;
    }
    if let (Some(status), Some(user)) = (seed.status, org.users.get_mut(&id)) {
        user["status"] = json!(status);
    }
    Ok(())
}
