//! An RSA key to test with, which the sandbox itself never makes.

use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::jwk::encoded;

const PEM: &str = include_str!("../../../tests/fixtures/keys/rsa_2048_pkcs8.pem");

/// The key.
pub(super) struct RsaKey(RsaKeyPair);

impl RsaKey {
    pub(super) fn read() -> Self {
        let text: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let document = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        Self(RsaKeyPair::from_pkcs8(&document).expect("a key"))
    }

    pub(super) fn public_jwk(&self) -> Value {
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(self.0.public());
        json!({ "kty": "RSA", "kid": "rsa", "n": encoded(&public.n), "e": encoded(&public.e) })
    }
}

/// A JWT with any header, signed by RS256 whatever the header says.
pub(super) fn signed_by(key: &RsaKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoded(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.0.public().modulus_len()];
    key.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signed");
    format!("{signed}.{}", encoded(&signature))
}
