//! The assertion that a service app authenticates itself with (`private_key_jwt`, RFC 7523).

use serde_json::json;

use crate::connections::ServiceApp;
use crate::secret::random_id;

/// Okta takes at most an hour; an assertion is used at once.
const LIFETIME_SECONDS: i64 = 300;
/// What the server's clock may lag behind what we took for it.
const LEEWAY_SECONDS: i64 = 5;

/// A fresh assertion for the token endpoint at `token_url`, at Okta's time `now`. Each has an id of its own: none can be used twice.
///
/// # Errors
/// When the operating system has no randomness to give.
pub(super) fn assertion(app: &ServiceApp, token_url: &str, now: i64) -> Result<String, String> {
    let mut header = json!({ "typ": "JWT" });
    if !app.key.id().is_empty() {
        header["kid"] = json!(app.key.id());
    }
    let claims = json!({
        "iss": app.client_id,
        "sub": app.client_id,
        "aud": token_url,
        "iat": now - LEEWAY_SECONDS,
        "exp": now + LIFETIME_SECONDS,
        "jti": random_id("").map_err(|error| error.to_string())?,
    });
    app.key.jwt(header, &claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;
    use crate::connections::SigningKey;

    fn parts(jwt: &str) -> [Value; 2] {
        let mut parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
        [(); 2].map(|()| serde_json::from_slice(&parts.next().expect("part")).expect("JSON"))
    }

    #[test]
    fn it_names_the_app_the_endpoint_and_a_short_time_and_is_never_the_same() {
        let key = SigningKey::read(&SigningKey::generate().expect("made"), "kid-1").expect("read");
        let app = ServiceApp { client_id: "0oaservice".to_owned(), key, scopes: vec![] };
        let url = "https://acme.okta.com/oauth2/v1/token";
        let [header, claims] = parts(&assertion(&app, url, 1_000_000).expect("made"));
        assert_eq!(header, json!({ "typ": "JWT", "kid": "kid-1", "alg": "ES256" }));
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("0oaservice"), Some("0oaservice")));
        assert_eq!((claims["aud"].as_str(), claims["exp"].as_i64()), (Some(url), Some(1_000_300)));
        let [_, again] = parts(&assertion(&app, url, 1_000_000).expect("made"));
        assert_ne!(claims["jti"], again["jti"]);
    }
}
