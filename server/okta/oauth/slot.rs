//! What is known of one connection's tokens: the present one, the renewal under way, and what Okta's side is like.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use secrecy::SecretString;
use tokio::sync::watch;

use super::access_token::{AccessToken, AccessTokenInUse, Authorization};
use super::clock::Clock;
use super::dpop::Dpop;
use super::endpoint::Issued;
use crate::connections::{Credential, Grant, SigningKey};
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// What is known of one connection's tokens, for as long as it has the same credential.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) credential: Arc<Credential>,
    current: RwLock<Option<Arc<AccessToken>>>,
    /// Whether the last token was refused before its end.
    pub(super) was_refused: AtomicBool,
    renewal: Mutex<Renewal>,
    pub(super) shared: Arc<Shared>,
}

/// What outlives a change of the credential.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Held while the grant is used and replaced: requests for one connection's tokens go one after the other.
    pub(super) grant: tokio::sync::Mutex<Unsaved>,
    pub(super) dpop: Dpop,
    pub(super) clock: Clock,
}

/// A grant that could not be stored yet.
pub(super) type Unsaved = Option<Grant>;

#[derive(Debug, Default)]
pub(super) enum Renewal {
    #[default]
    Idle,
    Running(Waiting),
    Failed {
        error: Error,
        until: Instant,
    },
}

pub(super) type Outcome = Result<Arc<AccessToken>>;
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

impl Slot {
    /// A slot for `credential`, which knows what the one before did of Okta's side.
    pub(super) fn new(credential: &Arc<Credential>, before: Option<&Arc<Self>>) -> Self {
        Self {
            credential: Arc::clone(credential),
            current: RwLock::default(),
            was_refused: AtomicBool::default(),
            renewal: Mutex::default(),
            shared: before.map(|slot| Arc::clone(&slot.shared)).unwrap_or_default(),
        }
    }

    pub(super) fn current(&self) -> Option<Arc<AccessToken>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, mut token: AccessToken) -> Arc<AccessToken> {
        token.replaced = self.was_refused.swap(false, Ordering::Relaxed).then(Instant::now);
        let token = Arc::new(token);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        token
    }

    pub(super) fn clear(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The token is of no use any more, if it is still this one. Whether it was.
    pub(super) fn forget(&self, refused: &Arc<AccessToken>) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_current = current.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused));
        if is_current {
            *current = None;
        }
        is_current
    }

    /// A failed renewal may be repeated at once.
    pub(super) fn forgive(&self) {
        let mut renewal = self.renewal();
        if matches!(*renewal, Renewal::Failed { .. }) {
            *renewal = Renewal::Idle;
        }
    }

    pub(super) fn renewal(&self) -> MutexGuard<'_, Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn using(&self, token: Arc<AccessToken>) -> Authorization {
        Authorization::AccessToken(AccessTokenInUse { token, shared: Arc::clone(&self.shared) })
    }
}

impl Shared {
    /// Takes up the key that tokens are bound to, when there is one.
    pub(super) fn restore_key(&self, grant: &Grant) {
        if self.dpop.key().is_some() {
            return;
        }
        if let Some(key) = grant.dpop_key.as_ref().and_then(|text| SigningKey::read(text, "").ok()) {
            self.dpop.set_key(Arc::new(key));
        }
    }

    /// A fresh key that tokens are bound to from now on.
    pub(super) fn new_key(&self) -> Result<SecretString> {
        let failed = |message| Error::new(ErrorReason::StorageUnavailable, message);
        let text = SigningKey::generate().map_err(failed)?;
        self.dpop.set_key(Arc::new(SigningKey::read(&text, "").map_err(failed)?));
        Ok(text)
    }
}

impl Grant {
    /// Takes over what was issued; what the server does not repeat stays as it was.
    pub(super) fn take(&mut self, issued: &Issued, asked_for: &[String]) {
        if let Some(token) = &issued.refresh_token {
            self.refresh_token = Some(token.clone());
        }
        match &issued.scopes {
            Some(scopes) => self.scopes.clone_from(scopes),
            None if self.scopes.is_empty() => self.scopes = asked_for.to_vec(),
            None => {}
        }
    }
}
