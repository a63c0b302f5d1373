//! The sandbox's authorization server, as clients of Okta's find it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Method, Response};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded;

use crate::harness::{Sandbox, http};

const WEB_APP: (&str, &str) = ("0oasandboxwebapp0001", "sandbox-client-secret");
const REDIRECT_URI: &str = "http://127.0.0.1:8080/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const SCOPES: &str = "openid offline_access okta.users.read okta.groups.manage";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(text: &str) -> String {
    encoded(digest(&SHA256, text.as_bytes()))
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// Something that signs JWTs.
enum Key {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    fn ec(pem: &str) -> Self {
        let random = SystemRandom::new();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(pem), &random).expect("a key"))
    }

    fn new_ec() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).expect("a key"))
    }

    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&der(include_str!("../fixtures/keys/rsa_2048_pkcs8.pem"))).expect("a key"))
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Ec(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    fn jwk(&self) -> Value {
        match self {
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
            Self::Rsa(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": encoded(public.n), "e": encoded(public.e) })
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(pair) => pair.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("signed");
                signature
            }
        };
        format!("{signed}.{}", encoded(signature))
    }

    /// A proof for a request; `more` is added to its claims.
    fn proof(&self, method: &str, url: &str, more: Value) -> String {
        let mut claims = json!({ "htm": method, "htu": url, "iat": clock(), "jti": uuid::Uuid::new_v4().to_string() });
        claims.as_object_mut().expect("claims").extend(more.as_object().expect("claims").clone());
        self.sign(&json!({ "typ": "dpop+jwt", "alg": self.alg(), "jwk": self.jwk() }), &claims)
    }
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).expect("base64")
}

fn claims_of(jwt: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).expect("claims")).expect("base64");
    serde_json::from_slice(&claims).expect("JSON")
}

/// A service app and its key.
struct Service {
    id: String,
    kid: String,
    key: Key,
}

impl Service {
    async fn create(sandbox: &Sandbox, mut settings: Value) -> Self {
        settings["type"] = json!("service");
        settings["generate_key"] = json!(true);
        let client = control(sandbox, "clients", settings).await;
        let key = Key::ec(text(&client, "private_key"));
        Self { id: text(&client, "client_id").to_owned(), kid: text(&client, "key_id").to_owned(), key }
    }

    fn claims(&self, sandbox: &Sandbox) -> Value {
        let url = format!("{}/oauth2/v1/token", sandbox.url());
        json!({
            "iss": self.id, "sub": self.id, "aud": url, "iat": clock(), "exp": clock() + 300,
            "jti": uuid::Uuid::new_v4().to_string(),
        })
    }

    /// A request for a token, with a fresh assertion.
    fn request(&self, sandbox: &Sandbox, scope: &str) -> String {
        let header = json!({ "alg": self.key.alg(), "kid": self.kid });
        asks(scope, &self.key.sign(&header, &self.claims(sandbox)))
    }
}

fn asks(scope: &str, assertion: &str) -> String {
    form(&[
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ])
}

async fn control(sandbox: &Sandbox, path: &str, body: Value) -> Value {
    let answer = sandbox.control(Method::POST, path, Some(body)).await;
    serde_json::from_str(&answer).unwrap_or_default()
}

/// A form sent to one of the authorization server's endpoints.
async fn send(sandbox: &Sandbox, endpoint: &str, body: String, headers: &[(&str, &str)]) -> reqwest::Result<Response> {
    let url = format!("{}/oauth2/v1/{endpoint}", sandbox.url());
    let mut request = http().post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await
}

/// What the token endpoint says to the web app.
async fn token(sandbox: &Sandbox, parameters: &[(&str, &str)]) -> (u16, Value) {
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", WEB_APP.0, WEB_APP.1)));
    let response = send(sandbox, "token", form(parameters), &[("authorization", &basic)]).await.expect("answered");
    assert_eq!(header(&response, "cache-control"), "no-cache, no-store");
    (response.status().as_u16(), json_of(response).await)
}

