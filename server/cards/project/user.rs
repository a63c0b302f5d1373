//! Users: <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/>.

use serde_json::{Map, Value};

use super::add_custom;
use crate::okta::record::{Projection, Record, struct_to_json};
use crate::proto::{
    AuthenticationProvider, AuthenticationProviderType, User, UserCredentials, UserEmail, UserProfile, UserStatus,
};

/// The 31 standard attributes: our field, Okta's name. Reading, writing and naming them all go by this one table.
macro_rules! standard_attributes {
    ($use:ident) => {
        $use! {
            city: "city", cost_center: "costCenter", country_code: "countryCode", department: "department",
            display_name: "displayName", division: "division", email: "email", employee_number: "employeeNumber",
            first_name: "firstName", honorific_prefix: "honorificPrefix", honorific_suffix: "honorificSuffix",
            last_name: "lastName", locale: "locale", login: "login", manager: "manager", manager_id: "managerId",
            middle_name: "middleName", mobile_phone: "mobilePhone", nick_name: "nickName", organization: "organization",
            postal_address: "postalAddress", preferred_language: "preferredLanguage", primary_phone: "primaryPhone",
            profile_url: "profileUrl", second_email: "secondEmail", state: "state", street_address: "streetAddress",
            timezone: "timezone", title: "title", user_type: "userType", zip_code: "zipCode",
        }
    };
}

macro_rules! attribute_functions {
    ($($field:ident: $name:literal),* $(,)?) => {
        fn profile(record: &Record<'_>) -> UserProfile {
            let mut profile = UserProfile::default();
            for (name, raw) in record.members().filter(|(_, raw)| *raw != "null") {
                match name {
                    $($name => profile.$field = record.read_text(name, raw),)*
                    _ => add_custom(&mut profile.custom, name, raw),
                }
            }
            profile
        }

        /// The attributes that are set, under Okta's names. An attribute of the org's own comes under its own name, and one
        /// that is null is sent as null.
        pub fn profile_to_json(profile: &UserProfile) -> Map<String, Value> {
            let mut json = profile.custom.as_ref().map(struct_to_json).unwrap_or_default();
            $(if let Some(value) = &profile.$field {
                json.insert($name.to_owned(), Value::String(value.clone()));
            })*
            json
        }

        /// Okta's name of a standard attribute, by our field.
        pub fn name_of(field: &str) -> Option<&'static str> {
            match field {
                $(stringify!($field) => Some($name),)*
                _ => None,
            }
        }

        /// The standard attributes that are set, each with Okta's name.
        pub fn standard(profile: &UserProfile) -> impl Iterator<Item = (&'static str, &str)> {
            [$(($name, profile.$field.as_deref()),)*].into_iter().filter_map(|(name, value)| Some((name, value?)))
        }

        /// The field of a request's profile that Okta means by `name`.
        pub fn attribute_of(name: &str) -> String {
            match name {
                $($name => concat!("profile.", stringify!($field)).to_owned(),)*
                "password" => "credentials.password".to_owned(),
                "question" | "recovery_question" => "credentials.recovery_question".to_owned(),
                "answer" => "credentials.recovery_answer".to_owned(),
                "groupIds" => "group_ids".to_owned(),
                custom => format!("profile.custom.{custom}"),
            }
        }
    };
}

standard_attributes!(attribute_functions);

/// A user, from the raw JSON of one.
pub fn user(raw: &str) -> User {
    let projection = Projection::new();
    let record = projection.record(raw);
    let user = User {
        id: record.text_or_empty("id"),
        status: record.choice("status", |name| UserStatus::from_str_name(&format!("USER_STATUS_{name}"))).into(),
        created: record.timestamp("created"),
        activated: record.timestamp("activated"),
        status_changed: record.timestamp("statusChanged"),
        last_login: record.timestamp("lastLogin"),
        last_updated: record.timestamp("lastUpdated"),
        password_changed: record.timestamp("passwordChanged"),
        profile: record.record("profile").as_ref().map(profile),
        credentials: record.record("credentials").as_ref().map(credentials),
        type_id: record.record("type").map(|kind| kind.text_or_empty("id")).unwrap_or_default(),
        raw_body_json: raw.to_owned(),
        projection_errors: Vec::new(),
    };
    drop(record);
    User { projection_errors: projection.into_errors(), ..user }
}

fn credentials(record: &Record<'_>) -> UserCredentials {
    let email = |email: Record<'_>| UserEmail {
        value: email.text_or_empty("value"),
        status: email.text_or_empty("status"),
        r#type: email.text_or_empty("type"),
    };
    UserCredentials {
        emails: record.records("emails").into_iter().map(email).collect(),
        password: record.raw("password").is_some(),
        recovery_question: record
            .record("recovery_question")
            .map(|question| question.text_or_empty("question"))
            .unwrap_or_default(),
        provider: record.record("provider").map(|provider| AuthenticationProvider {
            r#type: provider.choice("type", provider_type).into(),
            name: provider.text_or_empty("name"),
        }),
    }
}

fn provider_type(name: &str) -> Option<AuthenticationProviderType> {
    AuthenticationProviderType::from_str_name(&format!("AUTHENTICATION_PROVIDER_TYPE_{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_attribute_goes_out_under_the_name_it_came_in_with() {
        macro_rules! names { ($($field:ident: $name:literal),* $(,)?) => { [$($name),*] }; }
        let names = standard_attributes!(names);
        assert_eq!(names.len(), 31);
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":\"{name}!\"")).collect();
        let raw = format!("{{\"profile\":{{{},\"badge\":7,\"gone\":null}}}}", members.join(","));
        let profile = user(&raw).profile.expect("profile");
        assert_eq!(profile.custom.as_ref().expect("custom").fields.len(), 1);
        let json = profile_to_json(&profile);
        assert_eq!(json.len(), 32);
        assert!(names.iter().all(|name| json[*name] == format!("{name}!")));
        assert_eq!(json["badge"], 7);
    }

    #[test]
    fn an_odd_user_is_still_a_user() {
        let user = user(
            r#"{"id":"00u1","status":"NEW","created":5,"profile":{"city":["x"],"login":"a@b.c"},"credentials":null}"#,
        );
        assert_eq!(user.id, "00u1");
        assert_eq!(user.status(), UserStatus::Unspecified);
        assert_eq!(user.profile.expect("profile").login.as_deref(), Some("a@b.c"));
        let fields: Vec<&str> = user.projection_errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["status", "created", "profile.city"]);
    }
}
