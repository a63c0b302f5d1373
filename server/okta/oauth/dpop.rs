//! Proofs that whoever sends a token holds the key it is bound to (DPoP, RFC 9449).

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};
use serde_json::json;
use url::Url;

use crate::connections::SigningKey;
use crate::secret::random_id;

/// Where a proof goes.
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// A nonce that is longer than this is none.
const MAX_NONCE: usize = 512;

/// Who asks for a proof: each gives out nonces of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// The token endpoint.
    TokenEndpoint,
    /// The API.
    Api,
}

/// The key of a connection, once its org has asked for one, and the newest nonces.
#[derive(Debug, Default)]
pub(super) struct Dpop {
    key: RwLock<Option<Arc<SigningKey>>>,
    nonces: Mutex<[Option<String>; 2]>,
}

impl Dpop {
    /// The key, when there is one.
    pub(super) fn key(&self) -> Option<Arc<SigningKey>> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on there is one.
    pub(super) fn set_key(&self, key: Arc<SigningKey>) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// The newest nonce.
    pub(super) fn nonce(&self, audience: Audience) -> Option<String> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)[audience as usize].clone()
    }

    /// Learns the nonce of an answer, whatever kind of answer it is. Whether there was a new one.
    pub(super) fn learn(&self, audience: Audience, headers: &HeaderMap) -> bool {
        let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty() && nonce.len() <= MAX_NONCE) else { return false };
        let known = &mut self.nonces.lock().unwrap_or_else(PoisonError::into_inner)[audience as usize];
        let is_new = known.as_deref() != Some(nonce);
        *known = Some(nonce.to_owned());
        is_new
    }

    /// A fresh proof for one request, when there is a key.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub(super) fn proof(&self, audience: Audience, request: &Request<'_>) -> Result<Option<String>, String> {
        self.key().map(|key| proof(&key, request, self.nonce(audience).as_deref())).transpose()
    }
}

/// What a proof is about.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    /// The access token that it goes with; none at the token endpoint.
    pub(super) access_token: Option<&'a str>,
    /// Okta's time, in seconds since 1970.
    pub(super) now: i64,
}

fn proof(key: &SigningKey, request: &Request<'_>, nonce: Option<&str>) -> Result<String, String> {
    let jwk = key.public_jwk().ok_or("the key that tokens are bound to is no P-256 key")?;
    let mut claims = json!({
        "jti": random_id("").map_err(|error| error.to_string())?,
        "htm": request.method,
        "htu": normalised(request.url),
        "iat": request.now,
    });
    if let Some(token) = request.access_token {
        claims["ath"] = json!(URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    key.jwt(json!({ "typ": "dpop+jwt", "jwk": jwk }), &claims)
}

/// The URL without query and fragment, scheme and host in small letters, and no port that goes without saying.
fn normalised(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn dpop() -> Dpop {
        let dpop = Dpop::default();
        dpop.set_key(Arc::new(SigningKey::read(&SigningKey::generate().expect("made"), "").expect("read")));
        dpop
    }

    fn claims(proof: &str) -> Value {
        let part = proof.split('.').nth(1).expect("claims");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    }

    fn request<'a>(url: &'a str, access_token: Option<&'a str>) -> Request<'a> {
        Request { method: "GET", url, access_token, now: 1_000 }
    }

    #[test]
    fn a_proof_is_about_one_request_and_never_the_same() {
        let dpop = dpop();
        let make = || {
            let url = "HTTPS://Acme.Okta.com:443/api/v1/users?q=a#x";
            claims(&dpop.proof(Audience::Api, &request(url, Some("token"))).expect("made").expect("has a key"))
        };
        let (first, second) = (make(), make());
        assert_eq!(first["htu"], "https://acme.okta.com/api/v1/users");
        assert_eq!((&first["htm"], &first["iat"]), (&json!("GET"), &json!(1_000)));
        assert_eq!(first["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
        assert_ne!(first["jti"], second["jti"]);
        assert!(first.get("nonce").is_none());
    }

    #[test]
    fn each_audience_has_its_own_newest_nonce() {
        let (dpop, mut headers) = (dpop(), HeaderMap::new());
        headers.insert(NONCE, "one".parse().expect("header"));
        assert!(dpop.learn(Audience::Api, &headers) && !dpop.learn(Audience::Api, &headers));
        let nonce = |audience| {
            claims(&dpop.proof(audience, &request("https://a.b/", None)).expect("made").expect("key"))["nonce"].clone()
        };
        assert_eq!((nonce(Audience::Api), nonce(Audience::TokenEndpoint)), (json!("one"), Value::Null));
        headers.insert(NONCE, "x".repeat(MAX_NONCE + 1).parse().expect("header"));
        assert!(!dpop.learn(Audience::TokenEndpoint, &headers));
    }

    #[test]
    fn without_a_key_there_is_no_proof() {
        assert!(Dpop::default().proof(Audience::Api, &request("https://a.b/", None)).expect("fine").is_none());
    }
}
