//! Card "List Users With Filter": users whose system properties are what is given.

use super::list;
use crate::cards::expression::Expression;
use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ListUsersWithFilterRequest, ListUsersWithFilterResponse, UserStatus};

/// `UserService.ListUsersWithFilter`.
#[derive(Debug)]
pub enum ListUsersWithFilter {}

impl Card for ListUsersWithFilter {
    type Request = ListUsersWithFilterRequest;
    type Response = ListUsersWithFilterResponse;

    const TITLE: &'static str = "List Users With Filter";
    const RPC: &'static str = "UserService.ListUsersWithFilter";
    const ENDPOINT: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/users", scope: "okta.users.read", repeat: Repeat::Safe };

    fn call(request: &ListUsersWithFilterRequest) -> Result<Call> {
        let mut filter = Expression::default();
        filter.status(fields::known_enum::<UserStatus>("status", request.status)?);
        filter.time("last_updated", "lastUpdated", request.last_updated.as_ref())?;
        filter.equals("id", request.id.as_deref());
        filter.equals("profile.login", request.login.as_deref());
        filter.equals("profile.email", request.email.as_deref());
        filter.equals("profile.firstName", request.first_name.as_deref());
        filter.equals("profile.lastName", request.last_name.as_deref());
        filter.custom("custom_filter", &request.custom_filter)?;
        let call = Call::new(Self::ENDPOINT, &[]).query("filter", filter.or_everything());
        list::page(call, request.result_set, request.page_size, &request.page_token)
    }

    fn answer(request: &ListUsersWithFilterRequest, answer: &Answer) -> Result<ListUsersWithFilterResponse> {
        let list::Found { first, users, next_page_token } = list::found(request.result_set(), answer)?;
        Ok(ListUsersWithFilterResponse { first, users, next_page_token })
    }
}
