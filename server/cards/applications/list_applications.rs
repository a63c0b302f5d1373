//! The applications of the org, page by page: the cards' drop-downs.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ListApplicationsRequest, ListApplicationsResponse};

/// `ApplicationService.ListApplications`.
#[derive(Debug)]
pub enum ListApplications {}

impl Card for ListApplications {
    type Request = ListApplicationsRequest;
    type Response = ListApplicationsResponse;

    const TITLE: &'static str = "Applications (drop-downs)";
    const RPC: &'static str = "ApplicationService.ListApplications";
    const ENDPOINT: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/apps", scope: "okta.apps.read", repeat: Repeat::Safe };

    fn call(request: &ListApplicationsRequest) -> Result<Call> {
        const PAGE_SIZE: u32 = 200;
        let size = fields::page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)?;
        Ok(Call::new(Self::ENDPOINT, &[])
            .query_if_given("q", &request.query)
            .query_if_given("filter", &request.filter)
            .page(size, &request.page_token))
    }

    fn answer(_: &ListApplicationsRequest, answer: &Answer) -> Result<ListApplicationsResponse> {
        Ok(ListApplicationsResponse {
            applications: answer.items()?.into_iter().map(project::application).collect(),
            next_page_token: answer.next_page_token.clone(),
        })
    }
}
