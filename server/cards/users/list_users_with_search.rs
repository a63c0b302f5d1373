//! Card "List Users With Search": users by any attribute, sorted.

use super::list;
use crate::cards::expression::{Expression, is_name};
use crate::cards::{Card, fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ListUsersWithSearchRequest, ListUsersWithSearchResponse, SortOrder, UserStatus};

/// `UserService.ListUsersWithSearch`.
#[derive(Debug)]
pub enum ListUsersWithSearch {}

impl Card for ListUsersWithSearch {
    type Request = ListUsersWithSearchRequest;
    type Response = ListUsersWithSearchResponse;

    const TITLE: &'static str = "List Users With Search";
    const RPC: &'static str = "UserService.ListUsersWithSearch";
    const ENDPOINT: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/users", scope: "okta.users.read", repeat: Repeat::Safe };

    fn call(request: &ListUsersWithSearchRequest) -> Result<Call> {
        let mut search = Expression::default();
        search.status(fields::known_enum::<UserStatus>("status", request.status)?);
        search.time("created", "created", request.created.as_ref())?;
        search.time("activated", "activated", request.activated.as_ref())?;
        search.time("status_changed", "statusChanged", request.status_changed.as_ref())?;
        search.time("last_updated", "lastUpdated", request.last_updated.as_ref())?;
        search.equals("id", request.id.as_deref());
        if let Some(profile) = &request.profile {
            for (name, value) in project::standard(profile) {
                search.equals(&format!("profile.{name}"), Some(value));
            }
            search.custom_attributes("profile.custom", profile.custom.as_ref())?;
        }
        search.custom("custom_search", &request.custom_search)?;
        let call = sort(request, Call::new(Self::ENDPOINT, &[]).query("search", search.or_everything()))?;
        list::page(call, request.result_set, request.page_size, &request.page_token)
    }

    fn answer(request: &ListUsersWithSearchRequest, answer: &Answer) -> Result<ListUsersWithSearchResponse> {
        let list::Found { first, users, next_page_token } = list::found(request.result_set(), answer)?;
        Ok(ListUsersWithSearchResponse { first, users, next_page_token })
    }
}

fn sort(request: &ListUsersWithSearchRequest, call: Call) -> Result<Call> {
    let order = match fields::known_enum("sort_order", request.sort_order)? {
        SortOrder::Unspecified => None,
        SortOrder::Asc => Some("asc"),
        SortOrder::Desc => Some("desc"),
    };
    match (request.sort_by.as_str(), order) {
        ("", None) => Ok(call),
        ("", Some(_)) => Err(Error::invalid("sort_by", "is required when sort_order is given")),
        (name, _) if !is_name(name) => {
            Err(Error::invalid("sort_by", "must be the name of a property, such as profile.lastName"))
        }
        (name, None) => Ok(call.query("sortBy", name)),
        (name, Some(order)) => Ok(call.query("sortBy", name).query("sortOrder", order)),
    }
}
