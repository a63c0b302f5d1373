//! An event hook as Okta has it: its shape, its bounds, and the event types that a request means. Pure.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::connections::HookRow;
use crate::error::{Error, Result};
use crate::events::{CARDS, catalogue, event_type_of};
use crate::okta::Answer;
use crate::okta::record::Projection;
use crate::proto::{ErrorReason, EventCard, RegisterEventHookRequest};

/// Okta's bound on the types of one hook; more are split over several.
pub(super) const MAX_TYPES: usize = 300;
/// Okta's bound on the active hooks of an org.
pub(super) const MAX_ACTIVE_HOOKS: usize = 25;
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

/// A hook in Okta's shape.
pub(super) fn body(row: &HookRow, types: &[String], secret: &SecretString) -> Value {
    let auth_scheme = json!({ "type": "HEADER", "key": "Authorization", "value": secret.expose_secret() });
    json!({
        "name": row.name,
        "events": { "type": "EVENT_TYPE", "items": types },
        "channel": {
            "type": "HTTP",
            "version": "1.0.0",
            "config": { "uri": row.uri, "headers": [], "authScheme": auth_scheme },
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

#[cfg(test)]
mod tests {
    use super::*;

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
