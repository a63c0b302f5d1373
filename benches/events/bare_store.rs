//! The floor of ingest: each body is a row, and what has queued up is committed together; nothing is read, checked or decoded.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use rusqlite::Connection;
use tokio::sync::oneshot;

/// A body, and who waits for it to be durable.
type Job = (String, oneshot::Sender<()>);

/// Serves in the background; answers where.
pub async fn serve() -> SocketAddr {
    let (jobs, queue) = channel::<Job>();
    std::thread::spawn(move || write(&queue));
    let store = |State(jobs): State<std::sync::mpsc::Sender<Job>>, body: String| async move {
        let (done, stored) = oneshot::channel();
        jobs.send((body, done)).expect("the writer");
        stored.await.expect("stored");
        StatusCode::NO_CONTENT
    };
    let routes = Router::new().route("/", post(store)).with_state(jobs);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// The same engine, an index as large, the same durability.
fn write(queue: &Receiver<Job>) {
    let directory = tempfile::tempdir().expect("directory");
    let mut sqlite = Connection::open(directory.path().join("floor.db")).expect("opened");
    sqlite.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    sqlite.pragma_update(None, "synchronous", "FULL").expect("FULL");
    let table = "CREATE TABLE events (sequence INTEGER PRIMARY KEY, uuid TEXT, raw TEXT) STRICT;
                 CREATE UNIQUE INDEX by_uuid ON events (uuid);";
    sqlite.execute_batch(table).expect("table");
    while let Ok(first) = queue.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        let transaction = sqlite.transaction().expect("begun");
        let mut insert =
            transaction.prepare_cached("INSERT INTO events (uuid, raw) VALUES (?1, ?2)").expect("prepared");
        for (body, _) in &group {
            insert.execute((uuid::Uuid::new_v4().to_string(), body)).expect("inserted");
        }
        drop(insert);
        transaction.commit().expect("committed");
        for (_, done) in group {
            let _ = done.send(());
        }
    }
}
