//! The one HTTP client that all requests to Okta go through, and how their answers are read: bounded, and without surprises.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::org_url::OrgAddresses;

const USER_AGENT: &str = concat!("okta-connector/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer for longer than this is a broken connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// From the beginning to the end of the answer: one that comes drop by drop is cut, whatever the caller's deadline is.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(120);

/// A client that trusts the system's roots, and those of `extra_roots` (PEM) besides. It follows no redirects, and no name to where no
/// org may be.
///
/// # Errors
/// When the roots cannot be read.
pub fn http_client(extra_roots: Option<&[u8]>, addresses: OrgAddresses) -> Result<reqwest::Client, String> {
    let roots = match extra_roots {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .tls_certs_merge(roots)
        .dns_resolver(Arc::new(Resolver { addresses, proxies: Arc::new(proxies()) }))
        .build()
        .map_err(|error| error.to_string())
}

/// Looks names up, and keeps to the addresses where orgs may be: a name that somebody else controls can lead anywhere.
struct Resolver {
    addresses: OrgAddresses,
    /// The names of the proxies that the environment sets; they may be anywhere.
    proxies: Arc<HashSet<String>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = if self.proxies.contains(name.as_str()) { OrgAddresses::Private } else { self.addresses };
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| addresses.allow(found.ip())).collect();
            if allowed.is_empty() {
                let why = "the name leads only to addresses where no org may be (setting org_addresses)";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The hosts of the proxies that the environment sets.
fn proxies() -> HashSet<String> {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let urls = names.iter().filter_map(|name| std::env::var(name).ok());
    urls.filter_map(|url| Url::parse(&url).ok()?.host_str().map(str::to_owned)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_into_this_machine_is_not_followed_unless_orgs_may_be_there() {
        let leads = async |addresses, proxies: &[&str]| {
            let proxies = Arc::new(proxies.iter().map(|name| (*name).to_owned()).collect());
            let name = "localhost".parse().expect("name");
            Resolver { addresses, proxies }.resolve(name).await.map(Iterator::count)
        };
        let error = leads(OrgAddresses::Public, &[]).await.expect_err("inside");
        assert!(error.to_string().contains("org_addresses"), "{error}");
        assert!(leads(OrgAddresses::Loopback, &[]).await.is_ok_and(|count| count > 0));
        assert!(leads(OrgAddresses::Public, &["localhost"]).await.is_ok());
    }
}
