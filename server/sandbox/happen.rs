//! Events that a test makes happen, `/_sandbox/events`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Shared;
use super::log::Happening;
use super::org::{Org, user_target};

/// Events of one call.
const MAX_TIMES: u32 = 1_000_000;
/// Events that are logged before others get their turn with the org.
const CHUNK: u32 = 1000;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/_sandbox/events", post(happen))
}

/// The explanation of all this.
pub(super) fn explanation() -> Value {
    json!({
        "POST /_sandbox/events": {
            "event_type": "user.session.start", "message": "text", "actor": "id or login (the admin)", "targets": [], "debug_data": {},
            "times": "1: how often it happens, up to a million times; debug_data.number counts then, from 0 on",
            "published": "when it happened (now): the log gets it now all the same, as Okta's does with what is late",
        },
    })
}

/// An event to be logged as if it had happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    event_type: String,
    #[serde(default)]
    message: String,
    /// Id or login of a user who did it; the admin when not given.
    actor: Option<String>,
    /// Targets, as they are to stand in the event.
    #[serde(default)]
    targets: Vec<Value>,
    #[serde(default)]
    debug_data: Value,
    #[serde(default = "one")]
    times: u32,
    #[serde(default, deserialize_with = "time")]
    published: Option<Timestamp>,
}

fn one() -> u32 {
    1
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

impl Wish {
    fn happening(self, org: &Org) -> Happening {
        let Self { event_type, message, targets, debug_data, published, .. } = self;
        let actor = self.actor.and_then(|actor| org.find_user(&actor)).unwrap_or_else(|| org.admin.clone());
        let actor = org.users.get(&actor).map(user_target).unwrap_or_default();
        Happening { event_type, message, actor, targets, debug_data, published }
    }
}

async fn happen(State(shared): State<Shared>, Json(wish): Json<Wish>) -> StatusCode {
    let times = wish.times.min(MAX_TIMES);
    let happening = wish.happening(&shared.org());
    let mut done = 0;
    while done < times {
        let until = times.min(done + CHUNK);
        shared.change(|org| {
            for number in done..until {
                org.log.add(numbered(&happening, number, times), Timestamp::now());
            }
        });
        done = until;
        tokio::task::yield_now().await;
    }
    StatusCode::NO_CONTENT
}

/// One of several, which has its number.
fn numbered(happening: &Happening, number: u32, of: u32) -> Happening {
    let mut happening = happening.clone();
    if of > 1 {
        let mut data = happening.debug_data.as_object().cloned().unwrap_or_default();
        data.insert("number".to_owned(), json!(number.to_string()));
        happening.debug_data = Value::Object(data);
    }
    happening
}
