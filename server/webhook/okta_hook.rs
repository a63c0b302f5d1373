//! An event hook as Okta has it: its shape, its bounds, and the event types that a request means. Pure.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::connections::HookRow;
use crate::error::{Error, Result};
use crate::events::{CARDS, catalogue, event_type_of};
use crate::okta::Answer;
use crate::okta::record::Projection;
use crate::proto::{ErrorReason, EventCard, EventHookStatus, RegisterEventHookRequest};

/// Okta's bound on the types of one hook; more are split over several.
pub(super) const MAX_TYPES: usize = 300;
/// Okta's bound on the active hooks of an org.
pub(super) const MAX_ACTIVE_HOOKS: usize = 25;
/// Characters of a hook's name in an error that lists them all: it has to fit into a header.
const SHOWN_NAME: usize = 40;

/// The types asked for, sorted, each once.
pub(super) fn wanted_types(request: &RegisterEventHookRequest) -> Result<Vec<String>> {
    let mut types: Vec<String> = Vec::new();
    for (at, card) in request.cards.iter().enumerate() {
        match EventCard::try_from(*card) {
            Ok(EventCard::CustomWebhook) => {
                let eligible = catalogue::entries().iter().filter(|entry| entry.hook_eligible);
                types.extend(eligible.map(|entry| entry.event_type.to_owned()));
            }
            Ok(card) if card != EventCard::Unspecified => {
                types.extend(event_type_of(card).map(str::to_owned));
            }
            _ => return Err(Error::invalid(format!("cards[{at}]"), format!("is {card}, which is no card"))),
        }
    }
    for (at, event_type) in request.event_types.iter().enumerate() {
        match catalogue::find(event_type) {
            Some(entry) if !entry.hook_eligible => {
                let wrong = format!("{event_type:?} is in the System Log only: no event hook delivers it");
                return Err(Error::invalid(format!("event_types[{at}]"), wrong));
            }
            None if event_type.is_empty() || event_type.contains([',', '*', ' ']) => {
                return Err(Error::invalid(format!("event_types[{at}]"), format!("{event_type:?} is no event type")));
            }
            // A type that is newer than our catalogue is for Okta to judge.
            _ => types.push(event_type.clone()),
        }
    }
    if types.is_empty() {
        types.extend(CARDS.iter().map(|card| card.event_type.to_owned()));
    }
    types.sort();
    types.dedup();
    Ok(types)
}

/// A hook as the org has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrgHook {
    /// Okta's id.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: EventHookStatus,
    pub(super) uri: String,
    /// Whether Okta takes the URL for ours.
    pub(super) verified: bool,
}

impl OrgHook {
    /// Reads Okta's JSON.
    pub(super) fn read(raw: &str) -> Self {
        let projection = Projection::new();
        let hook = projection.record(raw);
        let config = hook.record("channel").and_then(|channel| channel.record("config"));
        let status = |name: &str| EventHookStatus::from_str_name(&format!("EVENT_HOOK_STATUS_{name}"));
        Self {
            id: hook.text_or_empty("id"),
            name: hook.text_or_empty("name"),
            status: hook.choice("status", status),
            uri: config.map(|config| config.text_or_empty("uri")).unwrap_or_default(),
            verified: hook.text_or_empty("verificationStatus") == "VERIFIED",
        }
    }
}

/// The error of an org that has no room for `needed` hooks more; nothing when it has.
pub(super) fn limit_reached(hooks: &[OrgHook], needed: usize) -> Option<Error> {
    let active: Vec<&OrgHook> = hooks.iter().filter(|hook| hook.status == EventHookStatus::Active).collect();
    if active.len() + needed <= MAX_ACTIVE_HOOKS {
        return None;
    }
    let shown = |hook: &&OrgHook| format!("{} ({})", hook.name.chars().take(SHOWN_NAME).collect::<String>(), hook.id);
    let names: Vec<String> = active.iter().map(shown).collect();
    let (count, names) = (active.len(), names.join(", "));
    let message = format!(
        "the org has {count} active event hooks of the {MAX_ACTIVE_HOOKS} that it may have, and {needed} more would be needed; \
         delete some of them: {names}"
    );
    let error = Error::new(ErrorReason::HookLimitReached, message);
    Some(error.with("active_hooks", count.to_string()).with("hooks", names))
}

/// How a delivery says who it is from.
fn auth_scheme(secret: &SecretString) -> Value {
    json!({ "type": "HEADER", "key": "Authorization", "value": secret.expose_secret() })
}

