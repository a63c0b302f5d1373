//! Sending calls to Okta: authorize, send, retry, bound; all of it under the caller's deadline.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use ring::hmac;
use secrecy::ExposeSecret;

use super::answer::Answer;
use super::call::{Accept, Call, Repeat};
use super::page;
use super::refusal::refusal;
use super::retry::{self, Ending};
use crate::connections::{Connection, Credential};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::proto::{ConnectionState, ErrorReason};

const USER_AGENT: &str = concat!("okta-connector/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer for longer than this is a broken connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of 1000 users with large profiles is some megabytes; more than this is no answer of Okta's.
const MAX_BODY: usize = 16 << 20;

/// Sends calls to Okta. Cloning shares the connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    page_key: hmac::Key,
    metrics: Metrics,
}

/// Where a call's time went.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// How often it was sent.
    pub attempts: u32,
    /// How long it waited between attempts.
    pub waited: Duration,
    /// Okta's id of the last request that was answered.
    pub okta_request_id: String,
}

impl Trace {
    /// The trace of two calls, one after the other.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self {
            attempts: self.attempts + next.attempts,
            waited: self.waited + next.waited,
            okta_request_id: next.okta_request_id,
        }
    }
}

/// How one attempt came out.
enum Attempt {
    Answered(Answer),
    Failed { ending: Ending, error: Error },
}

impl Client {
    /// A client that trusts the system's roots, and those of `extra_roots` (PEM) besides. Page tokens are signed with `page_key`.
    ///
    /// # Errors
    /// When the roots cannot be read.
    pub fn new(extra_roots: Option<&[u8]>, page_key: hmac::Key, metrics: Metrics) -> std::result::Result<Self, String> {
        let roots = match extra_roots {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?,
            None => Vec::new(),
        };
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tls_certs_merge(roots)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, page_key, metrics })
    }

    /// Sends `call` as `connection`, again where that is safe, until it is answered or the deadline is near.
    pub async fn send(&self, connection: &Connection, call: &Call, deadline: Instant) -> (Trace, Result<Answer>) {
        let mut trace = Trace::default();
        let outcome = self.send_traced(connection, call, deadline, &mut trace).await;
        (trace, outcome)
    }

    async fn send_traced(
        &self,
        connection: &Connection,
        call: &Call,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Answer> {
        usable(connection)?;
        let after = match &call.page {
            Some(page) if !page.token.is_empty() => {
                Some(page::open(&self.page_key, &connection.id, call, &page.token)?)
            }
            _ => None,
        };
        let url = format!("{}{}", connection.base_url, call.path_and_query(after.as_deref()));
        loop {
            trace.attempts += 1;
            let attempt = self.attempt(connection, call, &url, deadline).await;
            let ending = attempt.ending();
            if let Attempt::Answered(answer) = &attempt {
                answer.request_id().clone_into(&mut trace.okta_request_id);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let delay = retry::delay(ending, call.endpoint.repeat, trace.attempts, left, rand::random());
            let Some(delay) = delay else { return self.finish(connection, call, attempt) };
            tracing::debug!(endpoint = call.endpoint.path, ?ending, ?delay, "sending again");
            tokio::time::sleep(delay).await;
            trace.waited += delay;
        }
    }

    /// One request, one answer.
    async fn attempt(&self, connection: &Connection, call: &Call, url: &str, deadline: Instant) -> Attempt {
        let started = Instant::now();
        let exchange = tokio::time::timeout_at(deadline.into(), self.exchange(connection, call, url));
        let attempt = match exchange.await {
            Ok(Ok(answer)) => Attempt::Answered(answer),
            Ok(Err(error)) => failed(call, &error),
            Err(_) => Attempt::Failed {
                ending: Ending::Unclear,
                error: unanswered(call, ErrorReason::OktaTimeout, "did not answer before the deadline"),
            },
        };
        self.metrics.okta_request(
            call.endpoint.method.as_str(),
            call.endpoint.path,
            attempt.status(),
            started.elapsed(),
        );
        attempt
    }

    async fn exchange(
        &self,
        connection: &Connection,
        call: &Call,
        url: &str,
    ) -> std::result::Result<Answer, ExchangeError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let name = reqwest::header::HeaderName::try_from(name.as_str()).map_err(|_| ExchangeError::Unsendable)?;
            headers.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| ExchangeError::Unsendable)?);
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, authorization(connection)?);
        let mut request = self.http.request(call.endpoint.method.into(), url);
        if let Some(body) = &call.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request = request.body(body.clone());
        }
        let response = request.headers(headers).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded_body(response).await?;
        Ok(Answer { status, headers, body, next_page_token: String::new() })
    }

    fn finish(&self, connection: &Connection, call: &Call, attempt: Attempt) -> Result<Answer> {
        let mut answer = match attempt {
            Attempt::Answered(answer) => answer,
            Attempt::Failed { error, .. } => return Err(error),
        };
        if call.accept == Accept::Success && !answer.status.is_success() {
            return Err(refusal(call, &answer));
        }
        if call.page.is_some() {
            let links = answer.headers.get_all(LINK).into_iter().filter_map(|link| link.to_str().ok());
            if let Some(after) = page::next_after(links) {
                answer.next_page_token = page::seal(&self.page_key, &connection.id, call, &after);
            }
        }
        Ok(answer)
    }
}

