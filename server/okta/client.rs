//! Sending calls to Okta: authorize, send, retry, bound; all of it under the caller's deadline.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use ring::hmac;

use super::answer::Answer;
use super::call::{Accept, Call, HttpMethod, Repeat};
use super::context::Context;
use super::flights::Flights;
use super::governor::{Governor, Permit, bucket};
use super::http::{Unanswered, bounded_body};
use super::oauth::{Authorization, Tokens};
use super::page;
use super::refusal::refusal;
use super::retry::{self, Ending};
use crate::connections::Connection;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::proto::{ConnectionState, ErrorReason};

/// Nonces that one call learns on its way; a server that gives out one with every refusal is not followed for ever.
const MAX_NONCES: u32 = 2;
/// An attempt that the caller's own deadline cut short says something about the org only when it went on for this long.
const LONG_SILENCE: Duration = Duration::from_secs(5);
/// A page of 1000 users with large profiles is some megabytes; more than this is no answer of Okta's.
const MAX_BODY: usize = 16 << 20;

/// Sends calls to Okta. Cloning shares the connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    tokens: Tokens,
    governor: Governor,
    flights: Flights,
    page_key: hmac::Key,
    metrics: Metrics,
}

/// Where a call's time went.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// How often it was sent.
    pub attempts: u32,
    /// How long it waited for its turn, and between attempts.
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
    /// `crowded`: refused because too many requests were under way at once.
    Answered {
        answer: Answer,
        crowded: bool,
    },
    Failed {
        ending: Ending,
        error: Error,
    },
}

impl Client {
    /// A client that sends through `http`, with the tokens of `tokens`, when it is its turn by `governor`. Page tokens are signed with
    /// `page_key`.
    pub fn new(
        http: reqwest::Client,
        tokens: Tokens,
        governor: Governor,
        page_key: hmac::Key,
        metrics: Metrics,
    ) -> Self {
        Self { http, tokens, governor, flights: Flights::default(), page_key, metrics }
    }

    /// The access tokens of the connections.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The rate limits of the connections.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Sends `call` as `connection`, again where that is safe, until it is answered or the deadline is near. A read that somebody else has
    /// under way is not sent again.
    pub async fn send(&self, connection: &Connection, call: &Call, context: &Context) -> (Trace, Result<Answer>) {
        if call.endpoint.method != HttpMethod::Get {
            let _write = self.flights.write(&connection.id);
            return self.send_alone(connection, call, context).await;
        }
        loop {
            let alone = || {
                let (client, connection, call, context) =
                    (self.clone(), connection.clone(), call.clone(), context.clone());
                async move { client.send_alone(&connection, &call, &context).await }
            };
            let (flight, is_ours) = self.flights.join(&connection.id, call, context.deadline, alone);
            let Ok((trace, outcome)) = tokio::time::timeout_at(context.deadline.into(), flight.outcome).await else {
                let error = unanswered(call, ErrorReason::OktaTimeout, "did not answer before the deadline");
                return (Trace::default(), Err(error));
            };
            // Whoever began it had less time.
            let cut_short = outcome
                .as_ref()
                .is_err_and(|error| matches!(error.reason(), ErrorReason::OktaTimeout | ErrorReason::OktaRateLimited));
            if is_ours || !cut_short || flight.deadline >= context.deadline {
                return (trace, outcome);
            }
        }
    }

    async fn send_alone(&self, connection: &Connection, call: &Call, context: &Context) -> (Trace, Result<Answer>) {
        let mut trace = Trace::default();
        let outcome = self.send_traced(connection, call, context, &mut trace).await;
        (trace, outcome)
    }