/// The hook as the org has it, with another secret: what the org's admins have changed about it stays, as long as it leads here.
pub(super) fn with_secret(row: &HookRow, present: &Answer, secret: &SecretString) -> Result<Value> {
    let text = present.object()?;
    let present: Value = serde_json::from_str(text).unwrap_or_default();
    let channel = &present["channel"];
    let config = &channel["config"];
    if !present["events"].is_object() || !config.is_object() {
        let message = "the event hook that Okta answered has no events or no channel";
        return Err(Error::new(ErrorReason::OktaAnswerUnreadable, message));
    }
    let uri = config["uri"].as_str().filter(|uri| is_ours(row, uri)).unwrap_or(&row.uri);
    let headers = if config["headers"].is_array() { config["headers"].clone() } else { json!([]) };
    let mut hook = json!({
        "name": present["name"],
        "events": present["events"],
        "channel": {
            "type": channel["type"],
            "version": channel["version"],
            "config": { "uri": uri, "headers": headers, "authScheme": auth_scheme(secret) },
        },
    });
    if present["description"].is_string() {
        hook["description"] = present["description"].clone();
    }
    Ok(hook)
}

/// Whether a URL of the org's is the one that it was given for this hook, wherever this server may have moved since.
pub(super) fn is_ours(row: &HookRow, uri: &str) -> bool {
    uri.strip_suffix(row.id.as_str()).is_some_and(|before| before.ends_with("/hooks/"))
}

/// A hook in Okta's shape.
pub(super) fn body(row: &HookRow, types: &[String], secret: &SecretString) -> Value {
    json!({
        "name": row.name,
        "events": { "type": "EVENT_TYPE", "items": types },
        "channel": {
            "type": "HTTP",
            "version": "1.0.0",
            "config": { "uri": row.uri, "headers": [], "authScheme": auth_scheme(secret) },
        },
    })
}

/// Okta's id of a hook that was made.
pub(super) fn id(created: &Answer) -> Result<String> {
    let projection = Projection::new();
    let id = projection.record(created.object()?).text("id");
    id.ok_or_else(|| Error::new(ErrorReason::OktaAnswerUnreadable, "Okta made an event hook and did not say its id"))
}

/// What a refused verification means to the caller.
pub(super) fn verification_failed(row: &HookRow, error: Error) -> Error {
    let refused = matches!(error.reason(), ErrorReason::OktaValidationFailed | ErrorReason::OktaRefused);
    if !refused {
        return error;
    }
    let message = format!(
        "Okta could not verify the event hook at {}: make that URL reachable from the org and try again ({})",
        row.uri,
        error.message()
    );
    error.metadata().iter().fold(Error::new(ErrorReason::HookVerificationFailed, message), |error, (key, value)| {
        error.with(key, value.as_str())
    })
}

/// Whether nobody knows what became of a call that ended so.
pub(super) fn is_unclear(error: &Error) -> bool {
    let ambiguous = error.metadata().iter().any(|(key, value)| *key == "ambiguous" && value == "true");
    ambiguous || error.reason() == ErrorReason::OktaAnswerUnreadable
}

