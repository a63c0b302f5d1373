//! What a person sees in the browser at the end of an authorization: what happened, and what to do next. Plain HTML, no scripts.

use std::fmt::Write;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

use super::attempts::Unfit;
use crate::connections::Connection;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:10vh auto;padding:0 1.5rem;color:#1d1d21}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem;padding-left:1rem;border-left:.4rem solid #b3261e}\
.good h1{border-color:#1a7f37}dt{color:#5c5c66;font-size:.875rem}dd{margin:0 0 .75rem;overflow-wrap:anywhere}\
footer{margin-top:2.5rem;color:#5c5c66;font-size:.875rem}code{font-size:.9375rem}\
@media(prefers-color-scheme:dark){body{background:#16161a;color:#ececf1}dt,footer{color:#a0a0ab}}";

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    title: String,
    paragraphs: Vec<String>,
    facts: Vec<(&'static str, String)>,
}

impl Page {
    fn new(status: StatusCode, title: impl Into<String>, paragraphs: &[&str]) -> Self {
        let paragraphs = paragraphs.iter().map(|text| (*text).to_owned()).collect();
        Self { status, title: title.into(), paragraphs, facts: Vec::new() }
    }

    /// It is done.
    pub(super) fn authorized(connection: &Connection) -> Self {
        let next = "You can close this window. Calls and events of this connection work from now on.";
        let mut page = Self::new(StatusCode::OK, format!("{} is authorized", connection.nickname), &[next]);
        page.facts = vec![
            ("Connection", format!("{} ({})", connection.nickname, connection.id)),
            ("Okta org", connection.base_url.clone()),
            ("Scopes granted", connection.granted_scopes.join(" ")),
        ];
        page
    }

    /// Okta refused.
    pub(super) fn refused(connection: &Connection, sentence: &str, advice: &str, redirect_uri: &str) -> Self {
        let title = format!("{} was not authorized", connection.nickname);
        let mut page = Self::new(StatusCode::BAD_REQUEST, title, &[&format!("{sentence}."), advice]);
        page.facts = vec![
            ("Connection", format!("{} ({})", connection.nickname, connection.id)),
            ("Okta org", connection.base_url.clone()),
            ("Client id", connection.credential.client_id().to_owned()),
            ("Redirect URI of this server", redirect_uri.to_owned()),
        ];
        page
    }

    /// Okta could not be asked, or its answer not be stored.
    pub(super) fn failed(connection: &Connection, what: &str) -> Self {
        let title = format!("{} could not be authorized", connection.nickname);
        Self::new(StatusCode::BAD_GATEWAY, title, &[&format!("{what}."), "Begin again in a moment."])
    }

    /// The callback is not taken.
    pub(super) fn unfit(unfit: Unfit) -> Self {
        const AGAIN: &str = "Begin again: ask for a new link with ConnectionService.BeginAuthorization, or with \
                             okta-connector connections authorize.";
        let (title, what) = match unfit {
            Unfit::Unknown => (
                "This authorization is not known here",
                "The link is incomplete, belongs to another server, was replaced by a newer one, or is too old.",
            ),
            Unfit::Used => (
                "This authorization has been carried out already",
                "Each link works once. Nothing was changed this time.",
            ),
            Unfit::Expired => {
                ("This authorization has expired", "It was begun more than ten minutes ago. Nothing was changed.")
            }
            Unfit::Foreign => (
                "This authorization was begun in another browser",
                "Open the link in the browser that you sign in to Okta with, and accept its cookie. Nothing was changed.",
            ),
        };
        let next = if unfit == Unfit::Used { "If the connection does not work, begin again." } else { AGAIN };
        Self::new(StatusCode::BAD_REQUEST, title, &[what, next])
    }

    /// Too many that lead nowhere.
    pub(super) fn too_many() -> Self {
        let what =
            "Too many authorizations that are not known here have come in the last minute. Try again in a minute.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Try again in a minute", &[what])
    }

    fn html(&self) -> String {
        let class = if self.status.is_success() { "good" } else { "bad" };
        let title = escaped(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
             <style>{STYLE}</style></head>\n<body class=\"{class}\"><main><h1>{title}</h1>\n"
        );
        for paragraph in &self.paragraphs {
            let _ = writeln!(html, "<p>{}</p>", escaped(paragraph));
        }
        let facts: Vec<_> = self.facts.iter().filter(|(_, value)| !value.is_empty()).collect();
        if !facts.is_empty() {
            html.push_str("<dl>");
            for (name, value) in facts {
                let _ = writeln!(html, "<dt>{name}</dt><dd><code>{}</code></dd>", escaped(value));
            }
            html.push_str("</dl>");
        }
        html.push_str("<footer>okta-connector</footer></main></body></html>\n");
        html
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            // The address has a code in it, spent as it is.
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (FRAME_OPTIONS, "DENY"),
        ];
        (self.status, headers, self.html()).into_response()
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_cannot_become_markup() {
        let page = Page::new(StatusCode::BAD_REQUEST, "<script>alert('x')</script>", &["\"a\" & <b>"]);
        let html = page.html();
        assert!(!html.contains("<script>") && !html.contains("<b>"));
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)") && html.contains("&quot;a&quot; &amp; &lt;b&gt;"));
    }
}