async fn refresh(sandbox: &Sandbox, refresh_token: &str) -> (u16, Value) {
    token(sandbox, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

/// What the token endpoint says to somebody else.
async fn ask(sandbox: &Sandbox, body: String, headers: &[(&str, &str)]) -> (u16, Value) {
    let response = send(sandbox, "token", body, headers).await.expect("answered");
    (response.status().as_u16(), json_of(response).await)
}

async fn api(sandbox: &Sandbox, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = http().request(method, format!("{}{path}", sandbox.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("answered")
}

async fn get(sandbox: &Sandbox, path: &str, token: &str) -> Response {
    api(sandbox, Method::GET, path, &[("authorization", &format!("Bearer {token}"))]).await
}

/// A browser that tells where it is sent instead of going there.
fn browser() -> reqwest::Client {
    drop(http());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

/// The parameters of a request for consent.
fn consent(scope: &str) -> HashMap<&'static str, String> {
    let challenge = hash(VERIFIER);
    [
        ("client_id", WEB_APP.0),
        ("redirect_uri", REDIRECT_URI),
        ("response_type", "code"),
        ("scope", scope),
        ("state", "a \"state\" & more"),
        ("nonce", "once"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

async fn authorize(sandbox: &Sandbox, parameters: &HashMap<&str, String>) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    browser().get(format!("{}/oauth2/v1/authorize?{query}", sandbox.url())).send().await.expect("answered")
}

/// Where an answer redirects to: the place, and its parameters.
fn redirect(response: &Response) -> (String, HashMap<String, String>) {
    assert_eq!(response.status(), 302);
    let mut url = Url::parse(header(response, "location")).expect("a URL");
    let parameters = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.to_string(), parameters)
}

/// Presses a button of the consent page.
async fn press(sandbox: &Sandbox, page: &str, decision: &str) -> (String, HashMap<String, String>) {
    assert!(page.contains(&format!("name=\"decision\" value=\"{decision}\"")), "{page}");
    let attribute = |tag: &str, name: &str| {
        let value =
            tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).expect("an attribute");
        value
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    let inputs = page.split("<input ").skip(1);
    let mut fields: Vec<(String, String)> =
        inputs.map(|tag| (attribute(tag, "name"), attribute(tag, "value"))).collect();
    fields.push(("decision".to_owned(), decision.to_owned()));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let url = format!("{}/oauth2/v1/authorize", sandbox.url());
    redirect(&browser().post(url).body(body).send().await.expect("answered"))
}

/// A code that the admin has consented to.
async fn code(sandbox: &Sandbox, scope: &str) -> String {
    let page = authorize(sandbox, &consent(scope)).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("text");
    for shown in ["alice.admin@acme.example", "Okta Connector"].into_iter().chain(scope.split(' ')) {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let (place, parameters) = press(sandbox, &page, "allow").await;
    assert_eq!((place.as_str(), parameters["state"].as_str()), (REDIRECT_URI, "a \"state\" & more"));
    parameters["code"].clone()
}

async fn redeem(sandbox: &Sandbox, code: &str) -> (u16, Value) {
    let parameters = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    token(sandbox, &parameters).await
}

/// The tokens of a consent.
async fn consented(sandbox: &Sandbox, scope: &str) -> Value {
    let (status, tokens) = redeem(sandbox, &code(sandbox, scope).await).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

#[tokio::test]
async fn consent_gives_a_code_and_the_code_gives_tokens_once() {
    let sandbox = Sandbox::start();
    let code = code(&sandbox, SCOPES).await;
    let (status, tokens) = redeem(&sandbox, &code).await;
    assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &json!("Bearer"), &json!(3600)));
    assert_eq!(tokens["scope"], SCOPES);
    let access_token = text(&tokens, "access_token");
    let me = json_of(get(&sandbox, "/api/v1/users/me", access_token).await).await;
    let id = claims_of(text(&tokens, "id_token"));
    assert_eq!((&id["sub"], &id["nonce"], &id["aud"]), (&me["id"], &json!("once"), &json!(WEB_APP.0)));
    assert_eq!((&id["iss"], &id["preferred_username"]), (&json!(sandbox.url()), &me["profile"]["login"]));
    let (status, again) = redeem(&sandbox, &code).await;
    assert_eq!((status, text(&again, "error")), (400, "invalid_grant"));
    assert_eq!(get(&sandbox, "/api/v1/users/me", access_token).await.status(), 401, "its tokens are revoked");
    assert_eq!(refresh(&sandbox, text(&tokens, "refresh_token")).await.0, 400);
    let requests = sandbox.requests().await;
    let recorded = requests.iter().find(|request| request["path"] == "/oauth2/v1/token").expect("recorded");
    assert!(text(recorded, "body").contains("code=…") && !json!(requests).to_string().contains(&code));
    assert!(requests.iter().any(|request| request["caller"] == WEB_APP.0 && request["path"] == "/api/v1/users/me"));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_its_place() {
    let sandbox = Sandbox::start();
    let code = code(&sandbox, "openid").await;
    for (verifier, place, says) in
        [("guess", REDIRECT_URI, "PKCE"), (VERIFIER, "http://localhost:8080/oauth/callback", "redirect_uri")]
    {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", place),
            ("code_verifier", verifier),
        ];
        let (status, refused) = token(&sandbox, &parameters).await;
        assert_eq!((status, text(&refused, "error")), (400, "invalid_grant"));
        assert!(text(&refused, "error_description").contains(says), "{refused}");
    }
    let (status, tokens) = redeem(&sandbox, &code).await;
    assert_eq!((status, &tokens["refresh_token"]), (200, &Value::Null), "offline_access was not asked for");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn what_cannot_be_consented_to_goes_back_with_its_error() {
    let sandbox = Sandbox::start();
    let page = authorize(&sandbox, &consent("openid")).await.text().await.expect("text");
    let (_, denied) = press(&sandbox, &page, "deny").await;
    assert_eq!(denied["error"], "access_denied");
    assert_eq!(denied["error_description"], "Resource owner did not approve the request.");
    assert_eq!(denied["state"], "a \"state\" & more");
    let body = json!({ "scopes": ["okta.users.read"] });
    sandbox.control(Method::PATCH, "clients/0oasandboxwebapp0001", Some(body)).await;
    for (name, value, error) in [
        ("scope", "openid okta.everything.manage", "invalid_scope"),
        ("scope", "openid okta.users.manage", "invalid_scope"),
        ("scope", "okta.users.read", "invalid_scope"),
        ("state", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
    ] {
        let mut parameters = consent("openid okta.users.read");
        parameters.insert(name, value.to_owned());
        let (place, refused) = redirect(&authorize(&sandbox, &parameters).await);
        assert_eq!((place.as_str(), refused["error"].as_str()), (REDIRECT_URI, error), "{name}={value}");
        assert!(!refused["error_description"].is_empty() && !refused.contains_key("code"));
    }
    sandbox.0.stop().await;
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_is_not_the_clients() {
    let sandbox = Sandbox::start();
    for (name, value, says) in [
        ("redirect_uri", "http://127.0.0.1:8080/oauth/callback/", "Login redirect URI"),
        ("redirect_uri", "http://127.0.0.1:8081/oauth/callback", "Login redirect URI"),
        ("redirect_uri", "", "Login redirect URI"),
        ("client_id", "0oasomebodyelse00001", "client_id"),
    ] {
        let mut parameters = consent("openid");
        parameters.insert(name, value.to_owned());
        let page = authorize(&sandbox, &parameters).await;
        assert_eq!((page.status().as_u16(), header(&page, "location")), (400, ""));
        assert!(header(&page, "content-type").starts_with("text/html"));
        let page = page.text().await.expect("text");
        assert!(page.contains("400 Bad Request") && page.contains(says), "{page}");
    }
    sandbox.0.stop().await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_the_old_one_is_good_for_a_while() {
    let sandbox = Sandbox::start();
    let tokens = consented(&sandbox, SCOPES).await;
    let first = text(&tokens, "refresh_token");
    let (status, second) = refresh(&sandbox, first).await;
    assert_eq!((status, second["refresh_token"] == first), (200, false));
    let (_, once_more) = refresh(&sandbox, first).await;
    assert_eq!(once_more["refresh_token"], second["refresh_token"], "the answer may have been lost");
    let narrow = [("grant_type", "refresh_token"), ("refresh_token", first), ("scope", "okta.users.read")];
    let (_, narrower) = token(&sandbox, &narrow).await;
    assert_eq!((&narrower["scope"], &narrower["id_token"]), (&json!("okta.users.read"), &Value::Null));
    let wide = [("grant_type", "refresh_token"), ("refresh_token", first), ("scope", "okta.apps.read")];
    assert_eq!(text(&token(&sandbox, &wide).await.1, "error"), "invalid_scope");
    control(&sandbox, "oauth", json!({ "refresh_grace_seconds": 0 })).await;
    let (status, reused) = refresh(&sandbox, first).await;
    assert_eq!((status, text(&reused, "error")), (400, "invalid_grant"));
    assert_eq!(refresh(&sandbox, text(&second, "refresh_token")).await.0, 400, "the family is revoked");
    assert_eq!(get(&sandbox, "/api/v1/users/me", text(&second, "access_token")).await.status(), 401);
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_has_happened() {
    let sandbox = Sandbox::start();
    let tokens = consented(&sandbox, SCOPES).await;
    control(&sandbox, "faults", json!({ "path": "/oauth2/v1/token", "after": true, "cut": true })).await;
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", WEB_APP.0, WEB_APP.1)));
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))]);
    let lost = send(&sandbox, "token", body.clone(), &[("authorization", &basic)]).await;
    assert!(match lost {
        Ok(beginning) => beginning.text().await.is_err(),
        Err(_) => true,
    });
    control(&sandbox, "faults", json!({ "path": "/oauth2/v1/token", "after": true, "status": 503 })).await;
    let replaced = send(&sandbox, "token", body, &[("authorization", &basic)]).await.expect("answered");
    assert_eq!((replaced.status().as_u16(), replaced.text().await.expect("text").as_str()), (503, ""));
    control(&sandbox, "oauth", json!({ "refresh_grace_seconds": 0 })).await;
    assert_eq!(refresh(&sandbox, text(&tokens, "refresh_token")).await.0, 400, "it was rotated");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn refresh_tokens_that_do_not_rotate_stay_until_they_are_revoked() {
    let sandbox = Sandbox::start();
    let body = json!({ "rotate_refresh_tokens": false });
    sandbox.control(Method::PATCH, "clients/0oasandboxwebapp0001", Some(body)).await;
    let tokens = consented(&sandbox, SCOPES).await;
    let (status, second) = refresh(&sandbox, text(&tokens, "refresh_token")).await;
    assert_eq!((status, &second["refresh_token"]), (200, &tokens["refresh_token"]));
    control(&sandbox, "oauth/expire", json!({ "refresh_tokens": true })).await;
    assert_eq!(refresh(&sandbox, text(&tokens, "refresh_token")).await.0, 400);
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_service_app_gets_tokens_for_its_key() {
    let sandbox = Sandbox::start();
    let service = Service::create(&sandbox, json!({ "scopes": ["okta.users.read", "okta.roles.read"] })).await;
    let (status, es256) = ask(&sandbox, service.request(&sandbox, "okta.users.read okta.roles.read"), &[]).await;
    assert_eq!((status, &es256["token_type"], &es256["refresh_token"]), (200, &json!("Bearer"), &Value::Null));
    let access_token = text(&es256, "access_token");
    assert_eq!(get(&sandbox, "/api/v1/users?limit=1", access_token).await.status(), 200);
    let nobody = get(&sandbox, "/api/v1/users/me", access_token).await;
    assert_eq!((nobody.status().as_u16(), text(&json_of(nobody).await, "errorCode")), (404, "E0000007"));
    let roles = json_of(get(&sandbox, &format!("/oauth2/v1/clients/{}/roles", service.id), access_token).await).await;
    assert_eq!((&roles[0]["type"], &roles[0]["assignmentType"]), (&json!("SUPER_ADMIN"), &json!("CLIENT")));

    let rsa = Service { key: Key::rsa(), kid: "rsa".to_owned(), id: service.id };
    let mut jwk = rsa.key.jwk();
    jwk["kid"] = json!("rsa");
    let body = json!({ "jwks": { "keys": [jwk] } });
    sandbox.control(Method::PATCH, &format!("clients/{}", rsa.id), Some(body)).await;
    assert_eq!(ask(&sandbox, rsa.request(&sandbox, "okta.users.read"), &[]).await.0, 200);

    for (scope, error) in [("okta.apps.read", "invalid_scope"), ("openid", "invalid_scope"), ("", "invalid_request")] {
        let (status, refused) = ask(&sandbox, rsa.request(&sandbox, scope), &[]).await;
        assert_eq!((status, text(&refused, "error")), (400, error), "{scope}");
    }
    let (status, refused) =
        token(&sandbox, &[("grant_type", "client_credentials"), ("scope", "okta.users.read")]).await;
    assert_eq!((status, text(&refused, "error")), (400, "unauthorized_client"));
    let (status, refused) = token(&sandbox, &[("grant_type", "password")]).await;
    assert_eq!((status, text(&refused, "error")), (400, "unsupported_grant_type"));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_an_assertion_is_said() {
    let sandbox = Sandbox::start();
    let service = Service::create(&sandbox, json!({})).await;
    let good = json!({ "alg": "ES256", "kid": service.kid });
    let refused = async |header: &Value, key: &Key, claims: &Value| {
        let (status, refused) = ask(&sandbox, asks("okta.users.read", &key.sign(header, claims)), &[]).await;
        assert_eq!((status, text(&refused, "error")), (401, "invalid_client"), "{refused}");
        text(&refused, "error_description").to_owned()
    };
    for (claim, value, says) in [
        ("iss", json!("0oasandboxwebapp0001"), "'iss' and 'sub'"),
        (
            "aud",
            json!("https://acme.okta.com/oauth2/v1/token"),
            "audience claim for client_assertion must be the endpoint",
        ),
        ("exp", json!(clock() - 1), "The client_assertion token is expired."),
        ("exp", json!(clock() + 3700), "expiration too far into the future"),
        ("exp", Value::Null, "'exp'"),
        ("iat", json!(clock() + 90), "'iat'"),
        ("jti", json!(""), "'jti'"),
    ] {
        let mut claims = service.claims(&sandbox);
        claims[claim] = value;
        let description = refused(&good, &service.key, &claims).await;
        assert!(description.contains(says), "{claim}: {description}");
    }
    let claims = service.claims(&sandbox);
    assert!(refused(&json!({ "alg": "none", "kid": service.kid }), &service.key, &claims).await.contains("algorithm"));
    assert!(refused(&json!({ "alg": "HS256", "kid": service.kid }), &service.key, &claims).await.contains("algorithm"));
    assert!(refused(&json!({ "alg": "ES256", "kid": "other" }), &service.key, &claims).await.contains("kid"));
    assert!(refused(&good, &Key::new_ec(), &claims).await.contains("signature"));
    let assertion = service.key.sign(&good, &claims);
    assert_eq!(ask(&sandbox, asks("okta.users.read", &assertion), &[]).await.0, 200, "none of these used the jti up");
    let (status, again) = ask(&sandbox, asks("okta.users.read", &assertion), &[]).await;
    assert_eq!((status, text(&again, "error_description")), (401, "The client_assertion token has already been used."));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn assertions_are_held_against_the_clock_that_the_sandbox_shows() {
    let sandbox = Sandbox::start();
    let service = Service::create(&sandbox, json!({})).await;
    control(&sandbox, "oauth", json!({ "clock_offset_seconds": 900 })).await;
    let response = send(&sandbox, "token", service.request(&sandbox, "okta.users.read"), &[]).await.expect("answered");
    assert_eq!(response.status(), 401);
    let date = httpdate::parse_http_date(header(&response, "date")).expect("a date");
    let ahead = date.duration_since(SystemTime::now()).expect("ahead").as_secs();
    let reset: i64 = header(&response, "x-rate-limit-reset").parse().expect("a number");
    assert!((800..=900).contains(&ahead) && reset > clock() + 800, "{ahead} {reset}");
    assert_eq!(text(&json_of(response).await, "error_description"), "The client_assertion token is expired.");
    let mut claims = service.claims(&sandbox);
    claims["exp"] = json!(clock() + 1200);
    let assertion = service.key.sign(&json!({ "alg": "ES256", "kid": service.kid }), &claims);
    let (status, tokens) = ask(&sandbox, asks("okta.users.read", &assertion), &[]).await;
    assert_eq!(status, 200, "{tokens}");
    let response = get(&sandbox, "/api/v1/users?limit=1", text(&tokens, "access_token")).await;
    assert_eq!(response.status(), 200, "lifetimes are not shifted");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn secrets_are_taken_in_the_header_or_the_form_and_nowhere_twice() {
    let sandbox = Sandbox::start();
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "unknown")];
    let with = |more: &[(&str, &str)]| form(&[&grant[..], more].concat());
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", WEB_APP.0, WEB_APP.1)));
    let wrong = format!("Basic {}", STANDARD.encode(format!("{}:wrong", WEB_APP.0)));
    let post = [("client_id", WEB_APP.0), ("client_secret", WEB_APP.1)];
    let (status, refused) = ask(&sandbox, with(&post), &[]).await;
    assert_eq!((status, text(&refused, "error")), (400, "invalid_grant"), "the client is believed");
    let (status, refused) = ask(&sandbox, with(&post), &[("authorization", &basic)]).await;
    assert_eq!((status, text(&refused, "error")), (400, "invalid_request"));
    for headers in [&[("authorization", wrong.as_str())][..], &[("authorization", "Basic %")], &[]] {
        let (status, refused) = ask(&sandbox, with(&[]), headers).await;
        assert_eq!((status, text(&refused, "error")), (401, "invalid_client"));
    }
    let (status, unknown) = ask(&sandbox, with(&[("client_id", "0oanobody"), ("client_secret", "x")]), &[]).await;
    assert_eq!((status, text(&unknown, "errorCode")), (401, "invalid_client"), "Okta says this one differently");
    sandbox.0.stop().await;
}

/// A service app that has to use DPoP, and the key of its proofs.
async fn bound(sandbox: &Sandbox) -> (Service, Key, String) {
    let service = Service::create(sandbox, json!({ "dpop_bound": true })).await;
    (service, Key::new_ec(), format!("{}/oauth2/v1/token", sandbox.url()))
}

/// A DPoP token, and the nonce that it took.
async fn bound_token(sandbox: &Sandbox, service: &Service, key: &Key, url: &str) -> (Value, String) {
    let proof = key.proof("POST", url, json!({}));
    let body = service.request(sandbox, "okta.users.read");
    let challenge = send(sandbox, "token", body, &[("dpop", &proof)]).await.expect("answered");
    let nonce = header(&challenge, "dpop-nonce").to_owned();
    assert_eq!(challenge.status(), 400);
    let challenge = json_of(challenge).await;
    assert_eq!(text(&challenge, "error"), "use_dpop_nonce");
    assert_eq!(text(&challenge, "error_description"), "Authorization server requires nonce in DPoP proof.");
    let proof = key.proof("POST", url, json!({ "nonce": nonce }));
    let (status, tokens) = ask(sandbox, service.request(sandbox, "okta.users.read"), &[("dpop", &proof)]).await;
    assert_eq!((status, text(&tokens, "token_type")), (200, "DPoP"), "{tokens}");
    (tokens, nonce)
}

#[tokio::test]
async fn a_dpop_token_takes_a_nonce_to_get_and_a_proof_to_use() {
    let sandbox = Sandbox::start();
    let (service, key, url) = bound(&sandbox).await;
    let (status, missing) = ask(&sandbox, service.request(&sandbox, "okta.users.read"), &[]).await;
    assert_eq!((status, text(&missing, "error")), (400, "invalid_dpop_proof"));
    assert_eq!(text(&missing, "error_description"), "The DPoP proof JWT header is missing.");
    let (tokens, nonce) = bound_token(&sandbox, &service, &key, &url).await;
    let access_token = text(&tokens, "access_token");
    let users = format!("{}/api/v1/users", sandbox.url());
    let ath = hash(access_token);
    let call = async |scheme: &str, proof: Option<&str>| {
        let authorization = format!("{scheme} {access_token}");
        let headers = [("authorization", authorization.as_str()), ("dpop", proof.unwrap_or_default())];
        let headers = if proof.is_some() { &headers[..] } else { &headers[..1] };
        api(&sandbox, Method::GET, "/api/v1/users?limit=1", headers).await
    };
    let good = key.proof("GET", &users, json!({ "ath": ath, "nonce": nonce }));
    let answer = call("DPoP", Some(&good)).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "dpop-nonce")), (200, ""));
    let stranger = Key::new_ec();
    for proof in [
        Some(good),
        None,
        Some(key.proof("GET", &users, json!({}))),
        Some(key.proof("GET", &users, json!({ "ath": hash("other") }))),
        Some(key.proof("POST", &users, json!({ "ath": ath }))),
        Some(key.proof("GET", &url, json!({ "ath": ath }))),
        Some(key.proof("GET", &users, json!({ "ath": ath, "iat": clock() - 200 }))),
        Some(stranger.proof("GET", &users, json!({ "ath": ath }))),
    ] {
        let answer = call("DPoP", proof.as_deref()).await;
        let challenge = header(&answer, "www-authenticate");
        assert!(challenge.starts_with("DPoP ") && challenge.contains("error=\"invalid_dpop_proof\""), "{challenge}");
        assert_eq!((answer.status().as_u16(), answer.text().await.expect("text").as_str()), (401, ""));
    }
    let proof = key.proof("GET", &users, json!({ "ath": ath }));
    assert_eq!(call("Bearer", Some(&proof)).await.status(), 401, "a DPoP token is no bearer token");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_bearer_token_is_no_dpop_token() {
    let sandbox = Sandbox::start();
    let tokens = consented(&sandbox, "openid okta.users.read").await;
    let access_token = text(&tokens, "access_token");
    let users = format!("{}/api/v1/users", sandbox.url());
    let proof = Key::rsa().proof("GET", &users, json!({ "ath": hash(access_token) }));
    let authorization = format!("DPoP {access_token}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    let answer = api(&sandbox, Method::GET, "/api/v1/users", &headers).await;
    assert_eq!(answer.status(), 401);
    assert!(header(&answer, "www-authenticate").contains("error=\"invalid_token\""));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_new_nonce_is_told_on_every_answer_to_an_old_one() {
    let sandbox = Sandbox::start();
    let (service, key, url) = bound(&sandbox).await;
    let (tokens, old) = bound_token(&sandbox, &service, &key, &url).await;
    let access_token = text(&tokens, "access_token");
    let users = format!("{}/api/v1/users", sandbox.url());
    control(&sandbox, "oauth/expire", json!({ "nonces": true })).await;
    control(&sandbox, "oauth", json!({ "api_dpop_nonce": true })).await;
    let call = async |nonce: &str| {
        let proof = key.proof("GET", &users, json!({ "ath": hash(access_token), "nonce": nonce }));
        let authorization = format!("DPoP {access_token}");
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        api(&sandbox, Method::GET, "/api/v1/users", &headers).await
    };
    let refused = call(&old).await;
    let new = header(&refused, "dpop-nonce").to_owned();
    assert!(header(&refused, "www-authenticate").contains("error=\"use_dpop_nonce\""));
    assert!(refused.status() == 401 && !new.is_empty() && new != old);
    assert_eq!(call(&new).await.status(), 200);
    control(&sandbox, "rate-limits", json!({ "/oauth2/v1/token": 0 })).await;
    let proof = key.proof("POST", &url, json!({ "nonce": old }));
    let body = service.request(&sandbox, "okta.users.read");
    let limited = send(&sandbox, "token", body, &[("dpop", &proof)]).await.expect("answered");
    assert_eq!((limited.status().as_u16(), header(&limited, "dpop-nonce")), (429, new.as_str()));
    let requests = sandbox.requests().await;
    let last = requests.last().expect("requests");
    assert_eq!((last["headers"]["dpop"].as_str(), &last["status"]), (Some(proof.as_str()), &json!(429)));
    assert!(text(last, "body").contains("client_assertion=…"));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_call_needs_a_scope_and_a_token_that_is_good() {
    let sandbox = Sandbox::start();
    let tokens = consented(&sandbox, SCOPES).await;
    let access_token = text(&tokens, "access_token");
    assert_eq!(get(&sandbox, "/api/v1/groups?limit=1", access_token).await.status(), 200, "who manages may read");
    let refused = get(&sandbox, "/api/v1/apps?limit=1", access_token).await;
    let challenge = header(&refused, "www-authenticate").to_owned();
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"okta.apps.read\"") && challenge.contains("resource=\"/api/v1/apps\""));
    assert_eq!((refused.status().as_u16(), text(&json_of(refused).await, "errorCode")), (403, "E0000006"));
    let authorization = format!("Bearer {access_token}");
    let delete =
        api(&sandbox, Method::DELETE, "/api/v1/users/bob.ross/sessions", &[("authorization", &authorization)]).await;
    assert_eq!(delete.status(), 403);
    control(&sandbox, "oauth/expire", json!({ "access_tokens": true })).await;
    let expired = get(&sandbox, "/api/v1/users", access_token).await;
    let challenge = header(&expired, "www-authenticate").to_owned();
    let begins = format!("Bearer authorization_uri=\"{0}/oauth2/v1/authorize\", realm=\"{0}\"", sandbox.url());
    assert!(challenge.starts_with(&begins) && challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!((expired.status().as_u16(), expired.text().await.expect("text").as_str()), (401, ""));
    control(&sandbox, "oauth", json!({ "access_token_seconds": 0 })).await;
    let (_, tokens) = refresh(&sandbox, text(&tokens, "refresh_token")).await;
    assert_eq!(tokens["expires_in"], 0);
    assert_eq!(get(&sandbox, "/api/v1/users", text(&tokens, "access_token")).await.status(), 401, "it has expired");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_service_app_without_a_role_is_shown_nothing() {
    let sandbox = Sandbox::start();
    let service = Service::create(&sandbox, json!({ "admin_role": null })).await;
    let body = service.request(&sandbox, "okta.users.manage okta.groups.read okta.roles.read");
    let (_, tokens) = ask(&sandbox, body, &[]).await;
    let access_token = text(&tokens, "access_token");
    for list in ["/api/v1/users", "/api/v1/groups", "/api/v1/users/bob.ross/groups"] {
        let answer = get(&sandbox, list, access_token).await;
        assert_eq!((answer.status().as_u16(), json_of(answer).await), (200, json!([])), "{list}");
    }
    let roles = get(&sandbox, &format!("/oauth2/v1/clients/{}/roles", service.id), access_token).await;
    assert_eq!(json_of(roles).await, json!([]));
    assert_eq!(get(&sandbox, "/api/v1/users/bob.ross", access_token).await.status(), 403);
    assert_eq!(get(&sandbox, "/api/v1/apps", access_token).await.status(), 403, "its scope is missing");
    let body = json!({ "admin_role": "READ_ONLY_ADMIN" });
    sandbox.control(Method::PATCH, &format!("clients/{}", service.id), Some(body)).await;
    assert_eq!(get(&sandbox, "/api/v1/users/bob.ross", access_token).await.status(), 200, "the role counts at once");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn revoked_tokens_are_good_for_nothing() {
    let sandbox = Sandbox::start();
    let tokens = consented(&sandbox, SCOPES).await;
    let (access_token, refresh_token) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let with = |token: &str| form(&[("client_id", WEB_APP.0), ("client_secret", WEB_APP.1), ("token", token)]);
    let active =
        async |token: &str| json_of(send(&sandbox, "introspect", with(token), &[]).await.expect("answered")).await;
    let shown = active(access_token).await;
    assert_eq!(
        (&shown["active"], &shown["scope"], &shown["client_id"]),
        (&json!(true), &json!(SCOPES), &json!(WEB_APP.0))
    );
    assert_eq!(active(refresh_token).await["active"], true);
    let stranger = form(&[("token", refresh_token)]);
    assert_eq!(send(&sandbox, "revoke", stranger, &[]).await.expect("answered").status(), 401);
    for token in [refresh_token, refresh_token, "unknown"] {
        assert_eq!(send(&sandbox, "revoke", with(token), &[]).await.expect("answered").status(), 200);
    }
    assert_eq!(refresh(&sandbox, refresh_token).await.0, 400);
    assert_eq!(get(&sandbox, "/api/v1/users", access_token).await.status(), 401, "it went with the refresh token");
    assert_eq!(active(access_token).await, json!({ "active": false }));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn discovery_tells_where_everything_is_and_what_signs() {
    let sandbox = Sandbox::start();
    let [openid, oauth] =
        ["openid-configuration", "oauth-authorization-server"].map(|name| format!("/.well-known/{name}"));
    let metadata = json_of(api(&sandbox, Method::GET, &openid, &[]).await).await;
    assert_eq!(metadata, json_of(api(&sandbox, Method::GET, &oauth, &[]).await).await);
    assert_eq!(metadata["issuer"], sandbox.url());
    assert_eq!(metadata["token_endpoint"], format!("{}/oauth2/v1/token", sandbox.url()));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["RS256", "ES256"]));
    let tokens = consented(&sandbox, "openid").await;
    let (signed, signature) = text(&tokens, "id_token").rsplit_once('.').expect("a signature");
    let keys: Value = json_of(http().get(text(&metadata, "jwks_uri")).send().await.expect("answered")).await;
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], name)).expect("base64");
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &signature)
        .expect("its signature");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn clients_come_and_go_and_only_sensible_ones() {
    let sandbox = Sandbox::start();
    let post = async |body: Value| {
        let url = format!("{}/_sandbox/clients", sandbox.url());
        http().post(url).body(body.to_string()).send().await.expect("answered")
    };
    for (wish, status) in [
        (json!({}), 400),
        (json!({ "type": "native" }), 400),
        (json!({ "type": "web", "colour": "red" }), 400),
        (json!({ "type": "web", "client_id": WEB_APP.0 }), 409),
        (json!({ "type": "web", "redirect_uris": ["nowhere"] }), 400),
        (json!({ "type": "web", "scopes": ["okta.everything.manage"] }), 400),
        (json!({ "type": "service", "admin_role": "KING" }), 400),
        (json!({ "type": "service", "jwks": { "keys": [{ "kty": "oct", "k": "AAAA" }] } }), 400),
    ] {
        assert_eq!(post(wish.clone()).await.status().as_u16(), status, "{wish}");
    }
    let answer = post(json!({ "type": "web", "label": "Second" })).await;
    assert_eq!(answer.status(), 201);
    let client = json_of(answer).await;
    let id = text(&client, "client_id");
    assert!(id.starts_with("0oa") && id.len() == 20 && !text(&client, "client_secret").is_empty());
    let listed = sandbox.control(Method::GET, "clients", None).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed.iter().map(|client| text(client, "label")).collect::<Vec<_>>(), ["Second", "Okta Connector"]);
    let tokens = consented(&sandbox, "openid okta.users.read").await;
    sandbox.control(Method::DELETE, &format!("clients/{}", WEB_APP.0), None).await;
    let orphan = get(&sandbox, "/api/v1/users", text(&tokens, "access_token")).await;
    assert_eq!(orphan.status(), 401, "its tokens went with it");
    let explanation = sandbox.control(Method::GET, "", None).await;
    assert!(explanation.contains("POST /_sandbox/clients") && explanation.contains("clock_offset_seconds"));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn roles_say_who_is_an_admin() {
    let sandbox = Sandbox::start();
    let authorization = format!("SSWS {}", sandbox.api_token());
    let roles = async |user: &str| {
        let path = format!("/api/v1/users/{user}/roles");
        json_of(api(&sandbox, Method::GET, &path, &[("authorization", &authorization)]).await).await
    };
    let own = roles("me").await;
    assert_eq!((&own[0]["type"], &own[0]["assignmentType"]), (&json!("SUPER_ADMIN"), &json!("USER")));
    assert_eq!(roles("bob.ross").await, json!([]));
    sandbox.0.stop().await;
}
