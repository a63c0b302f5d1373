//! Card "Search Users": users whose first name, last name or e-mail address starts with a text.

use crate::cards::{Card, fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ResultSet, SearchUsersRequest, SearchUsersResponse};

/// Okta cannot page this search, and gives at most this many.
const CAP: usize = 200;

/// `UserService.SearchUsers`.
#[derive(Debug)]
pub enum SearchUsers {}

impl Card for SearchUsers {
    type Request = SearchUsersRequest;
    type Response = SearchUsersResponse;

    const TITLE: &'static str = "Search Users";
    const RPC: &'static str = "UserService.SearchUsers";
    const ENDPOINT: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/users", scope: "okta.users.read", repeat: Repeat::Safe };

    fn call(request: &SearchUsersRequest) -> Result<Call> {
        if request.query.is_empty() {
            return Err(Error::invalid("query", "is required: what the name or e-mail address starts with"));
        }
        // Okta's own default is 10: without a limit most matches would be missing.
        let limit = match fields::known_enum("result_set", request.result_set)? {
            ResultSet::First => 1,
            ResultSet::All | ResultSet::Unspecified => CAP,
        };
        Ok(Call::new(Self::ENDPOINT, &[]).query("q", request.query.as_str()).query("limit", limit.to_string()))
    }

    fn answer(request: &SearchUsersRequest, answer: &Answer) -> Result<SearchUsersResponse> {
        let mut users = answer.items()?.into_iter().map(project::user);
        if request.result_set() == ResultSet::First {
            return Ok(SearchUsersResponse { first: users.next(), ..Default::default() });
        }
        let users: Vec<_> = users.collect();
        let cap_reached = users.len() >= CAP;
        let continue_with = if cap_reached { "UserService.ListUsersWithSearch".to_owned() } else { String::new() };
        Ok(SearchUsersResponse { first: None, users, cap_reached, continue_with })
    }
}
