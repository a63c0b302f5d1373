//! Card "Get User's Groups": the groups that a user belongs to.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{GetUserGroupsRequest, GetUserGroupsResponse};

/// Okta documents no `limit` here: it is sent only to who asks for one.
const NO_LIMIT: u32 = 0;
const LARGEST_PAGE: u32 = 200;

/// `UserService.GetUserGroups`.
#[derive(Debug)]
pub enum GetUserGroups {}

impl Card for GetUserGroups {
    type Request = GetUserGroupsRequest;
    type Response = GetUserGroupsResponse;

    const TITLE: &'static str = "Get Users Groups";
    const RPC: &'static str = "UserService.GetUserGroups";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/users/{idOrLogin}/groups",
        scope: "okta.users.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &GetUserGroupsRequest) -> Result<Call> {
        let user = fields::segment("id_or_login", &request.id_or_login)?;
        let size = fields::page_size(request.page_size, NO_LIMIT, LARGEST_PAGE)?;
        Ok(Call::new(Self::ENDPOINT, &[user]).page(size, &request.page_token))
    }

    fn answer(_: &GetUserGroupsRequest, answer: &Answer) -> Result<GetUserGroupsResponse> {
        Ok(GetUserGroupsResponse {
            groups: answer.items()?.into_iter().map(project::group).collect(),
            next_page_token: answer.next_page_token.clone(),
        })
    }
}
