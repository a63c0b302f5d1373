//! The hooks that deliveries are accepted for: their secrets, and how their deliveries have gone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::journal::Appended;
use crate::proto::EventHookHealth;

/// A hook that deliveries are accepted for.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Connection whose org delivers.
    pub connection_id: String,
    /// Each of them opens the door.
    pub secrets: Vec<AcceptedSecret>,
}

/// A secret that a delivery may carry.
#[derive(Debug, Clone)]
pub struct AcceptedSecret {
    /// The secret: the whole value of the `Authorization` header.
    pub secret: SecretString,
    /// Until when it is accepted; `None` means always.
    pub until: Option<SystemTime>,
}

/// The hooks, by our id. Cloning shares them.
#[derive(Clone, Default)]
pub struct Registry(Arc<RwLock<HashMap<String, Entry>>>);

struct Entry {
    connection_id: Arc<str>,
    secrets: Vec<AcceptedSecret>,
    health: EventHookHealth,
}

/// Whether a delivery may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// It carries a secret of the hook of this connection.
    Granted(Arc<str>),
    WrongSecret,
    UnknownHook,
}

/// How a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    Accepted { appended: Appended, unreadable: usize },
    Refused { why: &'a str },
    Failed { why: &'a str },
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts deliveries for a hook. One that is there already gets the new secrets and keeps its health.
    pub fn insert(&self, hook_id: impl Into<String>, hook: Hook) {
        let connection_id = Arc::from(hook.connection_id);
        self.write(|hooks| {
            let entry = hooks.entry(hook_id.into()).or_insert_with(|| Entry {
                connection_id: Arc::from(""),
                secrets: Vec::new(),
                health: EventHookHealth::default(),
            });
            entry.connection_id = connection_id;
            entry.secrets = hook.secrets;
        });
    }

    /// Replaces the secrets of a hook; false when there is no such hook.
    pub fn set_secrets(&self, hook_id: &str, secrets: Vec<AcceptedSecret>) -> bool {
        self.write(|hooks| hooks.get_mut(hook_id).map(|entry| entry.secrets = secrets).is_some())
    }

    /// Accepts no more deliveries for a hook; false when there is no such hook.
    pub fn remove(&self, hook_id: &str) -> bool {
        self.write(|hooks| hooks.remove(hook_id).is_some())
    }

    /// Accepts no more deliveries for the hooks of a connection.
    pub fn remove_connection(&self, connection_id: &str) {
        self.write(|hooks| hooks.retain(|_, entry| *entry.connection_id != *connection_id));
    }

    /// When the next of the secrets ends that have an end.
    pub(super) fn next_end(&self) -> Option<SystemTime> {
        self.read(|hooks| hooks.values().flat_map(|entry| &entry.secrets).filter_map(|accepted| accepted.until).min())
    }

    /// Forgets the secrets whose time is over.
    pub(super) fn forget_ended(&self, now: SystemTime) {
        self.write(|hooks| {
            for entry in hooks.values_mut() {
                entry.secrets.retain(|accepted| accepted.until.is_none_or(|until| now < until));
            }
        });
    }

    /// Whether deliveries are accepted for a hook.
    pub fn contains(&self, hook_id: &str) -> bool {
        self.read(|hooks| hooks.contains_key(hook_id))
    }

    /// How deliveries to a hook have gone since the server started.
    pub fn health(&self, hook_id: &str) -> Option<EventHookHealth> {
        self.read(|hooks| hooks.get(hook_id).map(|entry| entry.health.clone()))
    }

    /// Compares in constant time, with every secret that is accepted at `now`.
    pub(super) fn admit(&self, hook_id: &str, secret: Option<&[u8]>, now: SystemTime) -> Admission {
        self.read(|hooks| match (hooks.get(hook_id), secret) {
            (None, _) => Admission::UnknownHook,
            (Some(entry), Some(secret)) if entry.accepts(secret, now) => {
                Admission::Granted(entry.connection_id.clone())
            }
            _ => Admission::WrongSecret,
        })
    }

    pub(super) fn record(&self, hook_id: &str, outcome: Outcome<'_>, now: SystemTime) {
        self.write(|hooks| {
            if let Some(entry) = hooks.get_mut(hook_id) {
                record(&mut entry.health, outcome, now);
            }
        });
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<String, Entry>) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry {
    fn accepts(&self, secret: &[u8], now: SystemTime) -> bool {
        let current = self.secrets.iter().filter(|accepted| accepted.until.is_none_or(|until| now < until));
        let equal = current
            .fold(Choice::from(0), |equal, accepted| equal | accepted.secret.expose_secret().as_bytes().ct_eq(secret));
        !secret.is_empty() && bool::from(equal)
    }
}

fn record(health: &mut EventHookHealth, outcome: Outcome<'_>, now: SystemTime) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let error = match outcome {
        Outcome::Accepted { appended, unreadable } => {
            health.last_delivery = Some(now.into());
            health.deliveries_accepted += 1;
            health.events_stored += count(appended.stored);
            health.events_repeated += count(appended.repeated);
            health.events_unreadable += count(unreadable);
            return;
        }
        Outcome::Refused { why } => {
            health.deliveries_refused += 1;
            why
        }
        Outcome::Failed { why } => {
            health.deliveries_failed += 1;
            why
        }
    };
    error.clone_into(&mut health.last_error);
    health.last_error_time = Some(now.into());
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("hooks", &self.read(HashMap::len)).finish()
    }
}
