//! Who calls the API, and whether they may: `SSWS` API tokens, `Bearer` and `DPoP` access tokens.

use axum::Json;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::dpop::{ALGORITHMS, Target};
use super::refusal::Refusal;
use super::tokens::Access;
use super::{OAuth, scopes};
use crate::sandbox::error::OktaError;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Principal {
    /// The admin, with an API token.
    Admin,
    /// The admin, through an application and with no more than its scopes.
    User { client: String, scopes: Vec<String> },
    /// A service app, with a role or none.
    Service { client: String, scopes: Vec<String>, admin_role: Option<String> },
}

/// What is answered instead of carrying a call out.
#[derive(Debug)]
pub(in crate::sandbox) enum Denial {
    /// An error of the API.
    Okta(OktaError),
    /// 401 without a body.
    Unauthorized(HeaderValue),
    /// The scope for it is missing.
    Forbidden(HeaderValue),
    /// What an app without a role is shown of a list.
    Nothing,
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        match self {
            Self::Okta(error) => error.into_response(),
            Self::Unauthorized(challenge) => {
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
            }
            Self::Forbidden(challenge) => ([(WWW_AUTHENTICATE, challenge)], OktaError::access_denied()).into_response(),
            Self::Nothing => Json(json!([])).into_response(),
        }
    }
}

impl Principal {
    /// What the record of requests calls them: the client's id, or `SSWS`.
    pub(in crate::sandbox) fn name(&self) -> &str {
        match self {
            Self::Admin => "SSWS",
            Self::User { client, .. } | Self::Service { client, .. } => client,
        }
    }

    /// Denies what the principal may not do.
    fn permit(&self, method: &Method, path: &str, insufficient: impl Fn() -> HeaderValue) -> Result<(), Denial> {
        let scopes = match self {
            Self::Admin => return Ok(()),
            Self::User { scopes, .. } | Self::Service { scopes, .. } => scopes,
        };
        let wanted = scopes::wanted(method, path);
        if !wanted.is_empty() && !scopes.iter().any(|scope| wanted.contains(&scope.as_str())) {
            return Err(Denial::Forbidden(insufficient()));
        }
        let Self::Service { admin_role, .. } = self else { return Ok(()) };
        let below = path.strip_prefix("/api/v1/users/me");
        if below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
            return Err(Denial::Okta(OktaError::not_found("me", "User")));
        }
        match admin_role {
            Some(_) => Ok(()),
            None if scopes::is_list(method, path) => Err(Denial::Nothing),
            None => Err(Denial::Okta(OktaError::access_denied())),
        }
    }
}

