//! Service apps: a signed assertion for a token, bound to a key where the org wants that.

use okta_connector::proto::create_connection_request::Credentials;
use okta_connector::proto::{
    CheckOutcome, ConnectionState, CreateConnectionRequest, GetConnectionRequest, ServiceAppCredentials,
    TestConnectionRequest, TestConnectionResponse,
};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, metadata, reason};

const RSA_PEM: &str = include_str!("../fixtures/keys/rsa_2048_pkcs8.pem");
const RSA_JWK: &str = include_str!("../fixtures/keys/rsa_2048.jwk");
const EC_PEM: &str = include_str!("../fixtures/keys/p256_sec1.pem");
const EC_JWK: &str = include_str!("../fixtures/keys/p256.jwk");

/// The public half of a JWK.
fn public(jwk: &str) -> Value {
    let mut jwk: Value = serde_json::from_str(jwk).expect("JSON");
    let members = jwk.as_object_mut().expect("object");
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        members.remove(private);
    }
    jwk
}

async fn make_app(sandbox: &Sandbox, more: Value) -> Value {
    let mut client = json!({ "type": "service", "generate_key": true });
    client.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    sandbox.make_client(client).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn request(sandbox: &Sandbox, nickname: &str, credentials: ServiceAppCredentials) -> CreateConnectionRequest {
    CreateConnectionRequest {
        nickname: nickname.to_owned(),
        domain: sandbox.url(),
        credentials: Some(Credentials::ServiceApp(credentials)),
    }
}

async fn create(sandbox: &Sandbox, server: &Server, nickname: &str, credentials: ServiceAppCredentials) {
    let created = server.connections().await.create_connection(request(sandbox, nickname, credentials)).await;
    let state = created.expect("created").into_inner().connection.expect("connection").state();
    assert_eq!(state, ConnectionState::Active);
}

/// A service app of the sandbox, and a connection of it.
async fn connect(sandbox: &Sandbox, server: &Server, nickname: &str, more: Value) -> Value {
    let app = make_app(sandbox, more).await;
    let credentials = ServiceAppCredentials {
        client_id: text(&app, "client_id").to_owned(),
        private_key: text(&app, "private_key").to_owned(),
        key_id: text(&app, "key_id").to_owned(),
        scopes: vec!["okta.users.read".to_owned(), "okta.roles.read".to_owned(), "okta.orgs.read".to_owned()],
    };
    create(sandbox, server, nickname, credentials).await;
    app
}

async fn test(server: &Server, connection: &str) -> TestConnectionResponse {
    let request = TestConnectionRequest { connection: connection.to_owned() };
    server.connections().await.test_connection(request).await.expect("tested").into_inner()
}

fn outcome(report: &TestConnectionResponse, name: &str) -> CheckOutcome {
    report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name} in {report:?}")).outcome()
}

