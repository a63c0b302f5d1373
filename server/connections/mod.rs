//! Connections to Okta orgs: kept durably and sealed, found by id or nickname, their secrets known to nobody else.

mod change;
mod credential;
mod grant;
mod hook_store;
mod reseal;
pub mod scopes;
mod signing_key;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tokio::sync::Mutex;

pub use self::change::Change;
use self::change::State;
pub use self::credential::{Credential, ServiceApp, WebApp};
pub use self::grant::Grant;
pub use self::hook_store::{HookRow, HookSecretRow};
pub use self::reseal::{Resealed, reseal};
pub use self::signing_key::SigningKey;
pub use self::store::{ConnectionRow, Store};
use self::store::{GrantChange, Replaced, StateRow};
use crate::error::{Error, Result};
use crate::org_url::{OrgAddresses, base_url};
use crate::proto::{ConnectionState, CredentialKind, ErrorReason};
use crate::secret::{Sealer, SecretError, random_id};

/// Nickname of the connection that is made from `OKTA_DOMAIN` and its like, and that an empty name means first of all.
pub const DEFAULT_NICKNAME: &str = "default";
/// At most this many connections: each is held in memory.
pub const MAX_CONNECTIONS: usize = 10_000;
const MAX_NICKNAME: usize = 64;

/// A connection as the rest of the server sees it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Our id.
    pub id: Arc<str>,
    /// The unique name.
    pub nickname: String,
    /// Base URL of the org, without a slash at its end.
    pub base_url: String,
    /// What it authenticates itself with. The same one for as long as it is not replaced, so that what was derived from it can be
    /// told to be still good.
    pub credential: Arc<Credential>,
    /// Scopes that the org granted when it was last asked.
    pub granted_scopes: Vec<String>,
    /// Whether it can be used.
    pub state: ConnectionState,
    /// Why it is in that state.
    pub state_reason: String,
    /// When the state last changed.
    pub state_changed: Option<Timestamp>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last updated.
    pub last_updated: Option<Timestamp>,
    /// Counts the updates; the API's `etag`.
    pub version: i64,
}

/// Every connection there is. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Connections {
    store: Store,
    sealer: Arc<Sealer>,
    addresses: OrgAddresses,
    index: Arc<RwLock<Index>>,
    /// Held from reading what is there to having changed it, on disk and in the index.
    changing: Arc<Mutex<()>>,
}

/// Oldest first, with the places of ids and nicknames.
#[derive(Debug, Default)]
struct Index {
    all: Vec<Arc<Connection>>,
    by_name: HashMap<String, Arc<Connection>>,
}

impl Index {
    fn new(all: Vec<Arc<Connection>>) -> Self {
        let names = |connection: &Arc<Connection>| {
            [connection.id.to_string(), connection.nickname.clone()].map(|name| (name, Arc::clone(connection)))
        };
        let by_name = all.iter().flat_map(names).collect();
        Self { all, by_name }
    }
}

impl Connections {
    /// Reads what is stored. New connections are of orgs at these `addresses`.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE` when it cannot be read, or a secret does not open with the secret key.
    pub async fn load(store: Store, sealer: Arc<Sealer>, addresses: OrgAddresses) -> Result<Self> {
        let mut grants = HashMap::new();
        for row in store.grants().await? {
            let grant = Grant::open(&sealer, &row.connection_id, &row.sealed).map_err(secret_failed)?;
            grants.insert(row.connection_id, grant.scopes);
        }
        let mut all = Vec::new();
        for row in store.connections().await? {
            let granted_scopes = grants.remove(&row.id).unwrap_or_default();
            match open(&sealer, row)? {
                Some(connection) => all.push(Arc::new(Connection { granted_scopes, ..connection })),
                None => tracing::warn!("a stored connection has a credential kind that this version does not know"),
            }
        }
        let index = Arc::new(RwLock::new(Index::new(all)));
        Ok(Self { store, sealer, addresses, index, changing: Arc::default() })
    }

