//! Card "List Users Assigned to an App": every assignment to an application, page by page.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ListUsersAssignedToAppRequest, ListUsersAssignedToAppResponse};

/// `ApplicationService.ListUsersAssignedToApp`.
#[derive(Debug)]
pub enum ListUsersAssignedToApp {}

impl Card for ListUsersAssignedToApp {
    type Request = ListUsersAssignedToAppRequest;
    type Response = ListUsersAssignedToAppResponse;

    const TITLE: &'static str = "List Users Assigned to an App";
    const RPC: &'static str = "ApplicationService.ListUsersAssignedToApp";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/apps/{appId}/users",
        scope: "okta.apps.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &ListUsersAssignedToAppRequest) -> Result<Call> {
        const PAGE_SIZE: u32 = 200;
        const LARGEST_PAGE: u32 = 500;
        let app = fields::segment("app_id", &request.app_id)?;
        let size = fields::page_size(request.page_size, PAGE_SIZE, LARGEST_PAGE)?;
        Ok(Call::new(Self::ENDPOINT, &[app]).query_if_given("q", &request.query).page(size, &request.page_token))
    }

    fn answer(_: &ListUsersAssignedToAppRequest, answer: &Answer) -> Result<ListUsersAssignedToAppResponse> {
        Ok(ListUsersAssignedToAppResponse {
            app_users: answer.items()?.into_iter().map(project::app_user).collect(),
            next_page_token: answer.next_page_token.clone(),
        })
    }
}
