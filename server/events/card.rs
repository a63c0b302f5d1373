//! The one table of event types and cards: decoding, filters, hook registration and the catalogue all read it here.

use super::decode::Parts;
use super::project;
use crate::proto::EventCard;
use crate::proto::event::Card;

/// A card that is about one event type.
#[derive(Debug)]
pub struct CardType {
    /// The card.
    pub card: EventCard,
    /// Okta's event type.
    pub event_type: &'static str,
    /// Makes the card's own part of an event.
    pub(super) project: fn(&Parts<'_>) -> Card,
}

/// The twelve cards that name an event type. Everything else is a Custom Webhook.
pub const CARDS: [CardType; 12] = [
    row(EventCard::UserActivated, "user.lifecycle.activate", project::user_activated),
    row(EventCard::UserAssignedToApplication, "application.user_membership.add", project::user_assigned_to_application),
    row(EventCard::UserAddedToGroup, "group.user_membership.add", project::user_added_to_group),
    row(EventCard::UserCreated, "user.lifecycle.create", project::user_created),
    row(EventCard::UserDeactivated, "user.lifecycle.deactivate", project::user_deactivated),
    row(EventCard::UserDeleted, "user.lifecycle.delete.initiated", project::user_deleted),
    row(
        EventCard::UserUnassignedFromApplication,
        "application.user_membership.remove",
        project::user_unassigned_from_application,
    ),
    row(EventCard::UserRemovedFromGroup, "group.user_membership.remove", project::user_removed_from_group),
    row(
        EventCard::SuspiciousActivityReported,
        "user.account.report_suspicious_activity_by_enduser",
        project::suspicious_activity_reported,
    ),
    row(EventCard::UserSuspended, "user.lifecycle.suspend", project::user_suspended),
    row(EventCard::UserUnsuspended, "user.lifecycle.unsuspend", project::user_unsuspended),
    row(EventCard::UserReactivated, "user.lifecycle.reactivate", project::user_reactivated),
];

static CUSTOM: CardType = row(EventCard::CustomWebhook, "", project::custom_webhook);

const fn row(card: EventCard, event_type: &'static str, project: fn(&Parts<'_>) -> Card) -> CardType {
    CardType { card, event_type, project }
}

/// The card that an event type arrives as.
pub fn card_of(event_type: &str) -> EventCard {
    row_of(event_type).card
}

/// The event type of a card; `None` for Custom Webhook, which has all the others.
pub fn event_type_of(card: EventCard) -> Option<&'static str> {
    CARDS.iter().find(|row| row.card == card).map(|row| row.event_type)
}

pub(super) fn row_of(event_type: &str) -> &'static CardType {
    static TABLE: &[CardType] = &CARDS;
    TABLE.iter().find(|row| row.event_type == event_type).unwrap_or(&CUSTOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_of_the_contract_has_its_row() {
        for number in 1..13 {
            let card = EventCard::try_from(number).unwrap();
            let event_type = event_type_of(card).unwrap();
            assert_eq!(card_of(event_type), card);
        }
        assert!(EventCard::try_from(14).is_err(), "a new card wants a row");
        assert_eq!(event_type_of(EventCard::CustomWebhook), None);
        assert_eq!(card_of("user.session.start"), EventCard::CustomWebhook);
        assert_eq!(card_of(""), EventCard::CustomWebhook);
    }
}
