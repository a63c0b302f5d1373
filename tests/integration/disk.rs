//! A disk with no room left, and one that can no longer be written: Okta is told to try again, nothing that was acknowledged is lost, and
//! a mended disk is all it takes to go on.
//!
//! The limit on the size of files (`RLIMIT_FSIZE`) and the immutable attribute stand in for the disk: they can be set, and lifted, while the
//! server runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::StatusCode;

use crate::harness::{Sandbox, Server, wait_for};
use crate::hooks::{deliver, log, registered};

/// Sets how large files of the process may become; false where there is no way to.
fn limit_files(pid: u64, bytes: &str) -> bool {
    let set = Command::new("prlimit").args([format!("--pid={pid}"), format!("--fsize={bytes}:unlimited")]).status();
    set.is_ok_and(|status| status.success())
}

/// A directory that cannot be written, not even by files that are open already; it can again when this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    /// `None` where there is no way to: it takes root and a file system that knows of it.
    fn new(directory: &Path) -> Option<Self> {
        Self::set("+i", directory).then(|| Self(directory.to_owned()))
    }

    fn set(attribute: &str, directory: &Path) -> bool {
        let set = Command::new("chattr").args(["-R", attribute]).arg(directory).output();
        set.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        Self::set("-i", &self.0);
    }
}

async fn stored(server: &Server) -> HashSet<String> {
    log(server).await.into_iter().map(|event| event.uuid).collect()
}

fn large(uuid: &str) -> String {
    let padding = "x".repeat(20_000);
    format!(r#"{{"data":{{"events":[{{"uuid":"{uuid}","eventType":"user.session.start","padding":"{padding}"}}]}}}}"#)
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_room_is_all_it_takes() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let pid = server.process.ready["pid"].as_u64().expect("pid");
    if !limit_files(pid, "2000000") {
        eprintln!("SKIPPED: prlimit, of util-linux, is not there");
        return;
    }
    let mut acknowledged = HashSet::new();
    let mut number = 0;
    let mut send = async |acknowledged: &mut HashSet<String>| {
        number += 1;
        let uuid = number.to_string();
        let status = deliver(&hook, Some(&secret), large(&uuid)).await;
        if status.is_success() {
            acknowledged.insert(uuid);
        }
        status
    };
    // What is written back makes room once or twice more.
    let mut refused = 0;
    wait_for("the disk to be full", async || {
        refused = if send(&mut acknowledged).await == StatusCode::SERVICE_UNAVAILABLE { refused + 1 } else { 0 };
        (refused == 10).then_some(())
    })
    .await;
    assert!(
        acknowledged.len() > 10 && acknowledged.is_subset(&stored(&server).await),
        "reading goes on, and has what was acknowledged"
    );

    assert!(limit_files(pid, "unlimited"));
    wait_for("room", async || send(&mut acknowledged).await.is_success().then_some(())).await;
    assert!(acknowledged.is_subset(&stored(&server).await));
    let server = Server::connected_in(server.stop().await, &sandbox);
    assert!(acknowledged.is_subset(&stored(&server).await));
    server.stop().await;
}

#[tokio::test]
async fn a_read_only_directory_loses_nothing_and_being_writable_is_all_it_takes() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let send = async |uuid: &str| deliver(&hook, Some(&secret), large(uuid)).await;
    assert!(send("before").await.is_success());
    let Some(immutable) = Immutable::new(server.path()) else {
        eprintln!("SKIPPED: chattr +i, which takes root and a file system that knows of it, is not there");
        return;
    };
    for number in 0..5 {
        assert_eq!(send(&format!("during {number}")).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(stored(&server).await.contains("before"), "reading goes on");
    drop(immutable);
    wait_for("a directory that can be written", async || send("after").await.is_success().then_some(())).await;
    let all = HashSet::from(["before".to_owned(), "after".to_owned()]);
    assert!(all.is_subset(&stored(&server).await));
    let server = Server::connected_in(server.stop().await, &sandbox);
    assert!(all.is_subset(&stored(&server).await));
    server.stop().await;
}
