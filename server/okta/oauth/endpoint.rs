//! The org's authorization server (RFC 6749), as far as a client talks to it: codes and refresh tokens for access tokens, assertions
//! for access tokens, and tokens handed back.
//!
//! What the server asks for on the way is given at once: a proof with its nonce (RFC 9449), a signature by its own clock.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse, TokenUrl,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::assertion::assertion;
use super::clock::Clock;
use super::dpop::{Audience, DPOP, Dpop, Request};
use super::refusal::OAuthError;
use crate::connections::{Connection, ServiceApp, WebApp};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::okta::answer::Answer;
use crate::okta::http::{Unanswered, bounded_body};
use crate::proto::ErrorReason;

const AUTHORIZE: &str = "/oauth2/v1/authorize";
const TOKEN: &str = "/oauth2/v1/token";
const REVOKE: &str = "/oauth2/v1/revoke";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Token answers are a few kilobytes.
const MAX_BODY: usize = 256 << 10;
/// One request, answer included.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Times that a request is mended and sent again: for a nonce, for another one, for the clock.
const MAX_MENDED: u32 = 3;
/// Okta's tokens last an hour; those of a server that does not say are taken to as well.
const USUAL_LIFETIME: Duration = Duration::from_secs(3600);
/// A server that gives tokens of no life at all is not asked for one more than once a second.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What a browser is sent to Okta with.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// Okta's consent page, with everything in the query.
    pub url: Url,
    /// What the callback has to bring back, once.
    pub state: SecretString,
    /// What the code is exchanged with (PKCE, RFC 7636).
    pub verifier: SecretString,
}

impl AuthorizationRequest {
    /// A fresh request for `connection`, coming back to `redirect_uri`.
    ///
    /// # Errors
    /// When a URL is none, in a sentence.
    pub fn new(connection: &Connection, app: &WebApp, redirect_uri: &str) -> Result<Self, String> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_auth_uri(
                AuthUrl::new(format!("{}{AUTHORIZE}", connection.base_url)).map_err(|error| error.to_string())?,
            )
            .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).map_err(|error| error.to_string())?);
        let scopes = ["openid", "offline_access"].into_iter().chain(app.scopes.iter().map(String::as_str));
        let (url, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(scopes.map(|scope| Scope::new(scope.to_owned())))
            .add_extra_param("nonce", CsrfToken::new_random().into_secret())
            .set_pkce_challenge(challenge)
            .url();
        Ok(Self { url, state: state.into_secret().into(), verifier: verifier.into_secret().into() })
    }
}

/// What a browser came back with.
#[derive(Debug)]
pub struct CodeExchange {
    /// The code.
    pub code: SecretString,
    /// The verifier of the request that it answers.
    pub verifier: SecretString,
    /// The redirect URI of that request.
    pub redirect_uri: String,
}

/// Tokens that were issued.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access_token: SecretString,
    /// Whether the access token is bound to our key.
    pub(super) bound: bool,
    pub(super) lifetime: Duration,
    /// As the server says; `None` when they are those asked for.
    pub(super) scopes: Option<Vec<String>>,
    pub(super) refresh_token: Option<SecretString>,
}

/// Why no token was issued.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused.
    Refused(OAuthError),
    /// The server wants a proof, and there is no key to make it with yet.
    WantsProof,
    /// The server could not be asked, or could not answer.
    Unavailable(Error),
}

/// An attempt of the library's.
type Trying<'a> = BoxFuture<'a, Result<BasicTokenResponse, RequestTokenError<Error, BasicErrorResponse>>>;

/// The authorization server of one connection's org.
#[derive(Debug)]
pub(super) struct AuthorizationServer<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) metrics: &'a Metrics,
    pub(super) base_url: &'a str,
    pub(super) dpop: &'a Dpop,
    pub(super) clock: &'a Clock,
}

