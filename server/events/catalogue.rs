//! Okta's catalogue of event types, as embedded in the program.

use std::sync::LazyLock;

use super::card::card_of;
use crate::proto::{EventCard, EventType};

/// `event_type,event_hook_eligible,oie_only,release`, with a heading.
const TABLE: &str = include_str!("event-types.csv");

/// One event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The type, for example `user.lifecycle.create`.
    pub event_type: &'static str,
    /// Whether an event hook can deliver it.
    pub hook_eligible: bool,
    /// Whether it exists on Okta Identity Engine only.
    pub identity_engine_only: bool,
    /// The Okta release that brought it.
    pub release: &'static str,
    /// The card that it arrives as.
    pub card: EventCard,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut entries: Vec<Entry> = TABLE.lines().skip(1).filter_map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.event_type);
    entries
});

/// Every type, sorted by name.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The entry of a type.
pub fn find(event_type: &str) -> Option<&'static Entry> {
    let at = ENTRIES.binary_search_by_key(&event_type, |entry| entry.event_type).ok()?;
    ENTRIES.get(at)
}

/// The types that start with `prefix`.
pub fn with_prefix(prefix: &str) -> impl Iterator<Item = &'static Entry> {
    let from = ENTRIES.partition_point(|entry| entry.event_type < prefix);
    ENTRIES.iter().skip(from).take_while(move |entry| entry.event_type.starts_with(prefix))
}

fn entry(line: &'static str) -> Option<Entry> {
    let mut columns = line.trim_end().split(',');
    let event_type = columns.next()?;
    Some(Entry {
        event_type,
        hook_eligible: columns.next()? == "true",
        identity_engine_only: columns.next()? == "true",
        release: columns.next()?,
        card: card_of(event_type),
    })
}

impl From<&Entry> for EventType {
    fn from(entry: &Entry) -> Self {
        Self {
            event_type: entry.event_type.to_owned(),
            hook_eligible: entry.hook_eligible,
            identity_engine_only: entry.identity_engine_only,
            release: entry.release.to_owned(),
            card: entry.card.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::CARDS;

    #[test]
    fn the_whole_table_is_read() {
        assert_eq!(entries().len(), TABLE.trim_end().lines().count() - 1);
        assert_eq!(entries().iter().filter(|entry| entry.hook_eligible).count(), 264);
        assert!(entries().windows(2).all(|pair| pair[0].event_type < pair[1].event_type), "sorted, no doubles");
    }

    #[test]
    fn a_hook_can_deliver_every_card() {
        for row in &CARDS {
            let entry = find(row.event_type).unwrap();
            assert_eq!((entry.hook_eligible, entry.card), (true, row.card), "{}", row.event_type);
        }
        assert_eq!(find("user.lifecycle.delete.completed").unwrap().card, EventCard::CustomWebhook);
        assert_eq!(find("no.such.type"), None);
    }

    #[test]
    fn a_prefix_finds_its_types_and_no_others() {
        let found: Vec<_> = with_prefix("group.user_membership.").map(|entry| entry.event_type).collect();
        let expected: Vec<_> = entries()
            .iter()
            .map(|entry| entry.event_type)
            .filter(|name| name.starts_with("group.user_membership."))
            .collect();
        assert_eq!(found, expected);
        assert!(found.len() > 2);
        assert_eq!(with_prefix("zzz.").count(), 0);
    }
}
