//! What the authorization server says of itself: its metadata (RFC 8414) and the keys that it signs with.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{dpop, scopes};
use crate::sandbox::Shared;

pub(super) async fn keys(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "keys": [shared.oauth().key.public_jwk()] }))
}

pub(super) async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    let oauth = shared.oauth();
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    // ES512 is not among them: the sandbox has no curve P-521.
    let algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384"];
    Json(json!({
        "issuer": oauth.url,
        "authorization_endpoint": oauth.url_of("authorize"),
        "token_endpoint": oauth.url_of("token"),
        "revocation_endpoint": oauth.url_of("revoke"),
        "introspection_endpoint": oauth.url_of("introspect"),
        "jwks_uri": oauth.url_of("keys"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": scopes::OPENID.iter().chain(&scopes::OKTA).collect::<Vec<_>>(),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "claims_supported": ["iss", "ver", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr", "nonce", "preferred_username"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
    }))
}
