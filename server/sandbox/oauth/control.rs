//! What a test can make the authorization server do, below `/_sandbox/`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::OAuth;
use super::clients::{Client, Kind};
use super::jwk::{KeyPair, PublicKey};
use super::scopes::OKTA;
use super::settings::Change;
use crate::sandbox::{Shared, roles};

const MAX_REDIRECT_URIS: usize = 20;
const MAX_KEYS: usize = 10;
/// The longest text that is taken.
const MAX_TEXT: usize = 1000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_sandbox/clients", get(list).post(create))
        .route("/_sandbox/clients/{client}", patch(update).delete(delete))
        .route("/_sandbox/oauth", get(settings).post(change_settings))
        .route("/_sandbox/oauth/tokens", get(tokens))
        .route("/_sandbox/oauth/expire", post(expire))
}

/// The explanation of all this.
pub(in crate::sandbox) fn explanation() -> Value {
    json!({
        "GET /_sandbox/clients": "all OAuth clients, with their secrets",
        "POST /_sandbox/clients": {
            "type": "web or service", "label": "text", "client_id": "0oa…", "client_secret": "text (web: made when not given)",
            "redirect_uris": ["exactly as they will come"], "scopes": "those granted on Okta API Scopes (all okta.* ones)",
            "jwks": { "keys": [] }, "generate_key": "true makes a P-256 key and answers it: private_key, private_key_jwk, key_id",
            "dpop_bound": false, "admin_role": "SUPER_ADMIN; null for none", "rotate_refresh_tokens": true,
        },
        "PATCH /_sandbox/clients/{client_id}": "the same, without type and client_id; generate_key adds to the keys, jwks replaces them",
        "DELETE /_sandbox/clients/{client_id}": "its tokens die with it",
        "GET /_sandbox/oauth": "the settings of POST",
        "POST /_sandbox/oauth": {
            "access_token_seconds": 3600, "refresh_grace_seconds": 30, "refresh_idle_seconds": 604_800, "code_seconds": 300,
            "nonce_seconds": 86400, "api_dpop_nonce": "true: proofs of API calls need a nonce too",
            "clock_offset_seconds": "how fast the clock is by which Date and X-Rate-Limit-Reset are told, and assertions and proofs checked",
        },
        "GET /_sandbox/oauth/tokens": "codes, access tokens and refresh tokens that were handed out, as far as they are remembered",
        "POST /_sandbox/oauth/expire": {
            "access_tokens": "true ends them all now", "refresh_tokens": "true revokes them all", "nonces": "true replaces the DPoP nonce",
        },
    })
}

/// What is said of a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(rename = "type")]
    kind: Option<Kind>,
    client_id: Option<String>,
    label: Option<String>,
    client_secret: Option<String>,
    redirect_uris: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    jwks: Option<Keys>,
    #[serde(default)]
    generate_key: bool,
    dpop_bound: Option<bool>,
    /// Null is something else than nothing.
    #[serde(default, deserialize_with = "present")]
    admin_role: Option<Option<String>>,
    rotate_refresh_tokens: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    #[serde(default)]
    access_tokens: bool,
    #[serde(default)]
    refresh_tokens: bool,
    #[serde(default)]
    nonces: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A wish that is not granted.
#[derive(Debug)]
struct Wrong(StatusCode, String);

impl Wrong {
    fn bad(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }

    fn unknown(client: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no client {client}"))
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|error| Wrong::bad(error.to_string()))
}

async fn list(State(shared): State<Shared>) -> Json<Vec<Client>> {
    Json(shared.oauth().clients.all().cloned().collect())
}

async fn create(State(shared): State<Shared>, body: Bytes) -> Result<(StatusCode, Json<Value>), Wrong> {
    let wish: Wish = parse(&body)?;
    let mut oauth = shared.oauth();
    let client = oauth.new_client(&wish)?;
    oauth.grant_wish(client, wish).map(|shown| (StatusCode::CREATED, Json(shown)))
}

async fn update(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Result<Json<Value>, Wrong> {
    let wish: Wish = parse(&body)?;
    let mut oauth = shared.oauth();
    let client = oauth.clients.get(&id).cloned().ok_or_else(|| Wrong::unknown(&id))?;
    if wish.kind.is_some_and(|kind| kind != client.kind) || wish.client_id.as_ref().is_some_and(|other| *other != id) {
        return Err(Wrong::bad("type and client_id stay as they are"));
    }
    oauth.grant_wish(client, wish).map(Json)
}

async fn delete(State(shared): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Wrong> {
    let mut oauth = shared.oauth();
    oauth.clients.remove(&id).ok_or_else(|| Wrong::unknown(&id))?;
    oauth.tokens.forget_client(&id);
    Ok(StatusCode::NO_CONTENT)
}

async fn settings(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(shared.oauth().settings))
}

async fn tokens(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.oauth().tokens.shown())
}

