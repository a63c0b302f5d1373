//! From the journal's raw event to the API's: pure, tolerant, and nothing is lost. A mapping that was wrong is mended by reading
//! again.

use prost_types::Timestamp;

use super::catalogue::card_of;
use crate::journal::{Source, StoredEvent};
use crate::okta::record::{Projection, Record};
use crate::proto::event::Card;
use crate::proto::{
    CustomWebhook, Event, EventCard, EventEntity, EventSource, SuspiciousActivityDetails, SuspiciousActivityReported,
    UserActivated, UserAddedToGroup, UserAssignedToApplication, UserCreated, UserDeactivated, UserDeleted,
    UserReactivated, UserRemovedFromGroup, UserSuspended, UserUnassignedFromApplication, UserUnsuspended,
};

/// An event as the API has it, and what filters look at besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The event.
    pub event: Event,
    /// Its card.
    pub card: EventCard,
    /// Who did it.
    pub actor_id: String,
    /// What it was done to, all of it.
    pub targets: Vec<EventEntity>,
    /// Names that the event's applications go by, catalogue keys among them.
    pub application_names: Vec<String>,
}

/// Reads an event of the journal. `execution_id` tells one delivered event from every other, in any journal.
pub fn decode(stored: StoredEvent, journal_id: &[u8]) -> Decoded {
    let StoredEvent { sequence, received_us, event } = stored;
    let projection = Projection::new();
    let record = projection.record(&event.raw);
    let envelope = if event.envelope.is_empty() { None } else { Some(projection.record(&event.envelope)) };

    let event_type = record.text_or_empty("eventType");
    let card = card_of(&event_type);
    let target_records = record.records("target");
    let people = People {
        actor: record.record("actor").as_ref().map(entity),
        targets: target_records.iter().map(entity).collect(),
    };
    let received = timestamp(received_us);
    let decoded = Decoded {
        card,
        actor_id: people.actor.as_ref().map(|actor| actor.id.clone()).unwrap_or_default(),
        targets: people.targets.clone(),
        application_names: application_names(&target_records),
        event: Event {
            sequence: i64::try_from(sequence).unwrap_or(i64::MAX),
            connection_id: event.connection_id.clone(),
            source: match event.source {
                Source::Hook => EventSource::Hook,
                Source::SystemLog => EventSource::SystemLog,
            }
            .into(),
            received: Some(received),
            uuid: record.text_or_empty("uuid"),
            published: record.timestamp("published"),
            message: record.text_or_empty("displayMessage"),
            event_id: envelope.as_ref().map(|envelope| envelope.text_or_empty("eventId")).unwrap_or_default(),
            event_time: envelope.as_ref().map_or(Some(received), |envelope| envelope.timestamp("eventTime")),
            version: record.text_or_empty("version"),
            card: Some(people.card(card, &record, || execution_id(journal_id, sequence))),
            event_type,
            full_details_json: String::new(),
            envelope_json: String::new(),
            projection_errors: Vec::new(),
        },
    };
    drop((record, envelope, target_records));
    let event = Event {
        full_details_json: event.raw,
        envelope_json: event.envelope,
        projection_errors: projection.into_errors(),
        ..decoded.event
    };
    Decoded { event, ..decoded }
}

/// The actor and the targets of an event, from which most cards are made.
struct People {
    actor: Option<EventEntity>,
    targets: Vec<EventEntity>,
}

