//! The System Log, `/api/v1/logs` (<https://developer.okta.com/docs/reference/system-log-query/>).
//!
//! A request without `until`, ascending, polls: events in the order they were stored, and always a next link, also behind the last
//! one. Any other is bounded: in the order of `published`, with a last page.

mod query;

use std::sync::Arc;

use axum::extract::{Query as Parameters, State};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::Value;

use self::query::{Kind, Place, Query};
use super::Shared;
use super::error::Answer;
use super::log::{Log, Logged};
use super::org::okta_time;
use super::paging::{Page, Params, links};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/logs", get(list))
}

async fn list(State(shared): State<Shared>, Parameters(params): Parameters<Params>) -> Answer<Page> {
    let query = Query::read(&params, Timestamp::now())?;
    let (url, candidates) = {
        let org = shared.org();
        (org.url.clone(), Candidates::of(&org.log, &query))
    };
    let (events, next) = page(&query, candidates);
    let mut linked = params;
    if let Kind::Bounded { until, .. } = &query.kind {
        // A page after this one has to end where this one does.
        linked.entry("until".to_owned()).or_insert_with(|| okta_time(*until));
    }
    Ok((links(&url, "/api/v1/logs", &linked, next.as_deref()), Json(events)))
}

/// What of the log a query may be about: taken under the lock, looked at without it.
struct Candidates {
    events: Vec<Arc<Logged>>,
    end: u64,
}

impl Candidates {
    fn of(log: &Log, query: &Query) -> Self {
        let start = match &query.kind {
            Kind::Polling { after: Some(number), .. } => *number,
            _ => 0,
        };
        Self { events: log.since(start).cloned().collect(), end: log.end() }
    }
}

/// The events of a page, and where the next one begins.
fn page(query: &Query, candidates: Candidates) -> (Vec<Value>, Option<String>) {
    match &query.kind {
        Kind::Polling { since, after } => {
            let since = since.filter(|_| after.is_none());
            polled(query, &candidates, since)
        }
        Kind::Bounded { since, until, descending, after } => {
            let in_time = |logged: &&Arc<Logged>| *since <= logged.published && logged.published < *until;
            let mut events: Vec<&Arc<Logged>> = candidates.events.iter().filter(in_time).collect();
            events.sort_by_key(|logged| Place::of(logged));
            if *descending {
                events.reverse();
            }
            let behind = |logged: &&Arc<Logged>| {
                after
                    .is_none_or(|after| if *descending { Place::of(logged) < after } else { Place::of(logged) > after })
            };
            bounded(query, events.into_iter().filter(behind))
        }
    }
}

fn polled(query: &Query, candidates: &Candidates, since: Option<Timestamp>) -> (Vec<Value>, Option<String>) {
    let mut page = Vec::new();
    for logged in candidates.events.iter().filter(|logged| since.is_none_or(|since| logged.persisted >= since)) {
        if page.len() == query.limit {
            return (page, Some(logged.number.to_string()));
        }
        page.extend(query.wants(logged));
    }
    (page, Some(candidates.end.to_string()))
}

