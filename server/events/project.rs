//! The thirteen cards: what each takes from an event, one function a card.

use super::decode::Parts;
use crate::okta::record::Record;
use crate::proto::event::Card;
use crate::proto::{
    CustomWebhook, EventEntity, SuspiciousActivityDetails, SuspiciousActivityReported, UserActivated, UserAddedToGroup,
    UserAssignedToApplication, UserCreated, UserDeactivated, UserDeleted, UserReactivated, UserRemovedFromGroup,
    UserSuspended, UserUnassignedFromApplication, UserUnsuspended,
};

/// `type` of a user among the targets.
pub(super) const USER: &str = "User";
/// `type` of an application instance among the targets.
pub(super) const APPLICATION: &str = "AppInstance";
const APPLICATION_USER: &str = "AppUser";
const GROUP: &str = "UserGroup";

pub(super) fn user_activated(parts: &Parts<'_>) -> Card {
    Card::UserActivated(UserActivated { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_assigned_to_application(parts: &Parts<'_>) -> Card {
    Card::UserAssignedToApplication(UserAssignedToApplication {
        admin: parts.actor(),
        okta_user: parts.target(USER),
        application_user: parts.target(APPLICATION_USER),
        application: parts.target(APPLICATION),
        user_groups: None,
    })
}

pub(super) fn user_added_to_group(parts: &Parts<'_>) -> Card {
    Card::UserAddedToGroup(UserAddedToGroup {
        admin: parts.actor(),
        okta_user: parts.target(USER),
        group: parts.target(GROUP),
        user_groups: None,
    })
}

pub(super) fn user_created(parts: &Parts<'_>) -> Card {
    Card::UserCreated(UserCreated { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_deactivated(parts: &Parts<'_>) -> Card {
    Card::UserDeactivated(UserDeactivated { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_deleted(parts: &Parts<'_>) -> Card {
    Card::UserDeleted(UserDeleted { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_unassigned_from_application(parts: &Parts<'_>) -> Card {
    Card::UserUnassignedFromApplication(UserUnassignedFromApplication {
        admin: parts.actor(),
        okta_user: parts.target(USER),
        application_user: parts.target(APPLICATION_USER),
        application: parts.target(APPLICATION),
        user_groups: None,
    })
}

pub(super) fn user_removed_from_group(parts: &Parts<'_>) -> Card {
    Card::UserRemovedFromGroup(UserRemovedFromGroup {
        admin: parts.actor(),
        okta_user: parts.target(USER),
        group: parts.target(GROUP),
        user_groups: None,
    })
}

/// The reporter is the actor; where the actor is no user, the user among the targets.
pub(super) fn suspicious_activity_reported(parts: &Parts<'_>) -> Card {
    let actor = parts.actor().filter(|actor| actor.r#type == USER);
    let user = actor.or_else(|| parts.target(USER)).or_else(|| parts.actor()).unwrap_or_default();
    Card::SuspiciousActivityReported(SuspiciousActivityReported {
        name: user.display_name,
        email: user.alternate_id,
        user_id: user.id,
        suspicious_activity_details: Some(suspicious_activity(parts.event())),
    })
}

pub(super) fn user_suspended(parts: &Parts<'_>) -> Card {
    Card::UserSuspended(UserSuspended { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_unsuspended(parts: &Parts<'_>) -> Card {
    Card::UserUnsuspended(UserUnsuspended { admin: parts.actor(), okta_user: parts.target(USER) })
}

pub(super) fn user_reactivated(parts: &Parts<'_>) -> Card {
    Card::UserReactivated(UserReactivated {
        admin: parts.actor(),
        okta_user: parts.target(USER),
        execution_id: parts.execution_id(),
    })
}

pub(super) fn custom_webhook(parts: &Parts<'_>) -> Card {
    Card::CustomWebhook(CustomWebhook { actor: parts.actor(), targets: parts.targets().to_vec() })
}

pub(super) fn entity(record: &Record<'_>) -> EventEntity {
    EventEntity {
        id: record.text_or_empty("id"),
        alternate_id: record.text_or_empty("alternateId"),
        display_name: record.text_or_empty("displayName"),
        r#type: record.text_or_empty("type"),
    }
}

/// The activity that was reported stands in `debugData`; what does not, is taken from the client of the report, which is all that
/// some reports have.
fn suspicious_activity(event: &Record<'_>) -> SuspiciousActivityDetails {
    let context = event.record("debugContext");
    let debug = context.as_ref().and_then(|context| context.record("debugData"));
    let client = event.record("client");
    let agent = client.as_ref().and_then(|client| client.record("userAgent"));
    let place = client.as_ref().and_then(|client| client.record("geographicalContext"));
    let point = place.as_ref().and_then(|place| place.record("geolocation"));

    let told = |name: &str| debug.as_ref().and_then(|debug| debug.text(name));
    let or_text = |name: &str, record: &Option<Record<'_>>, other: &str| {
        told(name).or_else(|| record.as_ref()?.text(other)).unwrap_or_default()
    };
    let or_number = |name: &str, other: &str| {
        told(name).or_else(|| point.as_ref()?.raw(other).map(str::to_owned)).unwrap_or_default()
    };
    SuspiciousActivityDetails {
        event_type: told("suspiciousActivityEventType").unwrap_or_default(),
        transaction_id: told("suspiciousActivityEventTransactionId").unwrap_or_default(),
        timestamp: told("suspiciousActivityTimestamp").unwrap_or_default(),
        ip: or_text("suspiciousActivityEventIp", &client, "ipAddress"),
        browser: or_text("suspiciousActivityBrowser", &agent, "browser"),
        os: or_text("suspiciousActivityOs", &agent, "os"),
        city: or_text("suspiciousActivityEventCity", &place, "city"),
        state: or_text("suspiciousActivityEventState", &place, "state"),
        country: or_text("suspiciousActivityEventCountry", &place, "country"),
        latitude: or_number("suspiciousActivityEventLatitude", "lat"),
        longitude: or_number("suspiciousActivityEventLongitude", "lon"),
        debug_data_json: context.as_ref().and_then(|context| context.raw("debugData")).unwrap_or_default().to_owned(),
    }
}
