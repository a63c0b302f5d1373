//! The attributes a user profile may have: what the cards' dynamic fields are made from.

use crate::cards::{Card, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{GetUserSchemaRequest, GetUserSchemaResponse};

/// `UserService.GetUserSchema`.
#[derive(Debug)]
pub enum GetUserSchema {}

impl Card for GetUserSchema {
    type Request = GetUserSchemaRequest;
    type Response = GetUserSchemaResponse;

    const TITLE: &'static str = "User schema (dynamic fields)";
    const RPC: &'static str = "UserService.GetUserSchema";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/meta/schemas/user/default",
        scope: "okta.schemas.read",
        repeat: Repeat::Safe,
    };

    fn call(_: &GetUserSchemaRequest) -> Result<Call> {
        Ok(Call::new(Self::ENDPOINT, &[]))
    }

    fn answer(_: &GetUserSchemaRequest, answer: &Answer) -> Result<GetUserSchemaResponse> {
        let raw = answer.object()?;
        Ok(GetUserSchemaResponse { attributes: project::schema(raw), raw_body_json: raw.to_owned() })
    }
}