    async fn send_traced(
        &self,
        connection: &Connection,
        call: &Call,
        context: &Context,
        trace: &mut Trace,
    ) -> Result<Answer> {
        usable(connection)?;
        let after = match &call.page {
            Some(page) if !page.token.is_empty() => {
                Some(page::open(&self.page_key, &connection.id, call, &page.token)?)
            }
            _ => None,
        };
        let deadline = context.deadline;
        let url = format!("{}{}", connection.base_url, call.path_and_query(after.as_deref()));
        let bucket = bucket(call.endpoint.method, &call.path);
        let mut authorization = self.tokens.authorization(connection, deadline).await?;
        let (mut renewed, mut nonces, mut refused, mut refusals) = (false, 0, None, 0);
        loop {
            let waiting = Instant::now();
            let turn = self.governor.turn(&connection.id, &bucket, &context.caller, deadline).await;
            trace.waited += waiting.elapsed();
            let mut permit = match (turn, refused.take()) {
                (Ok(permit), _) => permit,
                // What Okta said itself says more, but for when.
                (Err(ours), Some(okta)) => return Err(with_delay_of(okta, &ours)),
                (Err(ours), None) => return Err(ours),
            };
            trace.attempts += 1;
            let (attempt, has_new_nonce) = self.attempt(&authorization, call, &url, deadline, &mut permit).await;
            drop(permit);
            let ending = attempt.ending();
            if let Attempt::Answered { answer, .. } = &attempt {
                answer.request_id().clone_into(&mut trace.okta_request_id);
                // What Okta does not let in it does not carry out: it can be sent again, with what it wants.
                if answer.status == StatusCode::UNAUTHORIZED && has_new_nonce && nonces < MAX_NONCES {
                    nonces += 1;
                    continue;
                }
                if answer.status == StatusCode::UNAUTHORIZED && !renewed {
                    renewed = true;
                    if let Some(newer) = self.tokens.renewed(connection, &authorization, deadline).await? {
                        authorization = newer;
                        continue;
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            refusals += u32::from(ending.is_refusal());
            let alike = if ending.is_refusal() { refusals } else { trace.attempts - refusals };
            let delay = retry::delay(ending, call.endpoint.repeat, alike, left, rand::random());
            let Some(delay) = delay.filter(|_| ending.is_refusal() || self.governor.may_repeat(&connection.id)) else {
                return self.finish(connection, call, attempt);
            };
            if ending.is_refusal() {
                refused = self.finish(connection, call, attempt).err();
            }
            tracing::debug!(endpoint = call.endpoint.path, ?ending, ?delay, "sending again");
            tokio::time::sleep(delay).await;
            trace.waited += delay;
        }
    }

    /// One request, one answer; and whether it brought a new nonce for proofs.
    async fn attempt(
        &self,
        authorization: &Authorization,
        call: &Call,
        url: &str,
        deadline: Instant,
        permit: &mut Permit,
    ) -> (Attempt, bool) {
        let started = Instant::now();
        let exchange = tokio::time::timeout_at(deadline.into(), self.exchange(authorization, call, url));
        let exchange = exchange.await;
        let exchanged = exchange.is_ok();
        let attempt = match exchange {
            Ok(Ok(answer)) => {
                let crowded = permit.learn(answer.status, &answer.headers, answer.date());
                Attempt::Answered { answer, crowded }
            }
            Ok(Err(error)) => failed(call, &error),
            Err(_) => Attempt::Failed {
                ending: Ending::Unclear,
                error: unanswered(call, ErrorReason::OktaTimeout, "did not answer before the deadline"),
            },
        };
        let tells = exchanged || started.elapsed() >= LONG_SILENCE;
        if tells && matches!(attempt.ending(), Ending::NotSent | Ending::Unclear) {
            permit.unanswered();
        }
        self.metrics.okta_request(
            call.endpoint.method.as_str(),
            call.endpoint.path,
            attempt.status(),
            started.elapsed(),
        );
        let has_new_nonce =
            matches!(&attempt, Attempt::Answered { answer, .. } if authorization.learn(answer.status, &answer.headers));
        (attempt, has_new_nonce)
    }

    async fn exchange(
        &self,
        authorization: &Authorization,
        call: &Call,
        url: &str,
    ) -> std::result::Result<Answer, ExchangeError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let name = reqwest::header::HeaderName::try_from(name.as_str()).map_err(|_| ExchangeError::Unsendable)?;
            headers.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| ExchangeError::Unsendable)?);
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        authorization
            .apply(call.endpoint.method.as_str(), url, &mut headers)
            .map_err(ExchangeError::CannotBeAuthorized)?;
        let mut request = self.http.request(call.endpoint.method.into(), url);
        if let Some(body) = &call.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request = request.body(body.clone());
        }
        let response = request.headers(headers).send().await.map_err(Unanswered::from)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded_body(response, MAX_BODY).await?;
        Ok(Answer { status, headers, body, next_page_token: String::new() })
    }

    fn finish(&self, connection: &Connection, call: &Call, attempt: Attempt) -> Result<Answer> {
        let mut answer = match attempt {
            Attempt::Answered { answer, .. } => answer,
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
            Self::Answered { crowded: true, .. } => Ending::Crowded,
            Self::Answered { answer, .. } => match answer.status.as_u16() {
                429 => Ending::RateLimited,
                501 => Ending::Final,
                500..=599 => Ending::ServerError,
                _ => Ending::Final,
            },
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Answered { answer, .. } => answer.status.as_u16(),
            Self::Failed { .. } => 0,
        }
    }
}