#[tokio::test]
async fn every_kind_of_key_is_taken() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let keys = [
        ("rsa-pem", RSA_PEM, RSA_JWK),
        ("rsa-jwk", RSA_JWK, RSA_JWK),
        ("ec-pem", EC_PEM, EC_JWK),
        ("ec-jwk", EC_JWK, EC_JWK),
    ];
    for (name, private_key, jwk) in keys {
        let app = make_app(&sandbox, json!({ "generate_key": false, "jwks": { "keys": [public(jwk)] } })).await;
        let key_id = if private_key.starts_with('{') { String::new() } else { text(&public(jwk), "kid").to_owned() };
        let credentials = ServiceAppCredentials {
            client_id: text(&app, "client_id").to_owned(),
            private_key: private_key.to_owned(),
            key_id,
            scopes: vec!["okta.users.read".to_owned()],
        };
        create(&sandbox, &server, name, credentials).await;
        server.read(name, "alice.admin@acme.example").await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_wants_tokens_bound_to_a_key_gets_them_and_is_asked_once() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme", json!({ "dpop_bound": true })).await;
    sandbox.set_oauth(json!({ "api_dpop_nonce": true })).await;
    server.read("acme", "alice.admin@acme.example").await.expect("works");
    let learning = sandbox.token_requests().await.len();
    assert!((2..=3).contains(&learning), "{learning}");
    let report = test(&server, "acme").await;
    assert!(report.dpop && report.ok, "{report:?}");

    // It knows after a restart, and its first request has a proof.
    let server = Server::start_in(server.stop().await, &[]);
    server.read("acme", "alice.admin@acme.example").await.expect("works");
    let requests = sandbox.token_requests().await;
    assert!(requests[learning]["headers"]["dpop"].is_string(), "{}", requests[learning]);
    assert!(requests.len() <= learning + 2);

    // A nonce that is replaced comes with any answer, and is learnt from it.
    sandbox.control(Method::POST, "oauth/expire", Some(json!({ "nonces": true }))).await;
    server.read("acme", "alice.admin@acme.example").await.expect("with the next nonce");
    sandbox.control(Method::POST, "oauth/expire", Some(json!({ "nonces": true, "access_tokens": true }))).await;
    server.read("acme", "alice.admin@acme.example").await.expect("with a token and a nonce that are new");
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_two_minutes_off_is_lived_with() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    for (nickname, offset) in [("ahead", 120), ("behind", -120)] {
        sandbox.set_oauth(json!({ "clock_offset_seconds": offset })).await;
        for bound in [false, true] {
            let nickname = format!("{nickname}-{bound}");
            connect(&sandbox, &server, &nickname, json!({ "dpop_bound": bound })).await;
            let read = server.read(&nickname, "alice.admin@acme.example").await;
            read.unwrap_or_else(|error| panic!("{nickname}: {error:?}"));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_app_without_a_role_is_found_out() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "with", json!({})).await;
    let report = test(&server, "with").await;
    assert!(report.ok && !report.admin_roles.is_empty() && report.org_name == "Acme Example, Inc.", "{report:?}");
    assert_eq!(outcome(&report, "scopes"), CheckOutcome::Warning);
    let missing = report.missing_scopes.iter().find(|missing| missing.scope == "okta.groups.manage").expect("missing");
    assert!(missing.rpcs.contains(&"GroupService.AddUserToGroup".to_owned()));

    connect(&sandbox, &server, "without", json!({ "admin_role": null })).await;
    let report = test(&server, "without").await;
    assert_eq!((report.ok, outcome(&report, "admin_role")), (false, CheckOutcome::Failed), "{report:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_app_whose_key_okta_forgot_is_of_no_use_until_it_is_put_right() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let app = connect(&sandbox, &server, "acme", json!({})).await;
    let path = format!("clients/{}", text(&app, "client_id"));
    sandbox.control(Method::PATCH, &path, Some(json!({ "jwks": { "keys": [public(EC_JWK)] } }))).await;
    let refused = server.read("acme", "me").await.expect_err("refused");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "CONNECTION_NEEDS_AUTHORIZATION")
    );
    assert_eq!(metadata(&refused, "oauth_error"), "invalid_client");
    let state = async || {
        let request = GetConnectionRequest { connection: "acme".to_owned() };
        let got = server.connections().await.get_connection(request).await.expect("there").into_inner();
        got.connection.expect("connection").state()
    };
    assert_eq!(state().await, ConnectionState::NeedsReauthorization);
    assert_eq!(outcome(&test(&server, "acme").await, "credential"), CheckOutcome::Failed);

    let mut own: Value = app["private_key_jwk"].clone();
    own.as_object_mut().expect("object").remove("d");
    sandbox.control(Method::PATCH, &path, Some(json!({ "jwks": { "keys": [own] } }))).await;
    let report = test(&server, "acme").await;
    assert!(report.ok, "{report:?}");
    assert_eq!(state().await, ConnectionState::Active);
    server.read("acme", "alice.admin@acme.example").await.expect("works again");
    server.stop().await;
}

#[tokio::test]
async fn scopes_that_the_app_was_not_granted_are_named() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme", json!({ "scopes": ["okta.groups.read"] })).await;
    let refused = server.read("acme", "me").await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "OKTA_PERMISSION_DENIED"));
    assert!(refused.message().contains("okta.users.read") && refused.message().contains("Okta API Scopes"));
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_service_app_is_refused_with_its_field() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let good = || ServiceAppCredentials {
        client_id: "0oa1".to_owned(),
        private_key: EC_PEM.to_owned(),
        key_id: "kid".to_owned(),
        scopes: vec!["okta.users.read".to_owned()],
    };
    let wrong = [
        (ServiceAppCredentials { client_id: String::new(), ..good() }, "client_id"),
        (ServiceAppCredentials { client_id: "a b".to_owned(), ..good() }, "client_id"),
        (ServiceAppCredentials { private_key: String::new(), ..good() }, "private_key"),
        (ServiceAppCredentials { private_key: "hunter2".to_owned(), ..good() }, "private_key"),
        (ServiceAppCredentials { private_key: "x".repeat(100_000), ..good() }, "private_key"),
        (ServiceAppCredentials { key_id: "a\nb".to_owned(), ..good() }, "key_id"),
        (ServiceAppCredentials { scopes: vec!["users".to_owned()], ..good() }, "scopes[0]"),
    ];
    for (credentials, field) in wrong {
        let status = server.connections().await.create_connection(request(&sandbox, "acme", credentials)).await;
        let status = status.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![format!("service_app.{field}")]));
        assert!(!status.message().contains("hunter2"));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_environment_can_name_a_service_app() {
    let sandbox = Sandbox::start();
    let app = make_app(&sandbox, json!({})).await;
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("key.pem");
    std::fs::write(&file, text(&app, "private_key")).expect("written");
    let (url, path) = (sandbox.url(), file.to_str().expect("UTF-8").to_owned());
    let variables = [
        ("OKTA_DOMAIN", url.as_str()),
        ("OKTA_CLIENT_ID", text(&app, "client_id")),
        ("OKTA_PRIVATE_KEY_FILE", &path),
        ("OKTA_PRIVATE_KEY_ID", text(&app, "key_id")),
        ("OKTA_SCOPES", "okta.users.read okta.groups.read"),
    ];
    let server = Server::start_in(tempfile::tempdir().expect("directory"), &variables);
    server.read("default", "alice.admin@acme.example").await.expect("works");
    let server = Server::start_in(server.stop().await, &variables);
    server.read("", "alice.admin@acme.example").await.expect("works");
    server.stop().await;
}
