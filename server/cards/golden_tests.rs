//! Every card against its golden files: request → call of Okta, and answer of Okta's → response.
//!
//! A case is a folder `tests/golden/cards/<card>/<case>/` with `request.json`, `call.json`, `answer.json`, `response.json`. Answers are
//! Okta's own examples where there are any. `UPDATE_GOLDEN=1 cargo test golden` writes calls and responses anew: look at the difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{CATALOGUE, Card};
use crate::okta::Answer;
use crate::proto::DESCRIPTORS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cards")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file says what was found, or is made to.
fn check(path: &Path, found: &Value) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, format!("{found:#}\n")).expect("written");
    }
    assert_eq!(&read(path), found, "{}", path.display());
}

fn descriptor(name: &str) -> prost_reflect::MessageDescriptor {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("descriptors"));
    POOL.get_message_by_name(&format!("oktaconnector.v1.{name}")).expect("a message of the API")
}

fn from_json<T: Message + Default>(name: &str, json: Value) -> T {
    let message = DynamicMessage::deserialize(descriptor(name), json).expect("a request in JSON");
    T::decode(message.encode_to_vec().as_slice()).expect("a request")
}

fn to_json(name: &str, message: &impl Message) -> Value {
    let message = DynamicMessage::decode(descriptor(name), message.encode_to_vec().as_slice()).expect("a response");
    serde_json::to_value(message).expect("JSON")
}

fn answer(path: &Path) -> Answer {
    let json = read(path);
    let mut headers = HeaderMap::new();
    for (name, value) in json["headers"].as_object().into_iter().flatten() {
        let value = HeaderValue::from_str(value.as_str().expect("text")).expect("header");
        headers.insert(HeaderName::try_from(name.as_str()).expect("header"), value);
    }
    let status = u16::try_from(json["status"].as_u64().expect("status")).expect("status");
    Answer {
        status: StatusCode::from_u16(status).expect("status"),
        headers,
        body: json.get("body").map(Value::to_string).unwrap_or_default().into(),
        // What the client would have made of a next link.
        next_page_token: if json["headers"]["link"].is_string() { "sealed".to_owned() } else { String::new() },
    }
}

fn run<C: Card<Request: Message + Default, Response: Message>>(folder: &Path) {
    let rpc = C::RPC.rsplit('.').next().expect("name");
    let request: C::Request = from_json(&format!("{rpc}Request"), read(&folder.join("request.json")));
    let call = C::call(&request).expect("a call");
    let mut shown = json!({
        "method": call.endpoint.method.as_str(),
        "path_and_query": call.path_and_query(None),
    });
    if !call.headers.is_empty() {
        shown["headers"] =
            call.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    }
    if let Some(body) = &call.body {
        shown["body"] = serde_json::from_slice(body).expect("JSON");
    }
    check(&folder.join("call.json"), &shown);
    let response = C::answer(&request, &answer(&folder.join("answer.json"))).expect("a response");
    check(&folder.join("response.json"), &to_json(&format!("{rpc}Response"), &response));
}

/// Whatever one field of Okta's answer turns into, the card answers, and no record is lost.
fn run_with_odd_fields<C: Card<Request: Message + Default, Response: Message>>(folder: &Path) {
    let rpc = C::RPC.rsplit('.').next().expect("name");
    let request: C::Request = from_json(&format!("{rpc}Request"), read(&folder.join("request.json")));
    let sound = answer(&folder.join("answer.json"));
    let Ok(body) = serde_json::from_slice::<Value>(&sound.body) else { return };
    let records = |answer: &Answer| {
        let response = C::answer(&request, answer).unwrap_or_else(|error| panic!("{rpc}: {error}"));
        raw_bodies(&to_json(&format!("{rpc}Response"), &response))
    };
    let expected = records(&sound);
    // The attributes of a schema are fields and not records.
    let counts = !rpc.ends_with("Schema");
    for odd in with_one_odd_field(&body, body.is_array()) {
        let found = records(&Answer { body: odd.to_string().into(), ..sound.clone() });
        assert!(!counts || found == expected, "{rpc} lost a record of {odd}");
    }
}

/// Cut short, an HTML page, or bytes that are no text: the card answers or refuses, and never panics.
fn run_with_garbage<C: Card<Request: Message + Default, Response: Message>>(folder: &Path) {
    let rpc = C::RPC.rsplit('.').next().expect("name");
    let request: C::Request = from_json(&format!("{rpc}Request"), read(&folder.join("request.json")));
    let sound = answer(&folder.join("answer.json"));
    let cut = (0..sound.body.len()).step_by(7).map(|end| sound.body.slice(..end));
    let whole = ["", " ", "null", "[]", "{}", "7", "\"x\"", "<!DOCTYPE html><html>busy</html>"].map(|text| text.into());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).into();
    let wide = format!("{{\"profile\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into();
    let bytes = vec![0xff, 0x00, 0xfe].into();
    for body in cut.chain(whole).chain([deep, wide, bytes]) {
        let odd = Answer { body, ..sound.clone() };
        let _ = C::answer(&request, &odd);
        let _ = C::answer_both(&request, &odd, &odd);
    }
}

