//! Card "Clear User Sessions": ends every identity provider session of a user.

use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ClearUserSessionsRequest, ClearUserSessionsResponse};

/// `UserService.ClearUserSessions`.
#[derive(Debug)]
pub enum ClearUserSessions {}

impl Card for ClearUserSessions {
    type Request = ClearUserSessionsRequest;
    type Response = ClearUserSessionsResponse;

    const TITLE: &'static str = "Clear User Sessions";
    const RPC: &'static str = "UserService.ClearUserSessions";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Delete,
        path: "/api/v1/users/{userId}/sessions",
        scope: "okta.users.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &ClearUserSessionsRequest) -> Result<Call> {
        let user = fields::segment("user_id", &request.user_id)?;
        // Left out, Okta would forget remembered devices on Identity Engine: the card does not speak of that.
        Ok(Call::new(Self::ENDPOINT, &[user])
            .flag("oauthTokens", request.revoke_oauth_tokens)
            .flag("forgetDevices", request.forget_devices))
    }

    fn answer(_: &ClearUserSessionsRequest, answer: &Answer) -> Result<ClearUserSessionsResponse> {
        Ok(ClearUserSessionsResponse { status_code: answer.status_code() })
    }
}
