//! Filter and search expressions, built so that no value can leave its quotes
//! (<https://developer.okta.com/docs/api/#filter>).

use prost_types::value::Kind;
use prost_types::{Struct, Timestamp, Value};

use crate::error::{Error, Result};
use crate::okta::record::to_json;
use crate::proto::{TimeFilter, UserStatus};

/// More than this and Okta does not take the URL.
const MAX_CUSTOM: usize = 4096;

/// Conditions that are joined with `and`.
#[derive(Debug, Default)]
pub(super) struct Expression(Vec<String>);

impl Expression {
    /// `property` equals a text, if one is given.
    pub(super) fn equals(&mut self, property: &str, text: Option<&str>) {
        self.0.extend(text.map(|text| format!("{property} eq {}", quoted(text))));
    }

    /// The status is this one, if it is one.
    pub(super) fn status(&mut self, status: UserStatus) {
        let name = status.as_str_name().trim_start_matches("USER_STATUS_");
        self.equals("status", (status != UserStatus::Unspecified).then_some(name));
    }

    /// `property` lies where the filter says.
    ///
    /// # Errors
    /// `INVALID_REQUEST` naming `field` for a time that is none.
    pub(super) fn time(&mut self, field: &str, property: &str, filter: Option<&TimeFilter>) -> Result<()> {
        let Some(filter) = filter else { return Ok(()) };
        let parts = [
            ("at", "eq", filter.at),
            ("after", "gt", filter.after),
            ("at_or_after", "ge", filter.at_or_after),
            ("before", "lt", filter.before),
            ("at_or_before", "le", filter.at_or_before),
        ];
        for (part, operator, time) in parts {
            if let Some(time) = time {
                let text = time_text(time).ok_or_else(|| Error::invalid(format!("{field}.{part}"), "is no time"))?;
                self.0.push(format!("{property} {operator} \"{text}\""));
            }
        }
        Ok(())
    }

    /// Each attribute of the org's own equals what is given; a list, one of its values.
    ///
    /// # Errors
    /// `INVALID_REQUEST` naming the attribute, under `field`.
    pub(super) fn custom_attributes(&mut self, field: &str, attributes: Option<&Struct>) -> Result<()> {
        for (name, value) in attributes.into_iter().flat_map(|attributes| &attributes.fields) {
            let wrong = |what: &str| Error::invalid(format!("{field}.{name}"), what);
            if !is_name(name) || name.contains('.') {
                return Err(wrong("is no name of an attribute"));
            }
            let values = match &value.kind {
                Some(Kind::ListValue(list)) => list.values.as_slice(),
                _ => std::slice::from_ref(value),
            };
            let any = values.iter().map(|value| literal(value).map(|text| format!("profile.{name} eq {text}")));
            let any: Option<Vec<String>> = any.collect();
            match any.filter(|any| !any.is_empty()).as_deref() {
                Some([one]) => self.0.push(one.clone()),
                Some(any) => self.0.push(format!("({})", any.join(" or "))),
                None => return Err(wrong("must be a text, a number, a boolean, or a list of them")),
            }
        }
        Ok(())
    }

    /// An expression of the caller's own, in parentheses.
    ///
    /// # Errors
    /// `INVALID_REQUEST` naming `field` when it would close them.
    pub(super) fn custom(&mut self, field: &str, text: &str) -> Result<()> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > MAX_CUSTOM {
            return Err(Error::invalid(field, format!("is longer than {MAX_CUSTOM} characters")));
        }
        if !is_balanced(text) {
            return Err(Error::invalid(field, "has a quote or a parenthesis that is not closed, or closed too often"));
        }
        self.0.push(format!("({text})"));
        Ok(())
    }

    /// The whole. Without any condition, one that everybody fulfils: a list without an expression leaves DEPROVISIONED users out.
    pub(super) fn or_everything(self) -> String {
        match self.0.is_empty() {
            true => "lastUpdated ge \"1970-01-01T00:00:00.000Z\"".to_owned(),
            false => self.0.join(" and "),
        }
    }
}

