//! Filters of events: checked and compiled once for a stream, then asked for each event.

use std::collections::HashSet;

use super::catalogue;
use super::subject::Subject;
use crate::error::{Error, Result, Violation};
use crate::proto::{EventCard, EventFilter};

/// Filters of one request, as the contract promises.
const MAX_FILTERS: usize = 32;
/// Values of one part of a filter: a set of a thousand ids is a use, more is a mistake.
const MAX_VALUES: usize = 1_000;
/// Bytes of one value: Okta's ids and names are far shorter.
const MAX_VALUE_BYTES: usize = 1_024;

/// Which events to take.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Any of them; all events when there are none.
    any_of: Vec<Filter>,
    unknown_event_types: Vec<String>,
}

/// Each part that is set has to pass.
#[derive(Debug, Clone, Default)]
struct Filter {
    connections: HashSet<String>,
    cards: HashSet<EventCard>,
    event_types: Option<EventTypes>,
    application_names: HashSet<String>,
    application_ids: HashSet<String>,
    actor_ids: HashSet<String>,
    target_ids: HashSet<String>,
}

#[derive(Debug, Clone, Default)]
struct EventTypes {
    exact: HashSet<String>,
    /// With the dot at the end.
    prefixes: Vec<String>,
}

impl Filters {
    /// Whether events of a connection can pass at all.
    pub(super) fn take_connection(&self, connection_id: &str) -> bool {
        self.any_of.is_empty() || self.any_of.iter().any(|filter| one_of(&filter.connections, [connection_id]))
    }

    /// Checks and compiles; `resolve` turns a connection's id or nickname into its id.
    ///
    /// # Errors
    /// `InvalidRequest` with every field that cannot be; what `resolve` answers.
    pub fn compile(filters: &[EventFilter], resolve: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let violations = check(filters);
        if let Some(error) = Error::invalid_fields(violations) {
            return Err(error);
        }
        let any_of = filters.iter().map(|filter| Filter::compile(filter, &resolve)).collect::<Result<_>>()?;
        Ok(Self { any_of, unknown_event_types: unknown_event_types(filters) })
    }

    /// Whether an event is to be taken.
    pub fn pass(&self, subject: &Subject) -> bool {
        self.any_of.is_empty() || self.any_of.iter().any(|filter| filter.passes(subject))
    }

    /// The event types asked for that are not in the catalogue.
    pub fn unknown_event_types(&self) -> &[String] {
        &self.unknown_event_types
    }
}

impl Filter {
    fn compile(filter: &EventFilter, resolve: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let set = |values: &[String]| values.iter().cloned().collect::<HashSet<_>>();
        Ok(Self {
            connections: filter.connections.iter().map(|name| resolve(name)).collect::<Result<_>>()?,
            cards: filter.cards().collect(),
            event_types: EventTypes::compile(&filter.event_types),
            application_names: set(&filter.application_names),
            application_ids: set(&filter.application_instance_ids),
            actor_ids: set(&filter.actor_ids),
            target_ids: set(&filter.target_ids),
        })
    }

    fn passes(&self, subject: &Subject) -> bool {
        one_of(&self.connections, [subject.connection_id.as_str()])
            && (self.cards.is_empty() || self.cards.contains(&subject.card))
            && self.event_types.as_ref().is_none_or(|types| types.contain(&subject.event_type))
            && one_of(&self.application_names, subject.application_names.iter().map(String::as_str))
            && one_of(&self.application_ids, subject.application_ids.iter().map(String::as_str))
            && one_of(&self.actor_ids, [subject.actor_id.as_str()])
            && one_of(&self.target_ids, subject.target_ids.iter().map(String::as_str))
    }
}

/// Whether a part passes: it is not set, or one of what the event has is among its values.
fn one_of<'a>(part: &HashSet<String>, found: impl IntoIterator<Item = &'a str>) -> bool {
    part.is_empty() || found.into_iter().any(|value| part.contains(value))
}

impl EventTypes {
    fn compile(patterns: &[String]) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        let mut types = Self::default();
        for pattern in patterns {
            match prefix(pattern) {
                Some(prefix) => types.prefixes.push(prefix.to_owned()),
                None => {
                    types.exact.insert(pattern.clone());
                }
            }
        }
        Some(types)
    }

    fn contain(&self, event_type: &str) -> bool {
        self.exact.contains(event_type) || self.prefixes.iter().any(|prefix| event_type.starts_with(prefix))
    }
}

/// `user.lifecycle.` of `user.lifecycle.*`.
fn prefix(pattern: &str) -> Option<&str> {
    pattern.strip_suffix('*')
}

