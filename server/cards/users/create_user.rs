//! Card "Create User": a user with a profile, and on request with credentials, a provider, groups.

use serde_json::{Map, Value, json};

use crate::cards::fields::{self, Violations};
use crate::cards::{Card, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{
    AuthenticationProvider, AuthenticationProviderType, CreateUserRequest, CreateUserResponse, UserCredentialsInput,
};

/// Okta takes no more groups on creation.
const MAX_GROUPS: usize = 20;

/// `UserService.CreateUser`.
#[derive(Debug)]
pub enum CreateUser {}

impl Card for CreateUser {
    type Request = CreateUserRequest;
    type Response = CreateUserResponse;

    const TITLE: &'static str = "Create User";
    const RPC: &'static str = "UserService.CreateUser";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/users",
        scope: "okta.users.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &CreateUserRequest) -> Result<Call> {
        check(request)?;
        let mut body = Map::new();
        let profile = request.profile.as_ref().map(project::profile_to_json).unwrap_or_default();
        body.insert("profile".to_owned(), Value::Object(profile));
        let credentials = request.credentials.as_ref().map(credentials).unwrap_or_default();
        if !credentials.is_empty() {
            body.insert("credentials".to_owned(), Value::Object(credentials));
        }
        if !request.group_ids.is_empty() {
            body.insert("groupIds".to_owned(), json!(request.group_ids));
        }
        let mut call = Call::new(Self::ENDPOINT, &[]).flag("activate", request.activate.unwrap_or(true));
        if provider(request).is_some() {
            call = call.flag("provider", true);
        }
        Ok(call.json(&body))
    }

    fn answer(_: &CreateUserRequest, answer: &Answer) -> Result<CreateUserResponse> {
        Ok(CreateUserResponse { user: Some(project::user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::attribute_of(okta_name)
    }
}

fn provider(request: &CreateUserRequest) -> Option<&AuthenticationProvider> {
    request.credentials.as_ref()?.provider.as_ref()
}

/// Okta's shape of credentials: only what was given.
fn credentials(input: &UserCredentialsInput) -> Map<String, Value> {
    let mut json = Map::new();
    if let Some(password) = &input.password {
        json.insert("password".to_owned(), json!({ "value": password }));
    }
    if let (Some(question), Some(answer)) = (&input.recovery_question, &input.recovery_answer) {
        json.insert("recovery_question".to_owned(), json!({ "question": question, "answer": answer }));
    }
    if let Some(provider) = &input.provider {
        let name = provider.r#type().as_str_name();
        let kind = name.strip_prefix("AUTHENTICATION_PROVIDER_TYPE_").unwrap_or(name);
        json.insert("provider".to_owned(), json!({ "type": kind, "name": provider_name(provider, kind) }));
    }
    json
}

/// The provider's name; for most types Okta's is that of the type.
fn provider_name<'a>(provider: &'a AuthenticationProvider, kind: &'a str) -> &'a str {
    if provider.name.is_empty() { kind } else { &provider.name }
}

fn check(request: &CreateUserRequest) -> Result<()> {
    let mut wrong = Violations::default();
    let profile = request.profile.as_ref();
    let attribute = |value: fn(&crate::proto::UserProfile) -> Option<&str>| profile.and_then(value);
    wrong.require("profile.first_name", attribute(|profile| profile.first_name.as_deref()));
    wrong.require("profile.last_name", attribute(|profile| profile.last_name.as_deref()));
    wrong.require("profile.email", attribute(|profile| profile.email.as_deref()));
    wrong.require("profile.login", attribute(|profile| profile.login.as_deref()));
    if let Some(credentials) = &request.credentials {
        check_credentials(credentials, &mut wrong);
    }
    if request.group_ids.len() > MAX_GROUPS {
        wrong.add("group_ids", format!("has {} groups, Okta takes {MAX_GROUPS} at most", request.group_ids.len()));
    }
    for (at, group) in request.group_ids.iter().enumerate() {
        if let Err(error) = fields::segment(&format!("group_ids[{at}]"), group) {
            error.violations().iter().for_each(|violation| wrong.add(&violation.field, &violation.description));
        }
    }
    if !request.request_id.is_empty() {
        wrong.add("request_id", "is not supported by this version yet; leave it empty");
    }
    wrong.check()
}

fn check_credentials(credentials: &UserCredentialsInput, wrong: &mut Violations) {
    let given = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    if credentials.password.as_deref() == Some("") {
        wrong.add("credentials.password", "is empty; leave it unset for a user without a password");
    }
    match (given(&credentials.recovery_question), given(&credentials.recovery_answer)) {
        (true, false) => wrong.add("credentials.recovery_answer", "is required when recovery_question is given"),
        (false, true) => wrong.add("credentials.recovery_question", "is required when recovery_answer is given"),
        _ => {}
    }
    let Some(provider) = &credentials.provider else { return };
    use AuthenticationProviderType as Type;
    match Type::try_from(provider.r#type) {
        Err(_) => wrong.add("credentials.provider.type", format!("has no value with the number {}", provider.r#type)),
        Ok(Type::Unspecified) => wrong.add("credentials.provider.type", "is required when a provider is given"),
        Ok(Type::ActiveDirectory | Type::Ldap) if provider.name.is_empty() => {
            wrong.add("credentials.provider.name", "is required: the name of the directory instance");
        }
        Ok(kind) if kind != Type::Okta && given(&credentials.password) => {
            wrong.add("credentials.password", "cannot be given when another provider than OKTA checks it");
        }
        Ok(_) => {}
    }
}
