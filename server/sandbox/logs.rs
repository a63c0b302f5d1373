//! The System Log, `/api/v1/logs` (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/>).
//!
//! A request without `until` polls: events in the order they were stored, and always a next link, also behind the last one. One with
//! `until` is bounded: in the order of `published`.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::Shared;
use super::error::{Answer, OktaError};
use super::expression::{self, Dialect};
use super::org::text;
use super::paging::{Page, Params, limit, links};

const PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 100;

const FILTER: Dialect = Dialect { allows: |_, _| true, ignore_case: false };

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/logs", get(list))
}

async fn list(State(shared): State<Shared>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    let given = |name: &str| params.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let time = |name: &str| match given(name).map(str::parse::<jiff::Timestamp>) {
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(_)) => Err(OktaError::invalid(name, "The date must be in ISO 8601")),
        None => Ok(None),
    };
    let (since, until) = (time("since")?, time("until")?);
    let filter = match given("filter") {
        Some(text) => Some(expression::parse(text, FILTER).ok_or_else(OktaError::invalid_search)?),
        None => None,
    };
    let words: Vec<String> = given("q").unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let start: u64 = given("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let limit = limit(&params, DEFAULT_PAGE, PAGE)?;
    let wanted = |event: &Value| {
        let published: Option<jiff::Timestamp> = text(event, "published").parse().ok();
        let all = || event.to_string().to_lowercase();
        published >= since.filter(|_| start == 0)
            && until.is_none_or(|until| published < Some(until))
            && filter.as_ref().is_none_or(|filter| filter.matches(event, FILTER))
            && (words.is_empty() || words.iter().all(|word| all().contains(word)))
    };
    if until.is_some() {
        let mut events: Vec<&Value> = org.log.since(0).map(|(_, event)| event).filter(|event| wanted(event)).collect();
        events.sort_by_key(|event| text(event, "published").to_owned());
        if given("sortOrder").is_some_and(|order| order.eq_ignore_ascii_case("descending")) {
            events.reverse();
        }
        let first = usize::try_from(start).unwrap_or(usize::MAX);
        let page: Vec<Value> = events.iter().skip(first).take(limit).map(|event| (*event).clone()).collect();
        let end = first.saturating_add(page.len());
        let next = (end < events.len()).then(|| end.to_string());
        return Ok(answer(&org.url, &params, next.as_deref(), page));
    }
    let mut page = Vec::new();
    let mut next = org.log.end();
    for (number, event) in org.log.since(start) {
        if page.len() == limit {
            next = number;
            break;
        }
        if wanted(event) {
            page.push(event.clone());
        }
    }
    Ok(answer(&org.url, &params, Some(&next.to_string()), page))
}

fn answer(url: &str, params: &Params, next: Option<&str>, page: Vec<Value>) -> (HeaderMap, Json<Vec<Value>>) {
    (links(url, "/api/v1/logs", params, next), Json(page))
}
