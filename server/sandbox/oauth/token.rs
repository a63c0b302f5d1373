//! The token endpoint, `POST /oauth2/v1/token`
//! (<https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/#tag/OrgAS/operation/token>).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::client_auth::Authenticated;
use super::clients::{Client, Kind, random};
use super::dpop::Target;
use super::form::Form;
use super::refusal::Refusal;
use super::tokens::{Access, Grant};
use super::{Now, OAuth, jwt, no_store, scopes};
use crate::sandbox::Shared;

/// How long an id token is good.
const ID_TOKEN_SECONDS: i64 = 3600;

/// Parameters come in the body; Okta takes them in the query too, which is where its own Go SDK puts them.
pub(super) async fn token(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut oauth = shared.oauth();
    let now = oauth.now();
    let parameters = if body.is_empty() { query.unwrap_or_default().into() } else { body };
    no_store(Form::parse(&parameters).and_then(|form| oauth.token(&headers, &form, now)).map(Json))
}

/// What an answer is made of.
struct Issue {
    grant: Grant,
    /// The scopes of the access token.
    scopes: Vec<String>,
    /// The key that it is bound to.
    key: Option<String>,
    refresh_token: Option<String>,
    nonce: Option<String>,
}

impl OAuth {
    fn token(&mut self, headers: &HeaderMap, form: &Form, now: Now) -> Result<Value, Refusal> {
        let url = self.url_of("token");
        let from = self.authenticate(&url, headers, form, now)?;
        let key = self.proved(headers, Target { method: "POST", url: &url, token: None }, true, now)?;
        if from.client.dpop_bound && key.is_none() {
            return Err(Refusal::new("invalid_dpop_proof", "The DPoP proof JWT header is missing."));
        }
        let issue = match form.get("grant_type") {
            Some("authorization_code") => self.redeem_code(&from.client, form, key, now)?,
            Some("refresh_token") => self.use_refresh_token(&from.client, form, key, now)?,
            Some("client_credentials") => self.trust_client(&from, form, key, now)?,
            Some(_) => {
                let what = "The authorization grant type is not supported by the authorization server. Configured grant types: \
                            [authorization_code, refresh_token, client_credentials].";
                return Err(Refusal::new("unsupported_grant_type", what));
            }
            None => return Err(missing("grant_type")),
        };
        self.issue(issue, now)
    }

    fn redeem_code(&mut self, client: &Client, form: &Form, key: Option<String>, now: Now) -> Result<Issue, Refusal> {
        allow(client, Kind::Web)?;
        let code = form.get("code").ok_or_else(|| missing("code"))?;
        let redirect_uri = form.get("redirect_uri").ok_or_else(|| missing("redirect_uri"))?;
        let at = (now, &self.settings);
        let code = self.tokens.redeem(code, &client.client_id, redirect_uri, form.get("code_verifier"), at)?;
        let offline = code.grant.scopes.iter().any(|scope| scope == "offline_access");
        let refresh_token = offline.then(|| self.tokens.add_refresh(code.grant.clone(), now));
        Ok(Issue { scopes: code.grant.scopes.clone(), grant: code.grant, key, refresh_token, nonce: code.nonce })
    }

    fn use_refresh_token(
        &mut self,
        client: &Client,
        form: &Form,
        key: Option<String>,
        now: Now,
    ) -> Result<Issue, Refusal> {
        allow(client, Kind::Web)?;
        let token = form.get("refresh_token").ok_or_else(|| missing("refresh_token"))?;
        let grant = self.tokens.refresh(token, &client.client_id, (now, &self.settings))?;
        let scopes = form.get("scope").map_or_else(|| grant.scopes.clone(), scopes::parse);
        // What was not consented to cannot be had, and what the admin has taken away since then cannot be had any more.
        if scopes.iter().any(|scope| !grant.scopes.contains(scope) || !client.may_have(scope)) {
            return Err(Refusal::scope_not_granted());
        }
        let refresh_token = Some(self.tokens.rotate(token, client.rotate_refresh_tokens, now));
        Ok(Issue { grant, scopes, key, refresh_token, nonce: None })
    }

