//! A private key that signs JWTs: read from PEM or JWK as Okta's admin console gives it out, or made here.
//!
//! RSA of 2048 bits or more signs RS256, P-256 signs ES256 (RFC 7518). Everything else is refused with a word on what it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// A private key, with the text it was read from. `Debug` prints neither.
pub struct SigningKey {
    text: SecretString,
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

/// A private key as a JWK (RFC 7517). Numbers are big-endian bytes in base64url.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    crv: String,
    d: Option<String>,
    n: Option<String>,
    e: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

const WANTED: &str =
    "give the private key of the app, an RSA key of at least 2048 bits or a P-256 EC key, as PEM or JWK";

impl SigningKey {
    /// Reads a key. `id` is the key's id at Okta; when empty, the JWK's own is taken.
    ///
    /// # Errors
    /// What the text is instead of a key that can be used, in a sentence.
    pub fn read(text: &SecretString, id: &str) -> Result<Self, String> {
        let exposed = text.expose_secret().trim();
        let (pair, own_id) = if exposed.starts_with('{') {
            let (pair, own_id) = from_jwk(exposed)?;
            (pair, own_id)
        } else {
            (from_pem(exposed)?, String::new())
        };
        if !id.is_empty() && !own_id.is_empty() && id != own_id {
            return Err(format!("is a JWK with the key id {own_id:?}, and not {id:?}; leave key_id empty"));
        }
        let id = if id.is_empty() { own_id } else { id.to_owned() };
        Ok(Self { text: exposed.to_owned().into(), id, pair })
    }

    /// A fresh P-256 key, as text that [`SigningKey::read`] takes.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<SecretString, String> {
        let failed = "the operating system's random source failed";
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| failed.to_owned())?;
        let body = base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref());
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n").into())
    }

    /// The text that the key was read from.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// Id of the key at Okta; may be empty.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JWK with the members that its thumbprint is made of (RFC 7638). Only for P-256 keys, which are the
    /// ones that are made here.
    pub fn public_jwk(&self) -> Option<Value> {
        let Pair::P256(pair) = &self.pair else { return None };
        let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Some(json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }))
    }

    /// A signed JWT in compact form (RFC 7515): `header` and the algorithm, and `claims`.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn jwt(&self, mut header: Value, claims: &Value) -> Result<String, String> {
        header["alg"] = json!(match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(message.as_bytes()).map_err(|_| "the key could not sign".to_owned())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
            Pair::P256(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn from_pem(text: &str) -> Result<Pair, String> {
    let what = match text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")) {
        None => return Err(format!("is neither PEM nor a JWK; {WANTED}")),
        Some("ENCRYPTED PRIVATE KEY") => return Err("is locked with a passphrase; give it without one".to_owned()),
        Some(label) if label.ends_with("PRIVATE KEY") => label,
        Some(label) => return Err(format!("is a {}; {WANTED}", label.to_lowercase())),
    };
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("is locked with a passphrase; give it without one".to_owned());
    }
    let unfit = || format!("is a PEM {}, and its content cannot be used; {WANTED}", what.to_lowercase());
    match PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| unfit())? {
        PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
        PrivateKeyDer::Sec1(der) => p256(&pkcs8_of_sec1(der.secret_sec1_der())).ok_or_else(unfit),
        PrivateKeyDer::Pkcs8(der) => match p256(der.secret_pkcs8_der()) {
            Some(pair) => Ok(pair),
            None => rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())),
        },
        _ => Err(unfit()),
    }
}

fn rsa(read: Result<RsaKeyPair, ring::error::KeyRejected>) -> Result<Pair, String> {
    read.map(|pair| Pair::Rsa(Box::new(pair))).map_err(|error| format!("cannot be used ({error}); {WANTED}"))
}

fn p256(pkcs8: &[u8]) -> Option<Pair> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok()?;
    Some(Pair::P256(Box::new(pair)))
}

/// What `openssl ecparam -genkey` writes (RFC 5915), in the wrapping of PKCS#8 (RFC 5208) for P-256.
fn pkcs8_of_sec1(sec1: &[u8]) -> Vec<u8> {
    const VERSION: [u8; 3] = [0x02, 0x01, 0x00];
    /// `id-ecPublicKey` with `prime256v1`.
    const ALGORITHM: [u8; 21] = [
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x03, 0x01, 0x07,
    ];
    const OCTET_STRING: u8 = 0x04;
    const SEQUENCE: u8 = 0x30;
    let key = der(OCTET_STRING, sec1);
    der(SEQUENCE, &[&VERSION[..], &ALGORITHM, &key].concat())
}

/// One element of DER with the shortest length there is.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut element = vec![tag];
    if content.len() >= 0x80 {
        element.push(0x80 | u8::try_from(length.len()).unwrap_or(u8::MAX));
    }
    element.extend_from_slice(length);
    element.extend_from_slice(content);
    element
}

