//! Scopes: which there are, and which an endpoint of the API wants
//! (<https://developer.okta.com/docs/api/oauth2/>).

use axum::http::Method;

/// Scopes of OpenID Connect, which need no grant by an admin.
pub(super) const OPENID: [&str; 7] = ["openid", "profile", "email", "address", "phone", "groups", "offline_access"];

/// Scopes of Okta's API.
pub(super) const OKTA: [&str; 18] = [
    "okta.apps.manage",
    "okta.apps.read",
    "okta.clients.manage",
    "okta.clients.read",
    "okta.eventHooks.manage",
    "okta.eventHooks.read",
    "okta.groups.manage",
    "okta.groups.read",
    "okta.logs.read",
    "okta.orgs.manage",
    "okta.orgs.read",
    "okta.roles.manage",
    "okta.roles.read",
    "okta.schemas.manage",
    "okta.schemas.read",
    "okta.users.manage",
    "okta.users.read",
    "okta.users.read.self",
];

pub(super) fn is_known(scope: &str) -> bool {
    OPENID.contains(&scope) || OKTA.contains(&scope)
}

/// The scopes in a parameter.
pub(super) fn parse(parameter: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in parameter.split_whitespace() {
        if !scopes.iter().any(|other| other == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// The scopes of which a call needs one; none when there is no such endpoint.
pub(super) fn wanted(method: &Method, path: &str) -> &'static [&'static str] {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let either = |read: &'static [&'static str], manage: &'static [&'static str]| if reads { read } else { manage };
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["oauth2", "v1", "clients", _, "roles", ..] | ["api", "v1", "users" | "groups", _, "roles", ..] => {
            either(&["okta.roles.read", "okta.roles.manage"], &["okta.roles.manage"])
        }
        ["api", "v1", "users", "me"] if reads => &["okta.users.read", "okta.users.manage", "okta.users.read.self"],
        ["api", "v1", "users", _, "groups"] if reads => {
            &["okta.users.read", "okta.users.manage", "okta.groups.read", "okta.groups.manage"]
        }
        ["api", "v1", "users", ..] => either(&["okta.users.read", "okta.users.manage"], &["okta.users.manage"]),
        ["api", "v1", "groups", ..] => either(&["okta.groups.read", "okta.groups.manage"], &["okta.groups.manage"]),
        ["api", "v1", "apps", ..] => either(&["okta.apps.read", "okta.apps.manage"], &["okta.apps.manage"]),
        ["api", "v1", "meta", "schemas", ..] => {
            either(&["okta.schemas.read", "okta.schemas.manage"], &["okta.schemas.manage"])
        }
        ["api", "v1", "eventHooks", ..] => {
            either(&["okta.eventHooks.read", "okta.eventHooks.manage"], &["okta.eventHooks.manage"])
        }
        ["api", "v1", "logs", ..] => &["okta.logs.read"],
        ["api", "v1", "org", ..] => either(&["okta.orgs.read", "okta.orgs.manage"], &["okta.orgs.manage"]),
        _ => &[],
    }
}

/// Whether a call reads a list: what a service app without a role is shown as empty.
pub(super) fn is_list(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let lists = matches!(
        parts.as_slice(),
        ["api", "v1", "users" | "groups" | "apps" | "eventHooks" | "logs"]
            | ["api", "v1", "users", _, "groups" | "roles"]
            | ["api", "v1", "groups", _, "users" | "apps"]
            | ["api", "v1", "apps", _, "users" | "groups"]
            | ["oauth2", "v1", "clients", _, "roles"]
    );
    lists && *method == Method::GET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_needs_less_than_changing() {
        let needs = |method: Method, path: &str| wanted(&method, path).join(" ");
        assert_eq!(needs(Method::GET, "/api/v1/groups/1/users"), "okta.groups.read okta.groups.manage");
        assert_eq!(needs(Method::PUT, "/api/v1/groups/1/users/2"), "okta.groups.manage");
        assert_eq!(needs(Method::DELETE, "/api/v1/users/1/sessions"), "okta.users.manage");
        assert!(needs(Method::GET, "/api/v1/users/me").contains("okta.users.read.self"));
        assert!(!needs(Method::GET, "/api/v1/users/1").contains("self"));
        assert!(needs(Method::GET, "/api/v1/users/1/groups").contains("okta.groups.read"));
        assert_eq!(needs(Method::GET, "/oauth2/v1/clients/1/roles"), "okta.roles.read okta.roles.manage");
        assert_eq!(needs(Method::GET, "/api/v1/nothing"), "");
    }

    #[test]
    fn every_scope_that_is_wanted_can_be_had() {
        for path in [
            "users",
            "users/me",
            "users/1/groups",
            "groups",
            "apps",
            "meta/schemas/user/1",
            "eventHooks",
            "logs",
            "org",
        ] {
            for method in [Method::GET, Method::POST] {
                let scopes = wanted(&method, &format!("/api/v1/{path}"));
                assert!(!scopes.is_empty() && scopes.iter().all(|scope| OKTA.contains(scope)), "{path}");
            }
        }
    }
}