impl AuthorizationServer<'_> {
    /// A code for tokens.
    pub(super) async fn exchange(&self, app: &WebApp, exchange: &CodeExchange) -> Result<Issued, Failure> {
        let redirect = RedirectUrl::new(exchange.redirect_uri.clone()).map_err(|error| unusable(&error))?;
        let client = self.web_client(app)?.set_redirect_uri(redirect);
        let issued = self.mended(|| {
            let code = AuthorizationCode::new(exchange.code.expose_secret().to_owned());
            let verifier = PkceCodeVerifier::new(exchange.verifier.expose_secret().to_owned());
            let request = client.exchange_code(code).set_pkce_verifier(verifier);
            Box::pin(request.request_async(self))
        });
        issued.await.map(Issued::from)
    }

    /// A refresh token for new tokens.
    pub(super) async fn refresh(&self, app: &WebApp, refresh_token: &SecretString) -> Result<Issued, Failure> {
        let client = self.web_client(app)?;
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let issued = self.mended(|| Box::pin(client.exchange_refresh_token(&token).request_async(self)));
        issued.await.map(Issued::from)
    }

    /// An assertion for an access token.
    pub(super) async fn client_credentials(&self, app: &ServiceApp) -> Result<Issued, Failure> {
        let token_url = format!("{}{TOKEN}", self.base_url);
        let client = BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::new(token_url.clone()).map_err(|error| unusable(&error))?);
        let issued = self.mended(|| {
            let assertion = match assertion(app, &token_url, self.clock.now()) {
                Ok(assertion) => assertion,
                Err(error) => return Box::pin(std::future::ready(Err(RequestTokenError::Other(error)))),
            };
            let request = client
                .exchange_client_credentials()
                .add_scopes(app.scopes.iter().cloned().map(Scope::new))
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion);
            Box::pin(request.request_async(self))
        });
        issued.await.map(Issued::from)
    }

    /// Hands a refresh token back, and the access tokens that came of it with it (RFC 7009). By hand: the library does this over
    /// https only, which a sandbox on this machine does not have.
    pub(super) async fn revoke(&self, app: &WebApp, refresh_token: &SecretString) -> Result<(), Failure> {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let client = format!("{}:{}", encoded(&app.client_id), encoded(app.client_secret.expose_secret()));
        let body = format!("token_type_hint=refresh_token&token={}", encoded(refresh_token.expose_secret()));
        let request = oauth2::http::Request::post(format!("{}{REVOKE}", self.base_url))
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(client)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into_bytes())
            .map_err(|error| unusable(&error))?;
        let response = self.send(REVOKE, request).await.map_err(Failure::Unavailable)?;
        if response.status().is_success() {
            return Ok(());
        }
        let message = format!("POST {REVOKE}: Okta answered {}", response.status());
        Err(Failure::Unavailable(Error::new(ErrorReason::OktaRefused, message)))
    }

    fn web_client(&self, app: &WebApp) -> Result<WebClient, Failure> {
        let url = TokenUrl::new(format!("{}{TOKEN}", self.base_url)).map_err(|error| unusable(&error))?;
        Ok(BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_client_secret(ClientSecret::new(app.client_secret.expose_secret().to_owned()))
            .set_token_uri(url))
    }

    /// Tries until the server has had everything it asked for on the way.
    async fn mended<'a>(&self, attempt: impl Fn() -> Trying<'a> + Send) -> Result<BasicTokenResponse, Failure> {
        let mut mended = 0;
        loop {
            let (offset, nonce) = (self.clock.offset(), self.dpop.nonce(Audience::TokenEndpoint));
            let refused = match attempt().await {
                Ok(issued) => return Ok(issued),
                Err(RequestTokenError::ServerResponse(response)) => {
                    let description = response.error_description().map_or("", String::as_str);
                    OAuthError::new(response.error().as_ref(), description)
                }
                Err(RequestTokenError::Request(error)) => return Err(Failure::Unavailable(error)),
                // The body is not repeated: it may be an answer after all, with tokens in it.
                Err(RequestTokenError::Parse(..)) => {
                    return Err(Failure::Unavailable(unreadable("the answer is not what a token endpoint gives")));
                }
                Err(RequestTokenError::Other(what)) => return Err(Failure::Unavailable(unreadable(&what))),
            };
            if refused.is_about_proof() && self.dpop.key().is_none() {
                return Err(Failure::WantsProof);
            }
            let has_new_nonce = refused.is_about_proof() && self.dpop.nonce(Audience::TokenEndpoint) != nonce;
            if mended == MAX_MENDED || !(has_new_nonce || self.clock.offset() != offset) {
                return Err(Failure::Refused(refused));
            }
            mended += 1;
        }
    }

    /// Sends one request of the library's. Only answers that the library can judge are given to it.
    async fn send(&self, path: &'static str, request: HttpRequest) -> Result<HttpResponse, Error> {
        let started = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, self.exchange_http(request)).await;
        let status =
            answer.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map_or(0, |answer| answer.status.as_u16());
        self.metrics.okta_request("POST", path, status, started.elapsed());
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unavailable(path, &error)),
            Err(_) => return Err(unavailable(path, &Unanswered::Silent)),
        };
        match status {
            429 => Err(rate_limited(path, &answer)),
            500.. => {
                let message = format!("POST {path}: Okta answered {}", answer.status);
                Err(Error::new(ErrorReason::OktaUnavailable, message).with("okta_request_id", answer.request_id()))
            }
            _ => {
                let form =
                    if answer.status.is_success() { tolerated(&answer.body) } else { standard_form(&answer.body) };
                let mut response = HttpResponse::new(form.unwrap_or_else(|| answer.body.to_vec()));
                *response.status_mut() = answer.status;
                Ok(response)
            }
        }
    }

    async fn exchange_http(&self, request: HttpRequest) -> Result<Answer, Unanswered> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let about = Request { method: parts.method.as_str(), url: &url, access_token: None, now: self.clock.now() };
        let proof = self.dpop.proof(Audience::TokenEndpoint, &about).ok().flatten();
        let mut sent = self.http.request(parts.method, &url).headers(parts.headers).body(body);
        if let Some(proof) = proof.and_then(|proof| HeaderValue::try_from(proof).ok()) {
            sent = sent.header(DPOP, proof);
        }
        let response = sent.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.clock.learn(&headers);
        self.dpop.learn(Audience::TokenEndpoint, &headers);
        let body = bounded_body(response, MAX_BODY).await?;
        Ok(Answer { status, headers, body, next_page_token: String::new() })
    }
}

