//! Card "Get Assigned User for an App": one user's assignment to an application.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{GetAssignedUserForAppRequest, GetAssignedUserForAppResponse};

/// `ApplicationService.GetAssignedUserForApp`.
#[derive(Debug)]
pub enum GetAssignedUserForApp {}

impl Card for GetAssignedUserForApp {
    type Request = GetAssignedUserForAppRequest;
    type Response = GetAssignedUserForAppResponse;

    const TITLE: &'static str = "Get Assigned User for an App";
    const RPC: &'static str = "ApplicationService.GetAssignedUserForApp";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/apps/{appId}/users/{userId}",
        scope: "okta.apps.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &GetAssignedUserForAppRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Call::new(Self::ENDPOINT, &[app, user]))
    }

    fn answer(_: &GetAssignedUserForAppRequest, answer: &Answer) -> Result<GetAssignedUserForAppResponse> {
        Ok(GetAssignedUserForAppResponse { app_user: Some(project::app_user(answer.object()?)) })
    }
}
