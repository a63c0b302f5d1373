//! Reading a relative URL so that it cannot leave the org, nor the parts of it that are an API.

use percent_encoding::percent_decode_str;

/// The parts of an org that are an API.
const PREFIXES: [&str; 4] = ["/api/", "/oauth2/", "/governance/", "/idp/"];
const MAX_LENGTH: usize = 8 << 10;

/// A path that is safe to put behind an org's base URL, and the parameters of its query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RelativeUrl {
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
}

/// Reads `text`, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<RelativeUrl, String> {
    const EXAMPLE: &str = "give a path such as /api/v1/groups?limit=2";
    if text.is_empty() {
        return Err(format!("is required; {EXAMPLE}"));
    }
    if text.len() > MAX_LENGTH {
        return Err(format!("is longer than {MAX_LENGTH} characters"));
    }
    if text.contains("://") && !text.starts_with('/') {
        return Err(format!("must not have a scheme or a host: calls go to the connection's org; {EXAMPLE}"));
    }
    if !PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(format!("must start with {}; {EXAMPLE}", PREFIXES.join(" or ")));
    }
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace() || matches!(letter, '\\' | '#')) {
        return Err(
            "must not have spaces, control characters, backslashes or a fragment; percent-encode them".to_owned()
        );
    }
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if path.split('/').any(climbs) {
        return Err("must not have . or .. between its slashes".to_owned());
    }
    if path.contains("//") {
        return Err("must not have two slashes in a row".to_owned());
    }
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Ok(RelativeUrl { path: encoded(path), query })
}

/// Dot segments, also where the dots or a slash beside them are percent-encoded.
fn climbs(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

/// Non-ASCII letters percent-encoded, everything else as it was.
fn encoded(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_of_the_api_pass_with_or_without_a_query() {
        let parsed = parse("/api/v1/users/a%40b.c?search=profile.city+eq+%22x%22&limit=2").expect("parsed");
        assert_eq!(parsed.path, "/api/v1/users/a%40b.c");
        assert_eq!(parsed.query[0], ("search".to_owned(), "profile.city eq \"x\"".to_owned()));
        for path in ["/oauth2/v1/clients", "/governance/api/v1/grants", "/idp/myaccount/profile", "/api/v1/users/ü"] {
            assert!(parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_leaves_the_org_or_its_api_is_refused() {
        for text in [
            "",
            "api/v1/users",
            "https://evil.example/api/v1/users",
            "//evil.example/api/v1/users",
            "/\\evil.example/api/",
            "/api/../login",
            "/api/v1/%2e%2e/login",
            "/api/v1/..%2flogin",
            "/api/v1/./users",
            "/api//evil.example",
            "/login/login.htm",
            "/api/v1/users#x",
            "/api/v1/us ers",
            "/api/v1/users\r\nHost: evil",
            "@evil.example/api/",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_on_the_org(text in "/api/[ -~]{0,40}") {
            if let Ok(parsed) = parse(&text) {
                let url = url::Url::parse(&format!("https://acme.okta.com{}", parsed.path)).unwrap();
                prop_assert_eq!(url.host_str(), Some("acme.okta.com"));
                prop_assert!(url.path().starts_with("/api/"));
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