/// The library's door to the token endpoint.
impl<'c> AsyncHttpClient<'c> for AuthorizationServer<'_> {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse, Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(TOKEN, request))
    }
}

type WebClient = BasicClient<
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

impl From<BasicTokenResponse> for Issued {
    fn from(response: BasicTokenResponse) -> Self {
        let secret = |text: &str| SecretString::from(text.to_owned());
        Self {
            access_token: secret(response.access_token().secret()),
            bound: response.token_type().as_ref().eq_ignore_ascii_case("dpop"),
            lifetime: response.expires_in().unwrap_or(USUAL_LIFETIME).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME),
            scopes: response.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            refresh_token: response.refresh_token().map(|token| secret(token.secret())),
        }
    }
}

/// What is of use in a token answer, in the types that the library wants. An odd field must not lose the refresh token beside it: the
/// one before is used up.
fn tolerated(body: &[u8]) -> Option<Vec<u8>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
    let mut kept =
        json!({ "access_token": text("access_token")?, "token_type": text("token_type").unwrap_or("Bearer") });
    if let Some(token) = text("refresh_token") {
        kept["refresh_token"] = json!(token);
    }
    let seconds = answer["expires_in"].as_f64().or_else(|| text("expires_in")?.parse().ok());
    if let Some(seconds) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        kept["expires_in"] = json!(seconds.as_secs());
    }
    let scopes =
        answer["scope"].as_array().map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    if let Some(scopes) = scopes.as_deref().or_else(|| text("scope")) {
        kept["scope"] = json!(scopes);
    }
    serde_json::to_vec(&kept).ok()
}

