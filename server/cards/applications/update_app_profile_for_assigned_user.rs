//! Card "Update App Profile for an Assigned User": changes the user's attributes in the application, and keeps the rest.

use super::body;
use crate::cards::{Card, fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{UpdateAppProfileForAssignedUserRequest, UpdateAppProfileForAssignedUserResponse};

/// `ApplicationService.UpdateAppProfileForAssignedUser`.
#[derive(Debug)]
pub enum UpdateAppProfileForAssignedUser {}

impl Card for UpdateAppProfileForAssignedUser {
    type Request = UpdateAppProfileForAssignedUserRequest;
    type Response = UpdateAppProfileForAssignedUserResponse;

    const TITLE: &'static str = "Update App Profile for an Assigned User";
    const RPC: &'static str = "ApplicationService.UpdateAppProfileForAssignedUser";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/apps/{appId}/users/{userId}",
        scope: "okta.apps.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &UpdateAppProfileForAssignedUserRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        let body = body::update(request.credentials.as_ref(), request.profile.as_ref());
        if body.is_empty() {
            return Err(Error::invalid("profile", "is required: there is nothing to update"));
        }
        Ok(Call::new(Self::ENDPOINT, &[app, user]).json(&body))
    }

    fn answer(
        _: &UpdateAppProfileForAssignedUserRequest,
        answer: &Answer,
    ) -> Result<UpdateAppProfileForAssignedUserResponse> {
        Ok(UpdateAppProfileForAssignedUserResponse { app_user: Some(project::app_user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::app_attribute_of(okta_name)
    }
}
