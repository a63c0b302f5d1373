//! Card "Search Groups": groups whose name starts with a text.

use crate::cards::{Card, fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ResultSet, SearchGroupsRequest, SearchGroupsResponse};

/// Okta cannot page this search, and gives at most this many.
const CAP: usize = 300;

/// `GroupService.SearchGroups`.
#[derive(Debug)]
pub enum SearchGroups {}

impl Card for SearchGroups {
    type Request = SearchGroupsRequest;
    type Response = SearchGroupsResponse;

    const TITLE: &'static str = "Search Groups";
    const RPC: &'static str = "GroupService.SearchGroups";
    const ENDPOINT: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/groups", scope: "okta.groups.read", repeat: Repeat::Safe };

    fn call(request: &SearchGroupsRequest) -> Result<Call> {
        if request.query.is_empty() {
            return Err(Error::invalid("query", "is required: what the group's name starts with"));
        }
        let limit = match fields::known_enum("result_set", request.result_set)? {
            ResultSet::First => 1,
            ResultSet::All | ResultSet::Unspecified => CAP,
        };
        Ok(Call::new(Self::ENDPOINT, &[]).query("q", request.query.as_str()).query("limit", limit.to_string()))
    }

    fn answer(request: &SearchGroupsRequest, answer: &Answer) -> Result<SearchGroupsResponse> {
        let mut groups = answer.items()?.into_iter().map(project::group);
        if request.result_set() == ResultSet::First {
            return Ok(SearchGroupsResponse { first: groups.next(), ..Default::default() });
        }
        let groups: Vec<_> = groups.collect();
        let cap_reached = groups.len() >= CAP;
        let continue_with = if cap_reached { "CustomApiService.CustomApiAction".to_owned() } else { String::new() };
        Ok(SearchGroupsResponse { first: None, groups, cap_reached, continue_with })
    }
}
