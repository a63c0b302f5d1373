//! Event hooks on the org: made, verified, listed, switched and removed from here
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use prost_types::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::okta_hook::{self, MAX_ACTIVE_HOOKS, MAX_TYPES, wanted_types};
use super::registry::{AcceptedSecret, Hook, Registry};
use crate::connections::{Connection, Connections, HookRow, Store, secret_failed};
use crate::error::{Error, Result};
use crate::okta::record::Projection;
use crate::okta::{Call, Client, Endpoint, HttpMethod, Repeat};
use crate::org_url::is_loopback;
use crate::proto::{ErrorReason, EventHook, EventHookStatus, RegisterEventHookRequest};
use crate::secret::{Sealer, random_id, random_secret};

const MANAGE: &str = "okta.eventHooks.manage";
const CREATE: Endpoint = endpoint(HttpMethod::Post, "/api/v1/eventHooks", MANAGE, Repeat::IfNotCarriedOut);
const LIST: Endpoint = endpoint(HttpMethod::Get, "/api/v1/eventHooks", "okta.eventHooks.read", Repeat::Safe);
const VERIFY: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/verify", MANAGE, Repeat::Safe);
const ACTIVATE: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/activate", MANAGE, Repeat::Safe);
const DEACTIVATE: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks/{eventHookId}/lifecycle/deactivate", MANAGE, Repeat::Safe);
const DELETE: Endpoint = endpoint(HttpMethod::Delete, "/api/v1/eventHooks/{eventHookId}", MANAGE, Repeat::Safe);

const fn endpoint(method: HttpMethod, path: &'static str, scope: &'static str, repeat: Repeat) -> Endpoint {
    Endpoint { method, path, scope, repeat }
}

const DEFAULT_NAME: &str = "okta-connector";
const MAX_NAME: usize = 200;

