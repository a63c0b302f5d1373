//! The org's authorization server: consent, tokens, and who may do what with them
//! (<https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/>).
//!
//! It is the org's own server and not one of those below `/oauth2/{id}`: only the former gives out `okta.*` scopes.

mod access;
mod assertion;
mod authorize;
mod bounded;
mod client_auth;
mod clients;
mod consent;
mod control;
mod discovery;
mod dpop;
mod form;
mod jwk;
mod jwt;
mod refusal;
mod replay;
mod revoke;
mod scopes;
mod settings;
#[cfg(test)]
mod testing;
mod token;
mod tokens;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub(super) use self::access::{Denial, Principal};
pub(super) use self::control::explanation;
pub(super) use self::form::without_secrets;
pub(super) use self::settings::Now;

use self::clients::Clients;
use self::dpop::Nonce;
use self::jwk::KeyPair;
use self::replay::Replay;
use self::settings::Settings;
use self::tokens::Tokens;
use super::Shared;

/// The authorization server.
#[derive(Debug)]
pub(super) struct OAuth {
    /// The org's base URL, which is also the issuer.
    url: String,
    settings: Settings,
    clients: Clients,
    tokens: Tokens,
    /// Assertions that have been used.
    assertions: Replay,
    /// Proofs that have been used.
    proofs: Replay,
    nonce: Nonce,
    /// What it signs with.
    key: KeyPair,
}

impl OAuth {
    /// The server of the org at `url`.
    pub(super) fn new(url: String) -> Result<Self, String> {
        let settings = Settings::DEFAULT;
        Ok(Self {
            url,
            clients: Clients::default(),
            tokens: Tokens::default(),
            assertions: Replay::default(),
            proofs: Replay::default(),
            nonce: Nonce::new(settings.now()),
            key: KeyPair::generate().ok_or("cannot make a key: the system has no random numbers")?,
            settings,
        })
    }

    /// The time.
    pub(super) fn now(&self) -> Now {
        self.settings.now()
    }

    /// The role of a service app, if there is such a client: none has none, and neither have web apps, whose users do.
    pub(super) fn role_of(&self, client: &str) -> Option<Option<&str>> {
        let client = self.clients.get(client)?;
        Some(client.admin_role.as_deref().filter(|_| client.kind == clients::Kind::Service))
    }

    /// Where one of its endpoints is.
    fn url_of(&self, endpoint: &str) -> String {
        format!("{}/oauth2/v1/{endpoint}", self.url)
    }
}

/// Its endpoints, which authenticate in their own way or not at all.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/oauth2/v1/authorize", get(authorize::show).post(authorize::decide))
        .route("/oauth2/v1/token", post(token::token))
        .route("/oauth2/v1/revoke", post(revoke::revoke))
        .route("/oauth2/v1/introspect", post(revoke::introspect))
        .route("/oauth2/v1/keys", get(discovery::keys))
        .route("/.well-known/openid-configuration", get(discovery::metadata))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
}

/// Its part of the control interface.
pub(super) fn control() -> Router<Shared> {
    control::routes()
}

/// Whether it answers at `path`, without a token.
pub(super) fn is_endpoint(path: &str) -> bool {
    let own = ["authorize", "token", "revoke", "introspect", "keys"];
    path.strip_prefix("/oauth2/v1/").is_some_and(|name| own.contains(&name)) || path.starts_with("/.well-known/")
}

/// An answer that nobody may keep.
fn no_store(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
