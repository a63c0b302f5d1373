//! Card "List Group Members": the users in a group, page by page.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ListGroupMembersRequest, ListGroupMembersResponse};

/// A page of this size stays below the 4 MiB that gRPC clients take unless told otherwise.
const PAGE_SIZE: u32 = 200;
const LARGEST_PAGE: u32 = 1000;

/// `GroupService.ListGroupMembers`.
#[derive(Debug)]
pub enum ListGroupMembers {}

impl Card for ListGroupMembers {
    type Request = ListGroupMembersRequest;
    type Response = ListGroupMembersResponse;

    const TITLE: &'static str = "List Group Members";
    const RPC: &'static str = "GroupService.ListGroupMembers";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/groups/{groupId}/users",
        scope: "okta.groups.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &ListGroupMembersRequest) -> Result<Call> {
        let group = fields::segment("group_id", &request.group_id)?;
        let size = fields::page_size(request.page_size, PAGE_SIZE, LARGEST_PAGE)?;
        Ok(Call::new(Self::ENDPOINT, &[group]).page(size, &request.page_token))
    }

    fn answer(_: &ListGroupMembersRequest, answer: &Answer) -> Result<ListGroupMembersResponse> {
        Ok(ListGroupMembersResponse {
            users: answer.items()?.into_iter().map(project::user).collect(),
            next_page_token: answer.next_page_token.clone(),
        })
    }
}
