//! Card "Custom API Action": any request to the org, and whatever it answers.

use std::borrow::Cow;

use bytes::Bytes;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::relative_url;
use crate::cards::Card;
use crate::cards::fields::Violations;
use crate::error::Result;
use crate::okta::record::{is_json, to_json};
use crate::okta::{Accept, Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::custom_api_action_request::Body;
use crate::proto::{self, CustomApiActionRequest, CustomApiActionResponse};

/// Okta's own bound on most bodies.
const MAX_BODY: usize = 1 << 20;
const MAX_HEADERS: usize = 64;
const MAX_PARAMETERS: usize = 256;

/// Headers that this service or HTTP itself sets.
const OWNED_HEADERS: [&str; 19] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "dpop",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// `CustomApiService.CustomApiAction`.
#[derive(Debug)]
pub enum CustomApiAction {}

impl Card for CustomApiAction {
    type Request = CustomApiActionRequest;
    type Response = CustomApiActionResponse;

    const TITLE: &'static str = "Custom API Action";
    const RPC: &'static str = "CustomApiService.CustomApiAction";
    /// The method is the caller's; the path is one label for all of them, as metrics must not have a label for each URL.
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/{relativeUrl}",
        scope: "that of the endpoint",
        repeat: Repeat::Safe,
    };

    fn call(request: &CustomApiActionRequest) -> Result<Call> {
        let mut wrong = Violations::default();
        let method = method(request, &mut wrong);
        let url = relative_url::parse(&request.relative_url).unwrap_or_else(|error| {
            wrong.add("relative_url", error);
            relative_url::RelativeUrl { path: String::new(), query: Vec::new() }
        });
        let mut query: Vec<_> = url.query.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect();
        query.extend(parameters(request.query.as_ref(), &mut wrong));
        if query.len() > MAX_PARAMETERS {
            wrong.add("query", format!("has more than {MAX_PARAMETERS} parameters"));
        }
        let headers = headers(request.headers.as_ref(), &mut wrong);
        let body = body(request, method, &mut wrong);
        if !request.request_id.is_empty() && method != HttpMethod::Post {
            wrong.add("request_id", "goes with POST only; what the other methods do twice is as HTTP has it");
        }
        wrong.check()?;
        // What may be repeated without harm is a matter of HTTP here (RFC 9110, 9.2.2), but for DELETE: Okta's second DELETE of
        // a user does something else than its first.
        let repeat = match method {
            HttpMethod::Get | HttpMethod::Put => Repeat::Safe,
            HttpMethod::Post | HttpMethod::Patch | HttpMethod::Delete => Repeat::IfNotCarriedOut,
        };
        let endpoint = Endpoint { method, repeat, ..Self::ENDPOINT };
        Ok(Call { endpoint, path: url.path, query, headers, body, accept: Accept::AnyStatus, page: None })
    }

    fn request_id(request: &CustomApiActionRequest) -> &str {
        &request.request_id
    }

    fn answer(_: &CustomApiActionRequest, answer: &Answer) -> Result<CustomApiActionResponse> {
        let body_bytes = match std::str::from_utf8(&answer.body) {
            Ok(_) => Vec::new(),
            Err(_) => answer.body.to_vec(),
        };
        Ok(CustomApiActionResponse {
            status_code: answer.status_code(),
            headers: Some(headers_to_struct(&answer.headers)),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            body_bytes,
        })
    }
}

fn method(request: &CustomApiActionRequest, wrong: &mut Violations) -> HttpMethod {
    match proto::HttpMethod::try_from(request.method) {
        Ok(proto::HttpMethod::Get) => HttpMethod::Get,
        Ok(proto::HttpMethod::Post) => HttpMethod::Post,
        Ok(proto::HttpMethod::Put) => HttpMethod::Put,
        Ok(proto::HttpMethod::Patch) => HttpMethod::Patch,
        Ok(proto::HttpMethod::Delete) => HttpMethod::Delete,
        Ok(proto::HttpMethod::Unspecified) | Err(_) => {
            wrong.add("method", "must be one of GET, POST, PUT, PATCH and DELETE");
            HttpMethod::Get
        }
    }
}

fn parameters(query: Option<&Struct>, wrong: &mut Violations) -> Vec<(Cow<'static, str>, String)> {
    let mut parameters = Vec::new();
    for (name, value) in query.into_iter().flat_map(|query| &query.fields) {
        let values = match &value.kind {
            Some(Kind::ListValue(list)) => list.values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for value in values {
            match scalar(value) {
                Some(value) => parameters.push((Cow::Owned(name.clone()), value)),
                None => wrong.add(format!("query.{name}"), "must be a text, a number, a boolean, or a list of them"),
            }
        }
    }
    parameters
}

fn headers(headers: Option<&Struct>, wrong: &mut Violations) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in headers.into_iter().flat_map(|headers| &headers.fields) {
        let field = format!("headers.{name}");
        let value = scalar(value);
        if HeaderName::try_from(name.as_str()).is_err() {
            wrong.add(field, "is no name of an HTTP header");
        } else if OWNED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            wrong.add(field, "is set by this service and cannot be given");
        } else if let Some(value) = value.filter(|value| HeaderValue::try_from(value.as_str()).is_ok()) {
            pairs.push((name.clone(), value));
        } else {
            wrong.add(field, "must be a text, a number or a boolean that can stand in an HTTP header");
        }
    }
    if pairs.len() > MAX_HEADERS {
        wrong.add("headers", format!("has more than {MAX_HEADERS} headers"));
    }
    pairs
}

/// A text, number or boolean, as text.
fn scalar(value: &Value) -> Option<String> {
    match to_json(value) {
        serde_json::Value::String(text) => Some(text),
        json @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Some(json.to_string()),
        _ => None,
    }
}

fn body(request: &CustomApiActionRequest, method: HttpMethod, wrong: &mut Violations) -> Option<Bytes> {
    let (field, text) = match request.body.as_ref()? {
        Body::BodyValue(value) => ("body_value", to_json(value).to_string()),
        Body::BodyJson(text) => ("body_json", text.clone()),
    };
    if matches!(method, HttpMethod::Get | HttpMethod::Delete) {
        wrong.add(field, format!("cannot be given with {}", method.as_str()));
    } else if text.len() > MAX_BODY {
        wrong.add(field, format!("is {} bytes long, {MAX_BODY} at most can be sent", text.len()));
    } else if !is_json(&text) {
        wrong.add(field, "is not JSON");
    }
    Some(text.into())
}

fn headers_to_struct(headers: &HeaderMap) -> Struct {
    let text = |value: &HeaderValue| Value {
        kind: Some(Kind::StringValue(String::from_utf8_lossy(value.as_bytes()).into_owned())),
    };
    let fields = headers.keys().map(|name| {
        let mut values: Vec<Value> = headers.get_all(name).into_iter().map(text).collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value { kind: Some(Kind::ListValue(ListValue { values })) },
        };
        (name.as_str().to_owned(), value)
    });
    Struct { fields: fields.collect() }
}
