//! A disk with no room left: Okta is told to try again, nothing that was acknowledged is lost, and room is all it takes to go on.
//!
//! The limit on the size of files (`RLIMIT_FSIZE`) stands in for the disk: it can be set for one process, and lifted while it runs.

use std::collections::HashSet;
use std::process::Command;

use reqwest::StatusCode;

use crate::harness::{Sandbox, Server, wait_for};
use crate::hooks::{deliver, log, registered};

/// Sets how large files of the process may become; false where there is no way to.
fn limit_files(pid: u64, bytes: &str) -> bool {
    let set = Command::new("prlimit").args([format!("--pid={pid}"), format!("--fsize={bytes}:unlimited")]).status();
    set.is_ok_and(|status| status.success())
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
    let stored: HashSet<_> = log(&server).await.into_iter().map(|event| event.uuid).collect();
    assert!(
        acknowledged.len() > 10 && acknowledged.is_subset(&stored),
        "reading goes on, and has what was acknowledged"
    );

    assert!(limit_files(pid, "unlimited"));
    wait_for("room", async || send(&mut acknowledged).await.is_success().then_some(())).await;
    let stored: HashSet<_> = log(&server).await.into_iter().map(|event| event.uuid).collect();
    assert!(acknowledged.is_subset(&stored));
    let server = Server::connected_in(server.stop().await, &sandbox);
    let stored: HashSet<_> = log(&server).await.into_iter().map(|event| event.uuid).collect();
    assert!(acknowledged.is_subset(&stored));
    server.stop().await;
}
