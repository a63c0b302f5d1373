//! DPoP: proofs that a client has a key, in the `DPoP` header of its requests (RFC 9449).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use url::Url;

use super::clients::random;
use super::jwk::{PublicKey, hash};
use super::jwt::Jwt;
use super::refusal::Refusal;
use super::replay::MAX_ID;
use super::{Now, OAuth};
use crate::sandbox::org::text;

/// Algorithms of proofs.
pub(super) const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];
/// How far a proof's time may be off, in either direction.
const WINDOW: i64 = 120;

/// The request that a proof has to be made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    /// The access token that comes with it.
    pub(super) token: Option<&'a str>,
}

/// A proof that was made for its request.
#[derive(Debug, PartialEq, Eq)]
struct Proof {
    /// The thumbprint of its key.
    key: String,
    jti: String,
    issued: i64,
    nonce: Option<String>,
}

/// The nonce that proofs have to carry. There is one at a time.
#[derive(Debug)]
pub(super) struct Nonce {
    value: String,
    made: Duration,
}

impl Nonce {
    pub(super) fn new(now: Now) -> Self {
        Self { value: random(), made: now.elapsed }
    }
}

impl OAuth {
    /// The thumbprint of the key that a request proves to have, or none when it proves nothing.
    pub(super) fn proved(
        &mut self,
        headers: &HeaderMap,
        target: Target<'_>,
        needs_nonce: bool,
        now: Now,
    ) -> Result<Option<String>, Refusal> {
        let invalid = |what: &str| Refusal::new("invalid_dpop_proof", what);
        let mut proofs = headers.get_all("dpop").iter();
        let Some(header) = proofs.next() else { return Ok(None) };
        if proofs.next().is_some() {
            return Err(invalid("There must be one DPoP proof JWT header only."));
        }
        let proof = read(header, target, now.clock()).map_err(|what| invalid(&what))?;
        // Until then it could be sent again.
        let until = proof.issued + WINDOW;
        if !self.proofs.is_first(format!("{} {}", proof.key, proof.jti), until, now.clock()) {
            return Err(invalid("The DPoP proof JWT has already been used."));
        }
        if needs_nonce && proof.nonce.as_deref() != Some(self.nonce(now)) {
            let what = match proof.nonce {
                None => "Authorization server requires nonce in DPoP proof.",
                Some(_) => "The nonce in the DPoP proof is not valid any more.",
            };
            return Err(Refusal::new("use_dpop_nonce", what));
        }
        Ok(Some(proof.key))
    }

    /// The nonce for a client that sends proofs without it: every answer tells it.
    pub(in crate::sandbox) fn nonce_to_tell(&mut self, headers: &HeaderMap, now: Now) -> Option<HeaderValue> {
        let header = headers.get("dpop")?;
        let jwt = header.to_str().ok().and_then(Jwt::parse);
        let nonce = self.nonce(now);
        let known = jwt.is_some_and(|jwt| jwt.claim("nonce") == Some(nonce));
        HeaderValue::from_str(nonce).ok().filter(|_| !known)
    }

    /// Replaces the nonce before its time.
    pub(super) fn rotate_nonce(&mut self, now: Now) {
        self.nonce = Nonce::new(now);
    }

    fn nonce(&mut self, now: Now) -> &str {
        if now.elapsed >= self.nonce.made + Duration::from_secs(self.settings.nonce_seconds) {
            self.rotate_nonce(now);
        }
        &self.nonce.value
    }
}

/// The proof in a header, if it is one for `target`; what is wrong otherwise.
fn read(header: &HeaderValue, target: Target<'_>, clock: i64) -> Result<Proof, String> {
    let jwt = header.to_str().ok().and_then(Jwt::parse).ok_or("The DPoP proof JWT is invalid.")?;
    if text(&jwt.header, "typ") != "dpop+jwt" {
        return Err("The 'typ' of the DPoP proof JWT must be 'dpop+jwt'.".to_owned());
    }
    if !ALGORITHMS.contains(&jwt.alg()) {
        return Err("The algorithm of the DPoP proof JWT is not supported.".to_owned());
    }
    let key = PublicKey::parse(&jwt.header["jwk"])
        .map_err(|what| format!("The 'jwk' of the DPoP proof JWT is invalid: {what}."))?;
    if !jwt.is_signed_by(&key) {
        return Err("The signature of the DPoP proof JWT is invalid.".to_owned());
    }
    let invalid = |claim: &str| format!("'{claim}' claim in the DPoP proof JWT is invalid.");
    if jwt.claim("htm") != Some(target.method) {
        return Err(invalid("htm"));
    }
    if !jwt.claim("htu").is_some_and(|url| is_same(url, target.url)) {
        return Err(invalid("htu"));
    }
    let near = |issued: &i64| (clock - WINDOW..=clock + WINDOW).contains(issued);
    let issued = jwt.seconds("iat").filter(near).ok_or_else(|| invalid("iat"))?;
    let jti = jwt.claim("jti").filter(|jti| jti.len() <= MAX_ID).ok_or_else(|| invalid("jti"))?;
    if target.token.is_some_and(|token| jwt.claim("ath") != Some(&hash(token))) {
        return Err(invalid("ath"));
    }
    Ok(Proof { key: key.thumbprint(), jti: jti.to_owned(), issued, nonce: jwt.claim("nonce").map(str::to_owned) })
}