impl People {
    fn target(&self, kind: &str) -> Option<EventEntity> {
        self.targets.iter().find(|target| target.r#type == kind).cloned()
    }

    fn card(self, card: EventCard, record: &Record<'_>, execution_id: impl Fn() -> String) -> Card {
        let (admin, okta_user) = (self.actor.clone(), self.target("User"));
        match card {
            EventCard::UserActivated => Card::UserActivated(UserActivated { admin, okta_user }),
            EventCard::UserCreated => Card::UserCreated(UserCreated { admin, okta_user }),
            EventCard::UserDeactivated => Card::UserDeactivated(UserDeactivated { admin, okta_user }),
            EventCard::UserDeleted => Card::UserDeleted(UserDeleted { admin, okta_user }),
            EventCard::UserSuspended => Card::UserSuspended(UserSuspended { admin, okta_user }),
            EventCard::UserUnsuspended => Card::UserUnsuspended(UserUnsuspended { admin, okta_user }),
            EventCard::UserReactivated => {
                Card::UserReactivated(UserReactivated { admin, okta_user, execution_id: execution_id() })
            }
            EventCard::UserAddedToGroup => Card::UserAddedToGroup(UserAddedToGroup {
                admin,
                okta_user,
                group: self.target("UserGroup"),
                user_groups: None,
            }),
            EventCard::UserRemovedFromGroup => Card::UserRemovedFromGroup(UserRemovedFromGroup {
                admin,
                okta_user,
                group: self.target("UserGroup"),
                user_groups: None,
            }),
            EventCard::UserAssignedToApplication => Card::UserAssignedToApplication(UserAssignedToApplication {
                admin,
                okta_user,
                application_user: self.target("AppUser"),
                application: self.target("AppInstance"),
                user_groups: None,
            }),
            EventCard::UserUnassignedFromApplication => {
                Card::UserUnassignedFromApplication(UserUnassignedFromApplication {
                    admin,
                    okta_user,
                    application_user: self.target("AppUser"),
                    application: self.target("AppInstance"),
                    user_groups: None,
                })
            }
            EventCard::SuspiciousActivityReported => {
                Card::SuspiciousActivityReported(suspicious_activity(okta_user.or(admin), record))
            }
            EventCard::CustomWebhook | EventCard::Unspecified => {
                Card::CustomWebhook(CustomWebhook { actor: self.actor, targets: self.targets })
            }
        }
    }
}

fn entity(record: &Record<'_>) -> EventEntity {
    EventEntity {
        id: record.text_or_empty("id"),
        alternate_id: record.text_or_empty("alternateId"),
        display_name: record.text_or_empty("displayName"),
        r#type: record.text_or_empty("type"),
    }
}

/// An application goes by its label, and by its catalogue key where the target's details have it.
fn application_names(targets: &[Record<'_>]) -> Vec<String> {
    let applications = targets.iter().filter(|target| target.text("type").as_deref() == Some("AppInstance"));
    applications
        .flat_map(|target| {
            let details = target.record("detailEntry");
            let detail = |name| details.as_ref().and_then(|details| details.text(name));
            [target.text("displayName"), target.text("alternateId"), detail("appName")]
        })
        .flatten()
        .collect()
}

fn suspicious_activity(user: Option<EventEntity>, record: &Record<'_>) -> SuspiciousActivityReported {
    let user = user.unwrap_or_default();
    let context = record.record("debugContext");
    let debug_data = context.as_ref().and_then(|context| context.record("debugData"));
    let told = |name: &str| debug_data.as_ref().and_then(|data| data.text(name)).unwrap_or_default();
    let details = SuspiciousActivityDetails {
        event_type: told("suspiciousActivityEventType"),
        transaction_id: told("suspiciousActivityEventTransactionId"),
        timestamp: told("suspiciousActivityTimestamp"),
        ip: told("suspiciousActivityEventIp"),
        browser: told("suspiciousActivityBrowser"),
        os: told("suspiciousActivityOs"),
        city: told("suspiciousActivityEventCity"),
        state: told("suspiciousActivityEventState"),
        country: told("suspiciousActivityEventCountry"),
        latitude: told("suspiciousActivityEventLatitude"),
        longitude: told("suspiciousActivityEventLongitude"),
        debug_data_json: context.as_ref().and_then(|context| context.raw("debugData")).unwrap_or_default().to_owned(),
    };
    SuspiciousActivityReported {
        name: user.display_name,
        email: user.alternate_id,
        user_id: user.id,
        suspicious_activity_details: Some(details),
    }
}

fn execution_id(journal_id: &[u8], sequence: u64) -> String {
    let journal: String = journal_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{journal}-{sequence}")
}

/// Microseconds since 1970 as a timestamp.
pub fn timestamp(us: i64) -> Timestamp {
    #[allow(clippy::cast_possible_truncation, reason = "below a thousand million")]
    let nanos = (us.rem_euclid(1_000_000) * 1000) as i32;
    Timestamp { seconds: us.div_euclid(1_000_000), nanos }
}

/// A timestamp as microseconds since 1970, at the end of what fits for one that does not.
pub fn microseconds(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1000)
}
