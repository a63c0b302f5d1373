//! Starting, answering, and stopping.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use okta_connector::proto::SubscribeEventsRequest;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{ClosingReason, DeactivateUserRequest, ReadUserRequest};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Process, Sandbox, Server, http, reason, run, wait_for};

const SERVICES: [&str; 7] = [
    "oktaconnector.v1.ApplicationService",
    "oktaconnector.v1.ConnectionService",
    "oktaconnector.v1.CustomApiService",
    "oktaconnector.v1.EventHookService",
    "oktaconnector.v1.EventService",
    "oktaconnector.v1.GroupService",
    "oktaconnector.v1.UserService",
];

#[tokio::test]
async fn a_server_says_one_line_on_stdout_and_stops_well() {
    let server = Server::alone();
    for name in ["grpc", "http", "admin"] {
        assert!(server.process.ready[name].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    }
    assert_eq!(server.process.ready["event"], "ready");
    server.stop().await;
}

#[tokio::test]
async fn other_than_loopback_addresses_are_served_only_when_asked_for() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("data");
    let data_dir = path.to_str().expect("UTF-8");
    let local = ["--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];
    let arguments = [&["serve", "--data-dir", data_dir, "--grpc-addr", "0.0.0.0:0", "--insecure"], &local[..]].concat();
    let process = Process::start(&arguments, &[]);
    assert!(process.ready["grpc"].as_str().is_some_and(|address| address.starts_with("0.0.0.0:")));
    let mode = std::fs::metadata(&path).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "events speak of people");
    process.stop().await;
}

#[tokio::test]
async fn open_streams_and_watches_do_not_hold_up_a_stop() {
    let server = Server::alone();
    let mut events =
        server.events().await.subscribe_events(SubscribeEventsRequest::default()).await.expect("opened").into_inner();
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
    assert_eq!(watch.message().await.expect("first").expect("status").status(), ServingStatus::Serving);
    assert!(matches!(events.message().await.expect("first").expect("frame").frame, Some(Frame::Opened(_))));

    let asked = Instant::now();
    server.process.terminate();
    let closing = events.message().await.expect("closing").expect("frame");
    let Some(Frame::Closing(closing)) = closing.frame else { panic!("{closing:?}") };
    assert_eq!(closing.reason(), ClosingReason::ServerStopping);
    assert!(closing.reconnect_delay.is_some());
    let ended = events.message().await.expect_err("ended");
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "SERVER_STOPPING"));
    assert_eq!(watch.message().await.expect("second").expect("status").status(), ServingStatus::NotServing);

    let (status, rest) = server.process.wait().await;
    assert!(status.success() && rest.is_empty());
    assert!(asked.elapsed() < Duration::from_secs(10), "the drain timeout had to end it");
}

#[tokio::test]
async fn a_call_that_is_under_way_is_finished_before_the_stop() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Slow").await;
    let fault = serde_json::json!({ "path": "/api/v1/users/", "delay_ms": 700 });
    sandbox.control(reqwest::Method::POST, "faults", Some(fault)).await;
    let mut users = server.users().await;
    let call = tokio::spawn(async move {
        users.deactivate_user(DeactivateUserRequest { id_or_login: user.id, ..Default::default() }).await
    });
    wait_for("the call to reach the org", async || {
        sandbox.requests().await.iter().any(|request| request["status"] == 0).then_some(())
    })
    .await;
    server.process.terminate();
    assert_eq!(call.await.expect("joined").expect("answered").into_inner().status_code, 200);
    assert!(server.process.wait().await.0.success());
}

#[tokio::test]
async fn every_service_is_healthy_and_explains_itself() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let server = Server::alone();
    let mut health = HealthClient::new(server.channel().await);
    for service in SERVICES.iter().chain([&""]) {
        let request = HealthCheckRequest { service: (*service).to_owned() };
        let status = health.check(request).await.expect("checked").into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let mut answers = reflection.server_reflection_info(tokio_stream::once(list)).await.expect("answered").into_inner();
    let answer = answers.message().await.expect("answer").expect("answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");

    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as Alpha;
    let list = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut alpha = Alpha::new(server.channel().await);
    let answers = alpha.server_reflection_info(tokio_stream::once(list)).await.expect("answered").into_inner();
    drop(answers);
    server.stop().await;
}