/// Whether a text can be the name of a property.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.len() <= 255 && text.chars().all(allowed)
}

/// Okta reads its quoted texts as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn literal(value: &Value) -> Option<String> {
    match to_json(value) {
        json @ (serde_json::Value::String(_) | serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Some(json.to_string())
        }
        _ => None,
    }
}

/// To the millisecond, as Okta keeps times.
fn time_text(time: Timestamp) -> Option<String> {
    const FIRST: i64 = 0;
    const LAST: i64 = 253_402_300_799;
    let is_time = (FIRST..=LAST).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    let whole = Timestamp { seconds: time.seconds, nanos: 0 }.to_string();
    is_time.then(|| format!("{}.{:03}Z", whole.trim_end_matches('Z'), time.nanos / 1_000_000))
}

/// Whether every quote and parenthesis that opens closes, and none closes that was not open.
fn is_balanced(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0 && !quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn conditions_are_joined_with_and() {
        let mut expression = Expression::default();
        expression.status(UserStatus::Active);
        expression.equals("profile.lastName", Some("O\"Hara\\"));
        let after = Timestamp { seconds: 1_700_000_000, nanos: 5_999_999 };
        expression.time("created", "created", Some(&TimeFilter { after: Some(after), ..Default::default() })).unwrap();
        expression.custom("custom", "profile.a eq \"x)\" or profile.b pr").unwrap();
        assert_eq!(
            expression.or_everything(),
            r#"status eq "ACTIVE" and profile.lastName eq "O\"Hara\\" and created gt "2023-11-14T22:13:20.005Z" and (profile.a eq "x)" or profile.b pr)"#
        );
    }

    #[test]
    fn custom_attributes_keep_their_types() {
        let custom = crate::okta::record::to_value(r#"{"badge":7,"remote":true,"skills":["rust","grpc"]}"#);
        let Some(Kind::StructValue(custom)) = custom.and_then(|value| value.kind) else { panic!("no object") };
        let mut expression = Expression::default();
        expression.custom_attributes("profile.custom", Some(&custom)).unwrap();
        let text = expression.or_everything();
        for part in [
            "profile.badge eq 7",
            "profile.remote eq true",
            r#"(profile.skills eq "rust" or profile.skills eq "grpc")"#,
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["a eq \"x", "(a pr", "a pr)", "a) or (b pr", "a eq \"x\\\""] {
            assert!(Expression::default().custom("custom", text).is_err(), "{text}");
        }
        for raw in [r#"{"a b":1}"#, r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":[]}"#, r#"{"a\" or id pr":1}"#] {
            let Some(Kind::StructValue(custom)) = crate::okta::record::to_value(raw).and_then(|value| value.kind)
            else {
                panic!()
            };
            assert!(Expression::default().custom_attributes("profile.custom", Some(&custom)).is_err(), "{raw}");
        }
        let odd = TimeFilter { at: Some(Timestamp { seconds: i64::MAX, nanos: 0 }), ..Default::default() };
        assert!(Expression::default().time("created", "created", Some(&odd)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_quotes(value in "\\PC{0,40}|[\"\\\\() ]{0,20}") {
            let mut expression = Expression::default();
            expression.equals("profile.city", Some(&value));
            let text = expression.or_everything();
            let literal = text.strip_prefix("profile.city eq ").unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(literal).unwrap(), value);
            prop_assert!(is_balanced(&text));
        }

        #[test]
        fn a_custom_expression_stays_in_its_parentheses(text in "[a-z\"\\\\() ]{1,30}") {
            let mut expression = Expression::default();
            if expression.custom("custom", &text).is_ok() && !text.trim().is_empty() {
                prop_assert!(is_balanced(&expression.or_everything()));
            }
        }
    }
}
