//! Card "Delete User": deletes a deactivated user for good, or deactivates one who is not.

use super::ReadUser;
use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{DeleteUserOutcome, DeleteUserRequest, DeleteUserResponse, UserStatus};

/// `UserService.DeleteUser`.
#[derive(Debug)]
pub enum DeleteUser {}

impl Card for DeleteUser {
    type Request = DeleteUserRequest;
    type Response = DeleteUserResponse;

    const TITLE: &'static str = "Delete User";
    const RPC: &'static str = "UserService.DeleteUser";
    /// A second DELETE deletes for good what the first one deactivated: never repeated unless it surely did not happen.
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Delete,
        path: "/api/v1/users/{userId}",
        scope: "okta.users.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn call(request: &DeleteUserRequest) -> Result<Call> {
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Call::new(Self::ENDPOINT, &[user]).flag("sendEmail", request.send_email))
    }

    /// Okta's 204 does not say whether the user was deleted or deactivated: the status before does.
    fn call_before(request: &DeleteUserRequest) -> Result<Option<Call>> {
        if !request.read_status_before {
            return Ok(None);
        }
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Some(Call::new(ReadUser::ENDPOINT, &[user])))
    }

    fn answer(_: &DeleteUserRequest, answer: &Answer) -> Result<DeleteUserResponse> {
        Ok(DeleteUserResponse { status_code: answer.status_code(), ..Default::default() })
    }

    fn answer_both(_: &DeleteUserRequest, before: &Answer, answer: &Answer) -> Result<DeleteUserResponse> {
        let status_before = project::user(before.object()?).status();
        let outcome = match status_before {
            UserStatus::Unspecified => DeleteUserOutcome::Unspecified,
            UserStatus::Deprovisioned => DeleteUserOutcome::Deleted,
            _ => DeleteUserOutcome::Deactivated,
        };
        Ok(DeleteUserResponse {
            status_code: answer.status_code(),
            status_before: status_before.into(),
            outcome: outcome.into(),
        })
    }
}