/// Whether two URLs are the same but for query and fragment.
fn is_same(given: &str, own: &str) -> bool {
    let normal = |url: &str| {
        let mut url = Url::parse(url).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    normal(given).is_some_and(|given| Some(given) == normal(own))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::jwk::KeyPair;
    use super::super::testing::{RsaKey, signed_by};
    use super::*;

    const NOW: u64 = 1_000_000;
    const TARGET: Target<'_> = Target { method: "POST", url: "http://127.0.0.1:7000/oauth2/v1/token", token: None };

    fn claims(jti: &str) -> Value {
        json!({ "htm": "POST", "htu": TARGET.url, "iat": NOW, "jti": jti })
    }

    /// A proof by the RSA key.
    fn proof(header: &Value, claims: &Value) -> HeaderValue {
        HeaderValue::try_from(signed_by(&RsaKey::read(), header, claims)).expect("a header")
    }

    fn header() -> Value {
        json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": RsaKey::read().public_jwk() })
    }

    fn problem(header: &Value, claims: &Value, target: Target<'_>) -> String {
        read(&proof(header, claims), target, NOW.cast_signed()).map_or_else(|what| what, |_| String::new())
    }

    #[test]
    fn every_claim_counts() {
        assert_eq!(problem(&header(), &claims("a"), TARGET), "");
        for (claim, value) in [
            ("htm", json!("GET")),
            ("htm", Value::Null),
            ("htu", json!("http://127.0.0.1:7000/oauth2/v1/revoke")),
            ("htu", json!("http://127.0.0.1:7001/oauth2/v1/token")),
            ("htu", json!("/oauth2/v1/token")),
            ("iat", json!(NOW + 121)),
            ("iat", json!(NOW - 121)),
            ("iat", json!("now")),
            ("jti", json!("")),
            ("jti", json!("x".repeat(257))),
        ] {
            let mut claims = claims("a");
            claims[claim] = value.clone();
            assert_eq!(
                problem(&header(), &claims, TARGET),
                format!("'{claim}' claim in the DPoP proof JWT is invalid."),
                "{value}"
            );
        }
        for (claim, value) in [
            ("htu", json!("HTTP://127.0.0.1:7000/oauth2/v1/token?a=b#c")),
            ("iat", json!(NOW - 120)),
            ("iat", json!(NOW + 120)),
        ] {
            let mut claims = claims("a");
            claims[claim] = value;
            assert_eq!(problem(&header(), &claims, TARGET), "");
        }
    }

    #[test]
    fn a_proof_for_a_token_carries_its_hash() {
        let target = Target { token: Some("token"), ..TARGET };
        let mut claims = claims("a");
        assert!(problem(&header(), &claims, target).contains("'ath'"));
        claims["ath"] = json!(hash("another"));
        assert!(problem(&header(), &claims, target).contains("'ath'"));
        claims["ath"] = json!(hash("token"));
        assert_eq!(problem(&header(), &claims, target), "");
    }

    #[test]
    fn a_header_that_proves_nothing_is_refused() {
        for (member, value, says) in [
            ("typ", json!("JWT"), "'typ'"),
            ("alg", json!("none"), "algorithm"),
            ("alg", json!("RS384"), "algorithm"),
            ("alg", json!("ES256"), "signature"),
            ("jwk", Value::Null, "'jwk'"),
            ("jwk", KeyPair::generate().expect("a key").private_jwk(), "private"),
            ("jwk", KeyPair::generate().expect("a key").public_jwk(), "signature"),
        ] {
            let mut header = header();
            header[member] = value;
            assert!(problem(&header, &claims("a"), TARGET).contains(says), "{header}");
        }
        assert!(read(&HeaderValue::from_static("no JWT"), TARGET, 0).is_err());
    }

    #[test]
    fn a_proof_is_good_once_and_needs_the_nonce_that_is_in_force() {
        let now = Now::at(NOW);
        let mut oauth = OAuth::new("http://127.0.0.1:7000".to_owned()).expect("made");
        oauth.rotate_nonce(now);
        let prove = |oauth: &mut OAuth, claims: &Value, now: Now| {
            let headers =
                HeaderMap::from_iter([(axum::http::HeaderName::from_static("dpop"), proof(&header(), claims))]);
            let outcome = oauth.proved(&headers, TARGET, true, now).map_err(|refusal| refusal.error);
            (outcome, oauth.nonce_to_tell(&headers, now))
        };
        let (outcome, told) = prove(&mut oauth, &claims("a"), now);
        let nonce = told.expect("a nonce").to_str().expect("text").to_owned();
        assert_eq!(outcome, Err("use_dpop_nonce"));
        let with_nonce = |jti: &str, nonce: &str| {
            let mut claims = claims(jti);
            claims["nonce"] = json!(nonce);
            claims
        };
        assert_eq!(prove(&mut oauth, &with_nonce("a", &nonce), now).0, Err("invalid_dpop_proof"), "its jti is used up");
        let thumbprint = PublicKey::parse(&RsaKey::read().public_jwk()).expect("a key").thumbprint();
        assert_eq!(prove(&mut oauth, &with_nonce("b", &nonce), now), (Ok(Some(thumbprint)), None));
        oauth.rotate_nonce(now);
        let (outcome, told) = prove(&mut oauth, &with_nonce("c", &nonce), now);
        assert!(outcome == Err("use_dpop_nonce") && told.is_some_and(|told| told != nonce.as_str()));
        let day = Now::at(NOW + 86_400);
        let nonce = oauth.nonce(now).to_owned();
        assert_ne!(oauth.nonce(day), nonce, "a nonce lasts a day");
    }

    #[test]
    fn two_proofs_are_none() {
        let mut oauth = OAuth::new("http://127.0.0.1:7000".to_owned()).expect("made");
        let mut headers = HeaderMap::new();
        assert_eq!(oauth.proved(&headers, TARGET, true, Now::at(NOW)), Ok(None));
        for jti in ["a", "b"] {
            headers.append("dpop", proof(&header(), &claims(jti)));
        }
        assert!(oauth.proved(&headers, TARGET, false, Now::at(NOW)).is_err());
    }
}
