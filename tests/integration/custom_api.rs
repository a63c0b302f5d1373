//! The Custom API Action.

use okta_connector::okta::record;
use okta_connector::proto::custom_api_action_request::Body;
use okta_connector::proto::custom_api_service_client::CustomApiServiceClient;
use okta_connector::proto::{CustomApiActionRequest, HttpMethod};
use prost_types::Struct;
use prost_types::value::Kind;
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, metadata};

fn object(json: &str) -> Option<Struct> {
    match record::to_value(json)?.kind? {
        Kind::StructValue(object) => Some(object),
        _ => None,
    }
}

fn get(relative_url: &str) -> CustomApiActionRequest {
    CustomApiActionRequest {
        method: HttpMethod::Get.into(),
        relative_url: relative_url.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn whatever_okta_answers_is_a_result() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut custom = CustomApiServiceClient::new(server.channel().await);
    let request = CustomApiActionRequest {
        headers: object(r#"{"Accept-Language":"de","X-Number":7}"#),
        query: object(r#"{"limit":2,"search":"status eq \"ACTIVE\""}"#),
        ..get("/api/v1/users?sortBy=status")
    };
    let answer = custom.custom_api_action(request).await.expect("answered").into_inner();
    assert_eq!(answer.status_code, 200);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&answer.body).expect("JSON").len(), 2);
    let headers = record::struct_to_json(&answer.headers.expect("headers"));
    assert!(headers["link"].is_array() && headers["x-okta-request-id"].is_string());
    let sent = sandbox.requests().await.pop().expect("sent");
    assert_eq!((&sent["headers"]["accept-language"], &sent["headers"]["x-number"]), (&"de".into(), &"7".into()));

    let missing = custom.custom_api_action(get("/api/v1/users/nobody")).await.expect("a 404").into_inner();
    assert!(missing.status_code == 404 && missing.body.contains("E0000007"));

    let create = CustomApiActionRequest {
        method: HttpMethod::Post.into(),
        body: Some(Body::BodyJson(r#"{"profile":{"name":"By hand"}}"#.to_owned())),
        ..get("/api/v1/groups")
    };
    assert_eq!(custom.custom_api_action(create).await.expect("created").into_inner().status_code, 200);
    server.stop().await;
}

#[tokio::test]
async fn what_could_leave_the_org_or_smuggle_something_is_refused() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut custom = CustomApiServiceClient::new(server.channel().await);
    let users = || get("/api/v1/users");
    let post = |body: &str| CustomApiActionRequest {
        method: HttpMethod::Post.into(),
        body: Some(Body::BodyJson(body.to_owned())),
        ..users()
    };
    let wrong = [
        (get("https://evil.example/api/v1/users"), "relative_url"),
        (get("//evil.example/api/v1/users"), "relative_url"),
        (get("/api/../admin"), "relative_url"),
        (get("/login"), "relative_url"),
        (CustomApiActionRequest { method: 0, ..users() }, "method"),
        (CustomApiActionRequest { headers: object(r#"{"Authorization":"x"}"#), ..users() }, "headers.Authorization"),
        (CustomApiActionRequest { headers: object(r#"{"Host":"x"}"#), ..users() }, "headers.Host"),
        (CustomApiActionRequest { headers: object(r#"{"X-A":"b\r\nHost: c"}"#), ..users() }, "headers.X-A"),
        (CustomApiActionRequest { query: object(r#"{"q":{}}"#), ..users() }, "query.q"),
        (CustomApiActionRequest { method: HttpMethod::Delete.into(), ..post("{}") }, "body_json"),
        (post("{not json"), "body_json"),
        (post(&format!("\"{}\"", "x".repeat(1 << 20))), "body_json"),
    ];
    for (request, field) in wrong {
        let status = custom.custom_api_action(request).await.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    assert!(sandbox.requests().await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_read_survives_a_broken_answer_and_a_write_says_that_it_may_have_happened() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut custom = CustomApiServiceClient::new(server.channel().await);
    let cut = serde_json::json!({ "cut": true });
    sandbox.control(reqwest::Method::POST, "faults", Some(cut.clone())).await;
    let read = custom.custom_api_action(get("/api/v1/users?limit=1")).await.expect("read again");
    assert_eq!(read.metadata().get("okta-attempts").expect("attempts"), "2");
    sandbox.control(reqwest::Method::POST, "faults", Some(cut)).await;
    let write = CustomApiActionRequest {
        method: HttpMethod::Post.into(),
        body: Some(Body::BodyJson(r#"{"profile":{"name":"Maybe"}}"#.to_owned())),
        ..get("/api/v1/groups")
    };
    let status = custom.custom_api_action(write).await.expect_err("nobody knows");
    assert_eq!((status.code(), metadata(&status, "ambiguous").as_str()), (Code::Unavailable, "true"));
    server.stop().await;
}
