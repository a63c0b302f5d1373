//! OAuth web apps: authorized in a browser, and kept so.

use std::time::Duration;

use okta_connector::proto::create_connection_request::Credentials;
use okta_connector::proto::{
    ApiTokenCredentials, AuthorizationOutcome, BeginAuthorizationRequest, Connection, ConnectionState,
    CreateConnectionRequest, DeleteConnectionRequest, GetConnectionRequest, OAuthWebAppCredentials, ReadUserRequest,
    UpdateConnectionRequest, WaitForAuthorizationRequest, WaitForAuthorizationResponse, update_connection_request,
};
use prost_types::FieldMask;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Code;

use crate::browser::Browser;
use crate::harness::{Sandbox, Server, fields, http, metadata, reason, wait_for};

const CLIENT_SECRET: &str = "web-app-secret";

/// A web app of the sandbox that sends browsers back to `server`, and a connection of it that nobody has authorized yet.
async fn connect(sandbox: &Sandbox, server: &Server, nickname: &str) -> Connection {
    let client = make_app(sandbox, server, json!({})).await;
    let scopes = ["okta.users.manage", "okta.groups.read"];
    create(sandbox, server, nickname, &client, &scopes).await
}

async fn make_app(sandbox: &Sandbox, server: &Server, more: Value) -> String {
    let callback = format!("{}/oauth/callback", server.http_url());
    let mut client = json!({ "type": "web", "client_secret": CLIENT_SECRET, "redirect_uris": [callback] });
    client.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    sandbox.make_client(client).await["client_id"].as_str().expect("id").to_owned()
}

