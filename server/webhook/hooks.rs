//! Event hooks on the org: verified, listed, switched and removed from here
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::okta_hook::{self, OrgHook};
use super::registry::{AcceptedSecret, Hook, Registry};
use super::rotate::{Turns, time_of};
use crate::connections::{Connection, Connections, HookRow, HookSecretRow, Store, secret_failed};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Client, Context, Endpoint, HttpMethod, Repeat};
use crate::proto::{ErrorReason, EventHook, EventHookStatus};
use crate::secret::Sealer;

const MANAGE: &str = "okta.eventHooks.manage";
const LIST: Endpoint = endpoint(HttpMethod::Get, "/api/v1/eventHooks", "okta.eventHooks.read", Repeat::Safe);
const VERIFY: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/verify", MANAGE, Repeat::Safe);
const ACTIVATE: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/activate", MANAGE, Repeat::Safe);
const DEACTIVATE: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/deactivate", MANAGE, Repeat::Safe);
const DELETE: Endpoint = endpoint(HttpMethod::Delete, "/api/v1/eventHooks/{eventHookId}", MANAGE, Repeat::Safe);

pub(super) const fn endpoint(method: HttpMethod, path: &'static str, scope: &'static str, repeat: Repeat) -> Endpoint {
    Endpoint { method, path, scope, repeat }
}

/// The event hooks of every connection.
#[derive(Debug)]
pub struct Hooks {
    pub(super) store: Store,
    pub(super) sealer: Arc<Sealer>,
    pub(super) connections: Connections,
    pub(super) okta: Client,
    pub(super) registry: Registry,
    pub(super) public_url: Option<String>,
    pub(super) local_url: String,
    pub(super) turns: Turns,
    /// Secrets with an end have come into the registry.
    pub(super) rotated: Notify,
    tasks: TaskTracker,
}

impl Hooks {
    /// Manages hooks that deliver to `public_url`; those of an org on this machine may use `local_url` instead.
    pub fn new(
        store: Store,
        sealer: Arc<Sealer>,
        connections: Connections,
        okta: Client,
        public_url: Option<String>,
        local_url: String,
    ) -> Self {
        let (registry, turns, rotated, tasks) =
            (Registry::default(), Turns::default(), Notify::new(), TaskTracker::new());
        Self { store, sealer, connections, okta, registry, public_url, local_url, turns, rotated, tasks }
    }

    /// The hooks that this server answers for.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers for every stored hook from now on.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE` when they cannot be read, or a secret does not open.
    pub async fn load(&self) -> Result<()> {
        let mut others: HashMap<String, Vec<HookSecretRow>> = HashMap::new();
        for secret in self.store.hook_secrets().await? {
            others.entry(secret.hook_id.clone()).or_default().push(secret);
        }
        for row in self.store.hooks().await? {
            let others = others.remove(&row.id).unwrap_or_default();
            if others.iter().any(|other| other.until.is_none()) {
                let hook_id = row.id.as_str();
                tracing::warn!(hook_id, "the last rotation of a secret did not come to an end; rotate the hook again");
            }
            self.answer_for(&row, &others)?;
        }
        Ok(())
    }

    /// Accepts deliveries with the hook's own secret and with `others`.
    pub(super) fn answer_for(&self, row: &HookRow, others: &[HookSecretRow]) -> Result<()> {
        let secrets = self.secrets(row, others)?;
        self.registry.insert(row.id.as_str(), Hook { connection_id: row.connection_id.clone(), secrets });
        Ok(())
    }

    pub(super) fn secrets(&self, row: &HookRow, others: &[HookSecretRow]) -> Result<Vec<AcceptedSecret>> {
        let open = |sealed: &[u8]| self.sealer.open(&row.id, sealed).map_err(secret_failed);
        let mut secrets = vec![AcceptedSecret { secret: open(&row.sealed)?, until: None }];
        for other in others {
            secrets.push(AcceptedSecret { secret: open(&other.sealed)?, until: other.until.map(time_of) });
        }
        Ok(secrets)
    }

