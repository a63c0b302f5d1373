//! No secret ever leaves: not in an answer, not in an error, not in a log line, and not readable on disk.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use okta_connector::proto::create_connection_request::Credentials;
use okta_connector::proto::event_hook_service_client::EventHookServiceClient;
use okta_connector::proto::{
    ApiTokenCredentials, BeginAuthorizationRequest, CreateConnectionRequest, DeleteConnectionRequest,
    GetConnectionRequest, ListConnectionsRequest, ListEventHooksRequest, OAuthWebAppCredentials,
    RegisterEventHookRequest, ResealSecretsRequest, ServiceAppCredentials, TestConnectionRequest,
    UpdateConnectionRequest, WaitForAuthorizationRequest,
};
use prost_types::FieldMask;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Response, Status};

use crate::browser::Browser;
use crate::harness::{Sandbox, Server, http, run};

const API_TOKEN: &str = "00anApiTokenThatNobodyMaySee";
const WRONG_TOKEN: &str = "00anApiTokenThatIsNoGoodEither";
const CLIENT_SECRET: &str = "a-client-secret-that-nobody-may-see";
const WRONG_SECRET: &str = "a-client-secret-that-is-no-good-either";

/// Everything that was said.
#[derive(Default)]
struct Seen(String);

impl Seen {
    fn note<T: std::fmt::Debug>(&mut self, outcome: Result<Response<T>, Status>) -> Option<T> {
        match outcome {
            Ok(response) => {
                self.0.push_str(&format!("{response:?}\n"));
                Some(response.into_inner())
            }
            Err(status) => {
                self.0.push_str(&format!("{status:?} {}\n", String::from_utf8_lossy(status.details())));
                None
            }
        }
    }
}