async fn create(sandbox: &Sandbox, server: &Server, nickname: &str, client_id: &str, scopes: &[&str]) -> Connection {
    let credentials = OAuthWebAppCredentials {
        client_id: client_id.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let request = CreateConnectionRequest {
        nickname: nickname.to_owned(),
        domain: sandbox.url(),
        credentials: Some(Credentials::OauthWebApp(credentials)),
    };
    let response = server.connections().await.create_connection(request).await.expect("created");
    response.into_inner().connection.expect("connection")
}

async fn begin(server: &Server, connection: &str) -> String {
    let request = BeginAuthorizationRequest { connection: connection.to_owned() };
    let begun = server.connections().await.begin_authorization(request).await.expect("begun").into_inner();
    assert_eq!(begun.redirect_uri, format!("{}/oauth/callback", server.http_url()));
    begun.authorization_url
}

async fn authorize(server: &Server, connection: &str) {
    let link = begin(server, connection).await;
    let page = Browser::default().authorize(&link, "allow").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
}

async fn wait(server: &Server, connection: &str) -> WaitForAuthorizationResponse {
    let request = WaitForAuthorizationRequest { connection: connection.to_owned() };
    server.connections().await.wait_for_authorization(request).await.expect("waited").into_inner()
}

async fn get(server: &Server, connection: &str) -> Connection {
    let request = GetConnectionRequest { connection: connection.to_owned() };
    let response = server.connections().await.get_connection(request).await.expect("there");
    response.into_inner().connection.expect("connection")
}

async fn expire(sandbox: &Sandbox, what: &str) {
    sandbox.control(Method::POST, "oauth/expire", Some(json!({ what: true }))).await;
}

#[tokio::test]
async fn an_admin_consents_in_a_browser_and_calls_work_from_then_on() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let created = connect(&sandbox, &server, "acme").await;
    assert_eq!(created.state(), ConnectionState::PendingAuthorization);
    let early = server.read("acme", "me").await.expect_err("not authorized yet");
    assert_eq!((early.code(), reason(&early).as_str()), (Code::FailedPrecondition, "CONNECTION_NEEDS_AUTHORIZATION"));
    assert!(early.message().contains("BeginAuthorization"), "{}", early.message());

    let link = begin(&server, "acme").await;
    let waiting = wait(&server, "acme");
    let page = async {
        let mut browser = Browser::default();
        let okta = browser.open(&link).await.location.expect("sent to Okta");
        let value = |name: &str| okta.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(value("code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(value("scope").as_deref(), Some("openid offline_access okta.users.manage okta.groups.read"));
        assert!(value("state").is_some_and(|state| state.len() >= 20) && value("nonce").is_some());
        browser.authorize(&link, "allow").await
    };
    let (waited, page) = tokio::join!(waiting, page);
    assert_eq!(waited.outcome(), AuthorizationOutcome::Authorized);
    assert!(page.status == StatusCode::OK && page.body.contains("acme is authorized"), "{}", page.body);
    let connection = get(&server, "acme").await;
    assert_eq!(connection.state(), ConnectionState::Active);
    assert!(connection.granted_scopes.contains(&"okta.groups.read".to_owned()));
    assert!(server.read("acme", "me").await.is_ok());

    // After a restart the refresh token is all there is.
    let server = Server::start_in(server.stop().await, &[]);
    assert!(server.read("acme", "me").await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn whatever_goes_wrong_in_the_browser_is_said_there_and_to_whoever_waits() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    let refused = async |says: &[&str], decision: &str| {
        let link = begin(&server, "acme").await;
        let page = Browser::default().authorize(&link, decision).await;
        let waited = wait(&server, "acme").await;
        assert_eq!((page.status, waited.outcome()), (StatusCode::BAD_REQUEST, AuthorizationOutcome::Refused));
        for text in says {
            assert!(page.body.contains(text) && waited.refusal.contains(text), "{text}: {} {waited:?}", page.body);
        }
    };
    refused(&["access_denied", "as an admin of the org"], "deny").await;

    let connection = get(&server, "acme").await;
    let path = format!("clients/{}", connection.client_id);
    sandbox.control(Method::PATCH, &path, Some(json!({ "client_secret": "another" }))).await;
    refused(&["invalid_client", "UpdateConnection"], "allow").await;
    sandbox.control(Method::PATCH, &path, Some(json!({ "client_secret": CLIENT_SECRET }))).await;

    sandbox.control(Method::PATCH, &path, Some(json!({ "scopes": ["okta.groups.read"] }))).await;
    let mut browser = Browser::default();
    let okta = browser.open(&begin(&server, "acme").await).await.location.expect("sent to Okta");
    let callback = browser.open(okta.as_str()).await.location.expect("sent back at once");
    let page = browser.open(callback.as_str()).await;
    assert!(page.body.contains("invalid_scope") && page.body.contains("Okta API Scopes"), "{}", page.body);

    sandbox.control(Method::PATCH, &path, Some(json!({ "redirect_uris": ["https://elsewhere.example/"] }))).await;
    let mut browser = Browser::default();
    let okta = browser.open(&begin(&server, "acme").await).await.location.expect("sent to Okta");
    assert_eq!(browser.open(okta.as_str()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::PendingAuthorization);
    server.stop().await;
}

#[tokio::test]
async fn a_callback_is_believed_once_from_the_browser_that_began() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    let link = begin(&server, "acme").await;
    let mut browser = Browser::default();
    let callback = browser.decide(&link, "allow").await;

    let foreign = Browser::default().open(callback.as_str()).await;
    assert!(foreign.status == StatusCode::BAD_REQUEST && foreign.body.contains("another browser"), "{}", foreign.body);
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::PendingAuthorization);
    assert_eq!(browser.open(callback.as_str()).await.status, StatusCode::OK);
    let again = browser.open(callback.as_str()).await;
    assert!(again.status == StatusCode::BAD_REQUEST && again.body.contains("carried out already"), "{}", again.body);
    let looked = http().head(callback.as_str()).send().await.expect("answered");
    assert_eq!(looked.status(), StatusCode::NO_CONTENT);
    let link_again = browser.open(&link).await;
    assert!(link_again.status == StatusCode::BAD_REQUEST && link_again.body.contains("carried out already"));

    // A newer link makes the one before worthless.
    let old = begin(&server, "acme").await;
    let new = begin(&server, "acme").await;
    assert!(browser.open(&old).await.body.contains("not known here"));
    assert!(browser.open(&new).await.location.is_some());

    let base = format!("{}/oauth", server.http_url());
    for odd in [
        "/callback",
        "/callback?state=&code=x",
        "/callback?state=guessed&code=x",
        "/callback?state=a&state=b",
        "/callback?error=access_denied",
        "/callback?state=%FF%FE",
        "/start/guessed",
    ] {
        let page = browser.open(&format!("{base}{odd}")).await;
        assert!(page.status == StatusCode::BAD_REQUEST && page.body.contains("<h1>"), "{odd}: {page:?}");
    }
    assert!(server.process.stderr().contains("turned an authorization away"));
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::Active);
    server.stop().await;
}

#[tokio::test]
async fn endless_guesses_are_turned_away_and_do_not_keep_an_admin_out() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    let guess = format!("{}/oauth/callback?state=guessed&code=x", server.http_url());
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(http().get(&guess).send().await.expect("answered").status());
    }
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count(), 40);
    assert!(server.process.stderr().matches("authorization").count() < 70);
    authorize(&server, "acme").await;
    server.stop().await;
}