    /// Brings `work` to its end, also when the caller does not wait for it: what is half done on an org stays half done.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let stopped = |_| Err(Error::new(ErrorReason::ServerStopping, "the server stopped while the org was changed"));
        self.tasks.spawn(work).await.unwrap_or_else(stopped)
    }

    /// Waits for what is being brought to its end.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Has Okta verify a hook again.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, `HOOK_VERIFICATION_FAILED`, `OKTA_NOT_FOUND` when the org has lost it, and whatever Okta refuses.
    pub async fn verify(&self, hook_id: &str, deadline: Instant) -> Result<EventHook> {
        let (connection, mut row) = self.find(hook_id, deadline).await?;
        let status = self.verify_row(&connection, &mut row, deadline).await?;
        Ok(self.show(&row, status))
    }

    pub(super) async fn verify_row(
        &self,
        connection: &Connection,
        row: &mut HookRow,
        deadline: Instant,
    ) -> Result<EventHookStatus> {
        let outcome = self.okta.send(connection, &Call::new(VERIFY, &[&row.okta_id]), &context(deadline)).await.1;
        let answer = outcome.map_err(|error| okta_hook::verification_failed(row, error))?;
        row.verified = true;
        still_there(row, self.store.set_verified(row.id.clone(), true).await?)?;
        Ok(status_in(&answer))
    }

    /// Starts or stops deliveries of a hook.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, `OKTA_NOT_FOUND` when the org has lost it, `HOOK_LIMIT_REACHED`, and whatever Okta refuses.
    pub async fn switch(&self, hook_id: &str, active: bool, deadline: Instant) -> Result<EventHook> {
        let (connection, row) = self.find(hook_id, deadline).await?;
        let endpoint = if active { ACTIVATE } else { DEACTIVATE };
        match self.okta.send(&connection, &Call::new(endpoint, &[&row.okta_id]), &context(deadline)).await.1 {
            Ok(answer) => Ok(self.show(&row, status_in(&answer))),
            Err(error) if active => Err(self.explain_refusal(&connection, error, deadline).await),
            Err(error) => Err(error),
        }
    }

    /// Removes a hook from the org and from here.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, and whatever Okta refuses.
    pub async fn delete(&self, hook_id: &str, deadline: Instant) -> Result<()> {
        let (connection, mut row) = self.stored(hook_id).await?;
        match self.locate(&connection, &mut row, deadline).await {
            Ok(()) => self.remove_from_org(&connection, &row, deadline).await?,
            // A hook that the org has lost is removed here all the same.
            Err(error) if error.reason() == ErrorReason::OktaNotFound => {}
            Err(error) => return Err(error),
        }
        self.registry.remove(hook_id);
        self.store.delete_hook(row.id).await
    }

    pub(super) async fn remove_from_org(
        &self,
        connection: &Connection,
        row: &HookRow,
        deadline: Instant,
    ) -> Result<()> {
        for endpoint in [DEACTIVATE, DELETE] {
            let outcome = self.okta.send(connection, &Call::new(endpoint, &[&row.okta_id]), &context(deadline)).await.1;
            match outcome {
                Err(error) if error.reason() == ErrorReason::OktaNotFound => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// The hooks of one connection, or of all when the name is empty.
    ///
    /// # Errors
    /// `CONNECTION_NOT_FOUND`. An org that does not answer is no error: its hooks' status is not known then.
    pub async fn list(&self, connection: &str, deadline: Instant) -> Result<Vec<EventHook>> {
        let connections = match connection {
            "" => self.connections.all(),
            name => vec![self.connections.resolve(name)?],
        };
        let rows = self.store.hooks().await?;
        let mut hooks = Vec::new();
        for connection in connections {
            let own: Vec<&HookRow> = rows.iter().filter(|row| *row.connection_id == *connection.id).collect();
            if own.is_empty() {
                continue;
            }
            let on_org = self.on_org(&connection, deadline).await.unwrap_or_default();
            for row in own {
                let status = on_org.iter().find(|hook| hook.id == row.okta_id).map(|hook| hook.status);
                hooks.push(self.show(row, status.unwrap_or_default()));
            }
        }
        hooks.sort_by_key(|hook| hook.created.map(|created| (created.seconds, created.nanos)));
        Ok(hooks)
    }

    /// Every hook on the org, whoever made it.
    pub(super) async fn on_org(&self, connection: &Connection, deadline: Instant) -> Result<Vec<OrgHook>> {
        let answer = self.okta.send(connection, &Call::new(LIST, &[]), &context(deadline)).await.1?;
        Ok(answer.items()?.into_iter().map(OrgHook::read).collect())
    }

    /// A hook of ours, and where it is on its org.
    pub(super) async fn find(&self, hook_id: &str, deadline: Instant) -> Result<(Arc<Connection>, HookRow)> {
        let (connection, mut row) = self.stored(hook_id).await?;
        self.locate(&connection, &mut row, deadline).await?;
        Ok((connection, row))
    }

    async fn stored(&self, hook_id: &str) -> Result<(Arc<Connection>, HookRow)> {
        let row = self.store.hook(hook_id.to_owned()).await?.ok_or_else(|| not_found(hook_id))?;
        Ok((self.connections.resolve(&row.connection_id)?, row))
    }

    /// Finds a hook on the org by its URL whose making was cut off before Okta's answer was stored.
    ///
    /// # Errors
    /// `OKTA_NOT_FOUND` when the org does not have it.
    pub(super) async fn locate(&self, connection: &Connection, row: &mut HookRow, deadline: Instant) -> Result<()> {
        if !row.okta_id.is_empty() {
            return Ok(());
        }
        let on_org = self.on_org(connection, deadline).await?;
        let Some(found) = on_org.into_iter().find(|hook| okta_hook::is_ours(row, &hook.uri)) else {
            let message = format!("the org has no event hook that delivers to {}", row.uri);
            return Err(Error::new(ErrorReason::OktaNotFound, message).with_resource("EventHook", row.id.as_str()));
        };
        row.okta_id = found.id;
        still_there(row, self.store.set_okta_id(row.id.clone(), row.okta_id.clone()).await?)
    }

    pub(super) fn show(&self, row: &HookRow, status: EventHookStatus) -> EventHook {
        EventHook {
            id: row.id.clone(),
            okta_id: row.okta_id.clone(),
            connection_id: row.connection_id.clone(),
            name: row.name.clone(),
            uri: row.uri.clone(),
            event_types: row.event_types.split(',').map(str::to_owned).collect(),
            status: status.into(),
            verified: row.verified,
            created: row.created.parse().ok(),
            health: self.registry.health(&row.id),
        }
    }
}

/// The status of the hook that Okta answered.
pub(super) fn status_in(answer: &Answer) -> EventHookStatus {
    answer.object().map(OrgHook::read).map(|hook| hook.status).unwrap_or_default()
}

/// A hook can go while Okta is asked, with its connection or because somebody deletes it.
pub(super) fn still_there(row: &HookRow, is_there: bool) -> Result<()> {
    if is_there { Ok(()) } else { Err(not_found(&row.id)) }
}

/// Requests about hooks have a turn of their own.
pub(super) fn context(deadline: Instant) -> Context {
    Context::internal("event hooks", deadline)
}

pub(super) fn not_found(hook_id: &str) -> Error {
    let message = format!("there is no event hook with the id {hook_id:?} here");
    Error::new(ErrorReason::HookNotFound, message).with_resource("event hook", hook_id)
}
