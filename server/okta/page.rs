//! Page tokens: Okta's own `after`, signed together with the query it belongs to, so that it cannot be used for another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::call::Call;
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// Half of SHA-256: nobody guesses it, and the token stays short.
const TAG_LEN: usize = 16;
/// Okta's `after` values are some tens of characters; a signed search expression never gets in here.
const MAX_TOKEN: usize = 4096;

/// Our token for the page that Okta begins after `after`.
pub fn seal(key: &hmac::Key, connection: &str, call: &Call, after: &str) -> String {
    let mut token = tag(key, connection, call, after).to_vec();
    token.extend_from_slice(after.as_bytes());
    URL_SAFE_NO_PAD.encode(token)
}

/// Okta's `after` out of our token.
///
/// # Errors
/// `PAGE_TOKEN_INVALID` for a token that is not ours or belongs to another connection or query.
pub fn open(key: &hmac::Key, connection: &str, call: &Call, token: &str) -> Result<String> {
    let invalid = || {
        Error::new(
            ErrorReason::PageTokenInvalid,
            "page_token: is not the next_page_token of this query on this connection; start at the first page",
        )
        .with_violation(crate::error::Violation {
            field: "page_token".to_owned(),
            description: "is not the next_page_token of this query on this connection".to_owned(),
        })
    };
    if token.len() > MAX_TOKEN {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let (found, after) = bytes.split_at_checked(TAG_LEN).ok_or_else(invalid)?;
    let after = std::str::from_utf8(after).map_err(|_| invalid())?;
    let expected = tag(key, connection, call, after);
    let same: bool = subtle::ConstantTimeEq::ct_eq(found, expected.as_slice()).into();
    if same { Ok(after.to_owned()) } else { Err(invalid()) }
}

/// Signs everything that makes the query what it is. The size of the page is left out: it may change from page to page.
fn tag(key: &hmac::Key, connection: &str, call: &Call, after: &str) -> [u8; TAG_LEN] {
    let mut context = hmac::Context::with_key(key);
    let query = call.query.iter().flat_map(|(name, value)| [name.as_ref(), value.as_str()]);
    for part in [connection, call.path.as_str(), after].into_iter().chain(query) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&context.sign().as_ref()[..TAG_LEN]);
    tag
}

/// The `after` of the next page in the `Link` headers of an answer.
pub fn next_after<'a>(links: impl Iterator<Item = &'a str>) -> Option<String> {
    let query = next_query(links)?;
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    parameters.find(|(name, _)| name == "after").map(|(_, after)| after.into_owned())
}

/// The query of the next page in the `Link` headers of an answer. There can be several headers, each with several links.
pub fn next_query<'a>(mut links: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    links.find_map(|header| {
        split_links(header).find_map(|link| {
            let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            let next = parameters.split(';').any(|parameter| {
                let parameter = parameter.trim().to_ascii_lowercase();
                matches!(parameter.as_str(), "rel=\"next\"" | "rel=next")
            });
            if !next {
                return None;
            }
            // The host may have another form than ours, and the target may be relative: only its query counts.
            target.split_once('?').map(|(_, query)| query)
        })
    })
}

/// Splits at the commas between links, not at those inside `<…>`.
fn split_links(header: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    header.split(move |letter| {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            _ => {}
        }
        letter == ',' && !inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::okta::call::{Endpoint, HttpMethod, Repeat};

    const USERS: Endpoint =
        Endpoint { method: HttpMethod::Get, path: "/api/v1/users", scope: "okta.users.read", repeat: Repeat::Safe };

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"key")
    }

    #[test]
    fn a_token_opens_for_its_query_only() {
        let call = Call::new(USERS, &[]).query("search", "a").page(10, "");
        let token = seal(&key(), "con_a", &call, "00u1");
        assert_eq!(open(&key(), "con_a", &call, &token).expect("opens"), "00u1");
        assert_eq!(open(&key(), "con_a", &call.clone().page(20, ""), &token).expect("opens"), "00u1");
        assert!(open(&key(), "con_b", &call, &token).is_err());
        assert!(open(&key(), "con_a", &Call::new(USERS, &[]).query("search", "b"), &token).is_err());
        for wrong in ["", "x", "AAAA", &token[1..], &"A".repeat(10_000)] {
            assert!(open(&key(), "con_a", &call, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_next_link_is_found_wherever_it_stands() {
        let own = "<https://a.okta.com/api/v1/users?limit=2>; rel=\"self\"";
        let next = "<https://b.okta.com/api/v1/users?after=00u%2B1&limit=2>; rel=\"next\"";
        assert_eq!(next_after([own, next].into_iter()).as_deref(), Some("00u+1"));
        assert_eq!(next_after([format!("{own}, {next}").as_str()].into_iter()).as_deref(), Some("00u+1"));
        assert_eq!(next_after(["</api/v1/users?after=x,y>; rel=next"].into_iter()).as_deref(), Some("x,y"));
        assert_eq!(next_after([own].into_iter()), None);
        assert_eq!(next_after(["", "<", "<>;", "nonsense", "<?after=1>"].into_iter()), None);
    }
}
