//! Which events a reader takes: any of some filters, each all of its parts, each part any of its values.

use super::catalogue;
use super::decode::Decoded;
use crate::error::{Error, Result};
use crate::proto::{EventCard, EventFilter};

/// More filters than this are a query for another system.
const MAX_FILTERS: usize = 32;
/// Values of one part.
const MAX_VALUES: usize = 1000;
const MAX_VALUE_LENGTH: usize = 1024;

/// Filters, checked and ready to use. None at all takes every event.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    any_of: Vec<AllOf>,
    unknown_event_types: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct AllOf {
    connections: Vec<String>,
    cards: Vec<EventCard>,
    event_types: Vec<TypePattern>,
    application_names: Vec<String>,
    application_instance_ids: Vec<String>,
    actor_ids: Vec<String>,
    target_ids: Vec<String>,
}

#[derive(Debug, Clone)]
enum TypePattern {
    Exact(String),
    Prefix(String),
}

impl Filters {
    /// Checks and compiles filters; `resolve` finds the id of a connection by id or nickname.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the field, or what `resolve` says.
    pub fn compile(filters: &[EventFilter], resolve: impl Fn(&str) -> Result<String>) -> Result<Self> {
        if filters.len() > MAX_FILTERS {
            return Err(Error::invalid("filters", format!("has {} filters, {MAX_FILTERS} at most", filters.len())));
        }
        let any_of = filters
            .iter()
            .enumerate()
            .map(|(at, filter)| compile_one(&format!("filters[{at}]"), filter, &resolve))
            .collect::<Result<_>>()?;
        let mut unknown_event_types: Vec<String> = filters
            .iter()
            .flat_map(|filter| &filter.event_types)
            .filter(|pattern| !catalogue::is_known(pattern))
            .cloned()
            .collect();
        unknown_event_types.dedup();
        Ok(Self { any_of, unknown_event_types })
    }

    /// Event types of the filters that the catalogue does not have.
    pub fn unknown_event_types(&self) -> &[String] {
        &self.unknown_event_types
    }

    /// Whether an event passes.
    pub fn pass(&self, decoded: &Decoded) -> bool {
        self.any_of.is_empty() || self.any_of.iter().any(|filter| filter.passes(decoded))
    }
}

impl AllOf {
    fn passes(&self, decoded: &Decoded) -> bool {
        let event = &decoded.event;
        let target = |id: &String| decoded.targets.iter().any(|target| target.id == *id);
        let instance =
            |id: &String| decoded.targets.iter().any(|target| target.r#type == "AppInstance" && target.id == *id);
        any(&self.connections, |id| *id == event.connection_id)
            && any(&self.cards, |card| *card == decoded.card)
            && any(&self.event_types, |pattern| pattern.matches(&event.event_type))
            && any(&self.application_names, |name| decoded.application_names.contains(name))
            && any(&self.application_instance_ids, instance)
            && any(&self.actor_ids, |id| *id == decoded.actor_id)
            && any(&self.target_ids, target)
    }
}

impl TypePattern {
    fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::Exact(exact) => event_type == exact,
            Self::Prefix(prefix) => event_type.starts_with(prefix),
        }
    }
}

/// A part without values leaves nothing out.
fn any<T>(values: &[T], matches: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(matches)
}

fn compile_one(field: &str, filter: &EventFilter, resolve: &impl Fn(&str) -> Result<String>) -> Result<AllOf> {
    for (part, values) in [
        ("connections", &filter.connections),
        ("event_types", &filter.event_types),
        ("application_names", &filter.application_names),
        ("application_instance_ids", &filter.application_instance_ids),
        ("actor_ids", &filter.actor_ids),
        ("target_ids", &filter.target_ids),
    ] {
        check_values(&format!("{field}.{part}"), values)?;
    }
    let cards = filter.cards.iter().enumerate().map(|(at, card)| match EventCard::try_from(*card) {
        Ok(card) if card != EventCard::Unspecified => Ok(card),
        _ => Err(Error::invalid(format!("{field}.cards[{at}]"), format!("is {card}, which is no card"))),
    });
    let patterns = filter.event_types.iter().enumerate();
    Ok(AllOf {
        connections: filter.connections.iter().map(|name| resolve(name)).collect::<Result<_>>()?,
        cards: cards.collect::<Result<_>>()?,
        event_types: patterns
            .map(|(at, text)| pattern(&format!("{field}.event_types[{at}]"), text))
            .collect::<Result<_>>()?,
        application_names: filter.application_names.clone(),
        application_instance_ids: filter.application_instance_ids.clone(),
        actor_ids: filter.actor_ids.clone(),
        target_ids: filter.target_ids.clone(),
    })
}