impl OAuth {
    /// Who sends this request, if they may.
    pub(in crate::sandbox) fn admit(&mut self, api_token: &str, parts: &Parts) -> Result<Principal, Denial> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // `SSWStoken` is how some SDKs send it, and Okta takes it.
        if let Some(token) = header.strip_prefix("SSWS") {
            let good = token.trim_start() == api_token;
            return if good { Ok(Principal::Admin) } else { Err(Denial::Okta(OktaError::invalid_token())) };
        }
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Scheme::Bearer,
            "dpop" => Scheme::Dpop,
            _ => return Err(Denial::Okta(OktaError::invalid_token())),
        };
        let challenge = |error: &str, what: &str| self.challenge(scheme, parts, error, what);
        let insufficient =
            challenge("insufficient_scope", "The access token provided does not contain the required scopes.");
        let invalid = challenge("invalid_token", "The access token is invalid.");
        let now = self.now();
        let Some(access) = self.tokens.access(token.trim(), now).cloned() else {
            return Err(Denial::Unauthorized(invalid));
        };
        match (scheme, &access.key) {
            (Scheme::Bearer, None) => {}
            (Scheme::Dpop, Some(key)) => self.check_proof(parts, token.trim(), key).map_err(|refusal| {
                Denial::Unauthorized(self.challenge(scheme, parts, refusal.error, &refusal.description))
            })?,
            _ => return Err(Denial::Unauthorized(invalid)),
        }
        let principal = self.principal(access);
        principal.permit(&parts.method, parts.uri.path(), || insufficient.clone())?;
        Ok(principal)
    }

    fn check_proof(&mut self, parts: &Parts, token: &str, key: &str) -> Result<(), Refusal> {
        let invalid = |what| Refusal::new("invalid_dpop_proof", what);
        let (url, needs_nonce, now) =
            (format!("{}{}", self.url, parts.uri.path()), self.settings.api_dpop_nonce, self.now());
        let target = Target { method: parts.method.as_str(), url: &url, token: Some(token) };
        let proved = self.proved(&parts.headers, target, needs_nonce, now)?;
        match proved {
            None => Err(invalid("The DPoP proof JWT header is missing.")),
            Some(proved) if proved != key => {
                Err(invalid("The DPoP proof JWT is not signed by the key of the access token."))
            }
            Some(_) => Ok(()),
        }
    }

    fn principal(&self, access: Access) -> Principal {
        let (client, scopes) = (access.grant.client, access.scopes);
        match access.grant.user {
            Some(_) => Principal::User { client, scopes },
            None => {
                let admin_role = self.clients.get(&client).and_then(|client| client.admin_role.clone());
                Principal::Service { client, scopes, admin_role }
            }
        }
    }

    fn challenge(&self, scheme: Scheme, parts: &Parts, error: &str, what: &str) -> HeaderValue {
        let (url, path) = (&self.url, parts.uri.path().replace('"', "%22"));
        let scheme = match scheme {
            Scheme::Bearer => "Bearer".to_owned(),
            Scheme::Dpop => format!("DPoP algs=\"{}\",", ALGORITHMS.join(" ")),
        };
        let scope = scopes::wanted(&parts.method, &path).first().copied().unwrap_or_default();
        let challenge = format!(
            "{scheme} authorization_uri=\"{url}/oauth2/v1/authorize\", realm=\"{url}\", scope=\"{scope}\", error=\"{error}\", \
             error_description=\"{what}\", resource=\"{path}\""
        );
        HeaderValue::try_from(challenge).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

#[derive(Debug, Clone, Copy)]
enum Scheme {
    Bearer,
    Dpop,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(principal: &Principal, method: Method, path: &str) -> u16 {
        let insufficient = || HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
        let denied = principal.permit(&method, path, insufficient);
        denied.map_or_else(|denial| denial.into_response().status().as_u16(), |()| 0)
    }

    #[test]
    fn scopes_bound_what_a_token_is_good_for() {
        let scopes = vec!["openid".to_owned(), "okta.users.read".to_owned(), "okta.groups.manage".to_owned()];
        let user = Principal::User { client: "client".to_owned(), scopes };
        assert_eq!(outcome(&user, Method::GET, "/api/v1/users"), 0);
        assert_eq!(outcome(&user, Method::POST, "/api/v1/users"), 403);
        assert_eq!(outcome(&user, Method::GET, "/api/v1/groups"), 0, "who manages may read");
        assert_eq!(outcome(&user, Method::GET, "/api/v1/apps"), 403);
        assert_eq!(outcome(&user, Method::GET, "/api/v1/users/me"), 0);
        assert_eq!(outcome(&Principal::Admin, Method::DELETE, "/api/v1/apps/1"), 0);
    }

    #[test]
    fn a_service_app_is_nobody_and_without_a_role_sees_nothing() {
        let service = |role: Option<&str>| Principal::Service {
            client: "client".to_owned(),
            scopes: vec!["okta.users.manage".to_owned()],
            admin_role: role.map(str::to_owned),
        };
        assert_eq!(outcome(&service(Some("SUPER_ADMIN")), Method::POST, "/api/v1/users"), 0);
        assert_eq!(outcome(&service(Some("SUPER_ADMIN")), Method::GET, "/api/v1/users/me"), 404);
        assert_eq!(outcome(&service(Some("SUPER_ADMIN")), Method::GET, "/api/v1/users/melanie"), 0);
        assert_eq!(outcome(&service(None), Method::GET, "/api/v1/users"), 200);
        assert_eq!(outcome(&service(None), Method::GET, "/api/v1/users/1"), 403);
        assert_eq!(outcome(&service(None), Method::POST, "/api/v1/users"), 403);
    }
}