    fn trust_client(
        &mut self,
        from: &Authenticated,
        form: &Form,
        key: Option<String>,
        now: Now,
    ) -> Result<Issue, Refusal> {
        let client = &from.client;
        allow(client, Kind::Service)?;
        if !from.by_key {
            let what = "Client Credentials requests to the Org Authorization Server must use the private_key_jwt \
                        token_endpoint_auth_method.";
            return Err(Refusal::invalid_client(what));
        }
        let scopes = scopes::parse(form.get("scope").ok_or_else(|| missing("scope"))?);
        if scopes.iter().any(|scope| !scopes::OKTA.contains(&scope.as_str())) {
            return Err(Refusal::unknown_scope());
        }
        if scopes.is_empty() || scopes.iter().any(|scope| !client.may_have(scope)) {
            return Err(Refusal::scope_not_granted());
        }
        let family = self.tokens.new_family();
        let grant = Grant {
            client: client.client_id.clone(),
            user: None,
            scopes: scopes.clone(),
            auth_time: now.clock(),
            family,
        };
        Ok(Issue { grant, scopes, key, refresh_token: None, nonce: None })
    }

    /// The answer, with an access token that counts from now on.
    fn issue(&mut self, issue: Issue, now: Now) -> Result<Value, Refusal> {
        let failed = || Refusal::new("server_error", "The sandbox could not sign a token.");
        let lifetime = self.settings.access_token_seconds;
        let exp = now.clock() + lifetime.cast_signed();
        let claims = self.access_claims(&issue, now, exp);
        let access_token = jwt::sign(&claims, &self.key).ok_or_else(failed)?;
        let mut answer = json!({
            "token_type": if issue.key.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": lifetime, "access_token": access_token, "scope": issue.scopes.join(" "),
        });
        if let Some(refresh_token) = &issue.refresh_token {
            answer["refresh_token"] = json!(refresh_token);
        }
        if issue.scopes.iter().any(|scope| scope == "openid") {
            answer["id_token"] = json!(jwt::sign(&self.id_claims(&issue, now), &self.key).ok_or_else(failed)?);
        }
        let expires = now.elapsed + Duration::from_secs(lifetime);
        let token = Access { grant: issue.grant, scopes: issue.scopes, key: issue.key, expires, exp };
        self.tokens.add_access(access_token, token);
        Ok(answer)
    }

    /// What Okta writes into an access token, which is nobody's business but its own.
    fn access_claims(&self, issue: &Issue, now: Now, exp: i64) -> Value {
        let grant = &issue.grant;
        let mut claims = json!({
            "ver": 1, "jti": format!("AT.{}", random()), "iss": self.url, "aud": self.url,
            "sub": grant.user.as_ref().map_or(&grant.client, |user| &user.login),
            "iat": now.clock(), "exp": exp, "cid": grant.client, "scp": issue.scopes,
        });
        if let Some(user) = &grant.user {
            claims["uid"] = json!(user.id);
            claims["auth_time"] = json!(grant.auth_time);
        }
        if let Some(key) = &issue.key {
            claims["cnf"] = json!({ "jkt": key });
        }
        claims
    }

    fn id_claims(&self, issue: &Issue, now: Now) -> Value {
        let (grant, user) = (&issue.grant, issue.grant.user.as_ref());
        let mut claims = json!({
            "ver": 1, "jti": format!("ID.{}", random()), "iss": self.url, "aud": grant.client,
            "sub": user.map(|user| &user.id), "preferred_username": user.map(|user| &user.login),
            "iat": now.clock(), "exp": now.clock() + ID_TOKEN_SECONDS, "auth_time": grant.auth_time, "amr": ["pwd"],
        });
        if let Some(nonce) = &issue.nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }
}

impl Client {
    /// Whether the client may have a scope, as an admin granted it or none needs to.
    pub(super) fn may_have(&self, scope: &str) -> bool {
        scopes::OPENID.contains(&scope) || self.scopes.iter().any(|granted| granted == scope)
    }
}

/// Refuses a grant that is not for this kind of client.
fn allow(client: &Client, kind: Kind) -> Result<(), Refusal> {
    let configured = match client.kind {
        Kind::Web => "authorization_code, refresh_token",
        Kind::Service => "client_credentials",
    };
    let what = "The client is not authorized to use the provided grant type. Configured grant types:";
    match client.kind == kind {
        true => Ok(()),
        false => Err(Refusal::new("unauthorized_client", format!("{what} [{configured}]."))),
    }
}

fn missing(parameter: &str) -> Refusal {
    Refusal::invalid_request(format!("The token request must specify a '{parameter}'."))
}
