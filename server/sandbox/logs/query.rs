//! What is asked of the System Log: parameters read as strictly as Okta does. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::sandbox::error::{Answer, OktaError};
use crate::sandbox::expression::{self, Dialect, Expression, Operator};
use crate::sandbox::log::Logged;
use crate::sandbox::paging::Params;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// What a query is about that does not say since when.
const DEFAULT_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is older is not shown any more.
const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The length of a day without a time, `2026-01-31`.
const DAY: usize = 10;
const MAX_WORDS: usize = 10;
const MAX_WORD: usize = 40;
/// The fields that a filter may be about; `published` is for `since` and `until`.
const FIELDS: [&str; 16] = [
    "uuid",
    "eventType",
    "version",
    "displayMessage",
    "severity",
    "client",
    "device",
    "actor",
    "outcome",
    "target",
    "transaction",
    "debugContext",
    "legacyEventType",
    "authenticationContext",
    "securityContext",
    "request",
];
const FILTER: Dialect = Dialect {
    allows: |property, operator| {
        let is_url = ["debugContext.debugData.url", "debugContext.debugData.requestUri"].contains(&property);
        let field = property.split('.').next().unwrap_or_default();
        FIELDS.contains(&field) && !(is_url && operator == Operator::Co)
    },
    ignore_case: false,
    negation: true,
};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) kind: Kind,
    pub(super) limit: usize,
    /// The oldest time of an event that is still shown.
    oldest: Timestamp,
    filter: Option<Expression>,
    words: Vec<String>,
}

/// In which order, and from where to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// As they were stored: since a time on a first page, after that from an event's number on.
    Polling { since: Option<Timestamp>, after: Option<u64> },
    /// As they were published, `until` not included.
    Bounded { since: Timestamp, until: Timestamp, descending: bool, after: Option<Place> },
}

/// Where an event stands in the order of `published`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    published: Timestamp,
    number: u64,
}

impl Query {
    /// Reads the parameters of a request that comes at `now`.
    pub(super) fn read(params: &Params, now: Timestamp) -> Answer<Self> {
        let given = |name: &str| params.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let time = |name: &str| given(name).map(|text| read_time(name, text)).transpose();
        let (since, until) = (time("since")?, time("until")?);
        let descending = match given("sortOrder").map(str::to_ascii_uppercase).as_deref() {
            None | Some("ASCENDING") => false,
            Some("DESCENDING") => true,
            Some(_) => return Err(OktaError::invalid("sortOrder", "must be ASCENDING or DESCENDING")),
        };
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(OktaError::invalid("since", "must not be after until"));
        }
        let oldest = minus(now, RETENTION);
        let since = since.map(|since| since.max(oldest));
        let kind = match (until, descending) {
            (None, false) => {
                let after = given("after").map(|after| after.parse().map_err(|_| bad_after())).transpose()?;
                Kind::Polling { since: Some(since.unwrap_or(minus(now, DEFAULT_WINDOW))), after }
            }
            _ => {
                let until = until.unwrap_or(now);
                let since = since.unwrap_or(minus(until, DEFAULT_WINDOW));
                let after = given("after").map(|after| Place::parse(after).ok_or_else(bad_after)).transpose()?;
                Kind::Bounded { since, until, descending, after }
            }
        };
        Ok(Self {
            kind,
            limit: read_limit(given("limit"))?,
            oldest,
            filter: read_filter(given("filter"))?,
            words: read_words(given("q"))?,
        })
    }

    /// The event, if it is one of those asked for.
    pub(super) fn wants(&self, logged: &Logged) -> Option<Value> {
        if logged.published < self.oldest {
            return None;
        }
        let event = logged.event();
        let chosen = self.filter.as_ref().is_none_or(|filter| filter.matches(&event, FILTER))
            && self.words.iter().all(|word| mentions(&event, word));
        chosen.then_some(event)
    }
}

impl Place {
    pub(super) fn of(logged: &Logged) -> Self {
        Self { published: logged.published, number: logged.number }
    }