    /// The connection with this id or nickname. Empty means the default one: the one called `default`, or the only one.
    ///
    /// # Errors
    /// `CONNECTION_NOT_FOUND` naming what was asked for.
    pub fn resolve(&self, name: &str) -> Result<Arc<Connection>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let found = if name.is_empty() { default_of(&index) } else { index.by_name.get(name) };
        found.cloned().ok_or_else(|| not_found(name, index.all.len()))
    }

    /// The connection that an empty name means.
    pub fn default_id(&self) -> Option<Arc<str>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        default_of(&index).map(|connection| Arc::clone(&connection.id))
    }

    /// All connections, oldest first.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// Stores a connection.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the field, `CONNECTION_NICKNAME_TAKEN` or `STORAGE_UNAVAILABLE`.
    pub async fn create(&self, nickname: &str, domain: &str, credential: Credential) -> Result<Arc<Connection>> {
        check_nickname(nickname)?;
        let base_url = base_url(domain, self.addresses).map_err(|wrong| Error::invalid("domain", wrong))?;
        let _changing = self.changing.lock().await;
        if self.all().len() >= MAX_CONNECTIONS {
            let message =
                format!("there are {MAX_CONNECTIONS} connections already, which is the most this server holds");
            return Err(Error::new(ErrorReason::CallerLimitExceeded, message).with("limit", "connections"));
        }
        let id = random_id("con_").map_err(secret_failed)?;
        let (now, state) = (now(), State::of_new(&credential));
        let row = ConnectionRow {
            nickname: nickname.to_owned(),
            base_url,
            credential_kind: credential.kind().into(),
            sealed: credential.seal(&self.sealer, &id).map_err(secret_failed)?,
            state: state.state.into(),
            state_reason: state.reason,
            state_changed: now.clone(),
            created: now.clone(),
            last_updated: now,
            version: 1,
            id,
        };
        let connection = Arc::new(with_credential(&row, Arc::new(credential)));
        if !self.store.insert_connection(row).await? {
            return Err(nickname_taken(nickname));
        }
        self.index(|all| all.push(Arc::clone(&connection)));
        Ok(connection)
    }

    /// Changes a connection; `version` is the one that the change was thought out for, when that matters.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the field, `CONNECTION_NICKNAME_TAKEN`, `CONNECTION_CHANGED`, `CONNECTION_KIND_MISMATCH`,
    /// `CONNECTION_NOT_FOUND` or `STORAGE_UNAVAILABLE`.
    pub async fn update(&self, id: &str, mut change: Change, version: Option<i64>) -> Result<Arc<Connection>> {
        let _changing = self.changing.lock().await;
        let present = self.resolve(id)?;
        if version.is_some_and(|version| version != present.version) {
            return Err(changed(&present));
        }
        let nickname = change.nickname.take().unwrap_or_else(|| present.nickname.clone());
        check_nickname(&nickname)?;
        let given = change::credential(&present, &mut change)?;
        let forgets = given.as_ref().is_some_and(|given| !change::keeps_grant(&present.credential, given));
        let granted = !forgets && self.grant(id).await?.is_some_and(|grant| grant.refresh_token.is_some());
        let state = change::state(&present, given.as_ref(), change.disabled, granted);
        let fresh = given.filter(|given| !given.same_as(&present.credential));
        let (now, credential) = (now(), fresh.map_or_else(|| Arc::clone(&present.credential), Arc::new));
        let same_state = state.state == present.state && state.reason == present.state_reason;
        let row = ConnectionRow {
            id: present.id.to_string(),
            nickname,
            base_url: present.base_url.clone(),
            credential_kind: credential.kind().into(),
            sealed: credential.seal(&self.sealer, &present.id).map_err(secret_failed)?,
            state: state.state.into(),
            state_reason: state.reason,
            state_changed: if same_state { text(present.state_changed) } else { now.clone() },
            created: text(present.created),
            last_updated: now,
            version: present.version + 1,
        };
        let mut connection = with_credential(&row, credential);
        if !forgets {
            connection.granted_scopes.clone_from(&present.granted_scopes);
        }
        let connection = Arc::new(connection);
        match self.store.replace_connection(row, present.version, forgets).await? {
            Replaced::Done => {}
            Replaced::NicknameTaken => return Err(nickname_taken(&connection.nickname)),
            Replaced::Changed => return Err(changed(&present)),
        }
        self.replace(&connection);
        Ok(connection)
    }

    /// Removes a connection, its secrets and its hooks' secrets.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn delete(&self, connection: &Connection) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.store.delete_connection(connection.id.to_string()).await?;
        self.index(|all| all.retain(|other| other.id != connection.id));
        Ok(())
    }

    /// Makes the connection called `default` what the environment says. One of the same org and kind keeps its id, and so its hooks
    /// and events; any other is replaced.
    ///
    /// # Errors
    /// As [`Connections::create`].
    pub async fn set_default(&self, domain: &str, credential: Credential) -> Result<Arc<Connection>> {
        let Ok(present) = self.resolve(DEFAULT_NICKNAME) else {
            return self.create(DEFAULT_NICKNAME, domain, credential).await;
        };
        let same_org = base_url(domain, self.addresses).is_ok_and(|base| base == present.base_url);
        if !same_org || present.credential.kind() != credential.kind() {
            self.delete(&present).await?;
            return self.create(DEFAULT_NICKNAME, domain, credential).await;
        }
        if present.credential.same_as(&credential) {
            return Ok(present);
        }
        self.update(&present.id, Change { credential: Some(credential), ..Default::default() }, None).await
    }

    /// What the org has granted to a connection.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn grant(&self, id: &str) -> Result<Option<Grant>> {
        let row = self.store.grant(id.to_owned()).await?;
        row.map(|row| Grant::open(&self.sealer, id, &row.sealed).map_err(secret_failed)).transpose()
    }

    /// Stores what the org has granted to a connection; it is durable when this returns.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn put_grant(&self, id: &str, grant: &Grant) -> Result<()> {
        let sealed = grant.seal(&self.sealer, id).map_err(secret_failed)?;
        let _changing = self.changing.lock().await;
        self.store.put_grant(id.to_owned(), sealed, now()).await?;
        let Ok(present) = self.resolve(id) else { return Ok(()) };
        if present.granted_scopes != grant.scopes {
            self.replace(&Arc::new(Connection { granted_scopes: grant.scopes.clone(), ..(*present).clone() }));
        }
        Ok(())
    }

    /// Marks durably that a connection's refresh token is about to be sent: should the answer be lost with this process, the next one
    /// sends the same token again, which Okta allows for a short while.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn mark_refresh(&self, id: &str) -> Result<()> {
        self.store.mark_refresh(id.to_owned(), now()).await
    }

    /// The connections whose refresh token was sent and its answer never stored.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn with_unfinished_refresh(&self) -> Result<Vec<Arc<Connection>>> {
        let rows = self.store.grants().await?;
        let unfinished = rows.into_iter().filter(|row| row.refresh_started.is_some());
        Ok(unfinished.filter_map(|row| self.resolve(&row.connection_id).ok()).collect())
    }

    /// The connections in use whose refresh token has not been used for as long as this.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn idle_for(&self, longer_than: Duration) -> Result<Vec<Arc<Connection>>> {
        let since = SystemTime::now() - longer_than;
        let is_idle = |row: &store::GrantRow| {
            let refreshed: Option<Timestamp> = row.refreshed.parse().ok();
            refreshed.and_then(|time| SystemTime::try_from(time).ok()).is_none_or(|time| time <= since)
        };
        let rows = self.store.grants().await?;
        let idle = rows.into_iter().filter(is_idle).filter_map(|row| self.resolve(&row.connection_id).ok());
        let refreshable = |connection: &Arc<Connection>| {
            connection.credential.kind() == CredentialKind::OauthWebApp && connection.state == ConnectionState::Active
        };
        Ok(idle.filter(refreshable).collect())
    }

    /// An admin has authorized the connection: it is in use, with this grant.
    ///
    /// # Errors
    /// `CONNECTION_NOT_FOUND` when it was removed meanwhile, `STORAGE_UNAVAILABLE`.
    pub async fn authorized(&self, id: &str, grant: &Grant) -> Result<Arc<Connection>> {
        let sealed = grant.seal(&self.sealer, id).map_err(secret_failed)?;
        let _changing = self.changing.lock().await;
        let present = self.resolve(id)?;
        let state = State::new(ConnectionState::Active, "");
        let scopes = grant.scopes.clone();
        self.set_state(&Connection { granted_scopes: scopes, ..(*present).clone() }, state, GrantChange::Put(sealed))
            .await
    }

    /// Okta has refused to go on: the connection has to be authorized anew, for this reason. With `forget`, what was granted is
    /// gone.
    ///
    /// # Errors
    /// `CONNECTION_NOT_FOUND` when it was removed meanwhile, `STORAGE_UNAVAILABLE`.
    pub async fn needs_reauthorization(&self, id: &str, reason: &str, forget: bool) -> Result<Arc<Connection>> {
        let _changing = self.changing.lock().await;
        let present = self.resolve(id)?;
        let grant = if forget { GrantChange::Forget } else { GrantChange::Keep };
        self.set_state(&present, State::new(ConnectionState::NeedsReauthorization, reason), grant).await
    }

    /// The connection works again, although it was said to need authorization.
    ///
    /// # Errors
    /// `CONNECTION_NOT_FOUND` when it was removed meanwhile, `STORAGE_UNAVAILABLE`.
    pub async fn works_again(&self, id: &str) -> Result<Arc<Connection>> {
        let _changing = self.changing.lock().await;
        let present = self.resolve(id)?;
        self.set_state(&present, State::new(ConnectionState::Active, ""), GrantChange::Keep).await
    }

    /// Seals every stored secret with the newest key.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn reseal(&self) -> Result<Resealed> {
        reseal(&self.store, &self.sealer).await
    }

    async fn set_state(&self, present: &Connection, state: State, grant: GrantChange) -> Result<Arc<Connection>> {
        let changed = now();
        let row = StateRow { state: state.state.into(), reason: state.reason.clone(), changed: changed.clone() };
        self.store.set_state(present.id.to_string(), row, grant).await?;
        let connection = Arc::new(Connection {
            state: state.state,
            state_reason: state.reason,
            state_changed: changed.parse().ok(),
            ..present.clone()
        });
        self.replace(&connection);
        Ok(connection)
    }

    fn replace(&self, connection: &Arc<Connection>) {
        self.index(|all| {
            for other in all.iter_mut().filter(|other| other.id == connection.id) {
                *other = Arc::clone(connection);
            }
        });
    }

    fn index(&self, change: impl FnOnce(&mut Vec<Arc<Connection>>)) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut index.all);
        change(&mut all);
        *index = Index::new(all);
    }
}

