//! Assignments: <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApplicationUsers/>.

use serde_json::{Map, Value};

use super::add_custom;
use crate::okta::record::{Projection, Record, struct_to_json};
use crate::proto::{AppUser, AppUserCredentials, AppUserProfile, AppUserStatus, AppUserSyncState};

/// The attributes that the cards document: our field, the name that is sent, and the other name that some applications have for it.
/// Every application has a schema of its own; whatever is not here is a custom attribute.
macro_rules! documented_attributes {
    ($use:ident) => {
        $use! {
            formatted: "formatted" | "formattedName", name: "name" | "fullName", nickname: "nickname" | "nickName",
            given_name: "given_name" | "givenName", middle_name: "middle_name" | "middleName",
            family_name: "family_name" | "familyName", email: "email" | "primaryEmail",
            profile_url: "profile_url" | "profileUrl", picture_url: "picture_url" | "pictureUrl",
            website: "website" | "webSite", gender: "gender" | "sex", birthdate: "birthdate" | "birthDate",
            time_zone: "time_zone" | "timeZone", locale_name: "locale_name" | "localeName",
            phone_number: "phone_number" | "phoneNumber", street_address: "street_address" | "streetAddress",
            locality: "locality" | "city", region: "region" | "state", postal_code: "postal_code" | "postalCode",
            country: "country" | "countryCode",
        }
    };
}

macro_rules! attribute_functions {
    ($($field:ident: $name:literal | $other:literal),* $(,)?) => {
        /// A typed field is filled from its own name; from the other one when that is all there is. Whatever is not taken by a
        /// typed field is a custom attribute.
        fn profile(record: &Record<'_>) -> AppUserProfile {
            let mut profile = AppUserProfile::default();
            for (name, raw) in record.members().filter(|(_, raw)| *raw != "null") {
                let is_text = raw.starts_with('"');
                match name {
                    $($name if is_text => profile.$field = record.read_text(name, raw),)*
                    $($other if is_text && record.raw($name).is_none() => profile.$field = record.read_text(name, raw),)*
                    _ => add_custom(&mut profile.custom, name, raw),
                }
            }
            profile
        }

        /// The attributes that are set; one that is given under its own name in `custom` wins.
        pub fn app_profile_to_json(profile: &AppUserProfile) -> Map<String, Value> {
            let custom = profile.custom.as_ref().map(struct_to_json).unwrap_or_default();
            let mut json = Map::new();
            $(if let Some(value) = &profile.$field
                && !custom.contains_key($other)
            {
                json.insert($name.to_owned(), Value::String(value.clone()));
            })*
            json.extend(custom);
            json
        }

        /// The field of a request that Okta means by `name`.
        pub fn app_attribute_of(name: &str) -> String {
            match name {
                $($name => concat!("profile.", stringify!($field)).to_owned(),)*
                "userName" => "credentials.user_name".to_owned(),
                "password" => "credentials.password".to_owned(),
                "id" => "user_id".to_owned(),
                "scope" => "scope".to_owned(),
                custom => format!("profile.custom.{custom}"),
            }
        }
    };
}

documented_attributes!(attribute_functions);

/// An assignment, from the raw JSON of one.
pub fn app_user(raw: &str) -> AppUser {
    let projection = Projection::new();
    let record = projection.record(raw);
    let status = |name: &str| AppUserStatus::from_str_name(&format!("APP_USER_STATUS_{name}"));
    let sync_state = |name: &str| AppUserSyncState::from_str_name(&format!("APP_USER_SYNC_STATE_{name}"));
    let app_user = AppUser {
        id: record.text_or_empty("id"),
        external_id: record.text_or_empty("externalId"),
        created: record.timestamp("created"),
        last_updated: record.timestamp("lastUpdated"),
        scope: record.text_or_empty("scope"),
        status: record.choice("status", status).into(),
        status_changed: record.timestamp("statusChanged"),
        password_changed: record.timestamp("passwordChanged"),
        sync_state: record.choice("syncState", sync_state).into(),
        last_sync: record.timestamp("lastSync"),
        credentials: record.record("credentials").map(|credentials| AppUserCredentials {
            user_name: credentials.text_or_empty("userName"),
            password: credentials.raw("password").is_some(),
        }),
        profile: record.record("profile").as_ref().map(profile),
        raw_body_json: raw.to_owned(),
        projection_errors: Vec::new(),
    };
    drop(record);
    AppUser { projection_errors: projection.into_errors(), ..app_user }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_fills_the_typed_field_and_nothing_is_lost() {
        let raw = r#"{"profile":{"given_name":"A","familyName":"B","street_address":"S","streetAddress":"T","role":["x"],"gender":7}}"#;
        let profile = app_user(raw).profile.expect("profile");
        assert_eq!((profile.given_name.as_deref(), profile.family_name.as_deref()), (Some("A"), Some("B")));
        assert_eq!(profile.street_address.as_deref(), Some("S"));
        let custom = struct_to_json(profile.custom.as_ref().expect("custom"));
        assert_eq!(custom.keys().collect::<Vec<_>>(), ["gender", "role", "streetAddress"]);
    }

    #[test]
    fn a_name_in_custom_wins_over_the_typed_field() {
        let custom = crate::okta::record::to_value(r#"{"givenName":"C","email":null}"#).and_then(|value| value.kind);
        let Some(prost_types::value::Kind::StructValue(custom)) = custom else { panic!("no object") };
        let profile = AppUserProfile {
            given_name: Some("A".to_owned()),
            email: Some("a@b.c".to_owned()),
            custom: Some(custom),
            ..Default::default()
        };
        let json = Value::Object(app_profile_to_json(&profile));
        assert_eq!(json, serde_json::json!({ "givenName": "C", "email": null }));
    }
}
