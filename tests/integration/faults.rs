//! The matrix of faults: whatever the org does to whichever card, the caller gets the code, the reason and the details that the README
//! promises, and no write is sent twice that may have been carried out.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use futures_util::future::join_all;
use okta_connector::cards::{CATALOGUE, Listed};
use okta_connector::okta::Repeat;
use okta_connector::proto::DESCRIPTORS;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{Sandbox, Server, metadata, reason};

/// What an org does, and what becomes of it.
struct Row {
    fault: &'static str,
    /// As the sandbox takes it; nothing for an org that nobody listens for.
    does: Value,
    /// How long a call may take.
    timeout: &'static str,
    code: Code,
    reason: &'static str,
    /// Whether a write may have been carried out.
    unclear: bool,
    /// Whether it is about the body alone: cards that read none succeed.
    body_only: bool,
}

fn rows() -> Vec<Row> {
    let row =
        |fault, does, code, reason| Row { fault, does, timeout: "20S", code, reason, unclear: false, body_only: false };
    let unclear = |row: Row| Row { unclear: true, ..row };
    let body = |fault, body: &str, kind: &str| {
        let does = json!({ "status": 200, "body": body, "headers": { "content-type": kind } });
        Row { body_only: true, unclear: true, ..row(fault, does, Code::Unavailable, "OKTA_ANSWER_UNREADABLE") }
    };
    let unavailable = |fault, does| row(fault, does, Code::Unavailable, "OKTA_UNAVAILABLE");
    vec![
        Row { timeout: "700m", ..row("429", json!({ "status": 429 }), Code::ResourceExhausted, "OKTA_RATE_LIMITED") },
        unclear(unavailable("500", json!({ "status": 500, "body": r#"{"errorCode":"E0000009"}"# }))),
        unclear(unavailable("503", json!({ "status": 503 }))),
        unavailable("connection refused", Value::Null),
        unclear(unavailable("reset before the answer", json!({ "reset": true }))),
        unclear(unavailable("reset within the answer", json!({ "cut": true }))),
        unclear(Row {
            timeout: "1500m",
            ..row("timeout", json!({ "delay_ms": 3000 }), Code::DeadlineExceeded, "OKTA_TIMEOUT")
        }),
        body("HTML body", "<html><body>Be right back</body></html>", "text/html"),
        body("empty body", "", "application/json"),
        body("wrong JSON", r#"{"id": "00u1", "profile": {"#, "application/json"),
    ]
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("descriptors"));

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(buffer)];
        bytes::Buf::copy_to_slice(buffer, &mut item);
        Ok(Some(item))
    }
}

/// The first golden case of a card: a request that is well-formed.
fn case(card: &Listed) -> PathBuf {
    let rpc = card.rpc.split_once('.').expect("service and method").1;
    let snake = rpc.chars().fold(String::new(), |mut name, letter| {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
        name
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cards").join(snake);
    let mut cases: Vec<_> = folder.read_dir().expect("cases").map(|entry| entry.expect("entry").path()).collect();
    cases.sort();
    cases.remove(0)
}

fn json_at(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("file")).expect("JSON")
}

/// Calls a card with its golden request.
async fn call(channel: &Channel, card: &Listed, timeout: &str) -> Result<(), Status> {
    let (service, method) = card.rpc.split_once('.').expect("service and method");
    let service = format!("oktaconnector.v1.{service}");
    let rpc = POOL.get_service_by_name(&service).expect("service");
    let rpc = rpc.methods().find(|found| found.name() == method).expect("method");
    let mut json = json_at(&case(card).join("request.json"));
    json.as_object_mut().expect("object").remove("connection");
    let message = DynamicMessage::deserialize(rpc.input(), json).expect("a request").encode_to_vec();
    let mut request = Request::new(message);
    request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("value"));
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("ready");
    let path = format!("/{service}/{method}").parse().expect("path");
    client.unary(request, path, Raw).await.map(drop)
}

/// One fault and every card, on an org and a server of its own.
async fn judge(row: Row) -> Vec<String> {
    let sandbox = Sandbox::start();
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let nobody = "http://127.0.0.1:9".to_owned();
    let domain = if row.does.is_null() { &nobody } else { &url };
    let variables = [("OKTA_DOMAIN", domain.as_str()), ("OKTA_API_TOKEN", &token)];
    let server = Server::start_in(TempDir::new().expect("directory"), &variables);
    let channel = server.channel().await;
    let mut wrong = Vec::new();
    for card in CATALOGUE {
        if !row.does.is_null() {
            let mut fault = row.does.clone();
            fault["times"] = json!(1000);
            sandbox.control(Method::POST, "faults", Some(fault)).await;
        }
        sandbox.control(Method::DELETE, "requests", None).await;
        let outcome = call(&channel, card, row.timeout).await;
        let sent = sandbox.requests().await;
        sandbox.control(Method::DELETE, "faults", None).await;
        if let Err(problem) = check(&row, card, &outcome, &sent) {
            wrong.push(format!("{} × {}: {problem}; {outcome:?}", card.rpc, row.fault));
        }
        // An answer in between: an org that only fails is left alone after a while.
        let _ = server.read("", "nobody@test.example").await;
    }
    if !row.does.is_null() {
        assert!(!server.process.stderr().contains("panicked"));
    }
    server.stop().await;
    wrong
}

fn check(row: &Row, card: &Listed, outcome: &Result<(), Status>, sent: &[Value]) -> Result<(), String> {
    let is_write = |request: &&Value| request["method"] != "GET";
    let writes = sent.iter().filter(is_write).count();
    let is_custom = card.title == "Custom API Action";
    let once = card.endpoint.repeat == Repeat::IfNotCarriedOut || is_custom;
    if once && writes > 1 && row.code != Code::ResourceExhausted {
        return Err(format!("the write was sent {writes} times"));
    }
    if sent.len() > 8 {
        return Err(format!("{} requests", sent.len()));
    }
    let Err(status) = outcome else {
        let reads_no_body = json_at(&case(card).join("answer.json"))["body"].as_str().is_none_or(str::is_empty)
            && json_at(&case(card).join("answer.json"))["body"].as_object().is_none_or(serde_json::Map::is_empty)
            && json_at(&case(card).join("answer.json"))["body"].as_array().is_none();
        let passed_on = is_custom && row.does.get("status").is_some();
        return if passed_on || (row.body_only && reads_no_body) {
            Ok(())
        } else {
            Err("was said to be done".to_owned())
        };
    };
    if (status.code(), &*reason(status)) != (row.code, row.reason) {
        return Err("another code or reason".to_owned());
    }
    let unclear = row.unclear && once && writes > 0;
    if (metadata(status, "ambiguous") == "true") != unclear {
        return Err(format!("ambiguous is not {unclear}"));
    }
    let answered = row.does.get("status").is_some() && row.code != Code::ResourceExhausted;
    if answered && metadata(status, "okta_request_id").is_empty() {
        return Err("without Okta's id of the request".to_owned());
    }
    let limited = row.code == Code::ResourceExhausted;
    if limited && (status.get_details_retry_info().is_none() || status.get_details_quota_failure().is_none()) {
        return Err("without RetryInfo or QuotaFailure".to_owned());
    }
    Ok(())
}

#[tokio::test]
async fn every_fault_of_an_org_becomes_what_is_promised_on_every_card() {
    let wrong: Vec<String> = join_all(rows().into_iter().map(judge)).await.concat();
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