/// The error of a new secret that the org may or may not have.
pub(super) fn rotation_unclear(error: &Error) -> Error {
    let message = format!(
        "{}; the org may have the new secret or not, so both are accepted until the hook is rotated again",
        error.message()
    );
    let unclear = Error::new(error.reason(), message).with("ambiguous", "true");
    let others = error.metadata().iter().filter(|(key, _)| *key != "ambiguous");
    others.fold(unclear, |unclear, (key, value)| unclear.with(key, value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Answer {
        Answer {
            status: reqwest::StatusCode::OK,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_string().into(),
            next_page_token: String::new(),
        }
    }

    fn row() -> HookRow {
        HookRow {
            id: "hook_1".to_owned(),
            okta_id: "who1".to_owned(),
            connection_id: "con_1".to_owned(),
            name: "hook".to_owned(),
            uri: "https://here.example/hooks/hook_1".to_owned(),
            event_types: "a.b".to_owned(),
            verified: true,
            sealed: Vec::new(),
            created: String::new(),
        }
    }

    #[test]
    fn a_new_secret_goes_where_this_server_is() {
        let uri_for = |present: &str| {
            let present = json!({ "events": {}, "channel": { "config": { "uri": present } } });
            let hook = with_secret(&row(), &answer(&present), &"new".into()).expect("a hook");
            hook["channel"]["config"]["uri"].as_str().expect("text").to_owned()
        };
        assert_eq!(uri_for("https://moved.example/base/hooks/hook_1"), "https://moved.example/base/hooks/hook_1");
        for elsewhere in ["https://elsewhere.example/", "https://elsewhere.example/hooks/hook_11", "https://x/?hook_1"]
        {
            assert_eq!(uri_for(elsewhere), "https://here.example/hooks/hook_1");
        }
    }

    #[test]
    fn a_new_secret_changes_nothing_else_of_a_hook() {
        let events = json!({ "type": "EVENT_TYPE", "items": ["a.b"], "filter": { "type": "EXPRESSION_LANGUAGE" } });
        let headers = json!([{ "key": "x", "value": "y" }]);
        let present = json!({
            "id": "who1", "status": "ACTIVE", "name": "Renamed", "description": "by an admin", "events": events,
            "channel": { "type": "HTTP", "version": "1.0.0", "config": {
                "uri": "https://here.example/hooks/hook_1", "headers": headers, "method": "POST",
                "authScheme": { "type": "HEADER", "key": "authorization" },
            } },
        });
        let hook = with_secret(&row(), &answer(&present), &"new".into()).expect("a hook");
        assert_eq!(
            (&hook["name"], &hook["description"], &hook["events"]),
            (&json!("Renamed"), &json!("by an admin"), &events)
        );
        let config = json!({
            "uri": "https://here.example/hooks/hook_1", "headers": headers,
            "authScheme": { "type": "HEADER", "key": "Authorization", "value": "new" },
        });
        assert_eq!(hook["channel"], json!({ "type": "HTTP", "version": "1.0.0", "config": config }));
        assert_eq!((&hook["id"], &hook["status"]), (&Value::Null, &Value::Null), "what Okta says of it is not sent");
        for odd in
            [json!({}), json!({ "events": {}, "channel": {} }), json!({ "channel": { "config": { "uri": "u" } } })]
        {
            let error = with_secret(&row(), &answer(&odd), &"new".into()).expect_err("no hook");
            assert_eq!(error.reason(), ErrorReason::OktaAnswerUnreadable);
        }
    }

    #[test]
    fn an_org_has_room_for_25_active_hooks() {
        let hook = |number: usize, status: &str| {
            let name = format!("hook-{number} {}", "x".repeat(200));
            OrgHook::read(&json!({ "id": format!("who{number}"), "name": name, "status": status }).to_string())
        };
        let mut hooks: Vec<OrgHook> = (0..24).map(|number| hook(number, "ACTIVE")).collect();
        hooks.push(hook(99, "INACTIVE"));
        assert!(limit_reached(&hooks, 1).is_none());
        let error = limit_reached(&hooks, 2).expect("no room for two");
        let listed = &error.metadata().iter().find(|(key, _)| *key == "hooks").expect("hooks").1;
        assert!(listed.contains("hook-17") && listed.contains("(who17)") && !listed.contains("who99"));
        assert!(listed.len() < 2000 && error.metadata().contains(&("active_hooks", "24".to_owned())));
    }

    #[test]
    fn a_refusal_is_clear_and_silence_is_not() {
        let unclear = Error::new(ErrorReason::OktaTimeout, "Okta fell silent")
            .with("ambiguous", "true")
            .with("http_status", "504");
        assert!(is_unclear(&unclear));
        assert!(is_unclear(&Error::new(ErrorReason::OktaAnswerUnreadable, "<html>")));
        for reason in [ErrorReason::OktaValidationFailed, ErrorReason::OktaUnavailable, ErrorReason::OktaRateLimited] {
            assert!(!is_unclear(&Error::new(reason, "no")));
        }
        let told = rotation_unclear(&unclear);
        assert!(is_unclear(&told) && told.metadata().len() == 2 && told.message().starts_with("Okta fell silent; "));
    }

    fn types(cards: &[EventCard], event_types: &[&str]) -> Result<Vec<String>> {
        wanted_types(&RegisterEventHookRequest {
            cards: cards.iter().map(|card| (*card).into()).collect(),
            event_types: event_types.iter().map(|text| (*text).to_owned()).collect(),
            ..Default::default()
        })
    }

    #[test]
    fn the_types_of_a_hook_are_those_asked_for_each_once() {
        assert_eq!(types(&[], &[]).expect("default").len(), 12);
        let asked = types(&[EventCard::UserCreated], &["user.session.start", "user.lifecycle.create"]).expect("asked");
        assert_eq!(asked, ["user.lifecycle.create", "user.session.start"]);
        assert!(types(&[EventCard::CustomWebhook], &[]).expect("all").len() > 200);
        assert_eq!(types(&[], &["newer.than.our.catalogue"]).expect("newer"), ["newer.than.our.catalogue"]);
    }

    #[test]
    fn a_type_that_no_hook_delivers_is_refused() {
        let refused = types(&[], &["user.lifecycle.delete.completed"]).expect_err("in the System Log only");
        assert_eq!(refused.violations()[0].field, "event_types[0]");
        assert!(types(&[EventCard::Unspecified], &[]).is_err() && types(&[], &["user.*"]).is_err());
    }
}
