//! A browser as far as an authorization needs one: it keeps cookies, follows redirects by hand, and presses one of two buttons.

use std::collections::HashMap;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::harness::http_without_redirects;

/// A browser with nobody's cookies.
#[derive(Default)]
pub struct Browser {
    cookies: HashMap<String, String>,
}

/// What it shows.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub location: Option<Url>,
    pub body: String,
}

impl Browser {
    /// Opens an address; redirects are shown, not followed.
    pub async fn open(&mut self, url: &str) -> Page {
        self.send(http_without_redirects().get(url)).await
    }

    /// Opens the link that begins an authorization, presses `allow` or `deny` at Okta, and shows where Okta sends it to.
    pub async fn decide(&mut self, link: &str, decision: &str) -> Url {
        let okta = self.open(link).await.location.expect("sent to Okta");
        let consent = self.open(okta.as_str()).await;
        assert!(consent.status == StatusCode::OK && consent.body.contains("Allow access"), "{consent:?}");
        let mut form = Serializer::new(String::new());
        form.extend_pairs(okta.query_pairs()).append_pair("decision", decision);
        let mut target = okta.clone();
        target.set_query(None);
        let request = http_without_redirects().post(target).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(form.finish())).await.location.expect("sent back")
    }

    /// The whole of it, to the page that it ends with.
    pub async fn authorize(&mut self, link: &str, decision: &str) -> Page {
        let callback = self.decide(link, decision).await;
        self.open(callback.as_str()).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.expect("answered");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().expect("text").split(';').next().expect("pair");
            let (name, value) = pair.split_once('=').expect("name and value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get(LOCATION).map(|url| url.to_str().expect("text").parse().expect("URL"));
        Page { status: response.status(), location, body: response.text().await.expect("text") }
    }
}
