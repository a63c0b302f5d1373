//! Groups: <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Group/>.

use super::add_custom;
use crate::okta::record::{Projection, Record};
use crate::proto::{Group, GroupProfile, GroupType};

/// A group, from the raw JSON of one.
pub fn group(raw: &str) -> Group {
    let projection = Projection::new();
    let record = projection.record(raw);
    let group = Group {
        id: record.text_or_empty("id"),
        created: record.timestamp("created"),
        last_updated: record.timestamp("lastUpdated"),
        last_membership_updated: record.timestamp("lastMembershipUpdated"),
        object_class: record.texts("objectClass"),
        r#type: record.choice("type", |name| GroupType::from_str_name(&format!("GROUP_TYPE_{name}"))).into(),
        profile: record.record("profile").as_ref().map(profile),
        raw_body_json: raw.to_owned(),
        projection_errors: Vec::new(),
    };
    drop(record);
    Group { projection_errors: projection.into_errors(), ..group }
}

fn profile(record: &Record<'_>) -> GroupProfile {
    let mut profile = GroupProfile::default();
    for (name, raw) in record.members().filter(|(_, raw)| *raw != "null") {
        match name {
            "name" => profile.name = record.read_text(name, raw),
            "description" => profile.description = record.read_text(name, raw),
            _ => add_custom(&mut profile.custom, name, raw),
        }
    }
    profile
}
