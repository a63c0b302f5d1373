//! Ending and looking at tokens: `POST /oauth2/v1/revoke` and `POST /oauth2/v1/introspect`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::form::Form;
use super::refusal::Refusal;
use super::{Now, OAuth, no_store};
use crate::sandbox::Shared;

pub(super) async fn revoke(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut oauth = shared.oauth();
    let now = oauth.now();
    no_store(Form::parse(&body).and_then(|form| oauth.revoke(&headers, &form, now)).map(|()| StatusCode::OK))
}

pub(super) async fn introspect(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut oauth = shared.oauth();
    let now = oauth.now();
    no_store(Form::parse(&body).and_then(|form| oauth.introspect(&headers, &form, now)).map(Json))
}

impl OAuth {
    fn revoke(&mut self, headers: &HeaderMap, form: &Form, now: Now) -> Result<(), Refusal> {
        let client = self.authenticate(&self.url_of("revoke"), headers, form, now)?.client;
        self.tokens.revoke(token_of(form)?, &client.client_id);
        Ok(())
    }

    fn introspect(&mut self, headers: &HeaderMap, form: &Form, now: Now) -> Result<Value, Refusal> {
        self.authenticate(&self.url_of("introspect"), headers, form, now)?;
        let token = token_of(form)?;
        let (grant, mut shown) = match self.tokens.access(token, now) {
            Some(access) => {
                let token_type = if access.key.is_some() { "DPoP" } else { "Bearer" };
                let shown = json!({
                    "active": true, "token_type": token_type, "scope": access.scopes.join(" "), "exp": access.exp,
                    "iss": self.url, "aud": self.url,
                });
                (&access.grant, shown)
            }
            None => match self.tokens.live_refresh(token, (now, &self.settings)) {
                Some(refresh) => {
                    let scope = refresh.grant.scopes.join(" ");
                    (&refresh.grant, json!({ "active": true, "scope": scope, "iss": self.url }))
                }
                None => return Ok(json!({ "active": false })),
            },
        };
        shown["client_id"] = json!(grant.client);
        shown["username"] = json!(grant.user.as_ref().map(|user| &user.login));
        shown["uid"] = json!(grant.user.as_ref().map(|user| &user.id));
        Ok(shown)
    }
}

fn token_of(form: &Form) -> Result<&str, Refusal> {
    form.get("token").ok_or_else(|| Refusal::invalid_request("The 'token' parameter is missing."))
}
