//! Asking the admin for consent, `/oauth2/v1/authorize`
//! (<https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/#tag/OrgAS/operation/authorize>).

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

use super::clients::{Client, Kind};
use super::form::Form;
use super::scopes;
use super::tokens::{Code, Grant, Person};
use super::{Now, OAuth, consent};
use crate::sandbox::Shared;
use crate::sandbox::org::{Org, text};

/// What clients may send and get back.
const MAX_STATE: usize = 2048;
const MAX_NONCE: usize = 1024;
/// The length of a hash in base64url.
const CHALLENGE: usize = 43;

pub(super) async fn show(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    answer(&shared, form.map_err(|refusal| refusal.description), false)
}

pub(super) async fn decide(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(&shared, Form::parse(&body).map_err(|refusal| refusal.description), true)
}

fn answer(shared: &Shared, form: Result<Form, String>, may_decide: bool) -> Response {
    let admin = admin(&shared.org());
    let mut oauth = shared.oauth();
    let now = oauth.now();
    let outcome = form.map_err(Outcome::Page).and_then(|form| {
        let request = oauth.check(&form)?;
        match form.get("decision").filter(|_| may_decide) {
            Some("allow") => Ok(oauth.allow(&request, admin, now)),
            Some("deny") => Err(request.refused("access_denied", "Resource owner did not approve the request.")),
            _ => Ok(Outcome::Consent(consent::page(&request.shown(&form), &admin.login))),
        }
    });
    outcome.unwrap_or_else(|outcome| outcome).into_response()
}

fn admin(org: &Org) -> Person {
    let login = org.users.get(&org.admin).map(|admin| text(&admin["profile"], "login")).unwrap_or_default();
    Person { id: org.admin.clone(), login: login.to_owned() }
}

/// What comes of a request.
enum Outcome {
    /// The page that asks.
    Consent(String),
    /// Back to the client.
    Redirect(Url),
    /// Nowhere to go back to: a page that says what is wrong.
    Page(String),
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"))];
        match self {
            Self::Consent(page) => (no_store, Html(page)).into_response(),
            Self::Page(what) => (StatusCode::BAD_REQUEST, no_store, Html(consent::error_page(&what))).into_response(),
            Self::Redirect(to) => match HeaderValue::try_from(to.as_str()) {
                Ok(location) => (StatusCode::FOUND, no_store, [(LOCATION, location)]).into_response(),
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            },
        }
    }
}

/// A request that can be asked the admin about.
struct Request {
    client: Client,
    redirect_uri: Url,
    given_uri: String,
    state: Option<String>,
    scopes: Vec<String>,
    challenge: Option<String>,
    nonce: Option<String>,
}

impl OAuth {
    fn check(&self, form: &Form) -> Result<Request, Outcome> {
        let page = |what: &str| Outcome::Page(what.to_owned());
        let client = form.get("client_id").and_then(|id| self.clients.get(id));
        let client = client.ok_or_else(|| page("Invalid value for 'client_id' parameter."))?;
        let given_uri = form.get("redirect_uri").filter(|uri| client.redirect_uris.iter().any(|own| own == uri));
        let given_uri = given_uri.ok_or_else(|| {
            let place = format!("{}/admin/app/oidc_client/instance/{}#tab-general", self.url, client.client_id);
            let what = "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings";
            Outcome::Page(format!("{what}: {place}"))
        })?;
        let mut request = Request {
            client: client.clone(),
            redirect_uri: Url::parse(given_uri).map_err(|_| page("The 'redirect_uri' parameter is no URL."))?,
            given_uri: given_uri.to_owned(),
            state: form.get("state").filter(|state| state.len() <= MAX_STATE).map(str::to_owned),
            scopes: scopes::parse(form.get("scope").unwrap_or_default()),
            challenge: form.get("code_challenge").map(str::to_owned),
            nonce: form.get("nonce").map(str::to_owned),
        };
        match request.problem(form) {
            Some((error, what)) => Err(request.refused(error, what)),
            None => {
                request.scopes.retain(|scope| client.may_have(scope));
                Ok(request)
            }
        }
    }

    /// The admin consents.
    fn allow(&mut self, request: &Request, admin: Person, now: Now) -> Outcome {
        let grant = Grant {
            client: request.client.client_id.clone(),
            user: Some(admin),
            scopes: request.scopes.clone(),
            auth_time: now.clock(),
            family: self.tokens.new_family(),
        };
        let code = self.tokens.add_code(Code {
            grant,
            redirect_uri: request.given_uri.clone(),
            challenge: request.challenge.clone(),
            nonce: request.nonce.clone(),
            issued: now.elapsed,
            used: false,
        });
        request.back(&[("code", &code)])
    }
}

impl Request {
    /// What is wrong, as an error and its description.
    fn problem(&self, form: &Form) -> Option<(&'static str, &'static str)> {
        let is_hash = |challenge: &String| {
            challenge.len() == CHALLENGE
                && challenge.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
        };
        if self.state.is_none() {
            Some(("invalid_request", "The authentication request has an invalid 'state' parameter."))
        } else if self.client.kind != Kind::Web {
            Some(("unauthorized_client", "The client is not authorized to use the provided grant type."))
        } else if form.get("response_type") != Some("code") {
            Some(("unsupported_response_type", "The response type is not supported by the authorization server."))
        } else if form.get("response_mode").is_some_and(|mode| mode != "query") {
            Some(("invalid_request", "The 'response_mode' is not supported by the sandbox."))
        } else if self.challenge.is_some() && form.get("code_challenge_method") != Some("S256") {
            Some(("invalid_request", "The 'code_challenge_method' must be 'S256'."))
        } else if !self.challenge.as_ref().is_none_or(is_hash) {
            Some(("invalid_request", "The 'code_challenge' must be a SHA-256 hash in base64url."))
        } else if self.nonce.as_ref().is_some_and(|nonce| nonce.len() > MAX_NONCE) {
            Some(("invalid_request", "The authentication request has an invalid 'nonce' parameter."))
        } else {
            self.scope_problem()
        }
    }

    fn scope_problem(&self) -> Option<(&'static str, &'static str)> {
        let what = if !self.scopes.iter().any(|scope| scope == "openid") {
            "The authentication request has an invalid 'scope' parameter: 'openid' must be among the scopes."
        } else if !self.scopes.iter().all(|scope| scopes::is_known(scope)) {
            "One or more scopes are not configured for the authorization server resource."
        } else if !self.scopes.iter().all(|scope| self.client.may_have(scope)) {
            "The requested scope is invalid, unknown, or malformed: the application has not been granted every scope."
        } else {
            return None;
        };
        Some(("invalid_scope", what))
    }

    fn refused(&self, error: &str, description: &str) -> Outcome {
        self.back(&[("error", error), ("error_description", description)])
    }

    /// Back to the client, with its state.
    fn back(&self, parameters: &[(&str, &str)]) -> Outcome {
        let mut to = self.redirect_uri.clone();
        to.query_pairs_mut().extend_pairs(parameters).extend_pairs(self.state.as_deref().map(|state| ("state", state)));
        Outcome::Redirect(to)
    }

    /// What the page shows, and gives back.
    fn shown<'a>(&'a self, form: &'a Form) -> consent::Asked<'a> {
        const GIVEN_BACK: [&str; 9] = [
            "client_id",
            "redirect_uri",
            "response_type",
            "response_mode",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
        ];
        let parameters = GIVEN_BACK.into_iter().filter_map(|name| Some((name, form.get(name)?))).collect();
        consent::Asked { label: &self.client.label, scopes: &self.scopes, parameters }
    }
}
