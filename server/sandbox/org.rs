//! What the org consists of, and the few things that all of its parts need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::log::{Happening, Log};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The org. Everything is kept as the JSON that Okta would answer.
#[derive(Debug, Default)]
pub(super) struct Org {
    /// Its base URL.
    pub(super) url: String,
    pub(super) company: String,
    pub(super) users: BTreeMap<String, Value>,
    pub(super) groups: BTreeMap<String, Value>,
    /// Members by group.
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
    pub(super) apps: BTreeMap<String, Value>,
    /// Assignments by application and user.
    pub(super) app_users: BTreeMap<String, BTreeMap<String, Value>>,
    /// Attributes of the org's own, by name, as the schema has them.
    pub(super) custom_attributes: Object,
    pub(super) hooks: BTreeMap<String, Value>,
    pub(super) log: Log,
    /// The admin whose API token it is.
    pub(super) admin: String,
    last_id: u64,
}

impl Org {
    /// An org with nobody in it.
    pub(super) fn new(url: String, company: String, custom_attributes: Object) -> Self {
        Self { url, company, custom_attributes, ..Self::default() }
    }

    /// A new id. Ids have Okta's length and prefixes, and ascend, so that lists are in the order of creation.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}sandbox{:010}", self.last_id)
    }

    /// Adds an event about `targets` to the log, done by the admin.
    pub(super) fn record(&mut self, event_type: &str, message: &str, targets: Vec<Value>) {
        let actor = self.users.get(&self.admin).map(user_target).unwrap_or(Value::Null);
        let (event_type, message) = (event_type.to_owned(), message.to_owned());
        let happening = Happening { event_type, message, actor, targets, ..Default::default() };
        self.log.add(happening, jiff::Timestamp::now());
    }

    /// The id of the user called `id_or_login`; `me` is the admin, and a login may come without its domain if that is clear.
    pub(super) fn find_user(&self, id_or_login: &str) -> Option<String> {
        if self.users.contains_key(id_or_login) {
            return Some(id_or_login.to_owned());
        }
        if id_or_login == "me" {
            return Some(self.admin.clone());
        }
        let login = |user: &Value| user["profile"]["login"].as_str().unwrap_or_default().to_lowercase();
        let wanted = id_or_login.to_lowercase();
        if let Some((id, _)) = self.users.iter().find(|(_, user)| login(user) == wanted) {
            return Some(id.clone());
        }
        let mut short = self.users.iter().filter(|(_, user)| login(user).split('@').next() == Some(wanted.as_str()));
        match (short.next(), short.next()) {
            (Some((id, _)), None) => Some(id.clone()),
            _ => None,
        }
    }
}

/// A user as the target or actor of an event.
pub(super) fn user_target(user: &Value) -> Value {
    let profile = &user["profile"];
    let name = |name: &str| profile[name].as_str().unwrap_or_default();
    target(user, "User", &profile["login"], &format!("{} {}", name("firstName"), name("lastName")))
}

/// A group as the target of an event.
pub(super) fn group_target(group: &Value) -> Value {
    target(group, "UserGroup", &json!("unknown"), group["profile"]["name"].as_str().unwrap_or_default())
}

/// An application as the target of an event.
pub(super) fn app_target(app: &Value) -> Value {
    target(app, "AppInstance", &app["label"], app["label"].as_str().unwrap_or_default())
}

/// Any object as the target of an event.
pub(super) fn target(object: &Value, kind: &str, alternate_id: &Value, name: &str) -> Value {
    json!({ "id": object["id"], "type": kind, "alternateId": alternate_id, "displayName": name, "detailEntry": null })
}

/// The time, as Okta writes it.
pub(super) fn now() -> String {
    okta_time(jiff::Timestamp::now())
}

/// A time, as Okta writes it.
pub(super) fn okta_time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A text of a JSON object, empty when there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
