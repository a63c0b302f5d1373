//! Okta's event types and the cards that they arrive as: the one table of both.

use std::sync::LazyLock;

use crate::proto::{EventCard, EventType};

/// The types that have a card of their own; every other type arrives as a Custom Webhook.
const CARDS: [(&str, EventCard); 12] = [
    ("user.lifecycle.activate", EventCard::UserActivated),
    ("application.user_membership.add", EventCard::UserAssignedToApplication),
    ("group.user_membership.add", EventCard::UserAddedToGroup),
    ("user.lifecycle.create", EventCard::UserCreated),
    ("user.lifecycle.deactivate", EventCard::UserDeactivated),
    ("user.lifecycle.delete.initiated", EventCard::UserDeleted),
    ("application.user_membership.remove", EventCard::UserUnassignedFromApplication),
    ("group.user_membership.remove", EventCard::UserRemovedFromGroup),
    ("user.account.report_suspicious_activity_by_enduser", EventCard::SuspiciousActivityReported),
    ("user.lifecycle.suspend", EventCard::UserSuspended),
    ("user.lifecycle.unsuspend", EventCard::UserUnsuspended),
    ("user.lifecycle.reactivate", EventCard::UserReactivated),
];

/// `event_type,event_hook_eligible,oie_only,release`, as Okta publishes it
/// (<https://developer.okta.com/docs/reference/api/event-types/>).
const CSV: &str = include_str!("event-types.csv");

static TYPES: LazyLock<Vec<EventType>> = LazyLock::new(|| {
    let mut types: Vec<EventType> = CSV.lines().skip(1).filter_map(read).collect();
    types.sort_by(|one, other| one.event_type.cmp(&other.event_type));
    types
});

fn read(line: &str) -> Option<EventType> {
    let mut columns = line.split(',');
    let event_type = columns.next()?.to_owned();
    Some(EventType {
        card: card_of(&event_type).into(),
        hook_eligible: columns.next()? == "true",
        identity_engine_only: columns.next()? == "true",
        release: columns.next().unwrap_or_default().to_owned(),
        event_type,
    })
}

/// Every catalogued type, by name.
pub fn all() -> &'static [EventType] {
    &TYPES
}

/// The card that events of a type arrive as.
pub fn card_of(event_type: &str) -> EventCard {
    CARDS.iter().find(|(own, _)| *own == event_type).map_or(EventCard::CustomWebhook, |(_, card)| *card)
}

/// The types of a card that an event hook can deliver.
pub fn hook_types_of(card: EventCard) -> impl Iterator<Item = &'static str> {
    all().iter().filter(move |entry| entry.hook_eligible && entry.card() == card).map(|entry| entry.event_type.as_str())
}

/// The types that have a card of their own.
pub fn card_types() -> impl Iterator<Item = &'static str> {
    CARDS.iter().map(|(event_type, _)| *event_type)
}

/// Whether Okta's catalogue has the type, or one that begins with `prefix.` for `prefix.*`.
pub fn is_known(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => all().iter().any(|entry| entry.event_type.starts_with(prefix)),
        None => all().binary_search_by(|entry| entry.event_type.as_str().cmp(pattern)).is_ok(),
    }
}

/// The type as the catalogue has it.
pub fn find(event_type: &str) -> Option<&'static EventType> {
    let at = all().binary_search_by(|entry| entry.event_type.as_str().cmp(event_type)).ok()?;
    all().get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_has_a_type_that_a_hook_can_deliver() {
        for (event_type, card) in CARDS {
            assert!(find(event_type).is_some_and(|entry| entry.hook_eligible), "{event_type}");
            assert_eq!(hook_types_of(card).collect::<Vec<_>>(), [event_type]);
        }
        assert!(hook_types_of(EventCard::CustomWebhook).count() > 200);
    }

    #[test]
    fn the_catalogue_is_read_whole() {
        assert_eq!(all().len(), CSV.lines().count() - 1);
        assert!(is_known("user.lifecycle.*") && is_known("user.session.start") && !is_known("user.nonsense"));
    }
}
