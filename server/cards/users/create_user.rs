//! Card "Create User": a user with a profile, and on request with credentials, a provider, groups.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{ReadUser, credentials};
use crate::cards::fields::{self, Violations};
use crate::cards::{Card, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{AuthenticationProvider, CreateUserRequest, CreateUserResponse};

/// Okta takes no more groups on creation.
const MAX_GROUPS: usize = 20;
/// A user that was created before the request was sent is somebody else's; Okta's clock may be a little behind ours.
const CLOCKS_APART: Duration = Duration::from_secs(10);

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
        let given = request.credentials.as_ref().map(credentials::to_json).unwrap_or_default();
        if !given.is_empty() {
            body.insert("credentials".to_owned(), Value::Object(given));
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

    fn request_id(request: &CreateUserRequest) -> &str {
        &request.request_id
    }

    /// No two users have the same login.
    fn find_out(request: &CreateUserRequest) -> Option<Call> {
        let login = request.profile.as_ref()?.login.as_deref()?;
        Some(Call::new(ReadUser::ENDPOINT, &[login]))
    }

    fn found_out(_: &CreateUserRequest, answer: &Answer, since: SystemTime) -> Option<CreateUserResponse> {
        let user = project::user(answer.object().ok()?);
        let created = SystemTime::try_from(user.created?).ok()?;
        (created + CLOCKS_APART >= since).then_some(CreateUserResponse { user: Some(user) })
    }

    fn field(okta_name: &str) -> String {
        project::attribute_of(okta_name)
    }
}

fn provider(request: &CreateUserRequest) -> Option<&AuthenticationProvider> {
    request.credentials.as_ref()?.provider.as_ref()
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
        credentials::check(credentials, &mut wrong);
    }
    if request.group_ids.len() > MAX_GROUPS {
        wrong.add("group_ids", format!("has {} groups, Okta takes {MAX_GROUPS} at most", request.group_ids.len()));
    }
    for (at, group) in request.group_ids.iter().enumerate() {
        if let Err(error) = fields::segment(&format!("group_ids[{at}]"), group) {
            error.violations().iter().for_each(|violation| wrong.add(&violation.field, &violation.description));
        }
    }
    wrong.check()
}
