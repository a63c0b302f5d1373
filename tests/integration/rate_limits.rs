//! Okta's rate limits: turns, fairness, refusals in time, one request for identical reads, an org in trouble.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use okta_connector::proto::user_service_client::UserServiceClient;
use okta_connector::proto::{GetRateLimitsRequest, ReadUserRequest};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{Sandbox, Server, http, metadata, reason, wait_for};

const READ: &str = "GET /api/v1/users/{id}";

/// A server that leaves nothing to others.
fn greedy(sandbox: &Sandbox) -> Server {
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let variables = [("OKTA_DOMAIN", &*url), ("OKTA_API_TOKEN", &*token), ("OKTA_CONNECTOR_RESERVED_RATE_LIMIT", "0")];
    Server::start_in(TempDir::new().expect("directory"), &variables)
}

async fn set(sandbox: &Sandbox, limits: Value) {
    sandbox.control(Method::POST, "rate-limits", Some(limits)).await;
}

async fn fault(sandbox: &Sandbox, fault: Value) {
    sandbox.control(Method::POST, "faults", Some(fault)).await;
}

/// What the sandbox has counted.
async fn counted(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.control(Method::GET, "rate-limits", None).await).expect("JSON")
}

/// Reads a user; that there is none is as good an answer as any.
async fn read(users: &mut UserServiceClient<Channel>, login: &str, timeout: Duration) -> Result<(), Status> {
    let mut request = Request::new(ReadUserRequest { id_or_login: login.to_owned(), ..Default::default() });
    request.set_timeout(timeout);
    match users.read_user(request).await {
        Err(status) if status.code() != Code::NotFound => Err(status),
        _ => Ok(()),
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn callers_who_want_more_than_there_is_share_it_and_meet_no_429() {
    let sandbox = Sandbox::start();
    set(&sandbox, json!({ READ: { "limit": 100, "window_ms": 3000 } })).await;
    let server = greedy(&sandbox);
    let until = Instant::now() + Duration::from_secs(9);
    let callers = (0..10).map(async |caller| {
        let mut users = server.users().await;
        let mut served = 0_u32;
        while Instant::now() < until {
            read(&mut users, &format!("{caller}-{served}@test.example"), LONG).await.expect("served");
            served += 1;
        }
        served
    });
    let served = join_all(callers).await;
    let bucket = counted(&sandbox).await["buckets"][READ].clone();
    assert_eq!(bucket["refused"], 0, "{bucket}");
    let (all, fair) = (served.iter().sum::<u32>(), served.iter().sum::<u32>() / 10);
    // Windows of three seconds lose up to two of them to a clock of whole seconds; those of a minute do not.
    assert!(all >= 200, "{served:?}");
    assert!(served.iter().all(|own| own.abs_diff(fair) <= 3 + fair / 5), "{served:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_call_whose_turn_comes_too_late_is_told_so_at_once() {
    let sandbox = Sandbox::start();
    set(&sandbox, json!({ READ: 3 })).await;
    let server = greedy(&sandbox);
    let mut users = server.users().await;
    for number in 0..3 {
        read(&mut users, &format!("{number}@test.example"), Duration::from_secs(120)).await.expect("served");
    }
    let began = Instant::now();
    let refused = read(&mut users, "late@test.example", Duration::from_secs(5)).await.expect_err("late");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "OKTA_RATE_LIMITED"));
    let delay = refused.get_details_retry_info().and_then(|info| info.retry_delay).expect("when");
    assert!((30..=62).contains(&delay.as_secs()), "{delay:?}");
    let quota = refused.get_details_quota_failure().expect("quota");
    assert_eq!((&*quota.violations[0].subject, &*metadata(&refused, "rate_limit_bucket")), (READ, READ));
    let bucket = counted(&sandbox).await["buckets"][READ].clone();
    assert_eq!((&bucket["served"], &bucket["refused"]), (&json!(3), &json!(0)));
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_reads_of_one_do_not_hold_up_the_one_of_another() {
    let sandbox = Sandbox::start();
    set(&sandbox, json!({ READ: 1200 })).await;
    let server = greedy(&sandbox);
    let users = server.users().await;
    let many = (0..1000).map(|number| {
        let mut users = users.clone();
        tokio::spawn(async move { read(&mut users, &format!("{number}@test.example"), LONG * 4).await })
    });
    let many: Vec<_> = many.collect();
    let mut other = server.users().await;
    // Half of the window has gone as it came; by now they wait.
    wait_for("the first to be served", async || {
        (counted(&sandbox).await["buckets"][READ]["served"].as_u64()? >= 600).then_some(())
    })
    .await;
    let began = Instant::now();
    read(&mut other, "one@test.example", LONG).await.expect("served");
    let waited = began.elapsed();
    let left = 1000 - counted(&sandbox).await["buckets"][READ]["served"].as_u64().expect("served");
    assert!(waited < Duration::from_secs(3) && left > 200, "{waited:?}, {left} behind");
    many.iter().for_each(tokio::task::JoinHandle::abort);
    server.stop().await;
}

#[tokio::test]
async fn identical_reads_are_one_request_whoever_leaves() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Same").await;
    let before = sandbox.requests().await.len();
    fault(&sandbox, json!({ "method": "GET", "delay_ms": 500 })).await;
    let users = server.users().await;
    let first = tokio::spawn({
        let (mut users, id) = (users.clone(), user.id.clone());
        async move { read(&mut users, &id, LONG).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let all = (0..100).map(|_| {
        let (mut users, id) = (users.clone(), user.id.clone());
        tokio::spawn(async move { read(&mut users, &id, LONG).await })
    });
    let all: Vec<_> = all.collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    for answered in join_all(all).await {
        answered.expect("ran").expect("answered");
    }
    assert_eq!(sandbox.requests().await.len() - before, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_read_after_a_write_is_not_answered_from_before_it() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Before").await;
    // The first read has its answer already, and it is late.
    fault(&sandbox, json!({ "method": "GET", "after": true, "delay_ms": 1500 })).await;
    let early = tokio::spawn({
        let (mut users, id) = (server.users().await, user.id.clone());
        async move { read(&mut users, &id, LONG).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let body = json!({ "profile": { "nickName": "After" } });
    server.call(okta_connector::proto::HttpMethod::Post, &format!("/api/v1/users/{}", user.id), Some(body)).await;
    let read = server.read("", &user.id).await.expect("read").user.expect("user");
    assert_eq!(read.profile.expect("profile").nick_name.as_deref(), Some("After"));
    early.await.expect("ran").expect("answered");
    server.stop().await;
}

#[tokio::test]
async fn a_429_of_others_is_waited_out_and_a_crowd_is_made_smaller() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    fault(&sandbox, json!({ "status": 429 })).await;
    let request = ReadUserRequest { id_or_login: "00u1".to_owned(), ..Default::default() };
    let missing = users.read_user(request).await.expect_err("no such user");
    assert_eq!(
        (missing.code(), missing.metadata().get("okta-attempts")),
        (Code::NotFound, Some(&"2".parse().unwrap()))
    );
    assert!(missing.metadata().get("okta-wait-ms").unwrap().to_str().unwrap().parse::<u32>().unwrap() > 100);

    set(&sandbox, json!({ "concurrent": 5 })).await;
    fault(&sandbox, json!({ "delay_ms": 30, "times": 1000 })).await;
    let crowd = async |round: u32| {
        let all = (0..60).map(|number| {
            let mut users = users.clone();
            async move { read(&mut users, &format!("{round}-{number}@test.example"), LONG).await }
        });
        join_all(all).await.into_iter().for_each(|answered| answered.expect("answered"));
        counted(&sandbox).await["concurrent"]["refused"].as_u64().expect("refused")
    };
    let first = crowd(0).await;
    assert!(first > 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    crowd(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = crowd(2).await;
    let more = crowd(3).await - before;
    assert!(more <= first / 4, "{first} at first, {more} in the end");
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_fails_is_not_hammered_and_comes_back_by_itself() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    fault(&sandbox, json!({ "status": 503, "body": "", "times": 10 })).await;
    let mut refused = None;
    for number in 0..10 {
        let failed = read(&mut users, &format!("{number}@test.example"), LONG).await.expect_err("out of order");
        assert_eq!((failed.code(), &*reason(&failed)), (Code::Unavailable, "OKTA_UNAVAILABLE"));
        if metadata(&failed, "circuit") == "open" {
            refused = Some(failed);
            break;
        }
    }
    let refused = refused.expect("left alone");
    assert_eq!(sandbox.requests().await.len(), 10);
    assert_eq!(metadata(&refused, "ambiguous"), "");
    let wait = refused.get_details_retry_info().and_then(|info| info.retry_delay).expect("when");
    assert!(wait <= Duration::from_secs(5), "{wait:?}");
    let limits = server.connections().await.get_rate_limits(GetRateLimitsRequest::default()).await.expect("limits");
    assert!(limits.get_ref().out_of_order_for.is_some());
    tokio::time::sleep(wait).await;
    read(&mut users, "back@test.example", LONG).await.expect("back");
    server.stop().await;
}

#[tokio::test]
async fn what_is_known_of_the_limits_is_shown() {
    let sandbox = Sandbox::start();
    set(&sandbox, json!({ READ: 600, "token_share": 50 })).await;
    let server = Server::connected_to(&sandbox);
    server.read("", "nobody@test.example").await.expect_err("no such user");
    let mut connections = server.connections().await;
    let limits = connections.get_rate_limits(GetRateLimitsRequest::default()).await.expect("limits").into_inner();
    let bucket = &limits.buckets[0];
    // Of the two that are told, the token's share is the tighter one.
    assert_eq!((&*bucket.bucket, bucket.limit, bucket.remaining, bucket.reserved), (READ, 300, 299, 30));
    assert_eq!((bucket.in_flight, bucket.waiting, limits.in_flight, limits.retries_left), (0, 0, 0, 10));
    assert!(limits.concurrency_limit > 0 && bucket.resets.is_some() && limits.out_of_order_for.is_none());
    let metrics = http().get(format!("{}/metrics", server.admin_url())).send().await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    for (name, value) in [("okta_rate_limit", 300), ("okta_rate_limit_remaining", 299), ("okta_rate_limit_waiting", 0)]
    {
        let line = metrics.lines().find(|line| line.starts_with(&format!("okta_connector_{name}{{"))).expect(name);
        assert!(line.contains(READ) && line.ends_with(&format!(" {value}")), "{line}");
    }
    let unknown = GetRateLimitsRequest { connection: "nobody".to_owned() };
    let unknown = connections.get_rate_limits(unknown).await.expect_err("unknown");
    assert_eq!(reason(&unknown), "CONNECTION_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_reaches_the_request_and_so_does_a_caller_who_leaves() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    fault(&sandbox, json!({ "drip_ms": 100 })).await;
    let began = Instant::now();
    let cut = read(&mut users, "drip@test.example", Duration::from_secs(1)).await.expect_err("cut");
    assert_eq!(cut.code(), Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());

    fault(&sandbox, json!({ "delay_ms": 1500 })).await;
    let leaving = tokio::spawn(async move { read(&mut users, "leaving@test.example", LONG).await });
    wait_for("the request", async || {
        sandbox
            .requests()
            .await
            .last()
            .is_some_and(|last| last["path"].as_str().unwrap().contains("leaving"))
            .then_some(())
    })
    .await;
    leaving.abort();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // It would have been answered by now.
    assert_eq!(sandbox.requests().await.last().expect("request")["status"], 0);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_of_the_callers_comes_back_and_without_one_there_is_one() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    let mut request =
        Request::new(ReadUserRequest { id_or_login: "nobody@test.example".to_owned(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "mine-1".parse().expect("value"));
    let missing = users.read_user(request).await.expect_err("no such user");
    assert_eq!(missing.metadata().get("x-request-id"), Some(&"mine-1".parse().unwrap()));
    assert!(server.process.stderr().contains("mine-1"));
    let mut connections = server.connections().await;
    let answered = connections.get_rate_limits(GetRateLimitsRequest::default()).await.expect("limits");
    assert_eq!(answered.metadata().get("x-request-id").expect("made").len(), 36);
    server.stop().await;
}