/// How many raw bodies a response has.
fn raw_bodies(response: &Value) -> usize {
    match response {
        Value::Object(members) => {
            let own = usize::from(members.contains_key("rawBodyJson"));
            own + members.values().map(raw_bodies).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(raw_bodies).sum(),
        _ => 0,
    }
}

/// Copies of `sound` in each of which one field is null, of another type, absent or beside a new one. `whole` says that `sound` is a
/// list of records, which may be odd themselves.
fn with_one_odd_field(sound: &Value, whole: bool) -> Vec<Value> {
    const ODD: [&str; 7] = ["null", "7", "1e400", "true", "\"odd\"", "[null, {}]", "{\"odd\": []}"];
    let odd = || ODD.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let mut copies = Vec::new();
    match sound {
        Value::Object(members) => {
            for (name, value) in members {
                let with = |value: Value| {
                    let mut copy = members.clone();
                    copy.insert(name.clone(), value);
                    Value::Object(copy)
                };
                copies.extend(odd().map(with));
                copies.extend(with_one_odd_field(value, false).into_iter().map(with));
                let mut without = members.clone();
                without.remove(name);
                copies.push(Value::Object(without));
            }
            let mut more = members.clone();
            more.insert("neverSeenBefore".to_owned(), json!({ "deep": [1, "x", null] }));
            copies.push(Value::Object(more));
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let with = |value: Value| {
                    let mut copy = items.clone();
                    copy[at] = value;
                    Value::Array(copy)
                };
                if whole {
                    copies.extend(odd().map(with));
                }
                copies.extend(with_one_odd_field(item, false).into_iter().map(with));
            }
        }
        _ => {}
    }
    copies
}

fn snake(rpc: &str) -> String {
    let name = rpc.rsplit('.').next().expect("name");
    let letters = name.char_indices().flat_map(|(at, letter)| {
        (at > 0 && letter.is_uppercase()).then_some('_').into_iter().chain(letter.to_lowercase())
    });
    letters.collect()
}

fn cases(card: &str) -> Vec<PathBuf> {
    let folder = root().join(card);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|_| panic!("{card} has no golden files in {}", folder.display()));
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "{card} has no golden files");
    cases
}

macro_rules! golden {
    ($($module:ident::$card:ident),* $(,)?) => {
        const COVERED: &[&str] = &[$(super::$module::$card::RPC),*];

        #[test]
        fn golden_files_of_every_card_still_hold() {
            $(for case in cases(&snake(super::$module::$card::RPC)) {
                run::<super::$module::$card>(&case);
            })*
        }

        #[test]
        fn no_garbage_makes_a_card_panic() {
            $(for case in cases(&snake(super::$module::$card::RPC)) {
                run_with_garbage::<super::$module::$card>(&case);
            })*
        }

        #[test]
        fn no_odd_field_of_an_answer_fails_a_card_or_loses_a_record() {
            $(for case in cases(&snake(super::$module::$card::RPC)) {
                run_with_odd_fields::<super::$module::$card>(&case);
            })*
        }
    };
}

golden!(
    users::CreateUser,
    users::ReadUser,
    users::UpdateUser,
    users::DeactivateUser,
    users::DeleteUser,
    users::SearchUsers,
    users::ListUsersWithFilter,
    users::ListUsersWithSearch,
    users::GetUserGroups,
    users::ClearUserSessions,
    users::GetUserSchema,
    groups::ReadGroup,
    groups::SearchGroups,
    groups::ListGroupMembers,
    groups::AddUserToGroup,
    groups::RemoveUserFromGroup,
    applications::AssignUserToAppForSso,
    applications::AssignUserToAppForSsoAndProvisioning,
    applications::GetAssignedUserForApp,
    applications::ListUsersAssignedToApp,
    applications::RemoveUserFromApp,
    applications::UpdateAppCredentialsForAssignedUser,
    applications::UpdateAppProfileForAssignedUser,
    applications::ListApplications,
    applications::GetAppUserSchema,
    custom_api::CustomApiAction,
);

#[test]
fn no_card_is_without_golden_files() {
    let catalogue: Vec<&str> = CATALOGUE.iter().map(|card| card.rpc).collect();
    assert_eq!(COVERED, catalogue);
}

/// The README's table is made of the catalogue.
#[test]
fn the_readme_lists_every_card_as_the_catalogue_has_it() {
    let rows: String = CATALOGUE
        .iter()
        .map(|card| {
            let method = if card.title == "Custom API Action" { "any" } else { card.endpoint.method.as_str() };
            let scope = if card.title == "Custom API Action" {
                "the endpoint's".to_owned()
            } else {
                format!("`{}`", card.endpoint.scope)
            };
            format!("| {} | `{}` | `{method} {}` | {scope} |\n", card.title, card.rpc, card.endpoint.path)
        })
        .collect();
    let table = format!("| card | RPC | Okta endpoint | scope |\n|---|---|---|---|\n{rows}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("README");
    let (start, end) = ("<!-- cards -->\n", "<!-- /cards -->");
    let (before, rest) = readme.split_once(start).expect("the start of the table");
    let (_, after) = rest.split_once(end).expect("the end of the table");
    let wanted = format!("{before}{start}{table}{end}{after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &wanted).expect("written");
    }
    assert!(fs::read_to_string(&path).expect("README") == wanted, "run UPDATE_GOLDEN=1 cargo test golden");
}
