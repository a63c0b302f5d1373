//! An access token, and what a call authorizes itself with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::dpop::{Audience, DPOP, Request};
use super::endpoint::Issued;
use super::slot::Shared;

/// The part of a token's life after which it is renewed; a random share of the rest is added, so that many connections do not renew at
/// the same moment.
const RENEW_AFTER: f64 = 0.75;
const RENEW_SPREAD: f64 = 0.15;
/// A token is not sent so close to its end that it could die on the way.
const LAST_SHARE: u32 = 20;
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// An access token. `Debug` prints no secret.
#[derive(Debug)]
pub(super) struct AccessToken {
    pub(super) secret: SecretString,
    pub(super) bound: bool,
    /// When it was issued in place of one that Okta had refused before its end.
    pub(super) replaced: Option<Instant>,
    /// Whether Okta has ever let it in.
    pub(super) accepted: AtomicBool,
    pub(super) renew_at: Instant,
    pub(super) last_use: Instant,
}

/// What a call authorizes itself with.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// The connection's API token.
    ApiToken(SecretString),
    /// An access token.
    AccessToken(AccessTokenInUse),
}

/// An access token, and what its proofs are made with.
#[derive(Debug, Clone)]
pub struct AccessTokenInUse {
    pub(super) token: Arc<AccessToken>,
    pub(super) shared: Arc<Shared>,
}

impl AccessToken {
    pub(super) fn new(issued: Issued) -> Self {
        let (now, lifetime) = (Instant::now(), issued.lifetime);
        let renew_after = lifetime.mul_f64(RENEW_AFTER + RENEW_SPREAD * rand::random::<f64>());
        let last_use = lifetime.saturating_sub((lifetime / LAST_SHARE).min(LAST_MOMENTS));
        let (renew_at, last_use) = (now + renew_after, now + last_use);
        Self {
            secret: issued.access_token,
            bound: issued.bound,
            replaced: None,
            accepted: AtomicBool::default(),
            renew_at,
            last_use,
        }
    }
}

impl Authorization {
    /// Puts into `headers` what the request needs.
    ///
    /// # Errors
    /// When a header cannot be made.
    pub(in crate::okta) fn apply(
        &self,
        method: &str,
        url: &str,
        headers: &mut HeaderMap,
    ) -> std::result::Result<(), String> {
        let value = match self {
            Self::ApiToken(token) => format!("SSWS {}", token.expose_secret()),
            Self::AccessToken(AccessTokenInUse { token, .. }) if !token.bound => {
                format!("Bearer {}", token.secret.expose_secret())
            }
            Self::AccessToken(AccessTokenInUse { token, shared }) => {
                let access_token = Some(token.secret.expose_secret());
                let request = Request { method, url, access_token, now: shared.clock.now() };
                let proof = shared.dpop.proof(Audience::Api, &request)?.unwrap_or_default();
                headers.insert(DPOP, HeaderValue::try_from(proof).map_err(|error| error.to_string())?);
                format!("DPoP {}", token.secret.expose_secret())
            }
        };
        // The error would repeat the value.
        let mut value = HeaderValue::try_from(value).map_err(|_| "the token cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Learns from an answer. Whether it brought a new nonce for proofs.
    pub(in crate::okta) fn learn(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let Self::AccessToken(AccessTokenInUse { token, shared }) = self else { return false };
        if status != StatusCode::UNAUTHORIZED && !token.accepted.load(Ordering::Relaxed) {
            token.accepted.store(true, Ordering::Relaxed);
        }
        shared.clock.learn(headers);
        token.bound && shared.dpop.learn(Audience::Api, headers)
    }
}
