//! Card "Remove User from an App": ends a user's assignment.

use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{RemoveUserFromAppRequest, RemoveUserFromAppResponse};

/// `ApplicationService.RemoveUserFromApp`.
#[derive(Debug)]
pub enum RemoveUserFromApp {}

impl Card for RemoveUserFromApp {
    type Request = RemoveUserFromAppRequest;
    type Response = RemoveUserFromAppResponse;

    const TITLE: &'static str = "Remove User from an App";
    const RPC: &'static str = "ApplicationService.RemoveUserFromApp";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Delete,
        path: "/api/v1/apps/{appId}/users/{userId}",
        scope: "okta.apps.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &RemoveUserFromAppRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Call::new(Self::ENDPOINT, &[app, user]).flag("sendEmail", request.send_email))
    }

    fn answer(_: &RemoveUserFromAppRequest, answer: &Answer) -> Result<RemoveUserFromAppResponse> {
        Ok(RemoveUserFromAppResponse { status_code: answer.status_code() })
    }
}
