//! What the org consists of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

#[derive(Debug, Default)]
pub(super) struct Org {
    pub(super) url: String,
    pub(super) users: BTreeMap<String, Value>,
    pub(super) groups: BTreeMap<String, Value>,
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
    pub(super) hooks: BTreeMap<String, Value>,
    next_id: u64,
}

impl Org {
    pub(super) fn seeded(url: String) -> Self {
        let mut org = Self { url, ..Self::default() };
        let people =
            [("Ada", "Lovelace", "Engineering"), ("Bob", "Ross", "Design"), ("Grace", "Hopper", "Engineering")];
        for (first, last, department) in people {
            let email = format!("{}.{}@acme.example", first.to_lowercase(), last.to_lowercase());
            let profile = json!({ "firstName": first, "lastName": last, "email": email, "login": email, "department": department });
            org.add_user(profile.as_object().cloned().unwrap_or_default(), "ACTIVE");
        }
        for (name, description) in
            [("Everyone", "All users"), ("Engineering", "Those who build"), ("Sales", "Those who sell")]
        {
            let id = org.id("00g");
            let kind = if name == "Everyone" { "BUILT_IN" } else { "OKTA_GROUP" };
            let group = json!({
                "id": id, "created": now(), "lastUpdated": now(), "lastMembershipUpdated": now(),
                "objectClass": ["okta:user_group"], "type": kind,
                "profile": { "name": name, "description": description },
            });
            org.groups.insert(id.clone(), group);
            org.members.insert(id, BTreeSet::new());
        }
        org
    }

    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:0>17}", self.next_id)
    }

    pub(super) fn add_user(&mut self, profile: Map<String, Value>, status: &str) -> Value {
        let id = self.id("00u");
        let active = (status == "ACTIVE").then(now);
        let user = json!({
            "id": id, "status": status, "created": now(), "activated": active, "statusChanged": active,
            "lastLogin": null, "lastUpdated": now(), "passwordChanged": null, "type": { "id": "oty1" },
            "profile": profile,
            "credentials": { "provider": { "type": "OKTA", "name": "OKTA" } },
            "_links": { "self": { "href": format!("{}/api/v1/users/{id}", self.url) } },
        });
        self.users.insert(id, user.clone());
        user
    }

    pub(super) fn user(&self, id_or_login: &str) -> Option<&Value> {
        self.users.get(id_or_login).or_else(|| self.users.values().find(|user| user["profile"]["login"] == id_or_login))
    }
}

pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