/// Why an exchange did not come to an answer.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("cannot be sent a header that is no HTTP header")]
    Unsendable,
    #[error("cannot be authorized to: {0}")]
    CannotBeAuthorized(String),
}

fn failed(call: &Call, error: &ExchangeError) -> Attempt {
    let (ending, reason) = match error {
        ExchangeError::Unsendable => {
            let error = Error::invalid("headers", "a name or a value cannot stand in an HTTP header");
            return Attempt::Failed { ending: Ending::Final, error };
        }
        ExchangeError::CannotBeAuthorized(_) => (Ending::Final, ErrorReason::OktaCredentialRejected),
        ExchangeError::Unanswered(unanswered) => match unanswered {
            Unanswered::TooLarge(_) => (Ending::Final, ErrorReason::OktaAnswerUnreadable),
            Unanswered::NotSent(_) => (Ending::NotSent, ErrorReason::OktaUnavailable),
            Unanswered::Silent => (Ending::Unclear, ErrorReason::OktaTimeout),
            Unanswered::Broken(_) => (Ending::Unclear, ErrorReason::OktaUnavailable),
        },
    };
    let mut failed = unanswered(call, reason, &error.to_string());
    if ending == Ending::NotSent || matches!(error, ExchangeError::CannotBeAuthorized(_)) {
        failed = Error::new(reason, failed.message());
    }
    Attempt::Failed { ending, error: failed }
}

/// Okta's refusal, with the time at which the governor says that it is this call's turn.
fn with_delay_of(okta: Error, ours: &Error) -> Error {
    match ours.retry_after() {
        Some(delay) => okta.with_retry_after(delay),
        None => okta,
    }
}

/// The error of a call that nobody knows the outcome of.
fn unanswered(call: &Call, reason: ErrorReason, what: &str) -> Error {
    let message = format!("{} {}: Okta {what}", call.endpoint.method.as_str(), call.endpoint.path);
    let ambiguous = if call.endpoint.repeat == Repeat::IfNotCarriedOut { "true" } else { "" };
    Error::new(reason, message).with("ambiguous", ambiguous)
}

/// Whether calls of the connection make sense, and if not, what to do about it.
pub(super) fn usable(connection: &Connection) -> Result<()> {
    let Connection { nickname, state_reason, .. } = connection;
    let since = connection.state_changed.map(|time| time.to_string()).unwrap_or_default();
    let (reason, what) = match connection.state {
        ConnectionState::Active => return Ok(()),
        ConnectionState::Disabled => (
            ErrorReason::ConnectionDisabled,
            "is switched off; ConnectionService.UpdateConnection switches it on".to_owned(),
        ),
        ConnectionState::NeedsReauthorization => (
            ErrorReason::ConnectionNeedsAuthorization,
            format!("has needed authorization since {since}. {state_reason}"),
        ),
        ConnectionState::PendingAuthorization | ConnectionState::Unspecified => (
            ErrorReason::ConnectionNeedsAuthorization,
            format!(
                "has not been authorized yet: begin with ConnectionService.BeginAuthorization, or \
                 okta-connector connections authorize {nickname}"
            ),
        ),
    };
    let message = format!("the connection {nickname:?} {what}");
    Err(Error::new(reason, message).with_resource("connection", nickname.as_str()))
}