fn from_jwk(text: &str) -> Result<(Pair, String), String> {
    if serde_json::from_str::<Value>(text).is_ok_and(|json| json.get("keys").is_some()) {
        return Err("is a set of keys; give the one private key out of it".to_owned());
    }
    // What serde says would repeat the text.
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| format!("is JSON and no JWK; {WANTED}"))?;
    if jwk.d.is_none() {
        return Err(format!("is a public key; {WANTED}"));
    }
    let bytes = |part: &Option<String>, name: &str| {
        let text = part.as_deref().ok_or_else(|| format!("is a JWK without {name:?}; {WANTED}"))?;
        URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| format!("is a JWK whose {name:?} is not base64url"))
    };
    let d = bytes(&jwk.d, "d")?;
    let pair = match (jwk.kty.as_str(), jwk.crv.as_str()) {
        ("RSA", _) => {
            let public_key = PublicKeyComponents { n: bytes(&jwk.n, "n")?, e: bytes(&jwk.e, "e")? };
            let (p, q) = (bytes(&jwk.p, "p")?, bytes(&jwk.q, "q")?);
            let components = KeyPairComponents {
                public_key,
                d,
                p,
                q,
                dP: bytes(&jwk.dp, "dp")?,
                dQ: bytes(&jwk.dq, "dq")?,
                qInv: bytes(&jwk.qi, "qi")?,
            };
            rsa(RsaKeyPair::from_components(&components))?
        }
        ("EC", "P-256") => {
            let point = [vec![4], bytes(&jwk.x, "x")?, bytes(&jwk.y, "y")?].concat();
            EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &d,
                &point,
                &SystemRandom::new(),
            )
            .map(|pair| Pair::P256(Box::new(pair)))
            .map_err(|error| format!("cannot be used ({error}); {WANTED}"))?
        }
        (kty, crv) => return Err(format!("is a JWK of the type {:?}; {WANTED}", format!("{kty} {crv}").trim())),
    };
    Ok((pair, jwk.kid))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    const RSA_PKCS8: &str = include_str!("../../tests/fixtures/keys/rsa_2048_pkcs8.pem");
    const RSA_PKCS1: &str = include_str!("../../tests/fixtures/keys/rsa_2048_pkcs1.pem");
    const RSA_JWK: &str = include_str!("../../tests/fixtures/keys/rsa_2048.jwk");
    const RSA_SMALL: &str = include_str!("../../tests/fixtures/keys/rsa_1024.pem");
    const EC_SEC1: &str = include_str!("../../tests/fixtures/keys/p256_sec1.pem");
    const EC_PKCS8: &str = include_str!("../../tests/fixtures/keys/p256_pkcs8.pem");
    const EC_JWK: &str = include_str!("../../tests/fixtures/keys/p256.jwk");
    const EC_384: &str = include_str!("../../tests/fixtures/keys/p384.pem");
    const ED25519: &str = include_str!("../../tests/fixtures/keys/ed25519.pem");
    const PUBLIC: &str = include_str!("../../tests/fixtures/keys/p256_public.pem");
    const ENCRYPTED: &str = include_str!("../../tests/fixtures/keys/p256_encrypted.pem");

    fn read(text: &str, id: &str) -> Result<SigningKey, String> {
        SigningKey::read(&text.into(), id)
    }

    /// Whether the key's own public half verifies what it signs.
    fn verifies(key: &SigningKey) -> bool {
        let jwt = key.jwt(json!({ "typ": "JWT" }), &json!({ "iss": "me" })).expect("signed");
        let (message, signature) = jwt.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let check = |outcome: Result<(), ring::error::Unspecified>| outcome.is_ok();
        match &key.pair {
            Pair::Rsa(pair) => {
                let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
                check(public.verify(message.as_bytes(), &signature))
            }
            Pair::P256(pair) => {
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
                check(public.verify(message.as_bytes(), &signature))
            }
        }
    }

    #[test]
    fn every_form_that_a_key_comes_in_signs() {
        for text in [RSA_PKCS8, RSA_PKCS1, RSA_JWK, EC_SEC1, EC_PKCS8, EC_JWK] {
            let key = read(text, "").unwrap_or_else(|error| panic!("{error}: {}", &text[..40]));
            assert!(verifies(&key));
        }
        assert!(verifies(&SigningKey::read(&SigningKey::generate().expect("made"), "").expect("read")));
    }

    #[test]
    fn the_key_id_is_the_one_given_or_the_jwks_own() {
        assert_eq!(read(EC_PKCS8, "kid-1").expect("read").id(), "kid-1");
        assert_eq!(read(EC_JWK, "").expect("read").id(), "fixture-p256");
        assert!(read(EC_JWK, "another").expect_err("two ids").contains("fixture-p256"));
    }

    #[test]
    fn what_is_no_fit_key_is_named_and_never_repeated() {
        for (text, says) in [
            ("", "neither PEM nor a JWK"),
            ("hunter2", "neither PEM nor a JWK"),
            ("{}", "no JWK"),
            (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, "public key"),
            (r#"{"kty":"EC","crv":"P-256","d":"AA","x":"AA"}"#, "without \"y\""),
            (r#"{"kty":"EC","crv":"P-256","d":"AA","x":"AA","y":"AA"}"#, "cannot be used"),
            (r#"{"kty":"oct","k":"c2VjcmV0","d":"AA"}"#, "type \"oct\""),
            (r#"{"kty":"RSA","d":"!!","n":"AA"}"#, "base64url"),
            (r#"{"keys":[]}"#, "set of keys"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be used"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "cannot be used"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is a certificate"),
            (RSA_SMALL, "2048"),
            (EC_384, "P-256"),
            (ED25519, "P-256"),
            (PUBLIC, "is a public key"),
            (ENCRYPTED, "passphrase"),
        ] {
            let error = read(text, "").expect_err(says);
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("c2VjcmV0"), "{error}");
        }
    }

    #[test]
    fn a_key_says_nothing_of_itself() {
        let shown = format!("{:?}", read(EC_PKCS8, "kid-1").expect("read"));
        assert_eq!(shown, r#"SigningKey { id: "kid-1", .. }"#);
    }
}
