//! Card "Read User": a user by id or login.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ReadUserRequest, ReadUserResponse};

/// `UserService.ReadUser`.
#[derive(Debug)]
pub enum ReadUser {}

impl Card for ReadUser {
    type Request = ReadUserRequest;
    type Response = ReadUserResponse;

    const TITLE: &'static str = "Read User";
    const RPC: &'static str = "UserService.ReadUser";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/users/{idOrLogin}",
        scope: "okta.users.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &ReadUserRequest) -> Result<Call> {
        let user = fields::segment("id_or_login", &request.id_or_login)?;
        Ok(Call::new(Self::ENDPOINT, &[user]))
    }

    fn answer(_: &ReadUserRequest, answer: &Answer) -> Result<ReadUserResponse> {
        Ok(ReadUserResponse { user: Some(project::user(answer.object()?)) })
    }
}
