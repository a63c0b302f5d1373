//! Card "Update App Credentials for an Assigned User": changes the username or password in the application.

use super::body;
use crate::cards::{Card, fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{UpdateAppCredentialsForAssignedUserRequest, UpdateAppCredentialsForAssignedUserResponse};

/// `ApplicationService.UpdateAppCredentialsForAssignedUser`.
#[derive(Debug)]
pub enum UpdateAppCredentialsForAssignedUser {}

impl Card for UpdateAppCredentialsForAssignedUser {
    type Request = UpdateAppCredentialsForAssignedUserRequest;
    type Response = UpdateAppCredentialsForAssignedUserResponse;

    const TITLE: &'static str = "Update App Credentials for an Assigned User";
    const RPC: &'static str = "ApplicationService.UpdateAppCredentialsForAssignedUser";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/apps/{appId}/users/{userId}",
        scope: "okta.apps.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &UpdateAppCredentialsForAssignedUserRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        let body = body::update(request.credentials.as_ref(), None);
        if body.is_empty() {
            return Err(Error::invalid("credentials", "is required: there is nothing to update"));
        }
        Ok(Call::new(Self::ENDPOINT, &[app, user]).json(&body))
    }

    fn answer(
        _: &UpdateAppCredentialsForAssignedUserRequest,
        answer: &Answer,
    ) -> Result<UpdateAppCredentialsForAssignedUserResponse> {
        Ok(UpdateAppCredentialsForAssignedUserResponse { app_user: Some(project::app_user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::app_attribute_of(okta_name)
    }
}
