//! The attributes an application's user profile may have: what the cards' dynamic fields are made from.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{GetAppUserSchemaRequest, GetAppUserSchemaResponse};

/// `ApplicationService.GetAppUserSchema`.
#[derive(Debug)]
pub enum GetAppUserSchema {}

impl Card for GetAppUserSchema {
    type Request = GetAppUserSchemaRequest;
    type Response = GetAppUserSchemaResponse;

    const TITLE: &'static str = "App user schema (dynamic fields)";
    const RPC: &'static str = "ApplicationService.GetAppUserSchema";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/meta/schemas/apps/{appId}/default",
        scope: "okta.schemas.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &GetAppUserSchemaRequest) -> Result<Call> {
        let app = fields::segment("app_id", &request.app_id)?;
        Ok(Call::new(Self::ENDPOINT, &[app]))
    }

    fn answer(_: &GetAppUserSchemaRequest, answer: &Answer) -> Result<GetAppUserSchemaResponse> {
        let raw = answer.object()?;
        Ok(GetAppUserSchemaResponse { attributes: project::schema(raw), raw_body_json: raw.to_owned() })
    }
}
