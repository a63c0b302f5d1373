//! Who sends a request of an OAuth endpoint: by secret in a header or the form, or by an assertion
//! (<https://developer.okta.com/docs/api/openapi/okta-oauth/guides/client-auth/>).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::clients::Client;
use super::form::Form;
use super::jwt::Jwt;
use super::refusal::Refusal;
use super::{Now, OAuth, assertion};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that has proved who it is.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) client: Client,
    /// By an assertion rather than a secret.
    pub(super) by_key: bool,
}

impl OAuth {
    /// The client that sends `form` to the endpoint at `url`.
    pub(super) fn authenticate(
        &mut self,
        url: &str,
        headers: &HeaderMap,
        form: &Form,
        now: Now,
    ) -> Result<Authenticated, Refusal> {
        let basic = basic(headers)?;
        match (&basic, form.get("client_secret"), form.get("client_assertion")) {
            (Some((id, secret)), None, None) => self.by_secret(id, secret, form),
            (None, Some(secret), None) => self.by_secret(form.get("client_id").unwrap_or_default(), secret, form),
            (None, None, Some(assertion)) => self.by_assertion(assertion, url, form, now),
            (None, None, None) => Err(Refusal::invalid_client("No client credentials found.")),
            _ => Err(Refusal::invalid_request(
                "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization header, \
                 credentials in the post body, or a client_assertion in the post body.",
            )),
        }
    }

    fn by_secret(&self, id: &str, secret: &str, form: &Form) -> Result<Authenticated, Refusal> {
        let client = self.client(id, form)?;
        match client.client_secret.as_deref() {
            Some(own) if own == secret => Ok(Authenticated { client, by_key: false }),
            Some(_) => Err(Refusal::invalid_client("The client secret supplied for a confidential client is invalid.")),
            None => Err(Refusal::invalid_client(
                "Client authentication failed. Either the client or the client credentials are invalid.",
            )),
        }
    }

    fn by_assertion(&mut self, assertion: &str, url: &str, form: &Form, now: Now) -> Result<Authenticated, Refusal> {
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(Refusal::invalid_client("The client_assertion_type is invalid."));
        }
        let jwt = Jwt::parse(assertion);
        let jwt = jwt.ok_or_else(|| Refusal::invalid_client("The parsing of the client_assertion failed."))?;
        let named = form.get("client_id").or_else(|| jwt.claim("sub")).unwrap_or_default();
        let client = self.client(named, form)?;
        let audiences = [url, &self.url_of("token"), &self.url];
        assertion::check(&jwt, &client, &audiences, &mut self.assertions, now.clock())
            .map_err(Refusal::invalid_client)?;
        Ok(Authenticated { client, by_key: true })
    }

    fn client(&self, id: &str, form: &Form) -> Result<Client, Refusal> {
        if form.get("client_id").is_some_and(|other| other != id) {
            return Err(Refusal::invalid_request("The 'client_id' parameter is not that of the client credentials."));
        }
        self.clients.get(id).cloned().ok_or_else(Refusal::unknown_client)
    }
}

/// The id and secret of an `Authorization: Basic` header, each of which is encoded as in a form.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let decoded = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8().ok().map(String::from);
    let pair = || {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let pair = String::from_utf8(bytes).ok()?;
        let (id, secret) = pair.split_once(':')?;
        Some((decoded(id)?, decoded(secret)?))
    };
    pair().map(Some).ok_or_else(|| Refusal::invalid_client("The authorization header is invalid."))
}
