//! Card "Assign User to an App for SSO": gives a user access to an application.

use super::body;
use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{AssignUserToAppForSsoRequest, AssignUserToAppForSsoResponse};

/// `ApplicationService.AssignUserToAppForSso`.
#[derive(Debug)]
pub enum AssignUserToAppForSso {}

impl Card for AssignUserToAppForSso {
    type Request = AssignUserToAppForSsoRequest;
    type Response = AssignUserToAppForSsoResponse;

    const TITLE: &'static str = "Assign User to an App for SSO";
    const RPC: &'static str = "ApplicationService.AssignUserToAppForSso";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/apps/{appId}/users",
        scope: "okta.apps.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &AssignUserToAppForSsoRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        let body = body::assignment(user, &request.scope, request.credentials.as_ref(), None)?;
        Ok(Call::new(Self::ENDPOINT, &[app]).json(&body))
    }

    fn answer(_: &AssignUserToAppForSsoRequest, answer: &Answer) -> Result<AssignUserToAppForSsoResponse> {
        Ok(AssignUserToAppForSsoResponse { app_user: Some(project::app_user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::app_attribute_of(okta_name)
    }
}