fn unknown_event_types(filters: &[EventFilter]) -> Vec<String> {
    let known = |pattern: &str| match prefix(pattern) {
        Some(prefix) => catalogue::with_prefix(prefix).next().is_some(),
        None => catalogue::find(pattern).is_some(),
    };
    let mut unknown: Vec<String> =
        filters.iter().flat_map(|filter| &filter.event_types).filter(|pattern| !known(pattern)).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

fn check(filters: &[EventFilter]) -> Vec<Violation> {
    let mut violations = Vec::new();
    if filters.len() > MAX_FILTERS {
        violations
            .push(violation("filters".to_owned(), format!("has {} filters, {MAX_FILTERS} at most", filters.len())));
        return violations;
    }
    for (index, filter) in filters.iter().enumerate() {
        let path = |part: &str| format!("filters[{index}].{part}");
        for (part, values) in parts(filter) {
            check_values(&path(part), values, &mut violations);
        }
        for (at, pattern) in filter.event_types.iter().enumerate().filter(|(_, pattern)| !is_pattern(pattern)) {
            if !pattern.is_empty() {
                let wanted =
                    "is neither an event type such as user.lifecycle.create nor a prefix such as user.lifecycle.*";
                violations.push(violation(format!("{}[{at}]", path("event_types")), wanted.to_owned()));
            }
        }
        for (at, card) in filter.cards.iter().enumerate() {
            if EventCard::try_from(*card).unwrap_or_default() == EventCard::Unspecified {
                violations.push(violation(format!("{}[{at}]", path("cards")), "is not a card".to_owned()));
            }
        }
    }
    violations
}

fn parts(filter: &EventFilter) -> [(&'static str, &[String]); 6] {
    [
        ("connections", &filter.connections),
        ("event_types", &filter.event_types),
        ("application_names", &filter.application_names),
        ("application_instance_ids", &filter.application_instance_ids),
        ("actor_ids", &filter.actor_ids),
        ("target_ids", &filter.target_ids),
    ]
}

fn check_values(path: &str, values: &[String], violations: &mut Vec<Violation>) {
    if values.len() > MAX_VALUES {
        violations.push(violation(path.to_owned(), format!("has {} values, {MAX_VALUES} at most", values.len())));
        return;
    }
    for (at, value) in values.iter().enumerate() {
        if value.is_empty() {
            violations.push(violation(format!("{path}[{at}]"), "is empty".to_owned()));
        } else if value.len() > MAX_VALUE_BYTES {
            let text = format!("has {} bytes, {MAX_VALUE_BYTES} at most", value.len());
            violations.push(violation(format!("{path}[{at}]"), text));
        }
    }
}

/// Names with dots between them; the last may be an asterisk, but not the only one.
fn is_pattern(pattern: &str) -> bool {
    let name = pattern.strip_suffix(".*").unwrap_or(pattern);
    name.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

fn violation(field: String, description: String) -> Violation {
    Violation { field, description }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::proto::ErrorReason;

    fn resolve(name: &str) -> Result<String> {
        match name.strip_prefix("nick_") {
            Some(id) => Ok(id.to_owned()),
            None if name == "nobody" => Err(Error::new(ErrorReason::ConnectionNotFound, "no such connection")),
            None => Ok(name.to_owned()),
        }
    }

    fn compile(filters: &[EventFilter]) -> Result<Filters> {
        Filters::compile(filters, resolve)
    }

    fn types(patterns: &[&str]) -> EventFilter {
        EventFilter {
            event_types: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..EventFilter::default()
        }
    }

    fn of_type(event_type: &str) -> Subject {
        Subject { event_type: event_type.to_owned(), ..Subject::default() }
    }

    fn fields(filters: &[EventFilter]) -> Vec<String> {
        let error = compile(filters).unwrap_err();
        assert_eq!(error.reason(), ErrorReason::InvalidRequest);
        error.violations().iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn no_filter_and_an_empty_filter_take_everything() {
        assert!(compile(&[]).unwrap().pass(&Subject::default()));
        assert!(compile(&[EventFilter::default()]).unwrap().pass(&of_type("x")));
    }

    #[test]
    fn a_type_is_exact_and_a_prefix_ends_at_its_dot() {
        let filters = compile(&[types(&["user.lifecycle.*", "user.session.start"])]).unwrap();
        for (event_type, passes) in [
            ("user.lifecycle.create", true),
            ("user.lifecycle.delete.initiated", true),
            ("user.lifecycle", false),
            ("user.lifecycles.create", false),
            ("user.session.start", true),
            ("user.session.start.x", false),
            ("", false),
        ] {
            assert_eq!(filters.pass(&of_type(event_type)), passes, "{event_type}");
        }
    }

    #[test]
    fn a_connection_is_named_by_id_or_nickname() {
        let filter = |name: &str| EventFilter { connections: vec![name.to_owned()], ..EventFilter::default() };
        let subject = Subject { connection_id: "a".to_owned(), ..Subject::default() };
        assert!(compile(&[filter("a")]).unwrap().pass(&subject));
        assert!(compile(&[filter("nick_a")]).unwrap().pass(&subject));
        assert!(!compile(&[filter("b")]).unwrap().pass(&subject));
        assert_eq!(compile(&[filter("nobody")]).unwrap_err().reason(), ErrorReason::ConnectionNotFound);
    }

    #[test]
    fn what_cannot_be_is_named_by_its_path() {
        let good = types(&["user.session.start"]);
        assert_eq!(fields(&[types(&["user.session.start", "user.*.create"])]), ["filters[0].event_types[1]"]);
        for odd in ["*", "user*", ".*", "user..x", "user.", "user session", "user.lifecycle.**"] {
            assert_eq!(fields(&[good.clone(), types(&[odd])]), ["filters[1].event_types[0]"], "{odd}");
        }
        assert_eq!(fields(&[types(&[""])]), ["filters[0].event_types[0]"]);
        let cards = EventFilter { cards: vec![1, 0, 99], ..EventFilter::default() };
        assert_eq!(fields(&[cards]), ["filters[0].cards[1]", "filters[0].cards[2]"]);
        let actors = EventFilter { actor_ids: vec!["x".repeat(1025)], ..EventFilter::default() };
        assert_eq!(fields(&[actors]), ["filters[0].actor_ids[0]"]);
        let targets = EventFilter { target_ids: vec!["x".to_owned(); 1001], ..EventFilter::default() };
        assert_eq!(fields(&[targets]), ["filters[0].target_ids"]);
        assert_eq!(fields(&vec![good; 33]), ["filters"]);
    }

    #[test]
    fn unknown_types_are_told_once_and_filtered_for() {
        let asked =
            types(&["user.lifecycle.create", "user.lifecylce.*", "user.life.create", "group.*", "user.life.create"]);
        let filters = compile(&[asked]).unwrap();
        assert_eq!(filters.unknown_event_types(), ["user.life.create", "user.lifecylce.*"]);
        assert!(filters.pass(&of_type("user.life.create")));
    }

    fn name() -> impl Strategy<Value = String> {
        "[abc]"
    }

    fn subject() -> impl Strategy<Value = Subject> {
        (name(), name(), name(), vec(name(), 0..3), vec(name(), 0..3), vec(name(), 0..3), 1..14_i32).prop_map(
            |(connection_id, event_type, actor_id, target_ids, application_ids, application_names, card)| Subject {
                connection_id,
                event_type,
                card: EventCard::try_from(card).unwrap(),
                actor_id,
                target_ids,
                application_ids,
                application_names,
            },
        )
    }

    fn filter() -> impl Strategy<Value = EventFilter> {
        let part = || vec(name(), 0..3);
        (part(), part(), part(), part(), part(), part(), vec(1..14_i32, 0..3)).prop_map(
            |(connections, event_types, application_names, application_instance_ids, actor_ids, target_ids, cards)| {
                EventFilter {
                    connections,
                    cards,
                    event_types,
                    application_names,
                    application_instance_ids,
                    actor_ids,
                    target_ids,
                }
            },
        )
    }

    /// The sentence of the contract, word by word.
    fn promised(filters: &[EventFilter], subject: &Subject) -> bool {
        let part =
            |values: &[String], found: &[String]| values.is_empty() || values.iter().any(|value| found.contains(value));
        let one = std::slice::from_ref::<String>;
        filters.is_empty()
            || filters.iter().any(|filter| {
                part(&filter.connections, one(&subject.connection_id))
                    && (filter.cards.is_empty() || filter.cards.contains(&(subject.card as i32)))
                    && part(&filter.event_types, one(&subject.event_type))
                    && part(&filter.application_names, &subject.application_names)
                    && part(&filter.application_instance_ids, &subject.application_ids)
                    && part(&filter.actor_ids, one(&subject.actor_id))
                    && part(&filter.target_ids, &subject.target_ids)
            })
    }

    proptest! {
        #[test]
        fn an_event_passes_any_of_the_filters_with_all_of_its_parts(filters in vec(filter(), 0..4), subject in subject()) {
            prop_assert_eq!(compile(&filters).unwrap().pass(&subject), promised(&filters, &subject));
        }

        #[test]
        fn no_filter_is_too_odd_to_be_checked(patterns in vec(".{0,12}", 0..4)) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            if let Err(error) = compile(&[types(&patterns)]) {
                prop_assert_eq!(error.reason(), ErrorReason::InvalidRequest);
            }
        }
    }
}
