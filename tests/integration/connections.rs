//! Connections: kept, found, tested, removed; and their secrets never seen again.

use std::fs;

use okta_connector::proto::connection_service_client::ConnectionServiceClient;
use okta_connector::proto::create_connection_request::Credentials;
use okta_connector::proto::{
    ApiTokenCredentials, CheckOutcome, ConnectionState, CreateConnectionRequest, CredentialKind,
    DeleteConnectionRequest, GetConnectionRequest, ListConnectionsRequest, ReadUserRequest, TestConnectionRequest,
};
use tonic::Code;

use crate::harness::{Process, Sandbox, Server, fields, reason, run};

const SECRET: &str = "00verySecretToken-for-this-test";

fn create(nickname: &str, domain: &str, token: &str) -> CreateConnectionRequest {
    CreateConnectionRequest {
        nickname: nickname.to_owned(),
        domain: domain.to_owned(),
        credentials: Some(Credentials::ApiToken(ApiTokenCredentials { api_token: token.to_owned() })),
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_its_token_is_never_seen_again() {
    let server = Server::start_logging(tempfile::tempdir().expect("directory"), &[], "trace");
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    let created = connections.create_connection(create("acme", "https://acme-admin.okta.com/", SECRET)).await;
    let created = created.expect("created").into_inner().connection.expect("connection");
    assert_eq!((created.base_url.as_str(), created.state()), ("https://acme.okta.com", ConnectionState::Active));
    assert!(created.credential_kind() == CredentialKind::ApiToken && created.is_default);
    let mut seen = format!("{created:?}");
    seen.push_str(&server.process.stderr());
    let directory = server.stop().await;
    for entry in fs::read_dir(directory.path()).expect("entries") {
        let path = entry.expect("entry").path();
        let bytes = fs::read(&path).expect("bytes");
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
    }
    let server = Server::start_in(directory, &[]);
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    let get = GetConnectionRequest { connection: "acme".to_owned() };
    let again = connections.get_connection(get).await.expect("kept").into_inner().connection.expect("connection");
    seen.push_str(&format!("{again:?}"));
    assert_eq!(again.id, created.id);
    assert!(!seen.contains(SECRET));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_connection_is_refused_with_its_field() {
    let server = Server::alone();
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    for (request, field) in [
        (create("", "acme.okta.com", "t"), "nickname"),
        (create("a b", "acme.okta.com", "t"), "nickname"),
        (create("con_x", "acme.okta.com", "t"), "nickname"),
        (create("acme", "", "t"), "domain"),
        (create("acme", "http://acme.okta.com", "t"), "domain"),
        (create("acme", "user:word@acme.okta.com", "t"), "domain"),
        (create("acme", "10.0.0.1", "t"), "domain"),
        (create("acme", "acme.okta.com", ""), "api_token.api_token"),
        (create("acme", "acme.okta.com", "two words"), "api_token.api_token"),
        (CreateConnectionRequest { credentials: None, ..create("acme", "acme.okta.com", "") }, "credentials"),
    ] {
        let status = connections.create_connection(request).await.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    connections.create_connection(create("acme", "acme.okta.com", "t")).await.expect("created");
    let taken = connections.create_connection(create("acme", "other.okta.com", "t")).await.expect_err("taken");
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "CONNECTION_NICKNAME_TAKEN"));
    server.stop().await;
}

#[tokio::test]
async fn connections_are_listed_page_by_page_and_removed_by_name() {
    let server = Server::alone();
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    for name in ["one", "two", "three"] {
        connections.create_connection(create(name, "acme.okta.com", "t")).await.expect("created");
    }
    let mut names = Vec::new();
    let mut request = ListConnectionsRequest { page_size: 2, ..Default::default() };
    loop {
        let page = connections.list_connections(request.clone()).await.expect("page").into_inner();
        names.extend(page.connections.into_iter().map(|connection| connection.nickname));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(names, ["one", "two", "three"]);
    let odd = ListConnectionsRequest { page_token: "x".to_owned(), ..Default::default() };
    assert_eq!(reason(&connections.list_connections(odd).await.expect_err("token")), "PAGE_TOKEN_INVALID");
    let unnamed = connections.delete_connection(DeleteConnectionRequest::default()).await.expect_err("unnamed");
    assert_eq!(fields(&unnamed), ["connection"]);
    let delete = DeleteConnectionRequest { connection: "two".to_owned() };
    connections.delete_connection(delete.clone()).await.expect("removed");
    assert_eq!(connections.delete_connection(delete).await.expect_err("gone").code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_connection_is_named() {
    let server = Server::alone();
    let request =
        |connection: &str| ReadUserRequest { connection: connection.to_owned(), id_or_login: "00u1".to_owned() };
    let mut users = server.users().await;
    for name in ["", "nowhere"] {
        let status = users.read_user(request(name)).await.expect_err("unknown");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "CONNECTION_NOT_FOUND"));
        assert!(status.message().contains(name) && !status.message().is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_test_of_a_connection_tells_what_works() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    let report = connections.test_connection(TestConnectionRequest::default()).await.expect("tested").into_inner();
    assert!(report.ok && report.org_name == "Acme Example, Inc." && report.principal == "alice.admin@acme.example");
    assert!(report.rate_limit > 0 && report.round_trip.is_some());

    connections.create_connection(create("wrong", &sandbox.url(), "00wrong")).await.expect("created");
    let request = TestConnectionRequest { connection: "wrong".to_owned() };
    let report = connections.test_connection(request).await.expect("tested").into_inner();
    let outcome = |name: &str| report.checks.iter().find(|check| check.name == name).expect("check").outcome();
    assert!(!report.ok);
    assert_eq!((outcome("reachable"), outcome("credential")), (CheckOutcome::Passed, CheckOutcome::Failed));
    let read = ReadUserRequest { connection: "wrong".to_owned(), id_or_login: "00u1".to_owned() };
    let status = server.users().await.read_user(read).await.expect_err("wrong token");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "OKTA_CREDENTIAL_REJECTED"));
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_key_is_said_and_changes_nothing() {
    let server = Server::alone();
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    connections.create_connection(create("acme", "acme.okta.com", "t")).await.expect("created");
    let directory = server.stop().await;
    let path = directory.path().to_str().expect("UTF-8");
    let other = ("OKTA_CONNECTOR_SECRET_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let any = [
        "serve",
        "--data-dir",
        path,
        "--grpc-addr",
        "127.0.0.1:0",
        "--http-addr",
        "127.0.0.1:0",
        "--admin-addr",
        "127.0.0.1:0",
    ];
    let (code, stdout, stderr) = run(&any, &[other]);
    assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
    assert!(stderr.contains("secret key") && !stderr.contains(other.1), "{stderr}");
    let server = Server::start_in(directory, &[]);
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    assert!(connections.get_connection(GetConnectionRequest { connection: "acme".to_owned() }).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn an_org_with_a_certificate_of_its_own_is_trusted_when_told_to() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("sandbox.pem");
    let certificate = path.to_str().expect("UTF-8");
    let arguments = ["sandbox", "--addr", "127.0.0.1:0", "--tls", "--certificate-file", certificate];
    let sandbox = Sandbox(Process::start(&arguments, &[]));
    let (url, token) = (sandbox.url(), sandbox.api_token());
    assert!(url.starts_with("https://"));
    let org = [("OKTA_DOMAIN", url.as_str()), ("OKTA_API_TOKEN", token.as_str())];
    let read = || ReadUserRequest { id_or_login: "me".to_owned(), ..Default::default() };

    let wary = Server::start_in(tempfile::tempdir().expect("directory"), &org);
    let status = wary.users().await.read_user(read()).await.expect_err("a stranger's certificate");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "OKTA_UNAVAILABLE"));
    wary.stop().await;

    let variables = [org[0], org[1], ("OKTA_CONNECTOR_CA_FILE", certificate)];
    let server = Server::start_in(tempfile::tempdir().expect("directory"), &variables);
    assert!(server.users().await.read_user(read()).await.is_ok());
    server.stop().await;
    sandbox.0.stop().await;
}

#[tokio::test]
async fn an_org_is_nowhere_that_it_may_not_be() {
    let sandbox = Sandbox::start();
    let public = [("OKTA_CONNECTOR_ORG_ADDRESSES", "public")];
    let server = Server::start_in(tempfile::tempdir().expect("directory"), &public);
    let mut connections = ConnectionServiceClient::new(server.channel().await);
    for domain in [sandbox.url().as_str(), "localhost", "10.0.0.1", "169.254.169.254", "[fd00::1]", "0x7f000001"] {
        let status = connections.create_connection(create("inside", domain, "t")).await.expect_err(domain);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["domain".to_owned()]), "{domain}");
    }
    server.stop().await;
}