#[tokio::test]
async fn however_many_calls_wait_one_refresh_reaches_the_org() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    sandbox.set_oauth(json!({ "access_token_seconds": 2 })).await;
    authorize(&server, "acme").await;
    let before = sandbox.token_requests().await.len();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    sandbox.set_oauth(json!({ "access_token_seconds": 3600 })).await;
    let channel = server.channel().await;
    let calls = (0..200).map(|_| {
        let mut users = okta_connector::proto::user_service_client::UserServiceClient::new(channel.clone());
        async move {
            let (connection, id_or_login) = ("acme".to_owned(), "me".to_owned());
            users.read_user(ReadUserRequest { connection, id_or_login }).await
        }
    });
    for outcome in futures_util::future::join_all(calls).await {
        outcome.expect("answered");
    }
    assert_eq!(sandbox.token_requests().await.len(), before + 1);
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_call_repeated_once() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    server.read("acme", "me").await.expect("works");
    expire(&sandbox, "access_tokens").await;
    let before = (sandbox.token_requests().await.len(), sandbox.requests().await.len());
    server.read("acme", "me").await.expect("works again");
    assert_eq!(sandbox.token_requests().await.len(), before.0 + 1);
    assert_eq!(sandbox.requests().await.len(), before.1 + 3);

    // An org that refuses whatever it is given is asked twice, and no more.
    let fault = json!({ "path": "/api/v1/users", "status": 401, "times": 100 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let before = (sandbox.token_requests().await.len(), sandbox.requests().await.len());
    let refused = server.read("acme", "me").await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "OKTA_CREDENTIAL_REJECTED"));
    assert_eq!(sandbox.token_requests().await.len(), before.0 + 1);
    assert_eq!(sandbox.requests().await.len(), before.1 + 3);

    // Nor is the token endpoint asked for another with every call, when new tokens are refused like old ones.
    for _ in 0..10 {
        server.read("acme", "me").await.expect_err("refused");
    }
    assert_eq!(sandbox.token_requests().await.len(), before.0 + 1);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_refresh_needs_an_admin_and_calls_say_so_at_once() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    expire(&sandbox, "refresh_tokens").await;
    expire(&sandbox, "access_tokens").await;
    let first = server.read("acme", "me").await.expect_err("refused");
    assert_eq!((first.code(), reason(&first).as_str()), (Code::FailedPrecondition, "CONNECTION_NEEDS_AUTHORIZATION"));
    assert_eq!(metadata(&first, "oauth_error"), "invalid_grant");
    let connection = get(&server, "acme").await;
    assert_eq!(connection.state(), ConnectionState::NeedsReauthorization);
    assert!(connection.state_reason.contains("invalid_grant") && connection.state_changed.is_some());

    let before = sandbox.requests().await.len();
    let later = server.read("acme", "me").await.expect_err("refused");
    assert!(later.message().contains("BeginAuthorization") && later.message().contains("20"), "{}", later.message());
    assert_eq!(sandbox.requests().await.len(), before);
    authorize(&server, "acme").await;
    server.read("acme", "me").await.expect("works again");
    server.stop().await;
}

