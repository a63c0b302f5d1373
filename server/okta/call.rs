//! One request to Okta, as a card describes it: pure data, ready to be sent any number of times.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Serialize;

/// RFC 3986 unreserved characters stay, everything else is encoded: a value cannot leave its segment or parameter.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An endpoint of Okta's API, said once per card: it is the row of the README's table, the label of metrics, and the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// HTTP method.
    pub method: HttpMethod,
    /// Path with `{names}` where values go, as Okta's documentation writes it.
    pub path: &'static str,
    /// The OAuth scope that it needs.
    pub scope: &'static str,
    /// Whether the call may be sent again when nobody knows what became of it.
    pub repeat: Repeat,
}

/// A method that cards use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl From<HttpMethod> for Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Get => Self::GET,
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Patch => Self::PATCH,
            HttpMethod::Delete => Self::DELETE,
        }
    }
}

/// Whether a call may be sent again when nobody knows what became of it. Said by the card, not guessed from the method: a
/// repeated DELETE of a user deletes for good what the first one only deactivated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Only when it surely was not carried out.
    IfNotCarriedOut,
}

/// What of Okta's answers is a result rather than an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Accept {
    /// 2xx.
    #[default]
    Success,
    /// Whatever it is: the caller looks at the status itself.
    AnyStatus,
}

/// A page of a list: how large, and after which token of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Okta's `limit`; 0 leaves it to Okta.
    pub size: u32,
    /// Our token of the page before; empty for the first page.
    pub token: String,
}

/// One request to Okta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The path with its values in.
    pub path: String,
    /// Query parameters, in order, not yet encoded.
    pub query: Vec<(Cow<'static, str>, String)>,
    /// Headers beside the ones that the client adds.
    pub headers: Vec<(String, String)>,
    /// A JSON body.
    pub body: Option<Bytes>,
    /// What of the answers is a result.
    pub accept: Accept,
    /// Which page of a list.
    pub page: Option<Page>,
}

impl Call {
    /// A call of `endpoint` with `values` in the places of its path, each one segment.
    pub fn new(endpoint: Endpoint, values: &[&str]) -> Self {
        let mut path = String::with_capacity(endpoint.path.len() + 64);
        let mut values = values.iter();
        for (at, piece) in endpoint.path.split(['{', '}']).enumerate() {
            if at % 2 == 0 {
                path.push_str(piece);
            } else if let Some(value) = values.next() {
                path.extend(utf8_percent_encode(value, ENCODED));
            }
        }
        debug_assert!(values.next().is_none(), "more values than places in {}", endpoint.path);
        let (query, headers) = (Vec::new(), Vec::new());
        Self { endpoint, path, query, headers, body: None, accept: Accept::Success, page: None }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// Adds a query parameter, unless it is empty.
    #[must_use]
    pub fn query_if_given(self, name: &'static str, value: &str) -> Self {
        if value.is_empty() { self } else { self.query(name, value) }
    }

    /// Adds a query parameter that is true or false.
    #[must_use]
    pub fn flag(self, name: &'static str, value: bool) -> Self {
        self.query(name, if value { "true" } else { "false" })
    }

    /// Asks for one page.
    #[must_use]
    pub fn page(mut self, size: u32, token: &str) -> Self {
        self.page = Some(Page { size, token: token.to_owned() });
        self
    }

    /// Adds a JSON body.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        // Only maps with keys other than text cannot be written as JSON, and no card has one.
        self.body = serde_json::to_vec(body).ok().map(Bytes::from);
        self
    }

    /// The path and query, with `after` where the page begins.
    pub fn path_and_query(&self, after: Option<&str>) -> String {
        let mut text = self.path.clone();
        let page = self.page.as_ref().filter(|page| page.size > 0);
        let limit = page.map(|page| ("limit", page.size.to_string()));
        let own = self.query.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
        let page = limit.as_ref().map(|(name, size)| (*name, size.as_str()));
        for (at, (name, value)) in own.chain(page).chain(after.map(|after| ("after", after))).enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.extend(utf8_percent_encode(name, ENCODED));
            text.push('=');
            text.extend(utf8_percent_encode(value, ENCODED));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMBER: Endpoint = Endpoint {
        method: HttpMethod::Put,
        path: "/api/v1/groups/{groupId}/users/{userId}",
        scope: "okta.groups.manage",
        repeat: Repeat::Safe,
    };

    #[test]
    fn values_go_into_their_places() {
        assert_eq!(Call::new(MEMBER, &["00g1", "a+b@c.d"]).path, "/api/v1/groups/00g1/users/a%2Bb%40c.d");
    }

    #[test]
    fn the_page_comes_after_the_query() {
        let call = Call::new(MEMBER, &["g", "u"]).query("q", "a&b").page(2, "t");
        assert_eq!(call.path_and_query(Some("x=y")), "/api/v1/groups/g/users/u?q=a%26b&limit=2&after=x%3Dy");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_segment_or_its_parameter(value in "\\PC{0,40}") {
            let call = Call::new(MEMBER, &[&value, "u"]).query("q", value.clone());
            let url = url::Url::parse(&format!("https://acme.okta.com{}", call.path_and_query(None))).unwrap();
            prop_assert_eq!(url.host_str(), Some("acme.okta.com"));
            prop_assert!(url.fragment().is_none());
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("q".to_owned(), value.clone())]);
            if !matches!(value.as_str(), "." | "..") {
                prop_assert_eq!(url.path_segments().unwrap().count(), 6);
            }
        }
    }
}