#[tokio::test]
async fn the_admin_listener_tells_how_it_is() {
    let server = Server::alone();
    for (path, says) in [("live", "alive"), ("ready", "ready"), ("metrics", "# EOF")] {
        let answer = http().get(format!("{}/{path}", server.admin_url())).send().await.expect("answered");
        assert!(answer.status().is_success());
        assert!(answer.text().await.expect("text").contains(says), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_reads_the_ready_line_finds_the_server_ready() {
    let client = http();
    for _ in 0..5 {
        let server = Server::alone();
        let ready = client.get(format!("{}/ready", server.admin_url())).send().await.expect("answered");
        assert!(ready.status().is_success(), "{}", ready.status());
        server.stop().await;
    }
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_server() {
    let server = Server::alone();
    let path = server.path().to_str().expect("UTF-8");
    let (code, stdout, stderr) = run(&["serve", "--data-dir", path, "--grpc-addr", "127.0.0.1:0"], &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("another okta-connector"), "{stderr}");
    server.stop().await;
}

#[test]
fn a_bad_setting_is_one_line_and_exit_64_before_anything_is_opened() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("data");
    let data_dir = path.to_str().expect("UTF-8");
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let bad: [(&[&str], Variables<'_>, &str); 8] = [
        (&["--grpc-addr", "nonsense"], &[], "--grpc-addr"),
        (&["--grpc-addr", "0.0.0.0:0"], &[], "--insecure"),
        (&[], &[("OKTA_CONNECTOR_LOG_FORMAT", "xml")], "OKTA_CONNECTOR_LOG_FORMAT"),
        (&["--insecure", "perhaps"], &[], "--insecure"),
        (&["--public-url", "http://acme.example"], &[], "--public-url"),
        (&["--config", "/does/not/exist.toml"], &[], "/does/not/exist.toml"),
        (&[], &[("OKTA_DOMAIN", "acme.okta.com")], "OKTA_API_TOKEN"),
        (&[], &[("OKTA_DOMAIN", "http://acme.okta.com"), ("OKTA_API_TOKEN", "very-secret")], "OKTA_DOMAIN"),
    ];
    for (arguments, variables, says) in bad {
        let (code, stdout, stderr) = run(&[&["serve", "--data-dir", data_dir], arguments].concat(), variables);
        assert_eq!((code, stdout.as_str()), (64, ""), "{says}: {stderr}");
        assert!(stderr.contains(says) && stderr.trim_end().lines().count() == 1, "{stderr}");
        assert!(!stderr.contains("very-secret"));
    }
    assert!(!path.exists(), "nothing was to be opened");
}

#[test]
fn help_and_settings_can_be_read() {
    for arguments in
        [&["--help"][..], &["serve", "--help"], &["sandbox", "--help"], &["demo", "--help"], &["tail", "--help"]]
    {
        assert_eq!(run(arguments, &[]).0, 0, "{arguments:?}");
    }
    let (_, settings, _) = run(&["config", "env"], &[]);
    assert!(settings.contains("OKTA_CONNECTOR_DATA_DIR") && settings.contains("OKTA_API_TOKEN"));
    let (_, effective, _) = run(&["config", "print"], &[("OKTA_CONNECTOR_LOG", "warn")]);
    assert!(effective.contains("log = \"warn\"  # OKTA_CONNECTOR_LOG"), "{effective}");
    assert_eq!(run(&["nonsense"], &[]).0, 64);
}

#[tokio::test]
async fn an_org_that_is_not_there_is_unavailable() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    sandbox.0.stop().await;
    let request = ReadUserRequest { id_or_login: "00u1".to_owned(), ..Default::default() };
    let status = server.users().await.read_user(request).await.expect_err("no org");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "OKTA_UNAVAILABLE"));
    assert_eq!(status.metadata().get("okta-attempts").expect("attempts"), "4");
    server.stop().await;
}