fn bounded<'a>(query: &Query, events: impl Iterator<Item = &'a Arc<Logged>>) -> (Vec<Value>, Option<String>) {
    let mut page = Vec::new();
    let mut last = None;
    for logged in events {
        let Some(event) = query.wants(logged) else { continue };
        if page.len() == query.limit {
            return (page, last.map(|place: Place| place.to_string()));
        }
        page.push(event);
        last = Some(Place::of(logged));
    }
    (page, None)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::log::Happening;
    use super::*;

    const NOW: i64 = 1_750_000_000_000;
    const DAY: i64 = 24 * 3600 * 1000;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("a time")
    }

    /// Events with their names, each of its time, all of them stored now.
    fn log(events: &[(&str, i64)]) -> Log {
        let mut log = Log::default();
        for (message, published) in events {
            let happening = Happening {
                event_type: "test.event".to_owned(),
                message: (*message).to_owned(),
                actor: json!({ "displayName": "San-Francisco Smith" }),
                published: Some(at(*published)),
                ..Default::default()
            };
            log.add(happening, at(NOW));
        }
        log
    }

    fn ask(log: &Log, params: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let params: HashMap<_, _> = params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let query = Query::read(&params, at(NOW)).expect("a query");
        let candidates = Candidates::of(log, &query);
        let (events, next) = page(&query, candidates);
        let names = events.iter().map(|event| event["displayMessage"].as_str().expect("text").to_owned());
        (names.collect(), next)
    }

    fn names(log: &Log, params: &[(&str, &str)]) -> Vec<String> {
        ask(log, params).0
    }

    #[test]
    fn polling_goes_by_the_time_of_storing_and_bounds_go_by_published() {
        let log = log(&[("new", NOW), ("late", NOW - DAY)]);
        let since = at(NOW - 1000).to_string();
        assert_eq!(names(&log, &[("since", &since)]), ["new", "late"], "what came late is polled all the same");
        let until = at(NOW + 1).to_string();
        assert_eq!(names(&log, &[("since", &since), ("until", &until)]), ["new"]);
        assert_eq!(names(&log, &[("until", &until)]), ["late", "new"]);
        assert_eq!(names(&log, &[("until", &until), ("sortOrder", "DESCENDING")]), ["new", "late"]);
    }

    #[test]
    fn what_is_older_than_90_days_is_not_shown_whatever_is_asked() {
        let log = log(&[("ancient", NOW - 91 * DAY), ("old", NOW - 89 * DAY)]);
        assert_eq!(names(&log, &[("since", "2001-01-01T00:00:00Z")]), ["old"]);
        assert_eq!(names(&log, &[("since", "2001-01-01"), ("until", "2099-01-01T00:00:00Z")]), ["old"]);
        assert!(names(&log, &[("until", "2099-01-01T00:00:00Z")]).is_empty(), "seven days before until, by default");
    }

    #[test]
    fn polling_always_has_a_next_page_and_bounds_have_a_last_one() {
        let mut log = log(&[("a", NOW - 2), ("b", NOW - 1), ("c", NOW - 1)]);
        let (first, next) = ask(&log, &[("limit", "2")]);
        let next = next.expect("a next page");
        assert_eq!((first.len(), ask(&log, &[("after", &next)]).0), (2, vec!["c".to_owned()]));
        let end = ask(&log, &[("after", &next)]).1.expect("a next page");
        assert_eq!(ask(&log, &[("after", &end)]), (Vec::new(), Some(end.clone())));
        let happening = Happening { message: "d".to_owned(), published: Some(at(NOW - DAY)), ..Default::default() };
        log.add(happening, at(NOW + 1));
        assert_eq!(names(&log, &[("after", &end), ("since", "2001-01-01")]), ["d"]);
        assert_eq!(ask(&log, &[("limit", "0"), ("after", "1")]), (Vec::new(), Some("1".to_owned())));

        let bounds = [("until", "2099-01-01"), ("since", "2001-01-01"), ("limit", "2")];
        let (first, next) = ask(&log, &bounds);
        let next = next.expect("a second page");
        let second = ask(&log, &[&bounds[..], &[("after", next.as_str())]].concat());
        assert_eq!(
            (first, second),
            (vec!["d".to_owned(), "a".to_owned()], (vec!["b".to_owned(), "c".to_owned()], None))
        );
    }

    #[test]
    fn filters_and_words_choose() {
        let log = log(&[("Sign in", NOW), ("Sign out", NOW)]);
        for (name, value) in [
            ("filter", r#"displayMessage ew "in""#),
            ("filter", r#"not (displayMessage eq "Sign out") and target.id ne "x""#),
            ("q", "sign IN"),
            ("q", "francisco in"),
        ] {
            assert_eq!(names(&log, &[(name, value)]), ["Sign in"], "{value}");
        }
        for q in ["San", "San-Francisco", "smith"] {
            assert_eq!(names(&log, &[("q", q)]).len(), 2, "{q}");
        }
        for q in ["Fran", "displayMessage"] {
            assert!(names(&log, &[("q", q)]).is_empty(), "{q}");
        }
    }

    proptest! {
        #[test]
        fn following_the_links_gives_every_event_once(
            ages in proptest::collection::vec(0_i64..5, 0..30), limit in 1_usize..7, descending: bool, bounded: bool,
        ) {
            let events: Vec<(String, i64)> =
                ages.iter().enumerate().map(|(number, age)| (number.to_string(), NOW - age)).collect();
            let events: Vec<(&str, i64)> = events.iter().map(|(name, time)| (name.as_str(), *time)).collect();
            let log = log(&events);
            let limit = limit.to_string();
            let mut fixed = vec![("limit", limit.as_str()), ("since", "2001-01-01")];
            if bounded {
                fixed.extend([("until", "2099-01-01"), ("sortOrder", if descending { "DESCENDING" } else { "ASCENDING" })]);
            }
            let (mut seen, mut after) = (Vec::new(), None::<String>);
            loop {
                let mut params = fixed.clone();
                params.extend(after.as_deref().map(|after| ("after", after)));
                let (names, next) = ask(&log, &params);
                let over = names.is_empty() || next.is_none();
                seen.extend(names);
                after = next;
                if over {
                    break;
                }
            }
            let mut numbers: Vec<usize> = seen.iter().map(|name| name.parse().unwrap()).collect();
            if bounded {
                let ages: Vec<i64> = numbers.iter().map(|number| ages[*number]).collect();
                let in_order = |one: &i64, two: &i64| if descending { one <= two } else { one >= two };
                prop_assert!(ages.is_sorted_by(in_order));
                numbers.sort_unstable();
            }
            prop_assert_eq!(numbers, (0..ages.len()).collect::<Vec<_>>());
        }
    }
}
