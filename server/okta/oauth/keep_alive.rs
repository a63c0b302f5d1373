//! Keeping refresh tokens alive: those that were sent when the last process ended are sent again at once, and those that nobody uses are
//! used now and then (Okta forgets them after seven days).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tokens::Tokens;

/// How often is looked for idle connections, at most.
const LONGEST_LOOK: Duration = Duration::from_secs(600);
const SHORTEST_LOOK: Duration = Duration::from_millis(200);
/// Renewals that are begun between two breaths: the token endpoint takes four requests a second.
const BATCH: usize = 4;
const BREATH: Duration = Duration::from_secs(1);

impl Tokens {
    /// Takes up the refreshes that the process before did not bring to an end, then renews what has been idle for `idle_for`, until
    /// `stop`.
    pub async fn keep_alive(self, idle_for: Duration, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch(idle_for)).await;
    }

    async fn watch(&self, idle_for: Duration) {
        match self.connections().with_unfinished_refresh().await {
            Ok(unfinished) => {
                for connection in unfinished {
                    tracing::info!(connection = %connection.id, "the last refresh did not come to an end; sending its token again");
                    self.renew_idle(&connection);
                }
            }
            Err(error) => tracing::error!(%error, "cannot look for refreshes that did not come to an end"),
        }
        loop {
            tokio::time::sleep((idle_for / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)).await;
            match self.connections().idle_for(idle_for).await {
                Ok(idle) => {
                    for batch in idle.chunks(BATCH) {
                        batch.iter().for_each(|connection| self.renew_idle(connection));
                        if idle.len() > BATCH {
                            tokio::time::sleep(BREATH).await;
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "cannot look for idle connections"),
            }
        }
    }
}