#[tokio::test]
async fn a_secret_that_was_changed_at_okta_is_put_right_here_without_a_new_consent() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let connection = connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    let path = format!("clients/{}", connection.client_id);
    sandbox.control(Method::PATCH, &path, Some(json!({ "client_secret": "rolled" }))).await;
    expire(&sandbox, "access_tokens").await;
    let refused = server.read("acme", "me").await.expect_err("refused");
    assert_eq!(metadata(&refused, "oauth_error"), "invalid_client");
    assert!(get(&server, "acme").await.state_reason.contains("UpdateConnection"));

    let fresh = OAuthWebAppCredentials {
        client_id: connection.client_id.clone(),
        client_secret: "rolled".to_owned(),
        scopes: Vec::new(),
    };
    let request = UpdateConnectionRequest {
        connection: "acme".to_owned(),
        credentials: Some(update_connection_request::Credentials::OauthWebApp(fresh)),
        update_mask: Some(FieldMask { paths: vec!["credentials".to_owned()] }),
        etag: connection.etag.clone(),
        ..Default::default()
    };
    let updated = server.connections().await.update_connection(request.clone()).await.expect("updated").into_inner();
    let updated = updated.connection.expect("connection");
    assert_eq!((updated.state(), &updated.scopes), (ConnectionState::Active, &connection.scopes));
    server.read("acme", "me").await.expect("works again");
    let stale = server.connections().await.update_connection(request).await.expect_err("stale");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "CONNECTION_CHANGED"));
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_is_out_of_order_changes_nothing_about_a_connection() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    expire(&sandbox, "access_tokens").await;
    let broken = |fault: Value| sandbox.control(Method::POST, "faults", Some(fault));
    for (fault, code) in [
        (json!({ "path": "/oauth2/v1/token", "status": 500, "times": 3 }), Code::Unavailable),
        (json!({ "path": "/oauth2/v1/token", "status": 200, "body": "<html>", "times": 3 }), Code::Unavailable),
        (
            json!({ "path": "/oauth2/v1/token", "status": 429, "headers": { "retry-after": "30" }, "times": 1 }),
            Code::ResourceExhausted,
        ),
    ] {
        broken(fault.clone()).await;
        let error = server.read("acme", "me").await.expect_err("no token");
        assert_eq!(error.code(), code, "{fault} {error:?}");
        assert_eq!(get(&server, "acme").await.state(), ConnectionState::Active);
        if code != Code::ResourceExhausted {
            let works = async || server.read("acme", "me").await.ok();
            wait_for("the org to be asked again", works).await;
            expire(&sandbox, "access_tokens").await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_kill_around_a_rotation_loses_nothing() {
    let sandbox = Sandbox::start();
    let mut server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    for round in 0..20_u64 {
        expire(&sandbox, "access_tokens").await;
        // The rotation is carried out, and its answer comes late or never.
        let fault = json!({ "path": "/oauth2/v1/token", "after": true, "delay_ms": if round % 2 == 0 { 5_000 } else { round } });
        sandbox.control(Method::POST, "faults", Some(fault)).await;
        let before = sandbox.token_requests().await.len();
        let call = tokio::spawn({
            let mut users = server.users().await;
            async move {
                let (connection, id_or_login) = ("acme".to_owned(), "me".to_owned());
                drop(users.read_user(ReadUserRequest { connection, id_or_login }).await);
            }
        });
        wait_for("the refresh to reach the org", async || {
            (sandbox.token_requests().await.len() > before).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(round * 2)).await;
        let directory = server.kill();
        call.await.expect("ended");
        server = Server::start_in(directory, &[]);
        server.read("acme", "me").await.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::Active);
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_with_the_server_is_taken_up_at_the_next_start() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    expire(&sandbox, "access_tokens").await;
    let fault = json!({ "path": "/oauth2/v1/token", "after": true, "delay_ms": 60_000 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let before = sandbox.token_requests().await.len();
    let (asked, call) = (
        async || (sandbox.token_requests().await.len() > before).then_some(()),
        tokio::spawn({
            let mut users = server.users().await;
            async move {
                let (connection, id_or_login) = ("acme".to_owned(), "me".to_owned());
                users.read_user(ReadUserRequest { connection, id_or_login }).await.is_ok()
            }
        }),
    );
    wait_for("the refresh to reach the org", asked).await;
    let directory = server.kill();
    assert!(!call.await.expect("ended"));

    // Nobody calls: within the grace period the server itself sends the same token again.
    let server = Server::start_in(directory, &[]);
    wait_for("the same refresh again", async || (sandbox.token_requests().await.len() > before + 1).then_some(()))
        .await;
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::Active);
    server.read("acme", "me").await.expect("works");
    assert_eq!(sandbox.token_requests().await.len(), before + 2);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_kept_alive() {
    let sandbox = Sandbox::start();
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start_in(directory, &[("OKTA_CONNECTOR_KEEP_ALIVE_AFTER", "1")]);
    connect(&sandbox, &server, "acme").await;
    sandbox.set_oauth(json!({ "refresh_idle_seconds": 4 })).await;
    authorize(&server, "acme").await;
    let before = sandbox.token_requests().await.len();
    wait_for("refreshes of its own", async || (sandbox.token_requests().await.len() >= before + 4).then_some(())).await;
    server.read("acme", "me").await.expect("still authorized");
    server.stop().await;
}

#[tokio::test]
async fn a_removed_connection_hands_its_tokens_back() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    connect(&sandbox, &server, "acme").await;
    let delete = || DeleteConnectionRequest { connection: "acme".to_owned() };
    authorize(&server, "acme").await;
    let deleted = server.connections().await.delete_connection(delete()).await.expect("deleted").into_inner();
    assert!(deleted.tokens_revoked);
    assert!(
        sandbox
            .requests()
            .await
            .iter()
            .any(|request| request["path"] == "/oauth2/v1/revoke" && request["status"] == 200)
    );

    // An org that does not answer does not keep a connection from being removed.
    connect(&sandbox, &server, "acme").await;
    authorize(&server, "acme").await;
    let fault = json!({ "path": "/oauth2/v1/revoke", "status": 503 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let deleted = server.connections().await.delete_connection(delete()).await.expect("deleted").into_inner();
    assert!(!deleted.tokens_revoked);
    let gone = server.read("acme", "me").await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn a_web_app_whose_tokens_are_bound_to_a_key_works_the_same() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let client = make_app(&sandbox, &server, json!({ "dpop_bound": true })).await;
    create(&sandbox, &server, "acme", &client, &["okta.users.read"]).await;
    authorize(&server, "acme").await;
    server.read("acme", "me").await.expect("works");
    let server = Server::start_in(server.stop().await, &[]);
    server.read("acme", "me").await.expect("with the key of before");
    server.stop().await;
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let client = make_app(&sandbox, &server, json!({})).await;
    create(&sandbox, &server, "acme", &client, &["okta.groups.read"]).await;
    authorize(&server, "acme").await;
    let refused = server.read("acme", "me").await.expect_err("no scope for users");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "OKTA_PERMISSION_DENIED"));
    assert_eq!(metadata(&refused, "required_scope"), "okta.users.read");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_web_app_or_no_update_of_one_is_refused_with_its_field() {
    let sandbox = Sandbox::start();
    let server = Server::alone();
    let good = || OAuthWebAppCredentials {
        client_id: "0oa1".to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        scopes: vec!["okta.users.read".to_owned()],
    };
    let mut connections = server.connections().await;
    let mut create = async |nickname: &str, credentials: OAuthWebAppCredentials| {
        let (nickname, domain) = (nickname.to_owned(), sandbox.url());
        let credentials = Some(Credentials::OauthWebApp(credentials));
        connections.create_connection(CreateConnectionRequest { nickname, domain, credentials }).await
    };
    for (credentials, field) in [
        (OAuthWebAppCredentials { client_id: String::new(), ..good() }, "client_id"),
        (OAuthWebAppCredentials { client_secret: String::new(), ..good() }, "client_secret"),
        (OAuthWebAppCredentials { client_secret: "two words".to_owned(), ..good() }, "client_secret"),
        (OAuthWebAppCredentials { client_secret: "x".repeat(1_000_000), ..good() }, "client_secret"),
        (OAuthWebAppCredentials { scopes: vec!["okta.users.read okta.logs.read".to_owned()], ..good() }, "scopes[0]"),
    ] {
        let status = create("acme", credentials).await.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![format!("oauth_web_app.{field}")]));
        assert!(!status.message().contains("two words"));
    }
    create("acme", good()).await.expect("created");
    create("other", OAuthWebAppCredentials { scopes: Vec::new(), ..good() }).await.expect("created");
    assert_eq!(get(&server, "other").await.scopes.len(), 6, "those that all RPCs need");

    let update = |paths: &[&str]| UpdateConnectionRequest {
        connection: "acme".to_owned(),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    let token = ApiTokenCredentials { api_token: "00token".to_owned() };
    let token = Some(update_connection_request::Credentials::ApiToken(token));
    for (request, code, why) in [
        (update(&[]), Code::InvalidArgument, "update_mask"),
        (update(&["base_url"]), Code::InvalidArgument, "update_mask"),
        (update(&["credentials"]), Code::InvalidArgument, "credentials"),
        (update(&["nickname"]), Code::InvalidArgument, "nickname"),
        (UpdateConnectionRequest { etag: "odd".to_owned(), ..update(&["disabled"]) }, Code::InvalidArgument, "etag"),
        (
            UpdateConnectionRequest { scopes: vec!["x".to_owned()], ..update(&["scopes"]) },
            Code::InvalidArgument,
            "scopes[0]",
        ),
        (
            UpdateConnectionRequest { nickname: "other".to_owned(), ..update(&["nickname"]) },
            Code::AlreadyExists,
            "CONNECTION_NICKNAME_TAKEN",
        ),
        (
            UpdateConnectionRequest { credentials: token, ..update(&["credentials"]) },
            Code::FailedPrecondition,
            "CONNECTION_KIND_MISMATCH",
        ),
    ] {
        let status = server.connections().await.update_connection(request).await.expect_err(why);
        let named = fields(&status).contains(&why.to_owned()) || reason(&status) == why;
        assert!(status.code() == code && named, "{why}: {status:?}");
    }
    let off = UpdateConnectionRequest { disabled: true, ..update(&["disabled"]) };
    server.connections().await.update_connection(off).await.expect("switched off");
    let refused = server.read("acme", "me").await.expect_err("off");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CONNECTION_DISABLED"));
    let begin = BeginAuthorizationRequest { connection: "acme".to_owned() };
    let refused = server.connections().await.begin_authorization(begin).await.expect_err("off");
    assert_eq!(reason(&refused), "CONNECTION_DISABLED");
    server.connections().await.update_connection(update(&["disabled"])).await.expect("switched on");
    assert_eq!(get(&server, "acme").await.state(), ConnectionState::PendingAuthorization);
    server.stop().await;
}
