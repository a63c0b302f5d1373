//! From what people write as an org's domain to the base URL that calls go to: pure, and strict where a call could go astray.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where orgs may be: whoever can create connections must not be able to reach into the network that this server stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrgAddresses {
    /// On the internet.
    Public,
    /// On this machine too: a sandbox.
    Loopback,
    /// On private networks too: an org behind a private link.
    Private,
}

impl OrgAddresses {
    /// Whether a name may lead to this address.
    pub fn allow(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => is_public(address) || address.to_canonical().is_loopback(),
            Self::Private => !address.is_unspecified() && !address.is_multicast(),
        }
    }
}

/// Whether an address belongs to the internet at large (RFC 6890 lists those that do not).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            let reserved = first == 0 || first >= 240 || (first, second, third) == (192, 0, 0);
            let shared = first == 100 && (64..128).contains(&second);
            let benchmarks = first == 198 && (18..20).contains(&second);
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || reserved
                || shared
                || benchmarks)
        }
        IpAddr::V6(address) => {
            // What a translator would turn into an IPv4 address is judged as that (RFC 6052).
            if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
                let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
                return is_public(Ipv4Addr::new(a, b, c, d).into());
            }
            !(address == Ipv6Addr::UNSPECIFIED
                || address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_multicast())
        }
    }
}

/// The base URL of the org at `domain`, without a slash at its end.
///
/// A domain is `acme.okta.com`, `acme.oktapreview.com` or an org's custom domain. `https://` in front and a slash behind are
/// taken off, the admin host (`acme-admin.okta.com`) becomes the org's. Loopback addresses, where they are allowed, may have a port
/// and `http://`. What a name leads to is not looked at here, but when it is called.
///
/// # Errors
/// What is wrong, and what would be right, in a sentence.
pub fn base_url(domain: &str, addresses: OrgAddresses) -> Result<String, String> {
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
        if addresses == OrgAddresses::Public {
            return Err("leads to this machine; the setting org_addresses has to allow that".to_owned());
        }
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
            assert_eq!(base_url(written, OrgAddresses::Loopback).as_deref(), Ok(base), "{written}");
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
            assert!(base_url(written, OrgAddresses::Private).is_err(), "{written}");
        }
    }

    #[test]
    fn this_machine_is_an_org_only_where_that_is_allowed() {
        for written in ["http://127.0.0.1:7000", "localhost", "https://[::1]", "127.0.0.53", "http://127.1"] {
            assert!(
                base_url(written, OrgAddresses::Public).is_err_and(|why| why.contains("org_addresses")),
                "{written}"
            );
            assert!(base_url(written, OrgAddresses::Loopback).is_ok(), "{written}");
        }
    }

    #[test]
    fn a_name_leads_nowhere_but_where_orgs_may_be() {
        let allowed = |address: &str| {
            let address = address.parse().expect("address");
            [OrgAddresses::Public, OrgAddresses::Loopback, OrgAddresses::Private].map(|orgs| orgs.allow(address))
        };
        for address in ["52.1.2.3", "2600:1f18::1", "64:ff9b::3401:203", "::ffff:52.1.2.3"] {
            assert_eq!(allowed(address), [true, true, true], "{address}");
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(allowed(address), [false, true, true], "{address}");
        }
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "fd00::1",
            "fe80::1",
            "64:ff9b::a00:1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(allowed(address), [false, false, true], "{address}");
        }
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
            assert_eq!(allowed(address), [false, false, false], "{address}");
        }
    }
}
