//! Keys: public ones as clients register them (RFC 7517), and the pairs that the sandbox makes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::sandbox::org::text;

/// Members that only private or shared keys have.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
/// What stands before the private key in the PKCS#8 document of a P-256 key: a version, and an octet string of 32 bytes.
const BEFORE_SCALAR: [u8; 5] = [0x02, 0x01, 0x01, 0x04, 0x20];
const SCALAR: usize = 32;
const PEM_LINE: usize = 64;

/// A public key that signatures are checked with.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    pub(super) kid: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// On the curve P-256 or P-384: both coordinates after a 4, which says that they are not compressed.
    Ec {
        curve: &'static str,
        point: Vec<u8>,
    },
}

impl PublicKey {
    /// The key that a JWK describes, or what is wrong with it.
    pub(super) fn parse(jwk: &Value) -> Result<Self, &'static str> {
        if PRIVATE.iter().any(|member| !jwk[*member].is_null()) {
            return Err("a public key is needed, and this one is private");
        }
        let kind = match text(jwk, "kty") {
            "RSA" => Kind::Rsa { n: number(jwk, "n")?, e: number(jwk, "e")? },
            "EC" => match text(jwk, "crv") {
                "P-256" => Kind::Ec { curve: "P-256", point: point(jwk, 32)? },
                "P-384" => Kind::Ec { curve: "P-384", point: point(jwk, 48)? },
                _ => return Err("crv has to be P-256 or P-384"),
            },
            _ => return Err("kty has to be RSA or EC"),
        };
        Ok(Self { kid: jwk["kid"].as_str().map(str::to_owned), kind })
    }

    /// Whether a signature made by `alg` is this key's.
    pub(super) fn verifies(&self, alg: &str, message: &[u8], given: &[u8]) -> bool {
        match (&self.kind, alg) {
            (Kind::Rsa { n, e }, _) => {
                let parameters = match alg {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    _ => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, given).is_ok()
            }
            (Kind::Ec { curve: "P-256", point }, "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, given).is_ok()
            }
            (Kind::Ec { curve: "P-384", point }, "ES384") => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, given).is_ok()
            }
            _ => false,
        }
    }

    /// The key's thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        let members = match &self.kind {
            Kind::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encoded(e), encoded(n)),
            Kind::Ec { curve, point } => {
                let (x, y) = halves(point);
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
        };
        encoded(digest(&SHA256, members.as_bytes()).as_ref())
    }
}

/// A key pair on P-256.
pub(super) struct KeyPair {
    pair: EcdsaKeyPair,
    document: Vec<u8>,
    /// Its thumbprint.
    pub(super) kid: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// A new one, unless the system has no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let random = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok()?.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &document, &random).ok()?;
        let point = pair.public_key().as_ref().to_vec();
        let kid = PublicKey { kid: None, kind: Kind::Ec { curve: "P-256", point } }.thumbprint();
        Some(Self { pair, document, kid })
    }

    /// A signature by ES256.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.pair.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
    }

    pub(super) fn public_jwk(&self) -> Value {
        let (x, y) = halves(self.pair.public_key().as_ref());
        json!({ "kty": "EC", "alg": "ES256", "kid": self.kid, "use": "sig", "crv": "P-256", "x": x, "y": y })
    }

    pub(super) fn private_jwk(&self) -> Value {
        let mut jwk = self.public_jwk();
        let before = self.document.windows(BEFORE_SCALAR.len()).position(|window| window == BEFORE_SCALAR);
        let start = before.map_or(0, |at| at + BEFORE_SCALAR.len());
        jwk["d"] = json!(self.document.get(start..start + SCALAR).map(encoded));
        jwk
    }

    /// The private key as PKCS#8 in PEM.
    pub(super) fn private_pem(&self) -> String {
        let text = STANDARD.encode(&self.document);
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for (place, letter) in text.chars().enumerate() {
            if place > 0 && place % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem + "\n-----END PRIVATE KEY-----\n"
    }
}

/// Base64 as JOSE has it.
pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The hash of a text, as proofs and challenges carry it.
pub(super) fn hash(text: &str) -> String {
    encoded(digest(&SHA256, text.as_bytes()).as_ref())
}

/// A big number, without the zeros in front that some libraries write.
fn number(jwk: &Value, member: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = decoded(text(jwk, member)).unwrap_or_default();
    let number: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    if number.is_empty() { Err("n and e have to be numbers in base64url") } else { Ok(number) }
}

fn point(jwk: &Value, size: usize) -> Result<Vec<u8>, &'static str> {
    let (x, y) = (decoded(text(jwk, "x")).unwrap_or_default(), decoded(text(jwk, "y")).unwrap_or_default());
    match x.len() == size && y.len() == size {
        true => Ok([vec![4], x, y].concat()),
        false => Err("x and y have to be the coordinates in base64url"),
    }
}

fn halves(point: &[u8]) -> (String, String) {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    (encoded(x), encoded(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM\
                 stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI\
                 SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = PublicKey::parse(&json!({ "kty": "RSA", "n": n, "e": "AQAB", "kid": "2011-04-29" })).expect("a key");
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_new_pair_signs_what_its_public_key_verifies() {
        let pair = KeyPair::generate().expect("a pair");
        let key = PublicKey::parse(&pair.public_jwk()).expect("a key");
        let signature = pair.sign(b"message").expect("signed");
        assert!(key.verifies("ES256", b"message", &signature));
        assert!(!key.verifies("ES256", b"massage", &signature) && !key.verifies("ES384", b"message", &signature));
        assert_eq!((key.thumbprint(), key.kid), (pair.kid.clone(), Some(pair.kid.clone())));
    }

    #[test]
    fn a_private_key_is_handed_out_whole_and_never_taken() {
        let pair = KeyPair::generate().expect("a pair");
        let private = pair.private_jwk();
        let scalar = decoded(text(&private, "d")).expect("d");
        let point = pair.pair.public_key().as_ref();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, point, &SystemRandom::new())
            .expect("they match");
        assert!(PublicKey::parse(&private).is_err());
        let pem = pair.private_pem();
        assert!(pem.lines().all(|line| line.len() <= PEM_LINE) && pem.ends_with("-----END PRIVATE KEY-----\n"));
    }
}
