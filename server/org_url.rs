//! From what people write as an org's domain to the base URL that calls go to: pure, and strict where a call could go astray.

use url::{Host, Url};

/// The base URL of the org at `domain`, without a slash at its end.
///
/// A domain is `acme.okta.com`, `acme.oktapreview.com` or an org's custom domain. `https://` in front and a slash behind are
/// taken off, the admin host (`acme-admin.okta.com`) becomes the org's. Loopback addresses may have a port and `http://`.
///
/// # Errors
/// What is wrong, and what would be right, in a sentence.
pub fn base_url(domain: &str) -> Result<String, String> {
    const EXAMPLE: &str = "a domain such as acme.okta.com";
    let domain = domain.trim();
    if domain.is_empty() {
        return Err(format!("is required: {EXAMPLE}"));
    }
    let text = if domain.contains("://") { domain.to_owned() } else { format!("https://{domain}") };
    let url = Url::parse(&text).map_err(|error| format!("is no domain ({error}); give {EXAMPLE}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("must not carry a user name or password; give {EXAMPLE}"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("must not have a path; give {EXAMPLE}"));
    }
    let host = url.host().ok_or_else(|| format!("has no host; give {EXAMPLE}"))?;
    if is_loopback(&url) {
        return match url.scheme() {
            "http" | "https" => Ok(url.as_str().trim_end_matches('/').to_owned()),
            other => Err(format!("has the scheme {other}; only https, and http for loopback, can be used")),
        };
    }
    if url.scheme() != "https" {
        return Err(format!("has the scheme {}; an Okta org is called over https only (loopback aside)", url.scheme()));
    }
    if url.port().is_some() {
        return Err(format!("must not have a port; give {EXAMPLE}"));
    }
    match host {
        Host::Domain(name) if name.contains('.') && name.split('.').all(|label| !label.is_empty()) => {
            Ok(format!("https://{}", org_host(name)))
        }
        _ => Err(format!("is not the name of an Okta org; give {EXAMPLE}")),
    }
}

/// `acme-admin.okta.com` is where admins sign in; the API is at `acme.okta.com`.
fn org_host(name: &str) -> String {
    const OKTA_DOMAINS: [&str; 3] = ["okta.com", "oktapreview.com", "okta-emea.com"];
    match name.split_once("-admin.") {
        Some((org, parent)) if OKTA_DOMAINS.contains(&parent) => format!("{org}.{parent}"),
        _ => name.to_owned(),
    }
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_becomes_the_base_url() {
        for (written, base) in [
            ("acme.okta.com", "https://acme.okta.com"),
            (" https://acme.okta.com/ ", "https://acme.okta.com"),
            ("https://acme.okta.com:443", "https://acme.okta.com"),
            ("ACME.Okta.com", "https://acme.okta.com"),
            ("acme-admin.okta.com", "https://acme.okta.com"),
            ("acme-admin.oktapreview.com", "https://acme.oktapreview.com"),
            ("login.acme.example", "https://login.acme.example"),
            ("http://127.0.0.1:7000", "http://127.0.0.1:7000"),
            ("https://localhost:7000/", "https://localhost:7000"),
            ("http://[::1]:7000", "http://[::1]:7000"),
        ] {
            assert_eq!(base_url(written).as_deref(), Ok(base), "{written}");
        }
    }

    #[test]
    fn what_could_go_astray_is_refused() {
        for written in [
            "",
            "   ",
            "acme",
            "http://acme.okta.com",
            "ftp://acme.okta.com",
            "file:///etc/passwd",
            "https://acme.okta.com/api/v1",
            "acme.okta.com?x=1",
            "acme.okta.com#x",
            "acme.okta.com:8443",
            "user@acme.okta.com",
            "https://user:word@acme.okta.com",
            "10.0.0.1",
            "https://169.254.169.254",
            "http://192.168.1.1",
            "https://[fe80::1]",
            "https://0.0.0.0",
            "https://2130706433/x",
            "acme..okta.com/",
            "exa mple.com",
        ] {
            assert!(base_url(written).is_err(), "{written}");
        }
    }
}