impl Attempt {
    fn ending(&self) -> Ending {
        match self {
            Self::Failed { ending, .. } => *ending,
            Self::Answered(answer) => match answer.status.as_u16() {
                429 => Ending::RateLimited(answer.until_reset()),
                501 => Ending::Final,
                500..=599 => Ending::ServerError,
                _ => Ending::Final,
            },
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Answered(answer) => answer.status.as_u16(),
            Self::Failed { .. } => 0,
        }
    }
}

/// Why an exchange did not come to an answer.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("answered more than {MAX_BODY} bytes")]
    TooLarge,
    #[error("cannot be sent a header that is no HTTP header")]
    Unsendable,
}

fn failed(call: &Call, error: &ExchangeError) -> Attempt {
    let (ending, reason, what) = match error {
        ExchangeError::Unsendable => {
            let error = Error::invalid("headers", "a name or a value cannot stand in an HTTP header");
            return Attempt::Failed { ending: Ending::Final, error };
        }
        ExchangeError::TooLarge => (Ending::Final, ErrorReason::OktaAnswerUnreadable, error.to_string()),
        ExchangeError::Http(error) if error.is_connect() => {
            (Ending::NotSent, ErrorReason::OktaUnavailable, format!("could not be reached: {}", cause(error)))
        }
        ExchangeError::Http(error) if error.is_timeout() => {
            (Ending::Unclear, ErrorReason::OktaTimeout, "fell silent".to_owned())
        }
        ExchangeError::Http(error) => {
            (Ending::Unclear, ErrorReason::OktaUnavailable, format!("broke the connection: {}", cause(error)))
        }
    };
    let mut error = unanswered(call, reason, &what);
    if ending == Ending::NotSent {
        error = Error::new(reason, error.message());
    }
    Attempt::Failed { ending, error }
}

/// The error of a call that nobody knows the outcome of.
fn unanswered(call: &Call, reason: ErrorReason, what: &str) -> Error {
    let message = format!("{} {}: Okta {what}", call.endpoint.method.as_str(), call.endpoint.path);
    let ambiguous = if call.endpoint.repeat == Repeat::IfNotCarriedOut { "true" } else { "" };
    Error::new(reason, message).with("ambiguous", ambiguous)
}

/// The innermost cause: reqwest's own text repeats the URL, which is none of a log's business.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn usable(connection: &Connection) -> Result<()> {
    let (reason, next) = match connection.state {
        ConnectionState::Active => return Ok(()),
        ConnectionState::Disabled => (ErrorReason::ConnectionDisabled, "is switched off"),
        _ => (ErrorReason::ConnectionNeedsAuthorization, "has to be authorized first, see BeginAuthorization"),
    };
    let message = format!("the connection {:?} {next}", connection.nickname);
    Err(Error::new(reason, message).with_resource("connection", connection.nickname.as_str()))
}

fn authorization(connection: &Connection) -> std::result::Result<HeaderValue, ExchangeError> {
    let mut value = match &connection.credential {
        Credential::ApiToken(token) => HeaderValue::try_from(format!("SSWS {}", token.expose_secret())),
    }
    .map_err(|_| ExchangeError::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn bounded_body(mut response: reqwest::Response) -> std::result::Result<Bytes, ExchangeError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(ExchangeError::TooLarge);
        }
        if body.is_empty() && response.content_length() == Some(chunk.len() as u64) {
            return Ok(chunk);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
