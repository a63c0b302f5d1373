//! Deliveries stored durably, many in flight, beside the same rows written by bare SQLite in batches of as many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rusqlite::Connection;

use crate::load::{Target, delivery, event};
use crate::{RUNS, harness, median, tell};

const EVENTS: usize = 20_000;
const IN_FLIGHT: usize = 32;

pub async fn run() {
    let target = Arc::new(Target::start().await);
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        ours.push(deliveries(&target, run).await);
        floors.push(tokio::task::spawn_blocking(move || sqlite(run)).await.expect("joined"));
    }
    tell("deliveries of one event, 32 in flight", "events/s durable", median(ours), median(floors));
}

async fn deliveries(target: &Arc<Target>, run: usize) -> f64 {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (target, next, http) = (Arc::clone(target), Arc::clone(&next), harness::http());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= EVENTS {
                        return;
                    }
                    target.deliver(&http, delivery(&[event(&format!("{run}-{number}"))])).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("sent");
    }
    events_a_second(began)
}

/// The same engine, the same columns and index, the same durability; nothing but that.
fn sqlite(run: usize) -> f64 {
    let directory = tempfile::tempdir().expect("directory");
    let mut sqlite = Connection::open(directory.path().join("floor.db")).expect("opened");
    sqlite.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    sqlite.pragma_update(None, "synchronous", "FULL").expect("FULL");
    let table = "CREATE TABLE events (sequence INTEGER PRIMARY KEY, connection TEXT, uuid TEXT, envelope TEXT, raw TEXT) STRICT;
                 CREATE UNIQUE INDEX by_uuid ON events (connection, uuid);";
    sqlite.execute_batch(table).expect("table");
    let rows: Vec<_> = (0..EVENTS).map(|number| (format!("{run}-{number}"), event(&number.to_string()))).collect();
    let began = Instant::now();
    for batch in rows.chunks(IN_FLIGHT) {
        let transaction = sqlite.transaction().expect("begun");
        let mut insert = transaction
            .prepare_cached("INSERT INTO events (connection, uuid, envelope, raw) VALUES ('con_1', ?1, '{}', ?2)")
            .expect("prepared");
        for row in batch {
            insert.execute((&row.0, &row.1)).expect("inserted");
        }
        drop(insert);
        transaction.commit().expect("committed");
    }
    events_a_second(began)
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn events_a_second(began: Instant) -> f64 {
    EVENTS as f64 / began.elapsed().as_secs_f64()
}
