//! Card "Update User": changes a user's profile and credentials, partially or strictly.

use serde_json::{Map, Value};

use super::credentials;
use crate::cards::fields::{self, Violations};
use crate::cards::{Card, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{UpdateSemantics, UpdateUserRequest, UpdateUserResponse};

/// `UserService.UpdateUser`.
#[derive(Debug)]
pub enum UpdateUser {}

impl Card for UpdateUser {
    type Request = UpdateUserRequest;
    type Response = UpdateUserResponse;

    const TITLE: &'static str = "Update User";
    const RPC: &'static str = "UserService.UpdateUser";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/users/{idOrLogin}",
        scope: "okta.users.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &UpdateUserRequest) -> Result<Call> {
        let user = fields::segment("id_or_login", &request.id_or_login)?;
        let strict = match fields::known_enum("semantics", request.semantics)? {
            UpdateSemantics::Strict => true,
            UpdateSemantics::Partial | UpdateSemantics::Unspecified => false,
        };
        check(request, strict)?;
        let mut body = Map::new();
        if let Some(profile) = profile(request)? {
            body.insert("profile".to_owned(), Value::Object(profile));
        }
        let given = request.credentials.as_ref().map(credentials::to_json).unwrap_or_default();
        // The same attributes twice are as good as once; the same password twice may be refused.
        let repeat = if given.is_empty() { Repeat::Safe } else { Repeat::IfNotCarriedOut };
        if !given.is_empty() {
            body.insert("credentials".to_owned(), Value::Object(given));
        }
        let method = if strict { HttpMethod::Put } else { HttpMethod::Post };
        Ok(Call::new(Endpoint { method, repeat, ..Self::ENDPOINT }, &[user]).json(&body))
    }

    fn answer(_: &UpdateUserRequest, answer: &Answer) -> Result<UpdateUserResponse> {
        Ok(UpdateUserResponse { user: Some(project::user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::attribute_of(okta_name)
    }
}

fn check(request: &UpdateUserRequest, strict: bool) -> Result<()> {
    let mut wrong = Violations::default();
    let masked = request.update_mask.as_ref().is_some_and(|mask| !mask.paths.is_empty());
    if strict && masked {
        wrong.add("update_mask", "cannot be given with STRICT, which sets every attribute");
    }
    if strict && request.profile.is_none() {
        wrong.add("profile", "is required with STRICT: every attribute that is not in it is set to null");
    }
    if !masked && request.profile.is_none() && request.credentials.is_none() {
        wrong.add("profile", "is required, or credentials are: there is nothing to update");
    }
    if let Some(credentials) = &request.credentials {
        credentials::check(credentials, &mut wrong);
    }
    wrong.check()
}

/// What is sent of the profile: what is set, or with a mask exactly what it names, null where that is not set.
fn profile(request: &UpdateUserRequest) -> Result<Option<Map<String, Value>>> {
    let set = request.profile.as_ref().map(project::profile_to_json);
    let Some(mask) = request.update_mask.as_ref().filter(|mask| !mask.paths.is_empty()) else { return Ok(set) };
    let set = set.unwrap_or_default();
    let mut sent = Map::new();
    let mut wrong = Violations::default();
    for (at, path) in mask.paths.iter().enumerate() {
        match attribute(path) {
            Some(name) => drop(sent.insert(name.to_owned(), set.get(name).cloned().unwrap_or(Value::Null))),
            None => wrong.add(
                format!("update_mask.paths[{at}]"),
                format!("{path:?} is no attribute; give one such as profile.department or profile.custom.badgeNumber"),
            ),
        }
    }
    wrong.check()?;
    Ok(Some(sent))
}

/// Okta's name of the attribute that a path of the mask names.
fn attribute(path: &str) -> Option<&str> {
    let field = path.strip_prefix("profile.")?;
    match field.strip_prefix("custom.") {
        Some(custom) => (!custom.is_empty() && !custom.contains('.')).then_some(custom),
        None => project::name_of(field),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{FieldMask, Struct};
    use serde_json::json;

    use super::*;
    use crate::proto::UserProfile;

    fn body(request: &UpdateUserRequest) -> Value {
        let call = UpdateUser::call(request).expect("call");
        serde_json::from_slice(&call.body.expect("body")).expect("JSON")
    }

    fn request(profile: UserProfile, paths: &[&str]) -> UpdateUserRequest {
        let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        UpdateUserRequest {
            id_or_login: "00u1".to_owned(),
            profile: Some(profile),
            update_mask: Some(mask),
            ..Default::default()
        }
    }

    #[test]
    fn an_empty_text_is_sent_as_it_is_and_null_only_on_purpose() {
        let profile =
            UserProfile { nick_name: Some(String::new()), title: Some("Dr".to_owned()), ..Default::default() };
        assert_eq!(body(&request(profile.clone(), &[])), json!({ "profile": { "nickName": "", "title": "Dr" } }));
        let masked = body(&request(profile, &["profile.department", "profile.nick_name", "profile.custom.badge"]));
        assert_eq!(masked, json!({ "profile": { "department": null, "nickName": "", "badge": null } }));
    }

    #[test]
    fn an_attribute_of_the_orgs_own_can_be_null_or_an_empty_list() {
        let custom =
            crate::okta::record::to_value(r#"{"badge":null,"skills":[],"tags":[""]}"#).and_then(|value| value.kind);
        let Some(prost_types::value::Kind::StructValue(custom)) = custom else { panic!("no object") };
        let custom: Struct = custom;
        let profile = UserProfile { custom: Some(custom), ..Default::default() };
        assert_eq!(body(&request(profile, &[])), json!({ "profile": { "badge": null, "skills": [], "tags": [""] } }));
    }

    #[test]
    fn strict_is_a_put_and_takes_no_mask() {
        let strict =
            UpdateUserRequest { semantics: UpdateSemantics::Strict.into(), ..request(UserProfile::default(), &[]) };
        assert_eq!(UpdateUser::call(&strict).expect("call").endpoint.method, HttpMethod::Put);
        let masked = UpdateUserRequest {
            semantics: UpdateSemantics::Strict.into(),
            ..request(UserProfile::default(), &["profile.city"])
        };
        assert!(UpdateUser::call(&masked).is_err());
    }

    #[test]
    fn a_mask_that_names_no_attribute_is_refused_with_its_place() {
        for path in ["department", "profile", "profile.nope", "profile.custom.", "profile.custom.a.b", "credentials"] {
            let error = UpdateUser::call(&request(UserProfile::default(), &["profile.city", path])).expect_err(path);
            assert_eq!(error.violations()[0].field, "update_mask.paths[1]");
        }
    }
}
