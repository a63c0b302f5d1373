//! Which of Okta's rate limits a request counts against: the most specific bucket, by method. The one table of them.
//!
//! How large a bucket is differs by org and plan, and is learnt from its headers; this only says which requests share one.

use std::borrow::Cow;

use crate::okta::HttpMethod;

/// A bucket, by the name that metrics, errors and `GetRateLimits` call it: an endpoint of Okta's.
pub type Bucket = Cow<'static, str>;

/// What is none of the API's own endpoints.
pub(super) const OTHER: Bucket = Cow::Borrowed("/");
/// A resource with a longer name is none of Okta's.
const MAX_RESOURCE: usize = 40;

/// The bucket of a request for `path`, which has its values in.
pub fn bucket(method: HttpMethod, path: &str) -> Bucket {
    let Some(path) = path.strip_prefix("/api/v1/") else { return OTHER };
    let mut segments = path.trim_end_matches('/').split('/');
    let (root, id, below) = (segments.next().unwrap_or_default(), segments.next(), segments.next());
    let is_one = id.is_some() && below.is_none();
    let known = match (root, is_one, method) {
        ("users", true, HttpMethod::Get) => "GET /api/v1/users/{id}",
        ("users", true, _) => "POST|PUT|DELETE /api/v1/users/{id}",
        ("users", false, _) => "/api/v1/users",
        ("groups", true, _) => "/api/v1/groups/{id}",
        ("groups", false, _) => "/api/v1/groups",
        ("apps", true, _) => "/api/v1/apps/{id}",
        ("apps", false, _) => "/api/v1/apps",
        ("logs", ..) => "/api/v1/logs",
        ("eventHooks" | "meta" | "org", ..) => "/api/v1",
        _ => return unknown(root, is_one),
    };
    Cow::Borrowed(known)
}

/// Okta gives most further resources limits of their own; their headers tell.
fn unknown(root: &str, is_one: bool) -> Bucket {
    let is_resource = (1..=MAX_RESOURCE).contains(&root.len()) && root.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match (is_resource, is_one) {
        (false, _) => OTHER,
        (true, true) => Cow::Owned(format!("/api/v1/{root}/{{id}}")),
        (true, false) => Cow::Owned(format!("/api/v1/{root}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_bucket_counts_by_method() {
        use HttpMethod::{Delete, Get, Post, Put};
        for (method, path, expected) in [
            (Get, "/api/v1/users", "/api/v1/users"),
            (Post, "/api/v1/users", "/api/v1/users"),
            (Get, "/api/v1/users/00u1", "GET /api/v1/users/{id}"),
            (Post, "/api/v1/users/00u1", "POST|PUT|DELETE /api/v1/users/{id}"),
            (Delete, "/api/v1/users/00u1", "POST|PUT|DELETE /api/v1/users/{id}"),
            (Get, "/api/v1/users/00u1/groups", "/api/v1/users"),
            (Delete, "/api/v1/users/00u1/sessions", "/api/v1/users"),
            (Put, "/api/v1/groups/00g1/users/00u1", "/api/v1/groups"),
            (Get, "/api/v1/groups/00g1", "/api/v1/groups/{id}"),
            (Get, "/api/v1/apps/0oa1", "/api/v1/apps/{id}"),
            (Get, "/api/v1/apps/0oa1/users", "/api/v1/apps"),
            (Get, "/api/v1/logs", "/api/v1/logs"),
            (Get, "/api/v1/meta/schemas/user/default", "/api/v1"),
            (Get, "/api/v1/zones", "/api/v1/zones"),
            (Get, "/api/v1/zones/nzo1", "/api/v1/zones/{id}"),
            (Get, "/api/v1/%2E%2E/x", "/"),
            (Get, "/idp/myaccount", "/"),
        ] {
            assert_eq!(bucket(method, path), expected, "{} {path}", method.as_str());
        }
    }
}
