//! The durable side of event hooks: the hooks, and the secrets that they are accepted with.
//!
//! A change touches what it is about and nothing else, and says whether the hook is still there: hooks go with their connection at
//! any time.

use rusqlite::{OptionalExtension, Row, params};

use super::store::Store;
use crate::error::Result;

/// A hook as it is stored.
#[derive(Debug, Clone)]
pub struct HookRow {
    /// Our id, the last part of its URL.
    pub id: String,
    /// Okta's id; empty until Okta has answered.
    pub okta_id: String,
    /// The connection it belongs to.
    pub connection_id: String,
    /// Name on the org.
    pub name: String,
    /// Where Okta delivers to.
    pub uri: String,
    /// The event types, joined with commas.
    pub event_types: String,
    /// Whether Okta has verified it.
    pub verified: bool,
    /// The sealed secret that the org was last known to have.
    pub sealed: Vec<u8>,
    /// When it was registered, RFC 3339.
    pub created: String,
}

/// A further secret that a hook is accepted with.
#[derive(Debug, Clone)]
pub struct HookSecretRow {
    /// Which one it is.
    pub id: i64,
    /// The hook.
    pub hook_id: String,
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// Until when, in milliseconds since 1970. `None` for as long as the org may have it: what became of the call is not known.
    pub until: Option<i64>,
}

impl Store {
    /// All hooks, oldest first.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn hooks(&self) -> Result<Vec<HookRow>> {
        self.run(|sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM event_hooks ORDER BY created, id")?;
            statement.query_map([], hook_row)?.collect()
        })
        .await
    }

    /// The hook `id`.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn hook(&self, id: String) -> Result<Option<HookRow>> {
        self.run(move |sqlite| sqlite.query_row("SELECT * FROM event_hooks WHERE id = ?1", [id], hook_row).optional())
            .await
    }

    /// Adds a hook to a connection. `false` when that is gone.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn add_hook(&self, row: HookRow) -> Result<bool> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached(
                "INSERT INTO event_hooks SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
                 WHERE EXISTS (SELECT 1 FROM connections WHERE id = ?3)",
            )?;
            let added = statement.execute(params![
                row.id,
                row.okta_id,
                row.connection_id,
                row.name,
                row.uri,
                row.event_types,
                row.verified,
                row.sealed,
                row.created,
            ])?;
            Ok(added == 1)
        })
        .await
    }

    /// Stores Okta's id of a hook. `false` when the hook is gone.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn set_okta_id(&self, id: String, okta_id: String) -> Result<bool> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached("UPDATE event_hooks SET okta_id = ?2 WHERE id = ?1")?;
            Ok(statement.execute(params![id, okta_id])? == 1)
        })
        .await
    }

    /// Stores whether Okta has verified a hook. `false` when the hook is gone.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn set_verified(&self, id: String, verified: bool) -> Result<bool> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached("UPDATE event_hooks SET verified = ?2 WHERE id = ?1")?;
            Ok(statement.execute(params![id, verified])? == 1)
        })
        .await
    }

    /// Removes a hook and its secrets.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn delete_hook(&self, id: String) -> Result<()> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            transaction.execute("DELETE FROM event_hook_secrets WHERE hook_id = ?1", [&id])?;
            transaction.execute("DELETE FROM event_hooks WHERE id = ?1", [&id])?;
            transaction.commit()
        })
        .await
    }

    /// The further secrets of all hooks, oldest first.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn hook_secrets(&self) -> Result<Vec<HookSecretRow>> {
        self.run(|sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM event_hook_secrets ORDER BY id")?;
            statement.query_map([], secret_row)?.collect()
        })
        .await
    }

    /// The further secrets of the hook `id`, oldest first.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn secrets_of_hook(&self, id: String) -> Result<Vec<HookSecretRow>> {
        self.run(move |sqlite| {
            let mut statement =
                sqlite.prepare_cached("SELECT * FROM event_hook_secrets WHERE hook_id = ?1 ORDER BY id")?;
            statement.query_map([id], secret_row)?.collect()
        })
        .await
    }

    /// Adds a secret that the org may have from now on; which one it is. `None` when the hook is gone.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn add_hook_secret(&self, hook_id: String, sealed: Vec<u8>) -> Result<Option<i64>> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached(
                "INSERT INTO event_hook_secrets (hook_id, sealed)
                 SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM event_hooks WHERE id = ?1)",
            )?;
            let added = statement.execute(params![hook_id, sealed])? == 1;
            Ok(added.then(|| sqlite.last_insert_rowid()))
        })
        .await
    }

    /// Removes a secret that the org has not taken.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn drop_hook_secret(&self, secret: i64) -> Result<()> {
        self.run(move |sqlite| sqlite.execute("DELETE FROM event_hook_secrets WHERE id = ?1", [secret]).map(|_| ()))
            .await
    }

    /// The org has taken a secret: it is the hook's own now, and all those before it are accepted until `until`, in milliseconds
    /// since 1970. `false` when the hook is gone.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn promote_hook_secret(&self, hook_id: String, secret: i64, until: i64) -> Result<bool> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            transaction.execute(
                "UPDATE event_hook_secrets SET until = ?3 WHERE hook_id = ?1 AND id <> ?2 AND until IS NULL",
                params![hook_id, secret, until],
            )?;
            transaction.execute(
                "INSERT INTO event_hook_secrets (hook_id, sealed, until) SELECT id, sealed, ?2 FROM event_hooks WHERE id = ?1",
                params![hook_id, until],
            )?;
            let promoted = transaction.execute(
                "UPDATE event_hooks SET sealed = fresh.sealed FROM event_hook_secrets AS fresh
                 WHERE event_hooks.id = ?1 AND fresh.id = ?2",
                params![hook_id, secret],
            )?;
            if promoted == 0 {
                return Ok(false);
            }
            transaction.execute("DELETE FROM event_hook_secrets WHERE id = ?1", [secret])?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// Forgets the secrets whose time was over at `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn forget_hook_secrets(&self, now: i64) -> Result<()> {
        self.run(move |sqlite| sqlite.execute("DELETE FROM event_hook_secrets WHERE until <= ?1", [now]).map(|_| ()))
            .await
    }
}

