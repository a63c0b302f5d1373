//! The one HTTP client that all requests to Okta go through, and how their answers are read: bounded, and without surprises.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

const USER_AGENT: &str = concat!("okta-connector/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer for longer than this is a broken connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that trusts the system's roots, and those of `extra_roots` (PEM) besides. It follows no redirects.
///
/// # Errors
/// When the roots cannot be read.
pub fn http_client(extra_roots: Option<&[u8]>) -> Result<reqwest::Client, String> {
    let roots = match extra_roots {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tls_certs_merge(roots)
        .build()
        .map_err(|error| error.to_string())
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// No connection was made: the request surely did not arrive.
    #[error("could not be reached: {}", cause(.0))]
    NotSent(reqwest::Error),
    #[error("fell silent")]
    Silent,
    #[error("broke the connection: {}", cause(.0))]
    Broken(reqwest::Error),
    #[error("answered more than {0} bytes")]
    TooLarge(usize),
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        match error {
            error if error.is_connect() => Self::NotSent(error),
            error if error.is_timeout() => Self::Silent,
            error => Self::Broken(error),
        }
    }
}

/// The body, unless it is larger than `most` bytes.
pub(super) async fn bounded_body(mut response: reqwest::Response, most: usize) -> Result<Bytes, Unanswered> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(Unanswered::TooLarge(most));
        }
        if body.is_empty() && response.content_length() == Some(chunk.len() as u64) {
            return Ok(chunk);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause: reqwest's own text repeats the URL, which is none of a log's business.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
