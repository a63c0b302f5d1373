//! The hooks that this server answers for: whose they are, which secrets they take, and how their deliveries have gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Every hook there is. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<HashMap<String, Arc<Hook>>>>);

/// A hook that this server answers for.
#[derive(Debug)]
pub(super) struct Hook {
    /// The connection whose events it delivers.
    pub connection_id: String,
    secret: SecretString,
    health: Mutex<Health>,
}

/// How deliveries have gone since this server started.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// When the last one was accepted.
    pub last_delivery: Option<SystemTime>,
    /// Deliveries whose events are all durable.
    pub accepted: i64,
    /// Deliveries that were refused.
    pub refused: i64,
    /// Deliveries that could not be stored.
    pub failed: i64,
    /// Events stored.
    pub events_stored: i64,
    /// Events that were there already.
    pub events_repeated: i64,
    /// Events that could not be read.
    pub events_unreadable: i64,
    /// Why a delivery was last refused or failed, and when.
    pub last_error: Option<(String, SystemTime)>,
}

impl Registry {
    /// Answers for a hook from now on.
    pub fn insert(&self, hook_id: &str, connection_id: &str, secret: SecretString) {
        let hook = Hook { connection_id: connection_id.to_owned(), secret, health: Mutex::default() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(hook_id.to_owned(), Arc::new(hook));
    }

    /// Answers for a hook no more.
    pub fn remove(&self, hook_id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(hook_id);
    }

    /// Answers for no hook of a connection any more.
    pub fn remove_connection(&self, connection_id: &str) {
        let mut hooks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        hooks.retain(|_, hook| hook.connection_id != connection_id);
    }

    /// How a hook's deliveries have gone.
    pub fn health(&self, hook_id: &str) -> Health {
        self.find(hook_id).map(|hook| hook.health().clone()).unwrap_or_default()
    }

    pub(super) fn find(&self, hook_id: &str) -> Option<Arc<Hook>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(hook_id).cloned()
    }
}

impl Hook {
    /// Whether `given` is the hook's secret, in a time that does not tell how much of it is right.
    pub fn accepts(&self, given: &[u8]) -> bool {
        self.secret.expose_secret().as_bytes().ct_eq(given).into()
    }

    /// The hook's health, to look at or to add to.
    pub fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    /// A delivery was refused, or could not be stored.
    pub(super) fn error(&mut self, message: String) {
        self.last_error = Some((message, SystemTime::now()));
    }
}
