//! Card "Deactivate User": takes a user out of service.

use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{DeactivateUserRequest, DeactivateUserResponse};

/// `UserService.DeactivateUser`.
#[derive(Debug)]
pub enum DeactivateUser {}

impl Card for DeactivateUser {
    type Request = DeactivateUserRequest;
    type Response = DeactivateUserResponse;

    const TITLE: &'static str = "Deactivate User";
    const RPC: &'static str = "UserService.DeactivateUser";
    /// A second deactivation is refused by Okta: repeating the call could turn a success into an error.
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/users/{idOrLogin}/lifecycle/deactivate",
        scope: "okta.users.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &DeactivateUserRequest) -> Result<Call> {
        let user = fields::segment("id_or_login", &request.id_or_login)?;
        Ok(Call::new(Self::ENDPOINT, &[user]).flag("sendEmail", request.send_email))
    }

    fn answer(_: &DeactivateUserRequest, answer: &Answer) -> Result<DeactivateUserResponse> {
        Ok(DeactivateUserResponse { status_code: answer.status_code() })
    }
}
