//! What filters look at: the little of an event that stays beside its frame once the event is encoded.

use crate::proto::EventCard;

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Connection whose org it happened in.
    pub connection_id: String,
    /// Okta's event type.
    pub event_type: String,
    /// The card it arrives as.
    pub card: EventCard,
    /// Who did it; empty when that is not said.
    pub actor_id: String,
    /// What it was done to.
    pub target_ids: Vec<String>,
    /// Those of the targets that are application instances.
    pub application_ids: Vec<String>,
    /// What these applications are called: display names and catalogue keys.
    pub application_names: Vec<String>,
}
