//! Client assertions: JWTs by which clients prove who they are (RFC 7523), checked as strictly as Okta does.

use serde_json::Value;

use super::clients::Client;
use super::jwk::PublicKey;
use super::jwt::Jwt;
use super::replay::{MAX_ID, Replay};

const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// How far ahead an assertion may expire.
const MAX_LIFETIME: i64 = 3600;
/// How much a client's clock may be fast.
const MAX_SKEW: i64 = 60;

/// Checks that `client` made the assertion for one of these audiences, and that it was not used before; what is wrong otherwise.
pub(super) fn check(
    jwt: &Jwt<'_>,
    client: &Client,
    audiences: &[&str],
    seen: &mut Replay,
    clock: i64,
) -> Result<(), &'static str> {
    if !ALGORITHMS.contains(&jwt.alg()) {
        return Err("The client_assertion signing algorithm is not supported.");
    }
    let key = key_of(jwt, client).ok_or("The client_assertion 'kid' does not match a key of the client.")?;
    if !jwt.is_signed_by(key) {
        return Err("The client_assertion signature is invalid.");
    }
    let own = Some(client.client_id.as_str());
    if jwt.claim("iss") != own || jwt.claim("sub") != own {
        return Err("Both 'iss' and 'sub' claims of client_assertion must be the client_id.");
    }
    let aud = &jwt.claims["aud"];
    let named =
        |audience: &&str| aud == *audience || aud.as_array().is_some_and(|all| all.iter().any(|one| one == *audience));
    if !audiences.iter().any(named) {
        return Err("The audience claim for client_assertion must be the endpoint invoked for the request.");
    }
    let exp = check_times(jwt, clock)?;
    // Okta does without one: its own Go SDK sends none.
    let jti = match (&jwt.claims["jti"], jwt.claim("jti")) {
        (Value::Null, _) => return Ok(()),
        (_, Some(jti)) if jti.len() <= MAX_ID => jti,
        _ => return Err("The 'jti' claim of client_assertion is invalid."),
    };
    match seen.is_first(format!("{} {jti}", client.client_id), exp, clock) {
        true => Ok(()),
        false => Err("The client_assertion token has already been used."),
    }
}