/// Okta says some refusals, such as that of an unknown client, in the form of its API's errors: the same as OAuth has them.
fn standard_form(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OktaError {
        error_code: String,
        #[serde(default)]
        error_summary: String,
    }
    let OktaError { error_code, error_summary } = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&json!({ "error": error_code, "error_description": error_summary })).ok()
}

fn unusable(error: &impl std::fmt::Display) -> Failure {
    Failure::Unavailable(Error::new(ErrorReason::OktaUnavailable, format!("a URL of the org cannot be used: {error}")))
}

fn unreadable(what: &str) -> Error {
    Error::new(ErrorReason::OktaAnswerUnreadable, format!("POST {TOKEN}: {what}"))
}

fn unavailable(path: &str, error: &Unanswered) -> Error {
    let reason = match error {
        Unanswered::Silent => ErrorReason::OktaTimeout,
        Unanswered::TooLarge(_) => ErrorReason::OktaAnswerUnreadable,
        Unanswered::NotSent(_) | Unanswered::Broken(_) => ErrorReason::OktaUnavailable,
    };
    Error::new(reason, format!("POST {path}: Okta {error}"))
}

fn rate_limited(path: &'static str, answer: &Answer) -> Error {
    let seconds = answer.header(&RETRY_AFTER).parse().ok().map(Duration::from_secs);
    Error::new(ErrorReason::OktaRateLimited, format!("POST {path}: Okta's rate limit for tokens is spent"))
        .with_retry_after(seconds.or(answer.until_reset()).unwrap_or_default())
        .with("rate_limit_bucket", path)
        .with("okta_request_id", answer.request_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(answer: &Value) -> Option<Value> {
        tolerated(answer.to_string().as_bytes()).map(|kept| serde_json::from_slice(&kept).expect("JSON"))
    }

    #[test]
    fn an_odd_field_does_not_lose_the_tokens_beside_it() {
        let good = json!({ "access_token": "a", "token_type": "DPoP", "refresh_token": "r", "expires_in": 3600, "scope": "x y" });
        assert_eq!(kept(&good).as_ref(), Some(&good));
        for (field, odd, becomes) in [
            ("expires_in", json!("3600"), json!(3600)),
            ("expires_in", json!(3599.5), json!(3599)),
            ("expires_in", json!(-1), Value::Null),
            ("expires_in", json!(1e300), Value::Null),
            ("expires_in", json!({}), Value::Null),
            ("token_type", Value::Null, json!("Bearer")),
            ("scope", json!(["x", 1, "y"]), json!("x y")),
            ("scope", json!(7), Value::Null),
            ("surprise", json!([[]]), Value::Null),
        ] {
            let mut answer = good.clone();
            answer[field] = odd;
            let kept = kept(&answer).expect("kept");
            let found = kept.get(field).unwrap_or(&Value::Null);
            assert_eq!((found, &kept["refresh_token"]), (&becomes, &json!("r")), "{answer}");
            serde_json::from_value::<BasicTokenResponse>(kept).expect("what the library takes");
        }
    }

    #[test]
    fn what_has_no_access_token_is_no_token_answer() {
        for answer in [json!({}), json!([]), json!("x"), json!({ "access_token": 7 }), json!({ "access_token": "" })] {
            assert_eq!(kept(&answer), None, "{answer}");
        }
        assert_eq!(tolerated(b"<html>"), None);
    }

    #[test]
    fn a_refusal_in_the_form_of_the_api_is_one_all_the_same() {
        let form = standard_form(br#"{"errorCode":"invalid_client","errorSummary":"No such app.","errorCauses":[]}"#);
        let refusal: Value = serde_json::from_slice(&form.expect("a refusal")).expect("JSON");
        assert_eq!(refusal, json!({ "error": "invalid_client", "error_description": "No such app." }));
        assert_eq!(standard_form(br#"{"error":"invalid_grant"}"#), None);
    }
}
