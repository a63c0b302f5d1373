//! The two pages: the start that a link leads to, and the callback that Okta sends the browser back to.

use std::time::Instant;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde::Deserialize;

use super::attempts::{Outcome, Taken, Unfit};
use super::pages::Page;
use super::throttle::Verdict;
use super::{Authorizations, Inner, cookie_name};
use crate::okta::OAuthError;

/// Codes and states are shorter.
const MAX_PARAMETER: usize = 4_096;

/// What Okta sends the browser back with (RFC 6749 §4.1.2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Callback {
    state: String,
    code: Option<SecretString>,
    error: Option<String>,
    error_description: String,
}

/// Binds the browser and sends it to Okta. Opening the link twice does no harm: those who preview links do.
pub(super) async fn start(State(authorizations): State<Authorizations>, Path(handle): Path<String>) -> Response {
    let inner = &authorizations.0;
    let opened = inner
        .attempts()
        .open(&handle, Instant::now())
        .map(|attempt| (attempt.okta_url().to_owned(), inner.cookie(&handle, attempt)));
    match opened {
        Ok((url, cookie)) => {
            let headers = [(LOCATION, url), (SET_COOKIE, cookie)];
            let fixed = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
            (StatusCode::SEE_OTHER, headers, fixed).into_response()
        }
        Err(unfit) => inner.turn_away(unfit).into_response(),
    }
}

/// Answers those who only look.
pub(super) async fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Takes what the browser brings back, once.
pub(super) async fn callback(
    State(authorizations): State<Authorizations>,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Page {
    let inner = &authorizations.0;
    let callback = query.map(|Query(callback)| callback).unwrap_or_default();
    let cookie_of = |handle: &str| cookie(&headers, &cookie_name(handle));
    let taken = match callback.state.len() {
        ..=MAX_PARAMETER => inner.attempts().take(&callback.state, cookie_of, Instant::now()),
        _ => Err(Unfit::Unknown),
    };
    let taken = match taken {
        Ok(taken) => taken,
        Err(unfit) => return inner.turn_away(unfit),
    };
    // On its own, so that a browser that leaves early does not leave the connection half authorized.
    let carried_out = authorizations.0.exchanges.spawn({
        let authorizations = authorizations.clone();
        async move { authorizations.0.carry_out(taken, callback).await }
    });
    carried_out.await.unwrap_or_else(|_| Page::unfit(Unfit::Unknown))
}

impl Inner {
    /// A callback or link that leads nowhere.
    fn turn_away(&self, unfit: Unfit) -> Page {
        let verdict = self.throttle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).count(Instant::now());
        match verdict {
            Verdict::Explain => {
                tracing::warn!(?unfit, "turned an authorization away");
                Page::unfit(unfit)
            }
            Verdict::BeginsToBeTooMany => {
                tracing::warn!(
                    "too many authorizations that are not known here; turning them away for the rest of the minute"
                );
                Page::too_many()
            }
            Verdict::TooMany => Page::too_many(),
        }
    }

    async fn carry_out(&self, taken: Taken, callback: Callback) -> Page {
        let handle = taken.handle.clone();
        let redirect_uri = format!("{}/oauth/callback", self.base_url);
        let Ok(connection) = self.connections.resolve(&taken.connection_id) else {
            return Page::unfit(Unfit::Unknown);
        };
        let outcome = match (callback.code, callback.error) {
            (_, Some(error)) => Ok(Err(OAuthError::new(&error, &callback.error_description))),
            (Some(code), None) => self.tokens.authorize(&connection, taken.exchange(code)).await,
            (None, None) => Ok(Err(OAuthError::new("invalid_request", "the callback has neither a code nor an error"))),
        };
        let (outcome, page) = match outcome {
            Ok(Ok(authorized)) => {
                tracing::info!(connection = %authorized.id, "authorized");
                (Outcome::Authorized, Page::authorized(&authorized))
            }
            Ok(Err(refused)) => {
                tracing::warn!(connection = %connection.id, code = refused.code, "an authorization was refused");
                let (sentence, advice) = (refused.sentence(), refused.advice(&connection));
                let page = Page::refused(&connection, &sentence, &advice, &redirect_uri);
                (Outcome::Refused(format!("{sentence}. {advice}")), page)
            }
            Err(error) => {
                tracing::error!(connection = %connection.id, %error, "an authorization failed");
                (Outcome::Refused(error.message().to_owned()), Page::failed(&connection, error.message()))
            }
        };
        self.attempts().end(&handle, outcome);
        page
    }
}

/// The browser's cookie of this name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
