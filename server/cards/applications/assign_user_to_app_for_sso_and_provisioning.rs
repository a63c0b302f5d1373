//! Card "Assign User to an App for SSO and Provisioning": gives a user access to an application, with a profile there.

use super::body;
use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{AssignUserToAppForSsoAndProvisioningRequest, AssignUserToAppForSsoAndProvisioningResponse};

/// `ApplicationService.AssignUserToAppForSsoAndProvisioning`.
#[derive(Debug)]
pub enum AssignUserToAppForSsoAndProvisioning {}

impl Card for AssignUserToAppForSsoAndProvisioning {
    type Request = AssignUserToAppForSsoAndProvisioningRequest;
    type Response = AssignUserToAppForSsoAndProvisioningResponse;

    const TITLE: &'static str = "Assign User to an App for SSO and Provisioning";
    const RPC: &'static str = "ApplicationService.AssignUserToAppForSsoAndProvisioning";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/apps/{appId}/users",
        scope: "okta.apps.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &AssignUserToAppForSsoAndProvisioningRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        let body = body::assignment(user, &request.scope, request.credentials.as_ref(), request.profile.as_ref())?;
        Ok(Call::new(Self::ENDPOINT, &[app]).json(&body))
    }

    fn answer(
        _: &AssignUserToAppForSsoAndProvisioningRequest,
        answer: &Answer,
    ) -> Result<AssignUserToAppForSsoAndProvisioningResponse> {
        Ok(AssignUserToAppForSsoAndProvisioningResponse { app_user: Some(project::app_user(answer.object()?)) })
    }

    fn field(okta_name: &str) -> String {
        project::app_attribute_of(okta_name)
    }
}
