//! Okta's pages: `limit`, an opaque `after`, and `Link` headers, `self` and `next` on lines of their own as Okta sends them.

use std::collections::HashMap;

use axum::Json;
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::error::{Answer, OktaError};

/// Parameters of a query.
pub(super) type Params = HashMap<String, String>;

/// A page of a list.
pub(super) type Page = (HeaderMap, Json<Vec<Value>>);

/// `limit`, within Okta's bounds for the list.
pub(super) fn limit(params: &Params, default: usize, largest: usize) -> Answer<usize> {
    match params.get("limit").map(|limit| limit.parse::<usize>()) {
        None => Ok(default),
        Some(Ok(limit)) if (1..=largest).contains(&limit) => Ok(limit),
        Some(Ok(limit)) if limit > largest => Ok(largest),
        Some(_) => Err(OktaError::invalid("limit", "The limit parameter must be a positive integer")),
    }
}

/// The page of `items`, which ascend by key, that begins after the key `after`.
pub(super) fn page<'a>(
    url: &str,
    path: &str,
    params: &Params,
    limit: usize,
    items: impl Iterator<Item = (&'a str, Value)>,
) -> Page {
    let after = params.get("after").map(String::as_str).unwrap_or_default();
    let mut rest = items.skip_while(|(key, _)| !after.is_empty() && *key <= after);
    let mut last = "";
    let mut page = Vec::new();
    for (key, item) in rest.by_ref().take(limit) {
        last = key;
        page.push(item);
    }
    let next = rest.next().map(|_| last);
    (links(url, path, params, next), Json(page))
}

/// The `Link` headers of a page: itself, and the one after `next`.
pub(super) fn links(url: &str, path: &str, params: &Params, next: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |after: Option<&str>, rel: &str| {
        let own = params.iter().filter(|(name, _)| after.is_none() || *name != "after");
        let mut pairs: Vec<(&str, &str)> = own.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        pairs.extend(after.map(|after| ("after", after)));
        pairs.sort_unstable();
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let link = format!("<{url}{path}{mark}{}>; rel=\"{rel}\"", query.join("&"));
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.append(LINK, link);
        }
    };
    add(None, "self");
    if next.is_some() {
        add(next, "next");
    }
    headers
}