fn check_values(field: &str, values: &[String]) -> Result<()> {
    if values.len() > MAX_VALUES {
        return Err(Error::invalid(field, format!("has {} values, {MAX_VALUES} at most", values.len())));
    }
    for (at, value) in values.iter().enumerate() {
        if value.is_empty() {
            return Err(Error::invalid(format!("{field}[{at}]"), "is empty; leave it out"));
        }
        if value.len() > MAX_VALUE_LENGTH {
            return Err(Error::invalid(format!("{field}[{at}]"), format!("is longer than {MAX_VALUE_LENGTH} bytes")));
        }
    }
    Ok(())
}

fn pattern(field: &str, text: &str) -> Result<TypePattern> {
    match text.split_once('*') {
        None => Ok(TypePattern::Exact(text.to_owned())),
        Some((prefix, "")) if prefix.ends_with('.') => Ok(TypePattern::Prefix(prefix.to_owned())),
        Some(_) => Err(Error::invalid(
            field,
            "must be an event type (user.lifecycle.create) or a prefix with .* at its end (user.lifecycle.*)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{NewEvent, Source, StoredEvent};

    fn assigned() -> Decoded {
        let raw = r#"{"uuid":"u","eventType":"application.user_membership.add","actor":{"id":"00uadmin"},"target":[
            {"id":"0ua1","type":"AppUser"},{"id":"0oa1","type":"AppInstance","displayName":"Salesforce EMEA",
             "detailEntry":{"appName":"salesforce"}},{"id":"00u1","type":"User"}]}"#;
        let event = NewEvent {
            connection_id: "con_a".to_owned(),
            uuid: "u".to_owned(),
            published_us: 0,
            source: Source::Hook,
            envelope: String::new(),
            raw: raw.to_owned(),
        };
        super::super::decode::decode(StoredEvent { sequence: 1, received_us: 0, event }, b"journal")
    }

    fn compile(filters: &[EventFilter]) -> Result<Filters> {
        Filters::compile(filters, |name| Ok(name.replace("acme", "con_a")))
    }

    fn passes(filters: &[EventFilter]) -> bool {
        compile(filters).expect("compiled").pass(&assigned())
    }

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn each_part_takes_and_leaves_out() {
        type Part = fn(Vec<String>) -> EventFilter;
        let parts: [(Part, &[&str], &[&str]); 6] = [
            (|connections| EventFilter { connections, ..Default::default() }, &["acme", "con_b"], &["con_b"]),
            (
                |event_types| EventFilter { event_types, ..Default::default() },
                &["application.user_membership.*", "application.user_membership.add"],
                &["user.*", "application.user_membership.remove"],
            ),
            (
                |application_names| EventFilter { application_names, ..Default::default() },
                &["salesforce", "Salesforce EMEA"],
                &["slack"],
            ),
            (
                |application_instance_ids| EventFilter { application_instance_ids, ..Default::default() },
                &["0oa1"],
                &["00u1"],
            ),
            (|actor_ids| EventFilter { actor_ids, ..Default::default() }, &["00uadmin"], &["00u1"]),
            (|target_ids| EventFilter { target_ids, ..Default::default() }, &["00u1"], &["00uadmin"]),
        ];
        for (part, taken, left_out) in parts {
            assert!(passes(&[part(texts(taken))]), "{taken:?}");
            assert!(!passes(&[part(texts(left_out))]), "{left_out:?}");
        }
        let card = |card: EventCard| EventFilter { cards: vec![card.into()], ..Default::default() };
        assert!(passes(&[card(EventCard::UserAssignedToApplication)]));
        assert!(!passes(&[card(EventCard::UserCreated)]));
    }

    #[test]
    fn a_filter_wants_all_of_its_parts_and_any_filter_will_do() {
        let both = EventFilter { actor_ids: texts(&["00uadmin"]), target_ids: texts(&["other"]), ..Default::default() };
        assert!(!passes(std::slice::from_ref(&both)));
        assert!(passes(&[both, EventFilter::default()]));
        assert!(passes(&[]));
    }

    #[test]
    fn what_cannot_be_names_its_place() {
        let wrong = [
            (
                EventFilter { event_types: texts(&["user.created", ""]), ..Default::default() },
                "filters[0].event_types[1]",
            ),
            (EventFilter { event_types: texts(&["user*"]), ..Default::default() }, "filters[0].event_types[0]"),
            (EventFilter { cards: vec![99], ..Default::default() }, "filters[0].cards[0]"),
            (EventFilter { actor_ids: vec!["x".to_owned(); 1001], ..Default::default() }, "filters[0].actor_ids"),
        ];
        for (filter, field) in wrong {
            let error = compile(&[filter]).expect_err(field);
            assert_eq!(error.violations()[0].field, field);
        }
        assert!(compile(&vec![EventFilter::default(); 33]).is_err());
    }

    #[test]
    fn an_unknown_event_type_is_told_and_filtered_for() {
        let filters = [EventFilter { event_types: texts(&["user.nonsense", "user.*"]), ..Default::default() }];
        assert_eq!(compile(&filters).expect("compiled").unknown_event_types(), ["user.nonsense"]);
    }
}