/// The ways in which a secret could be written down: as it is, and in base64.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(secret).into_bytes());
    }
    // As part of `client:secret`, the beginning of the encoding depends on what stands before it.
    for before in ["xxx", "x", "xx"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{secret}"));
        forms.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    forms
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn create(nickname: &str, domain: &str, credentials: Credentials) -> CreateConnectionRequest {
    CreateConnectionRequest { nickname: nickname.to_owned(), domain: domain.to_owned(), credentials: Some(credentials) }
}

fn api_token(token: &str) -> Credentials {
    Credentials::ApiToken(ApiTokenCredentials { api_token: token.to_owned() })
}

fn web_app(client_id: &str, client_secret: &str) -> OAuthWebAppCredentials {
    let (client_id, client_secret) = (client_id.to_owned(), client_secret.to_owned());
    OAuthWebAppCredentials {
        client_id,
        client_secret,
        scopes: vec!["okta.users.manage".to_owned(), "okta.eventHooks.manage".to_owned()],
    }
}

/// The secret of the hook that was registered last, as the org was told it.
async fn hook_secret(sandbox: &Sandbox) -> String {
    let requests = sandbox.requests().await;
    let made = requests.iter().rfind(|request| request["method"] == "POST" && request["path"] == "/api/v1/eventHooks");
    let body: Value = serde_json::from_str(made.expect("registered")["body"].as_str().expect("body")).expect("JSON");
    body["channel"]["config"]["authScheme"]["value"].as_str().expect("secret").to_owned()
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() {
    let sandbox = Sandbox::start();
    let (mut seen, mut secrets) = (Seen::default(), Vec::new());
    let server = Server::start_logging(tempfile::tempdir().expect("directory"), &[], "trace");
    let mut connections = server.connections().await;

    // Everything that can be done with connections, well and badly.
    let callback = format!("{}/oauth/callback", server.http_url());
    let web = json!({ "type": "web", "client_secret": CLIENT_SECRET, "redirect_uris": [callback], "dpop_bound": true });
    let web = sandbox.make_client(web).await["client_id"].as_str().expect("id").to_owned();
    let service = sandbox.make_client(json!({ "type": "service", "generate_key": true, "dpop_bound": true })).await;
    let key = service["private_key"].as_str().expect("key").to_owned();
    secrets.extend(key.lines().filter(|line| !line.starts_with("---")).map(str::to_owned));
    secrets.push(service["private_key_jwk"]["d"].as_str().expect("d").to_owned());
    let service = ServiceAppCredentials {
        client_id: service["client_id"].as_str().expect("id").to_owned(),
        private_key: key,
        key_id: String::new(),
        scopes: vec!["okta.users.read".to_owned()],
    };
    for (nickname, credentials) in [
        ("token", api_token(&sandbox.api_token())),
        ("wrong-token", api_token(WRONG_TOKEN)),
        ("unreachable", api_token(API_TOKEN)),
        ("web", Credentials::OauthWebApp(web_app(&web, CLIENT_SECRET))),
        ("wrong-web", Credentials::OauthWebApp(web_app(&web, WRONG_SECRET))),
        ("service", Credentials::ServiceApp(service.clone())),
        ("web", Credentials::OauthWebApp(web_app(&web, CLIENT_SECRET))),
        ("odd scope", Credentials::OauthWebApp(web_app(&web, CLIENT_SECRET))),
        ("bad-key", Credentials::ServiceApp(ServiceAppCredentials { key_id: "a\nb".to_owned(), ..service.clone() })),
        ("bad-token", api_token(&format!("{API_TOKEN} {API_TOKEN}"))),
    ] {
        let domain = if nickname == "unreachable" { "http://127.0.0.1:9".to_owned() } else { sandbox.url() };
        seen.note(connections.create_connection(create(nickname, &domain, credentials)).await);
    }
    for (connection, decision) in [("web", "deny"), ("web", "allow"), ("wrong-web", "allow")] {
        let connection = connection.to_owned();
        let begun = connections.begin_authorization(BeginAuthorizationRequest { connection: connection.clone() }).await;
        let link = begun.expect("begun").into_inner().authorization_url;
        let page = Browser::default().authorize(&link, decision).await;
        seen.0.push_str(&page.body);
        seen.note(connections.wait_for_authorization(WaitForAuthorizationRequest { connection }).await);
    }
    let registered = EventHookServiceClient::new(server.channel().await)
        .register_event_hook(RegisterEventHookRequest { connection: "web".to_owned(), ..Default::default() })
        .await;
    assert!(seen.note(registered).is_some());
    secrets.push(hook_secret(&sandbox).await);
    for connection in ["token", "wrong-token", "unreachable", "web", "wrong-web", "service", "nowhere"] {
        let connection = connection.to_owned();
        seen.note(connections.test_connection(TestConnectionRequest { connection: connection.clone() }).await);
        seen.note(connections.get_connection(GetConnectionRequest { connection: connection.clone() }).await);
        seen.0.push_str(&format!("{:?}", server.read(&connection, "alice.admin@acme.example").await));
        sandbox.control(Method::POST, "oauth/expire", Some(json!({ "nonces": true }))).await;
    }
    let handed_out: Value =
        serde_json::from_str(&sandbox.control(Method::GET, "oauth/tokens", None).await).expect("JSON");
    for kind in ["codes", "access_tokens", "refresh_tokens"] {
        let all = handed_out[kind].as_array().expect("list");
        assert!(!all.is_empty(), "no {kind}");
        secrets.extend(all.iter().map(|secret| secret.as_str().expect("text").to_owned()));
    }
    sandbox.control(Method::POST, "oauth/expire", Some(json!({ "access_tokens": true }))).await;
    seen.0.push_str(&format!("{:?}", server.read("web", "me").await.expect("renewed")));
    let renewed: Value = serde_json::from_str(&sandbox.control(Method::GET, "oauth/tokens", None).await).expect("JSON");
    let renewed = renewed["access_tokens"].as_array().expect("list").iter().map(|token| token.as_str().expect("text"));
    secrets.extend(renewed.map(str::to_owned));
    seen.note(
        connections
            .update_connection(UpdateConnectionRequest {
                connection: "wrong-web".to_owned(),
                credentials: Some(okta_connector::proto::update_connection_request::Credentials::OauthWebApp(web_app(
                    &web,
                    WRONG_SECRET,
                ))),
                update_mask: Some(FieldMask { paths: vec!["credentials".to_owned()] }),
                ..Default::default()
            })
            .await,
    );
    seen.note(connections.list_connections(ListConnectionsRequest::default()).await);
    seen.note(connections.reseal_secrets(ResealSecretsRequest {}).await);
    let hooks =
        EventHookServiceClient::new(server.channel().await).list_event_hooks(ListEventHooksRequest::default()).await;
    assert!(seen.note(hooks).is_some());
    seen.note(connections.delete_connection(DeleteConnectionRequest { connection: "service".to_owned() }).await);
    sandbox.control(Method::POST, "events", Some(json!({ "event_type": "user.session.start" }))).await;

    // And nothing of it all is anywhere.
    secrets.extend([API_TOKEN, WRONG_TOKEN, CLIENT_SECRET, WRONG_SECRET].map(str::to_owned));
    secrets.push(sandbox.api_token());
    let log = server.process.stderr();
    assert!(log.contains("TRACE"), "the log was not at trace level");
    let directory = server.stop().await;
    let key = fs::read_to_string(directory.path().join("secret.key")).expect("key");
    secrets.push(key.trim().to_owned());
    let mut places =
        vec![("the log".to_owned(), log.into_bytes()), ("what was answered".to_owned(), seen.0.into_bytes())];
    places.extend(files(directory.path()));
    assert!(places.len() >= 4 && secrets.len() >= 15, "{} places, {} secrets", places.len(), secrets.len());
    for secret in &secrets {
        for (place, text) in &places {
            for form in forms(secret) {
                assert!(!contains(text, &form), "{:?}… is in {place}", &secret[..6]);
            }
        }
    }
}

/// What is in the data directory, but for the key itself.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = fs::read_dir(directory).expect("directory").map(|entry| entry.expect("entry").path());
    let others = paths.filter(|path| !path.ends_with("secret.key"));
    others.map(|path| (path.display().to_string(), fs::read(&path).expect("bytes"))).collect()
}

#[tokio::test]
async fn a_key_is_rotated_without_a_stop_of_service_and_the_old_one_can_go() {
    const OLD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let sandbox = Sandbox::start();
    let both = format!("{NEW}\n{OLD}");
    let key = |key: &'static str| [("OKTA_CONNECTOR_SECRET_KEY", key)];
    let server = Server::start_in(tempfile::tempdir().expect("directory"), &key(OLD));
    let request = create("token", &sandbox.url(), api_token(&sandbox.api_token()));
    server.connections().await.create_connection(request).await.expect("created");
    EventHookServiceClient::new(server.channel().await)
        .register_event_hook(RegisterEventHookRequest::default())
        .await
        .expect("registered");

    let server = Server::start_in(server.stop().await, &[("OKTA_CONNECTOR_SECRET_KEY", &both)]);
    server.read("token", "me").await.expect("opened with the old key");
    let grpc = server.process.ready["grpc"].as_str().expect("address").to_owned();
    let (code, stdout, stderr) = run(&["connections", "reseal", "--server", &grpc], &[]);
    assert!(code == 0 && stdout.starts_with("2 of 2 secrets"), "{stdout} {stderr}");
    let again =
        server.connections().await.reseal_secrets(ResealSecretsRequest {}).await.expect("resealed").into_inner();
    assert_eq!((again.secrets, again.resealed), (2, 0));

    let server = Server::start_in(server.stop().await, &key(NEW));
    server.read("token", "me").await.expect("opened with the new key");
    let hook = EventHookServiceClient::new(server.channel().await)
        .list_event_hooks(ListEventHooksRequest::default())
        .await
        .expect("listed")
        .into_inner()
        .hooks
        .remove(0);
    let delivery = http()
        .post(format!("{}/hooks/{}", server.http_url(), hook.id))
        .header("authorization", hook_secret(&sandbox).await)
        .body(
            r#"{"eventType":"com.okta.event_hook","data":{"events":[{"uuid":"1","eventType":"user.session.start"}]}}"#,
        );
    assert_eq!(delivery.send().await.expect("answered").status(), 204);
    server.stop().await;
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_written_down() {
    let secret = "a-secret-of-some-length";
    let basic = STANDARD.encode(format!("client-id:{secret}"));
    for text in [format!("x{secret}y"), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), basic] {
        assert!(forms(secret).iter().any(|form| contains(text.as_bytes(), form)), "{text}");
    }
}