async fn change_settings(State(shared): State<Shared>, body: Bytes) -> Result<Json<Value>, Wrong> {
    let change: Change = parse(&body)?;
    let mut oauth = shared.oauth();
    oauth.settings.change(&change);
    Ok(Json(json!(oauth.settings)))
}

async fn expire(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, Wrong> {
    let expire: Expire = parse(&body)?;
    let mut oauth = shared.oauth();
    if expire.access_tokens {
        oauth.tokens.expire_access();
    }
    if expire.refresh_tokens {
        oauth.tokens.revoke_refresh();
    }
    if expire.nonces {
        let now = oauth.now();
        oauth.rotate_nonce(now);
    }
    Ok(StatusCode::NO_CONTENT)
}

impl OAuth {
    fn new_client(&mut self, wish: &Wish) -> Result<Client, Wrong> {
        let kind = wish.kind.ok_or_else(|| Wrong::bad("type has to be web or service"))?;
        if self.clients.is_full() {
            return Err(Wrong(StatusCode::INSUFFICIENT_STORAGE, "there are too many clients".to_owned()));
        }
        let id = match &wish.client_id {
            Some(id) if self.clients.get(id).is_some() => {
                return Err(Wrong(StatusCode::CONFLICT, format!("there is a client {id} already")));
            }
            Some(id) if !is_id(id) => return Err(Wrong::bad("client_id takes up to 100 letters, digits, - and _")),
            Some(id) => id.clone(),
            None => self.clients.new_id(),
        };
        Ok(Client::new(id, kind))
    }

    /// Makes the client what is wished, or changes nothing.
    fn grant_wish(&mut self, mut client: Client, wish: Wish) -> Result<Value, Wrong> {
        check(&wish)?;
        client.label = wish.label.unwrap_or(client.label);
        client.client_secret = wish.client_secret.or(client.client_secret);
        client.redirect_uris = wish.redirect_uris.unwrap_or(client.redirect_uris);
        client.scopes = wish.scopes.unwrap_or(client.scopes);
        client.dpop_bound = wish.dpop_bound.unwrap_or(client.dpop_bound);
        client.admin_role = wish.admin_role.unwrap_or(client.admin_role);
        client.rotate_refresh_tokens = wish.rotate_refresh_tokens.unwrap_or(client.rotate_refresh_tokens);
        let mut jwks = match wish.jwks {
            Some(jwks) => jwks.keys,
            None => client.jwks["keys"].as_array().cloned().unwrap_or_default(),
        };
        let generated = if wish.generate_key { Some(generate()?) } else { None };
        jwks.extend(generated.as_ref().map(KeyPair::public_jwk));
        client.keys = keys(&jwks)?;
        client.jwks = json!({ "keys": jwks });
        let mut shown = json!(client);
        if let Some(key) = generated {
            shown["private_key"] = json!(key.private_pem());
            shown["private_key_jwk"] = key.private_jwk();
            shown["key_id"] = json!(key.kid);
        }
        self.clients.put(client);
        Ok(shown)
    }
}

fn generate() -> Result<KeyPair, Wrong> {
    let failed = || Wrong(StatusCode::INTERNAL_SERVER_ERROR, "cannot make a key".to_owned());
    KeyPair::generate().ok_or_else(failed)
}

fn keys(jwks: &[Value]) -> Result<Vec<PublicKey>, Wrong> {
    if jwks.len() > MAX_KEYS {
        return Err(Wrong::bad(format!("jwks takes up to {MAX_KEYS} keys")));
    }
    let keys = jwks.iter().map(PublicKey::parse).collect::<Result<Vec<_>, _>>();
    keys.map_err(|what| Wrong::bad(format!("jwks: {what}")))
}

fn check(wish: &Wish) -> Result<(), Wrong> {
    let long = |text: &String| text.len() > MAX_TEXT;
    if [&wish.label, &wish.client_secret].into_iter().flatten().any(long) {
        return Err(Wrong::bad("label and client_secret are too long"));
    }
    let uris = wish.redirect_uris.as_deref().unwrap_or_default();
    if uris.len() > MAX_REDIRECT_URIS || uris.iter().any(|uri| long(uri) || url::Url::parse(uri).is_err()) {
        return Err(Wrong::bad(format!("redirect_uris takes up to {MAX_REDIRECT_URIS} URLs")));
    }
    let unknown = wish.scopes.iter().flatten().find(|scope| !OKTA.contains(&scope.as_str()));
    if let Some(scope) = unknown {
        return Err(Wrong::bad(format!("scopes: there is no {scope}, but {}", OKTA.join(" "))));
    }
    match wish.admin_role.iter().flatten().find(|role| roles::label(role).is_none()) {
        Some(role) => Err(Wrong::bad(format!("admin_role: there is no {role}"))),
        None => Ok(()),
    }
}

fn is_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}
