//! Signed JSON, header and claims (RFC 7519), taken apart and made.

use serde_json::{Value, json};

use super::jwk::{KeyPair, PublicKey, decoded, encoded};
use crate::sandbox::org::text;

/// The longest that is looked at.
const MAX_LENGTH: usize = 16 * 1024;

/// A JWT. Nothing in it is certain until its signature has been checked.
#[derive(Debug)]
pub(super) struct Jwt<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    pub(super) fn parse(jwt: &'a str) -> Option<Self> {
        if jwt.len() > MAX_LENGTH {
            return None;
        }
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| {
            let value: Value = serde_json::from_slice(&decoded(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self { header: object(header)?, claims: object(claims)?, signed, signature: decoded(signature)? })
    }

    pub(super) fn alg(&self) -> &str {
        text(&self.header, "alg")
    }

    /// Whether `key` signed it. What demands that extensions are understood is not believed.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.header["crit"].is_null() && key.verifies(self.alg(), self.signed.as_bytes(), &self.signature)
    }

    /// A claim that is a time.
    pub(super) fn seconds(&self, claim: &str) -> Option<i64> {
        let value = &self.claims[claim];
        // Fractions are allowed, and cut off.
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }

    /// A claim that is a text, and not empty.
    pub(super) fn claim(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str().filter(|value| !value.is_empty())
    }
}

/// `claims`, signed by ES256.
pub(super) fn sign(claims: &Value, key: &KeyPair) -> Option<String> {
    let header = json!({ "kid": key.kid, "alg": "ES256" });
    let part = |value: &Value| encoded(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = encoded(&key.sign(signed.as_bytes())?);
    Some(format!("{signed}.{signature}"))
}