/// The event hooks of every connection.
#[derive(Debug)]
pub struct Hooks {
    store: Store,
    sealer: Arc<Sealer>,
    connections: Connections,
    okta: Client,
    registry: Registry,
    public_url: Option<String>,
    local_url: String,
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
        Self { store, sealer, connections, okta, registry: Registry::default(), public_url, local_url }
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
        for row in self.store.hooks().await? {
            let secret = self.sealer.open(&row.id, &row.sealed).map_err(secret_failed)?;
            self.answer_for(&row, secret);
        }
        Ok(())
    }

    fn answer_for(&self, row: &HookRow, secret: SecretString) {
        let secrets = vec![AcceptedSecret { secret, until: None }];
        self.registry.insert(row.id.as_str(), Hook { connection_id: row.connection_id.clone(), secrets });
    }

    /// Makes hooks on the org, and has Okta verify them.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the field, `PUBLIC_URL_NOT_SET`, `HOOK_LIMIT_REACHED`, `HOOK_VERIFICATION_FAILED`, and whatever
    /// Okta refuses.
    pub async fn register(&self, request: &RegisterEventHookRequest, deadline: Instant) -> Result<Vec<EventHook>> {
        let name = if request.name.is_empty() { DEFAULT_NAME } else { &request.name };
        if name.len() > MAX_NAME {
            return Err(Error::invalid("name", format!("is longer than {MAX_NAME} characters")));
        }
        let types = wanted_types(request)?;
        let connection = self.connections.resolve(&request.connection)?;
        let base = self.base_url(&connection)?;
        let mut hooks = Vec::new();
        for (at, types) in types.chunks(MAX_TYPES).enumerate() {
            let name = if at == 0 { name.to_owned() } else { format!("{name} ({})", at + 1) };
            hooks.push(self.register_one(&connection, &base, name, types, deadline).await?);
        }
        Ok(hooks)
    }

    async fn register_one(
        &self,
        connection: &Connection,
        base: &str,
        name: String,
        types: &[String],
        deadline: Instant,
    ) -> Result<EventHook> {
        let id = random_id("hook_").map_err(secret_failed)?;
        let secret = random_secret().map_err(secret_failed)?;
        let mut row = HookRow {
            okta_id: String::new(),
            connection_id: connection.id.to_string(),
            uri: format!("{base}/hooks/{id}"),
            event_types: types.join(","),
            verified: false,
            sealed: self.sealer.seal(&id, secret.expose_secret().as_bytes()).map_err(secret_failed)?,
            created: Timestamp::from(SystemTime::now()).to_string(),
            name,
            id,
        };
        let call = Call::new(CREATE, &[]).json(&okta_hook::body(&row, types, &secret));
        // We answer for the hook before Okta knows of it: its verification comes at once.
        self.store.put_hook(row.clone()).await?;
        self.answer_for(&row, secret);
        let registered = self.create_and_verify(connection, &mut row, &call, deadline).await;
        match registered {
            Ok(()) => {
                tracing::info!(hook_id = row.id, okta_id = row.okta_id, types = types.len(), "event hook registered");
                Ok(self.show(&row, EventHookStatus::Active))
            }
            Err(error) => {
                self.undo(connection, &row, deadline).await;
                Err(error)
            }
        }
    }

    async fn create_and_verify(
        &self,
        connection: &Connection,
        row: &mut HookRow,
        call: &Call,
        deadline: Instant,
    ) -> Result<()> {
        let created = match self.okta.send(connection, call, deadline).await.1 {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain_refusal(connection, error, deadline).await),
        };
        row.okta_id = okta_hook::id(&created)?;
        self.store.put_hook(row.clone()).await?;
        self.verify_row(connection, row, deadline).await
    }

    async fn verify_row(&self, connection: &Connection, row: &mut HookRow, deadline: Instant) -> Result<()> {
        let call = Call::new(VERIFY, &[&row.okta_id]);
        self.okta
            .send(connection, &call, deadline)
            .await
            .1
            .map_err(|error| okta_hook::verification_failed(row, error))?;
        row.verified = true;
        self.store.put_hook(row.clone()).await
    }

    /// A refusal of the org's that has 25 active hooks already is about that.
    async fn explain_refusal(&self, connection: &Connection, error: Error, deadline: Instant) -> Error {
        let Ok(statuses) = self.statuses(connection, deadline).await else { return error };
        let active: Vec<&str> = statuses
            .values()
            .filter(|(_, status)| *status == EventHookStatus::Active)
            .map(|(name, _)| name.as_str())
            .collect();
        if active.len() < MAX_ACTIVE_HOOKS {
            return error;
        }
        let names = active.join(", ");
        let message = format!("the org has {} active event hooks, which is the most it may: {names}", active.len());
        Error::new(ErrorReason::HookLimitReached, message)
    }

    /// Leaves nothing behind of a registration that came to nothing.
    async fn undo(&self, connection: &Connection, row: &HookRow, deadline: Instant) {
        if !row.okta_id.is_empty()
            && let Err(error) = self.remove_from_org(connection, row, deadline).await
        {
            tracing::warn!(okta_id = row.okta_id, %error, "an event hook stays on the org that could not be verified");
        }
        self.registry.remove(&row.id);
        if let Err(error) = self.store.delete_hook(row.id.clone()).await {
            tracing::warn!(hook_id = row.id, %error, "an event hook that came to nothing could not be removed");
        }
    }

    async fn remove_from_org(&self, connection: &Connection, row: &HookRow, deadline: Instant) -> Result<()> {
        for endpoint in [DEACTIVATE, DELETE] {
            let outcome = self.okta.send(connection, &Call::new(endpoint, &[&row.okta_id]), deadline).await.1;
            match outcome {
                Err(error) if error.reason() == ErrorReason::OktaNotFound => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// Has Okta verify a hook again.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, `HOOK_VERIFICATION_FAILED`.
    pub async fn verify(&self, hook_id: &str, deadline: Instant) -> Result<EventHook> {
        let (connection, mut row) = self.find(hook_id).await?;
        self.verify_row(&connection, &mut row, deadline).await?;
        Ok(self.show(&row, EventHookStatus::Active))
    }

    /// Starts or stops deliveries of a hook.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, and whatever Okta refuses.
    pub async fn switch(&self, hook_id: &str, active: bool, deadline: Instant) -> Result<EventHook> {
        let (connection, row) = self.find(hook_id).await?;
        let endpoint = if active { ACTIVATE } else { DEACTIVATE };
        self.okta.send(&connection, &Call::new(endpoint, &[&row.okta_id]), deadline).await.1?;
        Ok(self.show(&row, if active { EventHookStatus::Active } else { EventHookStatus::Inactive }))
    }

    /// Removes a hook from the org and from here.
    ///
    /// # Errors
    /// `HOOK_NOT_FOUND`, and whatever Okta refuses.
    pub async fn delete(&self, hook_id: &str, deadline: Instant) -> Result<()> {
        let (connection, row) = self.find(hook_id).await?;
        self.remove_from_org(&connection, &row, deadline).await?;
        self.registry.remove(hook_id);
        self.store.delete_hook(row.id).await
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
            let statuses = self.statuses(&connection, deadline).await.unwrap_or_default();
            for row in own {
                let status = statuses.get(&row.okta_id).map(|(_, status)| *status).unwrap_or_default();
                hooks.push(self.show(row, status));
            }
        }
        Ok(hooks)
    }

    /// Name and status of every hook on the org, by Okta's id.
    async fn statuses(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<HashMap<String, (String, EventHookStatus)>> {
        let answer = self.okta.send(connection, &Call::new(LIST, &[]), deadline).await.1?;
        let status = |name: &str| EventHookStatus::from_str_name(&format!("EVENT_HOOK_STATUS_{name}"));
        let read = |raw: &str| {
            let projection = Projection::new();
            let hook = projection.record(raw);
            (hook.text_or_empty("id"), (hook.text_or_empty("name"), hook.choice("status", status)))
        };
        Ok(answer.items()?.into_iter().map(read).collect())
    }

    async fn find(&self, hook_id: &str) -> Result<(Arc<Connection>, HookRow)> {
        let row = self.store.hook(hook_id.to_owned()).await?.ok_or_else(|| {
            let message = format!("there is no event hook with the id {hook_id:?} here");
            Error::new(ErrorReason::HookNotFound, message).with_resource("event hook", hook_id)
        })?;
        Ok((self.connections.resolve(&row.connection_id)?, row))
    }

    /// Where the org reaches us. An org on this machine reaches the listener itself.
    fn base_url(&self, connection: &Connection) -> Result<String> {
        if let Some(url) = &self.public_url {
            return Ok(url.clone());
        }
        let org = url::Url::parse(&connection.base_url);
        if org.is_ok_and(|org| is_loopback(&org)) {
            return Ok(self.local_url.clone());
        }
        let message = "this server has no public URL that the org could call; start it with --public-url";
        Err(Error::new(ErrorReason::PublicUrlNotSet, message))
    }

    fn show(&self, row: &HookRow, status: EventHookStatus) -> EventHook {
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
