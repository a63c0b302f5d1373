//! Proves that no event is missing: reads each org's System Log from where it left off, and adds what its hooks have not delivered
//! (<https://developer.okta.com/docs/reference/system-log-query/>).
//!
//! Hooks give speed, the System Log gives completeness. An org without hooks is followed through its System Log alone.

mod org;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::org::OrgLog;
use crate::connections::Connections;
use crate::events::Sources;
use crate::journal::Journal;
use crate::okta;

/// How soon a connection that has been made or removed is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// How System Logs are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often an org is asked that has nothing new.
    pub interval: Duration,
    /// How far back reading begins for an org of which no event is known.
    pub look_back: Duration,
}

/// Reads the System Logs of all connections. Cloning shares what it works with.
#[derive(Debug, Clone)]
pub struct Reconciler {
    connections: Connections,
    okta: okta::Client,
    journal: Journal,
    sources: Sources,
    options: Options,
}

impl Reconciler {
    /// Reads through `okta` into `journal`, and says on `sources` what is proven.
    pub fn new(
        connections: Connections,
        okta: okta::Client,
        journal: Journal,
        sources: Sources,
        options: Options,
    ) -> Self {
        Self { connections, okta, journal, sources, options }
    }

    /// Reads until `stop`: a task for each connection, for as long as there is the connection.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Arc<str>, CancellationToken> = HashMap::new();
        while !stop.is_cancelled() {
            let present: HashMap<_, _> =
                self.connections.all().into_iter().map(|one| (Arc::clone(&one.id), one)).collect();
            running.retain(|id, stop| {
                let stays = present.contains_key(id);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for id in present.into_keys() {
                running.entry(Arc::clone(&id)).or_insert_with(|| {
                    let stop = stop.child_token();
                    tasks.spawn(OrgLog::new(self.clone(), id).follow(stop.clone()));
                    stop
                });
            }
            let _ = tokio::time::timeout(LOOK, stop.cancelled()).await;
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
    }
}
