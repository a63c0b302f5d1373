//! From a stored event to the `Event` of the contract: pure, and nothing fails.
//!
//! Whatever cannot be read is said in the projection errors; the whole event is in `full_details_json` in any case.

use super::card::row_of;
use super::project::{APPLICATION, entity};
use super::subject::Subject;
use crate::journal::{Source, StoredEvent};
use crate::okta::record::{Projection, Record};
use crate::proto::{Event, EventEntity, EventSource, ProjectionError};

/// An event in the contract's form, and what filters look at.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The event.
    pub event: Event,
    /// What filters look at.
    pub subject: Subject,
}

/// The parts of an event that cards are made of.
pub(super) struct Parts<'a> {
    event: Record<'a>,
    actor: Option<EventEntity>,
    targets: Vec<EventEntity>,
    execution_id: String,
}

impl<'a> Parts<'a> {
    /// The whole event.
    pub(super) fn event(&self) -> &Record<'a> {
        &self.event
    }

    pub(super) fn actor(&self) -> Option<EventEntity> {
        self.actor.clone()
    }

    pub(super) fn targets(&self) -> &[EventEntity] {
        &self.targets
    }

    /// The first target of a type.
    pub(super) fn target(&self, kind: &str) -> Option<EventEntity> {
        self.targets.iter().find(|target| target.r#type == kind).cloned()
    }

    /// The same however often the event is delivered, and no other event's.
    pub(super) fn execution_id(&self) -> String {
        self.execution_id.clone()
    }
}

/// Decodes an event of the journal `journal_id`.
pub fn decode(journal_id: &str, stored: StoredEvent) -> Decoded {
    let projection = Projection::new();
    let (mut event, subject) = {
        let record = projection.record(&stored.raw);
        let targets = record.records("target");
        let application_names = application_names(&record, &targets);
        let parts = Parts {
            actor: record.record("actor").as_ref().map(entity),
            targets: targets.iter().map(entity).collect(),
            execution_id: format!("{journal_id}-{}", stored.sequence),
            event: record,
        };
        let event = common_fields(&parts, &stored);
        let subject = subject(&event, &parts, application_names);
        (event, subject)
    };
    event.projection_errors = projection.into_errors();
    read_envelope(&mut event, &stored);
    event.envelope_json = stored.envelope;
    event.full_details_json = stored.raw;
    Decoded { event, subject }
}

fn common_fields(parts: &Parts<'_>, stored: &StoredEvent) -> Event {
    let record = parts.event();
    let event_type = record.text_or_empty("eventType");
    let uuid = record.text("uuid").filter(|uuid| !uuid.is_empty());
    Event {
        sequence: stored.sequence,
        connection_id: stored.connection_id.clone(),
        source: source(stored.source).into(),
        received: Some(stored.received),
        uuid: uuid.unwrap_or_else(|| stored.uuid.clone()),
        published: record.timestamp("published"),
        message: record.text_or_empty("displayMessage"),
        version: record.text_or_empty("version"),
        card: Some((row_of(&event_type).project)(parts)),
        event_type,
        ..Event::default()
    }
}

/// The names that applications go by: what Okta shows, and the catalogue's key where the event tells it.
fn application_names(event: &Record<'_>, targets: &[Record<'_>]) -> Vec<String> {
    let applications = || targets.iter().filter(|target| target.text("type").as_deref() == Some(APPLICATION));
    let mut names = Vec::new();
    for application in applications() {
        names.extend(["displayName", "alternateId"].into_iter().filter_map(|name| application.text(name)));
        let details = application.raw("detailEntry").filter(|raw| raw.starts_with('{'));
        let details = details.and_then(|_| application.record("detailEntry"));
        names.extend(["name", "appName"].into_iter().filter_map(|name| details.as_ref()?.text(name)));
    }
    if applications().next().is_some() {
        let debug = event.record("debugContext").and_then(|context| context.record("debugData"));
        names.extend(debug.and_then(|debug| debug.text("appname")));
    }
    names
}

/// The delivery that brought the event; an event of the System Log had none, and its time is when we stored it.
fn read_envelope(event: &mut Event, stored: &StoredEvent) {
    if stored.envelope.is_empty() {
        event.event_time = (stored.source == Source::SystemLog).then_some(stored.received);
        return;
    }
    let projection = Projection::new();
    let envelope = projection.record(&stored.envelope);
    event.event_id = envelope.text_or_empty("eventId");
    event.event_time = envelope.timestamp("eventTime");
    drop(envelope);
    event.projection_errors.extend(
        projection.into_errors().into_iter().map(|error| ProjectionError {
            field: format!("envelope.{}", error.field),
            description: error.description,
        }),
    );
}

fn source(source: Source) -> EventSource {
    match source {
        Source::Hook => EventSource::Hook,
        Source::SystemLog => EventSource::SystemLog,
    }
}

fn subject(event: &Event, parts: &Parts<'_>, application_names: Vec<String>) -> Subject {
    let applications = parts.targets.iter().filter(|target| target.r#type == APPLICATION);
    Subject {
        connection_id: event.connection_id.clone(),
        event_type: event.event_type.clone(),
        card: row_of(&event.event_type).card,
        actor_id: parts.actor.as_ref().map(|actor| actor.id.clone()).unwrap_or_default(),
        application_ids: applications.map(|application| application.id.clone()).collect(),
        target_ids: parts.targets.iter().map(|target| target.id.clone()).collect(),
        application_names,
    }
}
