//! Making event hooks on the org: all that a request needs, verified, or none.

use std::time::{Duration, Instant, SystemTime};

use prost_types::Timestamp;
use secrecy::ExposeSecret;

use super::hooks::{Hooks, context, endpoint, still_there};
use super::okta_hook::{self, MAX_TYPES, wanted_types};
use crate::connections::{Connection, HookRow, secret_failed};
use crate::error::{Error, Result};
use crate::okta::{Call, Endpoint, HttpMethod, Repeat};
use crate::org_url::is_loopback;
use crate::proto::{ErrorReason, EventHook, EventHookStatus, RegisterEventHookRequest};
use crate::secret::{random_id, random_secret};

const CREATE: Endpoint =
    endpoint(HttpMethod::Post, "/api/v1/eventHooks", "okta.eventHooks.manage", Repeat::IfNotCarriedOut);
const DEFAULT_NAME: &str = "okta-connector";
const MAX_NAME: usize = 200;
/// Removing a hook that came to nothing has time of its own: often it is because the caller's is over.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10);

impl Hooks {
    /// Makes hooks on the org, and has Okta verify them. When one cannot be made, none stays.
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
        let needed = types.len().div_ceil(MAX_TYPES);
        if let Some(error) = okta_hook::limit_reached(&self.on_org(&connection, deadline).await?, needed) {
            return Err(error);
        }
        let mut made = Vec::new();
        for (at, types) in types.chunks(MAX_TYPES).enumerate() {
            let name = if at == 0 { name.to_owned() } else { format!("{name} ({})", at + 1) };
            match self.register_one(&connection, &base, name, types, deadline).await {
                Ok(hook) => made.push(hook),
                Err(error) => {
                    for (mut row, _) in made {
                        self.undo(&connection, &mut row).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(made.into_iter().map(|(row, status)| self.show(&row, status)).collect())
    }

    async fn register_one(
        &self,
        connection: &Connection,
        base: &str,
        name: String,
        types: &[String],
        deadline: Instant,
    ) -> Result<(HookRow, EventHookStatus)> {
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
        if !self.store.add_hook(row.clone()).await? {
            return Err(connection_gone(connection));
        }
        self.answer_for(&row, &[])?;
        match self.create_and_verify(connection, &mut row, &call, deadline).await {
            Ok(status) => {
                tracing::info!(hook_id = row.id, okta_id = row.okta_id, types = types.len(), "event hook registered");
                Ok((row, status))
            }
            Err(error) => {
                self.undo(connection, &mut row).await;
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
    ) -> Result<EventHookStatus> {
        let created = match self.okta.send(connection, call, &context(deadline)).await.1 {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain_refusal(connection, error, deadline).await),
        };
        row.okta_id = okta_hook::id(&created)?;
        still_there(row, self.store.set_okta_id(row.id.clone(), row.okta_id.clone()).await?)?;
        self.verify_row(connection, row, deadline).await
    }

    /// A refusal of the org's that has as many active hooks as it may is about that: somebody may have taken the last place.
    pub(super) async fn explain_refusal(&self, connection: &Connection, error: Error, deadline: Instant) -> Error {
        use ErrorReason::{OktaRefused, OktaStatusConflict, OktaValidationFailed};
        if !matches!(error.reason(), OktaRefused | OktaStatusConflict | OktaValidationFailed) {
            return error;
        }
        let on_org = self.on_org(connection, deadline).await.unwrap_or_default();
        okta_hook::limit_reached(&on_org, 1).unwrap_or(error)
    }

    /// Leaves nothing behind of a registration that came to nothing.
    async fn undo(&self, connection: &Connection, row: &mut HookRow) {
        let deadline = Instant::now() + UNDO_TIMEOUT;
        let removed = match self.locate(connection, row, deadline).await {
            Ok(()) => self.remove_from_org(connection, row, deadline).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if !matches!(error.reason(), ErrorReason::OktaNotFound | ErrorReason::HookNotFound) => {
                tracing::warn!(hook_id = row.id, okta_id = row.okta_id, %error, "an event hook may stay on the org that came to nothing");
            }
            _ => {}
        }
        self.registry.remove(&row.id);
        if let Err(error) = self.store.delete_hook(row.id.clone()).await {
            tracing::warn!(hook_id = row.id, %error, "an event hook that came to nothing could not be removed");
        }
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
}

fn connection_gone(connection: &Connection) -> Error {
    let message = format!("the connection {:?} was removed meanwhile", connection.nickname);
    Error::new(ErrorReason::ConnectionNotFound, message).with_resource("connection", connection.nickname.as_str())
}