    fn parse(text: &str) -> Option<Self> {
        let (published, number) = text.split_once('_')?;
        let published = Timestamp::from_millisecond(published.parse().ok()?).ok()?;
        Some(Self { published, number: number.parse().ok()? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.published.as_millisecond(), self.number)
    }
}

fn minus(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

fn bad_after() -> OktaError {
    OktaError::invalid("after", "is not a cursor of this query")
}

/// A time, or a day, which begins at midnight UTC.
fn read_time(name: &str, text: &str) -> Answer<Timestamp> {
    let time = if text.len() == DAY { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    time.map_err(|_| {
        OktaError::validation(vec![
            format!("{name}: The date format in your query is not recognized. Please enter dates using ISO8601 string format."),
            format!("{name}: must be a valid date-time or empty."),
        ])
    })
}

fn read_limit(text: Option<&str>) -> Answer<usize> {
    let limit = text.map_or(Some(DEFAULT_LIMIT), |text| text.parse().ok());
    limit
        .filter(|limit| *limit <= MAX_LIMIT)
        .ok_or_else(|| OktaError::invalid("limit", &format!("must be an integer between 0 and {MAX_LIMIT}")))
}

fn read_filter(text: Option<&str>) -> Answer<Option<Expression>> {
    text.map(|text| expression::parse(text, FILTER).ok_or_else(|| OktaError::invalid_filter(text))).transpose()
}

fn read_words(text: Option<&str>) -> Answer<Vec<String>> {
    let words: Vec<String> = text.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    if words.iter().any(|word| word.chars().count() > MAX_WORD) {
        return Err(OktaError::invalid("q", "Freeform search cannot contain items longer than 40 characters."));
    }
    if words.len() > MAX_WORDS {
        return Err(OktaError::invalid("q", "Freeform search cannot contain more than 10 items."));
    }
    Ok(words)
}

/// Whether a value anywhere in it has the word, whole.
fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| mentions(item, word)),
        Value::Object(members) => members.values().any(|member| mentions(member, word)),
        Value::String(text) => has_word(&text.to_lowercase(), word),
        Value::Null => false,
        Value::Bool(value) => (if *value { "true" } else { "false" }) == word,
        Value::Number(number) => has_word(&number.to_string(), word),
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let ends = |edge: Option<char>| edge.is_none_or(|letter| !letter.is_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        ends(before.chars().next_back()) && ends(rest.get(word.len()..).and_then(|after| after.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &[(&str, &str)]) -> Answer<Query> {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Query::read(&params, "2026-01-31T00:00:00Z".parse().expect("a time"))
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn what_okta_would_not_take_is_refused() {
        for (name, value) in [
            ("since", "foobar"),
            ("until", "01-01-2017"),
            ("since", "2026-01-01T00:00:00"),
            ("limit", "-1"),
            ("limit", "1001"),
            ("limit", "many"),
            ("sortOrder", "RANDOM"),
            ("after", "nonsense"),
            ("after", "1_1"),
            ("filter", "eventType eqq \"x\""),
            ("filter", "published gt \"2026-01-01T00:00:00Z\""),
            ("filter", "nonsense eq \"x\""),
            ("filter", "debugContext.debugData.url co \"/oauth/\""),
            ("q", &"x".repeat(41)),
            ("q", &"x ".repeat(11)),
        ] {
            assert!(read(&[(name, value)]).is_err(), "{name}={value}");
        }
        assert!(read(&[("since", "2026-01-03"), ("until", "2026-01-02")]).is_err());
        assert!(read(&[("since", "2001-01-03"), ("until", "2001-01-02")]).is_err());
        assert!(read(&[("until", "2026-01-02"), ("after", "17")]).is_err(), "a cursor of another kind of query");
        assert!(read(&[("since", "2026-01-02"), ("until", "2026-01-02"), ("limit", "0")]).is_ok());
    }

    #[test]
    fn a_query_polls_unless_it_ends_or_goes_backwards() {
        let kind = |params: &[(&str, &str)]| read(params).expect("a query").kind;
        let (now, week_ago) = (time("2026-01-31T00:00:00Z"), time("2026-01-24T00:00:00Z"));
        assert_eq!(kind(&[]), Kind::Polling { since: Some(week_ago), after: None });
        assert_eq!(kind(&[("until", ""), ("sortOrder", "ascending")]), kind(&[]));
        let bounded = |since, until, descending| Kind::Bounded { since, until, descending, after: None };
        assert_eq!(kind(&[("sortOrder", "DESCENDING")]), bounded(week_ago, now, true));
        let (day, week_before) = (time("2026-01-15T00:00:00Z"), time("2026-01-08T00:00:00Z"));
        assert_eq!(kind(&[("until", "2026-01-15T02:00:00+02:00")]), bounded(week_before, day, false));
    }

    #[test]
    fn since_reaches_back_90_days_and_no_further() {
        let oldest = Some(time("2025-11-02T00:00:00Z"));
        assert!(
            matches!(read(&[("since", "1970-01-01")]).expect("a query").kind, Kind::Polling { since, .. } if since == oldest)
        );
        assert!(
            read(&[("since", "2001-01-01"), ("until", "2001-01-02")]).is_ok(),
            "all of it too old: nothing to show"
        );
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place { published: time("2026-01-02T03:04:05.678Z"), number: 9 };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        for text in ["", "_", "1", "x_1", "1_x", "99999999999999999999_1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