fn text(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

fn nickname_taken(nickname: &str) -> Error {
    let message = format!("another connection is called {nickname:?}; choose another nickname");
    Error::new(ErrorReason::ConnectionNicknameTaken, message).with_resource("connection", nickname)
}

fn changed(present: &Connection) -> Error {
    let message =
        format!("the connection {:?} has changed since it was read; read it again and decide anew", present.nickname);
    Error::new(ErrorReason::ConnectionChanged, message).with_resource("connection", present.nickname.as_str())
}

fn now() -> String {
    Timestamp::from(SystemTime::now()).to_string()
}

/// The error of a name that no connection has.
fn not_found(name: &str, connections: usize) -> Error {
    let message = match (name, connections) {
        ("", 0) => {
            "there is no connection yet; create one with ConnectionService.CreateConnection, or start the server \
                    with OKTA_DOMAIN and OKTA_API_TOKEN"
                .to_owned()
        }
        ("", _) => {
            format!(
                "no connection was named, and there are {connections} and none is called {DEFAULT_NICKNAME:?}; name one"
            )
        }
        _ => format!("there is no connection with the id or nickname {name:?}"),
    };
    Error::new(ErrorReason::ConnectionNotFound, message).with_resource("connection", name)
}

fn default_of(index: &Index) -> Option<&Arc<Connection>> {
    index.by_name.get(DEFAULT_NICKNAME).or(match index.all.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

fn check_nickname(nickname: &str) -> Result<()> {
    let fits = (1..=MAX_NICKNAME).contains(&nickname.len())
        && nickname.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
        && !nickname.starts_with("con_");
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        "nickname",
        "must be 1 to 64 letters, digits, dots, hyphens and underscores, and must not begin with con_ as ids do",
    ))
}

fn open(sealer: &Sealer, row: ConnectionRow) -> Result<Option<Connection>> {
    let kind = CredentialKind::try_from(row.credential_kind).unwrap_or_default();
    let credential = Credential::open(kind, sealer, &row.id, &row.sealed).map_err(secret_failed)?;
    Ok(credential.map(|credential| with_credential(&row, Arc::new(credential))))
}

fn with_credential(row: &ConnectionRow, credential: Arc<Credential>) -> Connection {
    Connection {
        id: Arc::from(row.id.as_str()),
        nickname: row.nickname.clone(),
        base_url: row.base_url.clone(),
        credential,
        granted_scopes: Vec::new(),
        state: ConnectionState::try_from(row.state).unwrap_or_default(),
        state_reason: row.state_reason.clone(),
        state_changed: row.state_changed.parse().ok(),
        created: row.created.parse().ok(),
        last_updated: row.last_updated.parse().ok(),
        version: row.version,
    }
}

/// A failure of the sealer, as the domain's error.
pub(crate) fn secret_failed(error: SecretError) -> Error {
    Error::new(ErrorReason::StorageUnavailable, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connections(directory: &std::path::Path) -> Connections {
        let sealer = Sealer::from_file(&directory.join("secret.key"), true).expect("sealer");
        let store = Store::open(&directory.join("connections.db")).expect("store");
        Connections::load(store, Arc::new(sealer), OrgAddresses::Loopback).await.expect("loaded")
    }

    fn token(text: &str) -> Credential {
        Credential::ApiToken(text.to_owned().into())
    }

    #[tokio::test]
    async fn a_connection_is_there_again_after_a_restart_and_its_token_is_not_readable_on_disk() {
        let directory = tempfile::tempdir().expect("directory");
        let created = connections(directory.path())
            .await
            .create("acme", "acme.okta.com", token("00very-secret-token"))
            .await
            .expect("created");
        let again = connections(directory.path()).await;
        let found = again.resolve("acme").expect("found");
        assert_eq!(found.id, created.id);
        assert!(found.credential.same_as(&token("00very-secret-token")));
        for entry in std::fs::read_dir(directory.path()).expect("entries") {
            let bytes = std::fs::read(entry.expect("entry").path()).expect("bytes");
            assert!(!bytes.windows(19).any(|window| window == b"00very-secret-token"));
        }
    }

    #[tokio::test]
    async fn a_nickname_belongs_to_one_connection() {
        let directory = tempfile::tempdir().expect("directory");
        let connections = connections(directory.path()).await;
        connections.create("acme", "acme.okta.com", token("a")).await.expect("created");
        let error = connections.create("acme", "other.okta.com", token("b")).await.expect_err("taken");
        assert_eq!(error.reason(), ErrorReason::ConnectionNicknameTaken);
    }

    #[tokio::test]
    async fn an_empty_name_means_the_one_called_default_or_the_only_one() {
        let directory = tempfile::tempdir().expect("directory");
        let connections = connections(directory.path()).await;
        assert_eq!(connections.resolve("").expect_err("none").reason(), ErrorReason::ConnectionNotFound);
        connections.create("acme", "acme.okta.com", token("a")).await.expect("created");
        assert_eq!(connections.resolve("").expect("the only one").nickname, "acme");
        connections.create("other", "other.okta.com", token("b")).await.expect("created");
        assert!(connections.resolve("").is_err());
        connections.set_default("third.okta.com", token("c")).await.expect("set");
        assert_eq!(connections.resolve("").expect("default").base_url, "https://third.okta.com");
    }

    #[tokio::test]
    async fn the_default_one_keeps_its_id_for_as_long_as_it_is_the_same_org() {
        let directory = tempfile::tempdir().expect("directory");
        let connections = connections(directory.path()).await;
        let first = connections.set_default("acme.okta.com", token("a")).await.expect("set");
        let same = connections.set_default("https://acme.okta.com/", token("a")).await.expect("set");
        assert_eq!(first.id, same.id);
        let renewed = connections.set_default("acme.okta.com", token("b")).await.expect("set");
        assert_eq!(first.id, renewed.id);
        assert!(connections.resolve("").expect("default").credential.same_as(&token("b")));
        let other = connections.set_default("other.okta.com", token("b")).await.expect("set");
        assert_ne!(first.id, other.id);
        assert_eq!(connections.all().len(), 1);
    }

    #[tokio::test]
    async fn a_wrong_secret_key_is_said_and_changes_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        connections(directory.path()).await.create("acme", "acme.okta.com", token("a")).await.expect("created");
        let other = Sealer::from_file(&directory.path().join("other.key"), true).expect("sealer");
        let store = Store::open(&directory.path().join("connections.db")).expect("store");
        assert!(Connections::load(store, Arc::new(other), OrgAddresses::Public).await.is_err());
        assert!(connections(directory.path()).await.resolve("acme").is_ok());
    }

    #[tokio::test]
    async fn a_deleted_connection_is_gone() {
        let directory = tempfile::tempdir().expect("directory");
        let connections = connections(directory.path()).await;
        let created = connections.create("acme", "acme.okta.com", token("a")).await.expect("created");
        connections.delete(&created).await.expect("deleted");
        assert!(connections.resolve("acme").is_err());
        assert!(connections.resolve(&created.id).is_err());
    }
}