/// The client's key that the header names, or its only one when none is named.
fn key_of<'a>(jwt: &Jwt<'_>, client: &'a Client) -> Option<&'a PublicKey> {
    match (jwt.header["kid"].as_str(), client.keys.as_slice()) {
        (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// When it expires.
fn check_times(jwt: &Jwt<'_>, clock: i64) -> Result<i64, &'static str> {
    let exp = jwt.seconds("exp").ok_or("The client_assertion token must have an 'exp' claim.")?;
    if exp <= clock {
        return Err("The client_assertion token is expired.");
    }
    if exp > clock + MAX_LIFETIME {
        return Err("The client_assertion token has an expiration too far into the future.");
    }
    if jwt.seconds("iat").is_some_and(|iat| iat > clock + MAX_SKEW) {
        return Err("The client_assertion token was issued in the future: its 'iat' claim is later than now.");
    }
    Ok(exp)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::clients::Kind;
    use super::super::jwk::{KeyPair, encoded};
    use super::super::jwt::sign;
    use super::super::testing::{RsaKey, signed_by};
    use super::*;

    const NOW: i64 = 1_000_000;
    const AUDIENCES: [&str; 2] = ["https://okta/oauth2/v1/token", "https://okta"];

    fn claims(jti: &str) -> Value {
        json!({ "iss": "client", "sub": "client", "aud": AUDIENCES[0], "iat": NOW, "exp": NOW + 300, "jti": jti })
    }

    fn client(jwks: &[Value]) -> Client {
        let keys = jwks.iter().map(|jwk| PublicKey::parse(jwk).expect("a key")).collect();
        Client { keys, ..Client::new("client".to_owned(), Kind::Service) }
    }

    fn outcome(jwt: &str, client: &Client, seen: &mut Replay) -> Result<(), &'static str> {
        check(&Jwt::parse(jwt).expect("a JWT"), client, &AUDIENCES, seen, NOW)
    }

    #[test]
    fn every_claim_counts() {
        let key = KeyPair::generate().expect("a key");
        let (client, mut seen) = (client(&[key.public_jwk()]), Replay::default());
        let mut changed = |member: &str, value: Value| {
            let mut claims = claims(member);
            claims[member] = value;
            outcome(&sign(&claims, &key).expect("signed"), &client, &mut seen)
        };
        for (member, value, says) in [
            ("iss", json!("other"), "iss"),
            ("sub", Value::Null, "sub"),
            ("aud", json!("https://okta/oauth2/default"), "audience"),
            ("aud", Value::Null, "audience"),
            ("exp", Value::Null, "exp"),
            ("exp", json!(NOW), "is expired"),
            ("exp", json!(NOW + 3601), "too far"),
            ("exp", json!(i64::MAX), "too far"),
            ("iat", json!(NOW + 61), "issued in the future"),
            ("jti", json!(""), "jti"),
            ("jti", json!("x".repeat(257)), "jti"),
        ] {
            let outcome = changed(member, value.clone());
            assert!(outcome.is_err_and(|what| what.contains(says)), "{member} {value}: {outcome:?}");
        }
        assert_eq!(changed("exp", json!(NOW + 3600)), Ok(()));
        assert_eq!(changed("iat", json!(NOW + 60)), Ok(()));
        assert_eq!(changed("jti", Value::Null), Ok(()));
        assert_eq!(changed("aud", json!(["https://elsewhere", "https://okta"])), Ok(()));
    }

    #[test]
    fn a_jti_is_good_once_until_its_assertion_expires() {
        let key = KeyPair::generate().expect("a key");
        let (client, mut seen) = (client(&[key.public_jwk()]), Replay::default());
        let jwt = sign(&claims("one"), &key).expect("signed");
        assert_eq!(outcome(&jwt, &client, &mut seen), Ok(()));
        assert!(outcome(&jwt, &client, &mut seen).is_err_and(|what| what.contains("already been used")));
    }

    #[test]
    fn the_key_is_the_one_that_is_named() {
        let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let rsa = RsaKey::read();
        let mut seen = Replay::default();
        let jwt = |jti: &str| sign(&claims(jti), &key).expect("signed");
        let wrong = outcome(&jwt("1"), &client(&[other.public_jwk()]), &mut seen);
        assert!(wrong.is_err_and(|what| what.contains("kid")));
        assert_eq!(outcome(&jwt("2"), &client(&[other.public_jwk(), key.public_jwk()]), &mut seen), Ok(()));
        let nameless = json!({ "alg": "RS256" });
        let jwt = |jti: &str| signed_by(&rsa, &nameless, &claims(jti));
        assert_eq!(outcome(&jwt("3"), &client(&[rsa.public_jwk()]), &mut seen), Ok(()));
        assert!(outcome(&jwt("4"), &client(&[rsa.public_jwk(), key.public_jwk()]), &mut seen).is_err());
        assert!(
            outcome(&jwt("5"), &client(&[key.public_jwk()]), &mut seen).is_err_and(|what| what.contains("signature"))
        );
    }

    #[test]
    fn nothing_but_signatures_by_private_keys_is_believed() {
        let rsa = RsaKey::read();
        let (client, mut seen) = (client(&[rsa.public_jwk()]), Replay::default());
        for alg in ["none", "HS256", "PS256", ""] {
            let jwt = signed_by(&rsa, &json!({ "alg": alg, "kid": "rsa" }), &claims(alg));
            assert!(outcome(&jwt, &client, &mut seen).is_err_and(|what| what.contains("algorithm")), "{alg}");
        }
        let jwt = signed_by(&rsa, &json!({ "alg": "RS256", "kid": "rsa" }), &claims("a"));
        let (signed, _) = jwt.rsplit_once('.').expect("a signature");
        let forged = format!("{signed}.{}", encoded(b"forged"));
        assert!(outcome(&forged, &client, &mut seen).is_err_and(|what| what.contains("signature")));
        assert_eq!(outcome(&jwt, &client, &mut seen), Ok(()), "a refused one does not use the jti up");
        let critical = signed_by(&rsa, &json!({ "alg": "RS256", "kid": "rsa", "crit": ["exp"] }), &claims("b"));
        assert!(outcome(&critical, &client, &mut seen).is_err());
    }
}
