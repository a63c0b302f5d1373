//! What Okta answered, raw: status, headers, body, and where the next page begins.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, LINK};

use super::record::items;
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-okta-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

/// An answer of Okta's.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Our token for the next page; empty at the end.
    pub next_page_token: String,
}

impl Answer {
    /// The status as the cards answer it.
    pub fn status_code(&self) -> i32 {
        i32::from(self.status.as_u16())
    }

    /// The body as text.
    ///
    /// # Errors
    /// `OKTA_ANSWER_UNREADABLE` when it is no UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|_| self.unreadable("is no UTF-8 text"))
    }

    /// The body as the text of a JSON object.
    ///
    /// # Errors
    /// `OKTA_ANSWER_UNREADABLE` when it is anything else.
    pub fn object(&self) -> Result<&str> {
        let text = self.text()?.trim();
        if text.starts_with('{') && super::record::is_json(text) {
            return Ok(text);
        }
        Err(self.unreadable("is not the JSON object that the endpoint answers"))
    }

    /// The items of the body, each as raw JSON text.
    ///
    /// # Errors
    /// `OKTA_ANSWER_UNREADABLE` when it is no JSON list.
    pub fn items(&self) -> Result<Vec<&str>> {
        items(self.text()?).ok_or_else(|| self.unreadable("is not the JSON list that the endpoint answers"))
    }

    /// The query of the next page, where the answer names one.
    pub fn next_query(&self) -> Option<&str> {
        super::page::next_query(self.headers.get_all(LINK).into_iter().filter_map(|link| link.to_str().ok()))
    }

    /// Okta's clock when it answered; ours when it does not say.
    pub fn date(&self) -> SystemTime {
        httpdate::parse_http_date(self.header(&DATE)).unwrap_or_else(|_| SystemTime::now())
    }

    /// What is left of the rate limit, and what it is, in requests of this window.
    pub fn rate_limit(&self) -> Option<(u32, u32)> {
        Some((self.header(&RATE_LIMIT_REMAINING).parse().ok()?, self.header(&RATE_LIMIT).parse().ok()?))
    }

    /// Okta's id of the request.
    pub fn request_id(&self) -> &str {
        self.header(&REQUEST_ID)
    }

    /// How long until the rate limit's window resets, by Okta's own clock.
    pub fn until_reset(&self) -> Option<Duration> {
        let reset = SystemTime::UNIX_EPOCH + Duration::from_secs(self.header(&RATE_LIMIT_RESET).parse().ok()?);
        // A reset that lies in the past is a window that has reset already.
        let wait = reset.duration_since(self.date()).unwrap_or_default();
        (wait <= MAX_RESET).then_some(wait)
    }

    /// A header as text, empty when it is not there.
    pub fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn unreadable(&self, what: &str) -> Error {
        let message = format!("what came back from Okta {what}; something may stand between this server and the org");
        Error::new(ErrorReason::OktaAnswerUnreadable, message).with("okta_request_id", self.request_id())
    }
}

/// Windows are 60 s long: a reset that lies further ahead than this is no reset.
const MAX_RESET: Duration = Duration::from_secs(600);
