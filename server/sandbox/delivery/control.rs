//! What a test can do to deliveries, below `/_sandbox/`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::plan::{Settings, Wish};
use crate::sandbox::Shared;

pub(in crate::sandbox) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_sandbox/deliveries", get(progress).post(plan))
        .route("/_sandbox/deliveries/hold", post(hold))
        .route("/_sandbox/deliveries/release", post(release))
        .route("/_sandbox/hooks", get(settings).post(change_settings))
}

/// The explanation of all this.
pub(in crate::sandbox) fn explanation() -> Value {
    json!({
        "GET /_sandbox/deliveries": {
            "holding": "whether they are held back", "unseen": "events of the log that have not been looked at yet",
            "waiting": "events that wait for their delivery, once for each hook", "under_way": "deliveries that have been begun",
            "planned": "plans of POST that wait for their delivery",
        },
        "POST /_sandbox/deliveries": {
            "times": "1: so many of the next deliveries", "lose": "false: they never go", "repeat": "0: how often they go once more",
            "delay_ms": "0: they go so much later", "batch": "1 to 100: each carries so many events, as many as have come within wait_ms (up to 100 that came together)",
            "reorder": "reverse or shuffle: their events change places, within a batch and between the deliveries, which go one after the other",
            "wait_ms": "1000: how long batch and reorder wait for enough events",
        },
        "POST /_sandbox/deliveries/hold": "keeps all deliveries back; they keep the secret and the URL that the hook has now. A hundred thousand events wait for a hook, older ones are lost",
        "POST /_sandbox/deliveries/release": "lets them go",
        "GET /_sandbox/hooks": "the settings of POST",
        "POST /_sandbox/hooks": {
            "timeout_ms": "3000: how long a hook may take to answer",
            "deactivate_after_failures": "null: a hook is switched off when so many deliveries have failed one after the other",
            "unverify_replaced": "false: true makes every hook that is replaced unverified, not only one that moves",
        },
    })
}

async fn progress(State(shared): State<Shared>) -> Json<Value> {
    let end = shared.org().log.end();
    let control = shared.control();
    let progress = &control.progress;
    Json(json!({
        "holding": control.plans.holding,
        "unseen": end.saturating_sub(progress.next),
        "waiting": progress.waiting,
        "under_way": progress.under_way,
        "planned": control.plans.len(),
    }))
}

async fn plan(State(shared): State<Shared>, Json(wish): Json<Wish>) -> Result<StatusCode, (StatusCode, String)> {
    let planned = shared.control().plans.add(&wish);
    planned.map(|()| StatusCode::NO_CONTENT).map_err(|wrong| (StatusCode::BAD_REQUEST, wrong))
}

async fn hold(State(shared): State<Shared>) -> StatusCode {
    shared.control().plans.holding = true;
    StatusCode::NO_CONTENT
}

async fn release(State(shared): State<Shared>) -> StatusCode {
    shared.control().plans.holding = false;
    shared.grown.notify_one();
    StatusCode::NO_CONTENT
}

async fn settings(State(shared): State<Shared>) -> Json<Settings> {
    Json(shared.control().delivery_settings.clone())
}

async fn change_settings(
    State(shared): State<Shared>,
    Json(change): Json<Value>,
) -> Result<Json<Settings>, (StatusCode, String)> {
    let mut control = shared.control();
    let settings = changed(&control.delivery_settings, change).map_err(|wrong| (StatusCode::BAD_REQUEST, wrong))?;
    control.delivery_settings = settings.clone();
    Ok(Json(settings))
}

/// The settings with a change; what it does not name stays.
fn changed(settings: &Settings, change: Value) -> Result<Settings, String> {
    let mut merged = json!(settings);
    let Value::Object(change) = change else { return Err("the settings are a JSON object".to_owned()) };
    if let Some(members) = merged.as_object_mut() {
        members.extend(change);
    }
    let settings: Settings = serde_json::from_value(merged).map_err(|error| error.to_string())?;
    settings.check().map(|()| settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_settings_leaves_the_others_alone() {
        let first = changed(&Settings::default(), json!({ "deactivate_after_failures": 3 })).expect("changed");
        let second = changed(&first, json!({ "timeout_ms": 100, "unverify_replaced": true })).expect("changed");
        assert_eq!(
            json!(second),
            json!({ "timeout_ms": 100, "deactivate_after_failures": 3, "unverify_replaced": true })
        );
        assert_eq!(
            changed(&second, json!({ "deactivate_after_failures": null })).expect("changed").deactivate_after_failures,
            None
        );
        for wrong in [json!([]), json!({ "timeout": 1 }), json!({ "timeout_ms": 0 }), json!({ "timeout_ms": "1" })] {
            assert!(changed(&first, wrong).is_err());
        }
    }
}