fn hook_row(row: &Row<'_>) -> rusqlite::Result<HookRow> {
    Ok(HookRow {
        id: row.get("id")?,
        okta_id: row.get("okta_id")?,
        connection_id: row.get("connection_id")?,
        name: row.get("name")?,
        uri: row.get("uri")?,
        event_types: row.get("event_types")?,
        verified: row.get("verified")?,
        sealed: row.get("sealed")?,
        created: row.get("created")?,
    })
}

fn secret_row(row: &Row<'_>) -> rusqlite::Result<HookSecretRow> {
    Ok(HookSecretRow {
        id: row.get("id")?,
        hook_id: row.get("hook_id")?,
        sealed: row.get("sealed")?,
        until: row.get("until")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::store::{ConnectionRow, Sealed};

    fn connection() -> ConnectionRow {
        ConnectionRow {
            id: "con_1".to_owned(),
            nickname: "acme".to_owned(),
            base_url: "https://acme.okta.com".to_owned(),
            credential_kind: 1,
            sealed: b"token".to_vec(),
            state: 1,
            state_reason: String::new(),
            state_changed: String::new(),
            created: String::new(),
            last_updated: String::new(),
            version: 1,
        }
    }

    fn hook(id: &str) -> HookRow {
        HookRow {
            id: id.to_owned(),
            okta_id: String::new(),
            connection_id: "con_1".to_owned(),
            name: "hook".to_owned(),
            uri: format!("https://here.example/hooks/{id}"),
            event_types: "a.b".to_owned(),
            verified: false,
            sealed: b"first".to_vec(),
            created: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    /// A store with a hook, and the directory that it is in.
    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(&directory.path().join("connections.db")).expect("store");
        assert!(store.insert_connection(connection()).await.expect("inserted"));
        assert!(store.add_hook(hook("hook_1")).await.expect("added"));
        (directory, store)
    }

    async fn add(store: &Store, sealed: &[u8]) -> i64 {
        store.add_hook_secret("hook_1".to_owned(), sealed.to_vec()).await.expect("stored").expect("the hook is there")
    }

    /// The hook's own secret, and the others with their ends.
    async fn secrets(store: &Store) -> (Vec<u8>, Vec<(Vec<u8>, Option<i64>)>) {
        let own = store.hook("hook_1".to_owned()).await.expect("read").expect("the hook").sealed;
        let others = store.secrets_of_hook("hook_1".to_owned()).await.expect("read");
        (own, others.into_iter().map(|row| (row.sealed, row.until)).collect())
    }

    #[tokio::test]
    async fn a_secret_that_the_org_has_taken_gives_those_before_it_an_end() {
        let (_directory, store) = store().await;
        add(&store, b"unclear").await;
        let second = add(&store, b"second").await;
        let (own, others) = secrets(&store).await;
        assert_eq!((own, others), (b"first".to_vec(), vec![(b"unclear".to_vec(), None), (b"second".to_vec(), None)]));
        assert!(store.promote_hook_secret("hook_1".to_owned(), second, 1_000).await.expect("promoted"));
        let third = add(&store, b"third").await;
        assert!(store.promote_hook_secret("hook_1".to_owned(), third, 2_000).await.expect("promoted"));
        let (own, mut others) = secrets(&store).await;
        others.sort();
        let ends = [("first", 1_000), ("second", 2_000), ("unclear", 1_000)];
        assert_eq!(own, b"third");
        assert_eq!(others, ends.map(|(secret, until)| (secret.as_bytes().to_vec(), Some(until))));
        store.forget_hook_secrets(1_000).await.expect("forgotten");
        assert_eq!(secrets(&store).await.1, [(b"second".to_vec(), Some(2_000))]);
    }

    #[tokio::test]
    async fn a_secret_that_was_refused_leaves_no_trace() {
        let (_directory, store) = store().await;
        let refused = add(&store, b"refused").await;
        store.drop_hook_secret(refused).await.expect("dropped");
        assert_eq!(secrets(&store).await, (b"first".to_vec(), Vec::new()));
        assert!(!store.promote_hook_secret("hook_1".to_owned(), refused, 1).await.expect("nothing to promote"));
        assert_eq!(secrets(&store).await, (b"first".to_vec(), Vec::new()));
    }

    #[tokio::test]
    async fn nothing_comes_back_of_a_hook_that_went_with_its_connection() {
        let (_directory, store) = store().await;
        let secret = add(&store, b"second").await;
        store.delete_connection("con_1".to_owned()).await.expect("deleted");
        assert!(!store.add_hook(hook("hook_2")).await.expect("no connection"));
        assert!(store.add_hook_secret("hook_1".to_owned(), b"x".to_vec()).await.expect("no hook").is_none());
        assert!(!store.promote_hook_secret("hook_1".to_owned(), secret, 1).await.expect("no hook"));
        assert!(!store.set_okta_id("hook_1".to_owned(), "who".to_owned()).await.expect("no hook"));
        assert!(!store.set_verified("hook_1".to_owned(), true).await.expect("no hook"));
        assert!(store.hooks().await.expect("read").is_empty() && store.hook_secrets().await.expect("read").is_empty());
    }

    #[tokio::test]
    async fn every_secret_of_a_hook_can_be_sealed_anew() {
        let (_directory, store) = store().await;
        add(&store, b"second").await;
        let all: Vec<Sealed> = store.sealed().await.expect("read");
        for old in all.into_iter().filter(|sealed| sealed.id == "hook_1") {
            let fresh = [b"anew ", &old.sealed[..]].concat();
            assert!(store.replace_sealed(old, fresh).await.expect("replaced"));
        }
        assert_eq!(secrets(&store).await, (b"anew first".to_vec(), vec![(b"anew second".to_vec(), None)]));
    }
}
